/* SPDX-License-Identifier: MIT */
/*
 * Processes killed in the middle of a query: the right answer or a clear error within a second at whoever
 * survives, and nothing left behind. storm_test.c does it at random moments.
 *
 * This program is its own supervisor and worker, and with --leader KIND a leader to be killed.
 */
#include <errno.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "processes.h"
#include "series.h"

static int open_session(uint32_t workers, struct dsmx_session **ret_session, struct dsmx_error *err)
{
	struct dsmx_session_options options = { .size = sizeof(options),
		                                .workers = workers,
		                                .worker_path = self_path,
		                                .start_timeout_ms = harness_start_ms(),
		                                .extensions = extensions };

	return dsmx_session_open(&options, ret_session, err);
}

TEST(kill_nobody, "the queries give the right answers while nobody is killed")
{
	struct dsmx_session *session;
	struct dsmx_error err;

	for (uint32_t workers = 0; workers < 4; workers++) {
		CHECK_EQ(open_session(workers, &session, &err), 0);
		for (int kind = 0; kind < KIND_COUNT; kind++) {
			struct dsmx_query *query;
			int64_t sum;

			CHECK_EQ(start_query(session, (enum kind)kind, 123456, &query, &err), 0);
			CHECK_EQ(drain(query, (enum kind)kind, &sum, &err), 0);
			CHECK_EQ(sum, sum_of(123456));
			dsmx_query_close(query);
		}
		dsmx_session_close(session);
	}
}

/* --- victims ------------------------------------------------------------------------------------------------------ */

/* Let a query get going: read some batches, or let the workers have some time for it. */
static int warm_up(struct dsmx_query *query, enum kind kind, struct dsmx_error *err)
{
	struct dsmx_batch batch;
	int r = 1;

	for (int i = 0; r == 1 && i < 20 && kind != KIND_GROUPS; i++)
		r = dsmx_query_next_batch(query, harness_hang_ms(), &batch, err);
	if (kind == KIND_GROUPS)
		r = dsmx_query_next_batch(query, 30, &batch, err) == -ETIMEDOUT;
	return r;
}

/* Read on until the failure. Returns it; @ret_ns is how long it took. */
static int await_failure(struct dsmx_query *query, uint64_t *ret_ns, struct dsmx_error *err)
{
	uint64_t start_ns = dx_now_ns();
	struct dsmx_batch batch;
	int r = 1;

	while (r == 1 && dx_now_ns() - start_ns < harness_hang_ms() * DX_NS_PER_MS)
		r = dsmx_query_next_batch(query, harness_hang_ms(), &batch, err);
	*ret_ns = dx_now_ns() - start_ns;
	return r;
}

static bool is_gone(const struct dx_cgroup *group, const char *state)
{
	return groups_gone(group) && access(state, F_OK) != 0;
}

TEST(kill_worker,
     "a worker killed in mid-query: its name, signal and sentence within a second; the session goes on")
{
	for (int i = 0; i < 2 * KIND_COUNT; i++) {
		enum kind kind = (enum kind)(i / 2);
		uint32_t victim = (uint32_t)i % 2;
		struct dsmx_session *session;
		char state[DX_CGROUP_PATH];
		struct dsmx_query *query;
		struct dx_cgroup group;
		struct dsmx_error err;
		uint64_t ns;
		int64_t sum;
		int r, pid;

		CHECK_EQ(open_session(2, &session, &err), 0);
		CHECK_EQ(start_query(session, kind, ENDLESS, &query, &err), 0);
		CHECK_EQ(warm_up(query, kind, &err), 1);
		pid = dsmx_session_worker_pid(session, victim);
		CHECK_EQ(kill(pid, SIGKILL), 0);
		if (kind == KIND_GATHER) {
			/* Perhaps the one that the query does not need. */
			struct dsmx_batch batch;
			uint64_t until_ns = dx_now_ns() + 200 * DX_NS_PER_MS;

			r = 1;
			while (r == 1 && dx_now_ns() < until_ns)
				r = dsmx_query_next_batch(query, harness_hang_ms(), &batch, &err);
			ns = 0;
		} else {
			r = await_failure(query, &ns, &err);
		}
		if (r != 1) {
			CHECK_EQ(r, -EOWNERDEAD);
			printf("# %s, worker %u, %.2f ms: %s\n", kind_names[kind], victim,
			       (double)ns / 1e6, err.message);
			CHECK_EQ(err.worker, victim);
			CHECK_EQ(err.reason, DSMX_EXIT_SIGNAL);
			CHECK_EQ(err.status, SIGKILL);
			CHECK(ns < harness_slow() * DX_NS_PER_S);
		}
		dsmx_query_close(query);

		CHECK_EQ(start_query(session, kind, 54321, &query, &err), 0);
		CHECK_EQ(drain(query, kind, &sum, &err), 0);
		CHECK_EQ(sum, sum_of(54321));
		dsmx_query_close(query);
		group = session->group;
		memcpy(state, session->state_path, sizeof(state));
		dsmx_session_close(session);
		CHECK(is_gone(&group, state));
	}
}

