/* SPDX-License-Identifier: MIT */
/*
 * project.c - a column for each expression
 *
 * What is a plain column goes through as it is: not copied, its dictionary kept, under the selection that is
 * there. What is computed is put at the places of its rows in a column of the batch's length, so that the
 * selection holds for all columns alike; without a selection the evaluator's result is the column.
 */
#include "base/err.h"
#include "exec/build.h"
#include "exec/decimal.h"
#include "exec/eval.h"
#include "exec/op.h"
#include "exec/window.h"

/* A column that is computed. */
struct computed {
	struct dx_eval *eval;
	struct dx_gather *gather;
	uint8_t *valid; /* of all rows of the batch */
	void *values;
};

struct project {
	struct dsmx_stream stream;
	struct dsmx_stream *input;
	const struct dsmx_rel *rel;
	struct dx_window *window; /* NULL: plain columns only */
	struct computed *computed;
	struct dsmx_column *columns;
	uint32_t count;
	bool ended; /* with `end`: what every further poll gives */
	int end;
};

#define PUT(type)                                                                                  \
	do {                                                                                       \
		const type *from_ = vector->values;                                                \
		type *to_ = computed->values;                                                      \
		for (uint32_t k = 0; k < batch->selected; k++)                                     \
			to_[batch->selection[k]] = from_[k];                                       \
	} while (0)

/* The values of the selected rows at the rows' places. */
static void put_in_place(struct computed *computed, const struct dsmx_batch *batch,
                         struct dx_vector *vector)
{
	switch (dx_vector_width(vector->type)) {
	case 1:
		PUT(uint8_t);
		break;
	case 2:
		PUT(uint16_t);
		break;
	case 4:
		PUT(uint32_t);
		break;
	case 8:
		PUT(uint64_t);
		break;
	default:
		if (dsmx_type_is_text(vector->type)) /* no bytes for rows that are not there */
			memset(computed->values, 0, batch->length * sizeof(struct dx_text));
		PUT(struct dx_words);
		break;
	}
	if (vector->valid != NULL) {
		for (uint32_t k = 0; k < batch->selected; k++)
			computed->valid[batch->selection[k]] = vector->valid[k];
		vector->valid = computed->valid;
	}
	vector->values = computed->values;
}

static int compute(struct project *project, uint32_t i, const struct dsmx_batch *batch,
                   struct dsmx_error *err)
{
	struct computed *computed = &project->computed[i];
	struct dx_vector vector;
	int code = dx_eval_run(computed->eval, batch, &vector, err);

	if (code < 0)
		return code;
	if (batch->selection != NULL)
		put_in_place(computed, batch, &vector);
	code = dx_gather_column(computed->gather, &vector, batch->length, &project->columns[i]);
	return code < 0 ? dx_error(err, code, "no room for column %u: %s", i, dx_strerror(code))
	                : 0;
}

/* @batch in, the projection of it out. */
static int project_batch(struct project *project, struct dsmx_batch *batch, struct dsmx_error *err)
{
	for (uint32_t i = 0; i < project->count; i++) {
		const struct dsmx_expr *expr = project->rel->exprs[i];
		int code = 0;

		if (expr->kind != DX_EXPR_COLUMN)
			code = compute(project, i, batch, err);
		else if (expr->column < batch->column_count)
			project->columns[i] = batch->columns[expr->column];
		else
			code = dx_error(err, -EINVAL, "column %u of %u", expr->column,
			                batch->column_count);
		if (code < 0)
			return code;
	}
	batch->columns = project->columns;
	batch->column_count = project->count;
	if (project->window != NULL)
		batch->lease = NULL; /* it does not hold what was computed */
	return 0;
}

static int project_next(struct project *project, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct dsmx_batch batch, piece;
	int err;

	if (project->window == NULL) {
		err = project->input->ops->poll_next(project->input, cx, &piece);
		if (err <= 0)
			return err;
	} else {
		while (!dx_window_next(project->window, &piece)) {
			err = project->input->ops->poll_next(project->input, cx, &batch);
			if (err <= 0)
				return err;
			dx_window_set(project->window, &batch);
		}
	}
	err = project_batch(project, &piece, dsmx_cx_error(cx));
	if (err < 0)
		return err;
	*ret_batch = piece;
	return 1;
}

