/* SPDX-License-Identifier: MIT */
/*
 * Does tracing change what is traced? Linux 6.18 pushes a return address onto the stack of a probed function. A
 * function that has a variable there loses it: that is shown first, with a probe placed wrongly, so that the test of
 * our own probes is known to be able to fail.
 */
#include <dlfcn.h>

#include "base/clock.h"
#include "base/probe.h"
#include "dsmx-trace/note.h"
#include "harness.h"
#include "tracer.h"

#define CALLS 20000U

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
	pid_t tracer;
	char path[PATH_MAX];
	uint32_t lost;
	void *plugin = dlopen(built("selftests/redzone_plugin.so", path), RTLD_NOW);

	CHECK(plugin != NULL);
	*(void **)&leaf = dlsym(plugin, "redzone_leaf");
	CHECK(leaf != NULL);
	CHECK_EQ(count_lost(leaf), 0);
	TRACER_START(tracer, "follow", NULL);
	lost = count_lost(leaf);
	tracer_stop(tracer, SIGKILL);
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
	pid_t tracer;
	uint32_t lost = 0, on = 0;
	uint64_t deadline_ns;

	TRACER_START(tracer, "follow", NULL);
	for (uint32_t i = 0; i < CALLS; i++) {
		on += DX_PROBE_ON(ss_cancel) ? 1 : 0;
		lost += around_probe(i + 1);
	}
	tracer_stop(tracer, SIGKILL);
	CHECK_EQ(on, CALLS);
	CHECK_EQ(lost, 0);
	/* Killed: the kernel takes the probes away, and the semaphores down. */
	deadline_ns = dx_now_ns() + 5 * DX_NS_PER_S;
	while (DX_PROBE_ON(ss_cancel) && dx_now_ns() < deadline_ns)
		(void)usleep(1000);
	CHECK_EQ(DX_PROBE_ON(ss_cancel), 0);
}

#if defined(__x86_64__)
/* All of them, as often as the kernel takes to make a call of one. */
static void fire_all(void)
{
	for (uint32_t i = 0; i < 100; i++) {
#define FIRE(name, args, meaning) DX_PROBE(name, 1, 2, 3, 4, 5, 6);
		DSMX_PROBES(FIRE)
#undef FIRE
	}
}

extern const unsigned char dx_probe_ss_cancel_site[];

TEST(redzone_fork, "a traced process forks, and its child and that one's child live on")
{
	int status = -1;
	pid_t tracer, pid;

	TRACER_START(tracer, "follow --all", NULL);
	fire_all();
	CHECK(DX_PROBE_ON(ss_cancel));
	if (note_best_site() == NOTE_CALL5)
		CHECK_EQ(dx_probe_ss_cancel_site[11], 0xe8);
	pid = fork();
	if (pid == 0) {
		fire_all();
		pid = fork();
		if (pid == 0) {
			fire_all();
			_exit(0);
		}
		(void)waitpid(pid, &status, 0);
		fire_all();
		_exit(status == 0 ? 0 : 1);
	}
	(void)waitpid(pid, &status, 0);
	CHECK(DX_PROBE_ON(ss_cancel));
	tracer_stop(tracer, SIGKILL);
	CHECK_EQ(status, 0);
}
#endif

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
