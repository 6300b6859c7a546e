/* SPDX-License-Identifier: MIT */
/*
 * Processes of a session that die, at rest or while it opens; in mid-query: kill_test.c.
 *
 * This program is its own supervisor and worker, and with --leader a leader that may be killed.
 */
#include <errno.h>
#include <grp.h>
#include <sys/wait.h>

#include "base/err.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "processes.h"

#define WORKERS_MAX 8
#define NOBODY      65534

/* Let the leader's reactor turn until it knows of the end of @worker's process, or for a second. */
static const struct dx_verdict *await_verdict(struct dsmx_session *session, uint32_t worker)
{
	uint64_t deadline_ns = dx_now_ns() + SOON_MS * DX_NS_PER_MS;
	uint64_t epoch = dx_mesh_epoch(session->mesh, worker + 1);

	while (dx_session_verdict(session, worker + 1, epoch) == NULL && dx_now_ns() < deadline_ns)
		(void)dx_reactor_turn(session->reactor, deadline_ns);
	return dx_session_verdict(session, worker + 1, epoch);
}

TEST(death_worker_killed,
     "a killed worker is reported with its signal; the others live, and close is clean")
{
	struct dsmx_session_options options = options_of(3, NULL);
	const struct dx_verdict *verdict;
	struct dsmx_session_info info;
	struct dsmx_session *session;
	struct dx_cgroup group;
	uint64_t start_ns;

	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	dsmx_session_info(session, &info);
	group = session->group;
	start_ns = dx_now_ns();
	CHECK_EQ(kill(dsmx_session_worker_pid(session, 1), SIGKILL), 0);
	verdict = await_verdict(session, 1);
	CHECK(verdict != NULL);
	printf("# %.2f ms: %s\n", (double)(dx_now_ns() - start_ns) / 1e6, verdict->text);
	CHECK_EQ(verdict->reason, DSMX_EXIT_SIGNAL);
	CHECK_EQ(verdict->status, SIGKILL);
	CHECK_EQ(dsmx_session_worker_pid(session, 1), 0);
	CHECK(dsmx_session_worker_pid(session, 0) > 0 && dsmx_session_worker_pid(session, 2) > 0);
	CHECK(!dx_mesh_alive(session->mesh, 2));
	CHECK(dx_mesh_alive(session->mesh, 1) && dx_mesh_alive(session->mesh, 3));
	CHECK_EQ(session->broken.code, 0);
	CHECK_EQ(count_processes(info.id), 3);
	dsmx_session_close(session);
	CHECK_EQ(count_processes(info.id), 0);
	CHECK(groups_gone(&group));
}

TEST(death_supervisor_killed,
     "without its supervisor a session is broken at once, and cleans up after it")
{
	struct dsmx_session_options options = options_of(2, NULL);
	uint64_t deadline_ns = dx_now_ns() + SOON_MS * DX_NS_PER_MS;
	struct dsmx_session_info info;
	struct dsmx_session *session;
	char state[DX_CGROUP_PATH];
	struct dx_cgroup group;
	int pidfds[2];

	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	dsmx_session_info(session, &info);
	group = session->group;
	memcpy(state, session->state_path, sizeof(state));
	for (uint32_t w = 0; w < 2; w++)
		pidfds[w] = dx_pidfd_open(dsmx_session_worker_pid(session, w));
	CHECK_EQ(kill(info.supervisor_pid, SIGKILL), 0);
	while (session->broken.code == 0 && dx_now_ns() < deadline_ns)
		(void)dx_reactor_turn(session->reactor, deadline_ns);
	CHECK_EQ(session->broken.code, -EOWNERDEAD);
	for (int w = 0; w < 2; w++) {
		CHECK(ends_soon(pidfds[w]));
		CHECK_EQ(close(pidfds[w]), 0);
	}
	dsmx_session_close(session);
	CHECK_EQ(count_processes(info.id), 0);
	CHECK(groups_gone(&group));
	CHECK(access(state, F_OK) != 0);
}

