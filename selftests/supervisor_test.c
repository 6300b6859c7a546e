/* SPDX-License-Identifier: MIT */
/*
 * supervisor_test.c - the supervisor, and whom it tells, where a wait has no place left, or a process no descriptor
 *
 * Its own functions over a simulated wait (simulated.h), and real processes, of a program that is no worker: what is
 * asked here comes before a worker says anything.
 */
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "simulated.h"
#include "worker/supervisor.h"

static int places; /* for descriptors */

static int take_place(struct dx_wait *wait, struct dx_wait_fd *fd)
{
	return places-- > 0 ? sim_add_fd(wait, fd) : -E2BIG;
}

struct fixture {
	uint64_t state, clock_ns;
	struct dx_wait_ops ops;
	struct sim_wait *wait;
	struct dx_supervisor *supervisor;
	int leader; /* its end of the socket */
};

static bool setup(struct fixture *f)
{
	struct dx_supervisor *s = calloc(1, sizeof(*s));
	struct dx_worker *worker = &s->workers[0];
	int ends[2];

	*f = (struct fixture){ .state = 1, .clock_ns = DX_NS_PER_S, .ops = sim_ops };
	f->ops.add_fd = take_place;
	f->wait = calloc(1, sizeof(*f->wait));
	f->wait->wait.ops = &f->ops;
	f->wait->state = &f->state;
	f->wait->clock_ns = &f->clock_ns;
	dx_list_init(&f->wait->words);
	f->supervisor = s;
	if (dx_reactor_new_over(&f->wait->wait, false, &s->reactor, NULL) != 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return false;
	f->leader = ends[1];
	s->start = (struct dx_start){ .session = 77,
		                      .workers = 1,
		                      .start_timeout_ms = 1000000,
		                      .stop_timeout_ms = 1000000,
		                      .worker_path = "/bin/true" };
	s->control.fd = ends[0];
	s->leader.fd = dup(0);
	s->watchers_fd = dup(0);
	s->eventfd = s->page.fd = s->status_fd = -1;
	worker->supervisor = s;
	worker->peer = 1;
	worker->page.fd = worker->last_page_fd = worker->process.pidfd = worker->control.fd = -1;
	worker->timer.fire = dx_worker_timeout;
	dx_list_init(&worker->timer.link);
	dx_cgroup_leaf_init(&worker->leaf);
	dx_member_offer_close(&worker->offer);
	dx_refusal_init(&worker->refusals);
	return true;
}

static void teardown(struct fixture *f)
{
	struct dx_supervisor *s = f->supervisor;

	dx_timer_stop(&s->workers[0].timer);
	(void)close(s->control.fd);
	(void)close(s->leader.fd);
	(void)close(s->watchers_fd);
	(void)close(f->leader);
	dx_reactor_free(s->reactor);
	free(s);
}

/* With places for @count descriptors of a worker, of two. */
static void start_without(bool *ok, int count)
{
	int fds = harness_each_fd(NULL);
	struct dx_worker *worker;
	struct dsmx_error err;
	uint64_t until_ns;
	struct fixture f;

	CHECK(setup(&f));
	worker = &f.supervisor->workers[0];
	places = count;
	CHECK_EQ(dx_worker_spawn(worker, &err), 0);
	CHECK_EQ(worker->state, DX_WORKER_STOPPING);
	until_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;
	while (worker->state != DX_WORKER_EXITED && dx_now_ns() < until_ns) {
		(void)dx_reactor_turn(f.supervisor->reactor, 0);
		(void)usleep(100);
	}
	CHECK_EQ(worker->state, DX_WORKER_EXITED);
	CHECK_EQ(worker->process.pidfd, -1);
	CHECK_EQ(worker->verdict.reason, DSMX_EXIT_START_TIMEOUT);
	CHECK(strstr(worker->verdict.text, "cannot wait for it") != NULL);
	CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
	CHECK_EQ(errno, ECHILD);
	teardown(&f);
	CHECK_EQ(harness_each_fd(NULL), fds);
}

TEST(supervisor_unheard,
     "a worker of which the supervisor could not hear that it has ended is ended, and reaped")
{
	start_without(ok, 0);
	start_without(ok, 1);
}

/* --- what a worker was refused ------------------------------------------------------------------------------ */

enum { ASKERS = 4 };

static void *ask(void *arg)
{
	(void)syscall(SYS_getppid);
	return arg;
}

/* A process of @ASKERS threads that all wait for the answer to one call. Its first thread has sent the filter's listener. */
static void ask_all(int socket)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	pthread_t threads[ASKERS];
	struct dx_message message;

	if (filter == NULL ||
	    seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(getppid), 0) != 0 ||
	    seccomp_load(filter) != 0)
		_exit(1);
	dx_message_start(&message);
	dx_message_put(&message, "LISTENER", "1");
	dx_message_put_fd(&message, seccomp_notify_fd(filter));
	if (dx_message_send(socket, &message) != 0)
		_exit(1);
	for (int i = 0; i < ASKERS; i++)
		if (pthread_create(&threads[i], NULL, ask, NULL) != 0)
			_exit(1);
	for (int i = 0; i < ASKERS; i++)
		(void)pthread_join(threads[i], NULL);
	_exit(0);
}

