/* SPDX-License-Identifier: MIT */
/*
 * processes.h - for tests that look at a session's processes from outside
 *
 * The test's program is its own supervisor and worker: its main() sets self_path and calls dsmx_worker_main().
 */
#ifndef DX_SELFTESTS_PROCESSES_H
#define DX_SELFTESTS_PROCESSES_H

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "harness.h"
#include "session/session.h"

#define SOON_MS (1000U * harness_slow())

static char self_path[PATH_MAX];

struct log {
	int notices;
	char text[4096];
};

static inline void keep_log(void *data, enum dsmx_log_level level, const char *message)
{
	struct log *log = data;
	size_t len = strlen(log->text);

	log->notices += level == DSMX_LOG_NOTICE;
	(void)snprintf(log->text + len, sizeof(log->text) - len, "%s\n", message);
}

static inline struct dsmx_session_options options_of(uint32_t workers, struct log *log)
{
	return (struct dsmx_session_options){ .size = sizeof(struct dsmx_session_options),
		                              .workers = workers,
		                              .data_bytes = 4 << 20,
		                              .worker_path = self_path,
		                              .start_timeout_ms = harness_start_ms(),
		                              .restart = DSMX_RESTART_NEVER,
		                              .log = log != NULL ? keep_log : NULL,
		                              .log_data = log };
}

/* Processes that carry the session's id in their arguments. */
static inline int count_processes(uint64_t id)
{
	char hex[20], path[300], args[256];
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int count = 0, fd;

	(void)snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)id);
	while ((entry = readdir(dir)) != NULL) {
		ssize_t n = 0;

		(void)snprintf(path, sizeof(path), "/proc/%.20s/cmdline", entry->d_name);
		fd = entry->d_name[0] >= '1' && entry->d_name[0] <= '9'
		             ? open(path, O_RDONLY | O_CLOEXEC)
		             : -1;
		if (fd >= 0) {
			n = read(fd, args, sizeof(args) - 1);
			(void)close(fd);
		}
		args[n > 0 ? n : 0] = '\0';
		count += strstr(args, hex) != NULL;
	}
	(void)closedir(dir);
	return count;
}

/* Mappings of this process that are segments. */
static inline int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int count = 0;

	while (fgets(line, sizeof(line), maps) != NULL)
		count += strstr(line, "dsmx-") != NULL;
	(void)fclose(maps);
	return count;
}

static inline bool is_dir(const char *path)
{
	struct stat st;

	return path[0] != '\0' && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static inline bool groups_gone(const struct dx_cgroup *group)
{
	return !is_dir(group->v2) && !is_dir(group->v1[DX_V1_MEMORY]);
}

/* The end of a process within a second of now. */
static inline bool ends_soon(int pidfd)
{
	return pidfd >= 0 && dx_pidfd_wait(pidfd, dx_now_ns() + SOON_MS * DX_NS_PER_MS) == 0;
}

static inline void find_self(void)
{
	ssize_t n = readlink("/proc/self/exe", self_path, sizeof(self_path) - 1);

	self_path[n > 0 ? n : 0] = '\0';
}

/* This program once more, with these arguments: *ret_out is what it says. Returns its pid, or a number below 0. */
static inline pid_t start_self(char *const *argv, int *ret_out)
{
	int out[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) != 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		(void)dup2(out[1], STDOUT_FILENO);
		(void)execv(self_path, argv);
		_exit(9);
	}
	(void)close(out[1]);
	if (pid < 0)
		(void)close(out[0]);
	*ret_out = out[0];
	return pid;
}

#endif /* DX_SELFTESTS_PROCESSES_H */
