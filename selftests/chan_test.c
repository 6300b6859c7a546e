/* SPDX-License-Identifier: MIT */
/*
 * chan_test - streams between two meshes, every step and every refusal
 *
 * Both processes' worth of state lives here, each with its own reactor, segments and mappings, as nothing in
 * the library is global; they see each other only through the descriptors of their segments. So a test can
 * stand between any two steps, and write what only a hostile owner of a segment could.
 */
#include <errno.h>
#include <string.h>

#include "base/cx.h"
#include "chan/internal.h"
#include "harness.h"

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

static void count_wake(struct dsmx_waker *waker)
{
	((struct counting_waker *)waker)->wakes++;
}

static void on_request(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
                       const struct dsmx_request_abi *request)
{
	struct side *s = dx_mesh_ops(mesh)->arg;

	s->requests++;
	s->peer = peer;
	s->slot = slot;
	s->word = word;
	s->request = *request;
}

static void on_dead(struct dx_mesh *mesh, uint32_t peer)
{
	struct side *s = dx_mesh_ops(mesh)->arg;

	(void)peer;
	s->deaths++;
}

static int make_side_at(struct side *s, uint32_t self, uint64_t epoch)
{
	struct dx_mesh_params params = {
		.session = 77,
		.epoch = epoch,
		.self = self,
		.peers = 2,
		.slots = SLOTS,
		.frames = FRAMES,
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

static int make_side(struct side *s, uint32_t self)
{
	return make_side_at(s, self, 10 + self);
}

static int attach(struct pair *p, int self, int peer)
{
	struct dx_mesh *other = p->sides[peer].mesh;

	return dx_mesh_attach(p->sides[self].mesh, (uint32_t)peer, other->params.epoch,
	                      dx_mesh_page_segment(other)->fd, dx_mesh_data_segment(other)->fd, -1,
	                      NULL);
}

static int setup(struct pair *p)
{
	int r;

	memset(p, 0, sizeof(*p));
	r = make_side(&p->sides[LEADER], LEADER);
	if (r == 0)
		r = make_side(&p->sides[WORKER], WORKER);
	if (r == 0)
		r = attach(p, LEADER, WORKER);
	return r == 0 ? attach(p, WORKER, LEADER) : r;
}

static void teardown(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		if (p->sides[i].mesh != NULL)
			dx_mesh_free(p->sides[i].mesh);
		if (p->sides[i].reactor != NULL)
			dx_reactor_free(p->sides[i].reactor);
	}
}

/* Both sides look, until neither has anything to do. */
static void settle(struct pair *p)
{
	for (int i = 0; i < 8; i++) {
		(void)dx_reactor_turn(p->sides[LEADER].reactor, 0);
		(void)dx_reactor_turn(p->sides[WORKER].reactor, 0);
	}
}

static const struct dx_stream_key key = {
	.query = 5, .exchange = 2, .task = 1, .partition = 3, .partitions = 8, .plan_hash = 99
};

/* A stream from WORKER to LEADER, RUNNING. */
static int open_stream(struct pair *p, struct dx_rx **rx, struct dx_tx **tx, uint64_t credit)
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
static int push(struct dx_mesh *mesh, struct dx_tx *tx, uint32_t rows)
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

TEST(chan_counts_fall,
     "a producer that was cancelled takes the counts of the slot's next stream for no broken rule")
{
	struct pair p;
	struct dx_rx *rx, *next;
	struct dx_tx *tx;
	struct dx_frame_view views[2];

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
	for (uint32_t i = 0; i < 2; i++)
		CHECK_EQ(push(p.sides[WORKER].mesh, tx, 1), 0);
	settle(&p);
	for (uint32_t i = 0; i < 2; i++)
		CHECK_EQ(dx_rx_next(rx, NULL, &views[i], NULL), 1);
	dx_rx_release(rx, views[0].id);
	CHECK_EQ(dx_tx_room(tx, 1, NULL), 1);
	dx_rx_close(rx);
	settle(&p);
	/* DONE, and at once the next; the producer has seen neither. */
	dx_rx_release(rx, views[1].id);
	CHECK_EQ(dx_rx_open(p.sides[LEADER].mesh, WORKER, &key, false, &next, NULL), 0);
	(void)dx_tx_look(tx);
	CHECK_EQ(dx_tx_room(tx, 1, NULL), -EPIPE);
	dx_tx_finish(tx, DSMX_STREAM_FIN, NULL);
	settle(&p);
	CHECK_EQ(p.sides[WORKER].requests, 2);
	CHECK_EQ(dx_slab_used(dx_mesh_slabs(p.sides[WORKER].mesh)), 0);
	dx_rx_close(next);
	teardown(&p);
}

TEST(chan_rows_arrive,
     "frames arrive once and in order, then the end; every slab comes back and the slot is free")
{
	struct pair p;
	struct dx_rx *rx;
	struct dx_tx *tx;
	struct dx_frame_view view;
	struct counting_waker waker = { { count_wake }, 0 };

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
	CHECK_EQ(p.sides[WORKER].request.partition, 3);
	CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), -EAGAIN);
	for (uint32_t i = 1; i <= 100; i++) {
		uint32_t said;

		CHECK_EQ(push(p.sides[WORKER].mesh, tx, i), 0);
		settle(&p);
		CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), 1);
		memcpy(&said, view.bytes, sizeof(said));
		CHECK_EQ(said, i);
		CHECK_EQ(view.rows, i);
		dx_rx_release(rx, view.id);
		CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), -EAGAIN);
	}
	CHECK_EQ(waker.wakes, 100);
	dx_tx_finish(tx, DSMX_STREAM_FIN, NULL);
	settle(&p);
	CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), 0);
	CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), 0);
	dx_rx_close(rx);
	settle(&p);
	CHECK_EQ(dx_slab_used(dx_mesh_slabs(p.sides[WORKER].mesh)), 0);
	CHECK_EQ(p.sides[WORKER].mesh->peers[LEADER].tx[0] == NULL, 1);
	CHECK_EQ(p.sides[LEADER].mesh->peers[WORKER].rx[0] == NULL, 1);
	teardown(&p);
}

