/* SPDX-License-Identifier: MIT */
/*
 * Sessions opened and closed, with real processes: this program is its own supervisor and worker. SESSION_TEST in
 * the environment makes a worker misbehave at its start.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/err.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "processes.h"

TEST(session_open_close,
     "a session of 0, 1, 2 and 8 workers opens with all of them, and leaves nothing")
{
	static const uint32_t rows[] = { 0, 1, 2, 8 };

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_session_options options = options_of(rows[i], NULL);
		struct dsmx_session_estimate estimate;
		struct dsmx_session_info info;
		struct dsmx_session *session;
		int fds = harness_each_fd(NULL);
		struct dx_cgroup group;
		struct dsmx_error err = { .code = 0 };
		char state[DX_CGROUP_PATH];
		uint64_t id;

		CHECK_EQ(dsmx_session_estimate(&options, &estimate, NULL), 0);
		if (dsmx_session_open(&options, &session, &err) != 0)
			printf("# %s\n", err.message);
		CHECK_EQ(err.code, 0);
		dsmx_session_info(session, &info);
		id = info.id;
		printf("# %u workers: %.1f ms, %s, %s, %s\n", rows[i], (double)info.open_ns / 1e6,
		       info.isolation, info.pages, info.wait);
		CHECK_EQ(info.workers, rows[i]);
		CHECK_EQ(info.open_step_ns[DSMX_OPEN_SPAWN] + info.open_step_ns[DSMX_OPEN_MEMORY] +
		                 info.open_step_ns[DSMX_OPEN_WORKERS] +
		                 info.open_step_ns[DSMX_OPEN_INTRODUCE],
		         info.open_ns);
		CHECK_EQ(count_processes(id), rows[i] == 0 ? 0 : rows[i] + 1);
		CHECK_EQ(estimate.processes, rows[i] == 0 ? 1 : rows[i] + 2);
		CHECK(harness_each_fd(NULL) - fds <= (int)estimate.fds);
		for (uint32_t w = 0; w < rows[i]; w++)
			CHECK(dsmx_session_worker_pid(session, w) > 0);
		CHECK_EQ(dsmx_session_worker_pid(session, rows[i]), 0);
		group = session->group;
		memcpy(state, session->state_path, sizeof(state));
		CHECK(group.v2[0] == '\0' || is_dir(group.v2));
		CHECK(rows[i] == 0 || access(state, F_OK) == 0);

		dsmx_session_close(session);
		CHECK_EQ(count_processes(id), 0);
		CHECK_EQ(count_mappings(), 0);
		CHECK(groups_gone(&group));
		CHECK(access(state, F_OK) != 0);
	}
}

static volatile sig_atomic_t children_heard;

static void hear_child(int sig)
{
	(void)sig;
	children_heard = children_heard + 1;
}

TEST(session_no_child,
     "the application gets no SIGCHLD, and its wait() sees no process of a session")
{
	struct dsmx_session_options options = options_of(2, NULL);
	struct dsmx_session *session;
	struct sigaction heard = { .sa_handler = hear_child }, before;

	CHECK_EQ(sigaction(SIGCHLD, &heard, &before), 0);
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	dsmx_session_close(session);
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	CHECK_EQ(children_heard, 0);
	CHECK_EQ(sigaction(SIGCHLD, &before, NULL), 0);
}

TEST(session_options, "options that cannot be are refused with a sentence")
{
	struct dsmx_session_options o = options_of(1, NULL);
	struct dsmx_session_options rows[] = { o, o, o, o, o, o, o, o, o };
	struct dsmx_session_estimate estimate;
	struct dsmx_session *session;
	struct dsmx_error err;

	rows[0].size = 0;
	rows[1].workers = DSMX_WORKERS_MAX + 1;
	rows[2].frames_per_stream = 48;
	rows[3].streams_per_peer = 5000;
	rows[4].data_bytes = 2ULL << 40;
	rows[5].worker_memory_max = 8 << 20;
	rows[6].wait = (enum dsmx_wait_backend)7;
	rows[7].isolation = DSMX_ISOLATION_NONE;
	rows[7].worker_memory_max = 1ULL << 30;
	rows[8].workers = DSMX_WORKERS_MAX; /* the rings of so many do not fit */
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		err.message[0] = '\0';
		CHECK_EQ(dsmx_session_open(&rows[i], &session, &err), -EINVAL);
		CHECK(strlen(err.message) > 20);
		CHECK_EQ(dsmx_session_open(&rows[i], &session, NULL), -EINVAL);
		CHECK_EQ(dsmx_session_estimate(&rows[i], &estimate, NULL), -EINVAL);
	}
}

