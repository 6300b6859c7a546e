/* SPDX-License-Identifier: MIT */
/*
 * sort.c - sort, and top-k: the same with a limit known
 *
 * Rows are copied into a builder and numbered; what is sorted is their keys with these numbers. The rows
 * themselves are only fetched when they are given out.
 *
 *	READ --input ends--> SORT ------------> GIVE --last row--> DONE
 *	  |  --too many rows-> SORT -> CUT --.
 *	  '----------------------------------'
 *
 * A top-k of k rows lets in about 2 k + a vector, then sorts, cuts to the best k, and from then on turns
 * away what is not better than the worst of these: most rows are never copied, and never more than a
 * multiple of k are held. Rows with equal keys come out in the order in which they came; of equal ones at
 * the cut, the first stay.
 */
#include <stdlib.h>

#include "base/err.h"
#include "batch/builder.h"
#include "exec/build.h"
#include "exec/sort.h"
#include "exec/sorter.h"
#include "exec/stash.h"
#include "exec/take.h"
#include "exec/window.h"

#define NO_LIMIT UINT64_MAX

enum phase {
	READ,
	SORT,
	CUT,
	GIVE,
	DONE,
};

struct sort_operator {
	struct dsmx_operator base;
	const struct dx_sort *sort;
	uint64_t offset;
	uint64_t keep; /* rows from the first on that matter, offset included; NO_LIMIT: all */
};

struct sort_stream {
	struct dsmx_stream base;
	struct sort_operator *op;
	enum phase phase;
	bool ended; /* the input is; else SORT leads to CUT */
	int failed;
	struct dsmx_stream *input;
	struct dx_window *window;
	struct dx_sort_keys keys;
	struct dx_sorter sorter;
	struct dx_builder *builder; /* row numbers of the entries are its */
	struct dx_stash stash;      /* the bytes of long keys */
	bool has_worst;             /* the last of the best k, after a cut */
	struct dx_sort_entry worst;
	struct dx_builder *cut_builder; /* CUT: where the best k go */
	struct dx_stash cut_stash;
	uint64_t given; /* GIVE, CUT: entries that are done */
	uint32_t *rows;
	struct dx_take *take;
	struct dsmx_column *columns;
};

static int yield(struct dsmx_cx *cx)
{
	dsmx_cx_yield(cx);
	return -EAGAIN;
}

static int fail(const struct sort_stream *stream, struct dsmx_cx *cx, int code)
{
	return dx_error(
		dsmx_cx_error(cx), code,
		"a sort of %llu rows, %llu bytes, cannot go on: %s; use more workers, a limit, "
		"or fewer columns",
		(unsigned long long)dx_builder_rows(stream->builder),
		(unsigned long long)dx_builder_bytes(stream->builder), dx_strerror(code));
}

/* --- read ---------------------------------------------------------------------------------------------- */

