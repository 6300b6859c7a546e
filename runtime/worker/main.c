/* SPDX-License-Identifier: MIT */
/*
 * A worker's life inside: its segments, the service over them, what it gives up, its plug-ins; then turn after turn
 * until the session ends.
 *
 *	the leader's state word says END, or STOPPING came: leave in order
 *	the supervisor's socket is at its end, or the leader's pidfd fired: leave, nobody is left to serve
 */
#include "dsmx/worker.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "exchange/service.h"
#include "shm/control.h"
#include "shm/numa.h"
#include "worker/handshake.h"
#include "worker/sandbox.h"
#include "worker/spawn.h"
#include "worker/supervisor.h"

/* Exit codes of the programs themselves; 127 is that of an exec that failed. */
#define EXIT_USAGE  2
#define EXIT_FAILED 1

struct worker {
	struct dx_message start_message;
	struct dx_start start; /* strings are start_message's */
	struct dx_control control;
	struct dx_reactor *reactor;
	struct dx_mesh *mesh;
	struct dx_service *service;
	struct dx_member member;
	bool is_member;
	struct dx_source source; /* of the leader's pidfd */
	struct dx_wait_fd leader;
	bool leader_gone;
	void *plugins[DX_PLUGINS_MAX];
	const struct dsmx_extension *extensions[DX_PLUGINS_MAX + 2]; /* ours first; NULL-ended */
};

static bool look(struct dx_source *source)
{
	struct worker *worker = DX_CONTAINER(source, struct worker, source);

	if (worker->leader.fired == 0)
		return false;
	worker->leader_gone = true;
	dx_unlisten(worker->reactor, &worker->leader);
	return true;
}

static int load_plugins(struct worker *worker, const struct dsmx_extension *own,
                        struct dsmx_error *err)
{
	int count = 0;

	if (own != NULL)
		worker->extensions[count++] = own;
	for (int i = 0; worker->start.plugins[i] != NULL; i++) {
		const char *path = worker->start.plugins[i];
		const struct dsmx_extension *found;

		worker->plugins[i] = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (worker->plugins[i] == NULL)
			return dx_error(err, -ENOENT, "plug-in %s: %s", path, dlerror());
		found = dlsym(worker->plugins[i], DSMX_PLUGIN_SYMBOL);
		if (found == NULL)
			return dx_error(err, -ENOENT, "plug-in %s has no symbol %s", path,
			                DSMX_PLUGIN_SYMBOL);
		worker->extensions[count++] = found;
	}
	return 0;
}

/* START, the leader's pidfd and the control segment wait in the socket. */
static int take_start(struct worker *worker, struct dsmx_error *err)
{
	int r = dx_message_recv(DX_CONTROL_FD, &worker->start_message);

	if (r <= 0)
		return dx_error(err, r < 0 ? r : -EPIPE, "the supervisor sent no parameters");
	r = dx_start_get(&worker->start_message, &worker->start, err);
	if (r == 0 && (worker->start_message.fd_count != 2 || worker->start.self == 0 ||
	               worker->start.epoch <= DX_LEADER_EPOCH))
		r = dx_error(err, -EPROTO, "START is not for a worker");
	if (r == 0)
		r = dx_control_attach(worker->start_message.fds[1], worker->start.session,
		                      &worker->control, err);
	if (r == 0)
		worker->leader.fd = dx_message_take_fd(&worker->start_message, 0);
	dx_message_done(&worker->start_message);
	return r;
}

static void set_name(const struct dx_start *start)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "dsmx-w%u", start->self - 1);
	(void)prctl(PR_SET_NAME, name);
}

/* CONFINED: the last that can be believed of this process. */
static int say_confined(const struct dx_sandbox *sandbox)
{
	struct dx_message message;

	dx_message_start(&message);
	dx_message_put(&message, "CONFINED", "%u", sandbox->word);
	if (sandbox->missing[0] != '\0')
		dx_message_put(&message, "MISSING", "%s", sandbox->missing);
	if (sandbox->listener >= 0)
		dx_message_put_fd(&message, sandbox->listener);
	return dx_message_send(DX_CONTROL_FD, &message);
}

/* Between what needs rights and what is not to have them. */
static int confine(struct worker *worker, struct dsmx_error *err)
{
	const struct dx_start *start = &worker->start;
	struct dx_sandbox_params params = { .level = start->isolation,
		                            .core_dumps = start->core_dumps,
		                            .plugins = start->plugins,
		                            .read_paths = start->read_paths,
		                            .mesh = worker->mesh };
	struct dx_sandbox sandbox;
	int r;

	if (start->isolation >= DSMX_ISOLATION_STANDARD)
		dx_service_keep_overflow(worker->service);
	r = dx_sandbox_enter(&params, &sandbox, err);
	if (r != 0)
		return r;
	if (start->in_cgroup)
		sandbox.word |= DSMX_STEP_CGROUP;
	dx_mesh_page(worker->mesh)->isolation = sandbox.word;
	r = say_confined(&sandbox);
	if (sandbox.listener >= 0)
		(void)close(sandbox.listener);
	if (r != 0)
		return dx_error(err, r, "cannot answer the supervisor: %s", dx_strerror(r));
	return start->isolation_required && sandbox.missing[0] != '\0'
	               ? dx_error(err, -EOPNOTSUPP, "isolation %s: %s",
	                          dsmx_isolation_str(start->isolation, true), sandbox.missing)
	               : 0;
}

