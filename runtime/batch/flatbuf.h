/* SPDX-License-Identifier: MIT */
/*
 * flatbuf.h - as much of FlatBuffers as Arrow's metadata needs (flatbuffers.dev, "FlatBuffer internals")
 *
 * A table is an offset back to its vtable, then its fields; the vtable has for each field number its place in
 * the table, 0 for a field that is not there. Strings, vectors and other tables are elsewhere, at unsigned
 * offsets ahead of what refers to them.
 *
 * Reading: every access is checked against the buffer, and for alignment. The first breach is kept in the
 * struct dx_fb, and from then on every read gives the default, no table and empty vectors: so a reader
 * runs to its end and looks once. Nothing recurses and no offset leads back, so it ends.
 *
 * Writing: parents first. A table is written with zeros for its offsets; what they point to is appended
 * and then linked. A lack of memory is kept in the same way.
 */
#ifndef DX_BATCH_FLATBUF_H
#define DX_BATCH_FLATBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- reading ------------------------------------------------------------------------------------------- */

struct dx_fb {
	const uint8_t *bytes;
	uint32_t len;
	const char *broken; /* NULL: nothing so far */
	uint32_t broken_at;
};

struct dx_fb_table {
	struct dx_fb *fb;
	uint32_t at;
	uint32_t vtable;
	uint16_t len, vtable_len;
};

struct dx_fb_vector {
	struct dx_fb *fb;
	const uint8_t *items;
	uint32_t count;
};

/* The buffer's root table; false: broken. @bytes must be aligned to 8. */
bool dx_fb_root(struct dx_fb *fb, const void *bytes, size_t len, struct dx_fb_table *ret_table);

/* A number of @width bytes, sign-extended; @otherwise if it is not there. */
int64_t dx_fb_int(const struct dx_fb_table *table, unsigned int field, unsigned int width,
                  int64_t otherwise);

/* The rest: false if it is not there or broken; then what is returned is empty. */
bool dx_fb_table(const struct dx_fb_table *table, unsigned int field,
                 struct dx_fb_table *ret_table);
/* Items of @width bytes, aligned to the lesser of it and 8. */
bool dx_fb_vector(const struct dx_fb_table *table, unsigned int field, unsigned int width,
                  struct dx_fb_vector *ret_vector);
/* Item @i of a vector of tables (whose items are 4 bytes wide). */
bool dx_fb_item(const struct dx_fb_vector *vector, uint32_t i, struct dx_fb_table *ret_table);
/* A string that ends in its only 0. */
bool dx_fb_string(const struct dx_fb_table *table, unsigned int field, const char **ret_text,
                  uint32_t *ret_len);

static inline int64_t dx_fb_load_i64(const uint8_t *at)
{
	int64_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return value;
}

/* --- writing ------------------------------------------------------------------------------------------- */

struct dx_fb_writer {
	uint8_t *bytes; /* the caller frees it */
	size_t len, room;
	bool failed; /* no memory */
};

/* A field of a table to be written: 1, 2, 4 or 8 bytes; 0: not there. An offset has 4 and is linked later. */
struct dx_fb_field {
	uint8_t width;
	int64_t value;
};

/* Append a table; the first one in an empty writer is the root. Returns its place. */
size_t dx_fb_add_table(struct dx_fb_writer *writer, const struct dx_fb_field *fields,
                       unsigned int count);

/* Append one and let a field of @table, or the item at @item of a vector, point to it. */
size_t dx_fb_add_child(struct dx_fb_writer *writer, size_t table, unsigned int field,
                       const struct dx_fb_field *fields, unsigned int count);
size_t dx_fb_add_item(struct dx_fb_writer *writer, size_t item, const struct dx_fb_field *fields,
                      unsigned int count);

/* The same with a vector of zeros (returns the place of its first item) and a string. */
size_t dx_fb_add_vector(struct dx_fb_writer *writer, size_t table, unsigned int field,
                        uint32_t count, unsigned int width);
void dx_fb_add_string(struct dx_fb_writer *writer, size_t table, unsigned int field,
                      const char *text, size_t len);

void dx_fb_put_i64(struct dx_fb_writer *writer, size_t at, int64_t value);

/* Zeros up to a multiple of @align (a power of two) bytes, @ahead of them being written elsewhere. */
void dx_fb_pad(struct dx_fb_writer *writer, size_t align, size_t ahead);

#endif /* DX_BATCH_FLATBUF_H */
