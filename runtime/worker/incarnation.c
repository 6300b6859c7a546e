/* SPDX-License-Identifier: MIT */
/*
 * The life of a worker.
 *
 *	              spawn             is_ready              retire
 *	NONE ──► SPAWNING ──► STARTING ─────────► READY ───────────────► DRAINING
 *	 ▲          │            │                  │                       │ dismiss
 *	 │          │ not begun  │ drain            │ drain                 ▼
 *	 └──────────┘            └──────────────────┴──────────────────► STOPPING     told, SIGTERM, SIGKILL
 *	                                                                    │
 *	   from any state in which there is a process, when its pidfd fires │
 *	                                                                    ▼
 *	SPAWNING ◄── BACKOFF ◄────────────── settle ─────────────────── EXITED        reaped, counted; its
 *	    ▲                                   │                                     group is being removed
 *	    └───────── restart, ── FAILED ◄─────┘
 *	               reset_failed
 *
 *	to		from			by			then waits for
 *	SPAWNING	NONE, BACKOFF		dx_worker_spawn()
 *	STARTING	SPAWNING		dx_worker_spawn()	its segments, and all to map them; start time-out
 *	NONE		SPAWNING		dx_worker_spawn()	nothing: it could not be started
 *	READY		STARTING		dx_worker_is_ready()
 *	DRAINING	READY			dx_worker_retire()	what it was dealt to end (steer.c); a time-out
 *	STOPPING	STARTING .. DRAINING	dx_worker_dismiss()	its exit: told to leave, TimeoutStopSec
 *			STOPPING		terminate()		its exit: SIGTERM, a quarter of that
 *			any of these		dx_worker_end()		its exit: SIGKILL, for a reason of ours
 *			any of these		dx_worker_kill()	its exit: SIGKILL, for no reason of ours
 *	EXITED		STARTING .. STOPPING	dx_worker_reap()	its group to be empty
 *	BACKOFF		EXITED, FAILED, NONE	back_off()		the delay that restart.c gave, or an operator
 *	FAILED		EXITED, NONE		back_off()		an operator: restart.c will have no other
 *
 * A worker may go at any moment, and nothing else is concluded from an end of file than that an exit should
 * follow. EXITED stays where nobody wants another: in the end of a session, before it is open, and for one that
 * was drained. A generation has one cgroup, one socket, one epoch and one pair of segments; none of them is used
 * again. What a worker says is in hear.c, what operators ask in steer.c.
 */
#include <assert.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/probe.h"
#include "worker/supervisor.h"

#define EOF_MS        1000U /* from its end of file to its exit */
#define LEAF_RETRY_MS 5U
#define REAP_RETRY_MS 5U

#define LEAF_GIVE_UP (2 * DX_NS_PER_S)

#define BIT(state) (1U << (state))

/* The states that may follow each. */
static const unsigned allowed[DX_WORKER_STATE_COUNT] = {
	[DX_WORKER_NONE] = BIT(DX_WORKER_SPAWNING) | BIT(DX_WORKER_BACKOFF) | BIT(DX_WORKER_FAILED),
	[DX_WORKER_SPAWNING] = BIT(DX_WORKER_STARTING) | BIT(DX_WORKER_NONE),
	[DX_WORKER_STARTING] =
		BIT(DX_WORKER_READY) | BIT(DX_WORKER_STOPPING) | BIT(DX_WORKER_EXITED),
	[DX_WORKER_READY] =
		BIT(DX_WORKER_DRAINING) | BIT(DX_WORKER_STOPPING) | BIT(DX_WORKER_EXITED),
	[DX_WORKER_DRAINING] = BIT(DX_WORKER_STOPPING) | BIT(DX_WORKER_EXITED),
	[DX_WORKER_STOPPING] = BIT(DX_WORKER_STOPPING) | BIT(DX_WORKER_EXITED),
	[DX_WORKER_EXITED] = BIT(DX_WORKER_BACKOFF) | BIT(DX_WORKER_FAILED),
	[DX_WORKER_BACKOFF] = BIT(DX_WORKER_SPAWNING),
	[DX_WORKER_FAILED] = BIT(DX_WORKER_BACKOFF),
};

static void set_state(struct dx_worker *worker, enum dx_worker_state state)
{
	assert((allowed[worker->state] & BIT(state)) != 0);
	worker->state = state;
	worker->supervisor->changed = true;
}

bool dx_worker_is_up(const struct dx_worker *worker)
{
	return worker->state == DX_WORKER_STARTING || worker->state == DX_WORKER_READY ||
	       worker->state == DX_WORKER_DRAINING;
}

