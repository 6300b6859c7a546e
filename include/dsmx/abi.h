/* SPDX-License-Identifier: MIT */
/*
 * abi.h - the page: what one process publishes and every other process of its session reads
 *
 * Every process of a session owns one page segment and one data segment and is the only one that writes
 * them. All processes of a session have the same layout, which follows from four numbers in the header:
 * peers (0 is the leader, 1.. are the workers), slots (streams for each pair of processes and direction),
 * frames (that one stream may have out), tasks (records). In this order, each part on a 64-byte line:
 *
 *	struct dsmx_page_abi		header
 *	__u64 mapped[peers]		the epoch of each peer's segments that this process has mapped; 0: none
 *	__u64 dead[peers]		the epoch of each peer's last incarnation that this process knows to be dead
 *	__u64 accused[peers]		the epoch of each peer's incarnation that broke a rule here: a hint for the leader
 *	struct dsmx_live_abi[peers]	one liveness word for each process that watches this one
 *	struct dsmx_bell_abi[peers]	what this process says to that peer
 *	struct dsmx_query_abi[QUERIES]	leader: plans on offer. Worker: only `closed` is used
 *	struct dsmx_error_abi[ERRORS]	texts that stream words of state ERROR and NAK refer to
 *	struct dsmx_task_abi[tasks]	what each producer task does and did
 *	__u64 request[peers][slots]	request words: what this process wants as a consumer
 *	__u64 stream[peers][slots]	stream words: what it answers as a producer
 *	struct dsmx_request_abi[peers][slots]
 *	struct dsmx_stream_abi[peers][slots]
 *	__u32 log[peers][slots][frames]	release logs: frame ids, in the order in which they came back
 *	struct dsmx_phases_abi		how long the StartStreams of this process took, as a consumer
 *	struct dsmx_flight_abi		flight recorder
 *	struct dsmx_flight_event_abi[FLIGHT_EVENTS]
 *
 * Consumer C and producer P of a stream agree on the place by construction: C's request [P][i] is answered
 * by P's stream [C][i]. A word is a generation (upper 56 bits, chosen by the consumer, growing) and a state
 * (lower 8). Each side fills the other fields of its record and resets its counts before it stores the word
 * that announces them, and the other reads them only after it has read that word.
 *
 *	consumer's word		producer's answer in the same generation
 *	START			RUNNING, then exactly one of FIN, ERROR, NAK, CANCELLED
 *	CANCEL			CANCELLED, or what was final before
 *	DONE			none: the consumer has seen the final answer and released every frame
 *
 * Everything in this file is fixed-width and read by processes that did not write it. To change a layout:
 * change the struct, its assertion and DSMX_ABI_VERSION.
 */
#ifndef DSMX_ABI_H
#define DSMX_ABI_H

/* Compiled as C, as C++ and for BPF: no libc header, and vmlinux.h brings its own __u32. */
#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#ifdef __cplusplus
#define DSMX_ABI_ASSERT(cond, why) static_assert(cond, why)
#else
#define DSMX_ABI_ASSERT(cond, why) _Static_assert(cond, why)
#endif

#define DSMX_ABI_VERSION 7U
#define DSMX_PAGE_MAGIC  0x656761702d786d64ULL /* "dmx-page", little-endian */
#define DSMX_LINE_BYTES  64U

#define DSMX_ABI_QUERIES    16U /* plans on offer at once */
#define DSMX_ABI_ERRORS     16U
#define DSMX_ABI_MOVES      64U /* producer tasks of a query that run elsewhere after a death */
#define DSMX_ABI_TOOK       8U  /* words of a bit for each producer task of a query */
#define DSMX_ABI_ERROR_TEXT 472U
#define DSMX_ABI_PEERS      65U /* most: the leader and 64 workers */
#define DSMX_ABI_LEADER     0U

/* --- words ---------------------------------------------------------------------------------------------- */

#define DSMX_WORD(generation, state) (((__u64)(generation) << 8) | (__u64)(state))
#define DSMX_WORD_STATE(word)        ((__u32)((word) & 0xff))
#define DSMX_WORD_GENERATION(word)   ((__u64)(word) >> 8)

