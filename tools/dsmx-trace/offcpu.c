/* SPDX-License-Identifier: MIT */
/*
 * offcpu.c - dsmx-trace offcpu: time off the CPU by stream
 *
 * A worker is one thread that turns many producer tasks, each of which gives the streams of one exchange. Off the CPU,
 * that thread is
 *
 *	in a task's turn	its operator sleeps, reads a file, takes a page fault, or was preempted: the task's time
 *	in nobody's turn	no task can go on: the time of each task that is parked meanwhile, by what it waits for
 *
 * So time in turns is of one task each, and adds up; that of parked tasks is of all that wait together.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/hist.h"
#include "../lib/mem.h"
#include "source.h"

struct row {
	struct ss_task_key key;
	struct ss_off off;
};

struct rows {
	size_t count, room;
	struct row *list;
};

static void take(void *arg, const struct ss_task_key *key, const struct ss_off *off)
{
	struct rows *rows = arg;

	if (rows->count == rows->room) {
		rows->room = rows->room == 0 ? 64 : rows->room * 2;
		rows->list = mem_resize(rows->list, rows->room * sizeof(*rows->list));
	}
	rows->list[rows->count++] = (struct row){ *key, *off };
}

static uint64_t turns_ns(const struct row *row)
{
	return row->off.ns[SS_OFF_BLOCKED] + row->off.ns[SS_OFF_WAITING];
}

static uint64_t parked_ns(const struct row *row)
{
	return row->off.ns[SS_OFF_INPUT] + row->off.ns[SS_OFF_OUTPUT] + row->off.ns[SS_OFF_OTHER];
}

/* Longest in their turns first. */
static int by_time(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (turns_ns(x) != turns_ns(y))
		return turns_ns(x) < turns_ns(y) ? 1 : -1;
	return parked_ns(x) < parked_ns(y) ? 1 : parked_ns(x) > parked_ns(y) ? -1 : 0;
}

static void text_row(FILE *to, const struct row *row)
{
	char text[SS_OFF_PARTS][HIST_TIME_LEN];
	char name[32];

	snprintf(name, sizeof(name), "%u.%u", row->key.exchange, row->key.task);
	fprintf(to, "%016" PRIx64 " %6" PRIu64 " %-7s %9s %9s %7" PRIu64 " %9s %9s %9s\n",
	        (uint64_t)row->key.session, (uint64_t)row->key.query, name,
	        hist_time(row->off.ns[SS_OFF_BLOCKED], text[0]),
	        hist_time(row->off.ns[SS_OFF_WAITING], text[1]), (uint64_t)row->off.times,
	        hist_time(row->off.ns[SS_OFF_INPUT], text[2]),
	        hist_time(row->off.ns[SS_OFF_OUTPUT], text[3]),
	        hist_time(row->off.ns[SS_OFF_OTHER], text[4]));
}

static const char *const part_names[SS_OFF_PARTS] = { "turn_blocked", "turn_waiting",
	                                              "parked_input", "parked_output",
	                                              "parked_other" };

static void json_row(FILE *to, const struct row *row)
{
	fprintf(to,
	        "{\"type\":\"off_cpu\",\"session\":\"%016" PRIx64 "\",\"query\":%" PRIu64
	        ",\"exchange\":%u,\"task\":%u,\"times\":%" PRIu64,
	        (uint64_t)row->key.session, (uint64_t)row->key.query, row->key.exchange,
	        row->key.task, (uint64_t)row->off.times);
	for (int i = 0; i < SS_OFF_PARTS; i++)
		fprintf(to, ",\"%s_ns\":%" PRIu64, part_names[i], (uint64_t)row->off.ns[i]);
	fputs("}\n", to);
}

static void csv_row(FILE *to, const struct row *row)
{
	fprintf(to, "%016" PRIx64 ",%" PRIu64 ",%u,%u,%" PRIu64, (uint64_t)row->key.session,
	        (uint64_t)row->key.query, row->key.exchange, row->key.task,
	        (uint64_t)row->off.times);
	for (int i = 0; i < SS_OFF_PARTS; i++)
		fprintf(to, ",%" PRIu64, (uint64_t)row->off.ns[i]);
	fputc('\n', to);
}

static void write_head(FILE *to, enum format format)
{
	if (format == FORMAT_TEXT)
		fprintf(to, "%16s %6s %-7s %27s %29s\n%16s %6s %-7s %9s %9s %7s %9s %9s %9s\n", "",
		        "", "", "in its turns", "asleep while it was parked", "session", "query",
		        "streams", "blocked", "waiting", "times", "for rows", "for room", "other");
	if (format != FORMAT_CSV)
		return;
	fputs("session,query,exchange,task,times", to);
	for (int i = 0; i < SS_OFF_PARTS; i++)
		fprintf(to, ",%s_ns", part_names[i]);
	fputc('\n', to);
}

static void write_rows(FILE *to, enum format format, const struct rows *rows)
{
	write_head(to, format);
	for (size_t i = 0; i < rows->count; i++)
		if (format == FORMAT_JSON)
			json_row(to, &rows->list[i]);
		else if (format == FORMAT_CSV)
			csv_row(to, &rows->list[i]);
		else
			text_row(to, &rows->list[i]);
}

int offcpu_main(const struct trace_options *options)
{
	struct rows rows = { .count = 0 };
	struct source_ops ops = { .off = take, .arg = &rows };
	struct source_sum sum;
	FILE *to = stdout;
	int status;

	if (options->from != NULL || options->no_scheduler) {
		fputs("dsmx-trace: offcpu looks at the scheduler, not at a file\n", stderr);
		return EXIT_USAGE;
	}
	status = kernel_run(options, &ops, &sum);
	if (status == EXIT_OK && !sum.has_splits) {
		fputs("dsmx-trace: this kernel does not let programs look at its scheduler; "
		      "dsmx-trace doctor tells why\n",
		      stderr);
		status = EXIT_UNSUPPORTED;
	}
	if (status == EXIT_OK && options->output != NULL)
		to = fopen(options->output, "we");
	if (status == EXIT_OK && to != NULL) {
		if (rows.count > 0)
			qsort(rows.list, rows.count, sizeof(*rows.list), by_time);
		write_rows(to, options->format, &rows);
		if (options->format == FORMAT_JSON)
			source_json_losses(to, &sum);
		else
			source_print_losses(options->format == FORMAT_TEXT ? to : stderr, &sum);
	}
	if (to == NULL || (to != stdout && fclose(to) != 0)) {
		fprintf(stderr, "dsmx-trace: %s: %s\n", options->output, strerror(errno));
		status = EXIT_ERROR;
	}
	free(rows.list);
	return status;
}
