/* SPDX-License-Identifier: MIT */
/*
 * sql_date.c - dates, intervals, and the ones plus or minus the others
 *
 * As in PostgreSQL a date plus an interval is a timestamp; compared with a date it becomes one again
 * where it is midnight (sql_retype()), so that the column is compared as it is stored.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql_tree.h"

#define MICROS_PER_DAY INT64_C(86400000000)

static const struct dsmx_type INT32 = { .id = DSMX_INT32 };
static const struct dsmx_type DATE32 = { .id = DSMX_DATE32 };
static const struct dsmx_type TIMESTAMP = { .id = DSMX_TIMESTAMP, .precision = 6 };

/* Days from 1970-01-01, by the calendar's 400-year cycle of 146097 days that starts on a 1 March. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t cycle = (y >= 0 ? y : y - 399) / 400;
	int64_t in_cycle = y - cycle * 400;
	int64_t from_march = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return cycle * 146097 + in_cycle * 365 + in_cycle / 4 - in_cycle / 100 + from_march -
	       719468;
}

static void date_of(int64_t days, int64_t *ret_year, int64_t *ret_month, int64_t *ret_day)
{
	int64_t z = days + 719468;
	int64_t cycle = (z >= 0 ? z : z - 146096) / 146097;
	int64_t in_cycle = z - cycle * 146097;
	int64_t year = (in_cycle - in_cycle / 1460 + in_cycle / 36524 - in_cycle / 146096) / 365;
	int64_t from_march = in_cycle - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * from_march + 2) / 153;

	*ret_day = from_march - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = year + cycle * 400 + (*ret_month <= 2);
}

static int64_t month_days(int64_t year, int64_t month)
{
	return month == 12 ? 31 : days_of(year, month + 1, 1) - days_of(year, month, 1);
}

/* "1994-01-01" or "1994-01-01 12:30:00.5" as days and microseconds of the day. */
static bool read_moment(const char *text, int64_t *ret_days, int64_t *ret_micros)
{
	int year, month, day, hour = 0, minute = 0, used = 0;
	double second = 0;

	if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3)
		return false;
	if (text[used] == ' ' || text[used] == 'T') {
		const char *rest = text + used + 1;

		used = 0;
		if (sscanf(rest, "%2d:%2d:%lf%n", &hour, &minute, &second, &used) != 3 ||
		    rest[used] != '\0')
			return false;
	} else if (text[used] != '\0') {
		return false;
	}
	if (month < 1 || month > 12 || day < 1 || day > month_days(year, month) || hour < 0 ||
	    hour > 23 || minute < 0 || minute > 59 || second < 0 || second >= 60)
		return false;
	*ret_days = days_of(year, month, day);
	*ret_micros = (hour * INT64_C(3600) + minute * INT64_C(60)) * 1000000 +
	              (int64_t)(second * 1e6 + 0.5);
	return true;
}

static struct sql_expr *moment_constant(struct sql *sql, int64_t days, int64_t micros, bool date,
                                        int location)
{
	int64_t year, month, day;
	char *text;

	date_of(days, &year, &month, &day);
	if (year < 1 || year > 9999)
		return sql_fail(sql, -ERANGE, location, "the date is out of range");
	text = arena_print(&sql->arena, "%04d-%02d-%02d", (int)year, (int)month, (int)day);
	if (date)
		return sql_literal(sql, DATE32, text, location);
	text = arena_print(&sql->arena, "%s %02d:%02d:%02d.%06d", text,
	                   (int)(micros / INT64_C(3600000000)),
	                   (int)(micros / INT64_C(60000000) % 60), (int)(micros / 1000000 % 60),
	                   (int)(micros % 1000000));
	return sql_literal(sql, TIMESTAMP, text, location);
}

struct unit {
	const char *name;
	int64_t field; /* PostgreSQL's bit for INTERVAL '1' YEAR */
	int64_t months, days, micros;
};

