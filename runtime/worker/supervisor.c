/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: a small process between leader and workers.
 *
 * It owns the cgroups, the sockets to everybody and the entry in the registry; it is the parent of the workers.
 * It maps nobody's data: descriptors of segments only pass through, and of each worker's page it reads the pulse
 * (watchdog.c). It outlives the leader by as long as it
 * takes to end the workers and to remove the groups, whatever the leader died of.
 *
 *	start	enter the session, make its groups, start all workers at once
 *	        all have offered their segments: one round of introductions; all have mapped: tell the leader
 *	run	a worker is gone: say so to all, with the reason, and perhaps start another in its place
 *	end	the leader says STOPPING: drain the workers, each with its time-outs
 *	        the leader is gone, by its pidfd or its end of file: SIGKILL to all at once
 *	        no worker is there any more: remove the groups and the entry, exit
 *
 * It is a reactor like the others, so nothing here blocks.
 */
#include "worker/supervisor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/probe.h"
#include "worker/status.h"

#define SWEEP_MS      20U
#define SWEEPS_MAX    100U
#define GROUP_GIVE_UP (2 * DX_NS_PER_S)

static uint64_t now_ns(const struct dx_supervisor *supervisor)
{
	return dx_wait_now(dx_reactor_wait(supervisor->reactor));
}

static uint32_t worker_count(const struct dx_supervisor *supervisor)
{
	return supervisor->start.workers;
}

void dx_member_offer_close(struct dx_member_offer *offer)
{
	if (offer->ready) {
		(void)close(offer->page_fd);
		(void)close(offer->data_fd);
	}
	*offer = (struct dx_member_offer){ .page_fd = -1, .data_fd = -1 };
}

/* --- telling ------------------------------------------------------------------------------------------------ */

/* A leader that does not read has a full socket at last; it learns the state when it asks for the next. */
static void tell_leader(struct dx_supervisor *supervisor)
{
	(void)!dx_message_send(supervisor->control.fd, &supervisor->out);
}

/* One that does not read what concerns it cannot be served. */
static void tell_worker(struct dx_supervisor *supervisor, struct dx_worker *worker)
{
	if (dx_message_send(worker->control.fd, &supervisor->out) == -EAGAIN)
		dx_worker_end(worker, DSMX_EXIT_PROTOCOL, "it does not read its messages");
}

static void tell_failure(struct dx_supervisor *supervisor, const struct dsmx_error *err)
{
	dx_say_failed(supervisor->control.fd, err);
}

void dx_supervisor_log(struct dx_supervisor *supervisor, enum dsmx_log_level level, const char *fmt,
                       ...)
{
	char text[DSMX_ERROR_MESSAGE_BYTES];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	dx_message_start(&supervisor->out);
	dx_message_put(&supervisor->out, "LOG", "%d", (int)level);
	dx_message_put(&supervisor->out, "STATUS", "%s", text);
	tell_leader(supervisor);
}

void dx_supervisor_worker_exited(struct dx_supervisor *supervisor, struct dx_worker *worker)
{
	const struct dx_verdict *verdict = &worker->verdict;
	struct dx_message *out = &supervisor->out;

	DX_PROBE(worker_exit, supervisor->start.session, verdict->peer, verdict->epoch,
	         verdict->pid, verdict->reason, verdict->status);
	if (supervisor->ending)
		return;
	dx_message_start(out);
	dx_message_put(out, "DEAD", "%u", verdict->peer);
	dx_message_put(out, "EPOCH", "%llu", (unsigned long long)verdict->epoch);
	dx_message_put(out, "PID", "%d", verdict->pid);
	dx_message_put(out, "REASON", "%d", verdict->reason);
	dx_message_put(out, "EXIT", "%d", verdict->status);
	dx_message_put(out, "STATUS", "%s", verdict->text);
	if (verdict->restart_ms >= 0)
		dx_message_put(out, "RESTART", "%lld", (long long)verdict->restart_ms);
	tell_leader(supervisor);
	for (uint32_t i = 0; i < worker_count(supervisor); i++) {
		struct dx_worker *other = &supervisor->workers[i];

		if (other != worker && dx_worker_is_up(other))
			tell_worker(supervisor, other);
	}
	if (supervisor->open) /* somebody may have waited for its answer alone */
		dx_introduce_finish(supervisor);
}

/* --- turns ----------------------------------------------------------------------------------------------- */

static bool look(struct dx_source *source)
{
	struct dx_supervisor *supervisor = DX_CONTAINER(source, struct dx_supervisor, source);
	bool news = dx_leader_look(supervisor);

	news |= dx_ctl_look(supervisor);
	for (uint32_t i = 0; i < worker_count(supervisor); i++)
		news |= dx_worker_look(&supervisor->workers[i]);
	return news;
}

/* Before it sleeps: what has changed is written down, and told to who waits for it. */
static void flush(struct dx_source *source)
{
	struct dx_supervisor *supervisor = DX_CONTAINER(source, struct dx_supervisor, source);

	if (!supervisor->changed)
		return;
	supervisor->changed = false;
	dx_status_write(supervisor);
	dx_ctl_answer(supervisor);
}

