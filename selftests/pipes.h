/* SPDX-License-Identifier: MIT */
/*
 * pipes.h - operators over other streams, for tests: an operator is a function that polls its inputs
 *
 *	stamp	what comes, with two columns more: the task that it passed, and the how manieth row there
 *	zip	a batch of the left input, a batch of the right one, and so on
 *	break	what comes, until a row of a given number: then a failure of a given code
 */
#ifndef DX_SELFTESTS_PIPES_H
#define DX_SELFTESTS_PIPES_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "dsmx/exec.h"

#define PIPE_COLUMNS 16
#define PIPE_BYTES   1024

struct pipe_kind {
	struct dsmx_operator_ops ops;
	struct dsmx_stream_ops stream_ops;
	uint32_t input_count;
	size_t len; /* of each one's bytes in the plan */
};

struct pipe_op {
	struct dsmx_operator op; /* must be first */
	const struct pipe_kind *kind;
	_Alignas(16) char bytes[PIPE_BYTES]; /* as they are in the plan */
};

struct pipe_stream {
	struct dsmx_stream stream; /* must be first */
	const struct pipe_op *op;
	struct dsmx_stream *inputs[DSMX_OPERATOR_INPUTS];
	uint32_t task;
	int64_t rows;
	uint32_t turn;
	uint32_t ended;
	struct dsmx_column columns[PIPE_COLUMNS];
	int64_t *tasks, *numbers;
};

static inline const void *pipe_bytes(const struct pipe_stream *stream)
{
	return stream->op->bytes;
}

static inline void pipe_close(struct dsmx_stream *stream)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;

	for (int i = 0; i < DSMX_OPERATOR_INPUTS; i++)
		if (s->inputs[i] != NULL)
			s->inputs[i]->ops->close(s->inputs[i]);
	free(s->tasks);
	free(s->numbers);
	free(s);
}

static inline void pipe_free(struct dsmx_operator *op)
{
	for (uint32_t i = 0; i < op->input_count; i++)
		op->inputs[i]->ops->free(op->inputs[i]);
	free(op);
}

static inline int pipe_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                               struct dsmx_stream **ret_stream)
{
	struct pipe_stream *s = calloc(1, sizeof(*s));
	int r = s == NULL ? -ENOMEM : 0;

	for (uint32_t i = 0; r == 0 && i < op->input_count; i++)
		r = op->inputs[i]->ops->execute(op->inputs[i], cx, partition, &s->inputs[i]);
	if (r != 0) {
		if (s != NULL)
			pipe_close(&s->stream);
		return r;
	}
	s->op = (struct pipe_op *)op;
	s->stream.ops = &s->op->kind->stream_ops;
	s->task = partition;
	*ret_stream = &s->stream;
	return 0;
}

static inline int pipe_make(const struct pipe_kind *kind, const void *bytes, size_t len,
                            const struct dsmx_schema *output, struct dsmx_operator **inputs,
                            uint32_t input_count, struct dsmx_operator **ret_operator)
{
	struct pipe_op *op;

	if (input_count != kind->input_count || len != kind->len || len > PIPE_BYTES)
		return -EINVAL;
	op = calloc(1, sizeof(*op));
	if (op == NULL)
		return -ENOMEM;
	op->op = (struct dsmx_operator){ .ops = &kind->ops,
		                         .schema = *output,
		                         .input_count = input_count };
	memcpy(op->op.inputs, inputs, input_count * sizeof(struct dsmx_operator *));
	op->kind = kind;
	if (len > 0)
		memcpy(op->bytes, bytes, len);
	*ret_operator = &op->op;
	return 0;
}

#define PIPE_KIND(name, next, inputs, len)                                                         \
	{ { name, pipe_execute, pipe_free }, { next, pipe_close }, inputs, len }

/* The maker of such operators, for a table of extensions. */
#define PIPE(maker, name, next, inputs, bytes_len)                                                 \
	static inline int maker(const void *bytes, size_t len, const struct dsmx_schema *output,   \
	                        struct dsmx_operator **in, uint32_t in_count,                      \
	                        struct dsmx_operator **ret_operator, struct dsmx_error *err)       \
	{                                                                                          \
		static const struct pipe_kind kind = PIPE_KIND(name, next, inputs, bytes_len);     \
                                                                                                   \
		(void)err;                                                                         \
		return pipe_make(&kind, bytes, len, output, in, in_count, ret_operator);           \
	}

static inline int stamp_next(struct dsmx_stream *stream, struct dsmx_cx *cx,
                             struct dsmx_batch *ret_batch)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;
	int r = s->inputs[0]->ops->poll_next(s->inputs[0], cx, ret_batch);
	uint32_t n = ret_batch->column_count;
	size_t bytes = sizeof(int64_t) * ret_batch->length;

	if (r != 1)
		return r;
	s->tasks = realloc(s->tasks, bytes + 1);
	s->numbers = realloc(s->numbers, bytes + 1);
	if (s->tasks == NULL || s->numbers == NULL || n + 2 > PIPE_COLUMNS)
		abort();
	for (uint32_t i = 0; i < ret_batch->length; i++)
		s->tasks[i] = s->task;
	for (uint32_t i = 0; i < ret_batch->selected; i++)
		s->numbers[ret_batch->selection != NULL ? ret_batch->selection[i] : i] = s->rows++;
	memcpy(s->columns, ret_batch->columns, n * sizeof(*s->columns));
	s->columns[n] = (struct dsmx_column){ .values = s->tasks };
	s->columns[n + 1] = (struct dsmx_column){ .values = s->numbers };
	ret_batch->columns = s->columns;
	ret_batch->column_count = n + 2;
	ret_batch->lease = NULL;
	return 1;
}

PIPE(stamp_make, "Stamp", stamp_next, 1, 0)

static inline int zip_next(struct dsmx_stream *stream, struct dsmx_cx *cx,
                           struct dsmx_batch *ret_batch)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;

	while (s->ended != 3) {
		struct dsmx_stream *input = s->inputs[s->turn];
		int r = input->ops->poll_next(input, cx, ret_batch);

		if (r < 0)
			return r;
		if (r == 0)
			s->ended |= 1U << s->turn;
		if ((s->ended & 1U << (1 - s->turn)) == 0)
			s->turn = 1 - s->turn;
		if (r == 1)
			return 1;
	}
	return 0;
}

PIPE(zip_make, "Zip", zip_next, 2, 0)

struct break_bytes {
	int64_t after;
	int32_t code;
	int32_t task; /* -1: every one */
};

static inline int break_next(struct dsmx_stream *stream, struct dsmx_cx *cx,
                             struct dsmx_batch *ret_batch)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;
	const struct break_bytes *how = pipe_bytes(s);
	int r;

	if (s->rows >= how->after && (how->task < 0 || s->task == (uint32_t)how->task))
		return dx_error(dsmx_cx_error(cx), how->code, "task %u broke after %lld rows",
		                s->task, (long long)s->rows);
	r = s->inputs[0]->ops->poll_next(s->inputs[0], cx, ret_batch);
	if (r == 1)
		s->rows += ret_batch->selected;
	return r;
}

PIPE(break_make, "Break", break_next, 1, sizeof(struct break_bytes))

#endif /* DX_SELFTESTS_PIPES_H */
