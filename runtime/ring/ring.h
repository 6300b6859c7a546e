/* SPDX-License-Identifier: MIT */
/*
 * ring.h - the two one-way queues of a stream: descriptors to the consumer, frame ids back
 *
 *	                     producer's data and page            consumer's page
 *	descriptors   slots[tail & mask] ... tail    ───────▶   taken
 *	frames back   (books in private memory)      ◀───────   log[released & mask] ... released
 *
 * One producer, one consumer, in two processes. Each word has one writer. Each side keeps a private copy of
 * its own counts and a cached one of the other's, and looks again only when the cached one is used up, so in
 * a steady flow most operations touch no line that the other core writes. There is no system call here, no
 * allocation, no lock, no read-modify-write, and nothing that waits.
 *
 * A stream has at most `frames` frames out (published and not released), and the ring and the log have as
 * many entries: neither can overflow while both sides keep the rules. What the other side says is checked:
 * a count that goes backwards or too far is -EBADMSG.
 *
 * Publishing is apart from pushing, because a store that the other core must fetch is what costs: whoever
 * pushes many small records publishes once for all of them. How many that are, and when to look at what came
 * back, is said at DX_PUBLISH_MOST below.
 */
#ifndef DX_RING_RING_H
#define DX_RING_RING_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/order.h"
#include "dsmx/abi.h"

/*
 * How much is pushed before it is published, if its owner does not stop to wait before: a quarter of the window, so that
 * the other side has the rest to go on with, but DX_PUBLISH_MOST at the most. A consumer that follows closer takes lines
 * away from under the producer: of 4 KiB frames, 16 KiB at a time bring 0.92 of what 64 KiB bring, and more than that
 * brings nothing.
 *
 * Releases are published after DX_RELEASE_BYTES, whatever the window: soon, as the producer may wait for memory,
 * but not each small frame by itself. More makes no difference.
 *
 * A producer looks for frames that came back when it has no room without them, as it does for `taken`. To use each as
 * soon as it is back is slower from 64 bytes to 1 MiB: the line that says so is fetched for each, and what came back
 * last is in the other core's cache.
 */
#define DX_PUBLISH_MOST  65536U
#define DX_RELEASE_BYTES 16384U

static inline uint32_t dx_publish_bytes(uint64_t window_bytes)
{
	return window_bytes / 4 < DX_PUBLISH_MOST ? (uint32_t)(window_bytes / 4) : DX_PUBLISH_MOST;
}

/* The producer's side. All but what the pointers point to is private. */
struct dx_ring_tx {
	struct dsmx_descriptor_abi *slots; /* own data */
	uint32_t mask;
	__u64 *tail_word;        /* own page */
	const __u64 *taken_word; /* consumer's page */
	uint64_t tail;           /* pushed */
	uint64_t published;
	uint64_t taken; /* as last read */
};

/* The consumer's side. */
struct dx_ring_rx {
	const struct dsmx_descriptor_abi *slots; /* producer's data */
	uint32_t mask;
	const __u64 *tail_word; /* producer's page */
	__u64 *taken_word;      /* own page */
	uint64_t taken;         /* popped */
	uint64_t tail;          /* as last read */
};

/* Room for one more descriptor? Returns 1, 0, or -EBADMSG: `taken` breaks a rule. */
static inline int dx_ring_room(struct dx_ring_tx *ring)
{
	uint64_t taken;

	if (DX_LIKELY(ring->tail - ring->taken <= ring->mask))
		return 1;
	taken = dx_load_acquire(DX_EDGE_TAKEN, ring->taken_word);
	if (taken < ring->taken || taken > ring->published)
		return -EBADMSG;
	ring->taken = taken;
	return ring->tail - taken <= ring->mask;
}

/* After dx_ring_room() said 1. Not visible before dx_ring_publish(). */
static inline void dx_ring_push(struct dx_ring_tx *ring,
                                const struct dsmx_descriptor_abi *descriptor)
{
	ring->slots[ring->tail & ring->mask] = *descriptor;
	ring->tail++;
}

static inline void dx_ring_publish(struct dx_ring_tx *ring)
{
	dx_store_release(DX_EDGE_TAIL, ring->tail_word, ring->tail);
	ring->published = ring->tail;
}

/* Descriptors to pop, looking at the producer's count only when none is known of. -EBADMSG as above. */
static inline int64_t dx_ring_ready(struct dx_ring_rx *ring)
{
	uint64_t tail;

	if (DX_LIKELY(ring->taken != ring->tail))
		return (int64_t)(ring->tail - ring->taken);
	tail = dx_load_acquire(DX_EDGE_TAIL, ring->tail_word);
	if (tail < ring->tail || tail - ring->taken > (uint64_t)ring->mask + 1)
		return -EBADMSG;
	ring->tail = tail;
	return (int64_t)(tail - ring->taken);
}

/* After dx_ring_ready() said at least 1: a copy, which the producer cannot change any more. */
static inline void dx_ring_pop(struct dx_ring_rx *ring, struct dsmx_descriptor_abi *ret_descriptor)
{
	dx_copy_once(ret_descriptor, &ring->slots[ring->taken & ring->mask],
	             sizeof(*ret_descriptor));
	ring->taken++;
}

/* Tell the producer that the slots of popped descriptors are free. */
static inline void dx_ring_retire(struct dx_ring_rx *ring)
{
	dx_store_release(DX_EDGE_TAKEN, ring->taken_word, ring->taken);
}

/* --- frames back ----------------------------------------------------------------------------------------- */

/* The consumer's side: it appends. */
struct dx_log_tx {
	uint32_t *ids; /* own page */
	uint32_t mask;
	__u64 *released_word; /* own page */
	uint64_t released;
};

/* The producer's side: it reads. */
struct dx_log_rx {
	const uint32_t *ids; /* consumer's page */
	uint32_t mask;
	const __u64 *released_word; /* consumer's page */
	uint64_t read;
	uint64_t released; /* as last read */
};

static inline void dx_log_append(struct dx_log_tx *log, uint32_t id)
{
	dx_store_plain(&log->ids[log->released & log->mask], id);
	log->released++;
}

static inline void dx_log_publish(struct dx_log_tx *log)
{
	dx_store_release(DX_EDGE_RELEASED, log->released_word, log->released);
}

/*
 * The next id that came back. @out: frames that are out: more cannot come.
 *
 * Returns 1 with the id, 0: none, -EBADMSG. Whether the id is one that this reader holds is the caller's
 * check.
 */
static inline int dx_log_next(struct dx_log_rx *log, uint32_t out, uint32_t *ret_id)
{
	uint64_t released;

	if (log->read == log->released) {
		released = dx_load_acquire(DX_EDGE_RELEASED, log->released_word);
		if (released < log->released || released - log->read > out)
			return -EBADMSG;
		if (released == log->read)
			return 0;
		log->released = released;
	}
	*ret_id = dx_load_plain(&log->ids[log->read & log->mask]);
	log->read++;
	return 1;
}

/* --- wanted ----------------------------------------------------------------------------------------------- */

/* Did a count that went from @tested to @now pass @wanted? (See DSMX_WANTED_NONE.) */
static inline bool dx_wanted_crossed(uint64_t wanted, uint64_t tested, uint64_t now)
{
	return wanted - tested < now - tested;
}

#endif /* DX_RING_RING_H */
