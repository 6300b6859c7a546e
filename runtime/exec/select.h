/* SPDX-License-Identifier: MIT */
/*
 * select.h - a condition as its conjuncts, each applied to what the ones before it left
 *
 * All comparisons of one integer-like column with literals (integers, dates, timestamps, narrow decimals)
 * become one range, which is one comparison a row, reads the column in place, and tells a scan which record
 * batches cannot have a row. Ranges come first, since they cannot fail; the others follow in their order.
 */
#ifndef DX_EXEC_SELECT_H
#define DX_EXEC_SELECT_H

#include "base/compiler.h"
#include "exec/eval.h"

struct dx_select;

/* Values low..high of a column, none where low > high; nulls are never in it. */
struct dx_range {
	uint32_t column;
	int64_t low, high;
};

int dx_select_new(const struct dsmx_expr *condition, struct dx_select **ret_select,
                  struct dsmx_error *err) DX_MUST_CHECK;
void dx_select_free(struct dx_select *select);

/* As dx_eval_select(). */
int dx_select_run(struct dx_select *select, const struct dsmx_batch *batch, uint32_t *ret_rows,
                  uint32_t *ret_count, struct dsmx_error *err) DX_MUST_CHECK;

/* --- one conjunct at a time, for who has columns to prepare in between ------------------------------- */

uint32_t dx_select_count(const struct dx_select *select);

/* Does conjunct @i read @column? */
bool dx_select_reads(const struct dx_select *select, uint32_t i, uint32_t column);

/* The range that conjunct @i is; NULL: it is another kind of condition. */
const struct dx_range *dx_select_range(const struct dx_select *select, uint32_t i);

/*
 * Those of the batch's selected rows that conjunct @i is true for. @rows may be the batch's own selection:
 * it is read ahead of what is written.
 */
int dx_select_step(struct dx_select *select, uint32_t i, const struct dsmx_batch *batch,
                   uint32_t *ret_rows, uint32_t *ret_count, struct dsmx_error *err) DX_MUST_CHECK;

#endif /* DX_EXEC_SELECT_H */
