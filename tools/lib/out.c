/* SPDX-License-Identifier: MIT */
#include "out.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "mem.h"

void out_init(struct out *out, int fd)
{
	*out = (struct out){ .fd = fd, .buf = mem_alloc(OUT_BYTES) };
}

static void write_all(struct out *out, const char *bytes, size_t len)
{
	while (len > 0 && out->error == 0) {
		ssize_t n = write(out->fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			out->error = -errno;
			return;
		}
		bytes += n;
		len -= (size_t)n;
	}
}

int out_flush(struct out *out)
{
	write_all(out, out->buf, out->used);
	out->used = 0;
	return out->error;
}

void out_fini(struct out *out)
{
	free(out->buf);
	out->buf = NULL;
}

void out_bytes_slow(struct out *out, const char *bytes, size_t len)
{
	out_flush(out);
	if (len >= OUT_BYTES) {
		write_all(out, bytes, len);
		return;
	}
	memcpy(out->buf, bytes, len);
	out->used = len;
}

void out_repeat(struct out *out, char c, size_t count)
{
	while (count-- > 0)
		out_char(out, c);
}
