/* SPDX-License-Identifier: MIT */
/*
 * spill.h - overflow: frames of one output that wait in a private file
 *
 * A file without a name, first in, first out, in front of the output's queue; the consumer knows nothing of
 * it. Frames are compressed with LZ4, which costs less than the disk does. What all files of a process hold
 * together is bounded by a budget.
 *
 * A process that is going to be confined opens one file before, and all its outputs share that.
 */
#ifndef DX_EXCHANGE_SPILL_H
#define DX_EXCHANGE_SPILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/error.h"

struct dx_spill;

/* A file without a name; with fd -1, what opening it said. */
struct dx_spill_file {
	int fd;
	int code;
	bool shared;
	uint64_t end;
	uint64_t held_bytes; /* in it, up to its end; the rest was taken out */
};

struct dx_spill_budget {
	uint64_t max_bytes;
	uint64_t used_bytes;
	struct dx_spill_file *file; /* that all share; NULL: each output has its own */
};

/* In $DSMX_OVERFLOW_DIR, $TMPDIR or /var/tmp. */
void dx_spill_file_open(struct dx_spill_file *file, bool shared);
void dx_spill_file_close(struct dx_spill_file *file);

/* Opens the output's own file, or takes the shared one. Returns 0 or what open(2) said. */
int dx_spill_new(struct dx_spill_budget *budget, struct dx_spill **ret_spill,
                 struct dsmx_error *err) DX_MUST_CHECK;
void dx_spill_free(struct dx_spill *spill);

bool dx_spill_is_empty(const struct dx_spill *spill);

/* Append a frame. Returns the bytes that it takes in the file; -ENOSPC: over the budget, or a full disk. */
int64_t dx_spill_put(struct dx_spill *spill, const void *bytes, uint32_t len_bytes, uint32_t rows,
                     struct dsmx_error *err) DX_MUST_CHECK;

/* The oldest frame's length and rows. There is one. */
void dx_spill_first(const struct dx_spill *spill, uint32_t *ret_len_bytes, uint32_t *ret_rows);

/* Take the oldest frame out, to @bytes. Returns 0, -EIO: the file does not give it back, ... */
int dx_spill_take(struct dx_spill *spill, void *bytes, struct dsmx_error *err) DX_MUST_CHECK;

#endif /* DX_EXCHANGE_SPILL_H */
