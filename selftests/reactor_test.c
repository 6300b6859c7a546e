/* SPDX-License-Identifier: MIT */
/*
 * reactor_test.c - turns, step by step, over a wait with a clock of the test's; a few over the real ones
 *
 * What two reactors do to each other is in wake_test.c.
 */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "harness.h"
#include "task/reactor.h"
#include "wait/backend.h"

/* A task that does what a script says, one letter per poll: y yields, p parks, d is done, f fails. */
struct scripted {
	struct dx_task task;
	const char *script;
	char *log; /* its letter for every poll */
	char letter;
	int ended;
	int result;
	struct dsmx_error err;
	struct scripted *wakes; /* at each poll */
	struct scripted *stops;
};

static int scripted_poll(struct dx_task *task, struct dsmx_cx *cx)
{
	struct scripted *s = DX_CONTAINER(task, struct scripted, task);
	size_t n = strlen(s->log);

	s->log[n] = s->letter;
	s->log[n + 1] = '\0';
	if (s->wakes != NULL) {
		dx_task_wake(&s->wakes->task);
		dx_task_wake(&s->wakes->task);
	}
	if (s->stops != NULL)
		dx_task_stop(&s->stops->task);
	switch (*s->script++) {
	case 'y':
		dsmx_cx_yield(cx);
		return 0;
	case 'p':
		return 0;
	case 'd':
		return 1;
	case 'f':
		return dx_error(dsmx_cx_error(cx), -ERANGE, "too much");
	default:
		return -EDOM; /* without a sentence */
	}
}

/* Its letter as a capital. */
static void scripted_woken(struct dx_task *task)
{
	struct scripted *s = DX_CONTAINER(task, struct scripted, task);
	size_t n = strlen(s->log);

	s->log[n] = (char)(s->letter - 'a' + 'A');
	s->log[n + 1] = '\0';
}

static void scripted_end(struct dx_task *task, int result, const struct dsmx_error *err)
{
	struct scripted *s = DX_CONTAINER(task, struct scripted, task);

	s->ended++;
	s->result = result;
	s->err = *err;
}

static void start(struct dx_reactor *reactor, struct scripted *s, char letter, const char *script,
                  char *log)
{
	memset(s, 0, sizeof(*s));
	s->task.poll = scripted_poll;
	s->task.end = scripted_end;
	s->task.name = "scripted";
	s->script = script;
	s->letter = letter;
	s->log = log;
	dx_task_start(reactor, &s->task);
}

TEST(reactor_turn_is_fair, "a turn polls each task that was ready when it began, once")
{
	struct dx_reactor *reactor;
	struct scripted a, b;
	char log[32] = "";

	CHECK_EQ(dx_reactor_new(DSMX_WAIT_AUTO, &reactor, NULL), 0);
	start(reactor, &a, 'a', "yyyd", log);
	start(reactor, &b, 'b', "yd", log);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_EQ(strcmp(log, "ab"), 0);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_EQ(strcmp(log, "abab"), 0);
	CHECK_EQ(b.ended, 1);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_EQ(strcmp(log, "ababaa"), 0);
	CHECK_EQ(a.ended, 1);
	CHECK_EQ(a.result, 1);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 0);
	dx_reactor_free(reactor);
}

/* --- a wait whose clock is the test's ------------------------------------------------------------------ */

struct fake {
	struct dx_wait wait;
	uint64_t now_ns;
	int sleeps;                      /* that blocked */
	int (*slept)(struct fake *fake); /* what a sleep returns; NULL: 0 */
};

static int fake_sleep(struct dx_wait *wait, uint64_t deadline_ns)
{
	struct fake *fake = DX_CONTAINER(wait, struct fake, wait);
	int code;

	if (deadline_ns <= fake->now_ns)
		return 0;
	fake->sleeps++;
	code = fake->slept != NULL ? fake->slept(fake) : 0;
	fake->now_ns = code == 0 ? deadline_ns : fake->now_ns + 1000;
	return code;
}

static uint64_t fake_now(struct dx_wait *wait)
{
	return DX_CONTAINER(wait, struct fake, wait)->now_ns;
}

static void fake_free(struct dx_wait *wait)
{
	(void)wait;
}

static const struct dx_wait_ops fake_ops = {
	.name = "fake",
	.sleep = fake_sleep,
	.now = fake_now,
	.free = fake_free,
};

static struct dx_reactor *new_fake(struct fake *fake)
{
	struct dx_reactor *reactor = NULL;

	memset(fake, 0, sizeof(*fake));
	fake->wait.ops = &fake_ops;
	fake->now_ns = 1000000;
	return dx_reactor_new_over(&fake->wait, false, &reactor, NULL) == 0 ? reactor : NULL;
}

/* A source that writes down what is asked of it, and has news as often as `news` says. */
struct noted {
	struct dx_source source;
	struct dx_reactor *reactor;
	char *log;
	int news; /* looks that will have some */
	int looks;
	uint64_t rings;
	struct dx_task *wakes;
	struct noted *removes; /* at its next look */
};

