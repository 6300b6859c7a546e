/* SPDX-License-Identifier: MIT */
/*
 * sql_clause.c - SELECT, GROUP BY, HAVING, ORDER BY, LIMIT: bound in this order
 *
 * GROUP BY and ORDER BY may mean a column of the result by its name or position. As in PostgreSQL a bare name
 * in ORDER BY is a result's first, in GROUP BY a table's first, and within an expression always a table's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sql_query.h"

/* --- SELECT list --------------------------------------------------------------------------------------- */

static void add_target(struct sql *sql, struct sql_query *query, struct sql_expr *expr,
                       const char *name)
{
	uint32_t count = query->targets.count;
	const char **names = arena_alloc(&sql->arena, (count + 1) * sizeof(char *));

	if (count == DSMX_PLAN_COLUMNS_MAX) {
		sql_fail(sql, -E2BIG, expr->location, "a result can have at most %d columns",
		         DSMX_PLAN_COLUMNS_MAX);
		return;
	}
	if (count > 0)
		memcpy(names, query->names, count * sizeof(char *));
	names[count] = arena_copy(&sql->arena, name, strlen(name));
	query->names = names;
	sql_push(sql, &query->targets, expr);
}

static void add_star(struct sql *sql, struct sql_query *query, const PgQuery__ColumnRef *ref)
{
	const char *table = ref->n_fields > 1 ? sql_string(ref->fields[0]) : NULL;
	bool found = false;

	for (uint32_t i = 0; i < sql->column_count && !sql_failed(sql); i++) {
		if (table != NULL && strcmp(sql->tables[sql->columns[i].table].name, table) != 0)
			continue;
		found = true;
		add_target(sql, query, sql_column(sql, i, ref->location), sql_field(sql, i)->name);
	}
	if (!found)
		sql_fail(sql, -ENOENT, ref->location, "there is no table \"%.60s\" in FROM",
		         table != NULL ? table : "*");
}

