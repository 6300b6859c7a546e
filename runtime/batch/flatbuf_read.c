/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "batch/flatbuf.h"

static bool broken(struct dx_fb *fb, uint64_t at, const char *what)
{
	if (fb->broken == NULL) {
		fb->broken = what;
		fb->broken_at = at > fb->len ? fb->len : (uint32_t)at;
	}
	return false;
}

/* May @bytes bytes at @at be read as things of alignment @align? */
static bool within(struct dx_fb *fb, uint64_t at, uint64_t bytes, unsigned int align)
{
	if (fb->broken != NULL)
		return false;
	if (at > fb->len || bytes > fb->len - at)
		return broken(fb, at, "something reaches beyond the end");
	if (at % align != 0)
		return broken(fb, at, "something is not aligned");
	return true;
}

static uint16_t load16(const struct dx_fb *fb, uint64_t at)
{
	uint16_t value;

	memcpy(&value, fb->bytes + at, sizeof(value));
	return value;
}

static uint32_t load32(const struct dx_fb *fb, uint64_t at)
{
	uint32_t value;

	memcpy(&value, fb->bytes + at, sizeof(value));
	return value;
}

static bool table_at(struct dx_fb *fb, uint64_t at, struct dx_fb_table *ret_table)
{
	struct dx_fb_table table = { .fb = fb };
	int64_t vtable;

	*ret_table = table;
	if (!within(fb, at, 4, 4))
		return false;
	vtable = (int64_t)at - (int32_t)load32(fb, at);
	if (vtable < 0)
		return broken(fb, at, "a vtable lies before the start");
	if (!within(fb, (uint64_t)vtable, 4, 2))
		return false;
	table.at = (uint32_t)at;
	table.vtable = (uint32_t)vtable;
	table.vtable_len = load16(fb, (uint64_t)vtable);
	table.len = load16(fb, (uint64_t)vtable + 2);
	if (table.vtable_len < 4 || table.vtable_len % 2 != 0 || table.len < 4)
		return broken(fb, (uint64_t)vtable, "a vtable has an impossible length");
	if (!within(fb, (uint64_t)vtable, table.vtable_len, 2) || !within(fb, at, table.len, 4))
		return false;
	*ret_table = table;
	return true;
}

/* What the offset at @at points to. */
static bool follow(struct dx_fb *fb, uint64_t at, uint64_t *ret_target)
{
	uint32_t ahead;

	if (!within(fb, at, 4, 4))
		return false;
	ahead = load32(fb, at);
	if (ahead == 0)
		return broken(fb, at, "an offset is 0");
	*ret_target = at + ahead;
	return true;
}

bool dx_fb_root(struct dx_fb *fb, const void *bytes, size_t len, struct dx_fb_table *ret_table)
{
	uint64_t at;

	*fb = (struct dx_fb){ .bytes = bytes, .len = len > INT32_MAX ? 0 : (uint32_t)len };
	*ret_table = (struct dx_fb_table){ .fb = fb };
	return follow(fb, 0, &at) && table_at(fb, at, ret_table);
}

/* The place of a field of @width bytes; 0: it is not there. */
static uint64_t field_at(const struct dx_fb_table *table, unsigned int field, unsigned int width)
{
	uint32_t entry = 4 + 2 * field;
	uint16_t place;

	if (table->fb->broken != NULL || entry + 2 > table->vtable_len)
		return 0;
	place = load16(table->fb, (uint64_t)table->vtable + entry);
	if (place == 0)
		return 0;
	if (place < 4 || place + width > table->len) {
		(void)broken(table->fb, (uint64_t)table->vtable + entry,
		             "a field lies outside of its table");
		return 0;
	}
	if (!within(table->fb, (uint64_t)table->at + place, width, width))
		return 0;
	return (uint64_t)table->at + place;
}

int64_t dx_fb_int(const struct dx_fb_table *table, unsigned int field, unsigned int width,
                  int64_t otherwise)
{
	uint64_t at = field_at(table, field, width), raw = 0;
	unsigned int unused = 64 - 8 * width;

	if (at == 0)
		return otherwise;
	memcpy(&raw, table->fb->bytes + at, width);
	return (int64_t)(raw << unused) >> unused;
}

bool dx_fb_table(const struct dx_fb_table *table, unsigned int field, struct dx_fb_table *ret_table)
{
	uint64_t at = field_at(table, field, 4), target;

	*ret_table = (struct dx_fb_table){ .fb = table->fb };
	return at != 0 && follow(table->fb, at, &target) && table_at(table->fb, target, ret_table);
}

bool dx_fb_vector(const struct dx_fb_table *table, unsigned int field, unsigned int width,
                  struct dx_fb_vector *ret_vector)
{
	uint64_t at = field_at(table, field, 4), target;
	unsigned int align = width < 8 ? width : 8;
	struct dx_fb *fb = table->fb;
	uint32_t count;

	*ret_vector = (struct dx_fb_vector){ .fb = fb };
	if (at == 0 || !follow(fb, at, &target) || !within(fb, target, 4, 4))
		return false;
	count = load32(fb, target);
	if (!within(fb, target + 4, (uint64_t)count * width, count > 0 ? align : 1))
		return false;
	*ret_vector = (struct dx_fb_vector){ fb, fb->bytes + target + 4, count };
	return true;
}

bool dx_fb_item(const struct dx_fb_vector *vector, uint32_t i, struct dx_fb_table *ret_table)
{
	struct dx_fb *fb = vector->fb;
	uint64_t target;

	*ret_table = (struct dx_fb_table){ .fb = fb };
	if (i >= vector->count)
		return false;
	return follow(fb, (uint64_t)(vector->items - fb->bytes) + 4ULL * i, &target) &&
	       table_at(fb, target, ret_table);
}

bool dx_fb_string(const struct dx_fb_table *table, unsigned int field, const char **ret_text,
                  uint32_t *ret_len)
{
	struct dx_fb *fb = table->fb;
	struct dx_fb_vector vector;
	uint64_t at;

	*ret_text = "";
	*ret_len = 0;
	if (!dx_fb_vector(table, field, 1, &vector))
		return false;
	at = (uint64_t)(vector.items - fb->bytes);
	if (!within(fb, at, (uint64_t)vector.count + 1, 1))
		return false;
	if (memchr(vector.items, 0, (size_t)vector.count + 1) != vector.items + vector.count)
		return broken(fb, at, "a string does not end in its only 0");
	*ret_text = (const char *)vector.items;
	*ret_len = vector.count;
	return true;
}
