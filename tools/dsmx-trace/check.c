/* SPDX-License-Identifier: MIT */
/*
 * check.c - dsmx-trace check: was every producer's start asked for?
 *
 * Execution is lazy: a producer starts when, and only when, some consumer has asked for a stream of it. The
 * programs in the kernel remember each StartStream that is sent, and look at each start whether it, in the same
 * attempt, was one of them. A session counts from its first query on that was seen: processes that are traced late
 * may have been asked earlier.
 */
#include <inttypes.h>

#include "source.h"

static void show(void *arg, const struct ss_event *e)
{
	const struct trace_options *options = arg;

	if (options->format == FORMAT_JSON)
		event_json(stdout, e);
	else
		printf("not asked for: session %016" PRIx64 " query %" PRIu64
		       " stream %u.%u>%u, attempt %" PRIu64 ", by process %u\n",
		       (uint64_t)e->key.session, (uint64_t)e->key.query, e->key.exchange,
		       e->key.task, e->key.partition, (uint64_t)e->value, e->tgid);
	fflush(stdout);
}

int check_main(const struct trace_options *options)
{
	struct trace_options copy = *options;
	struct source_ops ops = { .event = show, .arg = &copy, .causes = true };
	struct source_sum sum;
	const uint64_t *n = sum.causes;
	int status;

	if (options->from != NULL) {
		fputs("dsmx-trace: check looks at what happens, not at a file\n", stderr);
		return EXIT_USAGE;
	}
	status = kernel_run(options, &ops, &sum);
	if (status != EXIT_OK)
		return status;
	if (options->format == FORMAT_JSON)
		printf("{\"type\":\"causes\",\"sent\":%" PRIu64 ",\"asked\":%" PRIu64
		       ",\"unasked\":%" PRIu64 ",\"unwatched\":%" PRIu64 ",\"misses\":%" PRIu64
		       "}\n",
		       n[SS_CAUSE_sent], n[SS_CAUSE_asked], n[SS_CAUSE_unasked],
		       n[SS_CAUSE_unwatched], sum.misses);
	else
		printf("%" PRIu64 " StartStreams; %" PRIu64
		       " producer starts after theirs, %" PRIu64 " without; %" PRIu64
		       " in sessions whose beginning was not seen\n",
		       n[SS_CAUSE_sent], n[SS_CAUSE_asked], n[SS_CAUSE_unasked],
		       n[SS_CAUSE_unwatched]);
	if (sum.misses > 0)
		fprintf(stderr, "dsmx-trace: %" PRIu64 " probes were skipped by the kernel\n",
		        sum.misses);
	return n[SS_CAUSE_unasked] > 0 ? EXIT_ERROR : EXIT_OK;
}
