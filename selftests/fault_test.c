/* SPDX-License-Identifier: MIT */
/*
 * The fault table: every way in which a worker can go wrong, by name. While worker 1 serves an endless query, and
 * worker 0 another one, worker 1 has its fault. Then, for each row:
 *
 *	the reason	what the query's caller is told, what the worker's record says afterwards, and `dsmx ps`
 *	the time	from the fault to the failure of the query, seen first, and to its cause (median, worst);
 *			for a kill beside what a process that does nothing but wait for it sees in the same run
 *	the sibling	the other query goes on, its rows where they were
 *	the successor	READY, or FAILED where there is to be none; a query over all workers gives its answer
 *	nothing left	no process, group, entry, mapping, descriptor
 *
 * The faults of whole sessions - the supervisor, the leader, everybody killed - are in fault_session_test.c.
 *
 * A fault is had inside the worker (faulty.h), or comes from outside. DSMX_FAULT_ROUNDS is how often (5).
 */
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "dsmx/dsmx.h"
#include "faulty.h"
#include "harness.h"

#define VICTIM      1
#define WATCHDOG_MS (250 * harness_slow())
#define VERDICT_MS  100

/* Of a worker, and of what its limit is over. */
#define SEGMENTS_BYTES ((uint64_t)5 << 20)

/* --- the queries ---------------------------------------------------------------------------------------------- */

/* From worker 0 through the operator in both workers to the leader. */
static int start_victim(struct dsmx_session *session, struct dsmx_query **ret_query,
                        struct dsmx_error *err)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	static const struct series_bytes bytes = { ENDLESS, 100 };
	static const uint32_t key;
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;
	int r = dsmx_plan_new(&plan);

	if (r != 0)
		return r;
	rel = dsmx_rel_extension(plan, "series", &bytes, sizeof(bytes), &schema, NULL, 0);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, &key, 1, 0, NULL);
	rel = dsmx_rel_extension(plan, "fault", NULL, 0, &schema, &rel, 1);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	r = dsmx_plan_finish(plan, rel, NULL, err);
	if (r == 0)
		r = dsmx_query_start(session, plan, NULL, ret_query, err);
	dsmx_plan_free(plan);
	return r;
}

/* @count batches, whose rows must go on from *@next. */
static bool read_on(struct dsmx_query *query, int count, int64_t *next)
{
	struct dsmx_batch batch;
	struct dsmx_error err;

	while (count-- > 0) {
		if (dsmx_query_next_batch(query, harness_hang_ms(), &batch, &err) != 1) {
			printf("# sibling: %s\n", err.message);
			return false;
		}
		for (uint32_t i = 0; i < batch.selected; i++, ++*next)
			if (((const int64_t *)batch.columns[0]
			             .values)[batch.selection != NULL ? batch.selection[i] : i] !=
			    *next % 100)
				return false;
	}
	return true;
}

/* --- the table ------------------------------------------------------------------------------------------------ */

struct row {
	enum fault fault;
	int code; /* that the caller is told; 0: -EOWNERDEAD, of this reason and status */
	int reason;
	int status;
	int last; /* reason of a worker that has no successor; DSMX_EXIT_NONE: it has one */
	uint64_t memory_max;
	uint64_t hugetlb_max;
	uint32_t pids_max;
	uint32_t
		verdict_ms; /* 0: as it is by default, or longer by as much as this machine is slow */
	bool groups;        /* cannot be had without */
	bool limit;         /* is measured beside it: of a process with so much */
	size_t resident;
};

static int open_session(const struct row *row, const char *program,
                        struct dsmx_session **ret_session, struct log *log, struct dsmx_error *err)
{
	struct dsmx_session_options options = options_of(2, log);

