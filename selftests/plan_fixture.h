/* SPDX-License-Identifier: MIT */
/*
 * plan_fixture.h - relations to make plans of, without files: scans of tables that are said to have so many rows
 */
#ifndef DX_SELFTESTS_PLAN_FIXTURE_H
#define DX_SELFTESTS_PLAN_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "plan/tree.h"

#define T(name)       ((struct dsmx_type){ .id = DSMX_##name })
#define DECIMAL(p, s) ((struct dsmx_type){ .id = DSMX_DECIMAL, .precision = (p), .scale = (s) })
#define STAMP(p)      ((struct dsmx_type){ .id = DSMX_TIMESTAMP, .precision = (p) })
#define STAMPTZ(p)    ((struct dsmx_type){ .id = DSMX_TIMESTAMP_TZ, .precision = (p) })
#define LEN(array)    ((uint32_t)(sizeof(array) / sizeof((array)[0])))
#define EXPRS(...)    ((struct dsmx_expr *[]){ __VA_ARGS__ })
#define COLS(...)     ((const uint32_t[]){ __VA_ARGS__ })

/* Three tables in the shape of TPC-H's, and one with a column of every type. */
static inline struct dsmx_rel *fixture_table(struct dsmx_plan *plan, const char *path,
                                             const struct dsmx_field *fields, uint32_t count,
                                             uint64_t rows)
{
	const struct dsmx_schema schema = { .field_count = count, .fields = fields };
	struct dsmx_rel *rel = dx_rel_scan_of(plan, path, &schema, NULL, 0);

	if (rel != NULL) {
		rel->scan.rows = rows;
		rel->scan.batches = (uint32_t)((rows + 8191) / 8192);
	}
	return rel;
}

static inline struct dsmx_rel *fixture_lineitem(struct dsmx_plan *plan, uint64_t rows)
{
	const struct dsmx_field fields[] = {
		{ "l_orderkey", T(INT64), false },       { "l_partkey", T(INT32), false },
		{ "l_quantity", DECIMAL(15, 2), false }, { "l_price", DECIMAL(15, 2), false },
		{ "l_discount", DECIMAL(15, 2), false }, { "l_shipdate", T(DATE32), false },
		{ "l_returnflag", T(UTF8), true },
	};

	return fixture_table(plan, "/data/lineitem.arrow", fields, LEN(fields), rows);
}

static inline struct dsmx_rel *fixture_orders(struct dsmx_plan *plan, uint64_t rows)
{
	const struct dsmx_field fields[] = {
		{ "o_orderkey", T(INT64), false },
		{ "o_custkey", T(INT32), true },
		{ "o_orderdate", T(DATE32), false },
		{ "o_comment", T(UTF8), true },
	};

	return fixture_table(plan, "/data/orders.arrow", fields, LEN(fields), rows);
}

static inline struct dsmx_rel *fixture_customer(struct dsmx_plan *plan, uint64_t rows)
{
	const struct dsmx_field fields[] = {
		{ "c_custkey", T(INT32), false },
		{ "c_segment", T(UTF8), false },
	};

	return fixture_table(plan, "/data/customer.arrow", fields, LEN(fields), rows);
}

static inline struct dsmx_rel *fixture_types(struct dsmx_plan *plan)
{
	const struct dsmx_field fields[] = {
		{ "bool", T(BOOL), true },         { "i8", T(INT8), true },
		{ "i16", T(INT16), true },         { "i32", T(INT32), true },
		{ "i64", T(INT64), true },         { "u8", T(UINT8), true },
		{ "u16", T(UINT16), true },        { "u32", T(UINT32), true },
		{ "u64", T(UINT64), true },        { "f32", T(FLOAT32), true },
		{ "f64", T(FLOAT64), true },       { "dec", DECIMAL(15, 2), true },
		{ "wide", DECIMAL(38, 10), true }, { "date", T(DATE32), true },
		{ "ts", STAMP(6), true },          { "tz", STAMPTZ(3), true },
		{ "text", T(UTF8), true },         { "large", T(LARGE_UTF8), true },
		{ "bin", T(BINARY), true },
	};

	return fixture_table(plan, "types of all kinds.arrow", fields, LEN(fields), 100);
}

/* A literal from text, a column by name, and a call of two. */
static inline struct dsmx_expr *lit(struct dsmx_plan *plan, struct dsmx_type type, const char *text)
{
	return dsmx_expr_literal(plan, type, text);
}

static inline struct dsmx_expr *col(struct dsmx_plan *plan, const struct dsmx_rel *rel,
                                    const char *name)
{
	return dsmx_expr_column_named(plan, rel, name);
}

static inline struct dsmx_expr *call2(struct dsmx_plan *plan, enum dsmx_function function,
                                      struct dsmx_expr *a, struct dsmx_expr *b)
{
	return dsmx_expr_call(plan, function, EXPRS(a, b), 2);
}

/* l_price * (1 - l_discount) */
static inline struct dsmx_expr *fixture_revenue(struct dsmx_plan *plan, const struct dsmx_rel *rel)
{
	return call2(plan, DSMX_FN_MULTIPLY, col(plan, rel, "l_price"),
	             call2(plan, DSMX_FN_SUBTRACT, lit(plan, DECIMAL(15, 2), "1"),
	                   col(plan, rel, "l_discount")));
}

#endif /* DX_SELFTESTS_PLAN_FIXTURE_H */
