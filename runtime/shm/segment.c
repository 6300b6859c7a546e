/* SPDX-License-Identifier: MIT */
/*
 * segment.c - see segment.h for what a segment is
 *
 * The steps of the owner, and why in this order:
 *
 *	memfd		nothing in any file system, nothing to clean up
 *	mode 0400	others cannot reopen it for writing through /proc
 *	map read-write	the only mapping that will ever be able to write
 *	bind		before the first page exists: pages go where the policy of that moment says
 *	fallocate	a shortage is an error here; met at the first touch it would be a SIGBUS (huge pages: see fill())
 *	populate	page faults are paid now, not in the middle of a query
 *	collapse	only pages that exist can be collapsed
 *	seal		last, as it ends fallocate and new writable mappings
 *
 * Of the seals F_SEAL_FUTURE_WRITE is the one that matters most: without it a hole can be punched into a
 * segment of sealed size. A file that is sealed but sparse is what is left to a hostile owner: reading it
 * costs the reader pages that it may not have. Hence the look at st_blocks, which under that seal stays true.
 */
#include "shm/segment.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/err.h"
#include "shm/numa.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define HUGE_BYTES ((size_t)2 << 20)
#define SEALS      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

/* Allocated at once: takes less than half a millisecond. */
#define PIECE_BYTES ((size_t)256 << 10)

/* MADV_COLLAPSE says EAGAIN when somebody holds a page for a moment. */
#define COLLAPSE_TRIES 3

static size_t page_bytes(enum dsmx_pages pages)
{
	return pages == DSMX_PAGES_SMALL ? (size_t)sysconf(_SC_PAGESIZE) : HUGE_BYTES;
}

size_t dx_segment_round(size_t bytes, enum dsmx_pages pages)
{
	size_t page = page_bytes(pages);

	return bytes > SIZE_MAX - page ? 0 : (bytes + page - 1) & ~(page - 1);
}

const char *dx_pages_str(enum dsmx_pages pages)
{
	switch (pages) {
	case DSMX_PAGES_HUGETLB:
		return "hugetlb";
	case DSMX_PAGES_COLLAPSED:
		return "collapsed";
	case DSMX_PAGES_SMALL:
		return "4 KiB";
	case DSMX_PAGES_AUTO:
		break;
	}
	return "?";
}

/* Map the whole of @fd; on a 2 MiB boundary where it is that large, or it could not use huge pages. */
static int map(int fd, size_t bytes, int prot, int flags, void **ret_base)
{
	size_t slack = bytes < HUGE_BYTES ? 0 : HUGE_BYTES;
	char *room, *base;

	if (bytes > SIZE_MAX - slack)
		return -ENOMEM;
	room = mmap(NULL, bytes + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
	            0);
	if (room == MAP_FAILED)
		return dx_errno();
	base = slack == 0 ? room : room + (-(uintptr_t)room & (HUGE_BYTES - 1));

	if (base > room)
		(void)munmap(room, (size_t)(base - room));
	if (base < room + slack)
		(void)munmap(base + bytes, (size_t)(room + slack - base));
	if (mmap(base, bytes, prot, MAP_SHARED | MAP_FIXED | flags, fd, 0) == MAP_FAILED) {
		int err = dx_errno();

		(void)munmap(base, bytes);
		return err;
	}
	*ret_base = base;
	return 0;
}

/* --- the owner ---------------------------------------------------------------------------------------- */

static int create_memfd(const char *name, enum dsmx_pages pages)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd;

	if (pages == DSMX_PAGES_HUGETLB)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) /* Linux before 6.3 */
		fd = memfd_create(name, flags);
	return fd < 0 ? dx_errno() : fd;
}

