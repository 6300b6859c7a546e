/* SPDX-License-Identifier: MIT */
/*
 * sql_query.c - a SELECT as a plan
 *
 *	FROM, WHERE -> joins -> GROUP BY: aggregate -> HAVING: filter -> SELECT: project
 *	-> DISTINCT: aggregate -> ORDER BY: sort -> LIMIT, OFFSET: limit -> drop what only the sort needed
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sql_parse.h"
#include "sql_tree.h"

struct query {
	const PgQuery__SelectStmt *select;
	struct sql_list targets; /* the result's columns, then what only ORDER BY needs */
	const char **names;      /* of the result's columns */
	uint32_t result_count;
	struct sql_list groups;
	struct sql_expr *having;
	struct sql_list aggregates;
	uint32_t sort_count;
	struct dsmx_sort_key *sort;
	uint64_t offset, count;
};

/* --- SELECT list --------------------------------------------------------------------------------------- */

static void add_target(struct sql *sql, struct query *query, struct sql_expr *expr,
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

static void add_star(struct sql *sql, struct query *query, const PgQuery__ColumnRef *ref)
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

static void bind_targets(struct sql *sql, struct query *query)
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
static int position(struct sql *sql, const struct query *query, const PgQuery__Node *node)
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
static int result_named(struct sql *sql, const struct query *query, const PgQuery__Node *node)
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

static void bind_groups(struct sql *sql, struct query *query)
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

static uint32_t sort_column(struct sql *sql, struct query *query, const PgQuery__Node *node)
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

static void bind_sort(struct sql *sql, struct query *query)
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

/* --- from clauses to relations --------------------------------------------------------------------------- */

static void refuse(struct sql *sql, const PgQuery__SelectStmt *select)
{
	if (select->op != PG_QUERY__SET_OPERATION__SETOP_NONE)
		sql_unsupported(sql, -1, "UNION, INTERSECT or EXCEPT");
	else if (select->n_values_lists > 0)
		sql_unsupported(sql, -1, "VALUES");
	else if (select->with_clause != NULL)
		sql_unsupported(sql, select->with_clause->location, "WITH");
	else if (select->into_clause != NULL)
		sql_unsupported(sql, -1, "SELECT INTO");
	else if (select->n_window_clause > 0)
		sql_unsupported(sql, -1, "WINDOW");
	else if (select->n_locking_clause > 0)
		sql_unsupported(sql, -1, "FOR UPDATE");
	else if (select->n_from_clause == 0)
		sql_unsupported(sql, -1, "a SELECT without FROM");
	else if (select->n_target_list == 0)
		sql_unsupported(sql, -1, "a SELECT without columns");
	else if (select->limit_option == PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_WITH_TIES)
		sql_unsupported(sql, -1, "FETCH FIRST ... WITH TIES");
	else if (select->n_distinct_clause > 0 &&
	         select->distinct_clause[0]->node_case != PG_QUERY__NODE__NODE__NOT_SET)
		sql_unsupported(sql, sql_location(select->distinct_clause[0]), "DISTINCT ON");
}

static bool check_measure(struct sql *sql, const struct sql_expr *aggregate,
                          const struct dsmx_expr *arg)
{
	struct dsmx_type type = dsmx_expr_type(arg);
	bool number = (type.id >= DSMX_INT8 && type.id <= DSMX_DECIMAL);
	char name[24];

	if (number ||
	    (aggregate->aggregate != DSMX_AGG_SUM && aggregate->aggregate != DSMX_AGG_AVG))
		return true;
	sql_fail(sql, -EINVAL, aggregate->location, "%s of %s does not exist",
	         aggregate->aggregate == DSMX_AGG_SUM ? "sum" : "avg",
	         dsmx_type_format(type, name, sizeof(name)));
	return false;
}

/* GROUP BY, or aggregates without one: the columns are the keys, then the aggregates. */
static void build_groups(struct sql *sql, struct query *query, struct sql_scope *scope)
{
	uint32_t keys = query->groups.count, count = query->aggregates.count;
	struct dsmx_expr **key = arena_alloc(&sql->arena, keys * sizeof(*key));
	struct dsmx_measure *measures = arena_alloc(&sql->arena, count * sizeof(*measures));
	struct sql_scope made = { .grouped = true };

	for (uint32_t i = 0; i < keys; i++) {
		key[i] = sql_emit(sql, scope, query->groups.at[i]);
		sql_push(sql, &made.columns, query->groups.at[i]);
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct sql_expr *aggregate = query->aggregates.at[i];

		measures[i].function = aggregate->aggregate;
		if (aggregate->arg_count > 0) {
			measures[i].arg = sql_emit(sql, scope, aggregate->args[0]);
			if (measures[i].arg == NULL ||
			    !check_measure(sql, aggregate, measures[i].arg))
				return;
		}
		sql_push(sql, &made.columns, query->aggregates.at[i]);
	}
	if (sql_failed(sql))
		return;
	made.rel = sql_built(
		sql, dsmx_rel_aggregate(sql->plan, scope->rel, key, keys, measures, count), -1);
	*scope = made;
}

static void build_having(struct sql *sql, const struct query *query, struct sql_scope *scope)
{
	struct sql_list conditions = { 0 };
	struct dsmx_expr *condition;

	if (query->having == NULL || sql_failed(sql))
		return;
	sql_push(sql, &conditions, query->having);
	condition = sql_emit_condition(sql, scope, &conditions, "HAVING");
	if (condition != NULL)
		scope->rel = sql_built(sql, dsmx_rel_filter(sql->plan, scope->rel, condition), -1);
}

/* DISTINCT is a GROUP BY over all columns, without measures. */
static void build_distinct(struct sql *sql, struct sql_scope *scope)
{
	uint32_t count = scope->columns.count;
	struct dsmx_expr **keys = arena_alloc(&sql->arena, count * sizeof(*keys));

	for (uint32_t i = 0; i < count; i++)
		keys[i] = dsmx_expr_column(sql->plan, scope->rel, i);
	scope->rel =
		sql_built(sql, dsmx_rel_aggregate(sql->plan, scope->rel, keys, count, NULL, 0), -1);
}

static void build_result(struct sql *sql, const struct query *query, struct sql_scope *scope)
{
	struct sql_list results = query->targets;

	*scope = sql_project(sql, scope, &query->targets);
	if (query->select->n_distinct_clause > 0 && !sql_failed(sql))
		build_distinct(sql, scope);
	if (query->sort_count > 0 && !sql_failed(sql))
		scope->rel = sql_built(
			sql, dsmx_rel_sort(sql->plan, scope->rel, query->sort, query->sort_count),
			-1);
	if ((query->offset > 0 || query->count != UINT64_MAX) && !sql_failed(sql))
		scope->rel = sql_built(
			sql, dsmx_rel_limit(sql->plan, scope->rel, query->offset, query->count),
			-1);
	results.count = query->result_count;
	*scope = sql_project(sql, scope, &results);
}

void sql_select(struct sql *sql, const PgQuery__SelectStmt *select)
{
	struct query query = { .select = select };
	struct sql_list where = { 0 };
	struct sql_item *from;
	struct sql_scope scope;
	struct dsmx_error err = { 0 };

	refuse(sql, select);
	if (sql_failed(sql))
		return;
	from = sql_from(sql, select->from_clause, select->n_from_clause);
	bind_targets(sql, &query);
	bind_groups(sql, &query);
	sql->clause = "WHERE";
	if (select->where_clause != NULL && !sql_failed(sql)) {
		struct sql_expr *condition = sql_bind(sql, select->where_clause);

		if (condition != NULL)
			sql_conjuncts(sql, condition, &where);
	}
	sql->clause = "HAVING";
	sql->aggregates_allowed = true;
	if (select->having_clause != NULL)
		query.having = sql_bind(sql, select->having_clause);
	bind_sort(sql, &query);
	query.count = row_count(sql, select->limit_count, "LIMIT", UINT64_MAX);
	query.offset = row_count(sql, select->limit_offset, "OFFSET", 0);
	for (uint32_t i = 0; i < query.targets.count; i++)
		sql_collect_aggregates(sql, query.targets.at[i], &query.aggregates);
	sql_collect_aggregates(sql, query.having, &query.aggregates);
	if (sql_failed(sql))
		return;
	sql_distribute(sql, from, &where);
	scope = sql_build(sql, sql_order_joins(sql, from));
	if (!sql_failed(sql) &&
	    (query.groups.count + query.aggregates.count > 0 || query.having != NULL))
		build_groups(sql, &query, &scope);
	build_having(sql, &query, &scope);
	if (!sql_failed(sql))
		build_result(sql, &query, &scope);
	if (!sql_failed(sql) && dsmx_plan_finish(sql->plan, scope.rel, query.names, &err) < 0)
		sql_fail(sql, err.code != 0 ? err.code : -EINVAL, -1, "%s", err.message);
}

static int statement_start(const char *text, const PgQuery__RawStmt *raw)
{
	return raw->stmt_location + (int)strspn(text + raw->stmt_location, " \t\r\n");
}

int sql_plan(const struct sql_script *script, uint32_t index, const struct sql_options *options,
             struct dsmx_plan **ret_plan, struct sql_error *err)
{
	struct sql sql = { .error = err, .options = options, .text = script->text };
	const PgQuery__RawStmt *raw = script->tree->stmts[index];

	*err = (struct sql_error){ .location = -1 };
	if (dsmx_plan_new(&sql.plan) < 0)
		sql_fail(&sql, -ENOMEM, -1, "out of memory");
	else if (raw->stmt->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
		sql_unsupported(&sql, -1, "a statement other than SELECT");
	else
		sql_select(&sql, raw->stmt->select_stmt);
	if (err->code == -EOPNOTSUPP && err->location < 0)
		err->location = statement_start(script->text, raw);
	for (uint32_t i = 0; i < sql.table_count; i++)
		dsmx_ipc_close(sql.tables[i].file);
	arena_free(&sql.arena);
	if (err->code != 0) {
		dsmx_plan_free(sql.plan);
		return err->code;
	}
	*ret_plan = sql.plan;
	return 0;
}
