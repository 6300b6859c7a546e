/* SPDX-License-Identifier: MIT */
/*
 * frame.c - frames: counted parts of the own data segment
 *
 * The books are private to the owner of the segment; nothing here is seen by a peer. A broadcast frame has
 * one reference for each stream that it is in, those that nobody has asked for yet included, and comes back
 * with the last.
 */
#include <stdlib.h>

#include "base/err.h"
#include "chan/internal.h"

static struct dx_frame *take_spare(struct dx_mesh *mesh)
{
	struct dx_frame *frame = mesh->spare_frames;

	if (frame == NULL)
		return malloc(sizeof(*frame));
	mesh->spare_frames = frame->next_spare;
	return frame;
}

static void put_spare(struct dx_frame *frame)
{
	frame->next_spare = frame->mesh->spare_frames;
	frame->mesh->spare_frames = frame;
}

void dx_mesh_wait_room(struct dx_mesh *mesh, struct dsmx_waker *waker)
{
	for (uint32_t i = 0; i < mesh->slab_waker_count; i++)
		if (mesh->slab_wakers[i] == waker)
			return;
	if (mesh->slab_waker_count == mesh->slab_waker_room) {
		uint32_t room = mesh->slab_waker_room * 2 + 16;
		struct dsmx_waker **more =
			realloc(mesh->slab_wakers, room * sizeof(struct dsmx_waker *));

		if (more == NULL) { /* nobody will wake it: let it try again */
			waker->wake(waker);
			return;
		}
		mesh->slab_wakers = more;
		mesh->slab_waker_room = room;
	}
	mesh->slab_wakers[mesh->slab_waker_count++] = waker;
}

/*
 * An eighth of the memory is for those that have nothing out. Else a query that nobody reads could take all of it,
 * within its credit, before the next one starts.
 */
static int64_t alloc(struct dx_mesh *mesh, size_t len_bytes, bool may_use_reserve,
                     size_t *ret_slab_bytes)
{
	size_t all = dx_slab_bytes(mesh->slabs);

	if (!may_use_reserve && len_bytes <= dx_slab_longest(mesh->slabs) &&
	    dx_slab_used(mesh->slabs) + len_bytes > all - all / 8)
		return -EAGAIN;
	return dx_slab_alloc(mesh->slabs, len_bytes, may_use_reserve, ret_slab_bytes);
}

int dx_frame_new(struct dx_mesh *mesh, size_t len_bytes, bool may_use_reserve,
                 struct dsmx_waker *waker, struct dx_frame **ret_frame)
{
	struct dx_frame *frame;
	size_t slab_bytes = 0;
	int64_t offset;

	offset = alloc(mesh, len_bytes, may_use_reserve, &slab_bytes);
	if (offset == -EAGAIN) {
		/* Look before giving up: much may have come back unnoticed. */
		dx_list_each(link, &mesh->tx_all)(void)
			dx_tx_look(DX_CONTAINER(link, struct dx_tx, all));
		offset = alloc(mesh, len_bytes, may_use_reserve, &slab_bytes);
	}
	if (offset == -EAGAIN && waker != NULL)
		dx_mesh_wait_room(mesh, waker);
	if (offset < 0)
		return (int)offset;
	frame = take_spare(mesh);
	if (frame == NULL) {
		dx_slab_release(mesh->slabs, (uint64_t)offset);
		return -ENOMEM;
	}
	*frame = (struct dx_frame){
		.mesh = mesh,
		.bytes = dx_mesh_data(mesh) + mesh->slabs_offset + offset,
		.slab_bytes = slab_bytes,
		.refs = 1,
	};
	*ret_frame = frame;
	return 0;
}

int dx_frame_new_private(struct dx_mesh *mesh, size_t len_bytes, struct dx_frame **ret_frame)
{
	struct dx_frame *frame = take_spare(mesh);
	char *bytes = aligned_alloc(DSMX_LINE_BYTES, (len_bytes + DSMX_LINE_BYTES - 1) &
	                                                     ~(size_t)(DSMX_LINE_BYTES - 1));

	if (frame == NULL || bytes == NULL) {
		free(frame);
		free(bytes);
		return -ENOMEM;
	}
	*frame = (struct dx_frame){
		.mesh = mesh, .bytes = bytes, .slab_bytes = len_bytes, .is_private = true, .refs = 1
	};
	*ret_frame = frame;
	return 0;
}

void dx_frame_retain(struct dx_frame *frame)
{
	frame->refs++;
}

void dx_frame_release(struct dx_frame *frame)
{
	struct dx_mesh *mesh = frame->mesh;

	if (--frame->refs > 0)
		return;
	if (frame->is_private) {
		free(frame->bytes);
		put_spare(frame);
		return;
	}
	dx_slab_release(mesh->slabs,
	                (uint64_t)(frame->bytes - dx_mesh_data(mesh)) - mesh->slabs_offset);
	put_spare(frame);
	if (mesh->slab_waker_count > 0)
		dx_mesh_wake_slab_waiters(mesh);
}

void dx_frame_forget(struct dx_mesh *mesh, struct dsmx_waker *waker)
{
	for (uint32_t i = 0; i < mesh->slab_waker_count; i++) {
		if (mesh->slab_wakers[i] != waker)
			continue;
		mesh->slab_wakers[i] = mesh->slab_wakers[--mesh->slab_waker_count];
		return;
	}
}

void dx_mesh_wake_slab_waiters(struct dx_mesh *mesh)
{
	while (mesh->slab_waker_count > 0) {
		struct dsmx_waker *waker = mesh->slab_wakers[--mesh->slab_waker_count];

		waker->wake(waker);
	}
}