	options.extensions = faulty;
	options.worker_path = program;
	options.watchdog_ms = row->reason == DSMX_EXIT_WATCHDOG ? WATCHDOG_MS : 0;
	options.restart = DSMX_RESTART_ON_FAILURE;
	options.restart_delay_ms = 1;
	options.restart_max_delay_ms = 2;
	options.restart_burst = 1000;
	options.worker_memory_max = row->memory_max;
	options.worker_hugetlb_max = row->hugetlb_max;
	options.worker_pids_max = row->pids_max;
	options.verdict_timeout_ms =
		row->verdict_ms != 0 ? row->verdict_ms : VERDICT_MS * harness_slow();
	return dsmx_session_open(&options, ret_session, err);
}

/* A file of the victim's group, which has the number of its incarnation in its name. */
static int open_group(const struct dsmx_session *session, uint32_t generation, const char *name,
                      int flags)
{
	char path[DX_CGROUP_PATH + 64];

	(void)snprintf(path, sizeof(path), "%s/w%d.g%u/%s", session->group.v2, VICTIM, generation,
	               name);
	return open(path, flags | O_CLOEXEC);
}

static bool write_group(const struct dsmx_session *session, uint32_t generation, const char *name,
                        const char *text)
{
	int fd = open_group(session, generation, name, O_WRONLY);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		(void)close(fd);
	return written;
}

/* No more huge pages than it has. What the session itself limits is what it may reserve, of which nothing dies. */
static bool limit_huge_pages(const struct dsmx_session *session, uint32_t generation)
{
	int fd = open_group(session, generation, "hugetlb.2MB.current", O_RDONLY);
	char text[32] = "";
	bool known = fd >= 0 && read(fd, text, sizeof(text) - 1) > 0;

	if (fd >= 0)
		(void)close(fd);
	return known && write_group(session, generation, "hugetlb.2MB.max", text);
}

/* What the successor does is in place before there is one. */
static bool do_outside(const struct dsmx_session *session, const struct row *row,
                       uint32_t generation, const char *program)
{
	int pid = dsmx_session_worker_pid(session, VICTIM);

	if (row->fault == FAULT_EXEC && unlink(program) != 0)
		return false;
	if (row->fault == FAULT_HUGETLB && !limit_huge_pages(session, generation))
		return false;
	control->big_bytes = row->resident;
	control->fault = row->fault;
	if (row->fault < FAULT_KILL)
		return true;
	control->at_ns = dx_now_ns();
	if (row->fault == FAULT_FREEZE)
		return write_group(session, generation, "cgroup.freeze", "1");
	return pid > 0 && kill(pid, row->fault == FAULT_STOP ? SIGSTOP : SIGKILL) == 0;
}

/* Let the leader hear, until the victim's record is as it must be in the end; or for long. */
static bool settles(struct dsmx_session *session, const struct row *row, uint64_t epoch)
{
	uint64_t deadline_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;
	struct dsmx_worker_info info;

	do {
		(void)dx_reactor_turn(session->reactor, dx_now_ns() + DX_NS_PER_MS);
		if (dsmx_session_worker(session, VICTIM, &info) != 0)
			return false;
		if (row->last != DSMX_EXIT_NONE
		            ? info.state == DSMX_WORKER_FAILED && info.reason == row->last
		            : info.state == DSMX_WORKER_READY && info.epoch > epoch)
			break;
	} while (dx_now_ns() < deadline_ns);
	if (dx_now_ns() < deadline_ns && row->last != DSMX_EXIT_NONE)
		return true;
	if (dx_now_ns() < deadline_ns && info.reason == row->reason && info.status == row->status)
		return true;
	printf("# worker: state %d, %s\n", info.state, info.text);
	return false;
}

struct times {
	struct series_ns seen, told, bare;
};

/* Read the victim's query to its failure. */
static int await_failure(struct dsmx_query *query, struct times *times, struct dsmx_error *err)
{
	struct dsmx_query_stats stats;
	struct dsmx_batch batch;
	uint64_t told_ns;
	int r;

	do
		r = dsmx_query_next_batch(query, harness_hang_ms(), &batch, err);
	while (r == 1);
	told_ns = dx_now_ns();
	dsmx_query_stats(query, &stats);
	add_ns(&times->seen, told_ns - (stats.run_ns - stats.failed_ns) - control->at_ns);
	add_ns(&times->told, told_ns - control->at_ns);
	return r;
}

