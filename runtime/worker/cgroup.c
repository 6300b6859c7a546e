/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - groups made, killed and removed: nothing but files; cgroup_set.c is what a worker is limited to
 *
 * cgroup.kill is final: on Linux 6.1 to 6.18 a process that is born by clone3() into a group that was killed
 * once is killed at birth, silently. So a group serves one incarnation, and is removed.
 */
#include "worker/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "worker/cgroup_file.h"

/* Another session's end may remove the parents between our making and our using them. */
#define CREATE_TRIES 10

/* How long to wait for one report that a group changed, before another look. */
#define POLL_MS 10

/* Of groups below one another that are removed. */
#define DEPTH_MAX 16

int dx_cgroup_write_file(const char *dir, const char *name, const char *text)
{
	char path[DX_CGROUP_PATH];
	ssize_t n;
	int fd, r = 0;

	if (!dx_cgroup_join(path, dir, name))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return dx_errno();
	n = write(fd, text, strlen(text));
	if (n < 0)
		r = dx_errno();
	(void)close(fd);
	return r;
}

static void parent_of(char path[DX_CGROUP_PATH], const char *dir)
{
	char *slash;

	(void)snprintf(path, DX_CGROUP_PATH, "%s", dir);
	slash = strrchr(path, '/');
	if (slash != NULL)
		*slash = '\0';
}

const char *dx_cgroup_str(const struct dx_cgroup *group)
{
	if (group->v2[0] == '\0')
		return "none";
	for (int i = 0; i < DX_V1_COUNT; i++)
		if (group->v1[i][0] != '\0')
			return "cgroup hybrid";
	return "cgroup v2";
}

/* One directory, and the parent called `dsmx` if that is ours to make. */
static int make_dir(const char *dir, bool own_parent)
{
	char parent[DX_CGROUP_PATH];

	for (int i = 0; i < CREATE_TRIES; i++) {
		parent_of(parent, dir);
		if (own_parent && mkdir(parent, 0755) != 0 && errno != EEXIST)
			return dx_errno();
		if (mkdir(dir, 0755) == 0)
			return 0;
		if (errno != ENOENT || !own_parent)
			return dx_errno();
	}
	return -ENOENT;
}

static void remove_dir(const char *dir, bool own_parent)
{
	char parent[DX_CGROUP_PATH];

	if (dir[0] == '\0')
		return;
	(void)rmdir(dir);
	parent_of(parent, dir);
	if (own_parent)
		(void)rmdir(parent);
}

void dx_cgroup_inherit_cpuset(const char *dir)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char parent[DX_CGROUP_PATH], text[1024];

	parent_of(parent, dir);
	for (size_t i = 0; i < DX_ARRAY_LEN(files); i++) {
		dx_cgroup_read_file(parent, files[i], text, sizeof(text));
		(void)dx_cgroup_write_file(dir, files[i], text);
	}
}

static int make_v1(const struct dx_cgroup *group, struct dsmx_error *err)
{
	char parent[DX_CGROUP_PATH];

	for (int i = 0; i < DX_V1_COUNT; i++) {
		int r = group->v1[i][0] != '\0' ? make_dir(group->v1[i], true) : 0;

		if (r != 0)
			return dx_error(err, r, "cgroup %s: %s", group->v1[i], dx_strerror(r));
		if (i != DX_V1_CPUSET || group->v1[i][0] == '\0')
			continue;
		parent_of(parent, group->v1[i]);
		dx_cgroup_inherit_cpuset(parent);
		dx_cgroup_inherit_cpuset(group->v1[i]);
	}
	return 0;
}

static void enable(const char *dir, const struct dx_cgroup *group, const struct dx_limits *limits)
{
	const struct {
		enum dx_v1 v1;
		bool wanted;
		const char *text;
	} rows[] = {
		{ DX_V1_MEMORY, true, "+memory" },
		{ DX_V1_PIDS, limits->pids_max != 0, "+pids" },
		{ DX_V1_CPU, limits->cpu_percent != 0 || limits->cpu_weight != 0, "+cpu" },
		{ DX_V1_CPUSET, limits->cpus != NULL, "+cpuset" },
		{ DX_V1_BLKIO,
		  limits->io_weight != 0 || limits->io_read_max != NULL ||
		          limits->io_write_max != NULL,
		  "+io" },
	};

	if (limits->hugetlb_max != 0)
		(void)dx_cgroup_write_file(dir, "cgroup.subtree_control", "+hugetlb");
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++)
		if (rows[i].wanted && group->v1[rows[i].v1][0] == '\0')
			(void)dx_cgroup_write_file(dir, "cgroup.subtree_control", rows[i].text);
}

