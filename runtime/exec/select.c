/* SPDX-License-Identifier: MIT */
#include "exec/select.h"

#include <stdlib.h>

#include "batch/parse.h"
#include "exec/bits.h"
#include "exec/decimal.h"
#include "exec/program.h"
#include "plan/functions.h"

struct conjunct {
	bool is_range;
	struct dx_range range;
	enum dx_phys phys; /* of the range's column */
	const struct dsmx_expr *expr;
	struct dx_eval *eval; /* of what is no range */
};

struct dx_select {
	struct conjunct *conjuncts; /* ranges first */
	uint32_t count, room, range_count;
};

/* --- which comparisons are ranges -------------------------------------------------------------------- */

static bool is_constant(const struct dsmx_expr *expr)
{
	bool constant = expr->kind != DX_EXPR_COLUMN;

	for (uint32_t i = 0; i < expr->arg_count; i++)
		constant &= is_constant(expr->args[i]);
	return constant;
}

/*
 * The value of an expression without columns.
 *
 * Returns whether it has one: it may be null, and it may fail, which is the business of the rows that ask.
 */
static bool constant_value(const struct dsmx_expr *expr, __int128 *ret_value)
{
	struct dsmx_batch one = { .length = 1, .selected = 1 };
	struct dx_eval *eval;
	struct dx_vector vector;
	bool has = false;

	if (dx_eval_new(expr, &eval, NULL) < 0)
		return false;
	if (dx_eval_run(eval, &one, &vector, NULL) == 0 &&
	    (vector.valid == NULL || vector.valid[0])) {
		has = true;
		if (dx_phys_of(expr->type) == DX_PHYS_I128) {
			*ret_value = dx_load_i128(vector.values, 0);
		} else {
			union dx_value value;

			dx_value_load(expr->type, vector.values, &value);
			*ret_value = expr->type.id == DSMX_DECIMAL ? value.d : value.i;
		}
	}
	dx_eval_free(eval);
	return has;
}

/* The greatest whole number of @scale that is not over @value of @value_scale; and is it @value? */
static __int128 floor_at(__int128 value, int value_scale, int scale, bool *ret_exact)
{
	__int128 power, quotient;

	*ret_exact = true;
	if (value_scale <= scale) {
		if (!dx_decimal_multiply(
			    value, dx_power_of_ten((unsigned int)(scale - value_scale)), &quotient))
			quotient = value < 0 ? -dx_power_of_ten(38) : dx_power_of_ten(38);
		return quotient;
	}
	power = dx_power_of_ten((unsigned int)(value_scale - scale));
	quotient = value / power;
	*ret_exact = quotient * power == value;
	return quotient - (!*ret_exact && value < 0);
}

