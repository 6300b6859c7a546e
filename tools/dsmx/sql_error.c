/* SPDX-License-Identifier: MIT */
/*
 * sql_error.c - the first failure of a statement, and its place in the text
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sql_tree.h"

#define NAME_MAX_BYTES  64
#define LINE_SHOWN_MAX  160
#define LINE_BEFORE_MAX 100

void *sql_fail(struct sql *sql, int code, int location, const char *format, ...)
{
	struct sql_error *error = sql->error;
	va_list ap;

	if (error->code != 0)
		return NULL;
	error->code = code;
	error->location = location;
	va_start(ap, format);
	vsnprintf(error->message, sizeof(error->message), format, ap);
	va_end(ap);
	return NULL;
}

void *sql_unsupported(struct sql *sql, int location, const char *what)
{
	return sql_fail(sql, -EOPNOTSUPP, location, "%s is not supported", what);
}

bool sql_failed(const struct sql *sql)
{
	return sql->error->code != 0;
}

/* Levenshtein's distance, case left aside; names longer than the table are not near anything. */
static uint32_t distance(const char *a, const char *b)
{
	uint32_t row[NAME_MAX_BYTES + 1];
	size_t len_a = strlen(a), len_b = strlen(b);

	if (len_a > NAME_MAX_BYTES || len_b > NAME_MAX_BYTES)
		return UINT32_MAX;
	for (uint32_t j = 0; j <= len_b; j++)
		row[j] = j;
	for (size_t i = 1; i <= len_a; i++) {
		uint32_t diagonal = row[0];

		row[0] = (uint32_t)i;
		for (size_t j = 1; j <= len_b; j++) {
			uint32_t above = row[j];
			uint32_t best = diagonal + ((a[i - 1] | 32) != (b[j - 1] | 32));

			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = above;
		}
	}
	return row[len_b];
}

void sql_nearest(struct sql_nearest *best, const char *name, const char *candidate)
{
	uint32_t limit = (uint32_t)strlen(name) / 3 + 1;
	uint32_t d = distance(name, candidate);

	if (d > limit || (best->name != NULL && d >= best->distance))
		return;
	best->name = candidate;
	best->distance = d;
}

static uint32_t characters(const char *text, size_t len)
{
	uint32_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

/* Tabs and other control characters as one blank each, so that the caret stands right. */
static void print_line(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fputc((unsigned char)line[i] < 32 ? ' ' : line[i], stderr);
	fputc('\n', stderr);
}

void sql_error_print(const char *name, const char *text, const struct sql_error *err)
{
	size_t at, start, len, skip = 0;
	uint32_t line = 1;
	int margin;

	if (err->location < 0 || (size_t)err->location > strlen(text)) {
		fprintf(stderr, "dsmx: %s\n", err->message);
		return;
	}
	at = (size_t)err->location;
	for (start = at; start > 0 && text[start - 1] != '\n'; start--)
		;
	for (size_t i = 0; i < start; i++)
		line += text[i] == '\n';
	len = strcspn(text + start, "\n");
	fprintf(stderr, "dsmx: %s%sline %u, column %u: %s\n", name ? name : "", name ? ", " : "",
	        line, characters(text + start, at - start) + 1, err->message);
	if (at - start > LINE_BEFORE_MAX)
		skip = at - start - LINE_BEFORE_MAX;
	while (skip > 0 && ((unsigned char)text[start + skip] & 0xc0) == 0x80)
		skip--;
	if (len - skip > LINE_SHOWN_MAX)
		len = skip + LINE_SHOWN_MAX;
	while (len > skip && ((unsigned char)text[start + len] & 0xc0) == 0x80)
		len--;
	margin = fprintf(stderr, "%4u | ", line);
	print_line(text + start + skip, len - skip);
	fprintf(stderr, "%*s^\n", margin + (int)characters(text + start + skip, at - start - skip),
	        "");
}
