/* SPDX-License-Identifier: MIT */
/*
 * sql.h - SQL in, plans out
 *
 *	text --sql_parse()--> script --sql_plan(i)--> struct dsmx_plan
 *
 * The grammar is PostgreSQL's (libpg_query); what it may say is in docs/man/dsmx.1. Inside, each file is one
 * step:
 *
 *	sql_guard, sql_parse		text to the parser's tree
 *	sql_from, sql_expr, sql_func,	that tree bound to tables and columns
 *	sql_const, sql_date, sql_clause
 *	sql_logic			conditions taken apart and brought down
 *	sql_estimate			how many rows there will be
 *	sql_class, sql_join		an order of joins
 *	sql_plan, sql_query		relations
 *	sql_type, sql_emit		expressions, with their types
 */
#ifndef DSMX_TOOL_SQL_H
#define DSMX_TOOL_SQL_H

#include <stdint.h>

#include "dsmx/plan.h"

#define SQL_TEXT_MAX   ((size_t)1 << 20)
#define SQL_DEPTH_MAX  1000   /* of nested expressions, as the tokens bound it */
#define SQL_SIZE_MAX   100000 /* of an expression, after its short forms are written out */
#define SQL_TABLES_MAX 14     /* in one FROM: what the exact search for a join order can take */

struct sql_error {
	int code;     /* -errno, 0: none */
	int location; /* byte in the text, -1: none */
	char message[DSMX_ERROR_MESSAGE_BYTES];
};

struct sql_options {
	const char *data_dir; /* where the tables' files are */
	uint32_t workers;     /* what the cost of an exchange depends on */
};

struct sql_script;

/* Parse all statements of @text (kept by the caller as long as the script). Returns 0 or -errno. */
int sql_parse(const char *text, struct sql_script **ret_script, struct sql_error *err);
void sql_free(struct sql_script *script);
uint32_t sql_statement_count(const struct sql_script *script);

/* A plan, finished but not distributed, for statement @index. */
int sql_plan(const struct sql_script *script, uint32_t index, const struct sql_options *options,
             struct dsmx_plan **ret_plan, struct sql_error *err);

/* The sentence on stderr, with the line and a caret where there is a location. @name: of the text. */
void sql_error_print(const char *name, const char *text, const struct sql_error *err);

#endif /* DSMX_TOOL_SQL_H */
