/* SPDX-License-Identifier: MIT */
/*
 * filter.c - rows for which a condition is true
 *
 * Nothing is copied: what comes out is what came in with fewer rows selected. Over a scan there is none of
 * these: the scan filters itself.
 */
#include "base/err.h"
#include "exec/build.h"
#include "exec/eval.h"
#include "exec/op.h"
#include "exec/window.h"

struct filter {
	struct dsmx_stream stream;
	struct dsmx_stream *input;
	struct dx_window *window;
	struct dx_eval *eval;
	bool ended; /* with `end`: what every further poll gives */
	int end;
	uint32_t rows[DX_VECTOR_ROWS];
};

/* The next rows of the batch at hand. Returns 1, 0: it has none left, or an error. */
static int filter_window(struct filter *filter, struct dsmx_batch *ret_batch,
                         struct dsmx_error *err)
{
	struct dsmx_batch batch;
	uint32_t count;

	while (dx_window_next(filter->window, &batch)) {
		int code = dx_eval_select(filter->eval, &batch, filter->rows, &count, err);

		if (code < 0)
			return code;
		if (count == 0)
			continue;
		if (count < batch.selected) {
			batch.selection = filter->rows;
			batch.selected = count;
		}
		*ret_batch = batch;
		return 1;
	}
	return 0;
}

static int filter_next(struct filter *filter, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct dsmx_batch batch;
	int err = filter_window(filter, ret_batch, dsmx_cx_error(cx));

	while (err == 0) {
		err = filter->input->ops->poll_next(filter->input, cx, &batch);
		if (err <= 0)
			return err;
		dx_window_set(filter->window, &batch);
		err = filter_window(filter, ret_batch, dsmx_cx_error(cx));
		if (err == 0 && dsmx_cx_expired(cx)) {
			dsmx_cx_yield(cx);
			return -EAGAIN;
		}
	}
	return err;
}

static int filter_poll(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct filter *filter = DX_CONTAINER(stream, struct filter, stream);
	int err;

	if (filter->ended)
		return filter->end;
	err = filter_next(filter, cx, ret_batch);
	filter->ended = err <= 0 && err != -EAGAIN;
	filter->end = err;
	return err;
}

static void filter_close(struct dsmx_stream *stream)
{
	struct filter *filter = DX_CONTAINER(stream, struct filter, stream);

	dx_stream_close(filter->input);
	dx_window_free(filter->window);
	dx_eval_free(filter->eval);
	free(filter);
}

static const struct dsmx_stream_ops filter_stream_ops = {
	.poll_next = filter_poll,
	.close = filter_close,
};

static int filter_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                          struct dsmx_stream **ret_stream)
{
	struct dsmx_operator *input = op->inputs[0];
	struct filter *filter = calloc(1, sizeof(*filter));
	int err;

	if (filter == NULL)
		return dx_error(dsmx_cx_error(cx), -ENOMEM, "no memory for a filter");
	filter->stream.ops = &filter_stream_ops;
	err = dx_window_new(&input->schema, &filter->window);
	if (err < 0)
		dx_error(dsmx_cx_error(cx), err, "no memory for a filter");
	else
		err = dx_eval_new(dx_op_rel(op)->condition, &filter->eval, dsmx_cx_error(cx));
	if (err == 0)
		err = input->ops->execute(input, cx, partition, &filter->input);
	if (err < 0) {
		filter_close(&filter->stream);
		return err;
	}
	*ret_stream = &filter->stream;
	return 0;
}

static const struct dsmx_operator_ops filter_ops = {
	.name = "Filter",
	.execute = filter_execute,
	.free = dx_op_free,
};

int dx_filter_make(const struct dsmx_rel *rel, struct dsmx_operator *input,
                   struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	struct dsmx_operator *op = dx_op_new(&filter_ops, rel, input);

	if (op == NULL)
		return dx_error(err, -ENOMEM, "no memory for a filter");
	*ret_operator = op;
	return 0;
}
