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
	SHAPE_SORT, /* from here on the order counts */
	SHAPE_TOP,
	SHAPE_GROUPS,    /* from here on it does not */
	SHAPE_JOIN,      /* both sides by key */
	SHAPE_BROADCAST, /* a small side to everybody */
	SHAPE_COUNT
};

static const char *const shape_names[] = { "gather", "hash",   "hash twice",  "sort",
	                                   "top",    "groups", "join by key", "join by broadcast" };

static bool is_ordered(enum shape shape)
{
	return shape == SHAPE_SORT || shape == SHAPE_TOP;
}

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

static struct dsmx_rel *groups_of(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	struct dsmx_expr *key = dsmx_expr_column(plan, rel, 0);
	struct dsmx_measure measures[] = {
		{ DSMX_AGG_COUNT_STAR, NULL, "n" },
		{ DSMX_AGG_SUM, dsmx_expr_column(plan, rel, 1), "sum" },
	};

	return dsmx_rel_aggregate(plan, rel, &key, 1, measures, 2);
}

static struct dsmx_rel *sort_of(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	static const struct dsmx_sort_key keys[] = { { 0, true, true }, { 1, false, false } };

	return dsmx_rel_sort(plan, rel, keys, 2);
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
	if (!is_ordered(shape))
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
	if (getenv("DSMX_TINY") == NULL)
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
	if (!is_ordered(shape))
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
	CHECK_EQ(count_late_parks(session), 0);
	CHECK_EQ(count_naks(session), 0);
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

TEST(exchange_tiny, "one frame per stream and the least memory give the serial rows")
{
	struct dsmx_session_options options = engine_options(2);

	options.data_bytes = 0;
	CHECK_EQ(setenv("DSMX_TINY", "1", 1), 0);
	check_session(ok, &options);
	CHECK_EQ(unsetenv("DSMX_TINY"), 0);
}

/* --- where rows go --------------------------------------------------------------------------------------------- */

TEST(exchange_places,
     "a key is in one partition; what a producer gives a partition arrives in its order")
{
	static const uint32_t workers[] = { 0, 1, 2, 8 };
	enum { TASKS = 5, KEY = 0, FROM = 8, SENT, TO, SEEN };

	for (size_t i = 0; i < DX_ARRAY_LEN(workers); i++) {
		struct dsmx_session_options options = engine_options(workers[i]);
		struct dsmx_session *session = open_engine(&options);
		struct table file = make_file(&files[1]), seen = { .rows = 0 };
		int64_t home[256], last[TASKS][TASKS], rows[TASKS] = { 0 };
		struct dsmx_plan *plan = plan_new();
		struct dsmx_rel *rel = rel_stamp(plan, rel_file(plan, files[1].name));
		bool spread = false;

		rel = rel_stamp(plan, rel_hash(plan, rel, KEY, NULL));
		CHECK_EQ(plan_end(plan, rel_gather(plan, rel), TASKS), 0);
		CHECK_EQ(run_plan(session, plan, &seen).code, 0);
		CHECK_EQ(seen.rows, file.rows);
		memset(home, -1, sizeof(home));
		memset(last, -1, sizeof(last));
		for (uint32_t r = 0; r < seen.rows; r++) {
			struct value *v = table_at(&seen, r, 0);
			int64_t *key = &home[v[KEY].null ? 255 : (v[KEY].i + 100) % 256];
			int64_t from = (int64_t)v[FROM].i, to = (int64_t)v[TO].i;

			CHECK(*key < 0 || *key == to);
			*key = to;
			CHECK_EQ(v[SEEN].i, rows[to]++);
			CHECK(v[SENT].i > last[from][to]);
			last[from][to] = (int64_t)v[SENT].i;
			spread = spread || to != (int64_t)table_at(&seen, 0, 0)[TO].i;
		}
		CHECK(spread);
		table_free(&seen);
		table_free(&file);
		dsmx_plan_free(plan);
		dsmx_session_close(session);
	}
}

/* A column that is 0 in every row, and one of the input's. */
static struct dsmx_rel *with_zero(struct dsmx_plan *plan, struct dsmx_rel *rel, uint32_t column)
{
	struct dsmx_expr *exprs[] = { dsmx_expr_int64(plan, 0),
		                      dsmx_expr_column(plan, rel, column) };
	static const char *const names[] = { "zero", "it" };

	return dsmx_rel_project(plan, rel, exprs, names, 2);
}

TEST(exchange_broadcast, "every task gets all rows of a broadcast, each once")
{
	static const uint32_t workers[] = { 0, 1, 2, 8 };
	static const struct file eight = { "eight", usual_fields, 2, NULL, 8 };
	enum { TASKS = 8, ROWS = 3000, LEFT_TASK = 2, ROW = 5, RIGHT_TASK };
	struct table table = table_new(eight.fields, eight.field_count);
	uint64_t chance = 1;

	while (table.rows < eight.rows)
		table_add(&table)[1] = (struct value){ .i = table.rows };
	file_write(eight.name, &table, 1, NULL, &chance);
	for (size_t i = 0; i < DX_ARRAY_LEN(workers); i++) {
		struct dsmx_session_options options = engine_options(workers[i]);
		struct dsmx_session *session = open_engine(&options);
		struct table seen = { .rows = 0 };
		static uint8_t got[TASKS][ROWS];
		struct dsmx_plan *plan = plan_new();
		struct dsmx_rel *left = rel_file(plan, eight.name), *right;
		static const uint32_t key;

		left = rel_stamp(plan, with_zero(plan, left, 1));
		right = with_zero(plan, rel_series(plan, ROWS, ROWS), 0);
		right = dsmx_rel_exchange(plan, DSMX_EXCHANGE_BROADCAST, right, NULL, 0, 0, NULL);
		right = rel_stamp(plan, right);
		left = dsmx_rel_join(plan, DSMX_JOIN_INNER, left, right, &key, &key, 1, NULL);
		CHECK_EQ(plan_end(plan, rel_gather(plan, left), TASKS), 0);
		CHECK_EQ(run_plan(session, plan, &seen).code, 0);
		CHECK_EQ(seen.rows, TASKS * ROWS);
		memset(got, 0, sizeof(got));
		for (uint32_t r = 0; r < seen.rows; r++) {
			struct value *v = table_at(&seen, r, 0);

			CHECK_EQ(v[LEFT_TASK].i, v[RIGHT_TASK].i);
			CHECK_EQ(got[v[LEFT_TASK].i][v[ROW].i]++, 0);
		}
		table_free(&seen);
		dsmx_plan_free(plan);
		dsmx_session_close(session);
	}
	table_free(&table);
}

/* --- rows that are wide ---------------------------------------------------------------------------------------- */

static const struct dsmx_field wide_fields[] = { { "text", { DSMX_UTF8, 0, 0, 0 }, false } };
static const struct dsmx_schema wide_schema = { 1, wide_fields };

/* Rows of these lengths, a letter each, one by one through a hash exchange. */
static struct outcome send_wide(struct dsmx_session *session, const uint32_t *lengths,
                                uint32_t count, uint64_t *ret_bytes)
{
	struct dsmx_plan *plan = plan_new();
	struct outcome o = { .code = 0 };
	struct dsmx_query *query;
	struct dsmx_batch batch;
	int fd;
	struct dsmx_ipc_writer *writer = file_new("wide", &wide_schema, NULL, &fd);

	for (uint32_t i = 0; i < count; i++) {
		int32_t offsets[] = { 0, (int32_t)lengths[i] };
		char *text = malloc(lengths[i] + 1);
		struct dsmx_column column = { .values = offsets, .bytes = (const uint8_t *)text };
		struct dsmx_batch row = { 1, 1, NULL, 1, &column, NULL };

		memset(text, 'a' + (int)i % 26, lengths[i] + 1);
		if (dsmx_ipc_write(writer, &row, NULL) != 0)
			abort();
		free(text);
	}
	file_end(writer, fd);
	*ret_bytes = 0;
	if (plan_end(plan, rel_gather(plan, rel_hash(plan, rel_file(plan, "wide"), 0, NULL)), 2) !=
	    0)
		abort();
	o.code = dsmx_query_start(session, plan, NULL, &query, &o.error);
	dsmx_plan_free(plan);
	if (o.code != 0)
		return o;
	while ((o.code = dsmx_query_next_batch(query, 10000, &batch, &o.error)) == 1) {
		for (uint32_t i = 0; i < batch.selected; i++) {
			const int32_t *at = batch.columns[0].values;
			uint32_t row = batch.selection != NULL ? batch.selection[i] : i;

			*ret_bytes += (uint64_t)(at[row + 1] - at[row]);
		}
		o.rows += batch.selected;
	}
	dsmx_query_close(query);
	return o;
}

TEST(exchange_wide,
     "a row as long as the longest run passes, one byte more is an error with both sizes")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);
	static const uint32_t lengths[] = { 0, 1, 63, 64, 4096, 70000, 300000, 3, 900000, 0, 100 };
	uint64_t bytes, sum = 0;
	long long row = 0, longest = 0;
	uint32_t long_row = 3 << 20;
	const char *at;
	struct outcome o;

	CHECK(session != NULL);
	for (size_t i = 0; i < DX_ARRAY_LEN(lengths); i++)
		sum += lengths[i];
	o = send_wide(session, lengths, DX_ARRAY_LEN(lengths), &bytes);
	CHECK_EQ(o.code, 0);
	CHECK_EQ(o.rows, DX_ARRAY_LEN(lengths));
	CHECK_EQ(bytes, sum);

	o = send_wide(session, &long_row, 1, &bytes);
	CHECK_EQ(o.code, -EMSGSIZE);
	printf("# %s\n", o.error.message);
	at = strstr(o.error.message, "a row of ");
	CHECK(at != NULL);
	CHECK_EQ(sscanf(at, "a row of %lld bytes is longer than the longest run of %lld", &row,
	                &longest),
	         2);
	CHECK(row > (3 << 20) && longest >= 1 << 20 && longest < row);

	long_row = (uint32_t)(longest - (row - (3 << 20)));
	o = send_wide(session, &long_row, 1, &bytes);
	CHECK_EQ(o.code, 0);
	CHECK_EQ(bytes, long_row);
	long_row++;
	o = send_wide(session, &long_row, 1, &bytes);
	CHECK_EQ(o.code, -EMSGSIZE);
	CHECK(o.error.exchange >= 0 && o.error.worker >= 0);
	o = send_wide(session, lengths, DX_ARRAY_LEN(lengths), &bytes);
	CHECK_EQ(o.code, 0);
	dsmx_session_close(session);
}

