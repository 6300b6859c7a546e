/* SPDX-License-Identifier: MIT */
/*
 * take.h - rows of columns, in any order, as columns of one's own
 *
 * How a join and a sort give out rows that they kept. Fixed-width values are copied; texts are not: the
 * taken column is dictionary-encoded, with the column it was taken from as its dictionary.
 */
#ifndef DX_EXEC_TAKE_H
#define DX_EXEC_TAKE_H

#include "base/compiler.h"
#include "dsmx/batch.h"

/* A row number that stands for no row: every column is null there. */
#define DX_TAKE_NONE UINT32_MAX

struct dx_take;

/* @schema is borrowed; @room: rows of the columns given out. */
int dx_take_new(const struct dsmx_schema *schema, uint32_t room,
                struct dx_take **ret_take) DX_MUST_CHECK;
void dx_take_free(struct dx_take *take);

/*
 * Rows @rows[0..count) of @source, which has @source_rows rows, at the places @at[0..count) of the taken
 * columns; @at NULL: 0, 1, 2, ... What stands at other places is left as it was; so that no code there
 * is outside of its dictionary, the source must then be the same in every call.
 *
 * @only: NULL, or which columns are wanted (a bool each); others are left zero
 * @ret_columns: one for each field; valid until the next call, or until the source is gone
 */
void dx_take_run(struct dx_take *take, const struct dsmx_column *source, uint32_t source_rows,
                 const uint32_t *rows, const uint32_t *at, uint32_t count, const bool *only,
                 struct dsmx_column *ret_columns);

#endif /* DX_EXEC_TAKE_H */