TEST(session_worker_path, "a worker program that cannot serve is named, and nothing is left")
{
	static const struct {
		const char *path;
		int code;
	} rows[] = {
		{ "/nonexistent/dsmx-worker", -ENOENT },
		{ "/etc/passwd", -EACCES },
		{ "/bin/true", -EOWNERDEAD },
		{ "/bin/false", -EOWNERDEAD },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_session_options options = options_of(2, NULL);
		struct dsmx_session *session;
		struct dsmx_error err;

		options.worker_path = rows[i].path;
		CHECK_EQ(dsmx_session_open(&options, &session, &err), rows[i].code);
		CHECK(strstr(err.message, "worker") != NULL);
		CHECK_EQ(count_mappings(), 0);
	}
}

TEST(session_cgroup_named, "a DSMX_CGROUP that cannot serve is an error that names it")
{
	static const struct {
		const char *dir;
		int code;
	} rows[] = {
		{ "nonsense", -EINVAL },
		{ "/nonexistent/cgroup", -ENOENT },
		{ "/tmp", -EINVAL },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_session_options options = options_of(1, NULL);
		struct dsmx_session *session;
		struct dsmx_error err;

		CHECK_EQ(setenv("DSMX_CGROUP", rows[i].dir, 1), 0);
		CHECK_EQ(dsmx_session_open(&options, &session, &err), rows[i].code);
		CHECK(strstr(err.message, rows[i].dir) != NULL);
		CHECK_EQ(unsetenv("DSMX_CGROUP"), 0);
		options.cgroup_root = rows[i].dir;
		CHECK_EQ(dsmx_session_open(&options, &session, &err), rows[i].code);
		CHECK(strstr(err.message, "cgroup_root") != NULL);
	}
}

TEST(session_isolation_none, "without isolation there is no cgroup, and no notice about it")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = options_of(1, &log);
	struct dsmx_session_info info;
	struct dsmx_session *session;

	options.isolation = DSMX_ISOLATION_NONE;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	dsmx_session_info(session, &info);
	CHECK_STR(info.isolation, "none");
	CHECK_STR(info.cgroup, "");
	CHECK(strstr(log.text, "cgroup") == NULL);
	dsmx_session_close(session);
}

/* What a worker of this program does when SESSION_TEST says so, in place of serving. */
static int misbehave(const char *how)
{
	static struct dx_message message;
	int page = memfd_create("bad-page", MFD_CLOEXEC), data = memfd_create("bad", MFD_CLOEXEC);
	struct dx_start start;

	if (strcmp(how, "exit") == 0)
		return 3;
	if (strcmp(how, "abort") == 0)
		abort();
	if (strcmp(how, "silent") == 0)
		return pause();
	if (strcmp(how, "eat") == 0) {
		/* Written through a volatile, or a compiler leaves out memory that nobody reads. */
		for (int i = 0; i < 256; i++)
			for (volatile char *at = malloc(1 << 20), *end = at + (1 << 20); at < end;
			     at += 4096)
				*at = 1;
		return 4;
	}
	if (strcmp(how, "flood") == 0) {
		dx_message_start(&message);
		dx_message_put(&message, "ERRNO", "5");
		for (int i = 0; i < 100; i++)
			dx_message_put_fd(&message, page);
		for (;;)
			(void)!dx_message_send(DX_CONTROL_FD, &message);
	}
	if (strcmp(how, "garbage") == 0) {
		(void)!send(DX_CONTROL_FD, "hello", 5, 0);
		return pause();
	}
	if (dx_message_recv(DX_CONTROL_FD, &message) != 1 ||
	    dx_start_get(&message, &start, NULL) != 0)
		return 9;
	dx_message_start(&message);
	dx_message_put(&message, "READY", "%d", strcmp(how, "version") == 0 ? 99 : DX_PROTOCOL);
	dx_message_put(&message, "EPOCH", "%llu", (unsigned long long)start.epoch);
	dx_message_put(&message, "PAGES", "%d", DSMX_PAGES_SMALL);
	dx_message_put_fd(&message, page);
	dx_message_put_fd(&message, data);
	if (strcmp(how, "descriptors") == 0)
		dx_message_put_fd(&message, data);
	if (dx_message_send(DX_CONTROL_FD, &message) != 0)
		return 9;
	return pause();
}

