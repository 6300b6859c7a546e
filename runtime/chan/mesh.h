/* SPDX-License-Identifier: MIT */
/*
 * mesh.h - this process among its peers: its own segments, theirs, and who is alive
 *
 * A mesh is made with the process's own page and data, before it knows anybody. Peers are attached one by
 * one, when their descriptors arrive; a peer that died is marked dead, and may be replaced by a new
 * incarnation with another epoch. The mesh is one source of the reactor: it looks at the peers' bells,
 * change counts and liveness words, hands requests to the layer above, and moves the streams (rx.h, tx.h).
 */
#ifndef DX_CHAN_MESH_H
#define DX_CHAN_MESH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "chan/layout.h"
#include "dsmx/session.h"
#include "shm/segment.h"
#include "shm/slab.h"
#include "task/task.h"

struct dx_mesh;

struct dx_mesh_params {
	uint64_t session;
	uint64_t epoch; /* of this process */
	uint32_t self;  /* its number: 0 the leader, 1.. the workers */
	uint32_t peers; /* 1 + workers */
	uint32_t slots;
	uint32_t frames;
	uint32_t tasks;
	uint64_t data_bytes;
	enum dsmx_pages pages;
	int numa_node; /* -1: not bound */
};

/* What the layer above hears. Called from within the reactor's look. */
struct dx_mesh_ops {
	/*
	 * A consumer's request word that belongs to no stream open here: START or CANCEL in a new generation.
	 * @request is a copy, made once.
	 */
	void (*request)(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
	                const struct dsmx_request_abi *request);
	/* The leader's query records may have changed. */
	void (*queries)(struct dx_mesh *mesh);
	/* A peer is dead: its streams have ended already. */
	void (*dead)(struct dx_mesh *mesh, uint32_t peer);
	void *arg;
};

/* Size of the page segment that dx_mesh_new() will make, before rounding. */
size_t dx_mesh_page_bytes(const struct dx_mesh_params *params);

/* Are the numbers within the limits, and do the rings fit into the data? Returns 0 or -EINVAL. */
int dx_mesh_check(const struct dx_mesh_params *params, struct dsmx_error *err) DX_MUST_CHECK;

/* Create the own segments. Returns 0 or what dx_segment_create() said, -EINVAL for numbers over the limits. */
int dx_mesh_new(struct dx_reactor *reactor, const struct dx_mesh_params *params,
                struct dx_mesh **ret_mesh, struct dsmx_error *err) DX_MUST_CHECK;
void dx_mesh_free(struct dx_mesh *mesh);

/* @ops is borrowed; NULL: nobody listens (yet). */
void dx_mesh_set_ops(struct dx_mesh *mesh, const struct dx_mesh_ops *ops);
const struct dx_mesh_ops *dx_mesh_ops(const struct dx_mesh *mesh);

/*
 * Whom to tell, at most once for each incarnation, that a peer's words break the rules. NULL: nobody. The
 * stream fails by itself; what becomes of the process is not the mesh's to say.
 */
void dx_mesh_set_accuse(struct dx_mesh *mesh,
                        void (*accuse)(void *arg, uint32_t peer, const char *what), void *arg);

/*
 * For the leader, who alone can do something about it: the own page's `accused` says that @peer's incarnation @epoch
 * broke a rule. The mesh does it by itself for whom it has attached.
 */
void dx_mesh_note_accused(struct dx_mesh *mesh, uint32_t peer, uint64_t epoch);

/* The own segments: to send to the peers. */
const struct dx_segment *dx_mesh_page_segment(const struct dx_mesh *mesh);
const struct dx_segment *dx_mesh_data_segment(const struct dx_mesh *mesh);

/*
 * Check and map a peer's segments. Descriptors stay the caller's, but @pidfd (-1: none), which is the mesh's
 * on success.
 *
 * Returns 0, -EPROTO (size, seals, magic, version, session, numbers are not what was agreed), or what mmap
 * said. On success the own page's `mapped` says so.
 */
int dx_mesh_attach(struct dx_mesh *mesh, uint32_t peer, uint64_t epoch, int page_fd, int data_fd,
                   int pidfd, struct dsmx_error *err) DX_MUST_CHECK;

/* The supervisor's verdict: @peer's incarnation @epoch is dead. Twice is fine, an older epoch is ignored. */
void dx_mesh_peer_dead(struct dx_mesh *mesh, uint32_t peer, uint64_t epoch);

