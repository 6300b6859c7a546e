/* SPDX-License-Identifier: MIT */
/*
 * timer.c - a sorted list: a process has a handful of timers, and most of them are started as the last one due
 */
#include "task/timer.h"

#include "base/clock.h"

static struct dx_timer *timer_of(struct dx_list *link)
{
	return DX_CONTAINER(link, struct dx_timer, link);
}

uint64_t dx_timers_due_ns(const struct dx_list *timers)
{
	return dx_list_empty(timers) ? DX_NEVER : timer_of(timers->next)->due_ns;
}

void dx_timers_add(struct dx_list *timers, struct dx_timer *timer)
{
	struct dx_list *before = timers->prev;

	while (before != timers && timer_of(before)->due_ns > timer->due_ns)
		before = before->prev;
	dx_list_append(before->next, &timer->link); /* in front of who comes after */
}

bool dx_timers_fire(struct dx_list *timers, uint64_t now_ns)
{
	struct dx_list due, *link;
	bool fired = false;

	/* Through a list of their own, as one that fires may stop another. */
	dx_list_init(&due);
	while (dx_timers_due_ns(timers) <= now_ns)
		dx_list_append(&due, dx_list_take(timers));
	while ((link = dx_list_take(&due)) != NULL) {
		timer_of(link)->fire(timer_of(link));
		fired = true;
	}
	return fired;
}

void dx_timer_stop(struct dx_timer *timer)
{
	if (timer->link.next != NULL) /* zeroed: never started */
		dx_list_unlink(&timer->link);
}
