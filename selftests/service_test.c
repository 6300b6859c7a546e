/* SPDX-License-Identifier: MIT */
/*
 * service_test.c - the Control Service and the registry, asked in every wrong and right way
 *
 * A leader and two workers as reactors of one program (simulated.h). The leader offers a plan; the test then
 * plays the consumer, word by word, and looks at what each process has and runs.
 */
#include <inttypes.h>
#include <string.h>

#include "harness.h"
#include "simulated.h"

/* --- a plan: scan of an endless operator, hash-exchanged, counted, gathered ------------------------------------- */

static int polls; /* of the operator below, in any process */

static int endless_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
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

static int endless_make(const void *bytes, size_t len, const struct dsmx_schema *output,
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

static int plan_bytes(void **ret_bytes, size_t *ret_len)
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

static void settle(struct cluster *c)
{
	for (int round = 0; round < 6; round++)
		for (uint32_t i = 0; i < c->count; i++)
			(void)dx_reactor_turn(c->processes[i].reactor, 0);
}

/* Partition 1 is @consumer's to ask for: the test plays it. */
static int setup_for(struct fixture *f, uint8_t consumer)
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

static int setup(struct fixture *f)
{
	return setup_for(f, DSMX_ABI_LEADER);
}

static void teardown(struct fixture *f)
{
	if (f->query != NULL)
		dx_query_close(f->query);
	settle(&f->c);
	cluster_close(&f->c);
}

static struct dx_stream_key key_of(const struct fixture *f)
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

static struct dx_mesh *leader(struct fixture *f)
{
	return f->c.processes[0].mesh;
}

/* The query as the process that produces has it; NULL: it knows none. */
static struct dx_query *seen_by_producer(struct fixture *f)
{
	struct dx_list *queries = &f->c.processes[f->producer].service->queries;

	return dx_list_empty(queries) ? NULL : DX_CONTAINER(queries->next, struct dx_query, link);
}

/* --- the registry ---------------------------------------------------------------------------------------------------- */

TEST(service_registers,
     "offering a plan registers every exchange in the leader, and nothing runs; workers learn when asked")
{
	struct fixture f;

	CHECK_EQ(setup(&f), 0);
	settle(&f.c);
	CHECK_EQ(f.query->procedure_count, dsmx_plan_exchange_count(dx_query_plan(f.query)));
	CHECK(f.query->procedure_count >= 1);
	for (uint32_t i = 0; i < f.query->procedure_count; i++)
		CHECK(f.query->procedures[i].producers[0] == NULL);
	CHECK(seen_by_producer(&f) == NULL);
	CHECK_EQ(polls, 0);
	teardown(&f);
}

TEST(service_all_or_nothing,
     "a plan that is cut or altered registers nothing, and its record stays free")
{
	struct fixture f;
	struct dx_service *service;
	static const uint8_t placement[] = { 1 };
	struct dx_offer offer = { .placement = placement, .placements = 1 };
	struct dx_query *query = NULL;
	void *bytes;
	size_t len;
	int whole = 0;

	CHECK_EQ(setup(&f), 0);
	service = f.c.processes[0].service;
	CHECK_EQ(plan_bytes(&bytes, &len), 0);
	for (size_t cut = 0; cut < len; cut++) {
		struct dsmx_error err;
		int r = dx_query_offer(service, bytes, cut, &offer, &query, &err);

		if (r == 0) { /* what was cut off is optional: then it is a whole plan */
			CHECK_EQ(query->procedure_count, f.query->procedure_count);
			dx_query_close(query);
			settle(&f.c);
			whole++;
		}
		CHECK(service->queries.next == &f.query->link);
		CHECK(service->queries.prev == &f.query->link);
	}
	CHECK(whole <= 2);
	free(bytes);
	teardown(&f);
}

/* --- requests that are refused ------------------------------------------------------------------------------------------ */

TEST(service_naks, "a request for what is not there is refused with a reason, and starts nothing")
{
	static const struct {
		const char *what;
		uint64_t query;
		uint32_t exchange, task, partition, partitions, attempt;
		uint64_t plan_hash, schema_hash;
		int want;
	} rows[] = {
		/* added to what would be right */
		{ "another query", 7, 0, 0, 0, 0, 0, 0, 0, -ENOENT },
		{ "another exchange", 0, 77, 0, 0, 0, 0, 0, 0, -ENOENT },
		{ "another task", 0, 0, 9, 0, 0, 0, 0, 0, -ENOENT },
		{ "another partition", 0, 0, 0, 9, 0, 0, 0, 0, -ENOENT },
		{ "another number of partitions", 0, 0, 0, 0, 1, 0, 0, 0, -EPROTO },
		{ "another attempt", 0, 0, 0, 0, 0, 1, 0, 0, -EPROTO },
		{ "another plan", 0, 0, 0, 0, 0, 0, 1, 0, -EPROTO },
		{ "another schema", 0, 0, 0, 0, 0, 0, 0, 1, -EPROTO },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct fixture f;
		struct dx_stream_key key;
		struct dx_frame_view view;
		struct dsmx_error err = { 0 };
		struct dx_rx *rx;
		struct dx_query *q;

		CHECK_EQ(setup(&f), 0);
		key = key_of(&f);
		key.query += rows[i].query;
		key.exchange += rows[i].exchange;
		key.task += rows[i].task;
		key.partition += rows[i].partition;
		key.partitions += rows[i].partitions;
		key.attempt += rows[i].attempt;
		key.plan_hash += rows[i].plan_hash;
		key.schema_hash += rows[i].schema_hash;
		CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, false, &rx, NULL), 0);
		settle(&f.c);
		CHECK_EQ(dx_rx_next(rx, NULL, &view, &err), rows[i].want);
		CHECK(err.message[0] != '\0');
		q = seen_by_producer(&f);
		CHECK(q == NULL || q->procedures[0].producers[0] == NULL);
		CHECK_EQ(polls, 0);
		dx_rx_close(rx);
		teardown(&f);
	}
}

