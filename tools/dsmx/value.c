/* SPDX-License-Identifier: MIT */
#include "value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/mem.h"

void value_scratch_fini(struct value_scratch *scratch)
{
	free(scratch->large);
	scratch->large = NULL;
}

bool value_is_number(struct dsmx_type type)
{
	return type.id >= DSMX_INT8 && type.id <= DSMX_DECIMAL;
}

/* --- numbers: written from the end of the buffer --------------------------------------------------------- */

static char *write_digits(char *at, uint64_t value, int least)
{
	for (int digits = 0; value > 0 || digits < least; digits++) {
		*--at = (char)('0' + value % 10);
		value /= 10;
	}
	return at;
}

static struct value_text from_end(struct value_scratch *scratch, char *at)
{
	return (struct value_text){ at, (size_t)(scratch->fixed + VALUE_BYTES - at) };
}

static struct value_text unsigned_text(uint64_t value, bool negative, struct value_scratch *scratch)
{
	char *at = write_digits(scratch->fixed + VALUE_BYTES, value, 1);

	if (negative)
		*--at = '-';
	return from_end(scratch, at);
}

static struct value_text signed_text(int64_t value, struct value_scratch *scratch)
{
	return unsigned_text(value < 0 ? -(uint64_t)value : (uint64_t)value, value < 0, scratch);
}

/* Digits in two halves of 19, so that most of the work is in 64 bits; then the point is put between. */
static struct value_text decimal_text(__int128 value, int scale, struct value_scratch *scratch)
{
	static const uint64_t half = UINT64_C(10000000000000000000);
	unsigned __int128 rest = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
	char *end = scratch->fixed + VALUE_BYTES, *at;

	if (rest < half) {
		at = write_digits(end, (uint64_t)rest, scale + 1);
	} else {
		int high = scale + 1 > 19 ? scale + 1 - 19 : 1;

		at = write_digits(end, (uint64_t)(rest % half), 19);
		at = write_digits(at, (uint64_t)(rest / half), high);
	}
	if (scale > 0) {
		memmove(at - 1, at, (size_t)(end - at - scale));
		at--;
		end[-scale - 1] = '.';
	}
	if (value < 0)
		*--at = '-';
	return from_end(scratch, at);
}

/* The shortest of 15 to 17 digits (float32: 6 to 9) that reads back as the same number. */
static struct value_text float_text(double value, bool single, struct value_scratch *scratch)
{
	int len = 0;

	if (isnan(value))
		return (struct value_text){ "NaN", 3 };
	if (isinf(value))
		return value > 0 ? (struct value_text){ "Infinity", 8 }
		                 : (struct value_text){ "-Infinity", 9 };
	for (int digits = single ? 6 : 15; digits <= (single ? 9 : 17); digits++) {
		len = snprintf(scratch->fixed, VALUE_BYTES, "%.*g", digits, value);
		if (single ? strtof(scratch->fixed, NULL) == (float)value
		           : strtod(scratch->fixed, NULL) == value)
			break;
	}
	return (struct value_text){ scratch->fixed, (size_t)len };
}

/* --- dates ------------------------------------------------------------------------------------------------ */

static int date_text(int64_t days, char *buf, size_t room)
{
	int64_t z = days + 719468;
	int64_t cycle = (z >= 0 ? z : z - 146096) / 146097;
	int64_t in_cycle = z - cycle * 146097;
	int64_t in_year_cycle =
		(in_cycle - in_cycle / 1460 + in_cycle / 36524 - in_cycle / 146096) / 365;
	int64_t day = in_cycle - (365 * in_year_cycle + in_year_cycle / 4 - in_year_cycle / 100);
	int64_t month = (5 * day + 2) / 153;
	int64_t year = in_year_cycle + cycle * 400 + (month >= 10);

	return snprintf(buf, room, "%04lld-%02d-%02d", (long long)year,
	                (int)(month < 10 ? month + 3 : month - 9),
	                (int)(day - (153 * month + 2) / 5 + 1));
}

static struct value_text timestamp_text(int64_t value, struct dsmx_type type,
                                        struct value_scratch *scratch)
{
	static const int64_t units[] = { [0] = 1, [3] = 1000, [6] = 1000000, [9] = 1000000000 };
	int64_t unit = type.precision <= 9 && units[type.precision] > 0 ? units[type.precision] : 1;
	int64_t seconds = value / unit, rest = value % unit, days, of_day;
	char *buf = scratch->fixed;
	int len;

