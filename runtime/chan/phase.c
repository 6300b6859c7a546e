/* SPDX-License-Identifier: MIT */
/*
 * phase.c - see phase.h
 *
 * Once for each stream, by the consumer, which has written two of the stamps itself. Owner-only plain words:
 * a reader outside may see a stream counted in one sum and not yet in the next.
 */
#include "chan/phase.h"

#include <stdbool.h>

#include "base/order.h"

static __u32 bucket_of(__u64 ns)
{
	__u32 log2 = 63 - (__u32)__builtin_clzll(ns | 1);

	return log2 < DSMX_PHASE_BUCKETS ? log2 : DSMX_PHASE_BUCKETS - 1;
}

static void add(__u64 *word, __u64 n)
{
	dx_store_plain(word, *word + n);
}

/* A stamp of the producer's, not before @least and not after @most. */
static __u64 believe(const __u64 *stamp, __u64 least, __u64 most, bool *odd)
{
	__u64 ns = dx_load_plain(stamp);

	if (ns >= least && ns <= most)
		return ns;
	*odd = true;
	return ns < least ? least : most;
}

void dx_phases_count(struct dsmx_phases_abi *phases, __u64 sent_ns,
                     const struct dsmx_stream_abi *stream, __u64 read_ns)
{
	bool odd = false;
	__u64 recv_ns = believe(&stream->recv_ns, sent_ns, read_ns, &odd);
	__u64 start_ns = believe(&stream->start_ns, recv_ns, read_ns, &odd);
	__u64 commit_ns = believe(&stream->first_commit_ns, start_ns, read_ns, &odd);
	__u64 phase_ns[DSMX_PHASES] = {
		[DSMX_PHASE_REQUEST] = recv_ns - sent_ns,
		[DSMX_PHASE_SPAWN] = start_ns - recv_ns,
		[DSMX_PHASE_FIRST] = commit_ns - start_ns,
		[DSMX_PHASE_DELIVER] = read_ns - commit_ns,
		[DSMX_PHASE_TOTAL] = read_ns - sent_ns,
	};

	for (__u32 i = 0; i < DSMX_PHASES; i++) {
		add(&phases->buckets[i][bucket_of(phase_ns[i])], 1);
		add(&phases->sum_ns[i], phase_ns[i]);
		if (phase_ns[i] > phases->max_ns[i])
			dx_store_plain(&phases->max_ns[i], phase_ns[i]);
	}
	add(&phases->odd, odd);
	add(&phases->streams, 1);
}
