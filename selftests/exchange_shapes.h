/* SPDX-License-Identifier: MIT */
/*
 * exchange_shapes.h - files, and plans of several shapes over them, in one process and in several
 */
#ifndef DX_SELFTESTS_EXCHANGE_SHAPES_H
#define DX_SELFTESTS_EXCHANGE_SHAPES_H

#include "engine.h"

/* --- files ----------------------------------------------------------------------------------------------------- */

static const struct dsmx_field usual_fields[] = {
	{ "key", { DSMX_INT32, 0, 0, 0 }, true },     { "seq", { DSMX_INT64, 0, 0, 0 }, false },
	{ "b", { DSMX_BOOL, 0, 0, 0 }, true },        { "i8", { DSMX_INT8, 0, 0, 0 }, true },
	{ "i16", { DSMX_INT16, 0, 0, 0 }, true },     { "u8", { DSMX_UINT8, 0, 0, 0 }, true },
	{ "u16", { DSMX_UINT16, 0, 0, 0 }, true },    { "u32", { DSMX_UINT32, 0, 0, 0 }, true },
	{ "u64", { DSMX_UINT64, 0, 0, 0 }, true },    { "f32", { DSMX_FLOAT32, 0, 0, 0 }, true },
	{ "f64", { DSMX_FLOAT64, 0, 0, 0 }, true },   { "dec", { DSMX_DECIMAL, 15, 2, 0 }, true },
	{ "wide", { DSMX_DECIMAL, 38, 5, 0 }, true }, { "day", { DSMX_DATE32, 0, 0, 0 }, true },
};

static const struct dsmx_field text_fields[] = {
	{ "key", { DSMX_INT32, 0, 0, 0 }, true },
	{ "seq", { DSMX_INT64, 0, 0, 0 }, false },
	{ "text", { DSMX_UTF8, 0, 0, 0 }, true },
	{ "coded", { DSMX_UTF8, 0, 0, 0 }, true },
	{ "large", { DSMX_LARGE_UTF8, 0, 0, 0 }, true },
	{ "bytes", { DSMX_BINARY, 0, 0, 0 }, true },
	{ "at", { DSMX_TIMESTAMP, 6, 0, 0 }, true },
	{ "at_tz", { DSMX_TIMESTAMP_TZ, 3, 0, 0 }, true },
};
static const bool text_dictionary[] = { false, false, false, true, false, false, false, false };

/* What the groups are. */
static const struct dsmx_field group_fields[] = {
	{ "key", { DSMX_INT32, 0, 0, 0 }, true },
	{ "n", { DSMX_INT64, 0, 0, 0 }, false },
	{ "sum", { DSMX_DECIMAL, 38, 0, 0 }, true },
};

#define KEYS 200

struct file {
	const char *name;
	const struct dsmx_field *fields;
	uint32_t field_count;
	const bool *dictionary;
	uint32_t rows;
};

static const struct file files[] = {
	{ "numbers", usual_fields, DX_ARRAY_LEN(usual_fields), NULL, 20000 },
	{ "texts", text_fields, DX_ARRAY_LEN(text_fields), text_dictionary, 20000 },
	{ "one", usual_fields, DX_ARRAY_LEN(usual_fields), NULL, 1 },
	{ "empty", text_fields, DX_ARRAY_LEN(text_fields), text_dictionary, 0 },
};

/* Returns the rows; the caller frees them. */
static inline struct table make_file(const struct file *file)
{
	struct table table = table_new(file->fields, file->field_count);
	uint64_t chance = file->rows;

	while (table.rows < file->rows) {
		struct value *row = table_add_random(&table, KEYS, 10, &chance);

		row[1].null = false;
		row[1].i = table.rows;
	}
	file_write(file->name, &table, 700, file->dictionary, &chance);
	return table;
}

/* --- shapes ---------------------------------------------------------------------------------------------------- */

enum shape {
	SHAPE_GATHER,
	SHAPE_HASH,
	SHAPE_HASH_TWICE,
	SHAPE_SORT, /* from here on the order counts */
	SHAPE_TOP,
	SHAPE_GROUPS,    /* from here on it does not */
	SHAPE_JOIN,      /* both sides by key */
	SHAPE_BROADCAST, /* a small side to everybody */
	SHAPE_COUNT
};

static const char *const shape_names[] = { "gather", "hash",   "hash twice",  "sort",
	                                   "top",    "groups", "join by key", "join by broadcast" };

static inline bool is_ordered(enum shape shape)
{
	return shape == SHAPE_SORT || shape == SHAPE_TOP;
}

static inline struct dsmx_expr *less_than(struct dsmx_plan *plan, struct dsmx_rel *rel,
                                          uint32_t column, int64_t bound)
{
	struct dsmx_expr *args[] = { dsmx_expr_column(plan, rel, column),
		                     dsmx_expr_int64(plan, bound) };

	return dsmx_expr_call(plan, DSMX_FN_LT, args, 2);
}

static inline struct dsmx_rel *join_of(struct dsmx_plan *plan, const char *name, bool broadcast,
                                       bool serial, enum dsmx_join_kind kind, int64_t build_rows)
{
	static const uint32_t key = 0;
	struct dsmx_joinscan_side left = { rel_file(plan, name), &key, 1, false };
	struct dsmx_joinscan_side right = { rel_file(plan, name), &key, 1, broadcast };

	right.rel = dsmx_rel_filter(plan, right.rel, less_than(plan, right.rel, 1, build_rows));
	if (serial)
		return dsmx_rel_join(plan, kind, left.rel, right.rel, &key, &key, 1, NULL);
	return dsmx_rel_joinscan(plan, kind, &left, &right);
}

static inline struct dsmx_rel *groups_of(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	struct dsmx_expr *key = dsmx_expr_column(plan, rel, 0);
	struct dsmx_measure measures[] = {
		{ DSMX_AGG_COUNT_STAR, NULL, "n" },
		{ DSMX_AGG_SUM, dsmx_expr_column(plan, rel, 1), "sum" },
	};

	return dsmx_rel_aggregate(plan, rel, &key, 1, measures, 2);
}

static inline struct dsmx_rel *sort_of(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	static const struct dsmx_sort_key keys[] = { { 0, true, true }, { 1, false, false } };

	return dsmx_rel_sort(plan, rel, keys, 2);
}

static inline struct dsmx_plan *shape_plan(enum shape shape, const char *name, uint32_t tasks,
                                           bool serial)
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = NULL;

	if (shape == SHAPE_JOIN || shape == SHAPE_BROADCAST)
		rel = join_of(plan, name, shape == SHAPE_BROADCAST, serial, DSMX_JOIN_SEMI, 40);
	else
		rel = rel_file(plan, name);
	if (!serial && shape != SHAPE_GATHER && shape != SHAPE_JOIN && shape != SHAPE_BROADCAST)
		rel = rel_hash(plan, rel, 0, NULL);
	if (!serial && shape == SHAPE_HASH_TWICE)
		rel = rel_hash(plan, rel, 1, NULL);
	if (shape == SHAPE_GROUPS)
		rel = groups_of(plan, rel);
	if (is_ordered(shape))
		rel = sort_of(plan, rel);
	if (shape == SHAPE_TOP)
		rel = dsmx_rel_limit(plan, rel, 7, 5000);
	if (!serial && !is_ordered(shape))
		rel = rel_gather(plan, rel);
	if (plan_end(plan, rel, tasks) != 0) {
		dsmx_plan_free(plan);
		return NULL;
	}
	return plan;
}

#endif /* DX_SELFTESTS_EXCHANGE_SHAPES_H */