TEST(session_bad_workers,
     "a worker that fails at its start fails the opening, with reason, status and sentence")
{
	static const struct {
		const char *how;
		int reason;
		int status; /* -1: any */
		const char *text;
	} rows[] = {
		{ "exit", DSMX_EXIT_CODE, 3, "exited with code 3" },
		{ "abort", DSMX_EXIT_SIGNAL, SIGABRT, "SIGABRT" },
		{ "silent", DSMX_EXIT_START_TIMEOUT, -1, "was not ready within" },
		{ "flood", DSMX_EXIT_START_TIMEOUT, -1, "was not ready within" },
		{ "garbage", DSMX_EXIT_PROTOCOL, -1, "no message" },
		{ "version", DSMX_EXIT_PROTOCOL, -1, "protocol 99" },
		{ "descriptors", DSMX_EXIT_PROTOCOL, -1, "READY" },
		{ "segments", DSMX_EXIT_PROTOCOL, -1, "seals" },
		{ "unlink", DSMX_EXIT_EXEC_FAILED, 127, "cannot execute" },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_session_options options = options_of(2, NULL);
		uint64_t start_ns = dx_now_ns();
		struct dsmx_session *session;
		struct dsmx_error err = { .code = 0 };
		char copy[64] = "/tmp/dsmx-session-test-XXXXXX", limit[32] = "";

		/* A flood that has to be drained keeps an emulated supervisor from answering in time. */
		if (harness_slow() > 1 && strcmp(rows[i].how, "flood") == 0)
			continue;
		if (rows[i].reason == DSMX_EXIT_START_TIMEOUT) {
			options.start_timeout_ms = 300 * harness_slow();
			(void)snprintf(limit, sizeof(limit), "%u ms", 300 * harness_slow());
		}
		if (strcmp(rows[i].how, "unlink") == 0) { /* the supervisor will remove it */
			(void)close(mkstemp(copy));
			CHECK(unlink(copy) == 0 && symlink(self_path, copy) == 0);
			options.worker_path = copy;
		}
		CHECK_EQ(setenv("SESSION_TEST", rows[i].how, 1), 0);
		CHECK_EQ(setenv("SESSION_TEST_COPY", copy, 1), 0);
		CHECK_EQ(dsmx_session_open(&options, &session, &err), -EOWNERDEAD);
		CHECK_EQ(unsetenv("SESSION_TEST"), 0);
		printf("# %s, %.1f ms: %s\n", rows[i].how, (double)(dx_now_ns() - start_ns) / 1e6,
		       err.message);
		CHECK_EQ(err.reason, rows[i].reason);
		CHECK(rows[i].status < 0 || err.status == rows[i].status);
		CHECK(err.worker == 0 || err.worker == 1);
		CHECK(strstr(err.message, rows[i].text) != NULL);
		CHECK(strstr(err.message, limit) != NULL);
		CHECK_EQ(count_mappings(), 0);
	}
}

