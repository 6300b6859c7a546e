/* SPDX-License-Identifier: MIT */
/*
 * expr.c - make expressions
 *
 * An expression does not know its relation; that its columns are there, with their types, is checked where it
 * becomes part of one (dx_expr_fits). What evaluators need not know is rewritten here: IN has literals that
 * are not null, or becomes comparisons; a cast of a literal becomes a literal; substring counts in int64.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "batch/format.h"
#include "batch/parse.h"
#include "plan/functions.h"
#include "plan/tree.h"

static struct dsmx_type plain(enum dsmx_type_id id)
{
	return (struct dsmx_type){ .id = (uint8_t)id };
}

static bool is_string(struct dsmx_type type)
{
	return type.id == DSMX_UTF8 || type.id == DSMX_LARGE_UTF8;
}

struct dsmx_expr *dx_expr_new(struct dsmx_plan *plan, enum dx_expr_kind kind, struct dsmx_type type,
                              bool nullable, struct dsmx_expr *const *args, uint32_t arg_count)
{
	struct dsmx_expr *expr;
	uint16_t depth = 0;
	uint64_t size = 1;

	for (uint32_t i = 0; i < arg_count; i++) {
		if (args[i]->depth > depth)
			depth = args[i]->depth;
		size += args[i]->size;
	}
	if (depth >= DSMX_PLAN_DEPTH_MAX)
		return dx_plan_fail(plan, -E2BIG, "an expression is over %d levels deep",
		                    DSMX_PLAN_DEPTH_MAX);
	if (size > DX_EXPR_NODES_MAX)
		return dx_plan_fail(plan, -E2BIG, "an expression has over %u parts",
		                    DX_EXPR_NODES_MAX);
	expr = dx_plan_alloc(plan, 1, sizeof(*expr));
	if (expr == NULL)
		return NULL;
	*expr = (struct dsmx_expr){ .kind = kind,
		                    .type = type,
		                    .nullable = nullable,
		                    .depth = (uint16_t)(depth + 1),
		                    .size = (uint32_t)size,
		                    .arg_count = arg_count };
	if (arg_count == 0)
		return expr;
	expr->args = dx_plan_copy(plan, args, arg_count, sizeof(struct dsmx_expr *));
	return expr->args != NULL ? expr : NULL;
}

/* --- columns ------------------------------------------------------------------------------------------- */

struct dsmx_expr *dx_expr_field(struct dsmx_plan *plan, const struct dsmx_schema *schema,
                                uint32_t column)
{
	struct dsmx_expr *expr;

	if (column >= schema->field_count)
		return dx_plan_fail(plan, -EINVAL, "there is no column %u: the input has %u",
		                    column, schema->field_count);
	expr = dx_expr_new(plan, DX_EXPR_COLUMN, schema->fields[column].type,
	                   schema->fields[column].nullable, NULL, 0);
	if (expr != NULL)
		expr->column = column;
	return expr;
}

struct dsmx_expr *dsmx_expr_column(struct dsmx_plan *plan, const struct dsmx_rel *input,
                                   uint32_t column)
{
	if (!dx_plan_given(plan, "the relation of a column", (const void *const *)&input, 1))
		return NULL;
	return dx_expr_field(plan, &input->schema, column);
}

struct dsmx_expr *dsmx_expr_column_named(struct dsmx_plan *plan, const struct dsmx_rel *input,
                                         const char *name)
{
	const void *given[] = { input, name };
	uint32_t found = UINT32_MAX;

	if (!dx_plan_given(plan, "the relation or name of a column", given, 2))
		return NULL;
	for (uint32_t i = 0; i < input->schema.field_count; i++) {
		if (strcmp(input->schema.fields[i].name, name) != 0)
			continue;
		if (found != UINT32_MAX)
			return dx_plan_fail(plan, -EINVAL,
			                    "column name '%s' is ambiguous: %u and %u", name, found,
			                    i);
		found = i;
	}
	if (found == UINT32_MAX)
		return dx_plan_fail(plan, -ENOENT, "there is no column '%s'", name);
	return dx_expr_field(plan, &input->schema, found);
}

