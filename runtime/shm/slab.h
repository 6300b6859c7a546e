/* SPDX-License-Identifier: MIT */
/*
 * slab.h - the owner's private allocator over its data segment
 *
 * Only the owner allocates and frees; peers know nothing of it, so it has no atomics and keeps its books in
 * private memory. Sizes are powers of two from DX_PIECE_BYTES to DX_SLAB_BYTES, plus runs of any length from
 * the other end of the segment. What was freed last is given out first: a window that stays in the caches is
 * worth three to four times the throughput.
 *
 * Every open output may count on one piece: dx_slab_reserve() sets it aside, so a consumer that is far behind
 * cannot starve the others of their last piece.
 */
#ifndef DX_SHM_SLAB_H
#define DX_SHM_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define DX_PIECE_BYTES 4096U
#define DX_SLAB_BYTES  (256U << 10)

struct dx_slabs;

/* @base, @bytes: the segment, or the part of it that slabs may use; aligned to DX_PIECE_BYTES. */
int dx_slabs_new(void *base, size_t bytes, struct dx_slabs **ret_slabs) DX_MUST_CHECK;
void dx_slabs_free(struct dx_slabs *slabs);

/*
 * Set one piece aside for an output / give it back. Returns 0 or -ENOSPC: no more outputs can be open beside
 * the longest run. Where nothing is free at that moment, the piece is owed: what comes back first pays it.
 */
int dx_slab_reserve(struct dx_slabs *slabs) DX_MUST_CHECK;
void dx_slab_unreserve(struct dx_slabs *slabs);

/*
 * Allocate @bytes, rounded up to a size that there is.
 *
 * @may_use_reserve: for an output that has nothing else out: it may take a piece that was set aside
 *	(one piece: for more than DX_PIECE_BYTES the reserve is no help)
 * Returns its offset in the segment, or -EAGAIN: nothing free now; -EMSGSIZE: over dx_slab_longest().
 */
int64_t dx_slab_alloc(struct dx_slabs *slabs, size_t bytes, bool may_use_reserve,
                      size_t *ret_bytes) DX_MUST_CHECK;
/* What is not out at @offset (never given out, or released before) is left alone and counted as a stray. */
void dx_slab_release(struct dx_slabs *slabs, uint64_t offset);

/* The longest run that can be had when nothing is out; fixed at the start. */
size_t dx_slab_longest(const struct dx_slabs *slabs);
/* Bytes given out now. 0 when all came back. */
size_t dx_slab_used(const struct dx_slabs *slabs);
size_t dx_slab_bytes(const struct dx_slabs *slabs);
/* Releases of what was not out: a defect of the caller's, must stay 0. */
uint64_t dx_slab_strays(const struct dx_slabs *slabs);

#endif /* DX_SHM_SLAB_H */
