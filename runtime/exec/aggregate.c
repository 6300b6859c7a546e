/* SPDX-License-Identifier: MIT */
/*
 * aggregate.c - the hash aggregate
 *
 * Each vector of the input: evaluate keys and arguments, number the groups of its rows, then let each
 * accumulator run over (group, value). At the end the groups come out as rows, in the order in which they
 * came.
 *
 *	READ --input ends--> GIVE --last group--> DONE
 *	  '---table full-----> GIVE --last group--> READ		(PARTIAL only)
 *
 * A PARTIAL aggregate is there to make less rows of many. Once its table has outgrown the caches, it costs
 * more than it saves unless most rows still find their group: then it gives out what it has and begins anew.
 * A group may so come out several times; FINAL puts it together.
 */
#include "exec/aggregate.h"

#include <stdlib.h>

#include "base/err.h"

/* A PARTIAL table beyond this must have seen so many rows for each group, or is given out. */
#define PARTIAL_BYTES       (2U << 20)
#define PARTIAL_REDUCTION   4U
#define PARTIAL_BYTES_LIMIT (64U << 20)

enum phase {
	READ,
	GIVE,
	DONE,
};

/* The vectors of one piece of input: evaluators for expressions, gathers for plain columns. */
struct inputs {
	struct dx_eval **evals;
	struct dx_gather **gathers;
	struct dx_vector *vectors;
};

struct aggregate_stream {
	struct dsmx_stream base;
	struct dx_aggregate_operator *op;
	enum phase phase;
	bool ended; /* the input is; else GIVE leads back to READ */
	int failed;
	struct dsmx_stream *input;
	struct dx_window *window;
	struct inputs in;
	struct dx_aggregate_groups groups;
	struct dx_aggregate_result result;
	uint32_t *numbers; /* the group of each row of a piece */
	uint64_t rows;     /* taken in since the table was empty */
	uint32_t given;
};

static bool has_keys(const struct aggregate_stream *stream)
{
	return stream->op->aggregate->key_count > 0;
}

static size_t bytes_used(const struct dx_aggregate_operator *op,
                         const struct dx_aggregate_groups *groups)
{
	size_t bytes = dx_table_used(&groups->table);

	for (uint32_t i = 0; i < op->state_count; i++)
		bytes += dx_accumulator_used(&groups->accumulators[i]);
	return bytes;
}

static int fail(const struct aggregate_stream *stream, struct dsmx_cx *cx, int code)
{
	return dx_error(dsmx_cx_error(cx), code,
	                "an aggregate of %u groups, %zu bytes, cannot go on: %s; use more workers",
	                stream->groups.count, bytes_used(stream->op, &stream->groups),
	                dx_strerror(code));
}

/* --- one piece of input -------------------------------------------------------------------------------- */

static int run_inputs(struct aggregate_stream *stream, struct dsmx_cx *cx,
                      const struct dsmx_batch *piece)
{
	const struct dx_aggregate_operator *op = stream->op;
	int err;

	for (uint32_t i = 0; i < op->source_count; i++) {
		struct dx_vector *vector = &stream->in.vectors[i];

		if (op->sources[i].expr != NULL) {
			err = dx_eval_run(stream->in.evals[i], piece, vector, dsmx_cx_error(cx));
			if (err < 0)
				return err;
			continue;
		}
		err = dx_gather_run(stream->in.gathers[i], piece, op->sources[i].column, vector);
		if (err < 0)
			return fail(stream, cx, err);
	}
	return 0;
}

/* The group of each row, new ones included. */
static int number_groups(struct aggregate_stream *stream, uint32_t count)
{
	struct dx_aggregate_groups *groups = &stream->groups;
	int err;

	err = dx_keys_encode(&groups->keys, stream->in.vectors, count);
	if (err == 0)
		err = dx_table_insert(&groups->table, &groups->keys, count, false, stream->numbers);
	groups->count = groups->table.count;
	return err;
}

static int overflow(const struct aggregate_stream *stream, struct dsmx_cx *cx, uint32_t state)
{
	const struct dx_aggregate *aggregate = stream->op->aggregate;
	const char *type = stream->op->states[state].type.id == DSMX_INT64
	                           ? "an int64"
	                           : "a decimal of 38 digits";
	uint32_t measure = 0;

	while (measure + 1 < aggregate->measure_count && stream->op->parts[measure].value != state)
		measure++;
	return dx_error(dsmx_cx_error(cx), -ERANGE,
	                "the sum for measure %u of an aggregate does not fit %s; cast its argument "
	                "to a wider type",
	                measure + 1, type);
}

