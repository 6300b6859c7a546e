/* SPDX-License-Identifier: MIT */
/* peer.c - a peer comes, is waited for, dies or is accused: see mesh.h */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "chan/internal.h"

int dx_peer_init(struct dx_mesh *mesh, uint32_t index)
{
	struct dx_peer *peer = &mesh->peers[index];
	uint32_t slots = mesh->params.slots;

	peer->mesh = mesh;
	peer->index = index;
	peer->eventfd = -1;
	peer->pidfd.fd = -1;
	dx_list_init(&peer->rx_told);
	peer->own_line =
		DX_LAYOUT_AT(struct dsmx_bell_abi, mesh->page.base, mesh->layout.bells, index);
	peer->rx = calloc(slots, sizeof(struct dx_rx *));
	peer->tx = calloc(slots, sizeof(struct dx_tx *));
	peer->word_seen = calloc(slots, sizeof(uint64_t));
	peer->generation = calloc(slots, sizeof(uint64_t));
	if (peer->rx == NULL || peer->tx == NULL || peer->word_seen == NULL ||
	    peer->generation == NULL)
		return -ENOMEM;
	if (index == mesh->params.self) {
		peer->attached = true;
		peer->line = peer->own_line;
	}
	return 0;
}

/* --- its memory ------------------------------------------------------------------------------------------- */

void dx_mapping_retain(struct dx_mapping *mapping)
{
	mapping->refs++;
}

void dx_mapping_release(struct dx_mapping *mapping)
{
	if (--mapping->refs > 0)
		return;
	dx_segment_close(&mapping->page);
	dx_segment_close(&mapping->data);
	free(mapping);
}

/* A copy of the header, then everything is compared with what was agreed. */
static int check_header(const struct dx_mesh *mesh, uint32_t peer, uint64_t epoch,
                        const struct dsmx_page_abi *page, struct dsmx_error *err)
{
	const struct dx_mesh_params *p = &mesh->params;
	struct dsmx_page_abi h;

	dx_copy_once(&h, page, sizeof(h));
	if (h.magic != DSMX_PAGE_MAGIC)
		return dx_error(err, -EPROTO, "process %u: its page has no dsmx header", peer);
	if (h.version != DSMX_ABI_VERSION)
		return dx_error(
			err, -EPROTO,
			"process %u speaks version %u of the page, this one %u: use a dsmx-worker of this build",
			peer, h.version, DSMX_ABI_VERSION);
	if (h.peer != peer || h.session != p->session || h.epoch != epoch)
		return dx_error(err, -EPROTO,
		                "process %u: its page is of another process, session or epoch",
		                peer);
	if (h.peers != p->peers || h.slots != p->slots || h.frames != p->frames ||
	    h.tasks != p->tasks || h.data_bytes != p->data_bytes)
		return dx_error(err, -EPROTO,
		                "process %u: its page has another layout than was agreed", peer);
	return 0;
}

static int map_peer(struct dx_mesh *mesh, uint32_t peer, uint64_t epoch, int page_fd, int data_fd,
                    struct dx_mapping **ret_mapping, struct dsmx_error *err)
{
	struct dx_mapping *m = calloc(1, sizeof(*m));
	int r;

	if (m == NULL)
		return dx_error(err, -ENOMEM, "no memory for a peer");
	m->refs = 1;
	m->epoch = epoch;
	m->page.fd = m->data.fd = -1;
	r = dx_segment_attach(page_fd, mesh->page.bytes, &m->page, err);
	if (r == 0)
		r = check_header(mesh, peer, epoch, m->page.base, err);
	if (r == 0)
		r = dx_segment_attach(data_fd, mesh->params.data_bytes, &m->data, err);
	if (r < 0) {
		dx_mapping_release(m);
		return r;
	}
	*ret_mapping = m;
	return 0;
}

/* --- it comes --------------------------------------------------------------------------------------------- */

