/* SPDX-License-Identifier: MIT */
/*
 * supervisor_test.c - the supervisor where its wait has no place left
 *
 * Its own functions over a simulated wait (simulated.h), and real processes, of a program that is no worker: what is
 * asked here comes before a worker says anything.
 */
#include <sys/socket.h>
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

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
