/* SPDX-License-Identifier: MIT */
/*
 * cancel.c - a consumer that does not want its partition says so to every producer task, now or when a slot is free
 */
#include "exchange/internal.h"

struct dx_stream_key dx_stream_key_of(const struct dx_query *query, const struct dsmx_rel *rel,
                                      uint32_t task, uint32_t partition, uint32_t record)
{
	return (struct dx_stream_key){
		.query = query->id,
		.exchange = rel->exchange.number,
		.task = task,
		.partition = partition,
		.partitions = rel->exchange.partitions,
		.attempt = dx_rerun_attempt(query, rel->exchange.number, task),
		.record = record,
		.plan_hash = query->plan_hash,
		.schema_hash = query->procedures[rel->exchange.number].schema_hash,
	};
}

/* Say CANCEL to one producer task. False: every slot to its process is taken now, or it has no process. */
static bool say_cancel(struct dx_query *query, const struct dsmx_rel *rel, uint32_t task,
                       uint32_t partition)
{
	struct dx_stream_key key = dx_stream_key_of(query, rel, task, partition, UINT32_MAX);
	enum dx_rerun_state state = dx_rerun_state(query, rel->exchange.number, task);
	struct dx_rx *rx;
	int r;

	if (state != DX_RERUN_THERE)
		return state == DX_RERUN_REFUSED; /* a dead one needs no news */
	r = dx_rx_open(query->service->mesh, dx_query_place(query, rel->exchange.number, task),
	               &key, true, &rx, NULL);
	if (r < 0)
		return false;
	if (query->procedures[rel->exchange.number].can_move)
		dx_rerun_took(query, rel->exchange.number, task);
	dx_rx_close(rx);
	return true;
}

void dx_cancel_task(struct dx_query *query, const struct dsmx_rel *rel, uint32_t task,
                    uint32_t partition)
{
	struct dx_procedure *p = &query->procedures[rel->exchange.number];
	bool *unsaid = &p->unsaid[(size_t)task * rel->exchange.partitions + partition];

	if (query->closing || *unsaid || say_cancel(query, rel, task, partition))
		return;
	/* Until there is a slot: a producer that is not told keeps rows which nobody will read. */
	*unsaid = true;
	p->unsaid_count++;
	query->service->unsaid++;
}

static bool say_again(struct dx_query *query, struct dx_procedure *p)
{
	uint32_t partitions = p->rel->exchange.partitions, before = p->unsaid_count;

	for (uint32_t t = 0; p->unsaid_count > 0 && t < p->rel->exchange.producer_tasks; t++)
		for (uint32_t c = 0; c < partitions; c++) {
			bool *unsaid = &p->unsaid[(size_t)t * partitions + c];

			if (!*unsaid || !say_cancel(query, p->rel, t, c))
				continue;
			*unsaid = false;
			p->unsaid_count--;
			query->service->unsaid--;
		}
	return p->unsaid_count < before;
}

bool dx_cancel_again(struct dx_query *query)
{
	bool news = false;

	for (uint32_t i = 0; i < query->procedure_count; i++)
		news |= say_again(query, &query->procedures[i]);
	return news;
}

void dx_cancel_partition(struct dx_query *query, const struct dsmx_rel *rel, uint32_t partition)
{
	const struct dx_exchange *x = &rel->exchange;

	if (query->closing || partition >= x->partitions)
		return;
	for (uint32_t t = 0; t < x->producer_tasks; t++) {
		if (dx_exchange_connects(x, t, partition))
			dx_cancel_task(query, rel, t, partition);
	}
}
