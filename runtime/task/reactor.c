/* SPDX-License-Identifier: MIT */
/*
 * reactor.c - see task.h for the turn
 *
 * This is the only loop that sleeps. What makes it lose no wake is the order of park():
 *
 *	flush		others may wait for what was batched here
 *	arm		say what a wake is wanted for
 *	fence		now whoever publishes sees that, or the look below sees what he published
 *	look		anything new at all: do not sleep
 *	sleep		on words whose `seen` is from before that look: a bell that moved in between ends it
 *
 * The bells' `seen` is set by the sources when they look; a wait that ended says only that it is gone, and the
 * next turn starts from the top.
 *
 * Every park is bounded, by DX_PARK_BOUND_NS and then, as long as there are no news, by twice as long each time. A
 * park that ends so and still finds news that nobody rang for is suspect: the peer may be just about to ring, or a wake was lost. So with everything still armed it
 * sleeps once more, and only if nobody rings for another bound, it counts a late park.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/order.h"
#include "task/patience.h"
#include "task/reactor.h"
#include "task/timer.h"

/* Where a walk over the sources is; removing a source moves it on. */
struct walk {
	struct dx_list *next;
	struct walk *outer;
};

struct dx_reactor {
	struct dx_wait *wait;
	struct dx_list ready;
	struct dx_list turn; /* of those, the ones that this turn polls */
	struct dx_list all;
	struct dx_list sources;
	struct dx_list timers; /* by due_ns */
	struct walk *walk;
	uint64_t collected_ns;     /* when the wait was last asked without sleeping */
	uint64_t doubted_ns;       /* when a turn last doubted */
	struct dx_source *suspect; /* of a late park; NULL: none */
	struct dx_patience patience;
	uint64_t bound_max_ns;
	bool armed; /* the sources */
	struct dx_reactor_stats stats;
	struct dsmx_error err;
};

/* --- making it ---------------------------------------------------------------------------------------- */

int dx_reactor_new_over(struct dx_wait *wait, bool spins, struct dx_reactor **ret_reactor,
                        struct dsmx_error *err)
{
	struct dx_reactor *reactor = calloc(1, sizeof(*reactor));

	if (reactor == NULL)
		return dx_error(err, -ENOMEM, "no memory for a reactor");
	reactor->wait = wait;
	reactor->bound_max_ns = DX_PARK_BOUND_MAX_NS;
	dx_patience_init(&reactor->patience, !spins);
	dx_list_init(&reactor->ready);
	dx_list_init(&reactor->turn);
	dx_list_init(&reactor->all);
	dx_list_init(&reactor->sources);
	dx_list_init(&reactor->timers);
	*ret_reactor = reactor;
	return 0;
}

int dx_reactor_new(enum dsmx_wait_backend backend, struct dx_reactor **ret_reactor,
                   struct dsmx_error *err)
{
	struct dx_wait *wait;
	int code = dx_wait_new(backend, &wait, err);

	if (code < 0)
		return code;
	code = dx_reactor_new_over(wait, sysconf(_SC_NPROCESSORS_ONLN) > 1, ret_reactor, err);
	if (code < 0)
		dx_wait_free(wait);
	return code;
}

void dx_reactor_free(struct dx_reactor *reactor)
{
	if (reactor == NULL)
		return;
	dx_wait_free(reactor->wait);
	free(reactor);
}

void dx_reactor_limit_parks(struct dx_reactor *reactor, uint64_t max_ns)
{
	reactor->bound_max_ns = max_ns < DX_PARK_BOUND_NS       ? DX_PARK_BOUND_NS
	                        : max_ns < DX_PARK_BOUND_MAX_NS ? max_ns
	                                                        : DX_PARK_BOUND_MAX_NS;
}

struct dx_wait *dx_reactor_wait(struct dx_reactor *reactor)
{
	return reactor->wait;
}

