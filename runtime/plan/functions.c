/* SPDX-License-Identifier: MIT */
#include "plan/functions.h"

#include <string.h>
#include <strings.h>

#include "base/compiler.h"
#include "plan/node.h"

static const struct dx_function_info functions[DSMX_FN_COUNT] = {
#define LINE(id, name_, file_, min, max, rule_, sign_)                                             \
	[DSMX_FN_##id] = { .name = (name_),                                                        \
		           .file = DX_FILE_##file_,                                                \
		           .args_min = (min),                                                      \
		           .args_max = (max),                                                      \
		           .rule = DX_RULE_##rule_,                                                \
		           .sign = (sign_) },
	DX_FUNCTIONS(LINE)
#undef LINE
};

static const struct {
	const char *name;
	enum dx_extension_file file;
} aggregates[DX_AGGREGATE_COUNT] = {
#define LINE(id, name_, file_) [DSMX_AGG_##id] = { (name_), DX_FILE_##file_ },
	DX_AGGREGATES(LINE)
#undef LINE
};

static const struct dx_extract_part parts[] = {
	{ "year", "YEAR", NULL },
	{ "month", "MONTH", "ONE" },
	{ "day", "DAY", "ONE" },
	{ "quarter", "QUARTER", "ONE" },
	{ "dow", "SUNDAY_DAY_OF_WEEK", "ZERO" },
	{ "doy", "DAY_OF_YEAR", "ONE" },
	{ "hour", "HOUR", NULL },
	{ "minute", "MINUTE", NULL },
};

static bool is_name(const char *name, const char *text, size_t len)
{
	return strlen(name) == len && memcmp(name, text, len) == 0;
}

const struct dx_function_info *dx_function_info(enum dsmx_function function)
{
	if ((unsigned)function >= DSMX_FN_COUNT || functions[function].name == NULL)
		return NULL;
	return &functions[function];
}

enum dsmx_function dx_function_find(const char *name, size_t len)
{
	for (int f = DSMX_FN_NONE + 1; f < DSMX_FN_COUNT; f++) {
		if (is_name(functions[f].name, name, len))
			return (enum dsmx_function)f;
	}
	return DSMX_FN_NONE;
}

const char *dx_function_str(enum dsmx_function function)
{
	const struct dx_function_info *info = dx_function_info(function);

	return info != NULL ? info->name : "?";
}

const char *dx_aggregate_str(enum dsmx_aggregate function)
{
	return (unsigned)function < DX_AGGREGATE_COUNT ? aggregates[function].name : "?";
}

enum dsmx_function dx_function_mirrored(enum dsmx_function function)
{
	switch (function) {
	case DSMX_FN_LT:
		return DSMX_FN_GT;
	case DSMX_FN_LTE:
		return DSMX_FN_GTE;
	case DSMX_FN_GT:
		return DSMX_FN_LT;
	case DSMX_FN_GTE:
		return DSMX_FN_LTE;
	default:
		return function;
	}
}

enum dx_extension_file dx_aggregate_file(enum dsmx_aggregate function)
{
	return aggregates[function].file;
}

bool dx_aggregate_find(const char *name, size_t len, enum dsmx_aggregate *ret_function)
{
	for (unsigned f = 0; f < DX_AGGREGATE_COUNT; f++) {
		if (is_name(aggregates[f].name, name, len)) {
			*ret_function = (enum dsmx_aggregate)f;
			return true;
		}
	}
	return false;
}

const struct dx_extract_part *dx_extract_part(const char *name, size_t len)
{
	for (size_t i = 0; i < DX_ARRAY_LEN(parts); i++) {
		if (is_name(parts[i].name, name, len))
			return &parts[i];
	}
	return NULL;
}

const struct dx_extract_part *dx_extract_part_substrait(const char *name)
{
	for (size_t i = 0; i < DX_ARRAY_LEN(parts); i++) {
		if (strcasecmp(parts[i].substrait, name) == 0)
			return &parts[i];
	}
	return NULL;
}
