/* SPDX-License-Identifier: MIT */
/*
 * top.c - dsmx-trace top: a live table
 *
 *	p  processes: counters, those that grow as rates		t  tasks: what each waits for
 *	s  streams: what is under way in each			h  phases of StartStreams since the start
 *	< >  sort by another column	r  reverse	/  filter	space  pause	q  quit
 *	up, down  choose a row		enter  go down into it: from a process to its streams, from a stream to its
 *	phases				escape, backspace  back up
 *
 * A view is a function that makes rows of cells; sorting, filtering and drawing know nothing else. So the same
 * rows are drawn to the screen, and written as text where standard output is no terminal.
 */
#include <inttypes.h>
#include <locale.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/hist.h"
#include "../lib/mem.h"
#include "trace.h"
#include "view.h"

#define NS_PER_S  1000000000ULL
#define DEPTH_MAX 4

struct top {
	const struct trace_options *options;
	struct sessions sessions;
	struct view view;
	enum view_kind which;
	int sort[VIEW_COUNT];
	bool reverse;
	bool paused;
	bool typing; /* a filter */
	char filter[64];
	uint64_t interval_ns;
	uint64_t taken;
	int scroll;
	int chosen; /* row of those that match */
	int depth;
	struct level {
		enum view_kind which;
		struct view_scope scope;
	} levels[DEPTH_MAX]; /* above this one */
	struct view_scope scope;
};

static void take(struct top *top)
{
	sessions_find(&top->sessions, top->options);
	view_take(&top->view, top->which, &top->sessions, top->options, &top->scope);
	top->taken++;
}

static void arrange(struct top *top)
{
	view_sort(&top->view, top->sort[top->which], top->reverse);
}

/* --- drawing ------------------------------------------------------------------------------------------------------ */

/* How many columns there is room for: half a number tells something else. */
static int columns_that_fit(const struct view *view, int columns)
{
	int count = 0, x = 0;

	for (int c = 0; c < view->column_count; c++) {
		x += view->columns[c].width;
		if (x > columns)
			break;
		x++;
		count++;
	}
	return count > 0 ? count : 1;
}

static void draw_row(const struct top *top, const struct view_row *row, int y, int columns,
                     bool chosen)
{
	int x = 0, count = columns_that_fit(&top->view, columns);

	if (chosen)
		attron(A_BOLD | A_UNDERLINE);
	for (int c = 0; c < count; c++) {
		const struct view_column *column = &top->view.columns[c];

		mvprintw(y, x, column->left ? "%-*.*s" : "%*.*s", column->width, column->width,
		         row->cells[c].text);
		x += column->width + 1;
	}
	attroff(A_BOLD | A_UNDERLINE);
}

/* The first line: what is shown, and where we have gone down to. */
static void say_head(const struct top *top, FILE *to)
{
	const struct view_scope *s = &top->scope;
	struct dsmx_phases phases;
	char text[2][HIST_TIME_LEN], name[16];

	phases_take(&top->sessions, top->options, &phases);
	fprintf(to, "dsmx-trace %s", view_names[top->which]);
	if (s->session != 0)
		fprintf(to, " > %016" PRIx64, s->session);
	if (s->exchange != TRACE_ANY)
		fprintf(to, " > q%" PRIu64 " %u.%u>%u", s->query, s->exchange, s->task,
		        s->partition);
	else if (s->peer >= 0)
		fprintf(to, " > %s", peer_name((uint32_t)s->peer, name));
	if (top->paused)
		fputs("  [paused]", to);
	fprintf(to, ": %u session%s, %" PRIu64 " StartStreams", top->sessions.count,
	        top->sessions.count == 1 ? "" : "s", phases.streams);
	if (phases.streams > 0)
		fprintf(to, ", p50 %s, p99 %s",
		        hist_time(hist_quantile(phases.buckets[DSMX_STREAM_TOTAL],
		                                phases.max_ns[DSMX_STREAM_TOTAL], 0.5),
		                  text[0]),
		        hist_time(hist_quantile(phases.buckets[DSMX_STREAM_TOTAL],
		                                phases.max_ns[DSMX_STREAM_TOTAL], 0.99),
		                  text[1]));
}

