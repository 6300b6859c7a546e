/* SPDX-License-Identifier: MIT */
/*
 * estimate.c - how many rows a relation may have
 *
 * There are row counts of files, the least and greatest values of their columns, and rules of thumb for all
 * other conditions. A join is taken for one by foreign key: as many rows as the larger side has, less what the
 * conditions of the smaller one leave over.
 */
#include "plan/estimate.h"

#include "batch/ipc.h"
#include "plan/functions.h"
#include "plan/tree.h"

#define ROWS_UNKNOWN 1e6

/* Record batches that are looked at for a column's range: spread over the file, the last among them. */
#define RANGE_SAMPLES 32U

/* Columns of which the conditions are put together; those of further ones count as independent. */
#define INTERVALS_MAX 16

/* --- what a file says ---------------------------------------------------------------------------------- */

static struct dx_column_range range_of(struct dsmx_ipc_file *file, uint32_t column,
                                       uint32_t batches)
{
	uint32_t samples = batches < RANGE_SAMPLES ? batches : RANGE_SAMPLES;
	struct dx_column_range range = { .known = samples > 0,
		                         .least = INT64_MAX,
		                         .greatest = INT64_MIN };

	for (uint32_t i = 0; i < samples; i++) {
		uint32_t batch = (uint32_t)((uint64_t)(i + 1) * batches / samples) - 1;
		int64_t least, greatest;

		if (!dx_ipc_range(file, batch, column, &least, &greatest))
			return (struct dx_column_range){ .known = false };
		range.least = least < range.least ? least : range.least;
		range.greatest = greatest > range.greatest ? greatest : range.greatest;
	}
	return range;
}

void dx_scan_look(struct dsmx_plan *plan, struct dsmx_rel *scan, struct dsmx_ipc_file *file)
{
	const struct dsmx_schema *schema = dsmx_ipc_schema(file);
	uint32_t count = scan->scan.file_schema.field_count;
	struct dx_column_range *ranges;

	scan->scan.rows = dsmx_ipc_rows(file);
	scan->scan.batches = dsmx_ipc_batch_count(file);
	if (schema->field_count != count)
		return;
	ranges = dx_plan_alloc(plan, count, sizeof(ranges[0]));
	for (uint32_t i = 0; ranges != NULL && i < count; i++)
		ranges[i] = range_of(file, i, scan->scan.batches);
	scan->scan.ranges = ranges;
}

/* --- conditions ---------------------------------------------------------------------------------------- */

static double min2(double a, double b)
{
	return a < b ? a : b;
}

static double max2(double a, double b)
{
	return a > b ? a : b;
}

/* The part of the rows for which @expr is true. */
static double selectivity(const struct dsmx_expr *expr)
{
	double part = 1;

	if (expr == NULL)
		return 1;
	if (expr->kind == DX_EXPR_IN)
		return min2(0.5, 0.1 * (expr->arg_count - 1));
	if (expr->kind != DX_EXPR_CALL)
		return 0.5;
	switch (expr->function) {
	case DSMX_FN_AND:
		for (uint32_t i = 0; i < expr->arg_count; i++)
			part *= selectivity(expr->args[i]);
		return part;
	case DSMX_FN_OR:
		part = 0;
		for (uint32_t i = 0; i < expr->arg_count; i++)
			part += selectivity(expr->args[i]);
		return min2(1, part);
	case DSMX_FN_NOT:
		return 1 - selectivity(expr->args[0]);
	case DSMX_FN_EQUAL:
	case DSMX_FN_LIKE:
	case DSMX_FN_IS_NULL:
		return 0.1;
	case DSMX_FN_LT:
	case DSMX_FN_LTE:
	case DSMX_FN_GT:
	case DSMX_FN_GTE:
		return 1.0 / 3;
	case DSMX_FN_NOT_EQUAL:
	case DSMX_FN_IS_NOT_NULL:
		return 0.9;
	default:
		return 0.5;
	}
}

/* What several conditions leave of a column's range, both ends included. */
struct interval {
	uint32_t column;
	double low, high;
	double all; /* values in the whole range */
};

static bool number_of(const struct dsmx_expr *literal, int scale, double *ret_value)
{
	struct dsmx_type type = literal->type;

	if (literal->kind != DX_EXPR_LITERAL || literal->is_null)
		return false;
	if (type.id == DSMX_DECIMAL) {
		*ret_value = (double)literal->value.d;
		for (int i = type.scale; i < scale; i++)
			*ret_value *= 10;
		for (int i = scale; i < type.scale; i++)
			*ret_value /= 10;
		return true;
	}
	*ret_value = type.id >= DSMX_UINT8 && type.id <= DSMX_UINT64 ? (double)literal->value.u
	                                                             : (double)literal->value.i;
	return (type.id >= DSMX_INT8 && type.id <= DSMX_UINT64) ||
	       (type.id >= DSMX_DATE32 && type.id <= DSMX_TIMESTAMP_TZ);
}

