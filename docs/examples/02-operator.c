/* SPDX-License-Identifier: MIT */
/*
 * 02-operator N - an engine with an operator of its own: the numbers 0 .. N - 1, added up by two workers,
 * which are this program, too, so that they have the operator: hence dsmx_worker_main() first
 */
#include <dsmx/dsmx.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct series {
	int64_t next, end, values[1024];
	struct dsmx_column column;
};

static int series_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                       struct dsmx_batch *batch)
{
	struct series *s = (struct series *)state;
	(void)input, (void)cx;
	memset(batch, 0, sizeof(*batch));
	while (batch->length < 1024 && s->next < s->end)
		s->values[batch->length++] = s->next++;
	s->column.values = s->values;
	batch->columns = &s->column;
	batch->column_count = 1;
	batch->selected = batch->length;
	return batch->length > 0; /* 1: a batch, 0: the end */
}

static const struct dsmx_simple_ops series_ops = { "Series", series_next, free };

static int series_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                       struct dsmx_operator **inputs, uint32_t input_count,
                       struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	struct series *s = (struct series *)calloc(1, sizeof(*s));
	(void)inputs, (void)input_count, (void)err;
	if (s == NULL || len != sizeof(s->end))
		return free(s), -EINVAL;
	memcpy(&s->end, bytes, len);
	return dsmx_simple_new(&series_ops, s, output, NULL, ret_operator);
}

int main(int argc, char **argv)
{
	static const struct dsmx_extension extensions[] = { { "series", series_make },
		                                            { NULL, NULL } };
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	const struct dsmx_schema schema = { 1, &field };
	int r = dsmx_worker_main(argc, argv, extensions);
	int64_t n = argc > 1 ? strtoll(argv[1], NULL, 10) : 1000, sum[2] = { 0, 0 };
	struct dsmx_session_options options;
	struct dsmx_session *session = NULL;
	struct dsmx_query *query = NULL;
	struct dsmx_plan *plan = NULL;
	struct dsmx_batch batch;
	struct dsmx_error err;

	if (r >= 0 || dsmx_plan_new(&plan) != 0)
		return r; /* it was a worker, and has done its work */
	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	options.workers = 2;
	options.worker_path = "/proc/self/exe";
	struct dsmx_rel *leaf = dsmx_rel_extension(plan, "series", &n, 8, &schema, NULL, 0);
	struct dsmx_measure add = { DSMX_AGG_SUM, dsmx_expr_column(plan, leaf, 0), NULL };
	r = dsmx_plan_finish(plan, dsmx_rel_aggregate(plan, leaf, NULL, 0, &add, 1), NULL, &err);
	r = r ? r : dsmx_session_open(&options, &session, &err);
	r = r ? r : dsmx_query_start(session, plan, NULL, &query, &err);
	r = r ? r : dsmx_query_next_batch(query, -1, &batch, &err);
	if (r == 1)
		memcpy(sum, batch.columns[0].values, sizeof(sum)); /* decimal(38,0): 16 bytes */
	printf("%lld %s\n", (long long)sum[0], r == 1 ? "" : err.message);
	dsmx_query_close(query);
	dsmx_session_close(session);
	return dsmx_plan_free(plan), r != 1;
}