struct dsmx_expr *dsmx_expr_pair_column(struct dsmx_plan *plan, const struct dsmx_rel *left,
                                        const struct dsmx_rel *right, uint32_t column)
{
	const void *given[] = { left, right };
	struct dsmx_expr *expr;

	if (!dx_plan_given(plan, "the relations of a pair", given, 2))
		return NULL;
	if (column < left->schema.field_count)
		return dx_expr_field(plan, &left->schema, column);
	expr = dx_expr_field(plan, &right->schema, column - left->schema.field_count);
	if (expr != NULL)
		expr->column = column;
	return expr;
}

/* --- literals ------------------------------------------------------------------------------------------ */

struct dsmx_expr *dx_expr_value(struct dsmx_plan *plan, struct dsmx_type type,
                                const union dx_value *value)
{
	struct dsmx_expr *expr = dx_expr_new(plan, DX_EXPR_LITERAL, type, false, NULL, 0);

	if (expr == NULL)
		return NULL;
	expr->value = *value;
	if (!dsmx_type_is_text(type))
		return expr;
	expr->value.text.bytes = dx_plan_copy(plan, value->text.bytes, value->text.len, 1);
	return expr->value.text.bytes != NULL ? expr : NULL;
}

struct dsmx_expr *dx_expr_null(struct dsmx_plan *plan, struct dsmx_type type)
{
	struct dsmx_expr *expr = dx_expr_new(plan, DX_EXPR_LITERAL, type, true, NULL, 0);

	if (expr != NULL)
		expr->is_null = true;
	return expr;
}

struct dsmx_expr *dsmx_expr_literal(struct dsmx_plan *plan, struct dsmx_type type, const char *text)
{
	struct dsmx_error err;
	union dx_value value;
	char name[24];
	int rc;

	if (dx_plan_failed(plan))
		return NULL;
	rc = dx_type_check(type, &err);
	if (rc < 0)
		return dx_plan_fail(plan, rc, "a literal: %s", err.message);
	if (text == NULL)
		return dx_expr_null(plan, type);
	rc = dx_parse_value(type, text, strlen(text), &value);
	if (rc < 0)
		return dx_plan_fail(plan, rc, "'%.64s' %s %s", text,
		                    rc == -ERANGE ? "does not fit" : "is no",
		                    dsmx_type_format(type, name, sizeof(name)));
	return dx_expr_value(plan, type, &value);
}

struct dsmx_expr *dsmx_expr_int64(struct dsmx_plan *plan, int64_t value)
{
	if (dx_plan_failed(plan))
		return NULL;
	return dx_expr_value(plan, plain(DSMX_INT64), &(union dx_value){ .i = value });
}

struct dsmx_expr *dsmx_expr_utf8(struct dsmx_plan *plan, const char *text, size_t len)
{
	union dx_value value = { .text = { text, (uint32_t)len } };

	if (!dx_plan_given(plan, "the text of a literal", (const void *const *)&text, 1))
		return NULL;
	if (len > INT32_MAX)
		return dx_plan_fail(plan, -E2BIG, "a text literal of %zu bytes is over 2 GiB", len);
	if (memchr(text, 0, len) != NULL)
		return dx_plan_fail(plan, -EILSEQ, "a text literal has a zero byte");
	return dx_expr_value(plan, plain(DSMX_UTF8), &value);
}

/* --- calls --------------------------------------------------------------------------------------------- */

static bool any_nullable(struct dsmx_expr *const *args, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (args[i]->nullable)
			return true;
	}
	return false;
}

static bool all_nullable(struct dsmx_expr *const *args, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!args[i]->nullable)
			return false;
	}
	return true;
}

