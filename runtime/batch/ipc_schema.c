/* SPDX-License-Identifier: MIT */
/*
 * ipc_schema.c - schemas and key-value pairs in Arrow's metadata
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "batch/ipc_meta.h"
#include "batch/schema.h"

#define COLUMNS_MAX UINT16_MAX

/* Members of the union Type. */
enum type_tag {
	TAG_INT = 2,
	TAG_FLOAT = 3,
	TAG_BINARY = 4,
	TAG_UTF8 = 5,
	TAG_BOOL = 6,
	TAG_DECIMAL = 7,
	TAG_DATE = 8,
	TAG_TIMESTAMP = 10,
	TAG_LARGE_UTF8 = 20,
};

/* Fields of table Field. */
enum { FIELD_NAME, FIELD_NULLABLE, FIELD_TAG, FIELD_TYPE, FIELD_DICTIONARY, FIELD_CHILDREN };

/* Fields of table DictionaryEncoding. */
enum { DICTIONARY_ID, DICTIONARY_INDEX, DICTIONARY_ORDERED, DICTIONARY_KIND };

#define DATE_DAY         0
#define DATE_MILLISECOND 1

uint64_t dx_ipc_hash_end(uint64_t hash, const struct dx_ipc_tail *tail, const uint8_t *footer,
                         size_t footer_len, const struct dx_ipc_end *end)
{
	hash = dx_hash_combine(hash, dx_hash_bytes(tail, offsetof(struct dx_ipc_tail, hash), 0));
	hash = dx_hash_combine(hash, dx_hash_bytes(footer, footer_len, 0));
	return dx_hash_combine(hash, dx_hash_bytes(end, DX_IPC_END_BYTES, 0));
}

/* --- reading ------------------------------------------------------------------------------------------- */

int dx_ipc_check_buffer(const struct dx_fb *fb, struct dsmx_error *err)
{
	if (fb->broken == NULL)
		return 0;
	return dx_error(err, -EBADMSG, "byte %u of its metadata: %s", fb->broken_at, fb->broken);
}

static uint8_t read_int(const struct dx_fb_table *table)
{
	int64_t bits = dx_fb_int(table, 0, 4, 0);
	uint8_t first = dx_fb_int(table, 1, 1, 0) != 0 ? DSMX_INT8 : DSMX_UINT8;

	switch (bits) {
	case 8:
		return first;
	case 16:
		return (uint8_t)(first + 1);
	case 32:
		return (uint8_t)(first + 2);
	case 64:
		return (uint8_t)(first + 3);
	default:
		return DSMX_NONE;
	}
}

static struct dsmx_type read_decimal(const struct dx_fb_table *table, uint8_t *ret_width)
{
	int64_t precision = dx_fb_int(table, 0, 4, 0), scale = dx_fb_int(table, 1, 4, 0);
	int64_t bits = dx_fb_int(table, 2, 4, 128);

	if (precision < 1 || precision > DSMX_DECIMAL_MAX_DIGITS || scale < 0 ||
	    scale > precision || (bits != 32 && bits != 64 && bits != 128))
		return (struct dsmx_type){ 0 };
	*ret_width = (uint8_t)(bits / 8);
	return (struct dsmx_type){ DSMX_DECIMAL, (uint8_t)precision, (int8_t)scale, 0 };
}

static struct dsmx_type read_timestamp(const struct dx_fb_table *table)
{
	int64_t unit = dx_fb_int(table, 0, 2, 0);
	const char *zone;
	uint32_t len;

	if (unit < 0 || unit > 3)
		return (struct dsmx_type){ 0 };
	(void)dx_fb_string(table, 1, &zone, &len);
	return (struct dsmx_type){
		.id = len > 0 ? DSMX_TIMESTAMP_TZ : DSMX_TIMESTAMP,
		.precision = (uint8_t)(3 * unit),
	};
}

/* DSMX_NONE: dsmx has it not. */
static struct dsmx_type read_type(int64_t tag, const struct dx_fb_table *table, uint8_t *ret_width)
{
	struct dsmx_type type = { 0 };
	int64_t floats;

	switch (tag) {
	case TAG_INT:
		type.id = read_int(table);
		break;
	case TAG_FLOAT:
		floats = dx_fb_int(table, 0, 2, 0);
		type.id = floats == 1 ? DSMX_FLOAT32 : floats == 2 ? DSMX_FLOAT64 : DSMX_NONE;
		break;
	case TAG_BINARY:
		type.id = DSMX_BINARY;
		break;
	case TAG_UTF8:
		type.id = DSMX_UTF8;
		break;
	case TAG_BOOL:
		type.id = DSMX_BOOL;
		break;
	case TAG_DECIMAL:
		return read_decimal(table, ret_width);
	case TAG_DATE:
		if (dx_fb_int(table, 0, 2, DATE_MILLISECOND) == DATE_DAY)
			type.id = DSMX_DATE32;
		break;
	case TAG_TIMESTAMP:
		type = read_timestamp(table);
		break;
	case TAG_LARGE_UTF8:
		type.id = DSMX_LARGE_UTF8;
		break;
	default:
		break;
	}
	*ret_width = (uint8_t)dsmx_type_width(type);
	return type;
}

