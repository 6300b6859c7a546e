/* SPDX-License-Identifier: MIT */
/*
 * deadlock.c - is nobody going to wake this task?
 *
 * Every task says in its record why it is parked. Before its process sleeps it publishes that, the fence of the
 * sleep comes, and it walks from itself to whoever could wake it, and on from there, through everybody's pages:
 *
 *	INPUT	the producer of each stream that it reads; a merge: the one that it cannot go on without
 *	CREDIT	the task that reads the partition which is full; if that was never started, whoever would start it;
 *		where any of several partitions would do, all of these
 *	SLAB	every task that holds a frame of its process
 *	SAMPLE	every task of its exchange that has not published its sample
 *
 * A task that runs, or waits for the application or a timer, ends the walk: it may wake us. So does a stream
 * that has news which its reader has not seen yet, and anything that cannot be read as what it should be. A walk
 * that ends nowhere has found a set of parked tasks which wait only for each other. If then a second walk finds
 * the same set with the same park numbers, all of them were parked at once, between the two, and what they had
 * published before that was there for the second to see: none will ever run, a deadlock. The one that parks last
 * sees it, whoever that is; no snapshot is needed. One walk is not enough: it may look at a stream before the
 * producer's last frame and at the producer's record after it. And who is woken is awake from that moment, not from
 * when he is polled: else his process could have seen the frames that came back, and he still stand there as parked.
 *
 * The lowest task of the set that is out of credit or slabs lets its full output overflow to a file; who finds
 * out and is not the lowest rings the lowest's process, which walks before it sleeps again.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/order.h"
#include "exchange/internal.h"

#define NODES_MAX 256

struct node {
	uint32_t peer;
	uint32_t record;
	uint64_t park;
	uint32_t kind;
	uint32_t exchange;
	uint32_t task;
};

struct walk {
	struct dx_service *service;
	const struct dx_mesh *mesh;
	const struct dx_layout *layout;
	struct node nodes[NODES_MAX];
	uint32_t count;
	uint32_t depth; /* of unstarted fragments */
};

/* All of these return whether the walk may go on; false: somebody may wake us, or we cannot tell. */

static bool add_node(struct walk *w, uint32_t peer, uint32_t record)
{
	const void *page = dx_mesh_peer_page(w->mesh, peer);
	const struct dsmx_task_abi *rec;
	struct node n = { .peer = peer, .record = record };

	if (page == NULL || record >= w->layout->tasks || !dx_mesh_alive(w->mesh, peer))
		return false;
	for (uint32_t i = 0; i < w->count; i++)
		if (w->nodes[i].peer == peer && w->nodes[i].record == record)
			return true;
	if (w->count == NODES_MAX)
		return false;
	rec = DX_LAYOUT_PEER(struct dsmx_task_abi, page, w->layout->task_records, record);
	n.park = dx_load_acquire(DX_EDGE_PARK, &rec->park);
	n.kind = dx_load_plain(&rec->park_kind);
	n.exchange = dx_load_plain(&rec->exchange);
	n.task = dx_load_plain(&rec->task);
	if (n.kind != DSMX_PARK_INPUT && n.kind != DSMX_PARK_CREDIT && n.kind != DSMX_PARK_SLAB &&
	    n.kind != DSMX_PARK_SAMPLE)
		return false;
	w->nodes[w->count++] = n;
	return true;
}

static const struct dsmx_task_abi *record_of(const struct walk *w, const struct node *n)
{
	return DX_LAYOUT_PEER(struct dsmx_task_abi, dx_mesh_peer_page(w->mesh, n->peer),
	                      w->layout->task_records, n->record);
}

/* A stream, seen from a third process: the consumer's half and the producer's. */
struct edge {
	uint32_t consumer, producer;
	uint64_t word, answer;
	const struct dsmx_request_abi *request;
	const struct dsmx_stream_abi *stream;
};

