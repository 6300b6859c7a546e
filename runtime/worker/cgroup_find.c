/* SPDX-License-Identifier: MIT */
/*
 * Where a session may have its groups.
 *
 * The first of these that there is:
 *	the directory that the caller names, or DSMX_CGROUP; if it cannot serve, that is an error
 *	the group that this process sits in, if it is delegated: `user.delegate` or `trusted.delegate` says so
 *	   (systemd sets them), or an ordinary user may write in it. If it is a leaf that was made only to hold
 *	   the process, below a delegated group, then that one, as only there controllers can be enabled
 *	as root: `dsmx`, at the top of the hierarchy
 *
 * A process may be born into a group only if its parent may write cgroup.procs of the nearest group that both
 * are in. A delegated group above us grants that; the application itself is never moved.
 *
 * A controller of version 1 is used where there is a limit to set, version 2 does not have it, and a group can be
 * made below the process's own: as root, on hybrid machines.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "worker/cgroup.h"

/* One hierarchy as this process sees it. */
struct hierarchy {
	char mount[DX_CGROUP_PATH]; /* "": not mounted */
	char own[DX_CGROUP_PATH];   /* the directory of the group that this process sits in */
};

static void free_text(char **text)
{
	free(*text);
}

static void close_file(FILE **file)
{
	if (*file != NULL)
		(void)fclose(*file);
}

/* Format a path; a longer one than there is room for is "". */
static void DX_PRINTF(2, 3) set_path(char path[DX_CGROUP_PATH], const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(path, DX_CGROUP_PATH, fmt, args);
	va_end(args);
	if (n < 0 || n >= DX_CGROUP_PATH)
		path[0] = '\0';
}

/* mountinfo writes blanks and the like as \040. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *at = text; *at != '\0'; at++) {
		if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' &&
		    at[3] >= '0' && at[3] <= '7') {
			*to++ = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
			at += 3;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
}

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, word, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	}
	return false;
}

/* Is what a line of mountinfo says after " - ", type source super-options, of this hierarchy? */
static bool is_of(const char *tail, const char *controller)
{
	char type[16], super[256];

	if (sscanf(tail, " - %15s %*s %255s", type, super) != 2)
		return false;
	return controller == NULL ? strcmp(type, "cgroup2") == 0
	                          : strcmp(type, "cgroup") == 0 && has_word(super, controller);
}

/*
 * The mount of a hierarchy: of version 2 (@controller NULL), or of a version 1 controller.
 *
 * A line is: id parent dev root mount options [tags...] - type source super-options. @ret_root is the part of
 * the hierarchy that is mounted there. Most lines are of other file systems, and whoever opens a session waits.
 */
static bool find_mount(const char *controller, char ret_mount[DX_CGROUP_PATH],
                       char ret_root[DX_CGROUP_PATH])
{
	FILE *file DX_CLEANUP(close_file) = fopen("/proc/self/mountinfo", "re");
	char *line DX_CLEANUP(free_text) = NULL;
	size_t room = 0;

	while (file != NULL && getline(&line, &room, file) > 0) {
		char root[DX_CGROUP_PATH], mount[DX_CGROUP_PATH];
		const char *tail = strstr(line, " - cgroup");

		if (tail == NULL || !is_of(tail, controller) ||
		    sscanf(line, "%*s %*s %*s %511s %511s", root, mount) != 2)
			continue;
		unescape(root);
		unescape(mount);
		set_path(ret_mount, "%s", mount);
		set_path(ret_root, "%s", root);
		return true;
	}
	return false;
}

/* The path of this process's group in a hierarchy; /proc/self/cgroup has lines of id:controllers:path. */
static bool find_own(const char *controller, char ret_path[DX_CGROUP_PATH])
{
	FILE *file DX_CLEANUP(close_file) = fopen("/proc/self/cgroup", "re");
	char *line DX_CLEANUP(free_text) = NULL;
	size_t room = 0;

	while (file != NULL && getline(&line, &room, file) > 0) {
		char *list = strchr(line, ':'), *path = list != NULL ? strchr(list + 1, ':') : NULL;

		if (path == NULL)
			continue;
		list++;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (controller == NULL ? *list == '\0' : has_word(list, controller)) {
			set_path(ret_path, "%s", path);
			return true;
		}
	}
	return false;
}

