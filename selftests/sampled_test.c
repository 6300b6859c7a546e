/* SPDX-License-Identifier: MIT */
/*
 * Range exchanges whose bounds come from samples: each row once, partitions in order one behind the other, rows in order
 * in each, equal keys together, and nobody with far more than his share.
 *
 *	file ── stamp ── sampled range ── stamp ── gather ── here
 */
#include <signal.h>

#include "engine.h"

#define FILE_COLUMNS 3 /* a, b, seq */
enum { A, B, SEQ, FROM, SENT, TO, SEEN };

enum content {
	UNIFORM,  /* all keys differ */
	ORDERED,  /* likewise, and come in order: record batches have little in common */
	EQUAL,    /* one key */
	SKEWED,   /* half of the rows have one key */
	FEW_KEYS, /* with nulls */
	TEXTS,    /* long, alike for 50 bytes */
};

struct file {
	const char *name;
	enum content content;
	uint32_t rows;
};

static const struct file files[] = {
	{ "empty", UNIFORM, 0 },       { "one", UNIFORM, 1 },    { "uniform", UNIFORM, 40000 },
	{ "ordered", ORDERED, 40000 }, { "equal", EQUAL, 3000 }, { "skewed", SKEWED, 20000 },
	{ "few", FEW_KEYS, 9000 },     { "texts", TEXTS, 8000 },
};

static const struct dsmx_field number_fields[] = {
	{ "a", { DSMX_INT64, 0, 0, 0 }, true },
	{ "b", { DSMX_INT32, 0, 0, 0 }, true },
	{ "seq", { DSMX_INT64, 0, 0, 0 }, false },
};
static const struct dsmx_field text_fields[] = {
	{ "a", { DSMX_UTF8, 0, 0, 0 }, true },
	{ "b", { DSMX_INT32, 0, 0, 0 }, true },
	{ "seq", { DSMX_INT64, 0, 0, 0 }, false },
};

static void fill(const struct file *file, struct value *row, uint32_t i)
{
	int64_t mixed = (int64_t)i * 7919 % 40009; /* a prime: all differ */

	row[A].null = row[B].null = row[SEQ].null = false;
	row[B].i = mixed % 5;
	row[SEQ].i = i;
	switch (file->content) {
	case UNIFORM:
		row[A].i = mixed;
		break;
	case ORDERED:
		row[A].i = i;
		break;
	case EQUAL:
		row[A].i = row[B].i = 7;
		break;
	case SKEWED:
		row[A].i = i % 2 == 0 ? 20000 : mixed;
		row[B].i = 0;
		break;
	case FEW_KEYS:
		row[A].i = mixed % 11;
		row[A].null = mixed % 3 == 0;
		row[B].null = mixed % 7 == 0;
		break;
	case TEXTS:
		row[A].len = (uint32_t)snprintf(row[A].text, sizeof(row[A].text),
		                                "a beginning that all have%08d", (int)mixed);
		break;
	}
}

static void make_file(const struct file *file)
{
	struct table table =
		table_new(file->content == TEXTS ? text_fields : number_fields, FILE_COLUMNS);
	uint64_t chance = 1;

	for (uint32_t i = 0; i < file->rows; i++)
		fill(file, table_add(&table), i);
	file_write(file->name, &table, 500, NULL, &chance);
	table_free(&table);
}

static const struct dsmx_sort_key orders[][2] = {
	{ { A, false, false }, { B, false, false } },
	{ { A, true, true }, { B, false, true } },
	{ { A, false, true }, { B, true, false } },
};

/* Two rows by the first @keys of an order. */
static int compare_keys(const struct table *t, const struct dsmx_sort_key *order, uint32_t keys,
                        const struct value *x, const struct value *y)
{
	for (uint32_t k = 0; k < keys; k++) {
		const struct value *a = &x[order[k].column], *b = &y[order[k].column];
		int c;

		if (a->null != b->null)
			return a->null == order[k].nulls_first ? -1 : 1;
		c = a->null ? 0 : value_compare(t->schema.fields[order[k].column].type, a, b);
		if (c != 0)
			return order[k].descending ? -c : c;
	}
	return 0;
}

static int by_arrival(const void *a, const void *b)
{
	const struct value *x = a, *y = b;

	if (x[TO].i != y[TO].i)
		return x[TO].i < y[TO].i ? -1 : 1;
	return (x[SEEN].i > y[SEEN].i) - (x[SEEN].i < y[SEEN].i);
}

