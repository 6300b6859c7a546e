/* SPDX-License-Identifier: MIT */
/*
 * merge.c - see merge.h
 *
 * A heap has the inputs that have a row to compare, the one with the least on top. Which input each row of the
 * output is from is noted first; rows are copied many at a time: a segment, the rows of one piece that went into
 * this output, goes to the builder when the piece is used up or the output is full, and at the end a take brings
 * the builder's rows into their order.
 */
#include "exec/merge.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "batch/builder.h"
#include "exec/sort_key.h"
#include "exec/stash.h"
#include "exec/take.h"
#include "exec/window.h"

#define NONE UINT32_MAX

struct source {
	struct dsmx_stream *input; /* NULL: ended */
	struct dx_window *window;
	struct dsmx_batch piece;
	struct dx_sort_entry *entries; /* of the piece */
	uint32_t room;
	struct dx_stash stash; /* their bytes */
	uint32_t next;         /* row to compare: the next-th of the piece */
	uint32_t first;   /* rows [first, next) are in the output, but not yet in the builder */
	uint32_t segment; /* theirs; NONE: there are none */
};

struct merge_stream {
	struct dsmx_stream base;
	const struct dsmx_schema *schema;
	struct dx_sort_keys keys;
	struct source *sources;
	uint32_t source_count;
	uint32_t started; /* sources that were asked for their first piece */
	uint32_t missing; /* the one of these that has to be asked for another; NONE */
	uint32_t *heap;
	uint32_t heap_count;
	struct dx_builder *builder;
	struct dx_take *take;
	struct dsmx_column *columns;
	/* The output: row k is row place[k] of segment[k]; segment i begins at row base[i] of the builder. */
	uint32_t count, segments;
	uint32_t *segment, *place, *base_of;
	uint32_t *rows;
	int failed;
};

/* --- the heap ------------------------------------------------------------------------------------------ */

static bool less(const struct merge_stream *s, uint32_t a, uint32_t b)
{
	const struct source *x = &s->sources[a], *y = &s->sources[b];

	if (dx_sort_less(&x->entries[x->next], &y->entries[y->next]))
		return true;
	return a < b && !dx_sort_less(&y->entries[y->next], &x->entries[x->next]);
}

static void sift_down(struct merge_stream *s)
{
	uint32_t source = s->heap[0], at = 0;

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= s->heap_count)
			break;
		if (child + 1 < s->heap_count && less(s, s->heap[child + 1], s->heap[child]))
			child++;
		if (!less(s, s->heap[child], source))
			break;
		s->heap[at] = s->heap[child];
		at = child;
	}
	s->heap[at] = source;
}

static void push(struct merge_stream *s, uint32_t source)
{
	uint32_t at = s->heap_count++;

	while (at > 0 && less(s, source, s->heap[(at - 1) / 2])) {
		s->heap[at] = s->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	s->heap[at] = source;
}

static void pop(struct merge_stream *s)
{
	s->heap[0] = s->heap[--s->heap_count];
	if (s->heap_count > 0)
		sift_down(s);
}

/* --- pieces -------------------------------------------------------------------------------------------- */

/* The rows of its piece that are in the output go to the builder. */
static int copy_segment(struct merge_stream *s, struct source *source)
{
	const struct dsmx_batch *piece = &source->piece;
	uint32_t count = source->next - source->first;

	if (source->segment == NONE)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		s->rows[i] = piece->selection != NULL ? piece->selection[source->first + i]
		                                      : source->first + i;
	s->base_of[source->segment] = (uint32_t)dx_builder_rows(s->builder);
	source->segment = NONE;
	source->first = source->next;
	return dx_builder_append_rows(s->builder, piece, s->rows, count);
}

static int keep_keys(struct merge_stream *s, struct source *source)
{
	uint32_t count = source->piece.selected;
	int r = dx_sort_keys_encode(&s->keys, &source->piece);

	if (r < 0)
		return r;
	dx_stash_clear(&source->stash);
	if (count > source->room) {
		free(source->entries);
		source->entries = calloc(count, sizeof(*source->entries));
		source->room = source->entries != NULL ? count : 0;
	}
	if (source->entries == NULL)
		return -ENOMEM;
	memcpy(source->entries, s->keys.entries, count * sizeof(*source->entries));
	for (uint32_t i = 0; i < count; i++) {
		struct dx_sort_entry *entry = &source->entries[i];

		if (entry->bytes == NULL)
			continue;
		entry->bytes = dx_stash_copy(&source->stash, entry->bytes, entry->len);
		if (entry->bytes == NULL)
			return -ENOMEM;
	}
	source->first = source->next = 0;
	return 0;
}

/* Returns 1: it has a row to compare; 0: it has ended; -EAGAIN; or a failure. */
static int next_piece(struct merge_stream *s, struct source *source, struct dsmx_cx *cx)
{
	struct dsmx_batch batch;
	int r;

	while (!dx_window_next(source->window, &source->piece)) {
		r = source->input->ops->poll_next(source->input, cx, &batch);
		if (r < 0)
			return r;
		if (r == 0) {
			source->input->ops->close(source->input);
			source->input = NULL;
			return 0;
		}
		dx_window_set(source->window, &batch);
	}
	r = keep_keys(s, source);
	return r < 0 ? dx_error(dsmx_cx_error(cx), r, "a merge cannot go on: %s", dx_strerror(r))
	             : 1;
}

/* Ask whoever has nothing to compare. Returns 0 when all have, or have ended. */
static int bring_missing(struct merge_stream *s, struct dsmx_cx *cx)
{
	while (s->missing != NONE || s->started < s->source_count) {
		uint32_t i = s->missing != NONE ? s->missing : s->started;
		int r;

		if (dsmx_cx_expired(cx)) {
			dsmx_cx_yield(cx);
			return -EAGAIN;
		}
		r = next_piece(s, &s->sources[i], cx);
		if (r < 0)
			return r;
		if (s->missing == NONE)
			s->started++;
		s->missing = NONE;
		if (r == 1)
			push(s, i);
	}
	return 0;
}

/* --- the output ---------------------------------------------------------------------------------------- */

/* Until the output is full, or the piece of some source is used up. */
static int merge_some(struct merge_stream *s)
{
	while (s->count < DX_VECTOR_ROWS && s->heap_count > 0) {
		uint32_t i = s->heap[0];
		struct source *source = &s->sources[i];

		if (source->segment == NONE)
			source->segment = s->segments++;
		s->segment[s->count] = source->segment;
		s->place[s->count++] = source->next++ - source->first;
		if (source->next == source->piece.selected) {
			pop(s);
			s->missing = i;
			return copy_segment(s, source);
		}
		sift_down(s);
	}
	return 0;
}

static int give(struct merge_stream *s, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct dsmx_batch all;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < s->heap_count; i++)
		r = copy_segment(s, &s->sources[s->heap[i]]);
	if (r < 0)
		return dx_error(dsmx_cx_error(cx), r, "a merge cannot go on: %s", dx_strerror(r));
	for (uint32_t k = 0; k < s->count; k++)
		s->place[k] += s->base_of[s->segment[k]];
	dx_builder_view(s->builder, &all);
	dx_take_run(s->take, all.columns, all.length, s->place, NULL, s->count, NULL, s->columns);
	*ret_batch = (struct dsmx_batch){
		.length = s->count,
		.selected = s->count,
		.column_count = s->schema->field_count,
		.columns = s->columns,
	};
	return 1;
}