static int project_poll(struct dsmx_stream *stream, struct dsmx_cx *cx,
                        struct dsmx_batch *ret_batch)
{
	struct project *project = DX_CONTAINER(stream, struct project, stream);
	int err;

	if (project->ended)
		return project->end;
	err = project_next(project, cx, ret_batch);
	project->ended = err <= 0 && err != -EAGAIN;
	project->end = err;
	return err;
}

static void project_close(struct dsmx_stream *stream)
{
	struct project *project = DX_CONTAINER(stream, struct project, stream);

	dx_stream_close(project->input);
	dx_window_free(project->window);
	for (uint32_t i = 0; project->computed != NULL && i < project->count; i++) {
		dx_eval_free(project->computed[i].eval);
		dx_gather_free(project->computed[i].gather);
		free(project->computed[i].valid);
		free(project->computed[i].values);
	}
	free(project->computed);
	free(project->columns);
	free(project);
}

static const struct dsmx_stream_ops project_stream_ops = {
	.poll_next = project_poll,
	.close = project_close,
};

static int prepare_column(struct project *project, uint32_t i, struct dsmx_error *err)
{
	const struct dsmx_expr *expr = project->rel->exprs[i];
	struct computed *computed = &project->computed[i];
	int code;

	if (expr->kind == DX_EXPR_COLUMN)
		return 0;
	code = dx_eval_new(expr, &computed->eval, err);
	if (code < 0)
		return code;
	code = dx_gather_new(expr->type, &computed->gather);
	computed->valid = calloc(DX_VECTOR_ROWS, 1);
	computed->values = calloc(DX_VECTOR_ROWS, dx_vector_width(expr->type));
	if (code < 0 || computed->valid == NULL || computed->values == NULL)
		return dx_error(err, -ENOMEM, "no memory for a projection");
	return 0;
}

static int prepare(struct project *project, const struct dsmx_schema *input, struct dsmx_error *err)
{
	bool plain = true;
	int code = 0;

	project->computed = calloc(project->count + 1UL, sizeof(*project->computed));
	project->columns = calloc(project->count + 1UL, sizeof(*project->columns));
	if (project->computed == NULL || project->columns == NULL)
		return dx_error(err, -ENOMEM, "no memory for a projection");
	for (uint32_t i = 0; code == 0 && i < project->count; i++) {
		plain &= project->rel->exprs[i]->kind == DX_EXPR_COLUMN;
		code = prepare_column(project, i, err);
	}
	if (code == 0 && !plain) {
		code = dx_window_new(input, &project->window);
		if (code < 0)
			return dx_error(err, code, "no memory for a projection");
	}
	return code;
}

static int project_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                           struct dsmx_stream **ret_stream)
{
	struct dsmx_operator *input = op->inputs[0];
	struct project *project = calloc(1, sizeof(*project));
	int err;

	if (project == NULL)
		return dx_error(dsmx_cx_error(cx), -ENOMEM, "no memory for a projection");
	project->stream.ops = &project_stream_ops;
	project->rel = dx_op_rel(op);
	project->count = op->schema.field_count;
	err = prepare(project, &input->schema, dsmx_cx_error(cx));
	if (err == 0)
		err = input->ops->execute(input, cx, partition, &project->input);
	if (err < 0) {
		project_close(&project->stream);
		return err;
	}
	*ret_stream = &project->stream;
	return 0;
}

static const struct dsmx_operator_ops project_ops = {
	.name = "Project",
	.execute = project_execute,
	.free = dx_op_free,
};

int dx_project_make(const struct dsmx_rel *rel, struct dsmx_operator *input,
                    struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	struct dsmx_operator *op = dx_op_new(&project_ops, rel, input);

	if (op == NULL)
		return dx_error(err, -ENOMEM, "no memory for a projection");
	*ret_operator = op;
	return 0;
}
