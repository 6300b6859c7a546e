/* SPDX-License-Identifier: MIT */
/*
 * write.c - counters and histograms as text, JSON lines, CSV and OpenMetrics
 *
 * JSON: an object on each line, with "type". CSV: a header line once. OpenMetrics: one exposition, ended by
 * # EOF; at each interval a new one, as a scraper would get it.
 */
#include <inttypes.h>

#include "../lib/hist.h"
#include "trace.h"

/* --- counters ----------------------------------------------------------------------------------------------------- */

static void counts_text(FILE *to, const struct counts *counts, size_t count)
{
	char name[16];

	for (size_t i = 0; i < count; i++)
		if (i == 0 || counts[i].session != counts[i - 1].session)
			fprintf(to, "%ssession %016" PRIx64 ", %s %d\n", i == 0 ? "" : "\n",
			        counts[i].session, peer_name(counts[i].peer, name), counts[i].pid);
	fprintf(to, "%-15s", "");
	for (size_t i = 0; i < count; i++)
		fprintf(to, " %12s", peer_name(counts[i].peer, name));
	fputc('\n', to);
	for (int c = 0; c < COUNTERS; c++) {
		fprintf(to, "%-15s", counters[c].name);
		for (size_t i = 0; i < count; i++)
			fprintf(to, " %12" PRIu64, counts[i].values[c]);
		fprintf(to, "  %s\n", counters[c].help);
	}
}

static void counts_json(FILE *to, const struct counts *counts)
{
	char name[16];

	fprintf(to,
	        "{\"type\":\"process\",\"at_ns\":%" PRIu64 ",\"session\":\"%016" PRIx64
	        "\",\"process\":\"%s\",\"pid\":%d",
	        counts->at_ns, counts->session, peer_name(counts->peer, name), (int)counts->pid);
	for (int c = 0; c < COUNTERS; c++)
		fprintf(to, ",\"%s\":%" PRIu64, counters[c].name, counts->values[c]);
	fputs("}\n", to);
}

static void counts_csv(FILE *to, const struct counts *counts, bool header)
{
	char name[16];

	if (header) {
		fputs("at_ns,session,process,pid", to);
		for (int c = 0; c < COUNTERS; c++)
			fprintf(to, ",%s", counters[c].name);
		fputc('\n', to);
	}
	fprintf(to, "%" PRIu64 ",%016" PRIx64 ",%s,%d", counts->at_ns, counts->session,
	        peer_name(counts->peer, name), (int)counts->pid);
	for (int c = 0; c < COUNTERS; c++)
		fprintf(to, ",%" PRIu64, counts->values[c]);
	fputc('\n', to);
}

static void counts_openmetrics(FILE *to, const struct counts *counts, size_t count)
{
	char name[16];

	for (int c = 0; c < COUNTERS; c++) {
		const struct counter *k = &counters[c];

		fprintf(to, "# TYPE dsmx_%s %s\n# HELP dsmx_%s %s.\n", k->name,
		        k->grows ? "counter" : "gauge", k->name, k->help);
		for (size_t i = 0; i < count; i++)
			fprintf(to,
			        "dsmx_%s%s{session=\"%016" PRIx64
			        "\",process=\"%s\",pid=\"%d\"} %" PRIu64 "\n",
			        k->name, k->grows ? "_total" : "", counts[i].session,
			        peer_name(counts[i].peer, name), (int)counts[i].pid,
			        counts[i].values[c]);
	}
	fputs("# EOF\n", to);
}

/* Text has a column for each process: one table for each session. */
static void counts_tables(FILE *to, const struct counts *counts, size_t count)
{
	while (count > 0) {
		size_t same = 1;

		while (same < count && counts[same].session == counts->session)
			same++;
		counts_text(to, counts, same);
		counts += same;
		count -= same;
		if (count > 0)
			fputc('\n', to);
	}
}

void write_counts(FILE *to, const struct trace_options *options, const struct counts *counts,
                  size_t count, bool first)
{
	switch (options->format) {
	case FORMAT_TEXT:
		if (!first)
			fputc('\n', to);
		counts_tables(to, counts, count);
		break;
	case FORMAT_JSON:
		for (size_t i = 0; i < count; i++)
			counts_json(to, &counts[i]);
		break;
	case FORMAT_CSV:
		for (size_t i = 0; i < count; i++)
			counts_csv(to, &counts[i], first && i == 0);
		break;
	case FORMAT_OPENMETRICS:
		counts_openmetrics(to, counts, count);
		break;
	case FORMAT_CHROME:
	case FORMAT_HTML:
		break; /* of events */
	}
	fflush(to);
}

/* --- phases ------------------------------------------------------------------------------------------------------- */

static bool is_asked(const struct trace_options *options, int phase)
{
	return options->phase < 0 || options->phase == phase;
}

