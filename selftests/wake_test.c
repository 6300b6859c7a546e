/* SPDX-License-Identifier: MIT */
/*
 * wake_test.c - the whole waiting protocol between two reactors, for some seconds, with random pauses
 *
 * Each side owns a page that only it writes: a bell, and per ring a position and the position that it waits
 * for. Rings 0 and 1 go from side 0 to side 1, ring 2 the other way. A position is the tail of a ring in the
 * page of its producer and the count of what was taken in that of its consumer, so both directions wait alike.
 *
 * Lost wakes show as late parks, or as a stall that only the bound of a park ends. The sides are processes
 * with the peer's page mapped read-only, or threads over one mapping, for what a thread sanitizer can see.
 *
 * Bells and positions begin just below 2^32, and pass it in every run.
 *
 * DSMX_STRESS_S in the environment: seconds for each test, instead of 1.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/order.h"
#include "harness.h"
#include "shm/segment.h"
#include "task/reactor.h"

#define RINGS    3
#define SLOTS    8U
#define UNWANTED (UINT64_MAX / 2)
#define FIRST    (UINT32_MAX - 2U)

struct ring_words {
	_Alignas(64) uint64_t position;
	uint64_t fin; /* the producer's: nothing comes after `position` */
	_Alignas(64) uint64_t wanted;
	_Alignas(64) uint64_t slots[SLOTS];
};

struct page {
	_Alignas(64) uint32_t bell;
	struct ring_words rings[RINGS];
};

/* What one side did, for the parent to judge. */
struct outcome {
	uint64_t items; /* taken */
	uint64_t rings; /* of the bell */
	uint64_t wrong; /* items that were not the next */
	struct dx_reactor_stats reactor;
	struct dx_wait_stats wait;
	int failed;
};

struct side {
	int number;
	struct page *own;
	const struct page *peer;
	bool disarms;
	struct dx_reactor *reactor;
	struct dx_wait_word bell;
	struct dx_source source;
	struct dx_task task;
	uint64_t end_ns;
	uint64_t random;
	uint64_t position[RINGS]; /* own: published */
	uint64_t tested[RINGS];   /* own: at the last test of the peer's `wanted` */
	uint64_t seen[RINGS];     /* the peer's */
	bool fin_seen[RINGS];
	bool fin_sent[RINGS];
	bool fin_tested[RINGS];
	bool over;
	struct outcome outcome;
};

static uint32_t next_random(struct side *side, uint32_t below)
{
	side->random ^= side->random << 13;
	side->random ^= side->random >> 7;
	side->random ^= side->random << 17;
	return (uint32_t)((side->random >> 32) % below);
}

static void spin_ns(uint64_t ns)
{
	uint64_t end_ns = dx_now_ns() + ns;

	while (dx_now_ns() < end_ns)
		dx_spin_pause();
}

/* Mostly nothing, sometimes less than a reactor's patience, now and then more. */
static void pause_at_random(struct side *side)
{
	uint32_t what = next_random(side, 64);

	if (what == 0)
		spin_ns(next_random(side, 100000));
	else if (what < 16)
		spin_ns(next_random(side, 3000));
}

static bool produces(const struct side *side, int ring)
{
	return (ring < 2) == (side->number == 0);
}

/* --- the waker ---------------------------------------------------------------------------------------- */

static void ring_bell(struct side *side)
{
	dx_store_release(DX_EDGE_BELL, &side->own->bell, dx_load_plain(&side->own->bell) + 1);
	dx_wake(&side->own->bell);
	side->outcome.rings++;
}

/* One fence and at most one ring for all that was published since the last test. */
static void test_wanted(struct side *side)
{
	bool wanted = false;

	dx_fence(DX_FENCE_WAKE);
	for (int r = 0; r < RINGS; r++) {
		uint64_t at = dx_load_plain(&side->peer->rings[r].wanted);

		wanted |= at - side->tested[r] < side->position[r] - side->tested[r];
		wanted |= at != UNWANTED && side->fin_sent[r] && !side->fin_tested[r];
		side->tested[r] = side->position[r];
		side->fin_tested[r] = side->fin_sent[r];
	}
	if (wanted)
		ring_bell(side);
}

static void publish(struct side *side, int r, uint64_t position)
{
	side->position[r] = position;
	if (produces(side, r))
		dx_store_release(DX_EDGE_TAIL, &side->own->rings[r].position, position);
	else
		dx_store_release(DX_EDGE_TAKEN, &side->own->rings[r].position, position);
}

/* --- the work ----------------------------------------------------------------------------------------- */

