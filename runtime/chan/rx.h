/* SPDX-License-Identifier: MIT */
/*
 * rx.h - the consumer's end of one physical stream
 *
 *	IDLE ──[rx_start]──▶ ASKED ──[word RUNNING]──▶ RUNNING ──[FIN, all taken]──▶ ENDED
 *	                       └──[NAK, ERROR, CANCELLED, EBADMSG, peer dead]──▶ FAILED
 *	any ──[rx_close]──▶ closing: CANCEL is said if the answer is not final; when it is, and every frame was
 *	                    released, the word becomes DONE, the slot is free and the rx is gone
 *
 * A frame that was taken stays readable, also after the producer's death or after close, until it is
 * released; frames are released in any order.
 */
#ifndef DX_CHAN_RX_H
#define DX_CHAN_RX_H

#include "chan/mesh.h"

struct dx_frame;
struct dx_rx;

/* What is asked for: the name of a stream, and what both ends must agree on. */
struct dx_stream_key {
	uint64_t query;
	uint32_t exchange;
	uint32_t task;      /* the producer's */
	uint32_t partition; /* the consumer's */
	uint32_t partitions;
	uint32_t attempt;
	uint32_t record; /* of the consuming task: index in the own page */
	uint64_t plan_hash;
	uint64_t schema_hash;
	/* START: what the consumer says beside it, in its own data; NULL: nothing. Held until the answer. */
	struct dx_frame *filters;
	size_t filters_bytes;
};

/* A frame in hand. */
struct dx_frame_view {
	const void *bytes; /* in the producer's memory, read-only, 64-byte aligned */
	uint32_t len_bytes;
	uint32_t rows;
	uint32_t id; /* for dx_rx_release() */
};

/*
 * Ask @peer for a stream: START, or with @cancel at once CANCEL, for a stream that nobody will read.
 *
 * Returns 0, -EAGAIN (no free slot, but one is being given back: dx_mesh_wait_room()), -E2BIG (no free slot: the
 * sentence has the numbers), -EOWNERDEAD (no such live peer), -ENOMEM.
 */
int dx_rx_open(struct dx_mesh *mesh, uint32_t peer, const struct dx_stream_key *key, bool cancel,
               struct dx_rx **ret_rx, struct dsmx_error *err) DX_MUST_CHECK;

/*
 * The next frame.
 *
 * Returns 1 with the frame; 0: the end; -EAGAIN: nothing yet, @waker will be woken; -EOWNERDEAD: the producer
 * died before the end; -EBADMSG: it breaks the rules; else the producer's own error. After an error the same
 * again. @err gets the sentence.
 */
int dx_rx_next(struct dx_rx *rx, struct dsmx_waker *waker, struct dx_frame_view *ret_frame,
               struct dsmx_error *err) DX_MUST_CHECK;

/* Give a frame back; once for each. Works after close, too. */
void dx_rx_release(struct dx_rx *rx, uint32_t id);

/* No more frames are wanted; at any point. The rx lives on until the last frame is released: do not use it after that. */
void dx_rx_close(struct dx_rx *rx);

/* What was in a frame of it breaks the rules: see dx_mesh_set_accuse(). */
void dx_rx_accuse(struct dx_rx *rx, const char *what);

/* Its producer died and has not said how it ended. */
bool dx_rx_is_lost(struct dx_rx *rx);
/* Its producer said FIN: dead or not, all of it can be read. */
bool dx_rx_is_whole(struct dx_rx *rx);
/* Frames taken so far. */
uint64_t dx_rx_taken(const struct dx_rx *rx);

/* The process that produces it. */
uint32_t dx_rx_peer(const struct dx_rx *rx);
/* Frames taken and not yet released; their bytes. */
uint32_t dx_rx_held(const struct dx_rx *rx);
uint64_t dx_rx_held_bytes(const struct dx_rx *rx);

#endif /* DX_CHAN_RX_H */