TEST(service_misplaced, "a task that runs elsewhere is refused by who does not run it")
{
	struct fixture f;
	struct dx_stream_key key;
	struct dx_frame_view view;
	struct dx_rx *rx;

	CHECK_EQ(setup(&f), 0);
	key = key_of(&f);
	CHECK_EQ(dx_rx_open(leader(&f), DSMX_ABI_LEADER, &key, false, &rx, NULL), 0);
	settle(&f.c);
	CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), -ENOENT);
	dx_rx_close(rx);
	teardown(&f);
}

TEST(service_not_yours,
     "a partition is its consumer's alone: another process that asks for it, or cancels it, is refused")
{
	struct fixture f;
	struct dx_stream_key key;
	struct dx_frame_view view;
	struct dx_rx *rx;

	CHECK_EQ(setup(&f), 0);
	key = key_of(&f);
	CHECK_EQ(dx_rx_open(f.c.processes[2].mesh, f.producer, &key, false, &rx, NULL), 0);
	settle(&f.c);
	CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), -EPERM);
	CHECK_EQ(polls, 0);
	dx_rx_close(rx);
	CHECK_EQ(dx_rx_open(f.c.processes[2].mesh, f.producer, &key, true, &rx, NULL), 0);
	dx_rx_close(rx);
	settle(&f.c);
	CHECK_EQ(seen_by_producer(&f)->procedures[0].parts[1], DX_PART_UNKNOWN);
	CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, false, &rx, NULL), 0);
	settle(&f.c);
	CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), 1);
	dx_rx_release(rx, view.id);
	dx_rx_close(rx);
	teardown(&f);
}

/* --- requests that start something ---------------------------------------------------------------------------------------- */

TEST(service_starts_once,
     "the first request of a task starts it; the same partition asked twice is refused and starts nothing")
{
	struct fixture f;
	struct dx_stream_key key;
	struct dx_frame_view view;
	struct dx_rx *first, *second;
	struct dx_producer *producer;

	CHECK_EQ(setup(&f), 0);
	key = key_of(&f);
	CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, false, &first, NULL), 0);
	settle(&f.c);
	CHECK(polls > 0);
	producer = seen_by_producer(&f)->procedures[0].producers[0];
	CHECK(producer != NULL);
	CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, false, &second, NULL), 0);
	settle(&f.c);
	CHECK_EQ(dx_rx_next(second, NULL, &view, NULL), -EALREADY);
	CHECK(seen_by_producer(&f)->procedures[0].producers[0] == producer);
	CHECK_EQ(dx_rx_next(first, NULL, &view, NULL), 1);
	dx_rx_release(first, view.id);
	dx_rx_close(first);
	dx_rx_close(second);
	teardown(&f);
}