static bool produce(struct side *side, int r)
{
	uint64_t room = SLOTS - (side->position[r] - side->seen[r]);
	uint64_t count = room == 0 ? 0 : 1 + next_random(side, (uint32_t)room);

	if (side->fin_sent[r])
		return false;
	if (dx_now_ns() >= side->end_ns) {
		side->fin_sent[r] = true;
		dx_store_release(DX_EDGE_STREAM, &side->own->rings[r].fin, 1);
		return true;
	}
	for (uint64_t i = 0; i < count; i++)
		side->own->rings[r].slots[(side->position[r] + i) % SLOTS] = side->position[r] + i;
	if (count > 0)
		publish(side, r, side->position[r] + count);
	return count > 0;
}

static bool consume(struct side *side, int r)
{
	uint64_t count = side->seen[r] - side->position[r];

	if (count == 0)
		return false;
	count = 1 + next_random(side, (uint32_t)count);
	for (uint64_t at = side->position[r]; at < side->position[r] + count; at++)
		side->outcome.wrong += side->peer->rings[r].slots[at % SLOTS] != at;
	side->outcome.items += count;
	publish(side, r, side->position[r] + count);
	return true;
}

static bool is_over(const struct side *side)
{
	for (int r = 0; r < RINGS; r++) {
		if (produces(side, r) ? !side->fin_sent[r] || side->seen[r] != side->position[r]
		                      : !side->fin_seen[r] || side->seen[r] != side->position[r])
			return false;
	}
	return true;
}

static int side_poll(struct dx_task *task, struct dsmx_cx *cx)
{
	struct side *side = DX_CONTAINER(task, struct side, task);
	bool worked = false;

	for (int r = 0; r < RINGS; r++) {
		pause_at_random(side);
		worked |= produces(side, r) ? produce(side, r) : consume(side, r);
	}
	if (next_random(side, 4) == 0) /* else the test waits for the flush, or for a later turn */
		test_wanted(side);
	if (worked)
		dsmx_cx_yield(cx);
	if (is_over(side))
		side->over = true;
	return 0;
}

/* --- the source --------------------------------------------------------------------------------------- */

static bool side_look(struct dx_source *source)
{
	struct side *side = DX_CONTAINER(source, struct side, source);
	bool news = false;

	side->bell.seen = dx_load_acquire(DX_EDGE_BELL, &side->peer->bell);
	side->bell.fired = false;
	for (int r = 0; r < RINGS; r++) {
		const struct ring_words *peer = &side->peer->rings[r];
		bool fin = dx_load_acquire(DX_EDGE_STREAM, &peer->fin) != 0;
		uint64_t position = produces(side, r)
		                            ? dx_load_acquire(DX_EDGE_TAKEN, &peer->position)
		                            : dx_load_acquire(DX_EDGE_TAIL, &peer->position);

		news |= position != side->seen[r] || fin != side->fin_seen[r];
		side->seen[r] = position;
		side->fin_seen[r] = fin;
	}
	if (news)
		dx_task_wake(&side->task);
	return news;
}

static uint64_t side_rung(struct dx_source *source)
{
	return dx_load_plain(&DX_CONTAINER(source, struct side, source)->peer->bell);
}

static void side_flush(struct dx_source *source)
{
	test_wanted(DX_CONTAINER(source, struct side, source));
}

static void side_arm(struct dx_source *source)
{
	struct side *side = DX_CONTAINER(source, struct side, source);

	for (int r = 0; r < RINGS; r++)
		dx_store_plain(&side->own->rings[r].wanted, side->seen[r]);
}

static void side_disarm(struct dx_source *source)
{
	struct side *side = DX_CONTAINER(source, struct side, source);

	for (int r = 0; r < RINGS && side->disarms; r++)
		dx_store_plain(&side->own->rings[r].wanted, UNWANTED);
}

static void side_run(struct side *side, enum dsmx_wait_backend backend)
{
	struct dx_wait *wait;

	side->outcome.failed = -1;
	if (dx_wait_new(backend, &wait, NULL) < 0)
		return;
	/* Side 1 has no patience: it parks whenever it can. */
	if (dx_reactor_new_over(wait, side->number == 0, &side->reactor, NULL) < 0) {
		dx_wait_free(wait);
		return;
	}
	side->source = (struct dx_source){
		.look = side_look,
		.flush = side_flush,
		.arm = side_arm,
		.disarm = side_disarm,
		.rung = side_rung,
	};
	side->bell.word = &side->peer->bell;
	side->task.poll = side_poll;
	dx_reactor_add_source(side->reactor, &side->source);
	dx_task_start(side->reactor, &side->task);
	if (dx_wait_add_word(wait, &side->bell) == 0) {
		while (!side->over)
			(void)dx_reactor_turn(side->reactor, DX_NEVER);
		test_wanted(side);
		dx_wait_remove_word(wait, &side->bell);
		side->outcome.failed = 0;
	}
	dx_reactor_stats(side->reactor, &side->outcome.reactor);
	dx_wait_stats(wait, &side->outcome.wait);
	dx_task_stop(&side->task);
	dx_reactor_remove_source(side->reactor, &side->source);
	dx_reactor_free(side->reactor);
}

/* --- the tests ---------------------------------------------------------------------------------------- */

