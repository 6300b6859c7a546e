/* SPDX-License-Identifier: MIT */
#include "exec/sort_key.h"

#include <errno.h>
#include <stdlib.h>

#define MARK_NULL_FIRST 0
#define MARK_VALUE      1
#define MARK_NULL_LAST  2

/* Behind a text: its end, and what follows a zero byte that belongs to it. */
#define TEXT_END    0x00
#define TEXT_ESCAPE 0xff

int dx_sort_keys_init(struct dx_sort_keys *keys, const struct dsmx_schema *schema,
                      const struct dsmx_sort_key *columns, uint32_t key_count)
{
	size_t fixed = 0;
	bool has_text = false;
	int err = 0;

	*keys = (struct dx_sort_keys){ .key_count = key_count, .keys = columns };
	keys->gathers = calloc(key_count + 1UL, sizeof(struct dx_gather *));
	keys->vectors = calloc(key_count + 1UL, sizeof(*keys->vectors));
	keys->entries = calloc(DX_VECTOR_ROWS, sizeof(*keys->entries));
	keys->cursors = calloc(DX_VECTOR_ROWS, sizeof(*keys->cursors));
	if (keys->gathers == NULL || keys->vectors == NULL || keys->entries == NULL ||
	    keys->cursors == NULL)
		err = -ENOMEM;
	for (uint32_t i = 0; err == 0 && i < key_count; i++) {
		struct dsmx_type type = schema->fields[columns[i].column].type;

		has_text |= dsmx_type_is_text(type);
		fixed += 1 + (type.id == DSMX_BOOL ? 1 : dsmx_type_width(type));
		err = dx_gather_new(type, &keys->gathers[i]);
	}
	keys->is_short = !has_text && fixed <= DX_SORT_INLINE;
	if (err < 0)
		dx_sort_keys_fini(keys);
	return err;
}

void dx_sort_keys_fini(struct dx_sort_keys *keys)
{
	for (uint32_t i = 0; keys->gathers != NULL && i < keys->key_count; i++)
		dx_gather_free(keys->gathers[i]);
	free(keys->gathers);
	free(keys->vectors);
	free(keys->entries);
	free(keys->cursors);
	free(keys->bytes);
	*keys = (struct dx_sort_keys){ 0 };
}

/* --- one column ---------------------------------------------------------------------------------------- */

struct writer {
	uint8_t *bytes;
	size_t *cursors; /* of each row */
	uint32_t count;
	const uint8_t *valid;
	uint8_t null_mark;
	uint8_t invert; /* 0xff: descending */
};

/* Value i in a form whose unsigned order is the type's; written with its most significant byte first. */
#define PUT(type, word_type, to_big_endian, expression)                                            \
	do {                                                                                       \
		const type *values = vector->values;                                               \
		word_type flip = (word_type)(0 - (word_type)(w->invert & 1));                      \
		for (uint32_t i = 0; i < w->count; i++) {                                          \
			uint8_t *at = w->bytes + w->cursors[i];                                    \
			type v = values[i];                                                        \
			bool has = w->valid == NULL || w->valid[i];                                \
			word_type word = (word_type)((word_type)(expression) ^ flip);              \
			word = has ? to_big_endian(word) : (word_type)0;                           \
			at[0] = has ? MARK_VALUE : w->null_mark;                                   \
			memcpy(at + 1, &word, sizeof(word));                                       \
			w->cursors[i] += 1 + sizeof(word);                                         \
		}                                                                                  \
	} while (0)

#define BE8(word)     (word)
#define SIGN(bits)    ((uint64_t)1 << ((bits) - 1))
#define PUT_SIGNED(n) PUT(int##n##_t, uint##n##_t, BE##n, (uint64_t)v ^ SIGN(n))
#define PUT_UINT(n)   PUT(uint##n##_t, uint##n##_t, BE##n, v)
#define BE16(word)    __builtin_bswap16(word)
#define BE32(word)    __builtin_bswap32(word)
#define BE64(word)    __builtin_bswap64(word)

/* The bits of a float: negative ones backwards, below the others; -0.0 is 0.0, any NaN is the greatest. */
static uint32_t order_of_float(float v)
{
	uint32_t bits;

	if (v != v)
		return UINT32_MAX;
	v += 0.0F;
	memcpy(&bits, &v, sizeof(bits));
	return bits & (uint32_t)SIGN(32) ? ~bits : bits | (uint32_t)SIGN(32);
}

static uint64_t order_of_double(double v)
{
	uint64_t bits;

	if (v != v)
		return UINT64_MAX;
	v += 0.0;
	memcpy(&bits, &v, sizeof(bits));
	return bits & SIGN(64) ? ~bits : bits | SIGN(64);
}

static void put_wide(const struct writer *w, const struct dx_vector *vector)
{
	for (uint32_t i = 0; i < w->count; i++) {
		uint8_t *at = w->bytes + w->cursors[i];
		bool has = w->valid == NULL || w->valid[i];
		uint64_t flip = 0 - (uint64_t)(w->invert & 1), words[2];

		memcpy(words, (const uint8_t *)vector->values + 16 * (size_t)i, sizeof(words));
		uint64_t high = has ? BE64(words[1] ^ SIGN(64) ^ flip) : 0;
		uint64_t low = has ? BE64(words[0] ^ flip) : 0;

		at[0] = has ? MARK_VALUE : w->null_mark;
		memcpy(at + 1, &high, sizeof(high));
		memcpy(at + 9, &low, sizeof(low));
		w->cursors[i] += 17;
	}
}

