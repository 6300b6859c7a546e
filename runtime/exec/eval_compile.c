/* SPDX-License-Identifier: MIT */
/*
 * eval_compile.c - from an expression to steps
 *
 * The tree is walked once, operands first. What is strict (null in, null out) becomes a step over compiled
 * operands; what decides about rows compiles its operands into blocks of their own. A plan may come from
 * outside, so operand counts and types are checked here whatever the plan layer has checked.
 */
#include <stdlib.h>

#include "batch/parse.h"
#include "exec/program.h"

/* --- leaves ------------------------------------------------------------------------------------------ */

/* @param: the column */
static int run_column(struct dx_eval *eval, struct dx_step *step)
{
	uint32_t column = (uint32_t)step->param;
	struct dx_vector vector;
	int err;

	if (column >= eval->frame->column_count)
		return dx_error(eval->err, -EINVAL, "column %u of %u", column,
		                eval->frame->column_count);
	err = dx_gather_into(step->type, eval->frame, column, step->valid_room, step->values_room,
	                     &vector);
	if (err < 0)
		return dx_error(eval->err, err, "a text of over 4 GiB in column %u", column);
	step->valid = vector.valid;
	step->values = vector.values;
	return 0;
}

/* Once in a block, however often it is read there. */
static int compile_column(struct dx_eval *eval, const struct dsmx_expr *expr,
                          struct dx_step **ret_step)
{
	struct dx_step like = { .run = run_column, .type = expr->type, .param = expr->column };
	int err;

	for (uint32_t i = 0; i < eval->block->count; i++) {
		struct dx_step *step = eval->block->steps[i];

		if (step->run == run_column && step->param == like.param &&
		    dsmx_type_equal(step->type, expr->type)) {
			*ret_step = step;
			return 0;
		}
	}
	err = dx_emit(eval, &like, ret_step);
	if (err == 0)
		(*ret_step)->held = true;
	return err;
}

static int compile_literal(struct dx_eval *eval, const struct dsmx_expr *expr,
                           struct dx_step **ret_step)
{
	int err = dx_add_constant(eval, expr->type, 1, expr->is_null, ret_step);

	if (err < 0 || expr->is_null)
		return err;
	if (dsmx_type_is_text(expr->type))
		memcpy((*ret_step)->state, &expr->value.text, sizeof(expr->value.text));
	else
		dx_value_store(expr->type, &expr->value, (*ret_step)->state);
	return 0;
}

/* --- calls ------------------------------------------------------------------------------------------- */

static int run_is_null(struct dx_eval *eval, struct dx_step *step)
{
	uint32_t n = dx_step_rows(eval, step);
	const uint8_t *valid = step->args[0]->valid;
	uint8_t flip = (uint8_t)step->param, *out = step->values_room;

	for (uint32_t i = 0; i < n; i++)
		out[i] = (valid == NULL || valid[i]) ^ flip;
	return 0;
}

static int run_not(struct dx_eval *eval, struct dx_step *step)
{
	uint32_t n = dx_step_rows(eval, step);
	const uint8_t *in = step->args[0]->values;
	uint8_t *out = step->values_room;

	dx_combine_valid(step, n);
	for (uint32_t i = 0; i < n; i++)
		out[i] = in[i] ^ 1;
	return 0;
}

static int emit_bool(struct dx_eval *eval, dx_step_run *run, struct dx_step *arg, int64_t param,
                     struct dx_step **ret_step)
{
	struct dx_step like = { .run = run, .type = { .id = DSMX_BOOL }, .args = &arg };

	like.arg_count = 1;
	like.param = param;
	return dx_emit(eval, &like, ret_step);
}

