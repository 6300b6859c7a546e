/* SPDX-License-Identifier: MIT */
/*
 * sql_plan.c - the join tree as relations
 *
 * A scan reads the columns that the statement uses anywhere. Which of them have to travel how far up is left
 * to the plan: dsmx_plan_distribute() narrows what joins and exchanges carry.
 */
#include <errno.h>
#include <string.h>

#include "sql_tree.h"

struct sql_scope sql_project(struct sql *sql, const struct sql_scope *scope,
                             const struct sql_list *exprs)
{
	struct sql_scope made = { .columns = *exprs };
	bool same = scope->columns.count == exprs->count;
	struct dsmx_expr **columns;

	for (uint32_t i = 0; same && i < exprs->count; i++)
		same = scope->columns.at[i] != NULL &&
		       sql_equal(scope->columns.at[i], exprs->at[i]);
	if (same || sql_failed(sql))
		return *scope;
	columns = arena_alloc(&sql->arena, exprs->count * sizeof(struct dsmx_expr *));
	for (uint32_t i = 0; i < exprs->count; i++)
		columns[i] = sql_emit(sql, scope, exprs->at[i]);
	if (sql_failed(sql))
		return made;
	made.rel = sql_built(
		sql, dsmx_rel_project(sql->plan, scope->rel, columns, NULL, exprs->count), -1);
	return made;
}

static void filter(struct sql *sql, struct sql_scope *scope, const struct sql_list *conditions)
{
	struct dsmx_expr *condition;

	if (conditions->count == 0 || sql_failed(sql))
		return;
	condition = sql_emit_condition(sql, scope, conditions, "WHERE");
	if (condition != NULL)
		scope->rel = sql_built(sql, dsmx_rel_filter(sql->plan, scope->rel, condition), -1);
}

/* --- scans --------------------------------------------------------------------------------------------- */

/* The field that costs least to read, for a scan of which no column is needed. */
static uint32_t narrowest(const struct dsmx_schema *schema)
{
	uint32_t best = 0;
	size_t least = SIZE_MAX;

	for (uint32_t i = 0; i < schema->field_count; i++) {
		struct dsmx_type type = schema->fields[i].type;
		size_t width = dsmx_type_is_text(type) ? 64 : dsmx_type_width(type);

		if (width < least) {
			best = i;
			least = width;
		}
	}
	return best;
}

static struct sql_scope build_scan(struct sql *sql, const struct sql_join *join)
{
	const struct sql_table *table = &sql->tables[join->table];
	uint32_t *fields = arena_alloc(&sql->arena, table->schema->field_count * sizeof(uint32_t));
	struct sql_scope scope = { 0 };

	for (uint32_t i = 0; i < table->schema->field_count; i++)
		if (sql->used[table->first_column + i]) {
			fields[scope.columns.count] = i;
			sql_push(sql, &scope.columns, sql_column(sql, table->first_column + i, -1));
		}
	if (scope.columns.count == 0) {
		fields[0] = narrowest(table->schema);
		sql_push(sql, &scope.columns, sql_column(sql, table->first_column + fields[0], -1));
	}
	scope.rel = sql_built(
		sql, dsmx_rel_scan(sql->plan, table->path, fields, scope.columns.count), -1);
	filter(sql, &scope, &join->conditions);
	return scope;
}

/* --- joins --------------------------------------------------------------------------------------------- */

/* The scope with @keys among its columns; computed ones are added by a project. */
static struct sql_scope with_keys(struct sql *sql, const struct sql_scope *scope,
                                  const struct sql_list *keys)
{
	struct sql_list columns = { 0 };

	for (uint32_t i = 0; i < scope->columns.count; i++)
		sql_push(sql, &columns, scope->columns.at[i]);
	for (uint32_t i = 0; i < keys->count; i++)
		if (sql_find(&columns, keys->at[i]) < 0)
			sql_push(sql, &columns, keys->at[i]);
	return sql_project(sql, scope, &columns);
}

/* Keys of a pair have one type: where they have not, one or both are cast. */
static void unify_keys(struct sql *sql, const struct sql_scope *left, const struct sql_scope *right,
                       struct sql_list *left_keys, struct sql_list *right_keys)
{
	for (uint32_t i = 0; i < left_keys->count && !sql_failed(sql); i++) {
		struct sql_expr *a = left_keys->at[i], *b = right_keys->at[i];
		struct dsmx_type type_a = dsmx_expr_type(sql_emit(sql, left, a));
		struct dsmx_type type_b = dsmx_expr_type(sql_emit(sql, right, b)), common;
		char name_a[24], name_b[24];

		if (sql_failed(sql) || dsmx_type_equal(type_a, type_b))
			continue;
		if (!sql_common_type(type_a, type_b, &common)) {
			sql_fail(sql, -EINVAL, b->location,
			         "%s and %s cannot be compared; add a cast",
			         dsmx_type_format(type_a, name_a, sizeof(name_a)),
			         dsmx_type_format(type_b, name_b, sizeof(name_b)));
			return;
		}
		if (!dsmx_type_equal(type_a, common))
			left_keys->at[i] = sql_cast(sql, a, common, a->location);
		if (!dsmx_type_equal(type_b, common))
			right_keys->at[i] = sql_cast(sql, b, common, b->location);
	}
}

