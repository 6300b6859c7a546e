/* SPDX-License-Identifier: MIT */
/*
 * The life of a worker.
 *
 *	          spawn            is_ready
 *	NONE ─► SPAWNING ─► STARTING ───────► READY
 *	            │  │        │               │ drain
 *	            │  │        │ drain         ▼
 *	            │  │        └────────► DRAINING ─► STOPPING     time-outs: SIGTERM, then SIGKILL
 *	            │  └ end: SIGKILL from any ───────►   │
 *	            ▼                                     ▼
 *	          NONE (nothing was started)    ─────► EXITED       the pidfd fired: reaped, counted, group removed
 *
 *	from		to		by			then waits for
 *	NONE, BACKOFF	SPAWNING	dx_worker_spawn()
 *	SPAWNING	STARTING	dx_worker_spawn()	its segments, and all to map them; start time-out
 *	STARTING	READY		dx_worker_is_ready()
 *	STARTING, READY	DRAINING	dx_worker_drain()	its exit; DRAIN_MS
 *	DRAINING	STOPPING	stop() (SIGTERM)	its exit; STOP_MS, then SIGKILL
 *	any of these	STOPPING	dx_worker_end()		its exit
 *	any of these	EXITED		reap()			its group to be empty
 *	EXITED		BACKOFF		settle()		the delay that restart.c gave
 *	EXITED		FAILED		settle()		nothing: restart.c will have no other
 *	BACKOFF		SPAWNING	dx_worker_spawn()	as above, and back to BACKOFF or FAILED through NONE
 *								if it cannot be started
 *
 * A worker may go at any moment, so every state but NONE may be followed by EXITED, and nothing else is
 * concluded from an end of file than that an exit should follow. In the end of a session, and before it is
 * open, EXITED stays. A generation has one cgroup, one socket, one
 * epoch and one pair of segments; none of them is used again.
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

#define DRAIN_MS      2000U
#define STOP_MS       500U
#define EOF_MS        1000U /* from its end of file to its exit */
#define LEAF_RETRY_MS 5U

/* Heard from a worker in one look; and when it has ended. */
#define MESSAGES_AT_ONCE 8
#define MESSAGES_AT_END  1024

#define LEAF_GIVE_UP (2 * DX_NS_PER_S)

#define BIT(state) (1U << (state))

/* The states that may follow each. */
static const unsigned allowed[DX_WORKER_STATE_COUNT] = {
	[DX_WORKER_NONE] = BIT(DX_WORKER_SPAWNING) | BIT(DX_WORKER_BACKOFF) | BIT(DX_WORKER_FAILED),
	[DX_WORKER_SPAWNING] = BIT(DX_WORKER_STARTING) | BIT(DX_WORKER_NONE),
	[DX_WORKER_STARTING] = BIT(DX_WORKER_READY) | BIT(DX_WORKER_DRAINING) |
	                       BIT(DX_WORKER_STOPPING) | BIT(DX_WORKER_EXITED),
	[DX_WORKER_READY] =
		BIT(DX_WORKER_DRAINING) | BIT(DX_WORKER_STOPPING) | BIT(DX_WORKER_EXITED),
	[DX_WORKER_DRAINING] = BIT(DX_WORKER_STOPPING) | BIT(DX_WORKER_EXITED),
	[DX_WORKER_STOPPING] = BIT(DX_WORKER_STOPPING) | BIT(DX_WORKER_EXITED),
	[DX_WORKER_EXITED] = BIT(DX_WORKER_BACKOFF) | BIT(DX_WORKER_FAILED),
	[DX_WORKER_BACKOFF] = BIT(DX_WORKER_SPAWNING) | BIT(DX_WORKER_FAILED),
	[DX_WORKER_FAILED] = BIT(DX_WORKER_SPAWNING),
};

static void set_state(struct dx_worker *worker, enum dx_worker_state state)
{
	assert((allowed[worker->state] & BIT(state)) != 0);
	worker->state = state;
}