bool dx_worker_is_there(const struct dx_worker *worker)
{
	switch (worker->state) {
	case DX_WORKER_NONE:
	case DX_WORKER_BACKOFF:
	case DX_WORKER_FAILED:
		return false;
	case DX_WORKER_EXITED:
		return worker->leaf.v2[0] != '\0';
	default:
		return true;
	}
}

static uint64_t now_ns(const struct dx_worker *worker)
{
	return dx_wait_now(dx_reactor_wait(worker->supervisor->reactor));
}

static void start_timer(struct dx_worker *worker, uint64_t ms)
{
	dx_timer_start(worker->supervisor->reactor, &worker->timer,
	               now_ns(worker) + ms * DX_NS_PER_MS);
}

void dx_worker_close_control(struct dx_worker *worker)
{
	if (worker->control.fd < 0)
		return;
	dx_unlisten(worker->supervisor->reactor, &worker->control);
	(void)close(worker->control.fd);
	worker->control.fd = -1;
	if (dx_worker_is_up(worker))
		start_timer(worker, EOF_MS);
}

/* --- SPAWNING, STARTING --------------------------------------------------------------------------------- */

/* START waits in the socket before there is a process to read it. */
static int send_start(struct dx_worker *worker, int socket)
{
	struct dx_supervisor *supervisor = worker->supervisor;
	struct dx_start start = supervisor->start;
	struct dx_message *message = &supervisor->out;

	start.self = worker->peer;
	start.epoch = worker->epoch;
	start.in_cgroup = supervisor->group.v2[0] != '\0';
	dx_message_start(message);
	dx_start_put(message, &start);
	dx_message_put_fd(message, supervisor->leader.fd);
	dx_message_put_fd(message, supervisor->watchers_fd);
	return dx_message_send(socket, message);
}

static int spawn_in(struct dx_worker *worker, const int sockets[2], struct dsmx_error *err)
{
	struct dx_supervisor *supervisor = worker->supervisor;
	char title[64], serve[] = DX_SERVE_WORKER, name[32];
	char *argv[] = { title, serve, NULL };
	struct dx_spawn spawn = { .path = supervisor->start.worker_path,
		                  .argv = argv,
		                  .control = sockets[1],
		                  .no_core = supervisor->start.isolation != DSMX_ISOLATION_NONE &&
		                             !supervisor->start.core_dumps };
	cpu_set_t cpus;
	int r = send_start(worker, sockets[0]);

	if (r != 0)
		return dx_error(err, r, "cannot give worker %u its parameters: %s",
		                worker->peer - 1, dx_strerror(r));
	(void)snprintf(name, sizeof(name), "w%u.g%u", worker->peer - 1, worker->generation);
	(void)snprintf(title, sizeof(title), "dsmx: %s of %016llx", name,
	               (unsigned long long)supervisor->start.session);
	r = dx_cgroup_leaf_create(&supervisor->group, name, &supervisor->start.limits,
	                          &worker->leaf, err);
	if (r != 0)
		return r;
	spawn.cgroup_fd = worker->leaf.fd;
	spawn.v1_procs = worker->leaf.v1_procs;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		spawn.cpus = &cpus;
	r = dx_spawn_child(&spawn, &worker->process, err);
	dx_cgroup_leaf_started(&worker->leaf);
	if (r != 0)
		(void)dx_cgroup_leaf_remove(&worker->leaf);
	return r;
}

int dx_worker_spawn(struct dx_worker *worker, struct dsmx_error *err)
{
	struct dx_supervisor *supervisor = worker->supervisor;
	int sockets[2], r;

	set_state(worker, DX_WORKER_SPAWNING);
	worker->generation++;
	worker->epoch = ++supervisor->last_epoch;
	worker->ended_as = DSMX_EXIT_NONE;
	worker->said.code = 0;
	worker->ready_ns = 0;
	worker->isolation = 0;
	worker->after = DX_AFTER_POLICY;
	worker->frozen = false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
		set_state(worker, DX_WORKER_NONE);
		return dx_error(err, dx_errno(), "cannot make a socket for worker %u: %s",
		                worker->peer - 1, dx_strerror(errno));
	}
	r = spawn_in(worker, sockets, err);
	(void)close(sockets[1]);
	if (r != 0) {
		(void)close(sockets[0]);
		set_state(worker, DX_WORKER_NONE);
		return r;
	}
	DX_PROBE(worker_start, supervisor->start.session, worker->peer, worker->epoch,
	         worker->process.pid);
	worker->control = (struct dx_wait_fd){ .fd = sockets[0] };
	worker->exit = (struct dx_wait_fd){ .fd = worker->process.pidfd };
	set_state(worker, DX_WORKER_STARTING);
	worker->started++;
	start_timer(worker, supervisor->start.start_timeout_ms);
	if (dx_listen(supervisor->reactor, &worker->control) != 0 ||
	    dx_listen(supervisor->reactor, &worker->exit) != 0)
		dx_worker_end(worker, DSMX_EXIT_START_TIMEOUT, "the supervisor cannot wait for it");
	return 0;
}