TEST(service_bounded,
     "a producer that nobody reads stops at its credit, also for a partition that nobody asked for")
{
	struct fixture f;
	struct dx_stream_key key;
	struct dx_rx *rx;
	int before;

	CHECK_EQ(setup(&f), 0);
	key = key_of(&f);
	CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, false, &rx, NULL), 0);
	for (int i = 0; i < 200; i++)
		settle(&f.c);
	before = polls;
	for (int i = 0; i < 50; i++)
		settle(&f.c);
	CHECK_EQ(polls, before);
	CHECK(dx_slab_used(dx_mesh_slabs(f.c.processes[f.producer].mesh)) > 0);
	dx_rx_close(rx);
	teardown(&f);
}

TEST(service_cancel_first,
     "a partition that is cancelled before anybody asks is refused later, and its task never starts")
{
	struct fixture f;
	struct dx_stream_key key;
	struct dx_frame_view view;
	struct dx_rx *rx;

	CHECK_EQ(setup(&f), 0);
	key = key_of(&f);
	CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, true, &rx, NULL), 0);
	dx_rx_close(rx);
	settle(&f.c);
	CHECK(seen_by_producer(&f)->procedures[0].producers[0] == NULL);
	CHECK_EQ(polls, 0);
	CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, false, &rx, NULL), 0);
	settle(&f.c);
	CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), -EALREADY);
	dx_rx_close(rx);
	teardown(&f);
}

TEST(service_cancel_without_slot, "a CANCEL that finds no slot is said as soon as there is one")
{
	struct fixture f;
	struct dx_rx *rx[SIMULATED_SLOTS];
	struct dx_query *seen;

	CHECK_EQ(setup(&f), 0);
	for (uint32_t i = 0; i < SIMULATED_SLOTS; i++) {
		struct dx_stream_key key = key_of(&f);

		key.exchange = 99; /* to be refused */
		CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, false, &rx[i], NULL), 0);
	}
	dx_cancel_partition(f.query, f.query->procedures[0].rel, 1);
	CHECK(f.c.processes[0].service->unsaid > 0);
	settle(&f.c);
	for (uint32_t i = 0; i < SIMULATED_SLOTS; i++)
		dx_rx_close(rx[i]);
	settle(&f.c);
	CHECK_EQ(f.c.processes[0].service->unsaid, 0);
	seen = seen_by_producer(&f);
	CHECK(seen != NULL);
	CHECK_EQ(seen->procedures[0].parts[1], DX_PART_CANCELLED);
	teardown(&f);
}

#ifdef DX_POINTS
TEST(service_cancel_without_memory,
     "a CANCEL that finds neither a slot nor memory is said all the same")
{
	struct fixture f;

	CHECK_EQ(setup(&f), 0);
	dx_point_fail(DX_POINT_ALLOC, 1, UINT64_MAX, ENOMEM);
	dx_cancel_partition(f.query, f.query->procedures[0].rel, 1);
	dx_points_reset();
	CHECK(f.c.processes[0].service->unsaid > 0);
	settle(&f.c);
	CHECK_EQ(f.c.processes[0].service->unsaid, 0);
	CHECK(seen_by_producer(&f) != NULL);
	CHECK_EQ(seen_by_producer(&f)->procedures[0].parts[1], DX_PART_CANCELLED);
	teardown(&f);
}
#endif

