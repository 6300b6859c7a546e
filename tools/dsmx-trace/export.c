/* SPDX-License-Identifier: MIT */
/*
 * export.c - dsmx-trace export: events for other programs
 *
 *	chrome	the JSON that Perfetto and chrome://tracing open: a slice for each phase in the thread that
 *		spent it, and an arrow from the consumer's request to the producer's start
 *	html	one page: see html.c
 *	json	an object on each line
 *	csv	a row for each event
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/hist.h"
#include "../lib/mem.h"
#include "source.h"

static void keep(void *arg, const struct ss_event *event)
{
	struct event_list *events = arg;

	if (events->count == events->room) {
		events->room = events->room == 0 ? 1024 : events->room * 2;
		events->list = mem_resize(events->list, events->room * sizeof(*events->list));
	}
	events->list[events->count++] = *event;
}

static double us(uint64_t ns)
{
	return (double)ns / 1e3;
}

static void slice(FILE *to, const struct ss_event *e, int phase, uint32_t pid, uint32_t tid)
{
	fprintf(to,
	        ",\n{\"ph\":\"X\",\"cat\":\"StartStream\",\"name\":\"%s "
	        "%u.%u>%u\",\"pid\":%u,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"session\":\"%016" PRIx64
	        "\",\"query\":%" PRIu64 "}}",
	        hist_phase_names[phase], e->key.exchange, e->key.task, e->key.partition, pid, tid,
	        us(e->stamps_ns[phase]), us(e->stamps_ns[phase + 1] - e->stamps_ns[phase]),
	        (uint64_t)e->key.session, (uint64_t)e->key.query);
}

static void arrow(FILE *to, const struct ss_event *e, size_t id, char end, int stamp, uint32_t pid,
                  uint32_t tid)
{
	fprintf(to,
	        ",\n{\"ph\":\"%c\",%s\"cat\":\"StartStream\",\"name\":\"request\",\"id\":%zu,\"pid\":%u,"
	        "\"tid\":%u,\"ts\":%.3f}",
	        end, end == 'f' ? "\"bp\":\"e\"," : "", id, pid, tid, us(e->stamps_ns[stamp]));
}

static void chrome_event(FILE *to, const struct ss_event *e, size_t id)
{
	uint64_t ns[DSMX_STREAM_PHASES];

	if (!event_phases(e, ns)) {
		fprintf(to,
		        ",\n{\"ph\":\"i\",\"s\":\"g\",\"cat\":\"dsmx\",\"name\":\"%s\",\"pid\":%u,"
		        "\"tid\":%u,\"ts\":%.3f}",
		        event_name(e), e->tgid, e->tid, us(e->at_ns));
		return;
	}
	slice(to, e, DSMX_STREAM_REQUEST, e->tgid, e->tid);
	slice(to, e, DSMX_STREAM_SPAWN, e->producer_tgid, e->producer_tid);
	slice(to, e, DSMX_STREAM_FIRST, e->producer_tgid, e->producer_tid);
	slice(to, e, DSMX_STREAM_DELIVER, e->tgid, e->tid);
	arrow(to, e, id, 's', 0, e->tgid, e->tid);
	arrow(to, e, id, 'f', 2, e->producer_tgid, e->producer_tid);
}

void write_chrome(FILE *to, const struct event_list *events, const struct source_sum *sum)
{
	fputs("{\"displayTimeUnit\":\"ns\",\"otherData\":{\"program\":\"dsmx-trace\"", to);
	for (int i = 0; i < SS_LOSS_COUNT; i++)
		fprintf(to, ",\"lost_%s\":%" PRIu64, loss_names[i], sum->losses[i]);
	fprintf(to, ",\"lost_misses\":%" PRIu64 "},\"traceEvents\":[\n", sum->misses);
	fputs("{\"ph\":\"M\",\"name\":\"trace_name\",\"pid\":0,\"args\":{\"name\":\"dsmx\"}}", to);
	for (size_t i = 0; i < events->count; i++)
		chrome_event(to, &events->list[i], i + 1);
	fputs("\n]}\n", to);
}

static void write_lines(FILE *to, const struct trace_options *options,
                        const struct event_list *events, const struct source_sum *sum)
{
	if (options->format == FORMAT_CSV)
		event_csv_head(to);
	for (size_t i = 0; i < events->count; i++)
		if (options->format == FORMAT_CSV)
			event_csv(to, &events->list[i]);
		else
			event_json(to, &events->list[i]);
	if (options->format == FORMAT_CSV)
		return;
	source_json_losses(to, sum);
}

/* By when it began: a stream, unlike other events, is heard of when it is read. */
static int by_time(const void *a, const void *b)
{
	const struct ss_event *x = a, *y = b;
	uint64_t x_ns = x->probe == DSMX_PROBE_ss_read ? x->stamps_ns[0] : x->at_ns;
	uint64_t y_ns = y->probe == DSMX_PROBE_ss_read ? y->stamps_ns[0] : y->at_ns;

	return x_ns < y_ns ? -1 : x_ns > y_ns;
}

int export_main(const struct trace_options *options)
{
	struct event_list events = { .count = 0 };
	struct source_ops ops = { .event = keep, .arg = &events };
	struct source_sum sum;
	FILE *to = stdout;
	int status = source_run(options, &ops, &sum);

	if (status == EXIT_OK && options->output != NULL)
		to = fopen(options->output, "we");
	if (to == NULL) {
		fprintf(stderr, "dsmx-trace: %s: %s\n", options->output, strerror(errno));
		status = EXIT_ERROR;
	}
	if (status == EXIT_OK) {
		if (events.count > 0)
			qsort(events.list, events.count, sizeof(*events.list), by_time);
		if (options->format == FORMAT_CHROME)
			write_chrome(to, &events, &sum);
		else if (options->format == FORMAT_HTML)
			write_html(to, &events, &sum);
		else
			write_lines(to, options, &events, &sum);
		source_print_losses(stderr, &sum);
	}
	if (to != NULL && to != stdout && fclose(to) != 0) {
		fprintf(stderr, "dsmx-trace: %s: %s\n", options->output, strerror(errno));
		status = EXIT_ERROR;
	}
	free(events.list);
	return status;
}
