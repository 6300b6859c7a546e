/* SPDX-License-Identifier: MIT */
/* event.c - one event as a line: for people, JSON, CSV; and the commands slow, follow and hist --kernel */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/hist.h"
#include "dsmx/error.h"
#include "source.h"

/* --- text ----------------------------------------------------------------------------------------------------------- */

static void split_text(FILE *to, const char *name, const struct ss_split *split, uint64_t all_ns)
{
	uint64_t off_ns = split->blocked_ns + split->waiting_ns;
	char text[3][HIST_TIME_LEN];

	fprintf(to, "; %s: blocked %s", name, hist_time(split->blocked_ns, text[0]));
	if (split->uring_ns > 0)
		fprintf(to, " (%s of it in io_uring)", hist_time(split->uring_ns, text[0]));
	fprintf(to, ", waiting %s, ran %s", hist_time(split->waiting_ns, text[1]),
	        hist_time(all_ns > off_ns ? all_ns - off_ns : 0, text[2]));
}

/* Of waitpid(2), as the kernel keeps it. */
static void exit_text(FILE *to, const struct ss_event *e)
{
	fprintf(to, "%016" PRIx64 " process %u has ended: ", (uint64_t)e->key.session, e->tgid);
	if (e->key.partition != 0)
		fputs("out of memory, ", to);
	if ((e->value & 0x7f) != 0)
		fprintf(to, "signal %" PRIu64 "\n", (uint64_t)(e->value & 0x7f));
	else
		fprintf(to, "exit code %" PRIu64 "\n", (uint64_t)(e->value >> 8 & 0xff));
}

/* What is no stream, in words. Their arguments are in the fields of a stream's name: see dsmx/trace.h. */
static void other_text(FILE *to, const struct ss_event *e)
{
	uint64_t session = e->key.session;
	char peer[16];

	switch (e->probe) {
	case SS_EVENT_exit:
		exit_text(to, e);
		break;
	case DSMX_PROBE_query_start:
	case DSMX_PROBE_query_end:
		fprintf(to, "%016" PRIx64 " query %" PRIu64 " %s\n", session,
		        (uint64_t)e->key.query,
		        e->probe == DSMX_PROBE_query_start ? "starts" : "is closed");
		break;
	case DSMX_PROBE_worker_start:
		fprintf(to, "%016" PRIx64 " %s starts as process %u\n", session,
		        peer_name((uint32_t)e->key.query, peer), e->key.task);
		break;
	case DSMX_PROBE_worker_exit:
		fprintf(to, "%016" PRIx64 " %s, process %u, is gone: %s, status %" PRIu64 "\n",
		        session, peer_name((uint32_t)e->key.query, peer), e->key.task,
		        dsmx_exit_reason_str((int)e->key.partition), (uint64_t)e->value);
		break;
	default:
		fprintf(to,
		        "%016" PRIx64 " query %" PRIu64 " %s of stream %u.%u>%u: %" PRId64
		        ", by thread %u\n",
		        session, (uint64_t)e->key.query, event_name(e), e->key.exchange,
		        e->key.task, e->key.partition, (int64_t)e->value, e->tid);
		break;
	}
}

void event_text(FILE *to, const struct ss_event *e)
{
	uint64_t ns[DSMX_STREAM_PHASES];
	char text[HIST_TIME_LEN];

	fprintf(to, "%.6f ", (double)e->at_ns / 1e9);
	if (!event_phases(e, ns)) {
		other_text(to, e);
		return;
	}
	fprintf(to, "%016" PRIx64 " query %" PRIu64 " stream %u.%u>%u: %s",
	        (uint64_t)e->key.session, (uint64_t)e->key.query, e->key.exchange, e->key.task,
	        e->key.partition, hist_time(ns[DSMX_STREAM_TOTAL], text));
	for (int i = 0; i < DSMX_STREAM_TOTAL; i++)
		fprintf(to, "%s%s %s", i == 0 ? " = " : " + ", hist_phase_names[i],
		        hist_time(ns[i], text));
	if (e->has_splits) {
		split_text(to, "consumer", &e->splits[SS_CONSUMER], ns[DSMX_STREAM_TOTAL]);
		split_text(to, "producer", &e->splits[SS_FIRST], ns[DSMX_STREAM_FIRST]);
	}
	fputc('\n', to);
}

/* --- JSON, CSV ------------------------------------------------------------------------------------------------------ */

void event_json(FILE *to, const struct ss_event *e)
{
	uint64_t ns[DSMX_STREAM_PHASES];

	fprintf(to,
	        "{\"type\":\"%s\",\"at_ns\":%" PRIu64
	        ",\"tid\":%u,\"pid\":%u,\"session\":\"%016" PRIx64 "\",\"arguments\":[%" PRIu64
	        ",%u,%u,%u,%" PRId64 "]",
	        event_name(e), (uint64_t)e->at_ns, e->tid, e->tgid, (uint64_t)e->key.session,
	        (uint64_t)e->key.query, e->key.exchange, e->key.task, e->key.partition,
	        (int64_t)e->value);
	if (event_phases(e, ns)) {
		fprintf(to, ",\"producer_tid\":%u,\"producer_pid\":%u,\"stamps_ns\":[%" PRIu64,
		        e->producer_tid, e->producer_tgid, (uint64_t)e->stamps_ns[0]);
		for (int i = 1; i < SS_STAMPS; i++)
			fprintf(to, ",%" PRIu64, (uint64_t)e->stamps_ns[i]);
		fputs("]", to);
		for (int i = 0; i < DSMX_STREAM_PHASES; i++)
			fprintf(to, ",\"%s_ns\":%" PRIu64, hist_phase_names[i], ns[i]);
		for (int i = 0; i < SS_SPLITS && e->has_splits; i++)
			fprintf(to,
			        ",\"%s_blocked_ns\":%" PRIu64 ",\"%s_waiting_ns\":%" PRIu64
			        ",\"%s_uring_ns\":%" PRIu64,
			        split_names[i], (uint64_t)e->splits[i].blocked_ns, split_names[i],
			        (uint64_t)e->splits[i].waiting_ns, split_names[i],
			        (uint64_t)e->splits[i].uring_ns);
	}
	fputs("}\n", to);
}

