/* SPDX-License-Identifier: MIT */
/*
 * What there is, for `dsmx ps`: of each entry in the registry its supervisor's status, the counters of its
 * cgroups, and from the leader's page how many queries are open.
 *
 * As root one reads files of other users. So a page is taken only from a process of the same user as the file's,
 * and only if it is sealed as a page is; numbers are bounded; nothing blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "chan/mesh.h"
#include "shm/segment.h"
#include "worker/registry.h"
#include "worker/status.h"
#include "worker/supervisor.h"

/* One session, with the texts that the public struct points to. */
struct seen {
	struct dx_status status;
	struct dsmx_worker_status workers[DSMX_WORKERS_MAX];
	char cgroups[DSMX_WORKERS_MAX][DX_CGROUP_PATH];
	bool alive;
	uint32_t uid;
	int64_t queries;
	struct seen *next;
};

struct view {
	struct dsmx_snapshot snapshot;
	struct seen *seen;
	struct dsmx_session_status *sessions;
	uint32_t count;
	int code;
};

static bool has_owner(int pid, uint32_t uid)
{
	char path[32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	return pid > 0 && stat(path, &st) == 0 && st.st_uid == uid;
}

static int map_page(const struct seen *seen, struct dx_layout *ret_layout,
                    struct dx_segment *ret_page)
{
	const struct dx_status *status = &seen->status;
	struct dx_mesh_params params = { .session = status->session,
		                         .epoch = 1,
		                         .peers = status->workers + 1,
		                         .slots = status->slots,
		                         .frames = status->frames,
		                         .tasks = status->tasks,
		                         .data_bytes = 16U << 20,
		                         .pages = DSMX_PAGES_SMALL };
	char path[64];
	int fd, r;

	if (!seen->alive || status->page_fd < 0 || !has_owner(status->supervisor, seen->uid) ||
	    dx_mesh_check(&params, NULL) != 0)
		return -ENOENT;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", status->supervisor, status->page_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return dx_errno();
	*ret_layout = dx_layout(params.peers, params.slots, params.frames, params.tasks);
	r = dx_segment_attach(fd, dx_segment_round(ret_layout->bytes, DSMX_PAGES_SMALL), ret_page,
	                      NULL);
	(void)close(fd);
	return r;
}

static void count_queries(struct seen *seen)
{
	struct dx_segment page;
	struct dx_layout layout;
	bool mapped = map_page(seen, &layout, &page) == 0;

	seen->queries =
		mapped ? (int64_t)dx_queries_dealt(page.base, &layout, DSMX_ABI_LEADER, 0) : -1;
	for (uint32_t i = 0; i < seen->status.workers; i++)
		seen->workers[i].queries =
			mapped ? (int64_t)dx_queries_dealt(page.base, &layout, i + 1,
		                                           seen->status.worker[i].epoch)
			       : -1;
	if (mapped)
		dx_segment_close(&page);
}

/*
 * What a process holds in memory, its part of shared memory included. One that has no address space any more is dying:
 * its death shows in its liveness words, and nothing else in it goes on; of that its supervisor hears in the end only. So
 * is one that is gone, and of which the supervisor has not written yet.
 */
static uint64_t resident_bytes(int pid, bool *ret_dying)
{
	unsigned long long mapped, pages = 0;
	char path[32];
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	file = pid > 0 ? fopen(path, "re") : NULL;
	if (file != NULL && fscanf(file, "%llu %llu", &mapped, &pages) == 2)
		*ret_dying = mapped == 0;
	else /* it may have gone since the file was opened */
		*ret_dying = pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
	if (file != NULL)
		(void)fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void fill_worker(struct seen *seen, uint32_t index)
{
	const struct dx_status_worker *from = &seen->status.worker[index];
	struct dx_cgroup_leaf leaf;
	uint64_t resident;

	dx_cgroup_leaf_init(&leaf);
	if (from->leaf[0] != '\0')
		dx_cgroup_leaf_at(&seen->status.group, from->leaf, &leaf);
	memcpy(seen->cgroups[index], leaf.v2, sizeof(leaf.v2));
	seen->workers[index] = (struct dsmx_worker_status){
		.worker = index,
		.state = from->state,
		.frozen = from->frozen,
		.pid = seen->alive ? from->pid : 0,
		.epoch = from->epoch,
		.restarts = from->restarts,
		.cgroup = seen->cgroups[index],
		.memory_max = seen->status.memory_max,
		.exit_reason = from->exit_reason,
		.exit_status = from->exit_status,
		.exit_epoch = from->exit_epoch,
		.exit_pid = from->exit_pid,
		.exit_text = from->exit_text,
		.exit_usage = from->exit_usage,
	};
	dx_cgroup_leaf_read(&leaf, &seen->workers[index].usage);
	resident = resident_bytes(seen->workers[index].pid, &seen->workers[index].dying);
	if (seen->workers[index].usage.memory_bytes == 0) /* no cgroup counts it */
		seen->workers[index].usage.memory_bytes = resident;
}

static int read_status(struct seen *seen, const struct dx_message *lines, int supervisor)
{
	uint64_t session = seen->status.session, status = 0;
	int r;

	if (dx_message_number(lines, "STATUS", INT32_MAX, &status) != 0 ||
	    !has_owner(supervisor, seen->uid))
		return -EPROTO;
	r = dx_status_read(supervisor, (int)status, &seen->status);
	return r == 0 && seen->status.session != session ? -EPROTO : r;
}

/* What the supervisor says of it; of a dead one, or one that is about to be, only what its entry says is left. */
static int read_session(struct seen *seen, const struct dx_message *lines)
{
	uint64_t leader = 0, supervisor = 0, session = seen->status.session;
	const char *cgroup = dx_message_get(lines, "CGROUP");

	if (dx_message_number(lines, "LEADER", INT32_MAX, &leader) != 0 ||
	    dx_message_number(lines, "SUPERVISOR", INT32_MAX, &supervisor) != 0)
		return -EPROTO;
	if (seen->alive && read_status(seen, lines, (int)supervisor) == 0)
		return 0;
	memset(&seen->status, 0, sizeof(seen->status));
	seen->status.session = session;
	seen->status.leader = (int)leader;
	seen->status.supervisor = (int)supervisor;
	seen->status.page_fd = -1;
	(void)snprintf(seen->status.group.v2, sizeof(seen->status.group.v2), "%s",
	               cgroup != NULL ? cgroup : "");
	return 0;
}

static int look_at(struct seen *seen, int fd)
{
	struct dx_message lines;
	struct stat st;
	int r;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return -EPROTO;
	seen->uid = st.st_uid;
	seen->alive = flock(fd, LOCK_SH | LOCK_NB) != 0;
	r = dx_registry_read(fd, &lines);
	if (r == 0)
		r = read_session(seen, &lines);
	if (r != 0)
		return r;
	for (uint32_t i = 0; i < seen->status.workers; i++)
		fill_worker(seen, i);
	count_queries(seen);
	return 0;
}

static int look(void *arg, int dir, const char *name)
{
	struct view *view = arg;
	struct seen *seen = calloc(1, sizeof(*seen));
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (seen == NULL)
		view->code = -ENOMEM;
	else
		seen->status.session = strtoull(name, NULL, 16);
	if (seen != NULL && fd >= 0 && look_at(seen, fd) == 0) {
		seen->next = view->seen;
		view->seen = seen;
		view->count++;
	} else {
		free(seen); /* it has just gone, or has just come, or is none */
	}
	if (fd >= 0)
		(void)close(fd);
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct dsmx_session_status *x = a, *y = b;

	return x->session < y->session ? -1 : x->session > y->session;
}

static void free_view(struct view *view)
{
	while (view->seen != NULL) {
		struct seen *next = view->seen->next;

		free(view->seen);
		view->seen = next;
	}
	free(view->sessions);
	free(view);
}

void dsmx_snapshot_free(struct dsmx_snapshot *snapshot)
{
	if (snapshot != NULL)
		free_view(DX_CONTAINER(snapshot, struct view, snapshot));
}

int dsmx_snapshot_take(struct dsmx_snapshot **ret_snapshot, struct dsmx_error *err)
{
	struct view *view = calloc(1, sizeof(*view));
	uint32_t i = 0;

	if (view == NULL)
		return dx_error(err, -ENOMEM, "no memory to look at the sessions");
	dx_registry_each(look, view);
	view->sessions = calloc(view->count + 1, sizeof(*view->sessions));
	if (view->sessions == NULL || view->code != 0) {
		free_view(view);
		return dx_error(err, -ENOMEM, "no memory to look at the sessions");
	}
	for (const struct seen *seen = view->seen; seen != NULL; seen = seen->next)
		view->sessions[i++] = (struct dsmx_session_status){
			.session = seen->status.session,
			.alive = seen->alive,
			.uid = seen->uid,
			.leader_pid = seen->status.leader,
			.supervisor_pid = seen->status.supervisor,
			.isolation = seen->status.isolation,
			.level = seen->status.level,
			.cgroup = seen->status.group.v2,
			.missing = seen->status.missing,
			.queries = seen->queries,
			.worker_count = seen->status.workers,
			.workers = seen->workers,
		};
	qsort(view->sessions, view->count, sizeof(*view->sessions), by_id);
	view->snapshot = (struct dsmx_snapshot){ view->count, view->sessions };
	*ret_snapshot = &view->snapshot;
	return 0;
}
