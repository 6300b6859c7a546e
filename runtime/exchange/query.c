/* SPDX-License-Identifier: MIT */
/*
 * query.c - see query.h: records, the root; registry.c is what a plan registers
 *
 * A record is the leader's: bytes and numbers first, then the word that opens it. Every process reads it when
 * it is asked for something of a query that it does not know. Numbers are copied, then checked; the bytes are
 * decoded from a private copy, because the leader's memory stays the leader's to write.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/order.h"
#include "base/probe.h"
#include "exchange/internal.h"

void dx_query_free(struct dx_query *q)
{
	q->closing = true;
	dx_query_unregister(q);
	dx_record_drop(q->root_record);
	if (!q->plan_taken)
		dsmx_plan_free(q->plan);
	dx_list_unlink(&q->link);
	dx_rerun_end(q);
	if (q->plan_frame != NULL)
		dx_frame_release(q->plan_frame);
	free(q);
}

/* --- records -------------------------------------------------------------------------------------------------------- */

static const struct dsmx_query_abi *records_of(const struct dx_mesh *mesh, uint32_t peer)
{
	const void *page = dx_mesh_peer_page(mesh, peer);

	return page == NULL ? NULL
	                    : DX_LAYOUT_PEER(struct dsmx_query_abi, page,
	                                     dx_mesh_layout(mesh)->queries, 0);
}

/* A copy of the open record of query @id. Returns its index or -1. */
static int find_record(const struct dx_mesh *mesh, uint64_t id, struct dsmx_query_abi *ret_record)
{
	const struct dsmx_query_abi *records = records_of(mesh, DSMX_ABI_LEADER);

	for (uint32_t i = 0; records != NULL && i < DSMX_ABI_QUERIES; i++) {
		uint64_t word = dx_load_acquire(DX_EDGE_PLAN, &records[i].word);

		if (DSMX_WORD_STATE(word) != DSMX_QUERY_OPEN)
			continue;
		dx_copy_once(ret_record, &records[i], sizeof(*ret_record));
		ret_record->word = word;
		if (ret_record->id == id)
			return (int)i;
	}
	return -1;
}

static int check_record(const struct dx_mesh *mesh, const struct dsmx_query_abi *rec)
{
	uint64_t size = dx_mesh_peer_data_bytes(mesh, DSMX_ABI_LEADER);

	if (rec->plan_offset > size || rec->plan_bytes > size - rec->plan_offset ||
	    rec->plan_bytes > DSMX_PLAN_BYTES_MAX || rec->placements == 0 ||
	    rec->placements > sizeof(rec->placement))
		return -EBADMSG;
	for (uint32_t i = 0; i < rec->placements; i++)
		if (rec->placement[i] >= dx_mesh_peers(mesh))
			return -EBADMSG;
	return 0;
}

static struct dx_query *query_of(const struct dsmx_query_abi *rec, uint32_t index)
{
	struct dx_query *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->id = rec->id;
	q->record = index;
	q->generation = DSMX_WORD_GENERATION(rec->word);
	q->attempt = rec->attempt;
	q->plan_hash = rec->plan_hash;
	q->placements = rec->placements;
	q->epoch_max = rec->epoch_max;
	q->spill_budget.max_bytes = rec->overflow_max;
	memcpy(q->placement, rec->placement, sizeof(q->placement));
	return q;
}

struct dx_query *dx_query_find(struct dx_service *service, uint64_t id, struct dsmx_error *err)
{
	struct dsmx_query_abi rec;
	struct dx_query *q;
	void *copy;
	int index, r;

	dx_list_each(link, &service->queries) if (DX_CONTAINER(link, struct dx_query, link)->id ==
	                                          id) return DX_CONTAINER(link, struct dx_query,
	                                                                  link);
	index = find_record(service->mesh, id, &rec);
	if (index < 0) {
		(void)dx_error(err, -ENOENT, "there is no query %llu", (unsigned long long)id);
		return NULL;
	}
	if (dx_mesh_page(service->mesh)->epoch > rec.epoch_max) {
		(void)dx_error(err, -EOWNERDEAD,
		               "query %llu was dealt to a process that this one replaces",
		               (unsigned long long)id);
		return NULL;
	}
	if (check_record(service->mesh, &rec) < 0) {
		(void)dx_error(err, -EBADMSG, "the record of query %llu breaks the rules",
		               (unsigned long long)id);
		return NULL;
	}
	/* What was closed before this one was offered may have the room that it needs. */
	if (dx_mesh_self(service->mesh) != DSMX_ABI_LEADER)
		dx_service_drop_closed(service);
	copy = malloc(rec.plan_bytes + 1);
	q = query_of(&rec, (uint32_t)index);
	if (copy == NULL || q == NULL) {
		free(copy);
		free(q);
		(void)dx_error(err, -ENOMEM, "no memory for query %llu", (unsigned long long)id);
		return NULL;
	}
	dx_copy_once(copy, dx_mesh_peer_data(service->mesh, DSMX_ABI_LEADER) + rec.plan_offset,
	             rec.plan_bytes);
	r = dx_query_load(service, copy, rec.plan_bytes, q, err);
	free(copy);
	if (r < 0) {
		dx_query_free(q);
		return NULL;
	}
	dx_rerun_begin(q);
	(void)dx_rerun_read(q);
	dx_list_append(&service->queries, &q->link);
	return q;
}