static int compile_strict(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step **args,
                          struct dx_step **ret_step)
{
	for (uint32_t i = 0; i < expr->arg_count; i++) {
		if (dx_step_is_null(args[i]))
			return dx_compile_null(eval, expr->type, ret_step);
	}
	switch (expr->function) {
	case DSMX_FN_ADD:
	case DSMX_FN_SUBTRACT:
	case DSMX_FN_MULTIPLY:
	case DSMX_FN_DIVIDE:
	case DSMX_FN_MODULUS:
	case DSMX_FN_NEGATE:
	case DSMX_FN_ABS:
		return dx_compile_arith(eval, expr, args, ret_step);
	case DSMX_FN_EQUAL:
	case DSMX_FN_NOT_EQUAL:
	case DSMX_FN_LT:
	case DSMX_FN_LTE:
	case DSMX_FN_GT:
	case DSMX_FN_GTE:
		return dx_compile_compare(eval, expr->function, args[0], args[1], ret_step);
	case DSMX_FN_NOT:
		if (args[0]->phys != DX_PHYS_BOOL)
			return dx_error(eval->err, -EINVAL, "NOT of what is no bool");
		return emit_bool(eval, run_not, args[0], 0, ret_step);
	case DSMX_FN_EXTRACT:
		return dx_compile_extract(eval, expr, args[1], ret_step);
	default:
		return dx_compile_text(eval, expr, args, ret_step);
	}
}

/* How many operands a function takes; those that only have a least number end in 0. */
static bool arg_count_fits(enum dsmx_function function, uint32_t count)
{
	static const uint8_t counts[DSMX_FN_COUNT][2] = {
		[DSMX_FN_ADD] = { 2, 2 },         [DSMX_FN_SUBTRACT] = { 2, 2 },
		[DSMX_FN_MULTIPLY] = { 2, 2 },    [DSMX_FN_DIVIDE] = { 2, 2 },
		[DSMX_FN_MODULUS] = { 2, 2 },     [DSMX_FN_NEGATE] = { 1, 1 },
		[DSMX_FN_EQUAL] = { 2, 2 },       [DSMX_FN_NOT_EQUAL] = { 2, 2 },
		[DSMX_FN_LT] = { 2, 2 },          [DSMX_FN_LTE] = { 2, 2 },
		[DSMX_FN_GT] = { 2, 2 },          [DSMX_FN_GTE] = { 2, 2 },
		[DSMX_FN_IS_NULL] = { 1, 1 },     [DSMX_FN_IS_NOT_NULL] = { 1, 1 },
		[DSMX_FN_AND] = { 1, 0 },         [DSMX_FN_OR] = { 1, 0 },
		[DSMX_FN_NOT] = { 1, 1 },         [DSMX_FN_LIKE] = { 2, 2 },
		[DSMX_FN_SUBSTRING] = { 2, 3 },   [DSMX_FN_LOWER] = { 1, 1 },
		[DSMX_FN_UPPER] = { 1, 1 },       [DSMX_FN_CONCAT] = { 1, 0 },
		[DSMX_FN_CHAR_LENGTH] = { 1, 1 }, [DSMX_FN_COALESCE] = { 1, 0 },
		[DSMX_FN_ABS] = { 1, 1 },         [DSMX_FN_EXTRACT] = { 2, 2 },
	};

	if ((uint32_t)function >= DSMX_FN_COUNT || counts[function][0] == 0)
		return false;
	return count >= counts[function][0] &&
	       (counts[function][1] == 0 || count <= counts[function][1]);
}

static int compile_args(struct dx_eval *eval, const struct dsmx_expr *expr,
                        struct dx_step **ret_step)
{
	struct dx_step **args = calloc(expr->arg_count, sizeof(*args));
	bool isnull = expr->function == DSMX_FN_IS_NULL;
	int err = args == NULL ? -ENOMEM : 0;

	for (uint32_t i = 0; err == 0 && i < expr->arg_count; i++)
		err = dx_compile(eval, expr->args[i], &args[i]);
	if (err == 0 && (isnull || expr->function == DSMX_FN_IS_NOT_NULL))
		err = emit_bool(eval, run_is_null, args[0], isnull, ret_step);
	else if (err == 0)
		err = compile_strict(eval, expr, args, ret_step);
	free(args);
	return err;
}

static int compile_call(struct dx_eval *eval, const struct dsmx_expr *expr,
                        struct dx_step **ret_step)
{
	if (!arg_count_fits(expr->function, expr->arg_count))
		return dx_error(eval->err, -EINVAL, "function %u with %u operands",
		                (unsigned int)expr->function, expr->arg_count);
	switch (expr->function) {
	case DSMX_FN_AND:
	case DSMX_FN_OR:
		return dx_compile_and_or(eval, expr, ret_step);
	case DSMX_FN_COALESCE:
		return dx_compile_coalesce(eval, expr, ret_step);
	default:
		return compile_args(eval, expr, ret_step);
	}
}

