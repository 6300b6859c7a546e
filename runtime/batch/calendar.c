/* SPDX-License-Identifier: MIT */
#include "batch/calendar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "batch/format.h"

#define SECONDS_PER_DAY 86400

struct cursor {
	const char *at, *end;
};

static const int32_t tick_scales[10] = { 1,      10,      100,      1000,      10000,
	                                 100000, 1000000, 10000000, 100000000, 1000000000 };

/* From @least to @most digits; false: there are fewer. */
static bool digits(struct cursor *in, int least, int most, int *ret_number)
{
	int number = 0, count = 0;

	for (; count < most && in->at < in->end && *in->at >= '0' && *in->at <= '9'; count++)
		number = number * 10 + (*in->at++ - '0');
	*ret_number = number;
	return count >= least;
}

static bool take(struct cursor *in, char c)
{
	if (in->at == in->end || *in->at != c)
		return false;
	in->at++;
	return true;
}

/* "1995-03-15", with the year as written: " BC" is not here yet. */
static int take_date(struct cursor *in, struct dx_date *ret_date)
{
	struct dx_date date;
	int year;

	if (!digits(in, 4, 7, &year) || !take(in, '-') || !digits(in, 2, 2, &date.month) ||
	    !take(in, '-') || !digits(in, 2, 2, &date.day))
		return -EINVAL;
	date.year = year;
	*ret_date = date;
	return 0;
}

/* Takes the " BC" off the end, turns the year, and checks that the calendar has the date. */
static int finish_date(struct dx_date *date, bool bc)
{
	if (date->year < 1)
		return -EINVAL;
	if (bc)
		date->year = 1 - date->year;
	if (date->month < 1 || date->month > 12 || date->day < 1 ||
	    date->day > dx_month_days(date->year, date->month))
		return -EINVAL;
	return 0;
}

static bool take_bc(struct cursor *in)
{
	if (in->end - in->at < 3 || memcmp(in->end - 3, " BC", 3) != 0)
		return false;
	in->end -= 3;
	return true;
}

int dx_date_parse(const char *text, size_t len, int64_t *ret_days)
{
	struct cursor in = { text, text + len };
	bool bc = take_bc(&in);
	struct dx_date date;
	int64_t days;
	int ret = take_date(&in, &date);

	if (ret == 0 && in.at != in.end)
		ret = -EINVAL;
	if (ret == 0)
		ret = finish_date(&date, bc);
	if (ret < 0)
		return ret;
	days = dx_days_of_date(date);
	if (days != (int32_t)days)
		return -ERANGE;
	*ret_days = days;
	return 0;
}

/* ".25" as ticks of @precision; digits that it cannot hold must be 0. */
static int take_fraction(struct cursor *in, int precision, int64_t *ret_ticks)
{
	int64_t ticks = 0;
	int count = 0;
	bool lost = false;

	for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++, count++) {
		if (count < precision)
			ticks = ticks * 10 + (*in->at - '0');
		else
			lost |= *in->at != '0';
	}
	if (count == 0)
		return -EINVAL;
	if (lost)
		return -ERANGE;
	if (count < precision)
		ticks *= tick_scales[precision - count];
	*ret_ticks = ticks;
	return 0;
}

/* "12:30", "12:30:05", "12:30:05.25" */
static int take_time(struct cursor *in, int precision, int64_t *ret_seconds, int64_t *ret_ticks)
{
	int hour, minute, second = 0, ret = 0;

	*ret_ticks = 0;
	if (!digits(in, 2, 2, &hour) || !take(in, ':') || !digits(in, 2, 2, &minute))
		return -EINVAL;
	if (take(in, ':')) {
		if (!digits(in, 2, 2, &second))
			return -EINVAL;
		if (take(in, '.'))
			ret = take_fraction(in, precision, ret_ticks);
	}
	if (hour > 23 || minute > 59 || second > 59)
		return -EINVAL;
	*ret_seconds = hour * 3600 + minute * 60 + second;
	return ret;
}