/* --- the leader ------------------------------------------------------------------------------------------------------ */

/* Is this live worker still to echo that generation @generation of record @index is closed? */
static bool owes_echo(const struct dx_mesh *mesh, uint32_t peer, uint32_t index,
                      uint64_t generation)
{
	uint64_t epoch_max = records_of(mesh, DSMX_ABI_LEADER)[index].epoch_max;

	/* One that was started later has no part in it, and may not have seen the table yet. */
	return dx_mesh_alive(mesh, peer) && dx_mesh_epoch(mesh, peer) <= epoch_max &&
	       dx_load_acquire(DX_EDGE_PLAN, &records_of(mesh, peer)[index].closed) < generation;
}

static bool is_echoed(const struct dx_mesh *mesh, uint32_t index, uint64_t generation)
{
	for (uint32_t p = 1; p < dx_mesh_peers(mesh); p++)
		if (owes_echo(mesh, p, index, generation))
			return false;
	return true;
}

uint64_t dx_query_owed_echo(const struct dx_mesh *mesh, uint32_t peer, uint64_t of)
{
	const struct dsmx_query_abi *records = records_of(mesh, DSMX_ABI_LEADER);
	uint64_t owed = 0;

	for (uint32_t i = 0; i < DSMX_ABI_QUERIES; i++) {
		uint64_t word = dx_load_plain(&records[i].word);
		uint64_t generation = DSMX_WORD_GENERATION(word);
		uint64_t number = generation * DSMX_ABI_QUERIES + i + 1;

		if (DSMX_WORD_STATE(word) != DSMX_QUERY_CLOSED ||
		    !owes_echo(mesh, peer, i, generation))
			continue;
		if (owed == 0 || number == of)
			owed = number;
	}
	return owed;
}

/* -EAGAIN: workers have yet to hear that one is closed; -EBUSY: none is. */
static int free_record(const struct dx_mesh *mesh)
{
	const struct dsmx_query_abi *records = records_of(mesh, DSMX_ABI_LEADER);
	int code = -EBUSY;

	for (uint32_t i = 0; i < DSMX_ABI_QUERIES; i++) {
		uint64_t word = dx_load_plain(&records[i].word);

		if (DSMX_WORD_STATE(word) == DSMX_QUERY_NONE ||
		    (DSMX_WORD_STATE(word) == DSMX_QUERY_CLOSED &&
		     is_echoed(mesh, i, DSMX_WORD_GENERATION(word))))
			return (int)i;
		if (DSMX_WORD_STATE(word) == DSMX_QUERY_CLOSED)
			code = -EAGAIN;
	}
	return code;
}

static void tell_all(struct dx_mesh *mesh)
{
	for (uint32_t p = 0; p < dx_mesh_peers(mesh); p++)
		dx_mesh_changed(mesh, p);
	dx_mesh_flush(mesh);
}

static void publish(struct dx_query *q, struct dsmx_query_abi *rec, const void *bytes, size_t len)
{
	struct dx_mesh *mesh = q->service->mesh;

	memcpy(q->plan_frame->bytes, bytes, len);
	rec->id = q->id;
	rec->plan_offset = (uint64_t)(q->plan_frame->bytes - dx_mesh_data(mesh));
	rec->plan_bytes = len;
	rec->plan_hash = q->plan_hash;
	rec->attempt = q->attempt;
	rec->placements = q->placements;
	rec->overflow_max = q->spill_budget.max_bytes;
	for (uint32_t i = 0; i < q->placements; i++) {
		q->epochs[i] = dx_mesh_epoch(mesh, q->placement[i]);
		if (q->epochs[i] > q->epoch_max)
			q->epoch_max = q->epochs[i];
	}
	rec->epoch_max = q->epoch_max;
	/* Whoever reads moves has read the word below first. */
	dx_store_release(DX_EDGE_MOVE, &rec->moves, 0);
	dx_rerun_begin(q);
	memcpy(rec->placement, q->placement, sizeof(rec->placement));
	q->offered = true;
	/* Nobody needs to wake up for it: the first request makes them read it. */
	dx_store_release(DX_EDGE_PLAN, &rec->word, DSMX_WORD(q->generation, DSMX_QUERY_OPEN));
}

int dx_query_offer(struct dx_service *service, const void *bytes, size_t len,
                   const struct dx_offer *offer, struct dx_query **ret_query,
                   struct dsmx_error *err)
{
	struct dx_mesh *mesh = service->mesh;
	struct dsmx_query_abi *records = DX_LAYOUT_AT(struct dsmx_query_abi, dx_mesh_page(mesh),
	                                              dx_mesh_layout(mesh)->queries, 0);
	int index = free_record(mesh);
	struct dx_query *q;
	int r;

