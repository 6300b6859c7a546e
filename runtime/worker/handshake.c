/* SPDX-License-Identifier: MIT */
#include "worker/handshake.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

/* --- START ------------------------------------------------------------------------------------------------ */

static void put_number(struct dx_message *message, const char *key, uint64_t value)
{
	dx_message_put(message, key, "%llu", (unsigned long long)value);
}

void dx_start_put(struct dx_message *message, const struct dx_start *start)
{
	put_number(message, "START", DX_PROTOCOL);
	put_number(message, "SESSION", start->session);
	put_number(message, "SELF", start->self);
	put_number(message, "EPOCH", start->epoch);
	put_number(message, "WORKERS", start->workers);
	put_number(message, "SLOTS", start->slots);
	put_number(message, "FRAMES", start->frames);
	put_number(message, "TASKS", start->tasks);
	put_number(message, "DATA_BYTES", start->data_bytes);
	put_number(message, "PAGES", start->pages);
	put_number(message, "NUMA", start->numa);
	put_number(message, "WAIT", start->wait);
	put_number(message, "ISOLATION", start->isolation);
	put_number(message, "ISOLATION_REQUIRED", start->isolation_required);
	put_number(message, "CORE_DUMPS", start->core_dumps);
	put_number(message, "IN_CGROUP", start->in_cgroup);
	put_number(message, "MEMORY_MAX", start->limits.memory_max);
	put_number(message, "PIDS_MAX", start->limits.pids_max);
	put_number(message, "CPU_PERCENT", start->limits.cpu_percent);
	put_number(message, "MEMORY_HIGH", start->limits.memory_high);
	put_number(message, "CPU_WEIGHT", start->limits.cpu_weight);
	put_number(message, "HUGETLB_MAX", start->limits.hugetlb_max);
	put_number(message, "IO_WEIGHT", start->limits.io_weight);
	put_number(message, "START_TIMEOUT_MS", start->start_timeout_ms);
	put_number(message, "STOP_TIMEOUT_MS", start->stop_timeout_ms);
	put_number(message, "RESTART", start->restart.policy);
	put_number(message, "RESTART_DELAY_MS", start->restart.delay_ms);
	put_number(message, "RESTART_MAX_DELAY_MS", start->restart.max_delay_ms);
	put_number(message, "RESTART_RESET_MS", start->restart.reset_ms);
	put_number(message, "RESTART_BURST", start->restart.burst);
	put_number(message, "RESTART_INTERVAL_MS", start->restart.interval_ms);
	put_number(message, "WATCHDOG_MS", start->watchdog_ms);
	dx_message_put(message, "WORKER_PATH", "%s", start->worker_path);
	if (start->limits.cpus != NULL)
		dx_message_put(message, "CPUS", "%s", start->limits.cpus);
	if (start->limits.io_read_max != NULL)
		dx_message_put(message, "IO_READ_MAX", "%s", start->limits.io_read_max);
	if (start->limits.io_write_max != NULL)
		dx_message_put(message, "IO_WRITE_MAX", "%s", start->limits.io_write_max);
	if (start->numa_nodes != NULL)
		dx_message_put(message, "NUMA_NODES", "%s", start->numa_nodes);
	if (start->cgroup_root != NULL)
		dx_message_put(message, "CGROUP_ROOT", "%s", start->cgroup_root);
	for (int i = 0; i < DX_PLUGINS_MAX && start->plugins[i] != NULL; i++)
		dx_message_put(message, "PLUGIN", "%s", start->plugins[i]);
	for (int i = 0; i < DX_READ_PATHS_MAX && start->read_paths[i] != NULL; i++)
		dx_message_put(message, "READ_PATH", "%s", start->read_paths[i]);
}

/* Parameters of 32 bits and less, with the greatest value of each. */
enum small {
	SELF,
	WORKERS,
	SLOTS,
	FRAMES,
	TASKS,
	PAGES,
	NUMA,
	WAIT,
	ISOLATION,
	ISOLATION_REQUIRED,
	CORE_DUMPS,
	IN_CGROUP,
	RESTART,
	DELAY,
	MAX_DELAY,
	RESET,
	BURST,
	INTERVAL,
	SMALL_COUNT
};

