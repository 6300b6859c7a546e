/* SPDX-License-Identifier: MIT */
/*
 * sql_class.c - what the equality conditions of a group make equal
 */
#include <string.h>

#include "sql_join.h"

/* The one member that has all of @tables; -1: none has. */
static int member_of(const struct sql_item *group, uint32_t tables)
{
	for (uint32_t i = 0; i < group->member_count; i++)
		if (tables != 0 && (tables & ~group->members[i]->tables) == 0)
			return (int)i;
	return -1;
}

static struct sql_class *find_class(struct sql_order *order, const struct sql_expr *expr)
{
	for (uint32_t i = 0; i < order->class_count; i++)
		if (!order->classes[i].closed && sql_find(&order->classes[i].exprs, expr) >= 0)
			return &order->classes[i];
	return NULL;
}

struct sql_expr *sql_class_expr(const struct sql_class *class, uint32_t set)
{
	for (uint32_t i = 0; i < class->exprs.count; i++)
		if ((set >> class->owner[i] & 1) != 0)
			return class->exprs.at[i];
	return NULL;
}

static void add_to_class(struct sql_order *order, struct sql_class *class, struct sql_expr *expr,
                         uint32_t member)
{
	double distinct = sql_distinct(order->sql, expr);
	struct sql_expr *other = sql_class_expr(class, 1U << member);

	if (other != NULL)
		sql_push(order->sql, &order->residuals,
		         sql_call(order->sql, DSMX_FN_EQUAL, expr->location, 2, other, expr));
	class->owner[class->exprs.count] = member;
	sql_push(order->sql, &class->exprs, expr);
	class->members |= 1U << member;
	if (class->distinct == 0 || distinct < class->distinct)
		class->distinct = distinct;
}

static void merge_classes(struct sql_order *order, struct sql_class *into, struct sql_class *from)
{
	for (uint32_t i = 0; i < from->exprs.count; i++)
		add_to_class(order, into, from->exprs.at[i], from->owner[i]);
	*from = order->classes[--order->class_count];
}

/* Is a = b such that it can be put together with b = c into a = c? */
static bool is_transitive(const struct sql *sql, const struct sql_expr *condition)
{
	struct dsmx_type type[2];

	for (int i = 0; i < 2; i++) {
		if (condition->args[i]->kind != SQL_COLUMN)
			return false;
		type[i] = sql_field(sql, condition->args[i]->column)->type;
	}
	return dsmx_type_equal(type[0], type[1]) ||
	       (sql_is_exact(type[0]) && sql_is_exact(type[1]));
}

static struct sql_class *new_class(struct sql_order *order)
{
	struct sql_class *class;

	if (order->class_count == CLASSES_MAX)
		return NULL;
	class = &order->classes[order->class_count++];
	memset(class, 0, sizeof(*class));
	return class;
}

static bool add_open(struct sql_order *order, struct sql_expr *condition, const int members[2])
{
	struct sql_class *class, *classes[2];

	for (int i = 0; i < 2; i++)
		classes[i] = find_class(order, condition->args[i]);
	if (classes[0] != NULL && classes[0] == classes[1])
		return true;
	if (classes[0] != NULL && classes[1] != NULL) {
		if (classes[0]->exprs.count + classes[1]->exprs.count > CLASS_EXPRS_MAX)
			return false;
		merge_classes(order, classes[0], classes[1]);
		return true;
	}
	class = classes[0] != NULL ? classes[0] : classes[1];
	if (class == NULL)
		class = new_class(order);
	if (class == NULL || class->exprs.count + 2 > CLASS_EXPRS_MAX)
		return false;
	for (int i = 0; i < 2; i++)
		if (classes[i] == NULL)
			add_to_class(order, class, condition->args[i], (uint32_t)members[i]);
	return true;
}

bool sql_class_add(struct sql_order *order, struct sql_expr *condition)
{
	struct sql_class *class;
	int members[2];

	if (!sql_is_call(condition, DSMX_FN_EQUAL))
		return false;
	for (int i = 0; i < 2; i++) {
		members[i] = member_of(order->group, sql_tables_of(order->sql, condition->args[i]));
		if (members[i] < 0)
			return false;
	}
	if (members[0] == members[1])
		return false;
	if (is_transitive(order->sql, condition))
		return add_open(order, condition, members);
	class = new_class(order);
	if (class == NULL)
		return false;
	class->closed = true;
	for (int i = 0; i < 2; i++)
		add_to_class(order, class, condition->args[i], (uint32_t)members[i]);
	return true;
}
