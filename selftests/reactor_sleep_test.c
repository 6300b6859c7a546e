/* SPDX-License-Identifier: MIT */
/*
 * reactor_sleep_test.c - for how long a reactor sleeps: timers, parks that have a bound, and a few over the real clock
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/clock.h"
#include "harness.h"
#include "reactor_steps.h"

/* --- timers ------------------------------------------------------------------------------------------- */

struct ticker {
	struct dx_timer timer;
	struct dx_reactor *reactor;
	char *log;
	char letter;
	uint64_t again_ns; /* start anew so much later */
	struct ticker *stops;
};

static void tick(struct dx_timer *timer)
{
	struct ticker *t = DX_CONTAINER(timer, struct ticker, timer);
	size_t n = strlen(t->log);

	t->log[n] = t->letter;
	t->log[n + 1] = '\0';
	if (t->stops != NULL)
		dx_timer_stop(&t->stops->timer);
	if (t->again_ns > 0)
		dx_timer_start(t->reactor, timer, timer->due_ns + t->again_ns);
}

TEST(reactor_timers, "timers fire in the order in which they are due, not before, and once")
{
	static const uint64_t due[] = { 500, 100, 300, 100, 900, 300 };
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct ticker timers[6];
	uint64_t start_ns = fake.now_ns;
	char log[32] = "";

	memset(timers, 0, sizeof(timers));
	dx_timer_stop(&timers[0].timer); /* never started: nothing */
	for (int i = 0; i < 6; i++) {
		timers[i].timer.fire = tick;
		timers[i].log = log;
		timers[i].letter = (char)('a' + i);
		dx_timer_start(reactor, &timers[i].timer, start_ns + due[i]);
	}
	dx_timer_start(reactor, &timers[4].timer, start_ns + 200); /* anew */
	CHECK_EQ(dx_reactor_turn(reactor, 0), 0);
	CHECK_EQ(dx_reactor_turn(reactor, start_ns + 99), 0);
	CHECK_STR(log, "");
	CHECK_EQ(dx_reactor_turn(reactor, DX_NEVER), 1);
	CHECK_EQ(fake.now_ns, start_ns + 100);
	CHECK_STR(log, "bd");
	dx_timer_stop(&timers[0].timer);
	dx_timer_stop(&timers[0].timer);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(dx_reactor_turn(reactor, DX_NEVER), 1);
	CHECK_STR(log, "bdecf");
	CHECK_EQ(fake.now_ns, start_ns + 300);
	CHECK_EQ(dx_reactor_turn(reactor, start_ns + 10000), 0);
	CHECK_STR(log, "bdecf");
	dx_reactor_free(reactor);
}

TEST(reactor_timer_in_timer,
     "a timer that fires may start itself again and stop one that is due as well")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct ticker a, b;
	char log[32] = "";

	a = (struct ticker){
		.timer = { .fire = tick }, .reactor = reactor, .log = log, .letter = 'a'
	};
	b = a;
	b.letter = 'b';
	a.stops = &b;
	a.again_ns = 1;
	dx_timer_start(reactor, &a.timer, fake.now_ns - 10);
	dx_timer_start(reactor, &b.timer, fake.now_ns - 5);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_STR(log, "a"); /* due again, but for the next turn */
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_STR(log, "aa");
	dx_timer_stop(&a.timer);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 0);
	dx_reactor_free(reactor);
}

/* --- parks -------------------------------------------------------------------------------------------- */

TEST(reactor_bound,
     "no sleep is longer than its bound, which doubles up to the limit while nothing happens")
{
	static const struct {
		uint64_t limit_ns;
		uint64_t idle_ns;
		int sleeps;
	} rows[] = {
		{ DX_NEVER, DX_NS_PER_S, 4 }, /* 0.1, 0.2, 0.4, 0.3 s */
		{ DX_NEVER, 31 * DX_PARK_BOUND_NS + 5 * DX_PARK_BOUND_MAX_NS, 10 },
		{ 250 * DX_NS_PER_MS, 4300 * DX_NS_PER_MS, 18 },
		{ 1, DX_NS_PER_S, 10 },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct fake fake;
		struct dx_reactor *reactor = new_fake(&fake);
		struct dx_reactor_stats stats;
		struct noted noted;
		char log[256] = "";

		dx_reactor_limit_parks(reactor, rows[i].limit_ns);
		add_noted(reactor, &noted, log);
		noted.source.rung = noted_rung;
		CHECK_EQ(dx_reactor_turn(reactor, fake.now_ns + rows[i].idle_ns), 0);
		CHECK_EQ(fake.sleeps, rows[i].sleeps);
		dx_reactor_stats(reactor, &stats);
		CHECK_EQ(stats.late_parks, 0);
		dx_reactor_free(reactor);
	}
}

static struct noted *late_noted;
static uint64_t late_rings; /* that come during the second sleep */

static int news_without_ring(struct fake *fake)
{
	if (fake->sleeps == 1)
		late_noted->news = 1;
	else
		late_noted->rings += late_rings;
	return 0;
}

