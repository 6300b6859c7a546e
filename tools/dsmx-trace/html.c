/* SPDX-License-Identifier: MIT */
/*
 * html.c - one page that needs nothing else: a table, a time line and histograms, as SVG
 *
 * What is drawn are numbers only, so nothing needs to be escaped.
 */
#include <inttypes.h>

#include "../lib/hist.h"
#include "heat.h"
#include "source.h"

#define LINES_MAX 400 /* streams in the time line: the slowest ones would hide the rest anyway */
#define WIDTH     1000
#define LEFT      130
#define ROW       14
#define BARS      120

static const char *const colours[DSMX_STREAM_PHASES] = { "#4c78a8", "#f58518", "#54a24b", "#b279a2",
	                                                 "#888888" };

static void write_head(FILE *to)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	      "<title>StartStreams</title>\n<style>\n"
	      "body{font:14px/1.5 system-ui,sans-serif;margin:2em;max-width:1180px;color:#222;background:#fff}\n"
	      "table{border-collapse:collapse}td,th{padding:.2em 1em;text-align:right;border-bottom:1px solid #ddd}\n"
	      "td:first-child,td:last-child,th:first-child,th:last-child{text-align:left}\n"
	      "svg{display:block;margin:.5em 0 1.5em}text{font:11px system-ui,sans-serif;fill:#444}\n"
	      "i{display:inline-block;width:.8em;height:.8em;margin-right:.4em}\n"
	      "</style></head><body>\n<h1>StartStreams</h1>\n",
	      to);
}

static void write_table(FILE *to, const struct dsmx_phases *phases)
{
	char text[5][HIST_TIME_LEN];

	fprintf(to,
	        "<p>%" PRIu64 " streams, from request to first rows.</p>\n<table><tr><th>phase</th>"
	        "<th>mean</th><th>p50</th><th>p90</th><th>p99</th><th>max</th><th></th></tr>\n",
	        phases->streams);
	for (int i = 0; i < DSMX_STREAM_PHASES && phases->streams > 0; i++)
		fprintf(to,
		        "<tr><td><i style=\"background:%s\"></i>%s</td><td>%s</td><td>%s</td><td>%s</td>"
		        "<td>%s</td><td>%s</td><td>%s</td></tr>\n",
		        colours[i], hist_phase_names[i],
		        hist_time(phases->sum_ns[i] / phases->streams, text[0]),
		        hist_time(hist_quantile(phases->buckets[i], phases->max_ns[i], 0.5),
		                  text[1]),
		        hist_time(hist_quantile(phases->buckets[i], phases->max_ns[i], 0.9),
		                  text[2]),
		        hist_time(hist_quantile(phases->buckets[i], phases->max_ns[i], 0.99),
		                  text[3]),
		        hist_time(phases->max_ns[i], text[4]), hist_phase_words[i]);
	fputs("</table>\n", to);
}

/* --- the time line -------------------------------------------------------------------------------------------------- */

struct span {
	uint64_t from_ns, to_ns;
	uint32_t streams;
};

static struct span find_span(const struct event_list *events)
{
	struct span span = { .from_ns = UINT64_MAX };

	for (size_t i = 0; i < events->count && span.streams < LINES_MAX; i++) {
		const struct ss_event *e = &events->list[i];
		uint64_t ns[DSMX_STREAM_PHASES];

		if (!event_phases(e, ns))
			continue;
		span.streams++;
		if (e->stamps_ns[0] < span.from_ns)
			span.from_ns = e->stamps_ns[0];
		if (e->stamps_ns[SS_STAMPS - 1] > span.to_ns)
			span.to_ns = e->stamps_ns[SS_STAMPS - 1];
	}
	return span;
}

static void write_stream(FILE *to, const struct ss_event *e, const struct span *span, uint32_t row)
{
	double scale = (double)(WIDTH - LEFT) / (double)(span->to_ns - span->from_ns + 1);
	char text[HIST_TIME_LEN];
	uint32_t y = row * ROW;

	fprintf(to, "<text x=\"0\" y=\"%u\">q%" PRIu64 " %u.%u&gt;%u</text><g>", y + ROW - 3,
	        (uint64_t)e->key.query, e->key.exchange, e->key.task, e->key.partition);
	for (int p = 0; p < DSMX_STREAM_TOTAL; p++) {
		double x = (double)(e->stamps_ns[p] - span->from_ns) * scale;
		double width = (double)(e->stamps_ns[p + 1] - e->stamps_ns[p]) * scale;

		fprintf(to,
		        "<rect x=\"%.2f\" y=\"%u\" width=\"%.2f\" height=\"%d\" fill=\"%s\"><title>%s "
		        "%s</title></rect>",
		        LEFT + x, y + 1, width < 0.3 ? 0.3 : width, ROW - 3, colours[p],
		        hist_phase_names[p],
		        hist_time(e->stamps_ns[p + 1] - e->stamps_ns[p], text));
	}
	fputs("</g>\n", to);
}

