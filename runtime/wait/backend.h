/* SPDX-License-Identifier: MIT */
/*
 * backend.h - what stands behind a struct dx_wait
 *
 * A back end embeds struct dx_wait as its first member and fills it. Its clock goes with it, so that a
 * simulation can bring both: who waits never asks the machine for the time.
 */
#ifndef DX_WAIT_BACKEND_H
#define DX_WAIT_BACKEND_H

#include "wait/wait.h"

struct dx_wait_ops {
	const char *name;
	/* Fail with -ENOMEM, -E2BIG or -EINVAL. The object is in no list yet. */
	int (*add_word)(struct dx_wait *wait, struct dx_wait_word *word);
	int (*add_fd)(struct dx_wait *wait, struct dx_wait_fd *fd);
	void (*remove_word)(struct dx_wait *wait, struct dx_wait_word *word);
	void (*remove_fd)(struct dx_wait *wait, struct dx_wait_fd *fd);
	int (*sleep)(struct dx_wait *wait, uint64_t deadline_ns);
	int (*pollable)(struct dx_wait *wait); /* NULL: it has no descriptor */
	uint64_t (*now)(struct dx_wait *wait);
	void (*free)(struct dx_wait *wait);
};

#define DX_WAIT_MISSING_BYTES 160

struct dx_wait {
	const struct dx_wait_ops *ops;
	struct dx_wait_stats stats;
	char missing
		[DX_WAIT_MISSING_BYTES]; /* why it is not io_uring; "": it is, or was not wanted */
};

/* 0, -EOPNOTSUPP with a sentence, or -ENOMEM. */
int dx_uring_new(struct dx_wait **ret_wait, struct dsmx_error *err) DX_MUST_CHECK;
int dx_waitv_new(struct dx_wait **ret_wait, struct dsmx_error *err) DX_MUST_CHECK;

/* The clock of both. */
uint64_t dx_wait_clock(struct dx_wait *wait);

#endif /* DX_WAIT_BACKEND_H */
