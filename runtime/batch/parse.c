/* SPDX-License-Identifier: MIT */
/*
 * parse.c - from text to values
 *
 * Decimals are read exactly: a mantissa without zeros at its end, and the power of ten that goes with it. The
 * value fits if that power, moved by the scale, is not negative and the product has few enough digits.
 * Floats of few digits are computed, which is exact as both mantissa and power are; the others go to
 * strtod in the C locale, since the application may have set one where the point is a comma.
 */
#include "batch/parse.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "batch/calendar.h"

#define FLOAT_TEXT_MAX 1023

/* A number as it is written: mantissa * 10^power, without zeros at the mantissa's end. */
struct number {
	unsigned __int128 mantissa;
	int64_t power;
	bool negative;
	bool too_long; /* over 38 digits: mantissa and power mean nothing */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int parse_unsigned(const char *at, const char *end, uint64_t *ret_value)
{
	uint64_t value = 0;
	bool over = false;

	if (at == end)
		return -EINVAL;
	for (; at < end; at++) {
		if (!is_digit(*at))
			return -EINVAL;
		over |= __builtin_mul_overflow(value, 10U, &value);
		over |= __builtin_add_overflow(value, (unsigned int)(*at - '0'), &value);
	}
	*ret_value = value;
	return over ? -ERANGE : 0;
}

static int parse_integer(struct dsmx_type type, const char *at, const char *end,
                         union dx_value *ret_value)
{
	unsigned int bits = 8 * (unsigned int)dsmx_type_width(type);
	bool is_unsigned = type.id >= DSMX_UINT8 && type.id <= DSMX_UINT64;
	bool negative = at < end && *at == '-';
	uint64_t magnitude, limit;
	int ret =
		parse_unsigned(negative || (at < end && *at == '+') ? at + 1 : at, end, &magnitude);

	if (ret < 0)
		return ret;
	limit = is_unsigned ? UINT64_MAX >> (64 - bits) : (UINT64_MAX >> (65 - bits)) + negative;
	if (is_unsigned && negative)
		limit = 0;
	if (magnitude > limit)
		return -ERANGE;
	if (is_unsigned)
		ret_value->u = magnitude;
	else
		ret_value->i = (int64_t)(negative ? 0 - magnitude : magnitude);
	return 0;
}

/* "e-5" */
static int parse_exponent(const char *at, const char *end, int64_t *ret_exponent)
{
	bool negative = at < end && *at == '-';
	uint64_t magnitude;
	int ret =
		parse_unsigned(negative || (at < end && *at == '+') ? at + 1 : at, end, &magnitude);

	if (ret == -EINVAL)
		return ret;
	if (ret < 0 || magnitude > INT32_MAX)
		magnitude = INT32_MAX; /* larger than anything; the lengths are */
	*ret_exponent = negative ? -(int64_t)magnitude : (int64_t)magnitude;
	return 0;
}

/* One more digit; zeros are only counted until another digit needs them. */
static void add_digit(struct number *number, int digit)
{
	const unsigned __int128 most = ~(unsigned __int128)0 / 20; /* 1.7e37 */

	if (digit == 0) {
		number->power++;
		return;
	}
	for (; number->mantissa != 0 && number->power >= 0; number->power--) {
		if (number->mantissa > most) {
			number->too_long = true;
			return;
		}
		number->mantissa *= 10;
	}
	number->mantissa += (unsigned int)digit;
	number->power = 0;
}

static int parse_number(const char *at, const char *end, struct number *ret_number)
{
	struct number number = { .negative = at < end && *at == '-' };
	int64_t fraction = 0, exponent = 0;
	const char *start;

	if (number.negative || (at < end && *at == '+'))
		at++;
	start = at;
	for (; at < end && is_digit(*at); at++)
		add_digit(&number, *at - '0');
	if (at < end && *at == '.') {
		for (start++, at++; at < end && is_digit(*at); at++, fraction++)
			add_digit(&number, *at - '0');
	}
	if (at <= start) /* a point alone is none */
		return -EINVAL;
	if (at < end) {
		if (*at != 'e' && *at != 'E')
			return -EINVAL;
		if (parse_exponent(at + 1, end, &exponent) < 0)
			return -EINVAL;
	}
	number.power += exponent - fraction;
	*ret_number = number;
	return 0;
}

static int parse_decimal(struct dsmx_type type, const char *at, const char *end,
                         union dx_value *ret_value)
{
	unsigned __int128 limit = 1, value;
	struct number number;
	int ret = parse_number(at, end, &number);

