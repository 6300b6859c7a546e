/* SPDX-License-Identifier: MIT */
/*
 * builder.h - columns that grow: rows copied out of batches into memory of one's own
 *
 * Who keeps rows longer than one poll (a sort, the build side of a join, a result for the application)
 * appends them here. Dictionaries are resolved: a builder holds plain columns.
 */
#ifndef DX_BATCH_BUILDER_H
#define DX_BATCH_BUILDER_H

#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/batch.h"

struct dx_builder;

/* @schema is borrowed and must outlive the builder. */
int dx_builder_new(const struct dsmx_schema *schema, struct dx_builder **ret_builder) DX_MUST_CHECK;
void dx_builder_free(struct dx_builder *builder);

/* The same, with every decimal 16 bytes wide as Arrow's files and arrays have it. */
int dx_builder_new_wide(const struct dsmx_schema *schema,
                        struct dx_builder **ret_builder) DX_MUST_CHECK;

/*
 * Append the selected rows of @batch. Returns 0, -ENOMEM, or -ERANGE where a text column with 32-bit offsets
 * would pass 2 GiB or the builder UINT32_MAX rows; on failure it is as it was.
 */
int dx_builder_append(struct dx_builder *builder, const struct dsmx_batch *batch) DX_MUST_CHECK;

/* Append rows[0..count) of @batch (row numbers of the batch, any order, its selection is ignored). */
int dx_builder_append_rows(struct dx_builder *builder, const struct dsmx_batch *batch,
                           const uint32_t *rows, uint32_t count) DX_MUST_CHECK;

/* Rows, and the bytes that their values take (memory set aside beyond that is not counted). */
uint64_t dx_builder_rows(const struct dx_builder *builder);
uint64_t dx_builder_bytes(const struct dx_builder *builder);

/* The columns as a batch without selection; valid until the next append, clear or free. */
void dx_builder_view(const struct dx_builder *builder, struct dsmx_batch *ret_batch);

/*
 * Take the memory of column @column over: free() what is not NULL of validity, values and bytes. The builder
 * can then only be freed.
 */
void dx_builder_take(struct dx_builder *builder, uint32_t column, struct dsmx_column *ret_column);

/* No rows, memory kept. */
void dx_builder_clear(struct dx_builder *builder);

#endif /* DX_BATCH_BUILDER_H */
