/* SPDX-License-Identifier: MIT */
/*
 * filter.c - where the filter of a join's build keys can be used: the scan or exchange that its probe keys come from
 *
 * A row of that relation whose key has no match may go only if all that it would become on its way up to the join
 * goes with it, and nothing else. So the way is followed down through relations that hand a column on and look at
 * each row, or each group of this column, by itself.
 *
 *	relation	the column may come from
 *	filter, sort	its input
 *	project		the same column of its input, if it is no more than that
 *	aggregate	a key that is a column of its input: whole groups go
 *	join		its left input; its right one if it is an inner join: a left join would make a null of what is gone
 *	limit		nowhere: other rows would take the place of those that are gone
 *	scan, exchange	itself
 */
#include <errno.h>

#include "plan/tree.h"

bool dx_exchange_takes_filters(const struct dx_exchange *exchange)
{
	/* A frame of these is not one partition's. A merge is a root's. */
	return exchange->kind != DSMX_EXCHANGE_BROADCAST &&
	       exchange->kind != DSMX_EXCHANGE_ARBITRARY && exchange->kind != DSMX_EXCHANGE_MERGE;
}

static const struct dsmx_rel *below_join(const struct dsmx_rel *rel, uint32_t *column)
{
	uint32_t left = rel->inputs[0]->schema.field_count;

	if (*column < left)
		return rel->inputs[0];
	if (rel->join.kind != DSMX_JOIN_INNER)
		return NULL;
	*column -= left;
	return rel->inputs[1];
}

static const struct dsmx_rel *below_exprs(const struct dsmx_rel *rel,
                                          struct dsmx_expr *const *exprs, uint32_t count,
                                          uint32_t *column)
{
	if (*column >= count || exprs[*column]->kind != DX_EXPR_COLUMN)
		return NULL;
	*column = exprs[*column]->column;
	return rel->inputs[0];
}

const struct dsmx_rel *dx_rel_origin(const struct dsmx_rel *rel, uint32_t *column)
{
	while (rel != NULL) {
		switch (rel->kind) {
		case DX_REL_SCAN:
			return rel;
		case DX_REL_EXCHANGE:
			return dx_exchange_takes_filters(&rel->exchange) ? rel : NULL;
		case DX_REL_FILTER:
		case DX_REL_SORT:
			rel = rel->inputs[0];
			break;
		case DX_REL_PROJECT:
			rel = below_exprs(rel, rel->exprs, rel->schema.field_count, column);
			break;
		case DX_REL_AGGREGATE:
			rel = below_exprs(rel, rel->aggregate.keys, rel->aggregate.key_count,
			                  column);
			break;
		case DX_REL_JOIN:
			rel = below_join(rel, column);
			break;
		default:
			return NULL;
		}
	}
	return NULL;
}

bool dx_join_filter_target(const struct dsmx_rel *rel, struct dx_filter_target *ret_target)
{
	const struct dx_join *join = &rel->join;
	struct dx_filter_target t = { 0 };

	if (join->unfiltered || (join->kind != DSMX_JOIN_INNER && join->kind != DSMX_JOIN_SEMI))
		return false;
	for (uint32_t i = 0; i < join->key_count && t.key_count < DSMX_FILTER_KEYS_MAX; i++) {
		uint32_t column = join->left_keys[i];
		const struct dsmx_rel *origin = dx_rel_origin(rel->inputs[0], &column);

		if (origin == NULL || (t.rel != NULL && t.rel != origin))
			continue;
		t.rel = origin;
		t.keys[t.key_count] = i;
		t.columns[t.key_count++] = column;
	}
	if (t.rel != NULL)
		*ret_target = t;
	return t.rel != NULL;
}

/* --- on and off ---------------------------------------------------------------------------------------- */

struct dsmx_rel *dsmx_rel_join_filter(struct dsmx_plan *plan, struct dsmx_rel *join, bool on)
{
	const void *given = join;
	struct dsmx_rel *copy;

	if (!dx_plan_given(plan, "a join whose filter is switched", &given, 1))
		return NULL;
	if (join->kind != DX_REL_JOIN)
		return dx_plan_fail(plan, -EINVAL, "only a join has a filter of its build keys");
	copy = dx_rel_over(plan, join, join->inputs);
	if (copy != NULL)
		copy->join.unfiltered = !on;
	return copy;
}

static void set_filters(struct dsmx_rel *rel, bool on)
{
	if (rel->kind == DX_REL_JOIN)
		rel->join.unfiltered = !on;
	for (uint32_t i = 0; i < rel->input_count; i++)
		set_filters(rel->inputs[i], on);
}

int dsmx_plan_filters(struct dsmx_plan *plan, bool on)
{
	if (plan->root == NULL)
		return -EINVAL;
	set_filters(plan->root, on); /* the tree is the plan's own */
	return 0;
}
