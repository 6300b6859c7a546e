/* SPDX-License-Identifier: MIT */
/*
 * service_test.c - the Control Service, asked in every wrong and right way
 *
 * How a query comes and goes in the registry is in service_query_test.c.
 */
#include "service_fixture.h"

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

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
