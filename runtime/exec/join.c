/* SPDX-License-Identifier: MIT */
/*
 * join.c - the hash join: inner, left, semi, anti
 *
 * The right input is the build side. It is copied, indexed, and only then is the left input executed: until
 * the join knows what to look for, nothing to the left of it has been asked to run, and if the build side is
 * empty and no row can come of it, nothing ever is.
 *
 *	BUILD --right ends--> INDEX --ready--> FILTER --> OPEN --left executed--> PROBE --left ends--> DONE
 *	                                                   '--nothing can match--------------------------'
 *
 * In between, what the build keys are is put into a filter and offered to the scan or exchange that the probe
 * keys come from (offer.h), which is only executed then. A join that has no memory for it does without.
 */
#include "exec/join.h"

#include <stdlib.h>

#include "base/err.h"
#include "exec/offer.h"

enum phase {
	BUILD,
	INDEX,
	FILTER,
	OPEN,
	PROBE,
	DONE,
};

struct join_stream {
	struct dsmx_stream base;
	struct dx_join_operator *op;
	uint32_t partition;
	enum phase phase;
	struct dsmx_stream *left, *right; /* NULL: not executed, or closed */
	struct dx_builder *builder;
	struct dx_window *window; /* through a batch of the build side */
	struct dx_join_index index;
	struct dx_join_probe probe;
	bool probing; /* a batch of the left input is not done */
	int failed;   /* what every later poll returns again */
	struct dx_key_filter filter;
	struct dx_filter_hashes hashes;
	struct dx_offer_filter offer; /* of it, to those below the left input */
};

/* --- building ------------------------------------------------------------------------------------------ */

static int fail(struct join_stream *stream, struct dsmx_cx *cx, int code)
{
	unsigned long long rows = dx_builder_rows(stream->builder);

	if (code == -ENOMEM)
		return dx_error(
			dsmx_cx_error(cx), code,
			"a hash join ran out of memory with %llu rows (%llu bytes) on its "
			"build side; use more workers, or join the smaller side to the right",
			rows, (unsigned long long)dx_builder_bytes(stream->builder));
	if (code == -ERANGE)
		return dx_error(dsmx_cx_error(cx), code,
		                "a text column of a hash join's build side passes 2 GiB after %llu "
		                "rows; use more workers, or large_utf8",
		                rows);
	return dx_error(dsmx_cx_error(cx), code,
	                "a hash join cannot hold its build side of %llu rows: %s", rows,
	                dx_strerror(code));
}

/* Copies build rows until the slice or the right input ends. */
static int build(struct join_stream *stream, struct dsmx_cx *cx)
{
	struct dsmx_batch batch;
	int err;

	do {
		while (dx_window_next(stream->window, &batch)) {
			if (dx_builder_rows(stream->builder) + batch.selected > DX_TABLE_KEYS_MAX)
				return fail(stream, cx, -E2BIG);
			err = dx_builder_append(stream->builder, &batch);
			if (err < 0)
				return fail(stream, cx, err);
			if (dsmx_cx_expired(cx)) {
				dsmx_cx_yield(cx);
				return -EAGAIN;
			}
		}
		err = stream->right->ops->poll_next(stream->right, cx, &batch);
		if (err < 0)
			return err;
		if (err > 0)
			dx_window_set(stream->window, &batch);
	} while (err > 0);

	stream->right->ops->close(stream->right);
	stream->right = NULL;
	dx_builder_view(stream->builder, &batch);
	err = dx_join_index_start(&stream->index, &batch);
	if (err < 0)
		return fail(stream, cx, err);
	dx_join_probe_start(&stream->probe, &stream->index, &batch);
	stream->phase = INDEX;
	return 0;
}

/* --- the filter ---------------------------------------------------------------------------------------- */

static void drop_filter(struct join_stream *stream)
{
	if (stream->offer.filter != NULL)
		dx_filter_withdraw(stream->op->env, &stream->offer);
	stream->offer.filter = NULL;
	dx_filter_hashes_fini(&stream->hashes);
	dx_key_filter_fini(&stream->filter);
}

