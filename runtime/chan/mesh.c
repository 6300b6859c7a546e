/* SPDX-License-Identifier: MIT */
/*
 * mesh.c - what a process shows its peers, and where it is: see mesh.h; peer.c is how they come and go, look.c what
 * happens in between
 *
 * The own data segment: the rings of all streams that this process may ever produce, by peer and slot, then
 * slabs. So a stream's ring is ready the moment it is asked for, and no shortage of slabs can refuse it.
 */
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "chan/internal.h"

static bool look(struct dx_source *source)
{
	return dx_mesh_look(DX_CONTAINER(source, struct dx_mesh, source));
}

static void flush(struct dx_source *source)
{
	dx_mesh_flush(DX_CONTAINER(source, struct dx_mesh, source));
}

static void arm(struct dx_source *source)
{
	dx_mesh_arm(DX_CONTAINER(source, struct dx_mesh, source));
}

static void disarm(struct dx_source *source)
{
	dx_mesh_disarm(DX_CONTAINER(source, struct dx_mesh, source));
}

static void doubt(struct dx_source *source)
{
	dx_mesh_doubt(DX_CONTAINER(source, struct dx_mesh, source));
}

static uint64_t rung(struct dx_source *source)
{
	return dx_mesh_rung(DX_CONTAINER(source, struct dx_mesh, source));
}

static size_t ring_bytes(const struct dx_mesh_params *p)
{
	size_t bytes = (size_t)p->peers * p->slots * p->frames * sizeof(struct dsmx_descriptor_abi);

	return (bytes + DX_PIECE_BYTES - 1) & ~(size_t)(DX_PIECE_BYTES - 1);
}

size_t dx_mesh_page_bytes(const struct dx_mesh_params *p)
{
	return dx_layout(p->peers, p->slots, p->frames, p->tasks).bytes;
}

int dx_mesh_check(const struct dx_mesh_params *p, struct dsmx_error *err)
{
	if (p->peers < 1 || p->peers > DSMX_ABI_PEERS || p->self >= p->peers || p->epoch == 0)
		return dx_error(err, -EINVAL, "process %u of %u: at most %u are possible", p->self,
		                p->peers, DSMX_ABI_PEERS);
	if (p->slots < 1 || p->slots > 4096 || p->tasks < 1 || p->tasks > 65536)
		return dx_error(
			err, -EINVAL,
			"%u streams per peer and %u tasks: 1 to 4096 and 1 to 65536 are possible",
			p->slots, p->tasks);
	if (p->frames < 1 || p->frames > 1024 || (p->frames & (p->frames - 1)) != 0)
		return dx_error(err, -EINVAL,
		                "%u frames per stream: a power of two up to 1024 is possible",
		                p->frames);
	if (p->data_bytes > (1ULL << 40) || p->data_bytes < ring_bytes(p) + 16 * DX_PIECE_BYTES)
		return dx_error(
			err, -EINVAL,
			"data segments of %llu bytes: the rings of %u peers take %zu, and %u more are the least",
			(unsigned long long)p->data_bytes, p->peers, ring_bytes(p),
			16 * DX_PIECE_BYTES);
	return 0;
}

static void fill_header(struct dx_mesh *mesh)
{
	const struct dx_mesh_params *p = &mesh->params;

	*dx_mesh_page(mesh) = (struct dsmx_page_abi){
		.magic = DSMX_PAGE_MAGIC,
		.version = DSMX_ABI_VERSION,
		.peer = p->self,
		.session = p->session,
		.epoch = p->epoch,
		.pid = (uint32_t)getpid(),
		.peers = p->peers,
		.slots = p->slots,
		.frames = p->frames,
		.tasks = p->tasks,
		.data_bytes = p->data_bytes,
	};
}

