/* SPDX-License-Identifier: MIT */
#include "batch/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int dx_schema_copy(const struct dsmx_schema *schema, struct dsmx_schema *ret_schema)
{
	size_t bytes = schema->field_count * sizeof(struct dsmx_field);
	struct dsmx_field *fields;
	char *name;

	for (uint32_t i = 0; i < schema->field_count; i++)
		bytes += strlen(schema->fields[i].name) + 1;
	fields = malloc(bytes > 0 ? bytes : 1);
	if (fields == NULL)
		return -ENOMEM;
	name = (char *)(fields + schema->field_count);
	for (uint32_t i = 0; i < schema->field_count; i++) {
		size_t len = strlen(schema->fields[i].name) + 1;

		fields[i] = schema->fields[i];
		fields[i].name = memcpy(name, schema->fields[i].name, len);
		name += len;
	}
	*ret_schema = (struct dsmx_schema){ schema->field_count, fields };
	return 0;
}

bool dx_schema_types_equal(const struct dsmx_schema *a, const struct dsmx_schema *b)
{
	if (a->field_count != b->field_count)
		return false;
	for (uint32_t i = 0; i < a->field_count; i++) {
		if (!dsmx_type_equal(a->fields[i].type, b->fields[i].type))
			return false;
	}
	return true;
}

void dsmx_schema_free(struct dsmx_schema *schema)
{
	if (schema == NULL)
		return;
	free((void *)(uintptr_t)schema->fields);
	*schema = (struct dsmx_schema){ 0 };
}
