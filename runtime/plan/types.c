/* SPDX-License-Identifier: MIT */
/*
 * types.c - which types go together, and what comes out
 *
 * Arguments must agree: nobody casts behind the caller's back. Only decimals may differ, in precision and
 * scale. A decimal result keeps all digits of its scale; digits before the point that do not fit 38 are an
 * error when they occur, not when the plan is made:
 *
 *	a + b, a - b	scale max(s1, s2), precision min(38, digits before the point + scale + 1)
 *	a * b		scale s1 + s2, precision min(38, p1 + p2)
 *	a / b		scale max(6, s1, s2) + 4, at most 38; precision 38
 *	a % b		scale max(s1, s2), precision for the smaller of the two
 *	sum(a)		scale s, precision 38
 *	avg(a)		scale max(6, s) + 4, at most 38; precision 38
 */
#include <string.h>

#include "base/err.h"
#include "plan/functions.h"
#include "plan/tree.h"

#define NAME_BYTES 24

static bool is_integer(struct dsmx_type t)
{
	return t.id >= DSMX_INT8 && t.id <= DSMX_UINT64;
}

static bool is_float(struct dsmx_type t)
{
	return t.id == DSMX_FLOAT32 || t.id == DSMX_FLOAT64;
}

static bool is_number(struct dsmx_type t)
{
	return t.id >= DSMX_INT8 && t.id <= DSMX_DECIMAL;
}

static bool is_string(struct dsmx_type t)
{
	return t.id == DSMX_UTF8 || t.id == DSMX_LARGE_UTF8;
}

static bool is_time(struct dsmx_type t)
{
	return t.id == DSMX_DATE32 || t.id == DSMX_TIMESTAMP || t.id == DSMX_TIMESTAMP_TZ;
}

static bool both_decimals(struct dsmx_type a, struct dsmx_type b)
{
	return a.id == DSMX_DECIMAL && b.id == DSMX_DECIMAL;
}

static int max_int(int a, int b)
{
	return a > b ? a : b;
}

static int min_int(int a, int b)
{
	return a < b ? a : b;
}

static struct dsmx_type decimal(int precision, int scale)
{
	return (struct dsmx_type){ .id = DSMX_DECIMAL,
		                   .precision =
		                           (uint8_t)min_int(precision, DSMX_DECIMAL_MAX_DIGITS),
		                   .scale = (int8_t)min_int(scale, DSMX_DECIMAL_MAX_DIGITS) };
}

static struct dsmx_type plain(enum dsmx_type_id id)
{
	return (struct dsmx_type){ .id = (uint8_t)id };
}

static int quotient_scale(int scale)
{
	return max_int(6, scale) + 4;
}

int dx_type_check(struct dsmx_type t, struct dsmx_error *err)
{
	bool timestamp = t.id == DSMX_TIMESTAMP || t.id == DSMX_TIMESTAMP_TZ;

	if (t.id == DSMX_NONE || t.id >= DSMX_TYPE_COUNT)
		return dx_error(err, -EINVAL, "there is no type %u", t.id);
	if (t.id == DSMX_DECIMAL) {
		if (t.precision < 1 || t.precision > DSMX_DECIMAL_MAX_DIGITS || t.scale < 0 ||
		    t.scale > t.precision)
			return dx_error(err, -EINVAL,
			                "decimal(%u,%d): a decimal has 1 to %d digits, and 0 to "
			                "all of them after the point",
			                t.precision, t.scale, DSMX_DECIMAL_MAX_DIGITS);
		return 0;
	}
	if (timestamp && t.precision <= 9 && t.precision % 3 == 0 && t.scale == 0)
		return 0;
	if (timestamp || t.precision != 0 || t.scale != 0)
		return dx_error(err, -EINVAL, "type %u cannot have precision %u, scale %d", t.id,
		                t.precision, t.scale);
	return 0;
}

/* "cannot do int32 + utf8" */
static int refuse(const char *what, struct dsmx_expr *const *args, uint32_t count,
                  const char *wanted, struct dsmx_error *err)
{
	char a[NAME_BYTES] = "", b[NAME_BYTES] = "";

	if (count > 0)
		(void)dsmx_type_format(args[0]->type, a, sizeof(a));
	if (count > 1)
		(void)dsmx_type_format(args[1]->type, b, sizeof(b));
	return dx_error(err, -EINVAL, "%s(%s%s%s%s): it takes %s; cast the arguments", what, a,
	                count > 1 ? ", " : "", b, count > 2 ? ", ..." : "", wanted);
}

