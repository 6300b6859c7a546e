/* SPDX-License-Identifier: MIT */
/*
 * plan_bytes.h - plans that together have every expression, relation and exchange there is, and their bytes
 */
#ifndef DX_SELFTESTS_PLAN_BYTES_H
#define DX_SELFTESTS_PLAN_BYTES_H

#include <stdint.h>
#include <stdio.h>

#include "plan/codec.h"
#include "plan_fixture.h"

struct bytes {
	uint8_t *at;
	size_t len;
};

static inline struct dsmx_plan *plan_new(void)
{
	struct dsmx_plan *plan = NULL;

	return dsmx_plan_new(&plan) == 0 ? plan : NULL;
}

static inline struct dsmx_rel *extension(struct dsmx_plan *plan, struct dsmx_rel *a,
                                         struct dsmx_rel *b)
{
	struct dsmx_rel *inputs[] = { a, b };
	const struct dsmx_field fields[] = { { "o_orderkey", T(INT64), false },
		                             { "score", T(UINT32), true } };
	const struct dsmx_schema output = { 2, fields };

	return dsmx_rel_extension(plan, "test.score", "\0\1\2", 3, &output, inputs,
	                          b != NULL ? 2 : a != NULL);
}

/* --- plans --------------------------------------------------------------------------------------------- */

/* A literal of each type, a null, and each kind of expression, over a column of each type. */
static inline struct dsmx_rel *all_expressions(struct dsmx_plan *plan)
{
	static const char *const values[] = {
		"true",
		"-128",
		"-32768",
		"2147483647",
		"-9223372036854775808",
		"255",
		"0",
		"4294967295",
		"18446744073709551615",
		"1.5",
		"-0.1",
		"-12.50",
		"-1234567890123456789012345678.0123456789",
		"1995-03-15",
		"2024-02-29 12:30:00.5",
		"1969-12-31 23:59:59",
		"it's",
		"large",
		"\x01\xff",
	};
	struct dsmx_rel *rel = fixture_types(plan);
	uint32_t count = dsmx_rel_schema(rel)->field_count, n = 0;
	struct dsmx_expr *exprs[64], *text = col(plan, rel, "text"), *i64 = col(plan, rel, "i64");
	struct dsmx_expr *date = col(plan, rel, "date"), *flag = col(plan, rel, "bool");

	for (uint32_t i = 0; i < count; i++)
		exprs[n++] = call2(plan, DSMX_FN_COALESCE, dsmx_expr_column(plan, rel, i),
		                   lit(plan, dsmx_rel_schema(rel)->fields[i].type, values[i]));
	exprs[n++] = lit(plan, STAMP(9), NULL);
	exprs[n++] = dsmx_expr_cast(plan, text, DECIMAL(10, 3));
	exprs[n++] = dsmx_expr_case(plan, EXPRS(flag, flag), EXPRS(i64, i64), 2, NULL);
	exprs[n++] = dsmx_expr_in(plan, i64,
	                          EXPRS(dsmx_expr_int64(plan, 1), dsmx_expr_int64(plan, 0)), 2);
	exprs[n++] =
		dsmx_expr_call(plan, DSMX_FN_SUBSTRING,
	                       EXPRS(text, lit(plan, T(INT32), "1"), col(plan, rel, "i32")), 3);
	exprs[n++] = call2(plan, DSMX_FN_EXTRACT, lit(plan, T(UTF8), "year"), date);
	exprs[n++] = call2(plan, DSMX_FN_EXTRACT, lit(plan, T(UTF8), "dow"), date);
	exprs[n++] = call2(plan, DSMX_FN_EXTRACT, lit(plan, T(UTF8), "doy"), col(plan, rel, "ts"));
	exprs[n++] = call2(plan, DSMX_FN_LIKE, text, lit(plan, T(UTF8), "a%_\\%"));
	exprs[n++] = dsmx_expr_call(plan, DSMX_FN_CONCAT, EXPRS(text, text, text), 3);
	exprs[n++] = call2(plan, DSMX_FN_ADD, col(plan, rel, "u8"), col(plan, rel, "u8"));
	exprs[n++] = call2(plan, DSMX_FN_DIVIDE, col(plan, rel, "dec"), col(plan, rel, "wide"));
	exprs[n++] = dsmx_expr_call(plan, DSMX_FN_NOT, &flag, 1);
	exprs[n++] = dsmx_expr_call(plan, DSMX_FN_IS_NOT_NULL, &text, 1);
	rel = dsmx_rel_filter(plan, rel, call2(plan, DSMX_FN_OR, flag, flag));
	return dsmx_rel_project(plan, rel, exprs, NULL, n);
}

