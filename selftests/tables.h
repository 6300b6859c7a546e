/* SPDX-License-Identifier: MIT */
/*
 * tables.h - tables of values: made at random, sorted, compared, shown
 *
 * A table holds its values in the plainest form there is, so that a test can say row by row what an operator
 * should give.
 */
#ifndef DX_SELFTESTS_TABLES_H
#define DX_SELFTESTS_TABLES_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "dsmx/batch.h"

/* --- chance -------------------------------------------------------------------------------------------- */

static inline uint64_t rows_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* 0..@below - 1 */
static inline uint32_t rows_below(uint64_t *state, uint32_t below)
{
	return (uint32_t)(rows_random(state) % below);
}

/* --- values and tables --------------------------------------------------------------------------------- */

struct value {
	bool null;
	__int128 i; /* bool, integers, decimals, dates */
	double f;   /* floats */
	uint32_t len;
	char text[40];
};

struct table {
	struct dsmx_schema schema;
	uint32_t rows, room;
	struct value *values; /* row by row */
};

static inline struct value *table_at(const struct table *table, uint32_t row, uint32_t column)
{
	return &table->values[(size_t)row * table->schema.field_count + column];
}

static inline struct table table_new(const struct dsmx_field *fields, uint32_t count)
{
	return (struct table){ .schema = { count, fields } };
}

static inline void table_free(struct table *table)
{
	free(table->values);
	*table = (struct table){ 0 };
}

/* A new row of nulls. */
static inline struct value *table_add(struct table *table)
{
	size_t columns = table->schema.field_count;
	struct value *row;

	if (table->rows == table->room) {
		table->room = table->room > 0 ? 2 * table->room : 64;
		table->values =
			realloc(table->values, table->room * columns * sizeof(*table->values));
		if (table->values == NULL)
			abort();
	}
	row = &table->values[table->rows++ * columns];
	memset(row, 0, columns * sizeof(*row));
	for (size_t c = 0; c < columns; c++)
		row[c].null = true;
	return row;
}

static inline bool type_is_float(struct dsmx_type type)
{
	return type.id == DSMX_FLOAT32 || type.id == DSMX_FLOAT64;
}

/* One of @domain values of a type; they hold its awkward ones. */
static inline struct value value_random(struct dsmx_type type, uint32_t domain, uint64_t *chance)
{
	static const double floats[] = { 0.0, -0.0, NAN, 1.5, -INFINITY, INFINITY, -2.25, 0x1p40 };
	struct value value = { 0 };
	uint32_t n = rows_below(chance, domain);

	if (type_is_float(type)) {
		value.f = n < 8 ? floats[n] : (double)n - 3.0;
		if (type.id == DSMX_FLOAT32)
			value.f = (double)(float)value.f;
	} else if (dsmx_type_is_text(type)) {
		value.len = n % 7 == 6 ? 17 + n % 20 : n % 7;
		for (uint32_t i = 0; i < value.len; i++)
			value.text[i] = (char)(i == 0 && n % 11 == 3 ? 0 : 'a' + (n / 7 + i) % 26);
	} else if (type.id == DSMX_BOOL) {
		value.i = n & 1;
	} else if (type.id == DSMX_DECIMAL && type.precision > 18) {
		value.i = (__int128)n - domain / 2;
		if (n % 3 == 1)
			value.i *= (__int128)1 << 70;
	} else if (type.id >= DSMX_UINT8 && type.id <= DSMX_UINT64) {
		value.i = n % 250;
	} else {
		value.i = (int64_t)(n % 250) - 100;
		if (dsmx_type_width(type) == 8 && n % 5 == 4)
			value.i *= 1000000007;
	}
	return value;
}

/* A random row: null once in @nulls rows (0: never). */
static inline struct value *table_add_random(struct table *table, uint32_t domain, uint32_t nulls,
                                             uint64_t *chance)
{
	struct value *row = table_add(table);

	for (uint32_t c = 0; c < table->schema.field_count; c++) {
		const struct dsmx_field *field = &table->schema.fields[c];

		row[c] = value_random(field->type, domain, chance);
		row[c].null = field->nullable && nulls > 0 && rows_below(chance, nulls) == 0;
	}
	return row;
}

