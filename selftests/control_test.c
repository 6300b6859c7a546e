/* SPDX-License-Identifier: MIT */
/*
 * Sessions seen and steered from outside: what dsmx/control.h promises, and what a hostile client can do.
 *
 * This program is its own supervisor and worker. Its sessions are entered in a directory of its own.
 */
#include <errno.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/err.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "processes.h"
#include "series.h"
#include "worker/ctl.h"
#include "worker/message.h"
#include "worker/status.h"

#define NOBODY 65534

static char registry[64];

static int open_session(uint32_t workers, struct dsmx_session_options *options,
                        struct dsmx_session **ret_session)
{
	*options = options_of(workers, NULL);
	options->extensions = extensions;
	options->restart = DSMX_RESTART_ON_FAILURE;
	options->restart_delay_ms = 1;
	options->restart_max_delay_ms = 2;
	return dsmx_session_open(options, ret_session, NULL);
}

static int steer(const struct dsmx_session *session, uint32_t worker, enum dsmx_control_verb verb,
                 uint64_t timeout_ms, bool no_wait, struct dsmx_error *err)
{
	struct dsmx_control control = { .size = sizeof(control),
		                        .session = session->id,
		                        .worker = worker,
		                        .verb = verb,
		                        .timeout_ms = timeout_ms,
		                        .no_wait = no_wait };

	return dsmx_control(&control, err);
}

/* A copy of what is seen of one worker; state "": it is not there. */
struct seen {
	struct dsmx_worker_status worker;
	char state[16], cgroup[DX_CGROUP_PATH], text[256];
	bool is_there, alive;
	int64_t queries;
};

static struct seen see(uint64_t session, uint32_t worker)
{
	struct seen seen = { .alive = false };
	struct dsmx_snapshot *snapshot;

	if (dsmx_snapshot_take(&snapshot, NULL) != 0)
		return seen;
	for (uint32_t i = 0; i < snapshot->session_count; i++) {
		const struct dsmx_session_status *s = &snapshot->sessions[i];

		seen.is_there |= s->session == session;
		if (s->session != session || worker >= s->worker_count)
			continue;
		seen.worker = s->workers[worker];
		seen.alive = s->alive;
		seen.queries = s->queries;
		(void)snprintf(seen.state, sizeof(seen.state), "%s", seen.worker.state);
		(void)snprintf(seen.cgroup, sizeof(seen.cgroup), "%s", seen.worker.cgroup);
		(void)snprintf(seen.text, sizeof(seen.text), "%s", seen.worker.exit_text);
	}
	dsmx_snapshot_free(snapshot);
	return seen;
}

/* Until @worker is seen in @state, or for long. */
static bool comes_to(uint64_t session, uint32_t worker, const char *state)
{
	uint64_t deadline_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;
	struct seen seen;

	do
		seen = see(session, worker);
	while (strcmp(seen.state, state) != 0 && dx_now_ns() < deadline_ns);
	if (strcmp(seen.state, state) != 0)
		printf("# worker %u is %s, not %s: %s\n", worker, seen.state, state, seen.text);
	return strcmp(seen.state, state) == 0;
}

static int run_one(struct dsmx_session *session, int64_t end, struct dsmx_error *err)
{
	struct dsmx_query *query;
	int64_t sum;
	int r = start_query(session, KIND_SHUFFLE, end, &query, err);

	if (r != 0)
		return r;
	r = drain(query, KIND_SHUFFLE, &sum, err);
	dsmx_query_close(query);
	return r != 0 ? r : sum == sum_of(end) ? 0 : -EBADMSG;
}

/* The same, while the leader runs queries that have to be right: a new worker waits for it. */
static bool serves_until(struct dsmx_session *session, uint32_t worker, const char *state)
{
	uint64_t deadline_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;
	struct dsmx_error err;

	while (strcmp(see(session->id, worker).state, state) != 0 && dx_now_ns() < deadline_ns)
		if (run_one(session, 5000, &err) != 0) {
			printf("# %s\n", err.message);
			return false;
		}
	return comes_to(session->id, worker, state);
}

/* --- seeing ------------------------------------------------------------------------------------------------------- */

