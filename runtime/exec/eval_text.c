/* SPDX-License-Identifier: MIT */
/*
 * eval_text.c - functions on text
 *
 * A part of a text points into it; new texts are written into memory of the step's, whose size is known
 * before the first byte is written, so that they do not move. LOWER and UPPER change ASCII letters only.
 */
#include <stdlib.h>

#include "exec/like.h"
#include "exec/program.h"
#include "exec/texts.h"

/* Value @i of an operand that may be constant. */
static size_t place(const struct dx_step *arg, uint32_t i)
{
	return arg->constant ? 0 : i;
}

static bool has_value(const struct dx_step *step, uint32_t i)
{
	return step->valid == NULL || step->valid[i];
}

static int run_like(struct dx_eval *eval, struct dx_step *step)
{
	const struct dx_text *texts = step->args[0]->values;
	uint32_t n = dx_step_rows(eval, step);
	uint8_t *out = step->values_room;

	dx_combine_valid(step, n);
	for (uint32_t i = 0; i < n; i++)
		out[i] = has_value(step, i) && dx_like_matches(step->state, texts[i]);
	return 0;
}

static int run_char_length(struct dx_eval *eval, struct dx_step *step)
{
	const struct dx_text *texts = step->args[0]->values;
	uint32_t n = dx_step_rows(eval, step), most = 0;
	int32_t *out = step->values_room;

	dx_combine_valid(step, n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t count = has_value(step, i) ? dx_utf8_count(texts[i]) : 0;

		most |= count;
		out[i] = (int32_t)count;
	}
	return most > INT32_MAX ? dx_step_error(eval, step, -ERANGE) : 0;
}

/* Characters from .. from + length - 1, counted from 1; those before the first do not exist. */
static struct dx_text part_of(struct dx_text text, int64_t from, int64_t length)
{
	struct dx_text part = text;
	size_t skip;
	int64_t end;

	if (__builtin_add_overflow(from, length, &end))
		end = INT64_MAX;
	if (from < 1)
		from = 1;
	if (end <= from)
		return (struct dx_text){ text.bytes, 0 };
	skip = dx_utf8_skip(text, (uint64_t)from - 1);
	if (skip > text.len)
		skip = text.len;
	part.bytes += skip;
	part.len -= (uint32_t)skip;
	skip = dx_utf8_skip(part, (uint64_t)(end - from));
	if (skip < part.len)
		part.len = (uint32_t)skip;
	return part;
}

static int run_substring(struct dx_eval *eval, struct dx_step *step)
{
	const struct dx_step *text = step->args[0], *from = step->args[1];
	const struct dx_step *length = step->arg_count > 2 ? step->args[2] : NULL;
	const struct dx_text *texts = text->values;
	const int64_t *froms = from->values, *lengths = length != NULL ? length->values : NULL;
	uint32_t n = dx_step_rows(eval, step);
	struct dx_text *out = step->values_room;

	dx_combine_valid(step, n);
	for (uint32_t i = 0; i < n; i++) {
		int64_t take = lengths != NULL ? lengths[place(length, i)] : INT64_MAX;

		out[i] = (struct dx_text){ "", 0 };
		if (!has_value(step, i))
			continue;
		if (take < 0)
			return dx_error(eval->err, -EDOM, "SUBSTRING of a negative length: %lld",
			                (long long)take);
		out[i] = part_of(texts[place(text, i)], froms[place(from, i)], take);
	}
	return 0;
}

/* ASCII letters between @first and @last change case. */
static int run_case_of(struct dx_eval *eval, struct dx_step *step)
{
	const struct dx_text *texts = step->args[0]->values;
	char first = (char)step->param, last = (char)(first + ('z' - 'a'));
	uint32_t n = dx_step_rows(eval, step);
	struct dx_texts *made = step->state;
	struct dx_text *out = step->values_room;
	size_t total = 0;
	char *to;
	int err;

	dx_combine_valid(step, n);
	for (uint32_t i = 0; i < n; i++)
		total += has_value(step, i) ? texts[i].len : 0;
	err = dx_texts_reserve(made, total);
	if (err < 0)
		return err;
	to = made->bytes;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = has_value(step, i) ? texts[i].len : 0;

		out[i] = (struct dx_text){ to, len };
		for (uint32_t k = 0; k < len; k++) {
			char c = texts[i].bytes[k];

			*to++ = (char)(c ^ (c >= first && c <= last ? 'a' ^ 'A' : 0));
		}
	}
	return 0;
}

