/* SPDX-License-Identifier: MIT */
/*
 * producer.c - producer_task: run a procedure for one task, partition its rows, write them into the rings
 *
 *	start ──▶ rows ◀──▶ stalled (an output is out of credit, or there are no slabs)
 *	            │ input ends, or fails, or every output is over
 *	            ▼
 *	          ending: queues run dry, each output gets its FIN (ERROR: at once)
 *	            │ every output is over
 *	            ▼
 *	          over: the struct stays with the query, so that a late question gets its answer
 *
 * One poll works for a slice, or until a peer has changed a word: between two polls the process serves control,
 * so a CANCEL is seen after the batch in hand. Whoever is about to park flushes its open frames first: what they hold may be all that a consumer
 * needs to go on and give frames back. Input that is pending flushes them, too.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/order.h"
#include "base/probe.h"
#include "chan/flight.h"
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
		uint64_t left = o->overflows ? o->tx != NULL : 2 + dx_output_free_bytes(o);

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

static int flush_all(struct dx_producer *p)
{
	int r = 0;

	for (uint32_t t = 0; r == 0 && t < p->target_count; t++)
		r = flush_target(p, t);
	return r;
}

static void deliver_all(struct dx_producer *p)
{
	for (uint32_t i = 0; i < p->procedure->rel->exchange.partitions; i++)
		if (!p->outputs[i].over)
			dx_output_deliver(&p->outputs[i], &p->task.waker);
}

/*
 * A frame's slab: the configured size, or less where the segment has little for each of many outputs, so that
 * every output can have one open and one out.
 */
static size_t choose_slab_bytes(const struct dx_producer *p)
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
static int no_books(struct dx_producer *p, int r, struct dsmx_error *err)
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
			return no_books(p, r, err);
	}
	return 0;
}

/* The batch in p->stalled. -EAGAIN: it stays there. */
static int write_batch(struct dx_producer *p, struct dsmx_error *err)
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

static int take_batch(struct dx_producer *p, const struct dsmx_batch *batch, struct dsmx_error *err)
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
	return write_batch(p, err);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void close_input(struct dx_producer *p)
{
	if (p->stream != NULL)
		p->stream->ops->close(p->stream);
	p->stream = NULL;
	p->stalled.active = false;
	if (p->op != NULL)
		p->op->ops->free(p->op);
	p->op = NULL;
	p->input_ended = true;
}

static void fail_outputs(struct dx_producer *p, const struct dsmx_error *why)
{
	p->failure = *why;
	for (uint32_t i = 0; i < p->procedure->rel->exchange.partitions; i++)
		dx_output_finish(&p->outputs[i], DSMX_STREAM_ERROR, why);
}

/* FIN to those whose queues ran dry. Those that nobody asked for yet stay, and the task with them. */
static void end_outputs(struct dx_producer *p)
{
	deliver_all(p);
	for (uint32_t i = 0; i < p->procedure->rel->exchange.partitions; i++) {
		struct dx_output *o = &p->outputs[i];

		if (!o->over && o->tx != NULL && o->queue_count == 0 && o->spill == NULL)
			dx_output_finish(o, DSMX_STREAM_FIN, NULL);
	}
}

static void count_record(struct dx_producer *p)
{
	p->record->start_streams = p->counts.start_streams;
	p->record->streams = p->counts.streams;
	p->record->filter_tested = p->fragment.env.filter_tested;
	p->record->filter_dropped = p->fragment.env.filter_dropped;
}

/* --- the task ------------------------------------------------------------------------------------------------------ */

/* For the flight recorder. */
static void note(const struct dx_producer *p, uint16_t event, uint32_t a, uint32_t b)
{
	const struct dsmx_task_abi *r = p->record;

	if (dx_mesh_flight_on(mesh_of(p)))
		dx_flight_write(mesh_of(p), &(struct dsmx_flight_event_abi){
						    .query = (uint32_t)r->query,
						    .kind = event,
						    .peer = (uint16_t)dx_mesh_self(mesh_of(p)),
						    .exchange = (uint16_t)r->exchange,
						    .task = (uint16_t)r->task,
						    .partition = (uint16_t)r->park_partition,
						    .a = a,
						    .b = b,
					    });
}

static int park(struct dx_producer *p, uint32_t kind)
{
	struct dsmx_task_abi *r = p->record;

	DX_PROBE(task_park, dx_mesh_page(mesh_of(p))->session, r->query, r->exchange, r->task, kind,
	         r->park_partition);
	note(p, DSMX_FLIGHT_park, kind, 0);

	if (kind == DSMX_PARK_CREDIT || kind == DSMX_PARK_SLAB)
		r->parks++;
	p->parked_since_ns = dx_now_ns();
	/* Whoever walks by and sees it parked must see all that it has given, too. */
	dx_mesh_flush(mesh_of(p));
	dx_record_park(r, kind);
	return 0;
}

