/* SPDX-License-Identifier: MIT */
#include "exec/key_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "batch/value.h"
#include "exec/join_index.h"
#include "exec/row_hash.h"

static bool has_value(const struct dsmx_column *column, uint32_t row)
{
	return column->validity == NULL || (column->validity[row / 8] >> (row % 8) & 1) != 0;
}

static int64_t value_at(const struct dsmx_column *column, struct dsmx_type type, uint32_t row)
{
	switch (type.id) {
	case DSMX_INT8:
		return ((const int8_t *)column->values)[row];
	case DSMX_INT16:
		return ((const int16_t *)column->values)[row];
	case DSMX_INT32:
	case DSMX_DATE32:
		return ((const int32_t *)column->values)[row];
	case DSMX_UINT8:
		return ((const uint8_t *)column->values)[row];
	case DSMX_UINT16:
		return ((const uint16_t *)column->values)[row];
	case DSMX_UINT32:
		return ((const uint32_t *)column->values)[row];
	default:
		return ((const int64_t *)column->values)[row];
	}
}

/* --- the Bloom filter ------------------------------------------------------------------------------------ */

static uint64_t bits_of(uint64_t hash)
{
	return 1ULL << (hash & 63) | 1ULL << (hash >> 6 & 63) | 1ULL << (hash >> 12 & 63) |
	       1ULL << (hash >> 18 & 63);
}

static size_t word_of(uint32_t word_count, uint64_t hash)
{
	return (size_t)((unsigned __int128)hash * word_count >> 64);
}

static int make_room(struct dx_filter_hashes *h, uint32_t rows)
{
	if (rows <= h->room)
		return 0;
	free(h->hashes);
	h->room = 0;
	h->hashes = malloc(rows * sizeof(*h->hashes));
	if (h->hashes == NULL)
		return -ENOMEM;
	h->room = rows;
	return 0;
}

void dx_filter_hashes_fini(struct dx_filter_hashes *h)
{
	free(h->hashes);
	*h = (struct dx_filter_hashes){ 0 };
}

/* --- building -------------------------------------------------------------------------------------------- */

int dx_key_filter_init(struct dx_key_filter *filter, const struct dsmx_type *types,
                       const uint32_t *columns, uint32_t key_count, uint64_t rows, size_t bytes_max)
{
	uint64_t words = rows / (64 / DX_FILTER_BITS) + 8, most = bytes_max / sizeof(uint64_t);

	*filter = (struct dx_key_filter){ .key_count = key_count };
	for (uint32_t i = 0; i < key_count; i++) {
		filter->columns[i] = columns[i];
		filter->ranged |= (uint32_t)dx_type_fits_int64(types[i]) << i;
		filter->least[i] = INT64_MAX;
		filter->greatest[i] = INT64_MIN;
	}
	if (words > most)
		words = most;
	if (words * 64 < rows * DX_FILTER_BITS_MIN)
		return 0;
	filter->words = calloc(words, sizeof(*filter->words));
	if (filter->words == NULL)
		return -ENOMEM;
	filter->word_count = (uint32_t)words;
	return 0;
}

void dx_key_filter_of_bits(struct dx_key_filter *filter, uint32_t column,
                           const struct dx_join_index *index)
{
	*filter = (struct dx_key_filter){ .key_count = 1, .ranged = 1, .bits = index->bits };
	filter->columns[0] = column;
	filter->least[0] = index->min;
	filter->greatest[0] = index->max;
}

void dx_key_filter_fini(struct dx_key_filter *filter)
{
	free(filter->words);
	*filter = (struct dx_key_filter){ 0 };
}

static void widen(struct dx_key_filter *filter, uint32_t key, const struct dsmx_column *column,
                  struct dsmx_type type, const struct dsmx_batch *batch)
{
	int64_t least = filter->least[key], greatest = filter->greatest[key];

	for (uint32_t k = 0; k < batch->selected; k++) {
		uint32_t row = row_at(batch, k);
		int64_t value = value_at(column, type, row);

		if (!has_value(column, row))
			continue;
		least = value < least ? value : least;
		greatest = value > greatest ? value : greatest;
	}
	filter->least[key] = least;
	filter->greatest[key] = greatest;
}

static bool has_null(const struct dsmx_batch *batch, const uint32_t *columns, uint32_t count,
                     uint32_t row)
{
	for (uint32_t i = 0; i < count; i++)
		if (!has_value(&batch->columns[columns[i]], row))
			return true;
	return false;
}

int dx_key_filter_add(struct dx_key_filter *filter, const struct dsmx_schema *schema,
                      const uint32_t *columns, const struct dsmx_batch *batch,
                      struct dx_filter_hashes *h)
{
	int err = make_room(h, batch->selected);

	if (err < 0)
		return err;
	for (uint32_t i = 0; i < filter->key_count; i++)
		if ((filter->ranged >> i & 1) != 0)
			widen(filter, i, &batch->columns[columns[i]],
			      schema->fields[columns[i]].type, batch);
	if (filter->word_count == 0)
		return 0;
	err = dx_row_hash(schema, columns, filter->key_count, DX_FILTER_SEED, batch, h->hashes);
	for (uint32_t k = 0; err == 0 && k < batch->selected; k++)
		if (!has_null(batch, columns, filter->key_count, row_at(batch, k)))
			filter->words[word_of(filter->word_count, h->hashes[k])] |=
				bits_of(h->hashes[k]);
	return err;
}

/* --- testing --------------------------------------------------------------------------------------------- */

/*
 * The rows whose value of one integer column is @good, in one pass. A row is written whether it stays or not: most
 * filters are no easy guess for the processor.
 */