static struct dsmx_plan *plan_of(const struct file *file, const struct dsmx_sort_key *order,
                                 uint32_t keys, uint32_t partitions, uint32_t tasks)
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = rel_stamp(plan, rel_file(plan, file->name));

	rel = dsmx_rel_exchange_sampled(plan, rel, order, keys, partitions, NULL);
	rel = rel_gather(plan, rel_stamp(plan, rel));
	if (plan_end(plan, rel, tasks) == 0)
		return plan;
	dsmx_plan_free(plan);
	return NULL;
}

/* In order over all partitions, each row once. Most rows of one partition: *ret_most. */
static void check_rows(bool *ok, const struct file *file, struct table *t,
                       const struct dsmx_sort_key *order, uint32_t keys, uint32_t partitions,
                       uint32_t *ret_most)
{
	bool *seen = calloc(file->rows + 1, 1);
	uint32_t counts[8] = { 0 };

	CHECK_EQ(t->rows, file->rows);
	if (t->rows > 0)
		qsort(t->values, t->rows, t->schema.field_count * sizeof(struct value), by_arrival);
	for (uint32_t r = 0; r < t->rows; r++) {
		struct value *row = table_at(t, r, 0),
			     *before = r > 0 ? table_at(t, r - 1, 0) : NULL;
		struct value want[FILE_COLUMNS] = { 0 };
		int c = before == NULL ? 0 : compare_keys(t, order, keys, before, row);

		CHECK(row[TO].i >= 0 && row[TO].i < partitions && row[SEQ].i < file->rows);
		CHECK(!seen[row[SEQ].i]);
		seen[row[SEQ].i] = true;
		fill(file, want, (uint32_t)row[SEQ].i);
		CHECK_EQ(row_compare(&(struct dsmx_schema){ FILE_COLUMNS, t->schema.fields }, row,
		                     want),
		         0);
		CHECK(c <= 0);
		CHECK(before == NULL || c != 0 || before[TO].i == row[TO].i);
		counts[row[TO].i]++;
	}
	*ret_most = 0;
	for (uint32_t p = 0; p < partitions; p++)
		*ret_most = counts[p] > *ret_most ? counts[p] : *ret_most;
	free(seen);
}

static void check_file(bool *ok, struct dsmx_session *session, const struct file *file,
                       const struct dsmx_sort_key *order, uint32_t keys, uint32_t partitions)
{
	struct dsmx_plan *plan = plan_of(file, order, keys, partitions, 3);
	struct table seen = { .rows = 0 };
	uint32_t most = 0;
	struct outcome o;

	CHECK(plan != NULL);
	o = run_plan(session, plan, &seen);
	if (o.code != 0)
		printf("# %s\n", o.error.message);
	CHECK_EQ(o.code, 0);
	check_rows(ok, file, &seen, order, keys, partitions, &most);
	/* Keys that differ are shared out evenly; of those with half of all rows, the rest. */
	if (file->content == UNIFORM || file->content == ORDERED || file->content == TEXTS)
		CHECK(file->rows < 100 || most * partitions < 2 * file->rows);
	if (file->content == SKEWED)
		CHECK(partitions == 1 || most < file->rows * 3 / 4 + file->rows / partitions);
	table_free(&seen);
	dsmx_plan_free(plan);
}

static void check_workers(bool *ok, uint32_t workers)
{
	static const uint32_t partitions[] = { 1, 2, 8 };
	struct dsmx_session_options options = engine_options(workers);
	struct dsmx_session *session = open_engine(&options);
	uint32_t n = workers;

	CHECK(session != NULL);
	for (size_t f = 0; f < DX_ARRAY_LEN(files); f++) {
		make_file(&files[f]);
		for (size_t p = 0; p < DX_ARRAY_LEN(partitions); p++, n++) {
			check_file(ok, session, &files[f], orders[n % DX_ARRAY_LEN(orders)],
			           files[f].content == SKEWED ? 1 : 1 + n % 2, partitions[p]);
			if (!*ok)
				printf("# %u workers, %s, %u partitions\n", workers, files[f].name,
				       partitions[p]);
			CHECK(*ok);
		}
	}
	CHECK_EQ(count_late_parks(session), 0);
	CHECK_EQ(count_naks(session), 0);
	dsmx_session_close(session);
}

TEST(sampled_serial,
     "three tasks of one process: sorted partitions of like size, one behind the other")
{
	check_workers(ok, 0);
}

TEST(sampled_one, "the same with one worker")
{
	check_workers(ok, 1);
}

TEST(sampled_two, "the same with two workers")
{
	check_workers(ok, 2);
}

TEST(sampled_eight, "the same with eight workers")
{
	check_workers(ok, 8);
}

