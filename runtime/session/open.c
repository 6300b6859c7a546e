/* SPDX-License-Identifier: MIT */
/*
 * A session's processes, seen from the leader.
 *
 *	open	START is put into the supervisor's socket, the supervisor is started and starts the workers; while
 *		they make their segments, the leader makes its own. One round of introductions, then OPEN.
 *	run	the supervisor's messages are a source of the reactor (worker/handshake.h). If the supervisor goes,
 *		the session is broken: workers leave by themselves, and we clean up what it would have.
 *	close	state word END, STOPPING; the supervisor's exit says that everything is gone. If it does not come in
 *		time, everything is killed here.
 *
 * A failed open is closed the same way. The leader has no thread, no handler and no child of its own.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "dsmx/dsmx.h"
#include "session/session.h"
#include "shm/numa.h"
#include "worker/registry.h"

/* Added to the time-outs of the supervisor's ending: TimeoutStopSec and a quarter of it. */
#define CLOSE_GRACE_NS (4 * DX_NS_PER_S)
/* For the killed to be gone: memory takes about 80 ms per GiB to tear down. */
#define KILL_TIMEOUT_NS (2 * DX_NS_PER_S)
/* Added to the supervisor's own start time-out, whose sentence is the better one. */
#define START_GRACE_NS (2 * DX_NS_PER_S)

int dx_session_enter(struct dsmx_session *session, struct dsmx_error *err)
{
	if (pthread_mutex_trylock(&session->in_use) != 0)
		return dx_error(err, -EBUSY, "another thread is using this session");
	return 0;
}

void dx_session_leave(struct dsmx_session *session)
{
	(void)pthread_mutex_unlock(&session->in_use);
}

void dx_session_log(const struct dsmx_session *session, enum dsmx_log_level level, const char *fmt,
                    ...)
{
	char text[DSMX_ERROR_MESSAGE_BYTES];
	va_list args;

	if (session->options.log == NULL)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	session->options.log(session->options.log_data, level, text);
}

/* --- open ---------------------------------------------------------------------------------------------------- */

static int put_start(struct dsmx_session *session, const char *worker_path,
                     struct dx_message *message)
{
	const struct dsmx_session_options *o = &session->options;
	struct dx_start start = {
		.session = session->id,
		.epoch = DX_LEADER_EPOCH,
		.workers = o->workers,
		.slots = o->streams_per_peer,
		.frames = o->frames_per_stream,
		.tasks = DX_SESSION_TASKS,
		.data_bytes = o->data_bytes,
		.pages = o->pages,
		.numa = o->numa,
		.numa_nodes = o->numa_nodes,
		.wait = o->wait,
		.isolation = o->isolation,
		.isolation_required = o->isolation_required,
		.core_dumps = o->core_dumps,
		.limits = { .memory_max = o->worker_memory_max,
		            .pids_max = o->worker_pids_max,
		            .cpu_percent = o->worker_cpu_percent,
		            .memory_high = o->worker_memory_high,
		            .cpu_weight = o->worker_cpu_weight,
		            .hugetlb_max = o->worker_hugetlb_max,
		            .cpus = o->worker_cpus,
		            .io_weight = o->worker_io_weight,
		            .io_read_max = o->worker_io_read_max,
		            .io_write_max = o->worker_io_write_max },
		.start_timeout_ms = o->start_timeout_ms,
		.stop_timeout_ms = o->stop_timeout_ms,
		.watchdog_ms = o->watchdog_ms == DSMX_WATCHDOG_OFF ? 0 : o->watchdog_ms,
		.restart = { .policy = o->restart,
		             .delay_ms = o->restart_delay_ms,
		             .max_delay_ms = o->restart_max_delay_ms,
		             .reset_ms = o->restart_reset_ms,
		             .burst = o->restart_burst,
		             .interval_ms = o->restart_interval_ms },
		.worker_path = worker_path,
		.cgroup_root = o->cgroup_root,
	};

