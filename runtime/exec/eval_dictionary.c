/* SPDX-License-Identifier: MIT */
/*
 * eval_dictionary.c - an expression over one text column, evaluated once per dictionary entry
 *
 * Where the column is dictionary-encoded and its dictionary small, the results for all entries, and for null,
 * make a table, and a row costs a look-up by its code. The table stands as long as batches come with the same
 * dictionary: the same by content, not by address, since memory is used again. Comparing a small dictionary
 * with the copy costs less than a look-up a row.
 *
 * An expression that can fail is not evaluated so: an entry that no row refers to must not fail a query. Nor
 * one that gives a text: its bytes would be those of the last evaluation only.
 */
#include <stdlib.h>

#include "exec/bits.h"
#include "exec/decimal.h"
#include "exec/program.h"

#define SMALL_BYTES  65536
#define COLUMNS_MOST 4096
#define STEPS_MOST   64 /* in one expression: each has an evaluator of its own */

struct entries {
	struct dx_eval *inner; /* the expression over plain columns */
	uint32_t column;
	bool large_offsets;
	struct dsmx_column *columns; /* of the batches that `inner` gets: all but one are empty */

	/* the dictionary that the table is for; @count 0: there is none */
	uint32_t count;
	size_t offsets_len, bytes_len;
	uint8_t *copy; /* offsets, then bytes */
	struct dx_vector table;
	uint8_t null_value[16];
	uint8_t null_valid;
};

static void free_entries(void *state)
{
	struct entries *entries = state;

	dx_eval_free(entries->inner);
	free(entries->columns);
	free(entries->copy);
	free(entries);
}

/* --- the table --------------------------------------------------------------------------------------- */

/* Bytes of a dictionary's offsets and texts. Returns whether it is one for a table. */
static bool is_small(const struct entries *entries, const struct dsmx_column *column,
                     size_t *ret_offsets_len, size_t *ret_bytes_len)
{
	uint32_t count = column->dictionary_length;
	int64_t first, last;

	if (column->codes == NULL || count == 0 || count > DX_VECTOR_ROWS)
		return false;
	if (entries->large_offsets) {
		first = ((const int64_t *)column->values)[0];
		last = ((const int64_t *)column->values)[count];
	} else {
		first = ((const int32_t *)column->values)[0];
		last = ((const int32_t *)column->values)[count];
	}
	*ret_offsets_len = (count + 1UL) * (entries->large_offsets ? 8 : 4);
	*ret_bytes_len = (size_t)last;
	return first == 0 && last <= SMALL_BYTES;
}

static bool is_same(const struct entries *entries, const struct dsmx_column *column,
                    size_t offsets_len, size_t bytes_len)
{
	return entries->count == column->dictionary_length && entries->offsets_len == offsets_len &&
	       entries->bytes_len == bytes_len &&
	       memcmp(entries->copy, column->values, offsets_len) == 0 &&
	       (bytes_len == 0 ||
	        memcmp(entries->copy + offsets_len, column->bytes, bytes_len) == 0);
}

static int run_inner(struct dx_eval *eval, struct entries *entries, struct dsmx_column column,
                     uint32_t rows, struct dx_vector *ret_vector)
{
	struct dsmx_batch batch = { .length = rows, .selected = rows };

	entries->columns[entries->column] = column;
	batch.columns = entries->columns;
	batch.column_count = entries->column + 1;
	return dx_eval_run(entries->inner, &batch, ret_vector, eval->err);
}

static int evaluate_null(struct dx_eval *eval, struct entries *entries)
{
	static const int64_t no_offsets[2];
	static const uint8_t no_bits;
	struct dsmx_column null = { .validity = &no_bits, .values = no_offsets };
	struct dx_vector vector;
	int err;

	null.bytes = &no_bits;
	err = run_inner(eval, entries, null, 1, &vector);
	if (err < 0)
		return err;
	entries->null_valid = vector.valid == NULL || vector.valid[0];
	memcpy(entries->null_value, vector.values, dx_vector_width(vector.type));
	return 0;
}

/* Take the dictionary of @column over and evaluate its entries. */
static int make_table(struct dx_eval *eval, struct entries *entries,
                      const struct dsmx_column *column, size_t offsets_len, size_t bytes_len)
{
	struct dsmx_column mine = { 0 };
	uint8_t *copy = realloc(entries->copy, offsets_len + bytes_len + 1);
	int err;

	entries->count = 0;
	if (copy == NULL)
		return -ENOMEM;
	entries->copy = copy;
	memcpy(copy, column->values, offsets_len);
	if (bytes_len > 0)
		memcpy(copy + offsets_len, column->bytes, bytes_len);
	entries->offsets_len = offsets_len;
	entries->bytes_len = bytes_len;
	err = evaluate_null(eval, entries);
	if (err < 0)
		return err;
	mine.values = copy;
	mine.bytes = copy + offsets_len;
	err = run_inner(eval, entries, mine, column->dictionary_length, &entries->table);
	if (err == 0)
		entries->count = column->dictionary_length;
	return err;
}

/* --- rows -------------------------------------------------------------------------------------------- */

