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

/* --- ps_screen.c */

enum ps_key {
	PS_LOOK, /* the time is over */
	PS_DRAW, /* the screen has another size */
	PS_QUIT, /* q, a signal, the end of input */
};

/* Take the terminal, with signals. Returns whether it is one that can be drawn on; if not, nothing has changed. */
bool ps_screen_open(void);
/* Give it back. Returns the signal that ended it, or 0. */
int ps_screen_close(void);
/* Draw lines, as far as there is room. */
void ps_screen_draw(const char *text);
/* @live: keys and signals count. */
enum ps_key ps_screen_wait(uint64_t ms, bool live);

/* 16 hexadecimal digits, or fewer where the upper ones are 0. Returns 0 or -EINVAL. */
int session_id(const char *text, uint64_t *ret_id);

#endif /* DSMX_TOOL_PS_H */
