/* SPDX-License-Identifier: MIT */
/*
 * segment.h - shared memory with one writer
 *
 * The owner creates a memfd of fixed size, maps it read-write, populates it and only then seals it:
 * F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL. From then on its own mapping is the only
 * one that can ever write, nobody can change the size or punch holes, so a reader can be lied to and nothing
 * else. A peer checks all of that when it gets the descriptor, and maps it read-only.
 */
#ifndef DX_SHM_SEGMENT_H
#define DX_SHM_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/error.h"
#include "dsmx/session.h"

struct dx_segment {
	void *base;   /* mapping; NULL: none */
	size_t bytes; /* whole pages of the kind that was got */
	int fd;       /* the owner's, to send; -1 with a peer */
	enum dsmx_pages
		pages; /* what was got: never AUTO. With a peer HUGETLB or SMALL: it cannot tell */
};

/*
 * Create, map, populate, seal.
 *
 * @name: shown in /proc/PID/maps
 * @bytes: at least this many, rounded up to the pages that were got
 * @pages: AUTO walks the ladder hugetlb, collapsed, small; another kind is an error where it cannot be had
 * @numa_node: from there before others, settled before the first touch; -1: wherever it is touched
 *
 * Returns 0, -ENOMEM, -ENOSPC or what memfd_create, mmap, ... said.
 */
int dx_segment_create(const char *name, size_t bytes, enum dsmx_pages pages, int numa_node,
                      struct dx_segment *ret_segment, struct dsmx_error *err) DX_MUST_CHECK;

/*
 * Check and map a peer's segment; @fd stays the caller's.
 *
 * Returns 0, or -EPROTO: not a memfd sealed in all four ways, not of exactly @bytes, or with a block that is
 * not there; or what mmap said.
 */
int dx_segment_attach(int fd, size_t bytes, struct dx_segment *ret_segment,
                      struct dsmx_error *err) DX_MUST_CHECK;

/* Unmap, close; a segment that is none is fine. */
void dx_segment_close(struct dx_segment *segment);

/* The size that dx_segment_create() gives for @bytes on @pages. */
size_t dx_segment_round(size_t bytes, enum dsmx_pages pages);

/* "hugetlb", "collapsed", "4 KiB". */
const char *dx_pages_str(enum dsmx_pages pages);

#endif /* DX_SHM_SEGMENT_H */