/* --- nothing that nobody needs --------------------------------------------------------------------------------- */

TEST(exchange_lazy, "a join without build rows never starts what produces its other side")
{
	static const uint32_t workers[] = { 0, 1, 2, 8 };

	for (size_t i = 0; i < DX_ARRAY_LEN(workers); i++) {
		for (int broadcast = 0; broadcast < 2; broadcast++) {
			struct dsmx_session_options options = engine_options(workers[i]);
			struct dsmx_session *session = open_engine(&options);
			struct table file = make_file(&files[0]);
			struct dsmx_plan *plan = plan_new();
			struct dsmx_rel *rel = join_of(plan, files[0].name, broadcast == 1, false,
			                               DSMX_JOIN_INNER, -1);
			struct dsmx_exchange_info info;
			uint64_t streams, tasks;
			struct outcome o;

			CHECK_EQ(plan_end(plan, rel_gather(plan, rel), 4), 0);
			plan_needs(plan, &streams, &tasks);
			for (uint32_t x = 0; broadcast == 0 && x < dsmx_plan_exchange_count(plan);
			     x++) { /* the left side is the first */
				CHECK_EQ(dsmx_plan_exchange(plan, x, &info), 0);
				if (info.kind != DSMX_EXCHANGE_HASH)
					continue;
				tasks -= info.producer_tasks;
				streams -= info.producer_tasks * info.consumer_partitions;
				break;
			}
			o = run_plan(session, plan, NULL);
			CHECK_EQ(o.code, 0);
			CHECK_EQ(o.rows, 0);
			CHECK_EQ(o.stats.producer_tasks, tasks);
			CHECK_EQ(o.stats.streams_opened, streams);
			CHECK_EQ(o.stats.start_streams, streams);
			table_free(&file);
			dsmx_plan_free(plan);
			dsmx_session_close(session);
		}
	}
}

