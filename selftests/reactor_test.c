/* SPDX-License-Identifier: MIT */
/*
 * reactor_test.c - turns, step by step, over a wait with a clock of the test's
 *
 * How long it sleeps is in reactor_sleep_test.c, what two reactors do to each other in wake_test.c.
 */
#include "base/clock.h"
#include "harness.h"
#include "reactor_steps.h"

/* --- tasks -------------------------------------------------------------------------------------------- */

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

/* Its letter as a capital. */
static void scripted_woken(struct dx_task *task)
{
	struct scripted *s = DX_CONTAINER(task, struct scripted, task);
	size_t n = strlen(s->log);

	s->log[n] = (char)(s->letter - 'a' + 'A');
	s->log[n + 1] = '\0';
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

static int rung_once(struct fake *fake)
{
	return fake->sleeps == 1;
}

TEST(reactor_woken_look, "what ends a sleep is looked at once, by the next turn")
{
	struct fake fake;
	struct dx_reactor *reactor = new_fake(&fake);
	struct noted noted;
	char log[64] = "";

	add_noted(reactor, &noted, log);
	fake.slept = rung_once;
	CHECK_EQ(dx_reactor_turn(reactor, DX_NEVER), 1);
	CHECK_STR(log, "lfald");
	noted.news = 1;
	CHECK_EQ(dx_reactor_turn(reactor, DX_NEVER), 1);
	CHECK_STR(log, "lfaldl");
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

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
