/* SPDX-License-Identifier: MIT */
/*
 * Does tracing change what is traced? Linux 6.18 pushes a return address onto the stack of a probed function. A
 * function that has a variable there loses it: that is shown first, with a probe placed wrongly, so that the test of
 * our own probes is known to be able to fail.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/probe.h"
#include "dsmx-trace/note.h"
#include "harness.h"

#define CALLS 20000U

struct tracer {
	pid_t pid;
	int status; /* its exit status, if it has left */
};

/* Start dsmx-trace and wait until it watches, or leaves. */
static bool start(struct tracer *tracer)
{
	const char *build = getenv("DSMX_BUILD");
	char path[PATH_MAX], said[256] = "";
	char *argv[] = { path, (char[]){ "follow" }, NULL };
	posix_spawn_file_actions_t actions;
	size_t len = 0;
	ssize_t n;
	int pipes[2];

	(void)snprintf(path, sizeof(path), "%s/dsmx-trace",
	               build != NULL ? build : DSMX_TOP "/build/release");
	if (pipe2(pipes, O_CLOEXEC) != 0)
		return false;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], 2);
	if (posix_spawn(&tracer->pid, path, &actions, NULL, argv, environ) != 0)
		tracer->pid = -1;
	posix_spawn_file_actions_destroy(&actions);
	(void)close(pipes[1]);
	while (strstr(said, "watching") == NULL && len + 1 < sizeof(said) &&
	       (n = read(pipes[0], said + len, sizeof(said) - 1 - len)) > 0)
		said[len += (size_t)n] = '\0';
	(void)close(pipes[0]);
	return strstr(said, "watching") != NULL;
}

static void stop(struct tracer *tracer)
{
	(void)kill(tracer->pid, SIGKILL);
	(void)waitpid(tracer->pid, &tracer->status, 0);
}

/* SKIP() where probes cannot be set. */
#define START(tracer)                                                                              \
	do {                                                                                       \
		if (!start(tracer)) {                                                              \
			int status_ = 0;                                                           \
			(void)waitpid((tracer)->pid, &status_, 0);                                 \
			CHECK(WIFEXITED(status_));                                                 \
			CHECK(WEXITSTATUS(status_) == 3 || WEXITSTATUS(status_) == 4);             \
			SKIP("no permission to load BPF programs, or none were built");            \
		}                                                                                  \
	} while (0)

/* How many of CALLS lose what they keep in the red zone. */
static uint32_t count_lost(uint64_t (*leaf)(uint64_t))
{
	uint32_t lost = 0;

	for (uint64_t i = 0; i < CALLS; i++)
		lost += leaf(0x1122334455667788ULL + i) != 0x1122334455667788ULL + i;
	return lost;
}

TEST(redzone_control,
     "a probe in a leaf function loses its variable where the kernel pushes: the trap is real")
{
	uint64_t (*leaf)(uint64_t);
	struct tracer tracer = { .pid = -1 };
	const char *build = getenv("DSMX_BUILD");
	char path[PATH_MAX];
	uint32_t lost;
	void *plugin;

	(void)snprintf(path, sizeof(path), "%s/selftests/redzone_plugin.so",
	               build != NULL ? build : DSMX_TOP "/build/release");
	plugin = dlopen(path, RTLD_NOW);
	CHECK(plugin != NULL);
	*(void **)&leaf = dlsym(plugin, "redzone_leaf");
	CHECK(leaf != NULL);
	CHECK_EQ(count_lost(leaf), 0);
	START(&tracer);
	lost = count_lost(leaf);
	stop(&tracer);
	printf("# %u of %u lost\n", lost, CALLS);
	if (note_best_site() == NOTE_CALL5)
		CHECK(lost > CALLS / 2);
	else
		CHECK_EQ(lost, 0);
	CHECK_EQ(dlclose(plugin), 0);
}

/* Everything a leaf could have in registers, on its stack and below it, around a probe. */
static uint32_t around_probe(uint64_t seed)
{
	uint64_t canary[32], x = seed, y = seed * 3, z = seed * 7;
	uint32_t lost = 0;

	for (uint32_t i = 0; i < 32; i++)
		canary[i] = seed * (i + 1);
	DX_PROBE(ss_cancel, seed, x, y, z, 5, 6);
	for (uint32_t i = 0; i < 32; i++)
		lost += canary[i] != seed * (i + 1);
	return lost + (x != seed) + (y != seed * 3) + (z != seed * 7);
}

TEST(redzone_ours,
     "our own probes, traced, change nothing in their callers, and are all seen to be on")
{
	struct tracer tracer = { .pid = -1 };
	uint32_t lost = 0, on = 0;
	uint64_t deadline_ns;

	START(&tracer);
	for (uint32_t i = 0; i < CALLS; i++) {
		on += DX_PROBE_ON(ss_cancel) ? 1 : 0;
		lost += around_probe(i + 1);
	}
	stop(&tracer);
	CHECK_EQ(on, CALLS);
	CHECK_EQ(lost, 0);
	/* Killed: the kernel takes the probes away, and the semaphores down. */
	deadline_ns = dx_now_ns() + 5 * DX_NS_PER_S;
	while (DX_PROBE_ON(ss_cancel) && dx_now_ns() < deadline_ns)
		(void)usleep(1000);
	CHECK_EQ(DX_PROBE_ON(ss_cancel), 0);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
