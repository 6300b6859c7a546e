/* SPDX-License-Identifier: MIT */
/* timer.h - a reactor's timers, by when they are due */
#ifndef DX_TASK_TIMER_H
#define DX_TASK_TIMER_H

#include "task/task.h"

/* DX_NEVER: there is none. */
uint64_t dx_timers_due_ns(const struct dx_list *timers);

/* Fire what is due at @now_ns; what is started meanwhile waits for the next time. Was there one? */
bool dx_timers_fire(struct dx_list *timers, uint64_t now_ns);

/* Put @timer, which is in no list, where it belongs. */
void dx_timers_add(struct dx_list *timers, struct dx_timer *timer);

#endif /* DX_TASK_TIMER_H */