void dx_reactor_stats(const struct dx_reactor *reactor, struct dx_reactor_stats *ret_stats)
{
	*ret_stats = reactor->stats;
}

/* --- sources ------------------------------------------------------------------------------------------ */

void dx_reactor_add_source(struct dx_reactor *reactor, struct dx_source *source)
{
	dx_list_init(&source->link);
	dx_list_append(&reactor->sources, &source->link);
}

void dx_reactor_remove_source(struct dx_reactor *reactor, struct dx_source *source)
{
	for (struct walk *walk = reactor->walk; walk != NULL; walk = walk->outer)
		if (walk->next == &source->link)
			walk->next = source->link.next;
	if (reactor->suspect == source)
		reactor->suspect = NULL;
	dx_list_unlink(&source->link);
}

static void walk_begin(struct dx_reactor *reactor, struct walk *walk)
{
	*walk = (struct walk){ .next = reactor->sources.next, .outer = reactor->walk };
	reactor->walk = walk;
}

/* The next source, NULL behind the last. */
static struct dx_source *walk_next(struct dx_reactor *reactor, struct walk *walk)
{
	struct dx_list *link = walk->next;

	if (link == &reactor->sources) { /* the walk is over */
		reactor->walk = walk->outer;
		return NULL;
	}
	walk->next = link->next;
	return DX_CONTAINER(link, struct dx_source, link);
}

static bool look(struct dx_reactor *reactor)
{
	bool news = false;
	struct walk walk;

	walk_begin(reactor, &walk);
	for (struct dx_source *s; (s = walk_next(reactor, &walk)) != NULL;)
		news |= s->look(s);
	return news;
}

static void flush(struct dx_reactor *reactor)
{
	struct walk walk;

	walk_begin(reactor, &walk);
	for (struct dx_source *s; (s = walk_next(reactor, &walk)) != NULL;)
		if (s->flush != NULL)
			s->flush(s);
}

static void arm(struct dx_reactor *reactor)
{
	struct walk walk;

	reactor->armed = true;
	walk_begin(reactor, &walk);
	for (struct dx_source *s; (s = walk_next(reactor, &walk)) != NULL;) {
		if (s->rung != NULL)
			s->rung_parked = s->rung(s);
		if (s->arm != NULL)
			s->arm(s);
	}
}

static void disarm(struct dx_reactor *reactor)
{
	struct walk walk;

	if (!reactor->armed)
		return;
	reactor->armed = false;
	walk_begin(reactor, &walk);
	for (struct dx_source *s; (s = walk_next(reactor, &walk)) != NULL;)
		if (s->disarm != NULL)
			s->disarm(s);
}

void dx_reactor_look(struct dx_reactor *reactor)
{
	(void)look(reactor);
	flush(reactor);
}

/* --- tasks -------------------------------------------------------------------------------------------- */

static void wake_task(struct dsmx_waker *waker)
{
	dx_task_wake(DX_CONTAINER(waker, struct dx_task, waker));
}

void dx_task_start(struct dx_reactor *reactor, struct dx_task *task)
{
	task->waker.wake = wake_task;
	task->reactor = reactor;
	task->polling = false;
	dx_list_init(&task->link);
	dx_list_init(&task->all);
	dx_list_append(&reactor->all, &task->all);
	dx_list_append(&reactor->ready, &task->link);
}

void dx_task_stop(struct dx_task *task)
{
	if (task->reactor == NULL)
		return;
	task->reactor = NULL;
	dx_list_unlink(&task->link);
	dx_list_unlink(&task->all);
}

void dx_task_wake(struct dx_task *task)
{
	if (task->reactor == NULL || !dx_list_empty(&task->link))
		return;
	dx_list_append(&task->reactor->ready, &task->link);
	if (task->woken != NULL)
		task->woken(task);
}

/* What a poll is given, and whose clock it has: a simulation's slices end by its own. */
struct polled {
	struct dsmx_cx cx; /* must be first */
	struct dx_wait *wait;
};

