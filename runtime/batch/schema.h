/* SPDX-License-Identifier: MIT */
/*
 * schema.h - schemas in memory of their own
 */
#ifndef DX_BATCH_SCHEMA_H
#define DX_BATCH_SCHEMA_H

#include "base/compiler.h"
#include "dsmx/batch.h"

/* Fields and names in one allocation; dsmx_schema_free() frees it. 0 or -ENOMEM. */
int dx_schema_copy(const struct dsmx_schema *schema, struct dsmx_schema *ret_schema) DX_MUST_CHECK;

/* The same number of columns of the same types; names and nullability do not matter. */
bool dx_schema_types_equal(const struct dsmx_schema *a, const struct dsmx_schema *b);

#endif /* DX_BATCH_SCHEMA_H */
