/* SPDX-License-Identifier: MIT */
/*
 * internal.h - the structs that mesh, peer, rx and tx share
 *
 * All of it is private memory of one process and one thread.
 */
#ifndef DX_CHAN_INTERNAL_H
#define DX_CHAN_INTERNAL_H

#include "chan/mesh.h"
#include "chan/rx.h"
#include "chan/tx.h"
#include "ring/ring.h"

/* A peer's segments, mapped; kept as long as the peer or one of its streams needs them. */
struct dx_mapping {
	uint32_t refs;
	uint64_t epoch;
	struct dx_segment page;
	struct dx_segment data;
};

/* The kernel's struct robust_list_head. */
struct dx_robust_head {
	void *first;
	long word_offset;
	void *pending;
};

/* This thread's robust list over the page: the head may not move while it is the thread's. */
struct dx_robust {
	struct dx_robust_head head;
	struct dx_robust_head *before; /* what the thread had, put back in the end */
};

struct dx_peer {
	struct dx_mesh *mesh;
	uint32_t index;
	bool attached;
	bool dead;
	bool accused;
	struct dx_mapping *mapping;
	const struct dsmx_bell_abi *line; /* its page: what it says to us */
	struct dsmx_bell_abi *own_line;   /* our page: what we say to it */
	struct dx_wait_word bell;
	struct dx_wait_word live;
	struct dx_wait_fd pidfd;
	bool has_bell, has_live, has_pidfd;
	int eventfd;
	uint64_t changes_seen;
	uint64_t counts_seen;
	struct dx_list rx_told; /* waiting rx whose news it tells: see look.c */
	bool changed;           /* we changed words or counts for it since the last flush */
	struct dx_rx **rx;      /* by slot; NULL: free */
	struct dx_tx **tx;      /* by slot; NULL: none open */
	uint64_t *word_seen;    /* by slot: its request word that was last acted on */
	uint64_t *generation;   /* by slot: ours as a consumer */
};

struct dx_mesh {
	struct dx_source source;
	struct dx_reactor *reactor;
	struct dx_mesh_params params;
	struct dx_layout layout;
	struct dx_segment page;
	struct dx_segment data;
	struct dx_slabs *slabs;
	size_t slabs_offset; /* rings are below it in the data */
	struct dx_frame *spare_frames;
	const struct dx_mesh_ops *ops;
	void (*accuse)(void *arg, uint32_t peer, const char *what); /* NULL: nobody listens */
	void *accuse_arg;
	struct dx_robust *robust; /* NULL: none */
	struct dx_peer peers[DSMX_ABI_PEERS];
	struct dx_list rx_waiting; /* rx that somebody or their own close waits for, to look at */
	struct dx_list
		tx_waiting; /* tx with a waker, or that the mesh keeps until their frames are back */
	struct dx_list tx_all;
	struct dx_list tx_armed;
	struct dx_list rx_dirty; /* counts to publish */
	struct dx_list tx_dirty;
	struct dsmx_waker **slab_wakers; /* woken when any memory comes back */
	uint32_t slab_waker_count, slab_waker_room;
	bool any_changed;
	bool flushing;
	bool passed;    /* in this flush, what a peer wants */
	bool flight_on; /* as of the last look */
	const struct dsmx_control_abi *control;
	uint32_t next_error;
	uint64_t heard; /* changes and deaths of peers */
};

struct dx_rx {
	struct dx_mesh *mesh;
	struct dx_peer *peer;
	struct dx_mapping *mapping; /* NULL: local */
	struct dx_list waiting;
	struct dx_list dirty;
	uint32_t slot;
	uint64_t generation;
	struct dsmx_request_abi *request;
	uint64_t *word;
	const struct dsmx_stream_abi *stream;
	const uint64_t *answer; /* the stream word */
	struct dx_ring_rx ring; /* slots NULL: not running yet */
	struct dx_log_tx log;
	uint64_t tested_taken, tested_released;
	const char *data;
	size_t data_bytes;
	struct dx_frame *filters; /* lent to the producer until it answers */
	uint32_t *held;           /* by frame id: bytes of the frame; 0: it is not held */
	uint32_t held_count;
	uint64_t held_bytes;
	uint32_t unpublished_bytes;
	struct dsmx_waker *waker;
	uint64_t wanted; /* as last stored */
	bool told;       /* it waits in its peer's list */
	bool answered;   /* the stream word has this generation */
	bool dead; /* its producer's incarnation is; a new one at the same place is another's */
	bool ended;
	bool closing;
	bool cancelled;
	struct dsmx_error error; /* code 0: none */
};

