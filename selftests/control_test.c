/* SPDX-License-Identifier: MIT */
/*
 * control_test.c - sessions steered from outside: drained, restarted, killed, frozen, and what is refused
 *
 * What is seen of them is in control_seen_test.c, what a hostile client can do in control_hostile_test.c.
 */
#include <errno.h>
#include <sys/wait.h>

#include "steered.h"

TEST(control_restart_under_queries,
     "every worker is restarted again and again under queries, and not one of them fails")
{
	struct dsmx_session_options options;
	struct dsmx_session *session;
	int restarts = 20, queries = 0, pid, status = -1;
	struct dsmx_error err;

	CHECK_EQ(open_session(3, &options, &session), 0);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < restarts; i++)
			if (steer(session, (uint32_t)i % 3, DSMX_CONTROL_RESTART, 0, false, &err) !=
			    0) {
				printf("# %s\n", err.message);
				_exit(1);
			}
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		int r = run_one(session, 20000, &err);

		if (r != 0)
			printf("# query %d: %s\n", queries, err.message);
		CHECK_EQ(r, 0);
		queries++;
	}
	CHECK_EQ(status, 0);
	printf("# %d restarts, %d queries\n", restarts, queries);
	CHECK_EQ(see(session->id, 0).worker.restarts, (restarts + 2) / 3);
	CHECK_EQ(run_one(session, 1000, &err), 0);
	dsmx_session_close(session);
}

TEST(control_drain,
     "a drained worker ends when its queries are over, stays away, and comes back by restart")
{
	struct dsmx_session_options options;
	struct dsmx_worker_info info;
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dsmx_error err;

	CHECK_EQ(open_session(2, &options, &session), 0);
	CHECK_EQ(start_query(session, KIND_SHUFFLE, ENDLESS, &query, NULL), 0);
	CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, NULL), 1);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_DRAIN, 0, true, &err), 0);
	CHECK(comes_to(session->id, 1, "DRAINING"));
	for (int i = 0; i < 100; i++)
		CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, NULL), 1);
	CHECK_EQ(dsmx_session_worker(session, 1, &info), 0);
	CHECK_EQ(info.state, DSMX_WORKER_DRAINING);
	CHECK_STR(see(session->id, 1).state, "DRAINING");
	dsmx_query_close(query);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_DRAIN, 0, false, &err), 0);
	CHECK_STR(see(session->id, 1).state, "EXITED");
	CHECK_EQ(see(session->id, 1).worker.exit_reason, DSMX_EXIT_CLEAN);
	CHECK(strstr(see(session->id, 1).text, "drained") != NULL);
	CHECK_EQ(run_one(session, 20000, &err), 0);
	CHECK_EQ(see(session->id, 1).worker.restarts, 0);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_RESET_FAILED, 0, false, &err), -EBUSY);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_RESTART, 0, false, &err), 0);
	CHECK(serves_until(session, 1, "READY"));
	dsmx_session_close(session);
}

TEST(control_drain_all, "with all workers drained a query is refused, with the reason")
{
	struct dsmx_session_options options;
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct dsmx_error err;

	CHECK_EQ(open_session(1, &options, &session), 0);
	CHECK_EQ(steer(session, 0, DSMX_CONTROL_DRAIN, 0, false, &err), 0);
	CHECK_EQ(start_query(session, KIND_GATHER, 10, &query, &err), -EOWNERDEAD);
	CHECK_EQ(steer(session, 0, DSMX_CONTROL_RESTART, 0, false, &err), 0);
	CHECK_EQ(run_one(session, 1000, &err), 0);
	dsmx_session_close(session);
}

TEST(control_timeout,
     "what is not drained by its time-out is ended, its query fails with that, and it is replaced")
{
	struct dsmx_session_options options;
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dsmx_error err;
	int r;

	CHECK_EQ(open_session(2, &options, &session), 0);
	CHECK_EQ(start_query(session, KIND_SHUFFLE, ENDLESS, &query, NULL), 0);
	CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, NULL), 1);
	CHECK_EQ(steer(session, 0, DSMX_CONTROL_RESTART, 100, true, &err), 0);
	while ((r = dsmx_query_next_batch(query, harness_hang_ms(), &batch, &err)) == 1)
		;
	CHECK_EQ(r, -EOWNERDEAD);
	CHECK_EQ(err.worker, 0);
	CHECK_EQ(err.reason, DSMX_EXIT_STOP_TIMEOUT);
	dsmx_query_close(query);
	CHECK(serves_until(session, 0, "READY"));
	dsmx_session_close(session);
}

