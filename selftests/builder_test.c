/* SPDX-License-Identifier: MIT */
#include "batch/builder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "batch/bits.h"
#include "harness.h"

/* Columns of every layout with 20 rows; row r has value r (text: r % 7 letters 'a' + r), every third is null. */
#define ROWS 20

struct source {
	uint8_t validity[3];
	uint8_t bools[3];
	int8_t i8[ROWS];
	int16_t i16[ROWS];
	int32_t i32[ROWS];
	int64_t i64[ROWS];
	__int128 wide[ROWS];
	int32_t offsets[ROWS + 1];
	int64_t large_offsets[ROWS + 1];
	int32_t codes[ROWS];
	uint8_t bytes[256];
	struct dsmx_column columns[9];
	struct dsmx_batch batch;
};

static const struct dsmx_field fields[9] = {
	{ "bool", { .id = DSMX_BOOL }, true },
	{ "i8", { .id = DSMX_INT8 }, true },
	{ "i16", { .id = DSMX_INT16 }, true },
	{ "date", { .id = DSMX_DATE32 }, true },
	{ "narrow", { .id = DSMX_DECIMAL, .precision = 15, .scale = 2 }, true },
	{ "wide", { .id = DSMX_DECIMAL, .precision = 38, .scale = 0 }, true },
	{ "text", { .id = DSMX_UTF8 }, true },
	{ "large", { .id = DSMX_LARGE_UTF8 }, true },
	{ "coded", { .id = DSMX_BINARY }, true },
};
static const struct dsmx_schema schema = { 9, fields };

static void fill(struct source *s, bool nulls)
{
	const uint8_t *validity = nulls ? s->validity : NULL;
	const struct dsmx_column columns[9] = {
		{ validity, s->bools, NULL, NULL, 0 },
		{ validity, s->i8, NULL, NULL, 0 },
		{ validity, s->i16, NULL, NULL, 0 },
		{ validity, s->i32, NULL, NULL, 0 },
		{ validity, s->i64, NULL, NULL, 0 },
		{ validity, s->wide, NULL, NULL, 0 },
		{ validity, s->offsets, s->bytes, NULL, 0 },
		{ validity, s->large_offsets, s->bytes, NULL, 0 },
		{ validity, s->offsets, s->bytes, s->codes, ROWS },
	};

	memset(s, 0, sizeof(*s));
	s->offsets[0] = 3; /* the first text need not begin at 0 */
	for (int r = 0; r < ROWS; r++) {
		dx_bit_put(s->validity, (uint64_t)r, r % 3 != 2);
		dx_bit_put(s->bools, (uint64_t)r, r % 5 == 0);
		s->i8[r] = (int8_t)r;
		s->i16[r] = (int16_t)r;
		s->i32[r] = r;
		s->i64[r] = -r;
		s->wide[r] = ((__int128)1 << 100) + r;
		s->codes[r] = ROWS - 1 - r;
		s->offsets[r + 1] = s->offsets[r] + r;
		memset(s->bytes + s->offsets[r], 'a' + r, (size_t)r);
	}
	for (int r = 0; r <= ROWS; r++)
		s->large_offsets[r] = s->offsets[r];
	memcpy(s->columns, columns, sizeof(columns));
	s->batch = (struct dsmx_batch){ ROWS, ROWS, NULL, 9, s->columns, NULL };
}

/* Is row @at of text column @column @len letters @letter? */
static bool text_is(const struct dsmx_column *column, bool large, uint32_t at, int letter, int len)
{
	int64_t start, end;

	if (large) {
		start = ((const int64_t *)column->values)[at];
		end = ((const int64_t *)column->values)[at + 1];
	} else {
		start = ((const int32_t *)column->values)[at];
		end = ((const int32_t *)column->values)[at + 1];
	}
	if (end - start != len)
		return false;
	for (int64_t i = start; i < end; i++) {
		if (column->bytes[i] != letter)
			return false;
	}
	return true;
}

/* Is row @at of the built batch row @r of the source? */
static bool row_is(const struct dsmx_batch *built, uint32_t at, int r, bool nulls, bool widened)
{
	const struct dsmx_column *c = built->columns;
	__int128 wide, narrow;

	for (int i = 0; i < 9; i++) {
		bool valid = c[i].validity == NULL || dx_bit_get(c[i].validity, at);

		if (valid != (!nulls || r % 3 != 2))
			return false;
		if (c[i].codes != NULL)
			return false;
	}
	if (nulls && r % 3 == 2)
		return true;
	memcpy(&wide, (const __int128 *)c[5].values + at, sizeof(wide));
	if (widened)
		memcpy(&narrow, (const __int128 *)c[4].values + at, sizeof(narrow));
	else
		narrow = ((const int64_t *)c[4].values)[at];
	return dx_bit_get(c[0].values, at) == (r % 5 == 0) &&
	       ((const int8_t *)c[1].values)[at] == r && ((const int16_t *)c[2].values)[at] == r &&
	       ((const int32_t *)c[3].values)[at] == r && narrow == -r &&
	       wide == ((__int128)1 << 100) + r && text_is(&c[6], false, at, 'a' + r, r) &&
	       text_is(&c[7], true, at, 'a' + r, r) &&
	       text_is(&c[8], false, at, 'a' + ROWS - 1 - r, ROWS - 1 - r);
}

