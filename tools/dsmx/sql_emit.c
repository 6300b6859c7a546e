/* SPDX-License-Identifier: MIT */
/*
 * sql_emit.c - bound expressions to the plan builder's, with the coercions of SQL between them
 *
 * The builder infers types and wants arguments to agree, so company decides here: operands that are no
 * constants are emitted first, and constants become what these are. A number that a column's type can hold
 * is compared as that type, so that no cast stands on the column; a quoted constant is read as whatever it
 * meets. Otherwise both sides are cast to the type that PostgreSQL would choose.
 */
#include <errno.h>
#include <string.h>

#include "sql_tree.h"

static const struct dsmx_type BOOL = { .id = DSMX_BOOL };
static const struct dsmx_type INT64 = { .id = DSMX_INT64 };

/* --- the builder's failures ------------------------------------------------------------------------------ */

void *sql_built(struct sql *sql, void *made, int location)
{
	struct dsmx_error err = { 0 };

	if (made == NULL && !sql_failed(sql)) {
		int code = dsmx_plan_error(sql->plan, &err);

		sql_fail(sql, code != 0 ? code : -ENOMEM, location, "%s",
		         err.message[0] != '\0' ? err.message : strerror(ENOMEM));
	}
	return made;
}

static const char *type_str(struct dsmx_type type, char buf[24])
{
	return dsmx_type_format(type, buf, 24);
}

/* --- operands -------------------------------------------------------------------------------------------- */

struct operands {
	uint32_t count;
	struct sql_expr **source;
	struct dsmx_expr **made; /* NULL: a constant that waits for its type */
	struct dsmx_type common; /* DSMX_NONE: nothing but untyped constants */
};

static struct dsmx_expr *emit_literal(struct sql *sql, const struct sql_expr *literal)
{
	return sql_built(sql, dsmx_expr_literal(sql->plan, literal->type, literal->text),
	                 literal->location);
}

static struct dsmx_expr *cast_to(struct sql *sql, struct dsmx_expr *expr, struct dsmx_type type,
                                 int location)
{
	if (expr == NULL || dsmx_type_equal(dsmx_expr_type(expr), type))
		return expr;
	return sql_built(sql, dsmx_expr_cast(sql->plan, expr, type), location);
}

static bool widen(struct sql *sql, struct operands *operands, struct dsmx_type type, int location)
{
	char a[24], b[24];

	if (operands->common.id == DSMX_NONE) {
		operands->common = type;
		return true;
	}
	if (sql_common_type(operands->common, type, &operands->common))
		return true;
	sql_fail(sql, -EINVAL, location, "%s and %s cannot be used together; add a cast",
	         type_str(operands->common, a), type_str(type, b));
	return false;
}

/*
 * Emit all that is no constant, and find the common type: of the columns first, then widened by constants
 * that do not fit it. With @by_value a constant fits if its value does, else if its type does.
 */
static bool prepare(struct sql *sql, const struct sql_scope *scope, struct operands *operands,
                    bool by_value, int location)
{
	size_t bytes = operands->count * sizeof(struct dsmx_expr *);

	operands->made = arena_alloc(&sql->arena, bytes);
	operands->common.id = DSMX_NONE;
	for (uint32_t i = 0; i < operands->count; i++) {
		struct sql_expr *source = operands->source[i];

		if (source->kind == SQL_LITERAL)
			continue;
		operands->made[i] = sql_emit(sql, scope, source);
		if (operands->made[i] == NULL ||
		    !widen(sql, operands, dsmx_expr_type(operands->made[i]), location))
			return false;
	}
	for (uint32_t i = 0; i < operands->count; i++) {
		struct sql_expr *source = operands->source[i];

		if (source->kind != SQL_LITERAL || source->untyped)
			continue;
		if (by_value && operands->common.id != DSMX_NONE &&
		    sql_retype(sql, source, operands->common) != NULL)
			continue;
		if (!widen(sql, operands, source->type, location))
			return false;
	}
	if (operands->common.id == DSMX_NONE)
		operands->common.id = DSMX_UTF8;
	return true;
}

/* Bring operand @i to the common type. */
static struct dsmx_expr *finish(struct sql *sql, const struct operands *operands, uint32_t i)
{
	struct sql_expr *source = operands->source[i], *literal;

