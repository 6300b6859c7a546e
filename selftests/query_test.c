/* SPDX-License-Identifier: MIT */
/*
 * A query's life as an application sees it, over real processes: polled, beside others; its arrays kept; its failures
 * told. How it ends early is in query_end_test.c.
 */
#include <poll.h>
#include <pthread.h>

#include "queries.h"

/* --- a descriptor to poll -------------------------------------------------------------------------------------- */

TEST(query_poll, "next without blocking, and poll between, gets all rows on both wait back ends")
{
	for (int i = 0; i < 2 * KIND_COUNT * (int)DX_ARRAY_LEN(worker_counts); i++) {
		struct dsmx_session_options options =
			engine_options(worker_counts[i / 2 / KIND_COUNT]);
		enum kind kind = (enum kind)(i / 2 % KIND_COUNT);
		struct dsmx_session *session;
		struct dsmx_query *query;
		struct dsmx_batch batch;
		struct dsmx_error err;
		struct pollfd fd = { .events = POLLIN };
		int batches = 0, polls = 0, r;

		options.wait = i % 2 == 0 ? DSMX_WAIT_AUTO : DSMX_WAIT_FUTEX;
		session = open_engine(&options);
		query = begin(session, kind, 300000);
		CHECK(query != NULL);
		fd.fd = dsmx_session_fd(session);
		CHECK(fd.fd >= 0);
		CHECK_EQ(dsmx_session_fd(session), fd.fd);
		while ((r = dsmx_query_next_batch(query, 0, &batch, &err)) != 0) {
			CHECK(r == 1 || r == -EAGAIN);
			batches += r == 1;
			polls += r == -EAGAIN;
			if (r == -EAGAIN)
				CHECK_EQ(poll(&fd, 1, 5000), 1);
		}
		CHECK(batches > 0);
		/* A descriptor that is always readable would be asked without end. */
		CHECK(polls < 20000);
		printf("# %s, %u workers, %s: %d batches, %d polls\n",
		       options.wait ? "futex" : "auto", options.workers, kind_names[kind], batches,
		       polls);
		dsmx_query_close(query);
		dsmx_session_close(session);
	}
}

enum event { CANCEL, WORKER_KILLED, SUPERVISOR_KILLED, EVENT_COUNT };

TEST(query_poll_ends, "a poll ends when the query is cancelled or a process dies")
{
	static const int codes[] = { -ECANCELED, -EOWNERDEAD, -EOWNERDEAD };

	for (int i = 0; i < 2 * EVENT_COUNT; i++) {
		struct dsmx_session_options options = engine_options(2);
		struct dsmx_session_info info;
		struct dsmx_session *session;
		struct dsmx_query *query;
		struct dsmx_batch batch;
		struct dsmx_error err;
		struct pollfd fd = { .events = POLLIN };
		uint64_t start_ns;
		pthread_t thread;
		int r;

		options.wait = i % 2 == 0 ? DSMX_WAIT_AUTO : DSMX_WAIT_FUTEX;
		session = open_engine(&options);
		query = begin(session, KIND_GROUPS, ENDLESS);
		CHECK(query != NULL);
		dsmx_session_info(session, &info);
		fd.fd = dsmx_session_fd(session);
		while ((r = dsmx_query_next_batch(query, 0, &batch, &err)) == 1)
			;
		CHECK_EQ(r, -EAGAIN);
		start_ns = dx_now_ns();
		if (i / 2 == CANCEL)
			CHECK_EQ(pthread_create(&thread, NULL, cancel_soon, query), 0);
		else
			CHECK_EQ(kill(i / 2 == WORKER_KILLED ? dsmx_session_worker_pid(session, 1)
			                                     : info.supervisor_pid,
			              SIGKILL),
			         0);
		while (r == -EAGAIN) {
			CHECK_EQ(poll(&fd, 1, 2000), 1);
			r = dsmx_query_next_batch(query, 0, &batch, &err);
		}
		CHECK_EQ(r, codes[i / 2]);
		CHECK(dx_now_ns() - start_ns < DX_NS_PER_S);
		if (i / 2 == CANCEL)
			CHECK_EQ(pthread_join(thread, NULL), 0);
		dsmx_query_close(query);
		dsmx_session_close(session);
	}
}

/* --- several --------------------------------------------------------------------------------------------------- */

