/* SPDX-License-Identifier: MIT */
/*
 * main.c - dsmx-trace COMMAND: the command line
 *
 * All commands share one set of options. Exit status: 0, 1 after an error or with nothing to trace, 2 after
 * wrong usage, 3 without permission, 4 where this machine or build cannot do it.
 */
#include "../lib/args.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/hist.h"
#include "../lib/stdout.h"
#include "dsmx/dsmx.h"
#include "source.h"

#define BIT(format) (1U << (format))
#define TEXT        BIT(FORMAT_TEXT)
#define LINES       (TEXT | BIT(FORMAT_JSON) | BIT(FORMAT_CSV))
#define NUMBERS     (LINES | BIT(FORMAT_OPENMETRICS))

/* As they came: a recorded file, which is an operand here. */
static int replay_main(const struct trace_options *options)
{
	return follow_main(options);
}

static const struct command {
	const char *name;
	int (*main)(const struct trace_options *options);
	unsigned formats; /* a bit for each */
	enum format usual;
	const char *line;
} commands[] = {
	{ "top", top_main, TEXT, FORMAT_TEXT, "sessions, processes, tasks and streams, live" },
	{ "stat", stat_main, NUMBERS, FORMAT_TEXT, "the counters of every process" },
	{ "hist", hist_main, NUMBERS, FORMAT_TEXT, "how long StartStreams take, by phase" },
	{ "why", why_main, TEXT, FORMAT_TEXT, "who waits for whom, and in a circle if so" },
	{ "list", list_main, LINES, FORMAT_TEXT, "the sessions to be seen, and the probes" },
	{ "doctor", doctor_main, TEXT | BIT(FORMAT_JSON), FORMAT_TEXT,
	  "what works on this machine, and what to do about the rest" },
	{ "slow", slow_main, LINES, FORMAT_TEXT, "StartStreams that take long *" },
	{ "follow", follow_main, LINES, FORMAT_TEXT, "events, as they come *" },
	{ "record", record_main, TEXT, FORMAT_TEXT, "nothing, and writes events to a file *" },
	{ "replay", replay_main, LINES, FORMAT_TEXT, "the events of FILE, which was recorded" },
	{ "export", export_main,
	  BIT(FORMAT_JSON) | BIT(FORMAT_CSV) | BIT(FORMAT_CHROME) | BIT(FORMAT_HTML), FORMAT_JSON,
	  "events for other programs *" },
	{ "flight", flight_main, LINES, FORMAT_TEXT,
	  "the last events of each process, also of one that died" },
	{ "offcpu", offcpu_main, LINES, FORMAT_TEXT,
	  "time asleep or waiting for a CPU, by task *" },
	{ "check", check_main, TEXT | BIT(FORMAT_JSON), FORMAT_TEXT,
	  "whether each producer that started had been asked to *" },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

enum option {
	OPT_PID,
	OPT_SESSION,
	OPT_CGROUP,
	OPT_WORKER,
	OPT_STREAM,
	OPT_FILE,
	OPT_DURATION,
	OPT_INTERVAL,
	OPT_COUNT,
	OPT_FORMAT,
	OPT_PHASE,
	OPT_SORT,
	OPT_FILTER,
	OPT_KERNEL,
	OPT_NO_SCHEDULER,
	OPT_MIN_US,
	OPT_FROM,
	OPT_OUTPUT,
	OPT_BUFFER,
	OPT_HEAT,
	OPT_ALL,
	OPT_ON,
	OPT_OFF,
};

static const struct args_option options[] = {
	[OPT_PID] = { "pid", 'p', "PID", "only the session that this process is in" },
	[OPT_SESSION] = { "session", 's', "ID", "only this session" },
	[OPT_CGROUP] = { "cgroup", 'g', "DIR", "only sessions with processes in this cgroup" },
	[OPT_WORKER] = { "worker", 'w', "N", "only this worker, from 0, or 'leader'" },
	[OPT_STREAM] = { "stream", 'S', "E[.T[>P]]", "only this exchange, task, partition" },
	[OPT_FILE] = { "file", 0, "FILE", "probes of this program or library only; repeatable *" },
	[OPT_DURATION] = { "duration", 'd', "SEC", "what happens in so many seconds" },
	[OPT_INTERVAL] = { "interval", 'i', "SEC", "again at each interval" },
	[OPT_COUNT] = { "count", 'n', "N", "so many intervals, or samples" },
	[OPT_FORMAT] = { "format", 0, "FORMAT", "text, json, csv, openmetrics, chrome or html" },
	[OPT_PHASE] = { "phase", 0, "PHASE", "request, spawn, first, deliver or total (all)" },
	[OPT_SORT] = { "sort", 0, "COLUMN", "top: by this column" },
	[OPT_FILTER] = { "filter", 0, "TEXT", "top: only rows with this text" },
	[OPT_KERNEL] = { "kernel", 'k', NULL, "hist: of the kernel's probes, with times asleep *" },
	[OPT_NO_SCHEDULER] = { "no-scheduler", 0, NULL, "without times asleep and waiting" },
	[OPT_MIN_US] = { "min-us", 0, "US", "slow: that take at least so long (1000)" },
	[OPT_FROM] = { "from", 0, "FILE", "events of a file that was recorded" },
	[OPT_OUTPUT] = { "output", 'o', "FILE", "record, export, offcpu: to this file" },
	[OPT_BUFFER] = { "buffer", 0, "KIB", "memory for events until they are read (4096)" },
	[OPT_HEAT] = { "heat", 0, NULL, "hist: over time, a column for each interval" },
	[OPT_ALL] = { "all", 0, NULL,
	              "set frequent probes as well, to be counted: parks, spills *" },
	[OPT_ON] = { "on", 0, NULL, "flight: switch the recorders on" },
	[OPT_OFF] = { "off", 0, NULL, "flight: switch them off" },
	{ 0 },
};

static const char footer[] =
	"Counters and histograms are in memory that the processes share with whoever is\n"
	"the same user, or root; reading them disturbs nobody. What has a * uses probes:\n"
	"it needs CAP_BPF and CAP_PERFMON, or a recorded file. Exit status: 0, 1 after an\n"
	"error or with nothing to trace, 2 after wrong usage, 3 without permission, 4\n"
	"where this machine or build cannot do it.";

#define FILES_MAX 200U
static const char *files[FILES_MAX];

static int take_seconds(const struct args *args, const char *name, double *ret_seconds)
{
	char *end;
	double seconds = strtod(args->value, &end);

	if (end == args->value || *end != '\0' || !(seconds >= 0.001 && seconds <= 1e6))
		return args_wrong(args->usage, "%s takes seconds from 0.001 to 1000000, not '%s'",
		                  name, args->value);
	*ret_seconds = seconds;
	return 0;
}

static int take_name(const struct args *args, const char *name, const char *const *names, int count,
                     int *ret_index)
{
	for (int i = 0; i < count; i++)
		if (strcmp(args->value, names[i]) == 0) {
			*ret_index = i;
			return 0;
		}
	return args_wrong(args->usage, "there is no %s '%s'", name, args->value);
}

static int take_session(const struct args *args, uint64_t *ret_id)
{
	char *end;

	errno = 0;
	*ret_id = strtoull(args->value, &end, 16);
	if (errno == 0 && *end == '\0' && *ret_id != 0 && args->value[0] != '-')
		return 0;
	return args_wrong(args->usage, "a session is 16 hexadecimal digits, not '%s'", args->value);
}

static int take_number(const struct args *args, const char *name, uint64_t most, uint64_t *ret)
{
	if (args_number(args->value, most, ret) == 0 && *ret > 0)
		return 0;
	return args_wrong(args->usage, "%s takes a number from 1, not '%s'", name, args->value);
}

static int take_worker(const struct args *args, int *ret_peer)
{
	uint64_t number;

	if (strcmp(args->value, "leader") == 0) {
		*ret_peer = DSMX_ABI_LEADER;
		return 0;
	}
	if (args_number(args->value, DSMX_ABI_PEERS - 2, &number) < 0)
		return args_wrong(args->usage,
		                  "--worker takes a number from 0, or leader, not '%s'",
		                  args->value);
	*ret_peer = (int)number + 1;
	return 0;
}

/* As they are printed: "3", "3.0", "3.0>1". */
static int take_stream(const struct args *args, struct stream_choice *ret)
{
	int end = 0, n = sscanf(args->value, "%u%n.%u%n>%u%n", &ret->exchange, &end, &ret->task,
	                        &end, &ret->partition, &end);

	if (n >= 1 && args->value[end] == '\0' && args->value[0] != '-')
		return 0;
	return args_wrong(args->usage,
	                  "a stream is EXCHANGE, EXCHANGE.TASK or "
	                  "EXCHANGE.TASK>PARTITION, not '%s'",
	                  args->value);
}

static int take_file(const struct args *args, struct trace_options *o)
{
	if (o->file_count == FILES_MAX)
		return args_wrong(args->usage, "at most %u files can be named", FILES_MAX);
	files[o->file_count++] = args->value;
	o->files = files;
	return 0;
}

/* Those without a value. */
static void take_flag(enum option option, struct trace_options *o)
{
	o->kernel |= option == OPT_KERNEL;
	o->no_scheduler |= option == OPT_NO_SCHEDULER;
	o->heat |= option == OPT_HEAT;
	o->all_probes |= option == OPT_ALL;
	if (option == OPT_ON || option == OPT_OFF)
		o->turn = option == OPT_ON ? 1 : -1;
}

static int take_option(const struct args *args, enum option option, struct trace_options *o)
{
	static const char *const formats[] = { "text",        "json",   "csv",
		                               "openmetrics", "chrome", "html" };
	uint64_t number = 0;
	int r = 0, index = 0;

	switch (option) {
	case OPT_PID:
		r = take_number(args, "--pid", INT32_MAX, &number);
		o->pid = (pid_t)number;
		return r;
	case OPT_SESSION:
		return take_session(args, &o->session);
	case OPT_CGROUP:
		o->cgroup = args->value;
		return 0;
	case OPT_WORKER:
		return take_worker(args, &o->worker);
	case OPT_STREAM:
		return take_stream(args, &o->stream);
	case OPT_FILE:
		return take_file(args, o);
	case OPT_DURATION:
		return take_seconds(args, "--duration", &o->duration_s);
	case OPT_INTERVAL:
		return take_seconds(args, "--interval", &o->interval_s);
	case OPT_COUNT:
		return take_number(args, "--count", UINT32_MAX, &o->count);
	case OPT_FORMAT:
		r = take_name(args, "format", formats, 6, &index);
		o->format = (enum format)index;
		return r;
	case OPT_PHASE:
		return take_name(args, "phase", hist_phase_names, DSMX_STREAM_PHASES, &o->phase);
	case OPT_SORT:
		o->sort = args->value;
		return 0;
	case OPT_FILTER:
		o->filter = args->value;
		return 0;
	case OPT_MIN_US:
		return take_number(args, "--min-us", UINT32_MAX, &o->min_us);
	case OPT_FROM:
		o->from = args->value;
		return 0;
	case OPT_BUFFER:
		return take_number(args, "--buffer", 1U << 20, &o->buffer_kib);
	case OPT_OUTPUT:
		o->output = args->value;
		return 0;
	default:
		take_flag(option, o);
		return 0;
	}
}

static int find_worker(const struct sessions *sessions, int peer)
{
	char name[16];

	for (uint32_t i = 0; i < sessions->count; i++)
		if (sessions->list[i]->pages[peer].base != NULL)
			return 0;
	fprintf(stderr, "dsmx-trace: no session that can be seen has a %s\n",
	        peer_name((uint32_t)peer, name));
	return EXIT_ERROR;
}

/* Probes know sessions, not who is in them. */
static int find_session_of(const struct trace_options *o, bool probes)
{
	struct sessions sessions = { .count = 0 };
	int status = 0;

	sessions_find(&sessions, o);
	if (sessions.count == 0)
		status = sessions_none(&sessions, o);
	else if (probes && o->worker >= 0)
		status = find_worker(&sessions, o->worker);
	sessions_fini(&sessions);
	return status;
}

static bool uses_probes(const struct command *command, const struct trace_options *o)
{
	return command->main == slow_main || command->main == follow_main ||
	       command->main == record_main || command->main == export_main ||
	       command->main == offcpu_main || command->main == check_main ||
	       (command->main == hist_main && o->kernel);
}

/* What a command cannot do is not left out in silence. */
static int check_filters(const struct command *command, const struct args_usage *usage,
                         const struct trace_options *o)
{
	bool stream = o->stream.exchange != TRACE_ANY;
	bool pages = command->main == hist_main && !o->kernel && o->from == NULL;

	if (stream && (command->main == stat_main || command->main == list_main ||
	               command->main == doctor_main))
		return args_wrong(usage, "it knows processes, not streams");
	if (stream && pages)
		return args_wrong(usage, "histograms of processes are of all their streams: with "
		                         "--kernel, or --from a recorded file, of some");
	if (o->worker >= 0 && (command->main == list_main || command->main == doctor_main ||
	                       command->main == check_main || o->from != NULL))
		return args_wrong(usage, "it cannot choose by worker%s",
		                  o->from != NULL ? " in a recorded file" : "");
	if (o->kernel && command->main != hist_main)
		return args_wrong(usage, "--kernel is hist's");
	if (o->heat && (!pages || command->main != hist_main || o->format != FORMAT_TEXT))
		return args_wrong(usage,
		                  "--heat is hist's, of pages, as text; export --format html "
		                  "has one of events");
	if (o->turn != 0 && command->main != flight_main)
		return args_wrong(usage, "--on and --off are flight's");
	return -1;
}

static int run(const struct command *command, int argc, char **argv)
{
	char name[32];
	struct args_usage usage = {
		.command = name, .usage = "[OPTION]...", .options = options, .footer = footer
	};
	struct trace_options o = TRACE_OPTIONS;
	struct args args;
	int option, status = -1;
	char summary[96];

	o.format = command->usual;
	snprintf(name, sizeof(name), "dsmx-trace %s", command->name);
	snprintf(summary, sizeof(summary), "Shows %s.", command->line);
	usage.summary = summary;
	args_init(&args, &usage, argc, argv);
	while (status < 0 && (option = args_next(&args)) >= 0) {
		int r = take_option(&args, (enum option)option, &o);

		if (r != 0)
			status = r;
	}
	if (status < 0 && option == ARGS_EXIT)
		status = args.status;
	if (status < 0 && command->main == replay_main) {
		if (args.operand_count > 0 && o.from == NULL) {
			o.from = args.operands[0];
			args.operand_count--;
		}
		if (o.from == NULL)
			status = args_wrong(&usage, "which file?");
	}
	if (status < 0 && args.operand_count > 0)
		status = args_wrong(&usage, "'%s' is too much", args.operands[0]);
	if (status < 0 && (command->formats & BIT(o.format)) == 0)
		status = args_wrong(&usage, "it has no such format");
	if (status < 0)
		status = check_filters(command, &usage, &o);
	if (status < 0 && o.from == NULL && (o.pid != 0 || o.cgroup != NULL || o.worker >= 0) &&
	    (status = find_session_of(&o, uses_probes(command, &o))) == 0)
		status = -1;
	args_fini(&args);
	if (status >= 0)
		return status;
	catch_interrupts();
	return command->main(&o);
}

static void print_usage(FILE *to)
{
	fputs("usage: dsmx-trace COMMAND [OPTION]...\n\ncommands:\n", to);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-8s%s\n", commands[i].name, commands[i].line);
	fputs("\n'dsmx-trace COMMAND --help' lists the options, dsmx-trace(1) tells more.\n", to);
}

static int start(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_usage(stdout);
		return EXIT_OK;
	}
	if (strcmp(name, "--version") == 0) {
		printf("dsmx-trace %s\n", dsmx_version());
		return EXIT_OK;
	}
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return run(&commands[i], argc - 1, argv + 1);
	if (argc < 2)
		fputs("dsmx-trace: a command is missing\n", stderr);
	else
		fprintf(stderr, "dsmx-trace: there is no command '%s'\n", name);
	fputs("'dsmx-trace --help' lists the commands\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	return stdout_end("dsmx-trace", start(argc, argv));
}