static void read_edge(const struct walk *w, uint32_t consumer, uint32_t producer, uint32_t slot,
                      struct edge *e)
{
	const void *mine = dx_mesh_peer_page(w->mesh, consumer);
	const void *theirs = dx_mesh_peer_page(w->mesh, producer);
	size_t at = dx_layout_slot(w->layout, producer, slot);
	size_t back = dx_layout_slot(w->layout, consumer, slot);

	e->consumer = consumer;
	e->producer = producer;
	e->word = dx_load_acquire(DX_EDGE_REQUEST,
	                          DX_LAYOUT_PEER(uint64_t, mine, w->layout->request_words, at));
	e->answer = dx_load_acquire(
		DX_EDGE_STREAM, DX_LAYOUT_PEER(uint64_t, theirs, w->layout->stream_words, back));
	e->request = DX_LAYOUT_PEER(struct dsmx_request_abi, mine, w->layout->requests, at);
	e->stream = DX_LAYOUT_PEER(struct dsmx_stream_abi, theirs, w->layout->streams, back);
}

static bool is_running(const struct edge *e)
{
	return DSMX_WORD_GENERATION(e->answer) == DSMX_WORD_GENERATION(e->word) &&
	       DSMX_WORD_STATE(e->answer) == DSMX_STREAM_RUNNING;
}

#define EACH_EDGE(w, e, consumer_, producer_)                                                      \
	for (uint32_t slot = 0; slot < (w)->layout->slots; slot++)                                 \
		if (read_edge(w, consumer_, producer_, slot, &(e)),                                \
		    DSMX_WORD_STATE((e).word) == DSMX_REQUEST_START)

/* The producers that @n reads from; a stream with something to read means that @n will run. */
static bool walk_input(struct walk *w, const struct node *n, uint64_t query)
{
	uint32_t exchange = dx_load_plain(&record_of(w, n)->park_exchange);
	uint32_t only = dx_load_plain(&record_of(w, n)->park_task);
	uint32_t found = 0;
	struct edge e;

	for (uint32_t p = 0; p < w->layout->peers; p++) {
		if (dx_mesh_peer_page(w->mesh, p) == NULL)
			continue;
		EACH_EDGE(w, e, n->peer, p)
		{
			if (e.request->query != query || e.request->record != n->record ||
			    e.request->exchange != exchange ||
			    (only != 0 && e.request->task != only - 1))
				continue;
			if (DSMX_WORD_GENERATION(e.answer) == DSMX_WORD_GENERATION(e.word) &&
			    DSMX_WORD_STATE(e.answer) == DSMX_STREAM_FIN &&
			    dx_load_plain(&e.stream->final_tail) ==
			            dx_load_plain(&e.request->taken))
				continue; /* read to its end */
			if (!is_running(&e) ||
			    dx_load_acquire(DX_EDGE_TAIL, &e.stream->tail) !=
			            dx_load_acquire(DX_EDGE_TAKEN, &e.request->taken))
				return false;
			if (!add_node(w, p, dx_load_plain(&e.stream->record)))
				return false;
			found++;
		}
	}
	return found > 0;
}

/* A partition that nobody asked for yet: its reader is not there, so whoever would start that one is next. */
static bool walk_unstarted(struct walk *w, const struct dx_query *q, uint32_t exchange,
                           uint32_t partition)
{
	int above = dx_plan_consumer(q->plan, exchange);
	uint32_t peer = dx_query_consumer_place(q, exchange, partition);
	const void *page = dx_mesh_peer_page(w->mesh, peer);

	for (uint32_t i = 0; page != NULL && i < w->layout->tasks; i++) {
		const struct dsmx_task_abi *rec =
			DX_LAYOUT_PEER(struct dsmx_task_abi, page, w->layout->task_records, i);

		if (dx_load_acquire(DX_EDGE_PARK, &rec->query) == q->id &&
		    rec->exchange == (above < 0 ? DSMX_ROOT_TASK : (uint32_t)above) &&
		    rec->task == partition)
			return add_node(w, peer, i);
	}
	if (above < 0 || ++w->depth > NODES_MAX)
		return false;
	for (uint32_t c = 0; c < q->procedures[above].rel->exchange.partitions; c++)
		if (dx_exchange_connects(&q->procedures[above].rel->exchange, partition, c) &&
		    !walk_unstarted(w, q, (uint32_t)above, c))
			return false;
	return true;
}

