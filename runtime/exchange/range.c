/* SPDX-License-Identifier: MIT */
#include "exchange/range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exec/row_hash.h"
#include "exec/sort_key.h"
#include "exec/stash.h"

struct dx_range {
	struct dx_sort_keys keys; /* of rows */
	uint32_t bound_count;
	struct dx_sort_entry *bounds;
	struct dx_stash stash; /* their bytes */
};

/* --- bounds ------------------------------------------------------------------------------------------------ */

/* A literal as a column of one row. */
struct one_value {
	struct dsmx_column column;
	union {
		uint8_t bytes[16];
		float f;
		double d;
		int32_t offsets[2];
		int64_t large_offsets[2];
	} u;
};

static void one_value(const struct dsmx_expr *literal, struct one_value *ret)
{
	const union dx_value *v = &literal->value;
	struct dsmx_type type = literal->type;

	*ret = (struct one_value){ 0 };
	ret->column.values = &ret->u;
	if (dsmx_type_is_text(type)) {
		ret->column.bytes = (const uint8_t *)v->text.bytes;
		if (type.id == DSMX_LARGE_UTF8)
			ret->u.large_offsets[1] = v->text.len;
		else
			ret->u.offsets[1] = (int32_t)v->text.len;
	} else if (type.id == DSMX_FLOAT32) {
		ret->u.f = (float)v->f;
	} else if (type.id == DSMX_FLOAT64) {
		ret->u.d = v->f;
	} else if (type.id == DSMX_BOOL) {
		ret->u.bytes[0] = (uint8_t)v->i;
	} else { /* the low bytes of a number come first */
		memcpy(ret->u.bytes, v, dsmx_type_width(type));
	}
}

static int encode_bounds(struct dx_range *range, const struct dx_exchange *e,
                         const struct dsmx_schema *schema)
{
	struct dsmx_schema one = { 1, &schema->fields[e->order[0].column] };
	struct dsmx_sort_key key = e->order[0];
	struct dx_sort_keys keys;
	int r;

	key.column = 0;
	r = dx_sort_keys_init(&keys, &one, &key, 1);
	for (uint32_t i = 0; r == 0 && i < e->bound_count; i++) {
		struct one_value value;
		struct dsmx_batch batch = {
			.length = 1, .selected = 1, .column_count = 1, .columns = &value.column
		};
		struct dx_sort_entry *bound = &range->bounds[i];

		one_value(e->bounds[i], &value);
		r = dx_sort_keys_encode(&keys, &batch);
		if (r < 0)
			break;
		*bound = keys.entries[0];
		if (bound->bytes == NULL)
			continue;
		bound->bytes = dx_stash_copy(&range->stash, bound->bytes, bound->len);
		r = bound->bytes == NULL ? -ENOMEM : 0;
	}
	dx_sort_keys_fini(&keys);
	return r;
}

int dx_range_new(const struct dx_exchange *e, const struct dsmx_schema *schema,
                 struct dx_range **ret_range)
{
	struct dx_range *range = calloc(1, sizeof(*range));
	int r;

	if (range == NULL)
		return -ENOMEM;
	range->bound_count = e->bound_count;
	range->bounds = calloc(e->partitions + e->bound_count + 1UL, sizeof(*range->bounds));
	r = range->bounds == NULL ? -ENOMEM : 0;
	if (r == 0)
		r = dx_sort_keys_init(&range->keys, schema, e->order, e->order_count);
	if (r == 0)
		r = encode_bounds(range, e, schema);
	if (r < 0) {
		dx_range_free(range);
		return r;
	}
	*ret_range = range;
	return 0;
}

int dx_range_set_bounds(struct dx_range *range, const struct dx_sort_entry *bounds, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		range->bounds[i] = bounds[i];
		if (bounds[i].bytes == NULL)
			continue;
		range->bounds[i].bytes =
			dx_stash_copy(&range->stash, bounds[i].bytes, bounds[i].len);
		if (range->bounds[i].bytes == NULL)
			return -ENOMEM;
	}
	range->bound_count = count;
	return 0;
}

bool dx_range_is_short(const struct dx_range *range)
{
	return range->keys.is_short;
}

void dx_range_free(struct dx_range *range)
{
	if (range == NULL)
		return;
	dx_sort_keys_fini(&range->keys);
	dx_stash_clear(&range->stash);
	free(range->bounds);
	free(range);
}

/* --- rows -------------------------------------------------------------------------------------------------- */

/* How many bounds are not behind the row. */
static uint32_t find(const struct dx_range *range, const struct dx_sort_entry *row)
{
	uint32_t low = 0, high = range->bound_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (dx_sort_less(row, &range->bounds[middle]))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

int dx_range_choose(struct dx_range *range, const struct dsmx_batch *batch, uint32_t *scratch,
                    uint32_t *ret_targets)
{
	struct dsmx_batch piece = *batch;

	for (uint32_t k = 0; k < batch->selected; k++)
		scratch[k] = row_at(batch, k);
	for (uint32_t at = 0; at < batch->selected; at += piece.selected) {
		uint32_t left = batch->selected - at;
		int r;

		piece.selection = scratch + at;
		piece.selected = left < DX_VECTOR_ROWS ? left : DX_VECTOR_ROWS;
		r = dx_sort_keys_encode(&range->keys, &piece);
		if (r < 0)
			return r;
		for (uint32_t k = 0; k < piece.selected; k++)
			ret_targets[at + k] = find(range, &range->keys.entries[k]);
	}
	return 0;
}
