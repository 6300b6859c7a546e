/* SPDX-License-Identifier: MIT */
/*
 * machine.c - what this machine lacks, and what may be skipped for it
 *
 * A list of skips has lines "KIND PATTERN": on a machine of that kind, what matches the pattern may be skipped.
 * Whether the machine is of a kind is looked up here and not believed of the test, so that a test that wrongly
 * thinks that it cannot run is a failure.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner.h"

#define SKIPS_MAX 128

struct skips {
	int count;
	struct skip {
		char kind[32];
		char pattern[160];
	} lines[SKIPS_MAX];
};

/* --- kinds of machine ------------------------------------------------------------------------------ */

static bool not_root(void)
{
	return geteuid() != 0;
}

static bool no_hugepages(void)
{
	FILE *meminfo = fopen("/proc/meminfo", "re");
	char line[128];
	int free_pages = 0;

	while (meminfo != NULL && fgets(line, sizeof(line), meminfo) != NULL)
		(void)sscanf(line, "HugePages_Free: %d", &free_pages);
	if (meminfo != NULL)
		(void)fclose(meminfo);
	return free_pages < 16;
}

/* io_uring with its futex operations came in 6.7. */
static bool no_uring_futex(void)
{
	struct utsname name;
	int major = 0, minor = 0;
	char disabled = '0';
	int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (read(fd, &disabled, 1) != 1)
			disabled = '0';
		(void)close(fd);
	}
	(void)uname(&name);
	(void)sscanf(name.release, "%d.%d", &major, &minor);
	if (major < 6 || (major == 6 && minor < 7) || disabled == '2' ||
	    (disabled == '1' && geteuid() != 0))
		return true;
	/* A container's seccomp filter says EPERM or ENOSYS; a NULL argument is EFAULT where it works. */
	return syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno != EFAULT;
}

static bool no_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) <= 0; /* 1: its version */
}

/* For an ordinary user, whoever this is. */
static bool no_userns(void)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		if (geteuid() == 0)
			(void)!setresuid(65534, 65534, 65534);
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

static bool no_cgroup(void)
{
	return access("/sys/fs/cgroup/cgroup.procs", W_OK) != 0 &&
	       access("/sys/fs/cgroup/unified/cgroup.procs", W_OK) != 0;
}

static bool no_cgroup_v1(void)
{
	return access("/sys/fs/cgroup/memory/tasks", W_OK) != 0;
}

/* The memory controller is of version 1, or there is none. */
static bool no_memory_v2(void)
{
	static const char *const lists[] = { "/sys/fs/cgroup/cgroup.controllers",
		                             "/sys/fs/cgroup/unified/cgroup.controllers" };
	char text[256] = "";

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		FILE *file = fopen(lists[i], "re");

		if (file == NULL)
			continue;
		if (fgets(text, sizeof(text), file) == NULL)
			text[0] = '\0';
		(void)fclose(file);
		if (strstr(text, "memory") != NULL)
			return false;
	}
	return true;
}

static bool one_node(void)
{
	return access("/sys/devices/system/node/node1", F_OK) != 0;
}

/* Nothing that bytes a second could be limited of. */
static bool no_disk(void)
{
	struct stat st;

	return stat("/var/tmp", &st) != 0 || major(st.st_dev) == 0;
}

static bool in_chroot(void)
{
	struct stat ours, inits;

	return stat("/", &ours) != 0 || stat("/proc/1/root/.", &inits) != 0 ||
	       ours.st_dev != inits.st_dev || ours.st_ino != inits.st_ino;
}

/* As in a chroot whose processes are the only ones: what is mounted cannot be kept from everybody else's view. */
static bool root_no_mount(void)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[4096], at[256];
	bool found = false;

	while (mounts != NULL && fgets(line, sizeof(line), mounts) != NULL)
		found |= sscanf(line, "%*s %*s %*s %*s %255s", at) == 1 && strcmp(at, "/") == 0;
	if (mounts != NULL)
		(void)fclose(mounts);
	return !found;
}

