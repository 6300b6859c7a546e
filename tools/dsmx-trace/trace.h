/* SPDX-License-Identifier: MIT */
/*
 * trace.h - what the parts of dsmx-trace share
 *
 *	main.c		command line, exit codes
 *	page.c		one process's page: found, checked, mapped
 *	group.c		the processes of a cgroup
 *	find.c		all pages that we may read, as sessions
 *	count.c		counters of a process: one table for stat, top and every format
 *	write.c		counters and histograms, in every format
 *	view.c		tables for top
 *	stat.c list.c doctor.c why.c top.c	commands that read pages only
 *
 *	note.c		the probes in an ELF file
 *	targets.c	the files that have them
 *	kernel.c kernel_sum.c	the BPF programs, as a source of events; what they have counted
 *	source.c	the same from a recorded file, and recording
 *	event.c		events as lines; slow, follow, hist --kernel
 *	export.c html.c	events for other programs
 *	heat.c		a histogram over time, as text and as SVG
 *	flight.c	what the flight recorders have
 *	offcpu.c	time off the CPU, by task
 *	check.c		was every producer's start asked for?
 *	self.c		a StartStream of our own: do probes fire?
 */
#ifndef DSMX_TRACE_TOOL_H
#define DSMX_TRACE_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "dsmx/abi.h"
#include "dsmx/session.h"

enum {
	EXIT_OK = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
	EXIT_PERMISSION = 3,
	EXIT_UNSUPPORTED = 4,
};

enum format {
	FORMAT_TEXT,
	FORMAT_JSON,
	FORMAT_CSV,
	FORMAT_OPENMETRICS,
	FORMAT_CHROME,
	FORMAT_HTML,
};

/* One stream, or several: TRACE_ANY for what may be anything. */
#define TRACE_ANY UINT32_MAX
struct stream_choice {
	uint32_t exchange, task, partition;
};

struct trace_options {
	pid_t pid;          /* 0: any */
	uint64_t session;   /* 0: any */
	const char *cgroup; /* NULL: any; only sessions with a process in or below this directory */
	double duration_s;  /* 0: since the start of each process; until interrupted */
	double interval_s;  /* 0: once */
	uint64_t count;     /* 0: no limit */
	enum format format;
	int phase; /* DSMX_STREAM_*, -1: all */
	const char *sort;
	const char *filter;
	bool kernel; /* by probes instead of pages */
	bool heat;   /* hist: over time */
	bool no_scheduler;
	bool all_probes; /* those that only are counted, too */
	bool quiet;      /* do not say that it watches */
	int turn;        /* flight: 1: on, -1: off */
	uint64_t min_us;
	uint64_t buffer_kib; /* 0: as the programs have it */
	const char *from;    /* a recorded file instead of the kernel */
	const char *output;  /* NULL: standard output */
	struct stream_choice stream;
	int worker;               /* DSMX_ABI_LEADER, 1 ..: a peer's number; -1: any */
	const char *const *files; /* to look for probes in these alone; NULL: in all that run */
	uint32_t file_count;
};
#define TRACE_OPTIONS                                                                              \
	{                                                                                          \
		.phase = -1, .min_us = 1000, .worker = -1, .stream = {                             \
			TRACE_ANY,                                                                 \
			TRACE_ANY,                                                                 \
			TRACE_ANY                                                                  \
		}                                                                                  \
	}

/* Are only some sessions wanted? */
static inline bool trace_chooses(const struct trace_options *o)
{
	return o->session != 0 || o->pid != 0 || o->cgroup != NULL;
}

static inline bool trace_wants_stream(const struct trace_options *o, uint32_t exchange,
                                      uint32_t task, uint32_t partition)
{
	const struct stream_choice *s = &o->stream;

	return (s->exchange == TRACE_ANY || s->exchange == exchange) &&
	       (s->task == TRACE_ANY || s->task == task) &&
	       (s->partition == TRACE_ANY || s->partition == partition);
}

static inline bool trace_wants_peer(const struct trace_options *o, uint32_t peer)
{
	return o->worker < 0 || (uint32_t)o->worker == peer;
}

/* --- page.c ----------------------------------------------------------------------------------------------------- */

/* A page that is mapped; where its parts are. Nothing in it is ever taken for true without a check. */
struct page {
	const char *base;
	size_t bytes;
	dev_t device;
	ino_t inode;
	struct dsmx_page_abi
		head; /* as it was when it was mapped: the first line does not change */
	size_t bells, tasks, request_words, stream_words, requests, streams, phases, flight,
		flight_events, end;
};

