/* SPDX-License-Identifier: MIT */
/*
 * join.c - make joins, and JoinScan
 */
#include <string.h>

#include "base/err.h"
#include "plan/tree.h"

static bool keys_fit(struct dsmx_plan *plan, const struct dsmx_rel *left,
                     const struct dsmx_rel *right, const uint32_t *left_keys,
                     const uint32_t *right_keys, uint32_t key_count)
{
	char a[24], b[24];

	if (key_count == 0)
		(void)dx_plan_fail(
			plan, -EOPNOTSUPP,
			"a join without keys: dsmx has hash joins only, so some column of "
			"each side must be equal");
	for (uint32_t i = 0; i < key_count && !dx_plan_failed(plan); i++) {
		const struct dsmx_field *l, *r;

		if (left_keys[i] >= left->schema.field_count ||
		    right_keys[i] >= right->schema.field_count) {
			(void)dx_plan_fail(
				plan, -EINVAL,
				"join key %u: there is no column %u, %u: there are %u, %u", i,
				left_keys[i], right_keys[i], left->schema.field_count,
				right->schema.field_count);
			break;
		}
		l = &left->schema.fields[left_keys[i]];
		r = &right->schema.fields[right_keys[i]];
		if (!dsmx_type_equal(l->type, r->type))
			(void)dx_plan_fail(plan, -EINVAL,
			                   "join key %u: %s is %s and %s is %s; cast one of them",
			                   i, l->name, dsmx_type_format(l->type, a, sizeof(a)),
			                   r->name, dsmx_type_format(r->type, b, sizeof(b)));
	}
	return !dx_plan_failed(plan);
}

/* The columns that a condition sees: left, then right, as they come in. */
static bool pair_schema(struct dsmx_plan *plan, const struct dsmx_rel *left,
                        const struct dsmx_rel *right, struct dsmx_schema *ret_pair)
{
	uint32_t l = left->schema.field_count, r = right->schema.field_count;
	struct dsmx_field *fields = dx_plan_alloc(plan, (size_t)l + r, sizeof(fields[0]));

	if (fields == NULL)
		return false;
	memcpy(fields, left->schema.fields, l * sizeof(fields[0]));
	memcpy(fields + l, right->schema.fields, r * sizeof(fields[0]));
	*ret_pair = (struct dsmx_schema){ .field_count = l + r, .fields = fields };
	return true;
}

struct dsmx_rel *dsmx_rel_join(struct dsmx_plan *plan, enum dsmx_join_kind kind,
                               struct dsmx_rel *left, struct dsmx_rel *right,
                               const uint32_t *left_keys, const uint32_t *right_keys,
                               uint32_t key_count, struct dsmx_expr *condition)
{
	struct dsmx_rel *inputs[] = { left, right }, *rel;
	struct dsmx_schema pair;
	bool left_only = kind == DSMX_JOIN_SEMI || kind == DSMX_JOIN_ANTI;

	if (!dx_plan_given(plan, "an input of a join", (const void *const *)inputs, 2))
		return NULL;
	if ((unsigned)kind > DSMX_JOIN_ANTI)
		return dx_plan_fail(plan, -EINVAL, "there is no join kind %d", (int)kind);
	if (!keys_fit(plan, left, right, left_keys, right_keys, key_count) ||
	    !pair_schema(plan, left, right, &pair))
		return NULL;
	if (condition != NULL && condition->type.id != DSMX_BOOL)
		return dx_plan_fail(plan, -EINVAL, "the condition of a join is no bool");
	if (condition != NULL && !dx_expr_fits(plan, "the condition of a join", condition, &pair))
		return NULL;
	rel = dx_rel_new(plan, DX_REL_JOIN, inputs, 2,
	                 left_only ? left->schema.field_count : pair.field_count);
	if (rel == NULL)
		return NULL;
	for (uint32_t i = 0; i < rel->schema.field_count; i++) {
		struct dsmx_field field = pair.fields[i];

		if (kind == DSMX_JOIN_LEFT && i >= left->schema.field_count)
			field.nullable = true;
		dx_rel_set_field(rel, i, field);
	}
	rel->join =
		(struct dx_join){ .kind = kind, .key_count = key_count, .condition = condition };
	rel->join.left_keys = dx_plan_copy(plan, left_keys, key_count, sizeof(uint32_t));
	rel->join.right_keys = dx_plan_copy(plan, right_keys, key_count, sizeof(uint32_t));
	return dx_plan_failed(plan) ? NULL : dx_rel_seal(plan, rel);
}

static struct dsmx_rel *side_exchange(struct dsmx_plan *plan, const struct dsmx_joinscan_side *side)
{
	bool hash = !side->broadcast;

	return dsmx_rel_exchange(plan, hash ? DSMX_EXCHANGE_HASH : DSMX_EXCHANGE_BROADCAST,
	                         side->rel, hash ? side->keys : NULL, hash ? side->key_count : 0, 0,
	                         NULL);
}

struct dsmx_rel *dsmx_rel_joinscan(struct dsmx_plan *plan, enum dsmx_join_kind kind,
                                   const struct dsmx_joinscan_side *left,
                                   const struct dsmx_joinscan_side *right)
{
	const void *given[] = { left, right };
	struct dsmx_rel *l, *r, *join;

	if (!dx_plan_given(plan, "a side of a JoinScan", given, 2))
		return NULL;
	if (left->broadcast)
		return dx_plan_fail(plan, -EINVAL,
		                    "JoinScan: only the right side can be broadcast; change sides");
	if (left->key_count != right->key_count)
		return dx_plan_fail(plan, -EINVAL, "JoinScan: %u keys left, %u right",
		                    left->key_count, right->key_count);
	l = right->broadcast ? left->rel : side_exchange(plan, left);
	r = side_exchange(plan, right);
	join = dsmx_rel_join(plan, kind, l, r, left->keys, right->keys, left->key_count, NULL);
	if (join != NULL)
		join->join.joinscan = true;
	return join;
}
