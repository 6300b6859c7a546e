/* SPDX-License-Identifier: MIT */
/*
 * out.h - output through one large buffer
 *
 * The first failure of write(2) is kept: everything after it is dropped, and out_flush() returns it. So
 * printing needs no checks on the way, and a full disk or a closed pipe is an error all the same.
 */
#ifndef TOOLS_OUT_H
#define TOOLS_OUT_H

#include <stddef.h>
#include <string.h>

#define OUT_BYTES ((size_t)256 << 10)

struct out {
	int fd;
	int error; /* 0 or -errno */
	size_t used;
	char *buf; /* OUT_BYTES */
};

void out_init(struct out *out, int fd);
int out_flush(struct out *out); /* Returns 0 or the first failure so far. */
void out_fini(struct out *out); /* Does not flush. */

void out_bytes_slow(struct out *out, const char *bytes, size_t len);
void out_repeat(struct out *out, char c, size_t count);

static inline void out_bytes(struct out *out, const char *bytes, size_t len)
{
	if (len > OUT_BYTES - out->used) {
		out_bytes_slow(out, bytes, len);
		return;
	}
	memcpy(out->buf + out->used, bytes, len);
	out->used += len;
}

static inline void out_char(struct out *out, char c)
{
	out_bytes(out, &c, 1);
}

static inline void out_text(struct out *out, const char *text)
{
	out_bytes(out, text, strlen(text));
}

#endif /* TOOLS_OUT_H */
