/* SPDX-License-Identifier: MIT */
/*
 * wait.c - which back end, and what both share; see wait.h for the contract, backend.h for the seam
 */
#include "wait/wait.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "wait/backend.h"

/* AUTO becomes what the environment says, if it says anything. */
static int chosen(enum dsmx_wait_backend *backend, struct dsmx_error *err)
{
	const char *said = getenv("DSMX_WAIT");

	if (*backend != DSMX_WAIT_AUTO || said == NULL || said[0] == '\0')
		return 0;
	if (strcmp(said, "uring") == 0)
		*backend = DSMX_WAIT_URING;
	else if (strcmp(said, "futex") == 0)
		*backend = DSMX_WAIT_FUTEX;
	else
		return dx_error(err, -EINVAL, "DSMX_WAIT=%s: there are only uring and futex", said);
	return 0;
}

int dx_wait_new(enum dsmx_wait_backend backend, struct dx_wait **ret_wait, struct dsmx_error *err)
{
	enum dsmx_wait_backend wanted = backend;
	struct dsmx_error why = { .message = "DSMX_WAIT=futex" };
	int code = chosen(&wanted, err);

	if (code < 0)
		return code;
	if (wanted == DSMX_WAIT_URING)
		return dx_uring_new(ret_wait, err);
	if (wanted == DSMX_WAIT_AUTO) {
		code = dx_uring_new(ret_wait, &why);
		if (code != -EOPNOTSUPP) {
			if (code < 0 && err != NULL)
				*err = why;
			return code;
		}
	}
	code = dx_waitv_new(ret_wait, err);
	if (code == 0 && backend == DSMX_WAIT_AUTO)
		(void)snprintf((*ret_wait)->missing, sizeof((*ret_wait)->missing), "%.*s",
		               DX_WAIT_MISSING_BYTES - 1, why.message);
	return code;
}

void dx_wait_free(struct dx_wait *wait)
{
	if (wait != NULL)
		wait->ops->free(wait);
}

const char *dx_wait_name(const struct dx_wait *wait)
{
	return wait->ops->name;
}

const char *dx_wait_missing(const struct dx_wait *wait)
{
	return wait->missing[0] != '\0' ? wait->missing : NULL;
}

int dx_wait_add_word(struct dx_wait *wait, struct dx_wait_word *word)
{
	if (word->word == NULL || (uintptr_t)word->word % sizeof(*word->word) != 0)
		return -EINVAL;
	dx_list_init(&word->link);
	word->fired = false;
	word->armed = false;
	return wait->ops->add_word(wait, word);
}

int dx_wait_add_fd(struct dx_wait *wait, struct dx_wait_fd *fd)
{
	if (fd->fd < 0)
		return -EINVAL;
	dx_list_init(&fd->link);
	fd->fired = 0;
	fd->armed = false;
	return wait->ops->add_fd(wait, fd);
}

void dx_wait_remove_word(struct dx_wait *wait, struct dx_wait_word *word)
{
	wait->ops->remove_word(wait, word);
}

void dx_wait_remove_fd(struct dx_wait *wait, struct dx_wait_fd *fd)
{
	wait->ops->remove_fd(wait, fd);
}

int dx_wait_sleep(struct dx_wait *wait, uint64_t deadline_ns)
{
	return wait->ops->sleep(wait, deadline_ns);
}

bool dx_wait_has_pollable(const struct dx_wait *wait)
{
	return wait->ops->pollable != NULL;
}

int dx_wait_pollable(struct dx_wait *wait)
{
	return wait->ops->pollable != NULL ? wait->ops->pollable(wait) : -EOPNOTSUPP;
}

uint64_t dx_wait_now(struct dx_wait *wait)
{
	return wait->ops->now(wait);
}

uint64_t dx_wait_clock(struct dx_wait *wait)
{
	(void)wait;
	return dx_now_ns();
}

void dx_wait_stats(const struct dx_wait *wait, struct dx_wait_stats *ret_stats)
{
	*ret_stats = wait->stats;
}

void dx_wake(const uint32_t *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