#define LOOK_UP(type)                                                                              \
	do {                                                                                       \
		const type *table = entries->table.values;                                         \
		type *out = step->values_room;                                                     \
		if (rows == NULL)                                                                  \
			for (uint32_t k = 0; k < eval->rows; k++)                                  \
				out[k] = table[codes[k]];                                          \
		else                                                                               \
			for (uint32_t k = 0; k < eval->rows; k++)                                  \
				out[k] = table[codes[rows[k]]];                                    \
	} while (0)

static void look_up(struct dx_eval *eval, struct dx_step *step, const int32_t *codes)
{
	const struct entries *entries = step->state;
	const uint32_t *rows = eval->frame->selection;

	switch (dx_phys_width(step->phys)) {
	case 1:
		LOOK_UP(uint8_t);
		break;
	case 2:
		LOOK_UP(uint16_t);
		break;
	case 4:
		LOOK_UP(uint32_t);
		break;
	case 8:
		LOOK_UP(uint64_t);
		break;
	default:
		LOOK_UP(struct dx_words);
		break;
	}
	step->valid = NULL;
	if (entries->table.valid == NULL)
		return;
	step->valid = step->valid_room;
	for (uint32_t k = 0; k < eval->rows; k++)
		step->valid_room[k] = entries->table.valid[codes[rows != NULL ? rows[k] : k]];
}

/* Rows whose column is null get null's result. */
static void put_nulls(struct dx_eval *eval, struct dx_step *step, const uint8_t *bits)
{
	const struct entries *entries = step->state;
	const uint32_t *rows = eval->frame->selection;
	size_t width = dx_phys_width(step->phys);

	if (step->valid == NULL)
		memset(step->valid_room, 1, eval->rows);
	step->valid = step->valid_room;
	for (uint32_t k = 0; k < eval->rows; k++) {
		if (dx_bit_get(bits, rows != NULL ? rows[k] : k))
			continue;
		step->valid_room[k] = entries->null_valid;
		memcpy((uint8_t *)step->values_room + k * width, entries->null_value, width);
	}
}

static int run_entries(struct dx_eval *eval, struct dx_step *step)
{
	struct entries *entries = step->state;
	const struct dsmx_column *column;
	size_t offsets_len, bytes_len;
	struct dx_vector vector;
	int err;

	if (entries->column >= eval->frame->column_count)
		return dx_error(eval->err, -EINVAL, "column %u of %u", entries->column,
		                eval->frame->column_count);
	column = &eval->frame->columns[entries->column];
	if (!is_small(entries, column, &offsets_len, &bytes_len)) {
		entries->count = 0; /* the table is in the memory of `inner` */
		err = dx_eval_run(entries->inner, eval->frame, &vector, eval->err);
		if (err < 0)
			return err;
		step->valid = vector.valid;
		step->values = vector.values;
		return 0;
	}
	if (!is_same(entries, column, offsets_len, bytes_len)) {
		err = make_table(eval, entries, column, offsets_len, bytes_len);
		if (err < 0)
			return err;
	}
	look_up(eval, step, column->codes);
	if (column->validity != NULL)
		put_nulls(eval, step, column->validity);
	step->values = step->values_room;
	return 0;
}

/* --- compiling --------------------------------------------------------------------------------------- */

/* Returns whether all columns in @expr are one and the same text column. */
static bool one_text_column(const struct dsmx_expr *expr, const struct dsmx_expr **column)
{
	if (expr->kind == DX_EXPR_COLUMN) {
		if (*column != NULL && (*column)->column != expr->column)
			return false;
		*column = expr;
		return dsmx_type_is_text(expr->type);
	}
	for (uint32_t i = 0; i < expr->arg_count; i++) {
		if (!one_text_column(expr->args[i], column))
			return false;
	}
	return true;
}

int dx_compile_dictionary(struct dx_eval *eval, const struct dsmx_expr *expr,
                          struct dx_step **ret_step)
{
	struct dx_step like = { .run = run_entries, .type = expr->type };
	const struct dsmx_expr *column = NULL;
	struct entries *entries;
	int err;

	if (eval->plain_dictionaries || eval->dictionary_count >= STEPS_MOST ||
	    expr->arg_count == 0 || dsmx_type_is_text(expr->type) || dx_can_fail(expr) ||
	    !one_text_column(expr, &column) || column == NULL || column->column >= COLUMNS_MOST)
		return 0;
	entries = calloc(1, sizeof(*entries));
	if (entries == NULL)
		return -ENOMEM;
	entries->column = column->column;
	entries->large_offsets = column->type.id == DSMX_LARGE_UTF8;
	entries->columns = calloc(column->column + 1UL, sizeof(*entries->columns));
	if (entries->columns == NULL)
		err = -ENOMEM;
	else
		err = dx_eval_make(expr, true, &entries->inner, eval->err);
	if (err < 0) {
		free_entries(entries);
		return err;
	}
	like.state = entries;
	like.free_state = free_entries;
	eval->dictionary_count++;
	err = dx_emit(eval, &like, ret_step);
	return err < 0 ? err : 1;
}