static void note(struct noted *noted, char what)
{
	size_t n = strlen(noted->log);

	if (n < 60) {
		noted->log[n] = what;
		noted->log[n + 1] = '\0';
	}
}

static bool noted_look(struct dx_source *source)
{
	struct noted *noted = DX_CONTAINER(source, struct noted, source);

	note(noted, 'l');
	noted->looks++;
	if (noted->removes != NULL) {
		dx_reactor_remove_source(noted->reactor, &noted->removes->source);
		noted->removes = NULL;
	}
	if (noted->news <= 0)
		return false;
	noted->news--;
	if (noted->wakes != NULL)
		dx_task_wake(noted->wakes);
	return true;
}

static void noted_flush(struct dx_source *source)
{
	note(DX_CONTAINER(source, struct noted, source), 'f');
}

static void noted_arm(struct dx_source *source)
{
	note(DX_CONTAINER(source, struct noted, source), 'a');
}

static void noted_disarm(struct dx_source *source)
{
	note(DX_CONTAINER(source, struct noted, source), 'd');
}

static uint64_t noted_rung(struct dx_source *source)
{
	return DX_CONTAINER(source, struct noted, source)->rings;
}

static void add_noted(struct dx_reactor *reactor, struct noted *noted, char *log)
{
	*noted = (struct noted){
		.source = { .look = noted_look,
		            .flush = noted_flush,
		            .arm = noted_arm,
		            .disarm = noted_disarm },
		.reactor = reactor,
		.log = log,
	};
	dx_reactor_add_source(reactor, &noted->source);
}

/* --- tasks -------------------------------------------------------------------------------------------- */

TEST(reactor_wake_while_polled,
     "a task that is woken while it is polled is polled once more, in the next turn")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct scripted a;
	char log[32] = "";

	start(reactor, &a, 'a', "pd", log);
	a.wakes = &a; /* twice, even */
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_STR(log, "a");
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_STR(log, "aa");
	CHECK_EQ(a.ended, 1);
	dx_task_wake(&a.task); /* too late: ignored */
	CHECK_EQ(dx_reactor_turn(reactor, 0), 0);
	dx_reactor_free(reactor);
}

TEST(reactor_wake_parked, "a parked task is polled when it is woken, and only then")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct scripted a, b;
	char log[32] = "";

	start(reactor, &a, 'a', "pppd", log);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 0);
	start(reactor, &b, 'b', "pd", log);
	b.wakes = &a;
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1); /* b wakes a, for the next turn */
	CHECK_STR(log, "ab");
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_STR(log, "aba");
	a.task.waker.wake(&a.task.waker);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_STR(log, "abaa");
	dx_task_stop(&a.task);
	dx_task_stop(&b.task);
	dx_reactor_free(reactor);
}

TEST(reactor_woken, "a task is told that it is ready, once, before whoever wakes it goes on")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct scripted a, b;
	char log[32] = "";

	start(reactor, &a, 'a', "pypd", log);
	start(reactor, &b, 'b', "pd", log);
	a.task.woken = scripted_woken;
	b.wakes = &a;
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_STR(log, "abA"); /* b wakes it twice */
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_STR(log, "abAaA"); /* it yields */
	dx_task_stop(&a.task);
	dx_task_wake(&a.task);
	CHECK_STR(log, "abAaA");
	dx_task_stop(&b.task);
	dx_reactor_free(reactor);
}

TEST(reactor_stop,
     "a task that is stopped is not polled any more, though ready in this very turn, and not ended")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct scripted a, b;
	char log[32] = "";

	start(reactor, &a, 'a', "d", log);
	start(reactor, &b, 'b', "yyyy", log);
	a.stops = &b;
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_STR(log, "a");
	CHECK_EQ(b.ended, 0);
	dx_task_wake(&b.task);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 0);
	dx_task_stop(&b.task);
	CHECK_STR(log, "a");
	dx_reactor_free(reactor);
}

TEST(reactor_failure,
     "a task's failure reaches its end with the sentence it left, or with one made from its name")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct scripted a, b;
	char log[32] = "";

	start(reactor, &a, 'a', "f", log);
	start(reactor, &b, 'b', "x", log);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_EQ(a.result, -ERANGE);
	CHECK_EQ(a.err.code, -ERANGE);
	CHECK_STR(a.err.message, "too much");
	CHECK_EQ(b.result, -EDOM);
	CHECK_EQ(b.err.code, -EDOM);
	CHECK(strstr(b.err.message, "scripted") != NULL);
	CHECK_EQ(a.ended + b.ended, 2);
	dx_reactor_free(reactor);
}

static int look_at_slice(struct dx_task *task, struct dsmx_cx *cx)
{
	(void)task;
	return cx->slice_end_ns == 1000000 + DX_SLICE_NS && cx->waker == &task->waker ? 1 : -EIO;
}

