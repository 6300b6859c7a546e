/* SPDX-License-Identifier: MIT */
/*
 * peer.h - another way to bring messages from one process to another, to be measured beside ours
 *
 * All do the same work: the producer copies each message once, from a block that is hot in its cache; the consumer
 * adds up every byte, in place where the peer can, from a private copy where it cannot. Kernel pipes and sockets are
 * always there; each other peer has a file of its own, and is built where its Debian package is installed.
 */
#ifndef DSMX_BENCH_PEER_H
#define DSMX_BENCH_PEER_H

#include <stdint.h>

#include "pair.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peer_flow {
	size_t bytes;   /* of a message */
	uint64_t count; /* of messages */
	uint32_t slots; /* of the window, a power of two */
	int fds[2];     /* what prepare() made */
};

struct peer {
	const char *name;
	/* Shared memory that it wants. NULL: none. */
	size_t (*shared_bytes)(const struct peer_flow *flow);
	/* In the process that starts both; in zeroed @shared. Returns 0 or -errno. NULL: nothing to do. */
	int (*prepare)(struct peer_flow *flow, void *shared);
	/* The producer's and the consumer's part: all messages. Failure is _exit(1). The sum of all words. */
	void (*produce)(void *shared, const struct peer_flow *flow, const void *message);
	uint64_t (*consume)(void *shared, const struct peer_flow *flow);
};

extern const struct peer peer_pipe, peer_unix, peer_zmq, peer_rte_1, peer_rte_32, peer_boost;

/* NULL-ended. */
extern const struct peer *const peers[];

/* GB/s. Returns 0, or -errno after a sentence. */
int peer_run(const struct peer *peer, enum dsmx_pages pages, size_t bytes, uint32_t slots,
             double *ret_gb);

#ifdef __cplusplus
}
#endif

#endif /* DSMX_BENCH_PEER_H */
