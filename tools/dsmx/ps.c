/* SPDX-License-Identifier: MIT */
/*
 * ps.c - dsmx ps: the sessions and their workers, as a table or as JSON, once or again and again
 *
 * On a terminal it is shown anew every interval until q or Ctrl-C; into a pipe or a file once. Processor time is
 * shown as a share of one processor since the last look, the first time as seconds.
 */
#include "ps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/args.h"
#include "commands.h"
#include "dsmx/control.h"

#define INTERVAL_MS_DEFAULT 1000
#define INTERVAL_S_MAX      86400

enum option {
	OPT_JSON,
	OPT_SESSION,
	OPT_INTERVAL,
	OPT_COUNT,
	OPT_WATCH,
	OPT_WIDE,
};

static const struct args_option options[] = {
	[OPT_JSON] = { "json", 'j', NULL, "one JSON object a line, for each look" },
	[OPT_SESSION] = { "session", 's', "ID", "only this session" },
	[OPT_INTERVAL] = { "interval", 'i', "SEC", "look again so often (1)" },
	[OPT_COUNT] = { "count", 'n', "N", "look so many times" },
	[OPT_WATCH] = { "watch", 'w', NULL, "again and again, also where it is no terminal" },
	[OPT_WIDE] = { "wide", 'l', NULL,
	               "with cgroups, pressure, and how workers ended, in words" },
	{ 0 },
};

static const struct args_usage usage = {
	.command = "dsmx ps",
	.usage = "[OPTION]...",
	.summary =
		"Shows the sessions and their workers: yours, as root everybody's. On a terminal\n"
		"again and again, q ends it; else once.",
	.options = options,
	.footer =
		"MEM and LIMIT are of a worker's cgroup, CPU is the share of one processor since\n"
		"the last look (the first time: seconds since its start), QUERIES are open ones\n"
		"that it takes part in, LAST EXIT is of the incarnation before. Exit status: 0,\n"
		"1 after an error or where the session is not there, 2 after wrong usage.",
};

struct ps_options {
	bool json, watch, wide;
	uint64_t session; /* 0: all */
	uint64_t interval_ms;
	uint64_t count; /* 0: no end */
};

/* --- the table ------------------------------------------------------------------------------------------------ */

static const char *size_text(uint64_t bytes, char buf[16])
{
	static const char units[] = "BKMGT";
	double value = (double)bytes;
	int unit = 0;

	for (; value >= 1000 && unit < 4; unit++)
		value /= 1024;
	snprintf(buf, 16, unit == 0 || value >= 100 ? "%.0f%c" : "%.1f%c", value, units[unit]);
	return buf;
}

/* The worker's processor time at the last look; 0: there was none of this incarnation. */
static uint64_t cpu_before(const struct dsmx_snapshot *before, uint64_t session,
                           const struct dsmx_worker_status *worker)
{
	for (uint32_t i = 0; before != NULL && i < before->session_count; i++) {
		const struct dsmx_session_status *s = &before->sessions[i];

		if (s->session == session && worker->worker < s->worker_count &&
		    s->workers[worker->worker].epoch == worker->epoch)
			return s->workers[worker->worker].usage.cpu_ns;
	}
	return 0;
}

static const char *cpu_text(const struct ps_look *look, uint64_t session,
                            const struct dsmx_worker_status *worker, char buf[16])
{
	uint64_t before_ns = cpu_before(look->before, session, worker),
		 now_ns = worker->usage.cpu_ns;

	if (worker->cgroup[0] == '\0')
		return "-";
	if (before_ns == 0 || look->passed_ns == 0)
		snprintf(buf, 16, "%.2fs", (double)now_ns / 1e9);
	else
		snprintf(buf, 16, "%.0f%%",
		         100.0 * (double)(now_ns > before_ns ? now_ns - before_ns : 0) /
		                 (double)look->passed_ns);
	return buf;
}

