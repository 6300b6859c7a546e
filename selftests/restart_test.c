/* SPDX-License-Identifier: MIT */
/*
 * Workers that die and others that take their places, in one session that goes on.
 *
 * This program is its own supervisor and worker.
 */
#include <errno.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "chan/rx.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "processes.h"
#include "series.h"
#include "session/query.h"
#include "worker/restart.h"

#define KILLS 50 /* or DSMX_KILLS */

/* --- the policy ------------------------------------------------------------------------------------------------ */

static const struct dx_restart policy = { .policy = DSMX_RESTART_ON_FAILURE,
	                                  .delay_ms = 100,
	                                  .max_delay_ms = 1000,
	                                  .reset_ms = 60000,
	                                  .burst = 8,
	                                  .interval_ms = 10000 };

TEST(restart_delays,
     "at once, then after delays that double up to the greatest, less at most a quarter")
{
	static const int64_t rows[] = { 0, 100, 200, 400, 800, 1000, 1000, 1000 };
	struct dx_restart_history history = { .random = 1 };
	bool differs = false;

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		int64_t ms = dx_restart_after(&policy, &history, DSMX_EXIT_SIGNAL, 0, 1);

		CHECK(ms <= rows[i] && ms >= rows[i] - rows[i] / 4);
		differs |= ms != rows[i];
	}
	CHECK(differs);
	CHECK_EQ(dx_restart_after(&policy, &history, DSMX_EXIT_SIGNAL, 0, 1), -1);
}

TEST(restart_interval,
     "the burst is counted anew in the next interval; being ready for long resets the delay")
{
	struct dx_restart_history history = { .random = 7 };
	uint64_t now_ns = 5;

	for (int i = 0; i < 8; i++)
		CHECK(dx_restart_after(&policy, &history, DSMX_EXIT_OOM, 0, now_ns) >= 0);
	now_ns += 10 * DX_NS_PER_S - 1;
	CHECK_EQ(dx_restart_after(&policy, &history, DSMX_EXIT_OOM, 0, now_ns), -1);
	CHECK(dx_restart_after(&policy, &history, DSMX_EXIT_OOM, 0, now_ns + 1) >= 750);
	CHECK(dx_restart_after(&policy, &history, DSMX_EXIT_OOM, 60 * DX_NS_PER_S - 1,
	                       now_ns + 2) >= 750);
	CHECK_EQ(dx_restart_after(&policy, &history, DSMX_EXIT_OOM, 60 * DX_NS_PER_S, now_ns + 3),
	         0);
}

TEST(restart_reasons, "what is restarted follows the policy and the reason")
{
	static const struct {
		enum dsmx_restart policy;
		int reason;
		bool again;
	} rows[] = {
		{ DSMX_RESTART_ON_FAILURE, DSMX_EXIT_SIGNAL, true },
		{ DSMX_RESTART_ON_FAILURE, DSMX_EXIT_CODE, true },
		{ DSMX_RESTART_ON_FAILURE, DSMX_EXIT_OOM, true },
		{ DSMX_RESTART_ON_FAILURE, DSMX_EXIT_WATCHDOG, true },
		{ DSMX_RESTART_ON_FAILURE, DSMX_EXIT_START_TIMEOUT, true },
		{ DSMX_RESTART_ON_FAILURE, DSMX_EXIT_CLEAN, false },
		{ DSMX_RESTART_ON_FAILURE, DSMX_EXIT_PROTOCOL, false },
		{ DSMX_RESTART_ON_FAILURE, DSMX_EXIT_EXEC_FAILED, false },
		{ DSMX_RESTART_ALWAYS, DSMX_EXIT_CLEAN, true },
		{ DSMX_RESTART_ALWAYS, DSMX_EXIT_PROTOCOL, false },
		{ DSMX_RESTART_ALWAYS, DSMX_EXIT_EXEC_FAILED, false },
		{ DSMX_RESTART_ALWAYS, DSMX_EXIT_LEADER_GONE, false },
		{ DSMX_RESTART_NEVER, DSMX_EXIT_SIGNAL, false },
		{ DSMX_RESTART_NEVER, DSMX_EXIT_CLEAN, false },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dx_restart_history history = { .random = 1 };
		struct dx_restart p = policy;

		p.policy = rows[i].policy;
		CHECK_EQ(dx_restart_after(&p, &history, rows[i].reason, 0, 1),
		         rows[i].again ? 0 : -1);
	}
}

