/* SPDX-License-Identifier: MIT */
/* The hash aggregate, in one phase and in two, against one that goes row by row. */
#include "harness.h"
#include "rows.h"

#include "exec/build.h"
#include "exec/eval.h"

#define KEYS_MAX     3
#define MEASURES_MAX 6
#define COLUMNS_MAX  ROWS_COLUMNS

struct aggregate_case {
	uint32_t key_count, measure_count;
	struct dsmx_field fields[KEYS_MAX + MEASURES_MAX]; /* keys, then each measure's argument */
	struct dsmx_field states[COLUMNS_MAX];             /* of a PARTIAL output */
	struct dsmx_field results[COLUMNS_MAX];
	uint32_t state_count;
	struct dsmx_expr exprs[KEYS_MAX + MEASURES_MAX];
	struct dsmx_expr *keys[KEYS_MAX];
	struct dx_measure measures[MEASURES_MAX];
	struct table table;
};

static const struct dsmx_type int64 = { .id = DSMX_INT64 };

static bool is_number(struct dsmx_type type)
{
	return (type.id >= DSMX_INT8 && type.id <= DSMX_FLOAT64) || type.id == DSMX_DECIMAL;
}

static struct dsmx_type decimal(int scale)
{
	return (struct dsmx_type){ .id = DSMX_DECIMAL, .precision = 38, .scale = (int8_t)scale };
}

static struct dsmx_type sum_type(struct dsmx_type arg)
{
	if (type_is_float(arg))
		return (struct dsmx_type){ .id = DSMX_FLOAT64 };
	if (arg.id == DSMX_INT64 || arg.id == DSMX_UINT64 || arg.id == DSMX_DECIMAL)
		return decimal(arg.scale);
	return int64;
}

static struct dsmx_type result_type(enum dsmx_aggregate function, struct dsmx_type arg)
{
	switch (function) {
	case DSMX_AGG_COUNT_STAR:
	case DSMX_AGG_COUNT:
		return int64;
	case DSMX_AGG_SUM:
		return sum_type(arg);
	case DSMX_AGG_AVG:
		return type_is_float(arg) ? sum_type(arg)
		                          : decimal((arg.scale > 6 ? arg.scale : 6) + 4);
	default:
		return arg;
	}
}

/* --- a case -------------------------------------------------------------------------------------------- */

static struct dsmx_expr *column(struct aggregate_case *c, uint32_t i)
{
	c->exprs[i] = (struct dsmx_expr){
		.kind = DX_EXPR_COLUMN,
		.type = c->fields[i].type,
		.nullable = true,
		.column = i,
	};
	return &c->exprs[i];
}

static void add_state(struct aggregate_case *c, struct dsmx_type type)
{
	c->states[c->state_count++] = (struct dsmx_field){ "state", type, true };
}

static void add_key(struct aggregate_case *c, struct dsmx_type type)
{
	uint32_t k = c->key_count++;

	c->fields[k] = c->results[k] = (struct dsmx_field){ "key", type, true };
	add_state(c, type);
	c->keys[k] = column(c, k);
}

/* After the keys. */
static void add_measure(struct aggregate_case *c, enum dsmx_aggregate function,
                        struct dsmx_type arg)
{
	uint32_t m = c->measure_count++, i = c->key_count + m;
	struct dx_measure *measure = &c->measures[m];

	c->fields[i] = (struct dsmx_field){ "argument", arg, true };
	*measure = (struct dx_measure){ .function = function };
	measure->type = result_type(function, arg);
	if (function != DSMX_AGG_COUNT_STAR) {
		measure->arg = column(c, i);
		measure->arg_type = arg;
	}
	c->results[i] = (struct dsmx_field){ "result", measure->type, true };
	add_state(c, function == DSMX_AGG_AVG ? sum_type(arg) : measure->type);
	if (function == DSMX_AGG_AVG)
		add_state(c, int64);
}

static void make_random(struct aggregate_case *c, uint32_t keys, uint64_t *chance)
{
	for (uint32_t k = 0; k < keys; k++)
		add_key(c, every_type[rows_below(chance, DX_ARRAY_LEN(every_type))]);
	for (uint32_t m = 1 + rows_below(chance, MEASURES_MAX); m > 0; m--) {
		enum dsmx_aggregate function = rows_below(chance, DSMX_AGG_MAX + 1);
		struct dsmx_type arg = every_type[rows_below(chance, DX_ARRAY_LEN(every_type))];

		if ((function == DSMX_AGG_SUM || function == DSMX_AGG_AVG) && !is_number(arg))
			function = DSMX_AGG_MIN;
		add_measure(c, function, arg);
	}
	c->table = table_new(c->fields, c->key_count + c->measure_count);
}

