/* SPDX-License-Identifier: MIT */
/*
 * source.c - recorded events, and what is common to both sources
 *
 * A recorded file is a header and events as they came, then one more for each cause of loss, so that what was
 * not seen is known later, too.
 */
#include "source.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define RECORD_MAGIC   0x31636572786d7364ULL /* "dsmxrec1" */
#define RECORD_LOSS    0xffffffffU           /* instead of a probe: key.session is the cause */
#define RECORD_MISSES  0xfffffffeU
#define RECORD_WAITING 0xfffffffdU
#define RECORD_GONE    0xfffffffcU

struct record_head {
	uint64_t magic;
	uint32_t event_bytes;
	uint32_t probes;
};

const char *const loss_texts[SS_LOSS_COUNT] = {
#define TEXT(name, text) text,
	SS_LOSSES(TEXT)
#undef TEXT
};
const char *const loss_names[SS_LOSS_COUNT] = {
#define NAME(name, text) #name,
	SS_LOSSES(NAME)
#undef NAME
};
const char *const probe_names[DSMX_PROBE_COUNT] = {
#define NAME(name, args, meaning) #name,
	DSMX_PROBES(NAME)
#undef NAME
};
const char *event_name(const struct ss_event *e)
{
	return e->probe == SS_EVENT_exit      ? "exit"
	       : e->probe == SS_EVENT_unasked ? "unasked"
	                                      : probe_names[e->probe];
}

const char *const split_names[SS_SPLITS] = { "consumer", "spawn", "first" };

bool event_phases(const struct ss_event *e, uint64_t ret_ns[DSMX_STREAM_PHASES])
{
	if (e->probe != DSMX_PROBE_ss_read)
		return false;
	for (int i = 1; i < SS_STAMPS; i++) {
		if (e->stamps_ns[i] < e->stamps_ns[i - 1])
			return false;
		ret_ns[i - 1] = e->stamps_ns[i] - e->stamps_ns[i - 1];
	}
	ret_ns[DSMX_STREAM_TOTAL] = e->stamps_ns[SS_STAMPS - 1] - e->stamps_ns[0];
	return true;
}

void source_phases(const struct source_sum *sum, struct dsmx_phases *ret)
{
	*ret = (struct dsmx_phases){ .unread = sum->hits[DSMX_PROBE_ss_unread],
		                     .odd = sum->losses[SS_LOST_disordered] };
	for (int b = 0; b < DSMX_STREAM_BUCKETS; b++)
		ret->streams += sum->hists[DSMX_STREAM_TOTAL].buckets[b];
	for (int i = 0; i < DSMX_STREAM_PHASES; i++) {
		ret->sum_ns[i] = sum->hists[i].sum_ns;
		ret->max_ns[i] = sum->hists[i].max_ns;
		for (int b = 0; b < DSMX_STREAM_BUCKETS; b++)
			ret->buckets[i][b] = sum->hists[i].buckets[b];
	}
}

void source_print_losses(FILE *to, const struct source_sum *sum)
{
	bool any = sum->misses + sum->abandoned > 0;

	for (int i = 0; i < SS_LOSS_COUNT; i++)
		if (sum->losses[i] > 0) {
			fprintf(to, "not counted: %" PRIu64 " %s\n", sum->losses[i], loss_texts[i]);
			any = true;
		}
	if (sum->misses > 0)
		fprintf(to, "not counted: %" PRIu64 " probes that hit while one was served\n",
		        sum->misses);
	if (sum->abandoned > 0)
		fprintf(to, "not counted: %" PRIu64 " StartStreams whose consumers died\n",
		        sum->abandoned);
	if (sum->under_way > 0)
		fprintf(to, "still under way: %" PRIu64 " StartStreams\n", sum->under_way);
	if (!any)
		fputs("nothing was lost\n", to);
}

void source_json_losses(FILE *to, const struct source_sum *sum)
{
	fputs("{\"type\":\"lost\"", to);
	for (int i = 0; i < SS_LOSS_COUNT; i++)
		fprintf(to, ",\"%s\":%" PRIu64, loss_names[i], sum->losses[i]);
	fprintf(to,
	        ",\"misses\":%" PRIu64 ",\"abandoned\":%" PRIu64 ",\"under_way\":%" PRIu64 "}\n",
	        sum->misses, sum->abandoned, sum->under_way);
}

/* --- a recorded file ------------------------------------------------------------------------------------------------ */

