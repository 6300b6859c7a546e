/* SPDX-License-Identifier: MIT */
/*
 * sql_type.c - which type two others are brought to, as PostgreSQL chooses it
 *
 * Integers widen to integers; beside a decimal an integer is a decimal of as many digits as it may have;
 * beside a float everything is float64; a date beside a timestamp is a timestamp.
 */
#include "sql_tree.h"

bool sql_is_integer(struct dsmx_type type)
{
	return type.id >= DSMX_INT8 && type.id <= DSMX_UINT64;
}

bool sql_is_exact(struct dsmx_type type)
{
	return sql_is_integer(type) || type.id == DSMX_DECIMAL;
}

static bool is_float(struct dsmx_type type)
{
	return type.id == DSMX_FLOAT32 || type.id == DSMX_FLOAT64;
}

bool sql_is_number(struct dsmx_type type)
{
	return sql_is_integer(type) || is_float(type) || type.id == DSMX_DECIMAL;
}

static bool is_time(struct dsmx_type type)
{
	return type.id == DSMX_DATE32 || type.id == DSMX_TIMESTAMP || type.id == DSMX_TIMESTAMP_TZ;
}

/* An integer type as the decimal that holds all of it. */
struct dsmx_type sql_as_decimal(struct dsmx_type type)
{
	static const uint8_t digits[] = {
		[DSMX_INT8] = 3,  [DSMX_INT16] = 5,  [DSMX_INT32] = 10,  [DSMX_INT64] = 19,
		[DSMX_UINT8] = 3, [DSMX_UINT16] = 5, [DSMX_UINT32] = 10, [DSMX_UINT64] = 20
	};

	if (type.id == DSMX_DECIMAL)
		return type;
	return (struct dsmx_type){ .id = DSMX_DECIMAL, .precision = digits[type.id] };
}

static struct dsmx_type common_decimal(struct dsmx_type a, struct dsmx_type b)
{
	int scale, whole;

	a = sql_as_decimal(a);
	b = sql_as_decimal(b);
	scale = a.scale > b.scale ? a.scale : b.scale;
	whole = a.precision - a.scale > b.precision - b.scale ? a.precision - a.scale
	                                                      : b.precision - b.scale;
	if (whole + scale > DSMX_DECIMAL_MAX_DIGITS)
		whole = DSMX_DECIMAL_MAX_DIGITS - scale;
	return (struct dsmx_type){ .id = DSMX_DECIMAL,
		                   .precision = (uint8_t)(whole + scale),
		                   .scale = (int8_t)scale };
}

/* Signed and unsigned mixed: the next wider signed type, for uint64 a decimal. */
static struct dsmx_type common_integer(struct dsmx_type a, struct dsmx_type b)
{
	bool unsigned_a = a.id >= DSMX_UINT8, unsigned_b = b.id >= DSMX_UINT8;
	struct dsmx_type widest = a.id > b.id ? a : b, other = a.id > b.id ? b : a;
	int need;

	if (unsigned_a == unsigned_b)
		return widest;
	if (widest.id == DSMX_UINT64)
		return common_decimal(a, b);
	need = widest.id - DSMX_UINT8 + 1 + DSMX_INT8;
	return (struct dsmx_type){ .id = (uint8_t)(need > other.id ? need : other.id) };
}

bool sql_common_type(struct dsmx_type a, struct dsmx_type b, struct dsmx_type *ret_type)
{
	if (dsmx_type_equal(a, b))
		*ret_type = a;
	else if (sql_is_number(a) && sql_is_number(b) && (is_float(a) || is_float(b)))
		*ret_type = (struct dsmx_type){ .id = DSMX_FLOAT64 };
	else if (sql_is_integer(a) && sql_is_integer(b))
		*ret_type = common_integer(a, b);
	else if (sql_is_number(a) && sql_is_number(b))
		*ret_type = common_decimal(a, b);
	else if (is_time(a) && is_time(b))
		*ret_type = (struct dsmx_type){
			.id = a.id > b.id ? a.id : b.id,
			.precision = a.precision > b.precision ? a.precision : b.precision,
		};
	else if (dsmx_type_is_text(a) && dsmx_type_is_text(b) && a.id != DSMX_BINARY &&
	         b.id != DSMX_BINARY)
		*ret_type = (struct dsmx_type){ .id = DSMX_LARGE_UTF8 };
	else
		return false;
	return true;
}
