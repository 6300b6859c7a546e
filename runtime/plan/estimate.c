/* SPDX-License-Identifier: MIT */
/*
 * estimate.c - how many rows a relation may have
 *
 * There are row counts of files and rules of thumb for conditions. A join is taken for one by foreign key: as
 * many rows as the larger side has, less what the conditions of the smaller one leave over.
 */
#include "plan/estimate.h"

#define ROWS_UNKNOWN 1e6

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
		e.rows *= selectivity(rel->scan.filter);
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