/* Another user cannot reach what was built: some directory above is closed to others. */
static bool private_tree(void)
{
	char path[4096];
	struct stat st;

	if (getcwd(path, sizeof(path)) == NULL)
		return true;
	for (char *slash = path + strlen(path); slash != NULL; slash = strrchr(path, '/')) {
		*slash = '\0';
		if (stat(path[0] != '\0' ? path : "/", &st) != 0 || (st.st_mode & S_IXOTH) == 0)
			return true;
	}
	return false;
}

static bool sanitized(void)
{
	const char *variant = getenv("DSMX_VARIANT");

	return variant != NULL && (strcmp(variant, "asan") == 0 || strcmp(variant, "tsan") == 0);
}

/* No leave to load BPF programs, or nothing to build them with. */
static bool no_bpf(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
	};
	long fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));

	if (fd >= 0)
		close((int)fd);
	return fd < 0 || access("/usr/include/bpf/libbpf.h", R_OK) != 0 ||
	       (access("/usr/sbin/bpftool", X_OK) != 0 && access("/usr/bin/bpftool", X_OK) != 0);
}

static bool no_tools(void)
{
	return access("/usr/bin/jq", X_OK) != 0 || access("/usr/bin/tmux", X_OK) != 0 ||
	       access("/usr/bin/gdb", X_OK) != 0;
}

static const struct kind {
	const char *name;
	bool (*holds)(void);
} kinds[] = {
	{ "not-root", not_root },
	{ "no-hugepages", no_hugepages },
	{ "no-uring-futex", no_uring_futex },
	{ "no-cgroup", no_cgroup },
	{ "no-cgroup-v1", no_cgroup_v1 },
	{ "no-memory-v2", no_memory_v2 },
	{ "one-node", one_node },
	{ "no-disk", no_disk },
	{ "chroot", in_chroot },
	{ "root-no-mount", root_no_mount },
	{ "private-tree", private_tree },
	{ "sanitized", sanitized },
	{ "no-bpf", no_bpf },
	{ "no-tools", no_tools },
	{ "no-landlock", no_landlock },
	{ "no-userns", no_userns },
};

/* "without-PROGRAM": a machine that has no such program. */
#define WITHOUT "without-"

static bool has_program(const char *name)
{
	static const char *const dirs[] = { "/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin" };
	char path[128];

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dirs[i], name);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	}
	return NULL;
}

static bool is_kind(const char *name)
{
	return find_kind(name) != NULL || strncmp(name, WITHOUT, strlen(WITHOUT)) == 0;
}

static bool is_of_kind(const char *name)
{
	const struct kind *kind = find_kind(name);

	return kind != NULL ? kind->holds() : !has_program(name + strlen(WITHOUT));
}

/* --- the list -------------------------------------------------------------------------------------- */

/* "KIND PATTERN", a comment, or nothing. */
static bool read_line(struct skips *skips, const char *text)
{
	struct skip *skip = &skips->lines[skips->count];

	text += strspn(text, " \t");
	if (*text == '\0' || *text == '\n' || *text == '#')
		return true;
	if (skips->count == SKIPS_MAX ||
	    sscanf(text, "%31s %159[^\n]", skip->kind, skip->pattern) != 2 || !is_kind(skip->kind))
		return false;
	skips->count++;
	return true;
}

struct skips *skips_read(const char *path)
{
	struct skips *skips = calloc(1, sizeof(*skips));
	FILE *in = fopen(path, "re");
	char line[256];
	bool ok = skips != NULL && in != NULL;

	if (!ok)
		fprintf(stderr, "run: %s: %s\n", path, strerror(errno));
	for (int number = 1; ok && fgets(line, sizeof(line), in) != NULL; number++) {
		ok = read_line(skips, line);
		if (!ok)
			fprintf(stderr,
			        "run: %s:%d: not \"KIND PATTERN\" with a known kind, or one too many\n",
			        path, number);
	}
	if (in != NULL)
		(void)fclose(in);
	if (ok)
		return skips;
	free(skips);
	return NULL;
}

void skips_free(struct skips *skips)
{
	free(skips);
}

bool skips_allow(const struct skips *skips, const char *what)
{
	for (int i = 0; skips != NULL && i < skips->count; i++) {
		const struct skip *skip = &skips->lines[i];

		if (fnmatch(skip->pattern, what, 0) == 0 && is_of_kind(skip->kind))
			return true;
	}
	return false;
}
