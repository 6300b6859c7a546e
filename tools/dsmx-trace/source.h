/* SPDX-License-Identifier: MIT */
/*
 * source.h - where events come from: the probes, by BPF, or a file that was recorded
 */
#ifndef DSMX_TRACE_SOURCE_H
#define DSMX_TRACE_SOURCE_H

#include "dsmx/trace.h"
#include "startstream.h"
#include "trace.h"

struct source_sum {
	bool has_splits;
	uint64_t hits[DSMX_PROBE_COUNT]; /* how often each probe was seen */
	uint64_t losses[SS_LOSS_COUNT];
	uint64_t misses;    /* probes that the kernel skipped, as one was being served already */
	uint64_t under_way; /* StartStreams still unread in the end */
	uint64_t abandoned; /* StartStreams whose consumers died before they read */
	uint64_t causes[SS_CAUSE_COUNT];
	struct ss_hist hists[SS_HISTS];
	struct ss_sums splits[SS_SPLITS];
};

struct source_ops {
	void (*event)(void *arg, const struct ss_event *event); /* NULL: only sums are wanted */
	void (*watching)(void *arg); /* what happens from now on is seen */
	bool (*enough)(void *arg);   /* asked now and then: is it? */
	/* Not NULL: find out about time off the CPU, and nothing else; called for each task in the end. */
	void (*off)(void *arg, const struct ss_task_key *key, const struct ss_off *off);
	void *arg;
	bool causes; /* look for the causes of producers' starts, and for nothing else */
};

/*
 * Run until the duration, the count of events or the user ends it.
 *
 * Returns the exit status; on failure it has said why on stderr.
 */
int source_run(const struct trace_options *options, const struct source_ops *ops,
               struct source_sum *ret_sum);

/* By BPF; of kernel.c. EXIT_UNSUPPORTED where this was built without. */
int kernel_run(const struct trace_options *options, const struct source_ops *ops,
               struct source_sum *ret_sum);
bool kernel_is_built(void);
/* Do the programs load here? With the scheduler's times or at least without: @ret_scheduler. 0 or -errno. */
int kernel_try(bool *ret_scheduler);

extern const char *const loss_texts[SS_LOSS_COUNT];
extern const char *const loss_names[SS_LOSS_COUNT];
extern const char *const split_names[SS_SPLITS];
extern const char *const probe_names[DSMX_PROBE_COUNT];

/* The phases of the histograms, for what prints those of pages. */
void source_phases(const struct source_sum *sum, struct dsmx_phases *ret_phases);
/* What was not seen, a line for each cause that there was; "nothing was lost" if none. */
void source_print_losses(FILE *to, const struct source_sum *sum);
/* The same as an object on a line, with those that there was none of. */
void source_json_losses(FILE *to, const struct source_sum *sum);

/* Does the stream of this event have all its stamps? Its phases, then. */
bool event_phases(const struct ss_event *event, uint64_t ret_ns[DSMX_STREAM_PHASES]);

/* Returns how many of three StartStreams of our own were seen whole, or -1: it could not be tried. */
int self_look(void);

int slow_main(const struct trace_options *options);
int follow_main(const struct trace_options *options);
int record_main(const struct trace_options *options);
int export_main(const struct trace_options *options);
int offcpu_main(const struct trace_options *options);
int kernel_hist_main(const struct trace_options *options);

/* --- writers of export.c's formats ------------------------------------------------------------------------------------ */

/* "ss_read", "exit"; every event of a source has one. */
const char *event_name(const struct ss_event *event);
/* An event that is no probe's. */
static inline bool event_is_extra(uint32_t probe)
{
	return probe == SS_EVENT_exit || probe == SS_EVENT_unasked;
}

void event_text(FILE *to, const struct ss_event *event);
void event_json(FILE *to, const struct ss_event *event);
void event_csv_head(FILE *to);
void event_csv(FILE *to, const struct ss_event *event);

/* Events are kept until all are there. */
struct event_list {
	size_t count, room;
	struct ss_event *list;
};
void write_chrome(FILE *to, const struct event_list *events, const struct source_sum *sum);
void write_html(FILE *to, const struct event_list *events, const struct source_sum *sum);

#endif /* DSMX_TRACE_SOURCE_H */