TEST(service_storm,
     "a hundred thousand requests and cancels leave a service that answers, and nothing else")
{
	struct fixture f;
	struct dx_stream_key key;
	struct dx_frame_view view;
	struct dx_rx *rx;

	CHECK_EQ(setup(&f), 0);
	key = key_of(&f);
	key.exchange = 77; /* each is looked up and refused */
	for (int i = 0; i < 100000; i++) {
		int r = dx_rx_open(leader(&f), f.producer, &key, i % 2 == 0, &rx, NULL);

		if (r == 0)
			dx_rx_close(rx);
		else
			CHECK_EQ(r, -E2BIG);
		(void)dx_reactor_turn(f.c.processes[f.producer].reactor, 0);
		(void)dx_reactor_turn(f.c.processes[0].reactor, 0);
	}
	settle(&f.c);
	key.exchange = 0;
	CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, false, &rx, NULL), 0);
	settle(&f.c);
	CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), 1);
	dx_rx_release(rx, view.id);
	dx_rx_close(rx);
	teardown(&f);
	CHECK(polls > 0);
}

TEST(service_control_between_slices,
     "while a producer always has work, a second request and a CANCEL are answered within two turns")
{
	struct fixture f;
	struct dx_stream_key key;
	struct dx_frame_view view;
	struct dx_rx *rx, *bad;

	CHECK_EQ(setup(&f), 0);
	key = key_of(&f);
	CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, false, &rx, NULL), 0);
	dx_mesh_flush(leader(&f));
	(void)dx_reactor_turn(f.c.processes[f.producer].reactor, 0);
	key.exchange = 77;
	CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, false, &bad, NULL), 0);
	dx_mesh_flush(leader(&f));
	(void)dx_reactor_turn(f.c.processes[f.producer].reactor, 0);
	(void)dx_reactor_turn(f.c.processes[f.producer].reactor, 0);
	CHECK_EQ(dx_rx_next(bad, NULL, &view, NULL), -ENOENT);
	dx_rx_close(rx);
	dx_mesh_flush(leader(&f));
	(void)dx_reactor_turn(f.c.processes[f.producer].reactor, 0);
	(void)dx_reactor_turn(f.c.processes[f.producer].reactor, 0);
	(void)dx_reactor_turn(f.c.processes[0].reactor, 0);
	CHECK_EQ(seen_by_producer(&f)->procedures[0].producers[0]->outputs[1].over, 1);
	dx_rx_close(bad);
	teardown(&f);
}

TEST(service_passive,
     "a process that executes a partition which is not its own gets an empty stream that ends with the producers")
{
	struct fixture f;
	struct dx_fragment fragment;
	struct dsmx_error err = { 0 };
	struct dx_task task = { 0 };
	struct dsmx_cx cx = { .err = &err, .slice_end_ns = UINT64_MAX, .waker = &task.waker };
	struct dsmx_operator *op;
	struct dsmx_stream *stream;
	struct dsmx_batch batch;
	struct dx_counts counts = { 0 };

	CHECK_EQ(setup(&f), 0);
	dx_fragment_init(&fragment, f.query, -1, 0, 1);
	fragment.counts = &counts;
	fragment.record = f.query->root_record;
	CHECK_EQ(dx_client_make(&fragment.env, f.query->procedures[0].rel, &op, &err), 0);
	CHECK_EQ(op->ops->execute(op, &cx, 99, &stream), 0);
	CHECK_EQ(stream->ops->poll_next(stream, &cx, &batch), 0);
	CHECK_EQ(counts.start_streams, 0);
	stream->ops->close(stream);
	op->ops->free(op);
	teardown(&f);
}

struct noting_waker {
	struct dsmx_waker waker;
	int wakes;
};

static void note_wake(struct dsmx_waker *waker)
{
	((struct noting_waker *)waker)->wakes++;
}

