/* SPDX-License-Identifier: MIT */
/*
 * ps.c - dsmx ps: the sessions and their workers, as a table or as JSON, once or again and again
 *
 * On a terminal it is shown anew every interval until q or Ctrl-C; into a pipe or a file once. Processor time is
 * shown as a share of one processor since the last look, the first time as seconds.
 */
#include "ps.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

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

static void print_exit(const struct dsmx_worker_status *w)
{
	if (w->exit_reason == DSMX_EXIT_NONE)
		printf("-");
	else if (w->exit_reason == DSMX_EXIT_CODE)
		printf("EXIT_CODE %d", w->exit_status);
	else if (w->exit_reason == DSMX_EXIT_SIGNAL)
		printf("SIGNAL %d", w->exit_status);
	else
		printf("%s", dsmx_exit_reason_str(w->exit_reason));
}

static void print_worker(const struct ps_look *look, const struct dsmx_session_status *s,
                         const struct dsmx_worker_status *w, const char *end)
{
	bool has_memory = w->usage.memory_bytes > 0 || w->usage.memory_peak_bytes > 0;
	char memory[16], limit[16], cpu[16], queries[24], state[24];

	snprintf(state, sizeof(state), "%s%s", w->state, w->frozen ? "*" : "");
	snprintf(queries, sizeof(queries), "%" PRId64, w->queries);
	printf("  w%-3u %-10s %8d %6" PRIu64 " %8s %8s %7s %7s %8u  ", w->worker, state, w->pid,
	       w->epoch, has_memory ? size_text(w->usage.memory_bytes, memory) : "-",
	       w->memory_max != 0 ? size_text(w->memory_max, limit) : "-",
	       cpu_text(look, s->session, w, cpu), w->queries >= 0 ? queries : "-", w->restarts);
	print_exit(w);
	printf("%s\n", end);
	if (!look->wide)
		return;
	if (w->cgroup[0] != '\0')
		printf("       %s: peak %s, pressure cpu %.2fs memory %.2fs io %.2fs%s\n",
		       w->cgroup, size_text(w->usage.memory_peak_bytes, memory),
		       (double)w->usage.cpu_pressure_ns / 1e9,
		       (double)w->usage.memory_pressure_ns / 1e9,
		       (double)w->usage.io_pressure_ns / 1e9, end);
	if (w->exit_text[0] != '\0')
		printf("       %s%s\n", w->exit_text, end);
}

static void print_session(const struct ps_look *look, const struct dsmx_session_status *s,
                          const char *end)
{
	printf("%016" PRIx64 "  leader %d, supervisor %d, uid %u, %s%s%s%s%s\n", s->session,
	       s->leader_pid, s->supervisor_pid, s->uid, s->isolation,
	       s->cgroup[0] != '\0' ? " " : "", s->cgroup,
	       s->alive ? "" : ": killed, all its processes", end);
	for (uint32_t i = 0; i < s->worker_count; i++)
		print_worker(look, s, &s->workers[i], end);
	if (look->wide && s->missing[0] != '\0')
		printf("  missing: %s%s\n", s->missing, end);
}

static void print_table(const struct ps_look *look, const char *end)
{
	bool frozen = false;
	uint32_t shown = 0;

	for (uint32_t i = 0; i < look->now->session_count; i++) {
		const struct dsmx_session_status *s = &look->now->sessions[i];

		if (look->session != 0 && look->session != s->session)
			continue;
		if (shown++ == 0)
			printf("SESSION\n  %-4s %-10s %8s %6s %8s %8s %7s %7s %8s  LAST EXIT%s\n",
			       "", "STATE", "PID", "EPOCH", "MEM", "LIMIT", "CPU", "QUERIES",
			       "RESTARTS", end);
		print_session(look, s, end);
		for (uint32_t w = 0; w < s->worker_count; w++)
			frozen |= s->workers[w].frozen;
	}
	if (shown == 0)
		printf("no session%s%s\n", look->session != 0 ? " of this id" : "", end);
	if (frozen)
		printf("* frozen%s\n", end);
}

/* --- again and again -------------------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

/* Keys without a line's end, on a screen of its own; as it was at the end. */
static bool set_screen(const struct termios *before)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct termios raw = *before;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0)
		return false;
	fputs("\033[?1049h\033[?25l", stdout);
	return true;
}

static void leave_screen(const struct termios *before)
{
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, before);
}

/* Returns whether it is to end: q, or a signal. */
static bool wait_for_key(uint64_t ms, bool keys)
{
	struct pollfd in = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN };
	uint64_t end_ns = now_ns() + ms * 1000000U;

	for (;;) {
		uint64_t at_ns = now_ns();
		char key = 0;
		int r;

		if (interrupted || at_ns >= end_ns)
			return interrupted != 0;
		r = poll(&in, 1, (int)((end_ns - at_ns) / 1000000U + 1));
		if (r > 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q'))
			return true;
	}
}

static bool has_session(const struct dsmx_snapshot *snapshot, uint64_t id)
{
	for (uint32_t i = 0; i < snapshot->session_count; i++)
		if (snapshot->sessions[i].session == id)
			return true;
	return id == 0;
}

static int look_again(const struct ps_options *o, bool live)
{
	struct dsmx_snapshot *now = NULL, *before = NULL;
	uint64_t now_at = 0, before_at = 0;
	struct dsmx_error err;
	int status = EXIT_OK;

	for (uint64_t i = 0; o->count == 0 || i < o->count; i++) {
		struct ps_look look = { .session = o->session, .wide = o->wide };

		if (i > 0 && (fflush(stdout) != 0 || wait_for_key(o->interval_ms, live)))
			break;
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
		if (live)
			fputs("\033[H", stdout);
		if (o->json)
			ps_json(&look);
		else
			print_table(&look, live ? "\033[K" : "");
		if (live)
			fputs("\033[J", stdout);
		status = has_session(now, o->session) ? EXIT_OK : EXIT_ERROR;
	}
	dsmx_snapshot_free(before);
	dsmx_snapshot_free(now);
	return status;
}

static int run(const struct ps_options *o)
{
	bool live = !o->json && (o->watch || o->count != 1) && isatty(STDIN_FILENO) &&
	            isatty(STDOUT_FILENO);
	struct ps_options once = *o;
	struct termios before;
	int status;

	if (!live) {
		if (o->count == 0 && !o->watch)
			once.count = 1;
		return look_again(&once, false);
	}
	if (tcgetattr(STDIN_FILENO, &before) != 0 || !set_screen(&before)) {
		once.count = 1;
		return look_again(&once, false);
	}
	status = look_again(o, true);
	leave_screen(&before);
	if (interrupted)
		return 128 + interrupted;
	return status;
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
