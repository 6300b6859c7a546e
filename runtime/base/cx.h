/* SPDX-License-Identifier: MIT */
/*
 * cx.h - what a poll is given: when its slice ends, whom to wake, where to leave a sentence
 *
 * The reactor makes one for each poll; a test makes its own.
 */
#ifndef DX_BASE_CX_H
#define DX_BASE_CX_H

#include <stdbool.h>
#include <stdint.h>

#include "dsmx/exec.h"

struct dsmx_cx {
	uint64_t slice_end_ns;
	struct dsmx_waker *waker;
	struct dsmx_error *err;                    /* never NULL */
	uint64_t (*now)(const struct dsmx_cx *cx); /* the slice's clock; NULL: the machine's */
	bool yielded; /* the poll wants to go on as soon as others had their turn */
};

#endif /* DX_BASE_CX_H */
