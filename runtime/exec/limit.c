/* SPDX-License-Identifier: MIT */
/*
 * limit.c - rows offset .. offset + count - 1 of what comes
 *
 * With the last row its input is closed: whoever produces for it learns at once that no more is wanted.
 */
#include "base/err.h"
#include "exec/build.h"
#include "exec/eval.h"
#include "exec/op.h"
#include "exec/window.h"

struct limit {
	struct dsmx_stream stream;
	struct dsmx_stream *input; /* NULL: closed */
	struct dx_window *window;
	uint64_t skip, left;
	uint32_t rows[DX_VECTOR_ROWS];
};

/* Leave out the first @skip rows of @batch, and those after @take more. */
static void cut(struct limit *limit, struct dsmx_batch *batch, uint32_t skip, uint32_t take)
{
	if (batch->selection == NULL && skip == 0) {
		batch->length = take;
	} else if (batch->selection == NULL) {
		for (uint32_t i = 0; i < take; i++)
			limit->rows[i] = skip + i;
		batch->selection = limit->rows;
	} else {
		batch->selection += skip;
	}
	batch->selected = take;
}

/* The part of @batch that is within the limit. Returns whether there is one. */
static bool take_part(struct limit *limit, struct dsmx_batch *batch)
{
	uint32_t skip, take;

	if (limit->skip >= batch->selected) {
		limit->skip -= batch->selected;
		return false;
	}
	skip = (uint32_t)limit->skip;
	take = batch->selected - skip;
	if (take > limit->left)
		take = (uint32_t)limit->left;
	limit->skip = 0;
	limit->left -= take;
	if (take < batch->selected)
		cut(limit, batch, skip, take);
	return true;
}

static void close_input(struct limit *limit)
{
	dx_stream_close(limit->input);
	limit->input = NULL;
}

/* The next rows of the batch at hand. Returns whether there are any. */
static bool limit_window(struct limit *limit, struct dsmx_batch *ret_batch)
{
	while (dx_window_next(limit->window, ret_batch)) {
		if (take_part(limit, ret_batch))
			return true;
	}
	return false;
}

static int limit_poll(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct limit *limit = DX_CONTAINER(stream, struct limit, stream);
	struct dsmx_batch batch;
	int err;

	if (limit->left == 0)
		close_input(limit);
	if (limit->input == NULL)
		return 0;
	while (!limit_window(limit, ret_batch)) {
		err = limit->input->ops->poll_next(limit->input, cx, &batch);
		if (err == 0)
			close_input(limit);
		if (err <= 0)
			return err;
		dx_window_set(limit->window, &batch);
		if (batch.selected <= limit->skip && dsmx_cx_expired(cx)) {
			dsmx_cx_yield(cx);
			return -EAGAIN;
		}
	}
	return 1;
}

static void limit_close(struct dsmx_stream *stream)
{
	struct limit *limit = DX_CONTAINER(stream, struct limit, stream);

	close_input(limit);
	dx_window_free(limit->window);
	free(limit);
}

static const struct dsmx_stream_ops limit_stream_ops = {
	.poll_next = limit_poll,
	.close = limit_close,
};

static int limit_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                         struct dsmx_stream **ret_stream)
{
	const struct dx_limit *bounds = &dx_op_rel(op)->limit;
	struct dsmx_operator *input = op->inputs[0];
	struct limit *limit = calloc(1, sizeof(*limit));
	int err = -ENOMEM;

	if (limit == NULL || dx_window_new(&input->schema, &limit->window) < 0)
		dx_error(dsmx_cx_error(cx), err, "no memory for a limit");
	else
		err = input->ops->execute(input, cx, partition, &limit->input);
	if (err < 0) {
		if (limit != NULL)
			limit_close(&limit->stream);
		return err;
	}
	limit->stream.ops = &limit_stream_ops;
	limit->skip = bounds->offset;
	limit->left = bounds->count;
	*ret_stream = &limit->stream;
	return 0;
}

static const struct dsmx_operator_ops limit_ops = {
	.name = "Limit",
	.execute = limit_execute,
	.free = dx_op_free,
};

int dx_limit_make(const struct dsmx_rel *rel, struct dsmx_operator *input,
                  struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	struct dsmx_operator *op = dx_op_new(&limit_ops, rel, input);

	if (op == NULL)
		return dx_error(err, -ENOMEM, "no memory for a limit");
	*ret_operator = op;
	return 0;
}
