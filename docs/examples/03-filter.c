/* SPDX-License-Identifier: MIT */
/*
 * 03-filter PLUGIN FUNCTION [LEVEL] - adds up what the filter of filter_plugin.c lets through, in two confined workers
 * (LEVEL of isolation: strict): odd numbers, or nothing, as the function crashes, leaks, loops, or scribbles
 */
#include <dsmx/dsmx.h>
#include <stdio.h>
#include <string.h>

static void print_log(void *data, enum dsmx_log_level level, const char *message)
{
	(void)data;
	if (level <= DSMX_LOG_WARNING)
		printf("%s\n", message);
}

static struct dsmx_rel *build(struct dsmx_plan *plan, const char *function)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const int64_t count = 100000;
	const struct dsmx_schema schema = { 1, &field };
	struct dsmx_rel *numbers =
		dsmx_rel_extension(plan, "numbers", &count, sizeof(count), &schema, NULL, 0);
	struct dsmx_rel *dealt =
		dsmx_rel_exchange(plan, DSMX_EXCHANGE_ROUND_ROBIN, numbers, NULL, 0, 0, NULL);
	struct dsmx_rel *filter =
		dsmx_rel_extension(plan, "filter", function, strlen(function), &schema, &dealt, 1);
	struct dsmx_measure sum = { DSMX_AGG_SUM, dsmx_expr_column(plan, filter, 0), NULL };
	return dsmx_rel_aggregate(plan, filter, NULL, 0, &sum, 1);
}

/* Returns 1 with a sum, or a negative code. */
static int run(struct dsmx_session *session, const char *function, struct dsmx_error *err)
{
	struct dsmx_plan *plan = NULL;
	struct dsmx_query *query = NULL;
	struct dsmx_batch batch;
	int64_t sum[2]; /* decimal(38,0): 16 bytes */
	int r = dsmx_plan_new(&plan);

	r = r ? r : dsmx_plan_finish(plan, build(plan, function), NULL, err);
	r = r ? r : dsmx_query_start(session, plan, NULL, &query, err);
	r = r ? r : dsmx_query_next_batch(query, -1, &batch, err);
	if (r == 1) {
		memcpy(sum, batch.columns[0].values, sizeof(sum));
		printf("%s: %lld\n", function, (long long)sum[0]);
	}
	dsmx_query_close(query);
	return dsmx_plan_free(plan), r;
}

int main(int argc, char **argv)
{
	const char *plugins[] = { argc > 1 ? argv[1] : "", NULL };
	struct dsmx_session_options options;
	struct dsmx_session *session = NULL;
	struct dsmx_error err = { 0, 0, 0, 0, 0, "" };
	int r = 0;
	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	options.workers = 2;
	options.plugins = plugins;
	options.watchdog_ms = 500;
	options.worker_memory_max = 256 << 20;
	options.log = print_log;
	options.isolation = DSMX_ISOLATION_STRICT;
	if (argc > 3)
		r = dsmx_isolation_parse(argv[3], &options.isolation, &options.isolation_required,
		                         &err);
	r = r ? r : dsmx_session_open(&options, &session, &err);
	if (r == 0 && run(session, argc > 2 ? argv[2] : "odd", &err) < 0) {
		printf("%s: %s\n", argv[2], dsmx_exit_reason_str(err.reason));
		r = run(session, "odd", &err) < 0 ? -1 : 0; /* the session has two workers again */
	}
	if (r < 0)
		printf("%s\n", err.message);
	dsmx_session_close(session);
	return r < 0;
}