	if (ret < 0)
		return ret;
	if (number.too_long)
		return -ERANGE;
	value = number.mantissa;
	if (value != 0) {
		number.power += type.scale;
		if (number.power < 0 || number.power > DSMX_DECIMAL_MAX_DIGITS)
			return -ERANGE;
		for (unsigned int i = 0; i < type.precision; i++)
			limit *= 10;
		for (; number.power > 0 && value < limit; number.power--)
			value *= 10;
		if (value >= limit)
			return -ERANGE;
	}
	ret_value->d = number.negative ? -(__int128)value : (__int128)value;
	return 0;
}

static int parse_by_strtod(const char *at, const char *end, bool single, double *ret_value)
{
	char text[FLOAT_TEXT_MAX + 1];
	size_t len = (size_t)(end - at);
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* a constant: nothing to free */

	if (len > FLOAT_TEXT_MAX)
		return -ERANGE;
	memcpy(text, at, len);
	text[len] = 0;
	*ret_value = single ? (double)strtof_l(text, NULL, c) : strtod_l(text, NULL, c);
	return 0;
}

static int parse_float(bool single, const char *at, const char *end, double *ret_value)
{
	static const double powers[23] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
		                           1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
		                           1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
	bool sign = at < end && (*at == '-' || *at == '+');
	size_t len = (size_t)(end - at) - sign;
	struct number number;
	double value;

	if ((len == 3 && strncasecmp(at + sign, "inf", 3) == 0) ||
	    (len == 8 && strncasecmp(at + sign, "infinity", 8) == 0)) {
		*ret_value = *at == '-' ? -INFINITY : INFINITY;
		return 0;
	}
	if (len == 3 && strncasecmp(at + sign, "nan", 3) == 0) {
		*ret_value = NAN;
		return 0;
	}
	if (parse_number(at, end, &number) < 0)
		return -EINVAL;
	if (!single && !number.too_long && number.mantissa <= 1ULL << 53 && number.power >= -22 &&
	    number.power <= 22) {
		value = (double)(uint64_t)number.mantissa;
		value = number.power < 0 ? value / powers[-number.power]
		                         : value * powers[number.power];
		*ret_value = number.negative ? -value : value;
		return 0;
	}
	if (parse_by_strtod(at, end, single, &value) < 0 || isinf(value) ||
	    (value == 0 && (number.too_long || number.mantissa != 0)))
		return -ERANGE;
	*ret_value = value;
	return 0;
}

static int parse_bool(const char *at, size_t len, int64_t *ret_value)
{
	static const char *const names[12] = { "false", "true", "f",   "t",  "no", "yes",
		                               "n",     "y",    "off", "on", "0",  "1" };

	for (int i = 0; i < 12; i++) {
		if (strlen(names[i]) == len && strncasecmp(at, names[i], len) == 0) {
			*ret_value = i & 1;
			return 0;
		}
	}
	return -EINVAL;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

int dx_parse_value(struct dsmx_type type, const char *text, size_t len, union dx_value *ret_value)
{
	const char *at = text, *end = text + len;

	if (dsmx_type_is_text(type)) {
		if (len > INT32_MAX)
			return -EINVAL;
		ret_value->text = (struct dx_text){ text, (uint32_t)len };
		return 0;
	}
	for (; at < end && is_space(*at); at++)
		;
	for (; at < end && is_space(end[-1]); end--)
		;
	switch (type.id) {
	case DSMX_BOOL:
		return parse_bool(at, (size_t)(end - at), &ret_value->i);
	case DSMX_FLOAT32:
	case DSMX_FLOAT64:
		return parse_float(type.id == DSMX_FLOAT32, at, end, &ret_value->f);
	case DSMX_DECIMAL:
		return parse_decimal(type, at, end, ret_value);
	case DSMX_DATE32:
		return dx_date_parse(at, (size_t)(end - at), &ret_value->i);
	case DSMX_TIMESTAMP:
	case DSMX_TIMESTAMP_TZ:
		return dx_timestamp_parse(at, (size_t)(end - at), type.precision,
		                          type.id == DSMX_TIMESTAMP_TZ, &ret_value->i);
	case DSMX_NONE:
		return -EINVAL;
	default:
		return parse_integer(type, at, end, ret_value);
	}
}

void dx_value_store(struct dsmx_type type, const union dx_value *value, void *ret_bytes)
{
	float single;

	/* Little-endian: the low bytes of the widest member are the narrower value. */
	switch (type.id) {
	case DSMX_BOOL:
		memcpy(ret_bytes, &value->i, 1);
		break;
	case DSMX_FLOAT32:
		single = (float)value->f;
		memcpy(ret_bytes, &single, sizeof(single));
		break;
	default:
		memcpy(ret_bytes, value, dsmx_type_width(type));
		break;
	}
}

void dx_value_load(struct dsmx_type type, const void *bytes, union dx_value *ret_value)
{
	size_t width = type.id == DSMX_BOOL ? 1 : dsmx_type_width(type);
	unsigned int unused;
	uint64_t raw = 0;
	float single;

	if (width == 16) {
		memcpy(&ret_value->d, bytes, 16);
		return;
	}
	memcpy(&raw, bytes, width);
	unused = 64 - 8 * (unsigned int)width;
	if (type.id == DSMX_FLOAT32) {
		memcpy(&single, bytes, sizeof(single));
		ret_value->f = (double)single;
	} else if (type.id == DSMX_FLOAT64) {
		memcpy(&ret_value->f, &raw, sizeof(raw));
	} else if (type.id == DSMX_DECIMAL) {
		ret_value->d = (int64_t)raw;
	} else if (type.id >= DSMX_UINT8 && type.id <= DSMX_UINT64) {
		ret_value->u = raw;
	} else {
		ret_value->i = (int64_t)(raw << unused) >> unused;
	}
}