/* Positions and lengths are int64 for the evaluator: wider than what was given, so the cast is exact. */
static bool widen_substring(struct dsmx_plan *plan, struct dsmx_expr *const *args,
                            struct dsmx_expr **ret_args)
{
	ret_args[0] = args[0];
	for (int i = 1; i <= 2; i++) {
		bool narrow = args[i]->type.id >= DSMX_INT8 && args[i]->type.id <= DSMX_INT32;

		ret_args[i] = narrow ? dsmx_expr_cast(plan, args[i], plain(DSMX_INT64)) : args[i];
	}
	return !dx_plan_failed(plan);
}

struct dsmx_expr *dsmx_expr_call(struct dsmx_plan *plan, enum dsmx_function function,
                                 struct dsmx_expr *const *args, uint32_t arg_count)
{
	struct dsmx_expr *wide[3], *expr;
	struct dsmx_error err;
	struct dsmx_type type;
	bool nullable;
	int rc;

	if (!dx_plan_given(plan, dx_function_str(function), (const void *const *)args, arg_count))
		return NULL;
	if (function == DSMX_FN_SUBSTRING && arg_count == 3) {
		if (!widen_substring(plan, args, wide))
			return NULL;
		args = wide;
	}
	rc = dx_call_type(function, args, arg_count, &type, &err);
	if (rc < 0)
		return dx_plan_fail(plan, rc, "%s", err.message);
	nullable = function == DSMX_FN_COALESCE ? all_nullable(args, arg_count)
	                                        : any_nullable(args, arg_count);
	if (function == DSMX_FN_IS_NULL || function == DSMX_FN_IS_NOT_NULL)
		nullable = false;
	expr = dx_expr_new(plan, DX_EXPR_CALL, type, nullable, args, arg_count);
	if (expr != NULL)
		expr->function = function;
	return expr;
}

static struct dsmx_expr *call2(struct dsmx_plan *plan, enum dsmx_function function,
                               struct dsmx_expr *a, struct dsmx_expr *b)
{
	return dsmx_expr_call(plan, function, (struct dsmx_expr *[]){ a, b }, 2);
}

/* The args of an AND, or the expression itself. */
static uint32_t and_parts(struct dsmx_expr *const *expr, struct dsmx_expr *const **ret_parts)
{
	bool is_and = (*expr)->kind == DX_EXPR_CALL && (*expr)->function == DSMX_FN_AND;

	*ret_parts = is_and ? (*expr)->args : expr;
	return is_and ? (*expr)->arg_count : 1;
}

struct dsmx_expr *dx_expr_and(struct dsmx_plan *plan, struct dsmx_expr *a, struct dsmx_expr *b)
{
	struct dsmx_expr *const *parts_a, *const *parts_b;
	struct dsmx_expr **all;
	uint32_t count_a, count_b;

	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	count_a = and_parts(&a, &parts_a);
	count_b = and_parts(&b, &parts_b);
	all = dx_plan_alloc(plan, (size_t)count_a + count_b, sizeof(struct dsmx_expr *));
	if (all == NULL)
		return NULL;
	memcpy(all, parts_a, count_a * sizeof(struct dsmx_expr *));
	memcpy(all + count_a, parts_b, count_b * sizeof(struct dsmx_expr *));
	return dsmx_expr_call(plan, DSMX_FN_AND, all, count_a + count_b);
}

/* --- casts --------------------------------------------------------------------------------------------- */

/*
 * A literal of another type, by way of its text: NULL where the value does not fit (then the cast fails when
 * it is evaluated, as SQL has it) or where the text of the one is not the text of the other.
 */
static struct dsmx_expr *fold_cast(struct dsmx_plan *plan, const struct dsmx_expr *arg,
                                   struct dsmx_type type)
{
	bool exact = (arg->type.id >= DSMX_INT8 && arg->type.id <= DSMX_UINT64) ||
	             arg->type.id == DSMX_DECIMAL;
	bool number = type.id >= DSMX_INT8 && type.id <= DSMX_DECIMAL;
	char text[DX_FORMAT_BYTES];
	union dx_value value;
	size_t len;

