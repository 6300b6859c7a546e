/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "harness.h"
#include "task/task.h"

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

int main(void)
{
	return harness_run();
}