/* How many threads of a process sleep in that call. */
static int count_askers(pid_t pid)
{
	char path[300], line[64] = "";
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		FILE *file;

		(void)snprintf(path, sizeof(path), "/proc/%d/task/%.20s/syscall", (int)pid,
		               entry->d_name);
		file = fopen(path, "re");
		if (file != NULL && fgets(line, sizeof(line), file) != NULL)
			count += atoi(line) == SYS_getppid;
		if (file != NULL)
			(void)fclose(file);
	}
	if (dir != NULL)
		(void)closedir(dir);
	return count;
}

TEST(supervisor_refuses_all, "calls that wait to be refused at once are answered by one look")
{
	struct dx_message message;
	struct dx_worker *worker;
	struct fixture f;
	int ends[2], r, status;
	pid_t pid;

	CHECK(setup(&f));
	worker = &f.supervisor->workers[0];
	worker->offer.ready = true; /* what waits is not of its loading */
	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		ask_all(ends[1]);
	while ((r = dx_message_recv(ends[0], &message)) == -EAGAIN)
		(void)sched_yield();
	CHECK_EQ(r, 1);
	places = 1;
	CHECK_EQ(dx_refusal_listen(worker, dx_message_take_fd(&message, 0)), 0);
	for (uint64_t until_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;
	     count_askers(pid) < ASKERS && dx_now_ns() < until_ns;)
		(void)sched_yield();
	worker->refusals.listener.fired = POLLIN;
	CHECK(dx_refusal_look(worker));
	CHECK_EQ(worker->refusals.count, ASKERS);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	dx_refusal_close(worker);
	(void)close(ends[0]);
	(void)close(ends[1]);
	worker->offer.ready = false;
	teardown(&f);
}

/* --- what the leader is told --------------------------------------------------------------------------------- */

/* So that three more can be opened, whatever numbers are free. */
static bool limit_descriptors(struct rlimit *before)
{
	struct rlimit limit;
	int fds[3];

	for (int i = 0; i < 3; i++)
		fds[i] = dup(0);
	for (int i = 0; i < 3; i++)
		if (fds[i] < 0 || close(fds[i]) != 0)
			return false;
	if (getrlimit(RLIMIT_NOFILE, before) != 0)
		return false;
	limit = *before;
	limit.rlim_cur = (rlim_t)fds[2] + 1;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

TEST(supervisor_introduces_one_too_many,
     "a leader that has no descriptor left for a worker's process says so, and does not go on without")
{
	struct cluster c = { .state = 1, .count = 2, .frames = 4, .clock_ns = DX_NS_PER_S };
	struct dx_message message;
	struct dx_member member;
	struct rlimit before;
	struct dsmx_error err;
	int ends[2], fds;

	for (uint32_t i = 0; i < 2; i++)
		CHECK_EQ(make_process(&c, i), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	CHECK_EQ(dx_member_start(&member, ends[0], c.processes[0].mesh, c.processes[0].epoch, -1,
	                         NULL, &err),
	         0);
	dx_message_start(&message);
	dx_message_put(&message, "PEERS", "1");
	dx_message_put(&message, "PEER", "1 %llu %d", (unsigned long long)c.processes[1].epoch,
	               (int)getpid());
	dx_message_put_fd(&message, dx_mesh_page_segment(c.processes[1].mesh)->fd);
	dx_message_put_fd(&message, dx_mesh_data_segment(c.processes[1].mesh)->fd);
	dx_message_put_fd(&message, ends[1]);
	CHECK_EQ(dx_message_send(ends[1], &message), 0);
	fds = harness_each_fd(NULL);
	CHECK(limit_descriptors(&before)); /* those that come */
	dx_member_hear(&member);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
	CHECK(member.gone);
	CHECK_EQ(member.why.code, -EMFILE);
	CHECK(strstr(member.why.message, "process 1") != NULL);
	CHECK_EQ(harness_each_fd(NULL), fds);
	dx_member_stop(&member);
	(void)close(ends[1]);
	cluster_close(&c);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