TEST(chan_released_out_of_order, "frames come back in any order, and one that is held stops nobody")
{
	struct pair p;
	struct dx_rx *rx;
	struct dx_tx *tx;
	struct dx_frame_view view[FRAMES];
	struct counting_waker waker = { { count_wake }, 0 };

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
	for (uint32_t i = 0; i < FRAMES; i++)
		CHECK_EQ(push(p.sides[WORKER].mesh, tx, i), 0);
	CHECK_EQ(dx_tx_room(tx, 1, &waker.waker), -EAGAIN); /* out of ids */
	settle(&p);
	for (uint32_t i = 0; i < FRAMES; i++)
		CHECK_EQ(dx_rx_next(rx, &waker.waker, &view[i], NULL), 1);
	for (int round = 0; round < 50; round++) {
		/* view[0] stays held all the time. */
		dx_rx_release(rx, view[2].id);
		dx_rx_release(rx, view[1].id);
		settle(&p);
		CHECK_EQ(push(p.sides[WORKER].mesh, tx, 7), 0);
		CHECK_EQ(push(p.sides[WORKER].mesh, tx, 8), 0);
		CHECK_EQ(dx_tx_room(tx, 1, NULL), -EAGAIN);
		settle(&p);
		CHECK_EQ(dx_rx_next(rx, &waker.waker, &view[1], NULL), 1);
		CHECK_EQ(dx_rx_next(rx, &waker.waker, &view[2], NULL), 1);
	}
	dx_rx_close(rx);
	settle(&p);
	dx_tx_finish(tx, DSMX_STREAM_CANCELLED, NULL);
	settle(&p);
	/* Closed, but three frames are held: their memory is not given out again. */
	CHECK_EQ(dx_slab_used(dx_mesh_slabs(p.sides[WORKER].mesh)), 4 * DX_PIECE_BYTES);
	dx_rx_release(rx, view[3].id);
	dx_rx_release(rx, view[0].id);
	dx_rx_release(rx, view[1].id);
	dx_rx_release(rx, view[2].id);
	settle(&p);
	CHECK_EQ(dx_slab_used(dx_mesh_slabs(p.sides[WORKER].mesh)), 0);
	teardown(&p);
}