/* What `dsmx ps` tells somebody else of how the victim ended. */
static bool ps_says_reason(const struct row *row, uint64_t id)
{
	char want[64];

	(void)snprintf(want, sizeof(want), "\"last_exit\":{\"reason\":\"%s\"",
	               dsmx_exit_reason_str(row->last != DSMX_EXIT_NONE ? row->last : row->reason));
	return ps_says(id, want);
}

static void copy_self(char path[64])
{
	char command[PATH_MAX + 80];

	(void)snprintf(path, 64, "/tmp/dsmx-fault-%d", (int)getpid());
	(void)snprintf(command, sizeof(command), "cp '%s' %s", self_path, path);
	if (system(command) != 0)
		path[0] = '\0';
}

static void one_round(bool *ok, const struct row *row, struct times *times)
{
	struct traces traces = { .fds = harness_each_fd(NULL), .mappings = count_mappings() };
	struct dsmx_query *victim, *sibling, *query;
	struct log log = { .notices = 0 };
	struct dsmx_session *session;
	struct dsmx_worker_info before;
	struct dsmx_session_info info;
	struct dsmx_error err;
	int64_t next = 0, sum;
	char copy[64] = "";
	int r;

	if (row->fault == FAULT_EXEC)
		copy_self(copy);
	control->fault = FAULT_NONE;
	CHECK_EQ(open_session(row, copy[0] != '\0' ? copy : self_path, &session, &log, &err), 0);
	traces.id = session->id;
	traces.group = session->group;
	memcpy(traces.state, session->state_path, sizeof(traces.state));
	dsmx_session_info(session, &info);
	if (row->hugetlb_max != 0 && strcmp(info.pages, "hugetlb") != 0) {
		dsmx_session_close(session);
		SKIP("no huge pages");
	}
	if (row->groups && (traces.group.v2[0] == '\0' || strstr(log.text, "worker_") != NULL)) {
		dsmx_session_close(session);
		SKIP("no cgroup for that: %s", log.text);
	}
	CHECK_EQ(dsmx_session_worker(session, VICTIM, &before), 0);
	CHECK_EQ(start_victim(session, &victim, &err), 0);
	CHECK_EQ(start_query(session, KIND_GATHER, ENDLESS, &sibling, &err), 0);
	for (int i = 0; i < 5; i++) {
		struct dsmx_batch batch;

		CHECK(read_on(sibling, 1, &next));
		CHECK_EQ(dsmx_query_next_batch(victim, harness_hang_ms(), &batch, &err), 1);
	}
	CHECK(do_outside(session, row, before.restarts + 1, copy));
	r = await_failure(victim, times, &err);
	if (times->seen.count == 1)
		printf("# %s\n", err.message);
	CHECK_EQ(r, row->code != 0 ? row->code : -EOWNERDEAD);
	if (row->code == 0) {
		CHECK_EQ(err.worker, VICTIM);
		CHECK_EQ(err.reason, row->reason);
		CHECK_EQ(err.status, row->status);
	}
	CHECK(read_on(sibling, 20, &next));
	dsmx_query_close(victim);
	CHECK(settles(session, row, before.epoch));
	CHECK(times->seen.count > 1 || ps_says_reason(row, traces.id));
	CHECK(read_on(sibling, 20, &next));
	CHECK_EQ(start_query(session, KIND_SHUFFLE, 54321, &query, &err), 0);
	CHECK_EQ(drain(query, KIND_SHUFFLE, &sum, &err), 0);
	CHECK_EQ(sum, sum_of(54321));
	dsmx_query_close(query);
	dsmx_query_close(sibling);
	dsmx_session_close(session);
	CHECK(traces_gone(&traces));
}