static void phases_text(FILE *to, const struct trace_options *options,
                        const struct dsmx_phases *phases)
{
	hist_print_summary(to, phases);
	for (int i = 0; i < DSMX_STREAM_PHASES && phases->streams > 0; i++)
		if (is_asked(options, i)) {
			fputc('\n', to);
			hist_print_phase(to, phases, (enum dsmx_phase)i);
		}
}

static void phase_json(FILE *to, const struct dsmx_phases *phases, int phase, uint64_t at_ns)
{
	const uint64_t *buckets = phases->buckets[phase];
	const char *comma = "";

	fprintf(to,
	        "{\"type\":\"phase\",\"at_ns\":%" PRIu64 ",\"phase\":\"%s\",\"streams\":%" PRIu64
	        ",\"unread\":%" PRIu64 ",\"odd\":%" PRIu64 ",\"sum_ns\":%" PRIu64
	        ",\"max_ns\":%" PRIu64 ",\"p50_ns\":%" PRIu64 ",\"p90_ns\":%" PRIu64
	        ",\"p99_ns\":%" PRIu64 ",\"buckets\":[",
	        at_ns, hist_phase_names[phase], phases->streams, phases->unread, phases->odd,
	        phases->sum_ns[phase], phases->max_ns[phase],
	        hist_quantile(buckets, phases->max_ns[phase], 0.5),
	        hist_quantile(buckets, phases->max_ns[phase], 0.9),
	        hist_quantile(buckets, phases->max_ns[phase], 0.99));
	for (int b = 0; b < DSMX_STREAM_BUCKETS; b++) {
		if (buckets[b] == 0)
			continue;
		fprintf(to, "%s{\"below_ns\":%llu,\"count\":%" PRIu64 "}", comma, 2ULL << b,
		        buckets[b]);
		comma = ",";
	}
	fputs("]}\n", to);
}

static void phase_csv(FILE *to, const struct dsmx_phases *phases, int phase, uint64_t at_ns)
{
	for (int b = 0; b < DSMX_STREAM_BUCKETS; b++)
		if (phases->buckets[phase][b] > 0)
			fprintf(to, "%" PRIu64 ",%s,%llu,%" PRIu64 "\n", at_ns,
			        hist_phase_names[phase], 2ULL << b, phases->buckets[phase][b]);
}

/* A histogram there has cumulative buckets, in seconds. */
static void phase_openmetrics(FILE *to, const struct dsmx_phases *phases, int phase)
{
	const char *name = hist_phase_names[phase];
	uint64_t below = 0;

	for (int b = 0; b + 1 < DSMX_STREAM_BUCKETS; b++) {
		below += phases->buckets[phase][b];
		fprintf(to,
		        "dsmx_start_stream_seconds_bucket{phase=\"%s\",le=\"%.9f\"} %" PRIu64 "\n",
		        name, (double)(2ULL << b) / 1e9, below);
	}
	below += phases->buckets[phase][DSMX_STREAM_BUCKETS - 1];
	fprintf(to,
	        "dsmx_start_stream_seconds_bucket{phase=\"%s\",le=\"+Inf\"} %" PRIu64
	        "\ndsmx_start_stream_seconds_sum{phase=\"%s\"} %.9f\n"
	        "dsmx_start_stream_seconds_count{phase=\"%s\"} %" PRIu64 "\n",
	        name, below, name, (double)phases->sum_ns[phase] / 1e9, name, below);
}

void write_phases(FILE *to, const struct trace_options *options, const struct dsmx_phases *phases,
                  bool first)
{
	uint64_t at_ns = clock_ns();

	if (options->format == FORMAT_TEXT) {
		if (!first)
			fputc('\n', to);
		phases_text(to, options, phases);
	}
	if (options->format == FORMAT_CSV && first)
		fputs("at_ns,phase,below_ns,count\n", to);
	if (options->format == FORMAT_OPENMETRICS)
		fputs("# TYPE dsmx_start_stream_seconds histogram\n"
		      "# UNIT dsmx_start_stream_seconds seconds\n"
		      "# HELP dsmx_start_stream_seconds Time of a StartStream, by phase.\n",
		      to);
	for (int i = 0; i < DSMX_STREAM_PHASES; i++) {
		if (!is_asked(options, i))
			continue;
		if (options->format == FORMAT_JSON)
			phase_json(to, phases, i, at_ns);
		else if (options->format == FORMAT_CSV)
			phase_csv(to, phases, i, at_ns);
		else if (options->format == FORMAT_OPENMETRICS)
			phase_openmetrics(to, phases, i);
	}
	if (options->format == FORMAT_OPENMETRICS)
		fputs("# EOF\n", to);
	fflush(to);
}
