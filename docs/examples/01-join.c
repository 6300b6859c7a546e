/* SPDX-License-Identifier: MIT */
/*
 * 01-join DIR - orders joined with lineitem by two workers: revenue of each order priority
 * (`dsmx gen tpch --scale 0.01 -o DIR` makes the tables)
 */
#include <dsmx/dsmx.h>
#include <stdio.h>
#include <string.h>

static struct dsmx_rel *table(struct dsmx_plan *plan, const char *dir, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s.arrow", dir, name);
	return dsmx_rel_scan(plan, path, NULL, 0);
}

/* select o_orderpriority, sum(l_extendedprice) ... on l_orderkey = o_orderkey group by 1 order by 1 */
static struct dsmx_rel *query(struct dsmx_plan *plan, const char *dir)
{
	static const uint32_t key = 0; /* l_orderkey, o_orderkey: the first column of both */
	struct dsmx_joinscan_side left = { table(plan, dir, "lineitem"), &key, 1, false };
	struct dsmx_joinscan_side right = { table(plan, dir, "orders"), &key, 1, false };
	struct dsmx_rel *join = dsmx_rel_joinscan(plan, DSMX_JOIN_INNER, &left, &right);
	struct dsmx_expr *priority = dsmx_expr_column_named(plan, join, "o_orderpriority");
	struct dsmx_measure revenue = { DSMX_AGG_SUM,
		                        dsmx_expr_column_named(plan, join, "l_extendedprice"),
		                        "revenue" };
	struct dsmx_sort_key by_priority = { 0, false, false };
	return dsmx_rel_sort(plan, dsmx_rel_aggregate(plan, join, &priority, 1, &revenue, 1),
	                     &by_priority, 1);
}

static int print_rows(struct dsmx_query *q, struct dsmx_error *err)
{
	const struct dsmx_schema *schema = dsmx_query_schema(q);
	struct dsmx_batch b;
	char text[64];
	int r;

	while ((r = dsmx_query_next_batch(q, -1, &b, err)) == 1)
		for (uint32_t i = 0; i < b.selected; i++)
			for (uint32_t c = 0; c < 2; c++) {
				dsmx_column_format(schema->fields[c].type, &b.columns[c],
				                   b.selection ? b.selection[i] : i, text,
				                   sizeof(text));
				printf("%16s%s", text, c == 0 ? "  " : "\n");
			}
	return r;
}

int main(int argc, char **argv)
{
	struct dsmx_session_options options;
	struct dsmx_session *session = NULL;
	struct dsmx_query *q = NULL;
	struct dsmx_plan *plan = NULL;
	struct dsmx_error err;
	int r;

	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	options.workers = 2;
	if (argc != 2 || dsmx_plan_new(&plan) != 0)
		return 2;
	r = dsmx_plan_finish(plan, query(plan, argv[1]), NULL, &err);
	if (r == 0)
		r = dsmx_session_open(&options, &session, &err);
	if (r == 0)
		r = dsmx_query_start(session, plan, NULL, &q, &err);
	if (r == 0)
		r = print_rows(q, &err);
	if (r != 0)
		fprintf(stderr, "%s\n", err.message);
	dsmx_query_close(q);
	dsmx_session_close(session);
	dsmx_plan_free(plan);
	return r != 0;
}
