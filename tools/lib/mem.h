/* SPDX-License-Identifier: MIT */
/*
 * mem.h - memory for tools: there, or the program ends with a sentence
 *
 * A tool that is out of memory can only say so; whatever else runs for it (workers, a supervisor) ends
 * with it. An arena holds many small things that live equally long.
 */
#ifndef TOOLS_MEM_H
#define TOOLS_MEM_H

#include <stddef.h>

void *mem_alloc(size_t bytes); /* zeroed */
void *mem_resize(void *old, size_t bytes);
char *mem_copy(const char *text, size_t len); /* with a 0 at the end */

struct mem_chunk;

struct mem_arena {
	struct mem_chunk *first;
	size_t used;
};

void *arena_alloc(struct mem_arena *arena, size_t bytes); /* zeroed */
char *arena_copy(struct mem_arena *arena, const char *text, size_t len);
char *arena_print(struct mem_arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void arena_free(struct mem_arena *arena);

#endif /* TOOLS_MEM_H */
