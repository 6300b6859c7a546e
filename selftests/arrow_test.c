/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "batch/arrow_format.h"
#include "batch/bits.h"
#include "batch/import.h"
#include "harness.h"

/* --- what an application would hand over ---------------------------------------------------------------- */

static void released(struct ArrowSchema *schema)
{
	schema->release = NULL;
}

static void array_released(struct ArrowArray *array)
{
	array->release = NULL;
}

/* A struct of one column, and one array of it, all in one place. */
struct one {
	struct ArrowSchema table, column, dictionary;
	struct ArrowSchema *columns[1];
	struct ArrowArray rows, array, entries;
	struct ArrowArray *arrays[1];
	const void *buffers[3], *entry_buffers[3];
	const void *no_buffers[1];
};

static void one_init(struct one *one, const char *format, const char *entry_format)
{
	bool text = strlen(format) == 1 && strchr("uUz", format[0]) != NULL;

	memset(one, 0, sizeof(*one));
	one->columns[0] = &one->column;
	one->arrays[0] = &one->array;
	one->table = (struct ArrowSchema){
		.format = "+s", .n_children = 1, .children = one->columns, .release = released
	};
	one->column = (struct ArrowSchema){
		.format = format, .name = "c", .flags = ARROW_FLAG_NULLABLE, .release = released
	};
	one->rows = (struct ArrowArray){ .n_buffers = 1,
		                         .n_children = 1,
		                         .buffers = one->no_buffers,
		                         .children = one->arrays,
		                         .release = array_released };
	one->array = (struct ArrowArray){ .n_buffers = text ? 3 : 2,
		                          .buffers = one->buffers,
		                          .release = array_released };
	if (entry_format != NULL) {
		one->dictionary =
			(struct ArrowSchema){ .format = entry_format, .release = released };
		one->column.dictionary = &one->dictionary;
		one->entries = (struct ArrowArray){ .n_buffers = 3,
			                            .buffers = one->entry_buffers,
			                            .release = array_released };
		one->array.dictionary = &one->entries;
	}
}

/* All rows of the array; the importer is the caller's. */
static int one_import(struct one *one, struct dx_importer **ret_importer,
                      struct dsmx_batch *ret_batch, struct dsmx_error *err)
{
	int ret = dx_importer_new(&one->table, ret_importer, err);

	if (ret < 0) {
		*ret_importer = NULL;
		return ret;
	}
	return dx_array_import(*ret_importer, &one->rows, 0, (uint32_t)one->rows.length, ret_batch,
	                       err);
}

/* The same, when only the outcome matters. */
static int one_try(struct one *one)
{
	struct dx_importer *importer;
	struct dsmx_batch batch;
	struct dsmx_error err = { 0 };
	int ret = one_import(one, &importer, &batch, &err);

	dx_importer_free(importer);
	if (ret < 0 && (err.code != ret || err.message[0] == 0))
		return -EIO;
	return ret;
}

/* --- tests ---------------------------------------------------------------------------------------------- */