void dx_worker_is_ready(struct dx_worker *worker)
{
	set_state(worker, DX_WORKER_READY);
	worker->ready_ns = now_ns(worker);
	if (worker->control.fd >= 0)
		dx_timer_stop(&worker->timer);
}

/* --- DRAINING, STOPPING --------------------------------------------------------------------------------- */

void dx_worker_retire(struct dx_worker *worker, uint64_t look_ms)
{
	set_state(worker, DX_WORKER_DRAINING);
	start_timer(worker, look_ms);
}

void dx_worker_dismiss(struct dx_worker *worker)
{
	struct dx_message *message = &worker->supervisor->out;

	if (!dx_worker_is_up(worker))
		return;
	dx_worker_freeze(worker, false);
	set_state(worker, DX_WORKER_STOPPING);
	dx_message_start(message);
	dx_message_put(message, "STOPPING", "1");
	(void)!dx_message_send(worker->control.fd, message); /* the time-out does the rest */
	start_timer(worker, worker->supervisor->start.stop_timeout_ms);
}

static void terminate(struct dx_worker *worker)
{
	set_state(worker, DX_WORKER_STOPPING);
	worker->ended_as = DSMX_EXIT_STOP_TIMEOUT;
	dx_pidfd_kill(worker->process.pidfd, SIGTERM);
	start_timer(worker, worker->supervisor->start.stop_timeout_ms / 4);
}

static void kill_now(struct dx_worker *worker)
{
	dx_timer_stop(&worker->timer);
	dx_pidfd_kill(worker->process.pidfd, SIGKILL);
	dx_cgroup_leaf_kill(&worker->leaf); /* and what it has forked */
	if (!dx_is_listening(&worker->exit))
		start_timer(worker, REAP_RETRY_MS); /* nothing will tell of its end */
}

void dx_worker_kill(struct dx_worker *worker, const char *text)
{
	if (worker->said.code == 0)
		(void)dx_error(&worker->said, -EINTR, "%s", text);
	set_state(worker, DX_WORKER_STOPPING);
	kill_now(worker);
}

void dx_worker_end(struct dx_worker *worker, int reason, const char *text)
{
	if (!dx_worker_is_there(worker) || worker->state == DX_WORKER_EXITED)
		return;
	if (worker->ended_as == DSMX_EXIT_NONE) {
		worker->ended_as = reason;
		if (text != NULL)
			(void)dx_error(&worker->said, -EPROTO, "%s", text);
	}
	set_state(worker, DX_WORKER_STOPPING);
	kill_now(worker);
}

/* Not a state: it may happen in any in which there is a process. */
void dx_worker_freeze(struct dx_worker *worker, bool frozen)
{
	if (worker->frozen == frozen)
		return;
	if (dx_cgroup_leaf_freeze(&worker->leaf, frozen) != 0)
		dx_pidfd_kill(worker->process.pidfd, frozen ? SIGSTOP : SIGCONT);
	worker->frozen = frozen;
	worker->still = 0;
	worker->supervisor->changed = true;
}

/* --- EXITED ------------------------------------------------------------------------------------------------ */

/* When, and whether, there is to be another. Nothing is restarted that never was open, or is ending. */
static int64_t restart_ms(struct dx_worker *worker, int reason)
{
	const struct dx_supervisor *supervisor = worker->supervisor;
	uint64_t now = now_ns(worker);

	if (!supervisor->open || supervisor->ending || worker->after == DX_AFTER_STAY)
		return -1;
	if (worker->after == DX_AFTER_AGAIN)
		return 0;
	return dx_restart_after(&supervisor->start.restart, &worker->history, reason,
	                        worker->ready_ns != 0 ? now - worker->ready_ns : 0, now);
}

static void back_off(struct dx_worker *worker, int64_t ms)
{
	set_state(worker, ms >= 0 ? DX_WORKER_BACKOFF : DX_WORKER_FAILED);
	if (ms >= 0)
		start_timer(worker, (uint64_t)ms);
}