#define KEEP(type, good)                                                                           \
	do {                                                                                       \
		const type *values = column->values;                                               \
		for (uint32_t k = 0; k < batch->selected; k++) {                                   \
			uint32_t row = row_at(batch, k);                                           \
			uint64_t value = (uint64_t)(int64_t)values[row];                           \
			bool stays = (good);                                                       \
			ret_rows[kept] = row;                                                      \
			kept += stays && has_value(column, row);                                   \
		}                                                                                  \
	} while (0)

#define KEEP_OF_TYPE(good)                                                                         \
	do {                                                                                       \
		switch (type.id) {                                                                 \
		case DSMX_INT8:                                                                    \
			KEEP(int8_t, good);                                                        \
			break;                                                                     \
		case DSMX_INT16:                                                                   \
			KEEP(int16_t, good);                                                       \
			break;                                                                     \
		case DSMX_INT32:                                                                   \
		case DSMX_DATE32:                                                                  \
			KEEP(int32_t, good);                                                       \
			break;                                                                     \
		case DSMX_UINT8:                                                                   \
			KEEP(uint8_t, good);                                                       \
			break;                                                                     \
		case DSMX_UINT16:                                                                  \
			KEEP(uint16_t, good);                                                      \
			break;                                                                     \
		case DSMX_UINT32:                                                                  \
			KEEP(uint32_t, good);                                                      \
			break;                                                                     \
		default:                                                                           \
			KEEP(int64_t, good);                                                       \
			break;                                                                     \
		}                                                                                  \
		return kept;                                                                       \
	} while (0)

static bool has_hash(const uint64_t *words, uint32_t word_count, uint64_t hash)
{
	uint64_t bits = bits_of(hash);

	return (words[word_of(word_count, hash)] & bits) == bits;
}

static bool has_bit(const struct dx_join_bits *bits, uint64_t place, uint64_t span)
{
	bool inside = place <= span;

	return inside & (bits[inside ? place >> 6 : 0].set >> (place & 63));
}

static uint32_t keep_by_bits(const struct dx_key_filter *filter, const struct dsmx_column *column,
                             struct dsmx_type type, const struct dsmx_batch *batch,
                             uint32_t *ret_rows)
{
	const struct dx_join_bits *bits = filter->bits;
	uint64_t least = (uint64_t)filter->least[0];
	uint64_t span = (uint64_t)filter->greatest[0] - least;
	uint32_t kept = 0;

	KEEP_OF_TYPE(has_bit(bits, value - least, span));
}

static uint32_t keep_by_range(const struct dx_key_filter *filter, uint32_t key,
                              const struct dsmx_column *column, struct dsmx_type type,
                              const struct dsmx_batch *batch, uint32_t *ret_rows)
{
	uint64_t least = (uint64_t)filter->least[key];
	uint64_t span = (uint64_t)filter->greatest[key] - least;
	uint32_t kept = 0;

	if (filter->least[key] > filter->greatest[key])
		return 0;
	KEEP_OF_TYPE(value - least <= span);
}

static uint32_t keep_by_word(const struct dx_key_filter *filter, const struct dsmx_column *column,
                             struct dsmx_type type, const struct dsmx_batch *batch,
                             uint32_t *ret_rows)
{
	const uint64_t *words = filter->words;
	uint32_t word_count = filter->word_count, kept = 0;

	KEEP_OF_TYPE(has_hash(words, word_count, dx_hash_u64(value, DX_FILTER_SEED)));
}

/* Keys of any type and number; null keys pass only by chance. */
static uint32_t keep_by_hash(const struct dx_key_filter *filter, const struct dsmx_schema *schema,
                             const struct dsmx_batch *batch, uint32_t *ret_rows,
                             struct dx_filter_hashes *h)
{
	bool all = make_room(h, batch->selected) < 0 ||
	           dx_row_hash(schema, filter->columns, filter->key_count, DX_FILTER_SEED, batch,
	                       h->hashes) < 0;
	uint32_t kept = 0;

	for (uint32_t k = 0; k < batch->selected; k++) {
		ret_rows[kept] = row_at(batch, k);
		kept += all || has_hash(filter->words, filter->word_count, h->hashes[k]);
	}
	return kept;
}

static uint32_t keep_by_ranges(const struct dx_key_filter *filter, const struct dsmx_schema *schema,
                               const struct dsmx_batch *batch, uint32_t *ret_rows)
{
	struct dsmx_batch part = *batch;

	for (uint32_t i = 0; i < filter->key_count; i++) {
		uint32_t column = filter->columns[i];

		if ((filter->ranged >> i & 1) == 0)
			continue;
		part.selected = keep_by_range(filter, i, &batch->columns[column],
		                              schema->fields[column].type, &part, ret_rows);
		part.selection = ret_rows;
	}
	for (uint32_t k = 0; part.selection != ret_rows && k < batch->selected; k++)
		ret_rows[k] = row_at(batch, k);
	return part.selected;
}

uint32_t dx_key_filter_keep(const struct dx_key_filter *filter, const struct dsmx_schema *schema,
                            const struct dsmx_batch *batch, uint32_t *ret_rows,
                            struct dx_filter_hashes *hashes)
{
	uint32_t first = filter->columns[0];

	/* What a range would drop the others do as well, and they are looked at anyway. */
	if (filter->bits != NULL)
		return keep_by_bits(filter, &batch->columns[first], schema->fields[first].type,
		                    batch, ret_rows);
	if (filter->word_count > 0 && filter->key_count == 1 && filter->ranged == 1)
		return keep_by_word(filter, &batch->columns[first], schema->fields[first].type,
		                    batch, ret_rows);
	if (filter->word_count > 0)
		return keep_by_hash(filter, schema, batch, ret_rows, hashes);
	return keep_by_ranges(filter, schema, batch, ret_rows);
}
