/* SPDX-License-Identifier: MIT */
/*
 * service.c - the Control Service: requests in, answers out
 *
 * A request word that belongs to no open stream gets its answer here:
 *
 *	START	query, exchange, task, partition known, hashes and counts agreed: the task's producer is started
 *		if this is the first to ask it for anything, and the stream is RUNNING. Otherwise NAK and why.
 *	CANCEL	without a START: the partition's rows are not wanted. CANCELLED. When that was the last one of a
 *		task that nobody ever started, the streams which its sub-plan would have read are not wanted
 *		either, and so on down the plan.
 *
 * The first StartStream of a task starts it; later ones for other partitions join it; one for a partition that
 * has its consumer already is refused, and starts nothing.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/order.h"
#include "base/probe.h"
#include "exchange/internal.h"

static uint8_t *part_of(struct dx_procedure *p, uint32_t task, uint32_t partition)
{
	return &p->parts[(size_t)task * p->rel->exchange.partitions + partition];
}

/* The procedure that is asked for, if it is one of ours and both ends mean the same. */
static struct dx_procedure *find_procedure(struct dx_service *service, uint32_t peer,
                                           const struct dsmx_request_abi *req,
                                           struct dx_query **ret_query, struct dsmx_error *err)
{
	struct dx_query *q = dx_query_find(service, req->query, err);
	struct dx_procedure *p;
	const struct dx_exchange *x;

	if (q == NULL)
		return NULL;
	if (req->exchange >= q->procedure_count) {
		(void)dx_error(err, -ENOENT,
		               "query %llu has %u exchanges, number %u is none of them",
		               (unsigned long long)q->id, q->procedure_count, req->exchange);
		return NULL;
	}
	p = &q->procedures[req->exchange];
	x = &p->rel->exchange;
	/* The consumer may have read of a move before this process did. */
	(void)dx_rerun_read(q);
	if (req->plan_hash != q->plan_hash || req->schema_hash != p->schema_hash ||
	    req->partitions != x->partitions) {
		(void)dx_error(err, -EPROTO,
		               "exchange %u: consumer and producer have different plans",
		               req->exchange);
		return NULL;
	}
	if (req->task >= x->producer_tasks || req->partition >= x->partitions ||
	    !dx_exchange_connects(x, req->task, req->partition) ||
	    dx_query_place(q, req->exchange, req->task) != dx_mesh_self(service->mesh)) {
		(void)dx_error(err, -ENOENT,
		               "exchange %u: task %u, partition %u is not produced here",
		               req->exchange, req->task, req->partition);
		return NULL;
	}
	/* Else a process could take, or cancel, the rows of another. */
	if (dx_query_consumer_place(q, req->exchange, req->partition) != peer) {
		(void)dx_error(err, -EPERM, "exchange %u: partition %u is not process %u's",
		               req->exchange, req->partition, peer);
		return NULL;
	}
	if (req->attempt != dx_rerun_attempt(q, req->exchange, req->task)) {
		(void)dx_error(err, -EPROTO, "exchange %u: task %u is at attempt %u here, not %u",
		               req->exchange, req->task,
		               dx_rerun_attempt(q, req->exchange, req->task), req->attempt);
		return NULL;
	}
	*ret_query = q;
	return p;
}

/* --- CANCEL without START ------------------------------------------------------------------------------------------ */

/* The exchanges that a fragment reads, and no deeper. */
static void cancel_inputs(struct dx_query *q, const struct dsmx_rel *rel, uint32_t task)
{
	if (rel->kind == DX_REL_EXCHANGE) {
		dx_cancel_partition(q, rel, task);
		return;
	}
	for (uint32_t i = 0; i < rel->input_count; i++)
		cancel_inputs(q, rel->inputs[i], task);
}

static bool is_unwanted(struct dx_procedure *p, uint32_t task)
{
	for (uint32_t i = 0; i < p->rel->exchange.partitions; i++)
		if (dx_exchange_connects(&p->rel->exchange, task, i) &&
		    *part_of(p, task, i) != DX_PART_CANCELLED)
			return false;
	return true;
}

static void cancel(struct dx_query *q, struct dx_procedure *p, const struct dsmx_request_abi *req)
{
	uint8_t *part = part_of(p, req->task, req->partition);

	if (*part != DX_PART_UNKNOWN)
		return;
	*part = DX_PART_CANCELLED;
	if (p->producers[req->task] != NULL)
		dx_producer_cancel(p->producers[req->task], req->partition);
	else if (is_unwanted(p, req->task))
		cancel_inputs(q, p->rel->inputs[0], req->task);
}

/* --- START --------------------------------------------------------------------------------------------------------- */

