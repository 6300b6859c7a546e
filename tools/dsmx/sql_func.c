/* SPDX-License-Identifier: MIT */
/*
 * sql_func.c - functions, type names, and what PostgreSQL calls a result column
 */
#include <errno.h>
#include <string.h>

#include "sql_tree.h"

static const struct {
	const char *name;
	enum dsmx_aggregate aggregate;
} aggregates[] = {
	{ "count", DSMX_AGG_COUNT }, { "sum", DSMX_AGG_SUM }, { "avg", DSMX_AGG_AVG },
	{ "min", DSMX_AGG_MIN },     { "max", DSMX_AGG_MAX },
};

static const struct {
	const char *name;
	enum dsmx_function function;
	uint32_t args_min, args_max;
} functions[] = {
	{ "lower", DSMX_FN_LOWER, 1, 1 },
	{ "upper", DSMX_FN_UPPER, 1, 1 },
	{ "substring", DSMX_FN_SUBSTRING, 2, 3 },
	{ "substr", DSMX_FN_SUBSTRING, 2, 3 },
	{ "length", DSMX_FN_CHAR_LENGTH, 1, 1 },
	{ "char_length", DSMX_FN_CHAR_LENGTH, 1, 1 },
	{ "character_length", DSMX_FN_CHAR_LENGTH, 1, 1 },
	{ "abs", DSMX_FN_ABS, 1, 1 },
	{ "mod", DSMX_FN_MODULUS, 2, 2 },
	{ "extract", DSMX_FN_EXTRACT, 2, 2 },
};

static struct sql_expr *bind_aggregate(struct sql *sql, const PgQuery__FuncCall *call,
                                       const char *name, enum dsmx_aggregate aggregate)
{
	struct sql_list args = { 0 };
	struct sql_expr *made;

	if (!sql->aggregates_allowed)
		return sql_fail(sql, -EINVAL, call->location,
		                "an aggregate function is not allowed in %s", sql->clause);
	if (sql->in_aggregate)
		return sql_fail(sql, -EINVAL, call->location,
		                "an aggregate function cannot stand inside another");
	if (call->agg_distinct)
		return sql_unsupported(sql, call->location, "an aggregate of DISTINCT values");
	if (call->agg_filter != NULL)
		return sql_unsupported(sql, call->location, "FILTER of an aggregate");
	if (call->n_agg_order > 0)
		return sql_unsupported(sql, call->location, "ORDER BY of an aggregate");
	if (call->agg_star && aggregate == DSMX_AGG_COUNT) {
		made = sql_new(sql, SQL_AGGREGATE, call->location);
		made->aggregate = DSMX_AGG_COUNT_STAR;
		return made;
	}
	if (call->agg_star || call->n_args != 1)
		return sql_fail(sql, -EINVAL, call->location, "%s takes one argument", name);
	sql->in_aggregate = true;
	sql_push(sql, &args, sql_bind(sql, call->args[0]));
	sql->in_aggregate = false;
	made = sql_make(sql, SQL_AGGREGATE, call->location, &args);
	if (made != NULL)
		made->aggregate = aggregate;
	return made;
}

static struct sql_expr *bind_scalar(struct sql *sql, const PgQuery__FuncCall *call, size_t row)
{
	struct sql_list args = { 0 };

	if (call->n_args < functions[row].args_min || call->n_args > functions[row].args_max)
		return sql_fail(sql, -EINVAL, call->location, "%s takes %s", functions[row].name,
		                functions[row].args_max == 1 ? "one argument"
		                : functions[row].args_min == 2 && functions[row].args_max == 2
		                        ? "two arguments"
		                        : "two or three arguments");
	for (size_t i = 0; i < call->n_args; i++)
		sql_push(sql, &args, sql_bind(sql, call->args[i]));
	return sql_call_list(sql, functions[row].function, call->location, &args);
}

struct sql_expr *sql_bind_function(struct sql *sql, const PgQuery__FuncCall *call)
{
	const char *name = sql_string(call->funcname[call->n_funcname - 1]);
	struct sql_nearest nearest = { 0 };

	if (call->over != NULL)
		return sql_unsupported(sql, call->location, "a window function");
	for (size_t i = 0; i < sizeof(aggregates) / sizeof(aggregates[0]); i++) {
		if (strcmp(aggregates[i].name, name) == 0)
			return bind_aggregate(sql, call, name, aggregates[i].aggregate);
		sql_nearest(&nearest, name, aggregates[i].name);
	}
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (strcmp(functions[i].name, name) == 0)
			return bind_scalar(sql, call, i);
		sql_nearest(&nearest, name, functions[i].name);
	}
	return sql_fail(sql, -EOPNOTSUPP, call->location,
	                "the function %.60s is not supported%s%s%s", name,
	                nearest.name ? "; did you mean " : "", nearest.name ? nearest.name : "",
	                nearest.name ? "?" : "");
}