	for (int i = 0; o->plugins != NULL && o->plugins[i] != NULL; i++)
		start.plugins[i] = o->plugins[i];
	for (int i = 0; o->read_paths != NULL && o->read_paths[i] != NULL; i++)
		start.read_paths[i] = o->read_paths[i];
	dx_message_start(message);
	dx_start_put(message, &start);
	dx_message_put(message, "LEADER", "%d", (int)getpid());
	return dx_pidfd_open(getpid());
}

/* Returns the leader's end of the socket, or -errno. */
static int start_supervisor(struct dsmx_session *session, struct dsmx_error *err)
{
	char path[PATH_MAX], title[64], serve[] = DX_SERVE_SUPERVISOR;
	char *argv[] = { title, serve, NULL };
	struct dx_spawn spawn = { .path = path,
		                  .argv = argv,
		                  .cgroup_fd = -1,
		                  .no_core = session->options.isolation != DSMX_ISOLATION_NONE &&
		                             !session->options.core_dumps };
	struct dx_message message;
	int sockets[2], pidfd, r;

	r = dx_spawn_program(session->options.worker_path, path, sizeof(path), err);
	if (r != 0)
		return r;
	pidfd = put_start(session, path, &message);
	if (pidfd < 0)
		return dx_error(err, pidfd, "pidfd_open: %s", dx_strerror(pidfd));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
		r = dx_error(err, dx_errno(), "socketpair: %s", dx_strerror(errno));
		(void)close(pidfd);
		return r;
	}
	dx_message_put_fd(&message, pidfd);
	dx_message_put_fd(&message, session->control.fd);
	r = dx_message_send(sockets[0], &message);
	(void)close(pidfd);
	if (r != 0)
		(void)dx_error(err, r, "paths and plug-ins are too long: %s", dx_strerror(r));
	(void)snprintf(title, sizeof(title), "dsmx: supervisor of %016llx",
	               (unsigned long long)session->id);
	spawn.control = sockets[1];
	if (r == 0)
		r = dx_spawn_detached(&spawn, &session->supervisor, err);
	(void)close(sockets[1]);
	if (r != 0)
		(void)close(sockets[0]);
	return r != 0 ? r : sockets[0];
}

static int make_own(struct dsmx_session *session, struct dsmx_error *err)
{
	struct dx_mesh_params params = dx_session_mesh_params(&session->options, session->id);
	struct dx_service_options options = { .extensions = session->extensions };
	int r;

	if (session->options.numa != DSMX_NUMA_OFF)
		params.numa_node = dx_numa_settle(false, 0);
	r = dx_mesh_new(session->reactor, &params, &session->mesh, err);
	if (r != 0)
		return r;
	dx_mesh_set_control(session->mesh, session->control.words);
	session->info.pages = dx_pages_str(dx_mesh_data_segment(session->mesh)->pages);
	r = dx_service_new(session->mesh, &options, &session->service, err);
	if (r == 0)
		dx_mesh_set_state(session->mesh, DSMX_STATE_OPEN);
	return r;
}

static int wait_until_open(struct dsmx_session *session, struct dsmx_error *err)
{
	uint64_t deadline_ns =
		dx_now_ns() + session->options.start_timeout_ms * DX_NS_PER_MS + START_GRACE_NS;

	while (!session->opened && session->broken.code == 0) {
		if (dx_now_ns() >= deadline_ns)
			return dx_error(err, -ETIMEDOUT,
			                "the workers were not ready within %llu ms",
			                (unsigned long long)session->options.start_timeout_ms);
		(void)dx_reactor_turn(session->reactor, deadline_ns);
	}
	if (session->broken.code == 0)
		return 0;
	if (err != NULL)
		*err = session->broken;
	return session->broken.code;
}

/* A worker that lies in what it publishes would break query after query: it is ended. */
static void accuse(void *arg, uint32_t peer, const char *what)
{
	dx_suspects_end(arg, peer, what);
}

