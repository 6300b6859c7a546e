/* SPDX-License-Identifier: MIT */
/*
 * deadlock_walk_test.c - the walk from a task that waits for slabs to all who hold them, word by word
 *
 *	task of process 1, SLAB		its frames are held by a task of process 0 and by one of process 2,
 *					both of which wait for more of it
 *
 * The words of all three are the test's (simulated.h); whole queries are in query_deadlock_test.c.
 */
#include "harness.h"
#include "simulated.h"

enum { PRODUCER = 1, HOLDERS = 2, QUERY = 5, EXCHANGE = 3 };

static const uint32_t holders[HOLDERS] = { 0, 2 };

struct fixture {
	struct cluster c;
	struct dsmx_task_abi *tasks[3]; /* of each process: its first record */
	struct dsmx_request_abi *requests[HOLDERS];
	struct dsmx_stream_abi *streams[HOLDERS];
};

static const struct dx_layout *layout_of(const struct fixture *f, uint32_t peer)
{
	return dx_mesh_layout(f->c.processes[peer].mesh);
}

static struct dsmx_task_abi *make_task(struct fixture *f, uint32_t peer, uint32_t kind)
{
	struct dsmx_task_abi *task =
		DX_LAYOUT_AT(struct dsmx_task_abi, dx_mesh_page(f->c.processes[peer].mesh),
	                     layout_of(f, peer)->task_records, 0);

	*task = (struct dsmx_task_abi){ .query = QUERY,
		                        .exchange = EXCHANGE,
		                        .task = peer,
		                        .park = 1,
		                        .park_kind = kind,
		                        .park_exchange = EXCHANGE };
	return task;
}

/* A stream of three frames, all taken, two of them held; the producer has seen what was given back. */
static void make_stream(struct fixture *f, uint32_t i)
{
	const struct dx_layout *l = layout_of(f, PRODUCER);
	void *mine = dx_mesh_page(f->c.processes[holders[i]].mesh);
	void *theirs = dx_mesh_page(f->c.processes[PRODUCER].mesh);
	size_t at = dx_layout_slot(l, PRODUCER, 0), back = dx_layout_slot(l, holders[i], 0);

	f->requests[i] = DX_LAYOUT_AT(struct dsmx_request_abi, mine, l->requests, at);
	f->streams[i] = DX_LAYOUT_AT(struct dsmx_stream_abi, theirs, l->streams, back);
	*f->requests[i] = (struct dsmx_request_abi){
		.query = QUERY, .exchange = EXCHANGE, .taken = 3, .released = 1
	};
	*f->streams[i] = (struct dsmx_stream_abi){
		.query = QUERY, .exchange = EXCHANGE, .tail = 3, .seen_released = 1
	};
	*DX_LAYOUT_AT(uint64_t, mine, l->request_words, at) = DSMX_WORD(1, DSMX_REQUEST_START);
	*DX_LAYOUT_AT(uint64_t, theirs, l->stream_words, back) = DSMX_WORD(1, DSMX_STREAM_RUNNING);
}

static bool setup(struct fixture *f)
{
	*f = (struct fixture){ .c = { .state = 1, .count = 3, .frames = 4 } };
	if (cluster_open(&f->c) != 0)
		return false;
	f->tasks[PRODUCER] = make_task(f, PRODUCER, DSMX_PARK_SLAB);
	for (uint32_t i = 0; i < HOLDERS; i++) {
		f->tasks[holders[i]] = make_task(f, holders[i], DSMX_PARK_INPUT);
		make_stream(f, i);
	}
	return true;
}

/* What the producer's process finds. */
static bool finds(const struct fixture *f)
{
	char set[256];

	return dx_deadlock_look(f->c.processes[PRODUCER].service, f->tasks[PRODUCER], set,
	                        sizeof(set));
}

TEST(walk_slab_two,
     "who waits for slabs that two hold is woken by either: only if both wait is it a deadlock")
{
	struct fixture f;
	char set[256];

	CHECK(setup(&f));
	CHECK(dx_deadlock_look(f.c.processes[PRODUCER].service, f.tasks[PRODUCER], set,
	                       sizeof(set)));
	CHECK_STR(set, "#3.1 for slabs, #3.0 for input, #3.2 for input");
	for (uint32_t i = 0; i < HOLDERS; i++) {
		struct dsmx_task_abi *holder = f.tasks[holders[i]];

		holder->park_kind = DSMX_PARK_NONE; /* it runs, and may give back */
		CHECK(!finds(&f));
		holder->park_kind = DSMX_PARK_OTHER;
		CHECK(!finds(&f));
		holder->park_kind = DSMX_PARK_INPUT;
		CHECK(finds(&f));
	}
	cluster_close(&f.c);
}

TEST(walk_slab_released,
     "what was given back and not seen yet is no deadlock, and who holds nothing is not waited for")
{
	struct fixture f;

	CHECK(setup(&f));
	for (uint32_t i = 0; i < HOLDERS; i++) {
		f.requests[i]->released = 2;
		CHECK(!finds(&f));
		f.streams[i]->seen_released = 2;
		CHECK(finds(&f));
	}
	for (uint32_t i = 0; i < HOLDERS;
	     i++) { /* holds nothing, and runs: the other one waits for us alone */
		f.requests[i]->released = f.streams[i]->seen_released = 3;
		f.tasks[holders[i]]->park_kind = DSMX_PARK_NONE;
		CHECK_EQ(finds(&f), i == 0);
	}
	cluster_close(&f.c);
}

TEST(walk_slab_news, "a holder with something to read will run")
{
	struct fixture f;

	CHECK(setup(&f));
	for (uint32_t i = 0; i < HOLDERS; i++) {
		f.streams[i]->tail = 4;
		CHECK(!finds(&f));
		f.streams[i]->tail = 3;
		CHECK(finds(&f));
	}
	cluster_close(&f.c);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
