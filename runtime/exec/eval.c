/* SPDX-License-Identifier: MIT */
/*
 * eval.c - an evaluator's life, and the running of its steps; program.h says what they are
 */
#include "exec/eval.h"

#include <stdlib.h>

#include "exec/program.h"
#include "exec/select.h"

static int compile_root(struct dx_eval *eval)
{
	int err = dx_compile_block(eval, eval->expr, &eval->root);

	if (err < 0)
		return err;
	eval->block = &eval->root;
	return dx_fill(eval, eval->root.result, &eval->root.result);
}

int dx_eval_make(const struct dsmx_expr *expr, bool plain_dictionaries, struct dx_eval **ret_eval,
                 struct dsmx_error *err)
{
	struct dx_eval *eval = calloc(1, sizeof(*eval));
	struct dsmx_error why = { 0 };
	int code;

	if (eval == NULL)
		return dx_error(err, -ENOMEM, "no memory for an expression");
	eval->expr = expr;
	eval->plain_dictionaries = plain_dictionaries;
	eval->err = &why;
	code = compile_root(eval);
	if (code < 0) {
		dx_eval_free(eval);
		return dx_error(err, code, "%s",
		                why.code != 0 ? why.message : "no memory for an expression");
	}
	*ret_eval = eval;
	return 0;
}

int dx_eval_new(const struct dsmx_expr *expr, struct dx_eval **ret_eval, struct dsmx_error *err)
{
	return dx_eval_make(expr, false, ret_eval, err);
}

void dx_eval_free(struct dx_eval *eval)
{
	if (eval == NULL)
		return;
	dx_select_free(eval->select);
	for (uint32_t i = 0; i < eval->made_count; i++) {
		struct dx_step *step = eval->made[i];

		if (step->free_state != NULL)
			step->free_state(step->state);
		free(step->args);
		free(step);
	}
	for (uint32_t i = 0; i < eval->room_count; i++)
		free(eval->rooms[i].memory);
	free(eval->made);
	free(eval->rooms);
	free(eval->root.steps);
	free(eval);
}

int dx_block_run(struct dx_eval *eval, const struct dx_block *block, const struct dsmx_batch *frame)
{
	const struct dsmx_batch *outer = eval->frame;
	uint32_t outer_rows = eval->rows;
	int err = 0;

	eval->frame = frame;
	eval->rows = frame->selected;
	for (uint32_t i = 0; err == 0 && frame->selected > 0 && i < block->count; i++)
		err = block->steps[i]->run(eval, block->steps[i]);
	eval->frame = outer;
	eval->rows = outer_rows;
	return err;
}

int dx_eval_run(struct dx_eval *eval, const struct dsmx_batch *batch, struct dx_vector *ret_vector,
                struct dsmx_error *err)
{
	int code;

	if (batch->selected > DX_VECTOR_ROWS)
		return dx_error(err, -EINVAL, "%u rows in a vector of %d", batch->selected,
		                DX_VECTOR_ROWS);
	eval->err = err;
	code = dx_block_run(eval, &eval->root, batch);
	if (code == -ENOMEM)
		return dx_error(err, code, "no memory to evaluate an expression");
	if (code < 0)
		return code;
	*ret_vector = (struct dx_vector){ .type = eval->expr->type,
		                          .valid = eval->root.result->valid,
		                          .values = eval->root.result->values };
	return 0;
}

int dx_eval_select(struct dx_eval *eval, const struct dsmx_batch *batch, uint32_t *ret_rows,
                   uint32_t *ret_count, struct dsmx_error *err)
{
	int code;

	if (eval->select == NULL) {
		code = dx_select_new(eval->expr, &eval->select, err);
		if (code < 0)
			return code;
	}
	return dx_select_run(eval->select, batch, ret_rows, ret_count, err);
}

/* --- for the kernels --------------------------------------------------------------------------------- */

void dx_combine_valid(struct dx_step *step, uint32_t n)
{
	step->valid = NULL;
	for (uint32_t a = 0; a < step->arg_count; a++) {
		const uint8_t *valid = step->args[a]->valid;

		if (valid == NULL)
			continue;
		if (step->valid == NULL)
			memcpy(step->valid_room, valid, n);
		else
			for (uint32_t i = 0; i < n; i++)
				step->valid_room[i] &= valid[i];
		step->valid = step->valid_room;
	}
}

/* Was it a row with a value that failed? Each is done again alone. */
static int recheck(const struct dx_step *step, const uint8_t *a, const uint8_t *b,
                   unsigned int shape, uint32_t n)
{
	size_t a_width = shape & DX_A_CONSTANT ? 0 : dx_phys_width(step->args[0]->phys);
	size_t b_width = 0, width = dx_phys_width(step->phys);
	int code = 0;

	if (step->arg_count > 1 && !(shape & DX_B_CONSTANT))
		b_width = dx_phys_width(step->args[1]->phys);
	for (uint32_t i = 0; code == 0 && i < n; i++) {
		if (step->valid[i])
			code = step->loop(a + i * a_width, b + i * b_width, shape, 1,
			                  (uint8_t *)step->values_room + i * width, step->param);
	}
	return code;
}

int dx_run_loop(struct dx_eval *eval, struct dx_step *step)
{
	uint32_t n = dx_step_rows(eval, step);
	const struct dx_step *a = step->args[0], *b = step->args[step->arg_count > 1];
	unsigned int shape = 0;
	int code;

	if (!step->constant && a->constant)
		shape |= DX_A_CONSTANT;
	if (!step->constant && b->constant && step->arg_count > 1)
		shape |= DX_B_CONSTANT;
	dx_combine_valid(step, n);
	code = step->loop(a->values, b->values, shape, n, step->values_room, step->param);
	if (code < 0 && step->valid != NULL)
		code = recheck(step, a->values, b->values, shape, n);
	return code < 0 ? dx_step_error(eval, step, code) : 0;
}

int dx_step_error(struct dx_eval *eval, const struct dx_step *step, int code)
{
	char type[32];

	(void)dsmx_type_format(step->type, type, sizeof(type));
	return dx_error(eval->err, code, "%s: %s %s",
	                code == -EDOM ? "division by zero" : "value out of range", type,
	                step->what);
}
