/* SPDX-License-Identifier: MIT */
/*
 * partition.c - see partition.h
 *
 * Hashes are computed a column at a time over the selected rows. The upper bits choose the partition (a
 * multiplication, so any number of partitions is as good as any other), and the seed is the plan's, so the
 * tables of the operators above, which have seeds of their own, see nothing of this choice.
 */
#include "exchange/partition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct dx_partitioner {
	const struct dx_exchange *exchange;
	const struct dsmx_schema *schema;
	uint32_t targets;
	uint32_t room; /* rows that the arrays below can take */
	uint64_t *hashes;
	uint32_t *rows;
	uint32_t *target_of;
	uint32_t *starts;
	uint32_t *next;
};

int dx_partitioner_new(const struct dx_exchange *exchange, const struct dsmx_schema *schema,
                       struct dx_partitioner **ret_partitioner)
{
	struct dx_partitioner *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->exchange = exchange;
	p->schema = schema;
	p->targets = exchange->kind == DSMX_EXCHANGE_HASH ? exchange->partitions : 1;
	p->starts = calloc(p->targets + 1, sizeof(*p->starts));
	p->next = calloc(p->targets + 1, sizeof(*p->next));
	if (p->starts == NULL || p->next == NULL) {
		dx_partitioner_free(p);
		return -ENOMEM;
	}
	*ret_partitioner = p;
	return 0;
}

void dx_partitioner_free(struct dx_partitioner *p)
{
	if (p == NULL)
		return;
	free(p->hashes);
	free(p->rows);
	free(p->target_of);
	free(p->starts);
	free(p->next);
	free(p);
}

uint32_t dx_partitioner_targets(const struct dx_partitioner *p)
{
	return p->targets;
}

static int make_room(struct dx_partitioner *p, uint32_t rows)
{
	if (rows <= p->room)
		return 0;
	free(p->hashes);
	free(p->rows);
	free(p->target_of);
	p->room = 0;
	p->hashes = malloc(rows * sizeof(*p->hashes));
	p->rows = malloc(rows * sizeof(*p->rows));
	p->target_of = malloc(rows * sizeof(*p->target_of));
	if (p->hashes == NULL || p->rows == NULL || p->target_of == NULL)
		return -ENOMEM;
	p->room = rows;
	return 0;
}

/* --- hashing ------------------------------------------------------------------------------------------------- */

static inline uint32_t row_at(const struct dsmx_batch *batch, uint32_t k)
{
	return batch->selection != NULL ? batch->selection[k] : k;
}

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

static int hash_rows(struct dx_partitioner *p, const struct dsmx_batch *batch)
{
	for (uint32_t i = 0; i < p->exchange->key_count; i++) {
		uint32_t key = p->exchange->keys[i];
		const struct dsmx_column *c = &batch->columns[key];
		struct dsmx_type type = p->schema->fields[key].type;
		uint64_t seed = p->exchange->config.hash_seed;
		bool nulls = c->validity != NULL && !dsmx_type_is_text(type);
		uint64_t *before = NULL;

		if (nulls && i > 0) {
			before = malloc(batch->selected * sizeof(*before));
			if (before == NULL)
				return -ENOMEM;
			memcpy(before, p->hashes, batch->selected * sizeof(*before));
		}
		hash_column(batch, c, type, seed, i == 0, p->hashes);
		if (nulls)
			hash_nulls(batch, c, before, p->hashes);
		free(before);
	}
	return 0;
}

/* --- dealing ------------------------------------------------------------------------------------------------- */

static void deal_all(struct dx_partitioner *p, const struct dsmx_batch *batch)
{
	for (uint32_t k = 0; k < batch->selected; k++)
		p->rows[k] = row_at(batch, k);
	p->starts[0] = 0;
	p->starts[1] = batch->selected;
}

/* A counting sort: stable, so the order of rows within a target is the input's. */
static void deal_by_hash(struct dx_partitioner *p, const struct dsmx_batch *batch)
{
	uint32_t n = p->targets;

	memset(p->starts, 0, (n + 1) * sizeof(*p->starts));
	for (uint32_t k = 0; k < batch->selected; k++) {
		uint32_t target = (uint32_t)((p->hashes[k] >> 32) * n >> 32);

		p->target_of[k] = target;
		p->starts[target + 1]++;
	}
	for (uint32_t t = 0; t < n; t++)
		p->starts[t + 1] += p->starts[t];
	memcpy(p->next, p->starts, n * sizeof(*p->next));
	for (uint32_t k = 0; k < batch->selected; k++)
		p->rows[p->next[p->target_of[k]]++] = row_at(batch, k);
}

int dx_partition(struct dx_partitioner *p, const struct dsmx_batch *batch,
                 const uint32_t **ret_rows, const uint32_t **ret_starts)
{
	int r = make_room(p, batch->selected);

	if (r < 0)
		return r;
	if (p->targets == 1) {
		deal_all(p, batch);
	} else {
		r = hash_rows(p, batch);
		if (r < 0)
			return r;
		deal_by_hash(p, batch);
	}
	*ret_rows = p->rows;
	*ret_starts = p->starts;
	return 0;
}
