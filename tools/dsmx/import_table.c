/* SPDX-License-Identifier: MIT */
/*
 * import_table.c - fields to columns
 *
 * Until the sample is over every text goes to a dictionary, unless that has grown too large already; then those
 * that pay stay. What leaves its dictionary becomes plain text, rows that are there included.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

/* A dictionary pays if each entry stands for so many rows. */
#define DICTIONARY_PAYS 4

void table_init(struct table *table, const struct dsmx_schema *schema, uint32_t room,
                const bool *plain)
{
	*table = (struct table){ .schema = *schema, .room = room };
	table->columns = mem_alloc(schema->field_count * sizeof(*table->columns));
	table->views = mem_alloc(schema->field_count * sizeof(*table->views));
	for (uint32_t i = 0; i < schema->field_count; i++) {
		struct table_column *column = &table->columns[i];
		size_t width = dsmx_type_width(schema->fields[i].type);

		column->type = schema->fields[i].type;
		column->name = schema->fields[i].name;
		column->not_null = !schema->fields[i].nullable;
		column->width = width;
		column->is_text = dsmx_type_is_text(column->type);
		if (column->is_text)
			width = column->type.id == DSMX_LARGE_UTF8 ? 8 : 4;
		column->coded = column->is_text && column->type.id != DSMX_BINARY &&
		                column->type.id != DSMX_LARGE_UTF8 && !plain[i];
		column->validity = mem_alloc(room / 8 + 1);
		column->values = mem_alloc((size_t)(room + 1) * (width > 0 ? width : 1));
		if (column->coded)
			column->codes = mem_alloc(room * sizeof(*column->codes));
	}
	table_clear(table);
}

void table_fini(struct table *table)
{
	for (uint32_t i = 0; i < table->schema.field_count && table->columns != NULL; i++) {
		struct table_column *column = &table->columns[i];

		free(column->validity);
		free(column->values);
		free(column->codes);
		free(column->bytes);
		dictionary_fini(&column->dictionary);
	}
	free(table->columns);
	free(table->views);
	*table = (struct table){ 0 };
}

void table_clear(struct table *table)
{
	table->rows = 0;
	for (uint32_t i = 0; i < table->schema.field_count; i++) {
		struct table_column *column = &table->columns[i];

		if (column->nulls)
			memset(column->validity, 0, table->room / 8 + 1);
		column->nulls = false;
		column->used = 0;
	}
}

/* --- values --------------------------------------------------------------------------------------------- */