static int compile_operand(struct dx_eval *eval, const struct dsmx_expr *expr,
                           struct dx_step **ret_step)
{
	struct dx_step *arg;
	int err;

	if (expr->arg_count < 1)
		return dx_error(eval->err, -EINVAL, "a cast or IN without an operand");
	err = dx_compile(eval, expr->args[0], &arg);
	if (err < 0)
		return err;
	if (dx_step_is_null(arg))
		return dx_compile_null(eval, expr->type, ret_step);
	if (expr->kind == DX_EXPR_CAST)
		return dx_compile_cast(eval, arg, expr->type, ret_step);
	return dx_compile_in(eval, expr, arg, ret_step);
}

static bool type_is_good(struct dsmx_type type)
{
	if (type.id == DSMX_DECIMAL)
		return type.precision >= 1 && type.precision <= DSMX_DECIMAL_MAX_DIGITS &&
		       type.scale >= 0 && type.scale <= type.precision;
	if (type.id == DSMX_TIMESTAMP || type.id == DSMX_TIMESTAMP_TZ)
		return type.precision <= 9;
	return dx_phys_of(type) != DX_PHYS_NONE;
}

int dx_compile(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step **ret_step)
{
	int done;

	if (!type_is_good(expr->type))
		return dx_error(eval->err, -EINVAL, "an expression without a proper type");
	done = dx_compile_dictionary(eval, expr, ret_step);
	if (done != 0)
		return done < 0 ? done : 0;
	switch (expr->kind) {
	case DX_EXPR_COLUMN:
		return compile_column(eval, expr, ret_step);
	case DX_EXPR_LITERAL:
		return compile_literal(eval, expr, ret_step);
	case DX_EXPR_CALL:
		return compile_call(eval, expr, ret_step);
	case DX_EXPR_CASE:
		return dx_compile_case(eval, expr, ret_step);
	case DX_EXPR_CAST:
	case DX_EXPR_IN:
		return compile_operand(eval, expr, ret_step);
	}
	return dx_error(eval->err, -EINVAL, "an expression of no kind: %u",
	                (unsigned int)expr->kind);
}

int dx_compile_block(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_block *block)
{
	struct dx_block *outer = eval->block;
	int err;

	eval->block = block;
	err = dx_compile(eval, expr, &block->result);
	eval->block = outer;
	for (uint32_t i = 0; i < block->count; i++) {
		if (block->steps[i]->held) {
			block->steps[i]->held = false;
			dx_rooms_give(eval, block->steps[i]);
		}
	}
	return err;
}

/* --- what can fail ----------------------------------------------------------------------------------- */

/* Casts that have a result for every value: to the same kind with no fewer digits. */
static bool cast_can_fail(struct dsmx_type from, struct dsmx_type to)
{
	if (dsmx_type_equal(from, to) || (dsmx_type_is_text(to) && to.id != DSMX_BINARY))
		return from.id == DSMX_BINARY && to.id != DSMX_BINARY;
	if (to.id == DSMX_FLOAT64)
		return dsmx_type_is_text(from);
	if (from.id >= DSMX_INT8 && from.id <= DSMX_INT64 && to.id <= DSMX_INT64)
		return to.id < from.id;
	return true;
}

bool dx_can_fail(const struct dsmx_expr *expr)
{
	for (uint32_t i = 0; i < expr->arg_count; i++) {
		if (dx_can_fail(expr->args[i]))
			return true;
	}
	if (expr->kind == DX_EXPR_CAST)
		return expr->arg_count != 1 || cast_can_fail(expr->args[0]->type, expr->type);
	if (expr->kind != DX_EXPR_CALL)
		return false;
	switch (expr->function) {
	case DSMX_FN_ADD:
	case DSMX_FN_SUBTRACT:
	case DSMX_FN_MULTIPLY:
	case DSMX_FN_DIVIDE:
	case DSMX_FN_MODULUS:
	case DSMX_FN_NEGATE:
	case DSMX_FN_ABS:
	case DSMX_FN_SUBSTRING: /* a negative length */
		return true;
	default:
		return false;
	}
}
