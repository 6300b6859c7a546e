/* SPDX-License-Identifier: MIT */
/*
 * partition.c - see partition.h
 *
 * Each kind says for every row which target it goes to; a counting sort makes the lists. The upper bits of a
 * hash choose the partition (a multiplication, so any number of partitions is as good as any other).
 */
#include "exchange/partition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "exchange/range.h"
#include "exec/row_hash.h"

/* Rows that a target gets in its turn: enough to be copied in one go, few enough to be fair. */
#define TURN_ROWS 64

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
	uint32_t turn, turn_rows; /* round robin: whose turn it is, and the rows had in it */
	struct dx_range *range;
};

static bool goes_by_row(enum dsmx_exchange_kind kind)
{
	return kind == DSMX_EXCHANGE_HASH || kind == DSMX_EXCHANGE_ROUND_ROBIN ||
	       kind == DSMX_EXCHANGE_EXPLICIT || kind == DSMX_EXCHANGE_RANGE;
}

int dx_partitioner_new(const struct dx_exchange *exchange, const struct dsmx_schema *schema,
                       uint32_t task, struct dx_partitioner **ret_partitioner)
{
	struct dx_partitioner *p = calloc(1, sizeof(*p));
	int r = 0;

	if (p == NULL)
		return -ENOMEM;
	p->exchange = exchange;
	p->schema = schema;
	p->targets = goes_by_row(exchange->kind) ? exchange->partitions : 1;
	p->turn = task % exchange->partitions;
	p->starts = calloc(p->targets + 1, sizeof(*p->starts));
	p->next = calloc(p->targets + 1, sizeof(*p->next));
	if (p->starts == NULL || p->next == NULL)
		r = -ENOMEM;
	if (r == 0 && exchange->kind == DSMX_EXCHANGE_RANGE)
		r = dx_range_new(exchange, schema, &p->range);
	if (r < 0) {
		dx_partitioner_free(p);
		return r;
	}
	*ret_partitioner = p;
	return 0;
}

void dx_partitioner_free(struct dx_partitioner *p)
{
	if (p == NULL)
		return;
	dx_range_free(p->range);
	free(p->hashes);
	free(p->rows);
	free(p->target_of);
	free(p->starts);
	free(p->next);
	free(p);
}

int dx_partitioner_set_bounds(struct dx_partitioner *p, const struct dx_sort_entry *bounds,
                              uint32_t count)
{
	return dx_range_set_bounds(p->range, bounds, count);
}

