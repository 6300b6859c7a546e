/* SPDX-License-Identifier: MIT */
/*
 * export.c - a batch as an ArrowArray of its own
 *
 * A builder copies the rows, and its memory becomes the array's. A consumer may move a child out of its parent
 * and release it alone, so every column owns its own buffers.
 */
#include <errno.h>
#include <stdlib.h>

#include "batch/bits.h"
#include "batch/builder.h"

/* In one allocation with the child that points to it. */
struct owned {
	void *memory[3];        /* to be freed */
	const void *buffers[3]; /* to be shown */
};

/* What a buffer points to that has no bytes: not NULL, since readers dislike that. */
static const uint64_t nothing[1];

static void release_column(struct ArrowArray *array)
{
	struct owned *owned = array->private_data;

	for (int i = 0; i < 3; i++)
		free(owned->memory[i]);
	free(owned);
	array->release = NULL;
}

static void release_table(struct ArrowArray *array)
{
	for (int64_t i = 0; i < array->n_children; i++) {
		struct ArrowArray *child = array->children[i];

		if (child->release != NULL)
			child->release(child);
		free(child);
	}
	free(array->children);
	free(array->private_data);
	array->release = NULL;
}

static int export_column(struct dx_builder *builder, uint32_t number, struct dsmx_type type,
                         struct ArrowArray **ret_child)
{
	struct ArrowArray *child = calloc(1, sizeof(*child));
	struct owned *owned = calloc(1, sizeof(*owned));
	struct dsmx_column column;

	if (child == NULL || owned == NULL) {
		free(child);
		free(owned);
		return -ENOMEM;
	}
	dx_builder_take(builder, number, &column);
	owned->memory[0] = (void *)(uintptr_t)column.validity;
	owned->memory[1] = (void *)(uintptr_t)column.values;
	owned->memory[2] = (void *)(uintptr_t)column.bytes;
	owned->buffers[0] = column.validity;
	owned->buffers[1] = column.values != NULL ? column.values : nothing;
	owned->buffers[2] = column.bytes != NULL ? (const void *)column.bytes : nothing;
	child->length = (int64_t)dx_builder_rows(builder);
	if (column.validity != NULL)
		child->null_count = child->length - (int64_t)dx_bits_count(column.validity, 0,
		                                                           (uint64_t)child->length);
	child->n_buffers = dsmx_type_is_text(type) ? 3 : 2;
	child->buffers = owned->buffers;
	child->release = release_column;
	child->private_data = owned;
	*ret_child = child;
	return 0;
}

int dsmx_batch_export(const struct dsmx_schema *schema, const struct dsmx_batch *batch,
                      struct ArrowArray *ret_array)
{
	struct ArrowArray table = { .n_buffers = 1, .release = release_table };
	struct dx_builder *builder;
	int ret = dx_builder_new_wide(schema, &builder);

	if (ret < 0)
		return ret;
	ret = dx_builder_append(builder, batch);
	table.length = (int64_t)dx_builder_rows(builder);
	table.private_data = calloc(1, sizeof(*table.buffers)); /* one buffer: no validity */
	table.buffers = table.private_data;
	table.children = calloc((size_t)schema->field_count + 1, sizeof(*table.children));
	if (table.buffers == NULL || table.children == NULL)
		ret = -ENOMEM;
	for (uint32_t i = 0; i < schema->field_count && ret == 0; i++) {
		ret = export_column(builder, i, schema->fields[i].type, &table.children[i]);
		if (ret == 0)
			table.n_children++;
	}
	dx_builder_free(builder);
	if (ret < 0)
		release_table(&table);
	else
		*ret_array = table;
	return ret;
}
