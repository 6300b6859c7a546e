/* SPDX-License-Identifier: MIT */
/*
 * Exchanges from end to end, over real processes: the same rows whatever the number of workers and the shape of
 * the plan, every stream asked for and counted, rows where their partition is.
 */
#include "exchange_shapes.h"

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

int main(int argc, char **argv)
{
	return engine_main(argc, argv);
}
