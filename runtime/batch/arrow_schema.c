/* SPDX-License-Identifier: MIT */
/*
 * arrow_schema.c - ArrowSchema to schema and back
 *
 * A table is a struct of columns. What a column's dictionary holds is its type here; that it has one matters
 * to who reads its arrays only (import.h).
 *
 * A consumer may move a child out of its parent and release it on its own, so every node of an exported
 * schema owns its strings.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "batch/arrow_format.h"
#include "batch/schema.h"

#define COLUMNS_MAX UINT16_MAX

/* --- type strings -------------------------------------------------------------------------------------- */

static const char plain_formats[DSMX_TYPE_COUNT] = {
	[DSMX_BOOL] = 'b',   [DSMX_INT8] = 'c',       [DSMX_INT16] = 's',   [DSMX_INT32] = 'i',
	[DSMX_INT64] = 'l',  [DSMX_UINT8] = 'C',      [DSMX_UINT16] = 'S',  [DSMX_UINT32] = 'I',
	[DSMX_UINT64] = 'L', [DSMX_FLOAT32] = 'f',    [DSMX_FLOAT64] = 'g', [DSMX_UTF8] = 'u',
	[DSMX_BINARY] = 'z', [DSMX_LARGE_UTF8] = 'U',
};

static int parse_decimal(const char *parameters, struct dsmx_type *ret_type, uint8_t *ret_width)
{
	unsigned int precision, scale, bits = 128;
	int end = -1;

	if (sscanf(parameters, "%2u,%2u%n", &precision, &scale, &end) != 2 || end < 0)
		return -EOPNOTSUPP;
	parameters += end;
	if (*parameters != 0) {
		end = -1;
		if (sscanf(parameters, ",%3u%n", &bits, &end) != 1 || end < 0 ||
		    parameters[end] != 0)
			return -EOPNOTSUPP;
	}
	if (precision < 1 || precision > DSMX_DECIMAL_MAX_DIGITS || scale > precision ||
	    (bits != 32 && bits != 64 && bits != 128))
		return -EOPNOTSUPP;
	*ret_type = (struct dsmx_type){ DSMX_DECIMAL, (uint8_t)precision, (int8_t)scale, 0 };
	*ret_width = (uint8_t)(bits / 8);
	return 0;
}

/* "tsu:", "tsu:Europe/Berlin" */
static int parse_timestamp(const char *unit_zone, struct dsmx_type *ret_type)
{
	static const char units[4] = { 's', 'm', 'u', 'n' };
	const char *unit = memchr(units, unit_zone[0], sizeof(units));

	if (unit == NULL || unit_zone[1] != ':')
		return -EOPNOTSUPP;
	*ret_type = (struct dsmx_type){
		.id = unit_zone[2] == 0 ? DSMX_TIMESTAMP : DSMX_TIMESTAMP_TZ,
		.precision = (uint8_t)(3 * (unit - units)),
	};
	return 0;
}

int dx_arrow_format_parse(const char *format, struct dsmx_type *ret_type, uint8_t *ret_width)
{
	struct dsmx_type type = { 0 };
	int ret = -EOPNOTSUPP;

	if (format == NULL)
		return -EOPNOTSUPP;
	if (strncmp(format, "d:", 2) == 0)
		return parse_decimal(format + 2, ret_type, ret_width);
	if (strncmp(format, "ts", 2) == 0) {
		ret = parse_timestamp(format + 2, &type);
	} else if (strcmp(format, "tdD") == 0) {
		type.id = DSMX_DATE32;
		ret = 0;
	} else if (format[0] != 0 && format[1] == 0) {
		const char *at = memchr(plain_formats, format[0], sizeof(plain_formats));

		type.id = at != NULL ? (uint8_t)(at - plain_formats) : DSMX_NONE;
		ret = at != NULL ? 0 : -EOPNOTSUPP;
	}
	if (ret < 0)
		return ret;
	*ret_type = type;
	*ret_width = (uint8_t)dsmx_type_width(type);
	return 0;
}

void dx_arrow_format_write(struct dsmx_type type, char buf[DX_ARROW_FORMAT_BYTES])
{
	switch (type.id) {
	case DSMX_DECIMAL:
		(void)snprintf(buf, DX_ARROW_FORMAT_BYTES, "d:%u,%d", type.precision, type.scale);
		break;
	case DSMX_DATE32:
		strcpy(buf, "tdD");
		break;
	case DSMX_TIMESTAMP:
	case DSMX_TIMESTAMP_TZ:
		(void)snprintf(buf, DX_ARROW_FORMAT_BYTES, "ts%c:%s", "smun"[type.precision / 3],
		               type.id == DSMX_TIMESTAMP_TZ ? "UTC" : "");
		break;
	default:
		buf[0] = plain_formats[type.id];
		buf[1] = 0;
		break;
	}
}

