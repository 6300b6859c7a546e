/* SPDX-License-Identifier: MIT */
/*
 * sql_expr.c - expressions of the parser's tree, bound to columns and brought down to few forms
 *
 * What SQL says in many ways the plan says in one: BETWEEN becomes two comparisons, IS TRUE a COALESCE,
 * NOT IN a NOT over an IN, NULLIF a CASE.
 */
#include <errno.h>
#include <string.h>

#include "sql_tree.h"

static const struct dsmx_type BOOL = { .id = DSMX_BOOL };

const char *sql_string(const PgQuery__Node *node)
{
	return node != NULL && node->node_case == PG_QUERY__NODE__NODE_STRING ? node->string->sval
	                                                                      : "";
}

int sql_location(const PgQuery__Node *node)
{
	if (node == NULL)
		return -1;
	switch (node->node_case) {
	case PG_QUERY__NODE__NODE_A_CONST:
		return node->a_const->location;
	case PG_QUERY__NODE__NODE_COLUMN_REF:
		return node->column_ref->location;
	case PG_QUERY__NODE__NODE_A_EXPR:
		return node->a_expr->lexpr != NULL ? sql_location(node->a_expr->lexpr)
		                                   : node->a_expr->location;
	case PG_QUERY__NODE__NODE_FUNC_CALL:
		return node->func_call->location;
	case PG_QUERY__NODE__NODE_TYPE_CAST:
		return node->type_cast->location >= 0 ? node->type_cast->location
		                                      : node->type_cast->type_name->location;
	case PG_QUERY__NODE__NODE_CASE_EXPR:
		return node->case_expr->location;
	case PG_QUERY__NODE__NODE_COALESCE_EXPR:
		return node->coalesce_expr->location;
	case PG_QUERY__NODE__NODE_SUB_LINK:
		return node->sub_link->location;
	case PG_QUERY__NODE__NODE_BOOL_EXPR:
		return node->bool_expr->location;
	case PG_QUERY__NODE__NODE_NULL_TEST:
		return node->null_test->location;
	case PG_QUERY__NODE__NODE_RANGE_VAR:
		return node->range_var->location;
	default:
		return -1;
	}
}

/* --- operators ----------------------------------------------------------------------------------------- */

static enum dsmx_function operator_function(const char *name)
{
	static const struct {
		const char *name;
		enum dsmx_function function;
	} rows[] = {
		{ "+", DSMX_FN_ADD },        { "-", DSMX_FN_SUBTRACT }, { "*", DSMX_FN_MULTIPLY },
		{ "/", DSMX_FN_DIVIDE },     { "%", DSMX_FN_MODULUS },  { "=", DSMX_FN_EQUAL },
		{ "<>", DSMX_FN_NOT_EQUAL }, { "<", DSMX_FN_LT },       { "<=", DSMX_FN_LTE },
		{ ">", DSMX_FN_GT },         { ">=", DSMX_FN_GTE },     { "||", DSMX_FN_CONCAT },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].function;
	return DSMX_FN_NONE;
}

static struct sql_expr *bind_operator(struct sql *sql, const PgQuery__AExpr *node)
{
	const char *name = sql_string(node->name[node->n_name - 1]);
	enum dsmx_function function = operator_function(name);
	struct sql_expr *left, *right, *folded;

