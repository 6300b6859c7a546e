/* SPDX-License-Identifier: MIT */
/*
 * heat.c - see heat.h
 *
 * The more, the darker, by powers of two: a single slow stream among thousands of fast ones is to be seen, too.
 */
#include "heat.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "../lib/hist.h"

static const char signs[] = " .:-=+*#%@";
#define SIGNS ((int)sizeof(signs) - 2)

void heat_add(struct heat *heat, const uint64_t buckets[DSMX_STREAM_BUCKETS])
{
	if (heat->columns == HEAT_COLUMNS) {
		memmove(heat->cells[0], heat->cells[1],
		        (HEAT_COLUMNS - 1) * sizeof(heat->cells[0]));
		heat->columns--;
	}
	memcpy(heat->cells[heat->columns++], buckets, sizeof(heat->cells[0]));
}

struct range {
	int first, last; /* buckets; last < first: nothing was counted */
	uint64_t most;
};

static struct range find_range(const struct heat *heat)
{
	struct range r = { .first = DSMX_STREAM_BUCKETS, .last = -1 };

	for (int c = 0; c < heat->columns; c++)
		for (int b = 0; b < DSMX_STREAM_BUCKETS; b++) {
			if (heat->cells[c][b] == 0)
				continue;
			r.first = b < r.first ? b : r.first;
			r.last = b > r.last ? b : r.last;
			r.most = heat->cells[c][b] > r.most ? heat->cells[c][b] : r.most;
		}
	return r;
}

static int log2_of(uint64_t n)
{
	return 63 - __builtin_clzll(n | 1);
}

/* 0: none; 1 .. @steps */
static int shade(uint64_t n, uint64_t most, int steps)
{
	if (n == 0)
		return 0;
	return 1 + (steps - 1) * log2_of(n) / (log2_of(most) > 0 ? log2_of(most) : 1);
}

void heat_text(FILE *to, const struct heat *heat, const char *title)
{
	struct range r = find_range(heat);
	char time[HIST_TIME_LEN];

	fprintf(to, "%s; %d columns of %s, at most %" PRIu64 " in one place\n", title,
	        heat->columns, hist_time(heat->column_ns, time), r.most);
	for (int b = r.last; b >= r.first; b--) {
		fprintf(to, "%9s |", hist_time(b == 0 ? 0 : 1ULL << b, time));
		for (int c = 0; c < heat->columns; c++)
			fputc(signs[shade(heat->cells[c][b], r.most, SIGNS)], to);
		fputs("|\n", to);
	}
	fflush(to);
}

#define CELL_HEIGHT 14
#define MARGIN      70

void heat_svg(FILE *to, const struct heat *heat, int width, const char *colour)
{
	struct range r = find_range(heat);
	int rows = r.last - r.first + 1, columns = heat->columns > 0 ? heat->columns : 1;
	double step = (double)(width - MARGIN) / columns;
	char time[HIST_TIME_LEN];

	if (rows <= 0)
		return;
	fprintf(to, "<svg class=\"heat\" width=\"%d\" height=\"%d\" role=\"img\">\n", width,
	        rows * CELL_HEIGHT + 20);
	for (int b = r.first; b <= r.last; b++) {
		int y = (r.last - b) * CELL_HEIGHT;

		fprintf(to, "<text x=\"0\" y=\"%d\">%s</text>\n", y + CELL_HEIGHT - 3,
		        hist_time(b == 0 ? 0 : 1ULL << b, time));
		for (int c = 0; c < heat->columns; c++) {
			uint64_t n = heat->cells[c][b];

			if (n > 0)
				fprintf(to,
				        "<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" "
				        "fill=\"%s\" fill-opacity=\"%.2f\"><title>%" PRIu64
				        "</title></rect>\n",
				        MARGIN + c * step, y, step, CELL_HEIGHT - 1, colour,
				        0.1 + 0.9 * shade(n, r.most, 9) / 9, n);
		}
	}
	fprintf(to,
	        "<text x=\"%d\" y=\"%d\">0</text><text x=\"%d\" y=\"%d\" "
	        "text-anchor=\"end\">%s</text></svg>\n",
	        MARGIN, rows * CELL_HEIGHT + 14, width, rows * CELL_HEIGHT + 14,
	        hist_time(heat->column_ns * (uint64_t)heat->columns, time));
}
