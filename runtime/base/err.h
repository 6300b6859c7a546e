/* SPDX-License-Identifier: MIT */
/*
 * err.h - from a failure to an errno and a sentence
 *
 * Only slow paths make sentences. The usual form is `return dx_error(err, -EINVAL, "...", ...)`.
 */
#ifndef DX_BASE_ERR_H
#define DX_BASE_ERR_H

#include <errno.h>
#include <stddef.h>

#include "base/compiler.h"
#include "dsmx/error.h"

/*
 * Fill @err (NULL is fine) with @code and a sentence, no worker and no exchange. Returns @code, so that
 * it ends a function.
 */
int dx_error(struct dsmx_error *err, int code, const char *fmt, ...) DX_PRINTF(3, 4);

/* Put "prefix: " in front of the sentence that is there; returns err->code, or 0 where @err is NULL. */
int dx_error_prefix(struct dsmx_error *err, const char *fmt, ...) DX_PRINTF(2, 3);

/*
 * Likewise with another process's @len bytes in place of a sentence of ours: they end at a NUL, and what could do more
 * to a terminal than be shown becomes a question mark.
 */
int dx_error_foreign(struct dsmx_error *err, int code, const char *text, size_t len);

/* The index of a worker as another process says it: -1 where there can be no such worker. */
int dx_error_worker(int worker);

/* -errno after a failed call; -EIO should it be 0. */
static inline int dx_errno(void)
{
	return errno > 0 ? -errno : -EIO;
}

/* strerror(), for a positive or negative errno, without its buffer. */
const char *dx_strerror(int code);

#endif /* DX_BASE_ERR_H */