	if (function == DSMX_FN_NONE || node->n_name > 1)
		return sql_fail(sql, -EOPNOTSUPP, node->location,
		                "the operator %.20s is not supported", name);
	right = sql_bind(sql, node->rexpr);
	if (node->lexpr == NULL) {
		struct sql_expr zero = { .kind = SQL_LITERAL,
			                 .type = { .id = DSMX_INT32 },
			                 .text = "0" };

		if (function == DSMX_FN_ADD || right == NULL)
			return right;
		if (function != DSMX_FN_SUBTRACT)
			return sql_unsupported(sql, node->location, "this prefix operator");
		folded = sql_fold(sql, DSMX_FN_SUBTRACT, &zero, right, node->location);
		return folded != NULL ? folded
		                      : sql_call(sql, DSMX_FN_NEGATE, node->location, 1, right);
	}
	left = sql_bind(sql, node->lexpr);
	if (left == NULL || right == NULL)
		return NULL;
	folded = sql_fold(sql, function, left, right, node->location);
	if (folded == NULL && !sql_failed(sql) &&
	    (left->kind == SQL_INTERVAL || right->kind == SQL_INTERVAL))
		return sql_unsupported(sql, node->location,
		                       "an interval with anything but a constant date");
	return folded != NULL ? folded : sql_call(sql, function, node->location, 2, left, right);
}

static struct sql_expr *negate_if(struct sql *sql, bool negate, struct sql_expr *expr)
{
	if (expr == NULL || !negate)
		return expr;
	return sql_call(sql, DSMX_FN_NOT, expr->location, 1, expr);
}

static struct sql_expr *bind_in(struct sql *sql, const PgQuery__AExpr *node)
{
	struct sql_list args = { 0 };

	sql_push(sql, &args, sql_bind(sql, node->lexpr));
	if (node->rexpr->node_case != PG_QUERY__NODE__NODE_LIST)
		return sql_unsupported(sql, node->location, "this form of IN");
	for (size_t i = 0; i < node->rexpr->list->n_items; i++)
		sql_push(sql, &args, sql_bind(sql, node->rexpr->list->items[i]));
	return negate_if(sql, strcmp(sql_string(node->name[0]), "<>") == 0,
	                 sql_make(sql, SQL_IN, node->location, &args));
}

static struct sql_expr *bind_between(struct sql *sql, const PgQuery__AExpr *node, bool negate)
{
	struct sql_expr *what, *low, *high;

	if (node->rexpr->node_case != PG_QUERY__NODE__NODE_LIST || node->rexpr->list->n_items != 2)
		return sql_unsupported(sql, node->location, "this form of BETWEEN");
	what = sql_bind(sql, node->lexpr);
	low = sql_bind(sql, node->rexpr->list->items[0]);
	high = sql_bind(sql, node->rexpr->list->items[1]);
	if (sql_failed(sql))
		return NULL;
	if (negate)
		return sql_call(sql, DSMX_FN_OR, node->location, 2,
		                sql_call(sql, DSMX_FN_LT, node->location, 2, what, low),
		                sql_call(sql, DSMX_FN_GT, node->location, 2, what, high));
	return sql_call(sql, DSMX_FN_AND, node->location, 2,
	                sql_call(sql, DSMX_FN_GTE, node->location, 2, what, low),
	                sql_call(sql, DSMX_FN_LTE, node->location, 2, what, high));
}

static struct sql_expr *bind_like(struct sql *sql, const PgQuery__AExpr *node)
{
	struct sql_expr *what = sql_bind(sql, node->lexpr), *pattern;

	if (node->rexpr->node_case == PG_QUERY__NODE__NODE_FUNC_CALL)
		return sql_unsupported(sql, node->location, "LIKE ... ESCAPE");
	pattern = sql_bind(sql, node->rexpr);
	if (what == NULL || pattern == NULL)
		return NULL;
	if (pattern->kind != SQL_LITERAL)
		return sql_unsupported(sql, pattern->location,
		                       "a LIKE pattern that is not a constant");
	return negate_if(sql, strcmp(sql_string(node->name[0]), "!~~") == 0,
	                 sql_call(sql, DSMX_FN_LIKE, node->location, 2, what, pattern));
}

static struct sql_expr *bind_nullif(struct sql *sql, const PgQuery__AExpr *node)
{
	struct sql_expr *a = sql_bind(sql, node->lexpr), *b = sql_bind(sql, node->rexpr);
	struct sql_expr *null =
		sql_literal(sql, (struct dsmx_type){ .id = DSMX_UTF8 }, NULL, node->location);
	struct sql_list args = { 0 };