static void unpark(struct dx_producer *p)
{
	if (p->parked_since_ns == 0)
		return;
	DX_PROBE(task_unpark, dx_mesh_page(mesh_of(p))->session, p->record->query,
	         p->record->exchange, p->record->task, p->record->park_kind,
	         dx_now_ns() - p->parked_since_ns);
	note(p, DSMX_FLIGHT_unpark, p->record->park_kind,
	     (uint32_t)((dx_now_ns() - p->parked_since_ns) / DX_NS_PER_US));
	if (p->record->park_kind == DSMX_PARK_CREDIT || p->record->park_kind == DSMX_PARK_SLAB)
		p->record->parked_ns += dx_now_ns() - p->parked_since_ns;
	p->parked_since_ns = 0;
	dx_record_park(p->record, DSMX_PARK_NONE);
}

static void woken(struct dx_task *task)
{
	unpark(DX_CONTAINER(task, struct dx_producer, task));
}

/* One step: 1: go on; 0: parked or yielded; else failed. */
static int step(struct dx_producer *p, struct dsmx_cx *cx)
{
	struct dsmx_batch batch;
	int r;

	if (p->stalled.active) {
		deliver_all(p);
		r = write_batch(p, cx->err);
		if (r == -EAGAIN) {
			r = flush_all(p);
			return r < 0 ? no_books(p, r, cx->err) : park(p, p->stalled.kind);
		}
		return r < 0 ? r : 1;
	}
	if (p->sampler != NULL) {
		r = dx_sampler_step(p, cx);
		if (r == -EAGAIN)
			return cx->yielded ? 0 : park(p, p->stalled.kind);
		if (r < 0)
			return r;
	}
	r = p->stream->ops->poll_next(p->stream, cx, &batch);
	if (r == 0) {
		r = flush_all(p);
		close_input(p);
		return r < 0 ? no_books(p, r, cx->err) : 1;
	}
	if (r == -EAGAIN && cx->yielded)
		return 0;
	if (r == -EAGAIN) {
		r = flush_all(p);
		return r < 0 ? no_books(p, r, cx->err) : park(p, DSMX_PARK_INPUT);
	}
	if (r < 0)
		return r;
	r = take_batch(p, &batch, cx->err);
	return r == -EAGAIN || r == 0 ? 1 : r;
}

static int start_input(struct dx_producer *p, struct dsmx_cx *cx)
{
	int r;

	p->started = true;
	p->record->start_ns = dx_now_ns();
	for (uint32_t i = 0; i < p->procedure->rel->exchange.partitions; i++)
		if (p->outputs[i].tx != NULL)
			dx_tx_started(p->outputs[i].tx);
	r = dx_exec_build(&p->fragment.env, p->procedure->rel->inputs[0], &p->op, cx->err);

	if (r == 0 && p->sampler != NULL)
		r = dx_sampler_sort(p, &p->op, cx->err);
	if (r < 0)
		return r;
	dx_dropper_start(p);
	return p->op->ops->execute(p->op, cx, p->fragment.task, &p->stream);
}

/* An output that failed on the way, whoever was delivering, fails the task: nobody would wake it for that. */
static int judge(const struct dx_producer *p, struct dsmx_cx *cx, int r)
{
	if (p->failure.code == 0)
		return r;
	*cx->err = p->failure;
	return p->failure.code;
}

static int poll(struct dx_task *task, struct dsmx_cx *cx)
{
	struct dx_producer *p = DX_CONTAINER(task, struct dx_producer, task);
	int r = 1;

	unpark(p);
	deliver_all(p); /* notes consumers that went away */
	if (p->failure.code != 0)
		return judge(p, cx, 0);
	if (p->stream == NULL && !p->input_ended)
		r = start_input(p, cx);
	r = r < 0 ? r : 1;
	while (r > 0) {
		if (p->open_outputs == 0)
			close_input(p);
		if (p->input_ended) {
			count_record(p); /* before the FIN that lets others read it */
			end_outputs(p);
			return judge(p, cx, p->open_outputs == 0);
		}
		r = step(p, cx);
		if (r > 0 && (dsmx_cx_expired(cx) || dx_mesh_has_news(mesh_of(p)))) {
			dsmx_cx_yield(cx);
			break;
		}
	}
	count_record(p);
	return judge(p, cx, r < 0 ? r : 0);
}

