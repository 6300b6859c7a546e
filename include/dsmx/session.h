/* SPDX-License-Identifier: MIT */
/*
 * session.h - the leader: open a session, run plans, read results
 *
 * A session belongs to one thread at a time (else -EBUSY); only the calls that say so may come from
 * another thread or from a signal handler. The library starts no thread, changes no signal handler
 * and reaps no child of the application's.
 *
 * Options: fill with zeros, set `size` to sizeof, set what matters. A field that a newer header
 * added is taken as 0 when an older program does not have it.
 */
#ifndef DSMX_SESSION_H
#define DSMX_SESSION_H

#include "dsmx/exec.h"
#include "dsmx/isolation.h"
#include "dsmx/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct dsmx_session;
struct dsmx_query;

#define DSMX_WORKERS_MAX 64

enum dsmx_log_level {
	DSMX_LOG_ERROR,
	DSMX_LOG_WARNING,
	DSMX_LOG_NOTICE, /* what this machine lacks, once per session */
	DSMX_LOG_DEBUG,
};

enum dsmx_wait_backend {
	DSMX_WAIT_AUTO, /* io_uring if it works here, else futex_waitv; the DSMX_WAIT variable decides */
	DSMX_WAIT_URING,
	DSMX_WAIT_FUTEX,
};

enum dsmx_restart {
	DSMX_RESTART_DEFAULT, /* on failure */
	DSMX_RESTART_ON_FAILURE,
	DSMX_RESTART_ALWAYS, /* also one that exits with code 0 before the session ends */
	DSMX_RESTART_NEVER,
};

#define DSMX_WATCHDOG_OFF UINT32_MAX

enum dsmx_pages {
	DSMX_PAGES_AUTO, /* hugetlb, else 4 KiB collapsed into huge pages, else 4 KiB */
	DSMX_PAGES_HUGETLB,
	DSMX_PAGES_COLLAPSED,
	DSMX_PAGES_SMALL,
};

/*
 * Where a machine has several NUMA nodes, a process whose processors are all of one node has its shared memory there.
 * Workers that could run on processors of several are dealt out to these, round and round, unless worker_cpus is set.
 */
enum dsmx_numa {
	DSMX_NUMA_AUTO,
	DSMX_NUMA_OFF, /* memory is where it is touched first, workers run where they may */
};

struct dsmx_session_options {
	size_t size;
	uint32_t workers; /* 0: everything runs in the leader */
	enum dsmx_wait_backend wait;
	enum dsmx_pages pages;
	enum dsmx_isolation isolation;
	uint64_t data_bytes;         /* of each process's rings and slabs; 0: 16 MiB */
	uint32_t streams_per_peer;   /* size of the tables; 0: 64 */
	uint32_t frames_per_stream;  /* that may be out at once; 0: 64 */
	uint64_t overflow_max_bytes; /* on disk, for each process and query, in $DSMX_OVERFLOW_DIR,
	                                $TMPDIR or /var/tmp; 0: 1 GiB */
	uint64_t worker_memory_max;  /* bytes for each worker's cgroup; 0: no limit */
	const char *worker_path;     /* the dsmx-worker program; NULL: DSMX_WORKER, beside the
	                               executable, then libexecdir */
	const char *cgroup_root;     /* NULL: DSMX_CGROUP, then what the process is delegated */
	const char *const *plugins;  /* NULL-ended: shared objects that workers load */
	const struct dsmx_extension *extensions; /* ended by a NULL name: for the leader itself */
	uint64_t start_timeout_ms;               /* for all workers to be ready; 0: 10 000 */
	void (*log)(void *log_data, enum dsmx_log_level level, const char *message);
	void *log_data;

	/*
	 * A worker that ended is replaced by a new process, the first time at once, then after delays that
	 * double from restart_delay_ms to restart_max_delay_ms and are forgotten when it was ready for
	 * restart_reset_ms. More than restart_burst restarts within restart_interval_ms: it stays away, FAILED.
	 * A program that cannot be executed, or breaks the protocol, is never restarted.
	 */
	enum dsmx_restart restart;
	uint32_t restart_delay_ms;     /* 0: 100 */
	uint32_t restart_max_delay_ms; /* 0: 30 000 */
	uint32_t restart_reset_ms;     /* 0: 60 000 */
	uint32_t restart_burst;        /* 0: 5 */
	uint32_t restart_interval_ms;  /* 0: 60 000 */

	/*
	 * A worker that does not move for so long is killed, with reason WATCHDOG: one that is stopped, or whose
	 * operator loops or waits without end (poll_next is to return after about 1 ms of work). 0: 10 000;
	 * DSMX_WATCHDOG_OFF: none, to be able to stop it in a debugger.
	 */
	uint32_t watchdog_ms;