static const struct {
	const char *key;
	uint64_t max;
} small_rows[SMALL_COUNT] = {
	[SELF] = { "SELF", DSMX_WORKERS_MAX },
	[WORKERS] = { "WORKERS", DSMX_WORKERS_MAX },
	[SLOTS] = { "SLOTS", UINT32_MAX },
	[FRAMES] = { "FRAMES", UINT32_MAX },
	[TASKS] = { "TASKS", UINT32_MAX },
	[PAGES] = { "PAGES", DSMX_PAGES_SMALL },
	[NUMA] = { "NUMA", DSMX_NUMA_OFF },
	[WAIT] = { "WAIT", DSMX_WAIT_FUTEX },
	[ISOLATION] = { "ISOLATION", DSMX_ISOLATION_STRICT },
	[ISOLATION_REQUIRED] = { "ISOLATION_REQUIRED", 1 },
	[CORE_DUMPS] = { "CORE_DUMPS", 1 },
	[IN_CGROUP] = { "IN_CGROUP", 1 },
	[RESTART] = { "RESTART", DSMX_RESTART_NEVER },
	[DELAY] = { "RESTART_DELAY_MS", UINT32_MAX },
	[MAX_DELAY] = { "RESTART_MAX_DELAY_MS", UINT32_MAX },
	[RESET] = { "RESTART_RESET_MS", UINT32_MAX },
	[BURST] = { "RESTART_BURST", UINT32_MAX },
	[INTERVAL] = { "RESTART_INTERVAL_MS", UINT32_MAX },
};

static void put_small(struct dx_start *start, const uint64_t *small)
{
	start->self = (uint32_t)small[SELF];
	start->workers = (uint32_t)small[WORKERS];
	start->slots = (uint32_t)small[SLOTS];
	start->frames = (uint32_t)small[FRAMES];
	start->tasks = (uint32_t)small[TASKS];
	start->pages = (enum dsmx_pages)small[PAGES];
	start->numa = (enum dsmx_numa)small[NUMA];
	start->wait = (enum dsmx_wait_backend)small[WAIT];
	start->isolation = (enum dsmx_isolation)small[ISOLATION];
	start->isolation_required = small[ISOLATION_REQUIRED] == 1;
	start->core_dumps = small[CORE_DUMPS] == 1;
	start->in_cgroup = small[IN_CGROUP] == 1;
	start->restart = (struct dx_restart){ .policy = (enum dsmx_restart)small[RESTART],
		                              .delay_ms = (uint32_t)small[DELAY],
		                              .max_delay_ms = (uint32_t)small[MAX_DELAY],
		                              .reset_ms = (uint32_t)small[RESET],
		                              .burst = (uint32_t)small[BURST],
		                              .interval_ms = (uint32_t)small[INTERVAL] };
}

/* All values of a key, to a NULL-ended list. */
static void get_list(const struct dx_message *message, const char *key, const char **list, int most)
{
	const char *value = NULL;

	for (int i = 0; i < most; i++) {
		value = i > 0 && value == NULL ? NULL : dx_message_next(message, key, value);
		list[i] = value;
	}
}

int dx_start_get(const struct dx_message *message, struct dx_start *ret_start,
                 struct dsmx_error *err)
{
	uint64_t protocol = 0, small[SMALL_COUNT] = { 0 };
	struct dx_start start = { 0 };
	int r = dx_message_number(message, "START", UINT32_MAX, &protocol);

	if (r != 0 || protocol != DX_PROTOCOL)
		return dx_error(
			err, -EPROTO,
			"START speaks protocol %llu, this program protocol %d: is it of another "
			"version than the library?",
			(unsigned long long)protocol, DX_PROTOCOL);
	for (int i = 0; r == 0 && i < SMALL_COUNT; i++)
		r = dx_message_number(message, small_rows[i].key, small_rows[i].max, &small[i]);
	if (r != 0 || dx_message_number(message, "SESSION", UINT64_MAX, &start.session) != 0 ||
	    dx_message_number(message, "EPOCH", UINT64_MAX, &start.epoch) != 0 ||
	    dx_message_number(message, "DATA_BYTES", UINT64_MAX, &start.data_bytes) != 0 ||
	    dx_message_number(message, "MEMORY_MAX", UINT64_MAX, &start.limits.memory_max) != 0 ||
	    dx_message_number(message, "PIDS_MAX", UINT32_MAX, &start.limits.pids_max) != 0 ||
	    dx_message_number(message, "CPU_PERCENT", UINT32_MAX, &start.limits.cpu_percent) != 0 ||
	    dx_message_number(message, "MEMORY_HIGH", UINT64_MAX, &start.limits.memory_high) != 0 ||
	    dx_message_number(message, "CPU_WEIGHT", UINT32_MAX, &start.limits.cpu_weight) != 0 ||
	    dx_message_number(message, "HUGETLB_MAX", UINT64_MAX, &start.limits.hugetlb_max) != 0 ||
	    dx_message_number(message, "IO_WEIGHT", 10000, &start.limits.io_weight) != 0 ||
	    dx_message_number(message, "WATCHDOG_MS", UINT32_MAX, &start.watchdog_ms) != 0 ||
	    dx_message_number(message, "STOP_TIMEOUT_MS", UINT32_MAX, &start.stop_timeout_ms) !=
	            0 ||
	    dx_message_number(message, "START_TIMEOUT_MS", UINT32_MAX, &start.start_timeout_ms) !=
	            0)
		return dx_error(err, -EPROTO,
		                "START lacks a parameter, or has one out of its range");
	put_small(&start, small);
	start.worker_path = dx_message_get(message, "WORKER_PATH");
	start.limits.cpus = dx_message_get(message, "CPUS");
	start.limits.io_read_max = dx_message_get(message, "IO_READ_MAX");
	start.limits.io_write_max = dx_message_get(message, "IO_WRITE_MAX");
	start.numa_nodes = dx_message_get(message, "NUMA_NODES");
	start.cgroup_root = dx_message_get(message, "CGROUP_ROOT");
	get_list(message, "PLUGIN", start.plugins, DX_PLUGINS_MAX);
	get_list(message, "READ_PATH", start.read_paths, DX_READ_PATHS_MAX);
	if (start.worker_path == NULL || start.workers == 0 || start.self > start.workers)
		return dx_error(err, -EPROTO, "START names no worker");
	*ret_start = start;
	return 0;
}

