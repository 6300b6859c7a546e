/* SPDX-License-Identifier: MIT */
/*
 * gather.c - between the columns of a batch and dense vectors
 *
 * Towards vectors nothing is copied that need not be: where the selected rows stand side by side (no
 * selection, or one without gaps), fixed-width values are used in place. Bitmaps always become bytes, and
 * a bitmap without a null in it becomes "no nulls", which the kernels have a shorter way for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exec/bits.h"
#include "exec/decimal.h"
#include "exec/program.h"

struct dx_gather {
	struct dsmx_type type;
	uint8_t *valid; /* a byte for each row, or their bits */
	void *values;   /* of the widest that the type needs in either direction */
	uint8_t *bytes; /* of texts, towards a column */
	size_t room;    /* at @bytes */
};

int dx_gather_new(struct dsmx_type type, struct dx_gather **ret_gather)
{
	size_t width = dx_vector_width(type);
	struct dx_gather *gather;

	if (width == 0)
		return -EINVAL;
	gather = calloc(1, sizeof(*gather));
	if (gather == NULL)
		return -ENOMEM;
	gather->type = type;
	gather->valid = aligned_alloc(64, DX_VECTOR_ROWS);
	/* One row more: a text column has an offset more than it has rows. */
	gather->values = aligned_alloc(64, (DX_VECTOR_ROWS + 64) * width);
	if (gather->valid == NULL || gather->values == NULL) {
		dx_gather_free(gather);
		return -ENOMEM;
	}
	*ret_gather = gather;
	return 0;
}

void dx_gather_free(struct dx_gather *gather)
{
	if (gather == NULL)
		return;
	free(gather->valid);
	free(gather->values);
	free(gather->bytes);
	free(gather);
}

/* --- from a column to a vector ----------------------------------------------------------------------- */

/*
 * The rows of a batch as one run where they are one.
 *
 * Returns whether they are; the first row is at @ret_first.
 */
static bool rows_are_dense(const struct dsmx_batch *batch, uint32_t *ret_first)
{
	uint32_t first = 0;

	if (batch->selection != NULL && batch->selected > 0) {
		first = batch->selection[0];
		if (batch->selection[batch->selected - 1] - first != batch->selected - 1)
			return false;
	}
	*ret_first = first;
	return true;
}

/* Bits of the selected rows as bytes. Returns whether all are 1. */
static bool take_bits(const uint8_t *bits, const struct dsmx_batch *batch, uint8_t *bytes)
{
	const uint32_t *rows = batch->selection;
	uint32_t first;
	uint8_t all = 1;

	if (rows_are_dense(batch, &first) && first % 8 == 0)
		return dx_bits_to_bytes(bits + first / 8, batch->selected, bytes);
	for (uint32_t i = 0; i < batch->selected; i++) {
		bytes[i] = (uint8_t)dx_bit_get(bits, rows[i]);
		all &= bytes[i];
	}
	return all != 0;
}

#define TAKE(type)                                                                                 \
	do {                                                                                       \
		const type *from_ = from;                                                          \
		type *to_ = to;                                                                    \
		for (uint32_t i = 0; i < count; i++)                                               \
			to_[i] = from_[rows[i]];                                                   \
	} while (0)

static void take_fixed(const void *from, size_t width, const uint32_t *rows, uint32_t count,
                       void *to)
{
	switch (width) {
	case 1:
		TAKE(uint8_t);
		break;
	case 2:
		TAKE(uint16_t);
		break;
	case 4:
		TAKE(uint32_t);
		break;
	case 8:
		TAKE(uint64_t);
		break;
	default:
		TAKE(struct dx_words);
		break;
	}
}

#define TEXTS(offset_type, entry)                                                                  \
	do {                                                                                       \
		const offset_type *offsets = column->values;                                       \
		for (uint32_t i = 0; i < batch->selected; i++) {                                   \
			size_t e = (size_t)(entry);                                                \
			int64_t len = offsets[e + 1] - offsets[e];                                 \
			longest |= (uint64_t)len;                                                  \
			to[i].bytes = (const char *)column->bytes + offsets[e];                    \
			to[i].len = (uint32_t)len;                                                 \
		}                                                                                  \
	} while (0)

#define TEXTS_BY_ROWS(offset_type)                                                                 \
	do {                                                                                       \
		if (column->codes != NULL && rows != NULL)                                         \
			TEXTS(offset_type, column->codes[rows[i]]);                                \
		else if (column->codes != NULL)                                                    \
			TEXTS(offset_type, column->codes[i]);                                      \
		else if (rows != NULL)                                                             \
			TEXTS(offset_type, rows[i]);                                               \
		else                                                                               \
			TEXTS(offset_type, i);                                                     \
	} while (0)

