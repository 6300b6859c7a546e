/* SPDX-License-Identifier: MIT */
/* sim_plans.h - what simulated sessions run: plans over one small table, and what each of them gives */
#ifndef DX_SELFTESTS_SIM_PLANS_H
#define DX_SELFTESTS_SIM_PLANS_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dsmx/ipc.h"
#include "simulated.h"

enum { ROWS = 9600, BATCH_ROWS = 400, KEYS = 97 };

enum {
	PLAN_GROUPS,
	PLAN_JOIN,
	PLAN_BROADCAST,
	PLAN_LIMIT,
	PLAN_ROWS,  /* as they are, to the leader */
	PLAN_TOTAL, /* summed by each scan: no frame before its end */
	PLAN_FEW,   /* dealt to two consumers, wherever the scans are */
	PLAN_COUNT
};

static char table_path[256];

/* k = i % KEYS, v = i */
static inline int write_table(void)
{
	static const struct dsmx_field fields[] = { { "k", { DSMX_INT64, 0, 0, 0 }, false },
		                                    { "v", { DSMX_INT64, 0, 0, 0 }, false } };
	const struct dsmx_schema schema = { 2, fields };
	int64_t k[BATCH_ROWS], v[BATCH_ROWS];
	struct dsmx_column columns[2] = { { .values = k }, { .values = v } };
	struct dsmx_ipc_writer *writer;
	int fd, r;

	snprintf(table_path, sizeof(table_path), "%s/dsmx-sim-%d.arrow",
	         getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp", (int)getpid());
	fd = open(table_path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = dsmx_ipc_writer_new(fd, DSMX_IPC_FILE, &schema, NULL, &writer, NULL);
	for (int64_t i = 0; r == 0 && i < ROWS; i += BATCH_ROWS) {
		struct dsmx_batch batch = { .length = BATCH_ROWS,
			                    .selected = BATCH_ROWS,
			                    .column_count = 2,
			                    .columns = columns };

		for (int64_t j = 0; j < BATCH_ROWS; j++) {
			k[j] = (i + j) % KEYS;
			v[j] = i + j;
		}
		r = dsmx_ipc_write(writer, &batch, NULL);
	}
	if (r == 0)
		r = dsmx_ipc_finish(writer, NULL);
	close(fd);
	return r;
}

static inline struct dsmx_rel *aggregate(struct dsmx_plan *plan, struct dsmx_rel *in, bool grouped)
{
	struct dsmx_expr *key = dsmx_expr_column(plan, in, 0);
	struct dsmx_measure sum = { DSMX_AGG_SUM, dsmx_expr_column(plan, in, 1), "s" };

	return dsmx_rel_aggregate(plan, in, &key, grouped, &sum, 1);
}

static inline struct dsmx_rel *build(struct dsmx_plan *plan, int which)
{
	static const uint32_t key = 0;
	struct dsmx_rel *a = dsmx_rel_scan(plan, table_path, NULL, 0);
	struct dsmx_rel *b = dsmx_rel_scan(plan, table_path, NULL, 0);
	struct dsmx_joinscan_side left = { a, &key, 1, false };
	struct dsmx_joinscan_side right = { b, &key, 1, which == PLAN_BROADCAST };

	switch (which) {
	case PLAN_GROUPS:
		return aggregate(plan, a, true);
	case PLAN_FEW:
		a = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, a, &key, 1, 2, NULL);
		return dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, a, NULL, 0, 1, NULL);
	case PLAN_ROWS:
		return dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, a, NULL, 0, 1, NULL);
	case PLAN_TOTAL:
		return aggregate(plan, a, false);
	case PLAN_LIMIT:
		return dsmx_rel_limit(plan, aggregate(plan, a, true), 0, 5);
	default:
		return aggregate(plan, dsmx_rel_joinscan(plan, DSMX_JOIN_INNER, &left, &right),
		                 false);
	}
}

struct bytes {
	void *bytes;
	size_t len;
};

static struct bytes plans[PLAN_COUNT][PROCESSES_MAX];

static inline int make_plan(int which, uint32_t tasks)
{
	struct bytes *out = &plans[which][tasks];
	struct dsmx_plan *plan;
	int r;

	if (out->bytes != NULL)
		return 0;
	r = dsmx_plan_new(&plan);
	if (r < 0)
		return r;
	r = dsmx_plan_finish(plan, build(plan, which), NULL, NULL);
	if (r == 0)
		r = dsmx_plan_distribute(plan, tasks, NULL);
	if (r == 0)
		r = dsmx_plan_encode(plan, &out->bytes, &out->len, NULL);
	dsmx_plan_free(plan);
	return r;
}

/* What a plan gives, worked out here. */
static inline void expected(int which, uint64_t *rows, __int128 *total)
{
	int64_t count[KEYS] = { 0 }, sum[KEYS] = { 0 };

	for (int64_t i = 0; i < ROWS; i++) {
		count[i % KEYS]++;
		sum[i % KEYS] += i;
	}
	*total = 0;
	*rows = which == PLAN_GROUPS                      ? KEYS
	        : which == PLAN_LIMIT                     ? 5
	        : which == PLAN_ROWS || which == PLAN_FEW ? ROWS
	                                                  : 1;
	for (int k = 0; k < KEYS; k++)
		*total += which == PLAN_JOIN || which == PLAN_BROADCAST
		                  ? (__int128)sum[k] * count[k]
		                  : sum[k];
}

static inline void free_plans(void)
{
	unlink(table_path);
	for (int i = 0; i < PLAN_COUNT; i++)
		for (int j = 0; j < PROCESSES_MAX; j++) {
			free(plans[i][j].bytes);
			plans[i][j].bytes = NULL;
		}
}

#endif /* DX_SELFTESTS_SIM_PLANS_H */