	/* More of each worker's cgroup, where there is such a controller; else a notice says what is missing. */
	uint32_t worker_pids_max;    /* processes and threads, itself included; 0: no limit */
	uint32_t worker_cpu_percent; /* of one processor, 150: one and a half; 0: no limit */
	const char *worker_cpus;     /* the processors it may run on, "0-3,8"; NULL: any */

	/* More of isolation.h. */
	bool isolation_required; /* a step that this machine cannot take: do not open */
	bool core_dumps;         /* workers may write them; else only at level NONE */
	/* Standard and strict: NULL-ended files and directories that workers may read, beside plug-ins and system
	 * libraries: whatever plans scan. */
	const char *const *read_paths;

	/*
	 * The flight recorders are on from the start: each process keeps its last few thousand events, frames
	 * among them, for `dsmx-trace flight`. Also by DSMX_FLIGHT=1, and at any time by `dsmx-trace flight --on`.
	 */
	bool flight;

	enum dsmx_numa numa;

	/*
	 * When the session is closed, a worker that does not leave within so long gets SIGTERM, and SIGKILL after a
	 * quarter of that again. 0: 2 000.
	 */
	uint32_t stop_timeout_ms;

	/* Still more of each worker's cgroup. */
	uint64_t
		worker_memory_high; /* bytes beyond which it is slowed down, not killed; 0: none. Only version 2 */
	uint64_t
		worker_hugetlb_max; /* bytes of 2 MiB pages that it may reserve; 0: no limit. Only version 2 */
	uint32_t
		worker_cpu_weight; /* 1 to 10 000: its share where processors are wanted by many; 0: 100 */

	/* The NUMA nodes that workers are dealt out to, "0-1,3": they run there only; NULL: any. */
	const char *numa_nodes;

	/* Of disks, where there is such a controller; else a notice says what is missing. */
	uint32_t
		worker_io_weight; /* 1 to 10 000: its share where a disk is wanted by many; 0: 100 */
	/* Bytes a second on one disk, "/dev/sda 50M": the disk, or a file on it; K, M, G, T of 1000. NULL: no limit */
	const char *worker_io_read_max;
	const char *worker_io_write_max;

	/*
	 * A query that broke because a worker died waits for so long, from the worker's end on, to hear from the
	 * supervisor what it died of; then it fails without. 0: 100
	 */
	uint32_t verdict_timeout_ms;
};

/* What a session will take; bytes of memory, not address space. */
struct dsmx_session_estimate {
	uint64_t page_bytes_per_process;
	uint64_t data_bytes_per_process;
	uint64_t total_bytes;
	uint32_t processes; /* leader and supervisor included */
	uint32_t fds;       /* open in the leader while the session is */
};

/* dsmx_session_estimate() - before opening it. Return: 0 or -EINVAL. */
DSMX_API int dsmx_session_estimate(const struct dsmx_session_options *options,
                                   struct dsmx_session_estimate *ret_estimate,
                                   struct dsmx_error *err);

/*
 * dsmx_session_check() - would it open here? Options, and what they ask for beside the limits that this process is
 * under: memory, processes and huge pages of the cgroups above it, descriptors, address space, file sizes
 *
 * dsmx_session_open() does the same first. What may still work is a warning to the log.
 * Return: 0; -EINVAL, -ENOMEM, -EAGAIN (processes), -EMFILE, -EFBIG, with a sentence that says what to do.
 */
DSMX_API int dsmx_session_check(const struct dsmx_session_options *options, struct dsmx_error *err);

/*
 * dsmx_session_open() - start the supervisor and the workers, map everybody's memory
 *
 * Return: 0 with all workers ready; what dsmx_session_check() says, -ENOENT (no worker program), -ETIMEDOUT,
 * -EOWNERDEAD (a worker died at start), -EOPNOTSUPP, or what the kernel said. On failure nothing is left.
 */
DSMX_API int dsmx_session_open(const struct dsmx_session_options *options,
                               struct dsmx_session **ret_session, struct dsmx_error *err);

/* dsmx_session_close() - SessionEnd; cancels what runs, waits for the processes' end; NULL is fine */
DSMX_API void dsmx_session_close(struct dsmx_session *session);

/* Where the time of dsmx_session_open() went: one after the other, their sum is all of it. */
enum dsmx_open_step {
	DSMX_OPEN_SPAWN,     /* the supervisor's program is executed */
	DSMX_OPEN_MEMORY,    /* the leader's own segments; meanwhile the workers start */
	DSMX_OPEN_WORKERS,   /* the last worker has made its segments */
	DSMX_OPEN_INTRODUCE, /* everybody has mapped everybody's, and the leader knows */
	DSMX_OPEN_STEPS,
};