/* States of request words. */
#define DSMX_REQUEST_NONE   0U
#define DSMX_REQUEST_START  1U
#define DSMX_REQUEST_CANCEL 2U
#define DSMX_REQUEST_DONE   3U

/* States of stream words. */
#define DSMX_STREAM_NONE      0U
#define DSMX_STREAM_RUNNING   1U
#define DSMX_STREAM_FIN       2U
#define DSMX_STREAM_ERROR     3U
#define DSMX_STREAM_NAK       4U
#define DSMX_STREAM_CANCELLED 5U

/* States of a process. */
#define DSMX_STATE_STARTING 0U
#define DSMX_STATE_OPEN     1U
#define DSMX_STATE_END      2U /* leader: SessionEnd. Worker: it leaves. */

/* States of a query record's word. */
#define DSMX_QUERY_NONE   0U
#define DSMX_QUERY_OPEN   1U
#define DSMX_QUERY_CLOSED 2U

/* --- parts of the page ---------------------------------------------------------------------------------- */

struct dsmx_page_abi {
	/* line 0: constant once the peers have the segment */
	__u64 magic;
	__u32 version;
	__u32 peer; /* this process's number */
	__u64 session;
	__u64 epoch; /* of this incarnation; never 0, never used twice in a session */
	__u32 pid;
	__u32 peers;
	__u32 slots;
	__u32 frames;
	__u32 tasks;
	__u32 isolation; /* worker: its level and the steps that it has taken: isolation.h */
	__u64 data_bytes;

	/* line 1 */
	__u32 state; /* DSMX_STATE_ */
	__u32 pulse; /* moves with every look of the reactor, also of an idle one: the supervisor's watchdog */
	__u64 beat; /* turns of the reactor; this, late_parks and parks as of its last sleep */
	__u64 start_streams; /* requests sent, streams opened by consumers, ... since the start: counters */
	__u64 naks;
	__u64 stale;      /* foreign words of an older generation or attempt that were ignored */
	__u64 late_parks; /* must stay 0 */
	__u64 parks;
	__u64 wakes; /* bells rung with a wake call */
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_page_abi) == 2 * DSMX_LINE_BYTES, "two lines");

/*
 * A robust futex for one watching process. The owner's thread has it in its robust list, with FUTEX_WAITERS
 * set, so that the kernel marks it FUTEX_OWNER_DIED and wakes the watcher within microseconds of its death.
 */
struct dsmx_live_abi {
	__u64 next; /* the owner's list link: an address of no use to others */
	__u32 word;
	__u32 reserved[13];
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_live_abi) == DSMX_LINE_BYTES, "one line");

/*
 * What this process says to one peer, all on one line: the bell that the peer sleeps on, and what to read.
 *
 * @bell: moves when the peer is to wake up; its futex
 * @armed: not 0: this process is about to sleep, or sleeps: who changes a word for it must ring its own bell
 * @changes: grows after every change of a request or stream word for the peer, or of a query record
 * @counts: grows after a count of a stream has passed what the peer wants
 * @requests, @streams: slots in use are below these
 */
struct dsmx_bell_abi {
	__u32 bell;
	__u32 armed;
	__u64 changes;
	__u32 requests;
	__u32 streams;
	__u64 counts;
	__u32 reserved[8];
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_bell_abi) == DSMX_LINE_BYTES, "one line");

/*
 * A plan on offer, in the leader's page; its bytes are in the leader's data. @word: generation and
 * DSMX_QUERY_ state, stored last. Workers echo in their own page, at the same index, the generation that they
 * have closed; the leader reuses a record when all live ones have.
 *
 * Task t of a fragment that is not bound to the leader runs at peer placement[t % placements], or where the last of
 * the @moves that name it says. A move is written once, before @moves counts it.
 *
 * @took_query, @took: every process, at the same index, as a consumer: bit n: it took a frame or the end of what
 * producer task n of the plan gave, or said that it does not want it. Bits only grow; the last one is for all tasks
 * from there on. What is about a process that died is final once the page's `dead` says that it is known to be.
 */
