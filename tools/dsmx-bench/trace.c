/* SPDX-License-Identifier: MIT */
/*
 * trace.c - dsmx-bench trace: what probes cost
 *
 *	trace/probe/off		a loop with a probe that nobody has set, beside the same loop without it
 *	trace/cpu/...		time on a processor for each StartStream, of leader, workers and tracer together, with
 *				a tracer beside the same session without one; /added: the difference
 *	trace/batches/...	GB/s through a gather, with and without
 *
 * The tracers are `dsmx-trace hist -k`, which counts in the kernel, without and with the scheduler's times, and
 * `dsmx-trace record`, which takes every event, with them. Without leave to use BPF only the first line is measured.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/probe.h"
#include "engine.h"

#define LOOPS      20000000U
#define PARTITIONS 50
#define QUERIES    20
#define GATHERED   8000000 /* rows */

/* --- a probe that is off ---------------------------------------------------------------------------------------------- */

/* Something to do, and something that the compiler must not take out of the loop. */
#define STEP(x)                                                                                    \
	do {                                                                                       \
		(x) = (x) * 5 + 1;                                                                 \
		__asm__ volatile("" : "+r"(x)::"memory");                                          \
	} while (0)

static double bare_ns(void)
{
	uint64_t start_ns = dx_now_ns(), x = 1;

	for (uint32_t i = 0; i < LOOPS; i++)
		STEP(x);
	return (double)(dx_now_ns() - start_ns) / LOOPS;
}

static double probed_ns(void)
{
	uint64_t start_ns = dx_now_ns(), x = 1;

	for (uint32_t i = 0; i < LOOPS; i++) {
		STEP(x);
		DX_PROBE(ss_send, x, i, x + i, x ^ i, 5, 6);
	}
	return (double)(dx_now_ns() - start_ns) / LOOPS;
}

static void measure_off(struct bench *bench)
{
	double bare = bare_ns(), probed = probed_ns(), again = bare_ns();

	bare = again < bare ? again : bare;
	bench_add(bench, "trace/probe/off", "ns", probed, bare);
	bench_add(bench, "trace/probe/off/added", "ns", probed - bare, 0);
}

/* --- the tracer -------------------------------------------------------------------------------------------------------- */

struct tracer {
	pid_t pid; /* 0: none */
	int status;
};

static void read_until_watching(int fd, char *said, size_t room)
{
	size_t len = 0;
	ssize_t n;

	said[0] = '\0';
	while (strstr(said, "watching") == NULL && len + 1 < room &&
	       (n = read(fd, said + len, room - 1 - len)) > 0)
		said[len += (size_t)n] = '\0';
}

static const char *const kinds[] = { "stamps", "split", "record" };

/* Beside this program; returns when its probes stand, or with pid 0 and what it ended with. */
static struct tracer start_tracer(const char *kind)
{
	char path[PATH_MAX] = "", self[PATH_MAX] = "", said[512], file[] = "--file",
	     none[] = "/dev/null", output[] = "-o", kernel[] = "-k", record[] = "record",
	     hist[] = "hist", plain[] = "--no-scheduler";
	char *argvs[][8] = { { path, hist, kernel, file, self, plain, NULL },
		             { path, hist, kernel, file, self, NULL },
		             { path, record, output, none, file, self, NULL } };
	int which = kind == kinds[0] ? 0 : kind == kinds[1] ? 1 : 2;
	posix_spawn_file_actions_t actions;
	struct tracer t = { .pid = 0 };
	int pipes[2];

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || pipe(pipes) < 0)
		return t;
	snprintf(path, sizeof(path), "%.*s/dsmx-trace", (int)(strrchr(self, '/') - self), self);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], 2);
	posix_spawn_file_actions_addclose(&actions, pipes[0]);
	if (posix_spawn(&t.pid, path, &actions, NULL, argvs[which], environ) != 0)
		t.pid = 0;
	posix_spawn_file_actions_destroy(&actions);
	close(pipes[1]);
	read_until_watching(pipes[0], said, sizeof(said));
	close(pipes[0]);
	if (t.pid > 0 && strstr(said, "watching") == NULL) {
		(void)waitpid(t.pid, &t.status, 0);
		t.pid = 0;
	}
	return t;
}

