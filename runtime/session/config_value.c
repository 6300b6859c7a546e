/* SPDX-License-Identifier: MIT */
/*
 * Sizes, times and numbers as systemd writes them. Exact: a fraction is decimal digits, not a double.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "session/config.h"

#define FRACTION_DIGITS 6
#define FRACTION_ONE    1000000U

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "12.5": 12 and 500000 millionths. Returns what follows, NULL where there is no number. */
static const char *take_decimal(const char *at, uint64_t *ret_whole, uint64_t *ret_millionths)
{
	uint64_t whole = 0, millionths = 0, scale = FRACTION_ONE;

	if (!is_digit(*at))
		return NULL;
	for (; is_digit(*at); at++)
		if (__builtin_mul_overflow(whole, 10U, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*at - '0'), &whole))
			return NULL;
	if (*at == '.') {
		if (!is_digit(*++at))
			return NULL;
		for (; is_digit(*at); at++)
			if (scale > 1) {
				scale /= 10;
				millionths += (uint64_t)(*at - '0') * scale;
			}
	}
	*ret_whole = whole;
	*ret_millionths = millionths;
	return at;
}

/* number * unit, the fraction rounded down. */
static int multiply(uint64_t whole, uint64_t millionths, uint64_t unit, uint64_t *ret_value)
{
	uint64_t value;

	if (__builtin_mul_overflow(whole, unit, &value) ||
	    __builtin_add_overflow(
		    value,
		    (uint64_t)((__extension__(unsigned __int128) unit) * millionths / FRACTION_ONE),
		    &value))
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int dx_config_number(const char *value, uint64_t max, uint64_t *ret_number)
{
	uint64_t whole, millionths;
	const char *end = take_decimal(value, &whole, &millionths);

	if (end == NULL || *end != '\0' || strchr(value, '.') != NULL || whole > max)
		return -EINVAL;
	*ret_number = whole;
	return 0;
}

int dx_config_size(const char *value, uint64_t whole_bytes, uint64_t *ret_bytes)
{
	static const char units[] = "BKMGT";
	uint64_t whole, millionths, unit = 1;
	const char *end, *found;

	if (strcmp(value, "infinity") == 0) {
		*ret_bytes = 0;
		return 0;
	}
	end = take_decimal(value, &whole, &millionths);
	if (end == NULL)
		return -EINVAL;
	if (end[0] == '%' && end[1] == '\0') {
		if (whole_bytes == 0 || whole > 100 || (whole == 100 && millionths > 0))
			return -EINVAL;
		*ret_bytes = (uint64_t)((__extension__(unsigned __int128) whole_bytes) *
		                        (whole * FRACTION_ONE + millionths) / FRACTION_ONE / 100);
		return 0;
	}
	if (*end != '\0') {
		found = strchr(units, *end);
		if (found == NULL || end[1] != '\0')
			return -EINVAL;
		unit <<= 10 * (found - units);
	}
	return multiply(whole, millionths, unit, ret_bytes);
}

static const struct {
	const char *name;
	uint64_t us;
} times[] = {
	{ "us", 1 },         { "ms", 1000 },    { "s", 1000000 },    { "sec", 1000000 },
	{ "min", 60000000 }, { "m", 60000000 }, { "h", 3600000000 }, { "d", 86400000000 },
};

int dx_config_time(const char *value, uint64_t *ret_us)
{
	uint64_t sum = 0;

	if (strcmp(value, "infinity") == 0) {
		*ret_us = UINT64_MAX;
		return 0;
	}
	do {
		uint64_t whole, millionths, part = 0;
		const char *end = take_decimal(value, &whole, &millionths);
		size_t len, unit = 2; /* seconds, where none is named */

		if (end == NULL)
			return -EINVAL;
		end += strspn(end, " ");
		len = strspn(end, "abcdefghijklmnopqrstuvwxyz");
		for (size_t i = 0; len > 0 && i <= DX_ARRAY_LEN(times); i++) {
			if (i == DX_ARRAY_LEN(times))
				return -EINVAL;
			if (strlen(times[i].name) == len && memcmp(times[i].name, end, len) == 0) {
				unit = i;
				break;
			}
		}
		if (multiply(whole, millionths, times[unit].us, &part) != 0 ||
		    __builtin_add_overflow(sum, part, &sum))
			return -EINVAL;
		value = end + len;
		value += strspn(value, " ");
	} while (*value != '\0');
	if (sum == UINT64_MAX)
		return -EINVAL;
	*ret_us = sum;
	return 0;
}

int dx_config_cpus(const char *value, char *ret_list, size_t room)
{
	size_t len = 0;

	while (*value != '\0') {
		uint64_t first, last, unused;
		const char *end = take_decimal(value, &first, &unused);
		int n;

		if (end == NULL || first > 8191)
			return -EINVAL;
		last = first;
		if (*end == '-')
			end = take_decimal(end + 1, &last, &unused);
		if (end == NULL || last < first || last > 8191 ||
		    (*end != '\0' && *end != ',' && *end != ' '))
			return -EINVAL;
		n = snprintf(ret_list + len, room - len, first == last ? "%s%llu" : "%s%llu-%llu",
		             len > 0 ? "," : "", (unsigned long long)first,
		             (unsigned long long)last);
		if (n < 0 || (size_t)n >= room - len)
			return -EINVAL;
		len += (size_t)n;
		value = end + strspn(end, ", ");
	}
	return len > 0 ? 0 : -EINVAL;
}