	if (source->kind != SQL_LITERAL)
		return cast_to(sql, operands->made[i], operands->common, source->location);
	literal = sql_retype(sql, source, operands->common);
	if (literal != NULL)
		return emit_literal(sql, literal);
	return cast_to(sql, emit_literal(sql, source), operands->common, source->location);
}

static struct dsmx_expr *emit_call(struct sql *sql, enum dsmx_function function,
                                   struct dsmx_expr **args, uint32_t count, int location)
{
	for (uint32_t i = 0; i < count; i++)
		if (args[i] == NULL)
			return NULL;
	return sql_built(sql, dsmx_expr_call(sql->plan, function, args, count), location);
}

/* Where decimals may differ in precision and scale: an integer becomes one, a decimal stays as it is. */
static struct dsmx_expr *finish_decimal(struct sql *sql, const struct operands *operands,
                                        uint32_t i)
{
	struct sql_expr *source = operands->source[i];

	if (operands->common.id != DSMX_DECIMAL || source->kind == SQL_LITERAL)
		return finish(sql, operands, i);
	return cast_to(sql, operands->made[i], sql_as_decimal(dsmx_expr_type(operands->made[i])),
	               source->location);
}

/* COALESCE and ||: all arguments of one type. */
static struct dsmx_expr *emit_alike(struct sql *sql, const struct sql_scope *scope,
                                    const struct sql_expr *expr)
{
	struct operands operands = { .count = expr->arg_count, .source = expr->args };
	struct dsmx_expr **args;

	if (!prepare(sql, scope, &operands, false, expr->location))
		return NULL;
	args = arena_alloc(&sql->arena, operands.count * sizeof(*args));
	for (uint32_t i = 0; i < operands.count; i++)
		args[i] = finish(sql, &operands, i);
	return emit_call(sql, expr->function, args, operands.count, expr->location);
}

static struct dsmx_expr *emit_comparison(struct sql *sql, const struct sql_scope *scope,
                                         const struct sql_expr *expr)
{
	struct operands operands = { .count = expr->arg_count, .source = expr->args };
	struct dsmx_expr *args[2] = { NULL, NULL };

	if (!prepare(sql, scope, &operands, true, expr->location))
		return NULL;
	for (uint32_t i = 0; i < 2; i++)
		args[i] = finish_decimal(sql, &operands, i);
	return emit_call(sql, expr->function, args, 2, expr->location);
}

/* A constant in arithmetic: a decimal of just its own digits, so that the result grows no more than it must. */
static struct dsmx_expr *emit_addend(struct sql *sql, struct sql_expr *literal)
{
	struct dsmx_type type = sql_as_decimal(literal->type);

	if (sql_is_integer(literal->type) && literal->text != NULL)
		type.precision =
			(uint8_t)strspn(literal->text + (literal->text[0] == '-'), "0123456789");
	return emit_literal(sql, sql_retype(sql, literal, type));
}

static struct dsmx_expr *emit_arithmetic(struct sql *sql, const struct sql_scope *scope,
                                         const struct sql_expr *expr)
{
	struct operands operands = { .count = expr->arg_count, .source = expr->args };
	struct dsmx_expr *args[2] = { NULL, NULL };
	char name[24];

	if (!prepare(sql, scope, &operands, false, expr->location))
		return NULL;
	if (!sql_is_number(operands.common))
		return sql_fail(sql, -EOPNOTSUPP, expr->location,
		                "arithmetic with %s is not supported",
		                type_str(operands.common, name));
	for (uint32_t i = 0; i < operands.count; i++) {
		struct sql_expr *source = operands.source[i];
		bool addend = operands.common.id == DSMX_DECIMAL && source->kind == SQL_LITERAL &&
		              !source->untyped;

		args[i] = addend ? emit_addend(sql, source) : finish_decimal(sql, &operands, i);
	}
	return emit_call(sql, expr->function, args, operands.count, expr->location);
}

/* --- other forms ----------------------------------------------------------------------------------------- */

static struct dsmx_expr *emit_bool(struct sql *sql, const struct sql_scope *scope,
                                   struct sql_expr *expr, const char *clause)
{
	struct dsmx_expr *made;
	char name[24];

