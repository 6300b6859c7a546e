/* SPDX-License-Identifier: MIT */
/*
 * like.c - a pattern compiled once: a list of pieces, each a run of literal bytes, a _ or a %
 *
 * Without _ a text matches when its literals follow each other in it, the first at the start and the last at
 * the end unless a % stands there. So equality, "prefix%", "%suffix" and "%infix%" are one comparison or
 * one memmem(), and a longer pattern one for each literal: the leftmost place of each is never worse than
 * another.
 *
 * With _ characters count, and the pieces are walked one by one. After a failure the last % takes one
 * character more; an earlier % need never be tried again.
 */
#include "exec/like.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exec/texts.h"

enum kind { LITERAL, ONE, ANY };

struct piece {
	enum kind kind;
	const char *bytes;
	size_t len;
};

struct dx_like {
	struct piece *pieces;
	size_t count;
	bool by_characters; /* there is a _ */
	char *bytes;        /* of the literals, escapes resolved */
};

static bool ends_in_literal(const struct dx_like *like)
{
	return like->count > 0 && like->pieces[like->count - 1].kind == LITERAL;
}

static void add_byte(struct dx_like *like, char *at)
{
	if (!ends_in_literal(like))
		like->pieces[like->count++] = (struct piece){ .kind = LITERAL, .bytes = at };
	like->pieces[like->count - 1].len++;
}

static int parse(struct dx_like *like, struct dx_text pattern)
{
	char *to = like->bytes;

	for (uint32_t i = 0; i < pattern.len; i++) {
		char c = pattern.bytes[i];

		if (c == '%') {
			if (like->count == 0 || like->pieces[like->count - 1].kind != ANY)
				like->pieces[like->count++] = (struct piece){ .kind = ANY };
			continue;
		}
		if (c == '_') {
			like->pieces[like->count++] = (struct piece){ .kind = ONE };
			like->by_characters = true;
			continue;
		}
		if (c == '\\') {
			if (++i == pattern.len)
				return -EINVAL;
			c = pattern.bytes[i];
		}
		*to = c;
		add_byte(like, to++);
	}
	return 0;
}

int dx_like_new(struct dx_text pattern, struct dx_like **ret_like)
{
	struct dx_like *like = calloc(1, sizeof(*like));
	int err = -ENOMEM;

	if (like == NULL)
		return -ENOMEM;
	like->pieces = calloc(pattern.len + 1UL, sizeof(*like->pieces));
	like->bytes = malloc(pattern.len + 1UL);
	if (like->pieces != NULL && like->bytes != NULL)
		err = parse(like, pattern);
	if (err < 0) {
		dx_like_free(like);
		return err;
	}
	*ret_like = like;
	return 0;
}

void dx_like_free(void *like)
{
	struct dx_like *mine = like;

	if (mine == NULL)
		return;
	free(mine->pieces);
	free(mine->bytes);
	free(mine);
}

static bool starts_with(struct dx_text text, const struct piece *piece)
{
	return text.len >= piece->len && memcmp(text.bytes, piece->bytes, piece->len) == 0;
}

static struct dx_text after(struct dx_text text, size_t bytes)
{
	return (struct dx_text){ text.bytes + bytes, text.len - (uint32_t)bytes };
}

static bool matches_bytes(const struct dx_like *like, struct dx_text text)
{
	const struct piece *piece = like->pieces, *end = piece + like->count;

	if (piece < end && piece->kind == LITERAL) {
		if (!starts_with(text, piece))
			return false;
		text = after(text, piece->len);
		piece++;
		if (piece == end)
			return text.len == 0;
	}
	if (piece == end)
		return text.len == 0; /* the empty pattern */
	if (ends_in_literal(like)) {
		end--;
		if (text.len < end->len ||
		    memcmp(text.bytes + text.len - end->len, end->bytes, end->len) != 0)
			return false;
		text.len -= (uint32_t)end->len;
	}
	for (; piece < end; piece++) {
		const char *at;

		if (piece->kind == ANY)
			continue;
		at = memmem(text.bytes, text.len, piece->bytes, piece->len);
		if (at == NULL)
			return false;
		text = after(text, (size_t)(at - text.bytes) + piece->len);
	}
	return true;
}

static bool matches_characters(const struct dx_like *like, struct dx_text text)
{
	size_t i = 0, any = SIZE_MAX; /* any: the piece after the last % */
	struct dx_text left = text, retry = text;

	for (;;) {
		const struct piece *piece = &like->pieces[i];

		if (i == like->count && left.len == 0)
			return true;
		if (i < like->count && piece->kind == ANY) {
			any = ++i;
			retry = left;
			continue;
		}
		if (i < like->count && piece->kind == ONE && left.len > 0) {
			left = after(left, dx_utf8_step(left.bytes, left.len));
			i++;
			continue;
		}
		if (i < like->count && piece->kind == LITERAL && starts_with(left, piece)) {
			left = after(left, piece->len);
			i++;
			continue;
		}
		if (any == SIZE_MAX || retry.len == 0)
			return false;
		retry = after(retry, dx_utf8_step(retry.bytes, retry.len));
		left = retry;
		i = any;
	}
}

bool dx_like_matches(const struct dx_like *like, struct dx_text text)
{
	if (text.bytes == NULL)
		text.bytes = "";
	return like->by_characters ? matches_characters(like, text) : matches_bytes(like, text);
}
