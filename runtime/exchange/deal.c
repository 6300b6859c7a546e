/* SPDX-License-Identifier: MIT */
/*
 * deal.c - from a batch of a producer's input to its outputs: partition, find room, write, queue
 *
 *	dx_deal_batch ──▶ stalled (no room) ──▶ dx_deal_rest ──▶ ... ──▶ the batch is in frames
 *
 * Each target has a writer with a frame open: one for each partition, or one for all of them (broadcast), or one whose
 * frames go to whichever output has most room (arbitrary). A full frame is queued at its outputs; where there is no
 * room for another, the place in the batch is kept, and what the producer stopped for.
 */
#include "base/err.h"
#include "base/order.h"
#include "base/probe.h"
#include "exchange/internal.h"

static struct dx_mesh *mesh_of(const struct dx_producer *p)
{
	return p->query->service->mesh;
}

/* --- outputs --------------------------------------------------------------------------------------------------- */

/* Writers are as many as targets: one for each output, or one for all of them. */
static uint32_t first_output(const struct dx_producer *p, uint32_t target)
{
	return p->target_count == 1 ? 0 : target;
}

static uint32_t end_output(const struct dx_producer *p, uint32_t target)
{
	return p->target_count == 1 ? p->procedure->rel->exchange.partitions : target + 1;
}

static bool is_wanted(const struct dx_producer *p, uint32_t target)
{
	for (uint32_t i = first_output(p, target); i < end_output(p, target); i++)
		if (!p->outputs[i].over)
			return true;
	return false;
}

/* --- arbitrary: each frame to one output --------------------------------------------------------------------------- */

static bool is_arbitrary(const struct dx_producer *p)
{
	return p->procedure->rel->exchange.kind == DSMX_EXCHANGE_ARBITRARY;
}

/*
 * The output that has room for @len_bytes and the most credit left, of those that somebody reads; in turn where
 * several have. One that overflows is better than none only. UINT32_MAX: no output has room.
 */
static uint32_t find_freest(const struct dx_producer *p, size_t len_bytes)
{
	uint32_t count = p->procedure->rel->exchange.partitions, best = UINT32_MAX;
	uint64_t best_free = 0;

	for (uint32_t k = 0; k < count; k++) {
		uint32_t i = p->turn + k < count ? p->turn + k : p->turn + k - count;
		const struct dx_output *o = &p->outputs[i];
		uint64_t left;

		if (o->tx != NULL)
			dx_tx_collect(o->tx);
		left = o->overflows ? o->tx != NULL : 2 + dx_output_free_bytes(o);
		if (o->over || (o->tx == NULL && !o->overflows) ||
		    !dx_output_has_room(o, len_bytes))
			continue;
		if (best == UINT32_MAX || left > best_free) {
			best = i;
			best_free = left;
		}
	}
	return best;
}

/* Where to put a frame that is there already: somewhere. UINT32_MAX: nobody wants it. */
static uint32_t find_taker(const struct dx_producer *p, size_t len_bytes)
{
	uint32_t count = p->procedure->rel->exchange.partitions;
	uint32_t taker = find_freest(p, len_bytes);

	for (uint32_t i = 0; taker == UINT32_MAX && i < count; i++)
		if (!p->outputs[i].over && p->outputs[i].tx != NULL)
			taker = i;
	for (uint32_t i = 0; taker == UINT32_MAX && i < count; i++)
		if (!p->outputs[i].over)
			taker = i;
	return taker;
}

/* An overflow that was allowed, and not needed after all: another output had room. */
static void forget_overflow(struct dx_producer *p)
{
	for (uint32_t i = 0; i < p->procedure->rel->exchange.partitions; i++)
		if (p->outputs[i].spill == NULL)
			p->outputs[i].overflows = false;
}

/* Any of the outputs that are not over would do. */
static void record_any(struct dx_producer *p)
{
	uint64_t any = 0;

	for (uint32_t i = p->procedure->rel->exchange.partitions; i-- > 0;) {
		if (p->outputs[i].over)
			continue;
		any |= DX_PARK_BIT(i);
		dx_store_release(DX_EDGE_PARK, &p->record->park_partition, i);
	}
	dx_store_release(DX_EDGE_PARK, &p->record->park_any, any);
}

/* --- frames to outputs ---------------------------------------------------------------------------------------------- */

