/* SPDX-License-Identifier: MIT */
/*
 * The same answers on machines that lack something, and one line that says what.
 *
 * With --run this program is a leader that runs the queries and says what it got; what the machine lacks is
 * taken from it by a seccomp filter, which its supervisor and workers inherit, or by another user's id. With
 * --without NUMBER another program is run in its place: for degraded_test.sh.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "base/err.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "series.h"

#define NOBODY 65534
#define ROWS   234567

static char self_path[PATH_MAX];

/* What a machine may lack. */
enum {
	NO_HUGE_PAGES = 1,
	NO_URING = 2,
	NO_ROOT = 4,
	SAID_FUTEX = 8,
	NO_WORKERS = 16,
	NO_CLONE3 = 32,
	NO_NAMESPACES = 64,
	NO_LANDLOCK = 128,
	NO_SECCOMP = 256
};

/* --- the leader ------------------------------------------------------------------------------------------------ */

static void print_log(void *data, enum dsmx_log_level level, const char *message)
{
	(void)data;
	printf("log %d %s\n", (int)level, message);
}

/* Is the process in a group of the session, in every hierarchy that has one? */
static bool in_group(int pid, const struct dsmx_session_info *info)
{
	char path[64], text[4096], id[20];
	int fd, count = 0;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	(void)snprintf(id, sizeof(id), "/%016llx/", (unsigned long long)info->id);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (const char *at = text; (at = strstr(at, id)) != NULL; at++)
		count++;
	return count == (strcmp(info->isolation, "none") == 0        ? 0
	                 : strcmp(info->isolation, "cgroup v2") == 0 ? 1
	                                                             : 2);
}

static int run(const char *workers)
{
	struct dsmx_session_options options = { .size = sizeof(options),
		                                .workers = (uint32_t)atoi(workers),
		                                .data_bytes = 4 << 20,
		                                .worker_path = self_path,
		                                .start_timeout_ms = harness_start_ms(),
		                                .extensions = extensions,
		                                .log = print_log };
	struct dsmx_session_info info;
	struct dsmx_session *session;
	struct dsmx_error err;
	int r = dsmx_session_open(&options, &session, &err);

	if (r != 0) {
		printf("open: %s\n", err.message);
		return KSFT_FAIL;
	}
	dsmx_session_info(session, &info);
	printf("wait %s\npages %s\nisolation %s\n", info.wait, info.pages, info.isolation);
	for (uint32_t w = 0; w < info.workers; w++)
		printf("worker %s its group\n",
		       in_group(dsmx_session_worker_pid(session, w), &info) ? "in" : "outside");
	for (int kind = 0; r == 0 && kind < KIND_COUNT; kind++) {
		struct dsmx_query_stats stats;
		struct dsmx_query *query;
		int64_t sum = 0;

		r = start_query(session, (enum kind)kind, ROWS, &query, &err);
		if (r != 0)
			break;
		r = drain(query, (enum kind)kind, &sum, &err);
		dsmx_query_stats(query, &stats);
		printf("sum %lld through %s\n", (long long)sum,
		       stats.ring_frames > 0    ? "rings"
		       : stats.local_frames > 0 ? "hands"
		                                : "nothing");
		dsmx_query_close(query);
	}
	if (r != 0)
		printf("query: %s\n", err.message);
	dsmx_session_close(session);
	return r == 0 ? KSFT_PASS : KSFT_FAIL;
}

static bool refuse(scmp_filter_ctx filter, unsigned code, int call)
{
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(code), call, 0) == 0;
}