bool dx_partitioner_keys_are_short(const struct dx_partitioner *p)
{
	return dx_range_is_short(p->range);
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

/* --- the target of each row ------------------------------------------------------------------------------ */

static int choose_by_hash(struct dx_partitioner *p, const struct dsmx_batch *batch)
{
	const struct dx_exchange *e = p->exchange;
	int r = dx_row_hash(p->schema, e->keys, e->key_count, e->config.hash_seed, batch,
	                    p->hashes);

	if (r < 0)
		return r;
	for (uint32_t k = 0; k < batch->selected; k++)
		p->target_of[k] = (uint32_t)((p->hashes[k] >> 32) * p->targets >> 32);
	return 0;
}

static void choose_in_turn(struct dx_partitioner *p, const struct dsmx_batch *batch)
{
	for (uint32_t k = 0; k < batch->selected; k++) {
		p->target_of[k] = p->turn;
		if (++p->turn_rows < TURN_ROWS)
			continue;
		p->turn_rows = 0;
		p->turn = p->turn + 1 < p->targets ? p->turn + 1 : 0;
	}
}

static int64_t signed_at(const void *values, size_t width, uint32_t row)
{
	return width == 1   ? ((const int8_t *)values)[row]
	       : width == 2 ? ((const int16_t *)values)[row]
	       : width == 4 ? ((const int32_t *)values)[row]
	                    : ((const int64_t *)values)[row];
}

static uint64_t unsigned_at(const void *values, size_t width, uint32_t row)
{
	return width == 1   ? ((const uint8_t *)values)[row]
	       : width == 2 ? ((const uint16_t *)values)[row]
	       : width == 4 ? ((const uint32_t *)values)[row]
	                    : ((const uint64_t *)values)[row];
}

static int no_target(const struct dx_partitioner *p, const struct dsmx_column *c, uint32_t row,
                     struct dsmx_error *err)
{
	const struct dsmx_field *field = &p->schema->fields[p->exchange->keys[0]];
	char text[64] = "null";

	if (!dsmx_column_is_null(c, row))
		(void)dsmx_column_format(field->type, c, row, text, sizeof(text));
	return dx_error(err, -ERANGE,
	                "exchange %u: %s of a row is %s, which is no partition: they are 0 to %u",
	                p->exchange->number, field->name, text, p->targets - 1);
}

static int choose_by_column(struct dx_partitioner *p, const struct dsmx_batch *batch,
                            struct dsmx_error *err)
{
	uint32_t column = p->exchange->keys[0];
	const struct dsmx_column *c = &batch->columns[column];
	struct dsmx_type type = p->schema->fields[column].type;
	size_t width = dsmx_type_width(type);
	bool is_signed = type.id < DSMX_UINT8;

	for (uint32_t k = 0; k < batch->selected; k++) {
		uint32_t row = row_at(batch, k);
		/* A negative number becomes one that is too large. */
		uint64_t target = is_signed ? (uint64_t)signed_at(c->values, width, row)
		                            : unsigned_at(c->values, width, row);

		if (target >= p->targets || dsmx_column_is_null(c, row))
			return no_target(p, c, row, err);
		p->target_of[k] = (uint32_t)target;
	}
	return 0;
}

static int choose(struct dx_partitioner *p, const struct dsmx_batch *batch, struct dsmx_error *err)
{
	int r = 0;

	if (p->exchange->kind == DSMX_EXCHANGE_EXPLICIT)
		return choose_by_column(p, batch, err);
	if (p->exchange->kind == DSMX_EXCHANGE_ROUND_ROBIN)
		choose_in_turn(p, batch);
	else if (p->exchange->kind == DSMX_EXCHANGE_RANGE)
		r = dx_range_choose(p->range, batch, p->rows, p->target_of);
	else
		r = choose_by_hash(p, batch);
	return r == 0 ? 0
	              : dx_error(err, r, "exchange %u: cannot partition %u rows: %s",
	                         p->exchange->number, batch->selected, dx_strerror(r));
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
static void deal(struct dx_partitioner *p, const struct dsmx_batch *batch)
{
	uint32_t n = p->targets;

	memset(p->starts, 0, (n + 1) * sizeof(*p->starts));
	for (uint32_t k = 0; k < batch->selected; k++)
		p->starts[p->target_of[k] + 1]++;
	for (uint32_t t = 0; t < n; t++)
		p->starts[t + 1] += p->starts[t];
	memcpy(p->next, p->starts, n * sizeof(*p->next));
	for (uint32_t k = 0; k < batch->selected; k++)
		p->rows[p->next[p->target_of[k]]++] = row_at(batch, k);
}

int dx_partition(struct dx_partitioner *p, const struct dsmx_batch *batch,
                 const uint32_t **ret_rows, const uint32_t **ret_starts, struct dsmx_error *err)
{
	int r = make_room(p, batch->selected);

	if (r < 0)
		return dx_error(err, r, "exchange %u: no memory to partition %u rows",
		                p->exchange->number, batch->selected);
	if (goes_by_row(p->exchange->kind) &&
	    (p->targets > 1 || p->exchange->kind == DSMX_EXCHANGE_EXPLICIT)) {
		r = choose(p, batch, err);
		if (r < 0)
			return r;
		deal(p, batch);
	} else {
		deal_all(p, batch);
	}
	*ret_rows = p->rows;
	*ret_starts = p->starts;
	return 0;
}

void dx_partition_keep(struct dx_partitioner *p, const struct dsmx_batch *batch,
                       uint32_t (*keep)(void *arg, uint32_t target, const struct dsmx_batch *batch,
                                        uint32_t *rows, uint32_t count),
                       void *arg)
{
	uint32_t begin = 0, kept = 0;

	for (uint32_t t = 0; t < p->targets; t++) {
		uint32_t end = p->starts[t + 1], count = 0;

		if (begin < end)
			count = keep(arg, t, batch, p->rows + begin, end - begin);
		memmove(p->rows + kept, p->rows + begin, count * sizeof(*p->rows));
		kept += count;
		p->starts[t + 1] = kept;
		begin = end;
	}
}
