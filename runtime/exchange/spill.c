/* SPDX-License-Identifier: MIT */
#include "exchange/spill.h"

#include <fcntl.h>
#include <lz4.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"

/* A frame in the file. */
struct entry {
	uint64_t at;
	uint32_t packed_bytes;
	uint32_t len_bytes;
	uint32_t rows;
};

struct dx_spill {
	struct dx_spill_budget *budget;
	int fd;
	uint64_t end; /* of the file */
	struct entry *entries;
	size_t first, count, room;
	char *scratch;
	size_t scratch_bytes;
};

static const char *directory(void)
{
	const char *dir = secure_getenv("DSMX_OVERFLOW_DIR");

	if (dir == NULL)
		dir = secure_getenv("TMPDIR");
	return dir != NULL ? dir : "/var/tmp";
}

int dx_spill_new(struct dx_spill_budget *budget, struct dx_spill **ret_spill,
                 struct dsmx_error *err)
{
	struct dx_spill *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return dx_error(err, -ENOMEM, "no memory for an overflow file");
	s->budget = budget;
	s->fd = open(directory(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (s->fd < 0) {
		int r = dx_errno();

		free(s);
		return dx_error(err, r, "no overflow file in %s: %s; set DSMX_OVERFLOW_DIR",
		                directory(), dx_strerror(r));
	}
	*ret_spill = s;
	return 0;
}

void dx_spill_free(struct dx_spill *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->count; i++)
		s->budget->used_bytes -= s->entries[s->first + i].packed_bytes;
	close(s->fd);
	free(s->entries);
	free(s->scratch);
	free(s);
}

bool dx_spill_is_empty(const struct dx_spill *s)
{
	return s->count == 0;
}

static int make_room(struct dx_spill *s, size_t scratch_bytes)
{
	if (s->first + s->count == s->room) {
		struct entry *more;

		if (s->first > s->room / 2) {
			for (size_t i = 0; i < s->count; i++)
				s->entries[i] = s->entries[s->first + i];
			s->first = 0;
		} else {
			more = reallocarray(s->entries, s->room * 2 + 16, sizeof(*more));
			if (more == NULL)
				return -ENOMEM;
			s->entries = more;
			s->room = s->room * 2 + 16;
		}
	}
	if (scratch_bytes > s->scratch_bytes) {
		char *more = realloc(s->scratch, scratch_bytes);

		if (more == NULL)
			return -ENOMEM;
		s->scratch = more;
		s->scratch_bytes = scratch_bytes;
	}
	return 0;
}

static int write_all(int fd, const char *bytes, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, bytes, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return dx_errno();
		bytes += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

static int read_all(int fd, char *bytes, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t n = pread(fd, bytes, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? dx_errno() : -EIO;
		bytes += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

int64_t dx_spill_put(struct dx_spill *s, const void *bytes, uint32_t len_bytes, uint32_t rows,
                     struct dsmx_error *err)
{
	int bound = LZ4_compressBound((int)len_bytes), packed;
	int r = bound <= 0 ? -EMSGSIZE : make_room(s, (size_t)bound);

	if (r < 0)
		return dx_error(err, r, "overflow of a frame of %u bytes: %s", len_bytes,
		                dx_strerror(r));
	packed = LZ4_compress_default(bytes, s->scratch, (int)len_bytes, bound);
	if (packed <= 0)
		return dx_error(err, -EIO, "a frame of %u bytes cannot be compressed", len_bytes);
	if (s->budget->used_bytes + (uint64_t)packed > s->budget->max_bytes)
		return dx_error(
			err, -ENOSPC,
			"overflow needs more than its budget of %llu bytes on disk: raise overflow_max_bytes",
			(unsigned long long)s->budget->max_bytes);
	r = write_all(s->fd, s->scratch, (size_t)packed, s->end);
	if (r < 0)
		return dx_error(err, r, "overflow to %s: %s", directory(), dx_strerror(r));
	s->entries[s->first + s->count++] = (struct entry){
		.at = s->end, .packed_bytes = (uint32_t)packed, .len_bytes = len_bytes, .rows = rows
	};
	s->end += (uint64_t)packed;
	s->budget->used_bytes += (uint64_t)packed;
	return packed;
}

void dx_spill_first(const struct dx_spill *s, uint32_t *ret_len_bytes, uint32_t *ret_rows)
{
	*ret_len_bytes = s->entries[s->first].len_bytes;
	*ret_rows = s->entries[s->first].rows;
}

int dx_spill_take(struct dx_spill *s, void *bytes, struct dsmx_error *err)
{
	struct entry *e = &s->entries[s->first];
	int r = make_room(s, e->packed_bytes);

	e = &s->entries[s->first]; /* it may have moved */
	if (r == 0)
		r = read_all(s->fd, s->scratch, e->packed_bytes, e->at);
	if (r == 0 && LZ4_decompress_safe(s->scratch, bytes, (int)e->packed_bytes,
	                                  (int)e->len_bytes) != (int)e->len_bytes)
		r = -EIO;
	if (r < 0)
		return dx_error(err, r,
		                "an overflow file in %s does not give back what it was given: %s",
		                directory(), dx_strerror(r));
	s->budget->used_bytes -= e->packed_bytes;
	s->first++;
	if (--s->count == 0) {
		/* Start over: the file does not grow with what went through it. */
		s->first = 0;
		s->end = 0;
		(void)!ftruncate(s->fd, 0);
	}
	return 0;
}
