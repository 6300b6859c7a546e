/* SPDX-License-Identifier: MIT */
/*
 * exchange.c - dsmx-bench exchange: rows through each kind of exchange, beside memcpy of the same bytes
 *
 * Gather, hash, round robin, explicit, range and arbitrary have one producer, worker 0. Broadcast, merge and
 * pass-through are fed by a task in each worker. Rows end where they arrive: in the workers, or in the leader for
 * gather and merge. Pass-through goes from each worker to itself: what is measured is the way by pointer; and so does
 * most of arbitrary, as who produces finds its own partition emptied first.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine.h"

#define ROWS 4000000

struct kind {
	const char *name;
	enum dsmx_exchange_kind kind;
	bool all;   /* every worker produces its part */
	bool local; /* maybe all rows stay where they are */
};

static const struct kind kinds[] = {
	{ "gather", DSMX_EXCHANGE_GATHER, false, false },
	{ "merge", DSMX_EXCHANGE_MERGE, true, false },
	{ "hash", DSMX_EXCHANGE_HASH, false, false },
	{ "round robin", DSMX_EXCHANGE_ROUND_ROBIN, false, false },
	{ "explicit", DSMX_EXCHANGE_EXPLICIT, false, false },
	{ "range", DSMX_EXCHANGE_RANGE, false, false },
	{ "arbitrary", DSMX_EXCHANGE_ARBITRARY, false, true },
	{ "broadcast", DSMX_EXCHANGE_BROADCAST, false, false },
	{ "passthrough", DSMX_EXCHANGE_PASSTHROUGH, true, true },
};

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

/* One row in each worker's task: what makes something over it run in all of them. */
static struct dsmx_rel *everywhere(struct dsmx_plan *plan)
{
	static const struct engine_rows one = { .rows = 1 };
	static const uint32_t key;

	return dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, engine_rows_rel(plan, &one, NULL), &key,
	                         1, 0, NULL);
}

/* Equal parts of the keys of a batch. */
static struct dsmx_rel *range(struct dsmx_plan *plan, struct dsmx_rel *rel, uint32_t parts)
{
	static const struct dsmx_sort_key key = { .column = 0 };
	struct dsmx_expr *bounds[DSMX_WORKERS_MAX];

	for (uint32_t i = 1; i < parts; i++)
		bounds[i - 1] = dsmx_expr_int64(plan, (int64_t)i * ENGINE_BATCH_ROWS / parts);
	return dsmx_rel_exchange_range(plan, rel, &key, bounds, parts - 1, NULL);
}

/* What a broadcast may stand in: the right side of a join, of which the left one has a row. */
static struct dsmx_rel *join_with(struct dsmx_plan *plan, struct dsmx_rel *right)
{
	static const uint32_t key;

	return dsmx_rel_join(plan, DSMX_JOIN_INNER, everywhere(plan), right, &key, &key, 1, NULL);
}

static struct dsmx_rel *make(struct dsmx_plan *plan, const struct kind *kind, uint32_t workers)
{
	static const struct dsmx_sort_key by_key = { .column = 0 };
	static const uint32_t columns[] = { 0, 1 };
	bool explicit = kind->kind == DSMX_EXCHANGE_EXPLICIT,
	     hash = kind->kind == DSMX_EXCHANGE_HASH;
	const struct engine_rows rows = { .rows = kind->all ? ROWS / workers : ROWS,
		                          .parts = explicit ? workers : 0,
		                          .ascend = kind->kind == DSMX_EXCHANGE_MERGE };
	struct dsmx_rel *rel = engine_rows_rel(plan, &rows, kind->all ? everywhere(plan) : NULL);

	if (kind->kind == DSMX_EXCHANGE_GATHER)
		return dsmx_rel_exchange(plan, kind->kind, rel, NULL, 0, 1, NULL);
	if (kind->kind == DSMX_EXCHANGE_MERGE)
		return dsmx_rel_exchange_merge(plan, rel, &by_key, 1, NULL);
	if (kind->kind == DSMX_EXCHANGE_RANGE)
		rel = range(plan, rel, workers);
	else
		rel = dsmx_rel_exchange(plan, kind->kind, rel, &columns[explicit], hash || explicit,
		                        0, NULL);
	rel = engine_rows_rel(plan, NULL, rel);
	if (kind->kind == DSMX_EXCHANGE_BROADCAST)
		rel = join_with(plan, rel);
	return dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
}

static int exchange_of(struct bench *bench, struct dsmx_session *session, const struct kind *kind)
{
	uint64_t rows = (uint64_t)ROWS / bench->workers * bench->workers, bytes, ns;
	bool local = kind->local || bench->workers == 1;
	struct dsmx_query_stats stats;
	struct dsmx_plan *plan;
	char text[48];
	int r;

	if (dsmx_plan_new(&plan) != 0)
		return -ENOMEM;
	r = engine_run(session, plan, make(plan, kind, bench->workers), &ns, &stats);
	if (r < 0)
		return r;
	if (kind->kind == DSMX_EXCHANGE_BROADCAST)
		rows *= bench->workers;
	/* All of them between processes, or all but those of worker 0 for itself. */
	if (stats.ring_rows + stats.local_rows < rows || (!local && stats.ring_rows < ROWS / 4)) {
		fprintf(stderr, "dsmx-bench: %s: only %llu and %llu of %llu rows passed\n",
		        kind->name, (unsigned long long)stats.ring_rows,
		        (unsigned long long)stats.local_rows, (unsigned long long)rows);
		return -EIO;
	}
	bytes = rows * ENGINE_ROW_BYTES;
	snprintf(text, sizeof(text), "exchange/%s", kind->name);
	bench_add(bench, text, "GB/s", (double)bytes / (double)ns, copy_gb(bytes));
	snprintf(text, sizeof(text), "exchange/%s/rows", kind->name);
	bench_add(bench, text, "Mrow/s", (double)rows * 1e3 / (double)ns, 0);
	return 0;
}

int exchange_round(struct bench *bench)
{
	struct dsmx_session *session = NULL;
	int r = engine_open(bench, bench->workers, &session);

	for (size_t i = 0; r == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		r = exchange_of(bench, session, &kinds[i]);
	dsmx_session_close(session);
	return r;
}