TEST(sampled_merged, "a merge over the partitions gives the whole in order")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);
	struct dsmx_plan *plan = plan_new();
	struct table seen = { .rows = 0 };
	struct dsmx_rel *rel;
	char *text;

	make_file(&files[2]);
	CHECK(session != NULL);
	rel = dsmx_rel_exchange_sampled(plan, rel_file(plan, files[2].name), orders[1], 2, 0, NULL);
	rel = dsmx_rel_exchange_merge(plan, rel, orders[1], 2, NULL);
	CHECK_EQ(plan_end(plan, rel, 4), 0);
	CHECK_EQ(dsmx_plan_explain(plan, &text), 0);
	CHECK(strstr(text, "#0: range(sampled: a desc, b nulls first) 4 -> 4") != NULL);
	free(text);
	CHECK_EQ(run_plan(session, plan, &seen).code, 0);
	CHECK_EQ(seen.rows, files[2].rows);
	for (uint32_t r = 1; r < seen.rows; r++)
		CHECK(compare_keys(&seen, orders[1], 2, table_at(&seen, r - 1, 0),
		                   table_at(&seen, r, 0)) <= 0);
	table_free(&seen);
	dsmx_plan_free(plan);
	dsmx_session_close(session);
}

/* A task that fails, or rows that nobody wants any more, end those who wait for its sample. */
TEST(sampled_ends,
     "a task that breaks before its sample ends the query with its error; LIMIT and close end it, too")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);

	make_file(&files[2]);
	CHECK(session != NULL);
	for (int i = 0; i < 12; i++) {
		struct dsmx_plan *plan = plan_new();
		struct dsmx_rel *rel = rel_file(plan, files[2].name);
		struct dsmx_query *query;
		struct dsmx_batch batch;
		struct dsmx_error err;
		struct outcome o;

		if (i % 3 == 0)
			rel = rel_break(plan, rel, (struct break_bytes){ 100 * i, -EILSEQ, 1 });
		rel = dsmx_rel_exchange_sampled(plan, rel, orders[0], 1, 3, NULL);
		rel = rel_gather(plan, rel_stamp(plan, rel));
		if (i % 3 == 1)
			rel = dsmx_rel_limit(plan, rel, 0, 1);
		CHECK_EQ(plan_end(plan, rel, 3), 0);
		if (i % 3 == 2) {
			CHECK_EQ(dsmx_query_start(session, plan, NULL, &query, &err), 0);
			if (i % 2 == 0)
				(void)dsmx_query_next_batch(query, 1, &batch, &err);
			dsmx_query_close(query);
		} else {
			o = run_plan(session, plan, NULL);
			CHECK_EQ(o.code, i % 3 == 0 ? -EILSEQ : 0);
			CHECK_EQ(o.rows, i % 3);
		}
		CHECK(producers_end(session));
		dsmx_plan_free(plan);
	}
	dsmx_session_close(session);
}

/* --- a death while others wait for the sample ----------------------------------------------------------------- */

/* Its bytes: the process in which no row passes. */
static int hold_next(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;

	if (*(const int32_t *)pipe_bytes(s) != getpid())
		return s->inputs[0]->ops->poll_next(s->inputs[0], cx, ret_batch);
	(void)usleep(500);
	dsmx_cx_yield(cx);
	return -EAGAIN;
}
PIPE(hold_make, "Hold", hold_next, 1, sizeof(int32_t))

static const struct dsmx_extension own[] = {
	{ "hold", hold_make }, { "stamp", stamp_make }, { "break", break_make }, { NULL, NULL }
};

/* Tasks of a process that wait for samples. */
static uint32_t count_waiting(const struct dsmx_session *session, uint32_t peer)
{
	const struct dx_layout *l = dx_mesh_layout(session->mesh);
	const void *page = dx_mesh_peer_page(session->mesh, peer);
	uint32_t count = 0;

	for (uint32_t i = 0; i < l->tasks; i++) {
		const struct dsmx_task_abi *record =
			DX_LAYOUT_PEER(struct dsmx_task_abi, page, l->task_records, i);

		count += dx_load_acquire(DX_EDGE_PARK, &record->query) != 0 &&
		         dx_load_plain(&record->park_kind) == DSMX_PARK_SAMPLE;
	}
	return count;
}

static struct dsmx_plan *held_plan(int32_t victim)
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = rel_file(plan, files[2].name);

	rel = dsmx_rel_extension(plan, "hold", &victim, sizeof(victim), dsmx_rel_schema(rel), &rel,
	                         1);
	rel = dsmx_rel_exchange_sampled(plan, rel, orders[0], 1, 3, NULL);
	if (plan_end(plan, rel_gather(plan, rel_stamp(plan, rel)), 3) != 0)
		abort();
	return plan;
}

/* All are there, and give all rows. */
static void run_whole(bool *ok, struct dsmx_session *session)
{
	struct dsmx_plan *plan = held_plan(0);
	struct outcome o = run_plan(session, plan, NULL);

	CHECK_EQ(o.code, 0);
	CHECK_EQ(o.rows, files[2].rows);
	dsmx_plan_free(plan);
}