static int set_up(struct worker *worker, const struct dsmx_extension *own, struct dsmx_error *err)
{
	struct dx_service_options options = { .extensions = worker->extensions };
	struct dx_mesh_params params;
	int r = take_start(worker, err);

	if (r != 0)
		return r;
	set_name(&worker->start);
	r = dx_reactor_new(worker->start.wait, &worker->reactor, err);
	if (r != 0)
		return r;
	if (worker->start.watchdog_ms > 0) /* which looks for a pulse, also of one that sleeps */
		dx_reactor_limit_parks(worker->reactor,
		                       worker->start.watchdog_ms * DX_NS_PER_MS / 4);
	dx_reactor_add_source(worker->reactor, &worker->source);
	r = dx_listen(worker->reactor, &worker->leader);
	if (r != 0)
		return dx_error(err, r, "cannot wait for the leader's end: %s", dx_strerror(r));
	params = dx_start_mesh(&worker->start);
	if (worker->start.numa_nodes != NULL)
		r = dx_numa_confine(worker->start.numa_nodes, err);
	if (r != 0)
		return r;
	if (worker->start.numa != DSMX_NUMA_OFF)
		params.numa_node =
			dx_numa_settle(worker->start.limits.cpus == NULL, worker->start.self - 1);
	r = dx_mesh_new(worker->reactor, &params, &worker->mesh, err);
	if (r != 0)
		return r;
	dx_mesh_set_control(worker->mesh, worker->control.words);
	r = dx_mesh_live(worker->mesh);
	if (r != 0)
		return dx_error(err, r, "cannot set the liveness words up: %s", dx_strerror(r));
	r = dx_service_new(worker->mesh, &options, &worker->service, err);
	if (r == 0)
		r = confine(worker, err);
	if (r == 0)
		r = load_plugins(worker, own, err);
	if (r != 0)
		return r;
	dx_mesh_set_state(worker->mesh, DSMX_STATE_OPEN);
	r = dx_member_start(&worker->member, DX_CONTROL_FD, worker->mesh, params.epoch, -1, NULL,
	                    err);
	worker->is_member = r == 0;
	return r;
}

static bool is_over(const struct worker *worker)
{
	return worker->leader_gone || worker->member.gone || worker->member.stopping ||
	       (dx_mesh_peer_page(worker->mesh, DSMX_ABI_LEADER) != NULL &&
	        dx_mesh_state(worker->mesh, DSMX_ABI_LEADER) == DSMX_STATE_END);
}

/* Plug-ins stay loaded: their code may be on the way out. */
static void tear_down(struct worker *worker)
{
	if (worker->mesh != NULL)
		dx_mesh_set_state(worker->mesh, DSMX_STATE_END);
	dx_service_free(worker->service);
	if (worker->is_member)
		dx_member_stop(&worker->member);
	dx_mesh_free(worker->mesh);
	if (worker->reactor != NULL) {
		dx_unlisten(worker->reactor, &worker->leader);
		dx_reactor_remove_source(worker->reactor, &worker->source);
		dx_reactor_free(worker->reactor);
	}
	dx_control_close(&worker->control);
	if (worker->leader.fd >= 0)
		(void)close(worker->leader.fd);
}

static int worker_main(const struct dsmx_extension *own)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	struct dsmx_error err;
	int status = EXIT_SUCCESS;

	if (worker == NULL) {
		(void)dx_error(&err, -ENOMEM, "no memory for a worker");
		dx_say_failed(DX_CONTROL_FD, &err);
		return EXIT_FAILED;
	}
	worker->leader.fd = -1;
	dx_control_init(&worker->control);
	worker->source.look = look;
	if (set_up(worker, own, &err) != 0) {
		dx_say_failed(DX_CONTROL_FD, &err);
		status = EXIT_FAILED;
	} else {
		while (!is_over(worker))
			(void)dx_reactor_turn(worker->reactor, DX_NEVER);
	}
	tear_down(worker);
	free(worker);
	return status;
}

/* Started by hand, there is no socket. */
static bool has_control(void)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(DX_CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_SEQPACKET;
}

int dsmx_worker_main(int argc, char **argv, const struct dsmx_extension *extensions)
{
	bool supervisor, worker;

	if (argc != 2)
		return -1;
	supervisor = strcmp(argv[1], DX_SERVE_SUPERVISOR) == 0;
	worker = strcmp(argv[1], DX_SERVE_WORKER) == 0;
	if (!supervisor && !worker)
		return -1;
	if (!has_control())
		return EXIT_USAGE;
	return supervisor ? dx_supervisor_main(DX_CONTROL_FD) : worker_main(extensions);
}
