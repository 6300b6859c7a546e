/* SPDX-License-Identifier: MIT */
/*
 * The fault table's rows of whole sessions: the supervisor killed, the leader killed, all killed at once, while an
 * endless query runs over two workers. For each: what is told to whom survives, how long that and the end of the last
 * process take (median, worst), what `dsmx ps` says then, and that nothing is left: no process, group, entry, mapping,
 * descriptor. DSMX_FAULT_ROUNDS is how often (5).
 *
 * This program is its own supervisor and worker, and with --leader a leader to be killed.
 */
#include <errno.h>

#include "base/err.h"
#include "dsmx/dsmx.h"
#include "faults.h"
#include "harness.h"
#include "series.h"

#define WORKERS 2
#define NOBODY  "{\"sessions\":[]}"

static int open_session(struct dsmx_session **ret_session, struct dsmx_error *err)
{
	struct dsmx_session_options options = options_of(WORKERS, NULL);

	options.extensions = extensions;
	return dsmx_session_open(&options, ret_session, err);
}

static int start_endless(struct dsmx_session *session, struct dsmx_query **ret_query,
                         struct dsmx_error *err)
{
	int r = start_query(session, KIND_SHUFFLE, ENDLESS, ret_query, err);

	for (int i = 0; r == 0 && i < 5; i++) {
		struct dsmx_batch batch;

		if (dsmx_query_next_batch(*ret_query, harness_hang_ms(), &batch, err) != 1)
			r = err->code;
	}
	return r;
}

static void note_traces(const struct dsmx_session *session, struct traces *traces)
{
	traces->id = session->id;
	traces->group = session->group;
	memcpy(traces->state, session->state_path, sizeof(traces->state));
}

/* The ends of processes, waited for in turn: whether all came, and closes them. */
static bool all_end(int *pidfds, int count)
{
	bool ended = true;

	for (int i = 0; i < count; i++) {
		ended &= ends_soon(pidfds[i]);
		(void)close(pidfds[i]);
	}
	return ended;
}

/* --- the supervisor ---------------------------------------------------------------------------------------------- */

static void kill_supervisor(bool *ok, struct series_ns *told, struct series_ns *ended)
{
	struct traces traces = { .fds = harness_each_fd(NULL), .mappings = count_mappings() };
	struct dsmx_session_info info;
	struct dsmx_session *session;
	struct dsmx_query *query, *next;
	struct dsmx_batch batch;
	struct dsmx_error err;
	int pidfds[WORKERS], r;
	uint64_t from_ns;

	CHECK_EQ(open_session(&session, &err), 0);
	note_traces(session, &traces);
	dsmx_session_info(session, &info);
	CHECK_EQ(start_endless(session, &query, &err), 0);
	for (uint32_t w = 0; w < WORKERS; w++)
		pidfds[w] = dx_pidfd_open(dsmx_session_worker_pid(session, w));
	from_ns = dx_now_ns();
	CHECK_EQ(kill(info.supervisor_pid, SIGKILL), 0);
	do
		r = dsmx_query_next_batch(query, harness_hang_ms(), &batch, &err);
	while (r == 1);
	add_ns(told, dx_now_ns() - from_ns);
	if (told->count == 1)
		printf("# %s\n", err.message);
	CHECK_EQ(r, -EOWNERDEAD);
	CHECK(strstr(err.message, "supervisor") != NULL);
	CHECK(all_end(pidfds, WORKERS));
	add_ns(ended, dx_now_ns() - from_ns);
	CHECK_EQ(start_query(session, KIND_GATHER, 1, &next, &err), -EOWNERDEAD);
	dsmx_query_close(query);
	dsmx_session_close(session);
	CHECK(told->count > 1 || ps_says(traces.id, NOBODY));
	CHECK(traces_gone(&traces));
}

TEST(fault_supervisor,
     "the supervisor killed: the leader is told, its workers end, and its close leaves nothing")
{
	struct series_ns told = { .count = 0 }, ended = { .count = 0 };

	for (int i = fault_rounds(); i > 0; i--) {
		(void)alarm(harness_timeout_s()); /* for each round */
		kill_supervisor(ok, &told, &ended);
		CHECK(*ok);
	}
	(void)print_ns("told", &told);
	(void)print_ns("the last process ended", &ended);
}

/* --- the leader -------------------------------------------------------------------------------------------------- */

/* Say who is there, and run an endless query. */
static int lead(void)
{
	struct dsmx_session_info info;
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dsmx_error err;
	int r = open_session(&session, &err);

	if (r == 0)
		r = start_endless(session, &query, &err);
	if (r != 0) {
		printf("%s\n", err.message);
		return KSFT_FAIL;
	}
	dsmx_session_info(session, &info);
	printf("%llx %d %d %d %s %s %s\n", (unsigned long long)session->id, info.supervisor_pid,
	       dsmx_session_worker_pid(session, 0), dsmx_session_worker_pid(session, 1),
	       session->state_path, session->group.v2[0] != '\0' ? session->group.v2 : "-",
	       session->group.v1[DX_V1_MEMORY][0] != '\0' ? session->group.v1[DX_V1_MEMORY] : "-");
	(void)fflush(stdout);
	do
		r = dsmx_query_next_batch(query, -1, &batch, &err);
	while (r == 1);
	return KSFT_FAIL;
}

