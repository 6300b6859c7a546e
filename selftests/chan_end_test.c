/* SPDX-License-Identifier: MIT */
/* chan_end_test - how streams between two meshes (chan_pair.h) end: cancelled, refused, by death; and what comes after */
#include "chan_pair.h"
#include "harness.h"

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

/* Who was at the worker's place before. */
struct predecessor {
	struct dx_mesh *mesh;
	struct dx_reactor *reactor;
};

/* Another incarnation of the worker takes its place, and knows the leader; the leader has not heard of it. */
static int succeed(struct pair *p, struct predecessor *ret_old)
{
	struct side *w = &p->sides[WORKER];
	int r;

	*ret_old = (struct predecessor){ w->mesh, w->reactor };
	memset(w, 0, sizeof(*w));
	r = make_side_at(w, WORKER, 20 + WORKER);
	return r == 0 ? attach(p, WORKER, LEADER) : r;
}

/* The worker dies, and the leader knows its successor too. */
static int replace_worker(struct pair *p, struct predecessor *ret_old)
{
	int r;

	dx_mesh_peer_dead(p->sides[LEADER].mesh, WORKER, 10 + WORKER);
	r = succeed(p, ret_old);
	return r == 0 ? attach(p, LEADER, WORKER) : r;
}

static void bury(struct predecessor *old)
{
	dx_mesh_free(old->mesh);
	dx_reactor_free(old->reactor);
}

TEST(chan_asked_the_predecessor,
     "a newcomer does not answer what its predecessor was asked by one who has not heard of the death")
{
	struct pair p;
	struct side *w = &p.sides[WORKER];
	struct predecessor old;
	struct dx_rx *rx;

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(dx_rx_open(p.sides[LEADER].mesh, WORKER, &key, false, &rx, NULL), 0);
	dx_mesh_flush(p.sides[LEADER].mesh);
	CHECK_EQ(succeed(&p, &old), 0);
	settle(&p);
	CHECK_EQ(w->requests, 0);
	CHECK_EQ(dx_mesh_page(w->mesh)->stale, 1);
	dx_mesh_peer_dead(p.sides[LEADER].mesh, WORKER, 10 + WORKER);
	CHECK_EQ(attach(&p, LEADER, WORKER), 0);
	dx_rx_close(rx);
	CHECK_EQ(dx_rx_open(p.sides[LEADER].mesh, WORKER, &key, false, &rx, NULL), 0);
	settle(&p);
	CHECK_EQ(w->requests, 1);
	bury(&old);
	teardown(&p);
}

TEST(chan_consumer_replaced,
     "a new incarnation of the consumer is not given the answers that the last one had")
{
	struct pair p;
	struct side *l = &p.sides[LEADER];
	struct predecessor old;
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
	CHECK_EQ(replace_worker(&p, &old), 0);
	CHECK_EQ(dx_rx_open(p.sides[WORKER].mesh, LEADER, &key, false, &rx, NULL), 0);
	CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), -EAGAIN);
	settle(&p);
	CHECK_EQ(l->requests, 2);
	bury(&old);
	teardown(&p);
}

TEST(chan_producer_replaced,
     "a stream whose producer died stays dead when another incarnation takes the place")
{
	struct pair p;
	struct side *l = &p.sides[LEADER];
	struct predecessor old;
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
	CHECK_EQ(replace_worker(&p, &old), 0);
	CHECK_EQ(dx_rx_next(rx, &waker.waker, &(struct dx_frame_view){ 0 }, NULL), -EOWNERDEAD);
	dx_rx_close(rx);
	dx_rx_close(closed);
	settle(&p);
	CHECK_EQ(p.sides[WORKER].requests, 0); /* none of them is the new one's */
	CHECK_EQ(l->mesh->peers[WORKER].rx[0] == closed, 1);
	dx_rx_release(closed, view.id);
	CHECK_EQ(l->mesh->peers[WORKER].rx[0] == NULL, 1);
	CHECK_EQ(l->mesh->peers[WORKER].rx[1] == NULL, 1);
	bury(&old);
	teardown(&p);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