static int run_concat(struct dx_eval *eval, struct dx_step *step)
{
	uint32_t n = dx_step_rows(eval, step);
	struct dx_texts *made = step->state;
	struct dx_text *out = step->values_room;
	size_t total = 0;
	char *to;
	int err;

	dx_combine_valid(step, n);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t a = 0; has_value(step, i) && a < step->arg_count; a++) {
			const struct dx_text *texts = step->args[a]->values;

			total += texts[place(step->args[a], i)].len;
		}
	}
	if (total > INT32_MAX)
		return dx_step_error(eval, step, -ERANGE);
	err = dx_texts_reserve(made, total);
	if (err < 0)
		return err;
	to = made->bytes;
	for (uint32_t i = 0; i < n; i++) {
		out[i] = (struct dx_text){ to, 0 };
		for (uint32_t a = 0; has_value(step, i) && a < step->arg_count; a++) {
			const struct dx_text *texts = step->args[a]->values;
			struct dx_text text = texts[place(step->args[a], i)];

			if (text.len > 0)
				memcpy(to, text.bytes, text.len);
			to += text.len;
		}
		out[i].len = (uint32_t)(to - out[i].bytes);
	}
	return 0;
}

/* --- compiling --------------------------------------------------------------------------------------- */

static int compile_like(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step *text,
                        struct dx_step **ret_step)
{
	struct dx_step like = { .run = run_like, .type = expr->type, .args = &text };
	const struct dsmx_expr *pattern = expr->args[1];
	struct dx_like *compiled;
	int err;

	if (pattern->kind != DX_EXPR_LITERAL)
		return dx_error(eval->err, -EOPNOTSUPP, "LIKE with a pattern that is no literal");
	err = dx_like_new(pattern->value.text, &compiled);
	if (err == -EINVAL)
		return dx_error(eval->err, err, "the LIKE pattern \"%.*s\" ends in a backslash",
		                (int)pattern->value.text.len, pattern->value.text.bytes);
	if (err < 0)
		return err;
	like.arg_count = 1;
	like.state = compiled;
	like.free_state = dx_like_free;
	return dx_emit(eval, &like, ret_step);
}

static int compile_substring(struct dx_eval *eval, const struct dsmx_expr *expr,
                             struct dx_step **args, struct dx_step **ret_step)
{
	struct dx_step like = { .run = run_substring, .type = expr->type, .args = args };

	like.arg_count = expr->arg_count;
	for (uint32_t i = 1; i < expr->arg_count; i++) {
		int err;

		if (args[i]->type.id < DSMX_INT8 || args[i]->type.id > DSMX_UINT64)
			return dx_error(eval->err, -EINVAL, "SUBSTRING from or for no integer");
		err = dx_compile_cast(eval, args[i], (struct dsmx_type){ .id = DSMX_INT64 },
		                      &args[i]);
		if (err < 0)
			return err;
	}
	return dx_emit(eval, &like, ret_step);
}

/* A function that writes texts. */
static int compile_made(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step **args,
                        struct dx_step *like, struct dx_step **ret_step)
{
	like->args = args;
	like->arg_count = expr->arg_count;
	like->state = dx_texts_new();
	like->free_state = dx_texts_free;
	return like->state == NULL ? -ENOMEM : dx_emit(eval, like, ret_step);
}

int dx_compile_text(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step **args,
                    struct dx_step **ret_step)
{
	bool predicate = expr->function == DSMX_FN_LIKE;
	bool length = expr->function == DSMX_FN_CHAR_LENGTH;
	uint32_t texts = expr->function == DSMX_FN_SUBSTRING ? 1 : expr->arg_count;
	struct dx_step like = { .type = expr->type };

	for (uint32_t i = 0; i < texts; i++) {
		if (args[i]->phys != DX_PHYS_TEXT)
			return dx_error(eval->err, -EINVAL, "a function on text over no text");
	}
	if (expr->type.id != DSMX_BOOL && predicate)
		return dx_error(eval->err, -EINVAL, "LIKE that is no bool");
	if (expr->type.id != DSMX_INT32 && length)
		return dx_error(eval->err, -EINVAL, "CHAR_LENGTH that is no int32");
	if (dx_phys_of(expr->type) != DX_PHYS_TEXT && !predicate && !length)
		return dx_error(eval->err, -EINVAL, "a function on text that gives no text");
	switch (expr->function) {
	case DSMX_FN_LIKE:
		return compile_like(eval, expr, args[0], ret_step);
	case DSMX_FN_SUBSTRING:
		return compile_substring(eval, expr, args, ret_step);
	case DSMX_FN_LOWER:
	case DSMX_FN_UPPER:
		like.run = run_case_of;
		like.param = expr->function == DSMX_FN_LOWER ? 'A' : 'a';
		return compile_made(eval, expr, args, &like, ret_step);
	case DSMX_FN_CONCAT:
		like.run = run_concat;
		like.what = "concatenation";
		return compile_made(eval, expr, args, &like, ret_step);
	case DSMX_FN_CHAR_LENGTH:
		like.run = run_char_length;
		like.what = "length";
		like.args = args;
		like.arg_count = 1;
		return dx_emit(eval, &like, ret_step);
	default:
		return dx_error(eval->err, -EOPNOTSUPP, "function %u",
		                (unsigned int)expr->function);
	}
}
