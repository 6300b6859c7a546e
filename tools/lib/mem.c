/* SPDX-License-Identifier: MIT */
#include "mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)64 << 10)

struct mem_chunk {
	struct mem_chunk *next;
	size_t size;
	_Alignas(16) char bytes[];
};

static void *check(void *memory)
{
	if (memory == NULL) {
		fputs("dsmx: out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

void *mem_alloc(size_t bytes)
{
	return check(calloc(1, bytes > 0 ? bytes : 1));
}

void *mem_resize(void *old, size_t bytes)
{
	return check(realloc(old, bytes > 0 ? bytes : 1));
}

char *mem_copy(const char *text, size_t len)
{
	char *copy = mem_alloc(len + 1);

	memcpy(copy, text, len);
	return copy;
}

void *arena_alloc(struct mem_arena *arena, size_t bytes)
{
	size_t need = (bytes + 15) & ~(size_t)15;
	struct mem_chunk *chunk = arena->first;

	if (need < bytes || need > SIZE_MAX / 2)
		check(NULL);
	if (chunk == NULL || chunk->size - arena->used < need) {
		size_t size = need > CHUNK_BYTES ? need : CHUNK_BYTES;

		chunk = mem_alloc(sizeof(*chunk) + size);
		chunk->next = arena->first;
		chunk->size = size;
		arena->first = chunk;
		arena->used = 0;
	}
	arena->used += need;
	return chunk->bytes + arena->used - need;
}

char *arena_copy(struct mem_arena *arena, const char *text, size_t len)
{
	char *copy = arena_alloc(arena, len + 1);

	memcpy(copy, text, len);
	return copy;
}

char *arena_print(struct mem_arena *arena, const char *format, ...)
{
	va_list ap;
	char *text;
	int len;

	va_start(ap, format);
	len = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	text = arena_alloc(arena, (size_t)len + 1);
	va_start(ap, format);
	vsnprintf(text, (size_t)len + 1, format, ap);
	va_end(ap);
	return text;
}

void arena_free(struct mem_arena *arena)
{
	while (arena->first != NULL) {
		struct mem_chunk *chunk = arena->first;

		arena->first = chunk->next;
		free(chunk);
	}
	arena->used = 0;
}
