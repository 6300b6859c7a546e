/* SPDX-License-Identifier: MIT */
#include "exec/row_hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define EACH(expr)                                                                                 \
	for (uint32_t k = 0; k < batch->selected; k++) {                                           \
		uint32_t row = row_at(batch, k);                                                   \
		uint64_t h = (expr);                                                               \
		hashes[k] = first ? h : dx_hash_combine(hashes[k], h);                             \
	}

#define VALUE(type) (((const type *)c->values)[row])

static __int128 wide_value(const struct dsmx_column *c, uint32_t row)
{
	__int128 v;

	memcpy(&v, (const char *)c->values + (size_t)row * sizeof(v), sizeof(v));
	return v;
}

static uint64_t hash_text(const struct dsmx_column *c, bool large, uint32_t row, uint64_t seed)
{
	uint32_t at = c->codes != NULL ? (uint32_t)c->codes[row] : row;

	if (large) {
		const int64_t *o = c->values;

		return dx_hash_bytes(c->bytes + o[at], (size_t)(o[at + 1] - o[at]), seed);
	}
	const int32_t *o = c->values;

	return dx_hash_bytes(c->bytes + o[at], (size_t)(o[at + 1] - o[at]), seed);
}

static bool valid(const struct dsmx_column *c, uint32_t row)
{
	return c->validity == NULL || (c->validity[row / 8] >> (row % 8) & 1) != 0;
}

static void hash_fixed(const struct dsmx_batch *batch, const struct dsmx_column *c, size_t width,
                       bool is_signed, uint64_t seed, bool first, uint64_t *hashes)
{
	if (width == 1 && is_signed)
		EACH(dx_hash_u64((uint64_t)VALUE(int8_t), seed))
	else if (width == 1)
		EACH(dx_hash_u64(VALUE(uint8_t), seed))
	else if (width == 2 && is_signed)
		EACH(dx_hash_u64((uint64_t)VALUE(int16_t), seed))
	else if (width == 2)
		EACH(dx_hash_u64(VALUE(uint16_t), seed))
	else if (width == 4 && is_signed)
		EACH(dx_hash_u64((uint64_t)VALUE(int32_t), seed))
	else if (width == 4)
		EACH(dx_hash_u64(VALUE(uint32_t), seed))
	else if (width == 8)
		EACH(dx_hash_u64(VALUE(uint64_t), seed))
	else
		EACH(dx_hash_i128(wide_value(c, row), seed))
}

static void hash_column(const struct dsmx_batch *batch, const struct dsmx_column *c,
                        struct dsmx_type type, uint64_t seed, bool first, uint64_t *hashes)
{
	if (c->validity != NULL && dsmx_type_is_text(type))
		EACH(valid(c, row) ? hash_text(c, type.id == DSMX_LARGE_UTF8, row, seed)
		                   : DX_HASH_NULL)
	else if (dsmx_type_is_text(type))
		EACH(hash_text(c, type.id == DSMX_LARGE_UTF8, row, seed))
	else if (type.id == DSMX_BOOL)
		EACH(dx_hash_u64((uint64_t)((const uint8_t *)c->values)[row / 8] >> (row % 8) & 1,
		                 seed))
	else if (type.id == DSMX_FLOAT32)
		EACH(dx_hash_f64((double)VALUE(float), seed))
	else if (type.id == DSMX_FLOAT64)
		EACH(dx_hash_f64(VALUE(double), seed))
	else
		hash_fixed(batch, c, dsmx_type_width(type),
		           type.id < DSMX_UINT8 || type.id > DSMX_UINT64, seed, first, hashes);
}

/* Nulls of a column that is not text: what was hashed above was whatever lay under them. */
static void hash_nulls(const struct dsmx_batch *batch, const struct dsmx_column *c,
                       const uint64_t *before, uint64_t *hashes)
{
	for (uint32_t k = 0; k < batch->selected; k++)
		if (!valid(c, row_at(batch, k)))
			hashes[k] = before == NULL ? DX_HASH_NULL
			                           : dx_hash_combine(before[k], DX_HASH_NULL);
}

int dx_row_hash(const struct dsmx_schema *schema, const uint32_t *keys, uint32_t key_count,
                uint64_t seed, const struct dsmx_batch *batch, uint64_t *hashes)
{
	for (uint32_t i = 0; i < key_count; i++) {
		const struct dsmx_column *c = &batch->columns[keys[i]];
		struct dsmx_type type = schema->fields[keys[i]].type;
		bool nulls = c->validity != NULL && !dsmx_type_is_text(type);
		uint64_t *before = NULL;

		if (nulls && i > 0) {
			before = malloc(batch->selected * sizeof(*before));
			if (before == NULL)
				return -ENOMEM;
			memcpy(before, hashes, batch->selected * sizeof(*before));
		}
		hash_column(batch, c, type, seed, i == 0, hashes);
		if (nulls)
			hash_nulls(batch, c, before, hashes);
		free(before);
	}
	return 0;
}
