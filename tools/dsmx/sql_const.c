/* SPDX-License-Identifier: MIT */
/*
 * sql_const.c - constants: how PostgreSQL types them, and what is computed before the plan is made
 *
 * A number is kept as its text and a type: int32, int64 or a decimal with just its digits. Sums,
 * differences and products of numbers, and dates plus or minus intervals, are folded, because a
 * condition on a column can then be compared with the statistics of a file. What cannot be folded
 * exactly is left to the plan, which fails where PostgreSQL does.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sql_tree.h"

struct number {
	__int128 value; /* times 10^-scale */
	int scale;
};

static const struct dsmx_type INT32 = { .id = DSMX_INT32 };
static const struct dsmx_type INT64 = { .id = DSMX_INT64 };
static const struct dsmx_type UTF8 = { .id = DSMX_UTF8 };

/* --- numbers ------------------------------------------------------------------------------------------- */

/* "12", "-1.50", "2.5e-3": at most 38 digits in plain notation. */
static bool read_number(const char *text, struct number *ret_number)
{
	bool negative = *text == '-', point = false;
	struct number n = { 0 };
	long exponent = 0;
	int digits = 0;

	for (text += negative; isdigit((unsigned char)*text) || (*text == '.' && !point); text++) {
		if (*text == '.') {
			point = true;
			continue;
		}
		if (digits >= DSMX_DECIMAL_MAX_DIGITS)
			return false;
		n.value = n.value * 10 + (*text - '0');
		digits += n.value != 0;
		n.scale += point;
	}
	if (*text == 'e' || *text == 'E') {
		char *end;

		exponent = strtol(text + 1, &end, 10);
		text = end;
	}
	if (*text != '\0' || exponent > 100 || exponent < -100)
		return false;
	n.scale -= (int)exponent;
	for (; n.scale < 0; n.scale++) {
		if (digits++ >= DSMX_DECIMAL_MAX_DIGITS)
			return false;
		n.value *= 10;
	}
	if (n.scale > DSMX_DECIMAL_MAX_DIGITS)
		return false;
	n.value = negative ? -n.value : n.value;
	*ret_number = n;
	return true;
}

/* Writes the digits at the end of @buf; returns where they start. */
static const char *write_number(struct number n, char buf[48])
{
	unsigned __int128 rest =
		n.value < 0 ? -(unsigned __int128)n.value : (unsigned __int128)n.value;
	char *at = buf + 47;
	int digits = 0;

	*at = '\0';
	while (rest > 0 || digits <= n.scale) {
		if (digits == n.scale && n.scale > 0)
			*--at = '.';
		*--at = (char)('0' + (int)(rest % 10));
		rest /= 10;
		digits++;
	}
	if (n.value < 0)
		*--at = '-';
	return at;
}

static int digits_of(__int128 value)
{
	int digits = 0;

	for (; value != 0; value /= 10)
		digits++;
	return digits;
}

/* As a decimal constant with just its digits; NULL over 38 of them. */
static struct sql_expr *decimal_constant(struct sql *sql, struct number n, int location)
{
	struct dsmx_type type = { .id = DSMX_DECIMAL };
	int digits = digits_of(n.value);
	char buf[48];
	const char *text;

	if (n.scale >= DSMX_DECIMAL_MAX_DIGITS || digits > DSMX_DECIMAL_MAX_DIGITS)
		return NULL;
	text = write_number(n, buf);
	type.precision = (uint8_t)(digits > n.scale ? digits : n.scale > 0 ? n.scale : 1);
	type.scale = (int8_t)n.scale;
	return sql_literal(sql, type, arena_copy(&sql->arena, text, strlen(text)), location);
}

static struct sql_expr *integer_constant(struct sql *sql, int64_t value, struct dsmx_type type,
                                         int location)
{
	return sql_literal(sql, type, arena_print(&sql->arena, "%" PRId64, value), location);
}

/* What has a point or an exponent is numeric; other digits are the smallest type that holds them. */
static struct sql_expr *number_constant(struct sql *sql, const char *text, int location)
{
	struct sql_expr *literal = NULL;
	struct number n;

	if (read_number(text, &n)) {
		if (strpbrk(text, ".eE") == NULL && n.value >= INT32_MIN && n.value <= INT32_MAX)
			literal = integer_constant(sql, (int64_t)n.value, INT32, location);
		else if (strpbrk(text, ".eE") == NULL && n.value >= INT64_MIN &&
		         n.value <= INT64_MAX)
			literal = integer_constant(sql, (int64_t)n.value, INT64, location);
		else
			literal = decimal_constant(sql, n, location);
	}
	if (literal == NULL)
		return sql_fail(sql, -ERANGE, location, "the number %.60s has more than %d digits",
		                text, DSMX_DECIMAL_MAX_DIGITS);
	return literal;
}

struct sql_expr *sql_const(struct sql *sql, const PgQuery__AConst *node)
{
	struct sql_expr *literal;

	if (node->isnull) {
		literal = sql_literal(sql, UTF8, NULL, node->location);
		literal->untyped = true;
		return literal;
	}
	switch (node->val_case) {
	case PG_QUERY__A__CONST__VAL_IVAL:
		return integer_constant(sql, node->ival->ival, INT32, node->location);
	case PG_QUERY__A__CONST__VAL_FVAL:
		return number_constant(sql, node->fval->fval, node->location);
	case PG_QUERY__A__CONST__VAL_BOOLVAL:
		return sql_literal(sql, (struct dsmx_type){ .id = DSMX_BOOL },
		                   node->boolval->boolval ? "true" : "false", node->location);
	case PG_QUERY__A__CONST__VAL_SVAL:
		literal = sql_literal(
			sql, UTF8,
			arena_copy(&sql->arena, node->sval->sval, strlen(node->sval->sval)),
			node->location);
		literal->untyped = true;
		return literal;
	default:
		return sql_unsupported(sql, node->location, "a bit string");
	}
}