static void add(struct ss_hist *h, uint64_t ns)
{
	uint32_t bucket = 63 - (uint32_t)__builtin_clzll(ns | 1);

	h->buckets[bucket < SS_BUCKETS ? bucket : SS_BUCKETS - 1]++;
	h->sum_ns += ns;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

static void add_event(struct source_sum *sum, const struct ss_event *e)
{
	uint64_t ns[DSMX_STREAM_PHASES];
	static const int phase_of[SS_SPLITS] = { DSMX_STREAM_TOTAL, DSMX_STREAM_SPAWN,
		                                 DSMX_STREAM_FIRST };

	if (event_is_extra(e->probe))
		return;
	sum->hits[e->probe]++;
	if (!event_phases(e, ns))
		return;
	for (int i = 0; i < DSMX_STREAM_PHASES; i++)
		add(&sum->hists[i], ns[i]);
	if (!e->has_splits)
		return;
	sum->has_splits = true;
	for (int i = 0; i < SS_SPLITS; i++) {
		uint64_t off_ns = e->splits[i].blocked_ns + e->splits[i].waiting_ns;
		uint64_t all_ns = ns[phase_of[i]];

		struct ss_sums *sums = &sum->splits[i];

		sums->count++;
		sums->ns[SS_BLOCKED] += e->splits[i].blocked_ns;
		sums->ns[SS_WAITING] += e->splits[i].waiting_ns;
		sums->ns[SS_RAN] += all_ns > off_ns ? all_ns - off_ns : 0;
		sums->ns[SS_URING] += e->splits[i].uring_ns;
	}
}

static bool add_tail(struct source_sum *sum, const struct ss_event *e)
{
	if (e->probe == RECORD_LOSS && e->key.session < SS_LOSS_COUNT)
		sum->losses[e->key.session] = e->value;
	else if (e->probe == RECORD_MISSES)
		sum->misses = e->value;
	else if (e->probe == RECORD_WAITING)
		sum->under_way = e->value;
	else if (e->probe == RECORD_GONE)
		sum->abandoned = e->value;
	else
		return e->probe < DSMX_PROBE_COUNT || event_is_extra(e->probe);
	return false;
}

static int replay(const struct trace_options *options, const struct source_ops *ops,
                  struct source_sum *sum)
{
	FILE *file = fopen(options->from, "re");
	struct record_head head;
	struct ss_event e;
	uint64_t events = 0;

	*sum = (struct source_sum){ .misses = 0 };
	if (file == NULL) {
		fprintf(stderr, "dsmx-trace: %s: %s\n", options->from, strerror(errno));
		return errno == EACCES ? EXIT_PERMISSION : EXIT_ERROR;
	}
	if (fread(&head, sizeof(head), 1, file) != 1 || head.magic != RECORD_MAGIC ||
	    head.event_bytes != sizeof(e) || head.probes > DSMX_PROBE_COUNT) {
		fprintf(stderr, "dsmx-trace: %s was not recorded by this version of dsmx-trace\n",
		        options->from);
		fclose(file);
		return EXIT_ERROR;
	}
	while (fread(&e, sizeof(e), 1, file) == 1) {
		if (!add_tail(sum, &e) ||
		    (options->session != 0 && e.key.session != options->session) ||
		    (e.probe <= DSMX_PROBE_ss_nak &&
		     !trace_wants_stream(options, e.key.exchange, e.key.task, e.key.partition)))
			continue;
		if (options->count > 0 && events == options->count)
			continue;
		events++;
		add_event(sum, &e);
		if (ops->event != NULL)
			ops->event(ops->arg, &e);
	}
	fclose(file);
	return EXIT_OK;
}

int source_run(const struct trace_options *options, const struct source_ops *ops,
               struct source_sum *ret_sum)
{
	return options->from != NULL ? replay(options, ops, ret_sum)
	                             : kernel_run(options, ops, ret_sum);
}

/* --- recording ------------------------------------------------------------------------------------------------------ */

static void write_event(void *arg, const struct ss_event *event)
{
	(void)fwrite(event, sizeof(*event), 1, arg);
}

static void write_tail(FILE *to, uint32_t what, uint64_t index, uint64_t value)
{
	struct ss_event e;

	memset(&e, 0, sizeof(e));
	e.probe = what;
	e.key.session = index;
	e.value = value;
	write_event(to, &e);
}

int record_main(const struct trace_options *options)
{
	struct record_head head = { .magic = RECORD_MAGIC,
		                    .event_bytes = sizeof(struct ss_event),
		                    .probes = DSMX_PROBE_COUNT };
	struct source_ops ops = { .event = write_event };
	struct source_sum sum;
	FILE *file;
	int status;

	if (options->output == NULL) {
		fputs("dsmx-trace: record needs a file: --output FILE\n", stderr);
		return EXIT_USAGE;
	}
	file = fopen(options->output, "we");
	if (file == NULL) {
		fprintf(stderr, "dsmx-trace: %s: %s\n", options->output, strerror(errno));
		return EXIT_ERROR;
	}
	ops.arg = file;
	(void)fwrite(&head, sizeof(head), 1, file);
	status = kernel_run(options, &ops, &sum);
	if (status == EXIT_OK) {
		for (uint32_t i = 0; i < SS_LOSS_COUNT; i++)
			write_tail(file, RECORD_LOSS, i, sum.losses[i]);
		write_tail(file, RECORD_MISSES, 0, sum.misses);
		write_tail(file, RECORD_WAITING, 0, sum.under_way);
		write_tail(file, RECORD_GONE, 0, sum.abandoned);
		source_print_losses(stderr, &sum);
	}
	if (fclose(file) != 0 && status == EXIT_OK) {
		fprintf(stderr, "dsmx-trace: %s: %s\n", options->output, strerror(errno));
		status = EXIT_ERROR;
	}
	return status;
}
