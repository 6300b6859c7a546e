/* SPDX-License-Identifier: MIT */
/*
 * uring_compat.h - the futex wait of io_uring, and what else an older liburing lacks
 *
 * Linux has it since 6.7, liburing since 2.5; Debian 12 builds with 2.3. The numbers are the kernel's ABI.
 */
#ifndef DX_WAIT_URING_COMPAT_H
#define DX_WAIT_URING_COMPAT_H

#include <errno.h>
#include <liburing.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DX_URING_OP_FUTEX_WAIT    51
#define DX_FUTEX2_SIZE_U32        0x02
#define DX_FUTEX_BITSET_MATCH_ANY 0xffffffffU

/* Shared on purpose: a private wait that was armed before the process had threads loses wakes. */
static inline void dx_uring_prep_futex_wait(struct io_uring_sqe *sqe, const uint32_t *word,
                                            uint32_t expected)
{
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = DX_URING_OP_FUTEX_WAIT;
	sqe->fd = DX_FUTEX2_SIZE_U32;
	sqe->addr = (uintptr_t)word;
	sqe->off = expected;
	sqe->addr3 = DX_FUTEX_BITSET_MATCH_ANY;
}

/* For two operations that the shared object of liburing 2.3 declares and does not export. Returns 0 or -errno. */
static inline int dx_uring_register(const struct io_uring *ring, unsigned int op, void *arg,
                                    unsigned int count)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, op, arg, count) >= 0 ? 0 : -errno;
}

#endif /* DX_WAIT_URING_COMPAT_H */
