/* SPDX-License-Identifier: MIT */
/*
 * Exchanges run nothing that nobody needs, and nothing before it is asked for; EXPLAIN has a line for each.
 */
#include "exchange_shapes.h"

TEST(exchange_lazy, "a join without build rows never starts what produces its other side")
{
	static const uint32_t workers[] = { 0, 1, 2, 8 };

	for (size_t i = 0; i < DX_ARRAY_LEN(workers); i++) {
		for (int broadcast = 0; broadcast < 2; broadcast++) {
			struct dsmx_session_options options = engine_options(workers[i]);
			struct dsmx_session *session = open_engine(&options);
			struct table file = make_file(&files[0]);
			struct dsmx_plan *plan = plan_new();
			struct dsmx_rel *rel = join_of(plan, files[0].name, broadcast == 1, false,
			                               DSMX_JOIN_INNER, -1);
			struct dsmx_exchange_info info;
			uint64_t streams, tasks;
			struct outcome o;

			CHECK_EQ(plan_end(plan, rel_gather(plan, rel), 4), 0);
			plan_needs(plan, &streams, &tasks);
			for (uint32_t x = 0; broadcast == 0 && x < dsmx_plan_exchange_count(plan);
			     x++) { /* the left side is the first */
				CHECK_EQ(dsmx_plan_exchange(plan, x, &info), 0);
				if (info.kind != DSMX_EXCHANGE_HASH)
					continue;
				tasks -= info.producer_tasks;
				streams -= info.producer_tasks * info.consumer_partitions;
				break;
			}
			o = run_plan(session, plan, NULL);
			CHECK_EQ(o.code, 0);
			CHECK_EQ(o.rows, 0);
			CHECK_EQ(o.stats.producer_tasks, tasks);
			CHECK_EQ(o.stats.streams_opened, streams);
			CHECK_EQ(o.stats.start_streams, streams);
			table_free(&file);
			dsmx_plan_free(plan);
			dsmx_session_close(session);
		}
	}
}

TEST(exchange_unwanted, "rows for tasks that do not want them hold up nobody, and go to no file")
{
	static const uint32_t workers[] = { 0, 1, 2, 8 };
	static const uint32_t key = 0;

	for (size_t i = 0; i < DX_ARRAY_LEN(workers); i++) {
		struct dsmx_session_options options = engine_options(workers[i]);
		struct dsmx_session *session = open_engine(&options);
		struct dsmx_exchange_config config = { .credit_bytes = 64 << 10 };
		struct dsmx_plan *plan = plan_new();
		struct dsmx_rel *left = rel_series(plan, 1000000, 1000);
		struct dsmx_rel *right = rel_series(plan, 1, 1);
		struct outcome o;

		left = rel_hash(plan, left, key, &config);
		right = rel_hash(plan, right, key, &config);
		left = dsmx_rel_join(plan, DSMX_JOIN_INNER, left, right, &key, &key, 1, NULL);
		CHECK_EQ(plan_end(plan, rel_gather(plan, left), 4), 0);
		o = run_plan(session, plan, NULL);
		CHECK_EQ(o.code, 0);
		CHECK_EQ(o.rows, 1000);
		CHECK_EQ(o.stats.overflow_bytes, 0);
		CHECK_EQ(o.stats.producer_tasks, 4 + 1 + 1);
		CHECK_EQ(o.stats.streams_opened, 4 + 4 + 1);
		dsmx_plan_free(plan);
		dsmx_session_close(session);
	}
}

TEST(exchange_not_before_next,
     "between the start and the first next nothing is asked for and nothing runs")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);
	struct table file = make_file(&files[0]);
	struct dsmx_plan *plan = shape_plan(SHAPE_HASH, files[0].name, 2, false);
	struct dsmx_query_stats stats;
	struct dsmx_query *query;
	struct dsmx_error err;
	uint64_t rows;

	CHECK(session != NULL && plan != NULL);
	CHECK_EQ(dsmx_query_start(session, plan, NULL, &query, &err), 0);
	for (int look = 0; look < 20; look++) {
		(void)usleep(1000); /* for what should not happen */
		dsmx_query_stats(query, &stats);
		CHECK_EQ(stats.start_streams, 0);
		CHECK_EQ(stats.producer_tasks, 0);
	}
	CHECK_EQ(read_all(query, NULL, &rows, &err), 0);
	CHECK_EQ(rows, file.rows);
	dsmx_query_close(query);
	table_free(&file);
	dsmx_plan_free(plan);
	dsmx_session_close(session);
}

static uint32_t count_text(const char *text, const char *what)
{
	uint32_t count = 0;

	for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
		count++;
	return count;
}

TEST(exchange_explain,
     "EXPLAIN has one line for each exchange, and ANALYZE one for each producer task too")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);

	CHECK(session != NULL);
	for (int shape = 0; shape < SHAPE_COUNT; shape++) {
		struct table file = make_file(&files[1]);
		struct dsmx_plan *plan = shape_plan((enum shape)shape, files[1].name, 2, false);
		struct dsmx_query_stats stats;
		struct dsmx_query *query;
		struct dsmx_error err;
		uint64_t rows;
		char *text;

		CHECK_EQ(dsmx_query_start(session, plan, NULL, &query, &err), 0);
		CHECK_EQ(dsmx_query_explain(query, false, &text), 0);
		CHECK_EQ(count_text(text, "DsmExchangeExec"), dsmx_plan_exchange_count(plan));
		free(text);
		CHECK_EQ(read_all(query, NULL, &rows, &err), 0);
		dsmx_query_stats(query, &stats);
		CHECK_EQ(dsmx_query_explain(query, true, &text), 0);
		CHECK_EQ(count_text(text, "DsmExchangeExec"), dsmx_plan_exchange_count(plan));
		CHECK_EQ(count_text(text, " in process "), stats.producer_tasks);
		free(text);
		dsmx_query_close(query);
		table_free(&file);
		dsmx_plan_free(plan);
	}
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	return engine_main(argc, argv);
}
