/* SPDX-License-Identifier: MIT */
/*
 * import_split.c - records and fields
 *
 * A record is split when all of it is in the buffer: a try that runs into the end of the bytes has no effect,
 * more are read, and it begins again. Only quotes make that more than a search for the end of a line.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

#define BUFFER_BYTES ((size_t)1 << 20)
#define RECORD_MAX   ((size_t)1 << 30)

enum { MORE = -1 }; /* the record goes on behind what is there */

void splitter_init(struct splitter *splitter, struct source *source, struct format format,
                   uint32_t limit)
{
	*splitter = (struct splitter){
		.source = source,
		.format = format,
		.limit = limit,
		.room = BUFFER_BYTES,
		.next_line = 1,
	};
	splitter->buf = mem_alloc(BUFFER_BYTES);
	splitter->fields = mem_alloc(limit * sizeof(struct span));
}

void splitter_fini(struct splitter *splitter)
{
	free(splitter->buf);
	free(splitter->fields);
}

static int fill(struct splitter *splitter)
{
	size_t left = splitter->end - splitter->start;

	if (left > 0 && splitter->start > 0)
		memmove(splitter->buf, splitter->buf + splitter->start, left);
	splitter->start = 0;
	splitter->end = left;
	if (left == splitter->room) {
		if (splitter->room >= RECORD_MAX) {
			splitter->wrong = "a record of over 1 GiB; is a quote missing?";
			return -EBADMSG;
		}
		splitter->room *= 2;
		splitter->buf = mem_resize(splitter->buf, splitter->room);
	}
	/* All of it, since a long record is looked through again after each fill. */
	while (!splitter->at_end && splitter->end < splitter->room) {
		ssize_t n = source_read(splitter->source, splitter->buf + splitter->end,
		                        splitter->room - splitter->end);

		if (n < 0)
			return (int)n;
		splitter->at_end = n == 0;
		splitter->end += (size_t)n;
	}
	return 0;
}

static void add_field(struct splitter *splitter, char *text, size_t len, bool quoted)
{
	if (splitter->count < splitter->limit)
		splitter->fields[splitter->count] = (struct span){ text, len, quoted };
	splitter->count++;
}

static void split_plain(struct splitter *splitter, char *at, char *end)
{
	char delimiter = splitter->format.delimiter, *field = at;

	for (; at < end; at++) {
		if (*at == delimiter) {
			add_field(splitter, field, (size_t)(at - field), false);
			field = at + 1;
		}
	}
	if (!splitter->format.ends_in_delimiter || field < end || splitter->count == 0)
		add_field(splitter, field, (size_t)(end - field), false);
}

/* A quoted field from its first quote on: what follows the last one, NULL: there is no last one. */
static char *split_quoted(struct splitter *splitter, char *at, char *end)
{
	char *text = at + 1, *to = text;

	for (at = text;; at++) {
		char *quote = memchr(at, '"', (size_t)(end - at));

		if (quote == NULL)
			return NULL;
		/* The text closes up over each quote of a pair. */
		if (to != at)
			memmove(to, at, (size_t)(quote - at));
		to += quote - at;
		at = quote + 1;
		if (at == end || *at != '"')
			break;
		*to++ = '"';
	}
	add_field(splitter, text, (size_t)(to - text), true);
	return at;
}

/*
 * The record of a .csv at @at: how many bytes, MORE, or -EBADMSG. Closing up quotes changes the buffer, so a
 * record with quotes is first looked through for its end.
 */
static ssize_t record_end(struct splitter *splitter, const char *at, const char *end)
{
	const char *start = at;
	bool quoted = false;

	for (; at < end; at++) {
		if (*at == '"')
			quoted = !quoted;
		else if (*at == '\n' && !quoted)
			return at + 1 - start;
	}
	if (!splitter->at_end)
		return MORE;
	if (quoted) {
		splitter->wrong = "the file ends inside of quotes";
		return -EBADMSG;
	}
	return end - start;
}

static int split_csv(struct splitter *splitter, char *at, char *end)
{
	char delimiter = splitter->format.delimiter;

	for (;;) {
		char *field = at;

		if (at < end && *at == '"') {
			at = split_quoted(splitter, at, end);
			if (at == NULL || (at < end && *at != delimiter)) {
				splitter->wrong = "something follows the closing quote of a field";
				return -EBADMSG;
			}
		} else {
			for (; at < end && *at != delimiter; at++) {
				if (*at == '"') {
					splitter->wrong =
						"a quote inside of a field that is not quoted";
					return -EBADMSG;
				}
			}
			add_field(splitter, field, (size_t)(at - field), false);
		}
		if (at == end)
			return 0;
		at++; /* the delimiter: one more field follows */
	}
}

/* The bytes of the next record with its line's end, MORE at the end of what is there, 0 at the end of all. */
static ssize_t next_record(struct splitter *splitter)
{
	char *start = splitter->buf + splitter->start, *end = splitter->buf + splitter->end, *at;

	at = memchr(start, '\n', (size_t)(end - start));
	if (splitter->format.quotes &&
	    memchr(start, '"', (size_t)((at != NULL ? at : end) - start)) != NULL)
		return record_end(splitter, start, end);
	if (at != NULL)
		return at + 1 - start;
	return splitter->at_end ? end - start : MORE;
}

int splitter_next(struct splitter *splitter)
{
	ssize_t found;
	char *start;
	size_t len;
	int ret = 0;

	splitter->count = 0;
	splitter->line = splitter->next_line;
	while ((found = next_record(splitter)) == MORE) {
		ret = fill(splitter);
		if (ret < 0)
			return ret;
	}
	if (found <= 0)
		return (int)found;
	start = splitter->buf + splitter->start;
	len = (size_t)found;
	splitter->start += len;
	splitter->next_line++;
	len -= start[len - 1] == '\n';
	len -= len > 0 && start[len - 1] == '\r';
	if (!splitter->format.quotes || memchr(start, '"', len) == NULL) {
		split_plain(splitter, start, start + len);
		return 1;
	}
	for (size_t i = 0; i < len; i++)
		splitter->next_line += start[i] == '\n';
	ret = split_csv(splitter, start, start + len);
	return ret < 0 ? ret : 1;
}
