/* SPDX-License-Identifier: MIT */
/*
 * codec_expr_decode.c - expressions from messages
 *
 * Functions are known by name; the types of the arguments decide which one it is, as in the builder. Where
 * another planner states a result type that is not ours (Substrait leaves some choice), its plan gets the type
 * that it was made for, by a cast.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "plan/codec.h"
#include "plan/substrait.pb-c.h"
#include "plan/tree.h"

#define REX(name)      SUBSTRAIT__EXPRESSION__REX_TYPE_##name
#define ARGUMENT(name) SUBSTRAIT__FUNCTION_ARGUMENT__ARG_TYPE_##name

static struct dsmx_expr *missing(struct dx_decoder *d, const char *what)
{
	return dx_plan_fail(d->plan, -EBADMSG, "not a plan: %s is missing", what);
}

bool dx_decode_field(struct dx_decoder *d, const Substrait__Expression__FieldReference *pb,
                     uint32_t *ret_column)
{
	const Substrait__Expression__ReferenceSegment *segment;

	if (pb == NULL ||
	    pb->reference_type_case !=
	            SUBSTRAIT__EXPRESSION__FIELD_REFERENCE__REFERENCE_TYPE_DIRECT_REFERENCE) {
		(void)missing(d, "a column of a reference");
		return false;
	}
	segment = pb->direct_reference;
	if (segment->reference_type_case !=
	    SUBSTRAIT__EXPRESSION__REFERENCE_SEGMENT__REFERENCE_TYPE_STRUCT_FIELD) {
		(void)missing(d, "a column of a reference");
		return false;
	}
	if (segment->struct_field->child != NULL) {
		(void)dx_plan_fail(d->plan, -EOPNOTSUPP,
		                   "a reference into a nested column is not supported");
		return false;
	}
	if (segment->struct_field->field < 0) {
		(void)dx_plan_fail(d->plan, -EBADMSG, "not a plan: column %d",
		                   segment->struct_field->field);
		return false;
	}
	*ret_column = (uint32_t)segment->struct_field->field;
	return true;
}

/* --- calls --------------------------------------------------------------------------------------------- */

bool dx_decode_options(struct dx_decoder *d, Substrait__FunctionOption *const *options,
                       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const Substrait__FunctionOption *option = options[i];
		bool ours = false;

		for (size_t p = 0; option->name != NULL && p < option->n_preference; p++)
			ours = ours || (strcasecmp(option->name, "overflow") == 0 &&
			                strcasecmp(option->preference[p], "ERROR") == 0);
		if (!ours) {
			(void)dx_plan_fail(
				d->plan, -EOPNOTSUPP,
				"a function's option '%s' is not supported: overflow is an "
				"error, there is no other choice",
				option->name != NULL ? option->name : "");
			return false;
		}
	}
	return true;
}

/* The value of argument @i, in the new or the old place of arguments. */
static struct dsmx_expr *argument(struct dx_decoder *d,
                                  const Substrait__Expression__ScalarFunction *pb, size_t i,
                                  const struct dsmx_schema *schema)
{
	if (pb->n_arguments == 0)
		return dx_decode_expr(d, pb->args[i], schema);
	if (pb->arguments[i]->arg_type_case != ARGUMENT(VALUE))
		return dx_plan_fail(d->plan, -EOPNOTSUPP,
		                    "an argument of a function that is no value is not supported");
	return dx_decode_expr(d, pb->arguments[i]->value, schema);
}

/* extract(part, value) or extract(part, indexing, value), where part and indexing are names. */
static struct dsmx_expr *extract(struct dx_decoder *d,
                                 const Substrait__Expression__ScalarFunction *pb,
                                 const struct dsmx_schema *schema)
{
	const struct dx_extract_part *part;
	struct dsmx_expr *args[2];
	size_t count = pb->n_arguments;
	const char *name;

	for (size_t i = 0; i + 1 < count; i++) {
		if (pb->arguments[i]->arg_type_case != ARGUMENT(ENUM))
			return missing(d, "a part that extract takes out");
	}
	if (count < 2 || count > 3)
		return missing(d, "an argument of extract");
	name = pb->arguments[0]->enum_;
	part = dx_extract_part_substrait(name);
	if (part == NULL ||
	    (count == 3 &&
	     (part->indexing == NULL || strcasecmp(pb->arguments[1]->enum_, part->indexing) != 0)))
		return dx_plan_fail(
			d->plan, -EOPNOTSUPP, "extract of %.64s%s%.64s is not supported", name,
			count == 3 ? " from " : "", count == 3 ? pb->arguments[1]->enum_ : "");
	args[0] = dsmx_expr_utf8(d->plan, part->name, strlen(part->name));
	args[1] = argument(d, pb, count - 1, schema);
	return dsmx_expr_call(d->plan, DSMX_FN_EXTRACT, args, 2);
}

static struct dsmx_expr *plain_call(struct dx_decoder *d,
                                    const Substrait__Expression__ScalarFunction *pb,
                                    enum dsmx_function function, const struct dsmx_schema *schema)
{
	size_t count = pb->n_arguments != 0 ? pb->n_arguments : pb->n_args;
	struct dsmx_expr **args = dx_arena_array(&d->arena, count, sizeof(args[0]));

