/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * startstream.h - what the BPF programs and dsmx-trace tell each other; also the format of recorded files
 */
#ifndef DSMX_TRACE_STARTSTREAM_H
#define DSMX_TRACE_STARTSTREAM_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include "dsmx/trace.h"

#define SS_STAMPS  5
#define SS_BUCKETS 48
#define SS_EVENTS  (1U << 22) /* bytes of the buffer of events */
#define SS_FLIGHTS 16384U     /* StartStreams under way that are remembered */
#define SS_ASKED   65536U     /* StartStreams remembered for their starts */
#define SS_CHOSEN  256U       /* sessions that can be chosen at once */
#define SS_TASKS   8192U      /* producer tasks whose time off the CPU is kept */
#define SS_ANY     0xffffffffU

/* A stream: it is asked for once. */
struct ss_key {
	__u64 session;
	__u64 query;
	__u32 exchange;
	__u32 task;
	__u32 partition;
	__u32 reserved; /* 0; of a cause, the attempt */
};

/* What became of a thread's time: asleep; ready, but without a CPU. The rest it ran. */
struct ss_split {
	__u64 blocked_ns;
	__u64 waiting_ns;
	__u64 uring_ns; /* of blocked: in io_uring_enter(2), where a reactor waits for work */
};
enum { SS_BLOCKED, SS_WAITING, SS_RAN, SS_URING, SS_PARTS };

/* A StartStream under way. */
struct ss_flight {
	__u64 stamps_ns[SS_STAMPS];
	struct ss_split at[SS_STAMPS - 1]; /* the thread's account then */
	__u32 tid, tgid;                   /* of the consumer */
	__u32 producer_tid, producer_tgid;
};

/* Events that are no probes. */
#define SS_EVENT_exit                                                                              \
	0x100U /* key.task, a process, has ended: value its wait status; key.partition: by OOM */
#define SS_EVENT_unasked                                                                           \
	0x101U /* a producer started a stream that nobody had asked for; value the attempt */

/* Producer starts, by whether somebody had asked. */
enum {
	SS_CAUSE_sent, /* StartStreams */
	SS_CAUSE_asked,
	SS_CAUSE_unasked,
	SS_CAUSE_unwatched, /* in a session whose beginning was not seen */
	SS_CAUSE_COUNT,
};

/* Of which thread in which phase: a stream has four. */
enum {
	SS_CONSUMER, /* the consumer, from send to first read */
	SS_SPAWN,    /* the producer's thread, from recv to start */
	SS_FIRST,    /* the producer's thread, from start to first commit */
	SS_SPLITS,
};

/* An event; probe says which, and which of the fields it has. */
struct ss_event {
	__u32 probe; /* enum dsmx_probe; ss_read: the stream with all its stamps */
	__u32 tid;   /* of the thread that fired it */
	__u32 tgid;
	__u32 producer_tid;
	__u32 producer_tgid;
	__u32 has_splits;
	__u64 at_ns;
	struct ss_key key;
	__u64 value; /* the last argument */
	__u64 stamps_ns[SS_STAMPS];
	struct ss_split splits[SS_SPLITS];
};

#define SS_HISTS 5 /* as dsmx_phase */

/* A producer task: all streams of an exchange that one process gives. */
struct ss_task_key {
	__u64 session;
	__u64 query;
	__u32 exchange;
	__u32 task;
};

/* Time off the CPU: in the task's own turns; and of its process, asleep while the task was parked. */
enum { SS_OFF_BLOCKED, SS_OFF_WAITING, SS_OFF_INPUT, SS_OFF_OUTPUT, SS_OFF_OTHER, SS_OFF_PARTS };
struct ss_off {
	__u64 ns[SS_OFF_PARTS];
	__u64 times;          /* that it was off the CPU in its turn */
	__u64 parked;         /* it is */
	__u64 parked_idle_ns; /* what its process had slept by then */
};

/* How the time of a split's threads fell into parts, of all streams. */
struct ss_sums {
	__u64 count;
	__u64 ns[SS_PARTS];
};

struct ss_hist {
	__u64 sum_ns;
	__u64 max_ns;
	__u64 buckets[SS_BUCKETS];
};

/* clang-format off */

/* What was not seen, by cause. */
#define SS_LOSSES(X)                                                                               \
	X(streams_full, "StartStreams one by one, as the buffer was full; sums have them")         \
	X(events_full, "events of other kinds, as the buffer was full")                            \
	X(flights_full, "StartStreams, as too many were under way")                                \
	X(unsent, "first reads of streams whose StartStream was not seen")                         \
	X(unseen, "first reads of streams that lack a stamp between")                              \
	X(sent_twice, "StartStreams of a stream that was under way already")                       \
	X(disordered, "streams whose stamps go backwards")                                         \
	X(untracked, "threads without room for their times")                                       \
	X(tasks_full, "times off the CPU, as there were too many tasks")                           \
	X(turns, "times off the CPU of nobody knows whose turn")

/* clang-format on */

#define SS_LOSS_ENUM_(name, text) SS_LOST_##name,
enum { SS_LOSSES(SS_LOSS_ENUM_) SS_LOSS_COUNT };

/* What programs count, one for each CPU. */
struct ss_counts {
	__u64 hits
		[DSMX_PROBE_COUNT]; /* how often each probe was seen: exact, whatever else is lost */
	__u64 losses[SS_LOSS_COUNT];
	__u64 causes[SS_CAUSE_COUNT];
	struct ss_hist hists[SS_HISTS];
	struct ss_sums splits[SS_SPLITS];
};

#endif /* DSMX_TRACE_STARTSTREAM_H */