bool dx_worker_is_up(const struct dx_worker *worker)
{
	return worker->state == DX_WORKER_STARTING || worker->state == DX_WORKER_READY;
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

static void close_control(struct dx_worker *worker)
{
	if (worker->control.fd < 0)
		return;
	dx_unlisten(worker->supervisor->reactor, &worker->control);
	(void)close(worker->control.fd);
	worker->control.fd = -1;
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

void dx_worker_drain(struct dx_worker *worker)
{
	struct dx_message *message = &worker->supervisor->out;

	if (!dx_worker_is_up(worker))
		return;
	set_state(worker, DX_WORKER_DRAINING);
	dx_message_start(message);
	dx_message_put(message, "STOPPING", "1");
	(void)!dx_message_send(worker->control.fd, message); /* the time-out does the rest */
	start_timer(worker, DRAIN_MS);
}

static void stop(struct dx_worker *worker)
{
	set_state(worker, DX_WORKER_STOPPING);
	worker->ended_as = DSMX_EXIT_STOP_TIMEOUT;
	dx_pidfd_kill(worker->process.pidfd, SIGTERM);
	start_timer(worker, STOP_MS);
}

static void kill_now(struct dx_worker *worker)
{
	dx_timer_stop(&worker->timer);
	dx_pidfd_kill(worker->process.pidfd, SIGKILL);
	dx_cgroup_leaf_kill(&worker->leaf); /* and what it has forked */
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

/* --- EXITED ------------------------------------------------------------------------------------------------ */

/* When, and whether, there is to be another. Nothing is restarted that never was open, or is ending. */
static int64_t restart_ms(struct dx_worker *worker, int reason)
{
	const struct dx_supervisor *supervisor = worker->supervisor;
	uint64_t now = now_ns(worker);

	if (!supervisor->open || supervisor->ending)
		return -1;
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
	if (worker->supervisor->open && !worker->supervisor->ending)
		back_off(worker, worker->verdict.restart_ms);
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

static void reap(struct dx_worker *worker)
{
	struct dx_cgroup_usage usage;
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	if (waitid((idtype_t)P_PIDFD, (id_t)worker->process.pidfd, &info, WEXITED | WNOHANG) == 0 &&
	    info.si_pid == 0)
		return;
	set_state(worker, DX_WORKER_EXITED);
	dx_timer_stop(&worker->timer);
	dx_unlisten(worker->supervisor->reactor, &worker->exit);
	close_control(worker);
	(void)close(worker->process.pidfd);
	worker->process.pidfd = -1;

	dx_cgroup_leaf_read(&worker->leaf, &usage);
	dx_verdict_make(worker, &info, &usage, &worker->verdict);
	worker->verdict.restart_ms = restart_ms(worker, worker->verdict.reason);
	dx_watch_forget(worker);
	dx_refusal_close(worker);
	keep_page(worker);
	dx_offer_close(&worker->offer);
	dx_supervisor_worker_exited(worker->supervisor, worker);
	worker->leaf_deadline_ns = now_ns(worker) + LEAF_GIVE_UP;
	remove_leaf(worker);
}

/* The one timer: what it means depends on the state. */
void dx_worker_timeout(struct dx_timer *timer)
{
	struct dx_worker *worker = DX_CONTAINER(timer, struct dx_worker, timer);

	switch (worker->state) {
	case DX_WORKER_STARTING:
	case DX_WORKER_READY:
		if (worker->control.fd < 0)
			dx_worker_end(worker, DSMX_EXIT_PROTOCOL,
			              "it closed its socket and went on");
		else
			dx_worker_end(worker, DSMX_EXIT_START_TIMEOUT, NULL);
		break;
	case DX_WORKER_DRAINING:
		stop(worker);
		break;
	case DX_WORKER_STOPPING:
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

/* --- what it says ----------------------------------------------------------------------------------------- */

/* CONFINED, before it runs a line of its plug-ins: what it has given up, and who is to answer for the rest. */
static void hear_confined(struct dx_worker *worker, struct dx_message *message)
{
	struct dx_supervisor *supervisor = worker->supervisor;
	const char *missing = dx_message_get(message, "MISSING");
	uint64_t word;

	if (worker->isolation != 0 || message->fd_count > 1 ||
	    dx_message_number(message, "CONFINED", UINT32_MAX, &word) != 0 || word == 0) {
		dx_worker_end(worker, DSMX_EXIT_PROTOCOL, "its CONFINED is not one");
		return;
	}
	worker->isolation = (uint32_t)word;
	if (message->fd_count == 1 &&
	    dx_refusal_listen(worker, dx_message_take_fd(message, 0)) != 0)
		dx_worker_end(worker, DSMX_EXIT_START_TIMEOUT, "the supervisor cannot wait for it");
	/* The same for all, as a rule. */
	if (missing == NULL || strcmp(missing, supervisor->missing_steps) == 0)
		return;
	(void)snprintf(supervisor->missing_steps, sizeof(supervisor->missing_steps), "%s", missing);
	dx_supervisor_log(supervisor, DSMX_LOG_NOTICE, "isolation %s lacks: %s",
	                  dsmx_isolation_str(supervisor->start.isolation, false), missing);
}

/* READY: exactly two descriptors; each receiver checks what they are. */
static void hear_ready(struct dx_worker *worker, struct dx_message *message)
{
	uint64_t protocol, epoch, pages;

	if (worker->offer.ready || message->fd_count != 2 ||
	    dx_message_number(message, "READY", UINT32_MAX, &protocol) != 0 ||
	    dx_message_number(message, "EPOCH", UINT64_MAX, &epoch) != 0 ||
	    dx_message_number(message, "PAGES", DSMX_PAGES_SMALL, &pages) != 0 ||
	    epoch != worker->epoch) {
		dx_worker_end(worker, DSMX_EXIT_PROTOCOL, "its READY is not one");
		return;
	}
	if (protocol != DX_PROTOCOL) {
		char text[128];

		(void)snprintf(text, sizeof(text), "it speaks protocol %llu, not %d",
		               (unsigned long long)protocol, DX_PROTOCOL);
		dx_worker_end(worker, DSMX_EXIT_PROTOCOL, text);
		return;
	}
	worker->offer.page_fd = dx_message_take_fd(message, 0);
	worker->offer.data_fd = dx_message_take_fd(message, 1);
	worker->offer.pages = (enum dsmx_pages)pages;
	worker->offer.ready = true;
	dx_introduce_begin(worker->supervisor, worker);
}

static void hear_mapped(struct dx_worker *worker, const struct dx_message *message)
{
	uint64_t round;

	if (dx_message_number(message, "MAPPED", worker->supervisor->round, &round) != 0 ||
	    round <= worker->offer.mapped) {
		dx_worker_end(worker, DSMX_EXIT_PROTOCOL, "its MAPPED answers nothing");
		return;
	}
	worker->offer.mapped = (uint32_t)round;
	if (worker->supervisor
	            ->open) /* it has done its part; the leader answers when it is there */
		dx_timer_stop(&worker->timer);
	dx_introduce_finish(worker->supervisor);
}

static void hear_failure(struct dx_worker *worker, const struct dx_message *message)
{
	const char *text = dx_message_get(message, "STATUS");
	uint64_t code = EIO;

	if (worker->said.code != 0)
		return;
	(void)!dx_message_number(message, "ERRNO", 4095, &code);
	if (text == NULL)
		text = "";
	(void)dx_error_foreign(&worker->said, code > 0 ? -(int)code : -EIO, text, strlen(text));
	/* What this machine lacks for what was asked: the opening's own error, not a death's. */
	if (code == EOPNOTSUPP && !worker->supervisor->open)
		dx_say_failed(worker->supervisor->control.fd, &worker->said);
}

/* At most @limit messages: one that talks without end may not keep us from the others. */
static void hear(struct dx_worker *worker, int limit)
{
	struct dx_message *message = &worker->supervisor->in;
	int r = 1;

	while (limit-- > 0 && worker->control.fd >= 0) {
		r = dx_message_recv(worker->control.fd, message);
		if (r <= 0)
			break;
		if (dx_message_get(message, "ERRNO") != NULL)
			hear_failure(worker, message);
		else if (!dx_worker_is_up(worker))
			; /* it may have crossed our word to stop */
		else if (dx_message_get(message, "CONFINED") != NULL)
			hear_confined(worker, message);
		else if (dx_message_get(message, "READY") != NULL)
			hear_ready(worker, message);
		else if (dx_message_get(message, "MAPPED") != NULL)
			hear_mapped(worker, message);
		else
			dx_worker_end(worker, DSMX_EXIT_PROTOCOL, "it said what is no message");
		dx_message_done(message);
	}
	if (r == -EAGAIN || r > 0)
		return;
	close_control(worker);
	if (r < 0)
		dx_worker_end(worker, DSMX_EXIT_PROTOCOL, "it sent what is no message");
	else if (dx_worker_is_up(worker))
		start_timer(worker, EOF_MS);
}

void dx_worker_hear(struct dx_worker *worker)
{
	hear(worker, MESSAGES_AT_ONCE);
}

bool dx_worker_look(struct dx_worker *worker)
{
	bool exited = worker->exit.fired != 0;
	bool refused = !exited && dx_refusal_look(worker);
	bool news = refused || worker->control.fired != 0 || exited;

	if (!news || !dx_worker_is_there(worker) || worker->state == DX_WORKER_EXITED)
		return false;
	worker->control.fired = 0;
	worker->exit.fired = 0;
	hear(worker,
	     exited ? MESSAGES_AT_END : MESSAGES_AT_ONCE); /* last words come before the end */
	if (exited)
		reap(worker);
	return true;
}
