/* SPDX-License-Identifier: MIT */
/*
 * What a wait's ring can be made to do by whoever has its descriptor: nothing but waiting. A second mapping of the ring
 * submits by hand, as a plug-in could that found it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "harness.h"
#include "wait/wait.h"

#define RING_BYTES (64UL << 10)
#define OP_SOCKET  45 /* newer than the headers of Debian 12 */

struct intruder {
	int fd;
	struct io_uring_params params; /* where things are: of a ring that was made alike */
	char *rings;
	struct io_uring_sqe *sqes;
};

static int find_ring(void)
{
	for (int fd = 3; fd < 64; fd++) {
		char path[64], name[64];
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof(name) - 1);
		name[n > 0 ? n : 0] = '\0';
		if (strcmp(name, "anon_inode:[io_uring]") == 0)
			return fd;
	}
	return -1;
}

static bool intrude(struct intruder *in)
{
	int alike;

	memset(in, 0, sizeof(*in));
	in->fd = find_ring();
	in->params.flags = IORING_SETUP_CQSIZE;
	in->params.cq_entries = 1024;
	alike = (int)syscall(SYS_io_uring_setup, 128, &in->params);
	if (in->fd < 0 || alike < 0)
		return false;
	(void)close(alike);
	in->rings = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, in->fd,
	                 IORING_OFF_SQ_RING);
	in->sqes = mmap(NULL, 128 * sizeof(*in->sqes), PROT_READ | PROT_WRITE, MAP_SHARED, in->fd,
	                IORING_OFF_SQES);
	return in->rings != MAP_FAILED && in->sqes != MAP_FAILED;
}

static void leave(struct intruder *in)
{
	(void)munmap(in->rings, RING_BYTES);
	(void)munmap(in->sqes, 128 * sizeof(*in->sqes));
}

static _Atomic uint32_t *word(const struct intruder *in, uint32_t offset)
{
	return (_Atomic uint32_t *)(void *)(in->rings + offset);
}

/* Submit one and wait for its end; what it was told. */
static int submit(struct intruder *in, const struct io_uring_sqe *sqe)
{
	uint32_t mask = *word(in, in->params.sq_off.ring_mask);
	uint32_t tail = *word(in, in->params.sq_off.tail);
	uint32_t head = *word(in, in->params.cq_off.head);
	const struct io_uring_cqe *cqes =
		(const struct io_uring_cqe *)(const void *)(in->rings + in->params.cq_off.cqes);
	int res;

	in->sqes[tail & mask] = *sqe;
	*word(in, in->params.sq_off.array + 4 * (tail & mask)) = tail & mask;
	*word(in, in->params.sq_off.tail) = tail + 1;
	if (syscall(SYS_io_uring_enter, in->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	res = cqes[head & *word(in, in->params.cq_off.ring_mask)].res;
	*word(in, in->params.cq_off.head) = head + 1;
	return res;
}

TEST(uring_waits_only,
     "a ring that waits opens no file, makes no socket, reads nothing, takes no registration")
{
	struct io_uring_sqe open = { .opcode = IORING_OP_OPENAT,
		                     .fd = AT_FDCWD,
		                     .addr = (uintptr_t)"/etc/passwd",
		                     .open_flags = O_RDONLY };
	struct io_uring_sqe socket = { .opcode = OP_SOCKET, .fd = AF_UNIX, .off = SOCK_STREAM };
	struct io_uring_sqe nothing = { .opcode = IORING_OP_NOP };
	struct io_uring_sqe linked = { .opcode = IORING_OP_POLL_ADD, .flags = IOSQE_IO_DRAIN };
	struct io_uring_sqe poll = { .opcode = IORING_OP_POLL_ADD, .poll32_events = 4 };
	struct intruder in;
	struct dx_wait *wait;
	uint64_t buffer;

	if (dx_wait_new(DSMX_WAIT_URING, &wait, NULL) != 0)
		SKIP("no futex operations in io_uring");
	CHECK(intrude(&in));
	poll.fd = eventfd(0, EFD_CLOEXEC);
	CHECK_EQ(submit(&in, &poll), 4); /* the intruder is not just wrong */
	CHECK_EQ(submit(&in, &open), -EACCES);
	CHECK_EQ(submit(&in, &socket), -EACCES);
	CHECK_EQ(submit(&in, &nothing), -EACCES);
	CHECK_EQ(submit(&in, &linked), -EACCES);
	(void)close(poll.fd);
	for (unsigned op = 0; op < 20; op++) {
		/* To tell of completions is allowed: the session's own descriptor needs it. */
		if (op == IORING_REGISTER_EVENTFD)
			continue;
		CHECK(syscall(SYS_io_uring_register, in.fd, op, &buffer, 1) < 0);
		if (op == IORING_REGISTER_FILES || op == IORING_REGISTER_PROBE)
			CHECK_EQ(errno, EACCES);
	}
	leave(&in);
	dx_wait_free(wait);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