static int start(struct dx_query *q, struct dx_procedure *p, uint32_t peer, uint32_t slot,
                 uint64_t word, const struct dsmx_request_abi *req, struct dsmx_error *err)
{
	uint8_t *part = part_of(p, req->task, req->partition);
	struct dx_producer **producer = &p->producers[req->task];
	struct dx_tx *tx;
	int r;

	if (*part != DX_PART_UNKNOWN)
		return dx_error(err, -EALREADY,
		                "exchange %u: task %u, partition %u has had its consumer",
		                req->exchange, req->task, req->partition);
	r = dx_filters_adopt(q->service->mesh, p, peer, req, err);
	if (r < 0)
		return r;
	if (*producer == NULL) {
		r = dx_producer_start(q, req->exchange, req->task, dx_now_ns(), producer, err);
		if (r < 0)
			return r;
		for (uint32_t i = 0; i < p->rel->exchange.partitions; i++)
			if (*part_of(p, req->task, i) == DX_PART_CANCELLED)
				dx_producer_cancel(*producer, i);
	}
	r = dx_tx_open(q->service->mesh, peer, slot, word, req,
	               dx_record_index(q->service->mesh, (*producer)->record),
	               p->rel->exchange.config.credit_bytes, &tx);
	if (r < 0)
		return dx_error(err, r, "exchange %u: no stream: %s", req->exchange,
		                dx_strerror(r));
	*part = DX_PART_STARTED;
	dx_producer_attach(*producer, req->partition, tx);
	return 0;
}

static void on_request(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
                       const struct dsmx_request_abi *req)
{
	struct dx_service *service = dx_mesh_ops(mesh)->arg;
	struct dsmx_error err = { 0 };
	struct dx_query *q = NULL;
	struct dx_procedure *p;
	int r;

	if (DSMX_WORD_STATE(word) == DSMX_REQUEST_START)
		DX_PROBE(ss_recv, dx_mesh_page(mesh)->session, req->query, req->exchange, req->task,
		         req->partition, req->attempt);
	p = find_procedure(service, peer, req, &q, &err);
	if (DSMX_WORD_STATE(word) == DSMX_REQUEST_CANCEL) {
		if (p != NULL)
			cancel(q, p, req);
		dx_tx_refuse(mesh, peer, slot, word, req, DSMX_STREAM_CANCELLED, NULL);
		return;
	}
	r = p != NULL ? start(q, p, peer, slot, word, req, &err) : err.code;
	if (r < 0 && r != -ESTALE)
		dx_tx_refuse(mesh, peer, slot, word, req, DSMX_STREAM_NAK, &err);
}

/* --- the leader's records --------------------------------------------------------------------------------------------- */

static const struct dsmx_query_abi *leader_records(const struct dx_mesh *mesh)
{
	return DX_LAYOUT_PEER(struct dsmx_query_abi, dx_mesh_peer_page(mesh, DSMX_ABI_LEADER),
	                      dx_mesh_layout(mesh)->queries, 0);
}

void dx_service_drop_closed(struct dx_service *service)
{
	const struct dsmx_query_abi *records = leader_records(service->mesh);

	dx_list_each(link, &service->queries)
	{
		struct dx_query *q = DX_CONTAINER(link, struct dx_query, link);
		uint64_t word = dx_load_acquire(DX_EDGE_PLAN, &records[q->record].word);

		if (DSMX_WORD_GENERATION(word) != q->generation ||
		    DSMX_WORD_STATE(word) != DSMX_QUERY_OPEN)
			dx_query_free(q);
	}
}

/* A worker drops what the leader has closed, and says so: see is_echoed() in query.c. */
static void on_queries(struct dx_mesh *mesh)
{
	struct dx_service *service = dx_mesh_ops(mesh)->arg;
	const struct dx_layout *l = dx_mesh_layout(mesh);
	const struct dsmx_query_abi *records = leader_records(mesh);
	struct dsmx_query_abi *own =
		DX_LAYOUT_AT(struct dsmx_query_abi, dx_mesh_page(mesh), l->queries, 0);

	if (dx_mesh_self(mesh) == DSMX_ABI_LEADER)
		return;
	dx_service_drop_closed(service);
	dx_list_each(link, &service->queries)(void)
		dx_rerun_read(DX_CONTAINER(link, struct dx_query, link));
	/* Who says that a query is closed here holds no frame of it: that is published before. */
	dx_mesh_flush(mesh);
	for (uint32_t i = 0; i < DSMX_ABI_QUERIES; i++) {
		uint64_t word = dx_load_acquire(DX_EDGE_PLAN, &records[i].word);

		if (DSMX_WORD_STATE(word) == DSMX_QUERY_CLOSED &&
		    own[i].closed < DSMX_WORD_GENERATION(word)) {
			dx_store_release(DX_EDGE_PLAN, &own[i].closed, DSMX_WORD_GENERATION(word));
			dx_mesh_changed(mesh, DSMX_ABI_LEADER); /* it may wait for the record */
		}
	}
}

static void on_dead(struct dx_mesh *mesh, uint32_t peer)
{
	dx_rerun_died(dx_mesh_ops(mesh)->arg, peer);
}

/* --- before the process sleeps ------------------------------------------------------------------------------ */