/* Two wait for the sample of the third, in worker 1, which is killed. */
static void kill_sampler(bool *ok, struct dsmx_session *session, bool retry)
{
	const struct dsmx_query_options how = { .size = sizeof(how), .retry = retry };
	struct dsmx_plan *plan = held_plan(dsmx_session_worker_pid(session, 1));
	uint64_t until_ns = dx_now_ns() + 10 * DX_NS_PER_S, rows;
	struct dsmx_query_stats stats;
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dsmx_error err;

	CHECK_EQ(dsmx_query_start(session, plan, &how, &query, &err), 0);
	dsmx_plan_free(plan);
	while (count_waiting(session, 1) + count_waiting(session, 3) < 2) {
		CHECK_EQ(dsmx_query_next_batch(query, 1, &batch, &err), -ETIMEDOUT);
		CHECK(dx_now_ns() < until_ns);
	}
	CHECK_EQ(kill(dsmx_session_worker_pid(session, 1), SIGKILL), 0);
	if (retry) {
		CHECK_EQ(read_all(query, NULL, &rows, &err), 0);
		CHECK_EQ(rows, files[2].rows);
		dsmx_query_stats(query, &stats);
		CHECK_EQ(stats.retries, 1);
	} else {
		CHECK_EQ(read_all(query, NULL, &rows, &err), -EOWNERDEAD);
		CHECK_EQ(err.worker, 1);
		CHECK_EQ(err.reason, DSMX_EXIT_SIGNAL);
	}
	dsmx_query_close(query);
}

TEST(sampled_killed,
     "a worker killed while others wait for its sample: its verdict, or all runs again where that is allowed")
{
	struct dsmx_session_options options = engine_options(3);
	uint64_t until_ns = dx_now_ns() + 20 * DX_NS_PER_S;
	struct dsmx_session *session;

	options.restart = DSMX_RESTART_ON_FAILURE;
	options.extensions = own;
	make_file(&files[2]);
	session = open_engine(&options);
	CHECK(session != NULL);
	for (int retry = 0; retry < 2 && *ok; retry++) {
		run_whole(ok, session);
		kill_sampler(ok, session, retry == 1);
		while (count_waiting(session, 1) + count_waiting(session, 3) > 0) {
			CHECK(dx_now_ns() < until_ns);
			(void)usleep(200);
		}
	}
	dsmx_session_close(session);
}

TEST(sampled_plan,
     "its bytes are read back as they were; bounds, keys and kinds that do not fit are refused")
{
	static const uint32_t column = 0;
	struct dsmx_plan *plan, *again;
	struct dsmx_exchange_info info;
	struct dsmx_expr *bound;
	void *bytes, *more;
	size_t len, more_len;

	make_file(&files[1]);
	plan = plan_of(&files[1], orders[0], 2, 5, 3);
	CHECK(plan != NULL);
	CHECK_EQ(dsmx_plan_exchange(plan, 0, &info), 0);
	CHECK(info.sampled && info.kind == DSMX_EXCHANGE_RANGE && info.order_count == 2);
	CHECK_EQ(info.consumer_partitions, 5);
	CHECK_EQ(dsmx_plan_encode(plan, &bytes, &len, NULL), 0);
	CHECK_EQ(dsmx_plan_decode(bytes, len, &again, NULL), 0);
	CHECK_EQ(dsmx_plan_encode(again, &more, &more_len, NULL), 0);
	CHECK(len == more_len && memcmp(bytes, more, len) == 0);
	free(bytes);
	free(more);
	dsmx_plan_free(again);
	dsmx_plan_free(plan);

	plan = plan_new();
	CHECK(dsmx_rel_exchange_sampled(plan, rel_file(plan, "one"), orders[0], 0, 2, NULL) ==
	      NULL);
	CHECK_EQ(dsmx_plan_error(plan, NULL), -EINVAL);
	dsmx_plan_free(plan);
	plan = plan_new();
	bound = dsmx_expr_int64(plan, 1);
	CHECK(dsmx_rel_exchange_range(plan, rel_file(plan, "one"), orders[0], &bound, 1, NULL) !=
	      NULL);
	CHECK(dsmx_rel_exchange(plan, DSMX_EXCHANGE_RANGE, rel_file(plan, "one"), &column, 1, 2,
	                        NULL) == NULL);
	CHECK_EQ(dsmx_plan_error(plan, NULL), -EINVAL);
	dsmx_plan_free(plan);
}

int main(int argc, char **argv)
{
	return own_engine_main(argc, argv, own);
}