TEST(formats, "every format string gives its type and width, and is written again")
{
	static const struct {
		const char *format, *name, *again;
		size_t width;
	} rows[] = {
		{ "b", "bool", "b", 0 },
		{ "c", "int8", "c", 1 },
		{ "C", "uint8", "C", 1 },
		{ "s", "int16", "s", 2 },
		{ "S", "uint16", "S", 2 },
		{ "i", "int32", "i", 4 },
		{ "I", "uint32", "I", 4 },
		{ "l", "int64", "l", 8 },
		{ "L", "uint64", "L", 8 },
		{ "f", "float32", "f", 4 },
		{ "g", "float64", "g", 8 },
		{ "u", "utf8", "u", 0 },
		{ "U", "large_utf8", "U", 0 },
		{ "z", "binary", "z", 0 },
		{ "tdD", "date", "tdD", 4 },
		{ "tss:", "timestamp(0)", "tss:", 8 },
		{ "tsn:Europe/Paris", "timestamptz(9)", "tsn:UTC", 8 },
		{ "d:15,2", "decimal(15,2)", "d:15,2", 16 },
		{ "d:15,2,64", "decimal(15,2)", "d:15,2", 8 },
		{ "d:5,0,32", "decimal(5,0)", "d:5,0", 4 },
		{ "d:38,38,128", "decimal(38,38)", "d:38,38", 16 },
	};
	static const char *const refused[] = { "",          "e",      "n",      "Z",
		                               "vu",        "bb",     "tdm",    "tts",
		                               "w:4",       "+l",     "d:",     "d:15",
		                               "d:39,2",    "d:5,6",  "d:5,-1", "d:5,2,256",
		                               "d:5,2,64x", "d:5,2x", "tsx:",   "tss" };
	char buf[DX_ARROW_FORMAT_BYTES], name[24];
	struct dsmx_type type;
	uint8_t width;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_EQ(dx_arrow_format_parse(rows[i].format, &type, &width), 0);
		CHECK_EQ(strcmp(dsmx_type_format(type, name, sizeof(name)), rows[i].name), 0);
		CHECK_EQ(width, rows[i].width);
		dx_arrow_format_write(type, buf);
		CHECK_EQ(strcmp(buf, rows[i].again), 0);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		CHECK_EQ(dx_arrow_format_parse(refused[i], &type, &width), -EOPNOTSUPP);
	CHECK_EQ(dx_arrow_format_parse(NULL, &type, &width), -EOPNOTSUPP);
}

TEST(schema_round_trip,
     "an exported schema imports as it was; children can be moved out and released alone")
{
	static const struct dsmx_field fields[3] = {
		{ "a", { .id = DSMX_INT32 }, false },
		{ "", { .id = DSMX_DECIMAL, .precision = 38, .scale = 3 }, true },
		{ "c", { .id = DSMX_TIMESTAMP_TZ, .precision = 6 }, true },
	};
	static const struct dsmx_schema schema = { 3, fields };
	struct ArrowSchema exported, moved;
	struct dsmx_schema again;

	CHECK_EQ(dsmx_schema_export(&schema, &exported), 0);
	CHECK_EQ(dsmx_schema_import(&exported, &again, NULL), 0);
	CHECK_EQ(again.field_count, 3);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(strcmp(again.fields[i].name, fields[i].name), 0);
		CHECK_EQ(dsmx_type_equal(again.fields[i].type, fields[i].type), true);
		CHECK_EQ(again.fields[i].nullable, fields[i].nullable);
	}
	dsmx_schema_free(&again);
	moved = *exported.children[2];
	exported.children[2]->release = NULL;
	exported.release(&exported);
	CHECK_EQ(exported.release == NULL, true);
	CHECK_EQ(strcmp(moved.format, "tsu:UTC"), 0);
	moved.release(&moved);
}

TEST(schema_refusals, "a schema that is no table of our types is refused")
{
	struct one one;
	struct dsmx_schema schema;

	one_init(&one, "e", NULL);
	CHECK_EQ(dsmx_schema_import(&one.table, &schema, NULL), -EOPNOTSUPP);
	one_init(&one, "i", "l");
	CHECK_EQ(dsmx_schema_import(&one.table, &schema, NULL), -EOPNOTSUPP);
	one_init(&one, "i", NULL);
	one.table.format = "i";
	CHECK_EQ(dsmx_schema_import(&one.table, &schema, NULL), -EINVAL);
	one_init(&one, "i", NULL);
	one.table.n_children = -1;
	CHECK_EQ(dsmx_schema_import(&one.table, &schema, NULL), -EINVAL);
	one_init(&one, "i", NULL);
	one.table.n_children = INT64_MAX;
	CHECK_EQ(dsmx_schema_import(&one.table, &schema, NULL), -E2BIG);
	one_init(&one, "i", NULL);
	one.column.release = NULL;
	CHECK_EQ(dsmx_schema_import(&one.table, &schema, NULL), -EINVAL);
	one_init(&one, "u", "u"); /* an index must be an integer */
	CHECK_EQ(one_try(&one), -EINVAL);
}

