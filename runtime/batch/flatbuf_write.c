/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "batch/flatbuf.h"

#define FIELDS_MAX 16

/* Append @bytes zeros; returns their place. After a failure places mean nothing, and nothing is written. */
static size_t append(struct dx_fb_writer *writer, size_t bytes)
{
	size_t at = writer->len, room = writer->room < 512 ? 512 : writer->room;
	uint8_t *memory;

	while (room < at + bytes)
		room *= 2;
	if (!writer->failed && room > writer->room) {
		memory = realloc(writer->bytes, room);
		if (memory == NULL) {
			writer->failed = true;
		} else {
			writer->bytes = memory;
			writer->room = room;
		}
	}
	if (writer->failed)
		return 0;
	memset(writer->bytes + at, 0, bytes);
	writer->len = at + bytes;
	return at;
}

static void store(struct dx_fb_writer *writer, size_t at, uint64_t value, size_t width)
{
	if (!writer->failed)
		memcpy(writer->bytes + at, &value, width);
}

static uint16_t load16(const struct dx_fb_writer *writer, size_t at)
{
	uint16_t value = 0;

	if (!writer->failed)
		memcpy(&value, writer->bytes + at, sizeof(value));
	return value;
}

void dx_fb_pad(struct dx_fb_writer *writer, size_t align, size_t ahead)
{
	append(writer, (align - (writer->len + ahead) % align) % align);
}

static void link_to(struct dx_fb_writer *writer, size_t from, size_t target)
{
	store(writer, from, target - from, 4);
}

static size_t field_at(const struct dx_fb_writer *writer, size_t table, unsigned int field)
{
	int32_t back = 0;

	if (writer->failed)
		return 0;
	memcpy(&back, writer->bytes + table, sizeof(back));
	return table + load16(writer, table - (size_t)back + 4 + 2 * field);
}

size_t dx_fb_add_table(struct dx_fb_writer *writer, const struct dx_fb_field *fields,
                       unsigned int count)
{
	bool root = writer->len == 0;
	size_t vtable_len = 4 + 2 * (size_t)count, len = 4, vtable, table;
	uint16_t places[FIELDS_MAX] = { 0 };

	for (unsigned int i = 0; i < count; i++) {
		size_t width = fields[i].width;

		if (width == 0)
			continue;
		len = (len + width - 1) / width * width;
		places[i] = (uint16_t)len;
		len += width;
	}
	if (root)
		append(writer, 4);
	/* The vtable, then at once the table, aligned to 8 as its widest field may be. */
	dx_fb_pad(writer, 8, vtable_len);
	vtable = append(writer, vtable_len);
	table = append(writer, len);
	store(writer, vtable, vtable_len, 2);
	store(writer, vtable + 2, len, 2);
	store(writer, table, table - vtable, 4);
	for (unsigned int i = 0; i < count; i++) {
		store(writer, vtable + 4 + 2 * (size_t)i, places[i], 2);
		if (places[i] != 0)
			store(writer, table + places[i], (uint64_t)fields[i].value,
			      fields[i].width);
	}
	if (root)
		link_to(writer, 0, table);
	return table;
}

size_t dx_fb_add_child(struct dx_fb_writer *writer, size_t table, unsigned int field,
                       const struct dx_fb_field *fields, unsigned int count)
{
	return dx_fb_add_item(writer, field_at(writer, table, field), fields, count);
}

size_t dx_fb_add_item(struct dx_fb_writer *writer, size_t item, const struct dx_fb_field *fields,
                      unsigned int count)
{
	size_t child = dx_fb_add_table(writer, fields, count);

	link_to(writer, item, child);
	return child;
}

size_t dx_fb_add_vector(struct dx_fb_writer *writer, size_t table, unsigned int field,
                        uint32_t count, unsigned int width)
{
	size_t vector;

	dx_fb_pad(writer, width < 8 ? 4 : 8, 4); /* the count is in front of the first item */
	vector = append(writer, 4 + (size_t)count * width);
	store(writer, vector, count, 4);
	link_to(writer, field_at(writer, table, field), vector);
	return vector + 4;
}

void dx_fb_add_string(struct dx_fb_writer *writer, size_t table, unsigned int field,
                      const char *text, size_t len)
{
	size_t at = dx_fb_add_vector(writer, table, field, (uint32_t)len, 1);

	append(writer, 1); /* the 0 */
	if (!writer->failed)
		memcpy(writer->bytes + at, text, len);
}

void dx_fb_put_i64(struct dx_fb_writer *writer, size_t at, int64_t value)
{
	store(writer, at, (uint64_t)value, 8);
}
