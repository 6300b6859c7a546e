/* SPDX-License-Identifier: MIT */
/*
 * sql_estimate.c - how many rows there will be: from what files say of their columns, and guesses
 *
 * A file that dsmx wrote has the range of numbers and dates, and the length of dictionaries. So a comparison
 * with a constant keeps that part of the range, conditions on one column together (a year out of seven is not
 * a third of a third), and an equality keeps one of the different values that there may be. Where a file says
 * nothing, the shares below stand for what is usual.
 */
#include <string.h>

#include "sql_tree.h"

#define SHARE_EQUAL   0.1
#define SHARE_LIKE    0.1
#define SHARE_NULL    0.05
#define SHARE_RANGE   (1.0 / 3)
#define SHARE_UNKNOWN 0.5
#define TEXT_WIDTH    32
#define CODE_WIDTH    4 /* of a text in a dictionary */

static struct dsmx_ipc_stats stats_of(const struct sql *sql, uint32_t column)
{
	const struct sql_column *c = &sql->columns[column];
	struct dsmx_ipc_stats stats;

	dsmx_ipc_stats(sql->tables[c->table].file, c->field, &stats);
	return stats;
}

/* How many different values a column has at the most; 0: nothing is known. */
static double distinct_of_column(const struct sql *sql, uint32_t column)
{
	struct dsmx_ipc_stats stats = stats_of(sql, column);
	double rows = (double)sql->tables[sql->columns[column].table].rows, values;

	if (stats.dictionary_length > 0)
		return stats.dictionary_length;
	if (!stats.has_range)
		return 0;
	values = (double)stats.max - (double)stats.min + 1;
	return values < rows ? values : rows;
}

double sql_distinct(const struct sql *sql, const struct sql_expr *expr)
{
	double distinct = expr->kind == SQL_COLUMN ? distinct_of_column(sql, expr->column) : 0;

	return distinct > 0 ? distinct : sql_rows_of_tables(sql, sql_tables_of(sql, expr));
}

double sql_width(const struct sql *sql, uint32_t table)
{
	const struct sql_table *t = &sql->tables[table];
	double width = 0;

	for (uint32_t i = 0; i < t->schema->field_count; i++) {
		struct dsmx_type type = t->schema->fields[i].type;

		if (!sql->used[t->first_column + i])
			continue;
		if (dsmx_type_is_text(type))
			width += stats_of(sql, t->first_column + i).dictionary_length > 0
			                 ? CODE_WIDTH
			                 : TEXT_WIDTH;
		else
			width += type.id == DSMX_BOOL ? 1 : (double)dsmx_type_width(type);
	}
	return width;
}

double sql_rows_of_tables(const struct sql *sql, uint32_t tables)
{
	double most = 1;

	for (uint32_t t = 0; t < sql->table_count; t++)
		if ((tables >> t & 1) != 0 && (double)sql->tables[t].rows > most)
			most = (double)sql->tables[t].rows;
	return most;
}

/* --- comparisons with constants -------------------------------------------------------------------------- */

/* column @function literal; a comparison the other way round is turned. */
struct comparison {
	const struct sql_expr *column;
	struct sql_expr *literal;
	enum dsmx_function function;
};

static bool is_comparison(const struct sql_expr *condition, struct comparison *ret)
{
	static const enum dsmx_function turned[DSMX_FN_COUNT] = {
		[DSMX_FN_EQUAL] = DSMX_FN_EQUAL, [DSMX_FN_NOT_EQUAL] = DSMX_FN_NOT_EQUAL,
		[DSMX_FN_LT] = DSMX_FN_GT,       [DSMX_FN_LTE] = DSMX_FN_GTE,
		[DSMX_FN_GT] = DSMX_FN_LT,       [DSMX_FN_GTE] = DSMX_FN_LTE,
	};
	bool left;

	if (condition->kind != SQL_CALL || turned[condition->function] == DSMX_FN_NONE)
		return false;
	left = condition->args[0]->kind == SQL_COLUMN;
	ret->column = condition->args[!left];
	ret->literal = condition->args[left];
	ret->function = left ? condition->function : turned[condition->function];
	return ret->column->kind == SQL_COLUMN && ret->literal->kind == SQL_LITERAL &&
	       ret->literal->text != NULL;
}

/* A constant on the scale of a column's statistics. */
static bool value_of(struct sql *sql, struct sql_expr *literal, struct dsmx_type type,
                     double *ret_value)
{
	struct sql_expr *same = sql_retype(sql, literal, type);
	size_t width = dsmx_type_width(type);
	int64_t value = 0;
	uint8_t bytes[16];

	if (same == NULL || dsmx_type_is_text(type) || width == 0 || width > sizeof(value) ||
	    dsmx_value_parse(type, same->text, strlen(same->text), bytes) < 0)
		return false;
	memcpy(&value, bytes, width);
	if (type.id < DSMX_UINT8 && width < sizeof(value) && (value >> (8 * width - 1) & 1) != 0)
		value -= (int64_t)1 << (8 * width);
	*ret_value = (double)value;
	return true;
}

