/* SPDX-License-Identifier: MIT */
/*
 * series.h - queries for tests with real processes, that need no file: over an operator "series", which gives
 * the numbers 0 .. end - 1, each modulo 100
 *
 * The test's program is its own supervisor and worker: its main() calls dsmx_worker_main() with `extensions`.
 */
#ifndef DX_SELFTESTS_SERIES_H
#define DX_SELFTESTS_SERIES_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "simple.h"

#define ENDLESS INT64_MAX
#define BATCH   1024

/* --- the operator --------------------------------------------------------------------------------------------- */

struct series_bytes {
	int64_t end;
	int64_t modulo;
};

struct series {
	struct series_bytes is;
	int64_t next;
	int64_t values[BATCH];
	struct dsmx_column column;
};

static inline int series_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                              struct dsmx_batch *ret_batch)
{
	struct series *s = state;
	uint32_t n = 0;

	(void)input;
	(void)cx;
	for (; n < BATCH && s->next < s->is.end; s->next++)
		s->values[n++] = s->next % s->is.modulo;
	s->column = (struct dsmx_column){ .values = s->values };
	*ret_batch = (struct dsmx_batch){
		.length = n, .selected = n, .column_count = 1, .columns = &s->column
	};
	return n > 0;
}

static inline int series_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                              struct dsmx_operator **inputs, uint32_t input_count,
                              struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Series", series_next, free };

	(void)inputs, (void)input_count, (void)err;
	return simple_make(&ops, sizeof(struct series), sizeof(struct series_bytes), bytes, len,
	                   output, ret_operator);
}

static const struct dsmx_extension extensions[] = { { "series", series_make }, { NULL, NULL } };

/* --- the queries ------------------------------------------------------------------------------------------------ */

enum kind {
	KIND_GATHER,  /* one worker to the leader */
	KIND_SHUFFLE, /* one worker to all workers to the leader */
	KIND_GROUPS,  /* sums of groups: no row before the end */
	KIND_COUNT
};

static const char *const kind_names[KIND_COUNT] = { "gather", "shuffle", "groups" };

static inline struct dsmx_plan *make_plan(enum kind kind, int64_t end)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	static const uint32_t key;
	struct series_bytes bytes = { end, 100 };
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;

	if (dsmx_plan_new(&plan) != 0)
		return NULL;
	rel = dsmx_rel_extension(plan, "series", &bytes, sizeof(bytes), &schema, NULL, 0);
	if (kind != KIND_GATHER)
		rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, &key, 1, 0, NULL);
	if (kind == KIND_GROUPS) {
		struct dsmx_expr *group = dsmx_expr_column(plan, rel, 0);
		struct dsmx_measure sum = { DSMX_AGG_SUM, dsmx_expr_column(plan, rel, 0), "sum" };

		rel = dsmx_rel_aggregate(plan, rel, &group, 1, &sum, 1);
	}
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	if (dsmx_plan_finish(plan, rel, NULL, NULL) != 0) {
		dsmx_plan_free(plan);
		return NULL;
	}
	return plan;
}

static inline int start_query_with(struct dsmx_session *session, enum kind kind, int64_t end,
                                   const struct dsmx_query_options *options,
                                   struct dsmx_query **ret_query, struct dsmx_error *err)
{
	struct dsmx_plan *plan = make_plan(kind, end);
	int r;

	if (plan == NULL)
		return dx_error(err, -ENOMEM, "no plan");
	r = dsmx_query_start(session, plan, options, ret_query, err);
	dsmx_plan_free(plan);
	return r;
}

static inline int start_query(struct dsmx_session *session, enum kind kind, int64_t end,
                              struct dsmx_query **ret_query, struct dsmx_error *err)
{
	return start_query_with(session, kind, end, NULL, ret_query, err);
}

/* Read to the end: the sum of all first columns, or of the sums. Returns 0 or the failure. */
static inline int drain(struct dsmx_query *query, enum kind kind, int64_t *ret_sum,
                        struct dsmx_error *err)
{
	struct dsmx_batch batch;
	int r;

	*ret_sum = 0;
	while ((r = dsmx_query_next_batch(query, harness_hang_ms(), &batch, err)) == 1) {
		for (uint32_t i = 0; i < batch.selected; i++) {
			uint32_t row = batch.selection != NULL ? batch.selection[i] : i;

			if (kind == KIND_GROUPS) /* decimal(38,0): 16 bytes */
				*ret_sum +=
					(int64_t)((const __int128 *)batch.columns[1].values)[row];
			else
				*ret_sum += ((const int64_t *)batch.columns[0].values)[row];
		}
	}
	return r;
}

static inline int64_t sum_of(int64_t end)
{
	return end / 100 * 4950 + (end % 100) * (end % 100 - 1) / 2;
}

#endif /* DX_SELFTESTS_SERIES_H */
