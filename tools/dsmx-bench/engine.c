/* SPDX-License-Identifier: MIT */
/*
 * engine.c - whole sessions, through the public interface
 *
 * Rows come from an operator "rows" that has one batch of 8,192 rows of two int64 in memory and gives it again and
 * again, and end in an operator "drop" that has none: what is measured is the exchange, not what makes or takes the
 * rows. As a leaf "rows" runs as one task, in worker 0; over an input, of which it takes no row, as the input does.
 */
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* --- rows ---------------------------------------------------------------------------------------------------- */

struct rows {
	struct engine_rows params;
	int64_t left;
	int64_t keys[ENGINE_BATCH_ROWS];
	int64_t values[ENGINE_BATCH_ROWS];
	struct dsmx_column columns[2];
};

static int rows_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                     struct dsmx_batch *ret_batch)
{
	struct rows *s = state;
	uint32_t n = s->left < ENGINE_BATCH_ROWS ? (uint32_t)s->left : ENGINE_BATCH_ROWS;

	(void)input;
	(void)cx;
	if (s->params.ascend)
		for (uint32_t i = 0; i < n; i++)
			s->keys[i] += ENGINE_BATCH_ROWS;
	s->left -= n;
	*ret_batch = (struct dsmx_batch){
		.length = n, .selected = n, .column_count = 2, .columns = s->columns
	};
	return n > 0;
}

static int rows_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Rows", rows_next, free };
	struct rows *s = calloc(1, sizeof(*s));
	int r;

	(void)err;
	if (s == NULL || len != sizeof(s->params)) {
		free(s);
		return s == NULL ? -ENOMEM : -EINVAL;
	}
	memcpy(&s->params, bytes, len);
	s->left = s->params.rows;
	for (uint32_t i = 0; i < ENGINE_BATCH_ROWS; i++) {
		s->keys[i] = i;
		s->values[i] = s->params.parts > 0 ? i % s->params.parts : i;
	}
	s->columns[0].values = s->keys;
	s->columns[1].values = s->values;
	r = dsmx_simple_new(&ops, s, output, input_count > 0 ? inputs[0] : NULL, ret_operator);
	if (r != 0)
		free(s);
	return r;
}

static int drop_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                     struct dsmx_batch *ret_batch)
{
	int r;

	(void)state;
	while ((r = input->ops->poll_next(input, cx, ret_batch)) == 1)
		if (dsmx_cx_expired(cx)) {
			dsmx_cx_yield(cx);
			return -EAGAIN;
		}
	return r;
}

static int drop_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Drop", drop_next, NULL };

	(void)bytes;
	(void)len;
	(void)err;
	return input_count == 1 ? dsmx_simple_new(&ops, NULL, output, inputs[0], ret_operator)
	                        : -EINVAL;
}

const struct dsmx_extension bench_extensions[] = { { "rows", rows_make },
	                                           { "drop", drop_make },
	                                           { "one row", startstream_row_make },
	                                           { "in turn", startstream_turn_make },
	                                           { NULL, NULL } };

struct dsmx_rel *engine_rows_rel(struct dsmx_plan *plan, const struct engine_rows *rows,
                                 struct dsmx_rel *input)
{
	static const struct dsmx_field fields[] = { { "key", { DSMX_INT64, 0, 0, 0 }, false },
		                                    { "value", { DSMX_INT64, 0, 0, 0 }, false } };
	static const struct dsmx_schema schema = { 2, fields };

	if (rows == NULL)
		return dsmx_rel_extension(plan, "drop", NULL, 0, &schema, &input, 1);
	return dsmx_rel_extension(plan, "rows", rows, sizeof(*rows), &schema, &input,
	                          input != NULL);
}

/* --- sessions -------------------------------------------------------------------------------------------------- */

static int complain(int code, const struct dsmx_error *err)
{
	fprintf(stderr, "dsmx-bench: %s\n", err->message);
	return code;
}

struct dsmx_session_options engine_options(const struct bench *bench, uint32_t workers)
{
	return (struct dsmx_session_options){
		.size = sizeof(struct dsmx_session_options),
		.workers = workers,
		.pages = bench->pages,
	};
}

int engine_open_with(const struct dsmx_session_options *options, struct dsmx_session **ret_session)
{
	struct dsmx_error err;
	int r = dsmx_session_open(options, ret_session, &err);

	return r < 0 ? complain(r, &err) : 0;
}

int engine_open(const struct bench *bench, uint32_t workers, struct dsmx_session **ret_session)
{
	struct dsmx_session_options options = engine_options(bench, workers);

	options.worker_path = "/proc/self/exe";
	options.extensions = bench_extensions;
	return engine_open_with(&options, ret_session);
}

int engine_run(struct dsmx_session *session, struct dsmx_plan *plan, struct dsmx_rel *root,
               uint64_t *ret_ns, struct dsmx_query_stats *ret_stats)
{
	struct dsmx_query *query = NULL;
	struct dsmx_error err = { .message = "no plan" };
	uint64_t start_ns;
	struct dsmx_batch batch;
	int r = dsmx_plan_finish(plan, root, NULL, &err);

	start_ns = dx_now_ns();
	if (r == 0)
		r = dsmx_query_start(session, plan, NULL, &query, &err);
	if (r == 0)
		while ((r = dsmx_query_next_batch(query, -1, &batch, &err)) == 1)
			;
	*ret_ns = dx_now_ns() - start_ns;
	if (r == 0)
		dsmx_query_stats(query, ret_stats);
	dsmx_query_close(query);
	dsmx_plan_free(plan);
	return r < 0 ? complain(r, &err) : 0;
}
