/* SPDX-License-Identifier: MIT */
/* peers.c - which peers there are here, and a run of one: see peer.h */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "peer.h"
#include "shm/segment.h"

const struct peer *const peers[] = {
	&peer_pipe,  &peer_unix,
#ifdef DSMX_PEER_ZMQ
	&peer_zmq,
#endif
#ifdef DSMX_PEER_RTE
	&peer_rte_1, &peer_rte_32,
#endif
#ifdef DSMX_PEER_BOOST
	&peer_boost,
#endif
	NULL,
};

/* Those that copy through the kernel are slower by far. */
static uint64_t blocks(const struct peer *peer, size_t bytes)
{
	return pair_blocks(bytes) / (peer->shared_bytes == NULL ? 4 : 1);
}

struct run {
	const struct peer *peer;
	struct peer_flow flow;
	void *shared;
};

static void produce(struct pair *pair)
{
	const struct run *run = pair->arg;
	size_t bytes = run->flow.bytes;
	char *message = aligned_alloc(4096, bytes < 4096 ? 4096 : bytes);

	if (message == NULL)
		_exit(1);
	memset(message, 1, bytes);
	pair_meet(pair, 0);
	pair->result[0] = (double)dx_now_ns();
	run->peer->produce(run->shared, &run->flow, message);
}

static void consume(struct pair *pair)
{
	const struct run *run = pair->arg;
	uint64_t sum;

	pair_meet(pair, 1);
	sum = run->peer->consume(run->shared, &run->flow);
	pair->result[1] = (double)dx_now_ns();
	if (sum != run->flow.count * (run->flow.bytes / 8) * 0x0101010101010101ULL)
		_exit(1);
}

int peer_run(const struct peer *peer, enum dsmx_pages pages, size_t bytes, uint32_t slots,
             double *ret_gb)
{
	struct run run = { .peer = peer,
		           .flow = { .bytes = bytes,
		                     .slots = slots,
		                     .count = blocks(peer, bytes),
		                     .fds = { -1, -1 } } };
	size_t shared_bytes = peer->shared_bytes == NULL ? 4096 : peer->shared_bytes(&run.flow);
	double result[PAIR_RESULTS];
	struct dx_segment segment = { 0 };
	int r = dx_segment_create(peer->name, shared_bytes, pages, -1, &segment, NULL);

	run.shared = segment.base;
	if (r == 0 && peer->prepare != NULL)
		r = peer->prepare(&run.flow, run.shared);
	if (r == 0)
		r = pair_run(256, &run, produce, consume, result);
	for (int i = 0; i < 2; i++)
		if (run.flow.fds[i] >= 0)
			(void)close(run.flow.fds[i]);
	if (run.shared != NULL)
		dx_segment_close(&segment);
	if (r < 0)
		fprintf(stderr, "dsmx-bench: %s: %s\n", peer->name, strerror(-r));
	else
		*ret_gb = (double)run.flow.count * (double)bytes / (result[1] - result[0]);
	return r;
}
