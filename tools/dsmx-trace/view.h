/* SPDX-License-Identifier: MIT */
/*
 * view.h - tables of cells that dsmx-trace top shows
 */
#ifndef DSMX_TRACE_VIEW_H
#define DSMX_TRACE_VIEW_H

#include "trace.h"

enum view_kind { VIEW_PROCESSES, VIEW_TASKS, VIEW_STREAMS, VIEW_PHASES, VIEW_COUNT };
extern const char *const view_names[VIEW_COUNT];

#define VIEW_COLUMNS 14
#define VIEW_CELL    40

struct view_column {
	const char *name;
	int width;
	bool left; /* text, on the left */
};

struct view_cell {
	char text[VIEW_CELL];
	double number; /* to sort by; NAN: by the text */
};

struct view_row {
	struct view_cell cells[VIEW_COLUMNS];
};

struct view {
	const struct view_column *columns;
	int column_count;
	size_t row_count, row_room;
	struct view_row *rows;
	size_t before_count; /* the counters of the sample before, for rates */
	struct counts *before;
};

/* The rows of now. */
void view_take(struct view *view, enum view_kind kind, const struct sessions *sessions);
/* Texts rise, numbers fall; the other way round with @reverse. Equal rows stay in their order. */
void view_sort(struct view *view, int column, bool reverse);
/* Has a cell of the row this text? */
bool view_matches(const struct view *view, const struct view_row *row, const char *text);
void view_print(FILE *to, const struct view *view, const char *filter);
void view_fini(struct view *view);

#endif /* DSMX_TRACE_VIEW_H */
