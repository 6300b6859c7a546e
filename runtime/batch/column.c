/* SPDX-License-Identifier: MIT */
/*
 * column.c - single values of columns, for who shows them or makes them: tools and tests
 *
 * Not for operators: they work a vector at a time.
 */
#include <errno.h>
#include <string.h>

#include "batch/bits.h"
#include "batch/format.h"
#include "batch/parse.h"
#include "dsmx/batch.h"

int dsmx_value_parse(struct dsmx_type type, const char *text, size_t len, void *ret_value)
{
	union dx_value value;
	int ret;

	if (dsmx_type_is_text(type))
		return -EINVAL;
	ret = dx_parse_value(type, text, len, &value);
	if (ret == 0)
		dx_value_store(type, &value, ret_value);
	return ret;
}

bool dsmx_column_is_null(const struct dsmx_column *column, uint32_t row)
{
	return column->validity != NULL && !dx_bit_get(column->validity, row);
}

const char *dsmx_column_text(struct dsmx_type type, const struct dsmx_column *column, uint32_t row,
                             size_t *ret_len)
{
	size_t entry = column->codes != NULL ? (size_t)column->codes[row] : row;
	int64_t start, end;

	if (type.id == DSMX_LARGE_UTF8) {
		start = ((const int64_t *)column->values)[entry];
		end = ((const int64_t *)column->values)[entry + 1];
	} else {
		start = ((const int32_t *)column->values)[entry];
		end = ((const int32_t *)column->values)[entry + 1];
	}
	*ret_len = (size_t)(end - start);
	return end > start ? (const char *)column->bytes + start : "";
}

static size_t format_binary(const char *bytes, size_t count, char *buf, size_t len)
{
	static const char digits[16] = "0123456789abcdef";
	size_t at = 0;

	for (size_t i = 0; i < 2 * count + 2 && at + 1 < len; i++) {
		uint8_t byte = i < 2 ? 0 : (uint8_t)bytes[i / 2 - 1];

		if (i < 2)
			buf[at++] = i == 0 ? '\\' : 'x';
		else
			buf[at++] = digits[i % 2 == 0 ? byte >> 4 : byte & 15];
	}
	if (len > 0)
		buf[at] = 0;
	return 2 * count + 2;
}

static size_t format_text(const char *text, size_t count, char *buf, size_t len)
{
	size_t fits = count < len ? count : len - 1;

	if (len == 0)
		return count;
	memcpy(buf, text, fits);
	buf[fits] = 0;
	return count;
}

size_t dsmx_column_format(struct dsmx_type type, const struct dsmx_column *column, uint32_t row,
                          char *buf, size_t len)
{
	char text[DX_FORMAT_BYTES];
	union dx_value value;
	size_t count;

	if (dsmx_type_is_text(type)) {
		const char *bytes = dsmx_column_text(type, column, row, &count);

		if (type.id == DSMX_BINARY)
			return format_binary(bytes, count, buf, len);
		return format_text(bytes, count, buf, len);
	}
	if (type.id == DSMX_BOOL)
		value.i = dx_bit_get(column->values, row);
	else
		dx_value_load(type, (const uint8_t *)column->values + row * dsmx_type_width(type),
		              &value);
	count = dx_format_value(type, &value, text);
	return format_text(text, count, buf, len);
}
