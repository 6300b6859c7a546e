/* SPDX-License-Identifier: MIT */
/*
 * leaf.c - rows of an ArrowArrayStream of the application's
 *
 * The stream stays the application's; it is read once, from its beginning to its end. Its get_next may block,
 * and then the whole thread waits: a leaf runs in the leader, whose thread is the application's own.
 */
#include "base/err.h"
#include "batch/import.h"
#include "exec/build.h"
#include "exec/eval.h"
#include "exec/op.h"

struct leaf_op {
	struct dsmx_operator op;
	const struct dsmx_rel *rel;
	struct ArrowArrayStream *arrow;
	bool executed;
};

struct leaf {
	struct dsmx_stream stream;
	struct leaf_op *op;
	struct dx_importer *importer; /* NULL: an empty partition, or the end */
	struct ArrowArray array;      /* release NULL: none at hand */
	uint64_t at;
	bool ended; /* with `end`: what every further poll gives */
	int end;
};

/* What the application said, as an error of ours: never one that stands for "later". */
static int arrow_error(const struct leaf_op *op, int code, struct dsmx_error *err)
{
	const char *why = NULL;

	if (op->arrow->get_last_error != NULL)
		why = op->arrow->get_last_error(op->arrow);
	if (code <= 0 || code > 4095 || code == EAGAIN)
		code = EIO;
	return dx_error(err, -code, "the stream \"%s\": %s", op->rel->leaf,
	                why != NULL ? why : dx_strerror(code));
}

static void drop_array(struct leaf *leaf)
{
	if (leaf->array.release != NULL)
		leaf->array.release(&leaf->array);
	leaf->array.release = NULL;
	leaf->at = 0;
}

/* Returns 1, 0 at the end, or an error. */
static int next_array(struct leaf *leaf, struct dsmx_error *err)
{
	int code;

	drop_array(leaf);
	code = leaf->op->arrow->get_next(leaf->op->arrow, &leaf->array);
	if (code != 0) {
		leaf->array.release = NULL;
		return arrow_error(leaf->op, code, err);
	}
	if (leaf->array.release != NULL)
		return 1;
	dx_importer_free(leaf->importer);
	leaf->importer = NULL;
	return 0;
}

static int leaf_next(struct leaf *leaf, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	uint64_t rows;
	int err;

	if (leaf->importer == NULL)
		return 0;
	while (leaf->array.release == NULL || leaf->at >= (uint64_t)leaf->array.length) {
		err = next_array(leaf, dsmx_cx_error(cx));
		if (err <= 0)
			return err;
		if (leaf->array.length < 0)
			return dx_error(dsmx_cx_error(cx), -EBADMSG,
			                "the stream \"%s\" gave an array of %lld rows",
			                leaf->op->rel->leaf, (long long)leaf->array.length);
		if (leaf->array.length == 0 && dsmx_cx_expired(cx)) {
			dsmx_cx_yield(cx);
			return -EAGAIN;
		}
	}
	rows = (uint64_t)leaf->array.length - leaf->at;
	if (rows > DX_VECTOR_ROWS)
		rows = DX_VECTOR_ROWS;
	err = dx_array_import(leaf->importer, &leaf->array, leaf->at, (uint32_t)rows, ret_batch,
	                      dsmx_cx_error(cx));
	if (err < 0)
		return err;
	leaf->at += rows;
	return 1;
}

static int leaf_poll(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct leaf *leaf = DX_CONTAINER(stream, struct leaf, stream);
	int err;

	if (leaf->ended)
		return leaf->end;
	err = leaf_next(leaf, cx, ret_batch);
	leaf->ended = err <= 0 && err != -EAGAIN;
	leaf->end = err;
	return err;
}

static void leaf_close(struct dsmx_stream *stream)
{
	struct leaf *leaf = DX_CONTAINER(stream, struct leaf, stream);

	drop_array(leaf);
	dx_importer_free(leaf->importer);
	free(leaf);
}

static const struct dsmx_stream_ops leaf_stream_ops = {
	.poll_next = leaf_poll,
	.close = leaf_close,
};

static int check_schema(const struct leaf_op *op, const struct dsmx_schema *is,
                        struct dsmx_error *err)
{
	const struct dsmx_schema *planned = &op->op.schema;

	if (is->field_count != planned->field_count)
		return dx_error(err, -EINVAL, "the stream \"%s\" has %u columns, the plan says %u",
		                op->rel->leaf, is->field_count, planned->field_count);
	for (uint32_t i = 0; i < is->field_count; i++) {
		char names[2][32];

		if (!dsmx_type_equal(is->fields[i].type, planned->fields[i].type))
			return dx_error(
				err, -EINVAL,
				"the stream \"%s\": column %u is %s, the plan says %s",
				op->rel->leaf, i,
				dsmx_type_format(is->fields[i].type, names[0], sizeof(names[0])),
				dsmx_type_format(planned->fields[i].type, names[1],
			                         sizeof(names[1])));
	}
	return 0;
}

static int read_schema(struct leaf *leaf, struct dsmx_error *err)
{
	struct leaf_op *op = leaf->op;
	struct ArrowSchema schema = { 0 };
	int code = op->arrow->get_schema(op->arrow, &schema);

	if (code != 0)
		return arrow_error(op, code, err);
	code = dx_importer_new(&schema, &leaf->importer, err);
	if (schema.release != NULL)
		schema.release(&schema);
	if (code < 0)
		return code;
	return check_schema(op, dx_importer_schema(leaf->importer), err);
}

static int leaf_execute(struct dsmx_operator *base, struct dsmx_cx *cx, uint32_t partition,
                        struct dsmx_stream **ret_stream)
{
	struct leaf_op *op = DX_CONTAINER(base, struct leaf_op, op);
	struct leaf *leaf;
	int err = 0;

	if (partition == 0 && op->executed)
		return dx_error(dsmx_cx_error(cx), -EINVAL, "the stream \"%s\" is read already",
		                op->rel->leaf);
	leaf = calloc(1, sizeof(*leaf));
	if (leaf == NULL)
		return dx_error(dsmx_cx_error(cx), -ENOMEM, "no memory for a leaf");
	leaf->stream.ops = &leaf_stream_ops;
	leaf->op = op;
	if (partition == 0)
		err = read_schema(leaf, dsmx_cx_error(cx));
	if (err < 0) {
		leaf_close(&leaf->stream);
		return err;
	}
	op->executed |= partition == 0;
	*ret_stream = &leaf->stream;
	return 0;
}

static void leaf_free(struct dsmx_operator *base)
{
	free(DX_CONTAINER(base, struct leaf_op, op));
}

static const struct dsmx_operator_ops leaf_ops = {
	.name = "Leaf",
	.execute = leaf_execute,
	.free = leaf_free,
};

int dx_leaf_make(struct dx_exec_env *env, const struct dsmx_rel *rel,
                 struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	struct ArrowArrayStream *arrow = NULL;
	struct leaf_op *op;

	if (env->find_leaf != NULL)
		arrow = env->find_leaf(env, rel->leaf);
	if (arrow == NULL || arrow->release == NULL)
		return dx_error(err, -ENOENT, "no stream \"%s\" in this process", rel->leaf);
	op = calloc(1, sizeof(*op));
	if (op == NULL)
		return dx_error(err, -ENOMEM, "no memory for a leaf");
	op->op.ops = &leaf_ops;
	op->op.schema = rel->schema;
	op->rel = rel;
	op->arrow = arrow;
	*ret_operator = &op->op;
	return 0;
}
