/* SPDX-License-Identifier: MIT */
#include "session/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Under every array that is a lease; the children belong to it. */
struct leased {
	struct dx_leases *leases;
	struct dsmx_lease *lease;
	uint64_t bytes;
	const void *no_buffers[1];
	struct ArrowArray **children;
	struct child *columns;
};

struct child {
	struct ArrowArray array;
	const void *buffers[3];
	void *own; /* widened decimals, copied offsets; NULL: none */
};

static void release_child(struct ArrowArray *array)
{
	struct child *c = array->private_data;

	free(c->own);
	c->own = NULL;
	array->release = NULL;
}

static void release_array(struct ArrowArray *array)
{
	struct leased *l = array->private_data;

	for (int64_t i = 0; i < array->n_children; i++)
		if (array->children[i]->release != NULL)
			array->children[i]->release(array->children[i]);
	l->leases->held_bytes -= l->bytes;
	l->lease->release(l->lease);
	free(l->columns);
	free(l->children);
	free(l);
	array->release = NULL;
}

static void *widen(const struct dsmx_column *column, uint32_t rows)
{
	const int64_t *narrow = column->values;
	int64_t *wide = malloc(rows * 16ULL + 16);

	for (uint32_t i = 0; wide != NULL && i < rows; i++) {
		wide[2 * i] = narrow[i];
		wide[2 * i + 1] = narrow[i] >> 63;
	}
	return wide;
}

static void *copy_offsets(const struct dsmx_column *column, struct dsmx_type type, uint32_t rows)
{
	size_t bytes = (rows + 1ULL) * (type.id == DSMX_LARGE_UTF8 ? 8 : 4);
	void *copy = malloc(bytes);

	return copy == NULL ? NULL : memcpy(copy, column->values, bytes);
}

static int fill_child(struct child *c, struct dsmx_type type, const struct dsmx_column *column,
                      uint32_t rows)
{
	bool narrow = type.id == DSMX_DECIMAL && type.precision <= DSMX_DECIMAL_NARROW_DIGITS;
	bool text = dsmx_type_is_text(type);

	if (narrow || text) {
		c->own = narrow ? widen(column, rows) : copy_offsets(column, type, rows);
		if (c->own == NULL)
			return -ENOMEM;
	}
	c->buffers[0] = column->validity;
	c->buffers[1] = c->own != NULL ? c->own : column->values;
	c->buffers[2] = column->bytes;
	c->array = (struct ArrowArray){
		.length = rows,
		.null_count = column->validity == NULL ? 0 : -1,
		.n_buffers = text ? 3 : 2,
		.buffers = c->buffers,
		.release = release_child,
		.private_data = c,
	};
	return 0;
}

static struct leased *new_leased(uint32_t columns)
{
	struct leased *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->children = calloc(columns + 1, sizeof(struct ArrowArray *));
	l->columns = calloc(columns + 1, sizeof(*l->columns));
	if (l->children != NULL && l->columns != NULL)
		return l;
	free(l->children);
	free(l->columns);
	free(l);
	return NULL;
}

static int lease(struct dx_leases *leases, const struct dsmx_schema *schema,
                 const struct dsmx_batch *batch, uint64_t bytes, struct ArrowArray *ret_array)
{
	struct leased *l = new_leased(batch->column_count);

	if (l == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < batch->column_count; i++) {
		l->children[i] = &l->columns[i].array;
		if (fill_child(&l->columns[i], schema->fields[i].type, &batch->columns[i],
		               batch->length) == 0)
			continue;
		while (i-- > 0)
			free(l->columns[i].own);
		free(l->columns);
		free(l->children);
		free(l);
		return -ENOMEM;
	}
	l->leases = leases;
	l->lease = batch->lease;
	l->bytes = bytes;
	batch->lease->retain(batch->lease);
	leases->held_bytes += bytes;
	leases->leased++;
	*ret_array = (struct ArrowArray){
		.length = batch->length,
		.n_buffers = 1,
		.buffers = l->no_buffers,
		.n_children = batch->column_count,
		.children = l->children,
		.release = release_array,
		.private_data = l,
	};
	return 0;
}

/* What a lease of the batch keeps from its producer: a frame, as far as it can be told. */
static uint64_t bytes_of(const struct dsmx_schema *schema, const struct dsmx_batch *batch)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < batch->column_count; i++) {
		const struct dsmx_column *c = &batch->columns[i];
		struct dsmx_type type = schema->fields[i].type;

		bytes += batch->length * (dsmx_type_width(type) + 1);
		if (type.id == DSMX_LARGE_UTF8)
			bytes += (uint64_t)((const int64_t *)c->values)[batch->length];
		else if (dsmx_type_is_text(type))
			bytes += (uint64_t)((const int32_t *)c->values)[batch->length];
	}
	return bytes;
}

int dx_lease_export(struct dx_leases *leases, const struct dsmx_schema *schema,
                    const struct dsmx_batch *batch, struct ArrowArray *ret_array)
{
	bool plain = batch->lease != NULL && batch->selection == NULL;

	for (uint32_t i = 0; plain && i < batch->column_count; i++)
		plain = batch->columns[i].codes == NULL;
	if (plain) {
		uint64_t bytes = bytes_of(schema, batch);

		if (leases->held_bytes + bytes <= leases->budget_bytes)
			return lease(leases, schema, batch, bytes, ret_array);
	}
	leases->copied++;
	return dsmx_batch_export(schema, batch, ret_array);
}