int dx_cgroup_create(const struct dx_cgroup *group, const struct dx_limits *limits,
                     struct dsmx_error *err)
{
	char parent[DX_CGROUP_PATH];
	int r;

	if (group->v2[0] == '\0')
		return 0;
	r = make_dir(group->v2, group->own_root);
	if (r != 0)
		return dx_error(err, r, "cgroup %s: %s", group->v2, dx_strerror(r));
	r = make_v1(group, err);
	if (r != 0) {
		for (int i = 0; i < DX_V1_COUNT; i++)
			remove_dir(group->v1[i], true);
		remove_dir(group->v2, group->own_root);
		return r;
	}
	/* Refused where the parent holds processes of its own: then there are no limits, a leaf will say so. */
	parent_of(parent, group->v2);
	if (group->own_root) {
		char top[DX_CGROUP_PATH];

		parent_of(top, parent);
		enable(top, group, limits);
	}
	enable(parent, group, limits);
	enable(group->v2, group, limits);
	return 0;
}

static int open_leaf(struct dx_cgroup_leaf *leaf, struct dsmx_error *err)
{
	char path[DX_CGROUP_PATH];

	leaf->fd = open(leaf->v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (leaf->fd < 0)
		return dx_error(err, dx_errno(), "cgroup %s: %s", leaf->v2, dx_strerror(errno));
	for (int i = 0; i < DX_V1_COUNT; i++) {
		if (leaf->v1[i][0] == '\0')
			continue;
		if (!dx_cgroup_join(path, leaf->v1[i], "cgroup.procs"))
			return dx_error(err, -ENAMETOOLONG, "cgroup %s: too long a path",
			                leaf->v1[i]);
		leaf->v1_procs[i] = open(path, O_WRONLY | O_CLOEXEC);
		if (leaf->v1_procs[i] < 0)
			return dx_error(err, dx_errno(), "cgroup %s: %s", path, dx_strerror(errno));
	}
	return 0;
}

static int make_leaf(const struct dx_cgroup *group, const char *name, struct dx_cgroup_leaf *leaf,
                     struct dsmx_error *err)
{
	bool fits = dx_cgroup_join(leaf->v2, group->v2, name);

	for (int i = 0; i < DX_V1_COUNT; i++)
		fits = fits &&
		       (group->v1[i][0] == '\0' || dx_cgroup_join(leaf->v1[i], group->v1[i], name));
	if (!fits)
		return dx_error(err, -ENAMETOOLONG, "cgroup %s/%s: too long a path", group->v2,
		                name);
	if (mkdir(leaf->v2, 0755) != 0)
		return dx_error(err, dx_errno(), "cgroup %s: %s", leaf->v2, dx_strerror(errno));
	for (int i = 0; i < DX_V1_COUNT; i++)
		if (leaf->v1[i][0] != '\0' && mkdir(leaf->v1[i], 0755) != 0)
			return dx_error(err, dx_errno(), "cgroup %s: %s", leaf->v1[i],
			                dx_strerror(errno));
	return 0;
}

void dx_cgroup_leaf_init(struct dx_cgroup_leaf *leaf)
{
	*leaf = (struct dx_cgroup_leaf){ .fd = -1 };
	for (int i = 0; i < DX_V1_COUNT; i++)
		leaf->v1_procs[i] = -1;
}

int dx_cgroup_leaf_create(const struct dx_cgroup *group, const char *name, struct dx_limits *limits,
                          struct dx_cgroup_leaf *ret_leaf, struct dsmx_error *err)
{
	struct dx_cgroup_leaf leaf;
	int r;

	dx_cgroup_leaf_init(&leaf);
	if (group->v2[0] == '\0') {
		*ret_leaf = leaf;
		return 0;
	}
	r = make_leaf(group, name, &leaf, err);
	if (r == 0)
		r = dx_cgroup_set_limits(&leaf, limits, err);
	if (r == 0)
		r = open_leaf(&leaf, err);
	if (r != 0) {
		dx_cgroup_leaf_started(&leaf);
		(void)dx_cgroup_leaf_remove(&leaf);
		return r;
	}
	leaf.above = group->above;
	leaf.oom_kills_before = dx_cgroup_read_key(leaf.above, "memory.oom_control", "oom_kill");
	*ret_leaf = leaf;
	return 0;
}

void dx_cgroup_leaf_started(struct dx_cgroup_leaf *leaf)
{
	if (leaf->fd >= 0)
		(void)close(leaf->fd);
	leaf->fd = -1;
	for (int i = 0; i < DX_V1_COUNT; i++) {
		if (leaf->v1_procs[i] >= 0)
			(void)close(leaf->v1_procs[i]);
		leaf->v1_procs[i] = -1;
	}
}

void dx_cgroup_leaf_at(const struct dx_cgroup *group, const char *name,
                       struct dx_cgroup_leaf *ret_leaf)
{
	dx_cgroup_leaf_init(ret_leaf);
	if (group->v2[0] != '\0' && !dx_cgroup_join(ret_leaf->v2, group->v2, name))
		ret_leaf->v2[0] = '\0';
	for (int i = 0; i < DX_V1_COUNT; i++)
		if (group->v1[i][0] != '\0' && !dx_cgroup_join(ret_leaf->v1[i], group->v1[i], name))
			ret_leaf->v1[i][0] = '\0';
}

int dx_cgroup_leaf_freeze(const struct dx_cgroup_leaf *leaf, bool frozen)
{
	int r = leaf->v2[0] != '\0'
	                ? dx_cgroup_write_file(leaf->v2, "cgroup.freeze", frozen ? "1" : "0")
	                : -EOPNOTSUPP;

	return r == -ENOENT ? -EOPNOTSUPP : r;
}

void dx_cgroup_leaf_kill(const struct dx_cgroup_leaf *leaf)
{
	if (leaf->v2[0] != '\0')
		(void)dx_cgroup_write_file(leaf->v2, "cgroup.kill", "1");
}

void dx_cgroup_leaf_forget(struct dx_cgroup_leaf *leaf)
{
	leaf->v2[0] = '\0';
	for (int i = 0; i < DX_V1_COUNT; i++)
		leaf->v1[i][0] = '\0';
}

/* Groups that a worker with the rights to has made in its own: they go first, from the bottom. */
static void remove_below(const char *dir, int depth)
{
	DIR *list = depth > 0 ? opendir(dir) : NULL;
	struct dirent *entry;

	while (list != NULL && (entry = readdir(list)) != NULL) {
		char path[DX_CGROUP_PATH];

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
		    !dx_cgroup_join(path, dir, entry->d_name))
			continue;
		if (rmdir(path) != 0 && errno == EBUSY) {
			remove_below(path, depth - 1);
			(void)rmdir(path);
		}
	}
	if (list != NULL)
		(void)closedir(list);
}