TEST(death_supervisor_killed_unseen,
     "close alone finds that the supervisor was killed, and cleans up")
{
	struct dsmx_session_options options = options_of(2, NULL);
	struct dsmx_session_info info;
	struct dsmx_session *session;
	struct dx_cgroup group;

	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	dsmx_session_info(session, &info);
	group = session->group;
	CHECK_EQ(kill(info.supervisor_pid, SIGKILL), 0);
	dsmx_session_close(session);
	CHECK_EQ(count_processes(info.id), 0);
	CHECK(groups_gone(&group));
}

TEST(death_worker_stopped, "close ends a worker that does not move, after its time-outs")
{
	struct dsmx_session_options options = options_of(2, NULL);
	struct dsmx_session_info info;
	struct dsmx_session *session;
	struct dx_cgroup group;
	uint64_t start_ns;

	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	dsmx_session_info(session, &info);
	group = session->group;
	CHECK_EQ(kill(dsmx_session_worker_pid(session, 0), SIGSTOP), 0);
	start_ns = dx_now_ns();
	dsmx_session_close(session);
	printf("# %.0f ms\n", (double)(dx_now_ns() - start_ns) / 1e6);
	CHECK(dx_now_ns() - start_ns < 5 * DX_NS_PER_S);
	CHECK_EQ(count_processes(info.id), 0);
	CHECK(groups_gone(&group));
}

/* --- leaders that are killed ----------------------------------------------------------------------------- */

/* A leader in a process of its own: what it said of its session. */
struct leader {
	pid_t pid;
	int in, out; /* its standard input and output */
	int supervisor;
	int workers[WORKERS_MAX];
	int worker_count;
	int child; /* of the leader, made by fork() after the opening; 0: none */
	uint64_t id;
	struct dx_cgroup group;
	char isolation[32];
	char log[4096];
};

/*
 * The program with --leader N: say what the session is, wait for the end of the input, close. With DEATH_TEST
 * "fork" it has a child that knows nothing of the session, and all its descriptors.
 */
static int lead(const char *workers)
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = options_of((uint32_t)atoi(workers), &log);
	struct dsmx_session_info info;
	struct dsmx_session *session;
	struct dsmx_error err;
	char byte;

	if (dsmx_session_open(&options, &session, &err) != 0) {
		printf("%s\n", err.message);
		return KSFT_FAIL;
	}
	dsmx_session_info(session, &info);
	printf("session %llu %d\nisolation %s\ngroup %s\nmemory %s\n", (unsigned long long)info.id,
	       info.supervisor_pid, info.isolation, session->group.v2,
	       session->group.v1[DX_V1_MEMORY]);
	for (uint32_t w = 0; w < info.workers; w++)
		printf("worker %d\n", dsmx_session_worker_pid(session, w));
	if (getenv("DEATH_TEST") != NULL && strcmp(getenv("DEATH_TEST"), "fork") == 0) {
		int child = fork();

		if (child == 0)
			_exit(pause());
		printf("child %d\n", child);
	}
	printf("log %s\nend\n", log.text);
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	dsmx_session_close(session);
	return KSFT_PASS;
}

static void hear_line(struct leader *leader, const char *line)
{
	unsigned long long id;
	int pid;

	if (sscanf(line, "session %llu %d", &id, &pid) == 2) {
		leader->id = id;
		leader->supervisor = pid;
	} else if (sscanf(line, "worker %d", &pid) == 1) {
		leader->workers[leader->worker_count++] = pid;
	} else if (sscanf(line, "child %d", &pid) == 1) {
		leader->child = pid;
	} else if (sscanf(line, "isolation %31[^\n]", leader->isolation) != 1 &&
	           sscanf(line, "group %511s", leader->group.v2) != 1 &&
	           sscanf(line, "memory %511s", leader->group.v1[DX_V1_MEMORY]) != 1) {
		size_t len = strlen(leader->log);

		(void)snprintf(leader->log + len, sizeof(leader->log) - len, "%s", line);
	}
}