TEST(chan_credit,
     "out of credit is -EAGAIN until a frame comes back, and one frame may always be out")
{
	struct pair p;
	struct dx_rx *rx;
	struct dx_tx *tx;
	struct dx_frame_view view;
	struct counting_waker waker = { { count_wake }, 0 };

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(open_stream(&p, &rx, &tx, 2 * DX_PIECE_BYTES), 0);
	CHECK_EQ(dx_tx_room(tx, 100 * DX_PIECE_BYTES, NULL), 1);
	CHECK_EQ(push(p.sides[WORKER].mesh, tx, 1), 0);
	CHECK_EQ(push(p.sides[WORKER].mesh, tx, 2), 0);
	CHECK_EQ(dx_tx_room(tx, DX_PIECE_BYTES, &waker.waker), -EAGAIN);
	settle(&p);
	CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), 1);
	settle(&p);
	CHECK_EQ(waker.wakes, 0); /* taken is not released */
	dx_rx_release(rx, view.id);
	settle(&p);
	CHECK_EQ(waker.wakes, 1);
	CHECK_EQ(dx_tx_room(tx, DX_PIECE_BYTES, NULL), 1);
	dx_rx_close(rx);
	teardown(&p);
}

TEST(chan_cancel,
     "CANCEL brings back what was not taken, tells the producer, and both answers keep their order")
{
	static const struct {
		const char *when;
		bool finish_first;
		int want;
	} rows[] = {
		{ "CANCEL, then the producer ends", false, -EPIPE },
		{ "FIN, then CANCEL", true, 0 },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct pair p;
		struct dx_rx *rx;
		struct dx_tx *tx;
		struct counting_waker owner = { { count_wake }, 0 };

		CHECK_EQ(setup(&p), 0);
		CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
		dx_tx_set_owner(tx, &owner.waker);
		CHECK_EQ(push(p.sides[WORKER].mesh, tx, 1), 0);
		CHECK_EQ(push(p.sides[WORKER].mesh, tx, 2), 0);
		if (rows[i].finish_first)
			dx_tx_finish(tx, DSMX_STREAM_FIN, NULL);
		dx_rx_close(rx);
		settle(&p);
		CHECK_EQ(dx_slab_used(dx_mesh_slabs(p.sides[WORKER].mesh)), 0);
		if (!rows[i].finish_first) {
			CHECK_EQ(owner.wakes > 0, 1);
			CHECK_EQ(dx_tx_room(tx, 1, NULL), rows[i].want);
			dx_tx_finish(tx, DSMX_STREAM_CANCELLED, NULL);
			settle(&p);
		}
		CHECK_EQ(p.sides[LEADER].mesh->peers[WORKER].rx[0] == NULL, 1);
		CHECK_EQ(p.sides[WORKER].mesh->peers[LEADER].tx[0] == NULL, 1);
		teardown(&p);
	}
}

TEST(chan_slot_again,
     "a slot is used again with a later generation, and old words are not mistaken for new ones")
{
	struct pair p;
	struct dx_rx *rx;
	struct dx_tx *tx;
	struct dx_frame_view view;
	struct counting_waker waker = { { count_wake }, 0 };

	CHECK_EQ(setup(&p), 0);
	for (uint32_t round = 1; round <= 20; round++) {
		CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
		CHECK_EQ(p.sides[WORKER].slot, 0);
		CHECK_EQ(DSMX_WORD_GENERATION(p.sides[WORKER].word), round);
		CHECK_EQ(push(p.sides[WORKER].mesh, tx, round), 0);
		settle(&p);
		CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), 1);
		CHECK_EQ(view.rows, round);
		dx_rx_release(rx, view.id);
		dx_tx_finish(tx, DSMX_STREAM_FIN, NULL);
		settle(&p);
		CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), 0);
		dx_rx_close(rx);
		settle(&p);
	}
	teardown(&p);
}