struct dx_mesh_params dx_start_mesh(const struct dx_start *start)
{
	return (struct dx_mesh_params){
		.session = start->session,
		.epoch = start->epoch,
		.self = start->self,
		.peers = start->workers + 1,
		.slots = start->slots,
		.frames = start->frames,
		.tasks = start->tasks,
		.data_bytes = start->data_bytes,
		.pages = start->pages,
		.numa_node = -1,
	};
}

void dx_say_failed(int socket, const struct dsmx_error *err)
{
	struct dx_message message;

	dx_message_start(&message);
	dx_message_put(&message, "ERRNO", "%d", -err->code);
	dx_message_put(&message, "STATUS", "%s", err->message);
	(void)!dx_message_send(socket, &message); /* nobody is left to tell */
}

int dx_listen(struct dx_reactor *reactor, struct dx_wait_fd *fd)
{
	int r;

	fd->events = POLLIN;
	r = dx_wait_add_fd(dx_reactor_wait(reactor), fd);
	if (r != 0)
		fd->events = 0;
	return r;
}

bool dx_is_listening(const struct dx_wait_fd *fd)
{
	return fd->events != 0;
}

void dx_unlisten(struct dx_reactor *reactor, struct dx_wait_fd *fd)
{
	if (fd->events == 0)
		return;
	dx_wait_remove_fd(dx_reactor_wait(reactor), fd);
	fd->events = 0;
	fd->fired = 0;
}

/* --- a process's end ---------------------------------------------------------------------------------------- */

/* "number epoch pid" */
static bool parse_peer(const char *line, uint32_t *ret_peer, uint64_t *ret_epoch, int *ret_pid)
{
	unsigned long long epoch;
	unsigned peer;
	int pid, end = 0;

	if (sscanf(line, "%u %llu %d%n", &peer, &epoch, &pid, &end) != 3 || line[end] != '\0')
		return false;
	*ret_peer = peer;
	*ret_epoch = epoch;
	*ret_pid = pid;
	return true;
}

/*
 * Attach one peer. One whose segments break the rules is not attached, but accused: by the leader to the supervisor, by
 * a worker in its page, as the leader may have been shown something else. Returns 0 or another failure of our own.
 */
static int attach(struct dx_member *member, const char *line, const int fds[3],
                  struct dsmx_error *err)
{
	bool leader = dx_mesh_self(member->mesh) == DSMX_ABI_LEADER;
	uint64_t epoch;
	uint32_t peer;
	int pid, r, keep;

