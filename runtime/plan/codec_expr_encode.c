/* SPDX-License-Identifier: MIT */
/*
 * codec_expr_encode.c - expressions to messages
 *
 * A function is named as Substrait wants it: with the short names of its arguments' types, "add:i64_i64".
 */
#include <stdio.h>
#include <string.h>

#include "plan/codec.h"
#include "plan/substrait.pb-c.h"
#include "plan/tree.h"

#define REX(name) SUBSTRAIT__EXPRESSION__REX_TYPE_##name

#define SIGNATURE_BYTES 128

/* Decimals and unsigned integers have their arithmetic in other files. */
static enum dx_extension_file file_for(enum dx_extension_file file, struct dsmx_type arg)
{
	if (file != DX_FILE_ARITHMETIC)
		return file;
	if (arg.id == DSMX_DECIMAL)
		return DX_FILE_DECIMAL;
	if (arg.id >= DSMX_UINT8 && arg.id <= DSMX_UINT64)
		return DX_FILE_UNSIGNED;
	return file;
}

static uint32_t function_anchor(struct dx_encoder *e, const struct dsmx_expr *call)
{
	const struct dx_function_info *info = dx_function_info(call->function);
	bool any = info->rule == DX_RULE_COMPARE || info->rule == DX_RULE_TEST ||
	           info->rule == DX_RULE_SAME;
	uint32_t shown = info->args_max == DX_MANY ? 1 : call->arg_count;
	char name[SIGNATURE_BYTES];
	size_t len = (size_t)snprintf(name, sizeof(name), "%s:", info->name);

	for (uint32_t i = 0; i < shown; i++) {
		const char *arg = any ? "any" : dx_encode_short_name(call->args[i]->type);

		len += (size_t)snprintf(name + len, sizeof(name) - len, "%s%s", i > 0 ? "_" : "",
		                        arg);
	}
	return dx_encode_declare(e, DX_DECLARED_FUNCTION, file_for(info->file, call->args[0]->type),
	                         dx_encode_text(e, name, len));
}

uint32_t dx_encode_aggregate_function(struct dx_encoder *e, enum dsmx_aggregate function,
                                      struct dsmx_type arg)
{
	bool any = function == DSMX_AGG_COUNT;
	char name[SIGNATURE_BYTES];
	int len = snprintf(name, sizeof(name), "%s:%s", dx_aggregate_str(function),
	                   any                   ? "any"
	                   : arg.id == DSMX_NONE ? ""
	                                         : dx_encode_short_name(arg));

	return dx_encode_declare(e, DX_DECLARED_FUNCTION,
	                         file_for(dx_aggregate_file(function), arg),
	                         dx_encode_text(e, name, (size_t)len));
}

/* --- columns ------------------------------------------------------------------------------------------- */

Substrait__Expression__FieldReference *dx_encode_field(struct dx_encoder *e, uint32_t column)
{
	Substrait__Expression__FieldReference *pb = DX_NEW(e, expression__field_reference);
	Substrait__Expression__ReferenceSegment *segment = DX_NEW(e, expression__reference_segment);
	Substrait__Expression__ReferenceSegment__StructField *field =
		DX_NEW(e, expression__reference_segment__struct_field);

	field->field = (int32_t)column;
	field->has_field = column != 0;
	segment->reference_type_case =
		SUBSTRAIT__EXPRESSION__REFERENCE_SEGMENT__REFERENCE_TYPE_STRUCT_FIELD;
	segment->struct_field = field;
	pb->reference_type_case =
		SUBSTRAIT__EXPRESSION__FIELD_REFERENCE__REFERENCE_TYPE_DIRECT_REFERENCE;
	pb->direct_reference = segment;
	pb->root_type_case = SUBSTRAIT__EXPRESSION__FIELD_REFERENCE__ROOT_TYPE_ROOT_REFERENCE;
	pb->root_reference = DX_NEW(e, expression__field_reference__root_reference);
	return pb;
}

Substrait__Expression *dx_encode_column(struct dx_encoder *e, uint32_t column)
{
	Substrait__Expression *pb = DX_NEW(e, expression);

	pb->rex_type_case = REX(SELECTION);
	pb->selection = dx_encode_field(e, column);
	return pb;
}

/* --- calls --------------------------------------------------------------------------------------------- */

static Substrait__FunctionArgument *
value_argument(struct dx_encoder *e, const struct dsmx_expr *expr, const uint32_t *map)
{
	Substrait__FunctionArgument *pb = DX_NEW(e, function_argument);

	pb->arg_type_case = SUBSTRAIT__FUNCTION_ARGUMENT__ARG_TYPE_VALUE;
	pb->value = dx_encode_expr(e, expr, map);
	return pb;
}

static Substrait__FunctionArgument *enum_argument(struct dx_encoder *e, const char *name)
{
	Substrait__FunctionArgument *pb = DX_NEW(e, function_argument);

	pb->arg_type_case = SUBSTRAIT__FUNCTION_ARGUMENT__ARG_TYPE_ENUM;
	pb->enum_ = dx_encode_text(e, name, strlen(name));
	return pb;
}

