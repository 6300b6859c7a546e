/* SPDX-License-Identifier: MIT */
/*
 * functions.h - the tables of functions: one line each drives builder, codec and EXPLAIN
 *
 * A function's line: its name in the enum, Substrait's name, the Substrait extension that declares it, how
 * many arguments it takes (DX_MANY: any number more), the rule for their types and the result's, and its sign
 * where EXPLAIN writes it between its arguments.
 */
#ifndef DX_PLAN_FUNCTIONS_H
#define DX_PLAN_FUNCTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "dsmx/plan.h"

#define DX_MANY UINT32_MAX

enum dx_extension_file {
	DX_FILE_ARITHMETIC, /* decimals and unsigned integers have files of their own */
	DX_FILE_COMPARISON,
	DX_FILE_BOOLEAN,
	DX_FILE_STRING,
	DX_FILE_DATETIME,
	DX_FILE_AGGREGATE,
	DX_FILE_DECIMAL,
	DX_FILE_UNSIGNED,
	DX_FILE_DSMX, /* types of our own */
	DX_FILE_COUNT
};

enum dx_rule {
	DX_RULE_NONE,
	DX_RULE_SUM,       /* + -: numbers alike */
	DX_RULE_PRODUCT,   /* * */
	DX_RULE_QUOTIENT,  /* / */
	DX_RULE_REMAINDER, /* %: no floats */
	DX_RULE_NUMBER,    /* a number: the same type */
	DX_RULE_COMPARE,   /* two alike: bool */
	DX_RULE_TEST,      /* anything: bool, never null */
	DX_RULE_LOGIC,     /* bools: bool */
	DX_RULE_LIKE,      /* text, text literal: bool */
	DX_RULE_SUBSTRING, /* text, int64, int64: that text */
	DX_RULE_TEXT,      /* texts of one type: that type */
	DX_RULE_LENGTH,    /* text: int32 */
	DX_RULE_SAME,      /* anything of one type: that type */
	DX_RULE_EXTRACT,   /* part, date or timestamp: int64 */
};

#define DX_FUNCTIONS(X)                                                                            \
	X(ADD, "add", ARITHMETIC, 2, 2, SUM, "+")                                                  \
	X(SUBTRACT, "subtract", ARITHMETIC, 2, 2, SUM, "-")                                        \
	X(MULTIPLY, "multiply", ARITHMETIC, 2, 2, PRODUCT, "*")                                    \
	X(DIVIDE, "divide", ARITHMETIC, 2, 2, QUOTIENT, "/")                                       \
	X(MODULUS, "modulus", ARITHMETIC, 2, 2, REMAINDER, "%")                                    \
	X(NEGATE, "negate", ARITHMETIC, 1, 1, NUMBER, NULL)                                        \
	X(EQUAL, "equal", COMPARISON, 2, 2, COMPARE, "=")                                          \
	X(NOT_EQUAL, "not_equal", COMPARISON, 2, 2, COMPARE, "<>")                                 \
	X(LT, "lt", COMPARISON, 2, 2, COMPARE, "<")                                                \
	X(LTE, "lte", COMPARISON, 2, 2, COMPARE, "<=")                                             \
	X(GT, "gt", COMPARISON, 2, 2, COMPARE, ">")                                                \
	X(GTE, "gte", COMPARISON, 2, 2, COMPARE, ">=")                                             \
	X(IS_NULL, "is_null", COMPARISON, 1, 1, TEST, NULL)                                        \
	X(IS_NOT_NULL, "is_not_null", COMPARISON, 1, 1, TEST, NULL)                                \
	X(AND, "and", BOOLEAN, 1, DX_MANY, LOGIC, "and")                                           \
	X(OR, "or", BOOLEAN, 1, DX_MANY, LOGIC, "or")                                              \
	X(NOT, "not", BOOLEAN, 1, 1, LOGIC, NULL)                                                  \
	X(LIKE, "like", STRING, 2, 2, LIKE, "like")                                                \
	X(SUBSTRING, "substring", STRING, 3, 3, SUBSTRING, NULL)                                   \
	X(LOWER, "lower", STRING, 1, 1, TEXT, NULL)                                                \
	X(UPPER, "upper", STRING, 1, 1, TEXT, NULL)                                                \
	X(CONCAT, "concat", STRING, 1, DX_MANY, TEXT, "||")                                        \
	X(CHAR_LENGTH, "char_length", STRING, 1, 1, LENGTH, NULL)                                  \
	X(COALESCE, "coalesce", COMPARISON, 1, DX_MANY, SAME, NULL)                                \
	X(ABS, "abs", ARITHMETIC, 1, 1, NUMBER, NULL)                                              \
	X(EXTRACT, "extract", DATETIME, 2, 2, EXTRACT, NULL)

/* An aggregate's: enum, Substrait's name (and PostgreSQL's: the default column name), extension. */
#define DX_AGGREGATES(X)                                                                           \
	X(COUNT_STAR, "count", AGGREGATE)                                                          \
	X(COUNT, "count", AGGREGATE)                                                               \
	X(SUM, "sum", ARITHMETIC)                                                                  \
	X(AVG, "avg", ARITHMETIC)                                                                  \
	X(MIN, "min", ARITHMETIC)                                                                  \
	X(MAX, "max", ARITHMETIC)

#define DX_AGGREGATE_COUNT (DSMX_AGG_MAX + 1)

struct dx_function_info {
	const char *name;
	enum dx_extension_file file;
	uint32_t args_min, args_max;
	enum dx_rule rule;
	const char *sign;
};

/* NULL for a number that is no function. */
const struct dx_function_info *dx_function_info(enum dsmx_function function);

/* DSMX_FN_NONE: no such function. @len: of the part before Substrait's ":arguments". */
enum dsmx_function dx_function_find(const char *name, size_t len);

/* Of a comparison, the one that says the same of its arguments in the other order; else @function itself. */
enum dsmx_function dx_function_mirrored(enum dsmx_function function);

enum dx_extension_file dx_aggregate_file(enum dsmx_aggregate function);

/* COUNT_STAR for "count": the codec looks at the arguments. False: no such aggregate. */
bool dx_aggregate_find(const char *name, size_t len, enum dsmx_aggregate *ret_function);

/* The parts that EXTRACT knows; Substrait's name of each, and what it counts from (NULL: says nothing). */
struct dx_extract_part {
	const char *name;
	const char *substrait;
	const char *indexing;
};
const struct dx_extract_part *dx_extract_part(const char *name, size_t len);
const struct dx_extract_part *dx_extract_part_substrait(const char *name);

#endif /* DX_PLAN_FUNCTIONS_H */
