/* SPDX-License-Identifier: MIT */
#include "exec/take.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "batch/bits.h"

/* The dictionary of a column that is null everywhere: one empty text. */
static const int64_t no_offsets[2];

struct taken {
	struct dsmx_type type;
	size_t width; /* of a value; 0: bool; of a code for texts */
	uint8_t *validity;
	uint8_t *values; /* or codes */
};

struct dx_take {
	uint32_t column_count;
	uint32_t room;
	uint32_t *safe; /* row numbers, with 0 for none */
	struct taken columns[];
};

/* Which rows go where: every kernel's arguments. */
struct moves {
	const uint32_t *rows; /* none: 0 */
	const uint32_t *at;
	const uint32_t *asked; /* none: DX_TAKE_NONE; NULL: there is none */
	uint32_t count;
};

int dx_take_new(const struct dsmx_schema *schema, uint32_t room, struct dx_take **ret_take)
{
	struct dx_take *take =
		calloc(1, sizeof(*take) + schema->field_count * sizeof(take->columns[0]));
	size_t bits = dx_bits_bytes(room) + 8;

	if (take == NULL)
		return -ENOMEM;
	take->column_count = schema->field_count;
	take->room = room;
	take->safe = calloc(room, sizeof(*take->safe));
	if (take->safe == NULL)
		goto fail;
	for (uint32_t i = 0; i < take->column_count; i++) {
		struct taken *column = &take->columns[i];

		column->type = schema->fields[i].type;
		column->width = dsmx_type_is_text(column->type) ? sizeof(int32_t)
		                                                : dsmx_type_width(column->type);
		column->validity = calloc(1, bits);
		column->values = calloc(1, column->width > 0 ? column->width * room : bits);
		if (column->validity == NULL || column->values == NULL)
			goto fail;
	}
	*ret_take = take;
	return 0;
fail:
	dx_take_free(take);
	return -ENOMEM;
}

void dx_take_free(struct dx_take *take)
{
	if (take == NULL)
		return;
	for (uint32_t i = 0; i < take->column_count; i++) {
		free(take->columns[i].validity);
		free(take->columns[i].values);
	}
	free(take->safe);
	free(take);
}

/* 16 bytes, aligned to 8 at least. */
struct two_words {
	uint64_t low, high;
};

#define TAKE(type)                                                                                 \
	do {                                                                                       \
		const type *from_ = from;                                                          \
		type *to_ = to;                                                                    \
		if (at == NULL)                                                                    \
			for (uint32_t i = 0; i < moves->count; i++)                                \
				to_[i] = from_[rows[i]];                                           \
		else                                                                               \
			for (uint32_t i = 0; i < moves->count; i++)                                \
				to_[at[i]] = from_[rows[i]];                                       \
	} while (0)

static void take_fixed(const struct moves *moves, size_t width, const void *from, void *to)
{
	const uint32_t *rows = moves->rows, *at = moves->at;

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
		TAKE(struct two_words);
		break;
	}
}

static void take_bits(const struct moves *moves, const uint8_t *from, uint8_t *to)
{
	for (uint32_t i = 0; i < moves->count; i++)
		dx_bit_put(to, moves->at != NULL ? moves->at[i] : i,
		           dx_bit_get(from, moves->rows[i]));
}

/* Validity of the taken rows. Returns it, or NULL where every row has a value. */
static const uint8_t *take_validity(const struct moves *moves, const uint8_t *from, uint8_t *to)
{
	if (from == NULL && moves->asked == NULL)
		return NULL;
	for (uint32_t i = 0; i < moves->count; i++) {
		bool valid = (from == NULL || dx_bit_get(from, moves->rows[i])) &&
		             (moves->asked == NULL || moves->asked[i] != DX_TAKE_NONE);

		dx_bit_put(to, moves->at != NULL ? moves->at[i] : i, valid);
	}
	return to;
}

static void take_texts(const struct moves *moves, const struct dsmx_column *from,
                       uint32_t source_rows, struct taken *to, struct dsmx_column *ret)
{
	int32_t *codes = (int32_t *)(void *)to->values;

	ret->codes = codes;
	ret->values = from->values;
	ret->bytes = from->bytes;
	ret->dictionary_length = from->codes != NULL ? from->dictionary_length : source_rows;
	if (ret->dictionary_length == 0) {
		ret->values = no_offsets;
		ret->bytes = (const uint8_t *)no_offsets;
		ret->dictionary_length = 1;
		if (moves->at == NULL)
			memset(codes, 0, moves->count * sizeof(*codes));
	} else if (from->codes != NULL) {
		take_fixed(moves, sizeof(*codes), from->codes, codes);
	} else {
		/* A row number is the code of its text. */
		for (uint32_t i = 0; i < moves->count; i++)
			codes[moves->at != NULL ? moves->at[i] : i] = (int32_t)moves->rows[i];
	}
}

/* Replaces the row numbers that stand for no row. */
static void make_safe(struct dx_take *take, struct moves *moves)
{
	const uint32_t *rows = moves->rows;
	uint32_t none = 0;

	for (uint32_t i = 0; i < moves->count; i++)
		none |= rows[i] == DX_TAKE_NONE;
	if (none == 0)
		return;
	for (uint32_t i = 0; i < moves->count; i++)
		take->safe[i] = rows[i] == DX_TAKE_NONE ? 0 : rows[i];
	moves->asked = rows;
	moves->rows = take->safe;
}

void dx_take_run(struct dx_take *take, const struct dsmx_column *source, uint32_t source_rows,
                 const uint32_t *rows, const uint32_t *at, uint32_t count, const bool *only,
                 struct dsmx_column *ret_columns)
{
	struct moves moves = { .rows = rows, .at = at, .count = count };

	make_safe(take, &moves);
	for (uint32_t i = 0; i < take->column_count; i++) {
		struct taken *to = &take->columns[i];
		struct dsmx_column *ret = &ret_columns[i];

		*ret = (struct dsmx_column){ 0 };
		if (only != NULL && !only[i])
			continue;
		ret->values = to->values;
		ret->validity = take_validity(&moves, source_rows > 0 ? source[i].validity : NULL,
		                              to->validity);
		if (dsmx_type_is_text(to->type))
			take_texts(&moves, &source[i], source_rows, to, ret);
		else if (source_rows == 0)
			continue; /* nothing but nulls */
		else if (to->width > 0)
			take_fixed(&moves, to->width, source[i].values, to->values);
		else
			take_bits(&moves, source[i].values, to->values);
	}
}