/* What conditions leave of one column's range. */
struct interval {
	uint32_t column;
	double min, max, low, high;
};

struct intervals {
	uint32_t count;
	struct interval at[16];
};

static struct interval *interval_of(const struct sql *sql, struct intervals *intervals,
                                    uint32_t column)
{
	struct dsmx_ipc_stats stats;
	struct interval *made;

	for (uint32_t i = 0; i < intervals->count; i++)
		if (intervals->at[i].column == column)
			return &intervals->at[i];
	stats = stats_of(sql, column);
	if (!stats.has_range ||
	    intervals->count == sizeof(intervals->at) / sizeof(intervals->at[0]))
		return NULL;
	made = &intervals->at[intervals->count++];
	*made = (struct interval){ column, (double)stats.min, (double)stats.max, (double)stats.min,
		                   (double)stats.max };
	return made;
}

/* Take a comparison by order into the intervals; false: it is none, or nothing is known of the column. */
static bool narrow(struct sql *sql, const struct sql_expr *condition, struct intervals *intervals)
{
	struct comparison c;
	struct interval *interval;
	double value;

	if (!is_comparison(condition, &c) || c.function == DSMX_FN_EQUAL ||
	    c.function == DSMX_FN_NOT_EQUAL ||
	    !value_of(sql, c.literal, sql_field(sql, c.column->column)->type, &value))
		return false;
	interval = interval_of(sql, intervals, c.column->column);
	if (interval == NULL)
		return false;
	if (c.function == DSMX_FN_LT || c.function == DSMX_FN_LTE) {
		value -= c.function == DSMX_FN_LT;
		interval->high = value < interval->high ? value : interval->high;
	} else {
		value += c.function == DSMX_FN_GT;
		interval->low = value > interval->low ? value : interval->low;
	}
	return true;
}

/* --- conditions -------------------------------------------------------------------------------------------- */

/* One of the different values that an expression may have. */
static double share_of_value(const struct sql *sql, const struct sql_expr *expr)
{
	double distinct = expr->kind == SQL_COLUMN ? distinct_of_column(sql, expr->column) : 0;

	return distinct > 0 ? 1 / distinct : SHARE_EQUAL;
}

static double share_of_any(struct sql *sql, struct sql_expr *const *conditions, uint32_t count)
{
	double none = 1;

	for (uint32_t i = 0; i < count; i++)
		none *= 1 - sql_share(sql, &conditions[i], 1);
	return 1 - none;
}

static double share_of_one(struct sql *sql, const struct sql_expr *condition)
{
	struct comparison c;
	double share;

	if (condition->kind == SQL_IN) {
		share = (condition->arg_count - 1) * share_of_value(sql, condition->args[0]);
		return share < 1 ? share : 1;
	}
	if (condition->kind != SQL_CALL)
		return SHARE_UNKNOWN;
	switch (condition->function) {
	case DSMX_FN_EQUAL:
	case DSMX_FN_NOT_EQUAL:
		share = is_comparison(condition, &c) ? share_of_value(sql, c.column) : SHARE_EQUAL;
		return condition->function == DSMX_FN_EQUAL ? share : 1 - share;
	case DSMX_FN_LIKE:
		return SHARE_LIKE;
	case DSMX_FN_IS_NULL:
		return SHARE_NULL;
	case DSMX_FN_IS_NOT_NULL:
		return 1 - SHARE_NULL;
	case DSMX_FN_LT:
	case DSMX_FN_LTE:
	case DSMX_FN_GT:
	case DSMX_FN_GTE:
		return is_comparison(condition, &c) ? SHARE_RANGE : SHARE_UNKNOWN;
	case DSMX_FN_NOT:
		return 1 - sql_share(sql, condition->args, 1);
	case DSMX_FN_AND:
		return sql_share(sql, condition->args, condition->arg_count);
	case DSMX_FN_OR:
		return share_of_any(sql, condition->args, condition->arg_count);
	default:
		return SHARE_UNKNOWN;
	}
}

double sql_share(struct sql *sql, struct sql_expr *const *conditions, uint32_t count)
{
	struct intervals intervals = { 0 };
	double share = 1;

	for (uint32_t i = 0; i < count; i++)
		if (!narrow(sql, conditions[i], &intervals))
			share *= share_of_one(sql, conditions[i]);
	for (uint32_t i = 0; i < intervals.count; i++) {
		const struct interval *in = &intervals.at[i];
		double kept = in->high - in->low + 1;

		share *= kept > 0 ? kept / (in->max - in->min + 1) : 0;
	}
	return share;
}