int dx_cgroup_leaf_remove(struct dx_cgroup_leaf *leaf)
{
	int r = 0;

	if (leaf->v2[0] != '\0' && rmdir(leaf->v2) != 0 && errno != ENOENT) {
		dx_cgroup_leaf_kill(leaf); /* what the worker had forked */
		remove_below(leaf->v2, DEPTH_MAX);
		r = rmdir(leaf->v2) == 0 ? 0 : dx_errno();
	}
	for (int i = 0; r == 0 && i < DX_V1_COUNT; i++)
		if (leaf->v1[i][0] != '\0' && rmdir(leaf->v1[i]) != 0 && errno != ENOENT)
			r = dx_errno();
	if (r == 0)
		dx_cgroup_leaf_forget(leaf);
	return r;
}

void dx_cgroup_kill(const struct dx_cgroup *group)
{
	if (group->v2[0] != '\0')
		(void)dx_cgroup_write_file(group->v2, "cgroup.kill", "1");
}

/* Remove a session's directory, and all groups in it. */
static int remove_tree(const char *dir, bool own_parent)
{
	if (dir[0] == '\0' || access(dir, F_OK) != 0)
		return 0;
	remove_below(dir, DEPTH_MAX);
	remove_dir(dir, own_parent);
	return access(dir, F_OK) == 0 ? -EBUSY : 0;
}

/* Until the kernel reports that the last process left, or a little while. */
static void wait_empty(const char *dir)
{
	char path[DX_CGROUP_PATH], text[256];
	struct pollfd watch = { .fd = -1, .events = POLLPRI };

	if (dx_cgroup_join(path, dir, "cgroup.events"))
		watch.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (watch.fd >= 0) /* a report counts from the last read */
		(void)!read(watch.fd, text, sizeof(text));
	(void)poll(&watch, 1, POLL_MS);
	if (watch.fd >= 0)
		(void)close(watch.fd);
}

int dx_cgroup_remove(const struct dx_cgroup *group, uint64_t deadline_ns)
{
	bool killed = false;

	for (;;) {
		int r = remove_tree(group->v2, group->own_root);

		for (int i = 0; r == 0 && i < DX_V1_COUNT; i++)
			r = remove_tree(group->v1[i], true);
		if (r != -EBUSY)
			return r;
		if (!killed)
			dx_cgroup_kill(group);
		killed = true;
		if (dx_now_ns() >= deadline_ns)
			return -EBUSY;
		wait_empty(group->v2);
	}
}