/* What was got: for notices and EXPLAIN. Strings are the session's. */
struct dsmx_session_info {
	uint64_t id;
	uint32_t workers;
	const char *wait;  /* "io_uring" or "futex_waitv" */
	const char *pages; /* "hugetlb", "collapsed" or "4 KiB": the least that any process got */
	const char *
		isolation; /* "cgroup v2", "cgroup hybrid" where limits are of version 1, or "none" */
	const char *cgroup; /* the session's cgroup directory, or "" */
	int supervisor_pid; /* 0 without workers */
	uint64_t open_ns;   /* how long dsmx_session_open() took, and its steps */
	uint64_t open_step_ns[DSMX_OPEN_STEPS];
	const char *level; /* of isolation, as it was asked for: "standard!" */
	const char *steps; /* that every worker has taken: "cgroup,no-dump", or "-" */
	int node; /* the NUMA node that the leader's shared memory begins on; -1: not known */
};
DSMX_API void dsmx_session_info(const struct dsmx_session *session,
                                struct dsmx_session_info *ret_info);

/* A worker, as far as the leader has heard. It hears when it runs, reads or starts a query. */
enum dsmx_worker_state {
	DSMX_WORKER_DOWN,     /* dead; another is on its way */
	DSMX_WORKER_STARTING, /* not all processes of the session have mapped its memory yet */
	DSMX_WORKER_READY,
	DSMX_WORKER_FAILED,   /* dead; there will be no other, unless an operator asks for it */
	DSMX_WORKER_DRAINING, /* serves what it was dealt, and gets nothing new: an operator's wish */
};

struct dsmx_worker_info {
	enum dsmx_worker_state state;
	int pid;           /* 0: dead */
	uint64_t epoch;    /* of its incarnation; grows with every process that is started */
	uint32_t restarts; /* incarnations after the first */
	/* How the last incarnation that ended did; reason 0: none has. */
	int reason; /* enum dsmx_exit_reason */
	int status;
	const char *text;   /* the session's, until the next death; or "" */
	uint32_t isolation; /* its level and the steps that it has taken: isolation.h; 0: dead */
	int node; /* the NUMA node that its shared memory begins on; -1: dead, or not known */
};

/* dsmx_session_worker() - what became of worker @worker. Return: 0, or -EINVAL: there is none of that number. */
DSMX_API int dsmx_session_worker(const struct dsmx_session *session, uint32_t worker,
                                 struct dsmx_worker_info *ret_info);

/* The process id of a worker now; 0 if it is dead or there is none of that number. */
DSMX_API int dsmx_session_worker_pid(const struct dsmx_session *session, uint32_t worker);

/* --- queries ------------------------------------------------------------------------------------------ */

/* A stream that a leaf of the plan reads; consumed (its release is called) when the query ends. */
struct dsmx_leaf {
	const char *name;
	struct ArrowArrayStream *stream;
};

struct dsmx_query_options {
	size_t size;
	uint64_t timeout_ms;            /* statement time-out; 0: none */
	const struct dsmx_leaf *leaves; /* ended by a NULL name */
	bool retry; /* may be run again from the start when a worker dies before the first row */
};

/*
 * dsmx_query_start() - send a plan to the session's processes; rows come as they are asked for
 *
 * @plan: distributed already, or it is distributed here over the session's workers. It is encoded and
 *	not kept: the query's own plan is decoded from those bytes, as the workers' is
 *
 * Where workers died and others are about to take their places, it waits for them, for a quarter of a second
 * at most; with no worker left, as long as they may take to start.
 * Return: 0, -EINVAL, -E2BIG (streams, with the numbers), -ENOENT, -ENOMEM, -EBUSY, ...
 */
DSMX_API int dsmx_query_start(struct dsmx_session *session, struct dsmx_plan *plan,
                              const struct dsmx_query_options *options,
                              struct dsmx_query **ret_query, struct dsmx_error *err);

/* The same from Substrait bytes. */
DSMX_API int dsmx_query_start_bytes(struct dsmx_session *session, const void *bytes, size_t len,
                                    const struct dsmx_query_options *options,
                                    struct dsmx_query **ret_query, struct dsmx_error *err);

/* dsmx_query_schema() - of the rows; the query's, valid until it is closed */
DSMX_API const struct dsmx_schema *dsmx_query_schema(const struct dsmx_query *query);

/*
 * dsmx_query_next() - the next rows
 *
 * @timeout_ms: 0: do not block; negative: as long as it takes
 * @ret_array: owns its memory, or holds a lease on a producer's; release it in any order, also after
 *	the query was closed, but before the session is
 * Return: 1 rows, 0 the end, -ETIMEDOUT (nothing yet, blocking), -EAGAIN (nothing yet, @timeout_ms 0),
 * -ECANCELED, or the query's failure, the same on every later call.
 */