	if (arg->is_null)
		return dx_expr_null(plan, type);
	if (is_string(arg->type) && is_string(type))
		return dx_expr_value(plan, type, &arg->value);
	if (!exact || !number)
		return NULL;
	len = dx_format_value(arg->type, &arg->value, text);
	if (dx_parse_value(type, text, len, &value) < 0)
		return NULL;
	return dx_expr_value(plan, type, &value);
}

struct dsmx_expr *dsmx_expr_cast(struct dsmx_plan *plan, struct dsmx_expr *arg,
                                 struct dsmx_type type)
{
	struct dsmx_expr *folded;
	struct dsmx_error err;
	int rc;

	if (!dx_plan_given(plan, "what is cast", (const void *const *)&arg, 1))
		return NULL;
	rc = dx_cast_check(arg->type, type, &err);
	if (rc < 0)
		return dx_plan_fail(plan, rc, "%s", err.message);
	if (dsmx_type_equal(arg->type, type))
		return arg;
	if (arg->kind == DX_EXPR_LITERAL) {
		folded = fold_cast(plan, arg, type);
		if (folded != NULL || dx_plan_failed(plan))
			return folded;
	}
	return dx_expr_new(plan, DX_EXPR_CAST, type, arg->nullable, &arg, 1);
}

/* --- CASE and IN --------------------------------------------------------------------------------------- */

struct dsmx_expr *dsmx_expr_case(struct dsmx_plan *plan, struct dsmx_expr *const *conditions,
                                 struct dsmx_expr *const *results, uint32_t count,
                                 struct dsmx_expr *otherwise)
{
	struct dsmx_expr **args;
	bool nullable = false;
	char a[24], b[24];

	if (!dx_plan_given(plan, "a condition of CASE", (const void *const *)conditions, count) ||
	    !dx_plan_given(plan, "a result of CASE", (const void *const *)results, count))
		return NULL;
	if (count == 0)
		return dx_plan_fail(plan, -EINVAL, "CASE has no WHEN");
	if (otherwise == NULL)
		otherwise = dx_expr_null(plan, results[0]->type);
	args = dx_plan_alloc(plan, (size_t)count * 2 + 1, sizeof(struct dsmx_expr *));
	if (otherwise == NULL || args == NULL)
		return NULL;
	for (uint32_t i = 0; i <= count; i++) {
		struct dsmx_expr *result = i < count ? results[i] : otherwise;

		if (i < count && conditions[i]->type.id != DSMX_BOOL)
			return dx_plan_fail(plan, -EINVAL, "WHEN %s: it takes a bool",
			                    dsmx_type_format(conditions[i]->type, a, sizeof(a)));
		if (!dsmx_type_equal(result->type, results[0]->type))
			return dx_plan_fail(plan, -EINVAL,
			                    "the results of CASE are %s and %s; cast them",
			                    dsmx_type_format(results[0]->type, a, sizeof(a)),
			                    dsmx_type_format(result->type, b, sizeof(b)));
		nullable = nullable || result->nullable;
		if (i < count)
			args[i * 2] = conditions[i];
		args[i < count ? i * 2 + 1 : i * 2] = result;
	}
	return dx_expr_new(plan, DX_EXPR_CASE, results[0]->type, nullable, args, count * 2 + 1);
}

struct dsmx_expr *dsmx_expr_in(struct dsmx_plan *plan, struct dsmx_expr *arg,
                               struct dsmx_expr *const *options, uint32_t count)
{
	struct dsmx_expr **args, *in = NULL;
	uint32_t literals = 0, others = 0;
	char a[24], b[24];