TEST(kill_retry,
     "a query that may run again gives its answer though a worker was killed before the first row")
{
	struct dsmx_query_options options = { .size = sizeof(options), .retry = true };

	for (int round = 0; round < 3; round++) {
		struct dsmx_session *session;
		const struct dsmx_schema *schema;
		struct dsmx_query_stats stats;
		struct dsmx_query *query;
		struct dsmx_error err;
		int64_t sum;

		CHECK_EQ(open_session(3, &session, &err), 0);
		CHECK_EQ(start_query_with(session, KIND_GROUPS, 30000000, &options, &query, &err),
		         0);
		schema = dsmx_query_schema(query);
		CHECK_EQ(warm_up(query, KIND_GROUPS, &err), 1);
		CHECK_EQ(kill(dsmx_session_worker_pid(session, (uint32_t)round), SIGKILL), 0);
		CHECK_EQ(drain(query, KIND_GROUPS, &sum, &err), 0);
		CHECK_EQ(sum, sum_of(30000000));
		dsmx_query_stats(query, &stats);
		CHECK_EQ(stats.retries, 1);
		CHECK_EQ(dsmx_query_schema(query) == schema, 1);
		dsmx_query_close(query);
		dsmx_session_close(session);
	}
}

TEST(kill_supervisor,
     "the supervisor killed in mid-query: an error that says so within a second, and nothing left")
{
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		struct dsmx_session *session;
		struct dsmx_session_info info;
		char state[DX_CGROUP_PATH];
		struct dsmx_query *query, *next;
		struct dx_cgroup group;
		struct dsmx_error err;
		int pidfds[2];
		uint64_t ns;

		CHECK_EQ(open_session(2, &session, &err), 0);
		CHECK_EQ(start_query(session, (enum kind)kind, ENDLESS, &query, &err), 0);
		CHECK_EQ(warm_up(query, (enum kind)kind, &err), 1);
		dsmx_session_info(session, &info);
		group = session->group;
		memcpy(state, session->state_path, sizeof(state));
		for (uint32_t w = 0; w < 2; w++)
			pidfds[w] = dx_pidfd_open(dsmx_session_worker_pid(session, w));
		CHECK_EQ(kill(info.supervisor_pid, SIGKILL), 0);
		CHECK_EQ(await_failure(query, &ns, &err), -EOWNERDEAD);
		printf("# %s, %.2f ms: %s\n", kind_names[kind], (double)ns / 1e6, err.message);
		CHECK(strstr(err.message, "supervisor") != NULL);
		CHECK(ns < harness_slow() * DX_NS_PER_S);
		CHECK_EQ(start_query(session, (enum kind)kind, 1, &next, &err), -EOWNERDEAD);
		dsmx_query_close(query);
		dsmx_session_close(session);
		for (int w = 0; w < 2; w++) {
			CHECK_EQ(dx_pidfd_wait(pidfds[w], 0), 0);
			CHECK_EQ(close(pidfds[w]), 0);
		}
		CHECK(is_gone(&group, state));
	}
}

/* --- the leader ------------------------------------------------------------------------------------------------ */

/* Run an endless query: say who the processes are once it runs, and read on for ever. */
static int lead(enum kind kind)
{
	struct dsmx_session *session;
	struct dsmx_session_info info;
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dsmx_error err;
	int r;

	r = open_session(2, &session, &err);
	if (r == 0)
		r = start_query(session, kind, ENDLESS, &query, &err);
	if (r != 0 || warm_up(query, kind, &err) != 1) {
		printf("%s\n", err.message);
		return KSFT_FAIL;
	}
	dsmx_session_info(session, &info);
	printf("%d %d %d %s %s %s\n", info.supervisor_pid, dsmx_session_worker_pid(session, 0),
	       dsmx_session_worker_pid(session, 1), session->state_path,
	       session->group.v2[0] != '\0' ? session->group.v2 : "-",
	       session->group.v1[DX_V1_MEMORY][0] != '\0' ? session->group.v1[DX_V1_MEMORY] : "-");
	(void)fflush(stdout);
	do
		r = dsmx_query_next_batch(query, -1, &batch, &err);
	while (r == 1);
	return KSFT_FAIL;
}

TEST(kill_leader,
     "the leader killed in mid-query: workers, supervisor, cgroups and entry are gone within a second")
{
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		char kind_text[2] = { (char)('0' + kind), '\0' }, flag[] = "--leader";
		char *argv[] = { self_path, flag, kind_text, NULL };
		char state[DX_CGROUP_PATH], line[3 * DX_CGROUP_PATH] = "";
		struct dx_cgroup group = { .own_root = false };
		int out, pids[3], pidfds[3];
		uint64_t start_ns;
		FILE *said;
		pid_t pid;

		pid = start_self(argv, &out);
		CHECK(pid > 0);
		said = fdopen(out, "r");
		CHECK(fgets(line, sizeof(line), said) != NULL);
		CHECK_EQ(sscanf(line, "%d %d %d %511s %511s %511s", &pids[0], &pids[1], &pids[2],
		                state, group.v2, group.v1[DX_V1_MEMORY]),
		         6);
		for (int i = 0; i < 3; i++)
			pidfds[i] = dx_pidfd_open(pids[i]);
		start_ns = dx_now_ns();
		CHECK_EQ(kill(pid, SIGKILL), 0);
		for (int i = 2; i >= 0; i--) {
			CHECK_EQ(dx_pidfd_wait(pidfds[i], start_ns + harness_slow() * DX_NS_PER_S),
			         0);
			CHECK_EQ(close(pidfds[i]), 0);
		}
		printf("# %s: all gone after %.2f ms\n", kind_names[kind],
		       (double)(dx_now_ns() - start_ns) / 1e6);
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		CHECK(is_gone(&group, state));
		(void)fclose(said);
	}
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	if (argc == 3 && strcmp(argv[1], "--leader") == 0)
		return lead((enum kind)atoi(argv[2]));
	status = dsmx_worker_main(argc, argv, extensions);
	return status >= 0 ? status : harness_main(argc, argv);
}
