/* SPDX-License-Identifier: MIT */
/*
 * producer.c - producer_task: run a procedure for one task, and deal its rows out (deal.c) until all have their end
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
 * so a CANCEL is seen after the batch in hand. Whoever is about to park flushes its open frames first: what they hold
 * may be all that a consumer needs to go on and give frames back. Input that is pending flushes them, too.
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
	dx_deal_deliver(p);
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
		dx_deal_deliver(p);
		r = dx_deal_rest(p, cx->err);
		if (r == -EAGAIN) {
			r = dx_deal_flush(p);
			return r < 0 ? dx_deal_failed(p, r, cx->err) : park(p, p->stalled.kind);
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
		r = dx_deal_flush(p);
		close_input(p);
		return r < 0 ? dx_deal_failed(p, r, cx->err) : 1;
	}
	if (r == -EAGAIN && cx->yielded)
		return 0;
	if (r == -EAGAIN) {
		r = dx_deal_flush(p);
		return r < 0 ? dx_deal_failed(p, r, cx->err) : park(p, DSMX_PARK_INPUT);
	}
	if (r < 0)
		return r;
	r = dx_deal_batch(p, &batch, cx->err);
	return r == -EAGAIN || r == 0 ? 1 : r;
}

static int start_input(struct dx_producer *p, struct dsmx_cx *cx)
{
	int r;

	DX_PROBE(task_start, dx_mesh_page(mesh_of(p))->session, p->record->query,
	         p->record->exchange, p->record->task, p->record->attempt,
	         (uintptr_t)&p->query->service->turn);
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

static int take_turn(struct dx_producer *p, struct dsmx_cx *cx)
{
	int r = 1;

	unpark(p);
	dx_deal_deliver(p); /* notes consumers that went away */
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

static int poll(struct dx_task *task, struct dsmx_cx *cx)
{
	struct dx_producer *p = DX_CONTAINER(task, struct dx_producer, task);
	struct dx_service *service = p->query->service;
	int r;

	service->turn = p->record;
	r = take_turn(p, cx);
	service->turn = NULL;
	return r;
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
	p->slab_bytes = dx_deal_slab_bytes(p);
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