TEST(chan_refused, "NAK and ERROR arrive with code and sentence, CANCELLED without")
{
	static const struct {
		uint32_t state;
		int code;
		int want;
	} rows[] = {
		{ DSMX_STREAM_NAK, -ENOENT, -ENOENT },
		{ DSMX_STREAM_ERROR, -EDOM, -EDOM },
		{ DSMX_STREAM_CANCELLED, 0, -ECANCELED },
		{ DSMX_STREAM_FIN, 0, 0 },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct pair p;
		struct side *w = &p.sides[WORKER];
		struct dx_rx *rx;
		struct dx_frame_view view;
		struct dsmx_error why = {
			.code = rows[i].code, .worker = -1, .exchange = -1, .message = "the reason"
		};
		struct dsmx_error said = { 0 };

		CHECK_EQ(setup(&p), 0);
		CHECK_EQ(dx_rx_open(p.sides[LEADER].mesh, WORKER, &key, false, &rx, NULL), 0);
		settle(&p);
		dx_tx_refuse(w->mesh, w->peer, w->slot, w->word, &w->request, rows[i].state,
		             rows[i].code != 0 ? &why : NULL);
		settle(&p);
		CHECK_EQ(dx_rx_next(rx, NULL, &view, &said), rows[i].want);
		if (rows[i].code != 0) {
			CHECK_STR(said.message, "the reason");
			CHECK_EQ(said.worker, 0);
			CHECK_EQ(said.exchange, 2);
		}
		dx_rx_close(rx);
		settle(&p);
		CHECK_EQ(p.sides[LEADER].mesh->peers[WORKER].rx[0] == NULL, 1);
		teardown(&p);
	}
}

TEST(chan_cancel_unstarted,
     "CANCEL without START reaches the producer's process as a request of its own")
{
	struct pair p;
	struct side *w = &p.sides[WORKER];
	struct dx_rx *rx;

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(dx_rx_open(p.sides[LEADER].mesh, WORKER, &key, true, &rx, NULL), 0);
	dx_rx_close(rx);
	settle(&p);
	CHECK_EQ(w->requests, 1);
	CHECK_EQ(DSMX_WORD_STATE(w->word), DSMX_REQUEST_CANCEL);
	dx_tx_refuse(w->mesh, w->peer, w->slot, w->word, &w->request, DSMX_STREAM_CANCELLED, NULL);
	settle(&p);
	CHECK_EQ(p.sides[LEADER].mesh->peers[WORKER].rx[0] == NULL, 1);
	CHECK_EQ(w->requests, 1);
	teardown(&p);
}

TEST(chan_dead_producer,
     "a dead producer is -EOWNERDEAD, but FIN is FIN and frames stay readable until released")
{
	for (int finished = 0; finished < 2; finished++) {
		struct pair p;
		struct dx_rx *rx;
		struct dx_tx *tx;
		struct dx_frame_view view;
		uint32_t said;

		CHECK_EQ(setup(&p), 0);
		CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
		CHECK_EQ(push(p.sides[WORKER].mesh, tx, 41), 0);
		if (finished)
			dx_tx_finish(tx, DSMX_STREAM_FIN, NULL);
		settle(&p);
		dx_mesh_peer_dead(p.sides[LEADER].mesh, WORKER, 10 + WORKER);
		dx_mesh_peer_dead(p.sides[LEADER].mesh, WORKER, 10 + WORKER);
		CHECK_EQ(p.sides[LEADER].deaths, 1);
		CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), 1);
		CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), finished ? 0 : -EOWNERDEAD);
		memcpy(&said, view.bytes, sizeof(said));
		CHECK_EQ(said, 41);
		dx_rx_release(rx, view.id);
		dx_rx_close(rx);
		CHECK_EQ(p.sides[LEADER].mesh->peers[WORKER].rx[0] == NULL, 1);
		CHECK_EQ(dx_rx_open(p.sides[LEADER].mesh, WORKER, &key, false, &rx, NULL),
		         -EOWNERDEAD);
		teardown(&p);
	}
}

TEST(chan_dead_consumer,
     "when the consumer dies, all its frames come back and the producer hears -EPIPE")
{
	struct pair p;
	struct dx_rx *rx;
	struct dx_tx *tx;
	struct dx_frame_view view;
	struct counting_waker owner = { { count_wake }, 0 };

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
	dx_tx_set_owner(tx, &owner.waker);
	CHECK_EQ(push(p.sides[WORKER].mesh, tx, 1), 0);
	settle(&p);
	CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), 1);
	dx_mesh_peer_dead(p.sides[WORKER].mesh, LEADER, 10 + LEADER);
	CHECK_EQ(owner.wakes > 0, 1);
	CHECK_EQ(dx_tx_room(tx, 1, NULL), -EPIPE);
	CHECK_EQ(dx_slab_used(dx_mesh_slabs(p.sides[WORKER].mesh)), 0);
	dx_tx_finish(tx, DSMX_STREAM_CANCELLED, NULL);
	teardown(&p);
}