static void offer_filter(struct join_stream *stream)
{
	stream->offer.rel = stream->op->target.rel;
	stream->offer.partition = stream->partition;
	stream->offer.filter = &stream->filter;
	dx_filter_offer(stream->op->env, &stream->offer);
}

/* For a scan in this fragment the index itself will do, if it is a row of bits. */
static void begin_filter(struct join_stream *stream)
{
	const struct dx_join_operator *op = stream->op;
	const struct dsmx_field *fields = op->base.inputs[1]->schema.fields;
	struct dsmx_type types[DSMX_FILTER_KEYS_MAX];

	if (op->target.rel->kind == DX_REL_SCAN && stream->index.is_dense) {
		dx_key_filter_of_bits(&stream->filter, op->target.columns[0], &stream->index);
		offer_filter(stream);
		return;
	}
	for (uint32_t i = 0; i < op->target.key_count; i++)
		types[i] = fields[op->join->right_keys[op->target.keys[i]]].type;
	if (dx_key_filter_init(&stream->filter, types, op->target.columns, op->target.key_count,
	                       stream->index.numbered, DSMX_FILTER_BYTES_MAX / 2) < 0)
		return;
	/* Neither a Bloom filter nor ranges: there is nothing to say. */
	if (stream->filter.word_count == 0 && stream->filter.ranged == 0)
		return;
	dx_window_set(stream->window, &stream->index.rows);
	stream->phase = FILTER;
}

static int make_index(struct join_stream *stream, struct dsmx_cx *cx)
{
	int err;

	while ((err = dx_join_index_step(&stream->index)) == 0) {
		if (dsmx_cx_expired(cx)) {
			dsmx_cx_yield(cx);
			return -EAGAIN;
		}
	}
	if (err < 0)
		return fail(stream, cx, err);
	stream->phase = OPEN;
	if (stream->op->target.rel != NULL && stream->index.numbered > 0)
		begin_filter(stream);
	return 0;
}

/* Its keys, a vector at a time. */
static int make_filter(struct join_stream *stream, struct dsmx_cx *cx)
{
	const struct dx_join_operator *op = stream->op;
	uint32_t columns[DSMX_FILTER_KEYS_MAX];
	struct dsmx_batch batch;

	for (uint32_t i = 0; i < op->target.key_count; i++)
		columns[i] = op->join->right_keys[op->target.keys[i]];
	while (dx_window_next(stream->window, &batch)) {
		int err = dx_key_filter_add(&stream->filter, &op->base.inputs[1]->schema, columns,
		                            &batch, &stream->hashes);

		if (err < 0) {
			drop_filter(stream);
			break;
		}
		if (dsmx_cx_expired(cx)) {
			dsmx_cx_yield(cx);
			return -EAGAIN;
		}
	}
	dx_filter_hashes_fini(&stream->hashes);
	stream->phase = OPEN;
	if (stream->filter.key_count > 0)
		offer_filter(stream);
	return 0;
}

/* --- probing ------------------------------------------------------------------------------------------- */

static int open_left(struct join_stream *stream, struct dsmx_cx *cx)
{
	struct dsmx_operator *left = stream->op->base.inputs[0];
	enum dsmx_join_kind kind = stream->op->join->kind;
	bool needs_match = kind == DSMX_JOIN_INNER || kind == DSMX_JOIN_SEMI;
	int err;

	if (needs_match && stream->index.numbered == 0) {
		stream->phase = DONE;
		return 0;
	}
	err = left->ops->execute(left, cx, stream->partition, &stream->left);
	if (err < 0)
		return err;
	stream->phase = PROBE;
	return 0;
}