struct dx_sent {
	struct dx_frame *frame; /* NULL: the id is free */
	uint64_t position;      /* of its descriptor */
	uint32_t len_bytes;
};

struct dx_tx {
	struct dx_mesh *mesh;
	struct dx_peer *peer;
	struct dx_mapping *mapping; /* NULL: local */
	struct dx_list waiting;
	struct dx_list dirty;
	struct dx_list all;
	uint32_t slot;
	uint64_t generation;
	uint32_t partition;
	uint32_t attempt;
	struct dsmx_stream_abi *stream;
	uint64_t *word;
	const struct dsmx_request_abi *request;
	const uint64_t *request_word;
	struct dx_ring_tx ring;
	void *local_ring; /* the queue of a local stream: private memory */
	struct dx_log_rx log;
	uint64_t tested;
	uint64_t credit_bytes;
	uint64_t outstanding;
	uint32_t out; /* frames */
	uint32_t next_id;
	size_t unpublished_bytes; /* of slabs */
	uint32_t publish_bytes;   /* when they are as many, they are published */
	uint32_t publish_most;    /* what that grows to: see ring.h */
	struct dx_sent *sent;     /* by id */
	struct dsmx_waker *waker; /* for room */
	struct dsmx_waker *owner; /* for the consumer's going away */
	struct dx_list armed;     /* its `wanted` words are set */
	bool gone;                /* the consumer wants no more, or is dead */
	bool released;            /* DONE, or dead: every frame is back */
	bool finished;            /* by its owner */
	bool final;               /* its word is */
	int broken;               /* -EBADMSG: the consumer breaks the rules */
};

/* --- peer.c --- */
int dx_peer_init(struct dx_mesh *mesh, uint32_t index);
void dx_peer_free(struct dx_peer *peer);
void dx_mapping_retain(struct dx_mapping *mapping);
void dx_mapping_release(struct dx_mapping *mapping);
void dx_peer_died(struct dx_peer *peer);
/* It broke a rule of the shared memory. */
void dx_peer_accuse(struct dx_peer *peer, const char *what);

/* --- frame.c --- */
void dx_mesh_wake_slab_waiters(struct dx_mesh *mesh);

/* --- flight.c --- */
void dx_flight_look(struct dx_mesh *mesh);

/* --- look.c --- */
/* A count has passed what @peer wants: say so, and ring if it sleeps, at once or in this flush. */
void dx_peer_passed(struct dx_peer *peer);
/* Write an error record for a stream word to refer to; returns its index. */
uint32_t dx_mesh_put_error(struct dx_mesh *mesh, uint64_t query, uint32_t exchange, uint32_t task,
                           const struct dsmx_error *why);
bool dx_mesh_look(struct dx_mesh *mesh);
void dx_mesh_arm(struct dx_mesh *mesh);
void dx_mesh_disarm(struct dx_mesh *mesh);
/* A park ended by its bound: the next look is at every stream that waits, whatever its peer told. */
void dx_mesh_doubt(struct dx_mesh *mesh);
/* Moves with every ring of any peer: how the reactor judges a park that ended late. */
uint64_t dx_mesh_rung(const struct dx_mesh *mesh);

/* --- rx.c --- */
/* News for a waiting rx? Then its waker is woken or its close goes on. */
bool dx_rx_look(struct dx_rx *rx);
/* The producer is dead. The word becomes DONE, so that nobody who comes in its place takes it for his. */
void dx_rx_orphan(struct dx_rx *rx);
void dx_rx_publish(struct dx_rx *rx);
void dx_rx_test(struct dx_rx *rx); /* after the fence: does the producer want to be woken? */
void dx_rx_arm(struct dx_rx *rx);
/* It waits, and a look found nothing: leave it to its peer to tell, if that knows what is wanted. */
void dx_rx_try_tell(struct dx_rx *rx);
void dx_rx_untell(struct dx_rx *rx); /* look at it again */
void dx_rx_free(struct dx_rx *rx);

/* --- tx.c --- */
bool dx_tx_look(struct dx_tx *tx);
void dx_tx_publish(struct dx_tx *tx);
void dx_tx_test(struct dx_tx *tx);
void dx_tx_arm(struct dx_tx *tx);
void dx_tx_disarm(struct dx_tx *tx);
/* The consumer's word in this generation, or a later generation. */
void dx_tx_consumer_word(struct dx_tx *tx, uint64_t word);
void dx_tx_free(struct dx_tx *tx);

#endif /* DX_CHAN_INTERNAL_H */
