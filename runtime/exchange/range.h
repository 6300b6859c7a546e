/* SPDX-License-Identifier: MIT */
/*
 * range.h - which partition of a range exchange a row is in
 *
 * Bounds and rows become sort keys, so that a range exchange and a sort agree on every order, nulls and NaN.
 */
#ifndef DX_EXCHANGE_RANGE_H
#define DX_EXCHANGE_RANGE_H

#include "base/compiler.h"
#include "exec/sort_key.h"
#include "plan/node.h"

struct dx_range;

int dx_range_new(const struct dx_exchange *exchange, const struct dsmx_schema *schema,
                 struct dx_range **ret_range) DX_MUST_CHECK;
void dx_range_free(struct dx_range *range);

/*
 * A sampled exchange's, at most as many as it has partitions, in the order of its keys; copied. A bound may be the
 * beginning of a key only: rows that begin so are not before it. Until they are set, every row is in partition 0.
 */
int dx_range_set_bounds(struct dx_range *range, const struct dx_sort_entry *bounds,
                        uint32_t count) DX_MUST_CHECK;
/* Does every key fit a sort entry? Then none has bytes. */
bool dx_range_is_short(const struct dx_range *range);

/*
 * The partition of each selected row.
 *
 * @scratch, @ret_targets: room for batch->selected
 * Returns 0, -ENOMEM, -E2BIG (a key of over 4 GiB).
 */
int dx_range_choose(struct dx_range *range, const struct dsmx_batch *batch, uint32_t *scratch,
                    uint32_t *ret_targets) DX_MUST_CHECK;

#endif /* DX_EXCHANGE_RANGE_H */