static void print_exit(const struct dsmx_worker_status *w, FILE *out)
{
	if (w->exit_reason == DSMX_EXIT_NONE)
		fprintf(out, "-");
	else if (w->exit_reason == DSMX_EXIT_CODE)
		fprintf(out, "EXIT_CODE %d", w->exit_status);
	else if (w->exit_reason == DSMX_EXIT_SIGNAL)
		fprintf(out, "SIGNAL %d", w->exit_status);
	else
		fprintf(out, "%s", dsmx_exit_reason_str(w->exit_reason));
}

static void print_worker(const struct ps_look *look, const struct dsmx_session_status *s,
                         const struct dsmx_worker_status *w, FILE *out)
{
	bool has_memory = w->usage.memory_bytes > 0 || w->usage.memory_peak_bytes > 0;
	char memory[16], limit[16], cpu[16], queries[24], state[24];

	snprintf(state, sizeof(state), "%s%s", w->dying ? "dying" : w->state, w->frozen ? "*" : "");
	snprintf(queries, sizeof(queries), "%" PRId64, w->queries);
	fprintf(out, "  w%-2u %-9s %7d %5" PRIu64 " %5s %5s %6s %7s %8u  ", w->worker, state,
	        w->pid, w->epoch, has_memory ? size_text(w->usage.memory_bytes, memory) : "-",
	        w->memory_max != 0 ? size_text(w->memory_max, limit) : "-",
	        cpu_text(look, s->session, w, cpu), w->queries >= 0 ? queries : "-", w->restarts);
	print_exit(w, out);
	fputc('\n', out);
	if (!look->wide)
		return;
	if (w->cgroup[0] != '\0')
		fprintf(out, "       %s: peak %s, pressure cpu %.2fs memory %.2fs io %.2fs\n",
		        w->cgroup, size_text(w->usage.memory_peak_bytes, memory),
		        (double)w->usage.cpu_pressure_ns / 1e9,
		        (double)w->usage.memory_pressure_ns / 1e9,
		        (double)w->usage.io_pressure_ns / 1e9);
	if (w->exit_text[0] != '\0')
		fprintf(out, "       %s\n", w->exit_text);
}

static void print_session(const struct ps_look *look, const struct dsmx_session_status *s,
                          FILE *out)
{
	fprintf(out, "%016" PRIx64 "  leader %d, supervisor %d, uid %u%s\n", s->session,
	        s->leader_pid, s->supervisor_pid, s->uid,
	        s->alive ? "" : ": killed, all its processes");
	if (s->level[0] != '\0')
		fprintf(out, "  %s, %s%s%s\n", s->level, s->isolation,
		        s->cgroup[0] != '\0' ? " " : "", s->cgroup);
	for (uint32_t i = 0; i < s->worker_count; i++)
		print_worker(look, s, &s->workers[i], out);
	if (look->wide && s->missing[0] != '\0')
		fprintf(out, "  missing: %s\n", s->missing);
}

static void print_table(const struct ps_look *look, FILE *out)
{
	bool frozen = false;
	uint32_t shown = 0;

	for (uint32_t i = 0; i < look->now->session_count; i++) {
		const struct dsmx_session_status *s = &look->now->sessions[i];

		if (look->session != 0 && look->session != s->session)
			continue;
		if (shown++ == 0)
			fprintf(out,
			        "SESSION\n  %-3s %-9s %7s %5s %5s %5s %6s %7s %8s  LAST EXIT\n", "",
			        "STATE", "PID", "EPOCH", "MEM", "LIMIT", "CPU", "QUERIES",
			        "RESTARTS");
		print_session(look, s, out);
		for (uint32_t w = 0; w < s->worker_count; w++)
			frozen |= s->workers[w].frozen;
	}
	if (shown == 0)
		fprintf(out, "no session%s\n", look->session != 0 ? " of this id" : "");
	if (frozen)
		fprintf(out, "* frozen\n");
}

/* --- again and again -------------------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static bool has_session(const struct dsmx_snapshot *snapshot, uint64_t id)
{
	for (uint32_t i = 0; i < snapshot->session_count; i++)
		if (snapshot->sessions[i].session == id)
			return true;
	return id == 0;
}

/* On the screen, until it is time for another look or to end. Returns whether it is to end. */
static bool show(const struct ps_look *look, const struct ps_options *o, bool last)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	enum ps_key key = PS_QUIT;

	if (out == NULL)
		return true;
	print_table(look, out);
	if (fclose(out) == 0)
		do {
			ps_screen_draw(text);
			if (fflush(stdout) != 0)
				break;
			key = ps_screen_wait(last ? 0 : o->interval_ms, true);
		} while (key == PS_DRAW);
	free(text);
	return key == PS_QUIT;
}