TEST(control_snapshot, "a snapshot has each worker's state, pid, epoch, cgroup, memory and queries")
{
	struct dsmx_session_options options;
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct seen seen;
	uint64_t id;

	CHECK_EQ(open_session(2, &options, &session), 0);
	CHECK(comes_to(session->id, 1, "READY"));
	seen = see(session->id, 1);
	CHECK(seen.alive);
	CHECK_EQ(seen.queries, 0);
	CHECK_EQ(seen.worker.pid, dsmx_session_worker_pid(session, 1));
	CHECK_EQ(seen.worker.epoch, dx_mesh_epoch(session->mesh, 2));
	CHECK_EQ(seen.worker.restarts, 0);
	CHECK_EQ(seen.worker.exit_reason, DSMX_EXIT_NONE);
	CHECK_EQ(start_query(session, KIND_SHUFFLE, ENDLESS, &query, NULL), 0);
	CHECK_EQ(dsmx_query_next_batch(query, harness_hang_ms(), &batch, NULL), 1);
	seen = see(session->id, 1);
	CHECK_EQ(seen.queries, 1);
	CHECK_EQ(seen.worker.queries, 1);
	if (session->group.v2[0] != '\0') {
		CHECK(strstr(seen.cgroup, "/w1.g1") != NULL);
		CHECK(is_dir(seen.cgroup));
		CHECK(seen.worker.usage.cpu_ns > 0);
	}
	dsmx_query_close(query);
	id = session->id;
	CHECK_EQ(see(id, 0).queries, 0);
	dsmx_session_close(session);
	CHECK_STR(see(id, 0).state, "");
}

TEST(control_killed_session,
     "of a session whose every process was killed there is something to be seen until the next start removes it")
{
	struct dsmx_session_options options;
	struct dsmx_session *session;
	char path[DX_CGROUP_PATH + 16];
	int pipes[2], status, pid;
	uint64_t id = 0;

	CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (open_session(1, &options, &session) != 0)
			_exit(1);
		(void)comes_to(session->id, 0, "READY");
		(void)kill(session->supervisor.pid, SIGKILL);
		(void)!write(pipes[1], &session->id, sizeof(id));
		_exit(0); /* its worker sees that both are gone */
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(read(pipes[0], &id, sizeof(id)), (ssize_t)sizeof(id));
	for (int i = 0; i < 1000 && see(id, 0).alive; i++)
		(void)poll(NULL, 0, 1);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	CHECK(see(id, 0).is_there);
	CHECK(!see(id, 0).alive);
	(void)snprintf(path, sizeof(path), "%s/dsmx/%016llx.sock", registry,
	               (unsigned long long)id);
	CHECK_EQ(access(path, F_OK), 0);
	for (int i = 0; i < 50 && access(path, F_OK) == 0; i++) {
		CHECK_EQ(open_session(1, &options, &session), 0);
		CHECK_EQ(run_one(session, 1000, NULL), 0);
		dsmx_session_close(session);
	}
	CHECK(access(path, F_OK) != 0);
	CHECK(!see(id, 0).is_there);
	CHECK_EQ(rmdir(strcat(strcpy(path, registry), "/dsmx")), 0);
}

TEST(control_status_damaged,
     "a status that was cut, or has bits turned over, is read or refused, and never believed too far")
{
	static const char whole[] =
		"STATUS=1\nSERIAL=7\nSESSION=00000000000000ff\nLEADER=1\nSUPERVISOR=2\nISOLATION=none\n"
		"MISSING=\nCGROUP=/x\nMEMORY_MAX=1\nPAGE=7\nSLOTS=64\nFRAMES=64\nTASKS=256\n"
		"WORKERS=2\nWORKER=0\nSTATE=READY\nEPOCH=2\nPID=3\nLEAF=w0.g1\nWORKER=1\n"
		"STATE=FAILED\nLAST_EPOCH=3\nLAST_REASON=3\nLAST_STATUS=9\nLAST_TEXT=a\tb\nLAST_CPU_NS=9\n"
		"END=7\n";
	struct dx_status *status = calloc(1, sizeof(*status));
	unsigned seed = (unsigned)getpid();
	char text[sizeof(whole)];

	printf("# seed %u\n", seed);
	memcpy(text, whole, sizeof(whole));
	CHECK_EQ(dx_status_parse(text, sizeof(whole) - 1, status), 0);
	CHECK_EQ(status->session, 255);
	CHECK_EQ(status->worker[1].exit_usage.cpu_ns, 9);
	CHECK_STR(status->worker[1].exit_text, "a?b");
	for (size_t len = 0; len < sizeof(whole); len++) {
		int r;

		memcpy(text, whole, sizeof(whole));
		text[len] = '\0';
		r = dx_status_parse(text, len, status);
		CHECK(len == sizeof(whole) - 1 ? r == 0 : r == -EPROTO || r == -EAGAIN);
	}
	for (int i = 0; i < 20000; i++) {
		size_t len = sizeof(whole) - 1;

		memcpy(text, whole, sizeof(whole));
		for (int j = 0; j < 3; j++)
			text[(size_t)rand_r(&seed) % len] ^= (char)(1 << rand_r(&seed) % 8);
		if (dx_status_parse(text, len, status) != 0)
			continue;
		CHECK(status->workers <= DSMX_WORKERS_MAX);
		for (uint32_t w = 0; w < status->workers; w++) {
			CHECK(strchr(status->worker[w].leaf, '/') == NULL);
			CHECK(status->worker[w].exit_reason < DSMX_EXIT_COUNT);
		}
	}
	free(status);
}