/* Close the open frame of a target and queue it for each output that wants it. */
static int flush_target(struct dx_producer *p, uint32_t target)
{
	uint32_t len_bytes = 0, rows = 0, begin = first_output(p, target);
	uint32_t end = end_output(p, target);
	struct dx_frame *frame = dx_writer_close(&p->writers[target], &len_bytes, &rows);
	int r = 0;

	if (frame == NULL)
		return 0;
	if (is_arbitrary(p)) {
		begin = find_taker(p, frame->slab_bytes);
		end = begin < end ? begin + 1 : begin;
		p->turn = end < p->procedure->rel->exchange.partitions ? end : 0;
	}
	for (uint32_t i = begin; r == 0 && i < end; i++) {
		if (p->outputs[i].over)
			continue;
		dx_frame_retain(frame);
		r = dx_output_put(&p->outputs[i], frame, len_bytes, rows);
		dx_output_deliver(&p->outputs[i], &p->task.waker);
	}
	if (is_arbitrary(p))
		forget_overflow(p);
	dx_frame_release(frame);
	return r;
}

int dx_deal_flush(struct dx_producer *p)
{
	int r = 0;

	for (uint32_t t = 0; r == 0 && t < p->target_count; t++)
		r = flush_target(p, t);
	return r;
}

void dx_deal_deliver(struct dx_producer *p)
{
	for (uint32_t i = 0; i < p->procedure->rel->exchange.partitions; i++) {
		struct dx_output *o = &p->outputs[i];

		if (o->over)
			continue;
		/* Once for each wake and stall: who has nothing out any more may take what is set aside. */
		if (o->tx != NULL)
			dx_tx_collect(o->tx);
		dx_output_deliver(o, &p->task.waker);
	}
}

/*
 * A frame's slab: the configured size, or less where the segment has little for each of many outputs, so that
 * every output can have one open and one out.
 */
size_t dx_deal_slab_bytes(const struct dx_producer *p)
{
	size_t want = p->procedure->rel->exchange.config.frame_bytes;
	size_t share = dx_slab_bytes(dx_mesh_slabs(mesh_of(p))) /
	               (4 * ((size_t)p->procedure->rel->exchange.partitions + 1));
	size_t bytes = DX_PIECE_BYTES;

	while (bytes * 2 <= want && bytes * 2 <= share)
		bytes *= 2;
	return bytes;
}

/* --- rows to frames --------------------------------------------------------------------------------------------- */

/* The first frames are small, so that a small result takes little memory and comes early. */
static size_t next_bytes(const struct dx_producer *p, const struct dx_writer *w)
{
	size_t bytes = p->slab_bytes;

	if (w->opened < 4 && bytes > (2U * DX_PIECE_BYTES) << w->opened)
		bytes = (2U * DX_PIECE_BYTES) << w->opened;
	return bytes;
}

/*
 * Where the next frame of a target is to be: every output that wants it has room, or for ARBITRARY the one that
 * has most. -EAGAIN: out of credit, and the record says for which.
 */
static int find_memory(struct dx_producer *p, uint32_t target, size_t bytes,
                       enum dx_writer_memory *ret_memory)
{
	uint32_t begin = first_output(p, target), end = end_output(p, target);
	bool empty = true, overflows = true;

	if (is_arbitrary(p)) {
		begin = find_freest(p, bytes);
		if (begin == UINT32_MAX) {
			record_any(p);
			return -EAGAIN;
		}
		end = begin + 1;
	}
	for (uint32_t i = begin; i < end; i++) {
		struct dx_output *o = &p->outputs[i];

		if (o->over)
			continue;
		empty &= dx_output_is_empty(o);
		overflows &= o->overflows;
		if (!dx_output_has_room(o, bytes)) {
			dx_store_release(DX_EDGE_PARK, &p->record->park_partition, i);
			return -EAGAIN;
		}
	}
	*ret_memory = overflows ? DX_MEMORY_PRIVATE : empty ? DX_MEMORY_RESERVED : DX_MEMORY_SLAB;
	return 0;
}

/* Returns 0 with a frame open, -EAGAIN: parked, or an error. */
static int open_frame(struct dx_producer *p, uint32_t target, const uint32_t *row,
                      struct dsmx_error *err)
{
	struct dx_writer *w = &p->writers[target];
	size_t bytes = next_bytes(p, w);
	enum dx_writer_memory memory;
	int r = -EAGAIN;

