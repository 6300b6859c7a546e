/* SPDX-License-Identifier: MIT */
/*
 * Leaves: the rows of a stream of the application's.
 */
#include "scan_files.h"

/* A stream of an application's over a table. */
struct app_stream {
	struct ArrowArrayStream arrow;
	const struct table *table;
	uint32_t next, most, calls, fail_at;
	int fail_with;
	uint64_t chance;
};

static int app_schema(struct ArrowArrayStream *arrow, struct ArrowSchema *ret_schema)
{
	struct app_stream *app = arrow->private_data;

	return dsmx_schema_export(&app->table->schema, ret_schema) < 0 ? ENOMEM : 0;
}

static int app_next(struct ArrowArrayStream *arrow, struct ArrowArray *ret_array)
{
	struct app_stream *app = arrow->private_data;
	struct rows_batch made;
	int code;

	*ret_array = (struct ArrowArray){ 0 };
	if (++app->calls == app->fail_at)
		return app->fail_with;
	if (app->next == app->table->rows)
		return 0;
	app->next += rows_batch_make(&made, app->table, app->next,
	                             rows_below(&app->chance, app->most), &app->chance);
	code = dsmx_batch_export(&app->table->schema, &made.batch, ret_array);
	rows_batch_free(&made);
	return code < 0 ? ENOMEM : 0;
}

static const char *app_error(struct ArrowArrayStream *arrow)
{
	const struct app_stream *app = arrow->private_data;

	return app->fail_with == ENODEV ? NULL : "the disk is full";
}

static void app_release(struct ArrowArrayStream *arrow)
{
	arrow->release = NULL;
}

static struct ArrowArrayStream *find_leaf(struct dx_exec_env *env, const char *name)
{
	struct app_stream *app = env->arg;

	return strcmp(name, "mine") == 0 ? &app->arrow : NULL;
}

static struct app_stream app_new(const struct table *table, uint32_t most, uint64_t chance)
{
	return (struct app_stream){
		.arrow = { app_schema, app_next, app_error, app_release, NULL },
		.table = table,
		.most = most,
		.chance = chance,
	};
}

static int run_leaf(struct app_stream *app, const struct dsmx_schema *planned, struct run *run,
                    struct table *ret_rows)
{
	struct dsmx_rel rel = { .kind = DX_REL_LEAF, .leaf = "mine", .schema = *planned };

	app->arrow.private_data = app;
	run->env.tasks = 1;
	run->env.find_leaf = find_leaf;
	run->env.arg = app;
	return run_fragment(run, &rel, ret_rows);
}

TEST(leaf_gives_all, "a leaf gives the rows of the application's stream, in order")
{
	for (uint64_t chance = 0; chance < 6; chance++) {
		struct table rows = random_rows(chance == 0 ? 0 : 20000, 5, chance), seen;
		struct app_stream app = app_new(&rows, chance % 2 ? 50 : 15000, chance);
		struct run run = { .hurried = chance % 3 == 0 };

		CHECK_EQ(run_leaf(&app, &rows.schema, &run, &seen), 0);
		CHECK_EQ(table_equal(&seen, &rows), true);
		CHECK_EQ(app.arrow.release != NULL, true);
		table_free(&rows);
		table_free(&seen);
	}
}

TEST(leaf_fails, "what the application's stream says becomes the query's error, never a wait")
{
	static const struct {
		int with, code;
		const char *sentence;
	} cases[] = {
		{ ENOSPC, -ENOSPC, "the stream \"mine\": the disk is full" },
		{ EAGAIN, -EIO, "the stream \"mine\": the disk is full" },
		{ -5, -EIO, "the stream \"mine\": the disk is full" },
		{ 100000, -EIO, "the stream \"mine\": the disk is full" },
		{ ENODEV, -ENODEV, "the stream \"mine\": No such device" },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(cases); i++) {
		struct table rows = random_rows(100, 5, i), seen;
		struct app_stream app = app_new(&rows, 10, i);
		struct run run = { 0 };

		app.fail_at = 3;
		app.fail_with = cases[i].with;
		CHECK_EQ(run_leaf(&app, &rows.schema, &run, &seen), cases[i].code);
		CHECK_EQ(strcmp(run.err.message, cases[i].sentence), 0);
		table_free(&rows);
		table_free(&seen);
	}
}

TEST(leaf_refuses, "a stream of other columns than the plan's, or none, is refused")
{
	struct table rows = random_rows(10, 5, 1), seen;
	struct app_stream app = app_new(&rows, 10, 1);
	struct dsmx_schema fewer = { COLUMNS - 1, fields }, other = { COLUMNS - 1, fields + 1 };
	struct run run = { 0 };

	CHECK_EQ(run_leaf(&app, &fewer, &run, &seen), -EINVAL);
	CHECK_EQ(strcmp(run.err.message, "the stream \"mine\" has 9 columns, the plan says 8"), 0);
	app.table = &(struct table){ .schema = fewer };
	CHECK_EQ(run_leaf(&app, &other, &run, &seen), -EINVAL);
	CHECK_EQ(strcmp(run.err.message,
	                "the stream \"mine\": column 0 is int64, the plan says utf8"),
	         0);
	app.arrow.release = NULL;
	CHECK_EQ(run_leaf(&app, &other, &run, &seen), -ENOENT);
	table_free(&rows);
}

int main(void)
{
	return harness_run();
}