static void stop_tracer(const struct tracer *t)
{
	if (t->pid > 0) {
		(void)kill(t->pid, SIGINT);
		(void)waitpid(t->pid, NULL, 0);
	}
}

/* --- with a tracer, and without ----------------------------------------------------------------------------------------- */

/* Time on a processor; 0: gone. */
static uint64_t cpu_ns(pid_t pid)
{
	unsigned long long ns = 0;
	char path[48];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	file = fopen(path, "re");
	if (file != NULL) {
		if (fscanf(file, "%llu", &ns) != 1)
			ns = 0;
		fclose(file);
	}
	return ns;
}

static uint64_t all_cpu_ns(const struct dsmx_session *session, uint32_t workers,
                           const struct tracer *tracer)
{
	uint64_t ns = cpu_ns(getpid());

	for (uint32_t w = 0; w < workers; w++)
		ns += cpu_ns(dsmx_session_worker_pid(session, w));
	return ns + (tracer->pid > 0 ? cpu_ns(tracer->pid) : 0);
}

/* 2 * PARTITIONS StartStreams and few rows; or one, and many. */
static int run(struct dsmx_session *session, bool many_streams, uint64_t *ret_ns,
               struct dsmx_query_stats *ret_stats)
{
	const struct engine_rows rows = { .rows = many_streams ? PARTITIONS : GATHERED };
	static const uint32_t key;
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;

	if (dsmx_plan_new(&plan) != 0)
		return -ENOMEM;
	rel = engine_rows_rel(plan, &rows, NULL);
	if (many_streams) {
		rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, &key, 1, PARTITIONS, NULL);
		rel = engine_rows_rel(plan, NULL, rel);
	}
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	return engine_run(session, plan, rel, ret_ns, ret_stats);
}

struct cost {
	double cpu_us; /* of a StartStream */
	double gb;     /* a second, of a gather */
};

static int measure(struct bench *bench, struct dsmx_session *session, const struct tracer *tracer,
                   struct cost *ret)
{
	uint64_t before_ns = all_cpu_ns(session, bench->workers, tracer), streams = 0, ns = 0;
	struct dsmx_query_stats stats;
	int r = 0;

	for (int i = 0; r == 0 && i < QUERIES; i++) {
		r = run(session, true, &ns, &stats);
		streams += stats.start_streams;
	}
	if (r < 0)
		return r;
	ret->cpu_us = (double)(all_cpu_ns(session, bench->workers, tracer) - before_ns) / 1e3 /
	              (double)streams;
	r = run(session, false, &ns, &stats);
	if (r == 0)
		ret->gb = (double)GATHERED * ENGINE_ROW_BYTES / (double)ns;
	return r;
}

static int measure_on(struct bench *bench, struct dsmx_session *session, const char *kind)
{
	struct tracer none = { .pid = 0 }, tracer;
	struct cost without, with;
	char text[48];
	int r = measure(bench, session, &none, &without);

	tracer = start_tracer(kind);
	if (tracer.pid == 0) {
		fprintf(stderr,
		        "dsmx-bench: dsmx-trace %s could not be started, or may not: its cost "
		        "is not measured\n",
		        kind);
		return r;
	}
	if (r == 0)
		r = measure(bench, session, &tracer, &with);
	stop_tracer(&tracer);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "trace/cpu/%s", kind);
	bench_add(bench, text, "us", with.cpu_us, without.cpu_us);
	snprintf(text, sizeof(text), "trace/cpu/%s/added", kind);
	bench_add(bench, text, "us", with.cpu_us - without.cpu_us, 0);
	snprintf(text, sizeof(text), "trace/batches/%s", kind);
	bench_add(bench, text, "GB/s", with.gb, without.gb);
	return 0;
}

int trace_round(struct bench *bench)
{
	struct dsmx_session *session = NULL;
	struct cost warm;
	int r = engine_open(bench, bench->workers, &session);

	measure_off(bench);
	if (r == 0)
		r = measure(bench, session, &(struct tracer){ .pid = 0 }, &warm);
	for (size_t i = 0; r == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		r = measure_on(bench, session, kinds[i]);
	dsmx_session_close(session);
	return r;
}