TEST(chan_slots_full, "more streams than slots are -E2BIG with the numbers")
{
	struct pair p;
	struct dx_rx *rx[SLOTS], *one_more;
	struct dsmx_error err;

	CHECK_EQ(setup(&p), 0);
	for (int i = 0; i < SLOTS; i++)
		CHECK_EQ(dx_rx_open(p.sides[LEADER].mesh, WORKER, &key, false, &rx[i], NULL), 0);
	CHECK_EQ(dx_rx_open(p.sides[LEADER].mesh, WORKER, &key, false, &one_more, &err), -E2BIG);
	CHECK_EQ(strstr(err.message, "all 4 streams") != NULL, 1);
	teardown(&p);
}

TEST(chan_local, "a stream within one process hands frames over without the ring's memory")
{
	struct pair p;
	struct side *l = &p.sides[LEADER];
	struct dx_rx *rx;
	struct dx_tx *tx;
	struct dx_frame_view view;

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(dx_rx_open(l->mesh, LEADER, &key, false, &rx, NULL), 0);
	settle(&p);
	CHECK_EQ(l->requests, 1);
	CHECK_EQ(dx_tx_open(l->mesh, l->peer, l->slot, l->word, &l->request, 0, 1 << 20, &tx), 0);
	CHECK_EQ(dx_tx_local(tx), 1);
	CHECK_EQ(push(l->mesh, tx, 9), 0);
	dx_tx_finish(tx, DSMX_STREAM_FIN, NULL);
	settle(&p);
	CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), 1);
	CHECK_EQ(view.rows, 9);
	dx_rx_release(rx, view.id);
	CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), 0);
	dx_rx_close(rx);
	settle(&p);
	CHECK_EQ(dx_slab_used(dx_mesh_slabs(l->mesh)), 0);
	CHECK_EQ(l->mesh->peers[LEADER].tx[0] == NULL, 1);
	teardown(&p);
}

/* --- hostile ------------------------------------------------------------------------------------------------ */

enum lie {
	LIE_OFFSET_FAR,
	LIE_OFFSET_WRAPS,
	LIE_OFFSET_ODD,
	LIE_LENGTH,
	LIE_LENGTH_SMALL,
	LIE_FRAME_ID,
	LIE_FRAME_TWICE,
	LIE_GENERATION,
	LIE_TAIL_FAR,
	LIE_FINAL_TAIL,
	LIE_RING_OFFSET,
	LIE_RING_SLOTS,
};

/* What the owner of the producer's segments can write at any time. */
static void lie(struct pair *p, struct dx_tx *tx, enum lie which)
{
	struct dsmx_descriptor_abi *d = &tx->ring.slots[0];

	(void)p;
	switch (which) {
	case LIE_OFFSET_FAR:
		d->offset = DATA;
		break;
	case LIE_OFFSET_WRAPS:
		d->offset = UINT64_MAX - 63;
		break;
	case LIE_OFFSET_ODD:
		d->offset += 8;
		break;
	case LIE_LENGTH:
		d->bytes = UINT32_MAX;
		break;
	case LIE_LENGTH_SMALL:
		d->bytes = 3;
		break;
	case LIE_FRAME_ID:
		d->frame = FRAMES;
		break;
	case LIE_FRAME_TWICE:
		tx->ring.slots[1].frame = d->frame;
		break;
	case LIE_GENERATION:
		d->generation++;
		break;
	case LIE_TAIL_FAR:
		tx->stream->tail = FRAMES + 1;
		break;
	case LIE_FINAL_TAIL:
		tx->stream->final_tail = 1;
		*tx->word = DSMX_WORD(tx->generation, DSMX_STREAM_FIN);
		break;
	case LIE_RING_OFFSET:
		tx->stream->ring_offset = DATA - 32;
		break;
	case LIE_RING_SLOTS:
		tx->stream->ring_slots = 1U << 31;
		break;
	}
}

