/* SPDX-License-Identifier: MIT */
/* The hash join against a join that looks at every pair. */
#include "harness.h"
#include "rows.h"

#include "exec/build.h"

#define KEYS_MAX 3

struct join_case {
	struct dx_join join;
	uint32_t keys[2][KEYS_MAX];
	struct dsmx_field fields[2][6];
	struct dsmx_field out[12];
	struct table sides[2];
	struct source sources[2];
	struct dsmx_rel rel;
	/* The condition: left column < right column of two int64. */
	struct dsmx_expr condition, args[2], *arg_list[2];
};

static const struct dsmx_type payload = { .id = DSMX_INT64 };

/* Both sides: the keys, an int64 (also the condition's), a text; the left one's keys come last. */
static void make_schemas(struct join_case *c, const struct dsmx_type *left,
                         const struct dsmx_type *right)
{
	uint32_t keys = c->join.key_count, columns = keys + 2, n = 0;

	for (uint32_t k = 0; k < keys; k++) {
		c->keys[0][k] = 2 + k;
		c->keys[1][k] = k;
		c->fields[0][2 + k] = (struct dsmx_field){ "key", left[k], true };
		c->fields[1][k] = (struct dsmx_field){ "key", right[k], true };
	}
	c->fields[0][0] = c->fields[1][keys] = (struct dsmx_field){ "payload", payload, true };
	c->fields[0][1] = c->fields[1][keys + 1] =
		(struct dsmx_field){ "text", { .id = DSMX_UTF8 }, true };
	c->join.left_keys = c->keys[0];
	c->join.right_keys = c->keys[1];
	for (int s = 0; s < 2; s++) {
		c->sides[s] = table_new(c->fields[s], columns);
		for (uint32_t i = 0; i < columns; i++)
			c->out[n++] = c->fields[s][i];
	}
	if (c->join.kind == DSMX_JOIN_SEMI || c->join.kind == DSMX_JOIN_ANTI)
		n = columns;
	c->rel =
		(struct dsmx_rel){ .kind = DX_REL_JOIN, .input_count = 2, .schema = { n, c->out } };
}

static void make_condition(struct join_case *c)
{
	for (int s = 0; s < 2; s++) {
		c->args[s] = (struct dsmx_expr){ .kind = DX_EXPR_COLUMN,
			                         .type = payload,
			                         .nullable = true };
		c->arg_list[s] = &c->args[s];
	}
	c->args[1].column = c->sides[0].schema.field_count + c->join.key_count;
	c->condition = (struct dsmx_expr){ .kind = DX_EXPR_CALL,
		                           .type = { .id = DSMX_BOOL },
		                           .nullable = true,
		                           .function = DSMX_FN_LT,
		                           .arg_count = 2,
		                           .args = c->arg_list };
	c->join.condition = &c->condition;
}

/* Decimals of the two sides may have different widths: values that fit both. */
static void narrow_values(struct table *table)
{
	for (uint32_t i = 0; i < table->rows * table->schema.field_count; i++)
		table->values[i].i = (int64_t)table->values[i].i >> 40;
}

static bool matches(const struct join_case *c, uint32_t l, uint32_t r)
{
	for (uint32_t k = 0; k < c->join.key_count; k++) {
		const struct value *a = table_at(&c->sides[0], l, c->keys[0][k]);
		const struct value *b = table_at(&c->sides[1], r, c->keys[1][k]);

		if (a->null || b->null ||
		    value_compare(c->fields[1][c->keys[1][k]].type, a, b) != 0)
			return false;
	}
	if (c->join.condition != NULL) {
		const struct value *a = table_at(&c->sides[0], l, 0);
		const struct value *b = table_at(&c->sides[1], r, c->join.key_count);

		return !a->null && !b->null && a->i < b->i;
	}
	return true;
}

static void add_pair(const struct join_case *c, uint32_t l, int64_t r, struct table *want)
{
	uint32_t left = c->sides[0].schema.field_count, all = c->rel.schema.field_count;
	struct value *row = table_add(want);

	for (uint32_t i = 0; i < left; i++)
		row[i] = *table_at(&c->sides[0], l, i);
	for (uint32_t i = left; r >= 0 && i < all; i++)
		row[i] = *table_at(&c->sides[1], (uint32_t)r, i - left);
}