static struct hierarchy find_hierarchy(const char *controller)
{
	struct hierarchy found = { { 0 }, { 0 } };
	char root[DX_CGROUP_PATH], own[DX_CGROUP_PATH];
	const char *below = own;
	size_t len;

	if (!find_mount(controller, found.mount, root) || !find_own(controller, own))
		return found;
	/* Where only a part is mounted, the own path counts from the top of the whole. */
	len = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(own, root, len) == 0 && (own[len] == '/' || own[len] == '\0'))
		below = own + len;
	else if (len > 0)
		below = "";
	set_path(found.own, "%s%s", found.mount, strcmp(below, "/") == 0 ? "" : below);
	return found;
}

void dx_cgroup_own(const char *controller, char ret_dir[DX_CGROUP_PATH])
{
	const struct hierarchy found = find_hierarchy(controller);

	memcpy(ret_dir, found.own, DX_CGROUP_PATH);
}

static bool writable(const char *dir)
{
	char procs[DX_CGROUP_PATH];

	set_path(procs, "%s/cgroup.procs", dir);
	return dir[0] != '\0' && faccessat(AT_FDCWD, dir, W_OK, AT_EACCESS) == 0 &&
	       faccessat(AT_FDCWD, procs, W_OK, AT_EACCESS) == 0;
}

static bool marked_delegated(const char *dir)
{
	char value = '\0';

	return (getxattr(dir, "user.delegate", &value, 1) == 1 && value == '1') ||
	       (getxattr(dir, "trusted.delegate", &value, 1) == 1 && value == '1');
}

/* The delegated group that this process is in, "" if it is in none. */
static void find_delegated(const struct hierarchy *v2, char ret_dir[DX_CGROUP_PATH])
{
	char parent[DX_CGROUP_PATH], *slash;

	ret_dir[0] = '\0';
	if (!writable(v2->own) || strcmp(v2->own, v2->mount) == 0)
		return;
	set_path(parent, "%s", v2->own);
	slash = strrchr(parent, '/');
	if (slash != NULL)
		*slash = '\0';
	if (strlen(parent) > strlen(v2->mount) && writable(parent) && marked_delegated(parent))
		set_path(ret_dir, "%s", parent);
	else if (geteuid() != 0 || marked_delegated(v2->own))
		set_path(ret_dir, "%s", v2->own);
}

/* A directory that somebody named: it has to do. */
static int check_named(const char *dir, const char *who, struct dsmx_error *err)
{
	struct statfs fs;

	if (dir[0] != '/' || strlen(dir) + 64 > DX_CGROUP_PATH)
		return dx_error(err, -EINVAL,
		                "%s: \"%.200s\" is not the absolute path of a cgroup v2 directory",
		                who, dir);
	if (statfs(dir, &fs) != 0)
		return dx_error(err, dx_errno(), "%s: %s: %s; create that cgroup or unset %s", who,
		                dir, dx_strerror(errno), who);
	if ((uint64_t)fs.f_type != CGROUP2_SUPER_MAGIC)
		return dx_error(err, -EINVAL, "%s: %s is not in a cgroup v2 file system", who, dir);
	if (!writable(dir))
		return dx_error(
			err, -EACCES,
			"%s: %s cannot be written by uid %u; chown it, its cgroup.procs and "
			"cgroup.subtree_control, or unset %s",
			who, dir, (unsigned)geteuid(), who);
	return 0;
}

/* Is @name one of the words of @list, which blanks separate? */
static bool has_name(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = list; *at != '\0'; at += strcspn(at, " \n"), at += strspn(at, " \n"))
		if (strncmp(at, name, len) == 0 && strchr(" \n", at[len]) != NULL)
			return true;
	return false;
}

