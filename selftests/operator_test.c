/* SPDX-License-Identifier: MIT */
/* Filter, project, limit, and the building of fragments from them. */
#include "harness.h"
#include "rows.h"

#include "dsmx/plan.h"
#include "exec/build.h"
#include "exec/eval.h"

/* --- rows --------------------------------------------------------------------------------------------- */

enum { NUMBER, TEXT, PRICE, FLAG, LARGE, COLUMNS };

static const struct dsmx_field fields[COLUMNS] = {
	[NUMBER] = { "number", { .id = DSMX_INT64 }, true },
	[TEXT] = { "text", { .id = DSMX_UTF8 }, true },
	[PRICE] = { "price", { .id = DSMX_DECIMAL, .precision = 15, .scale = 2 }, true },
	[FLAG] = { "flag", { .id = DSMX_BOOL }, true },
	[LARGE] = { "large", { .id = DSMX_LARGE_UTF8 }, true },
};

static struct table random_rows(uint32_t rows, uint32_t nulls, uint64_t chance)
{
	struct table table = table_new(fields, COLUMNS);

	for (uint32_t i = 0; i < rows; i++)
		(void)table_add_random(&table, 300, nulls, &chance);
	return table;
}

/* A plan of one relation over rows. */
struct over_rows {
	struct dsmx_plan *plan;
	struct dsmx_rel *rows;
};

static struct over_rows plan_over_rows(void)
{
	struct dsmx_schema schema = { COLUMNS, fields };
	struct over_rows over = { 0 };

	if (dsmx_plan_new(&over.plan) < 0)
		abort();
	over.rows = dsmx_rel_leaf(over.plan, "rows", &schema);
	return over;
}

static struct dsmx_expr *column(const struct over_rows *over, uint32_t i)
{
	return dsmx_expr_column(over->plan, over->rows, i);
}

static struct dsmx_expr *call(const struct over_rows *over, enum dsmx_function function,
                              struct dsmx_expr *a, struct dsmx_expr *b)
{
	struct dsmx_expr *args[] = { a, b };

	return dsmx_expr_call(over->plan, function, args, b != NULL ? 2 : 1);
}

static struct dsmx_expr *text(const struct over_rows *over, const char *bytes)
{
	return dsmx_expr_utf8(over->plan, bytes, strlen(bytes));
}

/* Did the plan's expressions fit together? */
static bool is_sound(const struct over_rows *over)
{
	struct dsmx_error err;

	if (dsmx_plan_error(over->plan, &err) == 0)
		return true;
	printf("# %s\n", err.message);
	return false;
}

/* --- filter ------------------------------------------------------------------------------------------- */

/* number >= -20 and number < 60 and (text like 'a%' or price is null) */
static struct dsmx_expr *some_condition(const struct over_rows *over)
{
	struct dsmx_expr *args[] = {
		call(over, DSMX_FN_GTE, column(over, NUMBER), dsmx_expr_int64(over->plan, -20)),
		call(over, DSMX_FN_LT, column(over, NUMBER), dsmx_expr_int64(over->plan, 60)),
		call(over, DSMX_FN_OR,
		     call(over, DSMX_FN_LIKE, column(over, TEXT), text(over, "a%")),
		     call(over, DSMX_FN_IS_NULL, column(over, PRICE), NULL)),
	};

	return dsmx_expr_call(over->plan, DSMX_FN_AND, args, 3);
}

static bool passes(const struct value *row)
{
	bool starts = !row[TEXT].null && row[TEXT].len > 0 && row[TEXT].text[0] == 'a';

	return !row[NUMBER].null && row[NUMBER].i >= -20 && row[NUMBER].i < 60 &&
	       (starts || row[PRICE].null);
}

static struct table passing(const struct table *rows)
{
	struct table want = table_new(fields, COLUMNS);

	for (uint32_t r = 0; r < rows->rows; r++) {
		const struct value *row = table_at(rows, r, 0);

		if (passes(row))
			memcpy(table_add(&want), row, COLUMNS * sizeof(*row));
	}
	return want;
}