struct dsmx_query_abi {
	__u64 word;
	__u64 closed; /* worker: the last generation that is closed here */
	__u64 id;
	__u64 plan_offset;
	__u64 plan_bytes;
	__u64 plan_hash;
	__u32 attempt;
	__u32 placements;
	__u64 overflow_max; /* bytes that each process may have in files */
	__u8 placement[64];
	__u64 epoch_max; /* the greatest of those it was dealt to: later incarnations have no part in it */
	__u64 moves;
	__u64 took_query;
	__u64 reserved[5];
	__u64 took[DSMX_ABI_TOOK];
	__u64 move[DSMX_ABI_MOVES]; /* DSMX_MOVE() */
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_query_abi) == 12 * DSMX_LINE_BYTES, "twelve lines");

/* Task @task under exchange @exchange runs again, as @attempt, at peer @place; or @refused: it does not. */
#define DSMX_MOVE(exchange, task, attempt, place, refused)                                         \
	((__u64)(exchange) | (__u64)(task) << 16 | (__u64)(attempt) << 32 | (__u64)(place) << 48 | \
	 (__u64)(refused) << 56)
#define DSMX_MOVE_EXCHANGE(move) ((__u32)((move) & 0xffff))
#define DSMX_MOVE_TASK(move)     ((__u32)((move) >> 16 & 0xffff))
#define DSMX_MOVE_ATTEMPT(move)  ((__u32)((move) >> 32 & 0xffff))
#define DSMX_MOVE_PLACE(move)    ((__u32)((move) >> 48 & 0xff))
#define DSMX_MOVE_REFUSED(move)  ((move) >> 56 != 0)

/* A text for one or more words of state ERROR or NAK; written before the word. */
struct dsmx_error_abi {
	__u64 query;
	__u32 exchange;
	__u32 task;
	__s32 code;
	__s32 worker; /* where it began */
	__u64 time_ns;
	__u32 reserved;
	__u32 len;
	char text[DSMX_ABI_ERROR_TEXT];
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_error_abi) == 8 * DSMX_LINE_BYTES, "eight lines");

/* Why a task is parked. */
#define DSMX_PARK_NONE   0U /* it runs, or is ready */
#define DSMX_PARK_INPUT  1U /* for rows of the streams that it reads */
#define DSMX_PARK_CREDIT 2U /* for a consumer to release frames */
#define DSMX_PARK_SLAB   3U /* for any reader to release slabs */
#define DSMX_PARK_OTHER  4U /* application, timer, disk */
#define DSMX_PARK_SAMPLE 5U /* for the samples of the other tasks of its exchange */

/* Instead of an exchange's number: the root's task, in the leader's page. */
#define DSMX_ROOT_TASK 0xffffffffU

/*
 * A producer task, or the root's: what it waits for (the deadlock walk reads it) and what it did (EXPLAIN ANALYZE reads
 * it). Written by its process alone; reused when the query is closed.
 */
struct dsmx_task_abi {
	/* line 0: who, and what it waits for */
	__u64 query; /* 0: free */
	__u32 exchange;
	__u32 task;
	__u32 attempt;
	__u32 state; /* DSMX_STREAM_ */
	__u64 park;  /* number of the park, grows; stored after the four below and park_any */
	__u32 park_kind;
	__u32 park_partition; /* CREDIT: the output that is full */
	__u32 park_exchange;  /* INPUT: the exchange it reads */
	__u32 park_task;      /* INPUT: 0: any of its producers; else the only one awaited, + 1 */
	__u64 recv_ns;        /* StartStream seen */
	__u64 start_ns;