/* --- other types for the same value -------------------------------------------------------------------- */

static bool fits_integer(__int128 value, struct dsmx_type type)
{
	static const int bits[] = {
		[DSMX_INT8] = 8,  [DSMX_INT16] = 16,  [DSMX_INT32] = 32,  [DSMX_INT64] = 64,
		[DSMX_UINT8] = 8, [DSMX_UINT16] = 16, [DSMX_UINT32] = 32, [DSMX_UINT64] = 64
	};
	__int128 one = 1;

	if (type.id >= DSMX_UINT8)
		return value >= 0 && value < one << bits[type.id];
	return value >= -(one << (bits[type.id] - 1)) && value < one << (bits[type.id] - 1);
}

/* An exact number as an integer or decimal of @type, if nothing of it is lost. */
static struct sql_expr *retype_number(struct sql *sql, struct sql_expr *literal,
                                      struct dsmx_type type)
{
	struct number n;
	char buf[48];
	const char *text;

	if (!read_number(literal->text, &n))
		return NULL;
	while (n.scale > 0 && n.value % 10 == 0) {
		n.value /= 10;
		n.scale--;
	}
	if (n.scale > (type.id == DSMX_DECIMAL ? type.scale : 0))
		return NULL;
	if (sql_is_integer(type) && !fits_integer(n.value, type))
		return NULL;
	if (type.id == DSMX_DECIMAL && digits_of(n.value) - n.scale > type.precision - type.scale)
		return NULL;
	text = write_number(n, buf);
	return sql_literal(sql, type, arena_copy(&sql->arena, text, strlen(text)),
	                   literal->location);
}

static bool is_midnight(const char *text)
{
	return strlen(text) >= 19 && strncmp(text + 10, " 00:00:00", 9) == 0 &&
	       strspn(text + 19, ".0") == strlen(text + 19);
}

struct sql_expr *sql_retype(struct sql *sql, struct sql_expr *literal, struct dsmx_type type)
{
	struct sql_expr *other;

	if (dsmx_type_equal(literal->type, type) && !literal->untyped)
		return literal;
	if (literal->text == NULL || literal->untyped)
		return sql_literal(sql, type, literal->text, literal->location);
	if (sql_is_exact(literal->type) && sql_is_exact(type))
		return retype_number(sql, literal, type);
	if (sql_is_exact(literal->type) && type.id == DSMX_FLOAT64)
		return sql_literal(sql, type, literal->text, literal->location);
	if (literal->type.id == DSMX_TIMESTAMP && type.id == DSMX_DATE32 &&
	    is_midnight(literal->text)) {
		other = sql_literal(sql, type, NULL, literal->location);
		other->text = arena_copy(&sql->arena, literal->text, 10);
		return other;
	}
	return NULL;
}

/* --- folding --------------------------------------------------------------------------------------------- */

static struct sql_expr *fold_numbers(struct sql *sql, enum dsmx_function function,
                                     const struct sql_expr *a, const struct sql_expr *b,
                                     int location)
{
	struct number x, y;
	__int128 value;
	bool overflow;

	if (!read_number(a->text, &x) || !read_number(b->text, &y))
		return NULL;
	if (function == DSMX_FN_MULTIPLY) {
		overflow = __builtin_mul_overflow(x.value, y.value, &value);
		x.scale += y.scale;
	} else {
		for (; x.scale < y.scale; x.scale++)
			if (__builtin_mul_overflow(x.value, 10, &x.value))
				return NULL;
		for (; y.scale < x.scale; y.scale++)
			if (__builtin_mul_overflow(y.value, 10, &y.value))
				return NULL;
		overflow = function == DSMX_FN_ADD
		                   ? __builtin_add_overflow(x.value, y.value, &value)
		                   : __builtin_sub_overflow(x.value, y.value, &value);
	}
	if (overflow)
		return NULL;
	if (a->type.id == DSMX_DECIMAL || b->type.id == DSMX_DECIMAL)
		return decimal_constant(sql, (struct number){ value, x.scale }, location);
	if (a->type.id == DSMX_INT32 && b->type.id == DSMX_INT32)
		return fits_integer(value, INT32)
		               ? integer_constant(sql, (int64_t)value, INT32, location)
		               : NULL;
	return fits_integer(value, INT64) ? integer_constant(sql, (int64_t)value, INT64, location)
	                                  : NULL;
}

struct sql_expr *sql_fold(struct sql *sql, enum dsmx_function function, struct sql_expr *a,
                          struct sql_expr *b, int location)
{
	bool exact = a->kind == SQL_LITERAL && b->kind == SQL_LITERAL && sql_is_exact(a->type) &&
	             sql_is_exact(b->type) && a->text != NULL && b->text != NULL;

	if (function != DSMX_FN_ADD && function != DSMX_FN_SUBTRACT && function != DSMX_FN_MULTIPLY)
		return NULL;
	if (function == DSMX_FN_ADD && a->kind == SQL_INTERVAL && sql_is_moment(b))
		return sql_fold_dates(sql, function, b, a, location);
	if (function != DSMX_FN_MULTIPLY && sql_is_moment(a))
		return sql_fold_dates(sql, function, a, b, location);
	return exact ? fold_numbers(sql, function, a, b, location) : NULL;
}
