/* SPDX-License-Identifier: MIT */
/*
 * process.c - start a test file, wait for it, and end what it leaves behind
 *
 * It gets a session of its own, no input, and an empty TMPDIR; what it writes goes into a file in memory and is
 * read when it has ended, so that a process that keeps the descriptor open delays nobody.
 *
 * This process is a child subreaper: it inherits every process that the file's processes leave behind, whatever
 * session they are in. They get a moment to end by themselves, as a supervisor does that cleans up after its
 * leader; then they are named, counted and killed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

#define LEFT_BEHIND_GRACE_MS 3000

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int count_left(const char *path, struct file_run *file)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int found = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (found++ < 10)
			say(file, "# left in TMPDIR: %s\n", entry->d_name);
	}
	if (dir != NULL)
		(void)closedir(dir);
	return found;
}

static void remove_dir(const char *path)
{
	pid_t child = fork();

	if (child == 0) {
		(void)execlp("rm", "rm", "-rf", path, (char *)NULL);
		_exit(127);
	}
	if (child > 0)
		(void)waitpid(child, NULL, 0);
}

/* Names and, with @sig, signals each child of this process. */
static int each_child(struct file_run *file, int sig)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int found = 0;

	while (proc != NULL && (entry = readdir(proc)) != NULL) {
		char path[300], name[64] = "?", state = '?';
		int pid = atoi(entry->d_name), parent = 0;
		FILE *stat_file;

		if (pid <= 0)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		stat_file = fopen(path, "re");
		if (stat_file == NULL)
			continue;
		if (fscanf(stat_file, "%*d (%63[^)]) %c %d", name, &state, &parent) == 3 &&
		    parent == getpid() && state != 'Z') {
			found++;
			if (file != NULL)
				say(file, "# left running: %s, pid %d\n", name, pid);
			if (sig != 0)
				(void)kill(pid, sig);
		}
		(void)fclose(stat_file);
	}
	if (proc != NULL)
		(void)closedir(proc);
	return found;
}

/* Reaps until nobody is left or @until; true if nobody is. SIGINT and SIGTERM end it early. */
static bool reap_until(double until, pid_t main_child, int *ret_status, int *ret_signal)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	for (;;) {
		double left = until - now_s();
		struct timespec wait = { .tv_sec = (time_t)left,
			                 .tv_nsec = (long)((left - (double)(time_t)left) * 1e9) };
		int status, sig;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid < 0)
			return true;
		if (pid > 0 && pid == main_child) {
			*ret_status = status;
			return false;
		}
		if (pid > 0)
			continue;
		if (left <= 0)
			return false;
		sig = sigtimedwait(&set, NULL, &wait);
		if (sig == SIGINT || sig == SIGTERM) {
			*ret_signal = sig;
			return false;
		}
	}
}

static pid_t start(const struct file_run *file, int output)
{
	pid_t child = fork();
	sigset_t none;

	if (child != 0)
		return child;
	(void)setsid();
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (getenv("DSMX_VARIANT") != NULL && strcmp(getenv("DSMX_VARIANT"), "tsan") == 0)
		(void)personality(ADDR_NO_RANDOMIZE); /* its shadow does not fit every layout */
	(void)setenv("TMPDIR", file->tmpdir, 1);
	if (dup2(open("/dev/null", O_RDONLY), STDIN_FILENO) < 0 ||
	    dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		_exit(126);
	(void)close_range(3, ~0U, 0);
	(void)execl(file->path, file->path, (char *)NULL);
	fprintf(stderr, "%s: %s\n", file->path, strerror(errno));
	_exit(127);
}

static char *read_all(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);

	for (off_t at = 0; text != NULL && at < size;) {
		ssize_t n = pread(fd, text + at, (size_t)(size - at), at);

		if (n <= 0)
			break;
		at += n;
	}
	for (off_t at = 0; text != NULL && at < size; at++) {
		if (text[at] == '\0')
			text[at] = '?';
	}
	return text;
}

/* Ends everything that is left of a file; a process that cannot die is not waited for. */
static void kill_rest(void)
{
	double until = now_s() + 10;
	int status, ended_by;

	do {
		(void)each_child(NULL, SIGKILL);
	} while (!reap_until(now_s() + 0.1, 0, &status, &ended_by) && now_s() < until);
}

int process_run(struct file_run *file, int timeout_s)
{
	const char *tmp = getenv("TMPDIR");
	int output = memfd_create("tap", MFD_CLOEXEC), ended_by = 0;
	double began = now_s();
	pid_t child;

	(void)snprintf(file->tmpdir, sizeof(file->tmpdir), "%s/dsmx-selftest.XXXXXX",
	               tmp != NULL ? tmp : "/tmp");
	if (output < 0 || mkdtemp(file->tmpdir) == NULL || (child = start(file, output)) < 0) {
		perror("run");
		exit(2);
	}
	file->status = -1;
	(void)reap_until(began + timeout_s, child, &file->status, &ended_by);
	file->interrupted = ended_by != 0;
	file->late = file->status == -1 && !file->interrupted;
	if (file->status != -1) {
		int status;

		(void)reap_until(now_s() + LEFT_BEHIND_GRACE_MS / 1e3, 0, &status, &ended_by);
		file->left_behind = each_child(file, 0);
	}
	kill_rest();
	file->seconds = now_s() - began;
	file->output = read_all(output);
	(void)close(output);
	file->left_behind += count_left(file->tmpdir, file);
	remove_dir(file->tmpdir);
	return ended_by;
}
