/* SPDX-License-Identifier: MIT */
/* chan_hostile_test - what a peer can write into its own segments at any time, and what that costs: its stream */
#include "chan_pair.h"
#include "harness.h"

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
	LIE_WORD_LATER,
	LIE_WORD_STATE,
	LIE_WORD_NONE,
	LIE_WORD_BACK,
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
	case LIE_WORD_LATER:
		*tx->word = DSMX_WORD(tx->generation + 1, DSMX_STREAM_RUNNING);
		break;
	case LIE_WORD_STATE:
		*tx->word = DSMX_WORD(tx->generation, DSMX_STREAM_CANCELLED + 1);
		break;
	case LIE_WORD_NONE:
		*tx->word = DSMX_WORD(tx->generation, DSMX_STREAM_NONE);
		break;
	case LIE_WORD_BACK:
		*tx->word = DSMX_WORD(tx->generation - 1, DSMX_STREAM_FIN);
		break;
	}
}

TEST(chan_hostile_producer,
     "whatever a producer writes into its own segments, the reader says -EBADMSG and reads nothing")
{
	for (int which = LIE_OFFSET_FAR; which <= LIE_WORD_BACK; which++) {
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
		if (which == LIE_WORD_BACK) { /* after the right one was seen */
			CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), 1);
			frames++;
		}
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
		CHECK_EQ(dx_tx_room(tx, 1 << 20, NULL), rows[i].want); /* all of the credit */
		teardown(&p);
	}
}

TEST(chan_hostile_error,
     "a refusal without a text, or with one that would play with a terminal, is said in plain words")
{
	static const struct {
		const char *text;
		uint32_t len;
		const char *want;
	} rows[] = {
		{ "lost", 4, "lost" },
		{ "lost", 2, "lo" },
		{ "", 0, "exchange 2, stream from process 1: was refused" },
		{ "\0lost", 5, "exchange 2, stream from process 1: was refused" },
		{ "a\033[2Jb\nc", 7, "a?[2Jb?" },
		{ "lost", 472, "exchange 2, stream from process 1: was refused" },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_error err = { 0 };
		struct dsmx_error_abi *e;
		struct pair p;
		struct dx_rx *rx;
		struct dx_tx *tx;
		struct dx_frame_view view;

		CHECK_EQ(setup(&p), 0);
		CHECK_EQ(open_stream(&p, &rx, &tx, 1 << 20), 0);
		e = DX_LAYOUT_AT(struct dsmx_error_abi, p.sides[WORKER].mesh->page.base,
		                 p.sides[WORKER].mesh->layout.errors, 0);
		*e = (struct dsmx_error_abi){
			.query = key.query, .code = -EIO, .worker = 4711, .len = rows[i].len
		};
		memcpy(e->text, rows[i].text, rows[i].len < 8 ? rows[i].len : 4);
		tx->stream->code = -EIO;
		tx->stream->error = 0;
		*tx->word = DSMX_WORD(tx->generation, DSMX_STREAM_NAK);
		CHECK_EQ(dx_rx_next(rx, NULL, &view, &err), -EIO);
		CHECK_STR(err.message, rows[i].want);
		CHECK(err.worker < (int)DSMX_ABI_PEERS);
		dx_rx_close(rx);
		teardown(&p);
	}
}

TEST(chan_hostile_death,
     "a process that says that it died, before anybody serves here, is dead and no more than that")
{
	struct pair p;

	CHECK_EQ(setup(&p), 0);
	dx_mesh_set_ops(p.sides[LEADER].mesh, NULL);
	DX_LAYOUT_AT(struct dsmx_bell_abi, p.sides[WORKER].mesh->page.base,
	             p.sides[WORKER].mesh->layout.bells, LEADER)
		->requests = SLOTS;
	DX_LAYOUT_AT(uint64_t, p.sides[WORKER].mesh->page.base,
	             p.sides[WORKER].mesh->layout.request_words,
	             dx_layout_slot(&p.sides[WORKER].mesh->layout, LEADER, 0))
	[0] = DSMX_WORD(1, DSMX_REQUEST_START);
	DX_LAYOUT_AT(struct dsmx_live_abi, p.sides[WORKER].mesh->page.base,
	             p.sides[WORKER].mesh->layout.live, LEADER)
		->word = 1U << 30; /* FUTEX_OWNER_DIED */
	(void)dx_reactor_turn(p.sides[LEADER].reactor, 0);
	CHECK_EQ(dx_mesh_alive(p.sides[LEADER].mesh, WORKER), 0);
	teardown(&p);
}

static void count_accused(void *arg, uint32_t peer, const char *what)
{
	(void)peer;
	printf("# %s\n", what);
	(*(int *)arg)++;
}

static bool closed_all(void *arg, uint32_t peer, uint64_t query)
{
	(void)arg;
	return peer == LEADER && query == key.query;
}

/* A query's end comes by another word than its streams': both are there, and only one was looked at. */
TEST(chan_closed,
     "who closed a stream unread and then its query is not accused; who keeps a frame is")
{
	for (int lies = 0; lies < 2; lies++) {
		struct dx_frame_view view;
		int accused = 0;
		struct dx_rx *rx;
		struct dx_tx *tx;
		struct pair p;

		CHECK_EQ(setup(&p), 0);
		dx_mesh_set_accuse(p.sides[WORKER].mesh, count_accused, &accused);
		CHECK_EQ(open_stream(&p, &rx, &tx, DATA), 0);
		for (uint32_t i = 0; i < 3; i++)
			CHECK_EQ(push(p.sides[WORKER].mesh, tx, i), 0);
		dx_tx_finish(tx, DSMX_STREAM_FIN, NULL);
		settle(&p);
		CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), 1);
		if (lies == 0) {
			dx_rx_release(rx, view.id);
			dx_rx_close(rx);
		}
		dx_mesh_flush(p.sides[LEADER].mesh);
		CHECK(dx_tx_reclaim(p.sides[WORKER].mesh, closed_all, NULL));
		CHECK_EQ(accused, lies);
		settle(&p);
		teardown(&p);
	}
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
