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
 * Before a park it spins for SPIN_NS and then yields within a budget: a park costs both sides about WAKE_NS
 * together, so waiting longer than that never pays. The budget doubles when news came in time, or when a park
 * was so short that they would have, and halves else; below YIELD_MIN_NS it is nothing. A yield that takes as
 * long as a wake means that others need this processor: then it parks at once.
 *
 * Every park is bounded by DX_PARK_BOUND_NS. A park that ends so and still finds news at a source with a bell
 * is suspect: the peer may be just about to ring, or a wake was lost. So with everything still armed it
 * sleeps once more, and only if the bell stays as it is for another bound, it counts a late park.
 */
#include <sched.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/order.h"
#include "task/reactor.h"

/* A wake by futex, both sides together, measured on virtual machines of 2024: 15 to 40 us. */
#define WAKE_NS      25000ULL
#define SPIN_NS      2000ULL
#define YIELD_MIN_NS 1000ULL

/* Looks between two readings of the clock while spinning. */
#define SPIN_BATCH 8

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
	uint64_t collected_ns; /* when the wait was last asked without sleeping */
	uint64_t yield_ns;     /* budget now */
	bool spins;            /* false: a simulation, or one processor only */
	bool armed;            /* the sources */
	struct dx_reactor_stats stats;
	struct dsmx_error err;
};

/* --- making it ---------------------------------------------------------------------------------------- */

static bool has_processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) > 1;
}

int dx_reactor_new_over(struct dx_wait *wait, bool spins, struct dx_reactor **ret_reactor,
                        struct dsmx_error *err)
{
	struct dx_reactor *reactor = calloc(1, sizeof(*reactor));

	if (reactor == NULL)
		return dx_error(err, -ENOMEM, "no memory for a reactor");
	reactor->wait = wait;
	reactor->spins = spins;
	reactor->yield_ns = spins ? WAKE_NS : 0;
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
	code = dx_reactor_new_over(wait, has_processors(), ret_reactor, err);
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
	dx_list_unlink(&source->link);
}

static void walk_begin(struct dx_reactor *reactor, struct walk *walk)
{
	*walk = (struct walk){ .next = reactor->sources.next, .outer = reactor->walk };
	reactor->walk = walk;
}

/* The next source, NULL behind the last: then the walk is over. */
static struct dx_source *walk_next(struct dx_reactor *reactor, struct walk *walk)
{
	struct dx_list *link = walk->next;