static int start_waiting(struct dx_peer *peer)
{
	struct dx_wait *wait = dx_reactor_wait(peer->mesh->reactor);
	const struct dsmx_live_abi *live =
		DX_LAYOUT_PEER(struct dsmx_live_abi, peer->mapping->page.base,
	                       peer->mesh->layout.live, peer->mesh->params.self);
	int r;

	peer->bell = (struct dx_wait_word){ .word = &peer->line->bell };
	r = dx_wait_add_word(wait, &peer->bell);
	if (r < 0)
		return r;
	peer->has_bell = true;
	/* The leader has no liveness word. */
	if (peer->index != DSMX_ABI_LEADER) {
		peer->live =
			(struct dx_wait_word){ .word = &live->word,
			                       .seen = dx_load_acquire(DX_EDGE_LIVE, &live->word) };
		r = dx_wait_add_word(wait, &peer->live);
		if (r < 0)
			return r;
		peer->has_live = true;
	}
	if (peer->pidfd.fd >= 0) {
		peer->pidfd.events = 1; /* POLLIN: it ended */
		r = dx_wait_add_fd(wait, &peer->pidfd);
		if (r < 0)
			return r;
		peer->has_pidfd = true;
	}
	return 0;
}

static void stop_waiting(struct dx_peer *peer)
{
	struct dx_wait *wait = dx_reactor_wait(peer->mesh->reactor);

	if (peer->has_bell)
		dx_wait_remove_word(wait, &peer->bell);
	if (peer->has_live)
		dx_wait_remove_word(wait, &peer->live);
	if (peer->has_pidfd)
		dx_wait_remove_fd(wait, &peer->pidfd);
	if (peer->pidfd.fd >= 0)
		close(peer->pidfd.fd);
	peer->pidfd.fd = -1;
	peer->has_bell = peer->has_live = peer->has_pidfd = false;
}

/* A new incarnation counts its generations from 1: no answer to the last one may look like one to it. */
static void forget_answers(struct dx_peer *peer)
{
	struct dx_mesh *mesh = peer->mesh;

	for (uint32_t i = 0; i < mesh->params.slots; i++)
		dx_store_plain(DX_LAYOUT_AT(uint64_t, mesh->page.base, mesh->layout.stream_words,
		                            dx_layout_slot(&mesh->layout, peer->index, i)),
		               0);
	memset(peer->word_seen, 0, mesh->params.slots * sizeof(uint64_t));
}

int dx_mesh_attach(struct dx_mesh *mesh, uint32_t peer, uint64_t epoch, int page_fd, int data_fd,
                   int pidfd, struct dsmx_error *err)
{
	struct dx_peer *p = &mesh->peers[peer];
	struct dx_mapping *mapping = NULL;
	int r;

	if (peer >= mesh->params.peers || peer == mesh->params.self)
		return dx_error(err, -EPROTO, "there is no process %u to attach", peer);
	if (p->attached && !p->dead)
		return dx_error(err, -EPROTO, "process %u is attached already", peer);
	r = map_peer(mesh, peer, epoch, page_fd, data_fd, &mapping, err);
	if (r < 0)
		return r;
	if (p->mapping != NULL)
		dx_mapping_release(p->mapping);
	p->mapping = mapping;
	p->line = DX_LAYOUT_PEER(struct dsmx_bell_abi, mapping->page.base, mesh->layout.bells,
	                         mesh->params.self);
	p->changes_seen = p->counts_seen = 0;
	forget_answers(p);
	p->pidfd = (struct dx_wait_fd){ .fd = pidfd };
	p->dead = p->accused = false;
	p->attached = true;
	r = start_waiting(p);
	if (r < 0) {
		p->pidfd.fd = p->has_pidfd ? p->pidfd.fd : -1;
		stop_waiting(p);
		p->attached = false;
		return dx_error(err, r, "cannot wait for process %u: %s", peer, dx_strerror(r));
	}
	dx_store_release(DX_EDGE_STATE,
	                 DX_LAYOUT_AT(uint64_t, mesh->page.base, mesh->layout.mapped, peer), epoch);
	for (uint32_t i = 0; i < mesh->params.peers; i++) /* somebody may wait for this */
		dx_mesh_changed(mesh, i);
	return 0;
}

/* --- it goes ---------------------------------------------------------------------------------------------- */

