/* SPDX-License-Identifier: MIT */
/*
 * patience.h - how long to look for news before a park: spin a little, then yield within a budget that learns
 */
#ifndef DX_TASK_PATIENCE_H
#define DX_TASK_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "wait/wait.h"

struct dx_patience {
	bool none;         /* one processor, or a clock that stands still: never */
	uint64_t yield_ns; /* budget now */
	uint64_t start_ns; /* of the wait that is under way */
};

void dx_patience_init(struct dx_patience *patience, bool none);

/* Look until there are news, patience ends, or @until_ns. Returns whether there were news. */
bool dx_patience_wait(struct dx_patience *patience, struct dx_wait *wait, uint64_t until_ns,
                      bool (*look)(void *arg), void *arg);

/* It came to a park, which is over; @fired: news ended it. */
void dx_patience_learn(struct dx_patience *patience, uint64_t now_ns, bool fired);

#endif /* DX_TASK_PATIENCE_H */
