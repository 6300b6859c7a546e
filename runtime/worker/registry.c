/* SPDX-License-Identifier: MIT */
/*
 * A file is made under a name that begins with a dot, locked, filled, and only then given its own name. So
 * what has a session's name is locked by a living supervisor, or an orphan. A sweep that meets the first name
 * between making and locking removes it; then the renaming fails, and it is made again.
 */
#include "worker/registry.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/err.h"
#include "worker/ctl.h"

#define ADD_TRIES   10
#define NAME_DIGITS 16
#define DIR_CHOICES 3

static const char *const v1_keys[DX_V1_COUNT] = {
	[DX_V1_MEMORY] = "CGROUP_MEMORY", [DX_V1_PIDS] = "CGROUP_PIDS",
	[DX_V1_CPU] = "CGROUP_CPU",       [DX_V1_CPUSET] = "CGROUP_CPUSET",
	[DX_V1_BLKIO] = "CGROUP_BLKIO",
};

/* The directory that is choice @choice for this user, "" if there is none. */
static void choose_dir(int choice, char ret_dir[DX_CGROUP_PATH])
{
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");

	ret_dir[0] = '\0';
	if (choice == 0 && runtime != NULL && runtime[0] == '/' &&
	    strlen(runtime) < DX_CGROUP_PATH / 2)
		(void)snprintf(ret_dir, DX_CGROUP_PATH, "%s/dsmx", runtime);
	else if (choice == 1 && geteuid() == 0)
		(void)snprintf(ret_dir, DX_CGROUP_PATH, "/run/dsmx");
	else if (choice == 2)
		(void)snprintf(ret_dir, DX_CGROUP_PATH, "/tmp/dsmx-%u", (unsigned)geteuid());
}