TEST(reactor_late_park,
     "news at the end of a bounded park are late unless somebody rings within another bound")
{
	static const struct {
		bool judged;
		uint64_t rings;
		uint64_t deadline_ns;
		uint64_t late;
		int sleeps;
	} rows[] = {
		{ true, 0, DX_NEVER, 1, 2 },
		{ true, 1, DX_NEVER, 0, 2 },
		{ false, 0, DX_NEVER, 0, 1 },
		/* The deadline leaves no time to judge. */
		{ true, 0, 1000000 + 2 * DX_PARK_BOUND_NS - 1, 0, 1 },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct fake fake;
		struct dx_reactor *reactor = new_fake(&fake);
		struct dx_reactor_stats stats;
		struct noted noted;
		char log[64] = "";

		add_noted(reactor, &noted, log);
		noted.source.rung = rows[i].judged ? noted_rung : NULL;
		late_noted = &noted;
		late_rings = rows[i].rings;
		fake.slept = news_without_ring;
		CHECK_EQ(dx_reactor_turn(reactor, rows[i].deadline_ns), 1);
		dx_reactor_stats(reactor, &stats);
		CHECK_EQ(stats.late_parks, rows[i].late);
		CHECK_EQ(fake.sleeps, rows[i].sleeps);
		/* Judged while armed, disarmed after. */
		CHECK_STR(log, "lfalld");
		dx_reactor_free(reactor);
	}
}

static int interrupted(struct fake *fake)
{
	(void)fake;
	return -EINTR;
}

TEST(reactor_signal, "a signal ends a turn with -EINTR, unless there are news as well")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct noted noted;
	char log[64] = "";

	add_noted(reactor, &noted, log);
	fake.slept = interrupted;
	CHECK_EQ(dx_reactor_turn(reactor, DX_NEVER), -EINTR);
	late_noted = &noted;
	fake.sleeps = 0;
	fake.slept = news_without_ring;
	CHECK_EQ(dx_reactor_turn(reactor, DX_NEVER), 1);
	dx_reactor_free(reactor);
}

/* --- with the real ones ------------------------------------------------------------------------------- */

TEST(reactor_idle,
     "an idle reactor takes at most 12 sleeps and 5 ms of a processor in a second, on each back end")
{
	static const enum dsmx_wait_backend backends[] = { DSMX_WAIT_AUTO, DSMX_WAIT_FUTEX };

	for (size_t i = 0; i < DX_ARRAY_LEN(backends); i++) {
		struct dx_reactor *reactor;
		struct dx_wait_stats stats;
		struct timespec start_cpu, end_cpu;
		uint32_t value = 0;
		struct dx_wait_word word = { .word = &value };
		struct dx_wait_fd fd = { .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN };
		uint64_t end_ns = dx_now_ns() + DX_NS_PER_S;
		long long took_ns;

		CHECK_EQ(dx_reactor_new(backends[i], &reactor, NULL), 0);
		CHECK_EQ(dx_wait_add_word(dx_reactor_wait(reactor), &word), 0);
		CHECK_EQ(dx_wait_add_fd(dx_reactor_wait(reactor), &fd), 0);
		CHECK_EQ(dx_reactor_turn(reactor, dx_now_ns() + DX_PARK_BOUND_NS), 0);
		(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start_cpu);
		CHECK_EQ(dx_reactor_turn(reactor, end_ns + DX_PARK_BOUND_NS), 0);
		(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end_cpu);
		dx_wait_stats(dx_reactor_wait(reactor), &stats);
		CHECK(stats.sleeps <= 12 + 8); /* the slices of futex_waitv grow first */
		took_ns = (end_cpu.tv_sec - start_cpu.tv_sec) * 1000000000L + end_cpu.tv_nsec -
		          start_cpu.tv_nsec;
		printf("# %s: %lld us of a processor\n", dx_wait_name(dx_reactor_wait(reactor)),
		       took_ns / 1000);
		CHECK(took_ns < 5000000LL * harness_slow());
		dx_wait_remove_word(dx_reactor_wait(reactor), &word);
		dx_wait_remove_fd(dx_reactor_wait(reactor), &fd);
		dx_reactor_free(reactor);
		(void)close(fd.fd);
	}
}

struct busy {
	struct dx_task task;
	struct dx_source source;
	struct dx_wait_fd fd;
	bool seen;
};

static int busy_poll(struct dx_task *task, struct dsmx_cx *cx)
{
	(void)task;
	dsmx_cx_yield(cx);
	return 0;
}

static bool busy_look(struct dx_source *source)
{
	struct busy *busy = DX_CONTAINER(source, struct busy, source);

	busy->seen |= busy->fd.fired != 0;
	return busy->seen;
}

TEST(reactor_busy, "descriptors are served while a task is always ready, on each back end")
{
	static const enum dsmx_wait_backend backends[] = { DSMX_WAIT_AUTO, DSMX_WAIT_FUTEX };

	for (size_t i = 0; i < DX_ARRAY_LEN(backends); i++) {
		struct busy busy = { .task.poll = busy_poll, .source.look = busy_look };
		struct dx_reactor *reactor;
		uint64_t late_ns;

		CHECK_EQ(dx_reactor_new(backends[i], &reactor, NULL), 0);
		busy.fd = (struct dx_wait_fd){ .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN };
		CHECK_EQ(dx_wait_add_fd(dx_reactor_wait(reactor), &busy.fd), 0);
		dx_reactor_add_source(reactor, &busy.source);
		dx_task_start(reactor, &busy.task);
		for (int turn = 0; turn < 100; turn++)
			CHECK_EQ(dx_reactor_turn(reactor, DX_NEVER), 1);
		CHECK(!busy.seen);
		CHECK_EQ(eventfd_write(busy.fd.fd, 1), 0);
		late_ns = dx_now_ns() + 10 * DX_NS_PER_S;
		while (!busy.seen && dx_now_ns() < late_ns)
			CHECK_EQ(dx_reactor_turn(reactor, DX_NEVER), 1);
		CHECK(busy.seen);
		dx_task_stop(&busy.task);
		dx_reactor_remove_source(reactor, &busy.source);
		dx_wait_remove_fd(dx_reactor_wait(reactor), &busy.fd);
		dx_reactor_free(reactor);
		(void)close(busy.fd.fd);
	}
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
