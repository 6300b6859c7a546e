/* SPDX-License-Identifier: MIT */
/*
 * table.h - distinct keys, numbered in the order in which they came
 *
 * The hash table under joins (keys of the build side) and aggregates (groups): open addressing, linear
 * probing, slots of 16 bytes. Keys of up to 8 bytes stand in their slot, so that a look costs one access to
 * memory; of others it is the hash, and the key is looked at when all of it agrees. Keys also stand in an
 * array, in order of their numbers.
 *
 * Growing does not happen inside of an insert, but before it, in steps, so that the caller can let others
 * run in between.
 */
#ifndef DX_EXEC_TABLE_H
#define DX_EXEC_TABLE_H

#include "base/compiler.h"
#include "exec/key.h"
#include "exec/stash.h"

/* The number of no key. */
#define DX_TABLE_NONE UINT32_MAX

/* Keys that a table holds at the most. */
#define DX_TABLE_KEYS_MAX (1U << 31)

struct dx_table_slot {
	uint64_t word;   /* the key, or its hash */
	uint32_t number; /* plus 1; 0: free */
	uint32_t nulls;  /* which columns of a key in @word are null */
};

struct dx_table {
	bool in_slots;       /* keys are as short as that, */
	uint32_t word_bytes; /* and all of this length */
	uint32_t count;
	uint32_t room; /* at @keys */
	struct dx_key *keys;
	struct dx_table_slot *slots;
	uint64_t mask;               /* slots - 1 */
	struct dx_table_slot *grown; /* NULL, or the next slots; slots [0, moved) are in them */
	uint64_t grown_mask;
	uint64_t moved;
	size_t populated;      /* bytes of @grown that have pages */
	struct dx_stash stash; /* the bytes of long keys */
};

/* For keys that @keys encodes. */
int dx_table_init(struct dx_table *table, const struct dx_keys *keys) DX_MUST_CHECK;
void dx_table_fini(struct dx_table *table);

/* Bytes in use, with the share of its slots that a key needs at the least. */
static inline size_t dx_table_used(const struct dx_table *table)
{
	return table->count * (sizeof(struct dx_key) + 2 * sizeof(struct dx_table_slot)) +
	       table->stash.bytes;
}

/* No keys; slots and room are kept. */
void dx_table_clear(struct dx_table *table);

/*
 * Make room for @more keys, a step at a time. Returns 1 when there is, 0 when there is more to do, -ENOMEM,
 * -E2BIG.
 */
int dx_table_reserve(struct dx_table *table, uint64_t more) DX_MUST_CHECK;

/*
 * The numbers of @count keys, new ones for those that are new; there is room. Keys with a null are left out
 * (DX_TABLE_NONE) where @skip_nulls. Returns 0 or -ENOMEM.
 */
int dx_table_insert(struct dx_table *table, const struct dx_keys *keys, uint32_t count,
                    bool skip_nulls, uint32_t *ret_numbers) DX_MUST_CHECK;

/* The numbers of @count keys, DX_TABLE_NONE for those that are not there. */
void dx_table_find(const struct dx_table *table, const struct dx_keys *keys, uint32_t count,
                   uint32_t *ret_numbers);

#endif /* DX_EXEC_TABLE_H */