/* Each shape of input: batches of so many rows, with slices that are over at once or not. */
static const struct {
	uint32_t rows, most;
	bool hurried, idle;
} shapes[] = {
	{ 0, 10, false, false },
	{ 1, 10, false, false },
	{ 5000, 100, false, true },
	{ 5000, 100, true, false },
	{ 30000, DX_VECTOR_ROWS, false, false },
	{ 60000, 29000, true, true },
};

/* Does the operator that @make makes of @rel give what @expected says of @rows, in batches of that shape? */
static bool gives(size_t shape, uint64_t chance, struct table *rows, struct dsmx_rel *rel,
                  int (*make)(const struct dsmx_rel *rel, struct dsmx_operator *input,
                              struct dsmx_operator **ret_operator, struct dsmx_error *err),
                  struct table (*expected)(const struct table *rows))
{
	struct drive drive = { .hurried = shapes[shape].hurried };
	struct dsmx_operator *op = NULL;
	struct table seen, want;
	struct source source;
	bool ok;

	source_init(&source, rows, chance);
	source.most = shapes[shape].most;
	source.often_idle = shapes[shape].idle;
	drive.sources[0] = &source;
	ok = make(rel, &source.base, &op, &drive.err) == 0;
	ok = ok && drive_operator(&drive, op, &seen) == 0;
	if (ok) {
		want = expected(rows);
		ok = table_equal(&seen, &want) && source.closed == 1 && source.freed == 1;
		table_free(&want);
		table_free(&seen);
	}
	return ok;
}

static bool filter_shape(size_t shape, uint64_t chance)
{
	struct table rows = random_rows(shapes[shape].rows, 5, chance);
	struct over_rows over = plan_over_rows();
	struct dsmx_rel *rel = dsmx_rel_filter(over.plan, over.rows, some_condition(&over));
	bool ok = is_sound(&over) && gives(shape, chance, &rows, rel, dx_filter_make, passing);

	table_free(&rows);
	dsmx_plan_free(over.plan);
	return ok;
}

TEST(filter_keeps_rows, "a filter gives the rows for which its condition is true, in order")
{
	for (size_t shape = 0; shape < DX_ARRAY_LEN(shapes); shape++)
		CHECK_EQ(filter_shape(shape, 7 + shape), true);
}

/* --- comparisons with literals ------------------------------------------------------------------------ */

static bool relation_holds(enum dsmx_function function, int order)
{
	switch (function) {
	case DSMX_FN_EQUAL:
		return order == 0;
	case DSMX_FN_NOT_EQUAL:
		return order != 0;
	case DSMX_FN_LT:
		return order < 0;
	case DSMX_FN_LTE:
		return order <= 0;
	case DSMX_FN_GT:
		return order > 0;
	default:
		return order >= 0;
	}
}

static struct dsmx_expr literal_of(struct dsmx_type type, const struct value *value)
{
	struct dsmx_expr expr = { .kind = DX_EXPR_LITERAL, .type = type };

	if (type_is_float(type))
		expr.value.f = value->f;
	else if (type.id == DSMX_DECIMAL)
		expr.value.d = value->i;
	else if (dsmx_type_is_text(type))
		expr.value.text = (struct dx_text){ value->text, value->len };
	else
		expr.value.i = (int64_t)value->i;
	return expr;
}