static uint32_t *key_columns(struct sql *sql, const struct sql_scope *scope,
                             const struct sql_list *keys)
{
	uint32_t *columns = arena_alloc(&sql->arena, keys->count * sizeof(uint32_t));

	for (uint32_t i = 0; i < keys->count; i++)
		columns[i] = (uint32_t)sql_find(&scope->columns, keys->at[i]);
	return columns;
}

/*
 * The join itself. A broadcast without a further condition is a JoinScan; with one, the same is made of its
 * parts, because the condition has to be tested for each pair.
 */
static struct dsmx_rel *make_join(struct sql *sql, const struct sql_join *join,
                                  const struct sql_scope *left, const struct sql_scope *right,
                                  const uint32_t *left_keys, const uint32_t *right_keys,
                                  uint32_t key_count)
{
	struct sql_scope pair = { .rel = left->rel, .pair = right->rel };
	struct dsmx_expr *condition = NULL;
	struct dsmx_rel *build = right->rel;

	if (join->broadcast && join->conditions.count == 0) {
		const struct dsmx_joinscan_side sides[2] = {
			{ .rel = left->rel, .keys = left_keys, .key_count = key_count },
			{ .rel = right->rel,
			  .keys = right_keys,
			  .key_count = key_count,
			  .broadcast = true },
		};

		return dsmx_rel_joinscan(sql->plan, join->kind, &sides[0], &sides[1]);
	}
	if (join->broadcast)
		build = dsmx_rel_exchange(sql->plan, DSMX_EXCHANGE_BROADCAST, build, NULL, 0, 0,
		                          NULL);
	if (join->conditions.count > 0) {
		pair.pair = sql_built(sql, build, -1);
		for (uint32_t i = 0; i < left->columns.count; i++)
			sql_push(sql, &pair.columns, left->columns.at[i]);
		for (uint32_t i = 0; i < right->columns.count; i++)
			sql_push(sql, &pair.columns, right->columns.at[i]);
		condition = sql_emit_condition(sql, &pair, &join->conditions, "JOIN conditions");
		if (condition == NULL)
			return NULL;
	}
	return dsmx_rel_join(sql->plan, join->kind, left->rel, build, left_keys, right_keys,
	                     key_count, condition);
}

static struct sql_scope build_join(struct sql *sql, const struct sql_join *join)
{
	struct sql_list keys[2] = { 0 };
	struct sql_scope left, right, made = { 0 };

	left = sql_build(sql, join->left);
	right = sql_build(sql, join->right);
	for (uint32_t i = 0; i < join->keys.count; i++)
		sql_push(sql, &keys[i % 2], join->keys.at[i]);
	if (join->keys.count == 0) {
		/* No key: every row of one side meets every row of the other. */
		struct sql_expr *one =
			sql_literal(sql, (struct dsmx_type){ .id = DSMX_INT32 }, "1", -1);

		sql_push(sql, &keys[0], one);
		sql_push(sql, &keys[1], one);
	}
	unify_keys(sql, &left, &right, &keys[0], &keys[1]);
	if (sql_failed(sql))
		return made;
	left = with_keys(sql, &left, &keys[0]);
	right = with_keys(sql, &right, &keys[1]);
	if (sql_failed(sql))
		return made;
	for (uint32_t i = 0; i < left.columns.count; i++)
		sql_push(sql, &made.columns, left.columns.at[i]);
	for (uint32_t i = 0; i < right.columns.count; i++)
		sql_push(sql, &made.columns, right.columns.at[i]);
	made.rel = sql_built(sql,
	                     make_join(sql, join, &left, &right, key_columns(sql, &left, &keys[0]),
	                               key_columns(sql, &right, &keys[1]), keys[0].count),
	                     keys[0].at[0]->location);
	filter(sql, &made, &join->filters);
	return made;
}

struct sql_scope sql_build(struct sql *sql, const struct sql_join *join)
{
	struct sql_scope none = { 0 };

	if (sql_failed(sql))
		return none;
	return join->left == NULL ? build_scan(sql, join) : build_join(sql, join);
}