TEST(offsets_rebased, "rows behind the offsets of struct and column are found, bits and values")
{
	static const uint8_t validity[4] = { 0xa5, 0x3c, 0x96, 0x5a };
	static const int32_t values[32] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13,
		                            14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26 };

	for (int64_t outer = 0; outer < 10; outer++) {
		for (int64_t inner = 0; inner < 10; inner++) {
			uint64_t first = (uint64_t)(outer + inner + 1);
			struct dx_importer *importer;
			struct dsmx_batch batch;
			struct one one;

			one_init(&one, "i", NULL);
			one.buffers[0] = validity;
			one.buffers[1] = values;
			one.array.null_count = -1;
			one.rows.offset = outer;
			one.rows.length = 7;
			one.array.offset = inner;
			one.array.length = 7 + outer;
			CHECK_EQ(dx_importer_new(&one.table, &importer, NULL), 0);
			CHECK_EQ(dx_array_import(importer, &one.rows, 1, 6, &batch, NULL), 0);
			CHECK_EQ(batch.length, 6);
			for (uint32_t i = 0; i < 6; i++) {
				CHECK_EQ(((const int32_t *)batch.columns[0].values)[i], first + i);
				CHECK_EQ(dsmx_column_is_null(&batch.columns[0], i),
				         !dx_bit_get(validity, first + i));
			}
			CHECK_EQ(dx_array_import(importer, &one.rows, 1, 7, &batch, NULL),
			         -EBADMSG);
			dx_importer_free(importer);
		}
	}
}

TEST(decimal_widths,
     "decimals of 32, 64 and 128 bits become 8 or 16 bytes, and must fit their digits")
{
	static const int32_t small[2] = { -99999, 12345 };
	static const int64_t middle[2] = { -999999999999999, 7 };
	__int128 large[2] = { -999999999999999, 7 };
	struct dx_importer *importer;
	struct dsmx_batch batch;
	__int128 wide;
	struct one one;

	one_init(&one, "d:5,2,32", NULL);
	one.rows.length = one.array.length = 2;
	one.buffers[1] = small;
	CHECK_EQ(one_import(&one, &importer, &batch, NULL), 0);
	CHECK_EQ(((const int64_t *)batch.columns[0].values)[0], -99999);
	dx_importer_free(importer);

	one.column.format = "d:15,2,64";
	one.buffers[1] = middle;
	CHECK_EQ(one_import(&one, &importer, &batch, NULL), 0);
	CHECK_EQ(((const int64_t *)batch.columns[0].values)[0], -999999999999999);
	dx_importer_free(importer);

	one.column.format = "d:15,2";
	one.buffers[1] = large;
	CHECK_EQ(one_import(&one, &importer, &batch, NULL), 0);
	CHECK_EQ(((const int64_t *)batch.columns[0].values)[0], -999999999999999);
	CHECK_EQ(((const int64_t *)batch.columns[0].values)[1], 7);
	dx_importer_free(importer);

	one.column.format = "d:19,2,64";
	one.buffers[1] = middle;
	CHECK_EQ(one_import(&one, &importer, &batch, NULL), 0);
	memcpy(&wide, batch.columns[0].values, sizeof(wide));
	CHECK_EQ(wide == -999999999999999, true);
	dx_importer_free(importer);

	one.column.format = "d:15,2";
	one.buffers[1] = large;
	large[1] = 1000000000000000;
	CHECK_EQ(one_try(&one), -EBADMSG);
	large[1] = ((__int128)1 << 64) + 5; /* whose low half would fit */
	CHECK_EQ(one_try(&one), -EBADMSG);
	one.buffers[0] = "\1"; /* under a null it may be anything */
	one.array.null_count = 1;
	CHECK_EQ(one_try(&one), 0);
	one.column.flags = 0; /* but then there may be no null */
	CHECK_EQ(one_try(&one), -EBADMSG);
}