/* --- start, end --------------------------------------------------------------------------------------------- */

static void sweep(struct dx_timer *timer)
{
	struct dx_supervisor *supervisor = DX_CONTAINER(timer, struct dx_supervisor, sweep);

	if (dx_registry_sweep() > 0 && ++supervisor->sweeps < SWEEPS_MAX)
		dx_timer_start(supervisor->reactor, timer,
		               now_ns(supervisor) + SWEEP_MS * DX_NS_PER_MS);
}

/* Without groups after all. */
static void forgo_group(struct dx_supervisor *supervisor, const struct dsmx_error *why)
{
	(void)dx_cgroup_remove(&supervisor->group, 0);
	supervisor->group = (struct dx_cgroup){ .own_root = false };
	(void)snprintf(supervisor->missing, sizeof(supervisor->missing),
	               "workers run without cgroups (no limits): %.300s", why->message);
}

/* Find the place, enter it in the registry, then make it: what is made can always be found again. */
static int make_group(struct dx_supervisor *supervisor, struct dsmx_error *err)
{
	const struct dx_start *start = &supervisor->start;
	int r = 0;

	if (start->isolation != DSMX_ISOLATION_NONE)
		r = dx_cgroup_find(start->cgroup_root, start->session, &start->limits,
		                   &supervisor->group, supervisor->missing, err);
	if (r != 0)
		return r;
	r = dx_registry_add(start->session, supervisor->leader_pid, supervisor->status_fd,
	                    &supervisor->group, &supervisor->entry, err);
	if (r == 0 && dx_ctl_start(supervisor, supervisor->entry.path) != 0)
		(void)snprintf(
			supervisor->missing, sizeof(supervisor->missing),
			"`dsmx ctl` cannot reach this session: no socket could be made beside "
			"%.300s",
			supervisor->entry.path);
	if (r == 0)
		r = dx_cgroup_create(&supervisor->group, &start->limits, err);
	if (r != 0 && !supervisor->group.named) {
		forgo_group(supervisor, err);
		return 0;
	}
	return r;
}

/*
 * The first worker shows what can be had here. Unless the caller named a group, the session goes on with less:
 * without the limit where no controller serves, without groups where nobody may be born into one.
 */
static int start_first(struct dx_supervisor *supervisor, struct dsmx_error *err)
{
	struct dx_worker *first = &supervisor->workers[0];
	int r = dx_worker_spawn(first, err);

	while (r == -EOPNOTSUPP) { /* each time without one more of the limits */
		size_t len = strlen(supervisor->missing);

		(void)snprintf(supervisor->missing + len, sizeof(supervisor->missing) - len,
		               "%sworkers run without a limit: %.200s", len > 0 ? "; " : "",
		               err->message);
		r = dx_worker_spawn(first, err);
	}
	if (r != 0 && supervisor->group.v2[0] != '\0' && !supervisor->group.named) {
		forgo_group(supervisor, err);
		r = dx_worker_spawn(first, err);
	}
	return r;
}

static int start_workers(struct dx_supervisor *supervisor, struct dsmx_error *err)
{
	int r = start_first(supervisor, err);

	for (uint32_t i = 1; r == 0 && i < worker_count(supervisor); i++)
		r = dx_worker_spawn(&supervisor->workers[i], err);
	return r;
}

/* START, the leader's pidfd and the control segment wait in the socket. */
static int take_start(struct dx_supervisor *supervisor, struct dsmx_error *err)
{
	int r = dx_message_recv(supervisor->control.fd, &supervisor->start_message);
	uint64_t leader;

	if (r <= 0)
		return dx_error(err, r < 0 ? r : -EPIPE, "the leader sent no parameters");
	r = dx_start_get(&supervisor->start_message, &supervisor->start, err);
	if (r == 0 &&
	    (supervisor->start_message.fd_count != 2 ||
	     dx_message_number(&supervisor->start_message, "LEADER", INT32_MAX, &leader) != 0))
		r = dx_error(err, -EPROTO, "START names no leader");
	if (r != 0) {
		dx_message_done(&supervisor->start_message);
		return r;
	}
	supervisor->leader_pid = (int)leader;
	supervisor->leader = (struct dx_wait_fd){
		.fd = dx_message_take_fd(&supervisor->start_message, 0),
	};
	supervisor->watchers_fd = dx_message_take_fd(&supervisor->start_message, 1);
	return 0;
}

static struct dx_supervisor *new_supervisor(int control)
{
	struct dx_supervisor *supervisor = calloc(1, sizeof(*supervisor));

