/* SPDX-License-Identifier: MIT */
/*
 * arena.h - memory that lives and dies together
 *
 * A plan is built in many small pieces and freed at once. What is decoded on the way into it lives in an
 * arena of its own, so that no failure has to unwind anything.
 */
#ifndef DX_PLAN_ARENA_H
#define DX_PLAN_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct dx_arena_chunk;

/* All zero: an empty arena. */
struct dx_arena {
	struct dx_arena_chunk *chunks; /* the first is the one in use */
	bool failed;                   /* some allocation found no memory */
};

/* @size bytes of zeros, aligned for anything; NULL where there is no memory. Size 0 is fine. */
void *dx_arena_alloc(struct dx_arena *arena, size_t size);

/* @count times @size; NULL also where the product is too large. */
void *dx_arena_array(struct dx_arena *arena, size_t count, size_t size);

/* A copy of @len bytes and a 0 behind them. */
char *dx_arena_text(struct dx_arena *arena, const char *bytes, size_t len);

/* Frees everything; the arena is empty then. */
void dx_arena_free(struct dx_arena *arena);

#endif /* DX_PLAN_ARENA_H */