DSMX_API int dsmx_query_next(struct dsmx_query *query, int64_t timeout_ms,
                             struct ArrowArray *ret_array, struct dsmx_error *err);

/*
 * dsmx_query_next_batch() - the same as a view, for who is done with it at the next call
 *
 * @ret_batch: in dsmx's layouts (batch.h); valid until the next call on this query
 */
DSMX_API int dsmx_query_next_batch(struct dsmx_query *query, int64_t timeout_ms,
                                   struct dsmx_batch *ret_batch, struct dsmx_error *err);

/* dsmx_query_cancel() - end it early. Any thread, any signal handler; takes effect at the next call. */
DSMX_API void dsmx_query_cancel(struct dsmx_query *query);

/* dsmx_query_close() - end it at any point and free it; NULL is fine */
DSMX_API void dsmx_query_close(struct dsmx_query *query);

/*
 * dsmx_query_stream() - the rest of the query as an ArrowArrayStream
 *
 * @ret_stream: takes the query over; its release closes it
 */
DSMX_API int dsmx_query_stream(struct dsmx_query *query, struct ArrowArrayStream *ret_stream);

/*
 * dsmx_session_fd() - readable when dsmx_query_next(.., 0, ..) may have news. The session's; do not read it.
 *
 * Before polling it, call dsmx_query_next() with 0 until it says -EAGAIN.
 * Return: the descriptor, or -errno.
 */
DSMX_API int dsmx_session_fd(struct dsmx_session *session);

/* What a query did, summed over processes; final after its end. */
struct dsmx_query_stats {
	uint64_t rows;           /* that dsmx_query_next() returned */
	uint64_t start_streams;  /* requests sent */
	uint64_t streams_opened; /* by consumers */
	uint64_t producer_tasks; /* started */
	uint64_t ring_frames;    /* passed between processes */
	uint64_t ring_rows;
	uint64_t ring_bytes;
	uint64_t local_frames; /* handed over within one process */
	uint64_t local_rows;
	uint64_t overflow_bytes;
	uint64_t waits;        /* times that a producer parked for credit, slabs or ring space */
	uint64_t retries;      /* times that the whole query was run again */
	uint64_t plan_ns;      /* encode, decode, build */
	uint64_t first_row_ns; /* from start to the first row */
	uint64_t run_ns;       /* from start to the end */
	uint64_t
		failed_ns; /* from start to when its failure was first seen, its cause unknown; 0: never */
	uint64_t reruns; /* producer tasks that ran again elsewhere, as nobody had taken of them */
	uint64_t
		filter_tested; /* rows that dynamic filters were asked about, by scans and partitioners */
	uint64_t filter_dropped; /* of these */
};
DSMX_API void dsmx_query_stats(const struct dsmx_query *query, struct dsmx_query_stats *ret_stats);

/*
 * How long StartStreams took, from a consumer's request to its first frame (or the end of a stream without
 * rows), and the four phases which that time is the sum of.
 */
enum dsmx_phase {
	DSMX_STREAM_REQUEST, /* sent, until the producer's process sees it */
	DSMX_STREAM_SPAWN,   /* until the producer task runs; 0 where it ran already */
	DSMX_STREAM_FIRST,   /* until its first frame is there */
	DSMX_STREAM_DELIVER, /* until the consumer has it */
	DSMX_STREAM_TOTAL,
};
#define DSMX_STREAM_PHASES  5
#define DSMX_STREAM_BUCKETS 48

struct dsmx_phases {
	uint64_t streams; /* that were read, and are counted below */
	uint64_t unread;  /* closed before anything was read */
	uint64_t
		odd; /* of the streams: a producer's clock readings made no sense, and were bounded */
	uint64_t sum_ns[DSMX_STREAM_PHASES];
	uint64_t max_ns[DSMX_STREAM_PHASES];
	/* [i]: from 2^i ns to below 2^(i+1); [0] also 0, the last one all that is longer */
	uint64_t buckets[DSMX_STREAM_PHASES][DSMX_STREAM_BUCKETS];
};

/* dsmx_session_phases() - of all StartStreams of the session so far, in all its processes */
DSMX_API void dsmx_session_phases(const struct dsmx_session *session,
                                  struct dsmx_phases *ret_phases);

/*
 * dsmx_query_explain() - EXPLAIN, or after the end EXPLAIN ANALYZE, of what this query runs
 *
 * @analyze: with rows, bytes, frames, waits, overflow and retries of each exchange and producer
 * @ret_text: malloc'ed, the caller's: free()
 */
DSMX_API int dsmx_query_explain(const struct dsmx_query *query, bool analyze, char **ret_text);

#ifdef __cplusplus
}
#endif

#endif /* DSMX_SESSION_H */
