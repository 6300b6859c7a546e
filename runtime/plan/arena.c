/* SPDX-License-Identifier: MIT */
#include "plan/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN       _Alignof(max_align_t)
#define CHUNK_LEAST ((size_t)4 << 10)
#define CHUNK_MOST  ((size_t)1 << 20)

struct dx_arena_chunk {
	struct dx_arena_chunk *next;
	size_t size, used; /* of bytes[] */
	_Alignas(max_align_t) char bytes[];
};

/* Chunks double, so that their number stays small; a large piece gets one of its own size. */
static struct dx_arena_chunk *chunk_add(struct dx_arena *arena, size_t least)
{
	size_t size = arena->chunks == NULL ? CHUNK_LEAST : arena->chunks->size * 2;
	struct dx_arena_chunk *chunk;

	if (size > CHUNK_MOST)
		size = CHUNK_MOST;
	if (size < least)
		size = least;
	chunk = calloc(1, sizeof(*chunk) + size);
	if (chunk == NULL)
		return NULL;
	chunk->size = size;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk;
}

void *dx_arena_alloc(struct dx_arena *arena, size_t size)
{
	struct dx_arena_chunk *chunk = arena->chunks;
	void *piece;

	if (size > PTRDIFF_MAX / 2) {
		arena->failed = true;
		return NULL;
	}
	size = size == 0 ? ALIGN : (size + ALIGN - 1) & ~(ALIGN - 1);
	if (chunk == NULL || chunk->size - chunk->used < size)
		chunk = chunk_add(arena, size);
	if (chunk == NULL) {
		arena->failed = true;
		return NULL;
	}
	piece = chunk->bytes + chunk->used;
	chunk->used += size;
	return piece;
}

void *dx_arena_array(struct dx_arena *arena, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		arena->failed = true;
		return NULL;
	}
	return dx_arena_alloc(arena, bytes);
}

char *dx_arena_text(struct dx_arena *arena, const char *bytes, size_t len)
{
	char *text = len < PTRDIFF_MAX / 4 ? dx_arena_alloc(arena, len + 1) : NULL;

	if (text != NULL && len > 0)
		memcpy(text, bytes, len);
	return text;
}

void dx_arena_free(struct dx_arena *arena)
{
	struct dx_arena_chunk *chunk, *next;

	for (chunk = arena->chunks; chunk != NULL; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	*arena = (struct dx_arena){ 0 };
}
