/* SPDX-License-Identifier: MIT */
/*
 * builder.c - columns that grow
 *
 * All columns have room for the same number of rows, which doubles. An append first makes every room that it
 * will need (and may fail), then writes behind the last row (and cannot), then counts the rows: so a failure
 * leaves nothing behind. The new offsets of a text column are written while its room is made, since they
 * are behind the last row too, and tell how many bytes there will be.
 *
 * Validity begins with the first batch that has a bitmap; the rows before it are filled in as valid.
 */
#include "batch/builder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "batch/bits.h"

#define ROWS_FIRST 1024

struct column {
	struct dsmx_type type;
	uint8_t width;      /* bytes of a value here; 0: bool or text */
	uint8_t from_width; /* in the batches: less than width for decimals to be widened */
	uint8_t offset;     /* bytes of an offset; 0: no text */
	bool nulls;         /* validity counts */
	uint8_t *validity;  /* NULL until needed */
	uint8_t *values;
	uint8_t *bytes;
	uint64_t used, room; /* of bytes */
};

struct dx_builder {
	uint32_t rows, room;
	uint32_t column_count;
	struct dsmx_column *views;
	struct column columns[];
};

/* Rows of a batch: list[0..count), or the first count ones where list is NULL. */
struct rows {
	const uint32_t *list;
	uint32_t count;
};

static int new_builder(const struct dsmx_schema *schema, bool wide, struct dx_builder **ret_builder)
{
	size_t columns = schema->field_count;
	struct dx_builder *builder =
		calloc(1, sizeof(*builder) + columns * sizeof(builder->columns[0]));

	if (builder == NULL)
		return -ENOMEM;
	builder->column_count = schema->field_count;
	builder->views = calloc(columns > 0 ? columns : 1, sizeof(*builder->views));
	if (builder->views == NULL) {
		free(builder);
		return -ENOMEM;
	}
	for (size_t i = 0; i < columns; i++) {
		struct column *column = &builder->columns[i];

		column->type = schema->fields[i].type;
		column->from_width = (uint8_t)dsmx_type_width(column->type);
		column->width = column->from_width;
		if (wide && column->type.id == DSMX_DECIMAL)
			column->width = 16;
		if (dsmx_type_is_text(column->type))
			column->offset = column->type.id == DSMX_LARGE_UTF8 ? 8 : 4;
	}
	*ret_builder = builder;
	return 0;
}

int dx_builder_new(const struct dsmx_schema *schema, struct dx_builder **ret_builder)
{
	return new_builder(schema, false, ret_builder);
}

int dx_builder_new_wide(const struct dsmx_schema *schema, struct dx_builder **ret_builder)
{
	return new_builder(schema, true, ret_builder);
}

void dx_builder_free(struct dx_builder *builder)
{
	if (builder == NULL)
		return;
	for (uint32_t i = 0; i < builder->column_count; i++) {
		free(builder->columns[i].validity);
		free(builder->columns[i].values);
		free(builder->columns[i].bytes);
	}
	free(builder->views);
	free(builder);
}

/* --- room ---------------------------------------------------------------------------------------------- */

static int resize(uint8_t **memory, size_t bytes)
{
	uint8_t *now = realloc(*memory, bytes);

	if (now == NULL)
		return -ENOMEM;
	*memory = now;
	return 0;
}

static size_t value_bytes(const struct column *column, uint64_t rows)
{
	if (column->offset > 0)
		return (size_t)(rows + 1) * column->offset;
	return column->width > 0 ? (size_t)rows * column->width : dx_bits_bytes(rows);
}

static int reserve_rows(struct dx_builder *builder, uint32_t count)
{
	uint64_t need = (uint64_t)builder->rows + count, room = builder->room;

	if (need > UINT32_MAX)
		return -ERANGE;
	if (need <= room)
		return 0;
	room = room < ROWS_FIRST ? ROWS_FIRST : 2 * room;
	if (room < need)
		room = need;
	if (room > UINT32_MAX)
		room = UINT32_MAX;
	for (uint32_t i = 0; i < builder->column_count; i++) {
		struct column *column = &builder->columns[i];
		bool first = column->values == NULL;

		if (resize(&column->values, value_bytes(column, room)) < 0)
			return -ENOMEM;
		if (first && column->offset > 0)
			memset(column->values, 0, column->offset);
		if (column->validity != NULL && resize(&column->validity, dx_bits_bytes(room)) < 0)
			return -ENOMEM;
	}
	builder->room = (uint32_t)room;
	return 0;
}

static int begin_validity(struct dx_builder *builder, struct column *column)
{
	if (column->validity == NULL && resize(&column->validity, dx_bits_bytes(builder->room)) < 0)
		return -ENOMEM;
	dx_bits_fill(column->validity, 0, builder->rows);
	column->nulls = true;
	return 0;
}