TEST(service_passive_all, "several tasks that wait for the same producers' end are all woken by it")
{
	struct fixture f;
	struct dx_fragment fragment;
	struct dsmx_error err = { 0 };
	struct noting_waker wakers[3] = { { { note_wake }, 0 },
		                          { { note_wake }, 0 },
		                          { { note_wake }, 0 } };
	struct dsmx_operator *op;
	struct dsmx_stream *streams[3];
	struct dsmx_batch batch;
	struct dx_counts counts = { 0 };
	struct dx_stream_key key;
	struct dx_query *seen;
	struct dx_rx *rx;

	CHECK_EQ(setup(&f), 0);
	key = key_of(&f);
	CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, false, &rx, NULL), 0);
	settle(&f.c);
	seen = seen_by_producer(&f);
	CHECK(seen != NULL && seen->procedures[0].producers[0] != NULL);
	dx_fragment_init(&fragment, seen, -1, 0, 1);
	fragment.counts = &counts;
	fragment.record = seen->procedures[0].producers[0]->record;
	CHECK_EQ(dx_client_make(&fragment.env, seen->procedures[0].rel, &op, &err), 0);
	for (int i = 0; i < 3; i++) {
		struct dsmx_cx cx = { .err = &err,
			              .slice_end_ns = UINT64_MAX,
			              .waker = &wakers[i].waker };

		CHECK_EQ(op->ops->execute(op, &cx, 99, &streams[i]), 0);
		CHECK_EQ(streams[i]->ops->poll_next(streams[i], &cx, &batch), -EAGAIN);
	}
	streams[1]->ops->close(streams[1]);
	dx_rx_close(rx);
	key.partition = 0; /* its own */
	CHECK_EQ(dx_rx_open(f.c.processes[f.producer].mesh, f.producer, &key, true, &rx, NULL), 0);
	dx_rx_close(rx);
	settle(&f.c);
	CHECK_EQ(wakers[0].wakes, 1);
	CHECK_EQ(wakers[1].wakes, 0);
	CHECK_EQ(wakers[2].wakes, 1);
	streams[0]->ops->close(streams[0]);
	streams[2]->ops->close(streams[2]);
	op->ops->free(op);
	teardown(&f);
}

TEST(service_dropped,
     "when the leader closes a query, every process drops it and says so, and the record is used again")
{
	struct fixture f;
	struct dx_stream_key key;
	struct dx_rx *rx;
	static const uint8_t placement[] = { 1, 2 };
	struct dx_offer offer = { .placement = placement, .placements = 2 };
	uint32_t record;
	void *bytes;
	size_t len;

	CHECK_EQ(setup(&f), 0);
	key = key_of(&f);
	CHECK_EQ(dx_rx_open(leader(&f), f.producer, &key, false, &rx, NULL), 0);
	settle(&f.c);
	CHECK(seen_by_producer(&f) != NULL);
	record = f.query->record;
	dx_rx_close(rx);
	dx_query_close(f.query);
	f.query = NULL;
	settle(&f.c);
	CHECK(seen_by_producer(&f) == NULL);
	CHECK_EQ(dx_slab_used(dx_mesh_slabs(f.c.processes[f.producer].mesh)), 0);
	CHECK_EQ(plan_bytes(&bytes, &len), 0);
	CHECK_EQ(dx_query_offer(f.c.processes[0].service, bytes, len, &offer, &f.query, NULL), 0);
	CHECK_EQ(f.query->record, record);
	free(bytes);
	teardown(&f);
}

TEST(service_takes_back,
     "a worker that closes a query and keeps its frames loses them, and is accused; the leader may keep its own")
{
	for (uint8_t consumer = 0; consumer <= 2; consumer += 2) {
		struct fixture f;
		struct dx_stream_key key;
		struct dx_frame_view view;
		struct dx_mesh *producer;
		struct dx_rx *rx;

		CHECK_EQ(setup_for(&f, consumer), 0);
		producer = f.c.processes[f.producer].mesh;
		key = key_of(&f);
		CHECK_EQ(dx_rx_open(f.c.processes[consumer].mesh, f.producer, &key, false, &rx,
		                    NULL),
		         0);
		settle(&f.c);
		CHECK_EQ(dx_rx_next(rx, NULL, &view, NULL), 1);
		dx_query_close(f.query);
		f.query = NULL;
		settle(&f.c);
		CHECK(seen_by_producer(&f) == NULL);
		CHECK_EQ(dx_slab_used(dx_mesh_slabs(producer)) == 0, consumer != 0);
		CHECK_EQ(producer->peers[consumer].accused, consumer != 0);
		dx_rx_close(rx);
		dx_rx_release(rx, view.id);
		teardown(&f);
	}
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