static uint64_t polled_now(const struct dsmx_cx *cx)
{
	return dx_wait_now(((const struct polled *)cx)->wait);
}

static void poll_task(struct dx_reactor *reactor, struct dx_task *task)
{
	struct polled polled = {
		.cx = { .slice_end_ns = dx_wait_now(reactor->wait) + DX_SLICE_NS,
		        .waker = &task->waker,
		        .err = &reactor->err,
		        .now = polled_now },
		.wait = reactor->wait,
	};
	struct dsmx_cx *cx = &polled.cx;
	int result;

	reactor->stats.polls++;
	reactor->err.code = 0;
	task->polling = true;
	result = task->poll(task, cx);
	task->polling = false;
	if (result == 0) {
		if (cx->yielded)
			dx_task_wake(task);
		return;
	}
	dx_task_stop(task);
	if (result < 0 && reactor->err.code != result)
		(void)dx_error(&reactor->err, result, "%s: %s",
		               task->name != NULL ? task->name : "a task", dx_strerror(result));
	if (task->end != NULL)
		task->end(task, result, &reactor->err);
}

/* Each task that is ready now, once, with a look between any two. Returns whether there was one. */
static bool poll_ready(struct dx_reactor *reactor)
{
	struct dx_list *link;
	bool polled = false;

	while ((link = dx_list_take(&reactor->ready)) != NULL)
		dx_list_append(&reactor->turn, link);
	for (;;) {
		if (polled && !dx_list_empty(&reactor->turn))
			(void)look(reactor);
		link = dx_list_take(&reactor->turn); /* only now: looking may stop and free tasks */
		if (link == NULL)
			return polled;
		poll_task(reactor, DX_CONTAINER(link, struct dx_task, link));
		polled = true;
	}
}

/* --- timers ------------------------------------------------------------------------------------------- */

void dx_timer_start(struct dx_reactor *reactor, struct dx_timer *timer, uint64_t due_ns)
{
	dx_timer_stop(timer);
	dx_list_init(&timer->link);
	timer->due_ns = due_ns;
	dx_timers_add(&reactor->timers, timer);
}

static bool fire_timers(struct dx_reactor *reactor)
{
	return !dx_list_empty(&reactor->timers) &&
	       dx_timers_fire(&reactor->timers, dx_wait_now(reactor->wait));
}

/* --- waiting ------------------------------------------------------------------------------------------ */

/* Look, and find a source that has news although nobody rang since it was armed. */
static bool look_late(struct dx_reactor *reactor)
{
	bool news = false;
	struct walk walk;

	walk_begin(reactor, &walk);
	for (struct dx_source *s; (s = walk_next(reactor, &walk)) != NULL;) {
		bool silent = s->rung != NULL && s->rung(s) == s->rung_parked;

		if (silent)
			reactor->suspect = s; /* before the look, which may remove it */
		if (s->doubt != NULL)
			s->doubt(s);
		if (s->look(s))
			news = true;
		else if (silent)
			reactor->suspect = NULL;
		if (reactor->suspect != NULL)
			break; /* one is enough; the next turn looks at all */
	}
	reactor->walk = walk.outer;
	return news;
}

/* A park is over by its bound. Returns whether there were news. */
static bool judge(struct dx_reactor *reactor, uint64_t deadline_ns)
{
	bool news = look_late(reactor);
	struct dx_source *suspect = reactor->suspect;
	uint64_t until_ns = dx_wait_now(reactor->wait) + DX_PARK_BOUND_NS;

	reactor->suspect = NULL;
	if (suspect == NULL || deadline_ns < until_ns)
		return news;
	if (dx_wait_sleep(reactor->wait, until_ns) == 0 &&
	    suspect->rung(suspect) == suspect->rung_parked)
		reactor->stats.late_parks++;
	return true;
}

