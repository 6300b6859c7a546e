/* SPDX-License-Identifier: MIT */
/*
 * type.c - types and their names
 *
 * One table has a type's canonical name first, then its aliases: what PostgreSQL and Arrow call it. A name
 * ends where its parameters begin: "decimal(15,2)", "timestamp(6)". Spaces are free, case does not matter.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/compiler.h"
#include "batch/value.h"
#include "dsmx/batch.h"

struct type_name {
	const char *name;
	uint8_t id;
};

/* The first name of an id is the one that is written. */
static const struct type_name type_names[] = {
	{ "bool", DSMX_BOOL },
	{ "boolean", DSMX_BOOL },
	{ "int8", DSMX_INT8 },
	{ "tinyint", DSMX_INT8 },
	{ "int16", DSMX_INT16 },
	{ "smallint", DSMX_INT16 },
	{ "int32", DSMX_INT32 },
	{ "int", DSMX_INT32 },
	{ "integer", DSMX_INT32 },
	{ "int64", DSMX_INT64 },
	{ "bigint", DSMX_INT64 },
	{ "uint8", DSMX_UINT8 },
	{ "uint16", DSMX_UINT16 },
	{ "uint32", DSMX_UINT32 },
	{ "uint64", DSMX_UINT64 },
	{ "float32", DSMX_FLOAT32 },
	{ "real", DSMX_FLOAT32 },
	{ "float64", DSMX_FLOAT64 },
	{ "double", DSMX_FLOAT64 },
	{ "double precision", DSMX_FLOAT64 },
	{ "decimal", DSMX_DECIMAL },
	{ "decimal128", DSMX_DECIMAL },
	{ "numeric", DSMX_DECIMAL },
	{ "date", DSMX_DATE32 },
	{ "date32", DSMX_DATE32 },
	{ "timestamp", DSMX_TIMESTAMP },
	{ "timestamptz", DSMX_TIMESTAMP_TZ },
	{ "utf8", DSMX_UTF8 },
	{ "text", DSMX_UTF8 },
	{ "string", DSMX_UTF8 },
	{ "varchar", DSMX_UTF8 },
	{ "large_utf8", DSMX_LARGE_UTF8 },
	{ "binary", DSMX_BINARY },
	{ "bytea", DSMX_BINARY },
};

size_t dsmx_type_width(struct dsmx_type type)
{
	static const uint8_t widths[DSMX_TYPE_COUNT] = {
		[DSMX_INT8] = 1,      [DSMX_INT16] = 2,        [DSMX_INT32] = 4,
		[DSMX_INT64] = 8,     [DSMX_UINT8] = 1,        [DSMX_UINT16] = 2,
		[DSMX_UINT32] = 4,    [DSMX_UINT64] = 8,       [DSMX_FLOAT32] = 4,
		[DSMX_FLOAT64] = 8,   [DSMX_DECIMAL] = 16,     [DSMX_DATE32] = 4,
		[DSMX_TIMESTAMP] = 8, [DSMX_TIMESTAMP_TZ] = 8,
	};

	if (type.id >= DSMX_TYPE_COUNT)
		return 0;
	if (type.id == DSMX_DECIMAL && type.precision <= DSMX_DECIMAL_NARROW_DIGITS)
		return 8;
	return widths[type.id];
}

bool dsmx_type_is_text(struct dsmx_type type)
{
	return type.id == DSMX_UTF8 || type.id == DSMX_LARGE_UTF8 || type.id == DSMX_BINARY;
}

bool dx_type_fits_int64(struct dsmx_type type)
{
	switch (type.id) {
	case DSMX_INT8:
	case DSMX_INT16:
	case DSMX_INT32:
	case DSMX_INT64:
	case DSMX_UINT8:
	case DSMX_UINT16:
	case DSMX_UINT32:
	case DSMX_DATE32:
	case DSMX_TIMESTAMP:
	case DSMX_TIMESTAMP_TZ:
		return true;
	case DSMX_DECIMAL:
		return type.precision <= DSMX_DECIMAL_NARROW_DIGITS;
	default:
		return false;
	}
}

bool dsmx_type_equal(struct dsmx_type a, struct dsmx_type b)
{
	return a.id == b.id && a.precision == b.precision && a.scale == b.scale;
}

static bool is_timestamp(uint8_t id)
{
	return id == DSMX_TIMESTAMP || id == DSMX_TIMESTAMP_TZ;
}

static const char *skip_spaces(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

/* A number of one or two digits; returns what follows, NULL if there is none. */
static const char *parse_small(const char *at, int *ret_number)
{
	int number = 0, digits = 0;

	at = skip_spaces(at);
	for (; *at >= '0' && *at <= '9' && digits < 3; at++, digits++)
		number = number * 10 + (*at - '0');
	if (digits == 0 || digits > 2)
		return NULL;
	*ret_number = number;
	return skip_spaces(at);
}

/* "(p)" or "(p,s)"; the count of numbers, 0 without parentheses, -1 for anything else. */
static int parse_parameters(const char *at, int numbers[2])
{
	int count = 0;

	if (*at == 0)
		return 0;
	if (*at++ != '(')
		return -1;
	for (;;) {
		at = parse_small(at, &numbers[count++]);
		if (at == NULL)
			return -1;
		if (*at == ')' && *skip_spaces(at + 1) == 0)
			return count;
		if (*at++ != ',' || count == 2)
			return -1;
	}
}

int dsmx_type_parse(const char *text, struct dsmx_type *ret_type)
{
	struct dsmx_type type = { 0 };
	const char *start = skip_spaces(text), *end = start + strcspn(start, "(");
	const char *parameters = end;
	int numbers[2] = { 0, 0 }, count;

	while (end > start && strchr(" \t\r\n", end[-1]) != NULL)
		end--;
	for (size_t i = 0; i < DX_ARRAY_LEN(type_names); i++) {
		if (strncasecmp(start, type_names[i].name, (size_t)(end - start)) == 0 &&
		    type_names[i].name[end - start] == 0)
			type.id = type_names[i].id;
	}
	count = parse_parameters(parameters, numbers);
	if (type.id == DSMX_NONE || count < 0)
		return -EINVAL;
	if (type.id == DSMX_DECIMAL) {
		if (count == 0 || numbers[0] < 1 || numbers[0] > DSMX_DECIMAL_MAX_DIGITS ||
		    numbers[1] > numbers[0])
			return -EINVAL;
		type.precision = (uint8_t)numbers[0];
		type.scale = (int8_t)numbers[1];
	} else if (is_timestamp(type.id)) {
		if (count > 1 || numbers[0] > 9 || numbers[0] % 3 != 0)
			return -EINVAL;
		type.precision = count == 0 ? 6 : (uint8_t)numbers[0];
	} else if (count > 0) {
		return -EINVAL;
	}
	*ret_type = type;
	return 0;
}

const char *dsmx_type_format(struct dsmx_type type, char *buf, size_t len)
{
	const char *name = "none";

	for (size_t i = DX_ARRAY_LEN(type_names); i-- > 0;) {
		if (type_names[i].id == type.id)
			name = type_names[i].name;
	}
	if (type.id == DSMX_DECIMAL)
		(void)snprintf(buf, len, "%s(%u,%d)", name, type.precision, type.scale);
	else if (is_timestamp(type.id))
		(void)snprintf(buf, len, "%s(%u)", name, type.precision);
	else
		(void)snprintf(buf, len, "%s", name);
	return buf;
}
