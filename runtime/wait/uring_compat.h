/* SPDX-License-Identifier: MIT */
/*
 * uring_compat.h - the futex wait of io_uring, for a liburing and kernel headers that do not know it
 *
 * Linux has it since 6.7, liburing since 2.5; Debian 12 builds with 2.3. The numbers are the kernel's ABI.
 */
#ifndef DX_WAIT_URING_COMPAT_H
#define DX_WAIT_URING_COMPAT_H

#include <liburing.h>
#include <stdint.h>
#include <string.h>

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

#endif /* DX_WAIT_URING_COMPAT_H */