static bool lists(const char *dir, const char *controller)
{
	char path[DX_CGROUP_PATH], list[256] = "";
	FILE *file DX_CLEANUP(close_file) = NULL;

	set_path(path, "%s/cgroup.controllers", dir);
	file = fopen(path, "re");
	return file != NULL && fgets(list, sizeof(list), file) != NULL &&
	       has_name(list, controller);
}

/* Groups of version 1 for the controllers that are needed and that version 2 does not have in @root. */
static void find_v1(const char *root, uint64_t session, const struct dx_limits *limits,
                    struct dx_cgroup *group)
{
	static const char *const names[DX_V1_COUNT] = {
		[DX_V1_MEMORY] = "memory", [DX_V1_PIDS] = "pids",   [DX_V1_CPU] = "cpu",
		[DX_V1_CPUSET] = "cpuset", [DX_V1_BLKIO] = "blkio",
	};
	const bool needed[DX_V1_COUNT] = {
		[DX_V1_MEMORY] = limits->memory_max != 0,
		[DX_V1_PIDS] = limits->pids_max != 0,
		[DX_V1_CPU] = limits->cpu_percent != 0 || limits->cpu_weight != 0,
		[DX_V1_CPUSET] = limits->cpus != NULL,
		[DX_V1_BLKIO] = limits->io_weight != 0 || limits->io_read_max != NULL ||
		                limits->io_write_max != NULL,
	};

	if (!needed[DX_V1_MEMORY] && !lists(root, names[DX_V1_MEMORY]))
		set_path(group->above, "%s", find_hierarchy(names[DX_V1_MEMORY]).own);
	for (int i = 0; i < DX_V1_COUNT; i++) {
		struct hierarchy found;

		if (!needed[i] || lists(root, i == DX_V1_BLKIO ? "io" : names[i]))
			continue;
		found = find_hierarchy(names[i]);
		if (writable(found.own))
			set_path(group->v1[i], "%s/dsmx/%016llx", found.own,
			         (unsigned long long)session);
	}
}

int dx_cgroup_find(const char *root, uint64_t session, const struct dx_limits *limits,
                   struct dx_cgroup *ret_group, char ret_missing[DSMX_ERROR_MESSAGE_BYTES],
                   struct dsmx_error *err)
{
	struct dx_cgroup group = { .own_root = false };
	struct hierarchy v2 = find_hierarchy(NULL);
	const char *who = root != NULL ? "cgroup_root" : "DSMX_CGROUP";
	char delegated[DX_CGROUP_PATH] = "";
	int r;

	ret_missing[0] = '\0';
	if (root == NULL)
		root = secure_getenv("DSMX_CGROUP");
	if (root != NULL && root[0] != '\0') {
		r = check_named(root, who, err);
		if (r != 0)
			return r;
		set_path(group.v2, "%s/%016llx", root, (unsigned long long)session);
		group.named = true;
	} else if (find_delegated(&v2, delegated), delegated[0] != '\0') {
		root = delegated;
		set_path(group.v2, "%s/%016llx", root, (unsigned long long)session);
	} else if (geteuid() == 0 && writable(v2.mount)) {
		root = v2.mount;
		group.own_root = true;
		set_path(group.v2, "%s/dsmx/%016llx", root, (unsigned long long)session);
	}
	if (group.v2[0] == '\0') {
		(void)snprintf(
			ret_missing, DSMX_ERROR_MESSAGE_BYTES,
			"workers run without cgroups (no limits): %s; start the program with "
			"`systemd-run --user --scope -p Delegate=yes PROGRAM`, or set DSMX_CGROUP "
			"to a cgroup v2 directory that uid %u may write and that the program is in",
			v2.mount[0] == '\0' ? "cgroup v2 is not mounted"
					    : "the group of this process is not delegated to it",
			(unsigned)geteuid());
	} else {
		find_v1(root, session, limits, &group);
	}
	*ret_group = group;
	return 0;
}
