/* SPDX-License-Identifier: MIT */
/* chan_wake_test.c - who looks at which stream, who rings when, and bells that
 * pass 2^32 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "chan_pair.h"
#include "harness.h"

/* A frame goes through @tx and is flushed. */
static int send(struct pair *p, struct dx_tx *tx, uint32_t rows)
{
	struct dx_mesh *mesh = p->sides[WORKER].mesh;
	int r = push(mesh, tx, rows);

	if (r == 0)
		dx_mesh_flush(mesh);
	return r;
}

static uint64_t counts(const struct pair *p)
{
	return p->sides[LEADER].mesh->peers[WORKER].line->counts;
}

TEST(chan_told, "after a sleep over two streams the one that has something is "
                "found by its count, "
                "and the other goes on waiting")
{
	struct counting_waker wakers[2] = { { { count_wake }, 0 }, { { count_wake }, 0 } };
	struct dx_frame_view view;
	struct dx_rx *rx[2];
	struct dx_tx *tx[2];
	struct pair p;

	CHECK_EQ(setup(&p), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(open_stream(&p, &rx[i], &tx[i], DATA), 0);
	settle(&p);
	for (uint32_t round = 0; round < 20; round++) {
		uint32_t other = (round + 1) % 2;
		uint64_t before;

		for (int i = 0; i < 2; i++)
			CHECK_EQ(dx_rx_next(rx[i], &wakers[i].waker, &view, NULL), -EAGAIN);
		settle(&p);
		CHECK(rx[0]->told && rx[1]->told);
		before = counts(&p);
		wakers[0].wakes = wakers[1].wakes = 0;
		CHECK_EQ(send(&p, tx[round % 2], round), 0);
		CHECK_EQ(counts(&p), before + 1);
		CHECK(dx_mesh_look(p.sides[LEADER].mesh));
		CHECK_EQ(wakers[round % 2].wakes, 1);
		CHECK_EQ(wakers[other].wakes, 0);
		CHECK(!rx[round % 2]->told && rx[other]->told);
		/* What comes before it was waited for again is met without a count. */
		CHECK_EQ(send(&p, tx[round % 2], round), 0);
		CHECK_EQ(counts(&p), before + 1);
		for (int i = 0; i < 2; i++) {
			CHECK_EQ(dx_rx_next(rx[round % 2], &wakers[0].waker, &view, NULL), 1);
			dx_rx_release(rx[round % 2], view.id);
		}
	}
	teardown(&p);
}

TEST(chan_told_end, "a stream that waits over a sleep hears of its end, by FIN "
                    "and by a death")
{
	struct counting_waker wakers[2] = { { { count_wake }, 0 }, { { count_wake }, 0 } };
	struct dx_frame_view view;
	struct dx_rx *rx[2];
	struct dx_tx *tx[2];
	struct pair p;

	CHECK_EQ(setup(&p), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(open_stream(&p, &rx[i], &tx[i], DATA), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(dx_rx_next(rx[i], &wakers[i].waker, &view, NULL), -EAGAIN);
	settle(&p);
	CHECK(rx[0]->told && rx[1]->told);
	dx_tx_finish(tx[0], DSMX_STREAM_FIN, NULL);
	settle(&p);
	CHECK_EQ(wakers[0].wakes, 1);
	CHECK_EQ(wakers[1].wakes, 0);
	CHECK_EQ(dx_rx_next(rx[0], &wakers[0].waker, &view, NULL), 0);
	dx_mesh_peer_dead(p.sides[LEADER].mesh, WORKER, 10 + WORKER);
	CHECK_EQ(wakers[1].wakes, 1);
	CHECK_EQ(dx_rx_next(rx[1], &wakers[1].waker, &view, NULL), -EOWNERDEAD);
	teardown(&p);
}

/* A frame comes that its producer does not tell of, and @turn is to find it. */
static void send_untold(bool *ok, void (*turn)(struct dx_reactor *reactor))
{
	struct counting_waker waker = { { count_wake }, 0 };
	uint64_t before, until_ns;
	struct dx_frame_view view;
	struct dx_rx *rx;
	struct dx_tx *tx;
	struct pair p;

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(open_stream(&p, &rx, &tx, DATA), 0);
	settle(&p);
	CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), -EAGAIN);
	settle(&p);
	CHECK(rx->told);
	before = counts(&p);
	CHECK_EQ(send(&p, tx, 7), 0);
	dx_store_plain(&p.sides[WORKER].mesh->peers[LEADER].own_line->counts,
	               before); /* as if it had not told */
	CHECK(!dx_mesh_look(p.sides[LEADER].mesh));
	CHECK_EQ(waker.wakes, 0);
	until_ns = dx_now_ns() + 5 * DX_NS_PER_S;
	while (waker.wakes == 0 && dx_now_ns() < until_ns)
		turn(p.sides[LEADER].reactor);
	CHECK_EQ(waker.wakes, 1);
	CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), 1);
	dx_rx_release(rx, view.id);
	teardown(&p);
}

static void sleep_long(struct dx_reactor *reactor)
{
	(void)dx_reactor_turn(reactor, dx_now_ns() + 5 * DX_NS_PER_S);
}

