/* SPDX-License-Identifier: MIT */
/*
 * inspect.c - the leader looks for itself at what a peer says of another
 *
 * Somebody says that a process broke a rule, and somebody may lie about that. So only what the accused alone writes is
 * looked at, and only rules that no word of it may break at any moment, in the midst of whatever it does: fields by
 * themselves, not how they go together. What it has tidied up since is not found.
 */
#include <linux/futex.h>

#include "base/order.h"
#include "chan/internal.h"

static const char *inspect_header(const struct dx_mesh *mesh, uint32_t peer)
{
	const struct dx_mesh_params *p = &mesh->params;
	struct dsmx_page_abi h;

	dx_copy_once(&h, dx_mesh_peer_page(mesh, peer), sizeof(h));
	return h.magic == DSMX_PAGE_MAGIC && h.version == DSMX_ABI_VERSION && h.peer == peer &&
	                       h.session == p->session && h.epoch == dx_mesh_epoch(mesh, peer) &&
	                       h.peers == p->peers && h.slots == p->slots &&
	                       h.frames == p->frames && h.tasks == p->tasks &&
	                       h.data_bytes == p->data_bytes
	               ? NULL
	               : "its page's header has changed";
}

/* A slot that was never used is all zero; so is one that was only refused, but for what it was asked. */
static const char *inspect_stream(const struct dx_mesh *mesh, uint32_t peer, size_t slot)
{
	const struct dx_layout *l = &mesh->layout;
	const void *page = dx_mesh_peer_page(mesh, peer);
	uint64_t answer = dx_load_plain(DX_LAYOUT_PEER(uint64_t, page, l->stream_words, slot));
	uint64_t asked = dx_load_plain(DX_LAYOUT_PEER(uint64_t, page, l->request_words, slot));
	struct dsmx_stream_abi s;

	dx_copy_once(&s, DX_LAYOUT_PEER(struct dsmx_stream_abi, page, l->streams, slot), sizeof(s));
	if (DSMX_WORD_STATE(answer) > DSMX_STREAM_CANCELLED)
		return "a stream word of it has a state that there is not";
	if (DSMX_WORD_STATE(asked) > DSMX_REQUEST_DONE)
		return "a request word of it has a state that there is not";
	if ((s.ring_slots != 0 && s.ring_slots != l->frames) ||
	    (s.ring_offset != 0 &&
	     s.ring_offset != slot * l->frames * sizeof(struct dsmx_descriptor_abi)))
		return "a ring of it is not at its place";
	if (s.code > 0 || s.code < -4095 || s.error >= DSMX_ABI_ERRORS)
		return "a stream of it ends with an error that is none";
	return NULL;
}

static const char *inspect_ring(const struct dx_mesh *mesh, uint32_t peer, size_t slot)
{
	const struct dx_layout *l = &mesh->layout;
	uint64_t size = dx_mesh_peer_data_bytes(mesh, peer);
	const struct dsmx_descriptor_abi *ring = DX_LAYOUT_PEER(
		struct dsmx_descriptor_abi, dx_mesh_peer_data(mesh, peer), 0, slot * l->frames);
	const uint32_t *log =
		DX_LAYOUT_PEER(uint32_t, dx_mesh_peer_page(mesh, peer), l->logs, slot * l->frames);

	for (uint32_t i = 0; i < l->frames; i++) {
		struct dsmx_descriptor_abi d;

		dx_copy_once(&d, &ring[i], sizeof(d));
		if (d.frame >= l->frames || d.offset % DSMX_LINE_BYTES != 0 || d.offset > size ||
		    d.bytes > size)
			return "a descriptor of it names what there is not";
		if (dx_load_plain(&log[i]) >= l->frames)
			return "a frame that it gave back is none";
	}
	return NULL;
}

const char *dx_mesh_inspect(const struct dx_mesh *mesh, uint32_t peer)
{
	size_t streams = (size_t)mesh->params.peers * mesh->params.slots;
	const char *what;

	if (dx_mesh_peer_page(mesh, peer) == NULL)
		return NULL;
	what = inspect_header(mesh, peer);
	for (size_t slot = 0; what == NULL && slot < streams; slot++) {
		what = inspect_stream(mesh, peer, slot);
		if (what == NULL)
			what = inspect_ring(mesh, peer, slot);
	}
	return what;
}

bool dx_mesh_says_dead(const struct dx_mesh *mesh, uint32_t peer)
{
	const struct dsmx_live_abi *live;

	if (peer == DSMX_ABI_LEADER || peer == mesh->params.self ||
	    dx_mesh_peer_page(mesh, peer) == NULL)
		return false;
	live = DX_LAYOUT_PEER(struct dsmx_live_abi, dx_mesh_peer_page(mesh, peer),
	                      mesh->layout.live, 0);
	for (uint32_t watcher = 0; watcher < mesh->params.peers; watcher++)
		if ((dx_load_acquire(DX_EDGE_LIVE, &live[watcher].word) & FUTEX_OWNER_DIED) != 0)
			return true;
	return false;
}

/* Whether @who's table at @part has the incarnation of @whom that is attached here. */
static bool names(const struct dx_mesh *mesh, size_t part, uint32_t who, uint32_t whom)
{
	const uint64_t *word = DX_LAYOUT_PEER(uint64_t, dx_mesh_peer_page(mesh, who), part, whom);
	uint64_t epoch = dx_mesh_epoch(mesh, whom);

	return epoch != 0 && dx_load_plain(word) == epoch;
}

bool dx_mesh_accuses(const struct dx_mesh *mesh, uint32_t who, uint32_t whom)
{
	return names(mesh, mesh->layout.accused, who, whom);
}

bool dx_mesh_calls_dead(const struct dx_mesh *mesh, uint32_t who, uint32_t whom)
{
	return names(mesh, mesh->layout.dead, who, whom);
}

uint32_t dx_mesh_pulse(const struct dx_mesh *mesh, uint32_t peer)
{
	return dx_load_acquire(DX_EDGE_PULSE, &dx_mesh_peer_page(mesh, peer)->pulse);
}