/* --- row by row ---------------------------------------------------------------------------------------- */

static bool same_keys(const struct aggregate_case *c, const struct value *a, const struct value *b)
{
	for (uint32_t k = 0; k < c->key_count; k++)
		if (a[k].null != b[k].null ||
		    (!a[k].null && value_compare(c->fields[k].type, &a[k], &b[k]) != 0))
			return false;
	return true;
}

/* One row into a measure's value; the count of values so far is in @count. */
static void step_naively(const struct dx_measure *measure, const struct value *arg, uint32_t *count,
                         struct value *into)
{
	enum dsmx_aggregate function = measure->function;
	int wanted = function == DSMX_AGG_MAX ? 1 : -1;
	bool first = into->null;

	if (function == DSMX_AGG_COUNT_STAR || function == DSMX_AGG_COUNT) {
		into->null = false;
		into->i += function == DSMX_AGG_COUNT_STAR || !arg->null;
		return;
	}
	if (arg->null)
		return;
	(*count)++;
	into->null = false;
	if (function == DSMX_AGG_SUM || function == DSMX_AGG_AVG) {
		into->i += arg->i;
		into->f += arg->f;
	} else if (first || value_compare(measure->type, arg, into) * wanted > 0) {
		*into = *arg;
	}
}

static void divide_naively(const struct dx_measure *measure, uint32_t count, struct value *value)
{
	__int128 n = count, twice;

	if (value->null)
		return;
	value->f /= (double)count;
	for (int i = measure->arg_type.scale; i < measure->type.scale; i++)
		value->i *= 10;
	twice = 2 * value->i + (value->i < 0 ? -n : n);
	value->i = twice / (2 * n);
}

static void aggregate_naively(const struct aggregate_case *c, struct table *want)
{
	uint32_t *counts = calloc((c->table.rows + 1UL) * MEASURES_MAX, sizeof(*counts));

	if (counts == NULL)
		abort();
	*want = table_new(c->results, c->key_count + c->measure_count);
	for (uint32_t r = 0; r < c->table.rows + (c->key_count == 0); r++) {
		const struct value *row = r < c->table.rows ? table_at(&c->table, r, 0) : NULL;
		uint32_t g = 0;

		while (g < want->rows && row != NULL && !same_keys(c, row, table_at(want, g, 0)))
			g++;
		if (g == want->rows) {
			struct value *group = table_add(want);

			for (uint32_t k = 0; k < c->key_count; k++)
				group[k] = row[k];
			for (uint32_t m = 0; m < c->measure_count; m++)
				if (c->measures[m].function <= DSMX_AGG_COUNT)
					group[c->key_count + m].null = false;
		}
		for (uint32_t m = 0; row != NULL && m < c->measure_count; m++)
			step_naively(&c->measures[m], &row[c->key_count + m],
			             &counts[g * MEASURES_MAX + m],
			             table_at(want, g, c->key_count + m));
	}
	for (uint32_t g = 0; g < want->rows; g++)
		for (uint32_t m = 0; m < c->measure_count; m++)
			if (c->measures[m].function == DSMX_AGG_AVG)
				divide_naively(&c->measures[m], counts[g * MEASURES_MAX + m],
				               table_at(want, g, c->key_count + m));
	free(counts);
}

/* --- running ------------------------------------------------------------------------------------------- */

static int run_phase(struct aggregate_case *c, enum dx_phase phase, const struct table *input,
                     struct drive *drive, uint64_t chance, struct table *ret_rows)
{
	struct dx_measure measures[MEASURES_MAX];
	struct dsmx_rel rel = { .kind = DX_REL_AGGREGATE, .input_count = 1 };
	struct dsmx_operator *op;
	struct source source;
	int ret;

	memcpy(measures, c->measures, sizeof(measures));
	for (uint32_t m = 0; phase == DX_PHASE_FINAL && m < c->measure_count; m++)
		measures[m].arg = NULL;
	rel.schema = phase == DX_PHASE_PARTIAL
	                     ? (struct dsmx_schema){ c->state_count, c->states }
	                     : (struct dsmx_schema){ c->key_count + c->measure_count, c->results };
	rel.aggregate =
		(struct dx_aggregate){ phase, c->keys, c->key_count, measures, c->measure_count };
	source_init(&source, input, chance);
	source.often_idle = rows_below(&chance, 2) == 0;
	source.most = 1U << rows_below(&chance, 14);
	drive->sources[0] = &source;
	*ret_rows = (struct table){ 0 };
	ret = dx_aggregate_make(&rel, &source.base, &op, &drive->err);
	if (ret == 0)
		ret = drive_operator(drive, op, ret_rows);
	drive->sources[0] = NULL;
	if (ret == 0 && (source.freed != 1 || source.closed != source.executed))
		ret = -ENOTRECOVERABLE;
	return ret;
}