void event_csv_head(FILE *to)
{
	fputs("at_ns,event,session,query,exchange,task,partition,value,pid,tid,producer_pid", to);
	for (int i = 0; i < DSMX_STREAM_PHASES; i++)
		fprintf(to, ",%s_ns", hist_phase_names[i]);
	for (int i = 0; i < SS_SPLITS; i++)
		fprintf(to, ",%s_blocked_ns,%s_waiting_ns,%s_uring_ns", split_names[i],
		        split_names[i], split_names[i]);
	fputc('\n', to);
}

void event_csv(FILE *to, const struct ss_event *e)
{
	uint64_t ns[DSMX_STREAM_PHASES];
	bool whole = event_phases(e, ns);

	fprintf(to, "%" PRIu64 ",%s,%016" PRIx64 ",%" PRIu64 ",%u,%u,%u,%" PRId64 ",%u,%u,%u",
	        (uint64_t)e->at_ns, event_name(e), (uint64_t)e->key.session, (uint64_t)e->key.query,
	        e->key.exchange, e->key.task, e->key.partition, (int64_t)e->value, e->tgid, e->tid,
	        e->producer_tgid);
	for (int i = 0; i < DSMX_STREAM_PHASES; i++)
		if (whole)
			fprintf(to, ",%" PRIu64, ns[i]);
		else
			fputc(',', to);
	for (int i = 0; i < SS_SPLITS; i++)
		if (whole && e->has_splits)
			fprintf(to, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64,
			        (uint64_t)e->splits[i].blocked_ns,
			        (uint64_t)e->splits[i].waiting_ns, (uint64_t)e->splits[i].uring_ns);
		else
			fputs(",,,", to);
	fputc('\n', to);
}

/* --- slow, follow --------------------------------------------------------------------------------------------------- */

struct show {
	const struct trace_options *options;
	uint64_t least_ns;
	bool streams_only;
};

static void show(void *arg, const struct ss_event *e)
{
	const struct show *s = arg;
	uint64_t ns[DSMX_STREAM_PHASES];
	bool stream = event_phases(e, ns);

	if (s->streams_only && (!stream || ns[DSMX_STREAM_TOTAL] < s->least_ns))
		return;
	if (s->options->format == FORMAT_JSON)
		event_json(stdout, e);
	else if (s->options->format == FORMAT_CSV)
		event_csv(stdout, e);
	else
		event_text(stdout, e);
	fflush(stdout);
}

static int show_main(struct show *s)
{
	struct source_ops ops = { .event = show, .arg = s };
	struct source_sum sum;
	int status;

	if (s->options->format == FORMAT_CSV)
		event_csv_head(stdout);
	status = source_run(s->options, &ops, &sum);
	if (status == EXIT_OK)
		source_print_losses(stderr, &sum);
	return status;
}

int slow_main(const struct trace_options *options)
{
	struct show s = { .options = options,
		          .least_ns = options->min_us * 1000,
		          .streams_only = true };

	return show_main(&s);
}

int follow_main(const struct trace_options *options)
{
	struct show s = { .options = options };

	return show_main(&s);
}

/* --- hist --kernel -------------------------------------------------------------------------------------------------- */

static void print_splits(const struct source_sum *sum)
{
	static const char *const words[SS_SPLITS] = {
		"consumer's thread, from send to first read",
		"producer's thread, from recv to start",
		"producer's thread, from start to first commit",
	};

	printf("\n%-9s %10s %10s %10s %10s  of the mean\n", "thread", "blocked", "in uring",
	       "waiting", "ran");
	for (int i = 0; i < SS_SPLITS; i++) {
		const struct ss_sums *s = &sum->splits[i];
		char text[SS_PARTS][HIST_TIME_LEN];

		if (s->count == 0)
			continue;
		printf("%-9s %10s %10s %10s %10s  %s\n", split_names[i],
		       hist_time(s->ns[SS_BLOCKED] / s->count, text[0]),
		       hist_time(s->ns[SS_URING] / s->count, text[1]),
		       hist_time(s->ns[SS_WAITING] / s->count, text[2]),
		       hist_time(s->ns[SS_RAN] / s->count, text[3]), words[i]);
	}
}

int kernel_hist_main(const struct trace_options *options)
{
	struct source_ops ops = { .event = NULL };
	struct source_sum sum;
	struct dsmx_phases phases;
	int status = source_run(options, &ops, &sum);

	if (status != EXIT_OK)
		return status;
	source_phases(&sum, &phases);
	write_phases(stdout, options, &phases, true);
	if (options->format == FORMAT_TEXT) {
		if (sum.has_splits && phases.streams > 0)
			print_splits(&sum);
		putchar('\n');
		for (int i = 0; i < DSMX_PROBE_COUNT; i++)
			if (sum.hits[i] > 0)
				printf("%-12s %10" PRIu64 " times\n", probe_names[i], sum.hits[i]);
	}
	source_print_losses(options->format == FORMAT_TEXT ? stdout : stderr, &sum);
	return EXIT_OK;
}
