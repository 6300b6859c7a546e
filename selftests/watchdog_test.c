/* SPDX-License-Identifier: MIT */
/*
 * Workers that live and do nothing.
 *
 * This program is its own supervisor and worker.
 */
#include <errno.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/order.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "processes.h"
#include "series.h"

/* --- operators that hang ---------------------------------------------------------------------------------------- */

enum { HANG_LOOP, HANG_SYSCALL };

static int hang(struct dsmx_stream *stream, struct dsmx_cx *cx, int how)
{
	(void)stream;
	(void)cx;
	for (;;) {
		if (how == HANG_SYSCALL)
			(void)pause();
		dx_spin_pause();
	}
	return 0;
}

static int loop_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                     struct dsmx_batch *ret_batch)
{
	(void)state;
	(void)ret_batch;
	return hang(input, cx, HANG_LOOP);
}

static int syscall_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                        struct dsmx_batch *ret_batch)
{
	(void)state;
	(void)ret_batch;
	return hang(input, cx, HANG_SYSCALL);
}

static int make_hanging(int (*next)(void *, struct dsmx_stream *, struct dsmx_cx *,
                                    struct dsmx_batch *),
                        const struct dsmx_schema *output, struct dsmx_operator **ret_operator)
{
	static const struct dsmx_simple_ops loop = { "Loop", loop_next, free };
	static const struct dsmx_simple_ops wait = { "Wait", syscall_next, free };
	void *state = malloc(1);
	int r = dsmx_simple_new(next == loop_next ? &loop : &wait, state, output, NULL,
	                        ret_operator);

	if (r != 0)
		free(state);
	return r;
}

static int make_loop(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	(void)bytes;
	(void)len;
	(void)inputs;
	(void)input_count;
	(void)err;
	return make_hanging(loop_next, output, ret_operator);
}

static int make_syscall(const void *bytes, size_t len, const struct dsmx_schema *output,
                        struct dsmx_operator **inputs, uint32_t input_count,
                        struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	(void)bytes;
	(void)len;
	(void)inputs;
	(void)input_count;
	(void)err;
	return make_hanging(syscall_next, output, ret_operator);
}

static const struct dsmx_extension hanging[] = {
	{ "series", series_make },
	{ "loop", make_loop },
	{ "syscall", make_syscall },
	{ NULL, NULL },
};

static int start_hanging(struct dsmx_session *session, const char *operator,
                         struct dsmx_query ** ret_query, struct dsmx_error *err)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	struct dsmx_plan *plan;
	int r = dsmx_plan_new(&plan);

	if (r != 0)
		return r;
	r = dsmx_plan_finish(
		plan,
		dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER,
	                          dsmx_rel_extension(plan, operator, "", 0, &schema, NULL, 0), NULL,
	                          0, 1, NULL),
		NULL, NULL);
	if (r == 0)
		r = dsmx_query_start(session, plan, NULL, ret_query, err);
	dsmx_plan_free(plan);
	return r;
}

/* --- sessions ------------------------------------------------------------------------------------------------------ */

static int open_session(uint32_t watchdog_ms, struct dsmx_session **ret_session)
{
	struct dsmx_session_options options = options_of(2, NULL);

	options.extensions = hanging;
	options.watchdog_ms = watchdog_ms;
	options.restart = DSMX_RESTART_ON_FAILURE;
	return dsmx_session_open(&options, ret_session, NULL);
}

static int run_one(struct dsmx_session *session)
{
	struct dsmx_query *query;
	struct dsmx_error err;
	int64_t sum;
	int r = start_query(session, KIND_SHUFFLE, 54321, &query, &err);

	if (r == 0) {
		r = drain(query, KIND_SHUFFLE, &sum, &err);
		dsmx_query_close(query);
	}
	return r == 0 && sum != sum_of(54321) ? -EBADMSG : r;
}