	if (supervisor == NULL)
		return NULL;
	supervisor->control = (struct dx_wait_fd){ .fd = control };
	supervisor->leader.fd = -1;
	supervisor->eventfd = supervisor->watchers_fd = -1;
	supervisor->entry.fd = -1;
	supervisor->last_epoch = DX_LEADER_EPOCH;
	supervisor->source.look = look;
	supervisor->source.flush = flush;
	supervisor->page.fd = -1;
	dx_ctl_server_init(&supervisor->control_server);
	supervisor->status_fd = dx_status_create();
	supervisor->sweep.fire = sweep;
	supervisor->introduce.fire = dx_introduce_late;
	dx_list_init(&supervisor->sweep.link);
	dx_list_init(&supervisor->introduce.link);
	supervisor->watch.fire = dx_watch_look;
	dx_list_init(&supervisor->watch.link);
	dx_member_offer_close(&supervisor->offer);
	for (uint32_t i = 0; i < DSMX_WORKERS_MAX; i++) {
		struct dx_worker *worker = &supervisor->workers[i];

		worker->supervisor = supervisor;
		worker->peer = i + 1;
		worker->control.fd = -1;
		worker->process.pidfd = -1;
		dx_cgroup_leaf_init(&worker->leaf);
		worker->timer.fire = dx_worker_timeout;
		worker->page.fd = -1;
		worker->last_page_fd = -1;
		worker->history.random = dx_now_ns() + i + 1;
		dx_list_init(&worker->timer.link);
		dx_member_offer_close(&worker->offer);
		dx_refusal_init(&worker->refusals);
	}
	return supervisor;
}

/* Whatever is left undone here is found by the next start. */
static void free_supervisor(struct dx_supervisor *supervisor)
{
	if (supervisor->reactor != NULL) {
		dx_reactor_remove_source(supervisor->reactor, &supervisor->source);
		dx_timer_stop(&supervisor->sweep);
		dx_timer_stop(&supervisor->introduce);
		dx_timer_stop(&supervisor->watch);
		dx_ctl_stop(supervisor);
		dx_unlisten(supervisor->reactor, &supervisor->control);
		dx_unlisten(supervisor->reactor, &supervisor->leader);
		dx_reactor_free(supervisor->reactor);
	}
	dx_member_offer_close(&supervisor->offer);
	if (supervisor->status_fd >= 0)
		(void)close(supervisor->status_fd);
	if (supervisor->page.base != NULL)
		dx_segment_close(&supervisor->page);
	if (supervisor->eventfd >= 0)
		(void)close(supervisor->eventfd);
	if (supervisor->leader.fd >= 0)
		(void)close(supervisor->leader.fd);
	if (supervisor->watchers_fd >= 0)
		(void)close(supervisor->watchers_fd);
	for (uint32_t i = 0; i < DSMX_WORKERS_MAX; i++)
		if (supervisor->workers[i].last_page_fd >= 0)
			(void)close(supervisor->workers[i].last_page_fd);
	if (dx_cgroup_remove(&supervisor->group, dx_now_ns() + GROUP_GIVE_UP) == 0)
		dx_registry_remove(&supervisor->entry);
	free(supervisor);
}

static bool anybody_there(const struct dx_supervisor *supervisor)
{
	for (uint32_t i = 0; i < worker_count(supervisor); i++) {
		if (dx_worker_is_there(&supervisor->workers[i]))
			return true;
	}
	return false;
}

static int set_up(struct dx_supervisor *supervisor, struct dsmx_error *err)
{
	int r = take_start(supervisor, err);

	/* No word of shared memory is waited for here, so the simple back end will do. */
	if (r == 0)
		r = dx_reactor_new(DSMX_WAIT_FUTEX, &supervisor->reactor, err);
	if (r != 0)
		return r;
	dx_reactor_add_source(supervisor->reactor, &supervisor->source);
	r = dx_listen(supervisor->reactor, &supervisor->control);
	if (r == 0)
		r = dx_listen(supervisor->reactor, &supervisor->leader);
	if (r != 0)
		return dx_error(err, r, "the supervisor cannot wait: %s", dx_strerror(r));
	r = make_group(supervisor, err);
	if (r == 0)
		r = start_workers(supervisor, err);
	if (r == 0 && supervisor->start.isolation_required && supervisor->missing[0] != '\0')
		r = dx_error(err, -EOPNOTSUPP, "isolation %s: %s",
		             dsmx_isolation_str(supervisor->start.isolation, true),
		             supervisor->missing);
	return r;
}

int dx_supervisor_main(int control)
{
	struct dx_supervisor *supervisor = new_supervisor(control);
	struct dsmx_error err;

	if (supervisor == NULL) {
		(void)dx_error(&err, -ENOMEM, "no memory for a supervisor");
		dx_say_failed(control, &err);
		return EXIT_FAILURE;
	}
	(void)prctl(PR_SET_NAME, "dsmx-supervisor");
	if (set_up(supervisor, &err) != 0) {
		tell_failure(supervisor, &err);
		dx_supervisor_end(supervisor, true);
	} else {
		dx_timer_start(supervisor->reactor, &supervisor->sweep, now_ns(supervisor));
	}
	while (!supervisor->ending || anybody_there(supervisor))
		(void)dx_reactor_turn(supervisor->reactor, DX_NEVER);
	free_supervisor(supervisor);
	return EXIT_SUCCESS;
}