static int read_dictionary(const struct dx_fb_table *field, struct dsmx_type type,
                           struct dx_ipc_encoding *encoding)
{
	struct dx_fb_table dictionary, index;
	uint8_t id = DSMX_INT32;

	if (!dx_fb_table(field, FIELD_DICTIONARY, &dictionary))
		return 0;
	if (dx_fb_table(&dictionary, DICTIONARY_INDEX, &index))
		id = read_int(&index);
	if (!dsmx_type_is_text(type) || id == DSMX_NONE ||
	    dx_fb_int(&dictionary, DICTIONARY_KIND, 2, 0) != 0)
		return -EOPNOTSUPP;
	encoding->dictionary = dx_fb_int(&dictionary, DICTIONARY_ID, 8, 0);
	encoding->index = (uint8_t)dsmx_type_width((struct dsmx_type){ .id = id });
	encoding->index_is_unsigned = id >= DSMX_UINT8;
	return 0;
}

static int read_field(const struct dx_fb_table *table, uint32_t number,
                      struct dsmx_field *ret_field, struct dx_ipc_encoding *ret_encoding,
                      struct dsmx_error *err)
{
	struct dx_fb_table type;
	struct dx_fb_vector children;
	int64_t tag = dx_fb_int(table, FIELD_TAG, 1, 0);
	uint32_t len;
	int ret;

	(void)dx_fb_string(table, FIELD_NAME, &ret_field->name, &len);
	ret_field->nullable = dx_fb_int(table, FIELD_NULLABLE, 1, 0) != 0;
	if (dx_fb_table(table, FIELD_TYPE, &type))
		ret_field->type = read_type(tag, &type, &ret_encoding->width);
	(void)dx_fb_vector(table, FIELD_CHILDREN, 4, &children);
	ret = dx_ipc_check_buffer(table->fb, err);
	if (ret < 0)
		return ret;
	if (ret_field->type.id == DSMX_NONE || children.count > 0)
		return dx_error(
			err, -EOPNOTSUPP,
			"column %u (%s) has a type that dsmx does not support (Arrow type %d)",
			number, ret_field->name, (int)tag);
	ret = read_dictionary(table, ret_field->type, ret_encoding);
	if (ret < 0)
		return dx_error(err, ret,
		                "column %u (%s) has a dictionary that dsmx does not support",
		                number, ret_field->name);
	return dx_ipc_check_buffer(table->fb, err);
}

int dx_ipc_read_schema(const struct dx_fb_table *schema, struct dsmx_schema *ret_schema,
                       struct dx_ipc_encoding **ret_encodings, struct dsmx_error *err)
{
	struct dx_fb_vector vector;
	struct dsmx_field *fields;
	struct dx_ipc_encoding *encodings;
	uint64_t names = 0;
	int ret = 0;

	if (dx_fb_int(schema, 0, 2, 0) != 0)
		return dx_error(err, -EOPNOTSUPP, "its numbers are big-endian");
	(void)dx_fb_vector(schema, 1, 4, &vector);
	if (vector.count > COLUMNS_MAX)
		return dx_error(err, -E2BIG, "it has %u columns; the limit is %d", vector.count,
		                COLUMNS_MAX);
	fields = calloc((size_t)vector.count + 1, sizeof(*fields));
	encodings = calloc((size_t)vector.count + 1, sizeof(*encodings));
	if (fields == NULL || encodings == NULL)
		ret = dx_error(err, -ENOMEM, "no memory for its schema");
	for (uint32_t i = 0; i < vector.count && ret == 0; i++) {
		struct dx_fb_table field;

		if (dx_fb_item(&vector, i, &field))
			ret = read_field(&field, i, &fields[i], &encodings[i], err);
		else
			ret = dx_ipc_check_buffer(schema->fb, err);
		names += ret == 0 ? strlen(fields[i].name) : 0;
	}
	if (names > schema->fb->len) /* one long name for many columns would be copied for each */
		ret = dx_error(err, -EBADMSG, "names of columns share their bytes");
	if (ret == 0)
		ret = dx_ipc_check_buffer(schema->fb, err);
	if (ret == 0) {
		const struct dsmx_schema view = { vector.count, fields };

		ret = dx_schema_copy(&view, ret_schema);
		if (ret < 0)
			dx_error(err, ret, "no memory for its schema");
	}
	free(fields);
	if (ret == 0)
		*ret_encodings = encodings;
	else
		free(encodings);
	return ret;
}

const char *dx_ipc_find_key(const struct dx_fb_table *table, unsigned int field, const char *key,
                            uint32_t *ret_len)
{
	struct dx_fb_vector pairs;
	struct dx_fb_table pair;
	const char *name, *value;
	uint32_t len;

	(void)dx_fb_vector(table, field, 4, &pairs);
	for (uint32_t i = 0; i < pairs.count; i++) {
		if (!dx_fb_item(&pairs, i, &pair))
			return NULL;
		if (!dx_fb_string(&pair, 0, &name, &len) || strcmp(name, key) != 0)
			continue;
		return dx_fb_string(&pair, 1, &value, ret_len) ? value : NULL;
	}
	return NULL;
}

