/* SPDX-License-Identifier: MIT */
/*
 * view.h - tables of cells that dsmx-trace top shows
 */
#ifndef DSMX_TRACE_VIEW_H
#define DSMX_TRACE_VIEW_H

#include "trace.h"

enum view_kind { VIEW_PROCESSES, VIEW_TASKS, VIEW_STREAMS, VIEW_PHASES, VIEW_STREAM, VIEW_COUNT };
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

/* What a row is about, and what a view can be limited to: with more and more of it filled in, one goes down. */
struct view_scope {
	uint64_t session;                   /* 0: any */
	int peer;                           /* -1: any */
	uint64_t query;                     /* with exchange: of one stream */
	uint32_t exchange, task, partition; /* exchange TRACE_ANY: any */
};
#define VIEW_EVERYTHING                                                                            \
	(struct view_scope)                                                                        \
	{                                                                                          \
		.peer = -1, .exchange = TRACE_ANY                                                  \
	}

struct view_row {
	struct view_cell cells[VIEW_COLUMNS];
	struct view_scope scope;
};

struct view {
	const struct view_column *columns;
	int column_count;
	size_t row_count, row_room;
	struct view_row *rows;
	const struct trace_options *options;
	struct view_scope scope; /* of the rows that are being taken */
	size_t before_count;     /* the counters of the sample before, for rates */
	struct counts *before;
};

/* The rows of now, of what the options and @scope leave. */
void view_take(struct view *view, enum view_kind kind, const struct sessions *sessions,
               const struct trace_options *options, const struct view_scope *scope);
/* Texts rise, numbers fall; the other way round with @reverse. Equal rows stay in their order. */
void view_sort(struct view *view, int column, bool reverse);
/* Has a cell of the row this text? */
bool view_matches(const struct view *view, const struct view_row *row, const char *text);
void view_print(FILE *to, const struct view *view, const char *filter);
void view_fini(struct view *view);

#endif /* DSMX_TRACE_VIEW_H */