	if (rest < 0) {
		rest += unit;
		seconds--;
	}
	days = seconds / 86400;
	of_day = seconds % 86400;
	if (of_day < 0) {
		of_day += 86400;
		days--;
	}
	len = date_text(days, buf, VALUE_BYTES);
	len += snprintf(buf + len, VALUE_BYTES - (size_t)len, " %02d:%02d:%02d",
	                (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60));
	if (rest > 0) {
		len += snprintf(buf + len, VALUE_BYTES - (size_t)len, ".%0*lld", type.precision,
		                (long long)rest);
		while (buf[len - 1] == '0')
			len--;
	}
	if (type.id == DSMX_TIMESTAMP_TZ)
		len += snprintf(buf + len, VALUE_BYTES - (size_t)len, "+00");
	return (struct value_text){ buf, (size_t)len };
}

/* --- texts ------------------------------------------------------------------------------------------------ */

static struct value_text text_of(struct dsmx_type type, const struct dsmx_column *column,
                                 uint32_t row)
{
	size_t entry = column->codes != NULL ? (size_t)column->codes[row] : row;
	size_t start, end;

	if (type.id == DSMX_LARGE_UTF8) {
		const int64_t *offsets = column->values;

		start = (size_t)offsets[entry];
		end = (size_t)offsets[entry + 1];
	} else {
		const int32_t *offsets = column->values;

		start = (size_t)offsets[entry];
		end = (size_t)offsets[entry + 1];
	}
	return (struct value_text){ (const char *)column->bytes + start, end - start };
}

static struct value_text binary_text(struct value_text bytes, struct value_scratch *scratch)
{
	static const char hex[] = "0123456789abcdef";
	size_t need = 2 * bytes.len + 2;

	if (scratch->room < need) {
		scratch->large = mem_resize(scratch->large, need);
		scratch->room = need;
	}
	memcpy(scratch->large, "\\x", 2);
	for (size_t i = 0; i < bytes.len; i++) {
		scratch->large[2 + 2 * i] = hex[(unsigned char)bytes.bytes[i] >> 4];
		scratch->large[3 + 2 * i] = hex[bytes.bytes[i] & 15];
	}
	return (struct value_text){ scratch->large, need };
}

struct value_text value_text(struct dsmx_type type, const struct dsmx_column *column, uint32_t row,
                             struct value_scratch *scratch)
{
	const void *v = column->values;
	__int128 wide;

	switch (type.id) {
	case DSMX_BOOL:
		return (((const uint8_t *)v)[row >> 3] >> (row & 7) & 1) != 0
		               ? (struct value_text){ "t", 1 }
		               : (struct value_text){ "f", 1 };
	case DSMX_INT8:
		return signed_text(((const int8_t *)v)[row], scratch);
	case DSMX_INT16:
		return signed_text(((const int16_t *)v)[row], scratch);
	case DSMX_INT32:
		return signed_text(((const int32_t *)v)[row], scratch);
	case DSMX_INT64:
		return signed_text(((const int64_t *)v)[row], scratch);
	case DSMX_UINT8:
		return unsigned_text(((const uint8_t *)v)[row], false, scratch);
	case DSMX_UINT16:
		return unsigned_text(((const uint16_t *)v)[row], false, scratch);
	case DSMX_UINT32:
		return unsigned_text(((const uint32_t *)v)[row], false, scratch);
	case DSMX_UINT64:
		return unsigned_text(((const uint64_t *)v)[row], false, scratch);
	case DSMX_FLOAT32:
		return float_text((double)((const float *)v)[row], true, scratch);
	case DSMX_FLOAT64:
		return float_text(((const double *)v)[row], false, scratch);
	case DSMX_DECIMAL:
		if (type.precision <= DSMX_DECIMAL_NARROW_DIGITS)
			return decimal_text(((const int64_t *)v)[row], type.scale, scratch);
		memcpy(&wide, (const char *)v + sizeof(wide) * row, sizeof(wide));
		return decimal_text(wide, type.scale, scratch);
	case DSMX_DATE32: {
		int len = date_text(((const int32_t *)v)[row], scratch->fixed, VALUE_BYTES);

		return (struct value_text){ scratch->fixed, (size_t)len };
	}
	case DSMX_TIMESTAMP:
	case DSMX_TIMESTAMP_TZ:
		return timestamp_text(((const int64_t *)v)[row], type, scratch);
	case DSMX_UTF8:
	case DSMX_LARGE_UTF8:
		return text_of(type, column, row);
	case DSMX_BINARY:
		return binary_text(text_of(type, column, row), scratch);
	default:
		return (struct value_text){ "?", 1 };
	}
}