	/* line 1, 2: counts */
	__u64 rows;
	__u64 bytes;
	__u64 ring_frames;
	__u64 ring_rows;
	__u64 ring_bytes;
	__u64 local_frames;
	__u64 local_rows;
	__u64 overflow_bytes;
	__u64 parks;
	__u64 parked_ns;
	__u64 start_streams; /* sent by consumers in this task's fragment */
	__u64 streams;       /* opened by them */
	__u64 first_commit_ns;
	__u64 end_ns;
	__u64 dropped_rows; /* for partitions that were cancelled */
	__u64 park_any; /* CREDIT: 0: park_partition; else any of bits 0 .. 62, or of all from 63 on */

	/* line 3: counts of dynamic filters, of the scans in the task's fragment and of its partitioner */
	__u64 filter_tested;  /* rows */
	__u64 filter_dropped; /* of these */

	/* a task of a sampled range: a struct dsmx_sample_abi in its process's data; the size is stored last, 0: none */
	__u64 sample_offset;
	__u64 sample_bytes;
	__u64 reserved[4];
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_task_abi) == 4 * DSMX_LINE_BYTES, "four lines");

/* A consumer's side of a stream. */
struct dsmx_request_abi {
	/*
	 * line 0: filled before START or CANCEL, and hardly written from then on: the producer looks at @wanted after
	 * each publication, and has it in its own cache as long as nothing beside it moves
	 */
	__u64 query;
	__u32 exchange;
	__u32 task; /* the producer's */
	__u32 partition;
	__u32 partitions; /* as the consumer counts them */
	__u32 attempt;
	__u32 record; /* of the consuming task, in this page */
	__u64 plan_hash;
	__u64 schema_hash;
	__u64 sent_ns;
	__u64 wanted; /* wake me when your tail passes this */

	/* line 1: counts; never wrap */
	__u64 taken;    /* descriptors copied out */
	__u64 released; /* length of the release log */
	__u64 first_read_ns;
	__u64 epoch; /* of the producer that is asked; filled with line 0, as are the next two */
	__u64 filter_offset; /* START: of a struct dsmx_filters_abi in the consumer's data, */
	__u64 filter_bytes;  /* which is there until the answer; 0: none */
	__u64 reserved1[2];
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_request_abi) == 2 * DSMX_LINE_BYTES, "two lines");

/* A producer's side of a stream. */
struct dsmx_stream_abi {
	/* line 0: filled before RUNNING, start_ns before the first tail, the last three before a final state */
	__u64 query;
	__u32 exchange;
	__u32 task;
	__u64 ring_offset; /* of the descriptors, in the producer's data */
	__u32 ring_slots;  /* power of two */
	__u32 record;      /* of the producing task, in this page */
	__u64 recv_ns;
	__u64 start_ns;
	__u64 final_tail;
	__s32 code;  /* ERROR, NAK: negative errno */
	__u32 error; /* ERROR, NAK: index into the error records */

	/* line 1: counts; never wrap */
	__u64 tail;            /* descriptors published */
	__u64 wanted_taken;    /* wake me when your taken passes this */
	__u64 wanted_released; /* the same for released */
	__u64 first_commit_ns;
	__u64 seen_released; /* what the producer knew of the consumer's `released` when it looked last */
	__u64 reserved1[3];
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_stream_abi) == 2 * DSMX_LINE_BYTES, "two lines");

/*
 * The five stamps of a StartStream (sent, received, started, first commit, first read) have four phases between
 * them, which add up to the total. A stream without rows is committed and read with its end. Times are of
 * CLOCK_MONOTONIC. Counts and histograms are since the start of the process; bucket i of a histogram counts
 * times from 2^i ns to below 2^(i+1), bucket 0 also 0, the last one all that is longer.
 */
#define DSMX_PHASE_REQUEST 0U /* until the Control Service sees it */
#define DSMX_PHASE_SPAWN   1U /* until the producer task runs; 0 where it ran already */
#define DSMX_PHASE_FIRST   2U /* until its first frame is there */
#define DSMX_PHASE_DELIVER 3U /* until the consumer has it */
#define DSMX_PHASE_TOTAL   4U
#define DSMX_PHASES        5U
#define DSMX_PHASE_BUCKETS 48U

