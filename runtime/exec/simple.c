/* SPDX-License-Identifier: MIT */
/* simple.c - see struct dsmx_simple_ops: the boilerplate of an operator, once */
#include <stdlib.h>

#include "base/cx.h"
#include "base/err.h"

struct simple {
	struct dsmx_operator op; /* must be first */
	const struct dsmx_simple_ops *ops;
	struct dsmx_operator_ops op_ops; /* has the name */
	void *state;
};

struct simple_stream {
	struct dsmx_stream stream; /* must be first */
	struct simple *simple;
	struct dsmx_stream *input; /* NULL: a leaf */
};

static int simple_next(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct simple_stream *s = (struct simple_stream *)stream;

	return s->simple->ops->next(s->simple->state, s->input, cx, ret_batch);
}

static void simple_close(struct dsmx_stream *stream)
{
	struct simple_stream *s = (struct simple_stream *)stream;

	if (s->input != NULL)
		s->input->ops->close(s->input);
	free(s);
}

static const struct dsmx_stream_ops simple_stream_ops = { simple_next, simple_close };

static int simple_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                          struct dsmx_stream **ret_stream)
{
	struct simple_stream *s = calloc(1, sizeof(*s));
	int r = 0;

	if (s == NULL)
		return dx_error(cx->err, -ENOMEM, "%s: no memory", op->ops->name);
	s->stream.ops = &simple_stream_ops;
	s->simple = (struct simple *)op;
	if (op->input_count > 0)
		r = op->inputs[0]->ops->execute(op->inputs[0], cx, partition, &s->input);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret_stream = &s->stream;
	return 0;
}

static void simple_free(struct dsmx_operator *op)
{
	struct simple *s = (struct simple *)op;

	if (op->input_count > 0)
		op->inputs[0]->ops->free(op->inputs[0]);
	if (s->ops->free != NULL)
		s->ops->free(s->state);
	free(s);
}

int dsmx_simple_new(const struct dsmx_simple_ops *ops, void *state,
                    const struct dsmx_schema *schema, struct dsmx_operator *input,
                    struct dsmx_operator **ret_operator)
{
	struct simple *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->ops = ops;
	s->state = state;
	s->op_ops = (struct dsmx_operator_ops){ ops->name, simple_execute, simple_free };
	s->op = (struct dsmx_operator){ .ops = &s->op_ops,
		                        .schema = *schema,
		                        .input_count = input != NULL,
		                        .inputs = { input } };
	*ret_operator = &s->op;
	return 0;
}