static void run_row(bool *ok, const struct row *row)
{
	struct times times = { .seen = { .count = 0 } };
	double seen_ms, bare_ms;

	for (int i = fault_rounds(); i > 0; i--) {
		(void)alarm(harness_timeout_s()); /* for each round */
		one_round(ok, row, &times);
		CHECK(*ok);
		if (harness_skipped[0] != '\0')
			return;
		if (row->limit)
			add_ns(&times.bare, bare_death_ns(row->resident));
	}
	seen_ms = print_ns("seen", &times.seen);
	(void)print_ns("its cause", &times.told);
	if (!row->limit)
		return;
	bare_ms = print_ns("a bare waiter's word for such a death", &times.bare);
	printf("# seen after %.1f times that\n", seen_ms / bare_ms);
}

#define ROW(name, claim, ...)                                                                      \
	TEST(fault_##name, claim)                                                                  \
	{                                                                                          \
		run_row(ok, &(const struct row){ __VA_ARGS__ });                                   \
	}

ROW(exit, "exit(3) in a worker", .fault = FAULT_EXIT, .reason = DSMX_EXIT_CODE, .status = 3)
ROW(abort, "abort() in a worker", .fault = FAULT_ABORT, .reason = DSMX_EXIT_SIGNAL,
    .status = SIGABRT)
ROW(segv, "a segmentation fault", .fault = FAULT_SEGV, .reason = DSMX_EXIT_SIGNAL,
    .status = SIGSEGV)
ROW(kill, "SIGKILL", .fault = FAULT_KILL, .reason = DSMX_EXIT_SIGNAL, .status = SIGKILL,
    .limit = true)
ROW(big, "SIGKILL with a GiB of memory to be torn down", .fault = FAULT_BIG,
    .reason = DSMX_EXIT_SIGNAL, .status = SIGKILL, .limit = true, .resident = BIG_BYTES)
ROW(stop, "SIGSTOP for ever", .fault = FAULT_STOP, .reason = DSMX_EXIT_WATCHDOG, .status = SIGKILL)
ROW(freeze, "a cgroup that is frozen for ever", .fault = FAULT_FREEZE, .reason = DSMX_EXIT_WATCHDOG,
    .status = SIGKILL, .groups = true)
ROW(loop, "an endless loop", .fault = FAULT_LOOP, .reason = DSMX_EXIT_WATCHDOG, .status = SIGKILL)
ROW(syscall, "an endless wait in a system call", .fault = FAULT_SYSCALL,
    .reason = DSMX_EXIT_WATCHDOG, .status = SIGKILL)
ROW(oom, "more memory than its limit", .fault = FAULT_OOM, .reason = DSMX_EXIT_OOM,
    .status = SIGKILL, .memory_max = OOM_BYTES + SEGMENTS_BYTES, .groups = true)
ROW(hugetlb, "more huge pages than its group may have: SIGBUS, and that reason",
    .fault = FAULT_HUGETLB, .reason = DSMX_EXIT_HUGETLB_LIMIT, .status = SIGBUS,
    .hugetlb_max = 32 * HUGE_BYTES, .groups = true)
ROW(forks, "a fork bomb at its limit of processes", .fault = FAULT_FORKS,
    .reason = DSMX_EXIT_SIGNAL, .status = SIGABRT, .pids_max = 16, .groups = true)
ROW(bytes, "bytes of any kind in all of its shared memory", .fault = FAULT_BYTES, .code = -EBADMSG,
    .last = DSMX_EXIT_PROTOCOL)
ROW(exec, "a successor whose program is gone", .fault = FAULT_EXEC, .reason = DSMX_EXIT_SIGNAL,
    .status = SIGKILL, .last = DSMX_EXIT_EXEC_FAILED)
ROW(version, "a successor that speaks another version of the protocol", .fault = FAULT_VERSION,
    .reason = DSMX_EXIT_SIGNAL, .status = SIGKILL, .last = DSMX_EXIT_PROTOCOL)

/* A process that lets the supervisor go on, @after_ns after the fault. */
static pid_t resume_at(pid_t supervisor, uint64_t after_ns)
{
	struct timespec moment;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	while (control->at_ns == 0)
		(void)sched_yield();
	moment.tv_sec = (time_t)((control->at_ns + after_ns) / DX_NS_PER_S);
	moment.tv_nsec = (long)((control->at_ns + after_ns) % DX_NS_PER_S);
	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL);
	_exit(kill(supervisor, SIGCONT) != 0);
}

