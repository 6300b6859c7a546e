/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <time.h>

#include "trace.h"

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

void catch_interrupts(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool interrupted(void)
{
	return caught != 0;
}

uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

bool sleep_until(uint64_t until_ns)
{
	struct timespec until = { .tv_sec = (time_t)(until_ns / 1000000000U),
		                  .tv_nsec = (long)(until_ns % 1000000000U) };

	while (caught == 0 && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
		;
	return caught == 0;
}