	if (a == NULL || b == NULL)
		return NULL;
	null->untyped = true;
	sql_push(sql, &args, sql_call(sql, DSMX_FN_EQUAL, node->location, 2, a, b));
	sql_push(sql, &args, null);
	sql_push(sql, &args, a);
	return sql_make(sql, SQL_CASE, node->location, &args);
}

static struct sql_expr *bind_a_expr(struct sql *sql, const PgQuery__AExpr *node)
{
	switch (node->kind) {
	case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
		return bind_operator(sql, node);
	case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
		return bind_in(sql, node);
	case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
		return bind_like(sql, node);
	case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
		return bind_between(sql, node, false);
	case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
		return bind_between(sql, node, true);
	case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF:
		return bind_nullif(sql, node);
	case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
		return sql_unsupported(sql, node->location, "ILIKE");
	case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR:
		return sql_unsupported(sql, node->location, "SIMILAR TO");
	case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
	case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
		return sql_unsupported(sql, node->location, "IS DISTINCT FROM");
	case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
	case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL:
		return sql_unsupported(sql, node->location, "ANY or ALL over an array");
	default:
		return sql_unsupported(sql, node->location, "BETWEEN SYMMETRIC");
	}
}

/* --- the rest ------------------------------------------------------------------------------------------ */

static struct sql_expr *bind_bool_expr(struct sql *sql, const PgQuery__BoolExpr *node)
{
	enum dsmx_function function =
		node->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR  ? DSMX_FN_AND
		: node->boolop == PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR ? DSMX_FN_OR
								    : DSMX_FN_NOT;
	struct sql_list args = { 0 };

	for (size_t i = 0; i < node->n_args; i++)
		sql_push(sql, &args, sql_bind(sql, node->args[i]));
	return sql_call_list(sql, function, node->location, &args);
}

static struct sql_expr *bind_boolean_test(struct sql *sql, const PgQuery__BooleanTest *node)
{
	struct sql_expr *arg = sql_bind(sql, node->arg), *known;
	bool when_null = node->booltesttype == PG_QUERY__BOOL_TEST_TYPE__IS_FALSE ||
	                 node->booltesttype == PG_QUERY__BOOL_TEST_TYPE__IS_NOT_FALSE;
	bool negate = node->booltesttype == PG_QUERY__BOOL_TEST_TYPE__IS_FALSE ||
	              node->booltesttype == PG_QUERY__BOOL_TEST_TYPE__IS_NOT_TRUE;

	if (arg == NULL)
		return NULL;
	if (node->booltesttype == PG_QUERY__BOOL_TEST_TYPE__IS_UNKNOWN)
		return sql_call(sql, DSMX_FN_IS_NULL, node->location, 1, arg);
	if (node->booltesttype == PG_QUERY__BOOL_TEST_TYPE__IS_NOT_UNKNOWN)
		return sql_call(sql, DSMX_FN_IS_NOT_NULL, node->location, 1, arg);
	known = sql_call(sql, DSMX_FN_COALESCE, node->location, 2, arg,
	                 sql_literal(sql, BOOL, when_null ? "true" : "false", node->location));
	return negate_if(sql, negate, known);
}

static struct sql_expr *bind_case(struct sql *sql, const PgQuery__CaseExpr *node)
{
	struct sql_expr *what = node->arg != NULL ? sql_bind(sql, node->arg) : NULL;
	struct sql_list args = { 0 };

	for (size_t i = 0; i < node->n_args && !sql_failed(sql); i++) {
		const PgQuery__CaseWhen *when = node->args[i]->case_when;
		struct sql_expr *condition = sql_bind(sql, when->expr);

		if (node->arg != NULL)
			condition =
				sql_call(sql, DSMX_FN_EQUAL, when->location, 2, what, condition);
		sql_push(sql, &args, condition);
		sql_push(sql, &args, sql_bind(sql, when->result));
	}
	sql_push(sql, &args, node->defresult != NULL ? sql_bind(sql, node->defresult) : NULL);
	return sql_make(sql, SQL_CASE, node->location, &args);
}