void sql_bind_targets(struct sql *sql, struct sql_query *query)
{
	const PgQuery__SelectStmt *select = query->select;

	sql->clause = "SELECT";
	sql->aggregates_allowed = true;
	for (size_t i = 0; i < select->n_target_list && !sql_failed(sql); i++) {
		const PgQuery__ResTarget *target = select->target_list[i]->res_target;
		const PgQuery__ColumnRef *ref =
			target->val->node_case == PG_QUERY__NODE__NODE_COLUMN_REF
				? target->val->column_ref
				: NULL;
		struct sql_expr *expr;

		if (ref != NULL &&
		    ref->fields[ref->n_fields - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR) {
			add_star(sql, query, ref);
			continue;
		}
		expr = sql_bind(sql, target->val);
		if (expr != NULL)
			add_target(sql, query, expr,
			           target->name[0] != '\0' ? target->name
			                                   : sql_result_name(target->val));
	}
	query->result_count = query->targets.count;
}

/* --- names and positions of results, in GROUP BY and ORDER BY ------------------------------------------ */

/* A plain integer constant is a position. Returns the target's index, -1: it is no position. */
static int position(struct sql *sql, const struct sql_query *query, const PgQuery__Node *node)
{
	int32_t at;

	if (node->node_case != PG_QUERY__NODE__NODE_A_CONST)
		return -1;
	if (node->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL) {
		sql_fail(sql, -EINVAL, node->a_const->location,
		         "%s takes columns, expressions or positions, not this constant",
		         sql->clause);
		return -1;
	}
	at = node->a_const->ival->ival;
	if (at < 1 || (uint32_t)at > query->result_count) {
		sql_fail(sql, -EINVAL, node->a_const->location,
		         "%s position %d is not in the SELECT list, which has %u columns",
		         sql->clause, at, query->result_count);
		return -1;
	}
	return at - 1;
}

/* A single name as one of the result's; -1: none, or two that differ (then it is an error). */
static int result_named(struct sql *sql, const struct sql_query *query, const PgQuery__Node *node)
{
	const char *name;
	int found = -1;

	if (node->node_case != PG_QUERY__NODE__NODE_COLUMN_REF || node->column_ref->n_fields != 1)
		return -1;
	name = sql_string(node->column_ref->fields[0]);
	for (uint32_t i = 0; i < query->result_count; i++) {
		if (strcmp(query->names[i], name) != 0)
			continue;
		if (found >= 0 && !sql_equal(query->targets.at[found], query->targets.at[i])) {
			sql_fail(sql, -EINVAL, node->column_ref->location,
			         "%s \"%.60s\" is ambiguous: two columns of the result have "
			         "that name",
			         sql->clause, name);
			return -1;
		}
		if (found < 0)
			found = (int)i;
	}
	return found;
}

/* Can the name be a column of FROM? Asked without making an error. */
static bool names_column(const struct sql *sql, const PgQuery__Node *node)
{
	const char *name;

	if (node->node_case != PG_QUERY__NODE__NODE_COLUMN_REF || node->column_ref->n_fields != 1)
		return true;
	name = sql_string(node->column_ref->fields[0]);
	for (uint32_t i = 0; i < sql->column_count; i++)
		if (strcmp(sql_field(sql, i)->name, name) == 0)
			return true;
	return false;
}

static bool has_aggregate(struct sql *sql, struct sql_expr *expr)
{
	struct sql_list found = { 0 };

	sql_collect_aggregates(sql, expr, &found);
	return found.count > 0;
}

void sql_bind_groups(struct sql *sql, struct sql_query *query)
{
	sql->clause = "GROUP BY";
	sql->aggregates_allowed = false;
	for (size_t i = 0; i < query->select->n_group_clause && !sql_failed(sql); i++) {
		const PgQuery__Node *node = query->select->group_clause[i];
		int at = position(sql, query, node);
		struct sql_expr *expr;

		if (node->node_case == PG_QUERY__NODE__NODE_GROUPING_SET) {
			sql_unsupported(sql, node->grouping_set->location,
			                "GROUPING SETS, ROLLUP or CUBE");
			return;
		}
		if (at < 0 && !names_column(sql, node))
			at = result_named(sql, query, node);
		expr = at >= 0 ? query->targets.at[at] : sql_bind(sql, node);
		if (expr == NULL)
			return;
		if (has_aggregate(sql, expr))
			sql_fail(sql, -EINVAL, sql_location(node),
			         "an aggregate function is not allowed in GROUP BY");
		if (expr->kind != SQL_LITERAL && sql_find(&query->groups, expr) < 0)
			sql_push(sql, &query->groups, expr);
	}
}

static uint32_t sort_column(struct sql *sql, struct sql_query *query, const PgQuery__Node *node)
{
	int at = position(sql, query, node);
	struct sql_expr *expr;

	if (at < 0)
		at = result_named(sql, query, node);
	if (at >= 0 || sql_failed(sql))
		return (uint32_t)at;
	expr = sql_bind(sql, node);
	if (expr == NULL)
		return 0;
	at = sql_find(&query->targets, expr);
	if (at >= 0)
		return (uint32_t)at;
	if (query->select->n_distinct_clause > 0)
		sql_fail(sql, -EINVAL, sql_location(node),
		         "with SELECT DISTINCT, what ORDER BY names must be in the SELECT list");
	add_target(sql, query, expr, "");
	return query->targets.count - 1;
}

void sql_bind_sort(struct sql *sql, struct sql_query *query)
{
	size_t count = query->select->n_sort_clause;

	sql->clause = "ORDER BY";
	sql->aggregates_allowed = true;
	query->sort = arena_alloc(&sql->arena, count * sizeof(*query->sort));
	for (size_t i = 0; i < count && !sql_failed(sql); i++) {
		const PgQuery__SortBy *by = query->select->sort_clause[i]->sort_by;
		struct dsmx_sort_key *key = &query->sort[query->sort_count++];

		if (by->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_USING) {
			sql_unsupported(sql, by->location, "ORDER BY ... USING");
			return;
		}
		key->descending = by->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
		key->nulls_first = key->descending;
		if (by->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST)
			key->nulls_first = true;
		if (by->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_LAST)
			key->nulls_first = false;
		key->column = sort_column(sql, query, by->node);
	}
}

static uint64_t row_count(struct sql *sql, const PgQuery__Node *node, const char *clause,
                          uint64_t otherwise)
{
	static const struct dsmx_type int64 = { .id = DSMX_INT64 };
	struct sql_expr *expr;

	sql->clause = clause;
	sql->aggregates_allowed = false;
	if (node == NULL)
		return otherwise;
	expr = sql_bind(sql, node);
	if (expr != NULL && expr->kind == SQL_LITERAL && expr->text == NULL)
		return otherwise;
	if (expr != NULL && expr->kind == SQL_LITERAL)
		expr = sql_retype(sql, expr, int64);
	if (!sql_failed(sql) &&
	    (expr == NULL || expr->kind != SQL_LITERAL || expr->text[0] == '-' ||
	     strspn(expr->text, "0123456789") != strlen(expr->text)))
		sql_fail(sql, -EINVAL, sql_location(node),
		         "%s must be a constant number of rows, 0 or more", clause);
	return sql_failed(sql) ? 0 : strtoull(expr->text, NULL, 10);
}

void sql_bind_having(struct sql *sql, struct sql_query *query)
{
	sql->clause = "HAVING";
	sql->aggregates_allowed = true;
	if (query->select->having_clause != NULL)
		query->having = sql_bind(sql, query->select->having_clause);
}

void sql_bind_limits(struct sql *sql, struct sql_query *query)
{
	query->count = row_count(sql, query->select->limit_count, "LIMIT", UINT64_MAX);
	query->offset = row_count(sql, query->select->limit_offset, "OFFSET", 0);
}
