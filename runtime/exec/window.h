/* SPDX-License-Identifier: MIT */
/*
 * window.h - batches of any length in pieces of at most DX_VECTOR_ROWS rows
 *
 * A piece is a view: its columns point into the batch's, at a row that is a multiple of 8 so that bitmaps
 * begin with a byte. Its length, not only its selection, is at most DX_VECTOR_ROWS.
 */
#ifndef DX_EXEC_WINDOW_H
#define DX_EXEC_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/batch.h"

struct dx_window;

/* @schema of the batches; borrowed. */
int dx_window_new(const struct dsmx_schema *schema, struct dx_window **ret_window) DX_MUST_CHECK;
void dx_window_free(struct dx_window *window);

/* Begin with a batch; what it points to must stay while pieces of it are in use. */
void dx_window_set(struct dx_window *window, const struct dsmx_batch *batch);

/*
 * The next piece that has rows.
 *
 * @ret_piece: valid until the next call
 * Returns false at the end of the batch, and before the first dx_window_set().
 */
bool dx_window_next(struct dx_window *window, struct dsmx_batch *ret_piece);

/* Column @from of type @type from row @row on, a multiple of 8. */
struct dsmx_column dx_column_at(struct dsmx_type type, const struct dsmx_column *from,
                                uint32_t row);

#endif /* DX_EXEC_WINDOW_H */
