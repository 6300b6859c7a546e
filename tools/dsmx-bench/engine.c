/* SPDX-License-Identifier: MIT */
/*
 * engine.c - dsmx-bench startstream, session, exchange: whole sessions, through the public interface
 *
 * Rows come from an operator "rows" that has one batch of 8,192 rows of two int64 in memory and gives it again and
 * again, and end in an operator "drop" that has none: what is measured is the exchange, not what makes or takes the
 * rows. "rows" runs as one task, in worker 0.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"
#include "dsmx/dsmx.h"
#include "pair.h"

#define BATCH_ROWS     8192U
#define ROW_BYTES      16U
#define EXCHANGE_ROWS  4000000
#define BROADCAST_ROWS 2000000
#define QUERIES        20 /* of a round of startstream */

/* --- rows ---------------------------------------------------------------------------------------------------- */

struct rows {
	int64_t left;
	int64_t keys[BATCH_ROWS];
	int64_t values[BATCH_ROWS];
	struct dsmx_column columns[2];
};

static int rows_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                     struct dsmx_batch *ret_batch)
{
	struct rows *s = state;
	uint32_t n = s->left < BATCH_ROWS ? (uint32_t)s->left : BATCH_ROWS;

	(void)input;
	(void)cx;
	s->left -= n;
	*ret_batch = (struct dsmx_batch){
		.length = n, .selected = n, .column_count = 2, .columns = s->columns
	};
	return n > 0;
}

static int rows_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Rows", rows_next, free };
	struct rows *s = calloc(1, sizeof(*s));
	int r;

	(void)inputs;
	(void)input_count;
	(void)err;
	if (s == NULL || len != sizeof(s->left)) {
		free(s);
		return s == NULL ? -ENOMEM : -EINVAL;
	}
	memcpy(&s->left, bytes, len);
	for (uint32_t i = 0; i < BATCH_ROWS; i++)
		s->keys[i] = s->values[i] = i;
	s->columns[0].values = s->keys;
	s->columns[1].values = s->values;
	r = dsmx_simple_new(&ops, s, output, NULL, ret_operator);
	if (r != 0)
		free(s);
	return r;
}

static int drop_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                     struct dsmx_batch *ret_batch)
{
	int r;

	(void)state;
	while ((r = input->ops->poll_next(input, cx, ret_batch)) == 1)
		if (dsmx_cx_expired(cx)) {
			dsmx_cx_yield(cx);
			return -EAGAIN;
		}
	return r;
}

static int drop_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Drop", drop_next, NULL };

	(void)bytes;
	(void)len;
	(void)err;
	return input_count == 1 ? dsmx_simple_new(&ops, NULL, output, inputs[0], ret_operator)
	                        : -EINVAL;
}

const struct dsmx_extension bench_extensions[] = { { "rows", rows_make },
	                                           { "drop", drop_make },
	                                           { NULL, NULL } };

/* What a broadcast may stand in: the right side of a join, of which the left one has a row. */
static struct dsmx_rel *join_with(struct dsmx_plan *plan, struct dsmx_rel *right,
                                  const struct dsmx_schema *schema)
{
	static const uint32_t key;
	static const int64_t one = 1;
	struct dsmx_rel *left =
		dsmx_rel_extension(plan, "rows", &one, sizeof(one), schema, NULL, 0);

	left = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, left, &key, 1, 0, NULL);
	return dsmx_rel_join(plan, DSMX_JOIN_INNER, left, right, &key, &key, 1, NULL);
}

/* @kind GATHER: to the leader; else to all workers, who drop what they get. */
static struct dsmx_plan *make_plan(enum dsmx_exchange_kind kind, int64_t rows)
{
	static const struct dsmx_field fields[] = { { "key", { DSMX_INT64, 0, 0, 0 }, false },
		                                    { "value", { DSMX_INT64, 0, 0, 0 }, false } };
	static const struct dsmx_schema schema = { 2, fields };
	static const uint32_t key;
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;

	if (dsmx_plan_new(&plan) != 0)
		return NULL;
	rel = dsmx_rel_extension(plan, "rows", &rows, sizeof(rows), &schema, NULL, 0);
	if (kind == DSMX_EXCHANGE_GATHER)
		rel = dsmx_rel_exchange(plan, kind, rel, NULL, 0, 1, NULL);
	else {
		rel = dsmx_rel_exchange(plan, kind, rel, &key, kind == DSMX_EXCHANGE_HASH, 0, NULL);
		rel = dsmx_rel_extension(plan, "drop", NULL, 0, &schema, &rel, 1);
		if (kind == DSMX_EXCHANGE_BROADCAST)
			rel = join_with(plan, rel, &schema);
		rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	}
	if (dsmx_plan_finish(plan, rel, NULL, NULL) != 0) {
		dsmx_plan_free(plan);
		return NULL;
	}
	return plan;
}