/* --- steering ----------------------------------------------------------------------------------------------------- */

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

/* --- those who mean harm ------------------------------------------------------------------------------------------ */

static int connect_to(const struct dsmx_session *session)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/dsmx/%016llx.sock", registry,
	               (unsigned long long)session->id);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	(void)close(fd);
	return -errno;
}

/* Bytes of any kind, perhaps with descriptors. */
static void throw_at(int fd, unsigned *seed)
{
	char bytes[512], control[CMSG_SPACE(sizeof(int) * 64)];
	static const char good[] = "CONTROL=thaw\nWORKER=0\nTIMEOUT_MS=0\nWAIT=1\n";
	struct iovec part = { bytes, (size_t)rand_r(seed) % sizeof(bytes) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *fds;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)rand_r(seed);
	if (rand_r(seed) % 2 == 0) {
		memcpy(bytes, good, sizeof(good) - 1);
		part.iov_len = sizeof(good) - 1;
		bytes[(size_t)rand_r(seed) % part.iov_len] ^= (char)(1 << rand_r(seed) % 8);
	}
	if (rand_r(seed) % 4 == 0) {
		memset(control, 0, sizeof(control));
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		fds = CMSG_FIRSTHDR(&message);
		fds->cmsg_level = SOL_SOCKET;
		fds->cmsg_type = SCM_RIGHTS;
		fds->cmsg_len = CMSG_LEN(sizeof(int) * 64);
		for (int i = 0; i < 64; i++)
			memcpy(CMSG_DATA(fds) + i * (int)sizeof(int), &fd, sizeof(int));
	}
	(void)sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int count_fds(int pid)
{
	char path[64];
	int count = 0;
	DIR *list;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	list = opendir(path);
	while (list != NULL && readdir(list) != NULL)
		count++;
	if (list != NULL)
		(void)closedir(list);
	return count;
}

TEST(control_hostile,
     "clients that throw bytes and descriptors, or say nothing, neither end the supervisor nor hold it up")
{
	struct dsmx_session_options options;
	unsigned seed = (unsigned)getpid();
	struct dsmx_session *session;
	int silent[DX_CTL_CLIENTS + 4], fds, r;
	struct dsmx_error err;
	uint64_t start_ns;

	printf("# seed %u\n", seed);
	options = options_of(2, NULL);
	options.extensions = extensions;
	options.watchdog_ms = DSMX_WATCHDOG_OFF; /* else it opens pages, some time */
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_RESTART, 0, false, &err), 0);
	CHECK(serves_until(session, 1, "READY"));
	fds = count_fds(session->supervisor.pid);
	for (int i = 0; i < 2000; i++) {
		int fd = connect_to(session);

		if (fd < 0)
			continue;
		throw_at(fd, &seed);
		if (i % 3 == 0)
			throw_at(fd, &seed);
		(void)close(fd);
		if (i % 100 == 0)
			CHECK_EQ(run_one(session, 1000, &err), 0);
	}
	for (size_t i = 0; i < DX_ARRAY_LEN(silent); i++)
		while ((silent[i] = connect_to(session)) == -EAGAIN)
			(void)poll(NULL, 0, 1);
	start_ns = dx_now_ns(); /* the last of them has just been taken, or refused */
	CHECK_EQ(run_one(session, 1000, &err), 0);
	r = steer(session, 0, DSMX_CONTROL_THAW, 0, false, &err);
	CHECK(r == -EBUSY || r == 0);
	while (steer(session, 0, DSMX_CONTROL_THAW, 0, false, &err) == -EBUSY)
		CHECK(dx_now_ns() - start_ns < 5 * DX_NS_PER_S);
	CHECK_EQ(steer(session, 0, DSMX_CONTROL_THAW, 0, false, &err), 0);
	CHECK(dx_now_ns() - start_ns >=
	      (uint64_t)DX_CTL_PATIENCE_MS * DX_NS_PER_MS - 200 * DX_NS_PER_MS);
	for (size_t i = 0; i < DX_ARRAY_LEN(silent); i++)
		if (silent[i] >= 0)
			(void)close(silent[i]);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_RESTART, 0, false, &err), 0);
	CHECK(serves_until(session, 1, "READY"));
	CHECK_EQ(count_fds(session->supervisor.pid), fds);
	CHECK_EQ(session->broken.code, 0);
	CHECK_EQ(run_one(session, 1000, &err), 0);
	dsmx_session_close(session);
}

