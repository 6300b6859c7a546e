/* SPDX-License-Identifier: MIT */
/*
 * output.c - see struct dx_output
 *
 * Frames for a partition that nobody has asked for yet wait in the queue, under the same credit as frames
 * that are out in the stream: a late consumer misses nothing, and an absent one costs no more than a slow
 * one.
 *
 * An output that overflows takes whatever comes: into its file, once there is anything in it or no room, and
 * from the file into its stream as room appears. When the file has run empty it is an output like any other.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/probe.h"
#include "chan/flight.h"
#include "exchange/internal.h"

int dx_output_init(struct dx_output *o, struct dx_producer *producer, uint32_t partition)
{
	*o = (struct dx_output){ .producer = producer, .partition = partition };
	o->queue_room = 8;
	o->queue = calloc(o->queue_room, sizeof(*o->queue));
	if (o->queue == NULL)
		return -ENOMEM;
	if (dx_slab_reserve(dx_mesh_slabs(producer->query->service->mesh)) < 0)
		return -ENOSPC;
	o->reserved = true;
	return 0;
}

static void drop_queue(struct dx_output *o)
{
	while (o->queue_count > 0) {
		dx_frame_release(o->queue[o->queue_first].frame);
		o->queue_first = (o->queue_first + 1) % o->queue_room;
		o->queue_count--;
	}
	o->queue_bytes = 0;
}

static void unreserve(struct dx_output *o)
{
	if (o->reserved)
		dx_slab_unreserve(dx_mesh_slabs(o->producer->query->service->mesh));
	o->reserved = false;
}

void dx_output_fini(struct dx_output *o)
{
	if (o->queue == NULL)
		return;
	if (o->tx != NULL)
		dx_tx_finish(o->tx, DSMX_STREAM_CANCELLED, NULL);
	o->tx = NULL;
	drop_queue(o);
	dx_spill_free(o->spill);
	unreserve(o);
	free(o->queue);
	o->queue = NULL;
}

static uint64_t held_bytes(const struct dx_output *o)
{
	return o->queue_bytes + (o->tx != NULL ? dx_tx_outstanding(o->tx) : 0);
}

bool dx_output_is_empty(const struct dx_output *o)
{
	return o->queue_count == 0 && (o->tx == NULL || dx_tx_outstanding(o->tx) == 0);
}

bool dx_output_has_room(const struct dx_output *o, size_t len_bytes)
{
	uint64_t credit = o->producer->procedure->rel->exchange.config.credit_bytes;

	return o->overflows || dx_output_is_empty(o) || held_bytes(o) + len_bytes <= credit;
}

uint64_t dx_output_free_bytes(const struct dx_output *o)
{
	uint64_t credit = o->producer->procedure->rel->exchange.config.credit_bytes;
	uint64_t held = held_bytes(o);

	return held < credit ? credit - held : 0;
}

static int grow_queue(struct dx_output *o)
{
	uint32_t room = o->queue_room * 2;
	struct dx_queued *more = calloc(room, sizeof(*more));

	if (more == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < o->queue_count; i++)
		more[i] = o->queue[(o->queue_first + i) % o->queue_room];
	free(o->queue);
	o->queue = more;
	o->queue_room = room;
	o->queue_first = 0;
	return 0;
}

/* For the flight recorder. */
static void note_spill(const struct dx_output *o, uint32_t len_bytes, uint32_t rows)
{
	const struct dx_producer *p = o->producer;
	struct dx_mesh *mesh = p->query->service->mesh;

	if (dx_mesh_flight_on(mesh))
		dx_flight_write(mesh,
		                &(struct dsmx_flight_event_abi){
					.query = (uint32_t)p->query->id,
					.kind = DSMX_FLIGHT_spill,
					.peer = (uint16_t)dx_mesh_self(mesh),
					.exchange = (uint16_t)p->procedure->rel->exchange.number,
					.task = (uint16_t)p->fragment.task,
					.partition = (uint16_t)o->partition,
					.a = rows,
					.b = len_bytes,
				});
}

static int spill(struct dx_output *o, struct dx_frame *frame, uint32_t len_bytes, uint32_t rows)
{
	struct dx_producer *p = o->producer;
	int64_t r = 0;

	if (o->spill == NULL)
		r = dx_spill_new(&p->query->spill_budget, &o->spill, &p->failure);
	DX_PROBE(spill, dx_mesh_page(p->query->service->mesh)->session, p->query->id,
	         p->procedure->rel->exchange.number, p->fragment.task, o->partition, len_bytes);
	note_spill(o, len_bytes, rows);
	if (r == 0)
		r = dx_spill_put(o->spill, frame->bytes, len_bytes, rows, &p->failure);
	dx_frame_release(frame);
	if (r < 0)
		return (int)r;
	p->record->overflow_bytes += (uint64_t)r;
	return 0;
}