TEST(reactor_slice, "a poll is told when its slice ends, by the wait's clock")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct scripted a;
	char log[32] = "";

	start(reactor, &a, 'a', "", log);
	a.task.poll = look_at_slice;
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_EQ(a.result, 1);
	dx_reactor_free(reactor);
}

/* --- sources ------------------------------------------------------------------------------------------ */

TEST(reactor_order,
     "before it sleeps it flushes, arms and looks, in this order, and disarms when it is awake")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct noted noted;
	char log[64] = "";

	add_noted(reactor, &noted, log);
	CHECK_EQ(dx_reactor_turn(reactor, fake.now_ns + 5), 0);
	CHECK_STR(log, "lfalld");
	CHECK_EQ(fake.sleeps, 1);
	dx_reactor_free(reactor);
}

TEST(reactor_news_first, "news at the first look end the turn: nothing is armed, nothing sleeps")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct noted noted;
	char log[64] = "";

	add_noted(reactor, &noted, log);
	noted.news = 1;
	CHECK_EQ(dx_reactor_turn(reactor, DX_NEVER), 1);
	CHECK_STR(log, "l");
	CHECK_EQ(fake.sleeps, 0);
	dx_reactor_free(reactor);
}

/* News between arming and the look. */
static void arm_brings_news(struct dx_source *source)
{
	struct noted *noted = DX_CONTAINER(source, struct noted, source);

	note(noted, 'a');
	noted->news = 1;
}

TEST(reactor_news_while_arming, "news that come while it arms are found before it sleeps")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct noted noted;
	char log[64] = "";

	add_noted(reactor, &noted, log);
	noted.source.arm = arm_brings_news;
	CHECK_EQ(dx_reactor_turn(reactor, DX_NEVER), 1);
	CHECK_STR(log, "lfald");
	CHECK_EQ(fake.sleeps, 0);
	dx_reactor_free(reactor);
}

TEST(reactor_no_block, "a turn that may not block leaves everything armed, until the next one")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct noted noted;
	char log[64] = "";

	add_noted(reactor, &noted, log);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 0);
	CHECK_STR(log, "lfal");
	CHECK_EQ(fake.sleeps, 0);
	noted.news = 1;
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_STR(log, "lfaldl");
	dx_reactor_free(reactor);
}

TEST(reactor_look_between, "sources are looked at between any two polls")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct scripted a, b, c;
	struct noted noted;
	char log[64] = "";

	add_noted(reactor, &noted, log);
	start(reactor, &a, 'A', "d", log);
	start(reactor, &b, 'B', "d", log);
	start(reactor, &c, 'C', "d", log);
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_STR(log, "lAlBlC");
	dx_reactor_look(reactor);
	CHECK_STR(log, "lAlBlClf");
	dx_reactor_free(reactor);
}

/* A source that stops a task at its second look of a turn: the one between the polls. */
struct stopping {
	struct dx_source source;
	struct dx_task *task;
	int looks;
};

static bool stopping_look(struct dx_source *source)
{
	struct stopping *stopping = DX_CONTAINER(source, struct stopping, source);

	if (++stopping->looks == 2)
		dx_task_stop(stopping->task);
	return false;
}

TEST(reactor_stop_between,
     "a task that a look between two polls stops is not polled any more in that turn")
{
	struct stopping stopping = { .source = { .look = stopping_look } };
	struct dx_reactor *reactor;
	struct scripted a, b;
	char log[32] = "";

	CHECK_EQ(dx_reactor_new(DSMX_WAIT_AUTO, &reactor, NULL), 0);
	dx_reactor_add_source(reactor, &stopping.source);
	start(reactor, &a, 'a', "d", log);
	start(reactor, &b, 'b', "d", log);
	stopping.task = &b.task;
	CHECK_EQ(dx_reactor_turn(reactor, 0), 1);
	CHECK_STR(log, "a");
	CHECK_EQ(b.ended, 0);
	dx_reactor_remove_source(reactor, &stopping.source);
	dx_reactor_free(reactor);
}

TEST(reactor_remove_source,
     "a look may remove any source: itself, the one before and the one after")
{
	for (int who = 0; who < 3; who++) {
		struct fake fake;
		struct dx_reactor *reactor = new_fake(&fake);
		struct noted noted[3];
		char logs[3][64] = { "", "", "" };

		for (int i = 0; i < 3; i++)
			add_noted(reactor, &noted[i], logs[i]);
		noted[1].removes = &noted[who];
		CHECK_EQ(dx_reactor_turn(reactor, 0), 0);
		CHECK_EQ(noted[1].looks, who == 1 ? 1 : 2);
		CHECK_EQ(noted[0].looks, who == 0 ? 1 : 2);
		CHECK_EQ(noted[2].looks, who == 2 ? 0 : 2);
		dx_reactor_free(reactor);
	}
}

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