/* Copies the bytes of keys that have some, so that they outlive the encoder's next vector. */
static int keep_bytes(struct dx_stash *stash, struct dx_sort_entry *entries, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (entries[i].bytes == NULL)
			continue;
		entries[i].bytes = dx_stash_copy(stash, entries[i].bytes, entries[i].len);
		if (entries[i].bytes == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* Leaves in what is better than the worst: the rows to stream->rows, the entries in front. */
static uint32_t turn_away(struct sort_stream *stream, const struct dsmx_batch *piece)
{
	struct dx_sort_entry *entries = stream->keys.entries;
	uint64_t first = dx_builder_rows(stream->builder);
	uint32_t count = 0;

	for (uint32_t i = 0; i < piece->selected; i++) {
		if (stream->has_worst && !dx_sort_less(&entries[i], &stream->worst))
			continue;
		stream->rows[count] = piece->selection != NULL ? piece->selection[i] : i;
		entries[count] = entries[i];
		entries[count].row = (uint32_t)(first + count);
		count++;
	}
	return count;
}

static int take_piece(struct sort_stream *stream, struct dsmx_cx *cx,
                      const struct dsmx_batch *piece)
{
	uint32_t count;
	int err;

	if (dx_builder_rows(stream->builder) + piece->selected >= DX_TAKE_NONE)
		return fail(stream, cx, -E2BIG);
	err = dx_sort_keys_encode(&stream->keys, piece);
	if (err < 0)
		return fail(stream, cx, err);
	count = turn_away(stream, piece);
	if (count == 0)
		return 0;
	err = keep_bytes(&stream->stash, stream->keys.entries, count);
	if (err == 0)
		err = dx_sorter_append(&stream->sorter, stream->keys.entries, count);
	if (err == 0)
		err = dx_builder_append_rows(stream->builder, piece, stream->rows, count);
	return err < 0 ? fail(stream, cx, err) : 0;
}

static bool is_full(const struct sort_stream *stream)
{
	uint64_t keep = stream->op->keep;

	return keep < NO_LIMIT / 4 && stream->sorter.count >= 2 * keep + DX_VECTOR_ROWS;
}

static int begin_sort(struct sort_stream *stream, struct dsmx_cx *cx)
{
	int err = dx_sorter_start(&stream->sorter);

	if (err < 0)
		return fail(stream, cx, err);
	stream->phase = SORT;
	return 0;
}

/* Takes in pieces until the slice or the input ends, or there are enough for a cut. */
static int read_input(struct sort_stream *stream, struct dsmx_cx *cx)
{
	struct dsmx_batch batch;
	int err;

	for (;;) {
		if (dx_window_next(stream->window, &batch)) {
			err = take_piece(stream, cx, &batch);
			if (err < 0)
				return err;
			if (is_full(stream))
				return begin_sort(stream, cx);
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
	return begin_sort(stream, cx);
}

/* --- sort and cut -------------------------------------------------------------------------------------- */

static int sort_entries(struct sort_stream *stream, struct dsmx_cx *cx)
{
	while (!dx_sorter_step(&stream->sorter))
		if (dsmx_cx_expired(cx))
			return yield(cx);
	stream->given = stream->ended ? stream->op->offset : 0;
	stream->phase = stream->ended ? GIVE : CUT;
	return 0;
}

/* Up to a vector of sorted entries from stream->given on, but not beyond @end: their rows. */
static uint32_t next_rows(struct sort_stream *stream, uint64_t end)
{
	const struct dx_sort_entry *entries = stream->sorter.entries + stream->given;
	uint64_t left = stream->given < end ? end - stream->given : 0;
	uint32_t count = left < DX_VECTOR_ROWS ? (uint32_t)left : DX_VECTOR_ROWS;

	for (uint32_t i = 0; i < count; i++)
		stream->rows[i] = entries[i].row;
	return count;
}

static int cut_some(struct sort_stream *stream, uint32_t count)
{
	struct dx_sort_entry *entries = stream->sorter.entries + stream->given;
	struct dsmx_batch all;
	int err;

	dx_builder_view(stream->builder, &all);
	for (uint32_t i = 0; i < count; i++)
		entries[i].row = (uint32_t)(stream->given + i);
	err = keep_bytes(&stream->cut_stash, entries, count);
	if (err == 0)
		err = dx_builder_append_rows(stream->cut_builder, &all, stream->rows, count);
	return err;
}

/* The best rows go to the other builder, and back to READ. */
static int cut(struct sort_stream *stream, struct dsmx_cx *cx)
{
	struct dx_builder *builder = stream->builder;
	struct dx_stash stash = stream->stash;
	uint32_t count;
	int err;

	while ((count = next_rows(stream, stream->op->keep)) > 0) {
		err = cut_some(stream, count);
		if (err < 0)
			return fail(stream, cx, err);
		stream->given += count;
		if (dsmx_cx_expired(cx))
			return yield(cx);
	}
	stream->sorter.count = stream->op->keep;
	stream->worst = stream->sorter.entries[stream->op->keep - 1];
	stream->has_worst = true;
	dx_builder_clear(builder);
	dx_stash_clear(&stash);
	stream->builder = stream->cut_builder;
	stream->cut_builder = builder;
	stream->stash = stream->cut_stash;
	stream->cut_stash = stash;
	stream->phase = READ;
	return 0;
}

/* --- give ---------------------------------------------------------------------------------------------- */

static int give(struct sort_stream *stream, struct dsmx_batch *ret_batch)
{
	uint64_t keep = stream->op->keep, rows = stream->sorter.count;
	uint32_t count = next_rows(stream, keep < rows ? keep : rows);
	struct dsmx_batch all;

	if (count == 0) {
		stream->phase = DONE;
		return 0;
	}
	dx_builder_view(stream->builder, &all);
	dx_take_run(stream->take, all.columns, all.length, stream->rows, NULL, count, NULL,
	            stream->columns);
	stream->given += count;
	*ret_batch = (struct dsmx_batch){
		.length = count,
		.selected = count,
		.column_count = stream->op->base.schema.field_count,
		.columns = stream->columns,
	};
	return 1;
}

static int poll_sort(struct sort_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	int err = 0;

	while (err == 0) {
		switch (stream->phase) {
		case READ:
			err = read_input(stream, cx);
			break;
		case SORT:
			err = sort_entries(stream, cx);
			break;
		case CUT:
			err = cut(stream, cx);
			break;
		case GIVE:
			err = give(stream, ret_batch);
			break;
		case DONE:
			return 0;
		}
	}
	return err;
}

int dx_sort_entries(struct dsmx_stream *base, struct dsmx_cx *cx,
                    const struct dx_sort_entry **ret_entries, size_t *ret_count)
{
	struct sort_stream *stream = DX_CONTAINER(base, struct sort_stream, base);
	int err = stream->failed;

	while (err == 0 && stream->phase != GIVE)
		err = stream->phase == READ ? read_input(stream, cx) : sort_entries(stream, cx);
	if (err < 0 && err != -EAGAIN)
		stream->failed = err;
	*ret_entries = stream->sorter.entries;
	*ret_count = stream->sorter.count;
	return err;
}

static int sort_poll_next(struct dsmx_stream *base, struct dsmx_cx *cx,
                          struct dsmx_batch *ret_batch)
{
	struct sort_stream *stream = DX_CONTAINER(base, struct sort_stream, base);
	int err = stream->failed;

	if (err == 0)
		err = poll_sort(stream, cx, ret_batch);
	if (err < 0 && err != -EAGAIN)
		stream->failed = err;
	return err;
}

/* --- life ---------------------------------------------------------------------------------------------- */

static void sort_close(struct dsmx_stream *base)
{
	struct sort_stream *stream = DX_CONTAINER(base, struct sort_stream, base);

	if (stream->input != NULL)
		stream->input->ops->close(stream->input);
	dx_sort_keys_fini(&stream->keys);
	dx_sorter_fini(&stream->sorter);
	dx_builder_free(stream->builder);
	dx_builder_free(stream->cut_builder);
	dx_stash_clear(&stream->stash);
	dx_stash_clear(&stream->cut_stash);
	dx_window_free(stream->window);
	dx_take_free(stream->take);
	free(stream->rows);
	free(stream->columns);
	free(stream);
}

static const struct dsmx_stream_ops sort_stream_ops = {
	.poll_next = sort_poll_next,
	.close = sort_close,
};

static int start_stream(struct sort_stream *stream, struct dsmx_cx *cx, uint32_t partition)
{
	struct dsmx_operator *input = stream->op->base.inputs[0];
	const struct dsmx_schema *schema = &stream->op->base.schema;
	const struct dx_sort *sort = stream->op->sort;
	int err;

	if (stream->op->keep == 0) {
		stream->phase = DONE; /* no row is wanted: the input is never asked */
		return 0;
	}
	stream->rows = calloc(DX_VECTOR_ROWS, sizeof(*stream->rows));
	stream->columns = calloc(schema->field_count + 1UL, sizeof(*stream->columns));
	if (stream->rows == NULL || stream->columns == NULL)
		return -ENOMEM;
	err = dx_sort_keys_init(&stream->keys, &input->schema, sort->keys, sort->key_count);
	if (err == 0)
		err = dx_builder_new(&input->schema, &stream->builder);
	if (err == 0 && stream->op->keep != NO_LIMIT)
		err = dx_builder_new(&input->schema, &stream->cut_builder);
	if (err == 0)
		err = dx_take_new(&input->schema, DX_VECTOR_ROWS, &stream->take);
	if (err == 0)
		err = dx_window_new(&input->schema, &stream->window);
	if (err == 0)
		err = input->ops->execute(input, cx, partition, &stream->input);
	return err;
}

static int sort_execute(struct dsmx_operator *base, struct dsmx_cx *cx, uint32_t partition,
                        struct dsmx_stream **ret_stream)
{
	struct sort_stream *stream = calloc(1, sizeof(*stream));
	int err;

	if (stream == NULL)
		return dx_error(dsmx_cx_error(cx), -ENOMEM, "no memory to start a sort");
	stream->base.ops = &sort_stream_ops;
	stream->op = DX_CONTAINER(base, struct sort_operator, base);
	err = start_stream(stream, cx, partition);
	if (err < 0) {
		sort_close(&stream->base);
		if (err == -ENOMEM)
			(void)dx_error(dsmx_cx_error(cx), err, "no memory to start a sort");
		return err;
	}
	*ret_stream = &stream->base;
	return 0;
}

static void sort_free(struct dsmx_operator *base)
{
	base->inputs[0]->ops->free(base->inputs[0]);
	free(DX_CONTAINER(base, struct sort_operator, base));
}

static const struct dsmx_operator_ops sort_ops = {
	.name = "Sort",
	.execute = sort_execute,
	.free = sort_free,
};

static const struct dsmx_operator_ops top_ops = {
	.name = "TopK",
	.execute = sort_execute,
	.free = sort_free,
};

int dx_sort_make(const struct dsmx_rel *rel, const struct dsmx_rel *limit,
                 struct dsmx_operator *input, struct dsmx_operator **ret_operator,
                 struct dsmx_error *err)
{
	struct sort_operator *op;

	for (uint32_t i = 0; i < rel->sort.key_count; i++)
		if (rel->sort.keys[i].column >= input->schema.field_count)
			return dx_error(err, -EINVAL, "key %u of a sort is no column", i);
	op = calloc(1, sizeof(*op));
	if (op == NULL)
		return dx_error(err, -ENOMEM, "no memory for a sort");
	op->base.ops = limit != NULL ? &top_ops : &sort_ops;
	op->base.schema = rel->schema;
	op->base.input_count = 1;
	op->base.inputs[0] = input;
	op->sort = &rel->sort;
	op->keep = NO_LIMIT;
	if (limit != NULL) {
		op->offset = limit->limit.offset;
		if (limit->limit.count <= NO_LIMIT - 1 - op->offset)
			op->keep = op->offset + limit->limit.count;
		if (limit->limit.count == 0)
			op->keep = 0;
	}
	*ret_operator = &op->base;
	return 0;
}