/* The table in two shares through PARTIAL, their states through FINAL. */
static int run_two_phases(struct aggregate_case *c, struct drive *drive, uint64_t chance,
                          struct table *ret_rows)
{
	uint32_t half = c->table.rows / 3;
	struct table share = c->table, states[2];
	int ret;

	share.rows = half;
	ret = run_phase(c, DX_PHASE_PARTIAL, &share, drive, chance, &states[0]);
	if (ret < 0)
		return ret;
	share.values = half > 0 ? table_at(&c->table, half, 0) : c->table.values;
	share.rows = c->table.rows - half;
	ret = run_phase(c, DX_PHASE_PARTIAL, &share, drive, chance + 1, &states[1]);
	if (ret < 0)
		return ret;
	for (uint32_t r = 0; r < states[1].rows; r++)
		memcpy(table_add(&states[0]), table_at(&states[1], r, 0),
		       c->state_count * sizeof(struct value));
	ret = run_phase(c, DX_PHASE_FINAL, &states[0], drive, chance + 2, ret_rows);
	table_free(&states[0]);
	table_free(&states[1]);
	return ret;
}

static bool try_aggregate(uint32_t keys, bool two_phases, uint64_t seed)
{
	uint64_t chance = seed;
	struct aggregate_case c = { 0 };
	struct drive drive = { .hurried = rows_below(&chance, 2) == 0 };
	uint32_t domain = 1 + rows_below(&chance, 40), nulls = rows_below(&chance, 5);
	uint32_t rows = rows_below(&chance, 8) == 0 ? 0 : rows_below(&chance, 600);
	struct table seen, want;
	bool ok;
	int ret;

	make_random(&c, keys, &chance);
	for (uint32_t r = 0; r < rows; r++)
		(void)table_add_random(&c.table, domain, nulls, &chance);
	aggregate_naively(&c, &want);
	if (two_phases)
		ret = run_two_phases(&c, &drive, chance, &seen);
	else
		ret = run_phase(&c, DX_PHASE_SINGLE, &c.table, &drive, chance, &seen);
	ok = ret == 0;
	if (ok) {
		table_sort(&seen);
		table_sort(&want);
		ok = table_equal(&seen, &want);
	}
	if (!ok)
		printf("# %u keys (first: type %d), %u rows, first measure %d of type %d, "
		       "seed %llu: %d (%s)\n",
		       keys, c.fields[0].type.id, rows, c.measures[0].function,
		       c.measures[0].arg_type.id, (unsigned long long)seed, ret, drive.err.message);
	table_free(&seen);
	table_free(&want);
	table_free(&c.table);
	return ok;
}

TEST(aggregate_single, "one phase gives each group once, with its counts, sums, least and greatest")
{
	for (uint32_t i = 0; i < 900; i++)
		CHECK(try_aggregate(i % (KEYS_MAX + 1), false, i));
}

TEST(aggregate_phases, "partial states of two tasks, put together, give what one phase gives")
{
	for (uint32_t i = 0; i < 900; i++)
		CHECK(try_aggregate(i % (KEYS_MAX + 1), true, 5000 + i));
}

/* Each of @groups keys twice, far apart; the argument is the key. */
static void make_many_groups(struct aggregate_case *c, struct dsmx_type key, uint32_t groups)
{
	add_key(c, key);
	add_measure(c, DSMX_AGG_COUNT_STAR, int64);
	add_measure(c, DSMX_AGG_MAX, int64);
	c->table = table_new(c->fields, 3);
	for (uint32_t r = 0; r < 2 * groups; r++) {
		struct value *row = table_add(&c->table);

		row[0] = (struct value){ .i = r % groups };
		row[0].len = (uint32_t)snprintf(row[0].text, sizeof(row[0].text),
		                                "a text of some length: %u", r % groups);
		row[1] = row[2] = (struct value){ .i = r % groups };
	}
}

