/* SPDX-License-Identifier: MIT */
/*
 * look.c - the mesh as a source of the reactor: look, flush, arm, disarm
 *
 * This is where the wait protocol of the design meets the streams; the model in selftests/model has the same
 * steps under the same names.
 *
 *	sleeper (arm, then look, then the reactor sleeps)	waker (flush, and tx_push, rx_release)
 *	  seen = each peer's bell (acquire)			  publish counts and words; words: `changes` += 1
 *	  `wanted` of every stream that waits, `armed`		  fence WAKE
 *	  fence SLEEP (the reactor's)				  `wanted` was passed: `counts` += 1, fence WAKE
 *	  look: each peer's `changes` and `counts`, streams	  either moved, and the peer is `armed`:
 *	  that nobody tells of: positions, words, requests	  bell += 1, futex wake
 *
 * A look never trusts a bell to say what changed: the bell only ends a sleep. So one that moved without need costs a
 * turn, and one that moved early is not lost: it differs from `seen`.
 *
 * What there is to look at is told by `changes` and `counts`, on the bell's own line. A stream of which a look found
 * nothing after its `wanted` was set where it stands needs no other look until one of them moves: its peer either sees
 * `wanted`, and counts, or had published before the look. So it waits in its peer's list, with `wanted` left as it is,
 * from sleep to sleep, and a process that sleeps over many streams looks at those of the peers that have something.
 * While it is awake, `wanted` that is passed costs its peer one more count, and no wake. A peer that lies, or a bug, could
 * hide what it publishes: so after a sleep that nobody ended, and now and then while awake, all streams are looked at.
 */
#include <linux/futex.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "chan/internal.h"

/* --- looking ------------------------------------------------------------------------------------------------ */

static uint64_t answered_generation(const struct dx_peer *peer, uint32_t slot)
{
	struct dx_mesh *mesh = peer->mesh;

	return DSMX_WORD_GENERATION(
		dx_load_plain(DX_LAYOUT_AT(uint64_t, mesh->page.base, mesh->layout.stream_words,
	                                   dx_layout_slot(&mesh->layout, peer->index, slot))));
}

/*
 * Who maps this incarnation has said DONE for all that it had asked the one before, and says so afterwards: what still
 * stands after that was asked later, and not of us.
 */
static void look_at_stale(struct dx_peer *peer, uint32_t slot, uint64_t word)
{
	const struct dx_mesh *mesh = peer->mesh;
	size_t at = dx_layout_slot(&mesh->layout, mesh->params.self, slot);
	const void *page = dx_mesh_peer_page(mesh, peer->index);

	if (!dx_mesh_has_mapped(mesh, peer->index, mesh->params.self) ||
	    dx_load_acquire(DX_EDGE_REQUEST,
	                    DX_LAYOUT_PEER(uint64_t, page, mesh->layout.request_words, at)) !=
	            word ||
	    dx_load_plain(&DX_LAYOUT_PEER(struct dsmx_request_abi, page, mesh->layout.requests, at)
	                           ->epoch) == mesh->params.epoch)
		return;
	dx_peer_accuse(peer, "it asks for streams of an incarnation that is gone");
}

