/* SPDX-License-Identifier: MIT */
/*
 * large.h - zeroed memory for tables that may become large
 *
 * From a few megabytes on it is mapped on its own: growing moves page tables, not bytes, and what is new is
 * zero without being touched. Below, it is ordinary heap.
 *
 * Huge pages are not asked for: they speed up look-ups in a large table by a fifth to a third, but where
 * memory is fragmented the kernel compacts it inside of the page fault, for 100 ms and more.
 */
#ifndef DX_EXEC_LARGE_H
#define DX_EXEC_LARGE_H

#include <stddef.h>

/* Zeroed. Returns NULL: no memory. */
void *dx_large_alloc(size_t bytes);

/*
 * @at, NULL or @bytes of such memory, with room for @grown bytes, no less; the new ones are zero. Returns NULL
 * (no memory) with @at as it was.
 */
void *dx_large_grow(void *at, size_t bytes, size_t grown);

/*
 * Have pages for bytes @from..@to - 1 of @bytes, all at once for less than one fault each. For what is going to
 * be written here and there: a vector of rows would take a fault for each row.
 */
void dx_large_populate(void *at, size_t bytes, size_t from, size_t to);

/* NULL is fine. */
void dx_large_free(void *at, size_t bytes);

#endif /* DX_EXEC_LARGE_H */