/* --- sessions --------------------------------------------------------------------------------------------------- */

static struct dsmx_session_options restarting(uint32_t workers, uint32_t burst)
{
	struct dsmx_session_options options = options_of(workers, NULL);

	options.extensions = extensions;
	options.restart = DSMX_RESTART_ON_FAILURE;
	options.restart_delay_ms = 1;
	options.restart_max_delay_ms = 2;
	options.restart_burst = burst;
	return options;
}

static int open_session(uint32_t workers, uint32_t burst, struct dsmx_session **ret_session,
                        struct dsmx_error *err)
{
	struct dsmx_session_options options = restarting(workers, burst);

	return dsmx_session_open(&options, ret_session, err);
}

static struct dsmx_worker_info info_of(const struct dsmx_session *session, uint32_t worker)
{
	struct dsmx_worker_info info = { .state = DSMX_WORKER_FAILED };

	(void)dsmx_session_worker(session, worker, &info);
	return info;
}

/* Let the leader hear until @worker's state is @state in an incarnation after @epoch, or for long. */
static bool await_state(struct dsmx_session *session, uint32_t worker, enum dsmx_worker_state state,
                        uint64_t epoch)
{
	uint64_t deadline_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;

	while (dx_now_ns() < deadline_ns) {
		struct dsmx_worker_info info = info_of(session, worker);

		if (info.state == state && info.epoch >= epoch)
			return true;
		(void)dx_reactor_turn(session->reactor, dx_now_ns() + DX_NS_PER_MS);
	}
	printf("# worker %u: state %d, %s\n", worker, info_of(session, worker).state,
	       info_of(session, worker).text);
	return false;
}

static int run_all(struct dsmx_session *session, struct dsmx_error *err)
{
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		struct dsmx_query *query;
		int64_t sum;
		int r = start_query(session, (enum kind)kind, 54321, &query, err);

		if (r != 0)
			return r;
		r = drain(query, (enum kind)kind, &sum, err);
		dsmx_query_close(query);
		if (r != 0 || sum != sum_of(54321))
			return r != 0 ? r : -EBADMSG;
	}
	return 0;
}

/* Workers that a query was dealt to: all that are ready. */
static uint32_t count_ready(const struct dsmx_session *session, uint32_t workers)
{
	uint32_t count = 0;

	for (uint32_t w = 0; w < workers; w++)
		count += info_of(session, w).state == DSMX_WORKER_READY;
	return count;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Kill worker 1 and wait for its successor, 20 times. */
static void ready_again(bool *ok, struct dsmx_session *session, uint64_t took_ns[20])
{
	for (int i = 0; i < 20; i++) {
		struct dsmx_worker_info before = info_of(session, 1), after;
		uint64_t start_ns = dx_now_ns();

		CHECK_EQ(before.state, DSMX_WORKER_READY);
		CHECK_EQ(kill(before.pid, SIGKILL), 0);
		CHECK(await_state(session, 1, DSMX_WORKER_READY, before.epoch + 1));
		took_ns[i] = dx_now_ns() - start_ns;
		after = info_of(session, 1);
		CHECK(after.pid > 0 && after.pid != before.pid);
		CHECK_EQ(after.restarts, i + 1);
		CHECK_EQ(after.reason, DSMX_EXIT_SIGNAL);
		CHECK_EQ(after.status, SIGKILL);
		CHECK(strstr(after.text, "SIGKILL") != NULL);
		CHECK_EQ(info_of(session, 0).restarts, 0);
	}
	qsort(took_ns, 20, sizeof(took_ns[0]), compare);
}

TEST(restart_ready,
     "a killed worker has a READY successor within milliseconds: another process, another epoch")
{
	static const enum dsmx_pages rows[] = { DSMX_PAGES_AUTO, DSMX_PAGES_SMALL };

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_session_options options = restarting(2, 1000);
		struct dsmx_session_info info;
		struct dsmx_session *session;
		struct dsmx_error err;
		uint64_t took_ns[20];

		options.pages = rows[i];
		options.data_bytes = 0; /* as it is where nobody says anything */
		CHECK_EQ(dsmx_session_open(&options, &session, &err), 0);
		dsmx_session_info(session, &info);
		ready_again(ok, session, took_ns);
		CHECK(*ok);
		printf("# kill to READY, %s pages: median %.2f ms, worst %.2f ms\n", info.pages,
		       (double)took_ns[10] / 1e6, (double)took_ns[19] / 1e6);
		CHECK_EQ(run_all(session, &err), 0);
		dsmx_session_close(session);
	}
}