static void handle_word(struct dx_peer *peer, uint32_t slot, uint64_t word)
{
	struct dx_mesh *mesh = peer->mesh;
	uint64_t generation = DSMX_WORD_GENERATION(word);
	struct dx_tx *tx = peer->tx[slot];
	const void *page = dx_mesh_peer_page(mesh, peer->index);
	struct dsmx_request_abi request;

	if (tx != NULL) {
		if (generation < tx->generation) {
			dx_store_plain(&dx_mesh_page(mesh)->stale, dx_mesh_page(mesh)->stale + 1);
			return;
		}
		/* May free it; a later generation leaves it to its owner, out of the slot. */
		uint64_t open = tx->generation;

		dx_tx_consumer_word(tx, word);
		if (generation == open)
			return;
		peer->tx[slot] = NULL;
	}
	if (DSMX_WORD_STATE(word) != DSMX_REQUEST_START &&
	    DSMX_WORD_STATE(word) != DSMX_REQUEST_CANCEL)
		return;
	/* A CANCEL after our answer has nothing to add; one that overtook the answer to its START is answered. */
	if (generation <= answered_generation(peer, slot) ||
	    generation < DSMX_WORD_GENERATION(peer->word_seen[slot]))
		return;
	dx_copy_once(&request,
	             DX_LAYOUT_PEER(struct dsmx_request_abi, page, mesh->layout.requests,
	                            dx_layout_slot(&mesh->layout, mesh->params.self, slot)),
	             sizeof(request));
	if (request.epoch != mesh->params.epoch) { /* it asked who was here before */
		dx_store_plain(&dx_mesh_page(mesh)->stale, dx_mesh_page(mesh)->stale + 1);
		look_at_stale(peer, slot, word);
		return;
	}
	mesh->ops->request(mesh, peer->index, slot, word, &request);
}

static void look_at_requests(struct dx_peer *peer)
{
	struct dx_mesh *mesh = peer->mesh;
	const void *page = dx_mesh_peer_page(mesh, peer->index);
	const uint64_t *words = DX_LAYOUT_PEER(uint64_t, page, mesh->layout.request_words,
	                                       dx_layout_slot(&mesh->layout, mesh->params.self, 0));
	uint32_t used = dx_load_plain(&peer->line->requests);

	if (mesh->ops == NULL || mesh->ops->request == NULL)
		return; /* nobody serves here, yet or any more */
	if (used > mesh->params.slots)
		used = mesh->params.slots;
	for (uint32_t slot = 0; slot < used; slot++) {
		uint64_t word = dx_load_acquire(DX_EDGE_REQUEST, &words[slot]);

		if (word == peer->word_seen[slot])
			continue;
		handle_word(peer, slot, word);
		peer->word_seen[slot] = word;
	}
}

static bool is_dead(struct dx_peer *peer)
{
	if (peer->has_live &&
	    (dx_load_acquire(DX_EDGE_LIVE, peer->live.word) & FUTEX_OWNER_DIED) != 0)
		return true;
	peer->live.fired = false;
	return peer->has_pidfd && peer->pidfd.fired != 0;
}

static bool look_at_peer(struct dx_peer *peer)
{
	struct dx_mesh *mesh = peer->mesh;
	uint64_t changes, counts;
	bool news = false;

	if (peer->has_bell) {
		peer->bell.seen = dx_load_acquire(DX_EDGE_BELL, &peer->line->bell);
		peer->bell.fired = false;
		if (is_dead(peer)) {
			/* What it said last still counts. */
			look_at_requests(peer);
			dx_peer_died(peer);
			return true;
		}
	}
	changes = dx_load_acquire(DX_EDGE_CHANGES, &peer->line->changes);
	counts = dx_load_acquire(DX_EDGE_COUNTS, &peer->line->counts);
	if (changes == peer->changes_seen && counts == peer->counts_seen)
		return false;
	peer->counts_seen = counts;
	if (changes != peer->changes_seen && mesh->ops != NULL) {
		peer->changes_seen = changes;
		mesh->heard++;
		look_at_requests(peer);
		if (peer->index == DSMX_ABI_LEADER && mesh->ops->queries != NULL)
			mesh->ops->queries(mesh);
		news = true; /* also what it has mapped is a word */
	}
	dx_list_each(link, &peer->rx_told) news |=
		dx_rx_look(DX_CONTAINER(link, struct dx_rx, waiting));
	return news;
}

static bool look_at_waiting(struct dx_mesh *mesh)
{
	bool news = false;

	dx_list_each(link, &mesh->rx_waiting)
	{
		struct dx_rx *rx = DX_CONTAINER(link, struct dx_rx, waiting);

		if (dx_rx_look(rx))
			news = true; /* and may have freed it */
		else
			dx_rx_try_tell(rx);
	}
	return news;
}