static int take_piece(struct aggregate_stream *stream, struct dsmx_cx *cx,
                      const struct dsmx_batch *piece)
{
	const struct dx_aggregate_operator *op = stream->op;
	struct dx_aggregate_groups *groups = &stream->groups;
	uint32_t *numbers = has_keys(stream) ? stream->numbers : NULL;
	int err = run_inputs(stream, cx, piece);

	if (err < 0)
		return err;
	if (has_keys(stream)) {
		err = number_groups(stream, piece->selected);
		if (err < 0)
			return fail(stream, cx, err);
	}
	for (uint32_t i = 0; i < op->state_count; i++) {
		struct dx_accumulator *acc = &groups->accumulators[i];

		err = dx_accumulator_reserve(acc, groups->count);
		if (err == 0)
			err = dx_accumulator_update(acc, numbers,
			                            &stream->in.vectors[op->states[i].source],
			                            piece->selected);
		if (err == -ERANGE)
			return overflow(stream, cx, i);
		if (err < 0)
			return fail(stream, cx, err);
	}
	stream->rows += piece->selected;
	return 0;
}

/* --- read ---------------------------------------------------------------------------------------------- */

static bool is_full(const struct aggregate_stream *stream)
{
	size_t bytes;

	if (stream->op->aggregate->phase != DX_PHASE_PARTIAL || !has_keys(stream))
		return false;
	bytes = bytes_used(stream->op, &stream->groups);
	return bytes > PARTIAL_BYTES_LIMIT ||
	       (bytes > PARTIAL_BYTES &&
	        stream->rows < (uint64_t)stream->groups.count * PARTIAL_REDUCTION);
}

static int yield(struct dsmx_cx *cx)
{
	dsmx_cx_yield(cx);
	return -EAGAIN;
}

/* Room for the groups of one more piece. Returns 0, -EAGAIN when the slice ends before it is there, ... */
static int make_room(struct aggregate_stream *stream, struct dsmx_cx *cx)
{
	int err;

	if (!has_keys(stream))
		return 0;
	while ((err = dx_table_reserve(&stream->groups.table, DX_VECTOR_ROWS)) == 0)
		if (dsmx_cx_expired(cx))
			return yield(cx);
	return err < 0 ? fail(stream, cx, err) : 0;
}

/* Takes in pieces until the slice or the input ends, or the table is full. */
static int read_input(struct aggregate_stream *stream, struct dsmx_cx *cx)
{
	struct dsmx_batch batch;
	int err;

	for (;;) {
		err = make_room(stream, cx);
		if (err < 0)
			return err;
		if (dx_window_next(stream->window, &batch)) {
			err = take_piece(stream, cx, &batch);
			if (err < 0)
				return err;
			if (is_full(stream)) {
				stream->phase = GIVE;
				return 0;
			}
			if (dsmx_cx_expired(cx))
				return yield(cx);
			continue;
		}
		err = stream->input->ops->poll_next(stream->input, cx, &batch);
		if (err < 0)
			return err;
		if (err == 0)
			break;
		dx_window_set(stream->window, &batch);
	}
	stream->input->ops->close(stream->input);
	stream->input = NULL;
	stream->ended = true;
	stream->phase = GIVE;
	return 0;
}

/* --- give ---------------------------------------------------------------------------------------------- */

static int give_groups(struct aggregate_stream *stream, struct dsmx_cx *cx,
                       struct dsmx_batch *ret_batch)
{
	struct dx_aggregate_groups *groups = &stream->groups;
	uint32_t left = groups->count - stream->given;
	uint32_t count = left < DX_VECTOR_ROWS ? left : DX_VECTOR_ROWS;
	int err;

	if (count > 0) {
		err = dx_aggregate_result_run(&stream->result, groups, stream->given, count,
		                              ret_batch, dsmx_cx_error(cx));
		stream->given += count;
		return err < 0 ? err : 1;
	}
	if (stream->ended) {
		stream->phase = DONE;
		return 0;
	}
	for (uint32_t i = 0; i < stream->op->state_count; i++)
		dx_accumulator_clear(&groups->accumulators[i]);
	dx_table_clear(&groups->table);
	groups->count = 0;
	stream->given = 0;
	stream->rows = 0;
	stream->phase = READ;
	return 0;
}

static int aggregate_poll_next(struct dsmx_stream *base, struct dsmx_cx *cx,
                               struct dsmx_batch *ret_batch)
{
	struct aggregate_stream *stream = DX_CONTAINER(base, struct aggregate_stream, base);
	int err = stream->failed;

	while (err == 0 && stream->phase != DONE)
		err = stream->phase == READ ? read_input(stream, cx)
		                            : give_groups(stream, cx, ret_batch);
	if (err < 0 && err != -EAGAIN)
		stream->failed = err;
	return err;
}

/* --- life ---------------------------------------------------------------------------------------------- */

static void aggregate_close(struct dsmx_stream *base)
{
	struct aggregate_stream *stream = DX_CONTAINER(base, struct aggregate_stream, base);
	const struct dx_aggregate_operator *op = stream->op;

	if (stream->input != NULL)
		stream->input->ops->close(stream->input);
	for (uint32_t i = 0; stream->in.evals != NULL && i < op->source_count; i++)
		dx_eval_free(stream->in.evals[i]);
	for (uint32_t i = 0; stream->in.gathers != NULL && i < op->source_count; i++)
		dx_gather_free(stream->in.gathers[i]);
	for (uint32_t i = 0; stream->groups.accumulators != NULL && i < op->state_count; i++)
		dx_accumulator_fini(&stream->groups.accumulators[i]);
	free(stream->in.evals);
	free(stream->in.gathers);
	free(stream->in.vectors);
	free(stream->groups.accumulators);
	dx_keys_fini(&stream->groups.keys);
	dx_table_fini(&stream->groups.table);
	dx_aggregate_result_fini(&stream->result);
	dx_window_free(stream->window);
	free(stream->numbers);
	free(stream);
}