/* Read until the failure, which must be the watchdog's, with @words in its sentence. */
static bool dies_of_watchdog(struct dsmx_query *query, const char *words)
{
	uint64_t start_ns = dx_now_ns(), ms;
	struct dsmx_batch batch;
	struct dsmx_error err;
	int r;

	while ((r = dsmx_query_next_batch(query, harness_hang_ms(), &batch, &err)) == 1)
		;
	ms = (dx_now_ns() - start_ns) / DX_NS_PER_MS;
	printf("# %d after %llu ms: %s\n", r, (unsigned long long)ms, err.message);
	return r == -EOWNERDEAD && err.reason == DSMX_EXIT_WATCHDOG &&
	       strstr(err.message, "did not move for 300 ms") != NULL &&
	       strstr(err.message, words) != NULL && ms >= 200 && ms < 4000;
}

TEST(watchdog_hang,
     "an endless loop or an endless wait in an operator ends its worker and query; the next query runs")
{
	static const struct {
		const char *operator;
		const char *words;
	} rows[] = { { "loop", "endless loop" }, { "syscall", "system call" } };
	struct dsmx_session *session;
	struct dsmx_query *query;

	CHECK_EQ(open_session(300, &session), 0);
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		CHECK_EQ(start_hanging(session, rows[i].operator, & query, NULL), 0);
		CHECK(dies_of_watchdog(query, rows[i].words));
		dsmx_query_close(query);
		CHECK_EQ(run_one(session), 0);
	}
	dsmx_session_close(session);
}

TEST(watchdog_stopped,
     "a worker that is stopped for ever is killed, and its query fails, saying so")
{
	struct dsmx_session *session;
	struct dsmx_session_info info;
	struct dsmx_query *query;
	struct dsmx_batch batch;

	CHECK_EQ(open_session(300, &session), 0);
	dsmx_session_info(session, &info);
	CHECK_EQ(start_query(session, KIND_SHUFFLE, ENDLESS, &query, NULL), 0);
	CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, NULL), 1);
	CHECK_EQ(kill(dsmx_session_worker_pid(session, 1), SIGSTOP), 0);
	CHECK(dies_of_watchdog(query, "stopped"));
	dsmx_query_close(query);
	CHECK_EQ(run_one(session), 0);
	CHECK_EQ(count_processes(info.id), 3);
	dsmx_session_close(session);
	CHECK_EQ(count_processes(info.id), 0);
}

TEST(watchdog_lets_live, "workers that sleep or work for long are left alone")
{
	uint64_t end_ns;
	struct dsmx_worker_info info;
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct dsmx_batch batch;

	CHECK_EQ(open_session(800, &session), 0);
	end_ns = dx_now_ns() + 2 * DX_NS_PER_S;
	while (dx_now_ns() < end_ns)
		(void)dx_reactor_turn(session->reactor, end_ns);
	CHECK_EQ(start_query(session, KIND_GROUPS, ENDLESS, &query, NULL), 0);
	CHECK_EQ(dsmx_query_next_batch(query, 2000, &batch, NULL), -ETIMEDOUT);
	dsmx_query_close(query);
	for (uint32_t w = 0; w < 2; w++) {
		CHECK_EQ(dsmx_session_worker(session, w, &info), 0);
		CHECK_EQ(info.restarts, 0);
		CHECK_EQ(info.state, DSMX_WORKER_READY);
	}
	dsmx_session_close(session);
}

TEST(watchdog_off,
     "without a watchdog a stopped worker is waited for; too short a watchdog is refused")
{
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dsmx_error err;
	int pid, r = 1;

	CHECK_EQ(open_session(DSMX_WATCHDOG_OFF, &session), 0);
	CHECK_EQ(start_query(session, KIND_SHUFFLE, ENDLESS, &query, NULL), 0);
	CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, NULL), 1);
	pid = dsmx_session_worker_pid(session, 1);
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	while (r == 1)
		r = dsmx_query_next_batch(query, 600, &batch, &err);
	CHECK_EQ(r, -ETIMEDOUT);
	CHECK_EQ(kill(pid, SIGCONT), 0);
	CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, &err), 1);
	dsmx_query_close(query);
	dsmx_session_close(session);
	CHECK_EQ(open_session(199, &session), -EINVAL);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, hanging);
	return status >= 0 ? status : harness_main(argc, argv);
}