static bool walk_partition(struct walk *w, const struct node *n, const struct dx_query *q,
                           uint32_t partition)
{
	struct edge e;

	for (uint32_t c = 0; c < w->layout->peers; c++) {
		if (dx_mesh_peer_page(w->mesh, c) == NULL)
			continue;
		EACH_EDGE(w, e, c, n->peer)
		{
			if (e.request->query != q->id || e.request->exchange != n->exchange ||
			    e.request->task != n->task || e.request->partition != partition)
				continue;
			if (!is_running(&e) ||
			    dx_load_acquire(DX_EDGE_RELEASED, &e.request->released) !=
			            dx_load_acquire(DX_EDGE_SEEN, &e.stream->seen_released))
				return false;
			return add_node(w, c, e.request->record);
		}
	}
	return walk_unstarted(w, q, n->exchange, partition);
}

/* The partition that is full; or all of which any one would do. */
static bool walk_credit(struct walk *w, const struct node *n, const struct dx_query *q)
{
	const struct dsmx_task_abi *rec = record_of(w, n);
	uint64_t any = dx_load_plain(&rec->park_any);

	if (n->exchange >= q->procedure_count)
		return false;
	if (any == 0)
		return walk_partition(w, n, q, dx_load_plain(&rec->park_partition));
	for (uint32_t i = 0; i < q->procedures[n->exchange].rel->exchange.partitions; i++)
		if ((any & DX_PARK_BIT(i)) != 0 && !walk_partition(w, n, q, i))
			return false;
	return true;
}

static bool walk_slab(struct walk *w, const struct node *n)
{
	uint32_t found = 0;
	struct edge e;

	for (uint32_t c = 0; c < w->layout->peers; c++) {
		if (dx_mesh_peer_page(w->mesh, c) == NULL)
			continue;
		EACH_EDGE(w, e, c, n->peer)
		{
			if (dx_load_plain(&e.stream->tail) == dx_load_plain(&e.request->released))
				continue; /* it holds none */
			if (dx_load_acquire(DX_EDGE_RELEASED, &e.request->released) !=
			            dx_load_acquire(DX_EDGE_SEEN, &e.stream->seen_released) ||
			    !add_node(w, c, e.request->record))
				return false;
			found++;
		}
	}
	return found > 0;
}

/* One that is not started yet will be, or its consumers are gone, and ours with them. */
static bool walk_sample(struct walk *w, const struct node *n, const struct dx_query *q)
{
	uint32_t found = 0, peer;

	if (n->exchange >= q->procedure_count)
		return false;
	for (uint32_t t = 0; t < q->procedures[n->exchange].rel->exchange.producer_tasks; t++) {
		const struct dsmx_task_abi *record = dx_task_record(q, n->exchange, t, &peer);
		const struct dsmx_task_abi *first;

		if (record == NULL)
			return false;
		first = DX_LAYOUT_PEER(struct dsmx_task_abi, dx_mesh_peer_page(w->mesh, peer),
		                       w->layout->task_records, 0);
		if (dx_load_acquire(DX_EDGE_SAMPLE, &record->sample_bytes) != 0)
			continue;
		if (!add_node(w, peer, (uint32_t)(record - first)))
			return false;
		found++;
	}
	return found > 0;
}