TEST(exchange_unwanted, "rows for tasks that do not want them hold up nobody, and go to no file")
{
	static const uint32_t workers[] = { 0, 1, 2, 8 };
	static const uint32_t key = 0;

	for (size_t i = 0; i < DX_ARRAY_LEN(workers); i++) {
		struct dsmx_session_options options = engine_options(workers[i]);
		struct dsmx_session *session = open_engine(&options);
		struct dsmx_exchange_config config = { .credit_bytes = 64 << 10 };
		struct dsmx_plan *plan = plan_new();
		struct dsmx_rel *left = rel_series(plan, 1000000, 1000);
		struct dsmx_rel *right = rel_series(plan, 1, 1);
		struct outcome o;

		left = rel_hash(plan, left, key, &config);
		right = rel_hash(plan, right, key, &config);
		left = dsmx_rel_join(plan, DSMX_JOIN_INNER, left, right, &key, &key, 1, NULL);
		CHECK_EQ(plan_end(plan, rel_gather(plan, left), 4), 0);
		o = run_plan(session, plan, NULL);
		CHECK_EQ(o.code, 0);
		CHECK_EQ(o.rows, 1000);
		CHECK_EQ(o.stats.overflow_bytes, 0);
		CHECK_EQ(o.stats.producer_tasks, 4 + 1 + 1);
		CHECK_EQ(o.stats.streams_opened, 4 + 4 + 1);
		dsmx_plan_free(plan);
		dsmx_session_close(session);
	}
}

