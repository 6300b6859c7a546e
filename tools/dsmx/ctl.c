/* SPDX-License-Identifier: MIT */
/*
 * ctl.c - dsmx ctl: drain, restart, kill, freeze, thaw and reset-failed of workers
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/args.h"
#include "commands.h"
#include "ps.h"

#define TIMEOUT_S_MAX     86400
#define RESTART_S_DEFAULT 30

enum option {
	OPT_SESSION,
	OPT_TIMEOUT,
	OPT_NO_WAIT,
	OPT_QUIET,
};

static const struct args_option options[] = {
	[OPT_SESSION] = { "session", 's', "ID", "of this session; needed where there are several" },
	[OPT_TIMEOUT] = { "timeout", 't', "SEC",
	                  "drain, restart: end what is not done by then (30)" },
	[OPT_NO_WAIT] = { "no-wait", 0, NULL, "do not wait until it is done" },
	[OPT_QUIET] = { "quiet", 'q', NULL, "say errors only" },
	{ 0 },
};

static const struct args_usage usage = {
	.command = "dsmx ctl",
	.usage = "[OPTION]... VERB WORKER...",
	.summary = "Has a session's supervisor do something to workers: numbers, or 'all'.",
	.options = options,
	.footer = "verbs:\n"
		  "  drain         give it nothing new; it ends with its queries, and stays away\n"
		  "  restart       the same, and another takes its place\n"
		  "  kill          end it at once; its queries fail, another takes its place\n"
		  "  freeze        stop it where it is; queries wait for it\n"
		  "  thaw          let it go on\n"
		  "  reset-failed  start one that failed, or waits to be started, now\n\n"
		  "'dsmx ps' shows sessions and workers. Exit status: 0, 1 where it was not done,\n"
		  "2 after wrong usage, 3 without permission.",
};

struct ctl_options {
	uint64_t session; /* 0: the only one */
	uint64_t timeout_ms;
	bool has_timeout, no_wait, quiet;
};

int session_id(const char *text, uint64_t *ret_id)
{
	size_t len = strlen(text);

	if (len == 0 || len > 16 || strspn(text, "0123456789abcdefABCDEF") != len)
		return -EINVAL;
	*ret_id = strtoull(text, NULL, 16);
	return *ret_id != 0 ? 0 : -EINVAL;
}

static int find_verb(const char *text)
{
	for (int verb = 0; verb < DSMX_CONTROL_COUNT; verb++)
		if (strcmp(text, dsmx_control_verb_str(verb)) == 0)
			return verb;
	return -1;
}

static int take_option(const struct args *args, int option, struct ctl_options *o)
{
	char *end;
	double seconds;

	switch (option) {
	case OPT_SESSION:
		if (session_id(args->value, &o->session) == 0)
			return 0;
		return args_wrong(args->usage, "'%s' is no session: 16 hexadecimal digits",
		                  args->value);
	case OPT_TIMEOUT:
		seconds = strtod(args->value, &end);
		if (end == args->value || *end != '\0' ||
		    !(seconds >= 0.001 && seconds <= TIMEOUT_S_MAX))
			return args_wrong(args->usage,
			                  "--timeout must be seconds from 0.001 to %d, not '%s'",
			                  TIMEOUT_S_MAX, args->value);
		o->timeout_ms = (uint64_t)(seconds * 1000);
		o->has_timeout = true;
		return 0;
	case OPT_NO_WAIT:
		o->no_wait = true;
		return 0;
	default:
		o->quiet = true;
		return 0;
	}
}

/* The session that is meant, or NULL after a sentence. */
static const struct dsmx_session_status *find_session(const struct dsmx_snapshot *snapshot,
                                                      uint64_t id)
{
	const struct dsmx_session_status *found = NULL;
	uint32_t alive = 0;

	for (uint32_t i = 0; i < snapshot->session_count; i++) {
		const struct dsmx_session_status *s = &snapshot->sessions[i];

		if (id != 0 ? s->session == id : s->alive) {
			found = s;
			alive++;
		}
	}
	if (alive == 1)
		return found;
	if (id != 0)
		fprintf(stderr, "dsmx: session %016" PRIx64 " is not there\n", id);
	else if (alive == 0)
		fputs("dsmx: there is no session with workers that this user may see\n", stderr);
	else
		fprintf(stderr,
		        "dsmx: there are %u sessions: say which by --session; 'dsmx ps' lists them\n",
		        alive);
	return NULL;
}

