/* SPDX-License-Identifier: MIT */
/*
 * session.c - dsmx-bench session: open, by step, a query of one row, close, bytes; by the number of workers
 *
 * The limit of opening: as many processes that start and end, one after the other, and as much memory populated with
 * 4 KiB pages. All are of this program, whose pages are in the cache.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine.h"

static const char *const step_names[DSMX_OPEN_STEPS] = {
	[DSMX_OPEN_SPAWN] = "spawn",
	[DSMX_OPEN_MEMORY] = "memory",
	[DSMX_OPEN_WORKERS] = "workers",
	[DSMX_OPEN_INTRODUCE] = "introduce",
};

/* What cannot be avoided: @processes that start and end, @bytes of memory that are there. */
static int least_ns(uint32_t processes, uint64_t bytes, double *ret_ns)
{
	static char name[] = "dsmx-bench", help[] = "--help";
	char *argv[] = { name, help, NULL };
	uint64_t start_ns = dx_now_ns();
	posix_spawn_file_actions_t actions;
	void *memory;
	int r = 0;

	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
	for (uint32_t i = 0; r == 0 && i < processes; i++) {
		pid_t pid;

		r = -posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ);
		if (r == 0)
			(void)waitpid(pid, NULL, 0);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	              MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	*ret_ns = (double)(dx_now_ns() - start_ns);
	(void)munmap(memory, bytes);
	return r;
}

static void add(struct bench *bench, uint32_t workers, const char *what, const char *unit,
                double value, double limit)
{
	char text[48];

	snprintf(text, sizeof(text), "session/%u/%s", workers, what);
	bench_add(bench, text, unit, value, limit);
}

static int session_of(struct bench *bench, uint32_t workers)
{
	struct dsmx_session_options options = engine_options(bench, workers);
	struct dsmx_session_estimate estimate;
	struct dsmx_session_info info;
	struct dsmx_query_stats stats;
	struct dsmx_session *session;
	uint64_t start_ns, query_ns, least = UINT64_MAX;
	double limit = 0;
	char text[32];
	int r = dsmx_session_estimate(&options, &estimate, NULL);

	if (r == 0)
		r = least_ns(workers > 0 ? workers + 1 : 0, estimate.total_bytes, &limit);
	if (r == 0)
		r = engine_open(bench, workers, &session);
	if (r < 0)
		return r;
	dsmx_session_info(session, &info);
	for (int i = 0; r == 0 && i < ENGINE_QUERIES; i++) {
		r = engine_one_row(session, &query_ns, &stats);
		least = query_ns < least ? query_ns : least;
	}
	start_ns = dx_now_ns();
	dsmx_session_close(session);
	add(bench, workers, "open", "ms", (double)info.open_ns / 1e6, limit / 1e6);
	for (int i = 0; i < DSMX_OPEN_STEPS && workers > 0; i++) {
		snprintf(text, sizeof(text), "open/%s", step_names[i]);
		add(bench, workers, text, "ms", (double)info.open_step_ns[i] / 1e6, 0);
	}
	add(bench, workers, "close", "ms", (double)(dx_now_ns() - start_ns) / 1e6, 0);
	add(bench, workers, "query", "us", (double)least / 1e3, 0);
	add(bench, workers, "memory", "MiB", (double)estimate.total_bytes / (1 << 20), 0);
	return r;
}

int session_round(struct bench *bench)
{
	static const uint32_t some[] = { 0, 1, 2, 4, 8 };
	int r = 0;

	if (bench->workers_given)
		return session_of(bench, bench->workers);
	for (size_t i = 0; r == 0 && i < sizeof(some) / sizeof(some[0]); i++)
		r = session_of(bench, some[i]);
	return r;
}
