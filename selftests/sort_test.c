/* SPDX-License-Identifier: MIT */
/* Sort and top-k against a plain sort of row numbers. */
#include "harness.h"
#include "rows.h"

#include "exec/build.h"
#include "exec/eval.h"

#define KEYS_MAX 3

struct sort_case {
	struct dsmx_field fields[KEYS_MAX + 1]; /* the keys, then the row's number */
	struct dsmx_sort_key keys[KEYS_MAX];
	uint32_t key_count;
	struct table table;
	struct source source;
	struct dsmx_rel rel, limit;
};

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct sort_case *c = arg;
	uint32_t rows[] = { *(const uint32_t *)a, *(const uint32_t *)b };

	for (uint32_t k = 0; k < c->key_count; k++) {
		const struct dsmx_sort_key *key = &c->keys[k];
		const struct value *v[] = { table_at(&c->table, rows[0], key->column),
			                    table_at(&c->table, rows[1], key->column) };
		int order;

		if (v[0]->null != v[1]->null)
			return v[0]->null == key->nulls_first ? -1 : 1;
		if (v[0]->null)
			continue;
		order = value_compare(c->fields[key->column].type, v[0], v[1]);
		if (order != 0)
			return key->descending ? -order : order;
	}
	return rows[0] < rows[1] ? -1 : 1;
}

/* Rows [from, from + count) of the sorted table. */
static void sort_naively(struct sort_case *c, uint64_t from, uint64_t count, struct table *want)
{
	uint32_t *rows = calloc(c->table.rows + 1UL, sizeof(*rows));
	size_t columns = c->table.schema.field_count;

	if (rows == NULL)
		abort();
	for (uint32_t i = 0; i < c->table.rows; i++)
		rows[i] = i;
	qsort_r(rows, c->table.rows, sizeof(*rows), compare_rows, c);
	*want = table_new(c->fields, c->key_count + 1);
	for (uint64_t i = from; i < c->table.rows && i - from < count; i++)
		memcpy(table_add(want), table_at(&c->table, rows[i], 0),
		       columns * sizeof(struct value));
	free(rows);
}

static void make_case(struct sort_case *c, uint32_t keys, uint32_t rows, uint32_t domain,
                      uint64_t *chance)
{
	c->key_count = keys;
	for (uint32_t k = 0; k < keys; k++) {
		struct dsmx_type type = every_type[rows_below(chance, DX_ARRAY_LEN(every_type))];

		c->fields[k] = (struct dsmx_field){ "key", type, true };
		c->keys[k] = (struct dsmx_sort_key){ k, rows_below(chance, 2) == 0,
			                             rows_below(chance, 2) == 0 };
	}
	c->fields[keys] = (struct dsmx_field){ "row", { .id = DSMX_INT64 }, false };
	c->table = table_new(c->fields, keys + 1);
	for (uint32_t r = 0; r < rows; r++) {
		struct value *row = table_add_random(&c->table, domain, 4, chance);

		row[keys] = (struct value){ .i = r };
	}
	c->rel = (struct dsmx_rel){
		.kind = DX_REL_SORT,
		.input_count = 1,
		.schema = c->table.schema,
		.sort = { .keys = c->keys, .key_count = keys },
	};
}

static int run(struct sort_case *c, struct drive *drive, const struct dx_limit *limit,
               uint64_t chance, struct table *ret_rows)
{
	struct dsmx_operator *op;
	int ret;

	c->limit = (struct dsmx_rel){ .kind = DX_REL_LIMIT, .input_count = 1 };
	if (limit != NULL)
		c->limit.limit = *limit;
	source_init(&c->source, &c->table, chance);
	c->source.often_idle = rows_below(&chance, 2) == 0;
	c->source.most = 1U << rows_below(&chance, 14);
	drive->sources[0] = &c->source;
	ret = dx_sort_make(&c->rel, limit != NULL ? &c->limit : NULL, &c->source.base, &op,
	                   &drive->err);
	return ret < 0 ? ret : drive_operator(drive, op, ret_rows);
}

