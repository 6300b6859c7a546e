/* SPDX-License-Identifier: MIT */
/* chan_test - streams between two meshes (chan_pair.h): frames, credit, room; how they end is in chan_end_test.c */
#include "chan_pair.h"
#include "harness.h"

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

struct seeing_waker {
	struct dsmx_waker waker;
	const struct dx_tx *tx;
	uint64_t seen;
	int wakes;
};

static void see_wake(struct dsmx_waker *waker)
{
	struct seeing_waker *w = (struct seeing_waker *)waker;

	w->seen = w->tx->stream->seen_released;
	w->wakes++;
}

TEST(chan_woken_before_seen,
     "that frames came back stays news for others until who waited for them was woken")
{
	struct pair p;
	struct dx_rx *rx;
	struct dx_tx *tx;
	struct dx_frame_view view;
	struct counting_waker reader = { { count_wake }, 0 };

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
	for (int slabs = 0; slabs < 2; slabs++) {
		struct seeing_waker waker = { { see_wake }, tx, 99, 0 };

		for (uint32_t i = 0; tx->out < FRAMES; i++)
			CHECK_EQ(push(p.sides[WORKER].mesh, tx, i), 0);
		if (slabs == 1)
			dx_mesh_wait_room(p.sides[WORKER].mesh, &waker.waker);
		else
			CHECK_EQ(dx_tx_room(tx, 1, &waker.waker), -EAGAIN);
		settle(&p);
		CHECK_EQ(dx_rx_next(rx, &reader.waker, &view, NULL), 1);
		dx_rx_release(rx, view.id);
		settle(&p);
		CHECK_EQ(waker.wakes, 1);
		CHECK_EQ(waker.seen, slabs);
		CHECK_EQ(tx->stream->seen_released, slabs + 1);
	}
	dx_rx_close(rx);
	settle(&p);
	dx_tx_finish(tx, DSMX_STREAM_CANCELLED, NULL);
	settle(&p);
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

/* Pieces pushed until the consumer can see more of them, without a flush; 0: they cannot be pushed. */
static uint32_t push_batch(struct pair *p, struct dx_tx *tx)
{
	uint64_t before = *tx->ring.tail_word;
	uint32_t count = 0;

	while (*tx->ring.tail_word == before) {
		if (push(p->sides[WORKER].mesh, tx, count) < 0)
			return 0;
		count++;
	}
	return count;
}

TEST(chan_batches,
     "pushes are told at 16, 32 and 64 KiB, or a quarter of the window; the rest by the flush")
{
	static const struct {
		uint32_t frames;
		uint64_t credit;
		uint32_t batches[4]; /* in pieces */
	} rows[] = {
		{ 64, 1 << 20, { 4, 8, 16, 16 } },
		{ 64, 16 * DX_PIECE_BYTES, { 4, 4, 4, 4 } }, /* of the credit */
		{ 32, 1 << 20, { 4, 8, 8, 8 } },             /* of the ring */
		{ 4, 1 << 20, { 1, 1, 1, 1 } },
		{ 64, 1, { 1 } }, /* one frame always may be out */
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct pair p;
		struct dx_rx *rx;
		struct dx_tx *tx;
		uint64_t published = 0;

		CHECK_EQ(setup_of(&p, rows[i].frames), 0);
		CHECK_EQ(open_stream(&p, &rx, &tx, rows[i].credit), 0);
		for (size_t b = 0; b < 4 && rows[i].batches[b] > 0; b++) {
			CHECK_EQ(push_batch(&p, tx), rows[i].batches[b]);
			published += rows[i].batches[b];
			CHECK_EQ(*tx->ring.tail_word, published);
		}
		if (rows[i].frames == 64 && rows[i].credit == 1 << 20) {
			CHECK_EQ(push(p.sides[WORKER].mesh, tx, 1), 0);
			CHECK_EQ(*tx->ring.tail_word, published);
			dx_mesh_flush(p.sides[WORKER].mesh);
			CHECK_EQ(*tx->ring.tail_word, published + 1);
		}
		teardown(&p);
	}
}

TEST(chan_collects, "what came back is looked for when there is no room, or when asked for")
{
	struct pair p;
	struct dx_rx *rx;
	struct dx_tx *tx;
	struct dx_frame_view view;
	struct dsmx_error err;

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < FRAMES - 1; i++)
			CHECK_EQ(push(p.sides[WORKER].mesh, tx, i), 0);
		for (uint32_t i = 0; i < FRAMES - 1; i++) {
			CHECK_EQ(dx_rx_next(rx, NULL, &view, &err), 1);
			dx_rx_release(rx, view.id);
		}
		dx_mesh_flush(p.sides[LEADER].mesh);
		CHECK_EQ(dx_tx_room(tx, DX_PIECE_BYTES, NULL), 1);
		CHECK_EQ(dx_tx_outstanding(tx), (FRAMES - 1) * DX_PIECE_BYTES);
		if (round == 0)
			dx_tx_collect(tx);
		else
			CHECK_EQ(dx_tx_room(tx, 1 << 20, NULL), 1);
		CHECK_EQ(dx_tx_outstanding(tx), 0);
		CHECK_EQ(dx_slab_used(dx_mesh_slabs(p.sides[WORKER].mesh)), 0);
	}
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

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
