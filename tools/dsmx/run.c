/* SPDX-License-Identifier: MIT */
/*
 * run.c - the command lines of `dsmx run` and `dsmx explain`
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/args.h"
#include "../lib/mem.h"
#include "commands.h"

#define WORKERS_DEFAULT_MAX 8

enum option {
	OPT_WORKERS,
	OPT_DATA,
	OPT_FILE,
	OPT_FORMAT,
	OPT_EXPLAIN,
	OPT_ANALYZE,
	OPT_TIMING,
	OPT_STATS,
	OPT_PHASES,
	OPT_REPEAT,
	OPT_TIMEOUT,
	OPT_EMIT_PLAN,
	OPT_ISOLATION,
	OPT_ALLOW_READ,
	OPT_NUMA,
	OPT_NO_FILTERS,
	OPT_QUIET,
};

static const struct args_option options[] = {
	[OPT_WORKERS] = { "workers", 'w', "N",
	                  "worker processes; 0: all in this one (CPUs, at most 8)" },
	[OPT_DATA] = { "data", 'd', "DIR", "table t is the file DIR/t.arrow (.)" },
	[OPT_FILE] = { "file", 'f', "FILE", "SQL from a file, - is stdin; FILE.plan is a plan" },
	[OPT_FORMAT] = { "format", 0, "FORMAT", "table, csv, json or arrow (table)" },
	[OPT_EXPLAIN] = { "explain", 0, NULL, "show the plan instead of running it" },
	[OPT_ANALYZE] = { "analyze", 0, NULL, "show what each exchange did, after the result" },
	[OPT_TIMING] = { "timing", 't', NULL, "show how long open, plan and run took" },
	[OPT_PHASES] = { "phases", 0, NULL, "show how long StartStreams took, by phase" },
	[OPT_STATS] = { "stats", 0, NULL, "show the counters of session and query" },
	[OPT_REPEAT] = { "repeat", 0, "N", "run each statement N times (1)" },
	[OPT_TIMEOUT] = { "timeout", 0, "MS", "end a statement that runs longer" },
	[OPT_EMIT_PLAN] = { "emit-plan", 0, "FILE",
	                    "write the Substrait plan instead of running it" },
	[OPT_ISOLATION] = { "isolation", 0, "LEVEL",
	                    "none, cgroup, standard or strict; a ! behind it: or fail" },
	[OPT_ALLOW_READ] = { "allow-read", 0, "PATH",
	                     "standard, strict: workers may read it, too (repeatable)" },
	[OPT_NUMA] = { "numa", 0, "NODES", "have the workers on these nodes, 0-1; off: anywhere" },
	[OPT_NO_FILTERS] = { "no-filters", 0, NULL, "joins do not say ahead which keys they have" },
	[OPT_QUIET] = { "quiet", 'q', NULL, "no notes, no progress: only errors on stderr" },
	{ 0 },
};

static const char footer[] =
	"A table in FROM is a name, or a file: SELECT count(*) FROM \"dir/x.arrow\".\n"
	"Several statements, separated by ';', share one session. In a table and in csv\n"
	"NULL is empty; an empty text is \"\" in csv. Exit status: 0, 1 after an error,\n"
	"2 after wrong usage, 130 after Ctrl-C.";

static const struct args_usage run_usage = {
	.command = "dsmx run",
	.usage = "[OPTION]... 'SQL'\n[OPTION]... -f FILE.sql\n[OPTION]... FILE.plan",
	.summary = "Runs SQL, or a Substrait plan, over Arrow files in worker processes.",
	.options = options,
	.footer = footer,
};

static const struct args_usage explain_usage = {
	.command = "dsmx explain",
	.usage = "[OPTION]... 'SQL'\n[OPTION]... -f FILE.sql\n[OPTION]... FILE.plan",
	.summary = "Shows the plan of SQL as N workers run it. With --analyze it is run, its\n"
		   "result dropped, and rows, bytes and waits of each exchange are shown.",
	.options = options,
	.footer = footer,
};

/* --- where it comes from ----------------------------------------------------------------------------------- */

static bool is_plan_name(const char *name)
{
	size_t len = strlen(name);

	return len > 5 && strcmp(name + len - 5, ".plan") == 0 && strpbrk(name, " \n") == NULL;
}

