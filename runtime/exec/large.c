/* SPDX-License-Identifier: MIT */
#include "exec/large.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAPPED_BYTES ((size_t)4 << 20)
#define PAGE_BYTES   4096UL

/* Since Linux 5.14; the headers may be older. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

void *dx_large_alloc(size_t bytes)
{
	void *at;

	if (bytes < MAPPED_BYTES)
		return calloc(1, bytes > 0 ? bytes : 1);
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return at != MAP_FAILED ? at : NULL;
}

void dx_large_populate(void *at, size_t bytes, size_t from, size_t to)
{
	to = to < bytes ? to : bytes;
	if (bytes < MAPPED_BYTES || from >= to)
		return;
	from &= ~(PAGE_BYTES - 1);
	/* Refused: then each page comes when it is touched. */
	(void)madvise((char *)at + from, to - from, MADV_POPULATE_WRITE);
}

static void *grow_heap(void *at, size_t bytes, size_t grown)
{
	char *moved = realloc(at, grown > 0 ? grown : 1);

	if (moved != NULL)
		memset(moved + bytes, 0, grown - bytes);
	return moved;
}

void *dx_large_grow(void *at, size_t bytes, size_t grown)
{
	void *moved;

	if (at == NULL)
		return dx_large_alloc(grown);
	if (grown < MAPPED_BYTES)
		return grow_heap(at, bytes, grown);
	if (bytes >= MAPPED_BYTES) {
		moved = mremap(at, bytes, grown, MREMAP_MAYMOVE);
		return moved != MAP_FAILED ? moved : NULL;
	}
	moved = dx_large_alloc(grown);
	if (moved == NULL)
		return NULL;
	memcpy(moved, at, bytes);
	free(at);
	return moved;
}

void dx_large_free(void *at, size_t bytes)
{
	if (at == NULL || bytes < MAPPED_BYTES)
		free(at);
	else
		(void)munmap(at, bytes);
}