static int arithmetic(const struct dx_function_info *info, struct dsmx_expr *const *args,
                      struct dsmx_type *ret_type, struct dsmx_error *err)
{
	struct dsmx_type a = args[0]->type, b = args[1]->type;
	int scale = max_int(a.scale, b.scale);
	int before_a = a.precision - a.scale, before_b = b.precision - b.scale;

	if (!is_number(a) || (!both_decimals(a, b) && !dsmx_type_equal(a, b)))
		return refuse(info->name, args, 2, "two numbers of one type", err);
	if (info->rule == DX_RULE_REMAINDER && is_float(a))
		return refuse(info->name, args, 2, "integers or decimals", err);
	*ret_type = a;
	if (a.id != DSMX_DECIMAL)
		return 0;
	if (info->rule == DX_RULE_PRODUCT && a.scale + b.scale > DSMX_DECIMAL_MAX_DIGITS)
		return dx_error(err, -EINVAL,
		                "the product of scales %d and %d would have %d digits after the "
		                "point, the most is %d; cast to a smaller scale",
		                a.scale, b.scale, a.scale + b.scale, DSMX_DECIMAL_MAX_DIGITS);
	if (info->rule == DX_RULE_PRODUCT)
		*ret_type = decimal(a.precision + b.precision, a.scale + b.scale);
	else if (info->rule == DX_RULE_QUOTIENT)
		*ret_type = decimal(DSMX_DECIMAL_MAX_DIGITS, quotient_scale(scale));
	else if (info->rule == DX_RULE_REMAINDER)
		*ret_type = decimal(max_int(1, min_int(before_a, before_b) + scale), scale);
	else
		*ret_type = decimal(max_int(before_a, before_b) + scale + 1, scale);
	return 0;
}

static bool is_text_literal(const struct dsmx_expr *expr)
{
	return expr->kind == DX_EXPR_LITERAL && is_string(expr->type) && !expr->is_null;
}

static int text_rule(const struct dx_function_info *info, struct dsmx_expr *const *args,
                     uint32_t count, struct dsmx_type *ret_type, struct dsmx_error *err)
{
	struct dsmx_type a = args[0]->type;

	if (info->rule == DX_RULE_EXTRACT) {
		const struct dx_text *part = &args[0]->value.text;

		if (!is_text_literal(args[0]) || !is_time(args[1]->type))
			return refuse(info->name, args, count, "a part and a date or timestamp",
			              err);
		if (dx_extract_part(part->bytes, part->len) == NULL)
			return dx_error(
				err, -EINVAL,
				"extract: there is no part '%.*s'; there are year, quarter, "
				"month, day, dow, doy, hour and minute",
				(int)min_int((int)part->len, 64), part->bytes);
		*ret_type = plain(DSMX_INT64);
		return 0;
	}
	if (!is_string(a))
		return refuse(info->name, args, count, "text", err);
	if (info->rule == DX_RULE_LIKE && !is_text_literal(args[1]))
		return refuse(info->name, args, count, "text and a text literal", err);
	if (info->rule == DX_RULE_SUBSTRING &&
	    (args[1]->type.id != DSMX_INT64 || args[2]->type.id != DSMX_INT64))
		return refuse(info->name, args, count, "text and two integers", err);
	for (uint32_t i = 1; info->rule == DX_RULE_TEXT && i < count; i++) {
		if (!dsmx_type_equal(a, args[i]->type))
			return refuse(info->name, args, count, "texts of one type", err);
	}
	*ret_type = info->rule == DX_RULE_LIKE     ? plain(DSMX_BOOL)
	            : info->rule == DX_RULE_LENGTH ? plain(DSMX_INT32)
	                                           : a;
	return 0;
}