static int make_memory(struct dx_mesh *mesh, struct dsmx_error *err)
{
	const struct dx_mesh_params *p = &mesh->params;
	size_t rings = ring_bytes(p);
	int r;

	/* The page is small: a huge page for it would be a waste. */
	r = dx_segment_create("dsmx-page", mesh->layout.bytes, DSMX_PAGES_SMALL, p->numa_node,
	                      &mesh->page, err);
	if (r < 0)
		return r;
	r = dx_segment_create("dsmx-data", p->data_bytes, p->pages, p->numa_node, &mesh->data, err);
	if (r < 0)
		return r;
	mesh->slabs_offset = rings;
	r = dx_slabs_new((char *)mesh->data.base + rings, p->data_bytes - rings, &mesh->slabs);
	if (r < 0)
		return dx_error(err, r, "no memory for the books of %llu bytes of slabs",
		                (unsigned long long)p->data_bytes);
	return 0;
}

int dx_mesh_new(struct dx_reactor *reactor, const struct dx_mesh_params *params,
                struct dx_mesh **ret_mesh, struct dsmx_error *err)
{
	struct dx_mesh *mesh;
	int r = dx_mesh_check(params, err);

	if (r < 0)
		return r;
	mesh = calloc(1, sizeof(*mesh));
	if (mesh == NULL)
		return dx_error(err, -ENOMEM, "no memory for a mesh");
	mesh->reactor = reactor;
	mesh->params = *params;
	mesh->layout = dx_layout(params->peers, params->slots, params->frames, params->tasks);
	mesh->page.fd = mesh->data.fd = -1;
	mesh->source = (struct dx_source){ .look = look,
		                           .flush = flush,
		                           .arm = arm,
		                           .disarm = disarm,
		                           .doubt = doubt,
		                           .rung = rung };
	dx_list_init(&mesh->rx_waiting);
	dx_list_init(&mesh->tx_waiting);
	dx_list_init(&mesh->tx_all);
	dx_list_init(&mesh->tx_armed);
	dx_list_init(&mesh->rx_dirty);
	dx_list_init(&mesh->tx_dirty);
	dx_reactor_add_source(reactor, &mesh->source);
	r = make_memory(mesh, err);
	if (r == 0)
		fill_header(mesh);
	for (uint32_t i = 0; r == 0 && i < params->peers; i++)
		r = dx_peer_init(mesh, i);
	if (r < 0) {
		dx_mesh_free(mesh);
		return r == -ENOMEM ? dx_error(err, r, "no memory for %u peers", params->peers) : r;
	}
	*ret_mesh = mesh;
	return 0;
}

void dx_mesh_free(struct dx_mesh *mesh)
{
	if (mesh == NULL)
		return;
	dx_reactor_remove_source(mesh->reactor, &mesh->source);
	for (uint32_t i = 0; i < mesh->params.peers; i++)
		dx_peer_free(&mesh->peers[i]);
	while (mesh->spare_frames != NULL) {
		struct dx_frame *frame = mesh->spare_frames;

		mesh->spare_frames = frame->next_spare;
		free(frame);
	}
	if (mesh->robust != NULL) { /* this thread lives on: with the list that it had before */
		(void)syscall(SYS_set_robust_list, mesh->robust->before,
		              sizeof(*mesh->robust->before));
		free(mesh->robust);
	}
	if (mesh->slabs != NULL)
		dx_slabs_free(mesh->slabs);
	dx_segment_close(&mesh->data);
	dx_segment_close(&mesh->page);
	free(mesh->slab_wakers);
	free(mesh);
}