/* @step ends now, or ended at @end_ns if that lies between its begin and now; the next begins there. */
static void end_step(struct dsmx_session *session, enum dsmx_open_step step, uint64_t end_ns)
{
	uint64_t now_ns = dx_now_ns(), begin_ns = session->step_ns;

	session->step_ns = end_ns < begin_ns ? begin_ns : end_ns < now_ns ? end_ns : now_ns;
	session->info.open_step_ns[step] += session->step_ns - begin_ns;
}

static int open_processes(struct dsmx_session *session, struct dsmx_error *err)
{
	int socket = -1;
	int r = dx_control_create(session->id, session->options.flight, &session->control, err);

	if (r != 0)
		return r;
	if (session->options.workers > 0) {
		socket = start_supervisor(session, err);
		if (socket < 0)
			return socket;
	}
	end_step(session, DSMX_OPEN_SPAWN, DX_NEVER);
	r = make_own(session, err);
	end_step(session, DSMX_OPEN_MEMORY, DX_NEVER);
	if (r == 0 && socket >= 0 && !dx_wait_has_pollable(dx_reactor_wait(session->reactor))) {
		session->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (session->eventfd < 0)
			r = dx_error(err, dx_errno(), "eventfd: %s", dx_strerror(errno));
	}
	if (r == 0 && socket >= 0)
		r = dx_member_start(&session->member, socket, session->mesh, DX_LEADER_EPOCH,
		                    session->eventfd, &dx_session_member_ops, err);
	if (r != 0 && socket >= 0)
		(void)close(socket);
	if (r != 0 || socket < 0)
		return r;
	session->is_member = true;
	dx_mesh_set_accuse(session->mesh, accuse, session);
	dx_suspects_start(session);
	r = wait_until_open(session, err);
	end_step(session, DSMX_OPEN_WORKERS, session->offered_ns);
	return r;
}

/* What this machine lacks, one line each. */
static void log_missing(const struct dsmx_session *session)
{
	const struct dsmx_session_options *o = &session->options;
	const char *wait = dx_wait_missing(dx_reactor_wait(session->reactor));
	uint64_t pages = (o->data_bytes >> 21) * (o->workers + 1);

	if (o->pages == DSMX_PAGES_AUTO &&
	    strcmp(session->info.pages, dx_pages_str(DSMX_PAGES_HUGETLB)) != 0)
		dx_session_log(session, DSMX_LOG_NOTICE,
		               "no reserved huge pages for shared memory, which is on %s pages: "
		               "`sysctl vm.nr_hugepages=%llu` is enough for this session",
		               session->info.pages, (unsigned long long)pages);
	if (wait != NULL)
		dx_session_log(session, DSMX_LOG_NOTICE,
		               "waits go through futex_waitv, not io_uring: %s", wait);
}

static struct dsmx_session *new_session(const struct dsmx_session_options *options)
{
	struct dsmx_session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		return NULL;
	(void)pthread_mutex_init(&session->in_use, NULL);
	session->options = *options;
	session->supervisor.pidfd = -1;
	session->eventfd = session->epoll = -1;
	dx_control_init(&session->control);
	session->extensions[0] = options->extensions;
	dx_list_init(&session->queries);
	session->leases.budget_bytes = options->data_bytes / 4;
	(void)snprintf(session->isolation, sizeof(session->isolation), "none");
	(void)snprintf(session->steps, sizeof(session->steps), "-");
	while (session->id == 0)
		(void)!getrandom(&session->id, sizeof(session->id), 0);
	return session;
}

int dsmx_session_open(const struct dsmx_session_options *options, struct dsmx_session **ret_session,
                      struct dsmx_error *err)
{
	uint64_t start_ns = dx_now_ns();
	struct dsmx_session_options o;
	struct dsmx_session *session;
	int r = dx_session_options(options, &o, err);

	if (r == 0)
		r = dx_session_budget(&o, err);
	if (r != 0)
		return r;
	session = new_session(&o);
	if (session == NULL)
		return dx_error(err, -ENOMEM, "no memory for a session");
	session->step_ns = start_ns;
	r = dx_reactor_new(o.wait, &session->reactor, err);
	if (r == 0)
		r = open_processes(session, err);
	if (r != 0) {
		dsmx_session_close(session);
		return r;
	}
	log_missing(session);
	end_step(session, o.workers > 0 ? DSMX_OPEN_INTRODUCE : DSMX_OPEN_MEMORY, DX_NEVER);
	session->info.open_ns = session->step_ns - start_ns;
	*ret_session = session;
	return 0;
}