static bool look_at_producer(struct dx_service *service, struct dx_producer *p)
{
	char set[256];

	if (p == NULL || !p->running || p->parked_since_ns == 0 || p->failure.code != 0 ||
	    !dx_deadlock_look(service, p->record, set, sizeof(set)) || service->hold_deadlocks)
		return false;
	dx_deal_overflow(p, set);
	return true;
}

static bool look_for_deadlocks(struct dx_service *service)
{
	bool news = false;
	char set[256];

	dx_list_each(link, &service->queries)
	{
		struct dx_query *q = DX_CONTAINER(link, struct dx_query, link);

		for (uint32_t i = 0; i < q->procedure_count; i++)
			for (uint32_t t = 0; t < q->procedures[i].rel->exchange.producer_tasks; t++)
				news |= look_at_producer(service, q->procedures[i].producers[t]);
		/* The root can be the last to park; it has no output of its own. */
		if (q->root_record != NULL && q->root_record->park_kind == DSMX_PARK_INPUT)
			(void)dx_deadlock_look(service, q->root_record, set, sizeof(set));
	}
	return news;
}

/*
 * Has that worker closed that query? A record that is another query's by now says so of all. The leader is no worker:
 * its application may keep what it was given for as long as it likes.
 */
static bool has_closed(void *arg, uint32_t peer, uint64_t query)
{
	const struct dx_mesh *mesh = ((struct dx_service *)arg)->mesh;
	const void *page = dx_mesh_peer_page(mesh, peer);
	const struct dsmx_query_abi *records = leader_records(mesh);

	if (peer == DSMX_ABI_LEADER || peer == dx_mesh_self(mesh) || page == NULL)
		return false;
	for (uint32_t i = 0; i < DSMX_ABI_QUERIES; i++) {
		uint64_t word = dx_load_acquire(DX_EDGE_PLAN, &records[i].word);

		if (dx_load_plain(&records[i].id) != query)
			continue;
		return DSMX_WORD_STATE(word) == DSMX_QUERY_CLOSED &&
		       dx_load_acquire(DX_EDGE_PLAN,
		                       &DX_LAYOUT_PEER(struct dsmx_query_abi, page,
		                                       dx_mesh_layout(mesh)->queries, i)
		                                ->closed) >= DSMX_WORD_GENERATION(word);
	}
	return true;
}

static void on_arm(struct dx_source *source)
{
	DX_CONTAINER(source, struct dx_service, source)->sleeping = true;
}

/* Once for each time that the process is about to sleep: after the records were published and fenced. */
static bool on_look(struct dx_source *source)
{
	struct dx_service *service = DX_CONTAINER(source, struct dx_service, source);

	bool news = dx_rerun_decide(service);

	news |= dx_samplers_look(service);

	if (service->unsaid > 0)
		dx_list_each(link, &service->queries) news |=
			dx_cancel_again(DX_CONTAINER(link, struct dx_query, link));
	if (!service->sleeping)
		return news;
	service->sleeping = false;
	if (dx_mesh_peer_page(service->mesh, DSMX_ABI_LEADER) != NULL)
		news |= dx_tx_reclaim(service->mesh, has_closed, service);
	return look_for_deadlocks(service) || news;
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

int dx_service_new(struct dx_mesh *mesh, const struct dx_service_options *options,
                   struct dx_service **ret_service, struct dsmx_error *err)
{
	struct dx_service *service = calloc(1, sizeof(*service));

	if (service == NULL || dx_file_cache_new(&service->files) < 0) {
		free(service);
		return dx_error(err, -ENOMEM, "no memory for the control service");
	}
	service->mesh = mesh;
	service->overflow.fd = -1;
	service->extensions = options == NULL ? NULL : options->extensions;
	dx_list_init(&service->queries);
	dx_list_init(&service->samplers);
	service->ops = (struct dx_mesh_ops){
		.request = on_request, .queries = on_queries, .dead = on_dead, .arg = service
	};
	dx_mesh_set_ops(mesh, &service->ops);
	service->hold_deadlocks = secure_getenv("DSMX_HOLD_DEADLOCKS") != NULL;
	service->source = (struct dx_source){ .look = on_look, .arm = on_arm };
	dx_reactor_add_source(dx_mesh_reactor(mesh), &service->source);
	*ret_service = service;
	return 0;
}

void dx_service_keep_overflow(struct dx_service *service)
{
	dx_spill_file_open(&service->overflow, true);
	service->keeps_overflow = true;
}

void dx_service_free(struct dx_service *service)
{
	if (service == NULL)
		return;
	dx_mesh_set_ops(service->mesh, NULL);
	dx_reactor_remove_source(dx_mesh_reactor(service->mesh), &service->source);
	dx_list_each(link, &service->queries)
		dx_query_free(DX_CONTAINER(link, struct dx_query, link));
	dx_file_cache_free(service->files);
	dx_spill_file_close(&service->overflow);
	free(service);
}