	if (link == &reactor->sources) {
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
		if (s->bell != NULL)
			s->bell_parked = dx_load_plain(s->bell);
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
	if (task->reactor != NULL && dx_list_empty(&task->link))
		dx_list_append(&task->reactor->ready, &task->link);
}

static void poll_task(struct dx_reactor *reactor, struct dx_task *task)
{
	struct dsmx_cx cx = {
		.slice_end_ns = dx_wait_now(reactor->wait) + DX_SLICE_NS,
		.waker = &task->waker,
		.err = &reactor->err,
	};
	int result;

	reactor->stats.polls++;
	reactor->err.code = 0;
	task->polling = true;
	result = task->poll(task, &cx);
	task->polling = false;
	if (result == 0) {
		if (cx.yielded)
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
	while ((link = dx_list_take(&reactor->turn)) != NULL) {
		if (polled)
			(void)look(reactor);
		poll_task(reactor, DX_CONTAINER(link, struct dx_task, link));
		polled = true;
	}
	return polled;
}

/* --- timers ------------------------------------------------------------------------------------------- */

void dx_timer_start(struct dx_reactor *reactor, struct dx_timer *timer, uint64_t due_ns)
{
	struct dx_list *before;

	dx_timer_stop(timer);
	dx_list_init(&timer->link);
	timer->due_ns = due_ns;
	/* From the end: a new timer is mostly the last one due. */
	for (before = reactor->timers.prev; before != &reactor->timers; before = before->prev)
		if (DX_CONTAINER(before, struct dx_timer, link)->due_ns <= due_ns)
			break;
	dx_list_append(before->next, &timer->link);
}

void dx_timer_stop(struct dx_timer *timer)
{
	if (timer->link.next != NULL) /* zeroed: never started */
		dx_list_unlink(&timer->link);
}

static uint64_t next_due_ns(const struct dx_reactor *reactor)
{
	if (dx_list_empty(&reactor->timers))
		return DX_NEVER;
	return DX_CONTAINER(reactor->timers.next, struct dx_timer, link)->due_ns;
}

/* Fire what is due now; what is started meanwhile waits for the next turn. */
static bool fire_timers(struct dx_reactor *reactor)
{
	struct dx_list due, *link;
	bool fired = false;
	uint64_t now_ns;

	if (dx_list_empty(&reactor->timers))
		return false;
	now_ns = dx_wait_now(reactor->wait);
	dx_list_init(&due);
	while (next_due_ns(reactor) <= now_ns)
		dx_list_append(&due, dx_list_take(&reactor->timers));
	while ((link = dx_list_take(&due)) != NULL) {
		struct dx_timer *timer = DX_CONTAINER(link, struct dx_timer, link);

		timer->fire(timer);
		fired = true;
	}
	return fired;
}

/* --- waiting ------------------------------------------------------------------------------------------ */

/* Spin, then yield within the budget, looking. Returns whether there were news. */
static bool linger(struct dx_reactor *reactor, uint64_t until_ns)
{
	uint64_t start_ns = dx_wait_now(reactor->wait), now_ns = start_ns;

	while (now_ns < until_ns && now_ns - start_ns < SPIN_NS) {
		for (int i = 0; i < SPIN_BATCH; i++) {
			if (look(reactor))
				return true;
			dx_spin_pause();
		}
		now_ns = dx_wait_now(reactor->wait);
	}
	start_ns = now_ns;
	while (now_ns < until_ns && now_ns - start_ns < reactor->yield_ns) {
		uint64_t before_ns = now_ns;

		(void)sched_yield();
		if (look(reactor)) {
			reactor->yield_ns =
				2 * reactor->yield_ns < WAKE_NS ? 2 * reactor->yield_ns : WAKE_NS;
			return true;
		}
		now_ns = dx_wait_now(reactor->wait);
		if (now_ns - before_ns >= WAKE_NS) { /* others need this processor */
			reactor->yield_ns = 0;
			break;
		}
	}
	return false;
}

/* It came to a park of @slept_ns: would more patience have paid? */
static void learn(struct dx_reactor *reactor, uint64_t slept_ns, bool fired)
{
	if (!reactor->spins)
		return;
	if (fired && slept_ns < WAKE_NS)
		reactor->yield_ns =
			reactor->yield_ns < YIELD_MIN_NS ? YIELD_MIN_NS : 2 * reactor->yield_ns;
	else
		reactor->yield_ns /= 2;
	if (reactor->yield_ns > WAKE_NS)
		reactor->yield_ns = WAKE_NS;
	if (reactor->yield_ns < YIELD_MIN_NS)
		reactor->yield_ns = 0;
}

/* Look after a park that ended by its bound; a source with news whose bell has not moved is suspect. */
static bool look_late(struct dx_reactor *reactor, const uint32_t **ret_bell, uint32_t *ret_parked)
{
	bool news = false;
	struct walk walk;

	walk_begin(reactor, &walk);
	for (struct dx_source *s; (s = walk_next(reactor, &walk)) != NULL;) {
		const uint32_t *bell = s->bell;
		uint32_t parked = s->bell_parked;
		bool moved = bell == NULL || dx_load_plain(bell) != parked;

		if (!s->look(s)) /* after this it may be gone */
			continue;
		news = true;
		if (!moved) {
			*ret_bell = bell;
			*ret_parked = parked;
		}
	}
	return news;
}

/* A park of DX_PARK_BOUND_NS is over. Returns whether there were news. */
static bool judge(struct dx_reactor *reactor, uint64_t deadline_ns)
{
	const uint32_t *bell = NULL;
	uint32_t parked = 0;
	bool news = look_late(reactor, &bell, &parked);
	uint64_t now_ns;

	if (bell == NULL)
		return news;
	now_ns = dx_wait_now(reactor->wait);
	if (deadline_ns < now_ns + DX_PARK_BOUND_NS)
		return news;
	if (dx_wait_sleep(reactor->wait, now_ns + DX_PARK_BOUND_NS) == 0 &&
	    dx_load_plain(bell) == parked)
		reactor->stats.late_parks++;
	return news;
}

/*
 * Nothing is ready: sleep until there are news, at most until @deadline_ns or for the bound. Returns 1 with
 * news, 0 without, -EINTR. Leaves everything armed only for a deadline that has passed before.
 */
static int park(struct dx_reactor *reactor, uint64_t deadline_ns)
{
	uint64_t start_ns = dx_wait_now(reactor->wait), bound_ns = start_ns + DX_PARK_BOUND_NS;
	uint64_t until_ns = deadline_ns < next_due_ns(reactor) ? deadline_ns : next_due_ns(reactor);
	bool news;
	int code;

	arm(reactor);
	dx_fence(DX_FENCE_SLEEP);
	if (look(reactor)) {
		disarm(reactor);
		return 1;
	}
	if (until_ns <= start_ns) {
		reactor->collected_ns = start_ns;
		return dx_wait_sleep(reactor->wait, 0) > 0 || !dx_list_empty(&reactor->ready);
	}

	reactor->stats.parks++;
	code = dx_wait_sleep(reactor->wait, until_ns < bound_ns ? until_ns : bound_ns);
	reactor->collected_ns = dx_wait_now(reactor->wait);
	learn(reactor, reactor->collected_ns - start_ns, code > 0);
	if (code == 0 && bound_ns <= until_ns)
		news = judge(reactor, until_ns);
	else
		news = look(reactor);
	disarm(reactor);
	return code < 0 && !news ? code : code > 0 || news;
}

/* Descriptors, too, are looked at while tasks keep this thread busy. */
static bool collect(struct dx_reactor *reactor)
{
	uint64_t now_ns = dx_wait_now(reactor->wait);

	if (now_ns - reactor->collected_ns < DX_SLICE_NS)
		return false;
	reactor->collected_ns = now_ns;
	return dx_wait_sleep(reactor->wait, 0) > 0;
}

int dx_reactor_turn(struct dx_reactor *reactor, uint64_t deadline_ns)
{
	uint64_t until_ns;
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
	until_ns = deadline_ns < next_due_ns(reactor) ? deadline_ns : next_due_ns(reactor);
	if (reactor->spins && deadline_ns > 0 && linger(reactor, until_ns)) {
		reactor->stats.spin_hits++;
		return 1;
	}
	for (;;) {
		code = park(reactor, deadline_ns);
		if (code != 0)
			return code;
		if (fire_timers(reactor))
			return 1;
		if (deadline_ns <= dx_wait_now(reactor->wait))
			return 0;
	}
}