static int reserve_bytes(struct column *column, uint64_t end)
{
	uint64_t room = column->room < 4096 ? 4096 : 2 * column->room;

	if (end <= column->room && column->bytes != NULL)
		return 0;
	if (room < end)
		room = end;
	if (resize(&column->bytes, (size_t)room) < 0)
		return -ENOMEM;
	column->room = room;
	return 0;
}

/* --- text ---------------------------------------------------------------------------------------------- */

static inline uint64_t get_offset(const void *offsets, size_t i, size_t width)
{
	return width == 8 ? ((const uint64_t *)offsets)[i] : ((const uint32_t *)offsets)[i];
}

static inline void put_offset(void *offsets, size_t i, size_t width, uint64_t offset)
{
	if (width == 8)
		((uint64_t *)offsets)[i] = offset;
	else
		((uint32_t *)offsets)[i] = (uint32_t)offset;
}

/* Which text of @from row @row has; false: none, the row is null. */
static inline bool text_entry(const struct dsmx_column *from, uint32_t row, uint32_t *ret_entry)
{
	if (from->validity != NULL && !dx_bit_get(from->validity, row))
		return false;
	*ret_entry = from->codes != NULL ? (uint32_t)from->codes[row] : row;
	return true;
}

/* Offsets of the rows to come, behind those that are there; returns where the bytes will end. */
static inline __attribute__((always_inline)) uint64_t add_offsets(void *to, uint64_t end,
                                                                  const struct dsmx_column *from,
                                                                  struct rows rows, size_t width)
{
	for (uint32_t i = 0; i < rows.count; i++) {
		uint32_t entry;

		if (text_entry(from, rows.list != NULL ? rows.list[i] : i, &entry))
			end += get_offset(from->values, entry + 1U, width) -
			       get_offset(from->values, entry, width);
		put_offset(to, i, width, end);
	}
	return end;
}

static int reserve_text(struct dx_builder *builder, struct column *column,
                        const struct dsmx_column *from, struct rows rows)
{
	uint8_t *to = column->values + ((size_t)builder->rows + 1) * column->offset;
	uint64_t end = column->used;

	if (column->offset == 8)
		end = add_offsets(to, end, from, rows, 8);
	else
		end = add_offsets(to, end, from, rows, 4);
	if (column->offset == 4 && end > INT32_MAX)
		return -ERANGE;
	return reserve_bytes(column, end);
}

/* Most texts are short: two copies that may overlap are less than a call. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t len)
{
	if (len > 16) {
		memcpy(to, from, len);
	} else if (len >= 8) {
		memcpy(to, from, 8);
		memcpy(to + len - 8, from + len - 8, 8);
	} else if (len >= 4) {
		memcpy(to, from, 4);
		memcpy(to + len - 4, from + len - 4, 4);
	} else {
		to[0] = from[0];
		to[len >> 1] = from[len >> 1];
		to[len - 1] = from[len - 1];
	}
}

static inline __attribute__((always_inline)) void
copy_texts(uint8_t *to, const struct dsmx_column *from, struct rows rows, size_t width)
{
	for (uint32_t i = 0; i < rows.count; i++) {
		uint64_t start, len;
		uint32_t entry;

		if (!text_entry(from, rows.list != NULL ? rows.list[i] : i, &entry))
			continue;
		start = get_offset(from->values, entry, width);
		len = get_offset(from->values, entry + 1U, width) - start;
		if (len == 0) /* then there may be no bytes at all */
			continue;
		copy_short(to, from->bytes + start, (size_t)len);
		to += len;
	}
}

static void append_text(struct dx_builder *builder, struct column *column,
                        const struct dsmx_column *from, struct rows rows)
{
	uint64_t end =
		get_offset(column->values, (size_t)builder->rows + rows.count, column->offset);
	uint8_t *to = column->bytes + column->used;

	/* All rows, no code, no null: the bytes are in one piece. */
	if (rows.list == NULL && from->codes == NULL && from->validity == NULL) {
		if (end > column->used)
			memcpy(to, from->bytes + get_offset(from->values, 0, column->offset),
			       (size_t)(end - column->used));
	} else if (column->offset == 8) {
		copy_texts(to, from, rows, 8);
	} else {
		copy_texts(to, from, rows, 4);
	}
	column->used = end;
}