struct dsmx_phases_abi {
	__u64 streams; /* that have all five stamps, and are counted below */
	__u64 unread;  /* closed before anything was read: not counted below */
	__u64 odd; /* of the streams: a producer's stamps were out of order, and were put into it */
	__u64 reserved[3];
	__u64 sum_ns[DSMX_PHASES];
	__u64 max_ns[DSMX_PHASES];
	__u64 buckets[DSMX_PHASES][DSMX_PHASE_BUCKETS];
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_phases_abi) == 32 * DSMX_LINE_BYTES, "32 lines");

/*
 * The flight recorder: the last events of this process, for whoever looks, also after its death: the supervisor
 * keeps the page of each worker's last incarnation that died. Off, it costs the owner a load and a branch.
 *
 * Event number i is in slot i % DSMX_FLIGHT_EVENTS; @written is how many there were, stored after the last one.
 * While the owner goes on, a reader reads @written, copies slots, and reads @written again: what he has is event
 * i only if i + DSMX_FLIGHT_EVENTS > @written then.
 */
#define DSMX_FLIGHT_EVENTS 4096U

struct dsmx_flight_abi {
	__u64 written;
	__u64 reserved[7];
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_flight_abi) == DSMX_LINE_BYTES, "one line");

/* X(name, a, b, meaning): what the two numbers of the event are, "-" for none. Append only. */
#define DSMX_FLIGHT_KINDS(X)                                                                       \
	X(send, "-", "-", "asks for a stream")                                                     \
	X(recv, "-", "-", "is asked for a stream")                                                 \
	X(start, "-", "-", "starts to produce it")                                                 \
	X(commit, "rows", "bytes", "publishes a frame")                                            \
	X(take, "rows", "bytes", "takes a frame")                                                  \
	X(release, "frame", "bytes", "gives a frame back")                                         \
	X(fin, "state", "frames", "says the last word of a stream")                                \
	X(cancel, "-", "frames", "wants no more of a stream")                                      \
	X(end, "-", "frames", "closes a stream")                                                   \
	X(park, "kind", "-", "a task waits")                                                       \
	X(unpark, "kind", "us", "it goes on")                                                      \
	X(spill, "rows", "bytes", "writes a frame to an overflow file")

#define DSMX_FLIGHT_NUMBER_(name, a, b, meaning) DSMX_FLIGHT_##name,
enum { DSMX_FLIGHT_KINDS(DSMX_FLIGHT_NUMBER_) DSMX_FLIGHT_KIND_COUNT };

struct dsmx_flight_event_abi {
	__u64 at_ns; /* CLOCK_MONOTONIC */
	__u32 query; /* its lower half */
	__u16 kind;  /* DSMX_FLIGHT_ */
	__u16 peer;  /* at the other end of the stream; of a park, the process itself */
	__u16 exchange;
	__u16 task;
	__u16 partition;
	__u16 reserved;
	__u32 a, b;
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_flight_event_abi) == 32, "two to a line");

/*
 * The control segment: what those who watch a session ask of it, and the only memory of a session that others
 * than its processes may write: whoever is the same user, or root. One page, of fixed size, created by the leader
 * and mapped by all, to be read. Nothing depends on it but what is recorded.
 */
#define DSMX_CONTROL_MAGIC 0x6c7274632d786d64ULL /* "dmx-ctrl", little-endian */
#define DSMX_CONTROL_BYTES 4096U

struct dsmx_control_abi {
	__u64 magic;
	__u32 version; /* DSMX_ABI_VERSION */
	__u32 flight;  /* not 0: the flight recorders are on */
	__u64 session;
	__u64 reserved[5];
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_control_abi) == DSMX_LINE_BYTES, "one line");

/*
 * A `wanted` word is crossed when a count goes from at most `wanted` to more. Disarmed, it lies so far behind
 * that no count can cross it.
 */
#define DSMX_WANTED_NONE (1ULL << 63)

/* One frame on its way: a slot of a stream's ring. */
struct dsmx_descriptor_abi {
	__u64 offset; /* in the producer's data, a multiple of 64 */
	__u32 bytes;
	__u32 rows;
	__u32 frame;      /* id, below the session's frames */
	__u32 generation; /* lower 32 bits */
	__u64 reserved;
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_descriptor_abi) == 32, "two to a line");