static int read_all(int fd, struct run_source *source)
{
	size_t room = 1 << 16;

	source->bytes = mem_alloc(room);
	for (;;) {
		ssize_t n = read(fd, source->bytes + source->len, room - source->len - 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		source->len += (size_t)n;
		if (source->len > DSMX_PLAN_BYTES_MAX)
			return -EFBIG;
		if (room - source->len < 2) {
			room *= 2;
			source->bytes = mem_resize(source->bytes, room);
		}
		source->bytes[source->len] = '\0';
	}
}

static int read_source(const char *name, struct run_source *source)
{
	int fd = strcmp(name, "-") == 0 ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : read_all(fd, source);

	if (fd > STDIN_FILENO)
		close(fd);
	source->name = strcmp(name, "-") == 0 ? "stdin" : name;
	source->is_plan = is_plan_name(name);
	if (r == 0 && !source->is_plan && memchr(source->bytes, 0, source->len) != NULL)
		r = -EILSEQ;
	if (r < 0)
		fprintf(stderr, "dsmx: cannot read %s: %s\n", name, strerror(-r));
	return r;
}

/* --- options ------------------------------------------------------------------------------------------------ */

static uint32_t default_workers(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : cpus > WORKERS_DEFAULT_MAX ? WORKERS_DEFAULT_MAX : (uint32_t)cpus;
}

static int number(const struct args *args, const char *name, uint64_t least, uint64_t most,
                  uint64_t *ret_number)
{
	if (args_number(args->value, most, ret_number) == 0 && *ret_number >= least)
		return 0;
	return args_wrong(args->usage, "%s must be a number from %llu to %llu, not '%s'", name,
	                  (unsigned long long)least, (unsigned long long)most, args->value);
}

static int isolation(const struct args *args, struct run_options *run)
{
	struct dsmx_error err;

	if (dsmx_isolation_parse(args->value, &run->isolation, &run->isolation_required, &err) == 0)
		return 0;
	return args_wrong(args->usage, "--isolation: %s", err.message);
}

/* Returns 0 or the exit status. */
static int take_option(struct args *args, enum option option, struct run_options *run,
                       const char **ret_file)
{
	uint64_t workers;
	int r;

	switch (option) {
	case OPT_WORKERS:
		r = number(args, "--workers", 0, DSMX_WORKERS_MAX, &workers);
		run->workers = r == 0 ? (uint32_t)workers : 0;
		return r;
	case OPT_DATA:
		run->data_dir = args->value;
		break;
	case OPT_FILE:
		*ret_file = args->value;
		break;
	case OPT_FORMAT:
		run->format = format_find(args->value);
		if (run->format == NULL)
			return args_wrong(args->usage,
			                  "--format is table, csv, json or arrow, not '%s'",
			                  args->value);
		break;
	case OPT_EXPLAIN:
		run->explain = true;
		break;
	case OPT_ANALYZE:
		run->analyze = true;
		break;
	case OPT_TIMING:
		run->timing = true;
		break;
	case OPT_PHASES:
		run->phases = true;
		break;
	case OPT_STATS:
		run->stats = true;
		break;
	case OPT_REPEAT:
		return number(args, "--repeat", 1, UINT32_MAX, &run->repeat);
	case OPT_TIMEOUT:
		return number(args, "--timeout", 1, UINT32_MAX, &run->timeout_ms);
	case OPT_EMIT_PLAN:
		run->emit_plan = args->value;
		break;
	case OPT_ISOLATION:
		return isolation(args, run);
	case OPT_ALLOW_READ:
		if (run->read_path_count == RUN_PATHS_MAX)
			return args_wrong(args->usage, "--allow-read: too many");
		run->read_paths[run->read_path_count++] = args->value;
		break;
	case OPT_NUMA:
		run->numa_off = strcmp(args->value, "off") == 0;
		run->numa_nodes = run->numa_off ? NULL : args->value;
		break;
	case OPT_NO_FILTERS:
		run->no_filters = true;
		break;
	case OPT_QUIET:
		run->quiet = true;
		break;
	}
	return 0;
}

static int parse_args(struct args *args, struct run_options *run, struct run_source *source)
{
	const char *file = NULL;
	int option;

	while ((option = args_next(args)) >= 0) {
		int status = take_option(args, (enum option)option, run, &file);

		if (status != 0)
			return status;
	}
	if (option == ARGS_EXIT)
		return args->status;
	if ((file != NULL) + args->operand_count != 1)
		return args_wrong(args->usage, args->operand_count == 0
		                                       ? "what is to be run is missing"
		                                       : "only one SQL text or file can be run");
	if (file == NULL && is_plan_name(args->operands[0]))
		file = args->operands[0];
	if (file != NULL)
		return read_source(file, source) < 0 ? EXIT_ERROR : -1;
	source->bytes = mem_copy(args->operands[0], strlen(args->operands[0]));
	source->len = strlen(source->bytes);
	return -1;
}

/* Workers of the configuration, if it has them, else as many as there are processors. */
static uint32_t usual_workers(const struct dsmx_config *config)
{
	struct dsmx_session_options said = { .size = sizeof(said) };

	dsmx_config_apply(config, &said);
	return said.workers > 0 ? said.workers : default_workers();
}

static void say_warnings(const struct dsmx_config *config)
{
	const char *text;

	for (uint32_t i = 0; (text = dsmx_config_warning(config, i)) != NULL; i++)
		fprintf(stderr, "dsmx: warning: %s\n", text);
}

static int main_with(const struct args_usage *usage, struct run_options *run, int argc, char **argv)
{
	struct run_source source = { 0 };
	struct dsmx_config *config;
	struct dsmx_error err;
	struct args args;
	int status;

	if (dsmx_config_load(NULL, &config, &err) != 0) {
		fprintf(stderr, "dsmx: %s\n", err.message);
		return EXIT_ERROR;
	}
	run->config = config;
	run->workers = usual_workers(config);
	run->data_dir = ".";
	run->format = &format_table;
	run->repeat = 1;
	run->read_path_count = 1; /* the first is where the data is */
	args_init(&args, usage, argc, argv);
	status = parse_args(&args, run, &source);
	if (status < 0) {
		if (!run->quiet)
			say_warnings(config);
		run->read_paths[0] = run->data_dir;
		if (!run->show_result && !run->analyze)
			run->explain = true;
		status = run_source(run, &source);
	}
	free(source.bytes);
	args_fini(&args);
	dsmx_config_free(config);
	return status;
}

int run_main(int argc, char **argv)
{
	struct run_options run = { .show_result = true };

	return main_with(&run_usage, &run, argc, argv);
}

int explain_main(int argc, char **argv)
{
	struct run_options run = { .show_result = false };

	return main_with(&explain_usage, &run, argc, argv);
}
