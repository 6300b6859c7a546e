/* SPDX-License-Identifier: MIT */
/*
 * Exchanges from end to end, over real processes: the same rows whatever the number of workers and the shape of
 * the plan, every stream asked for and counted, rows where their partition is, nothing run that nobody needs.
 */
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
static struct table make_file(const struct file *file)
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
	SHAPE_GROUPS,
	SHAPE_JOIN,      /* both sides by key */
	SHAPE_BROADCAST, /* a small side to everybody */
	SHAPE_COUNT
};

static const char *const shape_names[] = { "gather", "hash",        "hash twice",
	                                   "groups", "join by key", "join by broadcast" };

static struct dsmx_expr *less_than(struct dsmx_plan *plan, struct dsmx_rel *rel, uint32_t column,
                                   int64_t bound)
{
	struct dsmx_expr *args[] = { dsmx_expr_column(plan, rel, column),
		                     dsmx_expr_int64(plan, bound) };

	return dsmx_expr_call(plan, DSMX_FN_LT, args, 2);
}

static struct dsmx_rel *join_of(struct dsmx_plan *plan, const char *name, bool broadcast,
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

static struct dsmx_plan *shape_plan(enum shape shape, const char *name, uint32_t tasks, bool serial)
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
	if (shape == SHAPE_GROUPS) {
		struct dsmx_expr *key = dsmx_expr_column(plan, rel, 0);
		struct dsmx_measure measures[] = {
			{ DSMX_AGG_COUNT_STAR, NULL, "n" },
			{ DSMX_AGG_SUM, dsmx_expr_column(plan, rel, 1), "sum" },
		};

		rel = dsmx_rel_aggregate(plan, rel, &key, 1, measures, 2);
	}
	if (!serial)
		rel = rel_gather(plan, rel);
	if (plan_end(plan, rel, tasks) != 0) {
		dsmx_plan_free(plan);
		return NULL;
	}
	return plan;
}

/* --- the same rows --------------------------------------------------------------------------------------------- */

static void check_shape(bool *ok, struct dsmx_session *session, enum shape shape,
                        const struct file *file, uint32_t workers, const struct table *want)
{
	bool joins = shape == SHAPE_JOIN || shape == SHAPE_BROADCAST;
	struct dsmx_plan *plan = shape_plan(shape, file->name, workers > 0 ? workers : 3, false);
	struct table seen = { .rows = 0 };
	uint64_t streams, tasks;
	struct outcome o;
	bool equal;

	CHECK(plan != NULL);
	o = run_plan(session, plan, &seen);
	if (o.code != 0)
		printf("# %s\n", o.error.message);
	CHECK_EQ(o.code, 0);
	table_sort(&seen);
	equal = table_equal(&seen, want);
	CHECK(equal);
	plan_needs(plan, &streams, &tasks);
	CHECK_EQ(o.stats.start_streams, o.stats.streams_opened);
	if (joins) { /* a task without build rows does not open its other side */
		CHECK(o.stats.streams_opened <= streams && o.stats.producer_tasks <= tasks);
		CHECK(o.stats.streams_opened >= o.stats.producer_tasks);
	} else {
		CHECK_EQ(o.stats.streams_opened, streams);
		CHECK_EQ(o.stats.producer_tasks, tasks);
	}
	if (workers == 0)
		CHECK_EQ(o.stats.ring_frames, 0);
	if (seen.rows > 0)
		CHECK((workers > 0 ? o.stats.ring_frames : o.stats.local_frames) > 0);
	CHECK_EQ(o.stats.rows, seen.rows);
	CHECK_EQ(o.stats.overflow_bytes, 0);
	CHECK_EQ(o.stats.retries, 0);
	table_free(&seen);
	dsmx_plan_free(plan);
}

/* The rows that a shape gives of a file: as they were written, or of one task in one process. */
static int rows_of(struct dsmx_session *serial, enum shape shape, const struct file *file,
                   struct table *ret_rows)
{
	struct dsmx_plan *plan;
	struct outcome o;

	*ret_rows = make_file(file);
	if (shape <= SHAPE_HASH_TWICE) {
		table_sort(ret_rows);
		return 0;
	}
	table_free(ret_rows);
	plan = shape_plan(shape, file->name, 1, true);
	o = run_plan(serial, plan, ret_rows);
	ret_rows->schema.fields = shape == SHAPE_GROUPS ? group_fields : file->fields;
	table_sort(ret_rows);
	dsmx_plan_free(plan);
	return o.code;
}

/* Every shape over every file in a session. */
static void check_session(bool *ok, const struct dsmx_session_options *options)
{
	struct dsmx_session_options serially = engine_options(0);
	struct dsmx_session *serial = open_engine(&serially), *session = open_engine(options);

	CHECK(serial != NULL && session != NULL);
	for (size_t f = 0; f < DX_ARRAY_LEN(files); f++) {
		for (int shape = 0; shape < SHAPE_COUNT; shape++) {
			struct table want;

			CHECK_EQ(rows_of(serial, (enum shape)shape, &files[f], &want), 0);
			check_shape(ok, session, (enum shape)shape, &files[f], options->workers,
			            &want);
			if (!*ok)
				printf("# %u workers, %s, file %s\n", options->workers,
				       shape_names[shape], files[f].name);
			CHECK(*ok);
			table_free(&want);
		}
	}
	dsmx_session_close(serial);
	dsmx_session_close(session);
}

TEST(exchange_serial,
     "without workers, exchanges between tasks of one process give the serial rows")
{
	struct dsmx_session_options options = engine_options(0);

	check_session(ok, &options);
}

TEST(exchange_one, "one worker gives the serial rows")
{
	struct dsmx_session_options options = engine_options(1);

	check_session(ok, &options);
}

TEST(exchange_two, "two workers give the serial rows")
{
	struct dsmx_session_options options = engine_options(2);

	check_session(ok, &options);
}

TEST(exchange_eight, "eight workers give the serial rows")
{
	struct dsmx_session_options options = engine_options(8);

	check_session(ok, &options);
}

TEST(exchange_futex, "two workers that wait by futex_waitv give the serial rows")
{
	struct dsmx_session_options options = engine_options(2);

	options.wait = DSMX_WAIT_FUTEX;
	check_session(ok, &options);
}

int main(int argc, char **argv)
{
	return engine_main(argc, argv);
}
