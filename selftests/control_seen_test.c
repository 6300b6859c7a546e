/* SPDX-License-Identifier: MIT */
/*
 * control_seen_test.c - what is seen of a session from outside: while it runs, is killed, stands still, or its status
 * is damaged
 */
#include <errno.h>
#include <poll.h>
#include <sys/wait.h>

#include "steered.h"
#include "worker/status.h"

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

int main(int argc, char **argv)
{
	return steered_main(argc, argv);
}
