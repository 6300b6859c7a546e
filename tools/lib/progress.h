/* SPDX-License-Identifier: MIT */
/*
 * progress.h - one line on a terminal that says how far it is
 *
 * Silent where stderr is no terminal, in the first second, and more often than ten times a second.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool on;
	bool shown;
	uint64_t next_ns;
};

void progress_start(struct progress *progress, bool quiet);
/* Is it time to show something? Asking costs a clock reading. */
bool progress_due(struct progress *progress);
void progress_show(struct progress *progress, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void progress_clear(struct progress *progress); /* before anything else is printed */

uint64_t progress_clock_ns(void);

#endif /* TOOLS_PROGRESS_H */