/*
 * Nothing is ready: sleep until there are news, at most until @deadline_ns or for @bound_ns. Returns 1 with
 * news, 0 without, -EINTR. Leaves everything armed only for a deadline that has passed before.
 */
static int park(struct dx_reactor *reactor, uint64_t deadline_ns, uint64_t bound_ns)
{
	uint64_t start_ns = dx_wait_now(reactor->wait);
	uint64_t until_ns = deadline_ns < dx_timers_due_ns(&reactor->timers)
	                            ? deadline_ns
	                            : dx_timers_due_ns(&reactor->timers);
	bool news;
	int code;

	arm(reactor);
	dx_fence(DX_FENCE_SLEEP);
	if (look(reactor) || !dx_list_empty(&reactor->ready)) {
		disarm(reactor);
		return 1;
	}
	if (until_ns <= start_ns) {
		reactor->collected_ns = start_ns;
		return dx_wait_sleep(reactor->wait, 0) > 0 || !dx_list_empty(&reactor->ready);
	}

	bound_ns += start_ns;
	reactor->stats.parks++;
	code = dx_wait_sleep(reactor->wait, until_ns < bound_ns ? until_ns : bound_ns);
	reactor->collected_ns = dx_wait_now(reactor->wait);
	dx_patience_learn(&reactor->patience, reactor->collected_ns, code > 0);
	if (code > 0)
		news = true; /* the next turn begins with a look */
	else if (code == 0 && bound_ns <= until_ns)
		news = judge(reactor, until_ns);
	else
		news = look(reactor);
	disarm(reactor);
	return code < 0 && !news ? code : news;
}

static void doubt(struct dx_reactor *reactor)
{
	struct walk walk;

	walk_begin(reactor, &walk);
	for (struct dx_source *s; (s = walk_next(reactor, &walk)) != NULL;)
		if (s->doubt != NULL)
			s->doubt(s);
}

/*
 * Descriptors, too, are looked at while tasks keep this thread busy. And who never sleeps until a bound, or is always
 * woken before, doubts as often as one that does.
 */
static bool collect(struct dx_reactor *reactor)
{
	uint64_t now_ns = dx_wait_now(reactor->wait);

	if (now_ns - reactor->doubted_ns >= DX_PARK_BOUND_NS) {
		reactor->doubted_ns = now_ns;
		doubt(reactor);
	}
	if (now_ns - reactor->collected_ns < DX_SLICE_NS)
		return false;
	reactor->collected_ns = now_ns;
	return dx_wait_sleep(reactor->wait, 0) > 0;
}

static bool look_again(void *reactor)
{
	return look(reactor);
}

int dx_reactor_turn(struct dx_reactor *reactor, uint64_t deadline_ns)
{
	uint64_t until_ns, bound_ns = DX_PARK_BOUND_NS;
	bool news;
	int code;

	reactor->stats.turns++;
	disarm(reactor);
	news = fire_timers(reactor);
	news |= collect(reactor);
	news |= look(reactor);
	news |= poll_ready(reactor);
	if (news || !dx_list_empty(&reactor->ready))
		return 1;

	flush(reactor);
	if (!dx_list_empty(&reactor->ready)) /* flushing may make room for somebody here */
		return 1;
	until_ns = deadline_ns < dx_timers_due_ns(&reactor->timers)
	                   ? deadline_ns
	                   : dx_timers_due_ns(&reactor->timers);
	if (deadline_ns > 0 &&
	    dx_patience_wait(&reactor->patience, reactor->wait, until_ns, look_again, reactor)) {
		reactor->stats.spin_hits++;
		return 1;
	}
	for (;;) {
		code = park(reactor, deadline_ns, bound_ns);
		if (code != 0)
			return code;
		if (fire_timers(reactor))
			return 1;
		if (deadline_ns <= dx_wait_now(reactor->wait))
			return 0;
		bound_ns =
			2 * bound_ns < reactor->bound_max_ns ? 2 * bound_ns : reactor->bound_max_ns;
	}
}