/* Every kind of relation, with exchanges given and put in. */
static inline struct dsmx_rel *all_relations(struct dsmx_plan *plan)
{
	const struct dsmx_field leaf_fields[] = { { "k", T(INT64), true },
		                                  { "x", STAMPTZ(9), true } };
	const struct dsmx_schema leaf_schema = { 2, leaf_fields };
	const struct dsmx_exchange_config config = { 4096, 512, 7, true };
	const struct dsmx_sort_key keys[] = { { 1, true, true },
		                              { 0, false, false },
		                              { 2, true, false } };
	struct dsmx_rel *lines = fixture_lineitem(plan, 600000),
			*orders = fixture_orders(plan, 150000);
	struct dsmx_rel *leaf = dsmx_rel_leaf(plan, "mine", &leaf_schema), *rel;
	struct dsmx_measure measures[6] = { { DSMX_AGG_COUNT_STAR, NULL, "n" } };
	struct dsmx_expr *key;

	rel = dsmx_rel_joinscan(plan, DSMX_JOIN_INNER,
	                        &(struct dsmx_joinscan_side){ lines, COLS(0), 1, false },
	                        &(struct dsmx_joinscan_side){ orders, COLS(0), 1, false });
	rel = dsmx_rel_join(plan, DSMX_JOIN_LEFT, rel, leaf, COLS(0), COLS(0), 1,
	                    call2(plan, DSMX_FN_LT, dsmx_expr_pair_column(plan, rel, leaf, 0),
	                          dsmx_expr_pair_column(plan, rel, leaf, 11)));
	rel = dsmx_rel_join(plan, DSMX_JOIN_SEMI, rel,
	                    extension(plan, extension(plan, NULL, NULL), NULL), COLS(0), COLS(0), 1,
	                    NULL);
	rel = dsmx_rel_join(plan, DSMX_JOIN_ANTI, rel,
	                    extension(plan,
	                              dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, orders, NULL, 0,
	                                                0, &config),
	                              fixture_customer(plan, 15000)),
	                    COLS(0), COLS(0), 1, NULL);
	key = col(plan, rel, "o_custkey");
	measures[1] = (struct dsmx_measure){ DSMX_AGG_COUNT, key, NULL };
	measures[2] = (struct dsmx_measure){ DSMX_AGG_SUM, fixture_revenue(plan, rel), "revenue" };
	measures[3] = (struct dsmx_measure){ DSMX_AGG_AVG, col(plan, rel, "l_quantity"), NULL };
	measures[4] = (struct dsmx_measure){ DSMX_AGG_MIN, col(plan, rel, "l_returnflag"), NULL };
	measures[5] = (struct dsmx_measure){ DSMX_AGG_MAX, col(plan, rel, "o_orderdate"), NULL };
	rel = dsmx_rel_aggregate(plan, rel, &key, 1, measures, 6);
	rel = dsmx_rel_filter(
		plan, rel,
		call2(plan, DSMX_FN_GT, dsmx_expr_column(plan, rel, 1), dsmx_expr_int64(plan, 3)));
	rel = dsmx_rel_limit(plan, dsmx_rel_sort(plan, rel, keys, 3), 5, 10);
	key = dsmx_expr_column(plan, rel, 0);
	rel = dsmx_rel_aggregate(plan, rel, &key, 1, NULL, 0);
	return dsmx_rel_limit(plan, rel, 3, UINT64_MAX);
}

/* Groups without measures on both sides of an exchange: their phase stands elsewhere. */
static inline struct dsmx_rel *distinct(struct dsmx_plan *plan)
{
	struct dsmx_rel *rel = fixture_orders(plan, 150000);
	struct dsmx_expr *key = col(plan, rel, "o_custkey");

	return dsmx_rel_aggregate(plan, rel, &key, 1, NULL, 0);
}

/* Every kind of exchange, one on the other. */
static inline struct dsmx_rel *all_exchanges(struct dsmx_plan *plan)
{
	const struct dsmx_sort_key keys[] = { { 0, false, true }, { 2, true, false } };
	struct dsmx_rel *rel = fixture_orders(plan, 150000);

	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_ROUND_ROBIN, rel, NULL, 0, 0, NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_PASSTHROUGH, rel, NULL, 0, 0, NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_ARBITRARY, rel, NULL, 0, 5, NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_EXPLICIT, rel, COLS(1), 1, 0, NULL);
	rel = dsmx_rel_exchange_range(
		plan, rel, &(struct dsmx_sort_key){ 2, true, false },
		EXPRS(lit(plan, T(DATE32), "1996-01-01"), lit(plan, T(DATE32), "1994-06-30")), 2,
		NULL);
	rel = dsmx_rel_exchange_range(plan, rel, &(struct dsmx_sort_key){ 3, false, false },
	                              EXPRS(dsmx_expr_utf8(plan, "m", 1)), 1, NULL);
	rel = dsmx_rel_exchange_range(plan, rel, &(struct dsmx_sort_key){ 1, false, true }, NULL, 0,
	                              NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, COLS(0, 2), 2, 0, NULL);
	return dsmx_rel_exchange_merge(plan, rel, keys, 2, NULL);
}

static struct dsmx_rel *(*const makers[])(struct dsmx_plan *plan) = { all_expressions,
	                                                              all_relations, distinct,
	                                                              all_exchanges };

/* The bytes of plan @maker, distributed over @tasks (0: not); {NULL, 0} after a complaint. */
static inline struct bytes make(uint32_t maker, uint32_t tasks)
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_error err = { 0 };
	struct bytes bytes = { NULL, 0 };
	void *at;

	if (dsmx_plan_finish(plan, makers[maker](plan), NULL, &err) == 0 &&
	    (tasks == 0 || dsmx_plan_distribute(plan, tasks, &err) == 0) &&
	    dsmx_plan_encode(plan, &at, &bytes.len, &err) == 0)
		bytes.at = at;
	else
		printf("# %s\n", err.message);
	dsmx_plan_free(plan);
	return bytes;
}

static inline bool encode(const struct dsmx_plan *plan, struct bytes *ret)
{
	void *at;

	if (dsmx_plan_encode(plan, &at, &ret->len, NULL) < 0)
		return false;
	ret->at = at;
	return true;
}

static inline bool same(struct bytes a, struct bytes b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

#endif /* DX_SELFTESTS_PLAN_BYTES_H */