/* One comparison, and a second one of the same column joined to it by AND. */
static bool compare_with_literals(struct dsmx_type type, uint64_t chance)
{
	const struct dsmx_field field = { "c", type, true };
	struct table rows = table_new(&field, 1);
	struct dsmx_expr operand = { .kind = DX_EXPR_COLUMN, .type = type, .nullable = true };
	struct dsmx_expr tests[2], literals[2], both, *pairs[2][2], *args[2];
	struct value values[2];
	uint32_t selected[100], count, k = 0;
	struct dsmx_error err = { 0 };
	struct rows_batch made;
	struct dx_eval *eval;
	bool ok;

	for (int i = 0; i < 100; i++)
		(void)table_add_random(&rows, 40, 6, &chance);
	for (int t = 0; t < 2; t++) {
		bool mirrored = rows_below(&chance, 2) == 0;

		values[t] = value_random(type, 40, &chance);
		literals[t] = literal_of(type, &values[t]);
		pairs[t][mirrored] = &operand;
		pairs[t][!mirrored] = &literals[t];
		tests[t] = (struct dsmx_expr){ .kind = DX_EXPR_CALL,
			                       .type = { .id = DSMX_BOOL },
			                       .function = DSMX_FN_EQUAL + rows_below(&chance, 6),
			                       .arg_count = 2,
			                       .args = pairs[t] };
		args[t] = &tests[t];
	}
	both = (struct dsmx_expr){ .kind = DX_EXPR_CALL,
		                   .type = { .id = DSMX_BOOL },
		                   .function = DSMX_FN_AND,
		                   .arg_count = 1 + rows_below(&chance, 2),
		                   .args = args };
	if (dx_eval_new(&both, &eval, &err) < 0)
		return false;
	(void)rows_batch_make(&made, &rows, 0, 100, &chance);
	ok = dx_eval_select(eval, &made.batch, selected, &count, &err) == 0;
	for (uint32_t r = 0; ok && r < made.batch.selected; r++) {
		const struct value *row = table_at(&rows, r, 0);
		bool holds = !row->null;

		for (uint32_t t = 0; holds && t < both.arg_count; t++) {
			int order = value_compare(type, row, &values[t]);

			holds = relation_holds(tests[t].function,
			                       pairs[t][0] == &operand ? order : -order);
		}
		if (holds)
			ok = k < count &&
			     selected[k++] ==
			             (made.batch.selection != NULL ? made.batch.selection[r] : r);
	}
	rows_batch_free(&made);
	dx_eval_free(eval);
	table_free(&rows);
	return ok && k == count;
}

TEST(comparisons_select, "comparisons of a column of any type with literals select the right rows")
{
	for (uint64_t round = 0; round < 100; round++) {
		for (size_t t = 0; t < DX_ARRAY_LEN(every_type); t++)
			CHECK_EQ(compare_with_literals(every_type[t], 1000 * round + t), true);
	}
}

/* --- project ------------------------------------------------------------------------------------------ */

enum {
	OUT_TEXT,
	OUT_SUM,
	OUT_SQUARE,
	OUT_TEST,
	OUT_JOINED,
	OUT_LARGE,
	OUT_FIXED,
	OUT_KEPT,
	OUT_COLUMNS
};

static const struct dsmx_field projected[OUT_COLUMNS] = {
	[OUT_TEXT] = { "text", { .id = DSMX_UTF8 }, true },
	[OUT_SUM] = { "sum", { .id = DSMX_INT64 }, true },
	[OUT_SQUARE] = { "square", { .id = DSMX_DECIMAL, .precision = 30, .scale = 4 }, true },
	[OUT_TEST] = { "test", { .id = DSMX_BOOL }, true },
	[OUT_JOINED] = { "joined", { .id = DSMX_UTF8 }, true },
	[OUT_LARGE] = { "large", { .id = DSMX_LARGE_UTF8 }, true },
	[OUT_FIXED] = { "fixed", { .id = DSMX_UTF8 }, false },
	[OUT_KEPT] = { "kept", { .id = DSMX_UTF8 }, false },
};

static struct dsmx_rel *projection(const struct over_rows *over)
{
	struct dsmx_expr *exprs[OUT_COLUMNS] = {
		[OUT_TEXT] = column(over, TEXT),
		[OUT_SUM] = call(over, DSMX_FN_ADD, column(over, NUMBER),
		                 dsmx_expr_int64(over->plan, 5)),
		[OUT_SQUARE] =
			call(over, DSMX_FN_MULTIPLY, column(over, PRICE), column(over, PRICE)),
		[OUT_TEST] = call(over, DSMX_FN_LT, column(over, NUMBER),
		                  dsmx_expr_int64(over->plan, 5)),
		[OUT_JOINED] = call(over, DSMX_FN_CONCAT, column(over, TEXT), text(over, "!")),
		[OUT_LARGE] = column(over, LARGE),
		[OUT_FIXED] = text(over, "x"),
		[OUT_KEPT] = call(over, DSMX_FN_COALESCE, column(over, TEXT), text(over, "?")),
	};

	return dsmx_rel_project(over->plan, over->rows, exprs, NULL, OUT_COLUMNS);
}

static struct table projected_rows(const struct table *rows)
{
	struct table want = table_new(projected, OUT_COLUMNS);

