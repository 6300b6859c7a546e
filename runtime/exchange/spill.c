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
	struct dx_spill_file own, *file;
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

void dx_spill_file_open(struct dx_spill_file *file, bool shared)
{
	*file = (struct dx_spill_file){ .shared = shared };
	file->fd = open(directory(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	file->code = file->fd < 0 ? dx_errno() : 0;
}

void dx_spill_file_close(struct dx_spill_file *file)
{
	if (file->fd >= 0)
		(void)close(file->fd);
	file->fd = -1;
}

/* An entry is out: an empty file starts over, a shared one gives the room back, so neither grows by what went through. */
static void give_back(struct dx_spill_file *file, const struct entry *entry)
{
	file->held_bytes -= entry->packed_bytes;
	if (file->held_bytes == 0) {
		file->end = 0;
		(void)!ftruncate(file->fd, 0);
	} else if (file->shared) {
		(void)fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		                (off_t)entry->at, (off_t)entry->packed_bytes);
	}
}

int dx_spill_new(struct dx_spill_budget *budget, struct dx_spill **ret_spill,
                 struct dsmx_error *err)
{
	struct dx_spill *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return dx_error(err, -ENOMEM, "no memory for an overflow file");
	s->budget = budget;
	s->own.fd = -1;
	s->file = budget->file;
	if (s->file == NULL) {
		s->file = &s->own;
		dx_spill_file_open(s->file, false);
	}
	if (s->file->fd < 0) {
		int r = s->file->code;

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
	for (size_t i = 0; i < s->count; i++) {
		s->budget->used_bytes -= s->entries[s->first + i].packed_bytes;
		give_back(s->file, &s->entries[s->first + i]);
	}
	dx_spill_file_close(&s->own);
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
	r = write_all(s->file->fd, s->scratch, (size_t)packed, s->file->end);
	if (r < 0)
		return dx_error(err, r, "overflow to %s: %s", directory(), dx_strerror(r));
	s->entries[s->first + s->count++] = (struct entry){ .at = s->file->end,
		                                            .packed_bytes = (uint32_t)packed,
		                                            .len_bytes = len_bytes,
		                                            .rows = rows };
	s->file->end += (uint64_t)packed;
	s->file->held_bytes += (uint64_t)packed;
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
		r = read_all(s->file->fd, s->scratch, e->packed_bytes, e->at);
	if (r == 0 && LZ4_decompress_safe(s->scratch, bytes, (int)e->packed_bytes,
	                                  (int)e->len_bytes) != (int)e->len_bytes)
		r = -EIO;
	if (r < 0)
		return dx_error(err, r,
		                "an overflow file in %s does not give back what it was given: %s",
		                directory(), dx_strerror(r));
	s->budget->used_bytes -= e->packed_bytes;
	give_back(s->file, e);
	s->first = --s->count == 0 ? 0 : s->first + 1;
	return 0;
}
