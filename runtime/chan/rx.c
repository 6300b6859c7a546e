/* SPDX-License-Identifier: MIT */
/*
 * rx.c - see rx.h for the states
 *
 * Who writes what: the request record, its word and the release log are ours; the stream record, its word,
 * the descriptors and the frames are the producer's. Order of reading: word, then tail, then descriptors; a
 * final word is stored after the last tail, so a tail read after it is the last one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/probe.h"
#include "chan/flight.h"
#include "chan/internal.h"
#include "chan/phase.h"

/* A probe of this stream; @extra: what only this probe says. */
#define PROBE(name, rx, extra)                                                                     \
	DX_PROBE(name, dx_mesh_page((rx)->mesh)->session, (rx)->request->query,                    \
	         (rx)->request->exchange, (rx)->request->task, (rx)->request->partition, extra)

__attribute__((cold, noinline)) static void note(const struct dx_rx *rx, uint16_t kind, uint32_t a,
                                                 uint32_t b)
{
	dx_flight_write(rx->mesh, &(struct dsmx_flight_event_abi){
					  .query = (uint32_t)rx->request->query,
					  .kind = kind,
					  .peer = (uint16_t)rx->peer->index,
					  .exchange = (uint16_t)rx->request->exchange,
					  .task = (uint16_t)rx->request->task,
					  .partition = (uint16_t)rx->request->partition,
					  .a = a,
					  .b = b,
				  });
}