static void as_nobody(const struct dsmx_session *session, const char *path, int out)
{
	struct dsmx_error err = { .code = 0 };
	int codes[3];

	(void)path;
	if (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0)
		_exit(1);
	codes[0] = steer(session, 0, DSMX_CONTROL_KILL, 0, false, &err);
	codes[1] = connect_to(session);
	codes[2] = 0;
	if (codes[1] >= 0) { /* the file lets us; the supervisor looks who it is */
		char text[512] = "";
		struct timeval patience = { .tv_sec = 2 };
		int flags = fcntl(codes[1], F_GETFL);

		(void)fcntl(codes[1], F_SETFL, flags & ~O_NONBLOCK);
		(void)setsockopt(codes[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		(void)!recv(codes[1], text, sizeof(text) - 1, 0);
		codes[2] = strstr(text, "ERRNO=13\n") != NULL;
	}
	(void)!write(out, codes, sizeof(codes));
	_exit(0);
}

TEST(control_other_user,
     "another user cannot connect, and would be refused if he could; root sees and steers everybody's")
{
	struct dsmx_session_options options;
	struct dsmx_session *session;
	int codes[3] = { 0 }, pipes[2];
	char path[128], dir[80];

	if (geteuid() != 0)
		SKIP("not root");
	CHECK_EQ(open_session(1, &options, &session), 0);
	(void)snprintf(dir, sizeof(dir), "%s/dsmx", registry);
	(void)snprintf(path, sizeof(path), "%s/%016llx.sock", dir, (unsigned long long)session->id);
	CHECK_EQ(chmod(registry, 0755), 0);
	CHECK_EQ(chmod(dir, 0755), 0);
	CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
	for (int open_to_all = 0; open_to_all < 2; open_to_all++) {
		int pid;

		if (open_to_all)
			CHECK_EQ(chmod(path, 0666), 0);
		pid = fork();
		if (pid == 0)
			as_nobody(session, path, pipes[1]);
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		CHECK_EQ(read(pipes[0], codes, sizeof(codes)), (ssize_t)sizeof(codes));
		CHECK(codes[0] < 0);
		if (open_to_all)
			CHECK(codes[1] >= 0 && codes[2] == 1);
		else
			CHECK_EQ(codes[1], -EACCES);
	}
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	CHECK_EQ(chmod(dir, 0700), 0);
	CHECK(dsmx_session_worker_pid(session, 0) > 0);
	CHECK_EQ(run_one(session, 1000, NULL), 0);
	dsmx_session_close(session);
}

TEST(control_supervisor_stopped,
     "of a stopped supervisor the status can be read; what is asked of it times out")
{
	struct dsmx_session_options options;
	struct dsmx_session *session;
	struct dsmx_error err;

	CHECK_EQ(open_session(1, &options, &session), 0);
	CHECK(comes_to(session->id, 0, "READY"));
	CHECK_EQ(kill(session->supervisor.pid, SIGSTOP), 0);
	CHECK_STR(see(session->id, 0).state, "READY");
	CHECK_EQ(steer(session, 0, DSMX_CONTROL_THAW, 0, false, &err), -ETIMEDOUT);
	CHECK_EQ(kill(session->supervisor.pid, SIGCONT), 0);
	CHECK_EQ(steer(session, 0, DSMX_CONTROL_THAW, 0, false, &err), 0);
	dsmx_session_close(session);
}

/* A supervisor that is stopped reaps nobody: so the moment lasts. */
TEST(control_dying,
     "a worker that is dead and not reaped yet is seen to be dying, the other is not")
{
	struct dsmx_session_options options;
	struct dsmx_session *session;
	uint64_t deadline_ns;
	int pid, pidfd;

	CHECK_EQ(open_session(2, &options, &session), 0);
	CHECK(comes_to(session->id, 1, "READY"));
	CHECK(!see(session->id, 1).worker.dying);
	pid = dsmx_session_worker_pid(session, 1);
	pidfd = dx_pidfd_open(pid);
	CHECK_EQ(kill(session->supervisor.pid, SIGSTOP), 0);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK(ends_soon(pidfd));
	CHECK_EQ(close(pidfd), 0);
	CHECK(see(session->id, 1).worker.dying);
	CHECK(!see(session->id, 0).worker.dying);
	CHECK_EQ(kill(session->supervisor.pid, SIGCONT), 0);
	deadline_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;
	while (see(session->id, 1).worker.dying && dx_now_ns() < deadline_ns)
		;
	CHECK(!see(session->id, 1).worker.dying);
	CHECK(serves_until(session, 1, "READY"));
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
	char dir[80];
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, extensions);
	if (status >= 0)
		return status;
	(void)snprintf(registry, sizeof(registry), "/tmp/dsmx-control-XXXXXX");
	if (mkdtemp(registry) == NULL)
		return 1;
	(void)setenv("XDG_RUNTIME_DIR", registry, 1);
	status = harness_main(argc, argv);
	(void)snprintf(dir, sizeof(dir), "%s/dsmx", registry);
	(void)rmdir(dir);
	(void)rmdir(registry);
	return status;
}