/* A peer is attached, and nothing says that it is dead. The process itself always is alive. */
bool dx_mesh_alive(const struct dx_mesh *mesh, uint32_t peer);
/* Epoch of the incarnation that is attached, 0: none. */
uint64_t dx_mesh_epoch(const struct dx_mesh *mesh, uint32_t peer);
/* Does @who's page say that it has mapped the incarnation of @whom that is attached here? */
bool dx_mesh_has_mapped(const struct dx_mesh *mesh, uint32_t who, uint32_t whom);
/* Has every live peer mapped this incarnation, and it all of them? @peer is attached. */
bool dx_mesh_mapped_by_all(const struct dx_mesh *mesh, uint32_t peer);

/*
 * Put this thread's robust list over the page's liveness words: from now on its death shows there. A worker
 * calls it once, in the thread that will serve, before the page is sent. Not for the leader.
 */
int dx_mesh_live(struct dx_mesh *mesh) DX_MUST_CHECK;

/* DSMX_STATE_: the own one, told to all peers; another's. */
void dx_mesh_set_state(struct dx_mesh *mesh, uint32_t state);
uint32_t dx_mesh_state(const struct dx_mesh *mesh, uint32_t peer);

uint32_t dx_mesh_self(const struct dx_mesh *mesh);
uint32_t dx_mesh_peers(const struct dx_mesh *mesh);
const struct dx_layout *dx_mesh_layout(const struct dx_mesh *mesh);
struct dx_reactor *dx_mesh_reactor(const struct dx_mesh *mesh);
struct dx_slabs *dx_mesh_slabs(const struct dx_mesh *mesh);

/* The own page and data to write; another's to read (NULL where none is attached). */
struct dsmx_page_abi *dx_mesh_page(const struct dx_mesh *mesh);
char *dx_mesh_data(const struct dx_mesh *mesh);
const struct dsmx_page_abi *dx_mesh_peer_page(const struct dx_mesh *mesh, uint32_t peer);
const char *dx_mesh_peer_data(const struct dx_mesh *mesh, uint32_t peer);
size_t dx_mesh_peer_data_bytes(const struct dx_mesh *mesh, uint32_t peer);

/* Moves when a peer has changed something for this process, or died. */
uint64_t dx_mesh_heard(const struct dx_mesh *mesh);

/* A word or query record for @peer changed (already stored): count it, and ring at the next flush. */
void dx_mesh_changed(struct dx_mesh *mesh, uint32_t peer);

/*
 * Has a peer changed a word that was not looked at yet? For a task in the middle of its slice: it ends that, and
 * a CANCEL is served after one batch and not after a millisecond's. A load for each peer.
 */
bool dx_mesh_has_news(const struct dx_mesh *mesh);

/* Ring a peer whatever it waits for: it is to look, and to think before it sleeps again. */
void dx_mesh_ring(struct dx_mesh *mesh, uint32_t peer);

/* Publish and ring what is pending now: after a request that should not wait for the end of a slice. */
void dx_mesh_flush(struct dx_mesh *mesh);

/*
 * The control segment, borrowed: from now on each look sees what is asked for there. NULL, as in the beginning:
 * there is none.
 */
void dx_mesh_set_control(struct dx_mesh *mesh, const struct dsmx_control_abi *control);
/* Are events to be recorded (flight.h)? */
bool dx_mesh_flight_on(const struct dx_mesh *mesh);

/*
 * An eventfd of @peer's (the leader's) to write to whenever its bell is rung: what dsmx_session_fd() gives
 * where the wait back end has no descriptor of its own. The mesh closes it.
 */
void dx_mesh_set_peer_eventfd(struct dx_mesh *mesh, uint32_t peer, int eventfd);

/* --- what peers say of themselves and of each other: for the leader, who knows from the kernel who lives (inspect.c) */

/* A rule that @peer's words break as they are now, as a sentence. NULL: none is to be seen. */
const char *dx_mesh_inspect(const struct dx_mesh *mesh, uint32_t peer);
/* Does one of @peer's liveness words, whoever's it is, say that it is dead? */
bool dx_mesh_says_dead(const struct dx_mesh *mesh, uint32_t peer);
/* Does @who's page say that the incarnation of @whom which is attached here broke a rule; that it is dead? */
bool dx_mesh_accuses(const struct dx_mesh *mesh, uint32_t who, uint32_t whom);
bool dx_mesh_calls_dead(const struct dx_mesh *mesh, uint32_t who, uint32_t whom);
/* Moves with every look of @peer's reactor: who is dead cannot. @peer was attached once. */
uint32_t dx_mesh_pulse(const struct dx_mesh *mesh, uint32_t peer);

#endif /* DX_CHAN_MESH_H */
