/* SPDX-License-Identifier: MIT */
/*
 * main.c - dsmx-bench COMMAND: how fast it is, beside how fast it could be
 *
 * `ring` and `latency` measure what lies below the public interface. So this tool, alone among the tools, is linked
 * with the library's objects and may include the headers of base, shm, ring, wait, task and chan; session, startstream and
 * exchange use the public interface only. Workers that need operators of ours are this program; those of session and
 * idle are dsmx-worker, as anybody's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/args.h"
#include "../lib/stdout.h"
#include "bench.h"
#include "dsmx/dsmx.h"
#include "dsmx/worker.h"

struct command {
	const char *name;
	const char *line;
	int (*round)(struct bench *bench);
	bool anywhere;
};

static const struct command commands[] = {
	{ "ring", "frames through a stream's queues, beside a bare copy", ring_round },
	{ "latency", "round trips: spinning, hot, parked", latency_round },
	{ "startstream", "from a request to the first rows: hot, parked", startstream_round },
	{ "session", "open, one query, close, bytes, by workers", session_round },
	{ "exchange", "rows through each kind", exchange_round },
	{ "streams", "processor time of a wake, asleep over 128 streams", streams_round },
	{ "oversubscribed", "two pairs and a hog on two processors", over_round, true },
	{ "idle", "eight workers, ten seconds, nothing to do", idle_round, true },
	{ "trace", "what probes cost, set and not set", trace_round },
};

enum option { OPT_ROUNDS, OPT_JSON, OPT_WORKERS, OPT_PAGES, OPT_ALONE, OPT_URGENT };

static const struct args_option options[] = {
	[OPT_ROUNDS] = { "rounds", 'n', "N", "measure N times (20; at most 200)" },
	[OPT_JSON] = { "json", 0, NULL, "an object on a line for each number, instead of a table" },
	[OPT_WORKERS] = { "workers", 'w', "N",
	                  "of startstream and exchange (2), session (0 to 8)" },
	[OPT_PAGES] = { "pages", 'p', "KIND",
	                "of their memory: auto, hugetlb, collapsed, small (auto)" },
	[OPT_ALONE] = { "alone", 0, NULL, "ring beside a bare copy, without other queues" },
	[OPT_URGENT] = { "urgent", 0, NULL, "before other work here (root; not from a shell)" },
	{ 0 },
};

static const struct args_usage usage = {
	.command = "dsmx-bench",
	.usage = "COMMAND [OPTION]...",
	.summary =
		"Measures a part of dsmx, and in the same round what the machine can do at most.",
	.options = options,
	.footer =
		"Commands: ring, latency, startstream, session, exchange, streams,\n"
		"oversubscribed, idle, trace. A ratio is the median of value / limit of single\n"
		"rounds; q1 and q3 are its quartiles. near, far: whether both processors shared a\n"
		"cache. Rounds in which that changed are dropped.",
};

static int number(const struct args *args, const char *name, uint32_t least, uint32_t most,
                  uint32_t *ret_number)
{
	uint64_t n;

	if (args_number(args->value, most, &n) < 0 || n < least)
		return args_wrong(&usage, "%s must be a number from %u to %u, not '%s'", name,
		                  least, most, args->value);
	*ret_number = (uint32_t)n;
	return 0;
}

static int pages(const struct args *args, enum dsmx_pages *ret_pages)
{
	static const char *const names[] = { [DSMX_PAGES_AUTO] = "auto",
		                             [DSMX_PAGES_HUGETLB] = "hugetlb",
		                             [DSMX_PAGES_COLLAPSED] = "collapsed",
		                             [DSMX_PAGES_SMALL] = "small" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(args->value, names[i]) == 0) {
			*ret_pages = (enum dsmx_pages)i;
			return 0;
		}
	return args_wrong(&usage, "--pages is auto, hugetlb, collapsed or small, not '%s'",
	                  args->value);
}

/*
 * Where sessions are scheduled as groups, nice(1) counts only within one: so this process takes a session of its own,
 * and gives that the highest weight. Not possible for the leader of a group, as a shell makes it.
 */
static int be_urgent(void)
{
	int fd = setsid() < 0 ? -1 : open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, "-20", 3) == 3;

	if (fd >= 0)
		close(fd);
	if (!done)
		fputs("dsmx-bench: --urgent needs root, and to be no group's leader: try setsid(1)\n",
		      stderr);
	return done ? 0 : 1;
}

static int run(struct bench *bench, const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		bench->anywhere = commands[i].anywhere;
		return bench_run(bench, commands[i].round);
	}
	return args_wrong(&usage, "there is no command '%s'", name);
}

int main(int argc, char **argv)
{
	struct bench bench = { .rounds = 20, .workers = 2 };
	struct args args;
	int opt, r = dsmx_worker_main(argc, argv, bench_extensions);

	if (r >= 0)
		return r; /* it was a worker, and has done its work */
	args_init(&args, &usage, argc, argv);
	r = 0;
	while ((opt = args_next(&args)) >= 0 && r == 0)
		switch (opt) {
		case OPT_ROUNDS:
			r = number(&args, "--rounds", 1, BENCH_ROUNDS_MAX, &bench.rounds);
			break;
		case OPT_WORKERS:
			r = number(&args, "--workers", 1, DSMX_WORKERS_MAX, &bench.workers);
			bench.workers_given = true;
			break;
		case OPT_PAGES:
			r = pages(&args, &bench.pages);
			break;
		case OPT_JSON:
			bench.json = true;
			break;
		case OPT_ALONE:
			bench.alone = true;
			break;
		case OPT_URGENT:
			r = be_urgent();
			break;
		}
	if (r == 0 && opt == ARGS_EXIT)
		r = args.status;
	else if (r == 0 && args.operand_count != 1)
		r = args_wrong(&usage, "one command is needed");
	else if (r == 0)
		r = run(&bench, args.operands[0]);
	args_fini(&args);
	return stdout_end("dsmx-bench", r);
}
