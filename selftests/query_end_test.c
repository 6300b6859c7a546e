/* SPDX-License-Identifier: MIT */
/*
 * A query that ends before its rows do, over real processes: by a limit, closed, cancelled, timed out.
 */
#include <pthread.h>

#include "queries.h"

/* --- ended early ----------------------------------------------------------------------------------------------- */

TEST(query_limit,
     "a limit over endless rows ends, and its producers with it, before the query is closed")
{
	for (size_t i = 0; i < DX_ARRAY_LEN(worker_counts); i++) {
		struct dsmx_session_options options = engine_options(worker_counts[i]);
		struct dsmx_session *session = open_engine(&options);

		for (int shuffle = 0; shuffle < 2; shuffle++) {
			struct dsmx_plan *plan = plan_new();
			struct dsmx_rel *rel = rel_series(plan, ENDLESS, 100);
			uint64_t start_ns = dx_now_ns(), rows;
			struct dsmx_query *query;
			struct dsmx_error err;

			if (shuffle != 0)
				rel = rel_hash(plan, rel, 0, NULL);
			rel = dsmx_rel_limit(plan, rel_gather(plan, rel), 0, 1);
			CHECK_EQ(plan_end(plan, rel, 2), 0);
			CHECK_EQ(dsmx_query_start(session, plan, NULL, &query, &err), 0);
			CHECK_EQ(read_all(query, NULL, &rows, &err), 0);
			CHECK_EQ(rows, 1);
			CHECK(dx_now_ns() - start_ns < DX_NS_PER_S);
			/* Those in this process have only its calls to run in. */
			CHECK(worker_counts[i] == 0 || producers_end(session));
			dsmx_query_close(query);
			dsmx_plan_free(plan);
		}
		CHECK(goes_on(session));
		dsmx_session_close(session);
	}
}

/* Frames come back when the mesh looks next: at the application's next call. */
static bool memory_comes_back(struct dsmx_session *session)
{
	uint64_t until_ns = dx_now_ns() + DX_NS_PER_S;

	while (dx_slab_used(dx_mesh_slabs(session->mesh)) > 0 && dx_now_ns() < until_ns)
		(void)dx_reactor_turn(session->reactor, 0);
	return dx_slab_used(dx_mesh_slabs(session->mesh)) == 0;
}

TEST(query_close, "a query closed at any moment leaves no memory in use, and the session goes on")
{
	static const int moments[] = { -1, 0, 1, 3, 20 }; /* batches read; -1: not even asked */

	for (size_t i = 0; i < DX_ARRAY_LEN(worker_counts); i++) {
		struct dsmx_session_options options = engine_options(worker_counts[i]);
		struct dsmx_session *session = open_engine(&options);
		struct dsmx_batch batch;
		struct dsmx_error err;

		for (int round = 0; round < 40; round++) {
			int moment = moments[round % (int)DX_ARRAY_LEN(moments)];
			enum kind kind = (enum kind)(round % KIND_COUNT);
			struct dsmx_query *query = begin(session, kind, ENDLESS);

			CHECK(query != NULL);
			if (kind == KIND_GROUPS && moment > 0)
				moment = 0;
			if (moment == 0 && (worker_counts[i] > 0 || kind != KIND_GROUPS))
				(void)dsmx_query_next_batch(query, 0, &batch, &err);
			for (int n = 0; n < moment; n++)
				CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch,
				                               &err),
				         1);
			dsmx_query_close(query);
			CHECK(memory_comes_back(session));
		}
		CHECK(goes_on(session));
		CHECK_EQ(dx_slab_strays(dx_mesh_slabs(session->mesh)), 0);
		dsmx_session_close(session);
	}
}

TEST(query_close_tight,
     "queries that need every stream of the tables can follow each other closely")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session;
	struct dsmx_batch batch;
	struct dsmx_error err;

	options.streams_per_peer = 2; /* all that the shuffle needs */
	session = open_engine(&options);
	for (int round = 0; round < 300; round++) {
		struct dsmx_query *query = begin(session, KIND_SHUFFLE, round % 2 ? ENDLESS : 5000);
		int64_t sum;
		int r;

		CHECK(query != NULL);
		r = round % 2 ? dsmx_query_next_batch(query, harness_hang_ms(), &batch, &err)
		              : drain(query, KIND_SHUFFLE, &sum, &err);
		if (r < 0)
			printf("# round %d: %s\n", round, err.message);
		CHECK_EQ(r, round % 2);
		dsmx_query_close(query);
	}
	dsmx_session_close(session);
}