static void join_naively(const struct join_case *c, struct table *want)
{
	enum dsmx_join_kind kind = c->join.kind;

	*want = table_new(c->out, c->rel.schema.field_count);
	for (uint32_t l = 0; l < c->sides[0].rows; l++) {
		uint32_t found = 0;

		for (uint32_t r = 0; r < c->sides[1].rows; r++) {
			if (!matches(c, l, r))
				continue;
			if (kind == DSMX_JOIN_INNER || kind == DSMX_JOIN_LEFT)
				add_pair(c, l, r, want);
			found++;
		}
		if ((kind == DSMX_JOIN_SEMI && found > 0) ||
		    (kind != DSMX_JOIN_INNER && kind != DSMX_JOIN_SEMI && found == 0))
			add_pair(c, l, -1, want);
	}
}

static int run(struct join_case *c, struct drive *drive, uint64_t chance, struct table *ret_rows)
{
	struct dsmx_operator *op;
	int ret;

	for (int s = 0; s < 2; s++) {
		source_init(&c->sources[s], &c->sides[s], chance + (uint64_t)s);
		drive->sources[s] = &c->sources[s];
	}
	c->rel.join = c->join;
	ret = dx_join_make(NULL, &c->rel, &c->sources[0].base, &c->sources[1].base, &op,
	                   &drive->err);
	*ret_rows = (struct table){ 0 };
	return ret < 0 ? ret : drive_operator(drive, op, ret_rows);
}

/* One random join; says what it was if it goes wrong. */
static bool try_join(enum dsmx_join_kind kind, uint32_t keys, bool condition, uint64_t seed)
{
	struct join_case c = { .join = { .kind = kind, .key_count = keys } };
	uint64_t chance = seed;
	struct dsmx_type left[KEYS_MAX] = { 0 }, right[KEYS_MAX] = { 0 };
	struct drive drive = { .hurried = rows_below(&chance, 2) == 0 };
	uint32_t domain = 1 + rows_below(&chance, 60), nulls = rows_below(&chance, 5);
	uint32_t rows[2] = { rows_below(&chance, 300), rows_below(&chance, 120) };
	struct table seen, want;
	bool mixed = false, ok;
	int ret;

	for (uint32_t k = 0; k < keys; k++) {
		left[k] = right[k] = every_type[rows_below(&chance, DX_ARRAY_LEN(every_type))];
		if (left[k].id == DSMX_DECIMAL && rows_below(&chance, 2) == 0) {
			left[k].precision = left[k].precision == 15 ? 30 : 15;
			mixed = true;
		}
	}
	make_schemas(&c, left, right);
	if (condition)
		make_condition(&c);
	for (int s = 0; s < 2; s++)
		for (uint32_t r = rows_below(&chance, 8) == 0 ? rows[s] : 0; r < rows[s]; r++)
			(void)table_add_random(&c.sides[s], domain, nulls, &chance);
	for (int s = 0; mixed && s < 2; s++)
		narrow_values(&c.sides[s]);
	join_naively(&c, &want);
	c.sources[0].often_idle = c.sources[1].often_idle = rows_below(&chance, 2) == 0;
	ret = run(&c, &drive, chance, &seen);
	table_sort(&seen);
	table_sort(&want);
	ok = ret == 0 && table_equal(&seen, &want) && c.sources[0].freed == 1 &&
	     c.sources[1].freed == 1 && c.sources[0].closed == c.sources[0].executed &&
	     c.sources[1].closed == c.sources[1].executed;
	if (!ok)
		printf("# kind %d, %u keys (first: type %d), condition %d, seed %llu: %d (%s)\n",
		       kind, keys, left[0].id, condition, (unsigned long long)seed, ret,
		       drive.err.message);
	table_free(&seen);
	table_free(&want);
	table_free(&c.sides[0]);
	table_free(&c.sides[1]);
	return ok;
}

static void try_kind(enum dsmx_join_kind kind, bool *ok)
{
	for (uint32_t i = 0; i < 400; i++)
		CHECK(try_join(kind, 1 + i % KEYS_MAX, i % 4 == 3, 1000 * i + kind));
}

TEST(join_inner, "an inner join gives all pairs whose keys and condition agree")
{
	try_kind(DSMX_JOIN_INNER, ok);
}

TEST(join_left, "a left join gives left rows without a match once, with nulls")
{
	try_kind(DSMX_JOIN_LEFT, ok);
}

TEST(join_semi, "a semi join gives left rows that have a match, once")
{
	try_kind(DSMX_JOIN_SEMI, ok);
}