/* In the child: take away what the condition lacks. */
static bool take_away(int lacks)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	bool ok = filter != NULL;

	if (ok && (lacks & NO_HUGE_PAGES) != 0)
		ok = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOMEM), SCMP_SYS(memfd_create), 1,
		                      SCMP_A1(SCMP_CMP_MASKED_EQ, MFD_HUGETLB, MFD_HUGETLB)) == 0;
	if (ok && (lacks & NO_URING) != 0)
		ok = refuse(filter, EPERM, SCMP_SYS(io_uring_setup));
	if (ok && (lacks & NO_CLONE3) != 0)
		ok = refuse(filter, ENOSYS, SCMP_SYS(clone3));
	if (ok && (lacks & NO_NAMESPACES) != 0)
		ok = refuse(filter, EPERM, SCMP_SYS(unshare)) &&
		     refuse(filter, EPERM, SCMP_SYS(mount));
	if (ok && (lacks & NO_LANDLOCK) != 0)
		ok = refuse(filter, ENOSYS, SCMP_SYS(landlock_create_ruleset));
	if (ok && (lacks & NO_SECCOMP) != 0)
		ok = refuse(filter, EINVAL, SCMP_SYS(seccomp));
	ok = ok && ((lacks & (NO_HUGE_PAGES | NO_URING | NO_CLONE3 | NO_NAMESPACES | NO_LANDLOCK |
	                      NO_SECCOMP)) == 0 ||
	            seccomp_load(filter) == 0);
	seccomp_release(filter);
	if (ok && (lacks & NO_ROOT) != 0 && geteuid() == 0)
		ok = setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
		     setresuid(NOBODY, NOBODY, NOBODY) == 0 && unsetenv("XDG_RUNTIME_DIR") == 0;
	if (ok && (lacks & SAID_FUTEX) != 0)
		ok = setenv("DSMX_WAIT", "futex", 1) == 0;
	return ok;
}

/* Run it without what @lacks names. Returns its exit status; @ret_said is what it said. */
static int run_without(int lacks, char *ret_said, size_t room)
{
	char flag[] = "--run", two[] = "2", none[] = "0";
	char *argv[] = { self_path, flag, (lacks & NO_WORKERS) != 0 ? none : two, NULL };
	int out[2], status = -1;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) != 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		if (!take_away(lacks) || dup2(out[1], STDOUT_FILENO) < 0)
			_exit(9);
		(void)execv(self_path, argv);
		_exit(8);
	}
	(void)close(out[1]);
	while (len + 1 < room && (n = read(out[0], ret_said + len, room - 1 - len)) > 0)
		len += (size_t)n;
	ret_said[len] = '\0';
	(void)close(out[0]);
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* --- tests ------------------------------------------------------------------------------------------------------- */

/* Notices that have a text. */
static int count_notices(const char *said, const char *text)
{
	int count = 0;

	for (const char *line = said; line != NULL && *line != '\0';) {
		const char *end = strchrnul(line, '\n');

		if (strncmp(line, "log 2 ", 6) == 0 &&
		    memmem(line, (size_t)(end - line), text, strlen(text)) != NULL)
			count++;
		line = *end == '\0' ? end : end + 1;
	}
	return count;
}

static void check(bool *ok, int lacks)
{
	static char said[16384];
	char sum[96];
	int sums = 0, status = run_without(lacks, said, sizeof(said));
	bool no_workers = (lacks & NO_WORKERS) != 0;

	if (status == 8 || status == 9)
		SKIP("%s", status == 8 ? "another user cannot execute this program"
		                       : "no seccomp filters here");
	if (status != 0)
		printf("# %s\n", said);
	CHECK_EQ(status, KSFT_PASS);
	(void)snprintf(sum, sizeof(sum), "sum %lld through %s\n", (long long)sum_of(ROWS),
	               no_workers ? "hands" : "rings");
	for (const char *at = said; (at = strstr(at, "sum ")) != NULL; at++)
		sums += strncmp(at, sum, strlen(sum)) == 0;
	CHECK_EQ(sums, KIND_COUNT);
	CHECK(strstr(said, "outside its group") == NULL);
	if ((lacks & NO_HUGE_PAGES) != 0) {
		CHECK(strstr(said, "pages hugetlb") == NULL);
		CHECK_EQ(count_notices(said, "huge pages"), 1);
	}
	if ((lacks & (NO_URING | SAID_FUTEX)) != 0) {
		CHECK(strstr(said, "wait futex_waitv\n") != NULL);
		CHECK_EQ(count_notices(said, "futex_waitv"), 1);
	}
	/* Who is no root to begin with has no cgroups, with or without clone3. */
	if ((lacks & NO_CLONE3) != 0)
		CHECK_EQ(count_notices(said, "cgroup"), (lacks & NO_ROOT) != 0 || geteuid() != 0);
	if ((lacks & NO_ROOT) != 0 && !no_workers) {
		CHECK(strstr(said, "isolation none\n") != NULL);
		CHECK_EQ(count_notices(said, "cgroup"), 1);
	}
}

TEST(condition_nothing_lacks, "the answers on this machine, through the rings")
{
	check(ok, 0);
}

TEST(condition_no_workers, "the answers without workers, by handing over")
{
	check(ok, NO_WORKERS);
}

TEST(condition_no_hugepages, "the answers without reserved huge pages, and one line about it")
{
	check(ok, NO_HUGE_PAGES);
}