TEST(query_close_at_once,
     "queries that are closed as soon as they are started never use up the records")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);
	struct dsmx_query *queries[DSMX_ABI_QUERIES + 1];
	struct dsmx_error err;

	for (int round = 0; round < 200; round++) {
		struct dsmx_query *query = begin(session, KIND_SHUFFLE, ENDLESS);

		CHECK(query != NULL);
		dsmx_query_close(query);
	}
	for (uint32_t i = 0; i <= DSMX_ABI_QUERIES; i++) {
		int r = start_query(session, KIND_GATHER, 1, &queries[i], &err);

		CHECK_EQ(r, i < DSMX_ABI_QUERIES ? 0 : -EBUSY);
	}
	for (uint32_t i = 0; i < DSMX_ABI_QUERIES; i++)
		dsmx_query_close(queries[i]);
	CHECK(goes_on(session));
	dsmx_session_close(session);
}

/* --- cancelled ------------------------------------------------------------------------------------------------- */

static struct dsmx_query *to_cancel;

static void on_alarm(int sig)
{
	(void)sig;
	dsmx_query_cancel(to_cancel);
}

enum how { FROM_THREAD, FROM_HANDLER, BEFORE_NEXT };
#define HOW_COUNT 3

TEST(query_cancel,
     "a cancel from a thread, a signal handler or before the first next ends the query, for good")
{
	for (int i = 0; i < 2 * HOW_COUNT * KIND_COUNT; i++) {
		struct dsmx_session_options options =
			engine_options(i < HOW_COUNT * KIND_COUNT ? 2 : 0);
		enum kind kind = (enum kind)(i / HOW_COUNT % KIND_COUNT);
		struct sigaction heard = { .sa_handler = on_alarm, .sa_flags = SA_RESTART }, before;
		struct dsmx_session *session;
		struct itimerspec soon = { .it_value = { .tv_nsec = 3000000 } };
		struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
		uint64_t start_ns;
		struct dsmx_batch batch;
		struct dsmx_error err;
		pthread_t thread;
		timer_t timer;
		int r = 1;

		options.wait = i % 2 == 0 ? DSMX_WAIT_AUTO : DSMX_WAIT_FUTEX;
		session = open_engine(&options);
		to_cancel = begin(session, kind, ENDLESS);
		CHECK(to_cancel != NULL);
		CHECK_EQ(sigaction(SIGUSR1, &heard, &before), 0);
		CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
		if (i % HOW_COUNT == FROM_THREAD)
			CHECK_EQ(pthread_create(&thread, NULL, cancel_soon, to_cancel), 0);
		else if (i % HOW_COUNT == FROM_HANDLER)
			CHECK_EQ(timer_settime(timer, 0, &soon, NULL), 0);
		else
			dsmx_query_cancel(to_cancel);
		start_ns = dx_now_ns();
		while (r == 1)
			r = dsmx_query_next_batch(to_cancel, 5000, &batch, &err);
		CHECK_EQ(r, -ECANCELED);
		CHECK_EQ(err.code, -ECANCELED);
		CHECK(dx_now_ns() - start_ns < DX_NS_PER_S);
		if (i % HOW_COUNT == FROM_THREAD)
			CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(timer_delete(timer), 0);
		CHECK_EQ(sigaction(SIGUSR1, &before, NULL), 0);
		CHECK(options.workers == 0 || producers_end(session));
		CHECK(goes_on(session));
		CHECK_EQ(dsmx_query_next_batch(to_cancel, 5000, &batch, &err), -ECANCELED);
		dsmx_query_close(to_cancel);
		dsmx_session_close(session);
	}
}

TEST(query_timeout, "a statement that takes too long fails, a call that does only returns")
{
	for (size_t i = 0; i < DX_ARRAY_LEN(worker_counts); i++) {
		struct dsmx_session_options options = engine_options(worker_counts[i]);
		struct dsmx_query_options limits = { .size = sizeof(limits), .timeout_ms = 80 };
		struct dsmx_session *session = open_engine(&options);
		struct dsmx_plan *plan = make_plan(KIND_GROUPS, ENDLESS);
		uint64_t start_ns = dx_now_ns(), took_ns;
		struct dsmx_query *query;
		struct dsmx_batch batch;
		struct dsmx_error err;

		CHECK_EQ(dsmx_query_start(session, plan, &limits, &query, &err), 0);
		CHECK_EQ(dsmx_query_next_batch(query, 20, &batch, &err), -ETIMEDOUT);
		took_ns = dx_now_ns() - start_ns;
		CHECK(took_ns >= 20 * DX_NS_PER_MS);
		CHECK_EQ(dsmx_query_next_batch(query, -1, &batch, &err), -ETIMEDOUT);
		took_ns = dx_now_ns() - start_ns;
		CHECK(strstr(err.message, "80 ms") != NULL);
		CHECK(took_ns >= 80 * DX_NS_PER_MS && took_ns < 80 * DX_NS_PER_MS + DX_NS_PER_S);
		CHECK(worker_counts[i] == 0 || producers_end(session));
		CHECK(goes_on(session));
		CHECK_EQ(dsmx_query_next_batch(query, -1, &batch, &err), -ETIMEDOUT);
		dsmx_query_close(query);
		dsmx_plan_free(plan);
		dsmx_session_close(session);
	}
}

int main(int argc, char **argv)
{
	return engine_main(argc, argv);
}