/* "Z", "+02", "+02:00", "+0200" or nothing */
static int take_zone(struct cursor *in, int64_t *ret_seconds)
{
	int hour, minute = 0;
	bool west;

	*ret_seconds = 0;
	if (in->at == in->end || take(in, 'Z') || take(in, 'z'))
		return 0;
	west = take(in, '-');
	if ((!west && !take(in, '+')) || !digits(in, 2, 2, &hour))
		return -EINVAL;
	if ((take(in, ':') || in->at < in->end) && !digits(in, 2, 2, &minute))
		return -EINVAL;
	if (hour > 18 || minute > 59)
		return -EINVAL;
	*ret_seconds = (west ? -1 : 1) * (hour * 3600 + minute * 60);
	return 0;
}

int dx_timestamp_parse(const char *text, size_t len, int precision, bool zone, int64_t *ret_ticks)
{
	struct cursor in = { text, text + len };
	bool bc = take_bc(&in), inexact = false;
	int64_t seconds = 0, fraction = 0, offset = 0, ticks;
	struct dx_date date;
	int ret = take_date(&in, &date);

	if (ret == 0 && (take(&in, ' ') || take(&in, 'T'))) {
		ret = take_time(&in, precision, &seconds, &fraction);
		inexact = ret == -ERANGE; /* but the rest may be worse */
		if (inexact)
			ret = 0;
		if (ret == 0 && zone)
			ret = take_zone(&in, &offset);
	}
	if (ret == 0 && in.at != in.end)
		ret = -EINVAL;
	if (ret == 0)
		ret = finish_date(&date, bc);
	if (ret < 0)
		return ret;
	seconds += dx_days_of_date(date) * SECONDS_PER_DAY - offset;
	if (inexact || __builtin_mul_overflow(seconds, tick_scales[precision], &ticks) ||
	    __builtin_add_overflow(ticks, fraction, &ticks))
		return -ERANGE;
	*ret_ticks = ticks;
	return 0;
}

/* --- writing ------------------------------------------------------------------------------------------- */

static char *put_two(char *at, int number)
{
	at[0] = (char)('0' + number / 10);
	at[1] = (char)('0' + number % 10);
	return at + 2;
}

/* The date without its " BC"; returns the end, and whether " BC" must follow. */
static char *put_date(char *at, int64_t days, bool *ret_bc)
{
	struct dx_date date = dx_date_of_days(days);
	int64_t year = date.year > 0 ? date.year : 1 - date.year;

	*ret_bc = date.year <= 0;
	if (year <= 9999) {
		at = put_two(at, (int)(year / 100));
		at = put_two(at, (int)(year % 100));
	} else {
		at += sprintf(at, "%lld", (long long)year);
	}
	*at++ = '-';
	at = put_two(at, date.month);
	*at++ = '-';
	return put_two(at, date.day);
}

static size_t put_end(char *at, bool bc, const char *buf)
{
	if (bc)
		at = stpcpy(at, " BC");
	*at = 0;
	return (size_t)(at - buf);
}

size_t dx_date_format(int64_t days, char *buf)
{
	bool bc;
	char *at = put_date(buf, days, &bc);

	return put_end(at, bc, buf);
}

size_t dx_timestamp_format(int64_t ticks, int precision, bool zone, char *buf)
{
	int64_t seconds = dx_floor_div(ticks, tick_scales[precision]);
	int fraction = (int)(ticks - seconds * tick_scales[precision]);
	int64_t days = dx_floor_div(seconds, SECONDS_PER_DAY);
	int of_day = (int)(seconds - days * SECONDS_PER_DAY);
	bool bc;
	char *at = put_date(buf, days, &bc);

	*at++ = ' ';
	at = put_two(at, of_day / 3600);
	*at++ = ':';
	at = put_two(at, of_day / 60 % 60);
	*at++ = ':';
	at = put_two(at, of_day % 60);
	if (fraction != 0) {
		at += sprintf(at, ".%0*d", precision, fraction);
		while (at[-1] == '0')
			at--;
	}
	if (zone)
		at = stpcpy(at, "+00");
	return put_end(at, bc, buf);
}
