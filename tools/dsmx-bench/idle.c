/* SPDX-License-Identifier: MIT */
/*
 * idle.c - dsmx-bench idle: what a session costs that nobody uses
 *
 * Eight workers for ten seconds, with each back end. Of its processes, the one that took most processor time; of the
 * workers, the one that woke up most often, and the one that was preempted most often: where eight slices end at the
 * same moment, two processors cannot run all at once. The limits are those of the design: a thousandth of a processor;
 * and a look at the bounds of parks alone (io_uring), or at the slices between which futex_waitv looks at descriptors.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dsmx/dsmx.h"
#include "engine.h"
#include "task/task.h"

#define WORKERS   8U
#define PROCESSES (WORKERS + 1)
#define IDLE_S    10
/* Until the bound of parks has grown, and what opening left behind is over. */
#define SETTLE_S 4

struct cost {
	double cpu_ms;
	double wakes; /* from sleeps of its own */
	double preempted;
};

static int read_cost(int pid, struct cost *ret_cost)
{
	char path[64], line[256];
	struct timespec t;
	clockid_t clock;
	FILE *file;

	*ret_cost = (struct cost){ 0 };
	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
		return -ESRCH;
	ret_cost->cpu_ms = (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return -ESRCH;
	while (fgets(line, sizeof(line), file) != NULL) {
		(void)sscanf(line, "voluntary_ctxt_switches: %lf", &ret_cost->wakes);
		(void)sscanf(line, "nonvoluntary_ctxt_switches: %lf", &ret_cost->preempted);
	}
	(void)fclose(file);
	return 0;
}

static void keep_most(double *most, double before, double after)
{
	if (after - before > *most)
		*most = after - before;
}

static int measure(struct bench *bench, enum dsmx_wait_backend backend, const char *name,
                   double wakes_limit)
{
	struct timespec settle = { SETTLE_S, 0 }, idle = { IDLE_S, 0 };
	struct cost before[PROCESSES], after, most = { 0 };
	struct dsmx_session_info info;
	struct dsmx_session *session;
	char text[48];
	struct dsmx_session_options options = engine_options(bench, WORKERS);
	int pid, r;

	options.wait = backend;
	r = engine_open_with(&options, &session);
	if (r < 0)
		return r;
	dsmx_session_info(session, &info);
	(void)nanosleep(&settle, NULL);
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; r == 0 && i < PROCESSES; i++) {
			pid = i == WORKERS ? info.supervisor_pid
			                   : dsmx_session_worker_pid(session, i);
			r = read_cost(pid, pass == 0 ? &before[i] : &after);
			if (r < 0 || pass == 0)
				continue;
			keep_most(&most.cpu_ms, before[i].cpu_ms, after.cpu_ms);
			if (i == WORKERS)
				continue; /* it has a timer beside, for its watchdog */
			keep_most(&most.wakes, before[i].wakes, after.wakes);
			keep_most(&most.preempted, before[i].preempted, after.preempted);
		}
		if (pass == 0)
			(void)nanosleep(&idle, NULL);
	}
	dsmx_session_close(session);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "idle/%s/cpu", name);
	bench_add(bench, text, "%", most.cpu_ms / (IDLE_S * 1000) * 100, 0.1);
	(void)snprintf(text, sizeof(text), "idle/%s/wakes", name);
	bench_add(bench, text, "", most.wakes, wakes_limit);
	(void)snprintf(text, sizeof(text), "idle/%s/preempted", name);
	bench_add(bench, text, "", most.preempted, 0);
	return 0;
}

int idle_round(struct bench *bench)
{
	double parks = IDLE_S * 1e9 / (double)DX_PARK_BOUND_MAX_NS + 1;
	int r = measure(bench, DSMX_WAIT_URING, "io_uring", parks);

	if (r == 0)
		r = measure(bench, DSMX_WAIT_FUTEX, "futex_waitv", IDLE_S * 10 + 1);
	return r;
}
