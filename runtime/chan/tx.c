/* SPDX-License-Identifier: MIT */
/*
 * tx.c - see tx.h for the states
 *
 * Who writes what: the stream record, its word, the descriptors and the frames are ours; the request record,
 * its word and the release log are the consumer's. Its counts are believed only within our own books: an id that
 * this reader does not hold, or has not taken yet, is -EBADMSG, and from then on the stream is as good as dead. A
 * consumer that has said DONE may use the slot again before we see that: so what looks like a broken rule is one
 * only while its word still is of this stream (selftests/model/words.pml).
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/probe.h"
#include "chan/flight.h"
#include "chan/internal.h"

/* A probe of this stream; @extra: what only this probe says. */
#define PROBE(name, tx, extra)                                                                     \
	DX_PROBE(name, dx_mesh_page((tx)->mesh)->session, (tx)->stream->query,                     \
	         (tx)->stream->exchange, (tx)->stream->task, (tx)->partition, extra)

__attribute__((cold, noinline)) static void note(const struct dx_tx *tx, uint16_t kind, uint32_t a,
                                                 uint32_t b)
{
	dx_flight_write(tx->mesh, &(struct dsmx_flight_event_abi){
					  .query = (uint32_t)tx->stream->query,
					  .kind = kind,
					  .peer = (uint16_t)tx->peer->index,
					  .exchange = (uint16_t)tx->stream->exchange,
					  .task = (uint16_t)tx->stream->task,
					  .partition = (uint16_t)tx->partition,
					  .a = a,
					  .b = b,
				  });
}

/* A stream publishes after so many bytes at first: its first frames are small, so that they come early. */
#define PUBLISH_FIRST 16384U