int dx_output_put(struct dx_output *o, struct dx_frame *frame, uint32_t len_bytes, uint32_t rows)
{
	if (o->spill != NULL || o->overflows || frame->is_private)
		return spill(o, frame, len_bytes, rows);
	if (o->queue_count == o->queue_room && grow_queue(o) < 0) {
		dx_frame_release(frame);
		return -ENOMEM;
	}
	o->queue[(o->queue_first + o->queue_count) % o->queue_room] =
		(struct dx_queued){ .frame = frame, .len_bytes = len_bytes, .rows = rows };
	o->queue_count++;
	o->queue_bytes += frame->slab_bytes;
	return 0;
}

static void count_frame(struct dx_output *o, const struct dx_queued *q)
{
	struct dsmx_task_abi *record = o->producer->record;

	if (dx_tx_local(o->tx)) {
		record->local_frames++;
		record->local_rows += q->rows;
	} else {
		record->ring_frames++;
		record->ring_rows += q->rows;
		record->ring_bytes += q->len_bytes;
	}
	if (record->first_commit_ns == 0)
		record->first_commit_ns = dx_now_ns();
}

/* From the file into the stream. Returns 0 when the file is empty, -EAGAIN: no room, or an error. */
static int unspill(struct dx_output *o, struct dsmx_waker *waker)
{
	struct dx_queued q = { 0 };
	int r;

	while (!dx_spill_is_empty(o->spill)) {
		dx_spill_first(o->spill, &q.len_bytes, &q.rows);
		r = dx_tx_room(o->tx, q.len_bytes, waker);
		if (r < 0)
			return r;
		r = dx_frame_new(o->producer->query->service->mesh, q.len_bytes,
		                 dx_output_is_empty(o), waker, &q.frame);
		if (r < 0 && r != -EAGAIN)
			(void)dx_error(&o->producer->failure, r,
			               "no frame of %u bytes for what overflowed: %s", q.len_bytes,
			               dx_strerror(r));
		if (r == 0)
			r = dx_spill_take(o->spill, q.frame->bytes, &o->producer->failure);
		if (r < 0) {
			if (q.frame != NULL)
				dx_frame_release(q.frame);
			return r;
		}
		count_frame(o, &q);
		dx_tx_push(o->tx, q.frame, q.len_bytes, q.rows);
		q.frame = NULL;
	}
	dx_spill_free(o->spill);
	o->spill = NULL;
	o->overflows = false;
	return 0;
}

void dx_output_deliver(struct dx_output *o, struct dsmx_waker *waker)
{
	int r;

	if (o->tx == NULL)
		return;
	while (o->queue_count > 0) {
		struct dx_queued q = o->queue[o->queue_first];

		r = dx_tx_room(o->tx, q.frame->slab_bytes, waker);

		if (r == -EAGAIN)
			return;
		if (r < 0) { /* it cancelled, died, or breaks the rules */
			dx_output_finish(o, DSMX_STREAM_CANCELLED, NULL);
			return;
		}
		o->queue_first = (o->queue_first + 1) % o->queue_room;
		o->queue_count--;
		o->queue_bytes -= q.frame->slab_bytes;
		count_frame(o, &q);
		dx_tx_push(o->tx, q.frame, q.len_bytes, q.rows);
	}
	if (o->spill != NULL) {
		r = unspill(o, waker);
		if (r == -EAGAIN)
			return;
		if (r < 0 && o->producer->failure.code == 0) {
			dx_output_finish(o, DSMX_STREAM_CANCELLED, NULL);
			return;
		}
		if (r < 0)
			return; /* the producer fails, and this output with it */
	}
	/* Nothing queued: a wake is wanted only if the producer stopped for want of room. */
	if (!o->producer->stalled.active)
		waker = NULL;
	r = dx_tx_room(o->tx, o->producer->slab_bytes, waker);
	if (r < 0 && r != -EAGAIN)
		dx_output_finish(o, DSMX_STREAM_CANCELLED, NULL);
}

void dx_output_finish(struct dx_output *o, uint32_t state, const struct dsmx_error *why)
{
	if (o->over)
		return;
	o->over = true;
	o->producer->open_outputs--;
	drop_queue(o);
	dx_spill_free(o->spill);
	o->spill = NULL;
	unreserve(o);
	if (o->tx != NULL)
		dx_tx_finish(o->tx, state, why);
	o->tx = NULL;
}
