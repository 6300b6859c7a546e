/* SPDX-License-Identifier: MIT */
/*
 * tracer.h - dsmx-trace as a child of a test
 */
#ifndef DX_SELFTESTS_TRACER_H
#define DX_SELFTESTS_TRACER_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <sys/wait.h>

#include "dsmx/exec.h"
#include "harness.h"

#ifndef DSMX_TOP
#define DSMX_TOP "."
#endif

static inline const char *built(const char *name, char path[PATH_MAX])
{
	const char *build = getenv("DSMX_BUILD");

	(void)snprintf(path, PATH_MAX, "%s/%s", build != NULL ? build : DSMX_TOP "/build/release",
	               name);
	return path;
}

/* The words of @text, which is cut up. */
static inline void tracer_words(char *text, char **words, int room)
{
	int count = 0;

	for (char *word = strtok(text, " "); word != NULL && count + 1 < room;
	     word = strtok(NULL, " "))
		words[count++] = word;
	words[count] = NULL;
}

/* Read what it says until it watches. */
static inline bool tracer_await(int fd)
{
	char said[512] = "";
	size_t len = 0;
	ssize_t n;

	while (strstr(said, "watching") == NULL && len + 1 < sizeof(said) &&
	       (n = read(fd, said + len, sizeof(said) - 1 - len)) > 0)
		said[len += (size_t)n] = '\0';
	if (strstr(said, "watching") != NULL)
		return true;
	printf("# %.200s\n", said);
	return false;
}

/*
 * Start `dsmx-trace COMMAND`, words with blanks between them, (and -o @output, if any) and wait until it watches.
 * Returns its process id, or 0.
 */
static inline pid_t tracer_start(const char *command, const char *output, int *ret_status)
{
	char path[PATH_MAX], line[3 * PATH_MAX], *argv[64];
	posix_spawn_file_actions_t actions;
	pid_t pid = 0;
	int pipes[2];

	(void)snprintf(line, sizeof(line), "%s %s%s%s", built("dsmx-trace", path), command,
	               output != NULL ? " -o " : "", output != NULL ? output : "");
	tracer_words(line, argv, 64);
	if (pipe2(pipes, O_CLOEXEC) != 0)
		return 0;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], 2);
	if (posix_spawn(&pid, path, &actions, NULL, argv, environ) != 0)
		pid = 0;
	posix_spawn_file_actions_destroy(&actions);
	(void)close(pipes[1]);
	if (pid > 0 && !tracer_await(pipes[0])) {
		(void)waitpid(pid, ret_status, 0);
		pid = 0;
	}
	(void)close(pipes[0]);
	return pid;
}

static inline void tracer_stop(pid_t pid, int signal)
{
	int status;

	(void)kill(pid, signal);
	(void)waitpid(pid, &status, 0);
}

/* SKIP() where probes cannot be set. */
#define TRACER_START(pid, command, output)                                                         \
	do {                                                                                       \
		int status_ = 0;                                                                   \
		(pid) = tracer_start(command, output, &status_);                                   \
		if ((pid) == 0) {                                                                  \
			CHECK(WIFEXITED(status_));                                                 \
			CHECK(WEXITSTATUS(status_) == 3 || WEXITSTATUS(status_) == 4);             \
			SKIP("no permission to load BPF programs, or none were built");            \
		}                                                                                  \
	} while (0)

/* An operator that passes rows on. */
static inline int pass_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                            struct dsmx_batch *ret_batch)
{
	(void)state;
	return input->ops->poll_next(input, cx, ret_batch);
}

static inline int pass_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                            struct dsmx_operator **inputs, uint32_t input_count,
                            struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Pass", pass_next, NULL };

	(void)bytes, (void)len, (void)err;
	return input_count == 1 ? dsmx_simple_new(&ops, NULL, output, inputs[0], ret_operator)
	                        : -EINVAL;
}

#endif /* DX_SELFTESTS_TRACER_H */