/* --- sessions -------------------------------------------------------------------------------------------------- */

static int complain(int code, const struct dsmx_error *err)
{
	fprintf(stderr, "dsmx-bench: %s\n", err->message);
	return code;
}

static struct dsmx_session_options options_for(uint32_t workers)
{
	return (struct dsmx_session_options){
		.size = sizeof(struct dsmx_session_options),
		.workers = workers,
		.worker_path = "/proc/self/exe",
		.extensions = bench_extensions,
	};
}

static int open_session(uint32_t workers, struct dsmx_session **ret_session)
{
	struct dsmx_session_options options = options_for(workers);
	struct dsmx_error err;
	int r = dsmx_session_open(&options, ret_session, &err);

	return r < 0 ? complain(r, &err) : 0;
}

/* To its end. @ret_ns: from start to the last row. */
static int run_plan(struct dsmx_session *session, enum dsmx_exchange_kind kind, int64_t rows,
                    uint64_t *ret_ns, struct dsmx_query_stats *ret_stats)
{
	struct dsmx_plan *plan = make_plan(kind, rows);
	struct dsmx_query *query = NULL;
	struct dsmx_error err = { .message = "no plan" };
	uint64_t start_ns = dx_now_ns();
	struct dsmx_batch batch;
	int r = plan == NULL ? -ENOMEM : dsmx_query_start(session, plan, NULL, &query, &err);

	if (r == 0)
		while ((r = dsmx_query_next_batch(query, -1, &batch, &err)) == 1)
			;
	*ret_ns = dx_now_ns() - start_ns;
	if (r == 0)
		dsmx_query_stats(query, ret_stats);
	dsmx_query_close(query);
	dsmx_plan_free(plan);
	return r < 0 ? complain(r, &err) : 0;
}

/* --- startstream ------------------------------------------------------------------------------------------------ */

static void rest(uint64_t ns)
{
	struct timespec t = { 0, (long)ns };

	(void)nanosleep(&t, NULL);
}

/*
 * Queries of one row from a worker, one after the other; @pause_ns before each. What the library itself says of the
 * StartStream of each: the medians of this round, in all and by phase.
 */
static int startstreams(struct bench *bench, struct dsmx_session *session, const char *name,
                        uint64_t pause_ns, double limit)
{
	static const char *const phases[DSMX_STREAM_PHASES] = { "request", "spawn", "first",
		                                                "deliver", "total" };
	static double times[DSMX_STREAM_PHASES][QUERIES];
	struct dsmx_phases before, after;
	struct dsmx_query_stats stats;
	uint64_t ns;
	char text[48];

	for (int i = 0; i < QUERIES; i++) {
		int r;

		dsmx_session_phases(session, &before);
		if (pause_ns > 0)
			rest(pause_ns);
		r = run_plan(session, DSMX_EXCHANGE_GATHER, 1, &ns, &stats);
		if (r < 0)
			return r;
		dsmx_session_phases(session, &after);
		if (after.streams != before.streams + 1 || stats.ring_rows != 1) {
			fputs("dsmx-bench: a query of one row had not one stream of one row\n",
			      stderr);
			return -EIO;
		}
		for (int k = 0; k < DSMX_STREAM_PHASES; k++)
			times[k][i] = (double)(after.sum_ns[k] - before.sum_ns[k]);
	}
	for (int k = 0; k < DSMX_STREAM_PHASES; k++) {
		snprintf(text, sizeof(text), "startstream/%s/%s", name, phases[k]);
		bench_add(bench, text, "us", bench_median(times[k], QUERIES) / 1000,
		          k == DSMX_STREAM_TOTAL ? limit / 1000 : 0);
	}
	return 0;
}

int startstream_round(struct bench *bench)
{
	struct dsmx_session *session = NULL;
	double line, futex;
	int r = pair_line(&line);

	if (r == 0)
		r = pair_futex(&futex);
	if (r == 0)
		r = open_session(bench->workers, &session);
	if (r == 0)
		r = startstreams(bench, session, "hot", 0, line);
	if (r == 0)
		r = startstreams(bench, session, "parked", 3000000, futex);
	dsmx_session_close(session);
	return r;
}

/* --- session ----------------------------------------------------------------------------------------------------- */

/* What cannot be avoided: @processes that start and end, @bytes of memory that are there. */
static int least_ns(uint32_t processes, uint64_t bytes, double *ret_ns)
{
	static char name[] = "dsmx-bench", help[] = "--help";
	char *argv[] = { name, help, NULL };
	uint64_t start_ns = dx_now_ns();
	posix_spawn_file_actions_t actions;
	void *memory;
	int r = 0;

	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
	for (uint32_t i = 0; r == 0 && i < processes; i++) {
		pid_t pid;

		r = -posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ);
		if (r == 0)
			(void)waitpid(pid, NULL, 0);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	              MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	*ret_ns = (double)(dx_now_ns() - start_ns);
	(void)munmap(memory, bytes);
	return r;
}