static int probe(struct join_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct dsmx_batch batch;
	int err;

	for (;;) {
		while (stream->probing) {
			err = dx_join_probe_step(&stream->probe, ret_batch, dsmx_cx_error(cx));
			if (err == 1)
				return 1;
			if (err == -ENODATA)
				stream->probing = false;
			else if (err < 0)
				return err;
			if (dsmx_cx_expired(cx)) {
				dsmx_cx_yield(cx);
				return -EAGAIN;
			}
		}
		err = stream->left->ops->poll_next(stream->left, cx, &batch);
		if (err < 0)
			return err;
		if (err == 0)
			break;
		dx_join_probe_batch(&stream->probe, &batch);
		stream->probing = true;
	}
	stream->left->ops->close(stream->left);
	stream->left = NULL;
	drop_filter(stream);
	stream->phase = DONE;
	return 0;
}

static int poll_join(struct join_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	int err = 0;

	while (err == 0) {
		switch (stream->phase) {
		case BUILD:
			err = build(stream, cx);
			break;
		case INDEX:
			err = make_index(stream, cx);
			break;
		case FILTER:
			err = make_filter(stream, cx);
			break;
		case OPEN:
			err = open_left(stream, cx);
			break;
		case PROBE:
			err = probe(stream, cx, ret_batch);
			break;
		case DONE:
			return 0;
		}
	}
	return err;
}

static int join_poll_next(struct dsmx_stream *base, struct dsmx_cx *cx,
                          struct dsmx_batch *ret_batch)
{
	struct join_stream *stream = DX_CONTAINER(base, struct join_stream, base);
	int err;

	if (stream->failed < 0)
		return stream->failed;
	err = poll_join(stream, cx, ret_batch);
	if (err < 0 && err != -EAGAIN)
		stream->failed = err;
	return err;
}

static void join_close(struct dsmx_stream *base)
{
	struct join_stream *stream = DX_CONTAINER(base, struct join_stream, base);

	if (stream->left != NULL)
		stream->left->ops->close(stream->left);
	if (stream->right != NULL)
		stream->right->ops->close(stream->right);
	drop_filter(stream);
	dx_join_probe_fini(&stream->probe);
	dx_join_index_fini(&stream->index);
	dx_window_free(stream->window);
	dx_builder_free(stream->builder);
	free(stream);
}

static const struct dsmx_stream_ops join_stream_ops = {
	.poll_next = join_poll_next,
	.close = join_close,
};

/* --- the operator -------------------------------------------------------------------------------------- */

static int start_stream(struct join_stream *stream, struct dsmx_cx *cx)
{
	const struct dx_join *join = stream->op->join;
	struct dsmx_operator *right = stream->op->base.inputs[1];
	bool exists_only = join->condition == NULL &&
	                   (join->kind == DSMX_JOIN_SEMI || join->kind == DSMX_JOIN_ANTI);
	int err;

	err = dx_builder_new(&right->schema, &stream->builder);
	if (err == 0)
		err = dx_window_new(&right->schema, &stream->window);
	if (err == 0)
		err = dx_join_index_init(&stream->index, &right->schema, join->right_keys,
		                         join->key_count, stream->op->wide,
		                         join->key_count == 1 && !stream->op->wide[0], exists_only);
	if (err == 0)
		err = dx_join_probe_init(&stream->probe, stream->op, dsmx_cx_error(cx));
	if (err == 0)
		err = right->ops->execute(right, cx, stream->partition, &stream->right);
	return err;
}

static int join_execute(struct dsmx_operator *base, struct dsmx_cx *cx, uint32_t partition,
                        struct dsmx_stream **ret_stream)
{
	struct join_stream *stream = calloc(1, sizeof(*stream));
	int err;

	if (stream == NULL)
		return dx_error(dsmx_cx_error(cx), -ENOMEM, "no memory to start a hash join");
	stream->base.ops = &join_stream_ops;
	stream->op = DX_CONTAINER(base, struct dx_join_operator, base);
	stream->partition = partition;
	err = start_stream(stream, cx);
	if (err < 0) {
		join_close(&stream->base);
		if (err == -ENOMEM)
			(void)dx_error(dsmx_cx_error(cx), err, "no memory to start a hash join");
		return err;
	}
	*ret_stream = &stream->base;
	return 0;
}

