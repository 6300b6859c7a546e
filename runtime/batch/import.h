/* SPDX-License-Identifier: MIT */
/*
 * import.h - an application's Arrow arrays as batches
 *
 * An importer is made once from the stream's schema, and turns rows of an array into a batch. The batch points
 * into the array where it can, and into the importer where it cannot: bitmaps at an odd bit, decimals of
 * another width, dictionary codes. So it is valid until the next run, and as long as the array is.
 *
 * What an array tells about itself is checked; the lengths of its buffers it does not tell, so an application
 * that lies there harms itself.
 */
#ifndef DX_BATCH_IMPORT_H
#define DX_BATCH_IMPORT_H

#include "base/compiler.h"
#include "dsmx/batch.h"

struct dx_importer;

/* @schema is not consumed and not kept. The errors are those of dsmx_schema_import(). */
int dx_importer_new(const struct ArrowSchema *schema, struct dx_importer **ret_importer,
                    struct dsmx_error *err) DX_MUST_CHECK;
void dx_importer_free(struct dx_importer *importer);

/* The columns' types; the importer's. */
const struct dsmx_schema *dx_importer_schema(const struct dx_importer *importer);

/*
 * Rows @from .. @from + @count - 1 of @array (a struct of columns). A longer array is imported in parts.
 *
 * @count: at most DSMX_BATCH_ROWS_MAX; @from + @count at most array->length
 * Return: 0, -EBADMSG: the array does not fit the schema or breaks a rule of the format, -ENOMEM.
 */
int dx_array_import(struct dx_importer *importer, const struct ArrowArray *array, uint64_t from,
                    uint32_t count, struct dsmx_batch *ret_batch,
                    struct dsmx_error *err) DX_MUST_CHECK;

#endif /* DX_BATCH_IMPORT_H */
