/* SPDX-License-Identifier: MIT */
/*
 * key_filter.h - what a hash join knows of its build keys, for those who make its probe rows
 *
 * For each key that is a number the least and the greatest value, and for all of them together a Bloom filter: its
 * bits for one key are four bits of one 64-bit word, so a test is one load. A row that fails has no match; one that
 * passes may have none either. struct dsmx_filter_abi is its form in shared memory.
 *
 * The hash has a seed of its own: what an exchange or a table did with the same keys leaves no pattern in it.
 */
#ifndef DX_EXEC_KEY_FILTER_H
#define DX_EXEC_KEY_FILTER_H

#include <stdbool.h>

#include "base/compiler.h"
#include "dsmx/abi.h"
#include "dsmx/batch.h"

#define DX_FILTER_SEED 0x6b65792d626c6f6fULL

/*
 * Bits of the Bloom filter for each build row. At 16 about 1 of 400 other keys passes, at 6 about 1 of 10; a filter
 * that would have fewer is left out.
 */
#define DX_FILTER_BITS     16U
#define DX_FILTER_BITS_MIN 6U

struct dx_key_filter {
	uint32_t key_count;                     /* 0: every row passes */
	uint32_t columns[DSMX_FILTER_KEYS_MAX]; /* of the rows that are tested */
	uint32_t ranged;                        /* bit i: least[i] and greatest[i] are known */
	int64_t least[DSMX_FILTER_KEYS_MAX], greatest[DSMX_FILTER_KEYS_MAX];
	uint32_t word_count; /* 0: no Bloom filter */
	uint64_t *words;
	const struct dx_join_bits
		*bits; /* instead of it: bit i: least[0] + i is a key; NULL: none */
};

struct dx_join_index;

/* A hash a row, for those who add or test; grows. */
struct dx_filter_hashes {
	uint64_t *hashes;
	uint32_t room;
};

/*
 * An empty one for @rows build rows.
 *
 * @types: of the keys; @columns: of the rows to be tested; @key_count: 1 to DSMX_FILTER_KEYS_MAX
 * @bytes_max: that the words may take
 */
int dx_key_filter_init(struct dx_key_filter *filter, const struct dsmx_type *types,
                       const uint32_t *columns, uint32_t key_count, uint64_t rows,
                       size_t bytes_max) DX_MUST_CHECK;
/* Of a single integer key, by the bits of a dense index, which are borrowed: nothing to build, and no key too many. */
void dx_key_filter_of_bits(struct dx_key_filter *filter, uint32_t column,
                           const struct dx_join_index *index);
void dx_key_filter_fini(struct dx_key_filter *filter);

/* The keys of these build rows, in columns @columns of theirs. Rows with a null are left out: they match nothing. */
int dx_key_filter_add(struct dx_key_filter *filter, const struct dsmx_schema *schema,
                      const uint32_t *columns, const struct dsmx_batch *batch,
                      struct dx_filter_hashes *hashes) DX_MUST_CHECK;

/*
 * The selected rows of @batch that pass, in their order. Returns how many; all of them, where there is no memory
 * to look.
 *
 * @ret_rows: room for all; may be the batch's own selection, which is read ahead of what is written
 */
uint32_t dx_key_filter_keep(const struct dx_key_filter *filter, const struct dsmx_schema *schema,
                            const struct dsmx_batch *batch, uint32_t *ret_rows,
                            struct dx_filter_hashes *hashes);

void dx_filter_hashes_fini(struct dx_filter_hashes *hashes);

/*
 * Is a filter worth its work? One that drops too few of a run of rows rests for several runs, so that it costs next
 * to nothing, and then gets another chance: rows often lie in order.
 */
#define DX_WORTH_RUN  8192U
#define DX_WORTH_REST 16U /* runs */

/* One in so many must be dropped: by a scan, which saves little with each; before rows are sent, which is dear. */
#define DX_WORTH_SCAN 4U
#define DX_WORTH_SEND 20U

struct dx_worth {
	uint32_t tested, dropped; /* of the run */
	uint64_t rest;            /* rows to let pass untested */
};

/* Are the next @rows to be tested? */
static inline bool dx_worth_asking(struct dx_worth *worth, uint32_t rows)
{
	if (worth->rest == 0)
		return true;
	worth->rest = worth->rest > rows ? worth->rest - rows : 0;
	return false;
}

static inline void dx_worth_note(struct dx_worth *worth, uint32_t tested, uint32_t dropped,
                                 uint32_t part)
{
	worth->tested += tested;
	worth->dropped += dropped;
	if (worth->tested < DX_WORTH_RUN)
		return;
	if ((uint64_t)worth->dropped * part < worth->tested)
		worth->rest = (uint64_t)DX_WORTH_REST * DX_WORTH_RUN;
	worth->tested = worth->dropped = 0;
}

#endif /* DX_EXEC_KEY_FILTER_H */
