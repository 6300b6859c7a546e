/* SPDX-License-Identifier: MIT */
/*
 * stash.h - bytes that are kept together and freed together: keys and texts of any length
 */
#ifndef DX_EXEC_STASH_H
#define DX_EXEC_STASH_H

#include <stddef.h>

struct dx_stash_block;

/* Zero is an empty one. */
struct dx_stash {
	struct dx_stash_block *blocks; /* the one in use first */
	size_t bytes;                  /* held in all */
};

/* Room for @len bytes, of no alignment, until dx_stash_clear(). Returns NULL: no memory. */
void *dx_stash_take(struct dx_stash *stash, size_t len);

/* @len bytes from @from. */
void *dx_stash_copy(struct dx_stash *stash, const void *from, size_t len);

/* Frees everything. */
void dx_stash_clear(struct dx_stash *stash);

#endif /* DX_EXEC_STASH_H */