/* --- writing ------------------------------------------------------------------------------------------- */

/* The table of a type, and its tag. */
static uint8_t type_table(struct dsmx_type type, struct dx_fb_field fields[3])
{
	unsigned int bits = 8 * (unsigned int)dsmx_type_width(type);

	memset(fields, 0, 3 * sizeof(*fields));
	switch (type.id) {
	case DSMX_BOOL:
		return TAG_BOOL;
	case DSMX_FLOAT32:
	case DSMX_FLOAT64:
		fields[0] = (struct dx_fb_field){ 2, type.id == DSMX_FLOAT32 ? 1 : 2 };
		return TAG_FLOAT;
	case DSMX_DECIMAL:
		fields[0] = (struct dx_fb_field){ 4, type.precision };
		fields[1] = (struct dx_fb_field){ 4, type.scale };
		fields[2] = (struct dx_fb_field){ 4, 128 };
		return TAG_DECIMAL;
	case DSMX_DATE32:
		fields[0] = (struct dx_fb_field){ 2, DATE_DAY };
		return TAG_DATE;
	case DSMX_TIMESTAMP:
	case DSMX_TIMESTAMP_TZ:
		fields[0] = (struct dx_fb_field){ 2, type.precision / 3 };
		fields[1] = (struct dx_fb_field){ type.id == DSMX_TIMESTAMP_TZ ? 4 : 0, 0 };
		return TAG_TIMESTAMP;
	case DSMX_UTF8:
		return TAG_UTF8;
	case DSMX_LARGE_UTF8:
		return TAG_LARGE_UTF8;
	case DSMX_BINARY:
		return TAG_BINARY;
	default:
		fields[0] = (struct dx_fb_field){ 4, bits };
		fields[1] = (struct dx_fb_field){ 1, type.id <= DSMX_INT64 };
		return TAG_INT;
	}
}

static void write_field(struct dx_fb_writer *writer, size_t item, const struct dsmx_field *field,
                        int64_t dictionary)
{
	struct dx_fb_field type_fields[3];
	uint8_t tag = type_table(field->type, type_fields);
	const struct dx_fb_field fields[6] = {
		[FIELD_NAME] = { 4, 0 },
		[FIELD_NULLABLE] = { 1, field->nullable },
		[FIELD_TAG] = { 1, tag },
		[FIELD_TYPE] = { 4, 0 },
		[FIELD_DICTIONARY] = { dictionary >= 0 ? 4 : 0, 0 },
		[FIELD_CHILDREN] = { 4, 0 },
	};
	size_t table = dx_fb_add_item(writer, item, fields, 6), type;

	dx_fb_add_string(writer, table, FIELD_NAME, field->name, strlen(field->name));
	type = dx_fb_add_child(writer, table, FIELD_TYPE, type_fields, 3);
	if (field->type.id == DSMX_TIMESTAMP_TZ)
		dx_fb_add_string(writer, type, 1, "UTC", 3);
	if (dictionary >= 0) {
		const struct dx_fb_field encoding[2] = {
			[DICTIONARY_ID] = { 8, dictionary },
			[DICTIONARY_INDEX] = { 4, 0 },
		};
		const struct dx_fb_field index[2] = { { 4, 32 }, { 1, 1 } }; /* int32 */
		size_t at = dx_fb_add_child(writer, table, FIELD_DICTIONARY, encoding, 2);

		dx_fb_add_child(writer, at, DICTIONARY_INDEX, index, 2);
	}
	dx_fb_add_vector(writer, table, FIELD_CHILDREN, 0, 4);
}

void dx_ipc_write_schema(struct dx_fb_writer *writer, size_t table, unsigned int field,
                         const struct dsmx_schema *schema, const bool *indexed)
{
	const struct dx_fb_field fields[2] = { { 2, 0 }, { 4, 0 } }; /* little-endian; the fields */
	size_t at = dx_fb_add_child(writer, table, field, fields, 2);
	size_t items = dx_fb_add_vector(writer, at, 1, schema->field_count, 4);

	for (uint32_t i = 0; i < schema->field_count; i++)
		write_field(writer, items + 4 * (size_t)i, &schema->fields[i],
		            indexed != NULL && indexed[i] ? (int64_t)i : -1);
}

void dx_ipc_write_key(struct dx_fb_writer *writer, size_t table, unsigned int field,
                      const char *key, const char *value, size_t len)
{
	const struct dx_fb_field fields[2] = { { 4, 0 }, { 4, 0 } };
	size_t item = dx_fb_add_vector(writer, table, field, 1, 4);
	size_t pair = dx_fb_add_item(writer, item, fields, 2);

	dx_fb_add_string(writer, pair, 0, key, strlen(key));
	dx_fb_add_string(writer, pair, 1, value, len);
}