TEST(condition_no_uring,
     "the answers where a seccomp filter refuses io_uring, and one line about it")
{
	check(ok, NO_URING);
}

TEST(condition_said_futex, "the answers with DSMX_WAIT=futex, and one line about it")
{
	check(ok, SAID_FUTEX);
}

TEST(condition_no_root,
     "the answers of an ordinary user without a delegated cgroup, and one line about it")
{
	check(ok, NO_ROOT);
}

TEST(condition_no_clone3,
     "the answers where a seccomp filter hides clone3, as container engines do, in cgroups all the same")
{
	check(ok, NO_CLONE3);
}

TEST(condition_all_lacks, "the answers without any of these, and one line about each")
{
	check(ok, NO_HUGE_PAGES | NO_URING | NO_ROOT | NO_CLONE3);
}

/* --- doing nothing ------------------------------------------------------------------------------------------- */

#define IDLE_WORKERS 4
#define IDLE_S       5
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IDLE_MS_MAX 25.0 /* instrumented code is slower */
#else
#define IDLE_MS_MAX 5.0
#endif

static double cpu_ms(int pid)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
		return -1;
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

TEST(condition_idle,
     "an idle session of 4 workers takes 5 ms of CPU per process in 5 s at most, then it answers")
{
	static const enum dsmx_wait_backend waits[2] = { DSMX_WAIT_AUTO, DSMX_WAIT_FUTEX };
	double before[2][IDLE_WORKERS + 1], most = 0, limit = IDLE_MS_MAX * harness_slow();
	struct timespec idle = { .tv_sec = IDLE_S };
	int pids[2][IDLE_WORKERS + 1];
	struct dsmx_session *sessions[2];

	for (int i = 0; i < 2; i++) {
		struct dsmx_session_options options = { .size = sizeof(options),
			                                .workers = IDLE_WORKERS,
			                                .wait = waits[i],
			                                .worker_path = self_path,
			                                .start_timeout_ms = harness_start_ms(),
			                                .extensions = extensions };
		struct dsmx_session_info info;

		CHECK_EQ(dsmx_session_open(&options, &sessions[i], NULL), 0);
		dsmx_session_info(sessions[i], &info);
		pids[i][IDLE_WORKERS] = info.supervisor_pid;
		for (uint32_t w = 0; w < IDLE_WORKERS; w++)
			pids[i][w] = dsmx_session_worker_pid(sessions[i], w);
	}
	/* Whatever else the machine does shows in the caches of who wakes up: the best of three counts. */
	for (int try = 0; try < 3 && (try == 0 || most > limit); try++) {
		most = 0;
		for (int i = 0; i < 2 * (IDLE_WORKERS + 1); i++)
			before[i / 5][i % 5] = cpu_ms(pids[i / 5][i % 5]);
		(void)nanosleep(&idle, NULL);
		for (int i = 0; i < 2 * (IDLE_WORKERS + 1); i++) {
			double took = cpu_ms(pids[i / 5][i % 5]) - before[i / 5][i % 5];

			most = took > most ? took : most;
			CHECK(before[i / 5][i % 5] >= 0 && took >= 0);
		}
		printf("# most of a process in %d s: %.2f ms\n", IDLE_S, most);
	}
	CHECK(most <= limit);
	for (int i = 0; i < 2; i++) {
		struct dsmx_query *query;
		struct dsmx_error err;
		int64_t sum;

		CHECK_EQ(start_query(sessions[i], KIND_GROUPS, ROWS, &query, &err), 0);
		CHECK_EQ(drain(query, KIND_GROUPS, &sum, &err), 0);
		CHECK_EQ(sum, sum_of(ROWS));
		dsmx_query_close(query);
		dsmx_session_close(sessions[i]);
	}
}

int main(int argc, char **argv)
{
	ssize_t n = readlink("/proc/self/exe", self_path, sizeof(self_path) - 1);
	int status;

	self_path[n > 0 ? n : 0] = '\0';
	if (argc > 3 && strcmp(argv[1], "--without") == 0) {
		if (!take_away(atoi(argv[2])))
			return 9;
		(void)execv(argv[3], argv + 3);
		return 8;
	}
	if (argc == 3 && strcmp(argv[1], "--run") == 0)
		return run(argv[2]);
	status = dsmx_worker_main(argc, argv, extensions);
	return status >= 0 ? status : harness_main(argc, argv);
}
