/* SPDX-License-Identifier: MIT */
#include "stdout.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool reader_left(void)
{
	struct pollfd pipe = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return poll(&pipe, 1, 0) > 0 && (pipe.revents & POLLERR) != 0;
}

int stdout_end(const char *program, int status)
{
	const char *why;

	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno == EPIPE || reader_left())
		return status;
	/* The failure of an earlier write left a mark, but not its cause. */
	why = errno != 0 ? strerror(errno) : "not all of the output is there";
	fprintf(stderr, "%s: cannot write: %s\n", program, why);
	return status != 0 ? status : 1;
}