int dx_mesh_live(struct dx_mesh *mesh)
{
	struct dx_robust *robust = calloc(1, sizeof(*robust));
	size_t bytes;
	struct dsmx_live_abi *live =
		DX_LAYOUT_AT(struct dsmx_live_abi, mesh->page.base, mesh->layout.live, 0);
	uint32_t tid = (uint32_t)syscall(SYS_gettid);

	if (robust == NULL)
		return -ENOMEM;
	/* The kernel walks it as a ring: head, one link on each peer's line, head. */
	for (uint32_t i = 0; i < mesh->params.peers; i++) {
		live[i].next = i + 1 < mesh->params.peers ? (uint64_t)(uintptr_t)&live[i + 1].next
		                                          : (uint64_t)(uintptr_t)&robust->head;
		dx_store_release(DX_EDGE_LIVE, &live[i].word, tid | FUTEX_WAITERS);
	}
	robust->head = (struct dx_robust_head){
		.first = &live[0].next,
		.word_offset = (long)offsetof(struct dsmx_live_abi, word) -
		               (long)offsetof(struct dsmx_live_abi, next),
	};
	if (syscall(SYS_get_robust_list, 0, &robust->before, &bytes) < 0 ||
	    syscall(SYS_set_robust_list, &robust->head, sizeof(robust->head)) < 0) {
		int code = dx_errno();

		free(robust);
		return code;
	}
	mesh->robust = robust;
	return 0;
}

/* --- plain access ------------------------------------------------------------------------------------------ */

void dx_mesh_set_ops(struct dx_mesh *mesh, const struct dx_mesh_ops *ops)
{
	mesh->ops = ops;
}

const struct dx_mesh_ops *dx_mesh_ops(const struct dx_mesh *mesh)
{
	return mesh->ops;
}

const struct dx_segment *dx_mesh_page_segment(const struct dx_mesh *mesh)
{
	return &mesh->page;
}

const struct dx_segment *dx_mesh_data_segment(const struct dx_mesh *mesh)
{
	return &mesh->data;
}

void dx_mesh_set_state(struct dx_mesh *mesh, uint32_t state)
{
	dx_store_release(DX_EDGE_STATE, &dx_mesh_page(mesh)->state, state);
	for (uint32_t i = 0; i < mesh->params.peers; i++)
		dx_mesh_changed(mesh, i);
	dx_mesh_flush(mesh);
}

uint32_t dx_mesh_state(const struct dx_mesh *mesh, uint32_t peer)
{
	const struct dsmx_page_abi *page = dx_mesh_peer_page(mesh, peer);

	return page == NULL ? DSMX_STATE_END : dx_load_acquire(DX_EDGE_STATE, &page->state);
}

uint32_t dx_mesh_self(const struct dx_mesh *mesh)
{
	return mesh->params.self;
}

uint32_t dx_mesh_peers(const struct dx_mesh *mesh)
{
	return mesh->params.peers;
}

const struct dx_layout *dx_mesh_layout(const struct dx_mesh *mesh)
{
	return &mesh->layout;
}

struct dx_reactor *dx_mesh_reactor(const struct dx_mesh *mesh)
{
	return mesh->reactor;
}

struct dx_slabs *dx_mesh_slabs(const struct dx_mesh *mesh)
{
	return mesh->slabs;
}

struct dsmx_page_abi *dx_mesh_page(const struct dx_mesh *mesh)
{
	return mesh->page.base;
}

char *dx_mesh_data(const struct dx_mesh *mesh)
{
	return mesh->data.base;
}

const struct dsmx_page_abi *dx_mesh_peer_page(const struct dx_mesh *mesh, uint32_t peer)
{
	if (peer == mesh->params.self)
		return mesh->page.base;
	return mesh->peers[peer].mapping != NULL ? mesh->peers[peer].mapping->page.base : NULL;
}

const char *dx_mesh_peer_data(const struct dx_mesh *mesh, uint32_t peer)
{
	if (peer == mesh->params.self)
		return mesh->data.base;
	return mesh->peers[peer].mapping != NULL ? mesh->peers[peer].mapping->data.base : NULL;
}

size_t dx_mesh_peer_data_bytes(const struct dx_mesh *mesh, uint32_t peer)
{
	(void)peer; /* attached only if it has the size that was agreed */
	return mesh->params.data_bytes;
}

uint64_t dx_mesh_heard(const struct dx_mesh *mesh)
{
	return mesh->heard;
}