static void draw_head(const struct top *top, int columns)
{
	char line[256] = "";
	FILE *to = fmemopen(line, sizeof(line), "w");

	if (to != NULL) {
		say_head(top, to);
		fclose(to);
	}
	mvprintw(0, 0, "%.*s", columns - 1, line);
	if (top->typing || top->filter[0] != '\0')
		mvprintw(1, 0, "filter: %s%s", top->filter, top->typing ? "_" : "");
	else
		mvprintw(1, 0, "%s",
		         top->sessions.count == 0
		                 ? "no session is open, as far as this user can see; waiting"
		                 : "");
}

/* The chosen row is one that is there, and on the screen. */
static void keep_in_sight(struct top *top, int room)
{
	int matching = 0;

	for (size_t r = 0; r < top->view.row_count; r++)
		matching += view_matches(&top->view, &top->view.rows[r], top->filter);
	if (top->chosen >= matching)
		top->chosen = matching > 0 ? matching - 1 : 0;
	if (top->scroll > top->chosen)
		top->scroll = top->chosen;
	if (room > 0 && top->chosen >= top->scroll + room)
		top->scroll = top->chosen - room + 1;
}

static void draw(struct top *top)
{
	const struct view *view = &top->view;
	int lines, columns, y = 3, x = 0, matching = 0, count;

	getmaxyx(stdscr, lines, columns);
	count = columns_that_fit(view, columns);
	keep_in_sight(top, lines - 4);
	erase();
	draw_head(top, columns);
	attron(A_REVERSE);
	mvhline(2, 0, ' ', columns);
	for (int c = 0; c < count; c++) {
		const struct view_column *column = &view->columns[c];

		mvprintw(2, x, column->left ? "%-*s" : "%*s", column->width, column->name);
		if (c == top->sort[top->which])
			mvchgat(2, x, column->width, A_REVERSE | A_BOLD, 0, NULL);
		x += column->width + 1;
	}
	attroff(A_REVERSE);
	for (size_t r = 0; r < view->row_count && y < lines - 1; r++) {
		const struct view_row *row = &view->rows[r];

		if (!view_matches(view, row, top->filter))
			continue;
		if (matching >= top->scroll)
			draw_row(top, row, y++, columns, matching == top->chosen);
		matching++;
	}
	mvprintw(lines - 1, 0, "%.*s", columns - 1,
	         "p processes  t tasks  s streams  h phases  enter down  esc up  < > sort  "
	         "r reverse  / filter  space pause  q quit");
	refresh();
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static void type(struct top *top, int key)
{
	size_t len = strlen(top->filter);

	if (key == '\n' || key == 27)
		top->typing = false;
	else if ((key == KEY_BACKSPACE || key == 127 || key == 8) && len > 0)
		top->filter[len - 1] = '\0';
	else if (key >= ' ' && key < 127 && len + 1 < sizeof(top->filter))
		memcpy(top->filter + len, (char[]){ (char)key, 0 }, 2);
	if (key == 27)
		top->filter[0] = '\0';
}

static void show(struct top *top, enum view_kind which)
{
	top->which = which;
	top->scroll = top->chosen = 0;
	take(top);
}

/* Another view, of everything again. */
static void show_all(struct top *top, enum view_kind which)
{
	top->depth = 0;
	top->scope = VIEW_EVERYTHING;
	show(top, which);
}

static const struct view_row *chosen_row(const struct top *top)
{
	int matching = 0;

	for (size_t r = 0; r < top->view.row_count; r++)
		if (view_matches(&top->view, &top->view.rows[r], top->filter) &&
		    matching++ == top->chosen)
			return &top->view.rows[r];
	return NULL;
}

/* From a process or task to the streams of its process, from a stream to all that is known of it. */
static void go_down(struct top *top)
{
	const struct view_row *row = chosen_row(top);

	if (row == NULL || row->scope.session == 0 || top->depth == DEPTH_MAX)
		return;
	top->levels[top->depth++] = (struct level){ top->which, top->scope };
	top->scope = row->scope;
	top->filter[0] = '\0';
	show(top, top->which == VIEW_STREAMS ? VIEW_STREAM : VIEW_STREAMS);
}

static void go_up(struct top *top)
{
	if (top->depth == 0)
		return;
	top->depth--;
	top->scope = top->levels[top->depth].scope;
	show(top, top->levels[top->depth].which);
}

static void move_sort(struct top *top, int by)
{
	int *sort = &top->sort[top->which], count = top->view.column_count;

	*sort = (*sort + by + count) % count;
}

/* Returns false to leave. */
static bool handle(struct top *top, int key)
{
	if (top->typing) {
		type(top, key);
		return true;
	}
	switch (key) {
	case 'q':
		return false;
	case 'p':
		show_all(top, VIEW_PROCESSES);
		break;
	case 't':
		show_all(top, VIEW_TASKS);
		break;
	case 's':
		show_all(top, VIEW_STREAMS);
		break;
	case 'h':
		show_all(top, VIEW_PHASES);
		break;
	case '<':
		move_sort(top, -1);
		break;
	case '>':
		move_sort(top, 1);
		break;
	case 'r':
		top->reverse = !top->reverse;
		break;
	case '/':
		top->typing = true;
		top->filter[0] = '\0';
		break;
	case ' ':
		top->paused = !top->paused;
		break;
	case KEY_DOWN:
		top->chosen++;
		break;
	case KEY_UP:
		top->chosen -= top->chosen > 0;
		break;
	case '\n':
	case KEY_ENTER:
		go_down(top);
		break;
	case 27: /* escape */
	case KEY_BACKSPACE:
	case 127:
		go_up(top);
		break;
	default: /* KEY_RESIZE is drawn like any other */
		break;
	}
	return true;
}

/* --- the two ways to show it --------------------------------------------------------------------------------------- */

static bool is_over(const struct top *top, uint64_t start_ns)
{
	const struct trace_options *o = top->options;

	return interrupted() || (o->count > 0 && top->taken > o->count) ||
	       (o->duration_s > 0 &&
	        clock_ns() - start_ns >= (uint64_t)(o->duration_s * (double)NS_PER_S));
}

static void on_screen(struct top *top)
{
	uint64_t start_ns = clock_ns(), due_ns = start_ns;
	bool stay = true;

	setlocale(LC_ALL, "");
	initscr();
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	set_escdelay(25);
	while (stay && !is_over(top, start_ns)) {
		uint64_t now_ns = clock_ns();
		int key;

		if (now_ns >= due_ns) {
			if (!top->paused)
				take(top);
			due_ns = now_ns + top->interval_ns;
		}
		arrange(top);
		draw(top);
		timeout((int)((due_ns - now_ns) / 1000000 + 1));
		key = getch();
		if (key != ERR)
			stay = handle(top, key);
	}
	endwin();
}

static void as_text(struct top *top)
{
	uint64_t start_ns = clock_ns();

	/* Rates are of two samples: the first one is not shown, unless it is all. */
	take(top);
	while (!is_over(top, start_ns)) {
		if (!sleep_until(start_ns + top->taken * top->interval_ns))
			break;
		take(top);
		arrange(top);
		view_print(stdout, &top->view, top->filter);
		fflush(stdout);
		if (top->options->count == 0 && top->options->duration_s == 0)
			break;
	}
}

static int start(struct top *top)
{
	const struct trace_options *o = top->options;

	for (int i = 0; i < VIEW_COUNT; i++)
		top->sort[i] = 0;
	if (o->filter != NULL)
		snprintf(top->filter, sizeof(top->filter), "%s", o->filter);
	top->interval_ns = (uint64_t)((o->interval_s > 0 ? o->interval_s : 1) * (double)NS_PER_S);
	sessions_find(&top->sessions, o);
	view_take(&top->view, VIEW_PROCESSES, &top->sessions, o, &top->scope);
	if (o->sort == NULL)
		return EXIT_OK;
	for (int c = 0; c < top->view.column_count; c++)
		if (strcmp(top->view.columns[c].name, o->sort) == 0) {
			top->sort[VIEW_PROCESSES] = c;
			return EXIT_OK;
		}
	fprintf(stderr, "dsmx-trace: there is no column '%s' to sort by; these are:", o->sort);
	for (int c = 0; c < top->view.column_count; c++)
		fprintf(stderr, " %s", top->view.columns[c].name);
	fputc('\n', stderr);
	return EXIT_USAGE;
}

int top_main(const struct trace_options *options)
{
	struct top top = { .options = options, .scope = VIEW_EVERYTHING };
	int status = start(&top);

	if (status == EXIT_OK && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO)) {
		on_screen(&top);
	} else if (status == EXIT_OK) {
		if (top.sessions.count == 0)
			status = sessions_none(&top.sessions, options);
		else
			as_text(&top);
	}
	view_fini(&top.view);
	sessions_fini(&top.sessions);
	return status;
}