/* --- type names ---------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	struct dsmx_type type;
} types[] = {
	{ "int2", { .id = DSMX_INT16 } },
	{ "int4", { .id = DSMX_INT32 } },
	{ "int8", { .id = DSMX_INT64 } },
	{ "float4", { .id = DSMX_FLOAT32 } },
	{ "float8", { .id = DSMX_FLOAT64 } },
	{ "bool", { .id = DSMX_BOOL } },
	{ "text", { .id = DSMX_UTF8 } },
	{ "varchar", { .id = DSMX_UTF8 } },
	{ "date", { .id = DSMX_DATE32 } },
	{ "timestamp", { .id = DSMX_TIMESTAMP, .precision = 6 } },
	{ "timestamptz", { .id = DSMX_TIMESTAMP_TZ, .precision = 6 } },
	{ "bytea", { .id = DSMX_BINARY } },
};

static bool type_modifier(const PgQuery__TypeName *name, size_t index, int32_t *ret_value)
{
	const PgQuery__Node *node = index < name->n_typmods ? name->typmods[index] : NULL;

	if (node == NULL || node->node_case != PG_QUERY__NODE__NODE_A_CONST ||
	    node->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL)
		return false;
	*ret_value = node->a_const->ival->ival;
	return true;
}

static bool numeric_type(struct sql *sql, const PgQuery__TypeName *name, struct dsmx_type *ret_type)
{
	int32_t precision, scale = 0;

	if (!type_modifier(name, 0, &precision) ||
	    (name->n_typmods > 1 && !type_modifier(name, 1, &scale))) {
		sql_unsupported(sql, name->location,
		                "numeric without a precision (write numeric(15,2))");
		return false;
	}
	if (precision < 1 || precision > DSMX_DECIMAL_MAX_DIGITS || scale < 0 ||
	    scale > precision) {
		sql_fail(sql, -EOPNOTSUPP, name->location,
		         "numeric(%d,%d) is not supported: 1 to %d digits, "
		         "of them 0 to all after the point",
		         precision, scale, DSMX_DECIMAL_MAX_DIGITS);
		return false;
	}
	*ret_type = (struct dsmx_type){ .id = DSMX_DECIMAL,
		                        .precision = (uint8_t)precision,
		                        .scale = (int8_t)scale };
	return true;
}

bool sql_type_name(struct sql *sql, const PgQuery__TypeName *name, struct dsmx_type *ret_type)
{
	const char *last = name->n_names > 0 ? sql_string(name->names[name->n_names - 1]) : "";

	if (name->n_array_bounds > 0 || name->setof) {
		sql_unsupported(sql, name->location, "an array type");
		return false;
	}
	if (strcmp(last, "numeric") == 0)
		return numeric_type(sql, name, ret_type);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].name, last) != 0)
			continue;
		if (name->n_typmods > 0) {
			sql_unsupported(sql, name->location, "a length or precision of this type");
			return false;
		}
		*ret_type = types[i].type;
		return true;
	}
	sql_fail(sql, -EOPNOTSUPP, name->location, "the type %.60s is not supported", last);
	return false;
}

/* --- names of results ---------------------------------------------------------------------------------- */

/*
 * PostgreSQL's rule: a column's or function's name is a good name (2), the name of a type or "case" is a
 * weak one (1) that gives way to a good one below it.
 */
static int figure_name(const PgQuery__Node *node, const char **ret_name)
{
	if (node == NULL)
		return 0;
	switch (node->node_case) {
	case PG_QUERY__NODE__NODE_COLUMN_REF: {
		const PgQuery__ColumnRef *ref = node->column_ref;
		const PgQuery__Node *last = ref->fields[ref->n_fields - 1];

		if (last->node_case != PG_QUERY__NODE__NODE_STRING)
			return 0;
		*ret_name = sql_string(last);
		return 2;
	}
	case PG_QUERY__NODE__NODE_FUNC_CALL:
		*ret_name = sql_string(node->func_call->funcname[node->func_call->n_funcname - 1]);
		return 2;
	case PG_QUERY__NODE__NODE_COALESCE_EXPR:
		*ret_name = "coalesce";
		return 2;
	case PG_QUERY__NODE__NODE_A_EXPR:
		if (node->a_expr->kind != PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF)
			return 0;
		*ret_name = "nullif";
		return 2;
	case PG_QUERY__NODE__NODE_TYPE_CAST: {
		const PgQuery__TypeName *type = node->type_cast->type_name;
		int strength = figure_name(node->type_cast->arg, ret_name);

		if (strength > 1 || type->n_names == 0)
			return strength;
		*ret_name = sql_string(type->names[type->n_names - 1]);
		return 1;
	}
	case PG_QUERY__NODE__NODE_CASE_EXPR: {
		int strength = figure_name(node->case_expr->defresult, ret_name);

		if (strength <= 1)
			*ret_name = "case";
		return strength <= 1 ? 1 : strength;
	}
	default:
		return 0;
	}
}

const char *sql_result_name(const PgQuery__Node *node)
{
	const char *name = "?column?";

	figure_name(node, &name);
	return name;
}