TEST(aggregate_many_groups, "tables grow, and a partial one that saves nothing is given out early")
{
	static const struct dsmx_type keys[] = { { .id = DSMX_INT64 }, { .id = DSMX_UTF8 } };
	const uint32_t groups = 50000;

	for (uint32_t k = 0; k < 2; k++) {
		struct aggregate_case c = { 0 };
		struct drive drive = { .hurried = true };
		struct table states, seen;

		make_many_groups(&c, keys[k], groups);
		CHECK_EQ(run_phase(&c, DX_PHASE_PARTIAL, &c.table, &drive, 1, &states), 0);
		CHECK(states.rows > groups); /* some came out before they met their second row */
		CHECK_EQ(run_phase(&c, DX_PHASE_FINAL, &states, &drive, 2, &seen), 0);
		CHECK_EQ(seen.rows, groups);
		CHECK(drive.most_rows <= DX_VECTOR_ROWS);
		for (uint32_t r = 0; r < groups; r++)
			CHECK_EQ(table_at(&seen, r, 1)->i, 2);
		table_free(&states);
		table_free(&seen);
		CHECK_EQ(run_phase(&c, DX_PHASE_SINGLE, &c.table, &drive, 3, &seen), 0);
		CHECK_EQ(seen.rows, groups);
		for (uint32_t r = 0; r < groups; r++)
			CHECK_EQ(table_at(&seen, r, 2)->i, r);
		table_free(&seen);
		table_free(&c.table);
	}
}

/* --- the ends of the ranges ---------------------------------------------------------------------------- */

/* 10^38 - 1 */
static __int128 greatest_decimal(void)
{
	__int128 value = 1;

	for (int i = 0; i < 38; i++)
		value *= 10;
	return value - 1;
}

/* One measure over @count values, without keys. */
static int run_values(enum dx_phase phase, enum dsmx_aggregate function, struct dsmx_type arg,
                      const __int128 *values, uint32_t count, struct table *ret_rows)
{
	struct aggregate_case c = { 0 };
	struct drive drive = { 0 };
	int ret;

	add_measure(&c, function, arg);
	c.table = phase == DX_PHASE_FINAL ? table_new(c.states, c.state_count)
	                                  : table_new(c.fields, 1);
	for (uint32_t i = 0; i < count; i++)
		*table_add(&c.table) = (struct value){ .i = values[i] };
	ret = run_phase(&c, phase, &c.table, &drive, 1, ret_rows);
	table_free(&c.table);
	return ret;
}

TEST(aggregate_sum_ranges,
     "a sum that does not fit its type is -ERANGE, one that just fits is exact")
{
	static const struct dsmx_type int32 = { .id = DSMX_INT32 };
	const __int128 top = greatest_decimal();
	const struct row {
		enum dx_phase phase;
		struct dsmx_type arg;
		__int128 values[4];
		uint32_t count;
		int ret;
		__int128 sum;
	} rows[] = {
		/* States of sum(int32) are int64. */
		{ DX_PHASE_FINAL, int32, { INT64_MAX, -1, 1 }, 3, 0, INT64_MAX },
		{ DX_PHASE_FINAL, int32, { INT64_MAX, 1 }, 2, -ERANGE, 0 },
		{ DX_PHASE_FINAL, int32, { INT64_MIN, -1 }, 2, -ERANGE, 0 },
		{ DX_PHASE_SINGLE, int64, { INT64_MAX, INT64_MAX }, 2, 0, 2 * (__int128)INT64_MAX },
		{ DX_PHASE_SINGLE, int64, { INT64_MIN, INT64_MIN }, 2, 0, 2 * (__int128)INT64_MIN },
		{ DX_PHASE_SINGLE, decimal(3), { top - 1, 1 }, 2, 0, top },
		{ DX_PHASE_SINGLE, decimal(3), { top, 1 }, 2, -ERANGE, 0 },
		{ DX_PHASE_SINGLE, decimal(3), { -top, -1 }, 2, -ERANGE, 0 },
		{ DX_PHASE_SINGLE, decimal(3), { top, top, top }, 3, -ERANGE, 0 },
		{ DX_PHASE_PARTIAL, decimal(3), { top, 1 }, 2, -ERANGE, 0 },
		{ DX_PHASE_FINAL, decimal(0), { -top, -top, -top, -top }, 4, -ERANGE, 0 },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct table seen;

		CHECK_EQ(run_values(rows[i].phase, DSMX_AGG_SUM, rows[i].arg, rows[i].values,
		                    rows[i].count, &seen),
		         rows[i].ret);
		if (rows[i].ret == 0)
			CHECK(table_at(&seen, 0, 0)->i == rows[i].sum);
		table_free(&seen);
	}
}

