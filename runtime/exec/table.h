/* SPDX-License-Identifier: MIT */
/*
 * table.h - distinct keys, numbered in the order in which they came
 *
 * The hash table under joins (keys of the build side) and aggregates (groups): open addressing, linear
 * probing. A slot is 8 bytes: half of the hash, and the number of the key, so that another key is looked at
 * only when 32 bits of its hash agree. Keys stand in an array of their own, in order of their numbers.
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

struct dx_table {
	struct dx_key *keys;
	uint32_t count;
	uint32_t room;   /* at @keys */
	uint64_t *slots; /* hash bits 32..63, then number + 1; 0: free */
	uint64_t mask;   /* slots - 1 */
	uint64_t *grown; /* NULL, or the next slots, keys [0, moved) in them */
	uint64_t grown_mask;
	uint32_t moved;
	struct dx_stash stash; /* the bytes of long keys */
	size_t bytes;          /* of keys and slots */
};

int dx_table_init(struct dx_table *table) DX_MUST_CHECK;
void dx_table_fini(struct dx_table *table);

static inline size_t dx_table_bytes(const struct dx_table *table)
{
	return table->bytes + table->stash.bytes;
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
