/* SPDX-License-Identifier: MIT */
/*
 * reactor_steps.h - what tests of a reactor put into it: tasks that follow a script, a wait whose clock is the test's,
 * and sources that write down what is asked of them
 */
#ifndef DX_SELFTESTS_REACTOR_STEPS_H
#define DX_SELFTESTS_REACTOR_STEPS_H

#include <string.h>

#include "base/err.h"
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

static inline int scripted_poll(struct dx_task *task, struct dsmx_cx *cx)
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

static inline void scripted_end(struct dx_task *task, int result, const struct dsmx_error *err)
{
	struct scripted *s = DX_CONTAINER(task, struct scripted, task);

	s->ended++;
	s->result = result;
	s->err = *err;
}

static inline void start(struct dx_reactor *reactor, struct scripted *s, char letter,
                         const char *script, char *log)
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

/* --- a wait whose clock is the test's ------------------------------------------------------------------ */

struct fake {
	struct dx_wait wait;
	uint64_t now_ns;
	int sleeps;                      /* that blocked */
	int (*slept)(struct fake *fake); /* what a sleep returns; NULL: 0 */
};

static inline int fake_sleep(struct dx_wait *wait, uint64_t deadline_ns)
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

static inline uint64_t fake_now(struct dx_wait *wait)
{
	return DX_CONTAINER(wait, struct fake, wait)->now_ns;
}

static inline void fake_free(struct dx_wait *wait)
{
	(void)wait;
}

static const struct dx_wait_ops fake_ops = {
	.name = "fake",
	.sleep = fake_sleep,
	.now = fake_now,
	.free = fake_free,
};

static inline struct dx_reactor *new_fake(struct fake *fake)
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

static inline void note(struct noted *noted, char what)
{
	size_t n = strlen(noted->log);

	if (n < 60) {
		noted->log[n] = what;
		noted->log[n + 1] = '\0';
	}
}

static inline bool noted_look(struct dx_source *source)
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

static inline void noted_flush(struct dx_source *source)
{
	note(DX_CONTAINER(source, struct noted, source), 'f');
}

static inline void noted_arm(struct dx_source *source)
{
	note(DX_CONTAINER(source, struct noted, source), 'a');
}

static inline void noted_disarm(struct dx_source *source)
{
	note(DX_CONTAINER(source, struct noted, source), 'd');
}

static inline uint64_t noted_rung(struct dx_source *source)
{
	return DX_CONTAINER(source, struct noted, source)->rings;
}

static inline void add_noted(struct dx_reactor *reactor, struct noted *noted, char *log)
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

#endif /* DX_SELFTESTS_REACTOR_STEPS_H */