TEST(chan_hostile_producer,
     "whatever a producer writes into its own segments, the reader says -EBADMSG and reads nothing")
{
	for (int which = LIE_OFFSET_FAR; which <= LIE_RING_SLOTS; which++) {
		struct pair p;
		struct dx_rx *rx;
		struct dx_tx *tx;
		struct dx_frame_view view;
		int r, frames = 0;

		CHECK_EQ(setup(&p), 0);
		CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
		CHECK_EQ(push(p.sides[WORKER].mesh, tx, 1), 0);
		CHECK_EQ(push(p.sides[WORKER].mesh, tx, 2), 0);
		dx_mesh_flush(p.sides[WORKER].mesh);
		lie(&p, tx, (enum lie)which);
		while ((r = dx_rx_next(rx, NULL, &view, NULL)) == 1)
			frames++;
		CHECK_EQ(r, -EBADMSG);
		CHECK_EQ(frames <= 2, 1);
		dx_rx_close(rx);
		teardown(&p);
	}
}

TEST(chan_hostile_consumer,
     "a consumer that releases what it does not hold costs its own stream and nothing else")
{
	static const struct {
		uint64_t released;
		uint32_t id;
		int want;
	} rows[] = {
		{ 1, 3, -EBADMSG },                       /* an id that is not out */
		{ 1, UINT32_MAX, -EBADMSG },              /* an id that cannot be */
		{ 2, 0, -EBADMSG },                       /* more than are out */
		{ UINT64_MAX, 0, -EBADMSG }, { 1, 0, 1 }, /* and the one that is */
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct pair p;
		struct dx_rx *rx;
		struct dx_tx *tx;
		struct dx_frame_view view;

		CHECK_EQ(setup(&p), 0);
		CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
		CHECK_EQ(push(p.sides[WORKER].mesh, tx, 1), 0);
		settle(&p);
		CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), 1);
		rx->log.ids[0] = rows[i].id;
		rx->request->released = rows[i].released;
		CHECK_EQ(dx_tx_room(tx, 1, NULL), rows[i].want);
		teardown(&p);
	}
}

TEST(chan_asked_the_predecessor,
     "a newcomer does not answer what its predecessor was asked by one who has not heard of the death")
{
	struct pair p;
	struct side *w = &p.sides[WORKER];
	struct dx_mesh *old;
	struct dx_reactor *reactor;
	struct dx_rx *rx;

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(dx_rx_open(p.sides[LEADER].mesh, WORKER, &key, false, &rx, NULL), 0);
	dx_mesh_flush(p.sides[LEADER].mesh);
	old = w->mesh;
	reactor = w->reactor;
	memset(w, 0, sizeof(*w));
	CHECK_EQ(make_side_at(w, WORKER, 20 + WORKER), 0);
	CHECK_EQ(attach(&p, WORKER, LEADER), 0);
	settle(&p);
	CHECK_EQ(w->requests, 0);
	CHECK_EQ(dx_mesh_page(w->mesh)->stale, 1);
	dx_mesh_peer_dead(p.sides[LEADER].mesh, WORKER, 10 + WORKER);
	CHECK_EQ(attach(&p, LEADER, WORKER), 0);
	dx_rx_close(rx);
	CHECK_EQ(dx_rx_open(p.sides[LEADER].mesh, WORKER, &key, false, &rx, NULL), 0);
	settle(&p);
	CHECK_EQ(w->requests, 1);
	dx_mesh_free(old);
	dx_reactor_free(reactor);
	teardown(&p);
}

TEST(chan_held_is_taken, "a reader that waits while it holds frames says that it took them")
{
	struct pair p;
	struct dx_rx *rx;
	struct dx_tx *tx;
	struct dx_frame_view view;
	struct counting_waker waker = { { count_wake }, 0 };

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
	CHECK_EQ(push(p.sides[WORKER].mesh, tx, 1), 0);
	settle(&p);
	CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), 1);
	CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), -EAGAIN);
	CHECK_EQ(rx->request->taken, 1);
	CHECK_EQ(rx->request->released, 0);
	teardown(&p);
}

