/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * startstream.h - what the BPF programs and dsmx-trace tell each other; also the format of recorded files
 */
#ifndef DSMX_TRACE_STARTSTREAM_H
#define DSMX_TRACE_STARTSTREAM_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define SS_STAMPS  5
#define SS_BUCKETS 48
#define SS_EVENTS  (1U << 22) /* bytes of the buffer of events */
#define SS_FLIGHTS 16384U     /* StartStreams under way that are remembered */

/* A stream: it is asked for once. */
struct ss_key {
	__u64 session;
	__u64 query;
	__u32 exchange;
	__u32 task;
	__u32 partition;
	__u32 reserved;
};

/* What became of a thread's time: asleep; ready, but without a CPU. The rest it ran. */
struct ss_split {
	__u64 blocked_ns;
	__u64 waiting_ns;
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

/* Histograms, one set for each CPU. */
enum {
	SS_HIST_PHASES = 5, /* as dsmx_phase; then for each split blocked, waiting, running */
	SS_HISTS = SS_HIST_PHASES + 3 * SS_SPLITS,
};

struct ss_hist {
	__u64 count;
	__u64 sum_ns;
	__u64 max_ns;
	__u64 buckets[SS_BUCKETS];
};

/* What was not seen, by cause. */
#define SS_LOSSES(X)                                                                               \
	X(events_full, "events, as the buffer was full")                                           \
	X(flights_full, "StartStreams, as too many were under way")                                \
	X(unsent, "first reads of streams whose StartStream was not seen")                         \
	X(unseen, "first reads of streams that lack a stamp between")                              \
	X(sent_twice, "StartStreams of a stream that was under way already")                       \
	X(disordered, "streams whose stamps go backwards")                                         \
	X(untracked, "threads without room for their times")
#define SS_LOSS_ENUM_(name, text) SS_LOST_##name,
enum { SS_LOSSES(SS_LOSS_ENUM_) SS_LOSS_COUNT };

#endif /* DSMX_TRACE_STARTSTREAM_H */
