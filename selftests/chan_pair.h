/* SPDX-License-Identifier: MIT */
/*
 * chan_pair.h - two meshes in one program
 *
 * Both processes' worth of state lives here, each with its own reactor, segments and mappings, as nothing in
 * the library is global; they see each other only through the descriptors of their segments. So a test can
 * stand between any two steps, and write what only a hostile owner of a segment could.
 */
#ifndef DX_SELFTESTS_CHAN_PAIR_H
#define DX_SELFTESTS_CHAN_PAIR_H

#include <errno.h>
#include <string.h>

#include "base/cx.h"
#include "chan/internal.h"

enum { LEADER, WORKER, SLOTS = 4, FRAMES = 4, DATA = 2 << 20 };

struct side {
	struct dx_reactor *reactor;
	struct dx_mesh *mesh;
	struct dx_mesh_ops ops;
	/* the last request that came */
	int requests;
	uint32_t peer, slot;
	uint64_t word;
	struct dsmx_request_abi request;
	int deaths;
};

struct pair {
	struct side sides[2];
};

struct counting_waker {
	struct dsmx_waker waker;
	int wakes;
};

static inline void count_wake(struct dsmx_waker *waker)
{
	((struct counting_waker *)waker)->wakes++;
}

static inline void on_request(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
                              const struct dsmx_request_abi *request)
{
	struct side *s = dx_mesh_ops(mesh)->arg;

	s->requests++;
	s->peer = peer;
	s->slot = slot;
	s->word = word;
	s->request = *request;
}

static inline void on_dead(struct dx_mesh *mesh, uint32_t peer)
{
	struct side *s = dx_mesh_ops(mesh)->arg;

	(void)peer;
	s->deaths++;
}

static inline int make_side_of(struct side *s, uint32_t self, uint64_t epoch, uint32_t frames)
{
	struct dx_mesh_params params = {
		.session = 77,
		.epoch = epoch,
		.self = self,
		.peers = 2,
		.slots = SLOTS,
		.frames = frames,
		.tasks = 4,
		.data_bytes = DATA,
		.pages = DSMX_PAGES_SMALL,
		.numa_node = -1,
	};
	int r = dx_reactor_new(DSMX_WAIT_AUTO, &s->reactor, NULL);

	if (r < 0)
		return r;
	s->ops = (struct dx_mesh_ops){ .request = on_request, .dead = on_dead, .arg = s };
	r = dx_mesh_new(s->reactor, &params, &s->mesh, NULL);
	if (r == 0)
		dx_mesh_set_ops(s->mesh, &s->ops);
	return r;
}

static inline int make_side_at(struct side *s, uint32_t self, uint64_t epoch)
{
	return make_side_of(s, self, epoch, FRAMES);
}

static inline int attach(struct pair *p, int self, int peer)
{
	struct dx_mesh *other = p->sides[peer].mesh;

	return dx_mesh_attach(p->sides[self].mesh, (uint32_t)peer, other->params.epoch,
	                      dx_mesh_page_segment(other)->fd, dx_mesh_data_segment(other)->fd, -1,
	                      NULL);
}

static inline int setup_of(struct pair *p, uint32_t frames)
{
	int r;

	memset(p, 0, sizeof(*p));
	r = make_side_of(&p->sides[LEADER], LEADER, 10 + LEADER, frames);
	if (r == 0)
		r = make_side_of(&p->sides[WORKER], WORKER, 10 + WORKER, frames);
	if (r == 0)
		r = attach(p, LEADER, WORKER);
	return r == 0 ? attach(p, WORKER, LEADER) : r;
}

static inline int setup(struct pair *p)
{
	return setup_of(p, FRAMES);
}

static inline void teardown(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		if (p->sides[i].mesh != NULL)
			dx_mesh_free(p->sides[i].mesh);
		if (p->sides[i].reactor != NULL)
			dx_reactor_free(p->sides[i].reactor);
	}
}

/* Both sides look, until neither has anything to do. */
static inline void settle(struct pair *p)
{
	for (int i = 0; i < 8; i++) {
		(void)dx_reactor_turn(p->sides[LEADER].reactor, 0);
		(void)dx_reactor_turn(p->sides[WORKER].reactor, 0);
	}
}

__attribute__((unused)) static const struct dx_stream_key key = {
	.query = 5, .exchange = 2, .task = 1, .partition = 3, .partitions = 8, .plan_hash = 99
};

/* A stream from WORKER to LEADER, RUNNING. */
static inline int open_stream(struct pair *p, struct dx_rx **rx, struct dx_tx **tx, uint64_t credit)
{
	struct side *w = &p->sides[WORKER];
	int before = w->requests;
	int r = dx_rx_open(p->sides[LEADER].mesh, WORKER, &key, false, rx, NULL);

	if (r < 0)
		return r;
	settle(p);
	if (w->requests != before + 1 || DSMX_WORD_STATE(w->word) != DSMX_REQUEST_START)
		return -EPROTO;
	return dx_tx_open(w->mesh, w->peer, w->slot, w->word, &w->request, 0, credit, tx);
}

/* One frame of @rows empty rows through a stream. */
static inline int push(struct dx_mesh *mesh, struct dx_tx *tx, uint32_t rows)
{
	struct dx_frame *frame;
	int r = dx_tx_room(tx, DX_PIECE_BYTES, NULL);

	if (r < 0)
		return r;
	r = dx_frame_new(mesh, DX_PIECE_BYTES, true, NULL, &frame);
	if (r < 0)
		return r;
	memcpy(frame->bytes, &rows, sizeof(rows));
	dx_tx_push(tx, frame, DX_PIECE_BYTES, rows);
	return 0;
}

#endif /* DX_SELFTESTS_CHAN_PAIR_H */
