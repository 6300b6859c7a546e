/* SPDX-License-Identifier: MIT */
/*
 * leaf_test.c - rows of the application's own: an ArrowArrayStream that the leader produces for its workers
 *
 * The leaf's fragment runs in the leader; its rows go by hash to the workers, which group them, and come back.
 * This program is its own supervisor and worker.
 */
#include <string.h>

#include "engine.h"
#include "harness.h"

enum { ROWS_PER_ARRAY = 1000, KEYS = 37 };

/* A stream of arrays { k: int64 = i % KEYS, v: int64 = i }, which fails after @fails_after arrays, if ever. */
struct application {
	int arrays;
	int given;
	int fails_after; /* -1: never */
	int released;
	int array_releases;
};

struct given_array {
	struct ArrowArray columns[2];
	struct ArrowArray *children[2];
	const void *buffers[2][2];
	const void *no_buffers[1];
	int64_t values[2][ROWS_PER_ARRAY];
	struct application *source;
};

static void release_column(struct ArrowArray *array)
{
	array->release = NULL;
}

static void release_array(struct ArrowArray *array)
{
	struct given_array *a = array->private_data;

	a->source->array_releases++;
	free(a);
	array->release = NULL;
}

static const struct dsmx_field leaf_fields[] = { { "k", { DSMX_INT64, 0, 0, 0 }, false },
	                                         { "v", { DSMX_INT64, 0, 0, 0 }, false } };
static const struct dsmx_schema leaf_schema = { 2, leaf_fields };

static int source_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
	(void)stream;
	return -dsmx_schema_export(&leaf_schema, out);
}

static int source_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
	struct application *s = stream->private_data;
	struct given_array *a;

	*out = (struct ArrowArray){ .release = NULL };
	if (s->given == s->fails_after)
		return EIO;
	if (s->given == s->arrays)
		return 0;
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return ENOMEM;
	a->source = s;
	for (int c = 0; c < 2; c++) {
		for (int i = 0; i < ROWS_PER_ARRAY; i++) {
			int64_t n = (int64_t)s->given * ROWS_PER_ARRAY + i;

			a->values[c][i] = c == 0 ? n % KEYS : n;
		}
		a->buffers[c][1] = a->values[c];
		a->children[c] = &a->columns[c];
		a->columns[c] = (struct ArrowArray){ .length = ROWS_PER_ARRAY,
			                             .n_buffers = 2,
			                             .buffers = a->buffers[c],
			                             .release = release_column };
	}
	*out = (struct ArrowArray){ .length = ROWS_PER_ARRAY,
		                    .n_buffers = 1,
		                    .buffers = a->no_buffers,
		                    .n_children = 2,
		                    .children = a->children,
		                    .release = release_array,
		                    .private_data = a };
	s->given++;
	return 0;
}

static const char *source_error(struct ArrowArrayStream *stream)
{
	(void)stream;
	return "the source ran dry";
}

static void source_release(struct ArrowArrayStream *stream)
{
	((struct application *)stream->private_data)->released++;
	stream->release = NULL;
}

static struct ArrowArrayStream stream_of(struct application *source)
{
	return (struct ArrowArrayStream){ source_schema, source_next, source_error, source_release,
		                          source };
}

/* sum(v) and count by k, over the leaf */
static struct dsmx_plan *make_leaf_plan(void)
{
	struct dsmx_plan *plan;
	struct dsmx_rel *leaf;
	struct dsmx_expr *key;
	struct dsmx_measure measures[2] = { { DSMX_AGG_SUM, NULL, "s" },
		                            { DSMX_AGG_COUNT_STAR, NULL, "n" } };

	if (dsmx_plan_new(&plan) != 0)
		return NULL;
	leaf = dsmx_rel_leaf(plan, "mine", &leaf_schema);
	leaf = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, leaf, &(uint32_t){ 0 }, 1, 0, NULL);
	key = dsmx_expr_column(plan, leaf, 0);
	measures[0].arg = dsmx_expr_column(plan, leaf, 1);
	if (dsmx_plan_finish(plan, dsmx_rel_aggregate(plan, leaf, &key, 1, measures, 2), NULL,
	                     NULL) == 0)
		return plan;
	dsmx_plan_free(plan);
	return NULL;
}

