/* SPDX-License-Identifier: MIT */
/*
 * sql_tree.c - bound expressions: make them, compare them, walk them
 */
#include "sql_tree.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

struct sql_expr *sql_new(struct sql *sql, enum sql_kind kind, int location)
{
	struct sql_expr *expr = arena_alloc(&sql->arena, sizeof(*expr));

	expr->kind = kind;
	expr->location = location;
	expr->size = 1;
	return expr;
}

void sql_push(struct sql *sql, struct sql_list *list, struct sql_expr *expr)
{
	if (list->count == list->room) {
		uint32_t room = list->room > 0 ? list->room * 2 : 8;
		struct sql_expr **at = arena_alloc(&sql->arena, room * sizeof(struct sql_expr *));

		if (list->count > 0)
			memcpy(at, list->at, list->count * sizeof(struct sql_expr *));
		list->at = at;
		list->room = room;
	}
	list->at[list->count++] = expr;
}

struct sql_expr *sql_make(struct sql *sql, enum sql_kind kind, int location,
                          const struct sql_list *args)
{
	struct sql_expr *expr = sql_new(sql, kind, location);

	expr->arg_count = args->count;
	expr->args = args->at;
	for (uint32_t i = 0; i < args->count; i++)
		expr->size += args->at[i] != NULL ? args->at[i]->size : 0;
	if (sql_failed(sql))
		return NULL;
	if (expr->size > SQL_SIZE_MAX)
		return sql_fail(sql, -E2BIG, location,
		                "the expression is too long when it is written out "
		                "(more than %d parts)",
		                SQL_SIZE_MAX);
	return expr;
}

struct sql_expr *sql_call_list(struct sql *sql, enum dsmx_function function, int location,
                               const struct sql_list *args)
{
	struct sql_expr *call = sql_make(sql, SQL_CALL, location, args);

	if (call != NULL)
		call->function = function;
	return call;
}

struct sql_expr *sql_call(struct sql *sql, enum dsmx_function function, int location,
                          uint32_t arg_count, ...)
{
	struct sql_list args = { 0 };
	va_list ap;

	va_start(ap, arg_count);
	for (uint32_t i = 0; i < arg_count; i++)
		sql_push(sql, &args, va_arg(ap, struct sql_expr *));
	va_end(ap);
	return sql_call_list(sql, function, location, &args);
}

struct sql_expr *sql_literal(struct sql *sql, struct dsmx_type type, const char *text, int location)
{
	struct sql_expr *literal = sql_new(sql, SQL_LITERAL, location);

	literal->type = type;
	literal->text = text;
	return literal;
}

struct sql_expr *sql_cast(struct sql *sql, struct sql_expr *arg, struct dsmx_type type,
                          int location)
{
	struct sql_list args = { 0 };
	struct sql_expr *cast;

	if (arg == NULL)
		return NULL;
	if (arg->kind == SQL_LITERAL) {
		struct sql_expr *literal = sql_retype(sql, arg, type);

		if (literal != NULL)
			return literal;
	}
	sql_push(sql, &args, arg);
	cast = sql_make(sql, SQL_CAST, location, &args);
	if (cast != NULL)
		cast->type = type;
	return cast;
}

bool sql_is_call(const struct sql_expr *expr, enum dsmx_function function)
{
	return expr->kind == SQL_CALL && expr->function == function;
}

static bool equal_args(const struct sql_expr *a, const struct sql_expr *b)
{
	if (a->arg_count != b->arg_count)
		return false;
	for (uint32_t i = 0; i < a->arg_count; i++)
		if (!sql_equal(a->args[i], b->args[i]))
			return false;
	return true;
}

bool sql_equal(const struct sql_expr *a, const struct sql_expr *b)
{
	if (a == b)
		return true;
	if (a == NULL || b == NULL || a->kind != b->kind)
		return false;
	switch (a->kind) {
	case SQL_COLUMN:
		return a->column == b->column;
	case SQL_LITERAL:
		return dsmx_type_equal(a->type, b->type) && a->untyped == b->untyped &&
		       (a->text == NULL) == (b->text == NULL) &&
		       (a->text == NULL || strcmp(a->text, b->text) == 0);
	case SQL_INTERVAL:
		return a->months == b->months && a->days == b->days && a->micros == b->micros;
	case SQL_CALL:
		if (a->function != b->function)
			return false;
		if (a->function == DSMX_FN_EQUAL && a->args[0]->kind == SQL_COLUMN &&
		    a->args[1]->kind == SQL_COLUMN && sql_equal(a->args[0], b->args[1]) &&
		    sql_equal(a->args[1], b->args[0]))
			return true;
		return equal_args(a, b);
	case SQL_CAST:
		return dsmx_type_equal(a->type, b->type) && equal_args(a, b);
	case SQL_AGGREGATE:
		return a->aggregate == b->aggregate && equal_args(a, b);
	case SQL_CASE:
	case SQL_IN:
		return equal_args(a, b);
	}
	return false;
}

int sql_find(const struct sql_list *list, const struct sql_expr *expr)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (list->at[i] != NULL && sql_equal(list->at[i], expr))
			return (int)i;
	return -1;
}

uint32_t sql_tables_of(const struct sql *sql, const struct sql_expr *expr)
{
	uint32_t tables = 0;

	if (expr == NULL)
		return 0;
	if (expr->kind == SQL_COLUMN)
		return 1U << sql->columns[expr->column].table;
	for (uint32_t i = 0; i < expr->arg_count; i++)
		tables |= sql_tables_of(sql, expr->args[i]);
	return tables;
}

void sql_collect_aggregates(struct sql *sql, struct sql_expr *expr, struct sql_list *list)
{
	if (expr == NULL)
		return;
	if (expr->kind == SQL_AGGREGATE) {
		if (sql_find(list, expr) < 0)
			sql_push(sql, list, expr);
		return;
	}
	for (uint32_t i = 0; i < expr->arg_count; i++)
		sql_collect_aggregates(sql, expr->args[i], list);
}