TEST(append_whole, "whole batches keep every row of every layout, across many growths")
{
	struct source plain, nulled;
	struct dx_builder *builder;
	struct dsmx_batch built;

	fill(&plain, false);
	fill(&nulled, true);
	CHECK_EQ(dx_builder_new(&schema, &builder), 0);
	for (int i = 0; i < 300; i++)
		CHECK_EQ(dx_builder_append(builder,
		                           i < 100 || i > 200 ? &plain.batch : &nulled.batch),
		         0);
	CHECK_EQ(dx_builder_rows(builder), 300 * ROWS);
	dx_builder_view(builder, &built);
	CHECK_EQ(built.length, 300 * ROWS);
	CHECK_EQ(built.selected, 300 * ROWS);
	for (uint32_t at = 0; at < 300 * ROWS; at++) {
		bool nulls = at / ROWS >= 100 && at / ROWS <= 200;

		CHECK_EQ(row_is(&built, at, (int)(at % ROWS), nulls, false), true);
	}
	dx_builder_free(builder);
}

TEST(append_selected, "a selection and a list of rows take those rows, in that order")
{
	static const uint32_t selection[4] = { 1, 4, 5, 19 }, rows[5] = { 7, 0, 7, 2, 18 };
	struct source s;
	struct dx_builder *builder;
	struct dsmx_batch built;

	for (int nulls = 0; nulls < 2; nulls++) {
		fill(&s, nulls == 1);
		CHECK_EQ(dx_builder_new_wide(&schema, &builder), 0);
		s.batch.selection = selection;
		s.batch.selected = 4;
		CHECK_EQ(dx_builder_append(builder, &s.batch), 0);
		CHECK_EQ(dx_builder_append_rows(builder, &s.batch, rows, 5), 0);
		dx_builder_view(builder, &built);
		CHECK_EQ(built.length, 9);
		for (uint32_t i = 0; i < 9; i++)
			CHECK_EQ(row_is(&built, i, (int)(i < 4 ? selection[i] : rows[i - 4]),
			                nulls == 1, true),
			         true);
		dx_builder_free(builder);
	}
}

TEST(clear_forgets, "after clear there are no rows and no nulls, and it can be filled again")
{
	struct source s;
	struct dx_builder *builder;
	struct dsmx_batch built;

	fill(&s, true);
	CHECK_EQ(dx_builder_new(&schema, &builder), 0);
	dx_builder_view(builder, &built);
	CHECK_EQ(built.length, 0);
	CHECK_EQ(dx_builder_append(builder, &s.batch), 0);
	dx_builder_clear(builder);
	CHECK_EQ(dx_builder_rows(builder), 0);
	fill(&s, false);
	CHECK_EQ(dx_builder_append(builder, &s.batch), 0);
	dx_builder_view(builder, &built);
	CHECK_EQ(built.columns[0].validity == NULL, true);
	for (uint32_t i = 0; i < ROWS; i++)
		CHECK_EQ(row_is(&built, i, (int)i, false, false), true);
	dx_builder_free(builder);
}

TEST(null_codes, "codes under nulls are not looked at: the dictionary may be empty")
{
	static const uint8_t validity[1] = { 0 };
	static const int32_t offsets[1] = { 0 }, codes[3] = { 0, 0, 0 };
	const struct dsmx_field field = { "t", { .id = DSMX_UTF8 }, true };
	const struct dsmx_schema one = { 1, &field };
	const struct dsmx_column column = { validity, offsets, NULL, codes, 0 };
	const struct dsmx_batch batch = { 3, 3, NULL, 1, &column, NULL };
	struct dx_builder *builder;
	struct dsmx_batch built;

	CHECK_EQ(dx_builder_new(&one, &builder), 0);
	CHECK_EQ(dx_builder_append(builder, &batch), 0);
	dx_builder_view(builder, &built);
	CHECK_EQ(built.length, 3);
	CHECK_EQ(((const int32_t *)built.columns[0].values)[3], 0);
	dx_builder_free(builder);
}

TEST(text_limit, "a text column refuses to pass 2 GiB with -ERANGE and stays as it was")
{
	/* One long text, appended as often as it fits; the pages are made only as they are written. */
	enum { LEN = 64 << 20 };
	uint8_t *bytes = calloc(1, LEN);
	const int32_t offsets[2] = { 0, LEN };
	const struct dsmx_field field = { "t", { .id = DSMX_UTF8 }, true };
	const struct dsmx_schema one = { 1, &field };
	const struct dsmx_column column = { NULL, offsets, bytes, NULL, 0 };
	const struct dsmx_batch batch = { 1, 1, NULL, 1, &column, NULL };
	uint32_t rows[33] = { 0 };
	struct dx_builder *builder;

	CHECK_EQ(dx_builder_new(&one, &builder), 0);
	CHECK_EQ(dx_builder_append(builder, &batch), 0);
	CHECK_EQ(dx_builder_append_rows(builder, &batch, rows, 32), -ERANGE);
	CHECK_EQ(dx_builder_rows(builder), 1);
	CHECK_EQ(dx_builder_append(builder, &batch), 0);
	CHECK_EQ(dx_builder_rows(builder), 2);
	CHECK_EQ(dx_builder_bytes(builder), 2 * LEN + 3 * 4);
	dx_builder_free(builder);
	free(bytes);
}

int main(void)
{
	return harness_run();
}
