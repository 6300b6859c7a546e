/* SPDX-License-Identifier: MIT */
/*
 * session.c - dsmx-bench session: open, by step, a query of one row, close, bytes; by the number of workers
 *
 * The sessions are as those of any application: their workers are dsmx-worker, found beside this program. This program
 * would be the worse worker: it is linked with all the queues that `ring` compares, whose libraries take longer to load
 * than the rest of a worker's start. So the one row is of what every worker knows: a scan of an Arrow file, in worker 0,
 * through one exchange. It is compared with the same query without workers, which never leaves the process.
 *
 * The limit of opening: as many processes of the same program that start and end, one after the other, and as much
 * memory populated with 4 KiB pages. All pages of the program are in the cache.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "dsmx/ipc.h"
#include "engine.h"

#define QUERIES 20U /* of one row, in a session */

static const char *const step_names[DSMX_OPEN_STEPS] = {
	[DSMX_OPEN_SPAWN] = "spawn",
	[DSMX_OPEN_MEMORY] = "memory",
	[DSMX_OPEN_WORKERS] = "workers",
	[DSMX_OPEN_INTRODUCE] = "introduce",
};

/* --- one row --------------------------------------------------------------------------------------------------- */

static int write_row(int fd)
{
	static const int64_t value = 42;
	static const struct dsmx_field field = { "value", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	struct dsmx_column column = { .values = &value };
	const struct dsmx_batch batch = {
		.length = 1, .selected = 1, .column_count = 1, .columns = &column
	};
	struct dsmx_ipc_writer *writer;
	int r = dsmx_ipc_writer_new(fd, DSMX_IPC_FILE, &schema, NULL, &writer, NULL);

	if (r < 0)
		return r;
	r = dsmx_ipc_write(writer, &batch, NULL);
	if (r < 0) {
		dsmx_ipc_abandon(writer);
		return r;
	}
	return dsmx_ipc_finish(writer, NULL);
}

/* A file of one row, under a new name that is written into @path. */
static int make_file(char *path)
{
	int fd = mkstemp(path);
	int r = fd < 0 ? -errno : write_row(fd);

	if (fd >= 0)
		close(fd);
	if (r < 0)
		fprintf(stderr, "dsmx-bench: cannot write %s\n", path);
	return r;
}

/* Median time of the query, from its start to its end. */
static int one_row(struct dsmx_session *session, const char *path, double *ret_us)
{
	double us[QUERIES];
	struct dsmx_query_stats stats;
	uint64_t ns;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < QUERIES; i++) {
		struct dsmx_plan *plan;

		if (dsmx_plan_new(&plan) != 0)
			return -ENOMEM;
		r = engine_run(session, plan,
		               dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER,
		                                 dsmx_rel_scan(plan, path, NULL, 0), NULL, 0, 1,
		                                 NULL),
		               &ns, &stats);
		us[i] = (double)ns / 1e3;
		if (r == 0 && stats.ring_rows + stats.local_rows != 1) {
			fputs("dsmx-bench: the query has not its one row\n", stderr);
			r = -EIO;
		}
	}
	if (r == 0)
		*ret_us = bench_median(us, QUERIES);
	return r;
}

/* --- sessions -------------------------------------------------------------------------------------------------- */

/* What cannot be avoided: @processes of @program that start and end, @bytes of memory that are there. */
static int least_ns(char *program, uint32_t processes, uint64_t bytes, double *ret_ns)
{
	static char help[] = "--help";
	char *argv[] = { program, help, NULL };
	uint64_t start_ns = dx_now_ns();
	posix_spawn_file_actions_t actions;
	void *memory;
	int r = 0;

	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
	for (uint32_t i = 0; r == 0 && i < processes; i++) {
		pid_t pid;

		r = -posix_spawn(&pid, program, &actions, NULL, argv, environ);
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

/* The program that the session runs on: the library has found it. */
static int program_of(const struct dsmx_session_info *info, char program[PATH_MAX])
{
	char link[32];
	ssize_t n;

	program[0] = '\0';
	if (info->workers == 0)
		return 0;
	snprintf(link, sizeof(link), "/proc/%d/exe", info->supervisor_pid);
	n = readlink(link, program, PATH_MAX - 1);
	program[n > 0 ? n : 0] = '\0';
	return n > 0 ? 0 : -errno;
}

static void add(struct bench *bench, uint32_t workers, const char *what, const char *unit,
                double value, double limit)
{
	char text[48];

	snprintf(text, sizeof(text), "session/%u/%s", workers, what);
	bench_add(bench, text, unit, value, limit);
}

/* The session's life, and what it is compared with. @alone_us: the query without workers; 0: this is that. */
static int session_of(struct bench *bench, uint32_t workers, const char *path, double alone_us,
                      double *ret_query_us)
{
	const char *const paths[] = { path, NULL };
	struct dsmx_session_options options = engine_options(bench, workers);
	struct dsmx_session_estimate estimate;
	struct dsmx_session_info info;
	struct dsmx_session *session;
	char text[32], program[PATH_MAX];
	uint64_t start_ns;
	double limit = 0, close_ms;
	int r;

	options.read_paths = paths;
	r = dsmx_session_estimate(&options, &estimate, NULL);
	if (r == 0)
		r = engine_open_with(&options, &session);
	if (r < 0)
		return r;
	dsmx_session_info(session, &info);
	r = program_of(&info, program);
	if (r == 0)
		r = one_row(session, path, ret_query_us);
	start_ns = dx_now_ns();
	dsmx_session_close(session);
	close_ms = (double)(dx_now_ns() - start_ns) / 1e6;
	if (r == 0)
		r = least_ns(program, workers > 0 ? workers + 1 : 0, estimate.total_bytes, &limit);
	if (r < 0)
		return r;
	add(bench, workers, "open", "ms", (double)info.open_ns / 1e6, limit / 1e6);
	for (int i = 0; i < DSMX_OPEN_STEPS && workers > 0; i++) {
		snprintf(text, sizeof(text), "open/%s", step_names[i]);
		add(bench, workers, text, "ms", (double)info.open_step_ns[i] / 1e6, 0);
	}
	add(bench, workers, "close", "ms", close_ms, 0);
	add(bench, workers, "query", "us", *ret_query_us, alone_us);
	if (workers > 0)
		add(bench, workers, "query/beyond 0 workers", "us", *ret_query_us - alone_us, 0);
	add(bench, workers, "memory", "MiB", (double)estimate.total_bytes / (1 << 20), 0);
	return 0;
}

int session_round(struct bench *bench)
{
	static const uint32_t some[] = { 1, 2, 4, 8 };
	char path[] = "/tmp/dsmx-bench-XXXXXX";
	double alone_us = 0, us;
	int r = make_file(path);

	if (r < 0)
		return r;
	r = session_of(bench, 0, path, 0, &alone_us);
	for (size_t i = 0; r == 0 && i < sizeof(some) / sizeof(some[0]) && !bench->workers_given;
	     i++)
		r = session_of(bench, some[i], path, alone_us, &us);
	if (r == 0 && bench->workers_given)
		r = session_of(bench, bench->workers, path, alone_us, &us);
	(void)unlink(path);
	return r;
}