TEST(join_anti, "an anti join gives left rows that have no match, those with null keys too")
{
	try_kind(DSMX_JOIN_ANTI, ok);
}

/* --- laziness ------------------------------------------------------------------------------------------ */

/* An int64 key on both sides, values 0.. times @factor. */
static void make_numbers(struct join_case *c, enum dsmx_join_kind kind, uint32_t left,
                         uint32_t right, uint32_t repeat, int64_t factor)
{
	static const struct dsmx_type key = { .id = DSMX_INT64 };

	*c = (struct join_case){ .join = { .kind = kind, .key_count = 1 } };
	make_schemas(c, &key, &key);
	for (uint32_t i = 0; i < left; i++)
		table_add(&c->sides[0])[2] = (struct value){ .i = i * factor };
	for (uint32_t i = 0; i < right; i++)
		table_add(&c->sides[1])[0] = (struct value){ .i = i / repeat * factor };
}

static void free_case(struct join_case *c)
{
	table_free(&c->sides[0]);
	table_free(&c->sides[1]);
}

TEST(join_build_first, "the left input is not executed before the right one has ended")
{
	struct dsmx_error error;
	struct dsmx_cx cx = { .slice_end_ns = 0, .err = &error };
	struct dsmx_operator *op;
	struct dsmx_stream *stream;
	struct dsmx_batch batch;
	struct join_case c;

	make_numbers(&c, DSMX_JOIN_INNER, 500, 500, 1, 1);
	for (int s = 0; s < 2; s++)
		source_init(&c.sources[s], &c.sides[s], 7);
	c.rel.join = c.join;
	CHECK_EQ(dx_join_make(NULL, &c.rel, &c.sources[0].base, &c.sources[1].base, &op, &error),
	         0);
	CHECK_EQ(op->ops->execute(op, &cx, 0, &stream), 0);
	while (stream->ops->poll_next(stream, &cx, &batch) == -EAGAIN)
		if (!c.sources[1].ended)
			CHECK_EQ(c.sources[0].executed, 0);
	CHECK_EQ(c.sources[0].executed, 1);
	CHECK_EQ(c.sources[1].closed, 1); /* its exchange is free long before the join ends */
	stream->ops->close(stream);
	op->ops->free(op);
	free_case(&c);
}

TEST(join_empty_build, "without build rows an inner or semi join never executes its left input")
{
	for (int kind = DSMX_JOIN_INNER; kind <= DSMX_JOIN_ANTI; kind++) {
		bool asks = kind == DSMX_JOIN_LEFT || kind == DSMX_JOIN_ANTI;
		struct drive drive = { 0 };
		struct join_case c;
		struct table seen;

		make_numbers(&c, (enum dsmx_join_kind)kind, 300, 0, 1, 1);
		CHECK_EQ(run(&c, &drive, 3, &seen), 0);
		CHECK_EQ(c.sources[0].executed, asks);
		CHECK_EQ(seen.rows, asks ? 300 : 0);
		table_free(&seen);
		free_case(&c);
	}
}

/* --- size ---------------------------------------------------------------------------------------------- */

TEST(join_large, "tables of many vectors, in a narrow range of keys and in a wide one")
{
	static const int64_t factors[] = { 1, 40, 1000000007 };

	for (size_t i = 0; i < DX_ARRAY_LEN(factors); i++) {
		struct drive drive = { .hurried = true };
		struct join_case c;
		struct table seen;

		make_numbers(&c, DSMX_JOIN_INNER, 60000, 50000, 1, factors[i]);
		CHECK_EQ(run(&c, &drive, 11, &seen), 0);
		CHECK_EQ(seen.rows, 50000);
		for (uint32_t r = 0; r < seen.rows; r++) {
			CHECK_EQ(table_at(&seen, r, 2)->i, r * factors[i]);
			CHECK_EQ(table_at(&seen, r, 3)->i, r * factors[i]);
		}
		table_free(&seen);
		free_case(&c);
	}
}

