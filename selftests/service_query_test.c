/* SPDX-License-Identifier: MIT */
/*
 * service_query_test.c - the registry: a query comes into it whole or not at all, is executed by who does not own the
 * partition, and is dropped
 */
#include "service_fixture.h"

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