	if (expr->kind == SQL_LITERAL && expr->untyped)
		return emit_literal(sql, sql_retype(sql, expr, BOOL));
	made = sql_emit(sql, scope, expr);
	if (made != NULL && dsmx_expr_type(made).id != DSMX_BOOL)
		return sql_fail(sql, -EINVAL, expr->location,
		                "what stands in %s must be a condition, not %s", clause,
		                type_str(dsmx_expr_type(made), name));
	return made;
}

static const char *logic_name(enum dsmx_function function)
{
	return function == DSMX_FN_AND ? "AND" : function == DSMX_FN_OR ? "OR" : "NOT";
}

static struct dsmx_expr *emit_logic(struct sql *sql, const struct sql_scope *scope,
                                    const struct sql_expr *expr)
{
	struct dsmx_expr **args = arena_alloc(&sql->arena, expr->arg_count * sizeof(*args));

	for (uint32_t i = 0; i < expr->arg_count; i++) {
		args[i] = emit_bool(sql, scope, expr->args[i], logic_name(expr->function));
		if (args[i] == NULL)
			return NULL;
	}
	return emit_call(sql, expr->function, args, expr->arg_count, expr->location);
}

static struct dsmx_expr *emit_case(struct sql *sql, const struct sql_scope *scope,
                                   const struct sql_expr *expr)
{
	uint32_t count = expr->arg_count / 2;
	struct sql_expr *otherwise = expr->args[expr->arg_count - 1];
	struct operands results = { .count = count + (otherwise != NULL) };
	struct dsmx_expr **conditions = arena_alloc(&sql->arena, count * sizeof(*conditions));
	struct dsmx_expr **made = arena_alloc(&sql->arena, results.count * sizeof(*made));

	results.source = arena_alloc(&sql->arena, results.count * sizeof(*results.source));
	for (uint32_t i = 0; i < count; i++) {
		conditions[i] = emit_bool(sql, scope, expr->args[2 * i], "CASE WHEN");
		results.source[i] = expr->args[2 * i + 1];
	}
	if (otherwise != NULL)
		results.source[count] = otherwise;
	if (sql_failed(sql) || !prepare(sql, scope, &results, false, expr->location))
		return NULL;
	for (uint32_t i = 0; i < results.count; i++)
		made[i] = finish(sql, &results, i);
	if (sql_failed(sql))
		return NULL;
	return sql_built(sql,
	                 dsmx_expr_case(sql->plan, conditions, made, count,
	                                otherwise != NULL ? made[count] : NULL),
	                 expr->location);
}

/* IN over constants of the type on the left is one step; anything else is an OR of comparisons. */
static struct dsmx_expr *emit_in(struct sql *sql, const struct sql_scope *scope,
                                 const struct sql_expr *expr)
{
	struct operands operands = { .count = expr->arg_count, .source = expr->args };
	struct dsmx_expr **made;
	bool constant = true;

	for (uint32_t i = 1; i < expr->arg_count; i++)
		constant = constant && expr->args[i]->kind == SQL_LITERAL &&
		           expr->args[i]->text != NULL;
	if (!constant) {
		struct sql_list equal = { 0 };

		for (uint32_t i = 1; i < expr->arg_count; i++)
			sql_push(sql, &equal,
			         sql_call(sql, DSMX_FN_EQUAL, expr->location, 2, expr->args[0],
			                  expr->args[i]));
		return sql_emit(sql, scope,
		                equal.count == 1
		                        ? equal.at[0]
		                        : sql_call_list(sql, DSMX_FN_OR, expr->location, &equal));
	}
	if (!prepare(sql, scope, &operands, true, expr->location))
		return NULL;
	made = arena_alloc(&sql->arena, operands.count * sizeof(*made));
	for (uint32_t i = 0; i < operands.count; i++)
		made[i] = finish(sql, &operands, i);
	if (sql_failed(sql))
		return NULL;
	return sql_built(sql, dsmx_expr_in(sql->plan, made[0], made + 1, operands.count - 1),
	                 expr->location);
}

