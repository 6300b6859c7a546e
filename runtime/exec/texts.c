/* SPDX-License-Identifier: MIT */
#include "exec/texts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct dx_texts *dx_texts_new(void)
{
	return calloc(1, sizeof(struct dx_texts));
}

void dx_texts_free(void *texts)
{
	struct dx_texts *mine = texts;

	if (mine != NULL)
		free(mine->bytes);
	free(mine);
}

int dx_texts_reserve(struct dx_texts *texts, size_t bytes)
{
	char *grown;

	texts->used = 0;
	if (bytes <= texts->room && texts->bytes != NULL)
		return 0;
	grown = realloc(texts->bytes, bytes + bytes / 2 + 1);
	if (grown == NULL)
		return -ENOMEM;
	texts->bytes = grown;
	texts->room = bytes + bytes / 2 + 1;
	return 0;
}

/* Length of a well-formed sequence at @text (no overlong form, no surrogate, no more than U+10FFFF), or 0. */
static size_t sequence(const unsigned char *text, size_t len)
{
	unsigned char first = text[0], least = 0x80, most = 0xbf;
	size_t need;

	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	need = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (len < need)
		return 0;
	if (first == 0xe0)
		least = 0xa0;
	else if (first == 0xed)
		most = 0x9f;
	else if (first == 0xf0)
		least = 0x90;
	else if (first == 0xf4)
		most = 0x8f;
	if (text[1] < least || text[1] > most)
		return 0;
	for (size_t i = 2; i < need; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	}
	return need;
}

size_t dx_utf8_step(const char *text, size_t len)
{
	size_t bytes;

	if ((unsigned char)text[0] < 0x80)
		return 1;
	bytes = sequence((const unsigned char *)text, len);
	return bytes > 0 ? bytes : 1;
}

/* How many bytes from the front on are ASCII, eight at a time. */
static size_t ascii(struct dx_text text)
{
	size_t at = 0;
	uint64_t word;

	for (; at + 8 <= text.len; at += 8) {
		memcpy(&word, text.bytes + at, 8);
		if ((word & 0x8080808080808080ULL) != 0)
			break;
	}
	return at;
}

uint32_t dx_utf8_count(struct dx_text text)
{
	size_t at = ascii(text);
	uint32_t count = (uint32_t)at;

	for (; at < text.len; at += dx_utf8_step(text.bytes + at, text.len - at))
		count++;
	return count;
}

size_t dx_utf8_skip(struct dx_text text, uint64_t characters)
{
	size_t at = ascii(text);

	if (at >= characters)
		return (size_t)characters;
	for (characters -= at; characters > 0 && at < text.len; characters--)
		at += dx_utf8_step(text.bytes + at, text.len - at);
	return at;
}