static void cut(struct interval *interval, enum dsmx_function function, double value)
{
	if (function == DSMX_FN_EQUAL || function == DSMX_FN_GTE)
		interval->low = max2(interval->low, value);
	if (function == DSMX_FN_GT)
		interval->low = max2(interval->low, value + 1);
	if (function == DSMX_FN_EQUAL || function == DSMX_FN_LTE)
		interval->high = min2(interval->high, value);
	if (function == DSMX_FN_LT)
		interval->high = min2(interval->high, value - 1);
}

/* The interval of @column among @count, a new one if there is room; NULL: there is none. */
static struct interval *interval_of(const struct dx_scan *scan, uint32_t column,
                                    struct interval *intervals, uint32_t *count)
{
	const struct dx_column_range *range = &scan->ranges[scan->columns[column]];

	for (uint32_t i = 0; i < *count; i++) {
		if (intervals[i].column == column)
			return &intervals[i];
	}
	if (!range->known || *count == INTERVALS_MAX)
		return NULL;
	intervals[*count] = (struct interval){ .column = column,
		                               .low = (double)range->least,
		                               .high = (double)range->greatest };
	intervals[*count].all = intervals[*count].high - intervals[*count].low + 1;
	return &intervals[(*count)++];
}

/* A comparison of a column with a number narrows that column's interval; false: it is something else. */
static bool narrow(const struct dsmx_rel *scan, const struct dsmx_expr *expr,
                   struct interval *intervals, uint32_t *count)
{
	const struct dsmx_expr *column, *literal;
	enum dsmx_function function;
	struct interval *interval;
	double value;

	if (expr->kind != DX_EXPR_CALL || expr->arg_count != 2)
		return false;
	function = expr->function;
	if (function != DSMX_FN_EQUAL && dx_function_mirrored(function) == function)
		return false;
	column = expr->args[0];
	literal = expr->args[1];
	if (column->kind != DX_EXPR_COLUMN) {
		column = expr->args[1];
		literal = expr->args[0];
		function = dx_function_mirrored(function);
	}
	if (column->kind != DX_EXPR_COLUMN || !number_of(literal, column->type.scale, &value))
		return false;
	interval = interval_of(&scan->scan, column->column, intervals, count);
	if (interval == NULL)
		return false;
	cut(interval, function, value);
	return true;
}

/* The part of a scan's rows that its filter leaves: conditions on one column are taken together. */
static double scan_selectivity(const struct dsmx_rel *scan)
{
	const struct dsmx_expr *filter = scan->scan.filter;
	struct interval intervals[INTERVALS_MAX];
	uint32_t count = 0, parts;
	double part = 1;
	bool is_and;

	if (filter == NULL || scan->scan.ranges == NULL)
		return selectivity(filter);
	is_and = filter->kind == DX_EXPR_CALL && filter->function == DSMX_FN_AND;
	parts = is_and ? filter->arg_count : 1;
	for (uint32_t i = 0; i < parts; i++) {
		const struct dsmx_expr *condition = is_and ? filter->args[i] : filter;

		if (!narrow(scan, condition, intervals, &count))
			part *= selectivity(condition);
	}
	for (uint32_t i = 0; i < count; i++)
		part *= max2(0, intervals[i].high - intervals[i].low + 1) / intervals[i].all;
	return part;
}

/* --- relations ----------------------------------------------------------------------------------------- */

static struct dx_estimate of_join(const struct dsmx_rel *rel)
{
	struct dx_estimate l = dx_estimate(rel->inputs[0]), r = dx_estimate(rel->inputs[1]);
	struct dx_estimate all = { .base = max2(l.base, r.base) };

	if (rel->join.kind == DSMX_JOIN_LEFT)
		return l;
	if (rel->join.kind == DSMX_JOIN_INNER) {
		all.rows = max2(l.rows * r.rows / r.base, r.rows * l.rows / l.base);
		all.rows *= selectivity(rel->join.condition);
		return all;
	}
	l.rows *= 0.5;
	return l;
}

static struct dx_estimate of_aggregate(const struct dsmx_rel *rel, struct dx_estimate input)
{
	if (rel->aggregate.key_count == 0)
		return (struct dx_estimate){ 1, 1 };
	if (rel->aggregate.phase == DX_PHASE_FINAL)
		return input;
	return (struct dx_estimate){ max2(1, input.rows * 0.1), max2(1, input.base * 0.1) };
}

struct dx_estimate dx_estimate(const struct dsmx_rel *rel)
{
	struct dx_estimate e = { ROWS_UNKNOWN, ROWS_UNKNOWN };

	if (rel->kind == DX_REL_JOIN)
		return of_join(rel);
	if (rel->kind != DX_REL_SCAN && rel->input_count > 0)
		e = dx_estimate(rel->inputs[0]);
	switch (rel->kind) {
	case DX_REL_SCAN:
		if (rel->scan.batches > 0)
			e.rows = e.base = max2(1, (double)rel->scan.rows);
		e.rows *= scan_selectivity(rel);
		break;
	case DX_REL_FILTER:
		e.rows *= selectivity(rel->condition);
		break;
	case DX_REL_AGGREGATE:
		e = of_aggregate(rel, e);
		break;
	case DX_REL_LIMIT:
		e.rows = min2(e.rows, (double)rel->limit.count);
		e.base = max2(1, e.rows);
		break;
	default:
		break;
	}
	return e;
}