static int any_rule(const struct dx_function_info *info, struct dsmx_expr *const *args,
                    uint32_t count, struct dsmx_type *ret_type, struct dsmx_error *err)
{
	struct dsmx_type a = args[0]->type;

	if (info->rule == DX_RULE_NUMBER && !is_number(a))
		return refuse(info->name, args, count, "a number", err);
	for (uint32_t i = 0; info->rule == DX_RULE_LOGIC && i < count; i++) {
		if (args[i]->type.id != DSMX_BOOL)
			return refuse(info->name, args, count, "bools", err);
	}
	for (uint32_t i = 1; info->rule == DX_RULE_SAME && i < count; i++) {
		if (!dsmx_type_equal(a, args[i]->type))
			return refuse(info->name, args, count, "values of one type", err);
	}
	if (info->rule == DX_RULE_COMPARE && !both_decimals(a, args[1]->type) &&
	    !dsmx_type_equal(a, args[1]->type))
		return refuse(info->name, args, count, "two values of one type", err);
	*ret_type =
		info->rule == DX_RULE_NUMBER || info->rule == DX_RULE_SAME ? a : plain(DSMX_BOOL);
	return 0;
}

int dx_call_type(enum dsmx_function function, struct dsmx_expr *const *args, uint32_t count,
                 struct dsmx_type *ret_type, struct dsmx_error *err)
{
	const struct dx_function_info *info = dx_function_info(function);

	if (info == NULL)
		return dx_error(err, -EINVAL, "there is no function %d", (int)function);
	if (count < info->args_min || count > info->args_max)
		return dx_error(err, -EINVAL, "%s takes %u argument%s%s, not %u", info->name,
		                info->args_min, info->args_min == 1 ? "" : "s",
		                info->args_max == DX_MANY ? " or more" : "", count);
	switch (info->rule) {
	case DX_RULE_SUM:
	case DX_RULE_PRODUCT:
	case DX_RULE_QUOTIENT:
	case DX_RULE_REMAINDER:
		return arithmetic(info, args, ret_type, err);
	case DX_RULE_LIKE:
	case DX_RULE_SUBSTRING:
	case DX_RULE_TEXT:
	case DX_RULE_LENGTH:
	case DX_RULE_EXTRACT:
		return text_rule(info, args, count, ret_type, err);
	case DX_RULE_NUMBER:
	case DX_RULE_COMPARE:
	case DX_RULE_TEST:
	case DX_RULE_LOGIC:
	case DX_RULE_SAME:
		return any_rule(info, args, count, ret_type, err);
	case DX_RULE_NONE:
		break;
	}
	return dx_error(err, -EOPNOTSUPP, "%s is not supported", info->name);
}

int dx_cast_check(struct dsmx_type from, struct dsmx_type to, struct dsmx_error *err)
{
	char a[NAME_BYTES], b[NAME_BYTES];
	int rc = dx_type_check(to, err);

	if (rc < 0)
		return rc;
	if (dsmx_type_equal(from, to) || (is_number(from) && is_number(to)) ||
	    (is_time(from) && is_time(to)) || (from.id == DSMX_BOOL && is_integer(to)) ||
	    (is_string(from) && to.id != DSMX_BINARY) || (is_string(to) && from.id != DSMX_BINARY))
		return 0;
	return dx_error(err, -EINVAL, "there is no cast from %s to %s",
	                dsmx_type_format(from, a, sizeof(a)), dsmx_type_format(to, b, sizeof(b)));
}

int dx_aggregate_type(enum dsmx_aggregate function, struct dsmx_type arg,
                      struct dsmx_type *ret_type, struct dsmx_error *err)
{
	char name[NAME_BYTES];

	switch (function) {
	case DSMX_AGG_COUNT_STAR:
	case DSMX_AGG_COUNT:
		*ret_type = plain(DSMX_INT64);
		return 0;
	case DSMX_AGG_MIN:
	case DSMX_AGG_MAX:
		*ret_type = arg;
		return 0;
	case DSMX_AGG_SUM:
	case DSMX_AGG_AVG:
		break;
	default:
		return dx_error(err, -EINVAL, "there is no aggregate %d", (int)function);
	}
	if (!is_number(arg))
		return dx_error(err, -EINVAL, "%s(%s): it takes a number; cast the argument",
		                dx_aggregate_str(function),
		                dsmx_type_format(arg, name, sizeof(name)));
	if (is_float(arg))
		*ret_type = plain(DSMX_FLOAT64);
	else if (function == DSMX_AGG_AVG)
		*ret_type = decimal(DSMX_DECIMAL_MAX_DIGITS, quotient_scale(arg.scale));
	else if (arg.id == DSMX_DECIMAL || arg.id == DSMX_INT64 || arg.id == DSMX_UINT64)
		*ret_type = decimal(DSMX_DECIMAL_MAX_DIGITS, arg.scale);
	else
		*ret_type = plain(DSMX_INT64);
	return 0;
}