TEST(join_shuffled, "unique keys in any order, and a cross join, which has no keys")
{
	static const int64_t factors[] = { 1, 1000000007 };

	for (size_t i = 0; i < DX_ARRAY_LEN(factors); i++) {
		struct drive drive = { 0 };
		struct join_case c;
		struct table seen;

		make_numbers(&c, DSMX_JOIN_INNER, 5000, 5000, 1, factors[i]);
		for (uint32_t r = 0; r < 5000; r++) {
			*table_at(&c.sides[1], r, 0) =
				(struct value){ .i = (4999 - r) * factors[i] };
			*table_at(&c.sides[1], r, 1) = (struct value){ .i = 4999 - r };
		}
		CHECK_EQ(run(&c, &drive, 11, &seen), 0);
		CHECK_EQ(seen.rows, 5000);
		for (uint32_t r = 0; r < seen.rows; r++)
			CHECK_EQ(table_at(&seen, r, 4)->i * factors[i], table_at(&seen, r, 2)->i);
		table_free(&seen);
		free_case(&c);
	}
	for (int kind = DSMX_JOIN_INNER; kind <= DSMX_JOIN_ANTI; kind++)
		CHECK(try_join((enum dsmx_join_kind)kind, 0, kind % 2 == 0, 77 + (uint64_t)kind));
}

TEST(join_many_pairs, "a key with more build rows than a vector gives all its pairs")
{
	static const int64_t factors[] = { 1, 1000000007 };

	for (size_t i = 0; i < DX_ARRAY_LEN(factors); i++) {
		struct drive drive = { .hurried = true };
		struct join_case c;
		struct table seen;

		make_numbers(&c, DSMX_JOIN_LEFT, 4, 15000, 5000, factors[i]);
		CHECK_EQ(run(&c, &drive, 5, &seen), 0);
		CHECK_EQ(seen.rows, 15001);
		CHECK(drive.most_rows <= 4096);
		CHECK(table_at(&seen, 15000, 3)->null);
		table_free(&seen);
		free_case(&c);
	}
}

/* --- ends ---------------------------------------------------------------------------------------------- */

TEST(join_fails, "an error of either input at any poll is passed on, with its sentence")
{
	for (uint32_t i = 0; i < 16; i++) {
		struct dsmx_operator *op;
		struct drive drive = { 0 };
		struct join_case c;
		struct table seen;

		make_numbers(&c, DSMX_JOIN_LEFT, 3000, 3000, 1, 1);
		for (int s = 0; s < 2; s++)
			source_init(&c.sources[s], &c.sides[s], i);
		c.sources[i % 2].fail_at = 1 + i / 2;
		c.rel.join = c.join;
		CHECK_EQ(dx_join_make(NULL, &c.rel, &c.sources[0].base, &c.sources[1].base, &op,
		                      NULL),
		         0);
		CHECK_EQ(drive_operator(&drive, op, &seen), -EIO);
		CHECK_STR(drive.err.message, "as asked");
		CHECK_EQ(c.sources[0].closed, c.sources[0].executed);
		CHECK_EQ(c.sources[1].closed, 1);
		table_free(&seen);
		free_case(&c);
	}
}

TEST(join_closed, "a join can be closed after any poll")
{
	for (uint32_t stop = 1; stop < 80; stop++) {
		struct drive drive = { .hurried = true, .stop_after = stop };
		struct join_case c;
		struct table seen;

		make_numbers(&c, DSMX_JOIN_INNER, 900, 900, 1 + stop % 3,
		             stop % 2 == 0 ? 1 : 1000000007);
		CHECK_EQ(run(&c, &drive, stop, &seen), 0);
		CHECK_EQ(c.sources[0].closed, c.sources[0].executed);
		CHECK_EQ(c.sources[1].closed, 1);
		table_free(&seen);
		free_case(&c);
	}
}

TEST(join_refused, "keys of different types, or decimals of different scale, are refused")
{
	static const struct dsmx_type pairs[][2] = {
		{ { .id = DSMX_INT32 }, { .id = DSMX_INT64 } },
		{ { .id = DSMX_UTF8 }, { .id = DSMX_LARGE_UTF8 } },
		{ { .id = DSMX_DECIMAL, .precision = 15, .scale = 2 },
		  { .id = DSMX_DECIMAL, .precision = 15, .scale = 3 } },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(pairs); i++) {
		struct join_case c = { .join = { .key_count = 1 } };
		struct drive drive = { 0 };
		struct table seen;

		make_schemas(&c, &pairs[i][0], &pairs[i][1]);
		CHECK_EQ(run(&c, &drive, 1, &seen), -EINVAL);
		CHECK_EQ(c.sources[0].freed + c.sources[1].freed, 0); /* still the caller's */
	}
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