TEST(restart_kills,
     "workers killed under queries of one session, 50 times: right answers or the verdict, all workers again, nothing left")
{
	int answers = 0, errors = 0, fds = harness_each_fd(NULL), fds_open, mappings;
	const char *said = getenv("DSMX_KILLS");
	int kills = said != NULL ? atoi(said) : KILLS;
	unsigned seed = (unsigned)getpid();
	struct dsmx_session_info info;
	struct dsmx_session *session;
	char state[DX_CGROUP_PATH];
	struct dx_cgroup group;
	struct dsmx_error err;

	printf("# seed %u\n", seed);
	CHECK_EQ(open_session(3, 10000, &session, &err), 0);
	dsmx_session_info(session, &info);
	CHECK_EQ(run_all(session, &err), 0);
	fds_open = harness_each_fd(NULL);
	mappings = count_mappings();
	for (int i = 0; i < kills; i++) {
		(void)alarm(harness_timeout_s()); /* for each */
		struct timespec moment = { .tv_nsec = rand_r(&seed) % 12000000 };
		enum kind kind = (enum kind)(i % KIND_COUNT);
		uint32_t victim = (uint32_t)rand_r(&seed) % 3;
		struct dsmx_worker_info before = info_of(session, victim);
		struct dsmx_query *query;
		int64_t sum;
		int killer, r;

		CHECK(before.pid > 0);
		killer = fork();
		if (killer == 0) {
			(void)nanosleep(&moment, NULL);
			_exit(kill(before.pid, SIGKILL) != 0);
		}
		r = start_query(session, kind, 600000, &query, &err);
		if (r == 0) {
			r = drain(query, kind, &sum, &err);
			dsmx_query_close(query);
			CHECK(r != 0 || sum == sum_of(600000));
		}
		(void)waitpid(killer, NULL, 0);
		answers += r == 0;
		errors += r == -EOWNERDEAD;
		if (r != 0 && (r != -EOWNERDEAD || err.worker != (int)victim))
			printf("# %s: %d %s\n", kind_names[kind], r, err.message);
		CHECK(r == 0 || (r == -EOWNERDEAD && err.worker == (int)victim));
		CHECK(r == 0 || err.reason == DSMX_EXIT_SIGNAL);

		CHECK(await_state(session, victim, DSMX_WORKER_READY, before.epoch + 1));
		CHECK_EQ(count_ready(session, 3), 3);
		CHECK_EQ(run_all(session, &err), 0);
	}
	printf("# %d answers, %d errors\n", answers, errors);
	CHECK_EQ(count_processes(info.id), 4);
	CHECK_EQ(harness_each_fd(NULL), fds_open);
	CHECK_EQ(count_mappings(), mappings);
	group = session->group;
	memcpy(state, session->state_path, sizeof(state));
	dsmx_session_close(session);
	CHECK_EQ(count_processes(info.id), 0);
	CHECK(groups_gone(&group));
	CHECK(access(state, F_OK) != 0);
	CHECK_EQ(harness_each_fd(NULL), fds);
	CHECK_EQ(count_mappings(), 0);
}