static int session_of(struct bench *bench, uint32_t workers)
{
	struct dsmx_session_options options = options_for(workers);
	struct dsmx_session_estimate estimate;
	struct dsmx_query_stats stats;
	struct dsmx_session *session;
	uint64_t start_ns, open_ns, query_ns, least = UINT64_MAX;
	double limit = 0;
	char text[48];
	int r = dsmx_session_estimate(&options, &estimate, NULL);

	if (r == 0)
		r = least_ns(workers > 0 ? workers + 1 : 0, estimate.total_bytes, &limit);
	if (r < 0)
		return r;
	start_ns = dx_now_ns();
	r = open_session(workers, &session);
	if (r < 0)
		return r;
	open_ns = dx_now_ns() - start_ns;
	for (int i = 0; r == 0 && i < QUERIES; i++) {
		r = run_plan(session, DSMX_EXCHANGE_GATHER, 1, &query_ns, &stats);
		least = query_ns < least ? query_ns : least;
	}
	start_ns = dx_now_ns();
	dsmx_session_close(session);
	snprintf(text, sizeof(text), "session/%u/open", workers);
	bench_add(bench, text, "ms", (double)open_ns / 1e6, limit / 1e6);
	snprintf(text, sizeof(text), "session/%u/close", workers);
	bench_add(bench, text, "ms", (double)(dx_now_ns() - start_ns) / 1e6, 0);
	snprintf(text, sizeof(text), "session/%u/query", workers);
	bench_add(bench, text, "us", (double)least / 1e3, 0);
	snprintf(text, sizeof(text), "session/%u/memory", workers);
	bench_add(bench, text, "MiB", (double)estimate.total_bytes / (1 << 20), 0);
	return r;
}

int session_round(struct bench *bench)
{
	static const uint32_t workers[] = { 0, 1, 2, 4, 8 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(workers) / sizeof(workers[0]); i++)
		r = session_of(bench, workers[i]);
	return r;
}

/* --- exchange ---------------------------------------------------------------------------------------------------- */

/* GB/s of one memcpy in one process, in blocks as large as a frame may be. */
static double copy_gb(uint64_t bytes)
{
	enum { BLOCK = 256 << 10, BLOCKS = 4 };
	static char from[BLOCK], to[BLOCKS][BLOCK];
	uint64_t count = bytes / BLOCK + 1, start_ns;

	memset(from, 1, sizeof(from));
	memset(to, 1, sizeof(to));
	start_ns = dx_now_ns();
	for (uint64_t i = 0; i < count; i++) {
		memcpy(to[i % BLOCKS], from, BLOCK);
		__asm__ volatile("" ::: "memory");
	}
	return (double)(count * BLOCK) / (double)(dx_now_ns() - start_ns);
}

static int exchange_of(struct bench *bench, struct dsmx_session *session, const char *name,
                       enum dsmx_exchange_kind kind, int64_t rows, uint32_t readers)
{
	uint64_t bytes = (uint64_t)rows * ROW_BYTES * readers, ns;
	struct dsmx_query_stats stats;
	char text[48];
	int r = run_plan(session, kind, rows, &ns, &stats);

	if (r < 0)
		return r;
	/* All of them between processes, or all but those of worker 0 for itself. */
	if (stats.ring_rows + stats.local_rows < (uint64_t)rows * readers ||
	    stats.ring_rows < (uint64_t)rows / 3) {
		fprintf(stderr, "dsmx-bench: %s: only %llu of %llu rows passed\n", name,
		        (unsigned long long)(stats.ring_rows + stats.local_rows),
		        (unsigned long long)rows * readers);
		return -EIO;
	}
	snprintf(text, sizeof(text), "exchange/%s", name);
	bench_add(bench, text, "GB/s", (double)bytes / (double)ns, copy_gb(bytes));
	snprintf(text, sizeof(text), "exchange/%s/rows", name);
	bench_add(bench, text, "Mrow/s", (double)rows * readers * 1e3 / (double)ns, 0);
	return 0;
}

int exchange_round(struct bench *bench)
{
	struct dsmx_session *session = NULL;
	int r = open_session(bench->workers, &session);

	if (r == 0)
		r = exchange_of(bench, session, "gather", DSMX_EXCHANGE_GATHER, EXCHANGE_ROWS, 1);
	if (r == 0)
		r = exchange_of(bench, session, "hash", DSMX_EXCHANGE_HASH, EXCHANGE_ROWS, 1);
	if (r == 0)
		r = exchange_of(bench, session, "broadcast", DSMX_EXCHANGE_BROADCAST,
		                BROADCAST_ROWS, bench->workers);
	dsmx_session_close(session);
	return r;
}