	p->stalled.kind = DSMX_PARK_CREDIT;
	if (find_memory(p, target, bytes, &memory) < 0)
		return r;
	p->stalled.kind = DSMX_PARK_SLAB;
	if (memory != DX_MEMORY_RESERVED || bytes > DX_PIECE_BYTES)
		r = dx_writer_open(w, &p->stalled.batch, row, bytes, memory,
		                   memory == DX_MEMORY_RESERVED ? NULL : &p->task.waker, err);
	/* What is set aside is a piece: rather a small frame than none. */
	if (memory == DX_MEMORY_RESERVED && r == -EAGAIN)
		r = dx_writer_open(w, &p->stalled.batch, row, DX_PIECE_BYTES, memory,
		                   &p->task.waker, err);
	return r;
}

/* A frame could not be queued: for want of memory, or its overflow failed and has said why. */
int dx_deal_failed(struct dx_producer *p, int r, struct dsmx_error *err)
{
	if (p->failure.code == r)
		*err = p->failure;
	else
		(void)dx_error(err, r, "exchange %u: no memory for a frame's books",
		               p->procedure->rel->exchange.number);
	return r;
}

/* Rows of one target from p->stalled.next on. 0: all of them are in frames. */
static int write_target(struct dx_producer *p, struct dsmx_error *err)
{
	struct dx_stalled *s = &p->stalled;
	uint32_t end = s->starts[s->target + 1];
	struct dx_writer *w = &p->writers[s->target];

	while (s->next < end) {
		int r = 0;

		if (!is_wanted(p, s->target)) {
			p->record->dropped_rows += end - s->next;
			s->next = end;
			return 0;
		}
		if (w->frame == NULL)
			r = open_frame(p, s->target, s->rows + s->next, err);
		if (r < 0)
			return r;
		s->next += dx_writer_append(w, &s->batch, s->rows + s->next, end - s->next);
		if (s->next < end)
			r = flush_target(p, s->target);
		if (r < 0)
			return dx_deal_failed(p, r, err);
	}
	return 0;
}

/* The batch in p->stalled. -EAGAIN: it stays there. */
int dx_deal_rest(struct dx_producer *p, struct dsmx_error *err)
{
	struct dx_stalled *s = &p->stalled;

	for (; s->target < p->target_count; s->target++) {
		int r;

		if (s->next < s->starts[s->target])
			s->next = s->starts[s->target];
		r = write_target(p, err);
		if (r < 0)
			return r;
	}
	s->active = false;
	return 0;
}

static uint32_t keep(void *arg, uint32_t target, const struct dsmx_batch *batch, uint32_t *rows,
                     uint32_t count)
{
	return dx_dropper_keep(arg, target, batch, rows, count);
}

int dx_deal_batch(struct dx_producer *p, const struct dsmx_batch *batch, struct dsmx_error *err)
{
	struct dx_stalled *s = &p->stalled;
	int r = dx_partition(p->partitioner, batch, &s->rows, &s->starts, err);

	if (r < 0)
		return r;
	p->record->rows += batch->selected;
	if (p->procedure->filters != NULL)
		dx_partition_keep(p->partitioner, batch, keep, p);
	s->batch = *batch;
	s->target = 0;
	s->next = 0;
	s->active = true;
	return dx_deal_rest(p, err);
}

void dx_deal_overflow(struct dx_producer *p, const char *set)
{
	uint32_t exchange = p->procedure->rel->exchange.number;

	DX_PROBE(deadlock, dx_mesh_page(mesh_of(p))->session, p->record->query, exchange,
	         p->fragment.task, p->stalled.kind, p->record->park_partition);
	if (p->procedure->rel->exchange.config.overflow_forbidden) {
		(void)dx_error(&p->failure, -EDEADLK,
		               "exchange %u must not overflow, and these wait for each other: %s",
		               exchange, set);
		p->failure.exchange = (int)exchange;
	} else if (p->stalled.kind == DSMX_PARK_CREDIT) {
		p->outputs[p->record->park_partition].overflows = true;
	} else {
		for (uint32_t i = first_output(p, p->stalled.target);
		     i < end_output(p, p->stalled.target); i++)
			p->outputs[i].overflows = true;
	}
	dx_task_wake(&p->task);
}
