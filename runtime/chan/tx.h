/* SPDX-License-Identifier: MIT */
/*
 * tx.h - the producer's end of one physical stream
 *
 *	[tx_open] ──▶ RUNNING ──[tx_finish]──▶ FIN or ERROR ─┐
 *	                 │                                   ├──[consumer DONE, or CANCEL and all back, or dead]──▶ gone
 *	                 └──[consumer CANCEL]──▶ CANCELLED ──┘
 *
 * Frames are parts of the own data segment. The books of who holds which are private: a frame counts its
 * readers (a broadcast frame has many) and goes back to the slabs with the last. After dx_tx_finish() the tx
 * belongs to the mesh, which keeps it as long as the consumer may still read.
 */
#ifndef DX_CHAN_TX_H
#define DX_CHAN_TX_H

#include "chan/mesh.h"

struct dx_tx;

/* Memory of the own data segment that readers may hold. */
struct dx_frame {
	struct dx_mesh *mesh;
	char *bytes;
	size_t slab_bytes; /* that there are to write */
	bool is_private;   /* not in the segment: on its way to a file */
	uint32_t refs;     /* the writer's, and one for each stream that it is in or shall be in */
	struct dx_frame *next_spare;
};

/*
 * A frame to write, with one reference.
 *
 * @may_use_reserve: the output has nothing out: see slab.h
 * Returns 0, -EAGAIN: no memory free now (@waker, if not NULL, is woken when some is), -EMSGSIZE: longer than
 * the longest run, -ENOMEM.
 */
int dx_frame_new(struct dx_mesh *mesh, size_t len_bytes, bool may_use_reserve,
                 struct dsmx_waker *waker, struct dx_frame **ret_frame) DX_MUST_CHECK;
/* One in private memory, for rows that go to a file: it can be in no stream. Returns 0 or -ENOMEM. */
int dx_frame_new_private(struct dx_mesh *mesh, size_t len_bytes,
                         struct dx_frame **ret_frame) DX_MUST_CHECK;
void dx_frame_retain(struct dx_frame *frame);
void dx_frame_release(struct dx_frame *frame);
/* Wake @waker when anything comes back to this process: memory, or a stream's slot. */
void dx_mesh_wait_room(struct dx_mesh *mesh, struct dsmx_waker *waker);

/* Forget a waker that one of these two was left with. */
void dx_frame_forget(struct dx_mesh *mesh, struct dsmx_waker *waker);

/*
 * Answer a START with RUNNING.
 *
 * @word: the request word that was seen; @record: of the producing task, index in the own page
 * @credit_bytes: that may be out; one frame always may
 * Returns 0, -ESTALE (the consumer went on meanwhile: nothing to answer), -ENOMEM.
 */
int dx_tx_open(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
               const struct dsmx_request_abi *request, uint32_t record, uint64_t credit_bytes,
               struct dx_tx **ret_tx) DX_MUST_CHECK;

/* Answer a START or CANCEL at once with a final state: NAK, ERROR, CANCELLED or FIN (no rows). */
void dx_tx_refuse(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
                  const struct dsmx_request_abi *request, uint32_t state,
                  const struct dsmx_error *why);

/*
 * Take back what consumers hold of streams that are finished here, where @has_closed says that the consumer has closed the
 * stream's query: it has said so after its last release, so it breaks a rule and is accused. Returns whether anything
 * came back.
 */
bool dx_tx_reclaim(struct dx_mesh *mesh,
                   bool (*has_closed)(void *arg, uint32_t peer, uint64_t query), void *arg);

/* Whom to wake when the consumer goes away, whatever else is waited for. */
void dx_tx_set_owner(struct dx_tx *tx, struct dsmx_waker *owner);

/*
 * Is there room for one more frame of @len_bytes?
 *
 * Returns 1; -EAGAIN: out of credit or ids, @waker will be woken (NULL: nobody); -EPIPE: the consumer cancelled or is dead:
 * rows for it may be dropped; -EBADMSG: it breaks the rules.
 */
int dx_tx_room(struct dx_tx *tx, size_t len_bytes, struct dsmx_waker *waker) DX_MUST_CHECK;

/* After dx_tx_room() said 1: send @rows rows in the first @len_bytes of @frame; takes one reference over. */
void dx_tx_push(struct dx_tx *tx, struct dx_frame *frame, uint32_t len_bytes, uint32_t rows);

/* The end: FIN, or ERROR with a sentence. The tx is the mesh's from here. */
void dx_tx_finish(struct dx_tx *tx, uint32_t state, const struct dsmx_error *why);

/* The task that the stream is of runs: the stamp between RUNNING and the first frame. Later calls do nothing. */
void dx_tx_started(struct dx_tx *tx);

/* Is it local: consumer and producer one process? Bytes out. */
bool dx_tx_local(const struct dx_tx *tx);
uint64_t dx_tx_outstanding(const struct dx_tx *tx);
/* Without this, bytes that came back since there last was no room are still out: who compares streams looks before. */
void dx_tx_collect(struct dx_tx *tx);

#endif /* DX_CHAN_TX_H */