	if (args == NULL)
		return dx_plan_fail(d->plan, -ENOMEM, "no memory for a plan");
	for (size_t i = 0; i < count && !dx_plan_failed(d->plan); i++)
		args[i] = argument(d, pb, i, schema);
	if (dx_plan_failed(d->plan))
		return NULL;
	return dsmx_expr_call(d->plan, function, args, (uint32_t)count);
}

static struct dsmx_expr *call(struct dx_decoder *d, const Substrait__Expression__ScalarFunction *pb,
                              const struct dsmx_schema *schema)
{
	const char *name = dx_decode_declared(d, DX_DECLARED_FUNCTION, pb->function_reference);
	enum dsmx_function function;
	struct dsmx_expr *expr;
	struct dsmx_type type;
	bool nullable;

	if (name == NULL || !dx_decode_options(d, pb->options, pb->n_options))
		return NULL;
	function = dx_function_find(name, strcspn(name, ":"));
	if (function == DSMX_FN_NONE)
		return dx_plan_fail(d->plan, -EOPNOTSUPP, "function '%.200s' is not supported",
		                    name);
	if (function == DSMX_FN_EXTRACT)
		expr = extract(d, pb, schema);
	else
		expr = plain_call(d, pb, function, schema);
	if (expr == NULL || pb->output_type == NULL)
		return expr;
	if (!dx_decode_type(d, pb->output_type, &type, &nullable))
		return NULL;
	return dsmx_expr_cast(d->plan, expr, type);
}

/* --- the rest ------------------------------------------------------------------------------------------ */

static struct dsmx_expr *cast(struct dx_decoder *d, const Substrait__Expression__Cast *pb,
                              const struct dsmx_schema *schema)
{
	struct dsmx_type type;
	bool nullable;

	if (pb->failure_behavior ==
	    SUBSTRAIT__EXPRESSION__CAST__FAILURE_BEHAVIOR__FAILURE_BEHAVIOR_RETURN_NULL)
		return dx_plan_fail(d->plan, -EOPNOTSUPP,
		                    "a cast that returns null where it fails is not supported");
	if (!dx_decode_type(d, pb->type, &type, &nullable))
		return NULL;
	return dsmx_expr_cast(d->plan, dx_decode_expr(d, pb->input, schema), type);
}

static struct dsmx_expr *case_when(struct dx_decoder *d, const Substrait__Expression__IfThen *pb,
                                   const struct dsmx_schema *schema)
{
	struct dsmx_expr **conditions = dx_arena_array(&d->arena, pb->n_ifs, sizeof(conditions[0]));
	struct dsmx_expr **results = dx_arena_array(&d->arena, pb->n_ifs, sizeof(results[0]));
	struct dsmx_expr *otherwise = NULL;

	if (conditions == NULL || results == NULL)
		return dx_plan_fail(d->plan, -ENOMEM, "no memory for a plan");
	for (size_t i = 0; i < pb->n_ifs && !dx_plan_failed(d->plan); i++) {
		conditions[i] = dx_decode_expr(d, pb->ifs[i]->if_, schema);
		results[i] = dx_decode_expr(d, pb->ifs[i]->then, schema);
	}
	if (pb->else_ != NULL)
		otherwise = dx_decode_expr(d, pb->else_, schema);
	if (dx_plan_failed(d->plan))
		return NULL;
	return dsmx_expr_case(d->plan, conditions, results, (uint32_t)pb->n_ifs, otherwise);
}

static struct dsmx_expr *in_list(struct dx_decoder *d,
                                 const Substrait__Expression__SingularOrList *pb,
                                 const struct dsmx_schema *schema)
{
	struct dsmx_expr **options = dx_arena_array(&d->arena, pb->n_options, sizeof(options[0]));
	struct dsmx_expr *value = dx_decode_expr(d, pb->value, schema);

	if (options == NULL)
		return dx_plan_fail(d->plan, -ENOMEM, "no memory for a plan");
	for (size_t i = 0; i < pb->n_options && !dx_plan_failed(d->plan); i++)
		options[i] = dx_decode_expr(d, pb->options[i], schema);
	if (dx_plan_failed(d->plan))
		return NULL;
	return dsmx_expr_in(d->plan, value, options, (uint32_t)pb->n_options);
}

struct dsmx_expr *dx_decode_expr(struct dx_decoder *d, const Substrait__Expression *pb,
                                 const struct dsmx_schema *schema)
{
	uint32_t column;

	if (dx_plan_failed(d->plan))
		return NULL;
	if (pb == NULL)
		return missing(d, "an expression");
	switch (pb->rex_type_case) {
	case REX(LITERAL):
		return dx_decode_literal(d, pb->literal);
	case REX(SELECTION):
		if (!dx_decode_field(d, pb->selection, &column))
			return NULL;
		return dx_expr_field(d->plan, schema, column);
	case REX(SCALAR_FUNCTION):
		return call(d, pb->scalar_function, schema);
	case REX(IF_THEN):
		return case_when(d, pb->if_then, schema);
	case REX(SINGULAR_OR_LIST):
		return in_list(d, pb->singular_or_list, schema);
	case REX(CAST):
		return cast(d, pb->cast, schema);
	default:
		return missing(d, "an expression");
	}
}