/* Nothing is left of the last incarnation. */
static void settle(struct dx_worker *worker)
{
	worker->supervisor->changed = true;
	if (worker->supervisor->open && !worker->supervisor->ending &&
	    worker->after != DX_AFTER_STAY)
		back_off(worker, worker->verdict.restart_ms);
}

void dx_worker_start_again(struct dx_worker *worker)
{
	worker->after = DX_AFTER_AGAIN;
	worker->verdict.restart_ms = 0;
	if (dx_worker_is_there(worker)) /* its group is still there: settle() does it */
		return;
	if (worker->state != DX_WORKER_BACKOFF)
		set_state(worker, DX_WORKER_BACKOFF);
	start_timer(worker, 0);
}

static void start_again(struct dx_worker *worker)
{
	if (!worker->supervisor->ending && dx_worker_spawn(worker, NULL) != 0)
		back_off(worker, restart_ms(worker, DSMX_EXIT_START_TIMEOUT));
}

static void remove_leaf(struct dx_worker *worker)
{
	if (dx_cgroup_leaf_remove(&worker->leaf) != 0) {
		if (now_ns(worker) < worker->leaf_deadline_ns) {
			start_timer(worker, LEAF_RETRY_MS);
			return;
		}
		dx_cgroup_leaf_forget(&worker->leaf);
	}
	settle(worker);
}

/* Whoever wants to know what it did last finds its flight recorder here: until the next one ends. */
static void keep_page(struct dx_worker *worker)
{
	if (!worker->offer.ready)
		return;
	if (worker->last_page_fd >= 0)
		(void)close(worker->last_page_fd);
	worker->last_page_fd = fcntl(worker->offer.page_fd, F_DUPFD_CLOEXEC, 0);
}

void dx_worker_reap(struct dx_worker *worker)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	if (waitid((idtype_t)P_PIDFD, (id_t)worker->process.pidfd, &info, WEXITED | WNOHANG) == 0 &&
	    info.si_pid == 0)
		return;
	set_state(worker, DX_WORKER_EXITED);
	dx_unlisten(worker->supervisor->reactor, &worker->exit);
	dx_worker_close_control(worker);
	dx_timer_stop(&worker->timer);
	(void)close(worker->process.pidfd);
	worker->process.pidfd = -1;

	dx_cgroup_leaf_read(&worker->leaf, &worker->usage);
	dx_verdict_make(worker, &info, &worker->usage, &worker->verdict);
	worker->verdict.restart_ms = restart_ms(worker, worker->verdict.reason);
	worker->frozen = false;
	dx_watch_forget(worker);
	dx_refusal_close(worker);
	keep_page(worker);
	dx_member_offer_close(&worker->offer);
	dx_supervisor_worker_exited(worker->supervisor, worker);
	worker->leaf_deadline_ns = now_ns(worker) + LEAF_GIVE_UP;
	remove_leaf(worker);
}

/* DRAINING: is it done with what it was dealt? */
static void look_at_retired(struct dx_worker *worker)
{
	uint64_t next_ms;

	if (dx_retired_is_done(worker, &next_ms))
		dx_worker_dismiss(worker);
	else if (next_ms == 0)
		terminate(worker);
	else
		start_timer(worker, next_ms);
}

/* The one timer: what it means depends on the state. */
void dx_worker_timeout(struct dx_timer *timer)
{
	struct dx_worker *worker = DX_CONTAINER(timer, struct dx_worker, timer);

	switch (worker->state) {
	case DX_WORKER_STARTING:
	case DX_WORKER_READY:
	case DX_WORKER_DRAINING:
		if (worker->control.fd < 0)
			dx_worker_end(worker, DSMX_EXIT_PROTOCOL,
			              "it closed its socket and went on");
		else if (worker->state == DX_WORKER_DRAINING)
			look_at_retired(worker);
		else
			dx_worker_end(worker, DSMX_EXIT_START_TIMEOUT, NULL);
		break;
	case DX_WORKER_STOPPING:
		if (!dx_is_listening(&worker->exit))
			dx_worker_reap(worker);
		if (worker->state != DX_WORKER_STOPPING)
			break;
		if (worker->ended_as == DSMX_EXIT_NONE)
			terminate(worker);
		else
			kill_now(worker);
		break;
	case DX_WORKER_EXITED:
		remove_leaf(worker);
		break;
	case DX_WORKER_BACKOFF:
		start_again(worker);
		break;
	default:
		break;
	}
}