TEST(restart_next_query,
     "after a query failed by a death the next one, at once, runs on all workers; with one worker, too")
{
	for (uint32_t workers = 1; workers <= 3; workers++) {
		struct dsmx_session *session;
		struct dsmx_query *query;
		struct dsmx_batch batch;
		struct dsmx_error err;
		int r;

		CHECK_EQ(open_session(workers, 1000, &session, &err), 0);
		for (int i = 0; i < 5; i++) {
			CHECK_EQ(start_query(session, KIND_SHUFFLE, ENDLESS, &query, &err), 0);
			CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, &err), 1);
			CHECK_EQ(kill(dsmx_session_worker_pid(session, 0), SIGKILL), 0);
			while ((r = dsmx_query_next_batch(query, harness_hang_ms(), &batch,
			                                  &err)) == 1)
				;
			CHECK_EQ(r, -EOWNERDEAD);
			CHECK_EQ(err.worker, 0);
			CHECK_EQ(err.reason, DSMX_EXIT_SIGNAL);
			dsmx_query_close(query);
			CHECK_EQ(start_query(session, KIND_SHUFFLE, ENDLESS, &query, &err), 0);
			CHECK_EQ(count_ready(session, workers), workers);
			CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, &err), 1);
			dsmx_query_close(query);
		}
		dsmx_session_close(session);
	}
}

TEST(restart_all_at_once,
     "all workers killed at once, while the leader sleeps: the next query finds new ones")
{
	struct dsmx_session *session;
	struct dsmx_error err;

	CHECK_EQ(open_session(4, 1000, &session, &err), 0);
	for (int i = 0; i < 5; i++) {
		int pidfds[4];

		for (uint32_t w = 0; w < 4; w++)
			pidfds[w] = dx_pidfd_open(dsmx_session_worker_pid(session, w));
		for (uint32_t w = 0; w < 4; w++)
			dx_pidfd_kill(pidfds[w], SIGKILL);
		for (uint32_t w = 0; w < 4; w++) {
			CHECK(ends_soon(pidfds[w]));
			CHECK_EQ(close(pidfds[w]), 0);
		}
		CHECK(await_state(session, 0, DSMX_WORKER_READY, 3));
		CHECK_EQ(run_all(session, &err), 0);
	}
	dsmx_session_close(session);
}

TEST(restart_burst,
     "after more deaths than the burst a worker is FAILED, and queries run on the others")
{
	struct dsmx_session *session;
	struct dsmx_session_info info;
	struct dsmx_error err;

	CHECK_EQ(open_session(2, 2, &session, &err), 0);
	dsmx_session_info(session, &info);
	for (int i = 0; i < 2; i++) {
		struct dsmx_worker_info before = info_of(session, 0);

		CHECK_EQ(kill(before.pid, SIGKILL), 0);
		CHECK(await_state(session, 0, DSMX_WORKER_READY, before.epoch + 1));
	}
	CHECK_EQ(kill(dsmx_session_worker_pid(session, 0), SIGKILL), 0);
	CHECK(await_state(session, 0, DSMX_WORKER_FAILED, 0));
	CHECK_EQ(info_of(session, 0).restarts, 2);
	CHECK_EQ(info_of(session, 0).pid, 0);
	CHECK_EQ(run_all(session, &err), 0);
	CHECK_EQ(count_processes(info.id), 2);
	CHECK_EQ(count_ready(session, 2), 1);
	dsmx_session_close(session);
}

TEST(restart_protocol, "a worker that broke the protocol is not restarted")
{
	struct dsmx_session *session;
	struct dsmx_error err;

	CHECK_EQ(open_session(2, 1000, &session, &err), 0);
	dx_member_accuse(&session->member, 2, info_of(session, 1).epoch, "it lies");
	CHECK(await_state(session, 1, DSMX_WORKER_FAILED, 0));
	CHECK_EQ(info_of(session, 1).reason, DSMX_EXIT_PROTOCOL);
	CHECK_EQ(info_of(session, 1).restarts, 0);
	CHECK_EQ(run_all(session, &err), 0);
	dsmx_session_close(session);
}