static bool is_utf8(const char *text, size_t len)
{
	const unsigned char *at = (const unsigned char *)text, *end = at + len;

	while (at < end) {
		unsigned int follow, least, c = *at++;
		uint64_t word;

		if (c < 0x80) {
			for (; end - at >= 8; at += 8) {
				memcpy(&word, at, 8);
				if ((word & 0x8080808080808080ULL) != 0)
					break;
			}
			continue;
		}
		if (c < 0xc2 || c > 0xf4)
			return false;
		follow = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
		least = c >= 0xf0 ? 0x10000 : c >= 0xe0 ? 0x800 : 0x80;
		c &= 0x3fU >> follow;
		if ((size_t)(end - at) < follow)
			return false;
		for (; follow > 0; follow--, at++) {
			if ((*at & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*at & 0x3f);
		}
		if (c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
	}
	return true;
}

static int append_text(struct table_column *column, uint32_t row, const char *text, size_t len)
{
	size_t need = column->used + len;

	if (column->type.id != DSMX_LARGE_UTF8 && need > INT32_MAX)
		return -EMSGSIZE;
	if (need > column->byte_room || column->bytes == NULL) {
		column->byte_room = need < 2048 ? 4096 : 2 * need;
		column->bytes = mem_resize(column->bytes, column->byte_room);
	}
	memcpy(column->bytes + column->used, text, len);
	column->used = need;
	if (column->type.id == DSMX_LARGE_UTF8)
		((uint64_t *)(void *)column->values)[row + 1] = need;
	else
		((uint32_t *)(void *)column->values)[row + 1] = (uint32_t)need;
	return 0;
}

/* The dictionary goes; the first @rows rows become plain text. */
static int make_plain(struct table_column *column, uint32_t rows)
{
	const struct dictionary *dictionary = &column->dictionary;
	int ret = 0;

	column->coded = false;
	column->used = 0;
	for (uint32_t row = 0; row < rows && ret == 0; row++) {
		int32_t start, code = column->codes[row];

		if (code < 0) {
			ret = append_text(column, row, "", 0);
			continue;
		}
		start = dictionary->offsets[code];
		ret = append_text(column, row, dictionary->bytes + start,
		                  (size_t)(dictionary->offsets[code + 1] - start));
	}
	free(column->codes);
	column->codes = NULL;
	dictionary_fini(&column->dictionary);
	return ret;
}

static int put_text(struct table *table, struct table_column *column, const char *text, size_t len)
{
	int ret;

	if (column->type.id != DSMX_BINARY && !is_utf8(text, len))
		return -EILSEQ;
	if (column->coded && !table->decided && column->dictionary.count > TABLE_DICTIONARY_MAX) {
		ret = make_plain(column, table->rows);
		if (ret < 0)
			return ret;
	}
	if (!column->coded)
		return append_text(column, table->rows, text, len);
	column->codes[table->rows] = dictionary_code(&column->dictionary, text, len);
	return column->codes[table->rows] < 0 ? -EMSGSIZE : 0;
}

static void set_bit(uint8_t *bits, uint32_t row)
{
	bits[row / 8] = (uint8_t)(bits[row / 8] | 1U << row % 8);
}

int table_put(struct table *table, uint32_t number, const char *text, size_t len)
{
	struct table_column *column = &table->columns[number];
	uint32_t row = table->rows;
	uint8_t bit;
	int ret;

	if (column->nulls)
		set_bit(column->validity, row);
	if (column->is_text)
		return put_text(table, column, text, len);
	if (column->width > 0)
		return dsmx_value_parse(column->type, text, len,
		                        column->values + row * column->width);
	ret = dsmx_value_parse(column->type, text, len, &bit);
	if (ret == 0) {
		column->values[row / 8] = (uint8_t)(column->values[row / 8] & ~(1U << row % 8));
		if (bit)
			set_bit(column->values, row);
	}
	return ret;
}

void table_put_null(struct table *table, uint32_t number)
{
	struct table_column *column = &table->columns[number];
	uint32_t row = table->rows;

	/* Until the first null there is no bitmap to be kept. */
	if (!column->nulls) {
		for (uint32_t i = 0; i < row; i++)
			set_bit(column->validity, i);
	}
	column->nulls = true;
	if (column->coded)
		column->codes[row] = -1;
	else if (column->is_text)
		(void)append_text(column, row, "", 0);
	else if (column->width > 0)
		memset(column->values + row * column->width, 0, column->width);
}

/* --- batches -------------------------------------------------------------------------------------------- */

int table_decide(struct table *table)
{
	int ret = 0;

	table->decided = true;
	for (uint32_t i = 0; i < table->schema.field_count && ret == 0; i++) {
		struct table_column *column = &table->columns[i];

		if (column->coded &&
		    (uint64_t)column->dictionary.count * DICTIONARY_PAYS > table->rows)
			ret = make_plain(column, table->rows);
	}
	return ret;
}

void table_view(struct table *table, struct dsmx_batch *ret_batch)
{
	static const int32_t no_offsets[1];

	for (uint32_t i = 0; i < table->schema.field_count; i++) {
		struct table_column *column = &table->columns[i];
		struct dsmx_column view = {
			.validity = column->nulls ? column->validity : NULL,
			.values = column->values,
			.bytes = (const uint8_t *)column->bytes,
		};

		if (column->coded) {
			/* A null has any code that there is. */
			for (uint32_t row = 0; row < table->rows && column->nulls; row++)
				column->codes[row] =
					column->codes[row] < 0 ? 0 : column->codes[row];
			view.codes = column->codes;
			view.values = column->dictionary.count > 0 ? column->dictionary.offsets
			                                           : no_offsets;
			view.bytes = (const uint8_t *)column->dictionary.bytes;
			view.dictionary_length = column->dictionary.count;
		}
		table->views[i] = view;
	}
	*ret_batch = (struct dsmx_batch){
		.length = table->rows,
		.selected = table->rows,
		.column_count = table->schema.field_count,
		.columns = table->views,
	};
}
