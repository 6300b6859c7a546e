/* SPDX-License-Identifier: MIT */
/* peer_kernel.c - a pipe, as large as a user may make it, and a pair of unix sockets */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#define BUFFER_BYTES (1 << 20)

static int prepare_pipe(struct peer_flow *flow, void *shared)
{
	int fds[2];

	(void)shared;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	(void)fcntl(fds[1], F_SETPIPE_SZ, BUFFER_BYTES);
	flow->fds[0] = fds[1]; /* the producer's end */
	flow->fds[1] = fds[0];
	return 0;
}

static int prepare_unix(struct peer_flow *flow, void *shared)
{
	int bytes = BUFFER_BYTES;

	(void)shared;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, flow->fds) < 0)
		return -errno;
	(void)setsockopt(flow->fds[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return 0;
}

static void produce(void *shared, const struct peer_flow *flow, const void *message)
{
	(void)shared;
	for (uint64_t i = 0; i < flow->count; i++)
		for (size_t done = 0; done < flow->bytes;) {
			ssize_t n = write(flow->fds[0], (const char *)message + done,
			                  flow->bytes - done);

			if (n < 0 && errno != EINTR)
				_exit(1);
			done += n > 0 ? (size_t)n : 0;
		}
}

static uint64_t consume(void *shared, const struct peer_flow *flow)
{
	char *copy = aligned_alloc(4096, flow->bytes < 4096 ? 4096 : flow->bytes);
	uint64_t sum = 0;

	(void)shared;
	if (copy == NULL)
		_exit(1);
	for (uint64_t i = 0; i < flow->count; i++) {
		for (size_t done = 0; done < flow->bytes;) {
			ssize_t n = read(flow->fds[1], copy + done, flow->bytes - done);

			if (n == 0 || (n < 0 && errno != EINTR))
				_exit(1);
			done += n > 0 ? (size_t)n : 0;
		}
		sum += pair_sum(copy, flow->bytes);
	}
	free(copy);
	return sum;
}

const struct peer peer_pipe = { "pipe", NULL, prepare_pipe, produce, consume };
const struct peer peer_unix = { "unix socket", NULL, prepare_unix, produce, consume };
