/* SPDX-License-Identifier: MIT */
/*
 * Which files a worker may open: Landlock, by its three system calls, as Debian has no library for it.
 *
 * Every right that the kernel knows of is handled, so what no rule allows is refused: writing, making, removing and
 * executing anywhere; with ABI 4 (Linux 6.7) TCP, with ABI 6 (6.12) signals to processes and connections to abstract
 * sockets outside. Allowed is reading
 *
 *	what programs read when they start or load a library: system libraries, time zones, locales, what
 *	sysconf(3) looks at
 *	the folders of plug-ins
 *	what the session names
 *
 * Descriptors that it has keep what they could: the overflow file was opened before. Rights are newer than the headers
 * of Debian 12: the numbers are the kernel's.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "worker/sandbox.h"

#define FS_ABI_1 ((1ULL << 13) - 1)
#define FS_ABI_2 (1ULL << 13) /* refer: to another folder */
#define FS_ABI_3 (1ULL << 14) /* truncate */
#define FS_ABI_5 (1ULL << 15) /* ioctl of devices */

#define NET_ABI_4   3ULL /* bind and connect TCP */
#define SCOPE_ABI_6 3ULL /* abstract sockets and signals */

/* struct landlock_ruleset_attr of ABI 6; older kernels take its beginning. */
struct ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

static const char *const system_paths[] = {
	"/lib",
	"/lib64",
	"/usr/lib",
	"/usr/lib64",
	"/usr/local/lib",
	"/etc/ld.so.cache",
	"/etc/localtime",
	"/usr/share/zoneinfo",
	"/usr/share/locale",
	"/dev/null",
	"/dev/zero",
	"/dev/urandom",
	"/proc/meminfo",
	"/proc/cpuinfo",
	"/sys/devices/system/cpu",
	"/sys/devices/system/node",
	"/sys/kernel/mm/transparent_hugepage",
	NULL,
};

/* A file does not have the right of a folder. */
static uint64_t reading(int fd)
{
	struct stat st;

	return LANDLOCK_ACCESS_FS_READ_FILE |
	       (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? LANDLOCK_ACCESS_FS_READ_DIR : 0);
}

static int allow(int rules, const char *path)
{
	struct landlock_path_beneath_attr below;
	int fd = open(path, O_PATH | O_CLOEXEC), r = 0;

	if (fd < 0)
		return dx_errno();
	below = (struct landlock_path_beneath_attr){ .allowed_access = reading(fd),
		                                     .parent_fd = fd };
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) != 0)
		r = dx_errno();
	(void)close(fd);
	return r;
}

/* The folder that a plug-in is in, as dlopen() will find it: one without a slash is a system library. */
static int allow_folder(int rules, const char *plugin)
{
	char path[PATH_MAX], *slash;

	if (strchr(plugin, '/') == NULL)
		return 0;
	if (realpath(plugin, path) == NULL)
		return dx_errno();
	slash = strrchr(path, '/');
	slash[slash == path] = '\0';
	return allow(rules, path);
}

static int allow_all(int rules, const struct dx_sandbox_params *params, struct dsmx_error *err)
{
	int r;

	for (size_t i = 0; system_paths[i] != NULL; i++)
		(void)allow(rules, system_paths[i]); /* not every system has each */
	for (size_t i = 0; params->plugins[i] != NULL; i++) {
		r = allow_folder(rules, params->plugins[i]);
		if (r != 0)
			return dx_error(err, r, "plug-in %s: %s", params->plugins[i],
			                dx_strerror(r));
	}
	for (size_t i = 0; params->read_paths[i] != NULL; i++) {
		r = allow(rules, params->read_paths[i]);
		if (r != 0)
			return dx_error(err, r, "read_paths: %s: %s", params->read_paths[i],
			                dx_strerror(r));
	}
	return 0;
}

static const char *advice(int code)
{
	if (code == -EPERM)
		return "a seccomp filter that this process is under forbids it";
	return "this kernel has none: CONFIG_SECURITY_LANDLOCK, and \"landlock\" in its lsm= "
	       "parameter";
}

int dx_landlock_rules(const struct dx_sandbox_params *params, bool *ret_scoped,
                      struct dsmx_error *err)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	                   (long)LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset attr = { .fs = FS_ABI_1 | (abi >= 2 ? FS_ABI_2 : 0) |
		                      (abi >= 3 ? FS_ABI_3 : 0) | (abi >= 5 ? FS_ABI_5 : 0),
		                .net = abi >= 4 ? NET_ABI_4 : 0,
		                .scoped = abi >= 6 ? SCOPE_ABI_6 : 0 };
	size_t size = abi >= 6   ? sizeof(attr)
	              : abi >= 4 ? offsetof(struct ruleset, scoped)
	                         : offsetof(struct ruleset, net);
	int rules = abi > 0 ? (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0) : -1, r;

	if (rules < 0) {
		r = dx_errno();
		(void)dx_error(err, r, "Landlock: %s; %s", dx_strerror(r), advice(r));
		return -EOPNOTSUPP;
	}
	r = allow_all(rules, params, err);
	if (r != 0) {
		(void)close(rules);
		return r;
	}
	*ret_scoped = attr.scoped != 0;
	return rules;
}

int dx_landlock_enter(int rules, struct dsmx_error *err)
{
	int r = syscall(SYS_landlock_restrict_self, rules, 0) == 0 ? 0 : dx_errno();

	(void)close(rules);
	return r == 0 ? 0 : dx_error(err, r, "Landlock: %s", dx_strerror(r));
}
