/* SPDX-License-Identifier: MIT */
/*
 * The end of EXPLAIN ANALYZE: how the session is isolated, and what each worker has taken since it was started,
 * which is what `dsmx ps` shows of it. A query's own share is not told: groups count processes, not queries.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "dsmx/control.h"
#include "session/session.h"

#define MIB ((double)(1U << 20))

static void put_worker(FILE *file, const struct dsmx_worker_status *worker, bool pressure)
{
	const struct dsmx_usage *u = &worker->usage;

	(void)fprintf(file, "  w%u: epoch=%llu memory=%.1fMiB", worker->worker,
	              (unsigned long long)worker->epoch, (double)u->memory_bytes / MIB);
	if (u->memory_peak_bytes != 0)
		(void)fprintf(file, " peak=%.1fMiB", (double)u->memory_peak_bytes / MIB);
	if (worker->memory_max != 0)
		(void)fprintf(file, " limit=%.1fMiB", (double)worker->memory_max / MIB);
	if (u->hugetlb_bytes != 0)
		(void)fprintf(file, " huge=%.1fMiB", (double)u->hugetlb_bytes / MIB);
	if (worker->cgroup[0] != '\0')
		(void)fprintf(file, " cpu=%.3fs throttled=%.3fs", (double)u->cpu_ns / 1e9,
		              (double)u->throttled_ns / 1e9);
	if (worker->cgroup[0] != '\0' && pressure)
		(void)fprintf(file, " stalled: cpu=%.3fs memory=%.3fs io=%.3fs",
		              (double)u->cpu_pressure_ns / 1e9, (double)u->memory_pressure_ns / 1e9,
		              (double)u->io_pressure_ns / 1e9);
	(void)fputc('\n', file);
}

/* What cannot be looked at is left out: the query's own lines are the matter here. */
static void put_workers(FILE *file, const struct dsmx_session *session)
{
	bool pressure = access("/proc/pressure/cpu", F_OK) == 0;
	struct dsmx_snapshot *snapshot;

	if (session->options.workers == 0 || dsmx_snapshot_take(&snapshot, NULL) != 0)
		return;
	for (uint32_t i = 0; i < snapshot->session_count; i++) {
		const struct dsmx_session_status *status = &snapshot->sessions[i];

		if (status->session != session->id || status->worker_count == 0)
			continue;
		(void)fprintf(file, "Workers, since each was started:\n");
		for (uint32_t w = 0; w < status->worker_count; w++)
			put_worker(file, &status->workers[w], pressure);
	}
	dsmx_snapshot_free(snapshot);
}

int dx_session_explain(const struct dsmx_session *session, char **text)
{
	const struct dsmx_session_options *o = &session->options;
	char *longer = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&longer, &len);

	if (file != NULL) {
		(void)fprintf(file, "%sSession: workers=%u isolation=%s (%s)\n", *text, o->workers,
		              dsmx_isolation_str(o->isolation, o->isolation_required),
		              session->steps);
		put_workers(file, session);
	}
	free(*text);
	*text = file != NULL && fclose(file) == 0 ? longer : NULL;
	if (*text == NULL)
		free(longer);
	return *text != NULL ? 0 : -ENOMEM;
}