/* The supervisor is held up for @stopped_ms from the fault on. */
static void late_verdict(bool *ok, const struct row *row, uint64_t stopped_ms, int *ret_reason)
{
	struct dsmx_session_info info;
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dsmx_error err;
	pid_t helper;
	int r;

	control->fault = FAULT_NONE;
	control->at_ns = 0;
	CHECK_EQ(open_session(row, self_path, &session, NULL, &err), 0);
	dsmx_session_info(session, &info);
	CHECK_EQ(start_victim(session, &query, &err), 0);
	CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, &err), 1);
	CHECK_EQ(kill(info.supervisor_pid, SIGSTOP), 0);
	helper = resume_at(info.supervisor_pid, stopped_ms * DX_NS_PER_MS);
	control->big_bytes = row->resident;
	control->fault = row->fault;
	do
		r = dsmx_query_next_batch(query, harness_hang_ms(), &batch, &err);
	while (r == 1);
	printf("# after %.0f ms: %s\n", (double)(dx_now_ns() - control->at_ns) / 1e6, err.message);
	CHECK_EQ(waitpid(helper, NULL, 0), helper);
	CHECK_EQ(r, -EOWNERDEAD);
	*ret_reason = err.reason;
	dsmx_query_close(query);
	dsmx_session_close(session);
}

/*
 * Its memory is torn down some 20 ms after its streams ended, and the supervisor is held up for longer than it has.
 * On a machine that is busy the leader may see the streams' end only when the process is gone, too.
 */
TEST(fault_verdict, "a verdict has 100 ms from the reaping on, not from the end of the streams")
{
	static const struct row row = { .fault = FAULT_BIG, .resident = BIG_BYTES / 4 };
	int reason = DSMX_EXIT_NONE;

	for (int tries = 0; tries < 5 && reason == DSMX_EXIT_NONE; tries++) {
		late_verdict(ok, &row, VERDICT_MS * harness_slow() * 3 / 2, &reason);
		CHECK(*ok);
	}
	CHECK_EQ(reason, DSMX_EXIT_SIGNAL);
}

TEST(fault_verdict_timeout, "a query waits for a verdict as long as its session is told to")
{
	const struct row patient = { .fault = FAULT_EXIT, .verdict_ms = 20000 * harness_slow() };
	const struct row hasty = { .fault = FAULT_EXIT, .verdict_ms = 10 };
	int reason = DSMX_EXIT_NONE;

	late_verdict(ok, &patient, 400 * harness_slow(), &reason);
	CHECK_EQ(reason, DSMX_EXIT_CODE);
	late_verdict(ok, &hasty, 400 * harness_slow(), &reason);
	CHECK_EQ(reason, DSMX_EXIT_NONE);
}

int main(int argc, char **argv)
{
	bool worker = argc == 2 && strcmp(argv[1], DX_SERVE_WORKER) == 0;
	int status;

	find_self();
	if (getenv("DSMX_FAULT_FILE") == NULL && !make_control())
		return KSFT_FAIL;
	control = map_control();
	if (worker && control->fault == FAULT_VERSION)
		return speak_otherwise();
	status = dsmx_worker_main(argc, argv, faulty);
	return status >= 0 ? status : harness_main(argc, argv);
}