TEST(dictionaries,
     "indexes of any width become codes; null entries make null rows; the rest is checked")
{
	static const int32_t offsets[5] = { 0, 9, 10, 12, 12 };
	static const int8_t indexes[5] = { 99, 2, 0, 1, -1 };
	static const uint8_t entry_validity[1] = { 0x0a }; /* entries 1 and 3 of the buffers */
	struct dx_importer *importer;
	struct dsmx_batch batch;
	struct one one;
	size_t len;

	one_init(&one, "c", "u");
	one.buffers[0] = "\x0f";
	one.buffers[1] = indexes;
	one.array.null_count = 1;
	one.array.offset = 1;
	one.array.length = one.rows.length = 3;
	one.entry_buffers[0] = entry_validity;
	one.entry_buffers[1] = offsets; /* one entry is cut off by the offset */
	one.entry_buffers[2] = "012345678abcdef";
	one.entries.offset = 1;
	one.entries.length = 3;
	one.entries.null_count = 1;
	CHECK_EQ(one_import(&one, &importer, &batch, NULL), 0);
	CHECK_EQ(batch.columns[0].dictionary_length, 3);
	CHECK_EQ(dsmx_column_is_null(&batch.columns[0], 0), false);
	CHECK_EQ(dsmx_column_is_null(&batch.columns[0], 1), false);
	CHECK_EQ(dsmx_column_is_null(&batch.columns[0], 2), true); /* entry 1 is null */
	CHECK_EQ(batch.columns[0].codes[0], 2);
	CHECK_EQ(batch.columns[0].codes[2], 0);
	CHECK_EQ(*dsmx_column_text((struct dsmx_type){ .id = DSMX_UTF8 }, &batch.columns[0], 1,
	                           &len),
	         'a');
	CHECK_EQ(len, 1);
	dx_importer_free(importer);

	one.array.length = one.rows.length = 4; /* the index -1, but it is null */
	CHECK_EQ(one_try(&one), 0);
	one.buffers[0] = "\x1f";
	CHECK_EQ(one_try(&one), -EBADMSG);
	one.array.length = one.rows.length = 3;
	one.entries.length = 2; /* index 2 is beyond */
	CHECK_EQ(one_try(&one), -EBADMSG);
	one.array.dictionary = NULL;
	CHECK_EQ(one_try(&one), -EBADMSG);
}

TEST(array_refusals, "an array that contradicts its schema or itself is refused")
{
	static const int32_t values[4] = { 1, 2, 3, 4 }, down[4] = { 0, 5, 3, 6 },
			     below[4] = { -1, 0, 0, 0 };
	struct one one;

#define TRY(change, code)                                                                          \
	do {                                                                                       \
		one_init(&one, "u", NULL);                                                         \
		one.rows.length = one.array.length = 3;                                            \
		one.buffers[1] = values;                                                           \
		one.buffers[2] = "abcdef";                                                         \
		change;                                                                            \
		CHECK_EQ(one_try(&one), code);                                                     \
	} while (0)
	TRY((void)0, 0);
	TRY(one.buffers[1] = down, -EBADMSG);
	TRY(one.buffers[1] = below, -EBADMSG);
	TRY(one.buffers[1] = NULL, -EBADMSG);
	TRY(one.buffers[2] = NULL, -EBADMSG);
	TRY(one.array.n_buffers = 2, -EBADMSG);
	TRY(one.array.release = NULL, -EBADMSG);
	TRY(one.array.buffers = NULL, -EBADMSG);
	TRY(one.array.length = 2, -EBADMSG);
	TRY(one.array.length = -1, -EBADMSG);
	TRY(one.array.offset = INT64_MAX, -EBADMSG);
	TRY(one.array.null_count = 1, -EBADMSG);
	TRY(one.rows.n_children = 2, -EBADMSG);
	TRY(one.rows.children = NULL, -EBADMSG);
	TRY(one.rows.release = NULL, -EBADMSG);
	TRY((one.rows.null_count = 1, one.no_buffers[0] = "\5"), -EBADMSG);
	TRY((one.rows.null_count = -1, one.no_buffers[0] = "\7"), 0);
#undef TRY
}