TEST(chan_doubts,
     "what a peer publishes and does not tell is found after a sleep that nobody ended")
{
	send_untold(ok, sleep_long);
}

static void stay_awake(struct dx_reactor *reactor)
{
	(void)dx_reactor_turn(reactor, 0);
}

/* For less than the bound, as if others woke it all the time. */
static void sleep_briefly(struct dx_reactor *reactor)
{
	(void)dx_reactor_turn(reactor, dx_now_ns() + 500000);
}

TEST(chan_doubts_awake,
     "what a peer publishes and does not tell is found by a process that never sleeps for long")
{
	send_untold(ok, stay_awake);
	send_untold(ok, sleep_briefly);
}

TEST(chan_awake, "who passes what a process wants rings if that sleeps, and "
                 "counts if it is awake")
{
	struct counting_waker waker = { { count_wake }, 0 };
	struct dx_frame_view view;
	struct dx_rx *rx;
	struct dx_tx *tx;
	struct pair p;

	CHECK_EQ(setup(&p), 0);
	CHECK_EQ(open_stream(&p, &rx, &tx, DATA), 0);
	settle(&p);
	for (uint32_t round = 0; round < 20; round++) {
		bool asleep = round % 2 == 0;
		uint64_t before, wakes;

		CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), -EAGAIN);
		settle(&p); /* leaves it armed */
		if (!asleep)
			dx_mesh_disarm(p.sides[LEADER].mesh);
		before = counts(&p);
		wakes = dx_mesh_page(p.sides[WORKER].mesh)->wakes;
		waker.wakes = 0;
		CHECK_EQ(send(&p, tx, round), 0);
		CHECK_EQ(counts(&p), before + 1);
		CHECK_EQ(dx_mesh_page(p.sides[WORKER].mesh)->wakes - wakes, asleep);
		CHECK(dx_mesh_look(p.sides[LEADER].mesh));
		CHECK_EQ(waker.wakes, 1);
		CHECK_EQ(dx_rx_next(rx, &waker.waker, &view, NULL), 1);
		dx_rx_release(rx, view.id);
	}
	teardown(&p);
}

/* --- two processes
 * -------------------------------------------------------------------------------------------
 */

#define WAKES 40U
#define FIRST (UINT32_MAX - WAKES / 2)

/* A frame whenever the leader has taken the one before, has said that it goes to sleep, and sleeps. */
static int produce(struct pair *p)
{
	struct side *w = &p->sides[WORKER];
	struct dx_tx *tx;
	int r;

	while (w->requests == 0)
		(void)dx_reactor_turn(w->reactor, 0);
	r = dx_tx_open(w->mesh, w->peer, w->slot, w->word, &w->request, 0, DATA, &tx);
	dx_mesh_flush(w->mesh);
	for (uint32_t i = 0; r == 0 && i < WAKES; i++) {
		while (dx_load_acquire(DX_EDGE_TAKEN, &tx->request->taken) != i ||
		       dx_load_plain(&tx->request->wanted) != i ||
		       dx_load_plain(&w->mesh->peers[LEADER].line->armed) == 0 ||
		       harness_state_of(getppid()) != 'S')
			dx_spin_pause();
		r = send(p, tx, i);
	}
	/* Until it has read the last one: its frame is here. */
	while (r == 0 && dx_load_acquire(DX_EDGE_TAKEN, &tx->request->taken) != WAKES)
		dx_spin_pause();
	return r;
}

TEST(chan_bell_wraps, "a process is woken by a bell that passes 2^32, each time")
{
	struct counting_waker waker = { { count_wake }, 0 };
	struct dx_reactor_stats stats;
	struct dx_wait_stats before, after;
	struct dx_frame_view view;
	struct side *leader;
	struct dx_rx *rx;
	struct pair p;
	uint32_t got = 0;
	int status;
	pid_t pid;

	CHECK_EQ(setup(&p), 0);
	leader = &p.sides[LEADER];
	for (int i = 0; i < 2; i++)
		dx_store_plain(&p.sides[i].mesh->peers[1 - i].own_line->bell, FIRST);
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(produce(&p) < 0);
	}
	CHECK(pid > 0);
	CHECK_EQ(dx_rx_open(leader->mesh, WORKER, &key, false, &rx, NULL), 0);
	dx_wait_stats(dx_reactor_wait(leader->reactor), &before);
	while (got < WAKES) {
		int r = dx_rx_next(rx, &waker.waker, &view, NULL);

		if (r == -EAGAIN) {
			if (dx_reactor_turn(leader->reactor, dx_now_ns() + 5 * DX_NS_PER_S) == 0)
				break; /* the worker has gone */
			continue;
		}
		CHECK_EQ(r, 1);
		CHECK_EQ(view.rows, got);
		dx_rx_release(rx, view.id);
		got++;
	}
	dx_mesh_flush(leader->mesh);
	if (got < WAKES)
		(void)kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	dx_wait_stats(dx_reactor_wait(leader->reactor), &after);
	dx_reactor_stats(leader->reactor, &stats);
	printf("# %llu parks\n", (unsigned long long)stats.parks);
	CHECK(leader->mesh->peers[WORKER].line->bell < WAKES);
	CHECK_EQ(stats.late_parks, 0);
	CHECK(after.fires - before.fires >= WAKES);
	teardown(&p);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