TEST(query_interleaved,
     "two queries read in turn and one that nobody reads do not disturb each other")
{
	for (size_t i = 0; i < DX_ARRAY_LEN(worker_counts); i++) {
		struct dsmx_session_options options = engine_options(worker_counts[i]);
		struct dsmx_session *session = open_engine(&options);
		struct dsmx_query *unread = begin(session, KIND_SHUFFLE, ENDLESS), *queries[2];
		int64_t sums[2] = { 0 }, ends[2] = { 123456, 200001 };
		bool over[2] = { false };
		struct dsmx_batch batch;
		struct dsmx_error err;

		CHECK(unread != NULL);
		CHECK_EQ(dsmx_query_next_batch(unread, 5000, &batch, &err), 1);
		for (int q = 0; q < 2; q++) {
			queries[q] = begin(session, q == 0 ? KIND_GATHER : KIND_SHUFFLE, ends[q]);
			CHECK(queries[q] != NULL);
		}
		for (int q = 0; !over[0] || !over[1]; q = 1 - q) {
			int r = over[q] ? 0 : dsmx_query_next_batch(queries[q], 5000, &batch, &err);

			if (r < 0)
				printf("# query %d: %s\n", q, err.message);
			CHECK(r >= 0);
			over[q] = r == 0;
			for (uint32_t n = 0; r == 1 && n < batch.selected; n++)
				sums[q] +=
					((const int64_t *)batch.columns[0]
				                 .values)[batch.selection ? batch.selection[n] : n];
		}
		for (int q = 0; q < 2; q++) {
			CHECK_EQ(sums[q], sum_of(ends[q]));
			dsmx_query_close(queries[q]);
		}
		CHECK_EQ(dsmx_query_next_batch(unread, 5000, &batch, &err), 1);
		dsmx_query_close(unread);
		CHECK(goes_on(session));
		dsmx_session_close(session);
	}
}

struct second {
	struct dsmx_query *query;
	int code;
};

static void *read_long(void *arg)
{
	struct second *s = arg;
	struct dsmx_batch batch;

	do /* until it is the one inside */
		s->code = dsmx_query_next_batch(s->query, 2000, &batch, NULL);
	while (s->code == -EBUSY);
	return NULL;
}

TEST(query_busy, "a second thread is told that the session is in use")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);
	struct second second = { .query = begin(session, KIND_GROUPS, ENDLESS) };
	uint64_t until_ns = dx_now_ns() + DX_NS_PER_S;
	struct dsmx_batch batch;
	struct dsmx_error err;
	pthread_t thread;
	int r = 0;

	CHECK(second.query != NULL);
	CHECK_EQ(pthread_create(&thread, NULL, read_long, &second), 0);
	while (r != -EBUSY && dx_now_ns() < until_ns) {
		r = dsmx_query_next_batch(second.query, 0, &batch, &err);
		(void)usleep(100); /* outside, so that the other one can enter */
	}
	CHECK_EQ(r, -EBUSY);
	CHECK_EQ(err.code, -EBUSY);
	CHECK_EQ(start_query(session, KIND_GATHER, 1, &second.query, &err), -EBUSY);
	dsmx_query_cancel(second.query);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(second.code, -ECANCELED);
	dsmx_query_close(second.query);
	CHECK(goes_on(session));
	dsmx_session_close(session);
}

/* --- arrays ---------------------------------------------------------------------------------------------------- */

TEST(query_arrays,
     "arrays outlive their query, in any order, within the lease budget and beyond it")
{
	enum { MOST = 2000 };
	static struct ArrowArray arrays[MOST];

	for (int i = 0; i < 3 * (int)DX_ARRAY_LEN(worker_counts); i++) {
		struct dsmx_session_options options = engine_options(worker_counts[i / 3]);
		struct dsmx_session *session;
		struct dsmx_query *query;
		int64_t sum = 0;
		struct dsmx_error err;
		int count = 0, r;

		options.data_bytes = i % 3 == 0 ? 4 << 20 : 16 << 20;
		options.frames_per_stream = i % 3 == 2;
		session = open_engine(&options);
		query = begin(session, KIND_SHUFFLE, 500000);
		CHECK(query != NULL);
		while ((r = dsmx_query_next(query, harness_hang_ms(), &arrays[count], &err)) == 1)
			CHECK(++count < MOST);
		CHECK_EQ(r, 0);
		printf("# %u workers: %llu leases, %llu copies\n", options.workers,
		       (unsigned long long)session->leases.leased,
		       (unsigned long long)session->leases.copied);
		CHECK(session->leases.copied > 0);
		CHECK(i % 3 == 2 || getenv("DSMX_TINY") != NULL || session->leases.leased > 0);
		CHECK(session->leases.held_bytes <= session->leases.budget_bytes);
		dsmx_query_close(query);
		CHECK(goes_on(session));
		for (int step = 0, at = 0; step < count; step++) {
			struct ArrowArray *a;

			while (arrays[at].release == NULL)
				at = (at + 1) % count;
			a = &arrays[at];
			CHECK_EQ(a->n_children, 1);
			for (int64_t n = 0; n < a->length; n++)
				sum += ((const int64_t *)a->children[0]->buffers[1])[n];
			a->release(a);
			CHECK(a->release == NULL);
			at = (at + 7) % count;
		}
		CHECK_EQ(sum, sum_of(500000));
		CHECK_EQ(session->leases.held_bytes, 0);
		CHECK(goes_on(session));
		dsmx_session_close(session);
	}
}

