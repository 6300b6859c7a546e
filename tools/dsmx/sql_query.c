/* SPDX-License-Identifier: MIT */
/*
 * sql_query.c - a SELECT as a plan
 *
 *	FROM, WHERE -> joins -> GROUP BY: aggregate -> HAVING: filter -> SELECT: project
 *	-> DISTINCT: aggregate -> ORDER BY: sort -> LIMIT, OFFSET: limit -> drop what only the sort needed
 */
#include <errno.h>
#include <string.h>

#include "sql_parse.h"
#include "sql_query.h"

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
static void build_groups(struct sql *sql, struct sql_query *query, struct sql_scope *scope)
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

static void build_having(struct sql *sql, const struct sql_query *query, struct sql_scope *scope)
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

static void build_result(struct sql *sql, const struct sql_query *query, struct sql_scope *scope)
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
	struct sql_query query = { .select = select };
	struct sql_list where = { 0 };
	struct sql_item *from;
	struct sql_scope scope;
	struct dsmx_error err = { 0 };

	refuse(sql, select);
	if (sql_failed(sql))
		return;
	from = sql_from(sql, select->from_clause, select->n_from_clause);
	sql_bind_targets(sql, &query);
	sql_bind_groups(sql, &query);
	sql->clause = "WHERE";
	if (select->where_clause != NULL && !sql_failed(sql)) {
		struct sql_expr *condition = sql_bind(sql, select->where_clause);

		if (condition != NULL)
			sql_conjuncts(sql, condition, &where);
	}
	sql_bind_having(sql, &query);
	sql_bind_sort(sql, &query);
	sql_bind_limits(sql, &query);
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