/* --- close --------------------------------------------------------------------------------------------------- */

/* What the supervisor would have done; after it did, this finds nothing to do. */
static void clean_up(struct dsmx_session *session)
{
	uint64_t deadline_ns = dx_now_ns() + KILL_TIMEOUT_NS;

	dx_session_kill_workers(session);
	for (uint32_t peer = 1; peer <= session->options.workers; peer++) {
		if (session->member.pidfds[peer] >= 0)
			(void)!dx_pidfd_wait(session->member.pidfds[peer], deadline_ns);
	}
	/* Else the file stays, and the next start finds it. */
	if (dx_cgroup_remove(&session->group, deadline_ns) == 0 && session->state_path[0] != '\0')
		dx_registry_unlink(session->state_path);
}

/* The supervisor drains the workers if it is asked to, and kills them if our end of the socket closes first. */
static void end_supervisor(struct dsmx_session *session)
{
	struct dx_member *member = &session->member;
	struct dx_message message;
	siginfo_t info;

	if (session->opened) {
		dx_message_start(&message);
		dx_message_put(&message, "STOPPING", "1");
		(void)!dx_message_send(member->fd.fd, &message);
	} else if (session->is_member) {
		(void)shutdown(member->fd.fd, SHUT_RDWR);
	}
	if (dx_pidfd_wait(session->supervisor.pidfd,
	                  dx_now_ns() + session->options.stop_timeout_ms * 5 / 4 * DX_NS_PER_MS +
	                          CLOSE_GRACE_NS) != 0) {
		dx_pidfd_kill(session->supervisor.pidfd, SIGKILL);
		(void)!dx_pidfd_wait(session->supervisor.pidfd, dx_now_ns() + KILL_TIMEOUT_NS);
	}
	/* Only where this process is the one that orphans go to. */
	(void)waitid((idtype_t)P_PIDFD, (id_t)session->supervisor.pidfd, &info, WEXITED | WNOHANG);
	(void)close(session->supervisor.pidfd);
	if (session->is_member)
		clean_up(session);
}

void dsmx_session_close(struct dsmx_session *session)
{
	if (session == NULL)
		return;
	if (session->close_queries != NULL)
		session->close_queries(session);
	if (session->mesh != NULL) {
		dx_mesh_set_state(session->mesh, DSMX_STATE_END);
		dx_mesh_flush(session->mesh);
	}
	if (session->supervisor.pidfd >= 0)
		end_supervisor(session);
	if (session->is_member) {
		dx_suspects_stop(session);
		dx_member_stop(&session->member);
	}
	dx_service_free(session->service);
	dx_mesh_free(session->mesh);
	dx_reactor_free(session->reactor);
	if (session->eventfd >= 0)
		(void)close(session->eventfd);
	if (session->epoll >= 0)
		(void)close(session->epoll);
	dx_control_close(&session->control);
	(void)pthread_mutex_destroy(&session->in_use);
	free(session);
}

/* --- questions --------------------------------------------------------------------------------------------- */

void dsmx_session_info(const struct dsmx_session *session, struct dsmx_session_info *ret_info)
{
	*ret_info = session->info;
	ret_info->id = session->id;
	ret_info->workers = session->options.workers;
	ret_info->wait = dx_wait_name(dx_reactor_wait(session->reactor));
	ret_info->isolation = session->isolation;
	ret_info->level =
		dsmx_isolation_str(session->options.isolation, session->options.isolation_required);
	ret_info->steps = session->steps;
	ret_info->cgroup = session->group.v2;
	ret_info->supervisor_pid = session->supervisor.pid > 0 ? session->supervisor.pid : 0;
	ret_info->node = dx_numa_node_of_page(dx_mesh_page(session->mesh));
}
