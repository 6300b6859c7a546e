/* SPDX-License-Identifier: MIT */
/* op.h - what operators have in common */
#ifndef DX_EXEC_OP_H
#define DX_EXEC_OP_H

#include <stdlib.h>

#include "base/compiler.h"
#include "dsmx/exec.h"
#include "plan/node.h"

/* An operator that keeps nothing but its relation. */
struct dx_op {
	struct dsmx_operator op;
	const struct dsmx_rel *rel;
};

static inline void dx_operator_free_inputs(struct dsmx_operator *op)
{
	for (uint32_t i = 0; i < op->input_count; i++)
		op->inputs[i]->ops->free(op->inputs[i]);
}

static inline void dx_op_free(struct dsmx_operator *op)
{
	dx_operator_free_inputs(op);
	free(DX_CONTAINER(op, struct dx_op, op));
}

/* An operator over @input (NULL: a leaf), made by @ops. Returns NULL without memory. */
static inline struct dsmx_operator *dx_op_new(const struct dsmx_operator_ops *ops,
                                              const struct dsmx_rel *rel,
                                              struct dsmx_operator *input)
{
	struct dx_op *op = calloc(1, sizeof(*op));

	if (op == NULL)
		return NULL;
	op->op.ops = ops;
	op->op.schema = rel->schema;
	op->rel = rel;
	if (input != NULL)
		op->op.inputs[op->op.input_count++] = input;
	return &op->op;
}

static inline const struct dsmx_rel *dx_op_rel(struct dsmx_operator *op)
{
	return DX_CONTAINER(op, struct dx_op, op)->rel;
}

static inline void dx_stream_close(struct dsmx_stream *stream)
{
	if (stream != NULL)
		stream->ops->close(stream);
}

#endif /* DX_EXEC_OP_H */