	if (!parse_peer(line, &peer, &epoch, &pid) || peer >= dx_mesh_peers(member->mesh) ||
	    peer == dx_mesh_self(member->mesh) || fds[0] < 0 || fds[1] < 0 || fds[2] < 0) {
		for (int i = 0; i < 3; i++)
			if (fds[i] >= 0)
				(void)close(fds[i]);
		return dx_error(err, -EPROTO, "the supervisor introduced a peer without sense");
	}
	/* Its predecessor is dead: else it would not be there. */
	dx_mesh_peer_dead(member->mesh, peer, dx_mesh_epoch(member->mesh, peer));
	keep = leader ? fcntl(fds[2], F_DUPFD_CLOEXEC, 0) : -1;
	r = leader && keep < 0
	            ? dx_error(err, dx_errno(), "cannot keep process %u's descriptor: %s", peer,
	                       dx_strerror(errno))
	            : dx_mesh_attach(member->mesh, peer, epoch, fds[0], fds[1], fds[2], err);
	(void)close(fds[0]);
	(void)close(fds[1]);
	if (r != 0) {
		(void)close(fds[2]);
		if (keep >= 0)
			(void)close(keep);
		if (r == -EPROTO && leader && err != NULL)
			dx_member_accuse(member, peer, epoch, err->message);
		else if (r == -EPROTO)
			dx_mesh_note_accused(member->mesh, peer, epoch);
		return r == -EPROTO ? 0 : r;
	}
	if (member->pidfds[peer] >= 0)
		(void)close(member->pidfds[peer]);
	member->incarnations[peer]++;
	member->pids[peer] = pid;
	member->pidfds[peer] = keep;
	return 0;
}

/* PEERS: attach them all, then answer MAPPED. */
static void introduce(struct dx_member *member, struct dx_message *message)
{
	const char *round = dx_message_get(message, "PEERS"), *line = NULL;
	struct dsmx_error err;
	int next = 0, r = 0;

	while (r == 0 && (line = dx_message_next(message, "PEER", line)) != NULL) {
		int fds[3];

		for (int i = 0; i < 3; i++)
			fds[i] = dx_message_take_fd(message, next++);
		r = attach(member, line, fds, &err);
	}
	if (r == 0 && dx_message_get(message, "EVENTFD") != NULL)
		dx_mesh_set_peer_eventfd(member->mesh, DSMX_ABI_LEADER,
		                         dx_message_take_fd(message, next));
	if (r == 0) {
		struct dx_message answer;

		dx_message_start(&answer);
		dx_message_put(&answer, "MAPPED", "%s", round);
		r = dx_message_send(member->fd.fd, &answer);
		if (r != 0)
			(void)dx_error(&err, r, "cannot answer the supervisor: %s", dx_strerror(r));
	}
	if (r != 0) {
		dx_say_failed(member->fd.fd, &err);
		member->why = err;
		member->gone = true;
	}
}

static void hear_verdict(struct dx_member *member, const struct dx_message *message)
{
	uint64_t peer, epoch, pid = 0, reason = 0, status = 0, restart_ms = 0;
	const char *text = dx_message_get(message, "STATUS");
	struct dx_verdict *verdict;

	if (dx_message_number(message, "DEAD", dx_mesh_peers(member->mesh) - 1, &peer) != 0 ||
	    dx_message_number(message, "EPOCH", UINT64_MAX, &epoch) != 0 ||
	    dx_message_number(message, "PID", INT32_MAX, &pid) != 0 ||
	    dx_message_number(message, "REASON", DSMX_EXIT_COUNT - 1, &reason) != 0 ||
	    dx_message_number(message, "EXIT", 255, &status) != 0) {
		member->gone = true;
		return;
	}
	verdict = &member->verdicts[peer];
	*verdict = (struct dx_verdict){ .peer = (uint32_t)peer,
		                        .epoch = epoch,
		                        .pid = (int)pid,
		                        .reason = (int)reason,
		                        .status = (int)status,
		                        .heard_ns = dx_now_ns(),
		                        .restart_ms = -1 };
	if (dx_message_number(message, "RESTART", UINT32_MAX, &restart_ms) == 0)
		verdict->restart_ms = (int64_t)restart_ms;
	if (text != NULL && text[0] != '\0')
		(void)snprintf(verdict->text, sizeof(verdict->text), "%s", text);
	else
		(void)snprintf(verdict->text, sizeof(verdict->text),
		               "process %u (pid %d) has ended", verdict->peer, verdict->pid);
	member->pids[peer] = 0;
	if (member->pidfds[peer] >= 0)
		(void)close(member->pidfds[peer]);
	member->pidfds[peer] = -1;
	dx_mesh_peer_dead(member->mesh, (uint32_t)peer, epoch);
	if (member->ops != NULL && member->ops->dead != NULL)
		member->ops->dead(member, verdict);
}

static void hear_drain(struct dx_member *member, const struct dx_message *message)
{
	uint64_t peer, epoch, again = 0;

	if (dx_message_number(message, "DRAIN", dx_mesh_peers(member->mesh) - 1, &peer) != 0 ||
	    dx_message_number(message, "EPOCH", UINT64_MAX, &epoch) != 0 ||
	    dx_message_number(message, "AGAIN", 1, &again) != 0)
		member->gone = true;
	else
		member->drains[peer] = (struct dx_drain){ epoch, dx_now_ns(), again == 1 };
}

