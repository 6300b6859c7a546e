/* SPDX-License-Identifier: MIT */
/*
 * Queries whose tasks wait for each other: an edge overflows, within its budget, or the cycle is named; and queries
 * that only look so.
 */
#include "queries.h"
#include "zips.h"

/* Keys that a hash over two partitions sends to task 0 and to task 1. */
static bool find_keys(struct dsmx_session *session, int64_t *ret_keys)
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = rel_stamp(plan, rel_hash(plan, rel_series(plan, 100, 100), 0, NULL));
	struct table seen = { .rows = 0 };
	struct outcome o;

	ret_keys[0] = ret_keys[1] = -1;
	if (plan_end(plan, rel_gather(plan, rel), 2) != 0)
		return false;
	o = run_plan(session, plan, &seen);
	for (uint32_t r = 0; o.code == 0 && r < seen.rows; r++)
		ret_keys[table_at(&seen, r, 1)->i] = (int64_t)table_at(&seen, r, 0)->i;
	table_free(&seen);
	dsmx_plan_free(plan);
	return ret_keys[0] >= 0 && ret_keys[1] >= 0;
}

static struct outcome run_zip(struct dsmx_session *session, const int64_t *keys, bool forbidden)
{
	struct dsmx_plan *plan = plan_zip(keys[0], keys[1], forbidden);
	struct outcome o = { .code = -EINVAL };

	if (plan != NULL && dsmx_plan_exchange_count(plan) == 3)
		o = run_plan(session, plan, NULL);
	dsmx_plan_free(plan);
	return o;
}

TEST(query_deadlock, "tasks that wait for each other's credit go on by overflow, or are named")
{
	for (int i = 0; i < 2 * (int)DX_ARRAY_LEN(worker_counts); i++) {
		struct dsmx_session_options options = engine_options(worker_counts[i / 2]);
		struct dsmx_session *session;
		struct outcome o;
		int64_t keys[2];

		options.data_bytes = i % 2 == 0 ? 0 : 8 << 20;
		CHECK_EQ(TINY, 0);
		session = open_engine(&options);
		CHECK_EQ(unsetenv("DSMX_TINY"), 0);
		CHECK(session != NULL && find_keys(session, keys));
		o = run_zip(session, keys, false);
		if (o.code != 0)
			printf("# %s\n", o.error.message);
		CHECK_EQ(o.code, 0);
		CHECK_EQ(o.rows, 4 * HALF);
		CHECK(o.stats.overflow_bytes > 0);
		printf("# %u workers: %llu bytes overflowed\n", options.workers,
		       (unsigned long long)o.stats.overflow_bytes);
		o = run_zip(session, keys, true);
		CHECK_EQ(o.code, -EDEADLK);
		if (i < 2)
			printf("# %s\n", o.error.message);
		CHECK(strstr(o.error.message, "wait for each other: #") != NULL);
		CHECK(goes_on(session));
		dsmx_session_close(session);
	}
}

TEST(query_overflow_budget, "overflow beyond its budget is an error that names it")
{
	for (size_t i = 0; i < DX_ARRAY_LEN(worker_counts); i++) {
		struct dsmx_session_options options = engine_options(worker_counts[i]);
		struct dsmx_session *session;
		struct outcome o;
		int64_t keys[2];

		options.overflow_max_bytes = 10000;
		options.frames_per_stream = 1;
		session = open_engine(&options);
		CHECK(session != NULL && find_keys(session, keys));
		o = run_zip(session, keys, false);
		CHECK_EQ(o.code, -ENOSPC);
		CHECK(strstr(o.error.message, "overflow_max_bytes") != NULL);
		CHECK(goes_on(session));
		dsmx_session_close(session);
	}
}

/* Files without a name that this process has open, memory apart: overflow. Returns how many it emptied. */
static int empty_files(void)
{
	char path[64], name[256];
	int count = 0;

	for (int fd = 3; fd < 256; fd++) {
		ssize_t len;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, name, sizeof(name) - 1);
		name[len > 0 ? len : 0] = '\0';
		if (strstr(name, " (deleted)") != NULL && strstr(name, "memfd:") == NULL)
			count += ftruncate(fd, 0) == 0;
	}
	return count;
}

TEST(query_overflow_lost,
     "overflow that cannot be read back fails the query, and nobody waits for it")
{
	struct dsmx_session_options options = engine_options(0);
	struct dsmx_exchange_config config = { .credit_bytes = 64 << 10 };
	struct dsmx_session *session;
	struct dsmx_plan *plan = plan_new();
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dsmx_error err;
	struct dsmx_rel *inputs[2];
	int64_t keys[2];
	int r = 1, emptied = 0;

	options.frames_per_stream = 1;
	session = open_engine(&options);
	CHECK(session != NULL && find_keys(session, keys));
	inputs[0] = two_halves(plan, keys[0], keys[1], &config);
	inputs[1] = two_halves(plan, keys[1], keys[0], &config);
	CHECK_EQ(plan_end(plan,
	                  rel_gather(plan,
	                             dsmx_rel_extension(plan, "zip", NULL, 0,
	                                                dsmx_rel_schema(inputs[0]), inputs, 2)),
	                  2),
	         0);
	CHECK_EQ(dsmx_query_start(session, plan, NULL, &query, &err), 0);
	while (r == 1) {
		r = dsmx_query_next_batch(query, 2000, &batch, &err);
		emptied += empty_files();
	}
	CHECK_EQ(emptied > 0, 1);
	CHECK_EQ(r, -EIO);
	CHECK(strstr(err.message, "does not give back") != NULL);
	dsmx_query_close(query);
	dsmx_plan_free(plan);
	CHECK(goes_on(session));
	dsmx_session_close(session);
}

TEST(query_slow_application, "an application that reads slowly is no deadlock")
{
	for (int i = 0; i < 2 * (int)DX_ARRAY_LEN(worker_counts); i++) {
		struct dsmx_session_options options = engine_options(worker_counts[i / 2]);
		enum kind kind = i % 2 == 0 ? KIND_GATHER : KIND_SHUFFLE;
		struct dsmx_query_stats stats = { 0 };
		struct dsmx_session *session;
		struct dsmx_query *query;
		struct dsmx_batch batch;
		struct dsmx_error err;
		uint64_t rows = 0, rest;

		options.frames_per_stream = 1;
		session = open_engine(&options);
		query = begin(session, kind, 2000000);
		CHECK(query != NULL);
		/* As slow as it takes for a producer to wait: instrumented ones are slow themselves. */
		for (int n = 0; n < 30 || (options.workers > 0 && stats.waits == 0 && n < 60);
		     n++) {
			CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, &err), 1);
			rows += batch.selected;
			(void)usleep(n < 30 ? 3000 : 100000); /* the application's own work */
			dsmx_query_stats(query, &stats);
		}
		CHECK_EQ(read_all(query, NULL, &rest, &err), 0);
		CHECK_EQ(rows + rest, 2000000);
		dsmx_query_stats(query, &stats);
		CHECK_EQ(stats.overflow_bytes, 0);
		CHECK(options.workers == 0 || stats.waits > 0);
		dsmx_query_close(query);
		dsmx_session_close(session);
	}
}

int main(int argc, char **argv)
{
	return engine_main(argc, argv);
}