static int fail(struct dsmx_error *err, int code, const char *what,
                const struct dx_segment *segment)
{
	bool short_of_huge =
		segment->pages == DSMX_PAGES_HUGETLB && (code == -ENOMEM || code == -ENOSPC);

	return dx_error(err, code, "cannot %s %zu bytes of shared memory on %s pages: %s%s", what,
	                segment->bytes, dx_pages_str(segment->pages), dx_strerror(code),
	                short_of_huge ? " (see vm.nr_hugepages and the cgroup's hugetlb limits)"
	                              : "");
}

/*
 * A piece at a time, as a signal ends the call, and what it had allocated is given back: so it gets to its end however
 * often a profiler's timer rings. On Linux 6.1 it says EINTR without a signal, too, in a process that closed a ring of
 * io_uring before, as the wait does there that found no futex operations.
 */
static int allocate(int fd, size_t bytes, size_t page)
{
	size_t most = page > PIECE_BYTES ? page : PIECE_BYTES;

	for (size_t at = 0; at < bytes;) {
		size_t piece = bytes - at < most ? bytes - at : most;

		if (fallocate(fd, 0, (off_t)at, (off_t)piece) == 0)
			at += piece;
		else if (errno != EINTR)
			return dx_errno();
	}
	return 0;
}

static int populate(char *base, size_t bytes, size_t page)
{
	if (madvise(base, bytes, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return dx_errno();
	for (size_t at = 0; at < bytes; at += page) /* Linux before 5.14 */
		*(volatile char *)(base + at) = 0;
	return 0;
}

/*
 * Allocate and map all pages. On hugetlb only a fault goes where mbind() said, fallocate() does not: there the pages
 * are faulted in at once. They were reserved by mmap(); where the cgroup's limit does not let us have them all the
 * same, a touch is a SIGBUS, and this is EFAULT.
 */
static int fill(const struct dx_segment *segment, struct dsmx_error *err)
{
	size_t page = page_bytes(segment->pages);
	int code;

	if (segment->pages == DSMX_PAGES_HUGETLB) {
		if (madvise(segment->base, segment->bytes, MADV_POPULATE_WRITE) == 0)
			return 0;
		if (errno == EFAULT || errno == ENOMEM)
			return fail(err, -ENOMEM, "populate", segment);
	}
	code = allocate(segment->fd, segment->bytes, page);
	if (code < 0)
		return fail(err, code, "allocate", segment);
	code = populate(segment->base, segment->bytes, page);
	return code < 0 ? fail(err, code, "populate", segment) : 0;
}

static int collapse(void *base, size_t bytes)
{
	for (int i = 0; i < COLLAPSE_TRIES; i++) {
		if (madvise(base, bytes, MADV_COLLAPSE) == 0)
			return 0;
		if (errno != EAGAIN)
			break;
	}
	return dx_errno();
}

/* Map, bind, fill and seal segment->fd; on failure the caller undoes what was done. */
static int make(struct dx_segment *segment, int numa_node, struct dsmx_error *err)
{
	int code;

	if (fchmod(segment->fd, 0400) < 0)
		return fail(err, dx_errno(), "protect", segment);
	if (ftruncate(segment->fd, (off_t)segment->bytes) < 0)
		return fail(err, dx_errno(), "size", segment);
	code = map(segment->fd, segment->bytes, PROT_READ | PROT_WRITE, 0, &segment->base);
	if (code < 0)
		return fail(err, code, "map", segment);
	/* An empty range asks only whether this kernel can, before the pages are paid for. */
	if (segment->pages == DSMX_PAGES_COLLAPSED && madvise(segment->base, 0, MADV_COLLAPSE) < 0)
		return dx_error(err, -EOPNOTSUPP, "this kernel cannot collapse 4 KiB pages");
	if (numa_node >= 0) {
		code = dx_numa_bind(segment->base, segment->bytes, numa_node);
		if (code < 0)
			return dx_error(err, code, "cannot bind shared memory to NUMA node %d: %s",
			                numa_node, dx_strerror(code));
	}
	code = fill(segment, err);
	if (code < 0)
		return code;
	if (segment->pages == DSMX_PAGES_COLLAPSED) {
		code = collapse(segment->base, segment->bytes);
		if (code < 0)
			return fail(err, code, "collapse", segment);
	}
	if (fcntl(segment->fd, F_ADD_SEALS, SEALS) < 0)
		return fail(err, dx_errno(), "seal", segment);
	return 0;
}

static int create_on(const char *name, size_t bytes, enum dsmx_pages pages, int numa_node,
                     struct dx_segment *ret_segment, struct dsmx_error *err)
{
	struct dx_segment segment = {
		.bytes = dx_segment_round(bytes, pages),
		.fd = -1,
		.pages = pages,
	};
	int code;

	if (segment.bytes == 0 || segment.bytes > INT64_MAX)
		return dx_error(err, -EINVAL, "a segment cannot have %zu bytes", bytes);
	segment.fd = create_memfd(name, pages);
	if (segment.fd < 0)
		return fail(err, segment.fd, "create", &segment);
	code = make(&segment, numa_node, err);
	if (code < 0) {
		if (segment.base != NULL)
			(void)munmap(segment.base, segment.bytes);
		(void)close(segment.fd);
		return code;
	}
	*ret_segment = segment;
	return 0;
}

int dx_segment_create(const char *name, size_t bytes, enum dsmx_pages pages, int numa_node,
                      struct dx_segment *ret_segment, struct dsmx_error *err)
{
	static const enum dsmx_pages ladder[] = { DSMX_PAGES_HUGETLB, DSMX_PAGES_COLLAPSED };

	if (pages != DSMX_PAGES_AUTO)
		return create_on(name, bytes, pages, numa_node, ret_segment, err);

	for (size_t i = 0; i < DX_ARRAY_LEN(ladder); i++)
		if (create_on(name, bytes, ladder[i], numa_node, ret_segment, NULL) == 0)
			return 0;
	return create_on(name, bytes, DSMX_PAGES_SMALL, numa_node, ret_segment, err);
}

/* --- a peer ------------------------------------------------------------------------------------------- */

int dx_segment_attach(int fd, size_t bytes, struct dx_segment *ret_segment, struct dsmx_error *err)
{
	struct dx_segment segment = { .bytes = bytes, .fd = -1, .pages = DSMX_PAGES_SMALL };
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;
	int code;

	if (seals < 0)
		return dx_error(err, -EPROTO, "a peer's shared memory is no memfd: %s",
		                dx_strerror(errno));
	if ((seals & SEALS) != SEALS)
		return dx_error(err, -EPROTO, "a peer's shared memory lacks seals: %#x, not %#x",
		                (unsigned int)seals, (unsigned int)SEALS);
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return dx_error(err, dx_errno(), "cannot look at a peer's shared memory: %s",
		                dx_strerror(errno));
	if (!S_ISREG(st.st_mode) || bytes == 0 || st.st_size < 0 || (uint64_t)st.st_size != bytes)
		return dx_error(err, -EPROTO, "a peer's shared memory has %lld bytes, not %zu",
		                (long long)st.st_size, bytes);
	if ((uint64_t)st.st_blocks < bytes / 512 + (bytes % 512 > 0))
		return dx_error(err, -EPROTO, "a peer's shared memory has holes: %lld of %zu bytes",
		                (long long)st.st_blocks * 512, bytes);

	if (fs.f_type == HUGETLBFS_MAGIC)
		segment.pages = DSMX_PAGES_HUGETLB;
	code = map(fd, bytes, PROT_READ, MAP_POPULATE, &segment.base);
	if (code < 0)
		return dx_error(err, code, "cannot map %zu bytes of a peer's shared memory: %s",
		                bytes, dx_strerror(code));
	*ret_segment = segment;
	return 0;
}

void dx_segment_close(struct dx_segment *segment)
{
	if (segment->base == NULL)
		return;
	(void)munmap(segment->base, segment->bytes);
	if (segment->fd >= 0)
		(void)close(segment->fd);
	*segment = (struct dx_segment){ .fd = -1 };
}
