/* SPDX-License-Identifier: MIT */
/*
 * sql_guard.c - refuse what the parser would not survive
 *
 * libpg_query keeps PostgreSQL's grammar but not its checks of the stack: 1+1+... with some ten thousand
 * terms, or as many parentheses, overflow it in the parser, or later where its tree is packed and unpacked.
 * Its scanner is flat, so the tokens are read first and bound the depth that the tree can have: a
 * parenthesis (or CASE) opens a level, and within a level whatever may nest without one counts one, until
 * a comma, AND, OR or a clause starts afresh. The sum over the open levels is never less than the depth.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sql_parse.h"

struct depth {
	uint32_t levels;
	uint32_t total;   /* of counts on all levels */
	uint32_t chained; /* joins and set operations: they nest across whole clauses */
	uint32_t count[SQL_DEPTH_MAX + 1];
};

static int fail(struct sql_error *err, int code, int location, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(struct sql_error *err, int code, int location, const char *format, ...)
{
	va_list ap;

	err->code = code;
	err->location = location;
	va_start(ap, format);
	vsnprintf(err->message, sizeof(err->message), format, ap);
	va_end(ap);
	return code;
}

/* Bytes of the character at @text, 0 where it is none. */
static size_t utf8_character(const unsigned char *text)
{
	size_t len = text[0] < 0x80             ? 1
	             : (text[0] & 0xe0) == 0xc0 ? 2
	             : (text[0] & 0xf0) == 0xe0 ? 3
	             : (text[0] & 0xf8) == 0xf0 ? 4
	                                        : 0;

	for (size_t i = 1; i < len; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

static int check_text(const char *text, struct sql_error *err)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t len = strnlen(text, SQL_TEXT_MAX + 1);

	if (len > SQL_TEXT_MAX)
		return fail(err, -E2BIG, -1, "a text of SQL can have at most %zu bytes",
		            SQL_TEXT_MAX);
	for (size_t at = 0, step; at < len; at += step) {
		step = utf8_character(bytes + at);
		if (step == 0)
			return fail(err, -EILSEQ, -1, "byte %zu of the SQL text is not UTF-8",
			            at + 1);
	}
	return 0;
}

int sql_byte_of_character(const char *text, int number)
{
	size_t at = 0;

	while (text[at] != '\0') {
		if (((unsigned char)text[at] & 0xc0) != 0x80 && --number <= 0)
			break;
		at++;
	}
	return (int)at;
}

static bool opens(const char *text, const PgQuery__ScanToken *token)
{
	return token->token == PG_QUERY__TOKEN__CASE || text[token->start] == '(' ||
	       text[token->start] == '[';
}

static bool closes(const char *text, const PgQuery__ScanToken *token)
{
	return token->token == PG_QUERY__TOKEN__END_P || text[token->start] == ')' ||
	       text[token->start] == ']';
}

/* Does the tree go no deeper through this token than before it? */
static bool starts_afresh(const char *text, const PgQuery__ScanToken *token)
{
	switch (token->token) {
	case PG_QUERY__TOKEN__AND:
	case PG_QUERY__TOKEN__OR:
	case PG_QUERY__TOKEN__WHEN:
	case PG_QUERY__TOKEN__THEN:
	case PG_QUERY__TOKEN__ELSE:
	case PG_QUERY__TOKEN__FROM:
	case PG_QUERY__TOKEN__WHERE:
		return true;
	default:
		return text[token->start] == ',' || text[token->start] == ';';
	}
}

/* Names, numbers, strings and comments are leaves; every other token may be a node above one. */
static bool is_leaf(const char *text, const PgQuery__ScanToken *token)
{
	switch (token->token) {
	case PG_QUERY__TOKEN__IDENT:
	case PG_QUERY__TOKEN__ICONST:
	case PG_QUERY__TOKEN__FCONST:
	case PG_QUERY__TOKEN__SCONST:
	case PG_QUERY__TOKEN__SQL_COMMENT:
	case PG_QUERY__TOKEN__C_COMMENT:
		return true;
	default:
		return text[token->start] == '.';
	}
}

static bool chains(const PgQuery__ScanToken *token)
{
	return token->token == PG_QUERY__TOKEN__JOIN || token->token == PG_QUERY__TOKEN__UNION ||
	       token->token == PG_QUERY__TOKEN__EXCEPT ||
	       token->token == PG_QUERY__TOKEN__INTERSECT;
}

static bool step(struct depth *depth, const char *text, const PgQuery__ScanToken *token)
{
	if (chains(token))
		return ++depth->chained < SQL_DEPTH_MAX;
	if (opens(text, token)) {
		if (depth->total + depth->levels >= SQL_DEPTH_MAX)
			return false;
		depth->count[++depth->levels] = 0;
	} else if (closes(text, token)) {
		if (depth->levels == 0)
			return true; /* the parser will say so */
		depth->total -= depth->count[depth->levels--];
	} else if (starts_afresh(text, token)) {
		depth->total -= depth->count[depth->levels];
		depth->count[depth->levels] = 0;
	} else if (!is_leaf(text, token)) {
		if (depth->total + depth->levels >= SQL_DEPTH_MAX)
			return false;
		depth->count[depth->levels]++;
		depth->total++;
	}
	return true;
}

static int check_depth(const char *text, const PgQuery__ScanResult *scan, struct sql_error *err)
{
	struct depth depth = { 0 };

	for (size_t i = 0; i < scan->n_tokens; i++)
		if (!step(&depth, text, scan->tokens[i]))
			return fail(err, -E2BIG, scan->tokens[i]->start,
			            "the expression is too long or nested too deeply "
			            "(more than %d operators and parentheses)",
			            SQL_DEPTH_MAX);
	return 0;
}

int sql_guard(const char *text, struct sql_error *err)
{
	PgQueryScanResult result;
	PgQuery__ScanResult *scan;
	int r = check_text(text, err);

	if (r < 0)
		return r;
	result = pg_query_scan(text);
	if (result.error != NULL) {
		r = fail(err, -EINVAL, sql_byte_of_character(text, result.error->cursorpos), "%s",
		         result.error->message);
		pg_query_free_scan_result(result);
		return r;
	}
	scan = pg_query__scan_result__unpack(NULL, result.pbuf.len,
	                                     (const uint8_t *)result.pbuf.data);
	r = scan != NULL ? check_depth(text, scan, err) : fail(err, -ENOMEM, -1, "out of memory");
	if (scan != NULL)
		pg_query__scan_result__free_unpacked(scan, NULL);
	pg_query_free_scan_result(result);
	return r;
}
