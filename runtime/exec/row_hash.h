/* SPDX-License-Identifier: MIT */
/*
 * row_hash.h - the hash of some columns of each row, a column at a time over the selected rows
 *
 * The seed is the caller's: an exchange's comes from the plan, a join's filter has another, and the tables of the
 * operators have their own, so none of them sees the choices that another made by these.
 */
#ifndef DX_EXEC_ROW_HASH_H
#define DX_EXEC_ROW_HASH_H

#include "base/compiler.h"
#include "dsmx/batch.h"

/* The row of the batch that is the k-th selected. */
static inline uint32_t row_at(const struct dsmx_batch *batch, uint32_t k)
{
	return batch->selection != NULL ? batch->selection[k] : k;
}

/* @hashes: room for batch->selected. Returns 0 or -ENOMEM. */
int dx_row_hash(const struct dsmx_schema *schema, const uint32_t *keys, uint32_t key_count,
                uint64_t seed, const struct dsmx_batch *batch, uint64_t *hashes) DX_MUST_CHECK;

#endif /* DX_EXEC_ROW_HASH_H */