/* --- dynamic filters --------------------------------------------------------------------------------------- */

#define DSMX_FILTERS_MAGIC    0x6b786d64U /* "dmxk" */
#define DSMX_FILTERS_MAX      4U          /* of one exchange */
#define DSMX_FILTER_KEYS_MAX  4U
#define DSMX_FILTER_BYTES_MAX (1U << 20) /* of all filters of one StartStream */

/*
 * What the joins above an exchange know of their build keys: a row of the exchange that fails one of the filters
 * finds no match, so its producer may drop it. It is said with a StartStream, is about that partition's rows only,
 * and whether it is used changes nothing but the work: the joins still look at every row that comes. The producer
 * copies all of it, then checks the copy.
 *
 * @filters of struct dsmx_filter_abi follow the header, then the words, each on a 64-byte line.
 */
struct dsmx_filters_abi {
	__u32 magic;
	__u32 filters;
	__u32 bytes; /* in all */
	__u32 reserved[13];
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_filters_abi) == DSMX_LINE_BYTES, "one line");

/*
 * @columns: of the exchange's rows, the key that is tested. @ranged: bit i: column i is an integer, date, timestamp
 * or decimal of up to 18 digits, and all build keys have it from least[i] to greatest[i].
 * @words, @word_count: a Bloom filter of the keys' hash h (row_hash.h, seed DX_FILTER_SEED) whose bits for one key
 * are all in the word h * word_count / 2^64: h's low four groups of six bits say which. @word_count 0: none.
 */
struct dsmx_filter_abi {
	__u32 key_count;
	__u32 columns[DSMX_FILTER_KEYS_MAX];
	__u32 ranged;
	__u32 words; /* offset from the header */
	__u32 word_count;
	__s64 least[DSMX_FILTER_KEYS_MAX];
	__s64 greatest[DSMX_FILTER_KEYS_MAX];
	__u64 reserved[4];
};
DSMX_ABI_ASSERT(sizeof(struct dsmx_filter_abi) == 2 * DSMX_LINE_BYTES, "two lines");

/* --- samples of a range exchange ---------------------------------------------------------------------------- */

#define DSMX_SAMPLE_MAGIC     0x73786d64U /* "dmxs" */
#define DSMX_SAMPLE_NEVER     1U          /* for a size: the task is over, and there will be none */
#define DSMX_SAMPLE_KEYS_MAX  1024U
#define DSMX_SAMPLE_KEY_BYTES 64U /* of a longer key only the beginning is there */

/*
 * What a producer task says of its sorted rows: of @keys parts of about equal size the first row's sort key
 * (sort_key.h), in order; @rows of them in all. struct dsmx_sample_key_abi each, then the bytes of those that
 * have some.
 */
struct dsmx_sample_abi {
	__u32 magic;
	__u32 keys;
	__u64 rows;
};

struct dsmx_sample_key_abi {
	__u64 high, low; /* the first 16 bytes as big-endian numbers, zeros behind a shorter key */
	__u32 len;
	__u32 bytes; /* offset from the sample's start; 0: no key of the exchange is longer than 16 bytes */
};

/* --- frames ----------------------------------------------------------------------------------------------- */

#define DSMX_FRAME_MAGIC 0x66786d64U /* "dmxf" */

/*
 * The header of a frame: a batch without schema. @columns parts follow it, then the buffers, each on a
 * 64-byte line, at offsets from the frame's start. Types and their number are the exchange's, from the plan.
 */
struct dsmx_frame_abi {
	__u32 magic;
	__u32 rows;
	__u32 columns;
	__u32 bytes; /* of the whole frame */
};

struct dsmx_frame_column_abi {
	__u32 validity; /* offset; 0: no nulls */
	__u32 values;   /* offset of values, bits or offsets */
	__u32 text;     /* offset of text bytes; 0: not text */
	__u32 text_bytes;
};

#endif /* DSMX_ABI_H */