static void write_line(FILE *to, const struct event_list *events, uint64_t streams)
{
	struct span span = find_span(events);
	char text[HIST_TIME_LEN];
	uint32_t row = 0;

	if (span.streams == 0)
		return;
	fprintf(to, "<h2>Time line of %s%u streams, %s</h2>\n",
	        streams > span.streams ? "the first " : "", span.streams,
	        hist_time(span.to_ns - span.from_ns, text));
	fprintf(to, "<svg width=\"%d\" height=\"%u\" role=\"img\">\n", WIDTH,
	        span.streams * ROW + 4);
	for (size_t i = 0; i < events->count && row < span.streams; i++) {
		uint64_t ns[DSMX_STREAM_PHASES];

		if (event_phases(&events->list[i], ns))
			write_stream(to, &events->list[i], &span, row++);
	}
	fputs("</svg>\n", to);
}

/* --- over time ------------------------------------------------------------------------------------------------------ */

static void find_times(const struct event_list *events, uint64_t *ret_from_ns, uint64_t *ret_to_ns)
{
	uint64_t ns[DSMX_STREAM_PHASES];

	*ret_from_ns = UINT64_MAX;
	*ret_to_ns = 0;
	for (size_t i = 0; i < events->count; i++) {
		const struct ss_event *e = &events->list[i];

		if (!event_phases(e, ns))
			continue;
		if (e->stamps_ns[0] < *ret_from_ns)
			*ret_from_ns = e->stamps_ns[0];
		if (e->stamps_ns[0] > *ret_to_ns)
			*ret_to_ns = e->stamps_ns[0];
	}
}

/* The whole time of each stream, by when it was asked for. */
static void write_heat(FILE *to, const struct event_list *events)
{
	static struct heat heat;
	uint64_t from_ns, to_ns, ns[DSMX_STREAM_PHASES];

	find_times(events, &from_ns, &to_ns);
	if (to_ns < from_ns)
		return;
	heat = (struct heat){ .columns = HEAT_COLUMNS,
		              .column_ns = (to_ns - from_ns) / HEAT_COLUMNS + 1 };
	for (size_t i = 0; i < events->count; i++) {
		const struct ss_event *e = &events->list[i];
		uint32_t bucket;

		if (!event_phases(e, ns))
			continue;
		bucket = 63 - (uint32_t)__builtin_clzll(ns[DSMX_STREAM_TOTAL] | 1);
		heat.cells[(e->stamps_ns[0] - from_ns) / heat.column_ns]
			  [bucket < DSMX_STREAM_BUCKETS ? bucket : DSMX_STREAM_BUCKETS - 1]++;
	}
	fputs("<h2>Heat map: how long streams took, by when they were asked for</h2>\n", to);
	heat_svg(to, &heat, WIDTH, "#b2182b");
}

/* --- histograms ----------------------------------------------------------------------------------------------------- */

static void write_histogram(FILE *to, const struct dsmx_phases *phases, int phase)
{
	const uint64_t *buckets = phases->buckets[phase];
	int first = DSMX_STREAM_BUCKETS, last = -1;
	uint64_t most = 1;

	for (int b = 0; b < DSMX_STREAM_BUCKETS; b++) {
		if (buckets[b] == 0)
			continue;
		first = first > b ? b : first;
		last = b;
		most = buckets[b] > most ? buckets[b] : most;
	}
	fprintf(to, "<h3>%s: %s</h3>\n<svg width=\"%d\" height=\"%d\" role=\"img\">\n",
	        hist_phase_names[phase], hist_phase_words[phase], WIDTH, BARS + 34);
	for (int b = first; b <= last; b++) {
		double height = (double)buckets[b] * BARS / (double)most;
		int step = WIDTH / (last - first + 1) < 48 ? WIDTH / (last - first + 1) : 48;
		int x = (b - first) * step;
		char text[HIST_TIME_LEN];

		fprintf(to,
		        "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"%s\"/><text x=\"%d\" "
		        "y=\"%.1f\">%" PRIu64 "</text><text x=\"%d\" y=\"%d\">%s</text>\n",
		        x, BARS + 14 - height, step - 4, height, colours[phase], x,
		        BARS + 11 - height, buckets[b], x, BARS + 28,
		        hist_time(b == 0 ? 0 : 1ULL << b, text));
	}
	fputs("</svg>\n", to);
}

void write_html(FILE *to, const struct event_list *events, const struct source_sum *sum)
{
	struct dsmx_phases phases;

	source_phases(sum, &phases);
	write_head(to);
	write_table(to, &phases);
	write_heat(to, events);
	write_line(to, events, phases.streams);
	fputs("<h2>Histograms</h2>\n", to);
	for (int i = 0; i < DSMX_STREAM_PHASES && phases.streams > 0; i++)
		write_histogram(to, &phases, i);
	fputs("<pre>", to);
	source_print_losses(to, sum);
	fputs("</pre>\n</body></html>\n", to);
}