static void hear(struct dx_member *member, struct dx_message *message)
{
	if (dx_message_get(message, "PEERS") != NULL)
		introduce(member, message);
	else if (dx_message_get(message, "DEAD") != NULL)
		hear_verdict(member, message);
	else if (dx_message_get(message, "DRAIN") != NULL)
		hear_drain(member, message);
	else if (dx_message_get(message, "STOPPING") != NULL)
		member->stopping = true;
	else if (member->ops != NULL && member->ops->message != NULL)
		member->ops->message(member, message);
}

void dx_member_hear(struct dx_member *member)
{
	int r = 1;

	if (member->gone)
		return;
	while (r > 0 && !member->gone) {
		r = dx_message_recv(member->fd.fd, &member->message);
		if (r > 0) {
			hear(member, &member->message);
			dx_message_done(&member->message);
		}
	}
	if (r != -EAGAIN)
		member->gone = true;
	if (member->gone) {
		/* An end of file would be news for ever. */
		dx_unlisten(dx_mesh_reactor(member->mesh), &member->fd);
		if (member->ops != NULL && member->ops->gone != NULL)
			member->ops->gone(member);
	}
}

static bool look(struct dx_source *source)
{
	struct dx_member *member = DX_CONTAINER(source, struct dx_member, source);

	if (member->fd.fired == 0 || member->gone)
		return false;
	member->fd.fired = 0;
	dx_member_hear(member);
	return true;
}

static int say_ready(int socket, struct dx_mesh *mesh, uint64_t epoch, int eventfd)
{
	const struct dx_segment *page = dx_mesh_page_segment(mesh),
				*data = dx_mesh_data_segment(mesh);
	struct dx_wait *wait = dx_reactor_wait(dx_mesh_reactor(mesh));
	struct dx_message message;

	dx_message_start(&message);
	put_number(&message, "READY", DX_PROTOCOL);
	put_number(&message, "EPOCH", epoch);
	put_number(&message, "PAGES", data->pages);
	dx_message_put(&message, "WAIT", "%s", dx_wait_name(wait));
	dx_message_put_fd(&message, page->fd);
	dx_message_put_fd(&message, data->fd);
	if (eventfd >= 0)
		dx_message_put_fd(&message, eventfd);
	return dx_message_send(socket, &message);
}

int dx_member_start(struct dx_member *member, int socket, struct dx_mesh *mesh, uint64_t epoch,
                    int eventfd, const struct dx_member_ops *ops, struct dsmx_error *err)
{
	struct dx_reactor *reactor = dx_mesh_reactor(mesh);
	int r;

	*member = (struct dx_member){
		.source = { .look = look }, .fd = { .fd = socket }, .mesh = mesh, .ops = ops
	};
	for (int i = 0; i < (int)DSMX_ABI_PEERS; i++)
		member->pidfds[i] = -1;
	r = dx_listen(reactor, &member->fd);
	if (r != 0)
		return dx_error(err, r, "cannot wait for the supervisor: %s", dx_strerror(r));
	r = say_ready(socket, mesh, epoch, eventfd);
	if (r != 0 && r != -EPIPE) { /* a supervisor that left may have said why */
		dx_unlisten(reactor, &member->fd);
		return dx_error(err, r, "cannot answer the supervisor: %s", dx_strerror(r));
	}
	dx_reactor_add_source(reactor, &member->source);
	return 0;
}

void dx_member_stop(struct dx_member *member)
{
	struct dx_reactor *reactor = dx_mesh_reactor(member->mesh);

	dx_reactor_remove_source(reactor, &member->source);
	dx_unlisten(reactor, &member->fd);
	(void)close(member->fd.fd);
	for (int i = 0; i < (int)DSMX_ABI_PEERS; i++) {
		if (member->pidfds[i] >= 0)
			(void)close(member->pidfds[i]);
	}
}

static void say_of(struct dx_member *member, const char *key, uint32_t peer, uint64_t epoch,
                   const char *text)
{
	struct dx_message message;

	dx_message_start(&message);
	put_number(&message, key, peer);
	put_number(&message, "EPOCH", epoch);
	dx_message_put(&message, "STATUS", "%s", text);
	(void)!dx_message_send(member->fd.fd, &message); /* a dead supervisor is seen elsewhere */
}

void dx_member_accuse(struct dx_member *member, uint32_t peer, uint64_t epoch, const char *text)
{
	say_of(member, "BAD", peer, epoch, text);
}

void dx_member_doubt(struct dx_member *member, uint32_t peer, uint64_t epoch, const char *text)
{
	say_of(member, "DOUBT", peer, epoch, text);
}