bool dx_mesh_look(struct dx_mesh *mesh)
{
	struct dsmx_page_abi *page = dx_mesh_page(mesh);
	bool news = false;

	/* Its line is in the cache, and nobody reads it but now and then: cheaper than asking the time first. */
	dx_store_release(DX_EDGE_PULSE, &page->pulse, page->pulse + 1);

	dx_flight_look(mesh);
	dx_mesh_flush(mesh);
	for (uint32_t i = 0; i < mesh->params.peers; i++)
		if (mesh->peers[i].attached && !mesh->peers[i].dead)
			news |= look_at_peer(&mesh->peers[i]);
	news |= look_at_waiting(mesh);
	if (mesh->slab_waker_count > 0) {
		uint32_t before = mesh->slab_waker_count;

		dx_list_each(link, &mesh->tx_all) news |=
			dx_tx_look(DX_CONTAINER(link, struct dx_tx, all));
		news |= mesh->slab_waker_count < before;
	} else {
		dx_list_each(link, &mesh->tx_waiting) news |=
			dx_tx_look(DX_CONTAINER(link, struct dx_tx, waiting));
	}
	return news;
}

/* --- ringing ------------------------------------------------------------------------------------------------ */

static void ring(struct dx_peer *peer)
{
	struct dsmx_page_abi *page = dx_mesh_page(peer->mesh);
	static const uint64_t one = 1;

	dx_store_release(DX_EDGE_BELL, &peer->own_line->bell, peer->own_line->bell + 1);
	dx_wake(&peer->own_line->bell);
	if (peer->eventfd >= 0)
		(void)!write(peer->eventfd, &one, sizeof(one));
	dx_store_plain(&page->wakes, page->wakes + 1);
}

static bool is_armed(const struct dx_peer *peer)
{
	return peer->attached && dx_load_plain(&peer->line->armed) != 0;
}

static bool may_ring(const struct dx_peer *peer)
{
	return !peer->dead && peer->index != peer->mesh->params.self;
}

void dx_peer_passed(struct dx_peer *peer)
{
	dx_store_release(DX_EDGE_COUNTS, &peer->own_line->counts, peer->own_line->counts + 1);
	if (peer->mesh->flushing) {
		peer->changed = peer->mesh->passed = true;
		return;
	}
	dx_fence(DX_FENCE_WAKE);
	if (may_ring(peer) && is_armed(peer))
		ring(peer);
}

void dx_mesh_ring(struct dx_mesh *mesh, uint32_t peer)
{
	if (may_ring(&mesh->peers[peer]))
		ring(&mesh->peers[peer]);
}

void dx_mesh_changed(struct dx_mesh *mesh, uint32_t peer)
{
	struct dx_peer *p = &mesh->peers[peer];

	dx_store_release(DX_EDGE_CHANGES, &p->own_line->changes, p->own_line->changes + 1);
	p->changed = true;
	mesh->any_changed = true;
}

bool dx_mesh_has_news(const struct dx_mesh *mesh)
{
	for (uint32_t i = 0; i < mesh->params.peers; i++) {
		const struct dx_peer *peer = &mesh->peers[i];

		/* Plain: nothing is read by it. The look that follows acquires. */
		if (peer->attached && !peer->dead &&
		    dx_load_plain(&peer->line->changes) != peer->changes_seen)
			return true;
	}
	return false;
}

void dx_mesh_flush(struct dx_mesh *mesh)
{
	if (!mesh->any_changed && dx_list_empty(&mesh->rx_dirty) && dx_list_empty(&mesh->tx_dirty))
		return;
	mesh->flushing = true;
	dx_list_each(link, &mesh->tx_dirty) dx_tx_publish(DX_CONTAINER(link, struct dx_tx, dirty));
	dx_list_each(link, &mesh->rx_dirty) dx_rx_publish(DX_CONTAINER(link, struct dx_rx, dirty));
	dx_fence(DX_FENCE_WAKE);
	dx_list_each(link, &mesh->tx_dirty) dx_tx_test(DX_CONTAINER(link, struct dx_tx, dirty));
	dx_list_each(link, &mesh->rx_dirty) dx_rx_test(DX_CONTAINER(link, struct dx_rx, dirty));
	if (mesh->passed)
		dx_fence(DX_FENCE_WAKE); /* between `counts` and the look at `armed` */
	mesh->flushing = mesh->any_changed = mesh->passed = false;
	for (uint32_t i = 0; i < mesh->params.peers; i++) {
		struct dx_peer *peer = &mesh->peers[i];

		if (peer->changed && may_ring(peer) && is_armed(peer))
			ring(peer);
		peer->changed = false;
	}
}