/* Returns 0 or -ERANGE: a text of over 4 GiB. */
static int take_texts(struct dsmx_type type, const struct dsmx_column *column,
                      const struct dsmx_batch *batch, struct dx_text *to)
{
	const uint32_t *rows = batch->selection;
	uint64_t longest = 0;

	if (column->codes != NULL && column->dictionary_length == 0) {
		memset(to, 0, sizeof(*to) * batch->selected); /* nulls only */
		return 0;
	}
	if (type.id == DSMX_LARGE_UTF8)
		TEXTS_BY_ROWS(int64_t);
	else
		TEXTS_BY_ROWS(int32_t);
	return longest > UINT32_MAX ? -ERANGE : 0;
}

int dx_gather_into(struct dsmx_type type, const struct dsmx_batch *batch, uint32_t column,
                   uint8_t *valid, void *values, struct dx_vector *ret_vector)
{
	const struct dsmx_column *from = &batch->columns[column];
	struct dx_vector vector = { .type = type, .values = values };
	size_t width = dsmx_type_width(type);
	uint32_t first;
	int err;

	if (batch->selected > DX_VECTOR_ROWS)
		return -EINVAL;
	if (from->validity != NULL && !take_bits(from->validity, batch, valid))
		vector.valid = valid;
	if (dsmx_type_is_text(type)) {
		err = take_texts(type, from, batch, values);
		if (err < 0)
			return err;
	} else if (type.id == DSMX_BOOL) {
		(void)take_bits(from->values, batch, values);
	} else if (rows_are_dense(batch, &first)) {
		vector.values = (const uint8_t *)from->values + first * width;
	} else {
		take_fixed(from->values, width, batch->selection, batch->selected, values);
	}
	*ret_vector = vector;
	return 0;
}

int dx_gather_run(struct dx_gather *gather, const struct dsmx_batch *batch, uint32_t column,
                  struct dx_vector *ret_vector)
{
	return dx_gather_into(gather->type, batch, column, gather->valid, gather->values,
	                      ret_vector);
}

/* --- from a vector to a column ----------------------------------------------------------------------- */

static int reserve_bytes(struct dx_gather *gather, size_t need)
{
	uint8_t *grown;

	if (need <= gather->room)
		return 0;
	need += need / 2;
	grown = realloc(gather->bytes, need);
	if (grown == NULL)
		return -ENOMEM;
	gather->bytes = grown;
	gather->room = need;
	return 0;
}

#define PUT_OFFSETS(offset_type)                                                                   \
	do {                                                                                       \
		offset_type *offsets = gather->values;                                             \
		for (uint32_t i = 0; i < count; i++) {                                             \
			uint32_t len = valid == NULL || valid[i] ? texts[i].len : 0;               \
			offsets[i] = (offset_type)at;                                              \
			if (len > 0)                                                               \
				memcpy(gather->bytes + at, texts[i].bytes, len);                   \
			at += len;                                                                 \
		}                                                                                  \
		offsets[count] = (offset_type)at;                                                  \
	} while (0)

static int put_texts(struct dx_gather *gather, const struct dx_vector *vector, uint32_t count)
{
	const struct dx_text *texts = vector->values;
	const uint8_t *valid = vector->valid;
	size_t total = 0, at = 0;
	int err;

	for (uint32_t i = 0; i < count; i++)
		total += valid == NULL || valid[i] ? texts[i].len : 0;
	if (gather->type.id != DSMX_LARGE_UTF8 && total > INT32_MAX)
		return -ERANGE;
	err = reserve_bytes(gather, total + 1);
	if (err < 0)
		return err;
	if (gather->type.id == DSMX_LARGE_UTF8)
		PUT_OFFSETS(int64_t);
	else
		PUT_OFFSETS(int32_t);
	return 0;
}

int dx_gather_column(struct dx_gather *gather, const struct dx_vector *vector, uint32_t count,
                     struct dsmx_column *ret_column)
{
	struct dsmx_column column = { .values = gather->values };
	int err;

	if (count > DX_VECTOR_ROWS)
		return -EINVAL;
	if (dsmx_type_is_text(gather->type)) {
		err = put_texts(gather, vector, count);
		if (err < 0)
			return err;
		column.bytes = gather->bytes;
	} else if (gather->type.id == DSMX_BOOL) {
		dx_bytes_to_bits(vector->values, count, gather->values);
	} else {
		column.values = vector->values;
	}
	if (vector->valid != NULL) {
		dx_bytes_to_bits(vector->valid, count, gather->valid);
		column.validity = gather->valid;
	}
	*ret_column = column;
	return 0;
}