/* Bytes of a text that are zero. */
static size_t count_zeros(const struct dx_text *text)
{
	const char *at = text->bytes, *end = text->bytes + text->len;
	size_t zeros = 0;

	while (at < end && (at = memchr(at, 0, (size_t)(end - at))) != NULL) {
		zeros++;
		at++;
	}
	return zeros;
}

static void put_texts(const struct writer *w, const struct dx_vector *vector)
{
	const struct dx_text *texts = vector->values;

	for (uint32_t i = 0; i < w->count; i++) {
		uint8_t *start = w->bytes + w->cursors[i], *at = start;
		bool has = w->valid == NULL || w->valid[i];
		uint32_t len = has ? texts[i].len : 0;

		*at++ = has ? MARK_VALUE : w->null_mark;
		for (uint32_t b = 0; b < len; b++) {
			uint8_t byte = (uint8_t)texts[i].bytes[b];

			*at++ = byte ^ w->invert;
			if (byte == 0)
				*at++ = TEXT_ESCAPE ^ w->invert;
		}
		if (has) {
			*at++ = TEXT_END ^ w->invert;
			*at++ = TEXT_END ^ w->invert;
		}
		w->cursors[i] += (size_t)(at - start);
	}
}

static void put_column(const struct writer *w, const struct dx_vector *vector)
{
	size_t width = dsmx_type_width(vector->type);
	uint8_t id = vector->type.id;

	if (dsmx_type_is_text(vector->type))
		put_texts(w, vector);
	else if (id == DSMX_FLOAT32)
		PUT(float, uint32_t, BE32, order_of_float(v));
	else if (id == DSMX_FLOAT64)
		PUT(double, uint64_t, BE64, order_of_double(v));
	else if (id == DSMX_BOOL || id == DSMX_UINT8)
		PUT_UINT(8);
	else if (id == DSMX_UINT16)
		PUT_UINT(16);
	else if (id == DSMX_UINT32)
		PUT_UINT(32);
	else if (id == DSMX_UINT64)
		PUT_UINT(64);
	else if (width == 1)
		PUT_SIGNED(8);
	else if (width == 2)
		PUT_SIGNED(16);
	else if (width == 4)
		PUT_SIGNED(32);
	else if (width == 8)
		PUT_SIGNED(64);
	else
		put_wide(w, vector);
}

/* --- all columns --------------------------------------------------------------------------------------- */

/* Adds what a column's keys will take to the rows' cursors. */
static void measure(const struct dx_vector *vector, uint32_t count, size_t *cursors)
{
	const struct dx_text *texts = vector->values;
	size_t width = vector->type.id == DSMX_BOOL ? 1 : dsmx_type_width(vector->type);

	for (uint32_t i = 0; i < count; i++) {
		if (!dsmx_type_is_text(vector->type))
			cursors[i] += 1 + width;
		else if (vector->valid == NULL || vector->valid[i])
			cursors[i] += 1 + texts[i].len + count_zeros(&texts[i]) + 2;
		else
			cursors[i] += 1;
	}
}

/* Lengths become the places where the keys begin. */
static int place(struct dx_sort_keys *keys, uint32_t count)
{
	size_t at = 0;

	for (uint32_t i = 0; i < count; i++) {
		size_t len = keys->cursors[i];

		if (len > UINT32_MAX)
			return -E2BIG;
		keys->entries[i].len = (uint32_t)len;
		keys->cursors[i] = at;
		at += len;
	}
	at += DX_SORT_INLINE; /* the prefix is read in one go */
	if (at > keys->room) {
		uint8_t *grown = realloc(keys->bytes, at + at / 2);

		if (grown == NULL)
			return -ENOMEM;
		keys->bytes = grown;
		keys->room = at + at / 2;
	}
	for (uint32_t i = 0; i < count; i++)
		keys->entries[i].bytes = keys->bytes + keys->cursors[i];
	return 0;
}

/* The first bytes of each key as numbers. */
static void load_prefixes(struct dx_sort_keys *keys, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct dx_sort_entry *entry = &keys->entries[i];
		uint32_t len = entry->len < DX_SORT_INLINE ? entry->len : DX_SORT_INLINE;
		uint64_t words[2] = { 0 };

		memcpy(words, entry->bytes, len);
		entry->high = BE64(words[0]);
		entry->low = BE64(words[1]);
		if (keys->is_short)
			entry->bytes = NULL;
	}
}

int dx_sort_keys_encode(struct dx_sort_keys *keys, const struct dsmx_batch *batch)
{
	struct writer writer = { .cursors = keys->cursors, .count = batch->selected };
	int err;

	memset(keys->cursors, 0, batch->selected * sizeof(*keys->cursors));
	for (uint32_t k = 0; k < keys->key_count; k++) {
		err = dx_gather_run(keys->gathers[k], batch, keys->keys[k].column,
		                    &keys->vectors[k]);
		if (err < 0)
			return err;
		measure(&keys->vectors[k], batch->selected, keys->cursors);
	}
	err = place(keys, batch->selected);
	if (err < 0)
		return err;
	writer.bytes = keys->bytes;
	for (uint32_t k = 0; k < keys->key_count; k++) {
		writer.valid = keys->vectors[k].valid;
		writer.null_mark = keys->keys[k].nulls_first ? MARK_NULL_FIRST : MARK_NULL_LAST;
		writer.invert = keys->keys[k].descending ? 0xff : 0;
		put_column(&writer, &keys->vectors[k]);
	}
	load_prefixes(keys, batch->selected);
	return 0;
}