/* An event of this stream, for the flight recorder. */
#define FLIGHT(name, rx, a, b)                                                                     \
	do {                                                                                       \
		if (DX_FLIGHT_ON((rx)->mesh))                                                      \
			note(rx, DSMX_FLIGHT_##name, (uint32_t)(a), (uint32_t)(b));                \
	} while (0)

static void set_word(struct dx_rx *rx, uint32_t state)
{
	dx_store_release(DX_EDGE_REQUEST, rx->word, DSMX_WORD(rx->generation, state));
	dx_mesh_changed(rx->mesh, rx->peer->index);
}

void dx_rx_untell(struct dx_rx *rx)
{
	rx->told = false;
	dx_list_unlink(&rx->waiting);
	dx_list_append(&rx->mesh->rx_waiting, &rx->waiting);
}

static int fail(struct dx_rx *rx, int code, const char *what)
{
	if (rx->error.code == 0) {
		(void)dx_error(&rx->error, code, "exchange %u, stream from process %u: %s",
		               rx->request->exchange, rx->peer->index, what);
		rx->error.exchange = (int)rx->request->exchange;
		rx->error.worker = (int)rx->peer->index - 1;
	}
	return rx->error.code;
}

void dx_rx_accuse(struct dx_rx *rx, const char *what)
{
	if (!rx->dead)
		dx_peer_accuse(rx->peer, what);
}

/* Seen here, not said by somebody: the producer broke a rule. */
static int broke(struct dx_rx *rx, const char *what)
{
	(void)fail(rx, -EBADMSG, what);
	dx_rx_accuse(rx, rx->error.message);
	return rx->error.code;
}

static int free_slot(struct dx_peer *peer, uint32_t slots)
{
	for (uint32_t i = 0; i < slots; i++)
		if (peer->rx[i] == NULL)
			return (int)i;
	return -1;
}

/* Will a slot be free as soon as its producer answers? Not one whose frames somebody keeps. */
static bool frees_slot(const struct dx_peer *peer, uint32_t slots)
{
	for (uint32_t i = 0; i < slots; i++)
		if (peer->rx[i] != NULL && peer->rx[i]->closing && peer->rx[i]->held_count == 0)
			return true;
	return false;
}

/* The frame's bytes and its place are written before the word, and stay until the producer has answered it. */
static void lend_filters(struct dx_rx *rx, const struct dx_stream_key *key)
{
	rx->filters = key->filters;
	dx_frame_retain(rx->filters);
	rx->request->filter_offset = (uint64_t)(rx->filters->bytes - dx_mesh_data(rx->mesh));
	rx->request->filter_bytes = key->filters_bytes;
	dx_rx_untell(rx); /* whether or not somebody reads it soon */
}

static void take_filters_back(struct dx_rx *rx)
{
	if (rx->filters != NULL)
		dx_frame_release(rx->filters);
	rx->filters = NULL;
}

/*
 * The request is complete and its counts are 0 before the word says so. The producer of the slot's last stream may still
 * look at the counts, so each is one store. Whoever sees a count fall sees that the stream before was DONE.
 */
static void fill_request(struct dx_rx *rx, const struct dx_stream_key *key, bool cancel)
{
	struct dx_mesh *mesh = rx->mesh;
	struct dsmx_request_abi *request = rx->request;

	dx_store_release(DX_EDGE_RELEASED, &request->released, 0);
	dx_store_release(DX_EDGE_TAKEN, &request->taken, 0);
	dx_store_plain(&request->wanted, DSMX_WANTED_NONE);
	request->query = key->query;
	request->exchange = key->exchange;
	request->task = key->task;
	request->partition = key->partition;
	request->partitions = key->partitions;
	request->attempt = key->attempt;
	request->record = key->record;
	request->plan_hash = key->plan_hash;
	request->schema_hash = key->schema_hash;
	request->sent_ns = dx_now_ns();
	request->first_read_ns = 0;
	request->epoch = dx_mesh_epoch(mesh, rx->peer->index);
	request->filter_offset = request->filter_bytes = 0;
	if (key->filters != NULL)
		lend_filters(rx, key);
	if (rx->peer->own_line->requests <= rx->slot)
		dx_store_plain(&rx->peer->own_line->requests, rx->slot + 1);
	dx_store_plain(&dx_mesh_page(mesh)->start_streams,
	               dx_mesh_page(mesh)->start_streams + !cancel);
	if (!cancel) {
		PROBE(ss_send, rx, key->attempt);
		FLIGHT(send, rx, 0, 0);
	}
	set_word(rx, cancel ? DSMX_REQUEST_CANCEL : DSMX_REQUEST_START);
}

static struct dx_rx *make(struct dx_mesh *mesh, struct dx_peer *peer, uint32_t slot)
{
	const struct dx_layout *l = &mesh->layout;
	size_t own = dx_layout_slot(l, peer->index, slot);
	size_t theirs = dx_layout_slot(l, mesh->params.self, slot);
	const void *page = dx_mesh_peer_page(mesh, peer->index);
	struct dx_rx *rx = calloc(1, sizeof(*rx));

	if (rx == NULL)
		return NULL;
	rx->held = calloc(l->frames, sizeof(*rx->held));
	if (rx->held == NULL) {
		free(rx);
		return NULL;
	}
	rx->mesh = mesh;
	rx->peer = peer;
	rx->slot = slot;
	rx->generation = ++peer->generation[slot];
	rx->mapping = peer->mapping;
	if (rx->mapping != NULL)
		dx_mapping_retain(rx->mapping);
	rx->request = DX_LAYOUT_AT(struct dsmx_request_abi, mesh->page.base, l->requests, own);
	rx->word = DX_LAYOUT_AT(uint64_t, mesh->page.base, l->request_words, own);
	rx->stream = DX_LAYOUT_PEER(struct dsmx_stream_abi, page, l->streams, theirs);
	rx->answer = DX_LAYOUT_PEER(uint64_t, page, l->stream_words, theirs);
	rx->log = (struct dx_log_tx){
		.ids = DX_LAYOUT_AT(uint32_t, mesh->page.base, l->logs, own * l->frames),
		.mask = l->frames - 1,
		.released_word = &rx->request->released,
	};
	rx->data = dx_mesh_peer_data(mesh, peer->index);
	rx->data_bytes = dx_mesh_peer_data_bytes(mesh, peer->index);
	dx_list_init(&rx->waiting);
	dx_list_init(&rx->dirty);
	rx->wanted = DSMX_WANTED_NONE;
	peer->rx[slot] = rx;
	return rx;
}

int dx_rx_open(struct dx_mesh *mesh, uint32_t peer, const struct dx_stream_key *key, bool cancel,
               struct dx_rx **ret_rx, struct dsmx_error *err)
{
	struct dx_peer *p = &mesh->peers[peer];
	struct dx_rx *rx;
	int slot;

	if (!dx_mesh_alive(mesh, peer))
		return dx_error(err, -EOWNERDEAD, "exchange %u: process %u is dead", key->exchange,
		                peer);
	slot = free_slot(p, mesh->layout.slots);
	if (slot < 0 && frees_slot(p, mesh->layout.slots))
		return -EAGAIN;
	if (slot < 0)
		return dx_error(
			err, -E2BIG,
			"exchange %u: all %u streams to process %u are in use; open the session "
			"with more streams_per_peer",
			key->exchange, mesh->layout.slots, peer);
	rx = make(mesh, p, (uint32_t)slot);
	if (rx == NULL)
		return dx_error(err, -ENOMEM, "exchange %u: no memory for a stream", key->exchange);
	fill_request(rx, key, cancel);
	rx->cancelled = cancel;
	*ret_rx = rx;
	return 0;
}

/* The producer's record, once it said RUNNING: where its ring is. */
static int attach_ring(struct dx_rx *rx)
{
	uint64_t offset = dx_load_plain(&rx->stream->ring_offset);
	uint32_t slots = dx_load_plain(&rx->stream->ring_slots);
	const struct dsmx_descriptor_abi *base;

	if (rx->mapping == NULL) {
		if (rx->peer->tx[rx->slot] == NULL)
			return broke(rx, "there is no producer");
		base = rx->peer->tx[rx->slot]->ring.slots;
	} else {
		if (slots != rx->mesh->layout.frames || offset % sizeof(*base) != 0 ||
		    offset > rx->data_bytes || slots * sizeof(*base) > rx->data_bytes - offset)
			return broke(rx, "its ring lies outside of its data");
		base = (const void *)(rx->data + offset);
	}
	rx->ring = (struct dx_ring_rx){
		.slots = base,
		.mask = rx->mesh->layout.frames - 1,
		.tail_word = &rx->stream->tail,
		.taken_word = &rx->request->taken,
	};
	return 0;
}

/* Of a stream word, in here only. */
#define STATE_BROKEN (DSMX_STREAM_CANCELLED + 1)

/* What the producer says went wrong; its words are copied, then used. */
static int foreign_error(struct dx_rx *rx, uint32_t state)
{
	const struct dx_layout *l = &rx->mesh->layout;
	/* Of the incarnation that said so; another may be attached by now. */
	const void *page = rx->mapping != NULL ? rx->mapping->page.base : rx->mesh->page.base;
	uint32_t index = dx_load_plain(&rx->stream->error);
	int code = dx_load_plain(&rx->stream->code);
	struct dsmx_error_abi e;

	if (index >= DSMX_ABI_ERRORS || code >= 0 || code < -4095)
		return broke(rx, "its error is none");
	dx_copy_once(&e, DX_LAYOUT_PEER(struct dsmx_error_abi, page, l->errors, index), sizeof(e));
	if (e.query != rx->request->query || e.code != code || e.len >= sizeof(e.text) ||
	    e.len == 0 || e.text[0] == '\0')
		return fail(rx, code, state == DSMX_STREAM_NAK ? "was refused" : "failed");
	(void)dx_error_foreign(&rx->error, code, e.text, e.len);
	rx->error.worker = dx_error_worker(e.worker);
	rx->error.exchange = (int)e.exchange;
	return code;
}

/* The producer is dead, or has said its last word, and it is not FIN. */
static int no_more(struct dx_rx *rx, uint32_t state)
{
	switch (state) {
	case DSMX_STREAM_ERROR:
	case DSMX_STREAM_NAK:
		return foreign_error(rx, state);
	case DSMX_STREAM_CANCELLED:
		return fail(rx, -ECANCELED, "was cancelled");
	case STATE_BROKEN:
		return broke(rx, "its state word is none that may follow");
	default:
		return fail(rx, -EOWNERDEAD, "its process died before the end");
	}
}

static bool is_final(uint32_t state)
{
	return state > DSMX_STREAM_RUNNING;
}

/*
 * State of the answer to this generation. NONE: the word is still of an earlier one. A generation that was not asked
 * for yet, no answer after there was one, or a state that there is not is BROKEN.
 */
static uint32_t answer_state(struct dx_rx *rx)
{
	uint64_t word = dx_load_acquire(DX_EDGE_STREAM, rx->answer);
	uint32_t state = DSMX_WORD_STATE(word);

	if (DSMX_WORD_GENERATION(word) < rx->generation && !rx->answered)
		return DSMX_STREAM_NONE;
	rx->answered = true;
	if (DSMX_WORD_GENERATION(word) != rx->generation || state == DSMX_STREAM_NONE ||
	    state > DSMX_STREAM_CANCELLED)
		return STATE_BROKEN;
	return state;
}

static struct dsmx_phases_abi *phases_of(const struct dx_rx *rx)
{
	return DX_LAYOUT_AT(struct dsmx_phases_abi, rx->mesh->page.base, rx->mesh->layout.phases,
	                    0);
}

/* The last stamp of this StartStream: its first frame, or its end without any. */
static void first_read(struct dx_rx *rx, uint32_t rows)
{
	uint64_t now_ns = dx_now_ns();

	dx_store_plain(&rx->request->first_read_ns, now_ns);
	dx_phases_count(phases_of(rx), rx->request->sent_ns, rx->stream, now_ns);
	PROBE(ss_read, rx, rows);
}

/* Called last, so that nothing has to be kept over it: what is off costs its guard, and no more. */
__attribute__((cold, noinline)) static int noted_take(struct dx_rx *rx,
                                                      const struct dx_frame_view *frame)
{
	note(rx, DSMX_FLIGHT_take, frame->rows, frame->len_bytes);
	return 1;
}

__attribute__((cold, noinline)) static int first_take(struct dx_rx *rx,
                                                      const struct dx_frame_view *frame)
{
	first_read(rx, frame->rows);
	return DX_FLIGHT_ON(rx->mesh) ? noted_take(rx, frame) : 1;
}

static int take(struct dx_rx *rx, struct dx_frame_view *ret_frame)
{
	struct dsmx_descriptor_abi d;

	dx_ring_pop(&rx->ring, &d);
	if (d.frame >= rx->mesh->layout.frames || d.generation != (uint32_t)rx->generation ||
	    d.offset % DSMX_LINE_BYTES != 0 || d.offset > rx->data_bytes ||
	    d.bytes > rx->data_bytes - d.offset || d.bytes < sizeof(struct dsmx_frame_abi) ||
	    rx->held[d.frame] != 0)
		return broke(rx, "a descriptor breaks the rules");
	rx->held[d.frame] = d.bytes;
	rx->held_bytes += d.bytes;
	rx->held_count++;
	rx->unpublished_bytes =
		d.bytes < DX_RELEASE_BYTES ? rx->unpublished_bytes + d.bytes : DX_RELEASE_BYTES;
	*ret_frame = (struct dx_frame_view){
		.bytes = rx->data + d.offset,
		.len_bytes = d.bytes,
		.rows = d.rows,
		.id = d.frame,
	};
	if (rx->ring.taken == 1)
		return first_take(rx, ret_frame);
	return DX_FLIGHT_ON(rx->mesh) ? noted_take(rx, ret_frame) : 1;
}

static int report(const struct dx_rx *rx, struct dsmx_error *err)
{
	if (err != NULL)
		*err = rx->error;
	return rx->error.code;
}

int dx_rx_next(struct dx_rx *rx, struct dsmx_waker *waker, struct dx_frame_view *ret_frame,
               struct dsmx_error *err)
{
	uint32_t state;
	int64_t ready;

	if (rx->error.code != 0)
		return report(rx, err);
	if (rx->ended)
		return 0;
	if (rx->ring.slots != NULL && rx->ring.taken != rx->ring.tail)
		return take(rx, ret_frame) > 0 ? 1 : report(rx, err);

	/* Its peer says when there is something, and a look then ends the waiting. */
	if (rx->told && waker != NULL && waker == rx->waker)
		return -EAGAIN;

	state = answer_state(rx);
	if (state == DSMX_STREAM_RUNNING || state == DSMX_STREAM_FIN) {
		if (rx->ring.slots == NULL && state == DSMX_STREAM_RUNNING && attach_ring(rx) < 0)
			return report(rx, err);
		if (rx->ring.slots == NULL && dx_load_plain(&rx->stream->final_tail) > 0 &&
		    attach_ring(rx) < 0)
			return report(rx, err);
		ready = rx->ring.slots == NULL ? 0 : dx_ring_ready(&rx->ring);
		if (ready < 0) {
			(void)broke(rx, "its tail breaks the rules");
			return report(rx, err);
		}
		if (ready > 0)
			return take(rx, ret_frame) > 0 ? 1 : report(rx, err);
		if (state == DSMX_STREAM_FIN) {
			if (dx_load_plain(&rx->stream->final_tail) != rx->ring.taken) {
				(void)broke(rx, "it ended with another count than it published");
				return report(rx, err);
			}
			rx->ended = true;
			if (rx->ring.taken == 0)
				first_read(rx, 0);
			return 0;
		}
	}
	if (is_final(state) || rx->dead) {
		(void)no_more(rx, state);
		return report(rx, err);
	}
	/* A frame that is held may keep `taken` back; who looks for deadlocks would think it unread. */
	if (rx->ring.slots != NULL && dx_load_plain(rx->ring.taken_word) != rx->ring.taken)
		dx_ring_retire(&rx->ring);
	rx->waker = waker;
	dx_rx_untell(rx);
	return -EAGAIN;
}

static void mark_dirty(struct dx_rx *rx)
{
	if (dx_list_empty(&rx->dirty))
		dx_list_append(&rx->mesh->rx_dirty, &rx->dirty);
}

static inline void release(struct dx_rx *rx, uint32_t id)
{
	if (id >= rx->mesh->layout.frames || rx->held[id] == 0)
		return;
	rx->held_bytes -= rx->held[id];
	rx->held[id] = 0;
	rx->held_count--;
	dx_log_append(&rx->log, id);
	mark_dirty(rx);
	if (rx->unpublished_bytes >= DX_RELEASE_BYTES) {
		dx_rx_publish(rx);
		dx_fence(DX_FENCE_WAKE);
		dx_rx_test(rx);
	}
	if (rx->closing)
		(void)dx_rx_look(rx);
}

__attribute__((cold, noinline)) static void noted_release(struct dx_rx *rx, uint32_t id)
{
	if (id < rx->mesh->layout.frames && rx->held[id] != 0)
		note(rx, DSMX_FLIGHT_release, id, rx->held[id]);
	release(rx, id);
}

void dx_rx_release(struct dx_rx *rx, uint32_t id)
{
	if (DX_FLIGHT_ON(rx->mesh))
		noted_release(rx, id);
	else
		release(rx, id);
}

/* A StartStream is over, read or not. */
static void count_end(struct dx_rx *rx)
{
	struct dsmx_phases_abi *phases = phases_of(rx);

	if (rx->request->first_read_ns == 0) {
		dx_store_plain(&phases->unread, phases->unread + 1);
		PROBE(ss_unread, rx, rx->peer->index);
	}
	PROBE(ss_end, rx, rx->ring.taken);
	FLIGHT(end, rx, 0, rx->ring.taken);
}

void dx_rx_close(struct dx_rx *rx)
{
	rx->closing = true;
	rx->waker = NULL;
	if (!rx->cancelled)
		count_end(rx);
	if (!rx->cancelled && !rx->ended && !rx->dead && !is_final(answer_state(rx))) {
		/* `taken` stands before CANCEL: frames after it come back at once. */
		if (rx->ring.slots != NULL)
			dx_ring_retire(&rx->ring);
		rx->cancelled = true;
		PROBE(ss_cancel, rx, rx->peer->index);
		FLIGHT(cancel, rx, 0, rx->ring.taken);
		set_word(rx, DSMX_REQUEST_CANCEL);
	}
	dx_rx_untell(rx);
	(void)dx_rx_look(rx);
}

/* Closing is over when the answer is final, or never will be, and every frame is back. */
static bool try_done(struct dx_rx *rx)
{
	struct dx_mesh *mesh;
	uint32_t state;

	if (rx->held_count > 0)
		return false;
	state = rx->ended ? DSMX_STREAM_FIN : answer_state(rx);
	if (!is_final(state) && !rx->dead)
		return false;
	if (state == STATE_BROKEN)
		(void)no_more(rx, state); /* nobody will read that, but the peer is accused */
	dx_rx_publish(rx);
	set_word(rx, DSMX_REQUEST_DONE);
	mesh = rx->mesh;
	dx_rx_free(rx);
	dx_mesh_wake_slab_waiters(mesh); /* one of them may wait for the slot */
	return true;
}

bool dx_rx_look(struct dx_rx *rx)
{
	uint32_t state;

	if (rx->closing)
		return try_done(rx);
	state = answer_state(rx);
	if (state != DSMX_STREAM_NONE || rx->dead)
		take_filters_back(rx);
	if (state == DSMX_STREAM_RUNNING &&
	    dx_load_acquire(DX_EDGE_TAIL, &rx->stream->tail) == rx->ring.taken && !rx->dead)
		return false;
	if (state == DSMX_STREAM_NONE && !rx->dead)
		return false;
	rx->told = false;
	dx_list_unlink(&rx->waiting);
	if (rx->waker != NULL)
		rx->waker->wake(rx->waker);
	return true;
}

void dx_rx_orphan(struct dx_rx *rx)
{
	rx->dead = true;
	set_word(rx, DSMX_REQUEST_DONE);
	(void)dx_rx_look(rx);
}

void dx_rx_publish(struct dx_rx *rx)
{
	if (rx->ring.slots != NULL)
		dx_ring_retire(&rx->ring);
	dx_log_publish(&rx->log);
	rx->unpublished_bytes = 0;
}

void dx_rx_test(struct dx_rx *rx)
{
	uint64_t taken = dx_load_plain(&rx->stream->wanted_taken);
	uint64_t released = dx_load_plain(&rx->stream->wanted_released);

	if (dx_wanted_crossed(taken, rx->tested_taken, rx->ring.taken) ||
	    dx_wanted_crossed(released, rx->tested_released, rx->log.released))
		dx_peer_passed(rx->peer);
	rx->tested_taken = rx->ring.taken;
	rx->tested_released = rx->log.released;
	dx_list_unlink(&rx->dirty);
}

void dx_rx_arm(struct dx_rx *rx)
{
	rx->wanted = rx->ring.taken;
	dx_store_plain(&rx->request->wanted, rx->wanted);
}

void dx_rx_try_tell(struct dx_rx *rx)
{
	if (rx->wanted != rx->ring.taken)
		return;
	rx->told = true;
	dx_list_unlink(&rx->waiting);
	dx_list_append(&rx->peer->rx_told, &rx->waiting);
}

void dx_rx_free(struct dx_rx *rx)
{
	rx->peer->rx[rx->slot] = NULL;
	dx_list_unlink(&rx->waiting);
	dx_list_unlink(&rx->dirty);
	take_filters_back(rx);
	if (rx->mapping != NULL)
		dx_mapping_release(rx->mapping);
	free(rx->held);
	free(rx);
}

bool dx_rx_is_lost(struct dx_rx *rx)
{
	return rx->dead && !is_final(answer_state(rx));
}

bool dx_rx_is_whole(struct dx_rx *rx)
{
	return rx->ended || answer_state(rx) == DSMX_STREAM_FIN;
}

uint64_t dx_rx_taken(const struct dx_rx *rx)
{
	return rx->ring.taken;
}

uint32_t dx_rx_peer(const struct dx_rx *rx)
{
	return rx->peer->index;
}

uint32_t dx_rx_held(const struct dx_rx *rx)
{
	return rx->held_count;
}

uint64_t dx_rx_held_bytes(const struct dx_rx *rx)
{
	return rx->held_bytes;
}