	if (index < 0)
		return dx_error(err, index, "%u queries are open: close one first",
		                DSMX_ABI_QUERIES);
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return dx_error(err, -ENOMEM, "no memory for a query");
	q->id = ++service->next_query;
	q->record = (uint32_t)index;
	q->generation = DSMX_WORD_GENERATION(records[index].word) + 1;
	q->plan_hash = dx_plan_hash(bytes, len);
	q->placements = offer->placements;
	memcpy(q->placement, offer->placement, offer->placements);
	q->leaves = offer->leaves;
	q->spill_budget.max_bytes = offer->overflow_max;
	q->attempt = offer->attempt;
	r = dx_query_load(service, bytes, len, q, err);
	if (r == 0) {
		q->root_record = dx_record_take(q, DSMX_ROOT_TASK, 0);
		if (q->root_record == NULL)
			r = dx_error(err, -E2BIG,
			             "no task record is left for the root of another query");
	}
	if (r == 0) {
		r = dx_frame_new(mesh, len, true, NULL, &q->plan_frame);
		if (r < 0)
			(void)dx_error(
				err, r == -EAGAIN ? -ENOSPC : r,
				"no room for a plan of %zu bytes in the leader's data segment",
				len);
	}
	if (r < 0) {
		dx_query_free(q);
		return r == -EAGAIN ? -ENOSPC : r;
	}
	DX_PROBE(query_start, dx_mesh_page(mesh)->session, q->id);
	publish(q, &records[index], bytes, len);
	dx_list_append(&service->queries, &q->link);
	*ret_query = q;
	return 0;
}

int dx_query_root(struct dx_query *q, struct dsmx_cx *cx, struct dsmx_operator **ret_op,
                  struct dsmx_stream **ret_stream, struct dsmx_error *err)
{
	struct dsmx_operator *op;
	int r;

	dx_fragment_init(&q->root_fragment, q, -1, 0, 1);
	q->root_fragment.counts = &q->root;
	q->root_fragment.record = q->root_record;
	r = dx_exec_build(&q->root_fragment.env, dx_plan_root(q->plan), &op, err);
	if (r < 0)
		return r;
	r = op->ops->execute(op, cx, 0, ret_stream);
	if (r < 0)
		op->ops->free(op);
	else
		*ret_op = op;
	return r;
}

void dx_query_close(struct dx_query *q)
{
	struct dx_mesh *mesh = q->service->mesh;
	struct dsmx_query_abi *rec = DX_LAYOUT_AT(struct dsmx_query_abi, dx_mesh_page(mesh),
	                                          dx_mesh_layout(mesh)->queries, q->record);

	if (q->offered) {
		DX_PROBE(query_end, dx_mesh_page(mesh)->session, q->id);
		dx_store_release(DX_EDGE_PLAN, &rec->word,
		                 DSMX_WORD(q->generation, DSMX_QUERY_CLOSED));
		tell_all(mesh);
	}
	dx_query_free(q);
}

void dx_query_root_park(struct dx_query *q, uint32_t kind)
{
	dx_record_park(q->root_record, kind);
}

uint64_t dx_query_id(const struct dx_query *q)
{
	return q->id;
}

struct dsmx_plan *dx_query_take_plan(struct dx_query *q)
{
	q->plan_taken = true;
	return q->plan;
}

const struct dsmx_plan *dx_query_plan(const struct dx_query *q)
{
	return q->plan;
}

/* --- fragments ------------------------------------------------------------------------------------------------------ */

static struct ArrowArrayStream *find_leaf(struct dx_exec_env *env, const char *name)
{
	struct dx_query *q = DX_CONTAINER(env, struct dx_fragment, env)->query;

	for (const struct dsmx_leaf *leaf = q->leaves; leaf != NULL && leaf->name != NULL; leaf++)
		if (strcmp(leaf->name, name) == 0)
			return leaf->stream;
	return NULL;
}

static const struct dsmx_extension *find_extension(struct dx_exec_env *env, const char *name)
{
	struct dx_query *q = DX_CONTAINER(env, struct dx_fragment, env)->query;
	const struct dsmx_extension *const *arrays = q->service->extensions;

	for (; arrays != NULL && *arrays != NULL; arrays++)
		for (const struct dsmx_extension *e = *arrays; e->name != NULL; e++)
			if (strcmp(e->name, name) == 0)
				return e;
	return NULL;
}

void dx_fragment_init(struct dx_fragment *f, struct dx_query *query, int exchange, uint32_t task,
                      uint32_t tasks)
{
	*f = (struct dx_fragment){
		.env = { .tasks = tasks,
		         .task = task,
		         .files = query->service->files,
		         .make_exchange = dx_client_make,
		         .find_leaf = find_leaf,
		         .find_extension = find_extension },
		.query = query,
		.task = task,
		.exchange = exchange,
	};
}