/* --- fixed width --------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void gather(uint8_t *to, const uint8_t *from,
                                                         struct rows rows, size_t width)
{
	for (uint32_t i = 0; i < rows.count; i++)
		memcpy(to + i * width, from + rows.list[i] * width, width);
}

static void widen(uint8_t *to, const void *from, struct rows rows)
{
	const int64_t *values = from;

	for (uint32_t i = 0; i < rows.count; i++) {
		__int128 value = values[rows.list != NULL ? rows.list[i] : i];

		memcpy(to + i * sizeof(value), &value, sizeof(value));
	}
}

static void append_fixed(struct dx_builder *builder, struct column *column,
                         const struct dsmx_column *from, struct rows rows)
{
	uint8_t *to = column->values + (size_t)builder->rows * column->width;

	if (column->width != column->from_width)
		widen(to, from->values, rows);
	else if (rows.list == NULL)
		memcpy(to, from->values, (size_t)rows.count * column->width);
	else if (column->width == 8)
		gather(to, from->values, rows, 8);
	else if (column->width == 4)
		gather(to, from->values, rows, 4);
	else if (column->width == 16)
		gather(to, from->values, rows, 16);
	else if (column->width == 2)
		gather(to, from->values, rows, 2);
	else
		gather(to, from->values, rows, 1);
}

static void append_bits(uint8_t *to, uint64_t at, const uint8_t *from, struct rows rows)
{
	if (rows.list == NULL) {
		dx_bits_copy(to, at, from, 0, rows.count);
		return;
	}
	for (uint32_t i = 0; i < rows.count; i++)
		dx_bit_put(to, at + i, dx_bit_get(from, rows.list[i]));
}

/* --- appending ----------------------------------------------------------------------------------------- */

static int append(struct dx_builder *builder, const struct dsmx_batch *batch, struct rows rows)
{
	int ret;

	if (rows.count == 0)
		return 0;
	ret = reserve_rows(builder, rows.count);
	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < builder->column_count; i++) {
		struct column *column = &builder->columns[i];
		const struct dsmx_column *from = &batch->columns[i];

		ret = from->validity != NULL && !column->nulls ? begin_validity(builder, column)
		                                               : 0;
		if (ret == 0 && column->offset > 0)
			ret = reserve_text(builder, column, from, rows);
		if (ret < 0)
			return ret;
	}
	for (uint32_t i = 0; i < builder->column_count; i++) {
		struct column *column = &builder->columns[i];
		const struct dsmx_column *from = &batch->columns[i];

		if (from->validity != NULL)
			append_bits(column->validity, builder->rows, from->validity, rows);
		else if (column->nulls)
			dx_bits_fill(column->validity, builder->rows, rows.count);
		if (column->offset > 0)
			append_text(builder, column, from, rows);
		else if (column->width > 0)
			append_fixed(builder, column, from, rows);
		else
			append_bits(column->values, builder->rows, from->values, rows);
	}
	builder->rows += rows.count;
	return 0;
}

int dx_builder_append(struct dx_builder *builder, const struct dsmx_batch *batch)
{
	return append(builder, batch, (struct rows){ batch->selection, batch->selected });
}

int dx_builder_append_rows(struct dx_builder *builder, const struct dsmx_batch *batch,
                           const uint32_t *rows, uint32_t count)
{
	return append(builder, batch, (struct rows){ rows, count });
}

/* --- reading ------------------------------------------------------------------------------------------- */

uint64_t dx_builder_rows(const struct dx_builder *builder)
{
	return builder->rows;
}

uint64_t dx_builder_bytes(const struct dx_builder *builder)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < builder->column_count; i++) {
		const struct column *column = &builder->columns[i];

		bytes += value_bytes(column, builder->rows) + column->used;
		if (column->nulls)
			bytes += dx_bits_bytes(builder->rows);
	}
	return bytes;
}

void dx_builder_view(const struct dx_builder *builder, struct dsmx_batch *ret_batch)
{
	static const uint64_t no_values;

	for (uint32_t i = 0; i < builder->column_count; i++) {
		const struct column *column = &builder->columns[i];

		builder->views[i] = (struct dsmx_column){
			.validity = column->nulls ? column->validity : NULL,
			.values =
				column->values != NULL ? (const void *)column->values : &no_values,
			.bytes = column->bytes,
		};
	}
	*ret_batch = (struct dsmx_batch){
		.length = builder->rows,
		.selected = builder->rows,
		.column_count = builder->column_count,
		.columns = builder->views,
	};
}

void dx_builder_take(struct dx_builder *builder, uint32_t number, struct dsmx_column *ret_column)
{
	struct column *column = &builder->columns[number];

	*ret_column = (struct dsmx_column){
		.validity = column->nulls ? column->validity : NULL,
		.values = column->values,
		.bytes = column->bytes,
	};
	if (!column->nulls)
		free(column->validity);
	column->validity = NULL;
	column->values = NULL;
	column->bytes = NULL;
}

void dx_builder_clear(struct dx_builder *builder)
{
	builder->rows = 0;
	for (uint32_t i = 0; i < builder->column_count; i++) {
		builder->columns[i].used = 0;
		builder->columns[i].nulls = false;
	}
}