TEST(restart_exec,
     "a program that is gone when it is to be started again: EXEC_FAILED, and not once more")
{
	char path[] = "/tmp/dsmx-restart-XXXXXX", program[64], command[PATH_MAX + 128];
	struct dsmx_session_options options = options_of(2, NULL);
	struct dsmx_session *session;
	struct dsmx_error err;

	CHECK(mkdtemp(path) != NULL);
	(void)snprintf(program, sizeof(program), "%s/worker", path);
	(void)snprintf(command, sizeof(command), "cp '%s' '%s'", self_path, program);
	CHECK_EQ(system(command), 0);
	options.extensions = extensions;
	options.restart = DSMX_RESTART_ON_FAILURE;
	options.worker_path = program;
	CHECK_EQ(dsmx_session_open(&options, &session, &err), 0);
	CHECK_EQ(unlink(program), 0);
	CHECK_EQ(kill(dsmx_session_worker_pid(session, 1), SIGKILL), 0);
	CHECK(await_state(session, 1, DSMX_WORKER_FAILED, 0));
	CHECK_EQ(info_of(session, 1).reason, DSMX_EXIT_EXEC_FAILED);
	CHECK_EQ(run_all(session, &err), 0);
	dsmx_session_close(session);
	CHECK_EQ(rmdir(path), 0);
}

static void wake_nobody(struct dsmx_waker *waker)
{
	(void)waker;
}

TEST(restart_no_part,
     "a worker refuses what it is asked of a query that was dealt to its predecessor")
{
	struct dsmx_waker waker = { wake_nobody };
	struct dx_frame_view view;
	struct dsmx_worker_info before;
	struct dx_stream_key key = { .partitions = 1 };
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct dsmx_error err;
	struct dx_rx *rx;
	int r = -EAGAIN;

	CHECK_EQ(open_session(1, 1000, &session, &err), 0);
	before = info_of(session, 0);
	CHECK_EQ(start_query(session, KIND_GATHER, ENDLESS, &query, &err), 0);
	CHECK_EQ(kill(before.pid, SIGKILL), 0);
	CHECK(await_state(session, 0, DSMX_WORKER_READY, before.epoch + 1));
	key.query = dx_query_id(query->inner);
	CHECK_EQ(dx_rx_open(session->mesh, 1, &key, false, &rx, &err), 0);
	for (int i = 0; r == -EAGAIN && i < 1000; i++) {
		r = dx_rx_next(rx, &waker, &view, &err);
		(void)dx_reactor_turn(session->reactor, dx_now_ns() + DX_NS_PER_MS);
	}
	CHECK_EQ(r, -EOWNERDEAD);
	CHECK(strstr(err.message, "replaces") != NULL);
	dx_rx_close(rx);
	dsmx_query_close(query);
	CHECK_EQ(run_all(session, &err), 0);
	dsmx_session_close(session);
}

TEST(restart_lease,
     "a batch of a dead worker's stays readable while its successor serves, until it is released")
{
	struct dsmx_worker_info before;
	struct dsmx_session *session;
	struct ArrowArray array;
	struct dsmx_query *query;
	struct dsmx_error err;
	const int64_t *values;
	uint64_t leased;
	int mappings;

	unsetenv("DSMX_TINY"); /* a stream with one frame has none to lease */
	CHECK_EQ(open_session(1, 1000, &session, &err), 0);
	before = info_of(session, 0);
	mappings = count_mappings();
	leased = session->leases.leased;
	CHECK_EQ(start_query(session, KIND_GATHER, 100000, &query, &err), 0);
	CHECK_EQ(dsmx_query_next(query, harness_hang_ms(), &array, &err), 1);
	CHECK_EQ(session->leases.leased, leased + 1);
	dsmx_query_close(query);
	CHECK_EQ(kill(before.pid, SIGKILL), 0);
	CHECK(await_state(session, 0, DSMX_WORKER_READY, before.epoch + 1));
	CHECK_EQ(run_all(session, &err), 0);
	CHECK(count_mappings() > mappings);
	values = array.children[0]->buffers[1];
	for (int64_t i = 0; i < array.length; i++)
		CHECK_EQ(values[i], i % 100);
	array.release(&array);
	CHECK_EQ(count_mappings(), mappings);
	CHECK_EQ(run_all(session, &err), 0);
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, extensions);
	return status >= 0 ? status : harness_main(argc, argv);
}