/* Become what the test asks for: a member of @cgroup, an ordinary user. */
static void change_self(const char *cgroup, bool nobody)
{
	char path[DX_CGROUP_PATH + 16];
	int fd;

	if (cgroup != NULL) {
		(void)snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) != 1)
			_exit(9);
	}
	if (nobody && (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
	               setresuid(NOBODY, NOBODY, NOBODY) != 0 || unsetenv("XDG_RUNTIME_DIR") != 0))
		_exit(9);
}

static bool start_leader(struct leader *leader, const char *workers, const char *cgroup,
                         bool nobody)
{
	char *argv[] = { self_path, (char[]){ "--leader" }, (char[]){ "00" }, NULL };
	int in[2], out[2];
	char line[4096];
	FILE *said;
	bool end = false;

	memset(leader, 0, sizeof(*leader));
	(void)snprintf(argv[2], 3, "%s", workers);
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		return false;
	leader->pid = fork();
	if (leader->pid == 0) {
		change_self(cgroup, nobody);
		(void)dup2(in[0], STDIN_FILENO);
		(void)dup2(out[1], STDOUT_FILENO);
		(void)execv(self_path, argv);
		_exit(9);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	leader->in = in[1];
	said = fdopen(out[0], "r");
	while (!end && fgets(line, sizeof(line), said) != NULL) {
		end = strcmp(line, "end\n") == 0;
		hear_line(leader, line);
	}
	(void)fclose(said);
	return end;
}

/* Its exit status, or minus the signal that killed it. */
static int end_leader(struct leader *leader)
{
	int status = 0;

	(void)close(leader->in);
	(void)waitpid(leader->pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(death_leader_killed,
     "when the leader is killed, workers, supervisor and cgroups go within 100 ms or so")
{
	uint64_t worst_ns = 0;

	for (int round = 0; round < 5; round++) {
		int pidfds[3], count = 0;
		struct leader leader;
		uint64_t start_ns;

		CHECK(start_leader(&leader, "2", NULL, false));
		CHECK_EQ(leader.worker_count, 2);
		pidfds[count++] = dx_pidfd_open(leader.workers[0]);
		pidfds[count++] = dx_pidfd_open(leader.workers[1]);
		pidfds[count++] = dx_pidfd_open(leader.supervisor);
		start_ns = dx_now_ns();
		CHECK_EQ(kill(leader.pid, SIGKILL), 0);
		while (count-- > 0) {
			CHECK(ends_soon(pidfds[count]));
			CHECK_EQ(close(pidfds[count]), 0);
		}
		if (dx_now_ns() - start_ns > worst_ns)
			worst_ns = dx_now_ns() - start_ns;
		CHECK(groups_gone(&leader.group));
		CHECK_EQ(end_leader(&leader), -SIGKILL);
		CHECK_EQ(count_processes(leader.id), 0);
	}
	printf("# worst of 5: %.1f ms\n", (double)worst_ns / 1e6);
}

TEST(death_leader_forked,
     "a child of the leader that holds all its descriptors does not keep the session alive")
{
	struct leader leader;
	int supervisor;

	CHECK_EQ(setenv("DEATH_TEST", "fork", 1), 0);
	CHECK(start_leader(&leader, "1", NULL, false));
	CHECK_EQ(unsetenv("DEATH_TEST"), 0);
	CHECK(leader.child > 0);
	supervisor = dx_pidfd_open(leader.supervisor);
	CHECK_EQ(kill(leader.pid, SIGKILL), 0);
	CHECK(ends_soon(supervisor));
	CHECK_EQ(close(supervisor), 0);
	CHECK_EQ(kill(leader.child, SIGKILL), 0);
	CHECK_EQ(end_leader(&leader), -SIGKILL);
	CHECK(groups_gone(&leader.group));
}

/* Processes of this program that serve, of any session; a pidfd of one of them, or -1. */
static int count_serving(const char *as, int *ret_pidfd)
{
	char path[300], text[512];
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	*ret_pidfd = -1;
	while ((entry = readdir(dir)) != NULL) {
		ssize_t n = -1, at;
		int fd;

		(void)snprintf(path, sizeof(path), "/proc/%.20s/cmdline", entry->d_name);
		fd = atoi(entry->d_name) > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		if (fd >= 0) {
			n = read(fd, text, sizeof(text) - 1);
			(void)close(fd);
		}
		text[n > 0 ? n : 0] = '\0';
		at = (ssize_t)strlen(text) + 1;
		if (at >= n || strncmp(text + at, as, strlen(as)) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%.20s/exe", entry->d_name);
		n = readlink(path, text, sizeof(text) - 1);
		text[n > 0 ? n : 0] = '\0';
		if (strcmp(text, self_path) != 0)
			continue;
		if (count++ == 0)
			*ret_pidfd = dx_pidfd_open(atoi(entry->d_name));
	}
	(void)closedir(dir);
	return count;
}

static bool is_empty_dir(const char *path)
{
	return rmdir(path) == 0 || errno == ENOENT;
}

TEST(death_killed_while_opening,
     "leaders and supervisors killed at any moment of an opening leave nothing for long")
{
	char root[] = "/tmp/dsmx-death-test-XXXXXX", dir[64];
	struct dsmx_session_options options = options_of(1, NULL);
	char *argv[] = { self_path, (char[]){ "--leader" }, (char[]){ "2" }, NULL };
	struct dsmx_session *session;

	CHECK(mkdtemp(root) != NULL && setenv("XDG_RUNTIME_DIR", root, 1) == 0);
	(void)snprintf(dir, sizeof(dir), "%s/dsmx", root);
	for (int round = 0; round < 30; round++) {
		struct timespec moment = { .tv_nsec = round * 400000L };
		int in[2], pidfd;
		pid_t pid;

		CHECK_EQ(pipe2(in, O_CLOEXEC), 0);
		pid = fork();
		if (pid == 0) {
			(void)dup2(in[0], STDIN_FILENO);
			(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
			(void)execv(self_path, argv);
			_exit(9);
		}
		(void)close(in[0]);
		(void)nanosleep(&moment, NULL); /* any moment will do */
		if (round % 2 == 0) {
			CHECK_EQ(kill(pid, SIGKILL), 0);
		} else if (count_serving(DX_SERVE_SUPERVISOR, &pidfd) > 0) {
			dx_pidfd_kill(pidfd, SIGKILL);
			(void)close(pidfd);
		}
		(void)close(in[1]); /* one that survived closes its session */
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		while (count_serving("--dsmx-serve=", &pidfd) > 0 && pidfd >= 0) {
			CHECK(ends_soon(pidfd));
			(void)close(pidfd);
		}
	}
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	dsmx_session_close(session);
	CHECK_EQ(unsetenv("XDG_RUNTIME_DIR"), 0);
	CHECK(is_empty_dir(dir));
	CHECK_EQ(rmdir(root), 0);
}

TEST(death_all_killed,
     "what is left when every process is killed at once is removed by the next start")
{
	struct dsmx_session_options options = options_of(1, NULL);
	struct dsmx_session *session;
	struct leader leader;
	int pids[4], pidfds[4];

	CHECK(start_leader(&leader, "2", NULL, false));
	pids[0] = leader.pid;
	pids[1] = leader.supervisor;
	pids[2] = leader.workers[0];
	pids[3] = leader.workers[1];
	for (int i = 0; i < 4; i++) {
		pidfds[i] = dx_pidfd_open(pids[i]);
		CHECK_EQ(kill(pids[i], SIGSTOP), 0); /* nobody can clean up for another */
	}
	for (int i = 0; i < 4; i++)
		CHECK_EQ(kill(pids[i], SIGKILL), 0);
	for (int i = 0; i < 4; i++) {
		CHECK(ends_soon(pidfds[i]));
		CHECK_EQ(close(pidfds[i]), 0);
	}
	CHECK_EQ(end_leader(&leader), -SIGKILL);
	CHECK(leader.group.v2[0] == '\0' || is_dir(leader.group.v2));

	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	dsmx_session_close(session);
	CHECK(groups_gone(&leader.group));
}

TEST(death_worker_left_behind,
     "a stopped worker of a session whose others were killed is ended by the next start")
{
	struct dsmx_session_options options = options_of(1, NULL);
	struct dsmx_session *session;
	struct leader leader;
	int worker, supervisor;

	CHECK(start_leader(&leader, "1", NULL, false));
	worker = dx_pidfd_open(leader.workers[0]);
	supervisor = dx_pidfd_open(leader.supervisor);
	CHECK(kill(leader.workers[0], SIGSTOP) == 0 && kill(leader.supervisor, SIGSTOP) == 0);
	CHECK(kill(leader.pid, SIGKILL) == 0 && kill(leader.supervisor, SIGKILL) == 0);
	CHECK_EQ(end_leader(&leader), -SIGKILL);
	CHECK(ends_soon(supervisor)); /* with it goes the lock that says the session is alive */
	CHECK_EQ(close(supervisor), 0);
	if (leader.group.v2[0] == '\0') {
		dx_pidfd_kill(worker, SIGKILL);
		CHECK_EQ(close(worker), 0);
		SKIP("no cgroups: %s", leader.log);
	}
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	CHECK(ends_soon(worker));
	CHECK_EQ(close(worker), 0);
	dsmx_session_close(session);
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	dsmx_session_close(session);
	CHECK(groups_gone(&leader.group));
}

TEST(death_ordinary_user,
     "an ordinary user's session works without cgroups, and says once what is missing")
{
	struct leader leader;
	char *found;

	if (geteuid() != 0)
		SKIP("only root can become another user");
	if (!start_leader(&leader, "2", NULL, true)) {
		(void)end_leader(&leader);
		SKIP("uid %d cannot execute this program: %s", NOBODY, leader.log);
	}
	CHECK_STR(leader.isolation, "none");
	found = strstr(leader.log, "without cgroups");
	CHECK(found != NULL && strstr(found + 1, "without cgroups") == NULL);
	CHECK(strstr(leader.log, "Delegate=yes") != NULL);
	CHECK_EQ(count_processes(leader.id), 3);
	CHECK_EQ(end_leader(&leader), KSFT_PASS);
	CHECK_EQ(count_processes(leader.id), 0);
}

TEST(death_delegated, "an ordinary user's session has cgroups in the group that is delegated to it")
{
	char missing[DSMX_ERROR_MESSAGE_BYTES], dir[DX_CGROUP_PATH], path[DX_CGROUP_PATH + 16];
	struct dx_cgroup group;
	struct leader leader;
	bool started;

	if (geteuid() != 0)
		SKIP("only root can delegate a cgroup");
	CHECK_EQ(dx_cgroup_find(NULL, 1, &(struct dx_limits){ 0 }, &group, missing, NULL), 0);
	if (group.v2[0] == '\0')
		SKIP("no cgroups: %s", missing);
	*strstr(group.v2, "/dsmx/") = '\0';
	(void)snprintf(dir, sizeof(dir), "%.400s/dsmx-test-%d", group.v2, (int)getpid());
	CHECK(mkdir(dir, 0755) == 0 && chown(dir, NOBODY, NOBODY) == 0);
	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	CHECK_EQ(chown(path, NOBODY, NOBODY), 0);
	started = start_leader(&leader, "2", dir, true);
	if (!started) {
		(void)end_leader(&leader);
		(void)rmdir(dir);
		SKIP("uid %d cannot execute this program: %s", NOBODY, leader.log);
	}
	CHECK_STR(leader.isolation, "cgroup v2");
	CHECK(strncmp(leader.group.v2, dir, strlen(dir)) == 0 && is_dir(leader.group.v2));
	CHECK(strstr(leader.log, "cgroup") == NULL);
	CHECK_EQ(end_leader(&leader), KSFT_PASS);
	CHECK(groups_gone(&leader.group));
	CHECK_EQ(rmdir(dir), 0);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	if (argc == 3 && strcmp(argv[1], "--leader") == 0)
		return lead(argv[2]);
	status = dsmx_worker_main(argc, argv, NULL);
	return status >= 0 ? status : harness_main(argc, argv);
}