TEST(query_stream, "a query is an ArrowArrayStream, and so is one that fails")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);

	for (int fails = 0; fails < 2; fails++) {
		struct dsmx_plan *plan = plan_new();
		struct dsmx_rel *rel = rel_series(plan, 50000, 50000);
		struct break_bytes how = { 30000, -EUCLEAN, -1 };
		struct ArrowArrayStream stream;
		struct ArrowSchema schema;
		struct ArrowArray array;
		struct dsmx_query *query;
		struct dsmx_error err;
		int64_t rows = 0;
		int r;

		if (fails)
			rel = rel_break(plan, rel, how);
		CHECK_EQ(plan_end(plan, rel_gather(plan, rel), 2), 0);
		CHECK_EQ(dsmx_query_start(session, plan, NULL, &query, &err), 0);
		CHECK_EQ(dsmx_query_stream(query, &stream), 0);
		CHECK_EQ(stream.get_schema(&stream, &schema), 0);
		CHECK_EQ(schema.n_children, 1);
		CHECK_STR(schema.children[0]->name, "n");
		schema.release(&schema);
		while ((r = stream.get_next(&stream, &array)) == 0 && array.release != NULL) {
			rows += array.length;
			array.release(&array);
		}
		CHECK_EQ(r, fails ? EUCLEAN : 0);
		CHECK(fails ? strstr(stream.get_last_error(&stream), "broke") != NULL
		            : rows == 50000);
		stream.release(&stream);
		CHECK(stream.release == NULL);
		dsmx_plan_free(plan);
	}
	CHECK(goes_on(session));
	dsmx_session_close(session);
}

/* --- failures -------------------------------------------------------------------------------------------------- */

TEST(query_first_cause,
     "an operator that fails in a worker is the cause, with code, worker, exchange and sentence, each time")
{
	static const int rounds[] = { 200, 200, 1000 };

	for (size_t i = 0; i < DX_ARRAY_LEN(worker_counts); i++) {
		struct dsmx_session_options options = engine_options(worker_counts[i]);
		struct dsmx_session *session = open_engine(&options);

		for (int round = 0; round < rounds[i]; round++) {
			struct break_bytes how = { round % 4 * 700, -EUCLEAN, 1 };
			struct dsmx_plan *plan = plan_new();
			struct dsmx_rel *rel = rel_series(plan, round % 3 ? ENDLESS : 20000, 1000);
			struct outcome o;

			rel = rel_break(plan, rel_hash(plan, rel, 0, NULL), how);
			if (round % 2 == 0)
				rel = rel_hash(plan, rel, 0, NULL);
			CHECK_EQ(plan_end(plan, rel_gather(plan, rel), 2), 0);
			o = run_plan(session, plan, NULL);
			if (o.code != -EUCLEAN || o.error.exchange != 1)
				printf("# round %d: %s\n", round, o.error.message);
			CHECK_EQ(o.code, -EUCLEAN);
			CHECK_EQ(o.error.code, -EUCLEAN);
			CHECK_EQ(o.error.worker, (int)worker_counts[i] - 1);
			CHECK_EQ(o.error.exchange, 1);
			CHECK(strstr(o.error.message, "task 1 broke after") != NULL);
			dsmx_plan_free(plan);
		}
		CHECK(goes_on(session));
		dsmx_session_close(session);
	}
}

TEST(query_division, "a division by zero in a worker is that, and not a wrong number")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = rel_hash(plan, rel_series(plan, 100000, 100000), 0, NULL);
	struct dsmx_expr *minus[] = { dsmx_expr_column(plan, rel, 0),
		                      dsmx_expr_int64(plan, 54321) };
	struct dsmx_expr *over[] = { dsmx_expr_int64(plan, 1), NULL }, *quotient;
	struct outcome o;

	over[1] = dsmx_expr_call(plan, DSMX_FN_SUBTRACT, minus, 2);
	quotient = dsmx_expr_call(plan, DSMX_FN_DIVIDE, over, 2);
	rel = dsmx_rel_project(plan, rel, &quotient, NULL, 1);
	CHECK_EQ(plan_end(plan, rel_gather(plan, rel), 2), 0);
	o = run_plan(session, plan, NULL);
	CHECK_EQ(o.code, -EDOM);
	CHECK(o.error.worker == 0 || o.error.worker == 1);
	CHECK_EQ(o.error.exchange, 1);
	printf("# %s\n", o.error.message);
	CHECK(strstr(o.error.message, "zero") != NULL);
	CHECK(goes_on(session));
	dsmx_plan_free(plan);
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	return engine_main(argc, argv);
}
