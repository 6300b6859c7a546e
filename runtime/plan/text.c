/* SPDX-License-Identifier: MIT */
/*
 * text.c - expressions as EXPLAIN shows them
 *
 * Readable, not to be read back: a long IN list or text is cut.
 */
#include "plan/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/format.h"
#include "plan/functions.h"

#define LIST_MOST 12 /* options of an IN that are shown */
#define TEXT_MOST 64 /* bytes of a text literal that are shown */

static bool make_room(struct dx_out *out, size_t more)
{
	size_t room = out->room;
	char *text;

	if (out->failed)
		return false;
	while (room - out->len <= more)
		room = room == 0 ? 1024 : room * 2;
	if (room == out->room)
		return true;
	text = realloc(out->text, room);
	if (text == NULL) {
		out->failed = true;
		return false;
	}
	out->text = text;
	out->room = room;
	return true;
}

void dx_out_bytes(struct dx_out *out, const char *bytes, size_t len)
{
	if (!make_room(out, len))
		return;
	memcpy(out->text + out->len, bytes, len);
	out->len += len;
	out->text[out->len] = 0;
}

void dx_out_add(struct dx_out *out, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0 || !make_room(out, (size_t)len))
		return;
	va_start(args, fmt);
	(void)vsnprintf(out->text + out->len, (size_t)len + 1, fmt, args);
	va_end(args);
	out->len += (size_t)len;
}

void dx_out_column(struct dx_out *out, const struct dsmx_schema *schema, uint32_t column)
{
	if (column < schema->field_count && schema->fields[column].name[0] != 0)
		dx_out_add(out, "%s", schema->fields[column].name);
	else
		dx_out_add(out, "#%u", column);
}

/* Bytes that would break a line or a terminal are shown as numbers. */
static void text_literal(struct dx_out *out, const struct dx_text *text)
{
	uint32_t shown = text->len > TEXT_MOST ? TEXT_MOST : text->len;

	dx_out_add(out, "'");
	for (uint32_t i = 0; i < shown; i++) {
		unsigned char c = (unsigned char)text->bytes[i];

		if (c < 0x20 || c == 0x7f)
			dx_out_add(out, "\\x%02x", c);
		else
			dx_out_bytes(out, text->bytes + i, 1);
		if (c == '\'')
			dx_out_add(out, "'");
	}
	dx_out_add(out, shown < text->len ? "...'" : "'");
}

static void literal(struct dx_out *out, const struct dsmx_expr *expr)
{
	char text[DX_FORMAT_BYTES];

	if (expr->is_null) {
		dx_out_add(out, "null");
	} else if (dsmx_type_is_text(expr->type)) {
		text_literal(out, &expr->value.text);
	} else {
		(void)dx_format_value(expr->type, &expr->value, text);
		dx_out_add(out, expr->type.id >= DSMX_DATE32 ? "'%s'" : "%s", text);
	}
}

/* In parentheses where it is a call with signs itself. */
static void operand(struct dx_out *out, const struct dsmx_expr *expr,
                    const struct dsmx_schema *schema)
{
	bool inner = expr->kind == DX_EXPR_IN ||
	             (expr->kind == DX_EXPR_CALL &&
	              dx_function_info(expr->function)->sign != NULL && expr->arg_count > 1);

	dx_out_add(out, inner ? "(" : "");
	dx_out_expr(out, expr, schema);
	dx_out_add(out, inner ? ")" : "");
}

static void call(struct dx_out *out, const struct dsmx_expr *expr, const struct dsmx_schema *schema)
{
	const struct dx_function_info *info = dx_function_info(expr->function);
	bool is_null = expr->function == DSMX_FN_IS_NULL;

	if (is_null || expr->function == DSMX_FN_IS_NOT_NULL) {
		operand(out, expr->args[0], schema);
		dx_out_add(out, is_null ? " is null" : " is not null");
		return;
	}
	if (info->sign == NULL)
		dx_out_add(out, "%s(", info->name);
	for (uint32_t i = 0; i < expr->arg_count; i++) {
		if (i > 0 && info->sign != NULL)
			dx_out_add(out, " %s ", info->sign);
		else if (i > 0)
			dx_out_add(out, ", ");
		if (info->sign != NULL)
			operand(out, expr->args[i], schema);
		else
			dx_out_expr(out, expr->args[i], schema);
	}
	if (info->sign == NULL)
		dx_out_add(out, ")");
}

static void case_when(struct dx_out *out, const struct dsmx_expr *expr,
                      const struct dsmx_schema *schema)
{
	const struct dsmx_expr *otherwise = expr->args[expr->arg_count - 1];

	dx_out_add(out, "case");
	for (uint32_t i = 0; i + 1 < expr->arg_count; i += 2) {
		dx_out_add(out, " when ");
		dx_out_expr(out, expr->args[i], schema);
		dx_out_add(out, " then ");
		dx_out_expr(out, expr->args[i + 1], schema);
	}
	if (otherwise->kind != DX_EXPR_LITERAL || !otherwise->is_null) {
		dx_out_add(out, " else ");
		dx_out_expr(out, otherwise, schema);
	}
	dx_out_add(out, " end");
}

static void in_list(struct dx_out *out, const struct dsmx_expr *expr,
                    const struct dsmx_schema *schema)
{
	operand(out, expr->args[0], schema);
	dx_out_add(out, " in (");
	for (uint32_t i = 1; i < expr->arg_count && i <= LIST_MOST; i++) {
		dx_out_add(out, i > 1 ? ", " : "");
		literal(out, expr->args[i]);
	}
	if (expr->arg_count > LIST_MOST + 1)
		dx_out_add(out, ", ... %u in all", expr->arg_count - 1);
	dx_out_add(out, ")");
}

void dx_out_expr(struct dx_out *out, const struct dsmx_expr *expr, const struct dsmx_schema *schema)
{
	char name[24];

	switch (expr->kind) {
	case DX_EXPR_COLUMN:
		dx_out_column(out, schema, expr->column);
		break;
	case DX_EXPR_LITERAL:
		literal(out, expr);
		break;
	case DX_EXPR_CALL:
		call(out, expr, schema);
		break;
	case DX_EXPR_CAST:
		dx_out_add(out, "cast(");
		dx_out_expr(out, expr->args[0], schema);
		dx_out_add(out, " as %s)", dsmx_type_format(expr->type, name, sizeof(name)));
		break;
	case DX_EXPR_CASE:
		case_when(out, expr, schema);
		break;
	case DX_EXPR_IN:
		in_list(out, expr, schema);
		break;
	}
}