/* Functions whose arguments have types of their own. */
static struct dsmx_expr *emit_function(struct sql *sql, const struct sql_scope *scope,
                                       const struct sql_expr *expr)
{
	struct dsmx_expr *args[3] = { NULL, NULL, NULL };
	uint32_t count = expr->arg_count;

	for (uint32_t i = 0; i < count; i++) {
		args[i] = sql_emit(sql, scope, expr->args[i]);
		if (expr->function == DSMX_FN_SUBSTRING && i > 0)
			args[i] = cast_to(sql, args[i], INT64, expr->args[i]->location);
	}
	if (expr->function == DSMX_FN_SUBSTRING && count == 2)
		args[count++] =
			sql_built(sql, dsmx_expr_int64(sql->plan, INT32_MAX), expr->location);
	return emit_call(sql, expr->function, args, count, expr->location);
}

static struct dsmx_expr *emit_any_call(struct sql *sql, const struct sql_scope *scope,
                                       const struct sql_expr *expr)
{
	switch (expr->function) {
	case DSMX_FN_ADD:
	case DSMX_FN_SUBTRACT:
	case DSMX_FN_MULTIPLY:
	case DSMX_FN_DIVIDE:
	case DSMX_FN_MODULUS:
	case DSMX_FN_NEGATE:
	case DSMX_FN_ABS:
		return emit_arithmetic(sql, scope, expr);
	case DSMX_FN_AND:
	case DSMX_FN_OR:
	case DSMX_FN_NOT:
		return emit_logic(sql, scope, expr);
	case DSMX_FN_EQUAL:
	case DSMX_FN_NOT_EQUAL:
	case DSMX_FN_LT:
	case DSMX_FN_LTE:
	case DSMX_FN_GT:
	case DSMX_FN_GTE:
		return emit_comparison(sql, scope, expr);
	case DSMX_FN_CONCAT:
	case DSMX_FN_COALESCE:
		return emit_alike(sql, scope, expr);
	default:
		return emit_function(sql, scope, expr);
	}
}

/* --- anything -------------------------------------------------------------------------------------------- */

static struct dsmx_expr *emit_column(struct sql *sql, const struct sql_scope *scope, uint32_t index,
                                     int location)
{
	if (scope->pair != NULL)
		return sql_built(sql,
		                 dsmx_expr_pair_column(sql->plan, scope->rel, scope->pair, index),
		                 location);
	return sql_built(sql, dsmx_expr_column(sql->plan, scope->rel, index), location);
}

struct dsmx_expr *sql_emit(struct sql *sql, const struct sql_scope *scope, struct sql_expr *expr)
{
	int index;

	if (sql_failed(sql) || expr == NULL)
		return NULL;
	index = expr->kind == SQL_LITERAL ? -1 : sql_find(&scope->columns, expr);
	if (index >= 0)
		return emit_column(sql, scope, (uint32_t)index, expr->location);
	switch (expr->kind) {
	case SQL_LITERAL:
		return emit_literal(sql, expr);
	case SQL_CALL:
		return emit_any_call(sql, scope, expr);
	case SQL_CAST:
		return cast_to(sql, sql_emit(sql, scope, expr->args[0]), expr->type,
		               expr->location);
	case SQL_CASE:
		return emit_case(sql, scope, expr);
	case SQL_IN:
		return emit_in(sql, scope, expr);
	case SQL_INTERVAL:
		return sql_unsupported(sql, expr->location,
		                       "an interval with anything but a constant date");
	case SQL_COLUMN:
	case SQL_AGGREGATE:
		break;
	}
	if (scope->grouped && expr->kind == SQL_COLUMN)
		return sql_fail(sql, -EINVAL, expr->location,
		                "column \"%.60s\" must stand in GROUP BY or in an aggregate",
		                sql_field(sql, expr->column)->name);
	return sql_fail(sql, -EINVAL, expr->location, "this cannot be computed here");
}

struct dsmx_expr *sql_emit_condition(struct sql *sql, const struct sql_scope *scope,
                                     const struct sql_list *conditions, const char *clause)
{
	struct dsmx_expr **made = arena_alloc(&sql->arena, conditions->count * sizeof(*made));

	for (uint32_t i = 0; i < conditions->count; i++) {
		made[i] = emit_bool(sql, scope, conditions->at[i], clause);
		if (made[i] == NULL)
			return NULL;
	}
	if (conditions->count == 1)
		return made[0];
	return emit_call(sql, DSMX_FN_AND, made, conditions->count, conditions->at[0]->location);
}