static int poll_merge(struct merge_stream *s, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	int r = 0;

	dx_builder_clear(s->builder);
	s->count = s->segments = 0;
	do {
		r = bring_missing(s, cx);
		if (r == -EAGAIN && s->count > 0)
			break;
		if (r == 0)
			r = merge_some(s);
		if (r < 0)
			return r;
	} while (s->count < DX_VECTOR_ROWS && (s->missing != NONE || s->heap_count > 0));
	return s->count > 0 ? give(s, cx, ret_batch) : 0;
}

static int merge_poll_next(struct dsmx_stream *base, struct dsmx_cx *cx,
                           struct dsmx_batch *ret_batch)
{
	struct merge_stream *s = DX_CONTAINER(base, struct merge_stream, base);
	int r = s->failed != 0 ? s->failed : poll_merge(s, cx, ret_batch);

	if (r < 0 && r != -EAGAIN)
		s->failed = r;
	return r;
}

/* --- life ---------------------------------------------------------------------------------------------- */

static void free_parts(struct merge_stream *s)
{
	for (uint32_t i = 0; s->sources != NULL && i < s->source_count; i++) {
		dx_window_free(s->sources[i].window);
		dx_stash_clear(&s->sources[i].stash);
		free(s->sources[i].entries);
	}
	dx_sort_keys_fini(&s->keys);
	dx_builder_free(s->builder);
	dx_take_free(s->take);
	free(s->sources);
	free(s->heap);
	free(s->columns);
	free(s->segment);
	free(s->place);
	free(s->base_of);
	free(s->rows);
	free(s);
}

static void merge_close(struct dsmx_stream *base)
{
	struct merge_stream *s = DX_CONTAINER(base, struct merge_stream, base);

	for (uint32_t i = 0; i < s->source_count; i++)
		if (s->sources[i].input != NULL)
			s->sources[i].input->ops->close(s->sources[i].input);
	free_parts(s);
}

static const struct dsmx_stream_ops merge_ops = { merge_poll_next, merge_close };

static int make_parts(struct merge_stream *s, const struct dsmx_sort_key *keys, uint32_t key_count)
{
	int r;

	s->sources = calloc(s->source_count + 1UL, sizeof(*s->sources));
	s->heap = calloc(s->source_count + 1UL, sizeof(*s->heap));
	s->columns = calloc(s->schema->field_count, sizeof(*s->columns));
	s->segment = calloc(DX_VECTOR_ROWS, sizeof(*s->segment));
	s->place = calloc(DX_VECTOR_ROWS, sizeof(*s->place));
	s->base_of = calloc(DX_VECTOR_ROWS, sizeof(*s->base_of));
	s->rows = calloc(DX_VECTOR_ROWS, sizeof(*s->rows));
	if (s->sources == NULL || s->heap == NULL || s->columns == NULL || s->segment == NULL ||
	    s->place == NULL || s->base_of == NULL || s->rows == NULL)
		return -ENOMEM;
	r = dx_sort_keys_init(&s->keys, s->schema, keys, key_count);
	if (r == 0)
		r = dx_builder_new(s->schema, &s->builder);
	if (r == 0)
		r = dx_take_new(s->schema, DX_VECTOR_ROWS, &s->take);
	for (uint32_t i = 0; r == 0 && i < s->source_count; i++) {
		s->sources[i].segment = NONE;
		r = dx_window_new(s->schema, &s->sources[i].window);
	}
	return r;
}

int dx_merge_new(const struct dsmx_schema *schema, const struct dsmx_sort_key *keys,
                 uint32_t key_count, struct dsmx_stream *const *inputs, uint32_t count,
                 struct dsmx_stream **ret_stream)
{
	struct merge_stream *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->base.ops = &merge_ops;
	s->schema = schema;
	s->source_count = count;
	s->missing = NONE;
	r = make_parts(s, keys, key_count);
	if (r < 0) {
		free_parts(s);
		return r;
	}
	for (uint32_t i = 0; i < count; i++)
		s->sources[i].input = inputs[i];
	*ret_stream = &s->base;
	return 0;
}