static const struct unit units[] = {
	{ "year", 1 << 2, 12, 0, 0 },
	{ "month", 1 << 1, 1, 0, 0 },
	{ "week", 0, 0, 7, 0 },
	{ "day", 1 << 3, 0, 1, 0 },
	{ "hour", 1 << 10, 0, 0, INT64_C(3600000000) },
	{ "minute", 1 << 11, 0, 0, INT64_C(60000000) },
	{ "second", 1 << 12, 0, 0, INT64_C(1000000) },
};

static const struct unit *find_unit(const char *word, size_t len, int64_t fields)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t n = strlen(units[i].name);

		if (len == 0 ? units[i].field == fields
		             : strncasecmp(units[i].name, word, n) == 0 &&
		                       (len == n || (len == n + 1 && (word[n] | 32) == 's')))
			return &units[i];
	}
	return NULL;
}

struct sql_expr *sql_interval(struct sql *sql, const char *text, int64_t fields, int location)
{
	struct sql_expr *interval = sql_new(sql, SQL_INTERVAL, location);
	const char *at = text + strspn(text, " ");

	do {
		char *end;
		long count;
		size_t len;
		const struct unit *unit;

		errno = 0;
		count = strtol(at, &end, 10);
		if (end == at || errno != 0 || count > 1000000 || count < -1000000)
			goto bad;
		at = end + strspn(end, " ");
		for (len = 0; isalpha((unsigned char)at[len]); len++)
			;
		unit = find_unit(at, len, fields);
		if (unit == NULL)
			goto bad;
		interval->months += count * unit->months;
		interval->days += count * unit->days;
		interval->micros += count * unit->micros;
		at += len + strspn(at + len, " ");
	} while (*at != '\0');
	return interval;
bad:
	return sql_fail(sql, -EINVAL, location,
	                "cannot read the interval '%.40s'; write it as '3 months' or '90' day",
	                text);
}

static struct sql_expr *add_interval(struct sql *sql, const struct sql_expr *moment,
                                     const struct sql_expr *interval, int sign, int location)
{
	int64_t days, micros, year, month, day;

	if (moment->text == NULL || !read_moment(moment->text, &days, &micros))
		return sql_fail(sql, -EILSEQ, moment->location, "'%.40s' is not a valid date",
		                moment->text != NULL ? moment->text : "NULL");
	date_of(days, &year, &month, &day);
	month += sign * interval->months - 1;
	year += month >= 0 ? month / 12 : -((11 - month) / 12);
	month = ((month % 12) + 12) % 12 + 1;
	if (day > month_days(year, month))
		day = month_days(year, month);
	days = days_of(year, month, day) + sign * interval->days;
	micros += sign * interval->micros;
	days += micros / MICROS_PER_DAY;
	micros %= MICROS_PER_DAY;
	if (micros < 0) {
		micros += MICROS_PER_DAY;
		days--;
	}
	return moment_constant(sql, days, micros, false, location);
}

bool sql_is_moment(const struct sql_expr *expr)
{
	return expr->kind == SQL_LITERAL &&
	       (expr->type.id == DSMX_DATE32 || expr->type.id == DSMX_TIMESTAMP);
}

struct sql_expr *sql_fold_dates(struct sql *sql, enum dsmx_function function, struct sql_expr *a,
                                struct sql_expr *b, int location)
{
	int sign = function == DSMX_FN_ADD ? 1 : -1;
	int64_t days, micros, count;

	if (b->kind == SQL_INTERVAL)
		return add_interval(sql, a, b, sign, location);
	if (a->type.id != DSMX_DATE32 || a->text == NULL || b->kind != SQL_LITERAL ||
	    b->text == NULL || !read_moment(a->text, &days, &micros))
		return NULL;
	if (b->type.id == DSMX_DATE32 && sign < 0 && read_moment(b->text, &count, &micros))
		return sql_literal(sql, INT32, arena_print(&sql->arena, "%" PRId64, days - count),
		                   location);
	if (b->type.id == DSMX_INT32 && !b->untyped)
		return moment_constant(sql, days + sign * strtol(b->text, NULL, 10), 0, true,
		                       location);
	return NULL;
}