struct victims {
	pid_t pids[WORKERS + 2]; /* the leader's is the first */
	int pidfds[WORKERS + 2];
	struct traces traces;
};

static bool start_leader(struct victims *v)
{
	char line[3 * DX_CGROUP_PATH] = "", flag[] = "--leader";
	char *argv[] = { self_path, flag, NULL };
	struct traces *t = &v->traces;
	unsigned long long id;
	FILE *said;
	int out;

	*v = (struct victims){ .traces.fds = harness_each_fd(NULL) };
	v->pids[0] = start_self(argv, &out);
	if (v->pids[0] < 0)
		return false;
	said = fdopen(out, "r");
	if (said == NULL || fgets(line, sizeof(line), said) == NULL ||
	    sscanf(line, "%llx %d %d %d %511s %511s %511s", &id, &v->pids[1], &v->pids[2],
	           &v->pids[3], t->state, t->group.v2, t->group.v1[DX_V1_MEMORY]) != 7) {
		printf("# the leader says: %s\n", line);
		return false;
	}
	(void)fclose(said);
	t->id = id;
	for (int i = 0; i < WORKERS + 2; i++)
		v->pidfds[i] = dx_pidfd_open(v->pids[i]);
	return true;
}

static void kill_leader(bool *ok, struct series_ns *ended)
{
	uint64_t from_ns, until_ns;
	struct victims v;

	CHECK(start_leader(&v));
	CHECK(ended->count > 0 || ps_says(v.traces.id, "\"queries\":1,"));
	from_ns = dx_now_ns();
	CHECK_EQ(kill(v.pids[0], SIGKILL), 0);
	CHECK(all_end(v.pidfds, WORKERS + 2));
	add_ns(ended, dx_now_ns() - from_ns);
	CHECK_EQ(waitpid(v.pids[0], NULL, 0), v.pids[0]);
	/* Whoever has not reaped the supervisor yet is no business of ours. */
	until_ns = dx_now_ns() + SOON_MS * DX_NS_PER_MS;
	while (!entry_gone(&v.traces) && dx_now_ns() < until_ns)
		;
	CHECK(entry_gone(&v.traces));
	CHECK(ended->count > 1 || ps_says(v.traces.id, NOBODY));
	CHECK_EQ(harness_each_fd(NULL), v.traces.fds);
}

TEST(fault_leader,
     "the leader killed: its workers and its supervisor end, and leave no group and no entry")
{
	struct series_ns ended = { .count = 0 };

	for (int i = fault_rounds(); i > 0; i--) {
		(void)alarm(harness_timeout_s());
		kill_leader(ok, &ended);
		CHECK(*ok);
	}
	(void)print_ns("the last process ended", &ended);
}

/* --- everybody ----------------------------------------------------------------------------------------------------- */

static void kill_all(bool *ok, struct series_ns *ended, struct series_ns *started)
{
	struct dsmx_session *session;
	struct dsmx_error err;
	struct victims v;
	uint64_t from_ns;

	CHECK(start_leader(&v));
	for (int i = 0; i < WORKERS + 2; i++)
		CHECK_EQ(kill(v.pids[i], SIGSTOP), 0); /* nobody can clean up for another */
	from_ns = dx_now_ns();
	for (int i = 0; i < WORKERS + 2; i++)
		CHECK_EQ(kill(v.pids[i], SIGKILL), 0);
	CHECK(all_end(v.pidfds, WORKERS + 2));
	add_ns(ended, dx_now_ns() - from_ns);
	CHECK_EQ(waitpid(v.pids[0], NULL, 0), v.pids[0]);
	CHECK_EQ(access(v.traces.state, F_OK), 0); /* there is something to be found */

	from_ns = dx_now_ns();
	CHECK_EQ(open_session(&session, &err), 0);
	add_ns(started, dx_now_ns() - from_ns);
	CHECK(entry_gone(&v.traces));
	CHECK(started->count > 1 || ps_says(v.traces.id, NOBODY));
	dsmx_session_close(session);
	CHECK_EQ(harness_each_fd(NULL), v.traces.fds);
}

TEST(fault_all, "all killed at once: the next start finds what they left, and removes it")
{
	struct series_ns ended = { .count = 0 }, started = { .count = 0 };

	for (int i = fault_rounds(); i > 0; i--) {
		(void)alarm(harness_timeout_s());
		kill_all(ok, &ended, &started);
		CHECK(*ok);
	}
	(void)print_ns("the last process ended", &ended);
	(void)print_ns("the next session, with nothing left of this one, was open", &started);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	if (argc == 2 && strcmp(argv[1], "--leader") == 0)
		return lead();
	status = dsmx_worker_main(argc, argv, extensions);
	return status >= 0 ? status : harness_main(argc, argv);
}