TEST(session_plugin_missing,
     "a plug-in that cannot be loaded fails the opening with the loader's sentence")
{
	static const char *const rows[] = { "/nonexistent/plugin.so", "/etc/passwd" };

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		const char *plugins[] = { rows[i], NULL };
		struct dsmx_session_options options = options_of(1, NULL);
		struct dsmx_session *session;
		struct dsmx_error err;

		options.plugins = plugins;
		CHECK_EQ(dsmx_session_open(&options, &session, &err), -EOWNERDEAD);
		CHECK_EQ(err.reason, DSMX_EXIT_CODE);
		CHECK(strstr(err.message, "plug-in") != NULL &&
		      strstr(err.message, rows[i]) != NULL);
	}
}

TEST(session_oom, "a worker over its memory limit dies of OOM, by name")
{
	struct dsmx_session_options options = options_of(1, NULL);
	struct dsmx_session *session;
	struct dsmx_error err;
	int r;

	options.worker_memory_max = 64 << 20;
	CHECK_EQ(setenv("SESSION_TEST", "eat", 1), 0);
	r = dsmx_session_open(&options, &session, &err);
	CHECK_EQ(unsetenv("SESSION_TEST"), 0);
	printf("# %s\n", err.message);
	CHECK_EQ(r, -EOWNERDEAD);
	if (err.reason == DSMX_EXIT_CODE && err.status == 4)
		SKIP("no memory controller for us here");
	CHECK_EQ(err.reason, DSMX_EXIT_OOM);
	CHECK_EQ(err.status, SIGKILL);
}

/* In a process of its own, which enters @procs first: a session without a limit, and a worker that eats. */
static void be_eaten_above(const char *procs)
{
	struct dsmx_session_options options = options_of(1, NULL);
	struct dsmx_session *session;
	struct dsmx_error err;
	int fd = open(procs, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1 || setenv("SESSION_TEST", "eat", 1) != 0)
		_exit(1);
	if (dsmx_session_open(&options, &session, &err) != -EOWNERDEAD)
		_exit(2);
	fprintf(stderr, "# %s\n", err.message);
	_exit(err.reason == DSMX_EXIT_OOM && err.status == SIGKILL ? 0 : 3);
}

TEST(session_oom_above,
     "so does a worker of a session without one, in an application that is over its own")
{
	char missing[DSMX_ERROR_MESSAGE_BYTES], dir[DX_CGROUP_PATH + 32],
		procs[DX_CGROUP_PATH + 64];
	struct dx_cgroup group;
	FILE *limit;
	int status = -1;
	pid_t pid;

	CHECK_EQ(dx_cgroup_find(NULL, 1, &(struct dx_limits){ .memory_max = 1 }, &group, missing,
	                        NULL),
	         0);
	if (group.v1[DX_V1_MEMORY][0] == '\0')
		SKIP("no memory controller of version 1 for us here");
	*strstr(group.v1[DX_V1_MEMORY], "/dsmx/") = '\0';
	(void)snprintf(dir, sizeof(dir), "%s/dsmx-test-%d", group.v1[DX_V1_MEMORY], (int)getpid());
	CHECK_EQ(mkdir(dir, 0755), 0);
	(void)snprintf(procs, sizeof(procs), "%s/memory.limit_in_bytes", dir);
	limit = fopen(procs, "we");
	CHECK(limit != NULL && fputs("200M", limit) >= 0 && fclose(limit) == 0);
	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
	pid = fork();
	if (pid == 0)
		be_eaten_above(procs);
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK_EQ(rmdir(dir), 0);
	CHECK_EQ(status, 0);
}

int main(int argc, char **argv)
{
	const char *how = getenv("SESSION_TEST");
	int status;

	find_self();
	unsetenv("DSMX_TINY"); /* sizes and their limits are what is tested here */
	if (how != NULL && strcmp(how, "unlink") == 0)
		(void)unlink(getenv("SESSION_TEST_COPY"));
	else if (how != NULL && argc == 2 && strcmp(argv[1], DX_SERVE_WORKER) == 0)
		return misbehave(how);
	status = dsmx_worker_main(argc, argv, NULL);
	return status >= 0 ? status : harness_main(argc, argv);
}
