/* SPDX-License-Identifier: MIT */
/* stat.c - dsmx-trace stat and hist: what is in the pages, once or at intervals */
#include <stdlib.h>

#include "../lib/hist.h"
#include "../lib/mem.h"
#include "heat.h"
#include "source.h"

#define NS_PER_S 1e9

/* When the next sample is due, and whether there is one: by --interval, --count and --duration. */
struct pace {
	const struct trace_options *options;
	uint64_t start_ns;
	uint64_t taken;
};

static bool next_sample(struct pace *pace)
{
	const struct trace_options *o = pace->options;
	uint64_t step_ns = (uint64_t)(o->interval_s * NS_PER_S);
	uint64_t end_ns = pace->start_ns + (uint64_t)(o->duration_s * NS_PER_S);
	uint64_t due_ns;

	pace->taken++;
	if (step_ns == 0 || (o->count > 0 && pace->taken >= o->count))
		return false;
	due_ns = pace->start_ns + pace->taken * step_ns;
	if (o->duration_s > 0 && due_ns > end_ns)
		return false;
	return sleep_until(due_ns);
}

static size_t take_all(const struct sessions *sessions, const struct trace_options *options,
                       struct counts **ret_counts)
{
	size_t count = 0;

	for (uint32_t i = 0; i < sessions->count; i++)
		for (uint32_t p = 0; p < DSMX_ABI_PEERS; p++)
			if (sessions->list[i]->pages[p].base != NULL &&
			    trace_wants_peer(options, p)) {
				*ret_counts =
					mem_resize(*ret_counts, (count + 1) * sizeof(**ret_counts));
				counts_take(sessions->list[i], p, &(*ret_counts)[count++]);
			}
	return count;
}

int stat_main(const struct trace_options *options)
{
	struct pace pace = { .options = options, .start_ns = clock_ns() };
	struct sessions sessions = { .count = 0 };
	struct counts *counts = NULL;
	int status = EXIT_OK;
	size_t count;

	do {
		sessions_find(&sessions, options);
		if (sessions.count == 0 && pace.taken == 0)
			status = sessions_none(&sessions, options);
		if (sessions.count == 0)
			break;
		count = take_all(&sessions, options, &counts);
		write_counts(stdout, options, counts, count, pace.taken == 0);
	} while (next_sample(&pace));
	free(counts);
	sessions_fini(&sessions);
	return status;
}

/* A column for each interval, a second where none is given; drawn in the end. */
static int heat_main(const struct trace_options *options, struct sessions *sessions)
{
	struct trace_options paced = *options;
	struct pace pace = { .options = &paced, .start_ns = clock_ns() };
	int phase = options->phase >= 0 ? options->phase : DSMX_STREAM_TOTAL;
	struct heat heat = { .columns = 0 };
	struct dsmx_phases before, now, grown;

	if (paced.interval_s == 0)
		paced.interval_s = paced.duration_s > 0 ? paced.duration_s / HEAT_COLUMNS : 1;
	paced.count += paced.count > 0;
	heat.column_ns = (uint64_t)(paced.interval_s * NS_PER_S);
	phases_take(sessions, options, &before);
	while (next_sample(&pace)) {
		sessions_find(sessions, options);
		phases_take(sessions, options, &now);
		grown = now;
		if (now.streams < before.streams)
			before = (struct dsmx_phases){ .streams = 0 };
		hist_subtract(&grown, &before);
		heat_add(&heat, grown.buckets[phase]);
		before = now;
	}
	heat_text(stdout, &heat, hist_phase_words[phase]);
	return EXIT_OK;
}

/*
 * Without --interval and --duration: all since the start of the processes. With them: what was added in each
 * interval, or during all of it.
 */
int hist_main(const struct trace_options *options)
{
	struct trace_options paced = *options;
	struct pace pace = { .options = &paced, .start_ns = clock_ns() };
	struct sessions sessions = { .count = 0 };
	struct dsmx_phases before = { .streams = 0 }, now, grown;
	bool first = true;

	if (options->kernel || options->from != NULL)
		return kernel_hist_main(options);
	sessions_find(&sessions, options);
	if (sessions.count == 0) {
		int status = sessions_none(&sessions, options);

		sessions_fini(&sessions);
		return status;
	}
	if (options->heat) {
		int status = heat_main(options, &sessions);

		sessions_fini(&sessions);
		return status;
	}
	if (paced.interval_s == 0 && paced.duration_s > 0)
		paced.interval_s = paced.duration_s;
	if (paced.count > 0)
		paced.count++; /* intervals, of which each has two ends */
	phases_take(&sessions, options, &before);
	if (paced.interval_s == 0)
		write_phases(stdout, options, &before, true);
	while (next_sample(&pace)) {
		sessions_find(&sessions, options);
		phases_take(&sessions, options, &now);
		grown = now;
		if (now.streams < before.streams) /* a session has ended */
			before = (struct dsmx_phases){ .streams = 0 };
		hist_subtract(&grown, &before);
		write_phases(stdout, options, &grown, first);
		before = now;
		first = false;
	}
	sessions_fini(&sessions);
	return EXIT_OK;
}
