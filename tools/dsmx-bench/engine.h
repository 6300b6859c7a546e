/* SPDX-License-Identifier: MIT */
/*
 * engine.h - sessions and plans that the commands of dsmx-bench run
 */
#ifndef DSMX_BENCH_ENGINE_H
#define DSMX_BENCH_ENGINE_H

#include "bench.h"
#include "dsmx/dsmx.h"

#define ENGINE_BATCH_ROWS 8192U
#define ENGINE_ROW_BYTES  16U

/* What the operator "rows" makes, in each of its tasks: columns "key" and "value", both int64. */
struct engine_rows {
	int64_t rows;
	uint32_t
		parts; /* values are 0 .. parts - 1; 0: as the keys, which are the row's number in its batch */
	uint32_t ascend; /* keys ascend through the whole task */
};

/* @rows over @input, or as a leaf; with @rows NULL the operator "drop" over @input, which passes nothing on. */
struct dsmx_rel *engine_rows_rel(struct dsmx_plan *plan, const struct engine_rows *rows,
                                 struct dsmx_rel *input);

/* The functions below return 0, or -errno after a sentence on stderr. */

/* A session as anybody's: its workers are the program that comes with the library. */
struct dsmx_session_options engine_options(const struct bench *bench, uint32_t workers);
int engine_open_with(const struct dsmx_session_options *options, struct dsmx_session **ret_session);

/* One whose workers have our operators: they are this program. */
int engine_open(const struct bench *bench, uint32_t workers, struct dsmx_session **ret_session);

/* To its end; frees @plan. @ret_ns: from start to the last row. */
int engine_run(struct dsmx_session *session, struct dsmx_plan *plan, struct dsmx_rel *root,
               uint64_t *ret_ns, struct dsmx_query_stats *ret_stats);

#endif /* DSMX_BENCH_ENGINE_H */
