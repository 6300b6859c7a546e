/* SPDX-License-Identifier: MIT */
/*
 * heat.h - a histogram over time: how many in each bucket, in each of many short times
 */
#ifndef DSMX_TRACE_HEAT_H
#define DSMX_TRACE_HEAT_H

#include <stdint.h>
#include <stdio.h>

#include "dsmx/session.h"

#define HEAT_COLUMNS 100 /* at most */

struct heat {
	int columns;
	uint64_t column_ns; /* how long each is */
	uint64_t cells[HEAT_COLUMNS][DSMX_STREAM_BUCKETS];
};

/* One more column, of what was counted in its time; the first one falls out when there are too many. */
void heat_add(struct heat *heat, const uint64_t buckets[DSMX_STREAM_BUCKETS]);
/* A row for each bucket, the longest times on top; a sign for each column. */
void heat_text(FILE *to, const struct heat *heat, const char *title);
/* The same as SVG, @width wide. */
void heat_svg(FILE *to, const struct heat *heat, int width, const char *colour);

#endif /* DSMX_TRACE_HEAT_H */