TEST(exchange_not_before_next,
     "between the start and the first next nothing is asked for and nothing runs")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);
	struct table file = make_file(&files[0]);
	struct dsmx_plan *plan = shape_plan(SHAPE_HASH, files[0].name, 2, false);
	struct dsmx_query_stats stats;
	struct dsmx_query *query;
	struct dsmx_error err;
	uint64_t rows;

	CHECK(session != NULL && plan != NULL);
	CHECK_EQ(dsmx_query_start(session, plan, NULL, &query, &err), 0);
	for (int look = 0; look < 20; look++) {
		(void)usleep(1000); /* for what should not happen */
		dsmx_query_stats(query, &stats);
		CHECK_EQ(stats.start_streams, 0);
		CHECK_EQ(stats.producer_tasks, 0);
	}
	CHECK_EQ(read_all(query, NULL, &rows, &err), 0);
	CHECK_EQ(rows, file.rows);
	dsmx_query_close(query);
	table_free(&file);
	dsmx_plan_free(plan);
	dsmx_session_close(session);
}

static uint32_t count_text(const char *text, const char *what)
{
	uint32_t count = 0;

	for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
		count++;
	return count;
}

TEST(exchange_explain,
     "EXPLAIN has one line for each exchange, and ANALYZE one for each producer task too")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);

	CHECK(session != NULL);
	for (int shape = 0; shape < SHAPE_COUNT; shape++) {
		struct table file = make_file(&files[1]);
		struct dsmx_plan *plan = shape_plan((enum shape)shape, files[1].name, 2, false);
		struct dsmx_query_stats stats;
		struct dsmx_query *query;
		struct dsmx_error err;
		uint64_t rows;
		char *text;

		CHECK_EQ(dsmx_query_start(session, plan, NULL, &query, &err), 0);
		CHECK_EQ(dsmx_query_explain(query, false, &text), 0);
		CHECK_EQ(count_text(text, "DsmExchangeExec"), dsmx_plan_exchange_count(plan));
		free(text);
		CHECK_EQ(read_all(query, NULL, &rows, &err), 0);
		dsmx_query_stats(query, &stats);
		CHECK_EQ(dsmx_query_explain(query, true, &text), 0);
		CHECK_EQ(count_text(text, "DsmExchangeExec"), dsmx_plan_exchange_count(plan));
		CHECK_EQ(count_text(text, " in process "), stats.producer_tasks);
		free(text);
		dsmx_query_close(query);
		table_free(&file);
		dsmx_plan_free(plan);
	}
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	return engine_main(argc, argv);
}
