/* SPDX-License-Identifier: MIT */
#include "batch/format.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/calendar.h"

static size_t format_unsigned(unsigned __int128 value, bool negative, int scale, char *buf)
{
	char reversed[48];
	size_t count = 0, len = 0;

	/* Digits from the last one on; 64 bits are divided faster than 128. */
	while (value > UINT64_MAX) {
		reversed[count++] = (char)('0' + (int)(value % 10));
		value /= 10;
	}
	for (uint64_t rest = (uint64_t)value; rest > 0; rest /= 10)
		reversed[count++] = (char)('0' + rest % 10);
	while (count < (size_t)scale + 1)
		reversed[count++] = '0';
	if (negative)
		buf[len++] = '-';
	while (count > 0) {
		if (count == (size_t)scale)
			buf[len++] = '.';
		buf[len++] = reversed[--count];
	}
	buf[len] = 0;
	return len;
}

static size_t format_signed(__int128 value, int scale, char *buf)
{
	unsigned __int128 magnitude = (unsigned __int128)value;

	return format_unsigned(value < 0 ? 0 - magnitude : magnitude, value < 0, scale, buf);
}

/* "-d.ddde+dd" of the fewest digits that read back as the same value */
static void shortest(double value, bool single, char *text, size_t len)
{
	double normal = single ? (double)FLT_MIN : DBL_MIN;
	int most = single ? 9 : 17, least = single ? FLT_DIG : DBL_DIG;

	/* Any text of @least digits survives, so fewer can only be zeros: but not near 0. */
	for (int digits = fabs(value) < normal ? 1 : least; digits <= most; digits++) {
		(void)snprintf(text, len, "%.*e", digits - 1, value);
		if (single ? (double)strtof(text, NULL) == value : strtod(text, NULL) == value)
			return;
	}
}

/*
 * As PostgreSQL: with an exponent if that is below -4, or above what the type has digits for. Made out of the
 * digits and the exponent of "%e".
 */
static size_t format_float(double value, bool single, char *buf)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), old;
	char text[40], digits[24] = { 0 };
	size_t count = 0, len = 0;
	int exponent;

	if (isnan(value))
		return (size_t)sprintf(buf, "NaN");
	if (isinf(value))
		return (size_t)sprintf(buf, value < 0 ? "-Infinity" : "Infinity");
	old = uselocale(c); /* this thread's, for the point of the numbers below */
	shortest(value, single, text, sizeof(text));
	uselocale(old);
	exponent = atoi(strchr(text, 'e') + 1);
	for (const char *at = text; *at != 'e'; at++) {
		if (*at >= '0' && *at <= '9')
			digits[count++] = *at;
	}
	while (count > 1 && digits[count - 1] == '0')
		count--;
	if (text[0] == '-')
		buf[len++] = '-';
	if (exponent < -4 || exponent >= (single ? 6 : 15)) {
		buf[len++] = digits[0];
		if (count > 1)
			buf[len++] = '.';
		memcpy(buf + len, digits + 1, count - 1);
		len += count - 1;
		return len + (size_t)sprintf(buf + len, "e%c%02d", exponent < 0 ? '-' : '+',
		                             abs(exponent));
	}
	if (exponent < 0) {
		len += (size_t)sprintf(buf + len, "0.%.*s", -exponent - 1, "000");
		memcpy(buf + len, digits, count);
		len += count;
	} else {
		for (int i = 0; i <= exponent || i < (int)count; i++) {
			if (i == exponent + 1)
				buf[len++] = '.';
			buf[len++] = i < (int)count ? digits[i] : '0';
		}
	}
	buf[len] = 0;
	return len;
}

size_t dx_format_value(struct dsmx_type type, const union dx_value *value,
                       char buf[DX_FORMAT_BYTES])
{
	switch (type.id) {
	case DSMX_BOOL:
		return (size_t)sprintf(buf, "%s", value->i != 0 ? "true" : "false");
	case DSMX_UINT8:
	case DSMX_UINT16:
	case DSMX_UINT32:
	case DSMX_UINT64:
		return format_unsigned(value->u, false, 0, buf);
	case DSMX_FLOAT32:
	case DSMX_FLOAT64:
		return format_float(value->f, type.id == DSMX_FLOAT32, buf);
	case DSMX_DECIMAL:
		return format_signed(value->d, type.scale, buf);
	case DSMX_DATE32:
		return dx_date_format(value->i, buf);
	case DSMX_TIMESTAMP:
	case DSMX_TIMESTAMP_TZ:
		return dx_timestamp_format(value->i, type.precision, type.id == DSMX_TIMESTAMP_TZ,
		                           buf);
	default:
		return format_signed(value->i, 0, buf);
	}
}