/* NaN is greatest, texts by their bytes. Not for nulls. */
static inline int value_compare(struct dsmx_type type, const struct value *a, const struct value *b)
{
	uint32_t common = a->len < b->len ? a->len : b->len;
	int order;

	if (type_is_float(type)) {
		if (a->f != a->f || b->f != b->f)
			return (a->f != a->f) - (b->f != b->f);
		return (a->f > b->f) - (a->f < b->f);
	}
	if (!dsmx_type_is_text(type))
		return (a->i > b->i) - (a->i < b->i);
	order = common > 0 ? memcmp(a->text, b->text, common) : 0;
	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* Nulls last. */
static inline int row_compare(const struct dsmx_schema *schema, const struct value *a,
                              const struct value *b)
{
	for (uint32_t c = 0; c < schema->field_count; c++) {
		int order = a[c].null - b[c].null;

		if (order == 0 && !a[c].null)
			order = value_compare(schema->fields[c].type, &a[c], &b[c]);
		if (order != 0)
			return order;
	}
	return 0;
}

static inline int rows_compare(const void *a, const void *b, void *schema)
{
	return row_compare(schema, a, b);
}

/* In an order of its own, so that tables can be compared as sets with repetition. */
static inline void table_sort(struct table *table)
{
	if (table->rows > 0)
		qsort_r(table->values, table->rows,
		        table->schema.field_count * sizeof(*table->values), rows_compare,
		        &table->schema);
}

static inline void value_print(struct dsmx_type type, const struct value *value)
{
	if (value->null)
		printf(" null");
	else if (type_is_float(type))
		printf(" %g", value->f);
	else if (dsmx_type_is_text(type))
		printf(" '%.*s'", (int)value->len, value->text);
	else
		printf(" %lld:%llu", (long long)(value->i >> 64), (unsigned long long)value->i);
}

/* The same rows in the same order? Prints the first difference. */
static inline bool table_equal(const struct table *seen, const struct table *want)
{
	uint32_t rows = seen->rows > want->rows ? seen->rows : want->rows;

	for (uint32_t r = 0; r < rows; r++) {
		const struct table *sides[] = { seen, want };

		if (r < seen->rows && r < want->rows &&
		    row_compare(&want->schema, table_at(seen, r, 0), table_at(want, r, 0)) == 0)
			continue;
		printf("# %u rows, expected %u; row %u differs\n", seen->rows, want->rows, r);
		for (int side = 0; side < 2; side++) {
			printf("# %s:", side == 0 ? "seen" : "want");
			for (uint32_t c = 0; r < sides[side]->rows && c < want->schema.field_count;
			     c++)
				value_print(want->schema.fields[c].type,
				            table_at(sides[side], r, c));
			printf("\n");
		}
		return false;
	}
	return true;
}

/* A type of every kind, for keys and values. */
static const struct dsmx_type every_type[] = {
	{ .id = DSMX_BOOL },
	{ .id = DSMX_INT8 },
	{ .id = DSMX_INT16 },
	{ .id = DSMX_INT32 },
	{ .id = DSMX_INT64 },
	{ .id = DSMX_UINT8 },
	{ .id = DSMX_UINT16 },
	{ .id = DSMX_UINT32 },
	{ .id = DSMX_UINT64 },
	{ .id = DSMX_FLOAT32 },
	{ .id = DSMX_FLOAT64 },
	{ .id = DSMX_DECIMAL, .precision = 15, .scale = 2 },
	{ .id = DSMX_DECIMAL, .precision = 30, .scale = 8 },
	{ .id = DSMX_DATE32 },
	{ .id = DSMX_TIMESTAMP, .precision = 6 },
	{ .id = DSMX_UTF8 },
	{ .id = DSMX_LARGE_UTF8 },
	{ .id = DSMX_BINARY },
};

#endif /* DX_SELFTESTS_TABLES_H */