/* --- import -------------------------------------------------------------------------------------------- */

static int import_field(const struct ArrowSchema *from, uint32_t number,
                        struct dsmx_field *ret_field, struct dsmx_error *err)
{
	const struct ArrowSchema *value = from;
	const char *name;
	uint8_t width;

	if (from == NULL || from->release == NULL)
		return dx_error(err, -EINVAL, "column %u of the Arrow schema is not there", number);
	name = from->name != NULL ? from->name : "";
	if (from->dictionary != NULL)
		value = from->dictionary;
	if (dx_arrow_format_parse(value->format, &ret_field->type, &width) < 0)
		return dx_error(
			err, -EOPNOTSUPP,
			"column %u (%s) has the Arrow type '%s', which dsmx does not support",
			number, name, value->format != NULL ? value->format : "");
	if (from->dictionary != NULL && !dsmx_type_is_text(ret_field->type))
		return dx_error(err, -EOPNOTSUPP,
		                "column %u (%s) is a dictionary of '%s'; only text may be one",
		                number, name, value->format);
	ret_field->name = name;
	ret_field->nullable = (from->flags & ARROW_FLAG_NULLABLE) != 0;
	return 0;
}

int dsmx_schema_import(const struct ArrowSchema *schema, struct dsmx_schema *ret_schema,
                       struct dsmx_error *err)
{
	struct dsmx_field *fields;
	int ret = 0;

	if (schema == NULL || schema->release == NULL || schema->format == NULL ||
	    strcmp(schema->format, "+s") != 0)
		return dx_error(err, -EINVAL, "the Arrow schema is not a struct of columns");
	if (schema->n_children < 0 || (schema->n_children > 0 && schema->children == NULL))
		return dx_error(err, -EINVAL, "the Arrow schema has no columns");
	if (schema->n_children > COLUMNS_MAX)
		return dx_error(err, -E2BIG, "the Arrow schema has %lld columns; the limit is %d",
		                (long long)schema->n_children, COLUMNS_MAX);
	fields = calloc((size_t)schema->n_children + 1, sizeof(*fields));
	if (fields == NULL)
		return dx_error(err, -ENOMEM, "no memory for a schema");
	for (uint32_t i = 0; i < (uint32_t)schema->n_children && ret == 0; i++)
		ret = import_field(schema->children[i], i, &fields[i], err);
	if (ret == 0) {
		const struct dsmx_schema view = { (uint32_t)schema->n_children, fields };

		ret = dx_schema_copy(&view, ret_schema);
		if (ret < 0)
			dx_error(err, ret, "no memory for a schema");
	}
	free(fields);
	return ret;
}

/* --- export -------------------------------------------------------------------------------------------- */

/* What a node owns, in one allocation: format and name of a column, children of the table. */
struct owned {
	char format[DX_ARROW_FORMAT_BYTES];
	char name[];
};

static void release_column(struct ArrowSchema *schema)
{
	free(schema->private_data);
	schema->release = NULL;
}

static void release_table(struct ArrowSchema *schema)
{
	for (int64_t i = 0; i < schema->n_children; i++) {
		struct ArrowSchema *child = schema->children[i];

		if (child->release != NULL)
			child->release(child);
		free(child);
	}
	free(schema->children);
	schema->release = NULL;
}

static int export_field(const struct dsmx_field *field, struct ArrowSchema **ret_child)
{
	size_t len = strlen(field->name) + 1;
	struct ArrowSchema *child = calloc(1, sizeof(*child));
	struct owned *owned = malloc(sizeof(*owned) + len);

	if (child == NULL || owned == NULL) {
		free(child);
		free(owned);
		return -ENOMEM;
	}
	dx_arrow_format_write(field->type, owned->format);
	child->format = owned->format;
	child->name = memcpy(owned->name, field->name, len);
	child->flags = field->nullable ? ARROW_FLAG_NULLABLE : 0;
	child->release = release_column;
	child->private_data = owned;
	*ret_child = child;
	return 0;
}

int dsmx_schema_export(const struct dsmx_schema *schema, struct ArrowSchema *ret_schema)
{
	struct ArrowSchema table = { .format = "+s", .name = "", .release = release_table };

	table.children = calloc((size_t)schema->field_count + 1, sizeof(*table.children));
	if (table.children == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < schema->field_count; i++) {
		if (export_field(&schema->fields[i], &table.children[i]) < 0) {
			release_table(&table);
			return -ENOMEM;
		}
		table.n_children++;
	}
	*ret_schema = table;
	return 0;
}