static void join_free(struct dsmx_operator *base)
{
	struct dx_join_operator *op = DX_CONTAINER(base, struct dx_join_operator, base);

	for (uint32_t i = 0; i < base->input_count; i++)
		base->inputs[i]->ops->free(base->inputs[i]);
	free(op->wide);
	free(op->condition_uses);
	free(op);
}

static const struct dsmx_operator_ops join_ops = {
	.name = "HashJoin",
	.execute = join_execute,
	.free = join_free,
};

/* Are two key columns comparable, and must decimals be written wide for it? */
static int check_key(struct dsmx_type left, struct dsmx_type right, bool *ret_wide,
                     struct dsmx_error *err)
{
	char names[2][24];

	*ret_wide = false;
	if (left.id == DSMX_DECIMAL && right.id == DSMX_DECIMAL && left.scale == right.scale) {
		*ret_wide = dsmx_type_width(left) != dsmx_type_width(right);
		return 0;
	}
	if (dsmx_type_equal(left, right))
		return 0;
	return dx_error(err, -EINVAL, "a join compares %s with %s; cast one of them",
	                dsmx_type_format(left, names[0], sizeof(names[0])),
	                dsmx_type_format(right, names[1], sizeof(names[1])));
}

static void mark_columns(const struct dsmx_expr *expr, bool *uses)
{
	if (expr->kind == DX_EXPR_COLUMN)
		uses[expr->column] = true;
	for (uint32_t i = 0; i < expr->arg_count; i++)
		mark_columns(expr->args[i], uses);
}

static int fill_operator(struct dx_join_operator *op, const struct dsmx_schema *left,
                         const struct dsmx_schema *right, struct dsmx_error *err)
{
	const struct dx_join *join = op->join;
	bool pairs = join->kind == DSMX_JOIN_INNER || join->kind == DSMX_JOIN_LEFT;

	if (op->base.schema.field_count != left->field_count + (pairs ? right->field_count : 0))
		return dx_error(err, -EINVAL, "a join has not the columns of its inputs");
	op->wide = calloc(join->key_count > 0 ? join->key_count : 1, sizeof(*op->wide));
	if (op->wide == NULL)
		return dx_error(err, -ENOMEM, "no memory for a hash join");
	for (uint32_t i = 0; i < join->key_count; i++) {
		int ret;

		if (join->left_keys[i] >= left->field_count ||
		    join->right_keys[i] >= right->field_count)
			return dx_error(err, -EINVAL, "key %u of a join is no column", i);
		ret = check_key(left->fields[join->left_keys[i]].type,
		                right->fields[join->right_keys[i]].type, &op->wide[i], err);
		if (ret < 0)
			return ret;
	}
	if (join->condition == NULL)
		return 0;
	op->condition_uses =
		calloc((size_t)left->field_count + right->field_count + 1, sizeof(bool));
	if (op->condition_uses == NULL)
		return dx_error(err, -ENOMEM, "no memory for a hash join");
	mark_columns(join->condition, op->condition_uses);
	return 0;
}

int dx_join_make(struct dx_exec_env *env, const struct dsmx_rel *rel, struct dsmx_operator *left,
                 struct dsmx_operator *right, struct dsmx_operator **ret_operator,
                 struct dsmx_error *err)
{
	struct dx_join_operator *op = calloc(1, sizeof(*op));
	int ret;

	if (op == NULL)
		return dx_error(err, -ENOMEM, "no memory for a hash join");
	op->base.ops = &join_ops;
	op->base.schema = rel->schema;
	op->join = &rel->join;
	ret = fill_operator(op, &left->schema, &right->schema, err);
	if (ret < 0) {
		join_free(&op->base);
		return ret;
	}
	op->base.inputs[0] = left;
	op->base.inputs[1] = right;
	op->base.input_count = 2;
	op->env = env;
	if (env != NULL)
		(void)dx_join_filter_target(rel, &op->target);
	*ret_operator = &op->base;
	return 0;
}
