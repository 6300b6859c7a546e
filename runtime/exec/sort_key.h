/* SPDX-License-Identifier: MIT */
/*
 * sort_key.h - the sort key of a row as bytes: memcmp() tells the order
 *
 * Each column is a mark, then its value in an order-preserving form (big-endian with the sign flipped; text
 * with its zero bytes escaped and an end mark), inverted where the order is descending. The mark of a null is
 * below or above that of a value, as the plan wants nulls first or last. No key is the beginning of another.
 *
 * The first 16 bytes stand in the entry as two numbers; most comparisons end there, and where all keys are
 * as short, nothing else is kept.
 */
#ifndef DX_EXEC_SORT_KEY_H
#define DX_EXEC_SORT_KEY_H

#include <string.h>

#include "base/compiler.h"
#include "exec/eval.h"

#define DX_SORT_INLINE 16

struct dx_sort_entry {
	uint64_t high, low;   /* the first 16 bytes, zeros behind a shorter key */
	const uint8_t *bytes; /* all of them; NULL: no key is longer */
	uint32_t len;
	uint32_t row;
};

static inline bool dx_sort_less(const struct dx_sort_entry *a, const struct dx_sort_entry *b)
{
	uint32_t common = a->len < b->len ? a->len : b->len;

	if (a->high != b->high)
		return a->high < b->high;
	if (a->low != b->low)
		return a->low < b->low;
	if (a->bytes == NULL || common <= DX_SORT_INLINE)
		return false;
	return memcmp(a->bytes + DX_SORT_INLINE, b->bytes + DX_SORT_INLINE,
	              common - DX_SORT_INLINE) < 0;
}

/* The encoder, with the entries of the vector that was encoded last; their bytes are the encoder's. */
struct dx_sort_keys {
	uint32_t key_count;
	const struct dsmx_sort_key *keys;
	struct dx_gather **gathers;
	struct dx_vector *vectors;
	struct dx_sort_entry *entries; /* DX_VECTOR_ROWS of them */
	size_t *cursors;
	uint8_t *bytes;
	size_t room;
	bool is_short; /* every key fits the entry */
};

int dx_sort_keys_init(struct dx_sort_keys *keys, const struct dsmx_schema *schema,
                      const struct dsmx_sort_key *columns, uint32_t key_count) DX_MUST_CHECK;
void dx_sort_keys_fini(struct dx_sort_keys *keys);

/* Encode the batch's selected rows, at most DX_VECTOR_ROWS; `row` is left alone. */
int dx_sort_keys_encode(struct dx_sort_keys *keys, const struct dsmx_batch *batch) DX_MUST_CHECK;

#endif /* DX_EXEC_SORT_KEY_H */
