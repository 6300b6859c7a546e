/* SPDX-License-Identifier: MIT */
/* registry.c - a plan is decoded, and each of its exchanges a procedure that can be asked for; or none is */
#include <stdlib.h>

#include "base/err.h"
#include "exchange/internal.h"

void dx_query_unregister(struct dx_query *q)
{
	for (uint32_t i = 0; i < q->procedure_count; i++) {
		struct dx_procedure *p = &q->procedures[i];

		for (uint32_t t = 0; p->producers != NULL && t < p->rel->exchange.producer_tasks;
		     t++)
			if (p->producers[t] != NULL)
				dx_producer_free(p->producers[t]);
		free(p->producers);
		free(p->parts);
		free(p->unsaid);
		q->service->unsaid -= p->unsaid_count;
		for (uint32_t c = 0; p->filters != NULL && c < p->rel->exchange.partitions; c++)
			dx_filters_free(p->filters[c]);
		free(p->filters);
	}
	free(q->procedures);
	q->procedures = NULL;
	q->procedure_count = 0;
}

static bool reads_exchange(const struct dsmx_rel *rel)
{
	if (rel->kind == DX_REL_EXCHANGE)
		return true;
	for (uint32_t i = 0; i < rel->input_count; i++)
		if (reads_exchange(rel->inputs[i]))
			return true;
	return false;
}

static int register_all(struct dx_query *q)
{
	uint32_t count = dsmx_plan_exchange_count(q->plan), number = 0;

	q->procedures = calloc(count + 1, sizeof(*q->procedures));
	if (q->procedures == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		struct dx_procedure *p = &q->procedures[i];
		const struct dsmx_rel *rel = dx_plan_exchange_rel(q->plan, i);
		size_t tasks = rel->exchange.producer_tasks;

		p->rel = rel;
		dx_list_init(&p->passive);
		q->procedure_count++;
		p->schema_hash = dx_schema_hash(&rel->schema);
		p->leader_only = dx_plan_leader_only(q->plan, i);
		/* Tasks of a sampled range are not apart: they have agreed on bounds. */
		p->can_move = !p->leader_only && !rel->exchange.sampled &&
		              !reads_exchange(rel->inputs[0]);
		p->first_task = number;
		number += rel->exchange.producer_tasks;
		p->producers = calloc(tasks, sizeof(struct dx_producer *));
		p->parts = calloc(tasks * rel->exchange.partitions, 1);
		p->unsaid = calloc(tasks * rel->exchange.partitions, sizeof(bool));
		if (p->producers == NULL || p->parts == NULL || p->unsaid == NULL)
			return -ENOMEM;
	}
	return 0;
}

uint32_t dx_query_consumer_place(const struct dx_query *q, uint32_t i, uint32_t partition)
{
	int above = dx_plan_consumer(q->plan, i);

	return above < 0 ? DSMX_ABI_LEADER : dx_query_place(q, (uint32_t)above, partition);
}

struct needs {
	uint32_t streams[DSMX_ABI_PEERS]; /* as a consumer, from each peer */
	uint32_t outputs;
	uint32_t tasks;
};

static void add_needs(const struct dx_query *q, uint32_t i, uint32_t self, struct needs *n)
{
	const struct dx_exchange *x = &q->procedures[i].rel->exchange;

	for (uint32_t t = 0; t < x->producer_tasks; t++) {
		uint32_t place = dx_query_place(q, i, t);

		n->tasks += place == self;
		n->outputs += place == self && x->sampled; /* a piece for the sample */
		for (uint32_t c = 0; c < x->partitions; c++) {
			if (!dx_exchange_connects(x, t, c))
				continue;
			n->outputs += place == self;
			n->streams[place] += dx_query_consumer_place(q, i, c) == self;
		}
	}
}

/* The fixed tables must hold what the plan needs here; the sentence has the numbers. */
static int check_needs(const struct dx_query *q, uint32_t self, struct dsmx_error *err)
{
	struct dx_mesh *mesh = q->service->mesh;
	const struct dx_layout *l = dx_mesh_layout(mesh);
	struct needs n = { 0 };

	for (uint32_t i = 0; i < q->procedure_count; i++)
		add_needs(q, i, self, &n);
	for (uint32_t p = 0; p < l->peers; p++)
		if (n.streams[p] > l->slots)
			return dx_error(
				err, -E2BIG,
				"the plan needs %u streams from process %u to process %u, the session has %u: open it with more streams_per_peer",
				n.streams[p], p, self, l->slots);
	if (n.tasks > l->tasks)
		return dx_error(
			err, -E2BIG,
			"the plan needs %u tasks in process %u, the session has room for %u",
			n.tasks, self, l->tasks);
	if ((size_t)n.outputs * DX_PIECE_BYTES > dx_slab_bytes(dx_mesh_slabs(mesh)) / 2)
		return dx_error(
			err, -E2BIG,
			"the plan has %u outputs in process %u, each needs %u bytes of its %zu: open the session with more data_bytes",
			n.outputs, self, DX_PIECE_BYTES, dx_slab_bytes(dx_mesh_slabs(mesh)));
	return 0;
}

bool dx_query_fits(const struct dx_query *q)
{
	for (uint32_t p = 0; p < dx_mesh_peers(q->service->mesh); p++)
		if (check_needs(q, p, NULL) < 0)
			return false;
	return true;
}

int dx_query_load(struct dx_service *service, const void *bytes, size_t len, struct dx_query *q,
                  struct dsmx_error *err)
{
	int r;

	q->service = service;
	q->spill_budget.file = service->keeps_overflow ? &service->overflow : NULL;
	dx_list_init(&q->link);
	dx_list_init(&q->readers);
	if (dx_plan_hash(bytes, len) != q->plan_hash)
		return dx_error(err, -EBADMSG,
		                "the plan's bytes do not have the hash that was announced");
	r = dsmx_plan_decode(bytes, len, &q->plan, err);
	if (r < 0)
		return r;
	r = register_all(q);
	if (r < 0)
		return dx_error(err, r, "no memory to register %u exchanges",
		                dsmx_plan_exchange_count(q->plan));
	for (uint32_t i = 0; i < q->procedure_count; i++)
		if (q->procedures[i].rel->exchange.producer_tasks == 0 ||
		    q->procedures[i].rel->exchange.partitions == 0)
			return dx_error(err, -EINVAL,
			                "exchange %u has no tasks: the plan was not distributed",
			                i);
	return check_needs(q, dx_mesh_self(service->mesh), err);
}
