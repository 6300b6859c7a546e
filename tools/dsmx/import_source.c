/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "import.h"

#define PACKED_BYTES ((size_t)256 << 10)

struct source_zstd {
	ZSTD_DStream *stream;
	ZSTD_inBuffer in;
	size_t wanted; /* what zstd said last: 0 at the end of a frame */
	char bytes[PACKED_BYTES];
};

int source_open(struct source *source, const char *path)
{
	size_t len = strlen(path);
	struct stat st;

	*source = (struct source){ .name = path, .fd = STDIN_FILENO };
	if (strcmp(path, "-") == 0) {
		source->name = "standard input";
		return 0;
	}
	source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (source->fd < 0)
		return -errno;
	if (fstat(source->fd, &st) == 0 && S_ISREG(st.st_mode))
		source->size = (uint64_t)st.st_size;
	(void)posix_fadvise(source->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	if (len > 4 && strcmp(path + len - 4, ".zst") == 0) {
		source->unpack = mem_alloc(sizeof(*source->unpack));
		source->unpack->stream = ZSTD_createDStream();
		if (source->unpack->stream == NULL) {
			source_close(source);
			return -ENOMEM;
		}
	}
	return 0;
}

void source_close(struct source *source)
{
	if (source->unpack != NULL)
		ZSTD_freeDStream(source->unpack->stream);
	free(source->unpack);
	if (source->fd > STDIN_FILENO)
		close(source->fd);
	*source = (struct source){ .fd = -1 };
}

static ssize_t read_some(struct source *source, char *to, size_t room)
{
	ssize_t n;

	do
		n = read(source->fd, to, room);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	source->read += (uint64_t)n;
	return n;
}

ssize_t source_read(struct source *source, char *to, size_t room)
{
	struct source_zstd *unpack = source->unpack;
	ZSTD_outBuffer out = { to, room, 0 };

	if (unpack == NULL)
		return read_some(source, to, room);
	while (out.pos == 0) {
		if (unpack->in.pos == unpack->in.size) {
			ssize_t n = read_some(source, unpack->bytes, PACKED_BYTES);

			if (n < 0)
				return n;
			if (n == 0) /* the end: it must be that of a frame too */
				return unpack->wanted == 0 ? 0 : -EBADMSG;
			unpack->in = (ZSTD_inBuffer){ unpack->bytes, (size_t)n, 0 };
		}
		unpack->wanted = ZSTD_decompressStream(unpack->stream, &out, &unpack->in);
		if (ZSTD_isError(unpack->wanted))
			return -EBADMSG;
	}
	return (ssize_t)out.pos;
}
