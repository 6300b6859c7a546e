/* SPDX-License-Identifier: MIT */
#include "exec/window.h"

#include <errno.h>
#include <stdlib.h>

#include "exec/eval.h"

struct dx_window {
	const struct dsmx_schema *schema;
	struct dsmx_batch batch;
	uint32_t at; /* of the batch's rows, or of its selection: what comes next */
	struct dsmx_column *columns;
	uint32_t rows[DX_VECTOR_ROWS];
};

int dx_window_new(const struct dsmx_schema *schema, struct dx_window **ret_window)
{
	struct dx_window *window = calloc(1, sizeof(*window));

	if (window == NULL)
		return -ENOMEM;
	window->schema = schema;
	window->columns = calloc(schema->field_count + 1UL, sizeof(*window->columns));
	if (window->columns == NULL) {
		free(window);
		return -ENOMEM;
	}
	*ret_window = window;
	return 0;
}

void dx_window_free(struct dx_window *window)
{
	if (window == NULL)
		return;
	free(window->columns);
	free(window);
}

void dx_window_set(struct dx_window *window, const struct dsmx_batch *batch)
{
	window->batch = *batch;
	window->at = 0;
}

struct dsmx_column dx_column_at(struct dsmx_type type, const struct dsmx_column *from, uint32_t row)
{
	struct dsmx_column column = *from;
	size_t width = dsmx_type_width(type);

	if (column.validity != NULL)
		column.validity += row / 8;
	if (column.codes != NULL) {
		column.codes += row;
		return column;
	}
	if (type.id == DSMX_BOOL)
		column.values = (const uint8_t *)column.values + row / 8;
	else if (type.id == DSMX_LARGE_UTF8)
		column.values = (const int64_t *)column.values + row;
	else if (dsmx_type_is_text(type))
		column.values = (const int32_t *)column.values + row;
	else
		column.values = (const uint8_t *)column.values + row * width;
	return column;
}

/* Selected rows from @window->at on that lie in [base, base + DX_VECTOR_ROWS), counted from base. */
static uint32_t take_rows(struct dx_window *window, uint32_t base)
{
	const struct dsmx_batch *batch = &window->batch;
	uint32_t count = 0;

	while (window->at < batch->selected) {
		uint32_t row = batch->selection[window->at] - base;

		if (row >= DX_VECTOR_ROWS)
			break;
		window->rows[count++] = row;
		window->at++;
	}
	return count;
}

bool dx_window_next(struct dx_window *window, struct dsmx_batch *ret_piece)
{
	const struct dsmx_batch *batch = &window->batch;
	struct dsmx_batch piece = *batch;
	uint32_t base = window->at;

	if (window->at >= batch->selected)
		return false;
	if (batch->length <= DX_VECTOR_ROWS) {
		window->at = batch->selected;
		*ret_piece = piece;
		return true;
	}
	if (batch->selection != NULL)
		base = batch->selection[window->at] / DX_VECTOR_ROWS * DX_VECTOR_ROWS;
	piece.length =
		batch->length - base < DX_VECTOR_ROWS ? batch->length - base : DX_VECTOR_ROWS;
	if (batch->selection != NULL) {
		piece.selected = take_rows(window, base);
		piece.selection = window->rows;
	} else {
		piece.selected = piece.length;
		window->at += piece.length;
	}
	for (uint32_t i = 0; i < batch->column_count; i++)
		window->columns[i] =
			dx_column_at(window->schema->fields[i].type, &batch->columns[i], base);
	piece.columns = window->columns;
	*ret_piece = piece;
	return true;
}