static int64_t clamp(__int128 value)
{
	return value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

/* The integers x of @scale for which `x function value` is true. */
static void range_of(enum dsmx_function function, __int128 value, int value_scale, int scale,
                     struct dx_range *range)
{
	__int128 low = INT64_MIN, high = INT64_MAX, at;
	bool exact;

	at = floor_at(value, value_scale, scale, &exact);
	switch (function) {
	case DSMX_FN_LT:
		high = exact ? at - 1 : at;
		break;
	case DSMX_FN_LTE:
		high = at;
		break;
	case DSMX_FN_GT:
		low = at + 1;
		break;
	case DSMX_FN_GTE:
		low = exact ? at : at + 1;
		break;
	default:
		low = at;
		high = exact ? at : at - 1;
		break;
	}
	range->low = clamp(low);
	range->high = clamp(high);
	if (low > INT64_MAX || high < INT64_MIN || low > high) {
		range->low = 1;
		range->high = 0;
	}
}

/* Is the type one whose values are integers of at most 64 bits with a sign? */
static bool has_ranges(struct dsmx_type type)
{
	enum dx_phys phys = dx_phys_of(type);

	return phys >= DX_PHYS_I8 && phys <= DX_PHYS_U32;
}

/* Returns whether @expr is a comparison of a column with a constant that a range can say. */
static bool find_range(const struct dsmx_expr *expr, struct conjunct *ret_conjunct)
{
	const struct dsmx_expr *column, *other;
	enum dsmx_function function = expr->function;
	struct conjunct conjunct = { .is_range = true, .expr = expr };
	__int128 value;

	if (expr->kind != DX_EXPR_CALL || expr->arg_count != 2 || function < DSMX_FN_EQUAL ||
	    function > DSMX_FN_GTE || function == DSMX_FN_NOT_EQUAL)
		return false;
	column = expr->args[0];
	other = expr->args[1];
	if (column->kind != DX_EXPR_COLUMN) {
		column = expr->args[1];
		other = expr->args[0];
		function = dx_function_mirrored(function);
	}
	if (column->kind != DX_EXPR_COLUMN || !is_constant(other) || !has_ranges(column->type))
		return false;
	if (column->type.id == DSMX_DECIMAL ? other->type.id != DSMX_DECIMAL
	                                    : !dsmx_type_equal(column->type, other->type))
		return false;
	if (!constant_value(other, &value))
		return false;
	conjunct.range.column = column->column;
	conjunct.phys = dx_phys_of(column->type);
	range_of(function, value, other->type.scale, column->type.scale, &conjunct.range);
	*ret_conjunct = conjunct;
	return true;
}

/* --- building ---------------------------------------------------------------------------------------- */

static void intersect(struct dx_range *range, const struct dx_range *with)
{
	if (with->low > range->low)
		range->low = with->low;
	if (with->high < range->high)
		range->high = with->high;
}

static int add(struct dx_select *select, const struct conjunct *conjunct)
{
	uint32_t at = conjunct->is_range ? select->range_count : select->count;

	for (uint32_t i = 0; conjunct->is_range && i < select->range_count; i++) {
		if (select->conjuncts[i].range.column == conjunct->range.column) {
			intersect(&select->conjuncts[i].range, &conjunct->range);
			return 0;
		}
	}
	if (select->count == select->room) {
		uint32_t room = select->room > 0 ? select->room * 2 : 8;
		void *grown = realloc(select->conjuncts, room * sizeof(*conjunct));

		if (grown == NULL)
			return -ENOMEM;
		select->conjuncts = grown;
		select->room = room;
	}
	memmove(&select->conjuncts[at + 1], &select->conjuncts[at],
	        (select->count - at) * sizeof(*conjunct));
	select->conjuncts[at] = *conjunct;
	select->count++;
	select->range_count += conjunct->is_range;
	return 0;
}

static int split(struct dx_select *select, const struct dsmx_expr *expr, struct dsmx_error *err)
{
	struct conjunct conjunct = { .expr = expr };
	int code;

	if (expr->kind == DX_EXPR_CALL && expr->function == DSMX_FN_AND) {
		for (uint32_t i = 0; i < expr->arg_count; i++) {
			code = split(select, expr->args[i], err);
			if (code < 0)
				return code;
		}
		return 0;
	}
	if (expr->type.id != DSMX_BOOL)
		return dx_error(err, -EINVAL, "a condition that is no bool");
	if (!find_range(expr, &conjunct)) {
		code = dx_eval_new(expr, &conjunct.eval, err);
		if (code < 0)
			return code;
	}
	code = add(select, &conjunct);
	if (code < 0) {
		dx_eval_free(conjunct.eval);
		return dx_error(err, code, "no memory for a condition");
	}
	return 0;
}

int dx_select_new(const struct dsmx_expr *condition, struct dx_select **ret_select,
                  struct dsmx_error *err)
{
	struct dx_select *select = calloc(1, sizeof(*select));
	int code;

	if (select == NULL)
		return dx_error(err, -ENOMEM, "no memory for a condition");
	code = split(select, condition, err);
	if (code < 0) {
		dx_select_free(select);
		return code;
	}
	*ret_select = select;
	return 0;
}

void dx_select_free(struct dx_select *select)
{
	if (select == NULL)
		return;
	for (uint32_t i = 0; i < select->count; i++)
		dx_eval_free(select->conjuncts[i].eval);
	free(select->conjuncts);
	free(select);
}

uint32_t dx_select_count(const struct dx_select *select)
{
	return select->count;
}

static bool reads(const struct dsmx_expr *expr, uint32_t column)
{
	bool found = expr->kind == DX_EXPR_COLUMN && expr->column == column;

	for (uint32_t i = 0; i < expr->arg_count; i++)
		found |= reads(expr->args[i], column);
	return found;
}

bool dx_select_reads(const struct dx_select *select, uint32_t i, uint32_t column)
{
	return reads(select->conjuncts[i].expr, column);
}

const struct dx_range *dx_select_range(const struct dx_select *select, uint32_t i)
{
	return select->conjuncts[i].is_range ? &select->conjuncts[i].range : NULL;
}

/* --- running ----------------------------------------------------------------------------------------- */

/*
 * Branch-free: every row number is written, and kept by moving on. low <= x <= high is one unsigned
 * comparison.
 */
#define KEEP(row_at, test)                                                                         \
	for (uint32_t k = 0; k < batch->selected; k++) {                                           \
		uint32_t row = (row_at);                                                           \
		uint64_t from_low = (uint64_t)(int64_t)values[row] - low;                          \
		ret_rows[count] = row;                                                             \
		count += (from_low <= span) & (test);                                              \
	}

#define IN_RANGE(type)                                                                             \
	do {                                                                                       \
		const type *values = column->values;                                               \
		if (bits == NULL && rows == NULL)                                                  \
			KEEP(k, 1U)                                                                \
		else if (bits == NULL)                                                             \
			KEEP(rows[k], 1U)                                                          \
		else if (rows == NULL)                                                             \
			KEEP(k, (uint8_t)dx_bit_get(bits, row))                                    \
		else                                                                               \
			KEEP(rows[k], (uint8_t)dx_bit_get(bits, row))                              \
	} while (0)

static uint32_t keep_range(const struct conjunct *conjunct, const struct dsmx_batch *batch,
                           uint32_t *ret_rows)
{
	const struct dsmx_column *column = &batch->columns[conjunct->range.column];
	uint64_t low = (uint64_t)conjunct->range.low;
	uint64_t span = (uint64_t)conjunct->range.high - low;
	const uint8_t *bits = column->validity;
	const uint32_t *rows = batch->selection;
	uint32_t count = 0;

	if (conjunct->range.low > conjunct->range.high)
		return 0;
	switch (conjunct->phys) {
	case DX_PHYS_I8:
		IN_RANGE(int8_t);
		break;
	case DX_PHYS_I16:
		IN_RANGE(int16_t);
		break;
	case DX_PHYS_I32:
		IN_RANGE(int32_t);
		break;
	case DX_PHYS_U8:
		IN_RANGE(uint8_t);
		break;
	case DX_PHYS_U16:
		IN_RANGE(uint16_t);
		break;
	case DX_PHYS_U32:
		IN_RANGE(uint32_t);
		break;
	default:
		IN_RANGE(int64_t);
		break;
	}
	return count;
}

static int keep_true(struct dx_eval *eval, const struct dsmx_batch *batch, uint32_t *ret_rows,
                     uint32_t *ret_count, struct dsmx_error *err)
{
	const uint32_t *rows = batch->selection;
	struct dx_vector vector;
	const uint8_t *is;
	uint32_t count = 0;
	int code = dx_eval_run(eval, batch, &vector, err);

	if (code < 0)
		return code;
	is = vector.values;
	for (uint32_t k = 0; k < batch->selected; k++) {
		ret_rows[count] = rows != NULL ? rows[k] : k;
		count += is[k] & (vector.valid == NULL || vector.valid[k]);
	}
	*ret_count = count;
	return 0;
}

int dx_select_step(struct dx_select *select, uint32_t i, const struct dsmx_batch *batch,
                   uint32_t *ret_rows, uint32_t *ret_count, struct dsmx_error *err)
{
	const struct conjunct *conjunct = &select->conjuncts[i];

	if (!conjunct->is_range)
		return keep_true(conjunct->eval, batch, ret_rows, ret_count, err);
	if (conjunct->range.column >= batch->column_count)
		return dx_error(err, -EINVAL, "column %u of %u", conjunct->range.column,
		                batch->column_count);
	*ret_count = keep_range(conjunct, batch, ret_rows);
	return 0;
}

int dx_select_run(struct dx_select *select, const struct dsmx_batch *batch, uint32_t *ret_rows,
                  uint32_t *ret_count, struct dsmx_error *err)
{
	struct dsmx_batch left = *batch;
	uint32_t count = batch->selected;

	for (uint32_t i = 0; i < select->count; i++) {
		int code = dx_select_step(select, i, &left, ret_rows, &count, err);

		if (code < 0)
			return code;
		left.selection = ret_rows;
		left.selected = count;
	}
	*ret_count = count;
	return 0;
}