static bool walk_node(struct walk *w, const struct node *n)
{
	uint64_t query = dx_load_plain(&record_of(w, n)->query);
	struct dx_query *q = NULL;

	if (n->kind == DSMX_PARK_INPUT)
		return walk_input(w, n, query);
	if (n->kind == DSMX_PARK_SLAB)
		return walk_slab(w, n);
	dx_list_each(link,
	             &w->service->queries) if (DX_CONTAINER(link, struct dx_query, link)->id ==
	                                       query) q = DX_CONTAINER(link, struct dx_query, link);
	if (q == NULL)
		return false;
	return n->kind == DSMX_PARK_SAMPLE ? walk_sample(w, n, q) : walk_credit(w, n, q);
}

static bool is_full(const struct node *n)
{
	return n->kind == DSMX_PARK_CREDIT || n->kind == DSMX_PARK_SLAB;
}

/* The numbers that were read still stand. */
static bool nobody_moved(const struct walk *w)
{
	for (uint32_t i = 0; i < w->count; i++)
		if (dx_load_acquire(DX_EDGE_PARK, &record_of(w, &w->nodes[i])->park) !=
		    w->nodes[i].park)
			return false;
	return true;
}

static const struct node *lowest(const struct walk *w)
{
	const struct node *low = NULL;

	for (uint32_t i = 0; i < w->count; i++) {
		const struct node *n = &w->nodes[i];

		if (is_full(n) && (low == NULL || n->peer < low->peer ||
		                   (n->peer == low->peer && n->record < low->record)))
			low = n;
	}
	return low;
}

static bool find(struct walk *w, uint32_t record)
{
	if (!add_node(w, dx_mesh_self(w->mesh), record))
		return false;
	for (uint32_t i = 0; i < w->count; i++)
		if (!walk_node(w, &w->nodes[i]))
			return false;
	return true;
}

static bool is_same(const struct walk *a, const struct walk *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (a->nodes[i].peer != b->nodes[i].peer ||
		    a->nodes[i].record != b->nodes[i].record ||
		    a->nodes[i].park != b->nodes[i].park)
			return false;
	return true;
}

static const char *kind_str(uint32_t kind)
{
	return kind == DSMX_PARK_INPUT    ? "input"
	       : kind == DSMX_PARK_CREDIT ? "credit"
	       : kind == DSMX_PARK_SAMPLE ? "samples"
	                                  : "slabs";
}

/* The set, for the error's sentence. */
static void describe(const struct walk *w, char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < w->count && at + 48 < len; i++) {
		const struct node *n = &w->nodes[i];

		if (n->exchange == DSMX_ROOT_TASK)
			at += (size_t)snprintf(buf + at, len - at, "%sthe root for %s",
			                       i > 0 ? ", " : "", kind_str(n->kind));
		else
			at += (size_t)snprintf(buf + at, len - at, "%s#%u.%u for %s",
			                       i > 0 ? ", " : "", n->exchange, n->task,
			                       kind_str(n->kind));
	}
}

bool dx_deadlock_look(struct dx_service *service, const struct dsmx_task_abi *record, char *ret_set,
                      size_t len)
{
	struct walk *w = &(struct walk){ .service = service,
		                         .mesh = service->mesh,
		                         .layout = dx_mesh_layout(service->mesh) };
	struct walk again;
	uint32_t own = dx_record_index(service->mesh, record);
	const struct node *low;

	if (!find(w, own))
		return false;
	again = (struct walk){ .service = w->service, .mesh = w->mesh, .layout = w->layout };
	if (!find(&again, own) || !is_same(w, &again) || !nobody_moved(&again))
		return false;
	low = lowest(w);
	if (low == NULL)
		return false;
	if (low->peer == dx_mesh_self(service->mesh) && low->record == own) {
		describe(w, ret_set, len);
		return true;
	}
	if (low->peer != dx_mesh_self(service->mesh))
		dx_mesh_ring(service->mesh, low->peer);
	return false;
}
