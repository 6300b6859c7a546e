/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FIRST_NS 1000000000ULL
#define NEXT_NS  100000000ULL

uint64_t progress_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

void progress_start(struct progress *progress, bool quiet)
{
	*progress = (struct progress){ .on = !quiet && isatty(STDERR_FILENO) == 1 };
	if (progress->on)
		progress->next_ns = progress_clock_ns() + FIRST_NS;
}

bool progress_due(struct progress *progress)
{
	return progress->on && progress_clock_ns() >= progress->next_ns;
}

void progress_show(struct progress *progress, const char *format, ...)
{
	va_list ap;

	if (!progress->on)
		return;
	progress->next_ns = progress_clock_ns() + NEXT_NS;
	progress->shown = true;
	fputs("\r\033[K", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fflush(stderr);
}

void progress_clear(struct progress *progress)
{
	if (!progress->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress->shown = false;
}
