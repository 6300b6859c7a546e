/* SPDX-License-Identifier: MIT */
/*
 * trace.h - the probes: one table that the library's sites, dsmx-trace and the documentation are made from
 *
 * A probe is a USDT note of provider "dsmx" in libdsmx (and in what is linked with libdsmx.a), to be used by
 * dsmx-trace, bpftrace, gdb or perf. All arguments are unsigned 64-bit numbers. While nobody traces, a probe
 * costs a load and a branch, and its arguments are not even computed.
 *
 * A StartStream has five stamps: the probes ss_send, ss_recv, ss_start, ss_commit and ss_read, in this order,
 * each before what it announces can be seen by another process: so the order of their stamps is the order of
 * events. Session, query, exchange, task and partition name the stream. Every StartStream that is answered
 * has all five; one without rows has ss_commit with its end, and ss_read where the consumer sees the end.
 *
 * A process turns its producer tasks one at a time. The turn of task_start is the address of a word in the process
 * that has, while a task has its turn, the address of that task's struct dsmx_task_abi, and 0 otherwise.
 */
#ifndef DSMX_TRACE_H
#define DSMX_TRACE_H

#define DSMX_TRACE_PROVIDER "dsmx"
#define DSMX_PROBE_ARGS     6 /* at most */

/* clang-format off */

/* X(name, arguments, meaning); append only: the place in the table is a probe's number. */
#define DSMX_PROBES(X)                                                                                       \
	X(ss_send, "session query exchange task partition attempt", "a consumer asks for a stream")          \
	X(ss_recv, "session query exchange task partition attempt", "the Control Service sees the request")  \
	X(ss_start, "session query exchange task partition attempt", "the producer task of the stream runs") \
	X(ss_commit, "session query exchange task partition bytes", "its first frame, or its end, is there") \
	X(ss_read, "session query exchange task partition rows", "the consumer has the first frame or end")  \
	X(ss_end, "session query exchange task partition frames", "the consumer closes the stream")          \
	X(ss_cancel, "session query exchange task partition peer", "the consumer wants no more of it")       \
	X(ss_fin, "session query exchange task partition state", "the producer says its last word")          \
	X(ss_nak, "session query exchange task partition code", "a request is refused")                      \
	X(task_park, "session query exchange task kind partition", "a producer task waits")                  \
	X(task_unpark, "session query exchange task kind waited_ns", "it goes on")                           \
	X(spill, "session query exchange task partition bytes", "a frame goes to an overflow file")          \
	X(deadlock, "session query exchange task kind partition", "a task is the one to end a deadlock")     \
	X(query_start, "session query", "the leader puts a plan on offer")                                   \
	X(query_end, "session query", "the leader takes it back")                                            \
	X(worker_start, "session peer epoch pid", "the supervisor has started a worker")                     \
	X(worker_exit, "session peer epoch pid reason status", "a worker is gone")                           \
	X(ss_unread, "session query exchange task partition peer", "the consumer closes what it never read") \
	X(task_start, "session query exchange task attempt turn", "a task begins; turn: see below")

/* clang-format on */

#define DSMX_PROBE_NUMBER_(name, args, meaning) DSMX_PROBE_##name,
enum dsmx_probe { DSMX_PROBES(DSMX_PROBE_NUMBER_) DSMX_PROBE_COUNT };

#endif /* DSMX_TRACE_H */
