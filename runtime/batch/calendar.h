/* SPDX-License-Identifier: MIT */
/*
 * calendar.h - days since 1970-01-01 and dates of the proleptic Gregorian calendar
 *
 * Years are counted astronomically: year 0 is 1 BC. A "March year" begins in March, so that the leap day is
 * its last one and months have a linear rule: month m begins on day (153 m + 2) / 5 of it.
 */
#ifndef DX_BATCH_CALENDAR_H
#define DX_BATCH_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DX_DAYS_PER_ERA 146097 /* 400 years */
#define DX_DAYS_TO_1970 719468 /* from 0000-03-01 */

struct dx_date {
	int64_t year;
	int month; /* 1..12 */
	int day;   /* 1..31 */
};

/* a / b towards minus infinity, b > 0 */
static inline int64_t dx_floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static inline bool dx_is_leap_year(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static inline int dx_month_days(int64_t year, int month)
{
	static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && dx_is_leap_year(year));
}

/* Any day of an int32; also up to 2^53 or so. */
static inline struct dx_date dx_date_of_days(int64_t days)
{
	int64_t from = days + DX_DAYS_TO_1970, era = dx_floor_div(from, DX_DAYS_PER_ERA);
	int day = (int)(from - era * DX_DAYS_PER_ERA); /* 0..146096 */
	int year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	int of_year = day - (365 * year + year / 4 - year / 100);
	int month = (5 * of_year + 2) / 153;

	return (struct dx_date){
		.year = era * 400 + year + (month >= 10),
		.month = month < 10 ? month + 3 : month - 9,
		.day = of_year - (153 * month + 2) / 5 + 1,
	};
}

static inline int64_t dx_days_of_date(struct dx_date date)
{
	int64_t year = date.year - (date.month <= 2), era = dx_floor_div(year, 400);
	int of_era = (int)(year - era * 400);
	int month = date.month > 2 ? date.month - 3 : date.month + 9;
	int of_year = (153 * month + 2) / 5 + date.day - 1;

	return era * DX_DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
	       DX_DAYS_TO_1970;
}

/*
 * Text of dates and timestamps, without spaces around; the forms are those of parse.h and format.h.
 * Reading: 0, -EINVAL or -ERANGE. Writing: the length, @buf has DX_FORMAT_BYTES.
 */
int dx_date_parse(const char *text, size_t len, int64_t *ret_days);
int dx_timestamp_parse(const char *text, size_t len, int precision, bool zone, int64_t *ret_ticks);
size_t dx_date_format(int64_t days, char *buf);
size_t dx_timestamp_format(int64_t ticks, int precision, bool zone, char *buf);

#endif /* DX_BATCH_CALENDAR_H */
