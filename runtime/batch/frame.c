/* SPDX-License-Identifier: MIT */
#include "batch/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/order.h"

#define LINE DSMX_LINE_BYTES

struct dx_frame_reader {
	const struct dsmx_schema *schema;
	struct dsmx_column *columns;
	void **offsets;        /* by column: copies, for text */
	uint32_t offsets_room; /* 0: none yet; no rows have one offset, too */
};

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + LINE - 1) & ~(uint64_t)(LINE - 1);
}

static size_t offset_bytes(struct dsmx_type type)
{
	return type.id == DSMX_LARGE_UTF8 ? 8 : 4;
}

static uint64_t values_bytes(struct dsmx_type type, uint64_t rows)
{
	if (dsmx_type_is_text(type))
		return (rows + 1) * offset_bytes(type);
	return type.id == DSMX_BOOL ? (rows + 7) / 8 : rows * dsmx_type_width(type);
}

static uint64_t header_bytes(uint32_t columns)
{
	return round_up(sizeof(struct dsmx_frame_abi) +
	                (uint64_t)columns * sizeof(struct dsmx_frame_column_abi));
}

int64_t dx_frame_plan(const struct dsmx_schema *schema, uint32_t rows, const uint32_t *text_rooms,
                      struct dx_frame_column *ret_columns)
{
	uint64_t end = header_bytes(schema->field_count);

	for (uint32_t i = 0; i < schema->field_count; i++) {
		struct dsmx_type type = schema->fields[i].type;
		struct dx_frame_column *c = &ret_columns[i];

		*c = (struct dx_frame_column){ 0 };
		if (end > INT32_MAX)
			return -E2BIG;
		if (schema->fields[i].nullable) {
			c->validity = (uint32_t)end;
			end += round_up(((uint64_t)rows + 7) / 8);
		}
		c->values = (uint32_t)end;
		end += round_up(values_bytes(type, rows));
		if (!dsmx_type_is_text(type) || end > INT32_MAX)
			continue;
		c->text = (uint32_t)end;
		c->text_room = text_rooms == NULL ? 0 : text_rooms[i];
		end += round_up(c->text_room);
	}
	return end > INT32_MAX ? -E2BIG : (int64_t)end;
}

size_t dx_frame_row_bytes(const struct dsmx_schema *schema)
{
	size_t bits = 0;

	for (uint32_t i = 0; i < schema->field_count; i++) {
		struct dsmx_type type = schema->fields[i].type;

		bits += schema->fields[i].nullable;
		if (dsmx_type_is_text(type))
			bits += 8 * offset_bytes(type);
		else
			bits += type.id == DSMX_BOOL ? 1 : 8 * dsmx_type_width(type);
	}
	return (bits + 7) / 8;
}

void dx_frame_reader_free(struct dx_frame_reader *reader)
{
	if (reader == NULL)
		return;
	for (uint32_t i = 0; reader->offsets != NULL && i < reader->schema->field_count; i++)
		free(reader->offsets[i]);
	free(reader->offsets);
	free(reader->columns);
	free(reader);
}

int dx_frame_reader_new(const struct dsmx_schema *schema, struct dx_frame_reader **ret_reader)
{
	struct dx_frame_reader *reader = calloc(1, sizeof(*reader));

	if (reader == NULL)
		return -ENOMEM;
	reader->schema = schema;
	reader->columns = calloc(schema->field_count + 1, sizeof(*reader->columns));
	reader->offsets = calloc(schema->field_count + 1, sizeof(*reader->offsets));
	if (reader->columns == NULL || reader->offsets == NULL) {
		dx_frame_reader_free(reader);
		return -ENOMEM;
	}
	*ret_reader = reader;
	return 0;
}

static int make_room(struct dx_frame_reader *reader, uint32_t rows)
{
	if (rows < reader->offsets_room)
		return 0;
	for (uint32_t i = 0; i < reader->schema->field_count; i++) {
		struct dsmx_type type = reader->schema->fields[i].type;
		void *more;

		if (!dsmx_type_is_text(type))
			continue;
		more = realloc(reader->offsets[i], values_bytes(type, rows));
		if (more == NULL)
			return -ENOMEM;
		reader->offsets[i] = more;
	}
	reader->offsets_room = rows + 1;
	return 0;
}

static bool is_within(uint32_t at, uint64_t bytes, uint32_t len_bytes)
{
	return at % LINE == 0 && at <= len_bytes && bytes <= len_bytes - at;
}

/* Copied first, checked after: they must begin at or after 0, never fall, and end within the text. */
static bool copy_offsets(struct dsmx_type type, const void *from, uint32_t rows,
                         uint32_t text_bytes, void *to)
{
	bool good = true;

	dx_copy_once(to, from, values_bytes(type, rows));
	if (type.id == DSMX_LARGE_UTF8) {
		const int64_t *offsets = to;

		for (uint32_t i = 0; i < rows; i++)
			good &= offsets[i] <= offsets[i + 1];
		return good && offsets[0] >= 0 && offsets[rows] <= text_bytes;
	}
	const int32_t *offsets = to;

	for (uint32_t i = 0; i < rows; i++)
		good &= offsets[i] <= offsets[i + 1];
	return good && offsets[0] >= 0 && (uint32_t)offsets[rows] <= text_bytes;
}

static int read_column(struct dx_frame_reader *reader, const char *bytes, uint32_t len_bytes,
                       uint32_t rows, uint32_t i)
{
	struct dsmx_type type = reader->schema->fields[i].type;
	struct dsmx_frame_column_abi c;
	struct dsmx_column *out = &reader->columns[i];

	dx_copy_once(&c, bytes + sizeof(struct dsmx_frame_abi) + i * sizeof(c), sizeof(c));
	if (!is_within(c.values, values_bytes(type, rows), len_bytes) || c.values == 0 ||
	    (c.validity != 0 && !is_within(c.validity, ((uint64_t)rows + 7) / 8, len_bytes)))
		return -EBADMSG;
	*out = (struct dsmx_column){
		.validity = c.validity == 0 ? NULL : (const uint8_t *)bytes + c.validity,
		.values = bytes + c.values,
	};
	if (!dsmx_type_is_text(type))
		return 0;
	if (!is_within(c.text, c.text_bytes, len_bytes) ||
	    !copy_offsets(type, out->values, rows, c.text_bytes, reader->offsets[i]))
		return -EBADMSG;
	out->values = reader->offsets[i];
	out->bytes = (const uint8_t *)bytes + c.text;
	return 0;
}

int dx_frame_read(struct dx_frame_reader *reader, const void *bytes, uint32_t len_bytes,
                  uint32_t rows, struct dsmx_batch *ret_batch)
{
	uint32_t count = reader->schema->field_count;
	struct dsmx_frame_abi head;
	int r;

	if (len_bytes < header_bytes(count))
		return -EBADMSG;
	dx_copy_once(&head, bytes, sizeof(head));
	if (head.magic != DSMX_FRAME_MAGIC || head.rows != rows || head.columns != count ||
	    head.bytes != len_bytes || rows > DSMX_BATCH_ROWS_MAX)
		return -EBADMSG;
	r = make_room(reader, rows);
	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = read_column(reader, bytes, len_bytes, rows, i);
	if (r < 0)
		return r;
	*ret_batch = (struct dsmx_batch){
		.length = rows,
		.selected = rows,
		.column_count = count,
		.columns = reader->columns,
	};
	return 0;
}