static int status_of(int code)
{
	if (code == 0)
		return EXIT_OK;
	return code == -EACCES || code == -EPERM ? EXIT_DENIED : EXIT_ERROR;
}

static int steer(const struct ctl_options *o, uint64_t session, uint32_t worker, int verb)
{
	struct dsmx_control control = { .size = sizeof(control),
		                        .session = session,
		                        .worker = worker,
		                        .verb = (enum dsmx_control_verb)verb,
		                        .timeout_ms = o->timeout_ms,
		                        .no_wait = o->no_wait };
	struct dsmx_error err;
	int r;

	if (verb == DSMX_CONTROL_RESTART && !o->has_timeout)
		control.timeout_ms = RESTART_S_DEFAULT * 1000U;
	r = dsmx_control(&control, &err);
	if (r != 0)
		fprintf(stderr, "dsmx: %s of worker %u: %s\n", dsmx_control_verb_str(verb), worker,
		        err.message);
	else if (!o->quiet)
		printf("worker %u: %s%s\n", worker, dsmx_control_verb_str(verb),
		       o->no_wait ? " has begun" : " done");
	return status_of(r);
}

/* --- which workers ------------------------------------------------------------------------------------------------ */

/* Returns 0, or 2 after a sentence. */
static int check_workers(const struct args *args)
{
	uint64_t number;

	for (int i = 1; i < args->operand_count; i++)
		if (strcmp(args->operands[i], "all") != 0 &&
		    args_number(args->operands[i], UINT32_MAX, &number) != 0)
			return args_wrong(args->usage, "'%s' is no worker: a number, or 'all'",
			                  args->operands[i]);
	return 0;
}

static int steer_all(const struct ctl_options *o, const struct args *args, int verb)
{
	const struct dsmx_session_status *session;
	struct dsmx_snapshot *snapshot;
	struct dsmx_error err;
	int status = EXIT_OK;

	if (dsmx_snapshot_take(&snapshot, &err) != 0) {
		fprintf(stderr, "dsmx: %s\n", err.message);
		return EXIT_ERROR;
	}
	session = find_session(snapshot, o->session);
	if (session == NULL)
		status = EXIT_ERROR;
	for (int i = 1; session != NULL && i < args->operand_count; i++) {
		bool all = strcmp(args->operands[i], "all") == 0;
		uint64_t number = 0;

		if (!all)
			(void)args_number(args->operands[i], UINT32_MAX, &number);
		for (uint64_t w = number; all ? w < session->worker_count : w == number; w++) {
			int one = steer(o, session->session, (uint32_t)w, verb);

			status = one > status ? one : status;
		}
	}
	dsmx_snapshot_free(snapshot);
	return status;
}

int ctl_main(int argc, char **argv)
{
	struct ctl_options o = { .session = 0 };
	struct args args;
	int option, status = 0, verb;

	args_init(&args, &usage, argc, argv);
	while (status == 0 && (option = args_next(&args)) >= 0)
		status = take_option(&args, option, &o);
	if (status == 0 && option == ARGS_EXIT) {
		status = args.status;
	} else if (status == 0 && args.operand_count == 0) {
		status = args_wrong(&usage, "a verb is missing");
	} else if (status == 0) {
		verb = find_verb(args.operands[0]);
		if (verb < 0)
			status = args_wrong(&usage, "there is no verb '%s'", args.operands[0]);
		else if (args.operand_count == 1)
			status = args_wrong(&usage, "which worker? A number, or 'all'");
		else
			status = check_workers(&args);
		if (status == 0)
			status = steer_all(&o, &args, verb);
	}
	args_fini(&args);
	return status;
}
