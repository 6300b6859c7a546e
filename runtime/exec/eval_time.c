/* SPDX-License-Identifier: MIT */
/*
 * eval_time.c - EXTRACT: parts of dates and timestamps, in the proleptic Gregorian calendar
 */
#include "batch/calendar.h"
#include "exec/decimal.h"
#include "exec/program.h"

enum part { YEAR, MONTH, DAY, QUARTER, DOW, DOY, HOUR, MINUTE, PART_COUNT };

static const char *const part_names[PART_COUNT] = {
	"year", "month", "day", "quarter", "dow", "doy", "hour", "minute",
};

/* 0 is Sunday; 1970-01-01 was a Thursday. */
static int64_t day_of_week(int64_t days)
{
	return days + 4 - 7 * dx_floor_div(days + 4, 7);
}

static int64_t part_of_day(enum part part, int64_t days)
{
	struct dx_date date;

	if (part == DOW)
		return day_of_week(days);
	date = dx_date_of_days(days);
	switch (part) {
	case YEAR: /* there is no year 0: 1 BC is -1 */
		return date.year > 0 ? date.year : date.year - 1;
	case MONTH:
		return date.month;
	case DAY:
		return date.day;
	case QUARTER:
		return (date.month + 2) / 3;
	default:
		return days - dx_days_of_date((struct dx_date){ date.year, 1, 1 }) + 1;
	}
}

/* @param: the part. Arguments are constants or not alike: a step of constants is one. */
static int days_part(const void *a, const void *b, unsigned int shape, uint32_t n, void *out,
                     int64_t param)
{
	const int32_t *days = a;
	int64_t *to = out;

	(void)b;
	(void)shape;
	for (uint32_t i = 0; i < n; i++)
		to[i] = part_of_day((enum part)param, days[i]);
	return 0;
}

/* @param: the part, and above 8 bits ticks in a second */
static int ticks_part(const void *a, const void *b, unsigned int shape, uint32_t n, void *out,
                      int64_t param)
{
	enum part part = (enum part)(param & 255);
	int64_t second = param >> 8, day = 86400 * second;
	const int64_t *ticks = a;
	int64_t *to = out;

	(void)b;
	(void)shape;
	for (uint32_t i = 0; i < n; i++) {
		int64_t days = dx_floor_div(ticks[i], day);
		int64_t seconds =
			(int64_t)((uint64_t)ticks[i] - (uint64_t)days * (uint64_t)day) / second;

		if (part == HOUR)
			to[i] = seconds / 3600;
		else if (part == MINUTE)
			to[i] = seconds / 60 % 60;
		else
			to[i] = part_of_day(part, days);
	}
	return 0;
}

static int find_part(struct dx_eval *eval, const struct dsmx_expr *expr)
{
	const struct dx_text *name = &expr->value.text;

	if (expr->kind != DX_EXPR_LITERAL || expr->is_null || !dsmx_type_is_text(expr->type))
		return dx_error(eval->err, -EINVAL, "EXTRACT of a part that is no literal");
	for (int part = 0; part < PART_COUNT; part++) {
		if (name->len == strlen(part_names[part]) &&
		    memcmp(name->bytes, part_names[part], name->len) == 0)
			return part;
	}
	return dx_error(eval->err, -EOPNOTSUPP, "EXTRACT of \"%.*s\"",
	                name->len < 40 ? (int)name->len : 40, name->bytes);
}

int dx_compile_extract(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step *arg,
                       struct dx_step **ret_step)
{
	struct dx_step like = { .run = dx_run_loop, .type = expr->type, .args = &arg };
	bool is_date = arg->type.id == DSMX_DATE32;
	int part = find_part(eval, expr->args[0]);

	if (part < 0)
		return part;
	if (expr->type.id != DSMX_INT64)
		return dx_error(eval->err, -EINVAL, "EXTRACT that is no int64");
	if (!is_date && arg->type.id != DSMX_TIMESTAMP && arg->type.id != DSMX_TIMESTAMP_TZ)
		return dx_error(eval->err, -EINVAL, "EXTRACT from what is no date or timestamp");
	if (is_date && (part == HOUR || part == MINUTE))
		return dx_error(eval->err, -EINVAL, "EXTRACT of %s from a date", part_names[part]);
	like.arg_count = 1;
	like.what = "extract";
	like.loop = is_date ? days_part : ticks_part;
	like.param = part;
	if (!is_date)
		like.param += (int64_t)dx_power_of_ten(arg->type.precision) * 256;
	return dx_emit(eval, &like, ret_step);
}