/* Where the parts are, from the numbers in page->head. Returns 0, or -EBADMSG for numbers over the limits. */
int page_layout(struct page *page);

/* Map the page behind @path. Returns 0, -EACCES, -EPROTO (another version), -EBADMSG (no page of dsmx). */
int page_open(const char *path, struct page *ret_page);
void page_close(struct page *page);

/* A copy of what is at @offset now. */
void page_read(const struct page *page, size_t offset, void *ret_bytes, size_t len);
struct dsmx_page_abi page_head(const struct page *page);
struct dsmx_task_abi page_task(const struct page *page, uint32_t index);
struct dsmx_phases_abi page_phases(const struct page *page);

/* One end of a stream: what @page says about slot @slot to or from @peer. */
struct stream_end {
	uint64_t word;
	union {
		struct dsmx_request_abi request;
		struct dsmx_stream_abi stream;
	} is;
};
struct stream_end page_request(const struct page *page, uint32_t peer, uint32_t slot);
struct stream_end page_stream(const struct page *page, uint32_t peer, uint32_t slot);

/* --- find.c ----------------------------------------------------------------------------------------------------- */

struct session {
	uint64_t id;
	pid_t leader;
	uint32_t peers;
	struct page pages[DSMX_ABI_PEERS]; /* by peer; base NULL: not seen */
	struct page dead
		[DSMX_ABI_PEERS]; /* of incarnations that are gone, if their supervisor kept it */
	char control[64];         /* where its control segment can be opened; "": not seen */
};

struct sessions {
	uint32_t count;
	struct session **list; /* by id */
	uint32_t denied;       /* processes of other users or without leave to look */
	uint32_t other_version;
};

/* Look for what is new and what is gone; call again at each interval. Zeroed before the first call. */
void sessions_find(struct sessions *sessions, const struct trace_options *options);
void sessions_fini(struct sessions *sessions);

/* No session: say why on stderr. Returns the exit status: EXIT_ERROR or EXIT_PERMISSION. */
int sessions_none(const struct sessions *sessions, const struct trace_options *options);

/* --- group.c ---------------------------------------------------------------------------------------------------- */

struct pids {
	uint32_t count, room;
	pid_t *list;
};

void group_take(const char *dir, struct pids *ret_pids);
bool group_has(const struct pids *pids, pid_t pid);
void group_free(struct pids *pids);

/* "leader" or "worker 3" */
const char *peer_name(uint32_t peer, char buf[16]);
/* The program's name, or "" if it is gone. */
const char *process_name(pid_t pid, char buf[32]);

/* --- count.c ---------------------------------------------------------------------------------------------------- */

#define COUNTERS 18

struct counter {
	const char *name;
	const char *unit; /* NULL: a count */
	bool grows;       /* a counter; else what is there now */
	const char *help;
};
extern const struct counter counters[COUNTERS];

struct counts {
	uint64_t session;
	uint32_t peer;
	pid_t pid;
	uint64_t at_ns;
	uint64_t values[COUNTERS];
};

int counter_find(const char *name); /* -1: there is none of that name */
void counts_take(const struct session *session, uint32_t peer, struct counts *ret_counts);

/* Of all processes of @sessions; the longest of each phase is the longest of all. */
void phases_take(const struct sessions *sessions, const struct trace_options *options,
                 struct dsmx_phases *ret_phases);

/* --- how numbers leave ------------------------------------------------------------------------------------------- */

/* @counts of @count processes, in the format of the options. @first: the first of several. */
void write_counts(FILE *to, const struct trace_options *options, const struct counts *counts,
                  size_t count, bool first);
void write_phases(FILE *to, const struct trace_options *options, const struct dsmx_phases *phases,
                  bool first);

/* --- loop.c ------------------------------------------------------------------------------------------------------ */

uint64_t clock_ns(void);
/* Sleep until @until_ns. Returns false when the user interrupted. */
bool sleep_until(uint64_t until_ns);
void catch_interrupts(void);
bool interrupted(void);

/* --- commands: each returns the exit status ------------------------------------------------------------------------ */

int list_main(const struct trace_options *options);
int stat_main(const struct trace_options *options);
int hist_main(const struct trace_options *options);
int top_main(const struct trace_options *options);
int why_main(const struct trace_options *options);
int doctor_main(const struct trace_options *options);
int check_main(const struct trace_options *options);
int flight_main(const struct trace_options *options);

#endif /* DSMX_TRACE_TOOL_H */
