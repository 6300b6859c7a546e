/* SPDX-License-Identifier: MIT */
/*
 * ps.h - `dsmx ps` and `dsmx ctl`: the sessions of others
 */
#ifndef DSMX_TOOL_PS_H
#define DSMX_TOOL_PS_H

#include <stdbool.h>
#include <stdint.h>

#include "dsmx/control.h"

/* One look, and the one before it. */
struct ps_look {
	const struct dsmx_snapshot *now;
	const struct dsmx_snapshot *before; /* NULL: this is the first */
	uint64_t passed_ns;                 /* between them */
	uint64_t session;                   /* 0: all */
	bool wide;
};

/* As one line of JSON. */
void ps_json(const struct ps_look *look);

/* 16 hexadecimal digits, or fewer where the upper ones are 0. Returns 0 or -EINVAL. */
int session_id(const char *text, uint64_t *ret_id);

#endif /* DSMX_TOOL_PS_H */
