/* SPDX-License-Identifier: MIT */
/*
 * eval.h - expressions over batches, a vector at a time
 *
 * An expression is compiled once into an evaluator that owns its scratch memory, and evaluated on the
 * selected rows of a batch only: a row that a filter dropped can raise no error. The result is a dense
 * vector: value k belongs to the k-th selected row. It stays until the next evaluation or free.
 */
#ifndef DX_EXEC_EVAL_H
#define DX_EXEC_EVAL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "dsmx/batch.h"
#include "plan/node.h"

/* Rows that one evaluation takes at the most: what fits a core's caches. Longer batches are cut by the caller. */
#define DX_VECTOR_ROWS 4096

struct dx_eval;

/*
 * A dense vector.
 *
 * @valid: one byte for each row, 0 or 1; NULL: all rows have values
 * @values: fixed width: dsmx_type_width() bytes each; bool: one byte each, 0 or 1; text and binary:
 *	struct dx_text each (bytes belong to the batch or to the evaluator)
 *
 * The value under a null is some value of the type. Values of 16 bytes may be aligned to 8 only, as in a
 * file: load them with dx_load_i128().
 */
struct dx_vector {
	struct dsmx_type type;
	const uint8_t *valid;
	const void *values;
};

/* Bytes of one row of a vector. */
static inline size_t dx_vector_width(struct dsmx_type type)
{
	if (dsmx_type_is_text(type))
		return sizeof(struct dx_text);
	return type.id == DSMX_BOOL ? 1 : dsmx_type_width(type);
}

static inline __int128 dx_load_i128(const void *values, size_t i)
{
	__int128 value;

	memcpy(&value, (const uint8_t *)values + 16 * i, sizeof(value));
	return value;
}

int dx_eval_new(const struct dsmx_expr *expr, struct dx_eval **ret_eval,
                struct dsmx_error *err) DX_MUST_CHECK;
void dx_eval_free(struct dx_eval *eval);

/*
 * Evaluate over batch->selected (at most DX_VECTOR_ROWS) rows.
 *
 * Returns 0, or -EDOM (division by zero), -ERANGE (overflow, a cast that does not fit), -EILSEQ (text that
 * is no number, date, ...), -ENOMEM, with the sentence in @err.
 */
int dx_eval_run(struct dx_eval *eval, const struct dsmx_batch *batch, struct dx_vector *ret_vector,
                struct dsmx_error *err) DX_MUST_CHECK;

/*
 * Evaluate a condition: which of the batch's selected rows make it true.
 *
 * @ret_rows: room for batch->selected row numbers (of the batch, not of the selection), ascending
 */
int dx_eval_select(struct dx_eval *eval, const struct dsmx_batch *batch, uint32_t *ret_rows,
                   uint32_t *ret_count, struct dsmx_error *err) DX_MUST_CHECK;

/*
 * One column of a batch, its selected rows, as a dense vector: an evaluator without an expression. Fixed-width
 * values of rows that stand side by side stay where they are.
 *
 * dx_gather_run() returns 0, -EINVAL (over DX_VECTOR_ROWS selected rows), -ERANGE (a text of over 4 GiB).
 */
struct dx_gather;
int dx_gather_new(struct dsmx_type type, struct dx_gather **ret_gather) DX_MUST_CHECK;
void dx_gather_free(struct dx_gather *gather);
int dx_gather_run(struct dx_gather *gather, const struct dsmx_batch *batch, uint32_t column,
                  struct dx_vector *ret_vector) DX_MUST_CHECK;

/*
 * A dense vector as an Arrow column of @count rows (the opposite way): what a project gives on. Bytes to
 * bits, texts to offsets and bytes, in memory that @gather owns; fixed-width values stay where they are.
 *
 * Returns 0, -EINVAL (over DX_VECTOR_ROWS rows), -ENOMEM, -ERANGE (over 2 GiB of text with 32-bit offsets).
 */
int dx_gather_column(struct dx_gather *gather, const struct dx_vector *vector, uint32_t count,
                     struct dsmx_column *ret_column) DX_MUST_CHECK;

#endif /* DX_EXEC_EVAL_H */