	for (uint32_t r = 0; r < rows->rows; r++) {
		const struct value *row = table_at(rows, r, 0);
		struct value *out = table_add(&want);

		out[OUT_TEXT] = row[TEXT];
		out[OUT_SUM] = row[NUMBER];
		out[OUT_SUM].i += 5;
		out[OUT_SQUARE] = row[PRICE];
		out[OUT_SQUARE].i *= row[PRICE].i;
		out[OUT_TEST] = row[NUMBER];
		out[OUT_TEST].i = row[NUMBER].i < 5;
		out[OUT_JOINED] = row[TEXT];
		out[OUT_JOINED].text[out[OUT_JOINED].len++] = '!';
		out[OUT_LARGE] = row[LARGE];
		out[OUT_FIXED] = (struct value){ .len = 1, .text = "x" };
		out[OUT_KEPT] = row[TEXT];
		if (row[TEXT].null)
			out[OUT_KEPT] = (struct value){ .len = 1, .text = "?" };
	}
	return want;
}

static bool project_shape(size_t shape, uint64_t chance)
{
	struct table rows = random_rows(shapes[shape].rows, shape % 2 == 0 ? 5 : 0, chance);
	struct over_rows over = plan_over_rows();
	struct dsmx_rel *rel = projection(&over);
	bool ok = is_sound(&over) &&
	          gives(shape, chance, &rows, rel, dx_project_make, projected_rows);

	table_free(&rows);
	dsmx_plan_free(over.plan);
	return ok;
}

TEST(project_computes, "a projection gives plain and computed columns of the same rows")
{
	for (size_t shape = 0; shape < DX_ARRAY_LEN(shapes); shape++)
		CHECK_EQ(project_shape(shape, 70 + shape), true);
}

TEST(project_fails, "a value out of range ends the stream with its sentence")
{
	struct table rows = table_new(fields, COLUMNS), seen;
	struct over_rows over = plan_over_rows();
	struct dsmx_rel *rel = projection(&over);
	struct drive drive = { 0 };
	struct dsmx_operator *op;
	struct source source;
	struct value *row;

	row = table_add(&rows);
	row[NUMBER] = (struct value){ .i = INT64_MAX - 4 };
	source_init(&source, &rows, 1);
	CHECK_EQ(dx_project_make(rel, &source.base, &op, NULL), 0);
	CHECK_EQ(drive_operator(&drive, op, &seen), -ERANGE);
	CHECK_EQ(strcmp(drive.err.message, "value out of range: int64 addition"), 0);
	CHECK_EQ(source.closed, 1);
	CHECK_EQ(source.freed, 1);
	table_free(&rows);
	table_free(&seen);
	dsmx_plan_free(over.plan);
}

/* --- limit -------------------------------------------------------------------------------------------- */

TEST(limit_cuts, "a limit gives rows offset .. offset + count - 1, and closes its input then")
{
	static const struct {
		uint64_t offset, count;
		uint32_t rows, most;
	} cases[] = {
		{ 0, 0, 100, 10 },         { 0, 10, 100, 7 },         { 0, UINT64_MAX, 100, 30 },
		{ 95, 10, 100, 30 },       { 100, 10, 100, 30 },      { 5000, UINT64_MAX, 100, 30 },
		{ 3, 4, 100, 100 },        { 37, 41, 1000, 100 },     { 5001, 9003, 30000, 29000 },
		{ 0, 4096, 30000, 30000 }, { 1, 4096, 30000, 30000 },
	};

	for (size_t i = 0; i < 8 * DX_ARRAY_LEN(cases); i++) {
		size_t c = i / 8;
		struct table rows = random_rows(cases[c].rows, 5, i), seen;
		struct dsmx_rel rel = { .kind = DX_REL_LIMIT,
			                .schema = rows.schema,
			                .limit = { .offset = cases[c].offset,
			                           .count = cases[c].count } };
		struct drive drive = { .hurried = i % 2 == 0 };
		struct dsmx_operator *op;
		struct source source;
		uint64_t left = rows.rows > cases[c].offset ? rows.rows - cases[c].offset : 0;
		struct table want = { .schema = rows.schema };

		source_init(&source, &rows, i);
		source.most = cases[c].most;
		source.often_idle = i % 3 == 0;
		drive.sources[0] = &source;
		CHECK_EQ(dx_limit_make(&rel, &source.base, &op, NULL), 0);
		CHECK_EQ(drive_operator(&drive, op, &seen), 0);
		want.rows = (uint32_t)(left < cases[c].count ? left : cases[c].count);
		want.values = left > 0 ? table_at(&rows, (uint32_t)cases[c].offset, 0) : NULL;
		CHECK_EQ(table_equal(&seen, &want), true);
		CHECK_EQ(source.closed, 1);
		if (left > cases[c].count)
			CHECK_EQ(source.ended, false);
		table_free(&rows);
		table_free(&seen);
	}
}

