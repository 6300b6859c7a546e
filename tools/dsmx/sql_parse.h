/* SPDX-License-Identifier: MIT */
/*
 * sql_parse.h - the parser's tree of a whole text
 */
#ifndef DSMX_TOOL_SQL_PARSE_H
#define DSMX_TOOL_SQL_PARSE_H

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include "sql.h"

struct sql_script {
	const char *text;
	PgQuery__ParseResult *tree;
};

/*
 * sql_guard.c: refuse what the parser would not survive, before it sees it: bytes that are not UTF-8,
 * long texts and deep nesting.
 */
int sql_guard(const char *text, struct sql_error *err);

/* The byte at which character @number (from 1) of the text starts. */
int sql_byte_of_character(const char *text, int number);

#endif /* DSMX_TOOL_SQL_PARSE_H */