/* As show(), line by line. */
static bool print(const struct ps_look *look, const struct ps_options *o, bool last)
{
	if (o->json)
		ps_json(look);
	else
		print_table(look, stdout);
	return !last && (fflush(stdout) != 0 || ps_screen_wait(o->interval_ms, false) == PS_QUIT);
}

static int look_again(const struct ps_options *o, bool live)
{
	struct dsmx_snapshot *now = NULL, *before = NULL;
	uint64_t now_at = 0, before_at = 0;
	struct dsmx_error err;
	int status = EXIT_OK;
	bool end = false;

	for (uint64_t i = 0; !end && (o->count == 0 || i < o->count); i++) {
		bool last = i + 1 == o->count;
		struct ps_look look = { .session = o->session, .wide = o->wide };

		dsmx_snapshot_free(before);
		before = now;
		before_at = now_at;
		if (dsmx_snapshot_take(&now, &err) != 0) {
			now = NULL;
			fprintf(stderr, "dsmx: %s\n", err.message);
			status = EXIT_ERROR;
			break;
		}
		now_at = now_ns();
		look.now = now;
		look.before = before;
		look.passed_ns = before != NULL ? now_at - before_at : 0;
		status = has_session(now, o->session) ? EXIT_OK : EXIT_ERROR;
		end = live ? show(&look, o, last) : print(&look, o, last);
	}
	dsmx_snapshot_free(before);
	dsmx_snapshot_free(now);
	return status;
}

static int run(const struct ps_options *o)
{
	bool again = o->watch || o->count != 1;
	struct ps_options once = *o;
	int status, signal;

	if (!o->json && again && ps_screen_open()) {
		status = look_again(o, true);
		signal = ps_screen_close();
		return signal != 0 ? 128 + signal : status;
	}
	if (o->count == 0 && !o->watch)
		once.count = 1;
	return look_again(&once, false);
}

/* --- the command line --------------------------------------------------------------------------------------------- */

static int take_interval(const struct args *args, uint64_t *ret_ms)
{
	char *end;
	double seconds = strtod(args->value, &end);

	if (end == args->value || *end != '\0' || !(seconds >= 0.01 && seconds <= INTERVAL_S_MAX))
		return args_wrong(args->usage,
		                  "--interval must be seconds from 0.01 to %d, not '%s'",
		                  INTERVAL_S_MAX, args->value);
	*ret_ms = (uint64_t)(seconds * 1000);
	return 0;
}

static int take_option(const struct args *args, int option, struct ps_options *o)
{
	switch (option) {
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_WATCH:
		o->watch = true;
		return 0;
	case OPT_WIDE:
		o->wide = true;
		return 0;
	case OPT_INTERVAL:
		return take_interval(args, &o->interval_ms);
	case OPT_SESSION:
		if (session_id(args->value, &o->session) == 0)
			return 0;
		return args_wrong(args->usage, "'%s' is no session: 16 hexadecimal digits",
		                  args->value);
	default:
		if (args_number(args->value, UINT32_MAX, &o->count) == 0 && o->count > 0)
			return 0;
		return args_wrong(args->usage, "--count must be a number from 1 on, not '%s'",
		                  args->value);
	}
}

int ps_main(int argc, char **argv)
{
	struct ps_options o = { .interval_ms = INTERVAL_MS_DEFAULT };
	struct args args;
	int option, status = 0;

	args_init(&args, &usage, argc, argv);
	while (status == 0 && (option = args_next(&args)) >= 0)
		status = take_option(&args, option, &o);
	if (status == 0 && option == ARGS_EXIT)
		status = args.status;
	else if (status == 0 && args.operand_count > 0)
		status = args_wrong(&usage, "'%s': ps takes no operands", args.operands[0]);
	else if (status == 0)
		status = run(&o);
	args_fini(&args);
	return status;
}