static const struct dsmx_stream_ops aggregate_stream_ops = {
	.poll_next = aggregate_poll_next,
	.close = aggregate_close,
};

static int init_inputs(struct aggregate_stream *stream, struct dsmx_error *err)
{
	const struct dx_aggregate_operator *op = stream->op;
	size_t count = op->source_count + 1UL;
	int ret = 0;

	stream->in.evals = calloc(count, sizeof(struct dx_eval *));
	stream->in.gathers = calloc(count, sizeof(struct dx_gather *));
	stream->in.vectors = calloc(count, sizeof(*stream->in.vectors));
	if (stream->in.evals == NULL || stream->in.gathers == NULL || stream->in.vectors == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; ret == 0 && i < op->source_count; i++) {
		if (op->sources[i].expr != NULL)
			ret = dx_eval_new(op->sources[i].expr, &stream->in.evals[i], err);
		else
			ret = dx_gather_new(op->sources[i].type, &stream->in.gathers[i]);
	}
	return ret;
}

static int init_groups(struct aggregate_stream *stream)
{
	const struct dx_aggregate_operator *op = stream->op;
	struct dx_aggregate_groups *groups = &stream->groups;
	int err;

	groups->count = has_keys(stream) ? 0 : 1;
	groups->accumulators = calloc(op->state_count + 1UL, sizeof(*groups->accumulators));
	stream->numbers = calloc(DX_VECTOR_ROWS, sizeof(*stream->numbers));
	if (groups->accumulators == NULL || stream->numbers == NULL)
		return -ENOMEM;
	err = dx_keys_init(&groups->keys, op->key_types, NULL, op->aggregate->key_count);
	if (err == 0)
		err = dx_table_init(&groups->table, &groups->keys);
	for (uint32_t i = 0; err == 0 && i < op->state_count; i++) {
		struct dx_accumulator *acc = &groups->accumulators[i];

		err = dx_accumulator_init(acc, op->states[i].kind, op->states[i].input,
		                          op->states[i].type);
		if (err == 0)
			err = dx_accumulator_reserve(acc, groups->count);
	}
	return err;
}

static int start_stream(struct aggregate_stream *stream, struct dsmx_cx *cx, uint32_t partition)
{
	struct dsmx_operator *input = stream->op->base.inputs[0];
	int err;

	err = init_inputs(stream, dsmx_cx_error(cx));
	if (err == 0)
		err = init_groups(stream);
	if (err == 0)
		err = dx_aggregate_result_init(&stream->result, stream->op);
	if (err == 0)
		err = dx_window_new(&input->schema, &stream->window);
	if (err == 0)
		err = input->ops->execute(input, cx, partition, &stream->input);
	return err;
}

static int aggregate_execute(struct dsmx_operator *base, struct dsmx_cx *cx, uint32_t partition,
                             struct dsmx_stream **ret_stream)
{
	struct aggregate_stream *stream = calloc(1, sizeof(*stream));
	int err;

	if (stream == NULL)
		return dx_error(dsmx_cx_error(cx), -ENOMEM, "no memory to start an aggregate");
	stream->base.ops = &aggregate_stream_ops;
	stream->op = DX_CONTAINER(base, struct dx_aggregate_operator, base);
	err = start_stream(stream, cx, partition);
	if (err < 0) {
		aggregate_close(&stream->base);
		if (err == -ENOMEM)
			(void)dx_error(dsmx_cx_error(cx), err, "no memory to start an aggregate");
		return err;
	}
	*ret_stream = &stream->base;
	return 0;
}

static void free_operator(struct dx_aggregate_operator *op)
{
	free(op->sources);
	free(op->states);
	free(op->parts);
	free(op->key_types);
	free(op);
}

static void aggregate_free(struct dsmx_operator *base)
{
	base->inputs[0]->ops->free(base->inputs[0]);
	free_operator(DX_CONTAINER(base, struct dx_aggregate_operator, base));
}

static const struct dsmx_operator_ops aggregate_ops = {
	.name = "HashAggregate",
	.execute = aggregate_execute,
	.free = aggregate_free,
};

int dx_aggregate_make(const struct dsmx_rel *rel, struct dsmx_operator *input,
                      struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	struct dx_aggregate_operator *op = calloc(1, sizeof(*op));
	int ret;

	if (op == NULL)
		return dx_error(err, -ENOMEM, "no memory for an aggregate");
	op->base.ops = &aggregate_ops;
	op->base.schema = rel->schema;
	op->base.input_count = 1;
	op->base.inputs[0] = input;
	op->aggregate = &rel->aggregate;
	ret = dx_aggregate_plan(op, err);
	if (ret < 0) {
		free_operator(op);
		return ret;
	}
	*ret_operator = &op->base;
	return 0;
}