/* --- fragments ---------------------------------------------------------------------------------------- */

static struct source fragment_source;

static int make_source(struct dx_exec_env *env, const struct dsmx_rel *rel,
                       struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	(void)env;
	(void)rel;
	(void)err;
	*ret_operator = &fragment_source.base;
	return 0;
}

TEST(fragment_is_built, "limit over sort over filter over an exchange gives the first of the best")
{
	struct table rows = random_rows(3000, 5, 5), seen, want = passing(&rows);
	struct over_rows over = plan_over_rows();
	struct dsmx_sort_key key = { .column = TEXT };
	struct dx_exec_env env = { .tasks = 1, .make_exchange = make_source };
	struct drive drive = { .sources = { &fragment_source } };
	struct dsmx_operator *op;
	struct dsmx_rel *rel;

	rel = dsmx_rel_exchange(over.plan, DSMX_EXCHANGE_GATHER, over.rows, NULL, 0, 1, NULL);
	rel = dsmx_rel_filter(over.plan, rel, some_condition(&over));
	rel = dsmx_rel_limit(over.plan, dsmx_rel_sort(over.plan, rel, &key, 1), 2, 20);
	CHECK_EQ(is_sound(&over), true);
	source_init(&fragment_source, &rows, 3);
	CHECK_EQ(dx_exec_build(&env, rel, &op, &drive.err), 0);
	CHECK_EQ(drive_operator(&drive, op, &seen), 0);
	CHECK_EQ(seen.rows, 20);
	CHECK_EQ(fragment_source.freed, 1);
	for (uint32_t r = 0; r < seen.rows; r++) {
		uint32_t before = 0;

		for (uint32_t w = 0; w < want.rows; w++) {
			const struct value *a = table_at(&want, w, TEXT);
			const struct value *b = table_at(&seen, r, TEXT);

			before +=
				!a->null && (b->null || value_compare(fields[TEXT].type, a, b) < 0);
		}
		CHECK_EQ(before <= r + 2, true);
	}
	table_free(&rows);
	table_free(&want);
	table_free(&seen);
	dsmx_plan_free(over.plan);
}

TEST(fragment_is_refused, "a fragment that cannot be built leaves nothing behind")
{
	struct table rows = random_rows(1, 0, 5);
	struct over_rows over = plan_over_rows();
	struct dx_exec_env env = { .tasks = 1, .make_exchange = make_source };
	struct dsmx_rel extension = { .kind = DX_REL_EXTENSION,
		                      .input_count = 1,
		                      .extension = { .name = "mine" } };
	struct dsmx_rel bad = { .kind = DX_REL_JOIN, .input_count = 1 };
	struct dsmx_error err = { 0 };
	struct dsmx_operator *op;
	struct dsmx_rel *rel;

	rel = dsmx_rel_exchange(over.plan, DSMX_EXCHANGE_GATHER, over.rows, NULL, 0, 1, NULL);
	source_init(&fragment_source, &rows, 3);
	extension.inputs[0] = rel;
	CHECK_EQ(dx_exec_build(&env, &extension, &op, &err), -ENOENT);
	CHECK_EQ(strcmp(err.message, "no operator \"mine\" in this process: load its plug-in"), 0);
	CHECK_EQ(fragment_source.freed, 1);
	bad.inputs[0] = rel;
	CHECK_EQ(dx_exec_build(&env, &bad, &op, &err), -EINVAL);
	CHECK_EQ(dx_exec_build(&env, over.rows, &op, &err), -ENOENT);
	CHECK_EQ(strcmp(err.message, "no stream \"rows\" in this process"), 0);
	table_free(&rows);
	dsmx_plan_free(over.plan);
}

int main(void)
{
	return harness_run();
}