static uint64_t stress_s(void)
{
	const char *asked = getenv("DSMX_STRESS_S");

	return asked != NULL ? strtoul(asked, NULL, 10) : 1;
}

static struct side new_side(int number, struct page *own, const struct page *peer)
{
	struct side side;

	memset(&side, 0, sizeof(side));
	side.number = number;
	side.own = own;
	side.peer = peer;
	side.disarms = number == 1;
	side.end_ns = dx_now_ns() + stress_s() * DX_NS_PER_S;
	side.random = 88172645463325252UL + (unsigned int)number;
	dx_store_plain(&own->bell, FIRST);
	for (int r = 0; r < RINGS; r++) {
		side.position[r] = side.tested[r] = side.seen[r] = FIRST;
		dx_store_plain(&own->rings[r].position, FIRST);
		dx_store_plain(&own->rings[r].wanted, UNWANTED);
	}
	return side;
}

static void judge(bool *ok, const struct outcome sides[2])
{
	uint64_t items = sides[0].items + sides[1].items;
	uint64_t parks = sides[0].reactor.parks + sides[1].reactor.parks;
	uint64_t rings = sides[0].rings + sides[1].rings;

	printf("# %llu items, %llu parks, %llu rings, %llu hits before a park, %llu arms\n",
	       (unsigned long long)items, (unsigned long long)parks, (unsigned long long)rings,
	       (unsigned long long)(sides[0].reactor.spin_hits + sides[1].reactor.spin_hits),
	       (unsigned long long)(sides[0].wait.arms + sides[1].wait.arms));
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(sides[i].failed, 0);
		CHECK_EQ(sides[i].wrong, 0);
		CHECK_EQ(sides[i].reactor.late_parks, 0);
		CHECK(i == 1 || sides[i].rings > UINT32_MAX - FIRST); /* side 0 is patient */
	}
	CHECK(items > 100);
	/* Were it only the bound that ended parks, there would be ten in a second on each side. */
	CHECK(parks > 50 * stress_s());
}

static void run_processes(bool *ok, enum dsmx_wait_backend first, enum dsmx_wait_backend second)
{
	struct outcome *outcomes =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct dx_segment own[2], peer;
	struct side side;
	int status;
	pid_t pid;

	CHECK(outcomes != MAP_FAILED);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(dx_segment_create("wake_test", sizeof(struct page), DSMX_PAGES_SMALL, -1,
		                           &own[i], NULL),
		         0);
	side = new_side(1, own[1].base, NULL);
	side = new_side(0, own[0].base, NULL);
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (dx_segment_attach(own[0].fd, own[0].bytes, &peer, NULL) < 0)
			_exit(1);
		side = new_side(1, own[1].base, peer.base);
		side_run(&side, second);
		outcomes[1] = side.outcome;
		_exit(0);
	}
	CHECK(pid > 0);
	CHECK_EQ(dx_segment_attach(own[1].fd, own[1].bytes, &peer, NULL), 0);
	side.peer = peer.base;
	side_run(&side, first);
	outcomes[0] = side.outcome;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	judge(ok, outcomes);
	dx_segment_close(&peer);
	dx_segment_close(&own[0]);
	dx_segment_close(&own[1]);
	(void)munmap(outcomes, 4096);
}

static bool has(enum dsmx_wait_backend backend)
{
	struct dx_wait *wait;

	if (dx_wait_new(backend, &wait, NULL) < 0)
		return false;
	dx_wait_free(wait);
	return true;
}

TEST(wake_uring, "two processes over io_uring lose no wake")
{
	if (!has(DSMX_WAIT_URING))
		SKIP("no futex operations in io_uring");
	run_processes(ok, DSMX_WAIT_URING, DSMX_WAIT_URING);
}

TEST(wake_futex, "two processes over futex_waitv lose no wake")
{
	run_processes(ok, DSMX_WAIT_FUTEX, DSMX_WAIT_FUTEX);
}

TEST(wake_mixed, "two processes with different back ends lose no wake")
{
	if (!has(DSMX_WAIT_URING))
		SKIP("no futex operations in io_uring");
	run_processes(ok, DSMX_WAIT_URING, DSMX_WAIT_FUTEX);
}

static void *thread_main(void *side)
{
	side_run(side, DSMX_WAIT_AUTO);
	return NULL;
}

TEST(wake_threads, "two threads over one mapping lose no wake and have no race")
{
	static struct page pages[2];
	struct side sides[2];
	pthread_t thread;

	memset(pages, 0, sizeof(pages));
	for (int i = 0; i < 2; i++)
		sides[i] = new_side(i, &pages[i], &pages[1 - i]);
	CHECK_EQ(pthread_create(&thread, NULL, thread_main, &sides[1]), 0);
	side_run(&sides[0], DSMX_WAIT_AUTO);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	judge(ok, (struct outcome[]){ sides[0].outcome, sides[1].outcome });
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