static struct sql_expr *bind_coalesce(struct sql *sql, const PgQuery__CoalesceExpr *node)
{
	struct sql_list args = { 0 };

	for (size_t i = 0; i < node->n_args; i++)
		sql_push(sql, &args, sql_bind(sql, node->args[i]));
	return sql_call_list(sql, DSMX_FN_COALESCE, node->location, &args);
}

static bool is_interval(const PgQuery__TypeName *name)
{
	return name->n_names > 0 &&
	       strcmp(sql_string(name->names[name->n_names - 1]), "interval") == 0;
}

static struct sql_expr *bind_cast(struct sql *sql, const PgQuery__TypeCast *node)
{
	int location = node->location >= 0 ? node->location : node->type_name->location;
	struct dsmx_type type;
	struct sql_expr *arg;

	if (is_interval(node->type_name)) {
		const PgQuery__Node *text = node->arg;
		int64_t fields = 0;

		if (text->node_case != PG_QUERY__NODE__NODE_A_CONST ||
		    text->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL)
			return sql_unsupported(sql, location, "an interval that is not a constant");
		if (node->type_name->n_typmods > 0 &&
		    node->type_name->typmods[0]->node_case == PG_QUERY__NODE__NODE_A_CONST &&
		    node->type_name->typmods[0]->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL)
			fields = node->type_name->typmods[0]->a_const->ival->ival;
		return sql_interval(sql, text->a_const->sval->sval, fields, location);
	}
	arg = sql_bind(sql, node->arg);
	if (arg == NULL || !sql_type_name(sql, node->type_name, &type))
		return NULL;
	return sql_cast(sql, arg, type, arg->location);
}

struct sql_expr *sql_bind(struct sql *sql, const PgQuery__Node *node)
{
	if (sql_failed(sql) || node == NULL)
		return NULL;
	switch (node->node_case) {
	case PG_QUERY__NODE__NODE_A_CONST:
		return sql_const(sql, node->a_const);
	case PG_QUERY__NODE__NODE_COLUMN_REF:
		return sql_bind_column(sql, node->column_ref);
	case PG_QUERY__NODE__NODE_A_EXPR:
		return bind_a_expr(sql, node->a_expr);
	case PG_QUERY__NODE__NODE_BOOL_EXPR:
		return bind_bool_expr(sql, node->bool_expr);
	case PG_QUERY__NODE__NODE_FUNC_CALL:
		return sql_bind_function(sql, node->func_call);
	case PG_QUERY__NODE__NODE_CASE_EXPR:
		return bind_case(sql, node->case_expr);
	case PG_QUERY__NODE__NODE_COALESCE_EXPR:
		return bind_coalesce(sql, node->coalesce_expr);
	case PG_QUERY__NODE__NODE_NULL_TEST: {
		struct sql_expr *arg = sql_bind(sql, node->null_test->arg);
		bool is_null = node->null_test->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;

		return sql_call(sql, is_null ? DSMX_FN_IS_NULL : DSMX_FN_IS_NOT_NULL,
		                node->null_test->location, 1, arg);
	}
	case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
		return bind_boolean_test(sql, node->boolean_test);
	case PG_QUERY__NODE__NODE_TYPE_CAST:
		return bind_cast(sql, node->type_cast);
	case PG_QUERY__NODE__NODE_SUB_LINK:
		return sql_unsupported(sql, node->sub_link->location,
		                       "a subquery in an expression (EXISTS, IN, ANY, scalar)");
	case PG_QUERY__NODE__NODE_PARAM_REF:
		return sql_unsupported(sql, node->param_ref->location, "a parameter");
	case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
		return sql_unsupported(sql, node->min_max_expr->location, "GREATEST or LEAST");
	default:
		return sql_unsupported(sql, sql_location(node), "this expression");
	}
}