	if (!dx_plan_given(plan, "what is tested by IN", (const void *const *)&arg, 1) ||
	    !dx_plan_given(plan, "an option of IN", (const void *const *)options, count))
		return NULL;
	if (count == 0)
		return dx_plan_fail(plan, -EINVAL, "IN has no options");
	args = dx_plan_alloc(plan, (size_t)count + 2, sizeof(struct dsmx_expr *));
	if (args == NULL)
		return NULL;
	args[0] = arg;
	for (uint32_t i = 0; i < count; i++) {
		if (!dsmx_type_equal(arg->type, options[i]->type))
			return dx_plan_fail(plan, -EINVAL, "%s IN (%s): cast the options",
			                    dsmx_type_format(arg->type, a, sizeof(a)),
			                    dsmx_type_format(options[i]->type, b, sizeof(b)));
		if (options[i]->kind == DX_EXPR_LITERAL && !options[i]->is_null)
			args[++literals] = options[i];
	}
	if (literals > 0)
		in = dx_expr_new(plan, DX_EXPR_IN, plain(DSMX_BOOL), arg->nullable, args,
		                 literals + 1);
	if (literals == count || dx_plan_failed(plan))
		return in;
	/* arg IN (literals) OR arg = option OR ...: three-valued, as IN is. */
	if (in != NULL)
		args[others++] = in;
	for (uint32_t i = 0; i < count; i++) {
		if (options[i]->kind != DX_EXPR_LITERAL || options[i]->is_null)
			args[others++] = call2(plan, DSMX_FN_EQUAL, arg, options[i]);
	}
	return dsmx_expr_call(plan, DSMX_FN_OR, args, others);
}

/* --- reading and renumbering --------------------------------------------------------------------------- */

struct dsmx_type dsmx_expr_type(const struct dsmx_expr *expr)
{
	return expr != NULL ? expr->type : plain(DSMX_NONE);
}

bool dsmx_expr_nullable(const struct dsmx_expr *expr)
{
	return expr != NULL && expr->nullable;
}

void dx_expr_columns(const struct dsmx_expr *expr, bool *used)
{
	if (expr == NULL)
		return;
	if (expr->kind == DX_EXPR_COLUMN)
		used[expr->column] = true;
	for (uint32_t i = 0; i < expr->arg_count; i++)
		dx_expr_columns(expr->args[i], used);
}

struct dsmx_expr *dx_expr_renumber(struct dsmx_plan *plan, struct dsmx_expr *expr,
                                   const uint32_t *map)
{
	struct dsmx_expr *copy;

	if (expr == NULL || dx_plan_failed(plan))
		return NULL;
	if (expr->kind == DX_EXPR_LITERAL ||
	    (expr->kind == DX_EXPR_COLUMN && map[expr->column] == expr->column))
		return expr;
	copy = dx_plan_copy(plan, expr, 1, sizeof(*expr));
	if (copy == NULL)
		return NULL;
	if (expr->kind == DX_EXPR_COLUMN) {
		copy->column = map[expr->column];
		return copy;
	}
	copy->args = dx_plan_alloc(plan, expr->arg_count, sizeof(struct dsmx_expr *));
	for (uint32_t i = 0; copy->args != NULL && i < expr->arg_count; i++)
		copy->args[i] = dx_expr_renumber(plan, expr->args[i], map);
	return dx_plan_failed(plan) ? NULL : copy;
}

bool dx_expr_fits(struct dsmx_plan *plan, const char *where, const struct dsmx_expr *expr,
                  const struct dsmx_schema *schema)
{
	char a[24], b[24];

	if (expr->kind == DX_EXPR_COLUMN) {
		if (expr->column >= schema->field_count)
			(void)dx_plan_fail(plan, -EINVAL,
			                   "%s: there is no column %u: the input has %u", where,
			                   expr->column, schema->field_count);
		else if (!dsmx_type_equal(expr->type, schema->fields[expr->column].type))
			(void)dx_plan_fail(
				plan, -EINVAL,
				"%s: column %u ('%s') is %s, not %s as the expression says", where,
				expr->column, schema->fields[expr->column].name,
				dsmx_type_format(schema->fields[expr->column].type, a, sizeof(a)),
				dsmx_type_format(expr->type, b, sizeof(b)));
	}
	for (uint32_t i = 0; i < expr->arg_count && !dx_plan_failed(plan); i++)
		(void)dx_expr_fits(plan, where, expr->args[i], schema);
	return !dx_plan_failed(plan);
}
