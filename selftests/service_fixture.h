/* SPDX-License-Identifier: MIT */
/*
 * service_fixture.h - a leader and two workers as reactors of one program (simulated.h), and a plan that the leader
 * offers: a scan of an endless operator, hash-exchanged, limited, gathered. The test plays the consumer, word by word.
 */
#ifndef DX_SELFTESTS_SERVICE_FIXTURE_H
#define DX_SELFTESTS_SERVICE_FIXTURE_H

#include <string.h>

#include "harness.h"
#include "simulated.h"

static int polls; /* of the operator below, in any process */

static inline int endless_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                               struct dsmx_batch *ret_batch)
{
	static int64_t values[64];
	static const struct dsmx_column column = { .values = values };

	(void)state;
	(void)input;
	(void)cx;
	polls++;
	for (int i = 0; i < 64; i++)
		values[i] = i;
	*ret_batch = (struct dsmx_batch){
		.length = 64, .selected = 64, .column_count = 1, .columns = &column
	};
	return 1;
}

static const struct dsmx_simple_ops endless_ops = { "Endless", endless_next, NULL };

static inline int endless_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                               struct dsmx_operator **inputs, uint32_t input_count,
                               struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	(void)bytes;
	(void)len;
	(void)inputs;
	(void)input_count;
	(void)err;
	return dsmx_simple_new(&endless_ops, NULL, output, NULL, ret_operator);
}

static const struct dsmx_extension extensions[] = { { "endless", endless_make }, { NULL, NULL } };
static const struct dsmx_extension *const extension_arrays[] = { extensions, NULL };

static inline int plan_bytes(void **ret_bytes, size_t *ret_len)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const uint32_t key = 0;
	const struct dsmx_schema schema = { 1, &field };
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;
	int r = dsmx_plan_new(&plan);

	if (r < 0)
		return r;
	rel = dsmx_rel_extension(plan, "endless", NULL, 0, &schema, NULL, 0);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, &key, 1, 0, NULL);
	rel = dsmx_rel_limit(plan, rel, 0, 1000);
	r = dsmx_plan_finish(plan, rel, NULL, NULL);
	if (r == 0)
		r = dsmx_plan_distribute(plan, 2, NULL);
	if (r == 0)
		r = dsmx_plan_encode(plan, ret_bytes, ret_len, NULL);
	dsmx_plan_free(plan);
	return r;
}

struct fixture {
	struct cluster c;
	struct dx_query *query;
	uint64_t plan_hash;
	uint64_t schema_hash; /* of exchange 0 */
	uint32_t producer;    /* that runs task 0 of exchange 0 */
};

static inline void settle(struct cluster *c)
{
	for (int round = 0; round < 6; round++)
		for (uint32_t i = 0; i < c->count; i++)
			(void)dx_reactor_turn(c->processes[i].reactor, 0);
}

/* Partition 1 is @consumer's to ask for: the test plays it. */
static inline int setup_for(struct fixture *f, uint8_t consumer)
{
	const uint8_t placement[] = { 1, consumer };
	struct dx_offer offer = { .placement = placement,
		                  .placements = 2,
		                  .overflow_max = 1 << 20 };
	struct dsmx_error err;
	void *bytes;
	size_t len;
	int r;

	*f = (struct fixture){ .c = { .state = 1, .count = 3, .frames = 4 } };
	polls = 0;
	r = cluster_open(&f->c);
	for (uint32_t i = 0; r == 0 && i < 3; i++)
		f->c.processes[i].service->extensions = extension_arrays;
	if (r == 0)
		r = plan_bytes(&bytes, &len);
	if (r < 0)
		return r;
	r = dx_query_offer(f->c.processes[0].service, bytes, len, &offer, &f->query, &err);
	f->plan_hash = dx_plan_hash(bytes, len);
	free(bytes);
	if (r < 0)
		return r;
	f->schema_hash = f->query->procedures[0].schema_hash;
	f->producer = dx_query_place(f->query, 0, 0);
	return 0;
}

static inline int setup(struct fixture *f)
{
	return setup_for(f, DSMX_ABI_LEADER);
}

static inline void teardown(struct fixture *f)
{
	if (f->query != NULL)
		dx_query_close(f->query);
	settle(&f->c);
	cluster_close(&f->c);
}

static inline struct dx_stream_key key_of(const struct fixture *f)
{
	return (struct dx_stream_key){ .query = dx_query_id(f->query),
		                       .exchange = 0,
		                       .task = 0,
		                       .partition = 1,
		                       .partitions =
		                               f->query->procedures[0].rel->exchange.partitions,
		                       .plan_hash = f->plan_hash,
		                       .schema_hash = f->schema_hash };
}

static inline struct dx_mesh *leader(struct fixture *f)
{
	return f->c.processes[0].mesh;
}

/* The query as the process that produces has it; NULL: it knows none. */
static inline struct dx_query *seen_by_producer(struct fixture *f)
{
	struct dx_list *queries = &f->c.processes[f->producer].service->queries;

	return dx_list_empty(queries) ? NULL : DX_CONTAINER(queries->next, struct dx_query, link);
}

#endif /* DX_SELFTESTS_SERVICE_FIXTURE_H */
