/* SPDX-License-Identifier: MIT */
/*
 * texts.h - texts that an evaluation makes, and the characters in them
 *
 * A character is a well-formed UTF-8 sequence; a byte that belongs to none is a character of its own, so
 * that any bytes can be counted, cut and matched.
 */
#ifndef DX_EXEC_TEXTS_H
#define DX_EXEC_TEXTS_H

#include <stddef.h>

#include "base/compiler.h"
#include "batch/value.h"

/* Bytes of the texts of one vector, kept until the next. */
struct dx_texts {
	char *bytes;
	size_t used, room;
};

struct dx_texts *dx_texts_new(void);
void dx_texts_free(void *texts);

/* Forget what is there, and have room for @bytes that do not move. */
int dx_texts_reserve(struct dx_texts *texts, size_t bytes) DX_MUST_CHECK;

/* Bytes of the character at @text, of which @len > 0 bytes are there. */
size_t dx_utf8_step(const char *text, size_t len);

uint32_t dx_utf8_count(struct dx_text text);

/* The bytes of the first @characters characters. */
size_t dx_utf8_skip(struct dx_text text, uint64_t characters);

#endif /* DX_EXEC_TEXTS_H */