/* An event of this stream, for the flight recorder. */
#define FLIGHT(name, tx, a, b)                                                                     \
	do {                                                                                       \
		if (DX_FLIGHT_ON((tx)->mesh))                                                      \
			note(tx, DSMX_FLIGHT_##name, (uint32_t)(a), (uint32_t)(b));                \
	} while (0)

static void wait_on(struct dx_tx *tx)
{
	if (dx_list_empty(&tx->waiting))
		dx_list_append(&tx->mesh->tx_waiting, &tx->waiting);
}

static void put_back(struct dx_tx *tx, struct dx_sent *sent)
{
	tx->outstanding -= sent->frame->slab_bytes;
	tx->out--;
	dx_frame_release(sent->frame);
	sent->frame = NULL;
}

/* The descriptors of frames from @position on will never be read. */
static void put_back_from(struct dx_tx *tx, uint64_t position)
{
	for (uint32_t id = 0; id < tx->mesh->layout.frames; id++)
		if (tx->sent[id].frame != NULL && tx->sent[id].position >= position)
			put_back(tx, &tx->sent[id]);
}

static void wake(struct dx_tx *tx)
{
	struct dsmx_waker *waker = tx->waker;

	tx->waker = NULL;
	if (!tx->finished)
		dx_list_unlink(&tx->waiting);
	if (waker != NULL)
		waker->wake(waker);
}

static void wake_gone(struct dx_tx *tx)
{
	tx->gone = true;
	wake(tx);
	if (tx->owner != NULL)
		tx->owner->wake(tx->owner);
}

static void break_rules(struct dx_tx *tx)
{
	tx->broken = -EBADMSG;
	dx_peer_accuse(tx->peer, "it gave frames back that it does not hold");
	wake_gone(tx);
}

/* The consumer's counts may be those of the slot's next stream already. */
static bool is_over(const struct dx_tx *tx)
{
	uint64_t word = dx_load_acquire(DX_EDGE_REQUEST, tx->request_word);

	return DSMX_WORD_GENERATION(word) != tx->generation ||
	       DSMX_WORD_STATE(word) == DSMX_REQUEST_DONE;
}

/*
 * What came back is no news any more: whoever waited for it was woken, and his record says so. One that walks the
 * wait-for graph and sees this sees that, too.
 */
static void publish_seen(struct dx_tx *tx)
{
	dx_store_release(DX_EDGE_SEEN, &tx->stream->seen_released, tx->log.read);
}

/* Frames that came back. Returns how many; then wake who waits for them, and publish that they were seen. */
static uint32_t collect(struct dx_tx *tx)
{
	uint32_t id, count = 0;
	int r;

	if (tx->out == 0 || tx->broken != 0)
		return 0;
	while ((r = dx_log_next(&tx->log, tx->out, &id)) > 0) {
		if (id >= tx->mesh->layout.frames || tx->sent[id].frame == NULL ||
		    tx->sent[id].position >= tx->ring.published) {
			r = -EBADMSG;
			break;
		}
		put_back(tx, &tx->sent[id]);
		count++;
		if (tx->out == 0)
			break;
	}
	if (r < 0 && !is_over(tx))
		break_rules(tx);
	return count;
}

/* The fourth stamp: before the frame, or the end that comes instead of one, can be seen. */
static void first_commit(struct dx_tx *tx, uint32_t len_bytes)
{
	dx_tx_started(tx);
	dx_store_plain(&tx->stream->first_commit_ns, dx_now_ns());
	PROBE(ss_commit, tx, len_bytes);
}

static void set_final(struct dx_tx *tx, uint32_t state)
{
	tx->final = true;
	if (state == DSMX_STREAM_FIN && tx->ring.tail == 0)
		first_commit(tx, 0);
	PROBE(ss_fin, tx, state);
	FLIGHT(fin, tx, state, tx->ring.tail);
	dx_store_plain(&tx->stream->final_tail, tx->ring.published);
	dx_store_release(DX_EDGE_STREAM, tx->word, DSMX_WORD(tx->generation, state));
	dx_mesh_changed(tx->mesh, tx->peer->index);
}

static int set_rings(struct dx_tx *tx, const void *peer_page)
{
	struct dx_mesh *mesh = tx->mesh;
	const struct dx_layout *l = &mesh->layout;
	size_t own = dx_layout_slot(l, tx->peer->index, tx->slot);
	size_t theirs = dx_layout_slot(l, mesh->params.self, tx->slot);
	size_t bytes = l->frames * sizeof(struct dsmx_descriptor_abi);

	tx->stream = DX_LAYOUT_AT(struct dsmx_stream_abi, mesh->page.base, l->streams, own);
	tx->word = DX_LAYOUT_AT(uint64_t, mesh->page.base, l->stream_words, own);
	tx->request = DX_LAYOUT_PEER(struct dsmx_request_abi, peer_page, l->requests, theirs);
	tx->request_word = DX_LAYOUT_PEER(uint64_t, peer_page, l->request_words, theirs);
	tx->sent = calloc(l->frames, sizeof(*tx->sent));
	if (tx->peer->index == mesh->params.self)
		tx->local_ring = calloc(1, bytes);
	if (tx->sent == NULL || (tx->peer->index == mesh->params.self && tx->local_ring == NULL))
		return -ENOMEM;
	tx->ring = (struct dx_ring_tx){
		.slots = tx->local_ring != NULL ? tx->local_ring
		                                : (void *)(dx_mesh_data(mesh) + own * bytes),
		.mask = l->frames - 1,
		.tail_word = &tx->stream->tail,
		.taken_word = &tx->request->taken,
	};
	tx->log = (struct dx_log_rx){
		.ids = DX_LAYOUT_PEER(uint32_t, peer_page, l->logs, theirs * l->frames),
		.mask = l->frames - 1,
		.released_word = &tx->request->released,
	};
	return 0;
}

static void note_slot(struct dx_peer *peer, uint32_t slot)
{
	if (peer->own_line->streams <= slot)
		dx_store_plain(&peer->own_line->streams, slot + 1);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The window is what may be out, by the credit and by the slots of the ring; a frame has a piece at the least. */
static uint32_t publish_most(const struct dx_mesh *mesh, uint64_t credit_bytes)
{
	uint64_t slots_bytes = (uint64_t)mesh->layout.frames * DX_PIECE_BYTES;

	return dx_publish_bytes(credit_bytes < slots_bytes ? credit_bytes : slots_bytes);
}

int dx_tx_open(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
               const struct dsmx_request_abi *request, uint32_t record, uint64_t credit_bytes,
               struct dx_tx **ret_tx)
{
	struct dx_peer *p = &mesh->peers[peer];
	const void *page = dx_mesh_peer_page(mesh, peer);
	struct dx_tx *tx;

	if (page == NULL || p->tx[slot] != NULL)
		return -ESTALE;
	tx = calloc(1, sizeof(*tx));
	if (tx == NULL)
		return -ENOMEM;
	dx_list_init(&tx->waiting);
	dx_list_init(&tx->dirty);
	dx_list_init(&tx->all);
	dx_list_init(&tx->armed);
	tx->mesh = mesh;
	tx->peer = p;
	tx->mapping = p->mapping;
	tx->slot = slot;
	tx->generation = DSMX_WORD_GENERATION(word);
	tx->partition = request->partition;
	tx->attempt = request->attempt;
	tx->credit_bytes = credit_bytes;
	tx->publish_most = publish_most(mesh, credit_bytes);
	tx->publish_bytes = smaller(PUBLISH_FIRST, tx->publish_most);
	if (set_rings(tx, page) < 0 || dx_load_acquire(DX_EDGE_REQUEST, tx->request_word) != word) {
		int r = tx->sent == NULL || tx->ring.slots == NULL ? -ENOMEM : -ESTALE;

		free(tx->sent);
		free(tx->local_ring);
		free(tx);
		return r;
	}
	if (tx->mapping != NULL)
		dx_mapping_retain(tx->mapping);
	dx_list_append(&mesh->tx_all, &tx->all);
	p->tx[slot] = tx;
	note_slot(p, slot);
	*tx->stream = (struct dsmx_stream_abi){
		.query = request->query,
		.exchange = request->exchange,
		.task = request->task,
		.ring_offset = tx->local_ring != NULL
		                       ? 0
		                       : (uint64_t)((char *)tx->ring.slots - dx_mesh_data(mesh)),
		.ring_slots = mesh->layout.frames,
		.record = record,
		.recv_ns = dx_now_ns(),
		.wanted_taken = DSMX_WANTED_NONE,
		.wanted_released = DSMX_WANTED_NONE,
	};
	FLIGHT(recv, tx, 0, 0);
	dx_store_release(DX_EDGE_STREAM, tx->word, DSMX_WORD(tx->generation, DSMX_STREAM_RUNNING));
	dx_mesh_changed(mesh, peer);
	*ret_tx = tx;
	return 0;
}

void dx_tx_refuse(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
                  const struct dsmx_request_abi *request, uint32_t state,
                  const struct dsmx_error *why)
{
	struct dx_peer *p = &mesh->peers[peer];
	size_t own = dx_layout_slot(&mesh->layout, peer, slot);
	struct dsmx_stream_abi *stream =
		DX_LAYOUT_AT(struct dsmx_stream_abi, mesh->page.base, mesh->layout.streams, own);
	struct dsmx_stream_abi answer = {
		.query = request->query,
		.exchange = request->exchange,
		.task = request->task,
		.recv_ns = dx_now_ns(),
		.wanted_taken = DSMX_WANTED_NONE,
		.wanted_released = DSMX_WANTED_NONE,
	};

	if (p->tx[slot] != NULL)
		return;
	if (why != NULL) {
		answer.code = why->code;
		answer.error = dx_mesh_put_error(mesh, request->query, request->exchange,
		                                 request->task, why);
	}
	if (state == DSMX_STREAM_NAK) {
		struct dsmx_page_abi *page = dx_mesh_page(mesh);

		dx_store_plain(&page->naks, page->naks + 1);
		DX_PROBE(ss_nak, page->session, request->query, request->exchange, request->task,
		         request->partition, why != NULL ? why->code : 0);
	}
	note_slot(p, slot);
	*stream = answer;
	dx_store_release(DX_EDGE_STREAM,
	                 DX_LAYOUT_AT(uint64_t, mesh->page.base, mesh->layout.stream_words, own),
	                 DSMX_WORD(DSMX_WORD_GENERATION(word), state));
	dx_mesh_changed(mesh, peer);
}

void dx_tx_started(struct dx_tx *tx)
{
	if (tx->stream->start_ns != 0)
		return;
	dx_store_plain(&tx->stream->start_ns, dx_now_ns());
	PROBE(ss_start, tx, tx->attempt);
	FLIGHT(start, tx, 0, 0);
}

void dx_tx_set_owner(struct dx_tx *tx, struct dsmx_waker *owner)
{
	tx->owner = owner;
	if (tx->gone)
		owner->wake(owner);
}

void dx_tx_collect(struct dx_tx *tx)
{
	if (!tx->gone && collect(tx) > 0)
		publish_seen(tx);
}

/* One more frame, of @len_bytes? As far as is known of what came back. */
static bool may_have_out(const struct dx_tx *tx, size_t len_bytes)
{
	return tx->out < tx->mesh->layout.frames &&
	       (tx->out == 0 || tx->outstanding + len_bytes <= tx->credit_bytes);
}

int dx_tx_room(struct dx_tx *tx, size_t len_bytes, struct dsmx_waker *waker)
{
	/* Else the line that the consumer writes would come over for each frame. Who lacks memory looks at all streams. */
	if (!may_have_out(tx, len_bytes))
		dx_tx_collect(tx);
	if (tx->broken != 0)
		return tx->broken;
	if (tx->gone)
		return -EPIPE;
	if (may_have_out(tx, len_bytes)) {
		int r = dx_ring_room(&tx->ring);

		if (r > 0)
			return 1;
		if (r < 0) {
			break_rules(tx);
			return r;
		}
	}
	if (waker != NULL) {
		tx->waker = waker;
		wait_on(tx);
	}
	return -EAGAIN;
}

static uint32_t free_id(struct dx_tx *tx)
{
	uint32_t mask = tx->mesh->layout.frames - 1;
	uint32_t id = tx->next_id & mask;

	while (tx->sent[id].frame != NULL)
		id = (id + 1) & mask;
	tx->next_id = id + 1;
	return id;
}

void dx_tx_push(struct dx_tx *tx, struct dx_frame *frame, uint32_t len_bytes, uint32_t rows)
{
	uint32_t id = free_id(tx);
	struct dsmx_descriptor_abi d;

	tx->sent[id] = (struct dx_sent){ .frame = frame,
		                         .position = tx->ring.tail,
		                         .len_bytes = len_bytes };
	tx->out++;
	tx->outstanding += frame->slab_bytes;
	if (tx->ring.tail == 0)
		first_commit(tx, len_bytes);
	FLIGHT(commit, tx, rows, len_bytes);
	d = (struct dsmx_descriptor_abi){
		.offset = (uint64_t)(frame->bytes - (char *)tx->mesh->data.base),
		.bytes = len_bytes,
		.rows = rows,
		.frame = id,
		.generation = (uint32_t)tx->generation,
	};
	dx_ring_push(&tx->ring, &d);
	if (dx_list_empty(&tx->dirty))
		dx_list_append(&tx->mesh->tx_dirty, &tx->dirty);
	/* Of slabs, not of rows: a full frame of the usual size, which never is full to the last byte, goes at once. */
	tx->unpublished_bytes += frame->slab_bytes;
	if (tx->unpublished_bytes < tx->publish_bytes)
		return;
	tx->publish_bytes = smaller(2 * tx->publish_bytes, tx->publish_most);
	dx_tx_publish(tx);
	dx_fence(DX_FENCE_WAKE);
	dx_tx_test(tx);
}

void dx_tx_finish(struct dx_tx *tx, uint32_t state, const struct dsmx_error *why)
{
	tx->finished = true;
	tx->waker = tx->owner = NULL;
	if (tx->released) {
		dx_tx_free(tx);
		return;
	}
	if (!tx->final) {
		dx_tx_publish(tx);
		if (why != NULL) {
			dx_store_plain(&tx->stream->code, why->code);
			dx_store_plain(&tx->stream->error,
			               dx_mesh_put_error(tx->mesh, tx->stream->query,
			                                 tx->stream->exchange, tx->stream->task,
			                                 why));
		}
		set_final(tx, state);
	}
	wait_on(tx);
}

void dx_tx_consumer_word(struct dx_tx *tx, uint64_t word)
{
	bool same = DSMX_WORD_GENERATION(word) == tx->generation;

	if (same && DSMX_WORD_STATE(word) == DSMX_REQUEST_START)
		return;
	if (same && DSMX_WORD_STATE(word) == DSMX_REQUEST_CANCEL) {
		uint64_t taken = dx_load_acquire(DX_EDGE_TAKEN, &tx->request->taken);

		(void)collect(tx);
		put_back_from(tx, taken < tx->ring.published ? taken : tx->ring.published);
		if (!tx->final)
			set_final(tx, DSMX_STREAM_CANCELLED);
		wake_gone(tx);
		publish_seen(tx);
		if (tx->out > 0)
			wait_on(tx);
		return;
	}
	/* DONE, a later generation, or dead: nobody reads any more. */
	put_back_from(tx, 0);
	tx->released = true;
	/* Its record and words may be another stream's from now on: nothing more is published there. */
	dx_list_unlink(&tx->dirty);
	dx_list_unlink(&tx->all);
	if (tx->finished)
		dx_tx_free(tx);
	else
		wake_gone(tx);
}

bool dx_tx_reclaim(struct dx_mesh *mesh,
                   bool (*has_closed)(void *arg, uint32_t peer, uint64_t query), void *arg)
{
	bool news = false;

	dx_list_each(link, &mesh->tx_all)
	{
		struct dx_tx *tx = DX_CONTAINER(link, struct dx_tx, all);
		uint64_t word;
		bool open;

		if (!tx->finished || tx->out == 0 ||
		    !has_closed(arg, tx->peer->index, tx->stream->query))
			continue;
		news = true;
		/* What it said of the stream it has said before, though nobody may have looked yet. */
		word = dx_load_acquire(DX_EDGE_REQUEST, tx->request_word);
		open = word == DSMX_WORD(tx->generation, DSMX_REQUEST_START) ||
		       word == DSMX_WORD(tx->generation, DSMX_REQUEST_CANCEL);
		dx_tx_consumer_word(tx, word); /* frees it if it is not open */
		if (!open)
			continue;
		(void)collect(tx);
		if (tx->out == 0)
			continue;
		dx_peer_accuse(tx->peer, "it closed a query and holds frames of it");
		dx_tx_consumer_word(tx, DSMX_WORD(tx->generation, DSMX_REQUEST_DONE));
	}
	return news;
}

bool dx_tx_look(struct dx_tx *tx)
{
	bool news = collect(tx) > 0, waited = tx->waker != NULL;

	if (!news)
		return false;
	if (waited)
		wake(tx);
	publish_seen(tx);
	return waited;
}

void dx_tx_publish(struct dx_tx *tx)
{
	dx_ring_publish(&tx->ring);
	tx->unpublished_bytes = 0;
}

void dx_tx_test(struct dx_tx *tx)
{
	uint64_t wanted = dx_load_plain(&tx->request->wanted);

	if (dx_wanted_crossed(wanted, tx->tested, tx->ring.published))
		dx_peer_passed(tx->peer);
	tx->tested = tx->ring.published;
	dx_list_unlink(&tx->dirty);
}

void dx_tx_arm(struct dx_tx *tx)
{
	if (dx_list_empty(&tx->armed))
		dx_list_append(&tx->mesh->tx_armed, &tx->armed);
	dx_store_plain(&tx->stream->wanted_released, tx->log.read);
	dx_store_plain(&tx->stream->wanted_taken, tx->ring.taken);
}

void dx_tx_disarm(struct dx_tx *tx)
{
	dx_list_unlink(&tx->armed);
	dx_store_plain(&tx->stream->wanted_released, DSMX_WANTED_NONE);
	dx_store_plain(&tx->stream->wanted_taken, DSMX_WANTED_NONE);
}

void dx_tx_free(struct dx_tx *tx)
{
	if (tx->peer->tx[tx->slot] == tx)
		tx->peer->tx[tx->slot] = NULL;
	put_back_from(tx, 0);
	dx_list_unlink(&tx->waiting);
	dx_list_unlink(&tx->dirty);
	dx_list_unlink(&tx->all);
	dx_list_unlink(&tx->armed);
	if (tx->mapping != NULL)
		dx_mapping_release(tx->mapping);
	free(tx->sent);
	free(tx->local_ring);
	free(tx);
}

bool dx_tx_local(const struct dx_tx *tx)
{
	return tx->local_ring != NULL;
}

uint64_t dx_tx_outstanding(const struct dx_tx *tx)
{
	return tx->outstanding;
}