TEST(chan_cancel_overtakes,
     "a CANCEL that comes while its START is being answered is answered itself")
{
	struct pair p;
	struct side *w = &p.sides[WORKER];
	struct dx_rx *rx;
	struct dx_tx *tx;

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(dx_rx_open(p.sides[LEADER].mesh, WORKER, &key, false, &rx, NULL), 0);
	settle(&p);
	CHECK_EQ(DSMX_WORD_STATE(w->word), DSMX_REQUEST_START);
	dx_rx_close(rx);
	CHECK_EQ(dx_tx_open(w->mesh, w->peer, w->slot, w->word, &w->request, 0, 1 << 20, &tx),
	         -ESTALE);
	settle(&p);
	CHECK_EQ(w->requests, 2);
	CHECK_EQ(DSMX_WORD_STATE(w->word), DSMX_REQUEST_CANCEL);
	dx_tx_refuse(w->mesh, w->peer, w->slot, w->word, &w->request, DSMX_STREAM_CANCELLED, NULL);
	settle(&p);
	CHECK_EQ(w->requests, 2);
	CHECK_EQ(p.sides[LEADER].mesh->peers[WORKER].rx[0] == NULL, 1);
	teardown(&p);
}

/* The worker dies, and another incarnation of it takes its place. */
static int replace_worker(struct pair *p, struct dx_mesh **ret_old, struct dx_reactor **ret_reactor)
{
	struct side *w = &p->sides[WORKER];
	int r;

	*ret_old = w->mesh;
	*ret_reactor = w->reactor;
	dx_mesh_peer_dead(p->sides[LEADER].mesh, WORKER, w->mesh->params.epoch);
	memset(w, 0, sizeof(*w));
	r = make_side_at(w, WORKER, 20 + WORKER);
	if (r == 0)
		r = attach(p, LEADER, WORKER);
	return r == 0 ? attach(p, WORKER, LEADER) : r;
}

TEST(chan_consumer_replaced,
     "a new incarnation of the consumer is not given the answers that the last one had")
{
	struct pair p;
	struct side *l = &p.sides[LEADER];
	struct dx_mesh *old;
	struct dx_reactor *reactor;
	struct dx_rx *rx;
	struct dx_tx *tx;
	struct dx_frame_view view;
	struct counting_waker waker = { { count_wake }, 0 };

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(dx_rx_open(p.sides[WORKER].mesh, LEADER, &key, false, &rx, NULL), 0);
	settle(&p);
	CHECK_EQ(dx_tx_open(l->mesh, l->peer, l->slot, l->word, &l->request, 0, 1 << 20, &tx), 0);
	CHECK_EQ(push(l->mesh, tx, 1), 0);
	dx_tx_finish(tx, DSMX_STREAM_FIN, NULL);
	settle(&p);
	CHECK_EQ(replace_worker(&p, &old, &reactor), 0);
	CHECK_EQ(dx_rx_open(p.sides[WORKER].mesh, LEADER, &key, false, &rx, NULL), 0);
	CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), -EAGAIN);
	settle(&p);
	CHECK_EQ(l->requests, 2);
	dx_mesh_free(old);
	dx_reactor_free(reactor);
	teardown(&p);
}

TEST(chan_producer_replaced,
     "a stream whose producer died stays dead when another incarnation takes the place")
{
	struct pair p;
	struct side *l = &p.sides[LEADER];
	struct dx_mesh *old;
	struct dx_reactor *reactor;
	struct dx_rx *rx, *closed;
	struct dx_tx *tx;
	struct dx_frame_view view;
	struct counting_waker waker = { { count_wake }, 0 };

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(open_stream(&p, &closed, &tx, 1 << 20), 0);
	CHECK_EQ(push(p.sides[WORKER].mesh, tx, 1), 0);
	settle(&p);
	CHECK_EQ(dx_rx_next(closed, &waker.waker, &view, NULL), 1);
	CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
	settle(&p);
	CHECK_EQ(replace_worker(&p, &old, &reactor), 0);
	CHECK_EQ(dx_rx_next(rx, &waker.waker, &(struct dx_frame_view){ 0 }, NULL), -EOWNERDEAD);
	dx_rx_close(rx);
	dx_rx_close(closed);
	settle(&p);
	CHECK_EQ(p.sides[WORKER].requests, 0); /* none of them is the new one's */
	CHECK_EQ(l->mesh->peers[WORKER].rx[0] == closed, 1);
	dx_rx_release(closed, view.id);
	CHECK_EQ(l->mesh->peers[WORKER].rx[0] == NULL, 1);
	CHECK_EQ(l->mesh->peers[WORKER].rx[1] == NULL, 1);
	dx_mesh_free(old);
	dx_reactor_free(reactor);
	teardown(&p);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