void dx_peer_died(struct dx_peer *peer)
{
	struct dx_mesh *mesh = peer->mesh;

	if (!peer->attached || peer->dead || peer->index == mesh->params.self)
		return;
	peer->dead = true;
	mesh->heard++;
	stop_waiting(peer);
	for (uint32_t i = 0; i < mesh->params.slots; i++) {
		if (peer->tx[i] != NULL)
			dx_tx_consumer_word(peer->tx[i],
			                    DSMX_WORD(peer->tx[i]->generation, DSMX_REQUEST_DONE));
		peer->tx[i] = NULL;
		if (peer->rx[i] != NULL)
			dx_rx_orphan(peer->rx[i]);
	}
	if (mesh->ops != NULL && mesh->ops->dead != NULL)
		mesh->ops->dead(mesh, peer->index);
}

void dx_mesh_peer_dead(struct dx_mesh *mesh, uint32_t peer, uint64_t epoch)
{
	if (peer < mesh->params.peers && dx_mesh_epoch(mesh, peer) == epoch)
		dx_peer_died(&mesh->peers[peer]);
}

void dx_peer_free(struct dx_peer *peer)
{
	if (peer->mesh == NULL)
		return;
	stop_waiting(peer);
	for (uint32_t i = 0; i < peer->mesh->params.slots; i++) {
		if (peer->tx != NULL && peer->tx[i] != NULL)
			dx_tx_free(peer->tx[i]);
		if (peer->rx != NULL && peer->rx[i] != NULL)
			dx_rx_free(peer->rx[i]);
	}
	if (peer->mapping != NULL)
		dx_mapping_release(peer->mapping);
	if (peer->eventfd >= 0)
		close(peer->eventfd);
	free(peer->rx);
	free(peer->tx);
	free(peer->word_seen);
	free(peer->generation);
}

/* --- it lies ---------------------------------------------------------------------------------------------- */

/* Plain: the word is whole in itself, and the change count that follows brings it. */
void dx_mesh_note_accused(struct dx_mesh *mesh, uint32_t peer, uint64_t epoch)
{
	dx_store_plain(DX_LAYOUT_AT(uint64_t, mesh->page.base, mesh->layout.accused, peer), epoch);
	dx_mesh_changed(mesh, DSMX_ABI_LEADER);
}

void dx_peer_accuse(struct dx_peer *peer, const char *what)
{
	struct dx_mesh *mesh = peer->mesh;

	if (peer->dead || peer->accused || peer->index == mesh->params.self)
		return;
	peer->accused = true;
	dx_mesh_note_accused(mesh, peer->index, dx_mesh_epoch(mesh, peer->index));
	if (mesh->accuse != NULL)
		mesh->accuse(mesh->accuse_arg, peer->index, what);
}

void dx_mesh_set_accuse(struct dx_mesh *mesh,
                        void (*accuse)(void *arg, uint32_t peer, const char *what), void *arg)
{
	mesh->accuse = accuse;
	mesh->accuse_arg = arg;
}

/* --- what is known of it ---------------------------------------------------------------------------------- */

bool dx_mesh_alive(const struct dx_mesh *mesh, uint32_t peer)
{
	return peer < mesh->params.peers && mesh->peers[peer].attached && !mesh->peers[peer].dead;
}

uint64_t dx_mesh_epoch(const struct dx_mesh *mesh, uint32_t peer)
{
	if (peer == mesh->params.self)
		return mesh->params.epoch;
	return mesh->peers[peer].mapping != NULL ? mesh->peers[peer].mapping->epoch : 0;
}

bool dx_mesh_has_mapped(const struct dx_mesh *mesh, uint32_t who, uint32_t whom)
{
	const uint64_t *mapped =
		DX_LAYOUT_PEER(uint64_t, dx_mesh_peer_page(mesh, who), mesh->layout.mapped, whom);

	return dx_load_acquire(DX_EDGE_STATE, mapped) == dx_mesh_epoch(mesh, whom);
}

bool dx_mesh_mapped_by_all(const struct dx_mesh *mesh, uint32_t peer)
{
	for (uint32_t q = 0; q < mesh->params.peers; q++) {
		if (q == peer || !dx_mesh_alive(mesh, q))
			continue;
		if (!dx_mesh_has_mapped(mesh, q, peer) || !dx_mesh_has_mapped(mesh, peer, q))
			return false;
	}
	return true;
}

void dx_mesh_set_peer_eventfd(struct dx_mesh *mesh, uint32_t peer, int eventfd)
{
	if (mesh->peers[peer].eventfd >= 0)
		close(mesh->peers[peer].eventfd);
	mesh->peers[peer].eventfd = eventfd;
}