TEST(aggregate_averages, "averages are rounded half away from zero")
{
	static const struct dsmx_type int32 = { .id = DSMX_INT32 };
	const __int128 top = greatest_decimal();
	const __int128 wraps = (__int128)(~(unsigned __int128)0 / 10000000000) + 1;
	const struct row {
		struct dsmx_type arg;
		__int128 values[3];
		uint32_t count;
		int ret;
		__int128 average;
	} rows[] = {
		{ int32, { 1, 2 }, 2, 0, 15000000000 },
		{ int32, { 1, 0, 0 }, 3, 0, 3333333333 },
		{ int32, { 2, 0, 0 }, 3, 0, 6666666667 },
		{ int32, { -2, 0, 0 }, 3, 0, -6666666667 },
		{ int64, { INT64_MAX, INT64_MAX }, 2, 0, (__int128)INT64_MAX * 10000000000 },
		{ decimal(0), { top / 10000000000 }, 1, 0, top / 10000000000 * 10000000000 },
		{ decimal(0), { top / 10000000000 + 1 }, 1, -ERANGE, 0 },
		/* Times 10^10 it is a small number again, in 128 bits. */
		{ decimal(0), { wraps }, 1, -ERANGE, 0 },
		{ decimal(6), { top / 10000 }, 1, 0, top / 10000 * 10000 },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct table seen;

		CHECK_EQ(run_values(DX_PHASE_SINGLE, DSMX_AGG_AVG, rows[i].arg, rows[i].values,
		                    rows[i].count, &seen),
		         rows[i].ret);
		if (rows[i].ret == 0)
			CHECK(table_at(&seen, 0, 0)->i == rows[i].average);
		table_free(&seen);
	}
}

/* --- ends ---------------------------------------------------------------------------------------------- */

TEST(aggregate_refused, "a plan whose types do not fit is refused")
{
	struct aggregate_case c = { 0 };
	struct drive drive = { 0 };
	struct table seen;

	add_key(&c, int64);
	add_measure(&c, DSMX_AGG_SUM, int64);
	c.table = table_new(c.fields, 2);
	c.results[1].type = c.measures[0].type = (struct dsmx_type){ .id = DSMX_UTF8 };
	CHECK_EQ(run_phase(&c, DX_PHASE_SINGLE, &c.table, &drive, 1, &seen), -EINVAL);
	c.results[1].type = c.measures[0].type = decimal(5);
	CHECK_EQ(run_phase(&c, DX_PHASE_SINGLE, &c.table, &drive, 1, &seen), -EINVAL);
	c.results[1].type = c.measures[0].type = decimal(0);
	CHECK_EQ(run_phase(&c, DX_PHASE_SINGLE, &c.table, &drive, 1, &seen), 0);
	table_free(&seen);
	c.results[0].type = (struct dsmx_type){ .id = DSMX_INT32 };
	CHECK_EQ(run_phase(&c, DX_PHASE_SINGLE, &c.table, &drive, 1, &seen), -EINVAL);
	c.results[0].type = int64;
	c.measure_count = 0;
	CHECK_EQ(run_phase(&c, DX_PHASE_PARTIAL, &c.table, &drive, 1, &seen), -EINVAL);
	CHECK_EQ(run_phase(&c, DX_PHASE_FINAL, &c.table, &drive, 1, &seen), -EINVAL);
}

TEST(aggregate_fails, "an error of the input at any poll is passed on, with its sentence")
{
	for (uint32_t fail_at = 1; fail_at < 10; fail_at++) {
		struct aggregate_case c = { 0 };
		struct drive drive = { 0 };
		struct dsmx_operator *op;
		struct source source;
		struct table seen;
		struct dsmx_rel rel;

		make_many_groups(&c, int64, 1000);
		source_init(&source, &c.table, fail_at);
		source.fail_at = fail_at;
		rel = (struct dsmx_rel){
			.kind = DX_REL_AGGREGATE,
			.input_count = 1,
			.schema = { 3, c.results },
			.aggregate = { DX_PHASE_SINGLE, c.keys, 1, c.measures, 2 },
		};
		CHECK_EQ(dx_aggregate_make(&rel, &source.base, &op, NULL), 0);
		CHECK_EQ(drive_operator(&drive, op, &seen), -EIO);
		CHECK_STR(drive.err.message, "as asked");
		CHECK_EQ(source.closed, 1);
		table_free(&seen);
		table_free(&c.table);
	}
}

TEST(aggregate_closed, "an aggregate can be closed after any poll")
{
	for (uint32_t stop = 1; stop < 60; stop++) {
		struct aggregate_case c = { 0 };
		struct drive drive = { .hurried = true, .stop_after = stop };
		struct table seen;

		make_many_groups(&c, every_type[15], 3000);
		CHECK_EQ(run_phase(&c, stop % 2 == 0 ? DX_PHASE_SINGLE : DX_PHASE_PARTIAL, &c.table,
		                   &drive, stop, &seen),
		         0);
		table_free(&seen);
		table_free(&c.table);
	}
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
