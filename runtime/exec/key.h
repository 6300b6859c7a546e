/* SPDX-License-Identifier: MIT */
/*
 * key.h - the keys of a row as bytes: equal keys, equal bytes
 *
 * A join and an aggregate compare and hash keys of any number and type. A vector at a time, the key columns
 * are encoded into one struct dx_key for each row, so that the tables know one form only:
 *
 *	bytes	fixed-width columns first, then texts, each with its length in front. -0.0 is written as 0.0,
 *		any NaN as one NaN, a null as zeros (a text: as an empty one)
 *	short	at most 16 bytes: they are `low` and `high`
 *	long	`low` is the hash of the bytes, `high` points to them
 *	shape	their number, which columns are null, and which of the two forms it is
 *
 * Two keys are equal if the three words are, or, for long ones, the bytes.
 */
#ifndef DX_EXEC_KEY_H
#define DX_EXEC_KEY_H

#include <string.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "dsmx/batch.h"
#include "exec/eval.h"

struct dx_key {
	uint64_t low;
	uint64_t high;
	uint64_t shape;
};

#define DX_KEY_INLINE     16
#define DX_KEY_LONG       (1ULL << 63)
#define DX_KEY_NULL_SHIFT 32
#define DX_KEY_NULLS      (0x7fffffffULL << DX_KEY_NULL_SHIFT)
#define DX_KEY_LENGTH     0xffffffffULL

static inline bool dx_key_has_null(const struct dx_key *key)
{
	return (key->shape & DX_KEY_NULLS) != 0;
}

static inline const uint8_t *dx_key_bytes(const struct dx_key *key)
{
	return key->shape & DX_KEY_LONG ? (const uint8_t *)(uintptr_t)key->high
	                                : (const uint8_t *)key;
}

static inline uint64_t dx_key_hash(const struct dx_key *key)
{
	uint64_t high = key->shape & DX_KEY_LONG ? 0 : key->high;

	return dx_hash_fold(key->low ^ DX_HASH_K2, (high + key->shape * DX_HASH_NULL) ^ DX_HASH_K0);
}

static inline bool dx_key_equal(const struct dx_key *a, const struct dx_key *b)
{
	if (a->low != b->low || a->shape != b->shape)
		return false;
	if (a->high == b->high)
		return true;
	return (a->shape & DX_KEY_LONG) != 0 &&
	       memcmp((const void *)(uintptr_t)a->high, (const void *)(uintptr_t)b->high,
	              a->shape & DX_KEY_LENGTH) == 0;
}

/* The encoder, with the keys of the vector that was encoded last. */
struct dx_keys {
	uint32_t column_count;
	struct dx_key_column *columns;
	uint32_t fixed_bytes; /* of all fixed-width columns */
	bool has_text;
	struct dx_key *keys; /* DX_VECTOR_ROWS of them, as of what follows */
	uint64_t *hashes;
	uint64_t *words; /* a column's values while they are encoded */
	uint32_t *longs; /* the rows whose keys are long, */
	size_t *cursors; /* and where each is being written in @bytes */
	uint8_t *bytes;
	size_t room;
};

/* @wide: NULL, or for each column, whether decimals are written with 16 bytes whatever their type. */
int dx_keys_init(struct dx_keys *keys, const struct dsmx_type *types, const bool *wide,
                 uint32_t column_count) DX_MUST_CHECK;
void dx_keys_fini(struct dx_keys *keys);

/* Is every key its `low` word, and which columns are null? */
static inline bool dx_keys_are_words(const struct dx_keys *keys)
{
	return !keys->has_text && keys->fixed_bytes <= 8;
}

/* Encode @count rows of @vectors, one for each column. Returns 0, -ENOMEM or -E2BIG (a key of 2 GiB). */
int dx_keys_encode(struct dx_keys *keys, const struct dx_vector *vectors,
                   uint32_t count) DX_MUST_CHECK;

/*
 * The opposite: column @column of @count keys.
 *
 * @valid: gets a byte for each row, 0 or 1
 * @values: as a struct dx_vector has them; texts point into the keys
 * Returns whether every row has a value.
 */
bool dx_keys_decode(const struct dx_keys *keys, uint32_t column, const struct dx_key *from,
                    uint32_t count, uint8_t *valid, void *values);

#endif /* DX_EXEC_KEY_H */
