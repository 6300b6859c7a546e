/* SPDX-License-Identifier: MIT */
/*
 * sql_logic.c - conditions: taken apart, and each part brought to the lowest place where it can be tested
 *
 *	(a AND x) OR (a AND y)	becomes	a AND (x OR y): `a` may be what two tables are joined by
 *	(t1 AND x) OR (t2 AND y), where t1 and t2 need only table t, implies t1 OR t2: its scan can
 *				drop rows early; the whole is still tested above
 *
 * Both are sound in three-valued logic for a condition, where NULL and false mean the same.
 */
#include <string.h>

#include "sql_tree.h"

static void flatten(struct sql *sql, struct sql_expr *expr, enum dsmx_function function,
                    struct sql_list *list)
{
	if (!sql_is_call(expr, function)) {
		sql_push(sql, list, expr);
		return;
	}
	for (uint32_t i = 0; i < expr->arg_count; i++)
		flatten(sql, expr->args[i], function, list);
}

static struct sql_expr *join_list(struct sql *sql, enum dsmx_function function,
                                  const struct sql_list *list, int location)
{
	return list->count == 1 ? list->at[0] : sql_call_list(sql, function, location, list);
}

/* The branches of an OR, each as its conjuncts. */
struct branches {
	uint32_t count;
	struct sql_list *at;
};

static struct branches split_or(struct sql *sql, struct sql_expr *condition)
{
	struct sql_list list = { 0 };
	struct branches branches;

	flatten(sql, condition, DSMX_FN_OR, &list);
	branches.count = list.count;
	branches.at = arena_alloc(&sql->arena, list.count * sizeof(struct sql_list));
	for (uint32_t i = 0; i < list.count; i++)
		flatten(sql, list.at[i], DSMX_FN_AND, &branches.at[i]);
	return branches;
}

static bool in_all(const struct branches *branches, const struct sql_expr *expr)
{
	for (uint32_t i = 1; i < branches->count; i++)
		if (sql_find(&branches->at[i], expr) < 0)
			return false;
	return true;
}

/* What stands in every branch goes to @ret_list; the rest of the OR is returned, NULL: nothing is left. */
static struct sql_expr *factor(struct sql *sql, struct sql_expr *condition,
                               struct branches *branches, struct sql_list *ret_list)
{
	struct sql_list common = { 0 }, rest = { 0 };

	for (uint32_t i = 0; i < branches->at[0].count; i++)
		if (in_all(branches, branches->at[0].at[i]))
			sql_push(sql, &common, branches->at[0].at[i]);
	if (common.count == 0)
		return condition;
	for (uint32_t i = 0; i < common.count; i++)
		sql_push(sql, ret_list, common.at[i]);
	for (uint32_t i = 0; i < branches->count; i++) {
		struct sql_list kept = { 0 };

		for (uint32_t j = 0; j < branches->at[i].count; j++)
			if (sql_find(&common, branches->at[i].at[j]) < 0)
				sql_push(sql, &kept, branches->at[i].at[j]);
		if (kept.count == 0)
			return NULL; /* this branch is true where the common part is */
		branches->at[i] = kept;
		sql_push(sql, &rest, join_list(sql, DSMX_FN_AND, &kept, condition->location));
	}
	return join_list(sql, DSMX_FN_OR, &rest, condition->location);
}

/* For table @table: the OR of what each branch asks of it alone; NULL where a branch asks nothing. */
static struct sql_expr *implied(struct sql *sql, const struct branches *branches, uint32_t table,
                                int location)
{
	struct sql_list all = { 0 };

	for (uint32_t i = 0; i < branches->count; i++) {
		struct sql_list only = { 0 };

		for (uint32_t j = 0; j < branches->at[i].count; j++)
			if (sql_tables_of(sql, branches->at[i].at[j]) == 1U << table)
				sql_push(sql, &only, branches->at[i].at[j]);
		if (only.count == 0)
			return NULL;
		sql_push(sql, &all, join_list(sql, DSMX_FN_AND, &only, location));
	}
	return join_list(sql, DSMX_FN_OR, &all, location);
}

static void add_or(struct sql *sql, struct sql_expr *condition, struct sql_list *ret_list)
{
	struct branches branches = split_or(sql, condition);
	struct sql_expr *rest = factor(sql, condition, &branches, ret_list);
	uint32_t tables;

	if (rest == NULL)
		return;
	sql_push(sql, ret_list, rest);
	tables = sql_tables_of(sql, rest);
	if ((tables & (tables - 1)) == 0)
		return; /* one table: it is tested there as it is */
	for (uint32_t table = 0; table < sql->table_count; table++) {
		struct sql_expr *extra = (tables >> table & 1) != 0
		                                 ? implied(sql, &branches, table, rest->location)
		                                 : NULL;

		if (extra != NULL)
			sql_push(sql, ret_list, extra);
	}
}

void sql_conjuncts(struct sql *sql, struct sql_expr *condition, struct sql_list *ret_list)
{
	struct sql_list list = { 0 };

	flatten(sql, condition, DSMX_FN_AND, &list);
	for (uint32_t i = 0; i < list.count; i++)
		if (sql_is_call(list.at[i], DSMX_FN_OR))
			add_or(sql, list.at[i], ret_list);
		else
			sql_push(sql, ret_list, list.at[i]);
}

/* --- where they are tested ----------------------------------------------------------------------------- */

static void distribute_one(struct sql *sql, struct sql_item *item, struct sql_expr *condition)
{
	uint32_t tables = sql_tables_of(sql, condition);

	switch (item->kind) {
	case SQL_ITEM_TABLE:
		sql_push(sql, &item->conditions, condition);
		return;
	case SQL_ITEM_GROUP:
		for (uint32_t i = 0; i < item->member_count; i++)
			if ((tables & ~item->members[i]->tables) == 0) {
				distribute_one(sql, item->members[i], condition);
				return;
			}
		sql_push(sql, &item->conditions, condition);
		return;
	case SQL_ITEM_LEFT:
		/* Below the join it may go to the side that keeps its rows, never to the other. */
		if ((tables & ~item->members[0]->tables) == 0 && tables != 0)
			distribute_one(sql, item->members[0], condition);
		else
			sql_push(sql, &item->filters, condition);
		return;
	}
}

/* An ON clause: what concerns only the side without guarantees is tested before it is joined. */
static void distribute_on(struct sql *sql, struct sql_item *item)
{
	struct sql_list conditions = item->conditions;

	item->conditions = (struct sql_list){ 0 };
	for (uint32_t i = 0; i < conditions.count; i++) {
		uint32_t tables = sql_tables_of(sql, conditions.at[i]);

		if (tables != 0 && (tables & ~item->members[1]->tables) == 0)
			distribute_one(sql, item->members[1], conditions.at[i]);
		else
			sql_push(sql, &item->conditions, conditions.at[i]);
	}
}

void sql_distribute(struct sql *sql, struct sql_item *item, const struct sql_list *conditions)
{
	struct sql_list own = item->conditions;

	if (item->kind == SQL_ITEM_GROUP) {
		item->conditions = (struct sql_list){ 0 };
		for (uint32_t i = 0; i < own.count; i++)
			distribute_one(sql, item, own.at[i]);
	}
	for (uint32_t i = 0; conditions != NULL && i < conditions->count; i++)
		distribute_one(sql, item, conditions->at[i]);
	for (uint32_t i = 0; i < item->member_count; i++)
		sql_distribute(sql, item->members[i], NULL);
	if (item->kind == SQL_ITEM_LEFT)
		distribute_on(sql, item);
}