/* extract(part, from 0 or 1, value): the part is a name, not a value. */
static void extract(struct dx_encoder *e, const struct dsmx_expr *expr, const uint32_t *map,
                    Substrait__Expression__ScalarFunction *pb)
{
	const struct dx_text *part = &expr->args[0]->value.text;
	const struct dx_extract_part *line = dx_extract_part(part->bytes, part->len);
	char name[SIGNATURE_BYTES];
	int len = snprintf(name, sizeof(name), "extract:req%s_%s",
	                   line->indexing != NULL ? "_req" : "",
	                   dx_encode_short_name(expr->args[1]->type));
	size_t at = 0;

	pb->function_reference = dx_encode_declare(e, DX_DECLARED_FUNCTION, DX_FILE_DATETIME,
	                                           dx_encode_text(e, name, (size_t)len));
	pb->arguments = dx_encode_array(e, line->indexing != NULL ? 3 : 2, &pb->n_arguments);
	if (pb->n_arguments == 0)
		return;
	pb->arguments[at++] = enum_argument(e, line->substrait);
	if (line->indexing != NULL)
		pb->arguments[at++] = enum_argument(e, line->indexing);
	pb->arguments[at] = value_argument(e, expr->args[1], map);
}

static Substrait__Expression__ScalarFunction *
call(struct dx_encoder *e, const struct dsmx_expr *expr, const uint32_t *map)
{
	Substrait__Expression__ScalarFunction *pb = DX_NEW(e, expression__scalar_function);

	pb->has_function_reference = true;
	pb->output_type = dx_encode_type(e, expr->type, expr->nullable);
	if (expr->function == DSMX_FN_EXTRACT) {
		extract(e, expr, map, pb);
		return pb;
	}
	pb->function_reference = function_anchor(e, expr);
	pb->arguments = dx_encode_array(e, expr->arg_count, &pb->n_arguments);
	for (size_t i = 0; i < pb->n_arguments; i++)
		pb->arguments[i] = value_argument(e, expr->args[i], map);
	return pb;
}

/* --- the rest ------------------------------------------------------------------------------------------ */

static Substrait__Expression__Cast *cast(struct dx_encoder *e, const struct dsmx_expr *expr,
                                         const uint32_t *map)
{
	Substrait__Expression__Cast *pb = DX_NEW(e, expression__cast);

	pb->type = dx_encode_type(e, expr->type, expr->nullable);
	pb->input = dx_encode_expr(e, expr->args[0], map);
	pb->failure_behavior =
		SUBSTRAIT__EXPRESSION__CAST__FAILURE_BEHAVIOR__FAILURE_BEHAVIOR_THROW_EXCEPTION;
	pb->has_failure_behavior = true;
	return pb;
}

static Substrait__Expression__IfThen *case_when(struct dx_encoder *e, const struct dsmx_expr *expr,
                                                const uint32_t *map)
{
	Substrait__Expression__IfThen *pb = DX_NEW(e, expression__if_then);

	pb->ifs = dx_encode_array(e, expr->arg_count / 2, &pb->n_ifs);
	for (size_t i = 0; i < pb->n_ifs; i++) {
		pb->ifs[i] = DX_NEW(e, expression__if_then__if_clause);
		pb->ifs[i]->if_ = dx_encode_expr(e, expr->args[i * 2], map);
		pb->ifs[i]->then = dx_encode_expr(e, expr->args[i * 2 + 1], map);
	}
	pb->else_ = dx_encode_expr(e, expr->args[expr->arg_count - 1], map);
	return pb;
}

static Substrait__Expression__SingularOrList *
in_list(struct dx_encoder *e, const struct dsmx_expr *expr, const uint32_t *map)
{
	Substrait__Expression__SingularOrList *pb = DX_NEW(e, expression__singular_or_list);

	pb->value = dx_encode_expr(e, expr->args[0], map);
	pb->options = dx_encode_array(e, expr->arg_count - 1, &pb->n_options);
	for (size_t i = 0; i < pb->n_options; i++)
		pb->options[i] = dx_encode_expr(e, expr->args[i + 1], map);
	return pb;
}

Substrait__Expression *dx_encode_expr(struct dx_encoder *e, const struct dsmx_expr *expr,
                                      const uint32_t *map)
{
	Substrait__Expression *pb;

	if (expr->kind == DX_EXPR_COLUMN)
		return dx_encode_column(e, map != NULL ? map[expr->column] : expr->column);
	pb = DX_NEW(e, expression);
	if (e->arena.failed)
		return pb;
	switch (expr->kind) {
	case DX_EXPR_LITERAL:
		pb->rex_type_case = REX(LITERAL);
		pb->literal = dx_encode_literal(e, expr);
		break;
	case DX_EXPR_CALL:
		pb->rex_type_case = REX(SCALAR_FUNCTION);
		pb->scalar_function = call(e, expr, map);
		break;
	case DX_EXPR_CAST:
		pb->rex_type_case = REX(CAST);
		pb->cast = cast(e, expr, map);
		break;
	case DX_EXPR_CASE:
		pb->rex_type_case = REX(IF_THEN);
		pb->if_then = case_when(e, expr, map);
		break;
	case DX_EXPR_IN:
		pb->rex_type_case = REX(SINGULAR_OR_LIST);
		pb->singular_or_list = in_list(e, expr, map);
		break;
	default:
		break;
	}
	return pb;
}