struct answer {
	int code;
	uint64_t groups;
	int64_t sum, count;
	struct dsmx_query_stats stats;
	struct dsmx_error error;
};

static struct answer run_leaf(struct dsmx_session *session, struct application *source)
{
	struct ArrowArrayStream stream = stream_of(source);
	struct dsmx_leaf leaves[] = { { "mine", &stream }, { NULL, NULL } };
	struct dsmx_query_options options = { .size = sizeof(options), .leaves = leaves };
	struct dsmx_plan *plan = make_leaf_plan();
	struct dsmx_query *query = NULL;
	struct dsmx_batch batch;
	struct answer a = { .code = -1 };

	if (plan == NULL)
		return a;
	a.code = dsmx_query_start(session, plan, &options, &query, &a.error);
	dsmx_plan_free(plan);
	if (a.code < 0)
		return a;
	while ((a.code = dsmx_query_next_batch(query, 5000, &batch, &a.error)) == 1)
		for (uint32_t i = 0; i < batch.selected; i++) {
			uint32_t row = batch.selection != NULL ? batch.selection[i] : i;
			__int128 sum;

			memcpy(&sum, (const char *)batch.columns[1].values + 16 * row, sizeof(sum));
			a.groups++;
			a.sum += (int64_t)sum;
			a.count += ((const int64_t *)batch.columns[2].values)[row];
		}
	dsmx_query_stats(query, &a.stats);
	dsmx_query_close(query);
	return a;
}

TEST(leaf_rows,
     "the application's stream is read by the leader, grouped by 0, 1, 2 and 8 workers, and released")
{
	static const uint32_t counts[] = { 0, 1, 2, 8 };
	const int64_t rows = 50 * ROWS_PER_ARRAY;

	for (size_t i = 0; i < DX_ARRAY_LEN(counts); i++) {
		struct dsmx_session_options options = engine_options(counts[i]);
		struct dsmx_session *session = open_engine(&options);
		struct application source = { .arrays = 50, .fails_after = -1 };
		struct answer a;

		CHECK(session != NULL);
		a = run_leaf(session, &source);
		if (a.code != 0)
			printf("# %s\n", a.error.message);
		CHECK_EQ(a.code, 0);
		CHECK_EQ(a.groups, KEYS);
		CHECK_EQ(a.count, rows);
		CHECK_EQ(a.sum, rows * (rows - 1) / 2);
		CHECK_EQ(source.released, 1);
		CHECK_EQ(source.array_releases, 50);
		CHECK_EQ(a.stats.ring_frames > 0, counts[i] > 0);
		dsmx_session_close(session);
	}
}

TEST(leaf_fails,
     "an error of the application's stream reaches it as the query's, with its words; the stream is released")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);

	CHECK(session != NULL);
	for (int after = 0; after < 3; after++) {
		struct application source = { .arrays = 50, .fails_after = after };
		struct answer a = run_leaf(session, &source);

		CHECK_EQ(a.code, -EIO);
		CHECK(strstr(a.error.message, "ran dry") != NULL);
		CHECK_EQ(source.released, 1);
		CHECK_EQ(source.array_releases, after);
	}
	dsmx_session_close(session);
}

TEST(leaf_missing, "a plan with a leaf that was not given says which")
{
	struct dsmx_session_options options = engine_options(1);
	struct dsmx_session *session = open_engine(&options);
	struct dsmx_plan *plan = make_leaf_plan();
	struct dsmx_query *query = NULL;
	struct dsmx_batch batch;
	struct dsmx_error err;
	int r;

	CHECK(session != NULL && plan != NULL);
	r = dsmx_query_start(session, plan, NULL, &query, &err);
	if (r == 0)
		r = dsmx_query_next_batch(query, 5000, &batch, &err);
	CHECK_EQ(r, -ENOENT);
	CHECK(strstr(err.message, "mine") != NULL);
	dsmx_query_close(query);
	dsmx_plan_free(plan);
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	return engine_main(argc, argv);
}
