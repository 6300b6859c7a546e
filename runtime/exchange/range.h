/* SPDX-License-Identifier: MIT */
/*
 * range.h - which partition of a range exchange a row is in
 *
 * Bounds and rows become sort keys, so that a range exchange and a sort agree on every order, nulls and NaN.
 */
#ifndef DX_EXCHANGE_RANGE_H
#define DX_EXCHANGE_RANGE_H

#include "base/compiler.h"
#include "plan/node.h"

struct dx_range;

int dx_range_new(const struct dx_exchange *exchange, const struct dsmx_schema *schema,
                 struct dx_range **ret_range) DX_MUST_CHECK;
void dx_range_free(struct dx_range *range);

/*
 * The partition of each selected row.
 *
 * @scratch, @ret_targets: room for batch->selected
 * Returns 0, -ENOMEM, -E2BIG (a key of over 4 GiB).
 */
int dx_range_choose(struct dx_range *range, const struct dsmx_batch *batch, uint32_t *scratch,
                    uint32_t *ret_targets) DX_MUST_CHECK;

#endif /* DX_EXCHANGE_RANGE_H */