static bool is_private(const char *dir)
{
	struct stat st;

	return dir[0] != '\0' && lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static int find_dir(char ret_dir[DX_CGROUP_PATH], struct dsmx_error *err)
{
	for (int choice = 0; choice < DIR_CHOICES; choice++) {
		choose_dir(choice, ret_dir);
		if (ret_dir[0] == '\0')
			continue;
		(void)mkdir(ret_dir, 0700);
		if (is_private(ret_dir))
			return 0;
	}
	return dx_error(
		err, -EACCES,
		"no directory to enter the session in: set XDG_RUNTIME_DIR to one of yours, or "
		"remove /tmp/dsmx-%u",
		(unsigned)geteuid());
}

static int fill(int fd, uint64_t session, pid_t leader, int status_fd,
                const struct dx_cgroup *group)
{
	struct dx_message lines;

	dx_message_start(&lines);
	dx_message_put(&lines, "SESSION", "%016llx", (unsigned long long)session);
	dx_message_put(&lines, "LEADER", "%d", (int)leader);
	dx_message_put(&lines, "SUPERVISOR", "%d", (int)getpid());
	if (status_fd >= 0)
		dx_message_put(&lines, "STATUS", "%d", status_fd);
	dx_message_put(&lines, "CGROUP", "%s", group->v2);
	for (int i = 0; i < DX_V1_COUNT; i++)
		dx_message_put(&lines, v1_keys[i], "%s", group->v1[i]);
	dx_message_put(&lines, "CGROUP_OWN_ROOT", "%d", group->own_root);
	if (lines.too_long)
		return -E2BIG;
	return write(fd, lines.text, lines.len) == (ssize_t)lines.len ? 0 : dx_errno();
}

int dx_registry_add(uint64_t session, pid_t leader, int status_fd, const struct dx_cgroup *group,
                    struct dx_registry_entry *ret_entry, struct dsmx_error *err)
{
	char dir[DX_CGROUP_PATH], fresh[DX_CGROUP_PATH], path[DX_CGROUP_PATH];
	unsigned long long id = session;
	int fd, r = find_dir(dir, err);

	if (r != 0)
		return r;
	(void)snprintf(fresh, sizeof(fresh), "%.400s/.%016llx", dir, id);
	(void)snprintf(path, sizeof(path), "%.400s/%016llx", dir, id);
	for (int i = 0; i < ADD_TRIES; i++) {
		fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			return dx_error(err, dx_errno(), "%s: %s", fresh, dx_strerror(errno));
		r = flock(fd, LOCK_EX | LOCK_NB) == 0 ? fill(fd, session, leader, status_fd, group)
		                                      : dx_errno();
		if (r == 0 && rename(fresh, path) == 0) {
			ret_entry->fd = fd;
			(void)snprintf(ret_entry->path, sizeof(ret_entry->path), "%s", path);
			return 0;
		}
		(void)unlink(fresh);
		(void)close(fd);
	}
	return dx_error(err, r != 0 ? r : -EAGAIN, "cannot enter the session in %s: %s", dir,
	                dx_strerror(r != 0 ? r : -EAGAIN));
}

/* The file itself goes last: while it is there, a sweep finds the others. */
static void unlink_at(int dir, const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%.40s" DX_CTL_SUFFIX, name);
	(void)unlinkat(dir, path, 0);
	(void)unlinkat(dir, name, 0);
}

void dx_registry_unlink(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[DX_CGROUP_PATH];
	int fd;

	if (slash == NULL)
		return;
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	unlink_at(fd, slash + 1);
	(void)close(fd);
}

void dx_registry_remove(struct dx_registry_entry *entry)
{
	if (entry->path[0] != '\0')
		dx_registry_unlink(entry->path);
	if (entry->fd >= 0)
		(void)close(entry->fd);
	entry->fd = -1;
	entry->path[0] = '\0';
}

/* Only directories of a cgroup file system that carry the session's id are removed, whatever a file says. */
static void take_path(const struct dx_message *lines, const char *key, const char *name,
                      char ret_path[DX_CGROUP_PATH])
{
	const char *path = dx_message_get(lines, key), *last;
	struct statfs fs;

	ret_path[0] = '\0';
	if (path == NULL || path[0] != '/' || strlen(path) >= DX_CGROUP_PATH)
		return;
	last = strrchr(path, '/') + 1;
	if (strcmp(last, name) == 0 && statfs(path, &fs) == 0 &&
	    ((uint64_t)fs.f_type == CGROUP2_SUPER_MAGIC ||
	     (uint64_t)fs.f_type == CGROUP_SUPER_MAGIC))
		(void)snprintf(ret_path, DX_CGROUP_PATH, "%s", path);
}

int dx_registry_read(int fd, struct dx_message *ret_lines)
{
	ssize_t n;

	dx_message_start(ret_lines);
	n = pread(fd, ret_lines->text, sizeof(ret_lines->text), 0);
	return n > 0 && dx_message_parse(ret_lines, (size_t)n) > 0 ? 0 : -EPROTO;
}

/* An orphan that we have locked. Returns 0, or -EBUSY while its processes die. */
static int clean(int fd, const char *name)
{
	struct dx_cgroup group = { 0 };
	struct dx_message lines;
	uint64_t own_root = 0;

	if (dx_registry_read(fd, &lines) != 0)
		return 0; /* nothing was made before it was filled */
	take_path(&lines, "CGROUP", name, group.v2);
	for (int i = 0; i < DX_V1_COUNT; i++)
		take_path(&lines, v1_keys[i], name, group.v1[i]);
	group.own_root =
		dx_message_number(&lines, "CGROUP_OWN_ROOT", 1, &own_root) == 0 && own_root == 1;
	return dx_cgroup_remove(&group, 0);
}

static bool is_entry(const char *name)
{
	return strlen(name) == NAME_DIGITS && strspn(name, "0123456789abcdef") == NAME_DIGITS;
}

static int sweep_dir(const char *dir)
{
	DIR *list = is_private(dir) ? opendir(dir) : NULL;
	struct dirent *entry;
	int dying = 0;

	while (list != NULL && (entry = readdir(list)) != NULL) {
		const char *name = entry->d_name + (entry->d_name[0] == '.');
		int fd;

		if (!is_entry(name))
			continue;
		fd = openat(dirfd(list), entry->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (clean(fd, name) == 0)
				unlink_at(dirfd(list), entry->d_name);
			else
				dying++;
		}
		(void)close(fd);
	}
	if (list != NULL)
		(void)closedir(list);
	return dying;
}

int dx_registry_sweep(void)
{
	char dir[DX_CGROUP_PATH];
	int dying = 0;

	for (int choice = 0; choice < DIR_CHOICES; choice++) {
		choose_dir(choice, dir);
		dying += sweep_dir(dir);
	}
	return dying;
}

/* Returns whether @each had enough. */
static bool each_in(const char *dir, int (*each)(void *arg, int dir, const char *name), void *arg)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r = 0;
	DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (list == NULL && fd >= 0)
		(void)close(fd);
	while (list != NULL && r == 0 && (entry = readdir(list)) != NULL)
		if (is_entry(entry->d_name))
			r = each(arg, fd, entry->d_name);
	if (list != NULL)
		(void)closedir(list);
	return r != 0;
}

/* Root's view: what logind gives every user, and the last resort of those who have none. */
static bool each_users(int (*each)(void *arg, int dir, const char *name), void *arg,
                       const char *top, const char *prefix, const char *behind)
{
	char dir[DX_CGROUP_PATH], own[DX_CGROUP_PATH];
	DIR *list = opendir(top);
	struct dirent *entry;
	bool enough = false;

	while (list != NULL && !enough && (entry = readdir(list)) != NULL) {
		const char *name = entry->d_name;
		bool mine = false;

		if (name[0] == '.' || strncmp(name, prefix, strlen(prefix)) != 0)
			continue;
		(void)snprintf(dir, sizeof(dir), "%s/%.200s%s", top, name, behind);
		for (int choice = 0; choice < DIR_CHOICES; choice++) {
			choose_dir(choice, own);
			mine |= strcmp(dir, own) == 0;
		}
		if (!mine)
			enough = each_in(dir, each, arg);
	}
	if (list != NULL)
		(void)closedir(list);
	return enough;
}

void dx_registry_each(int (*each)(void *arg, int dir, const char *name), void *arg)
{
	char dir[DX_CGROUP_PATH];

	for (int choice = 0; choice < DIR_CHOICES; choice++) {
		choose_dir(choice, dir);
		if (is_private(dir) && each_in(dir, each, arg))
			return;
	}
	if (geteuid() == 0 && !each_users(each, arg, "/run/user", "", "/dsmx"))
		(void)each_users(each, arg, "/tmp", "dsmx-", "");
}