TEST(control_kill, "kill: the reason is SIGNAL 9 and an operator, and another follows")
{
	struct dsmx_session_options options;
	struct dsmx_session *session;
	struct dsmx_error err;
	struct seen seen;

	CHECK_EQ(open_session(2, &options, &session), 0);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_KILL, 0, false, &err), 0);
	CHECK(serves_until(session, 1, "READY"));
	seen = see(session->id, 1);
	CHECK_EQ(seen.worker.exit_reason, DSMX_EXIT_SIGNAL);
	CHECK_EQ(seen.worker.exit_status, SIGKILL);
	CHECK(strstr(seen.text, "operator") != NULL);
	CHECK_EQ(seen.worker.restarts, 1);
	CHECK_EQ(run_one(session, 1000, &err), 0);
	CHECK_EQ(steer(session, 2, DSMX_CONTROL_KILL, 0, false, &err), -ENOENT);
	dsmx_session_close(session);
}

/* Frozen for three times what the watchdog allows. */
static void freeze_and_thaw(bool *ok, enum dsmx_isolation isolation)
{
	struct dsmx_session_options options = options_of(2, NULL);
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dsmx_error err;
	uint64_t id;
	int r = -1;

	options.extensions = extensions;
	options.isolation = isolation;
	options.watchdog_ms = 300 * harness_slow();
	CHECK_EQ(dsmx_session_open(&options, &session, &err), 0);
	CHECK_EQ(start_query(session, KIND_SHUFFLE, ENDLESS, &query, NULL), 0);
	CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, NULL), 1);
	CHECK_EQ(steer(session, 0, DSMX_CONTROL_FREEZE, 0, false, &err), 0);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_FREEZE, 0, false, &err), 0);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_DRAIN, 0, false, &err), -EBUSY);
	CHECK(strstr(err.message, "frozen") != NULL);
	for (uint64_t end_ns = dx_now_ns() + harness_slow() * DX_NS_PER_S; dx_now_ns() < end_ns;)
		r = dsmx_query_next_batch(query, 100, &batch, &err);
	CHECK_EQ(r, -ETIMEDOUT);
	CHECK(see(session->id, 0).worker.frozen);
	CHECK_EQ(see(session->id, 0).worker.exit_reason, DSMX_EXIT_NONE);
	CHECK_EQ(steer(session, 0, DSMX_CONTROL_THAW, 0, false, &err), 0);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_THAW, 0, false, &err), 0);
	CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, NULL), 1);
	CHECK(!see(session->id, 0).worker.frozen);
	dsmx_query_close(query);
	CHECK_EQ(run_one(session, 1000, &err), 0);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_FREEZE, 0, false, &err), 0);
	id = session->id;
	dsmx_session_close(session);
	CHECK_EQ(count_processes(id), 0);
}

TEST(control_freeze,
     "a frozen worker is not the watchdog's, and goes on when thawed: by its cgroup")
{
	freeze_and_thaw(ok, DSMX_ISOLATION_CGROUP);
}

TEST(control_freeze_signal, "the same without cgroups, by signals")
{
	freeze_and_thaw(ok, DSMX_ISOLATION_NONE);
}

TEST(control_reset_failed, "a worker that has FAILED is started again by reset-failed")
{
	struct dsmx_session_options options = options_of(2, NULL);
	struct dsmx_session *session;
	struct dsmx_error err;

	options.extensions = extensions;
	options.restart = DSMX_RESTART_NEVER;
	CHECK_EQ(dsmx_session_open(&options, &session, &err), 0);
	CHECK_EQ(kill(dsmx_session_worker_pid(session, 1), SIGKILL), 0);
	CHECK(comes_to(session->id, 1, "FAILED"));
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_DRAIN, 0, false, &err), -EBUSY);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_FREEZE, 0, false, &err), -EBUSY);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_RESET_FAILED, 0, true, &err), 0);
	CHECK(serves_until(session, 1, "READY"));
	CHECK_EQ(run_one(session, 20000, &err), 0);
	CHECK_EQ(see(session->id, 1).worker.restarts, 1);
	dsmx_session_close(session);
}

TEST(control_wrong, "no such session, no size, no verb: each is refused by its code")
{
	struct dsmx_control control = { .size = sizeof(control), .session = 0x1234567 };
	struct dsmx_error err;

	CHECK_EQ(dsmx_control(&control, &err), -ENOENT);
	control.size = 4;
	CHECK_EQ(dsmx_control(&control, &err), -EINVAL);
	control.size = sizeof(control);
	control.verb = DSMX_CONTROL_COUNT;
	CHECK_EQ(dsmx_control(&control, &err), -EINVAL);
	CHECK_EQ(dsmx_control(NULL, &err), -EINVAL);
	CHECK(dsmx_control_verb_str(-1) == NULL && dsmx_control_verb_str(99) == NULL);
}

int main(int argc, char **argv)
{
	return steered_main(argc, argv);
}