TEST(array_round_trip, "selected rows are exported plain and wide, and import as they were")
{
	static const uint32_t selection[3] = { 0, 2, 3 };
	static const uint8_t validity[1] = { 0x0d };
	static const int64_t prices[4] = { -5, 99, 7, 100 };
	static const int32_t offsets[3] = { 0, 3, 5 }, codes[4] = { 1, 0, 0, 1 };
	static const struct dsmx_field fields[3] = {
		{ "price", { .id = DSMX_DECIMAL, .precision = 15, .scale = 2 }, true },
		{ "mode", { .id = DSMX_UTF8 }, true },
		{ "flag", { .id = DSMX_BOOL }, true },
	};
	static const struct dsmx_schema schema = { 3, fields };
	static const struct dsmx_column columns[3] = {
		{ validity, prices, NULL, NULL, 0 },
		{ NULL, offsets, (const uint8_t *)"AIRMY", codes, 2 },
		{ NULL, "\x09", NULL, NULL, 0 },
	};
	const struct dsmx_batch batch = { 4, 3, selection, 3, columns, NULL };
	struct ArrowSchema exported_schema;
	struct ArrowArray array, moved;
	struct dx_importer *importer;
	struct dsmx_batch again;
	char text[64];
	size_t len;

	CHECK_EQ(dsmx_schema_export(&schema, &exported_schema), 0);
	CHECK_EQ(dsmx_batch_export(&schema, &batch, &array), 0);
	CHECK_EQ(array.length, 3);
	CHECK_EQ(array.children[0]->null_count, 0);
	CHECK_EQ(array.children[1]->dictionary == NULL, true);
	CHECK_EQ(dx_importer_new(&exported_schema, &importer, NULL), 0);
	CHECK_EQ(dx_array_import(importer, &array, 0, 3, &again, NULL), 0);
	for (uint32_t i = 0; i < 3; i++) {
		static const char *const want[3] = { "-0.05", "0.07", "1.00" };
		static const char *const mode[3] = { "MY", "AIR", "MY" };

		dsmx_column_format(fields[0].type, &again.columns[0], i, text, sizeof(text));
		CHECK_EQ(strcmp(text, want[i]), 0);
		CHECK_EQ(memcmp(dsmx_column_text(fields[1].type, &again.columns[1], i, &len),
		                mode[i], strlen(mode[i])),
		         0);
		CHECK_EQ(len, strlen(mode[i]));
		CHECK_EQ(dx_bit_get(again.columns[2].values, i), i != 1);
	}
	dx_importer_free(importer);
	exported_schema.release(&exported_schema);
	moved = *array.children[1];
	array.children[1]->release = NULL;
	array.release(&array);
	CHECK_EQ(((const int32_t *)moved.buffers[1])[3], 7);
	moved.release(&moved);
}

TEST(empty_export, "no rows and no columns are exported too")
{
	static const struct dsmx_field field = { "t", { .id = DSMX_LARGE_UTF8 }, true };
	const struct dsmx_schema none = { 0, NULL }, one = { 1, &field };
	const struct dsmx_column column = { 0 };
	const struct dsmx_batch rows = { 5, 5, NULL, 0, NULL, NULL };
	const struct dsmx_batch empty = { 0, 0, NULL, 1, &column, NULL };
	struct ArrowArray array;

	CHECK_EQ(dsmx_batch_export(&none, &rows, &array), 0);
	CHECK_EQ(array.length, 5);
	CHECK_EQ(array.n_children, 0);
	array.release(&array);
	CHECK_EQ(dsmx_batch_export(&one, &empty, &array), 0);
	CHECK_EQ(array.length, 0);
	CHECK_EQ(((const int64_t *)array.children[0]->buffers[1])[0], 0);
	array.release(&array);
}

int main(void)
{
	return harness_run();
}