static bool try_sort(uint32_t rows, const struct dx_limit *limit, uint64_t seed)
{
	uint64_t chance = seed;
	struct sort_case c = { 0 };
	struct drive drive = { .hurried = rows_below(&chance, 2) == 0 };
	struct table seen, want;
	bool ok;
	int ret;

	make_case(&c, 1 + rows_below(&chance, KEYS_MAX), rows, 1 + rows_below(&chance, 100),
	          &chance);
	sort_naively(&c, limit != NULL ? limit->offset : 0,
	             limit != NULL ? limit->count : UINT64_MAX, &want);
	ret = run(&c, &drive, limit, chance, &seen);
	ok = ret == 0 && table_equal(&seen, &want) && c.source.freed == 1 &&
	     c.source.closed == c.source.executed && drive.most_rows <= DX_VECTOR_ROWS;
	if (!ok)
		printf("# %u rows, %u keys (first: type %d), seed %llu: %d (%s)\n", rows,
		       c.key_count, c.fields[0].type.id, (unsigned long long)seed, ret,
		       drive.err.message);
	table_free(&seen);
	table_free(&want);
	table_free(&c.table);
	return ok;
}

TEST(sort_small, "rows come out in order of their keys, equal ones in the order they came")
{
	for (uint32_t i = 0; i < 600; i++)
		CHECK(try_sort(i % 200, NULL, i));
}

TEST(sort_large, "a sort of many runs, and of several vectors")
{
	for (uint32_t i = 0; i < 12; i++)
		CHECK(try_sort(1000 + 3001 * i, NULL, 7000 + i));
}

TEST(sort_top, "a top-k gives the rows that the whole sort would give there")
{
	for (uint32_t i = 0; i < 300; i++) {
		struct dx_limit limit = { .offset = i % 7, .count = i % 23 };

		CHECK(try_sort(i, &limit, 20000 + i));
	}
	for (uint32_t i = 0; i < 20; i++) {
		struct dx_limit limit = { .offset = i * 5, .count = 1 + i * i * 20 };

		CHECK(try_sort(30000, &limit, 21000 + i));
	}
}

TEST(sort_top_limits, "no limit, no rows and limits beyond the last row are top-k's too")
{
	static const struct dx_limit limits[] = {
		{ .offset = 0, .count = UINT64_MAX },
		{ .offset = 10, .count = UINT64_MAX },
		{ .offset = UINT64_MAX, .count = UINT64_MAX },
		{ .offset = UINT64_MAX, .count = 10 },
		{ .offset = 0, .count = 0 },
		{ .offset = 7, .count = 0 },
		{ .offset = 500, .count = 10 },
		{ .offset = 90, .count = 100 },
		{ .offset = 1ULL << 62, .count = 1 },
	};

	for (uint32_t i = 0; i < DX_ARRAY_LEN(limits); i++)
		CHECK(try_sort(100, &limits[i], 300 + i));
}

TEST(sort_top_none, "a top-k of no rows never asks its input")
{
	struct dx_limit limit = { .offset = 5, .count = 0 };
	struct sort_case c = { 0 };
	struct drive drive = { 0 };
	uint64_t chance = 1;
	struct table seen;

	make_case(&c, 1, 10, 5, &chance);
	CHECK_EQ(run(&c, &drive, &limit, 2, &seen), 0);
	CHECK_EQ(c.source.executed, 0);
	table_free(&c.table);
}

TEST(sort_fails, "an error of the input at any poll is passed on, with its sentence")
{
	for (uint32_t fail_at = 1; fail_at < 12; fail_at++) {
		struct sort_case c = { 0 };
		struct drive drive = { .sources = { &c.source } };
		uint64_t chance = fail_at;
		struct dsmx_operator *op;
		struct table seen;

		make_case(&c, 2, 2000, 5, &chance);
		source_init(&c.source, &c.table, chance);
		c.source.fail_at = fail_at;
		CHECK_EQ(dx_sort_make(&c.rel, NULL, &c.source.base, &op, &drive.err), 0);
		CHECK_EQ(drive_operator(&drive, op, &seen), -EIO);
		CHECK_STR(drive.err.message, "as asked");
		CHECK_EQ(c.source.closed, 1);
		table_free(&seen);
		table_free(&c.table);
	}
}

TEST(sort_closed, "a sort can be closed after any poll")
{
	for (uint32_t stop = 1; stop < 60; stop++) {
		struct dx_limit limit = { .offset = 3, .count = 900 };
		struct sort_case c = { 0 };
		struct drive drive = { .hurried = true, .stop_after = stop };
		uint64_t chance = stop;
		struct table seen;

		make_case(&c, 2, 9000, 50, &chance);
		CHECK_EQ(run(&c, &drive, stop % 2 != 0 ? &limit : NULL, 4, &seen), 0);
		CHECK_EQ(c.source.closed, 1);
		CHECK_EQ(c.source.freed, 1);
		table_free(&seen);
		table_free(&c.table);
	}
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
