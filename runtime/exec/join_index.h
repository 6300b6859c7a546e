/* SPDX-License-Identifier: MIT */
/*
 * join_index.h - from a key of the probe side to the build rows that have it
 *
 * Made once, when all build rows are there; in steps of a vector, so that others can run in between. First
 * every build row gets the number of its key, then the rows are put in order of these numbers:
 *
 *	key --> number     dense: integers in a narrow range. A bit for each value of the range says whether
 *	                          a row has it; the number is the count of set bits below. Two bits for each
 *	                          value in all, so that millions of keys stay in a core's caches
 *	                   hash:  anything else (table.h)
 *	number --> rows    identity: no row is null or has another's key, and they came in order
 *	                   one row for each number
 *	                   a run of rows for each number
 *
 * A null key has no number: it matches nothing.
 */
#ifndef DX_EXEC_JOIN_INDEX_H
#define DX_EXEC_JOIN_INDEX_H

#include "base/compiler.h"
#include "exec/table.h"
#include "exec/window.h"

/* The key columns of one side of a join, as vectors. */
struct dx_join_side {
	uint32_t key_count;
	const uint32_t *columns;
	struct dx_gather **gathers;
	struct dx_vector *vectors;
};

int dx_join_side_init(struct dx_join_side *side, const struct dsmx_schema *schema,
                      const uint32_t *columns, uint32_t key_count) DX_MUST_CHECK;
void dx_join_side_fini(struct dx_join_side *side);
/* At most DX_VECTOR_ROWS rows. */
int dx_join_side_run(struct dx_join_side *side, const struct dsmx_batch *batch) DX_MUST_CHECK;

/* 64 values of the range. */
struct dx_join_bits {
	uint64_t set;
	uint64_t below; /* values before these 64 that are set */
};

enum dx_join_index_phase {
	DX_INDEX_RANGE,
	DX_INDEX_BITS,
	DX_INDEX_RANKS,
	DX_INDEX_RESERVE,
	DX_INDEX_NUMBERS,
	DX_INDEX_STARTS,
	DX_INDEX_SUMS,
	DX_INDEX_LIST,
	DX_INDEX_READY,
};

struct dx_join_index {
	enum dx_join_index_phase phase;
	bool is_dense;
	bool is_single_integer; /* the key is: dense is worth a look */
	bool exists_only;       /* nobody asks for rows */
	bool in_order;          /* so far, number i belongs to row i */

	struct dsmx_batch rows; /* of the build side */
	struct dx_join_side side;
	struct dx_window *window; /* through @rows, in each phase anew */
	uint32_t row;             /* the part's first */

	struct dx_keys keys;
	struct dx_table table;

	int64_t min, max; /* of a single integer */
	uint64_t range;   /* dense: max - min + 1 */
	struct dx_join_bits *bits;
	uint64_t word; /* the next one to rank or sum up */

	uint32_t distinct; /* numbers given */
	uint32_t numbered; /* rows that have one */
	uint32_t *numbers; /* of each row; freed when the index is ready */
	uint32_t *starts;  /* of each number's rows in @list; NULL: each number has one row */
	uint32_t *list;    /* rows in order of their numbers; NULL: row i for number i */
	uint64_t bytes;    /* held in all, the rows left out */
};

/*
 * @schema, @columns: of the build side; @wide: as for dx_keys_init(); @may_be_dense: the probe side's key is
 * an integer of at most 64 bits too
 */
int dx_join_index_init(struct dx_join_index *index, const struct dsmx_schema *schema,
                       const uint32_t *columns, uint32_t key_count, const bool *wide,
                       bool may_be_dense, bool exists_only) DX_MUST_CHECK;
void dx_join_index_fini(struct dx_join_index *index);

/* All build rows, which stay as long as the index. */
int dx_join_index_start(struct dx_join_index *index, const struct dsmx_batch *rows) DX_MUST_CHECK;

/* Some more work. Returns 1 when the index is ready, 0 when there is more to do, or -ENOMEM, -E2BIG. */
int dx_join_index_step(struct dx_join_index *index) DX_MUST_CHECK;

/*
 * The numbers of @count keys of the probe side, DX_TABLE_NONE where no build row has it.
 *
 * @keys: the probe side's encoder
 */
int dx_join_index_find(const struct dx_join_index *index, struct dx_keys *keys,
                       const struct dx_vector *vectors, uint32_t count,
                       uint32_t *ret_numbers) DX_MUST_CHECK;

/* Has no number more than one row? */
static inline bool dx_join_index_is_unique(const struct dx_join_index *index)
{
	return index->starts == NULL;
}

/* The rows of a number are list[first..end), or first itself where there is no list. */
static inline void dx_join_index_rows(const struct dx_join_index *index, uint32_t number,
                                      uint32_t *ret_first, uint32_t *ret_end)
{
	*ret_first = index->starts != NULL ? index->starts[number] : number;
	*ret_end = index->starts != NULL ? index->starts[number + 1] : number + 1;
}

static inline uint32_t dx_join_index_row(const struct dx_join_index *index, uint32_t at)
{
	return index->list != NULL ? index->list[at] : at;
}

#endif /* DX_EXEC_JOIN_INDEX_H */