/* --- going to sleep ------------------------------------------------------------------------------------------ */

void dx_mesh_arm(struct dx_mesh *mesh)
{
	for (uint32_t i = 0; i < mesh->params.peers; i++) {
		struct dx_peer *peer = &mesh->peers[i];

		if (!peer->has_bell)
			continue;
		peer->bell.seen = dx_load_acquire(DX_EDGE_BELL, &peer->line->bell);
		dx_store_plain(&peer->own_line->armed, 1);
	}
	dx_list_each(link, &mesh->rx_waiting) dx_rx_arm(DX_CONTAINER(link, struct dx_rx, waiting));
	if (mesh->slab_waker_count > 0)
		dx_list_each(link, &mesh->tx_all) dx_tx_arm(DX_CONTAINER(link, struct dx_tx, all));
	else
		dx_list_each(link, &mesh->tx_waiting)
			dx_tx_arm(DX_CONTAINER(link, struct dx_tx, waiting));
}

/* For whoever looks from outside. After a sleep they cost nothing that matters. */
static void publish_counters(struct dx_mesh *mesh)
{
	struct dsmx_page_abi *page = dx_mesh_page(mesh);
	struct dx_reactor_stats stats;

	dx_reactor_stats(mesh->reactor, &stats);
	dx_store_plain(&page->beat, stats.turns);
	dx_store_plain(&page->parks, stats.parks);
	dx_store_plain(&page->late_parks, stats.late_parks);
}

void dx_mesh_disarm(struct dx_mesh *mesh)
{
	publish_counters(mesh);
	for (uint32_t i = 0; i < mesh->params.peers; i++)
		if (mesh->peers[i].has_bell)
			dx_store_plain(&mesh->peers[i].own_line->armed, 0);
	dx_list_each(link, &mesh->tx_armed) dx_tx_disarm(DX_CONTAINER(link, struct dx_tx, armed));
}

uint32_t dx_mesh_put_error(struct dx_mesh *mesh, uint64_t query, uint32_t exchange, uint32_t task,
                           const struct dsmx_error *why)
{
	uint32_t index = mesh->next_error++ % DSMX_ABI_ERRORS;
	struct dsmx_error_abi *e =
		DX_LAYOUT_AT(struct dsmx_error_abi, mesh->page.base, mesh->layout.errors, index);
	size_t len = strnlen(why->message, DSMX_ABI_ERROR_TEXT - 1);

	*e = (struct dsmx_error_abi){
		.query = query,
		.exchange = why->exchange >= 0 ? (uint32_t)why->exchange : exchange,
		.task = task,
		.code = why->code,
		.worker = why->worker >= 0 ? why->worker : (int)mesh->params.self - 1,
		.time_ns = dx_now_ns(),
		.len = (uint32_t)len,
	};
	memcpy(e->text, why->message, len);
	return index;
}

void dx_mesh_doubt(struct dx_mesh *mesh)
{
	for (uint32_t i = 0; i < mesh->params.peers; i++)
		dx_list_each(link, &mesh->peers[i].rx_told)
			dx_rx_untell(DX_CONTAINER(link, struct dx_rx, waiting));
}

uint64_t dx_mesh_rung(const struct dx_mesh *mesh)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < mesh->params.peers; i++)
		if (mesh->peers[i].has_bell)
			sum += dx_load_acquire(DX_EDGE_BELL, &mesh->peers[i].line->bell);
	return sum;
}