static void end(struct dx_task *task, int result, const struct dsmx_error *err)
{
	struct dx_producer *p = DX_CONTAINER(task, struct dx_producer, task);

	p->running = false;
	if (p->sampler != NULL)
		dx_sampler_end(p);
	dx_list_each(link, &p->procedure->passive)
	{
		struct dx_passive *passive = DX_CONTAINER(link, struct dx_passive, link);

		if (passive->waker != NULL)
			passive->waker->wake(passive->waker);
	}
	if (result < 0) {
		struct dsmx_error why = *err;

		if (why.code != result)
			(void)dx_error(&why, result, "%s", dx_strerror(result));
		if (why.exchange < 0)
			why.exchange = (int)p->procedure->rel->exchange.number;
		if (why.worker < 0)
			why.worker = (int)dx_mesh_self(mesh_of(p)) - 1;
		fail_outputs(p, &why);
	}
	close_input(p);
	p->record->state = result < 0 ? DSMX_STREAM_ERROR : DSMX_STREAM_FIN;
	p->record->end_ns = dx_now_ns();
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

static int make_parts(struct dx_producer *p, uint32_t task)
{
	const struct dsmx_rel *rel = p->procedure->rel;
	uint32_t partitions = rel->exchange.partitions;
	int r;

	r = dx_partitioner_new(&rel->exchange, &rel->inputs[0]->schema, task, &p->partitioner);
	if (r == 0 && rel->exchange.sampled)
		r = dx_sampler_new(p);
	if (r < 0)
		return r;
	p->target_count = dx_partitioner_targets(p->partitioner);
	p->slab_bytes = choose_slab_bytes(p);
	p->writers = calloc(p->target_count, sizeof(*p->writers));
	p->outputs = calloc(partitions, sizeof(*p->outputs));
	if (p->writers == NULL || p->outputs == NULL)
		return -ENOMEM;
	for (uint32_t t = 0; r == 0 && t < p->target_count; t++)
		r = dx_writer_init(&p->writers[t], mesh_of(p), &rel->schema);
	for (uint32_t i = 0; r == 0 && i < partitions; i++) {
		p->outputs[i].over = !dx_exchange_connects(&rel->exchange, task, i);
		if (p->outputs[i].over)
			continue;
		r = dx_output_init(&p->outputs[i], p, i);
		p->open_outputs++;
	}
	return r;
}

int dx_producer_start(struct dx_query *query, uint32_t exchange, uint32_t task, uint64_t recv_ns,
                      struct dx_producer **ret_producer, struct dsmx_error *err)
{
	struct dx_producer *p = calloc(1, sizeof(*p));
	int r = -ENOMEM;

	if (p != NULL) {
		p->query = query;
		p->procedure = &query->procedures[exchange];
		p->record = dx_record_take(query, exchange, task);
		r = p->record == NULL ? -E2BIG : make_parts(p, task);
	}
	if (r == -E2BIG || r == -ENOSPC)
		(void)dx_error(
			err, r,
			"exchange %u, task %u: process %u has no %s left: open the session with more",
			exchange, task, dx_mesh_self(query->service->mesh),
			r == -E2BIG ? "task records" : "data_bytes for another output");
	else if (r < 0)
		(void)dx_error(err, r, "exchange %u, task %u: %s", exchange, task, dx_strerror(r));
	if (r < 0) {
		if (p != NULL)
			dx_producer_free(p);
		return r;
	}
	p->record->recv_ns = recv_ns;
	dx_fragment_init(&p->fragment, query, (int)exchange, task,
	                 p->procedure->rel->exchange.producer_tasks);
	p->fragment.counts = &p->counts;
	p->fragment.record = p->record;
	p->task = (struct dx_task){
		.name = "producer_task", .poll = poll, .end = end, .woken = woken
	};
	p->running = true;
	dx_task_start(dx_mesh_reactor(mesh_of(p)), &p->task);
	*ret_producer = p;
	return 0;
}

void dx_producer_attach(struct dx_producer *p, uint32_t partition, struct dx_tx *tx)
{
	struct dx_output *o = &p->outputs[partition];

	if (o->over) { /* only a failure ends an output that was never asked for */
		dx_tx_finish(tx, DSMX_STREAM_ERROR, &p->failure);
		return;
	}
	o->tx = tx;
	dx_dropper_update(p);
	if (p->started)
		dx_tx_started(tx);
	dx_tx_set_owner(tx, &p->task.waker);
	if (p->running)
		dx_task_wake(&p->task);
}

void dx_producer_cancel(struct dx_producer *p, uint32_t partition)
{
	dx_output_finish(&p->outputs[partition], DSMX_STREAM_CANCELLED, NULL);
	dx_dropper_update(p);
	if (p->running)
		dx_task_wake(&p->task);
}

void dx_producer_free(struct dx_producer *p)
{
	struct dx_mesh *mesh = mesh_of(p);

	if (p->running)
		dx_task_stop(&p->task);
	dx_frame_forget(mesh, &p->task.waker);
	close_input(p);
	for (uint32_t i = 0; p->outputs != NULL && i < p->procedure->rel->exchange.partitions; i++)
		if (p->outputs[i].producer != NULL)
			dx_output_fini(&p->outputs[i]);
	for (uint32_t t = 0; p->writers != NULL && t < p->target_count; t++)
		if (p->writers[t].mesh != NULL)
			dx_writer_fini(&p->writers[t]);
	dx_partitioner_free(p->partitioner);
	dx_dropper_free(p);
	dx_sampler_free(p);
	free(p->outputs);
	free(p->writers);
	dx_record_drop(p->record);
	free(p);
}

void dx_producer_overflow(struct dx_producer *p, const char *set)
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
