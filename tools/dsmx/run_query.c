/* SPDX-License-Identifier: MIT */
/*
 * run_query.c - statements over a session, and what is printed around their results
 *
 * The session is opened when the first query is ready to start: a mistake in the SQL costs no process.
 * Whatever happens after that, the session is closed before the program ends. A signal only cancels the
 * running query; the second one of its kind ends the program at once, and the supervisor does the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/hist.h"
#include "../lib/progress.h"
#include "commands.h"
#include "run.h"
#include "sql.h"

#define POLL_MS 200 /* between looks at the progress and at signals */

struct run {
	const struct run_options *options;
	struct dsmx_session *session;
	struct out out;
	struct progress progress;
	uint64_t open_ns;
	bool on_terminal; /* the result goes there: no progress among its lines */
	bool failed;
};

/* What the signal handler needs; written by the main flow around a query. */
static volatile sig_atomic_t caught;
static struct dsmx_query *volatile running;

static void on_signal(int number)
{
	struct dsmx_query *query = running;

	caught = number;
	if (query != NULL)
		dsmx_query_cancel(query);
}

/* A signal that was ignored when we came stays so: the shell means it for background jobs. */
static void catch_signal(int number)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
	struct sigaction before;

	if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
		sigaction(number, &action, NULL);
}

static void catch_signals(void)
{
	catch_signal(SIGINT);
	catch_signal(SIGTERM);
	signal(SIGPIPE, SIG_IGN);
}

static void say(struct run *run, const char *message)
{
	progress_clear(&run->progress);
	fprintf(stderr, "dsmx: %s\n", message);
}

static void fail(struct run *run, int code, const struct dsmx_error *err)
{
	run->failed = true;
	if (caught != 0 && code == -ECANCELED)
		return;
	say(run, err->message[0] != '\0' ? err->message : strerror(-code));
}

static void on_log(void *data, enum dsmx_log_level level, const char *message)
{
	struct run *run = data;

	if (level == DSMX_LOG_ERROR || (level <= DSMX_LOG_NOTICE && !run->options->quiet))
		say(run, message);
}

static bool open_session(struct run *run)
{
	struct dsmx_session_options options = {
		.size = sizeof(options),
		.workers = run->options->workers,
		.isolation = run->options->isolation,
		.isolation_required = run->options->isolation_required,
		.read_paths = run->options->read_paths,
		.numa = run->options->numa_off ? DSMX_NUMA_OFF : DSMX_NUMA_AUTO,
		.numa_nodes = run->options->numa_nodes,
		.log = on_log,
		.log_data = run,
	};
	struct dsmx_error err = { 0 };
	uint64_t start = progress_clock_ns();
	int r;

	if (run->session != NULL)
		return true;
	dsmx_config_apply(run->options->config, &options);
	options.workers = run->options->workers; /* 0 is one of its values */
	if (run->options->numa_nodes != NULL)
		options.numa = DSMX_NUMA_AUTO; /* the same */
	if (run->options->numa_off)
		options.numa_nodes = NULL;
	r = dsmx_session_open(&options, &run->session, &err);
	if (r < 0)
		fail(run, r, &err);
	run->open_ns = progress_clock_ns() - start;
	return r == 0;
}

/* --- one query ----------------------------------------------------------------------------------------------- */

/* Rows to the output until the end. Returns 0 or -errno; -EPIPE and the like without a sentence. */
static int read_rows(struct run *run, struct dsmx_query *query, struct format_state *state,
                     struct dsmx_error *err)
{
	const struct format *format = run->options->format;
	bool show = run->options->show_result;
	int r = 0;

	if (show)
		r = format->begin(state, err);
	while (r == 0) {
		struct dsmx_batch batch;

		r = dsmx_query_next_batch(query, POLL_MS, &batch, err);
		if (caught != 0)
			return -ECANCELED;
		if (progress_due(&run->progress))
			progress_show(&run->progress, "%llu rows", (unsigned long long)state->rows);
		if (r == -ETIMEDOUT && err->code != -ETIMEDOUT) {
			r = 0;
			continue;
		}
		if (r <= 0)
			break;
		if (run->on_terminal)
			progress_clear(&run->progress);
		r = show ? format->batch(state, &batch, err) : 0;
		state->rows += batch.selected;
		if (run->out.error != 0)
			return run->out.error;
	}
	progress_clear(&run->progress);
	return r == 0 && show ? format->end(state, err) : r;
}

static void print_timing(const struct run *run, const struct dsmx_query_stats *stats,
                         uint64_t plan_ns, uint64_t total_ns)
{
	fprintf(stderr, "open %.1f ms, plan %.1f ms, first row %.1f ms, run %.1f ms\n",
	        (double)run->open_ns / 1e6, (double)(plan_ns + stats->plan_ns) / 1e6,
	        (double)stats->first_row_ns / 1e6, (double)total_ns / 1e6);
}

/* For programs: one line of name=value for the session, one for the query. */
static void print_stats(const struct run *run, const struct dsmx_query_stats *stats)
{
	struct dsmx_session_info info;

	dsmx_session_info(run->session, &info);
	fprintf(stderr,
	        "session: id=%016" PRIx64
	        " workers=%u wait=%s pages=%s isolation=%s level=%s steps=%s "
	        "cgroup=%s\n",
	        info.id, info.workers, info.wait, info.pages, info.isolation, info.level,
	        info.steps, info.cgroup);
	fprintf(stderr,
	        "query: rows=%" PRIu64 " start_streams=%" PRIu64 " streams_opened=%" PRIu64
	        " producer_tasks=%" PRIu64 " ring_frames=%" PRIu64 " ring_rows=%" PRIu64
	        " ring_bytes=%" PRIu64 " local_frames=%" PRIu64 " local_rows=%" PRIu64
	        " overflow_bytes=%" PRIu64 " waits=%" PRIu64 " retries=%" PRIu64
	        " filter_tested=%" PRIu64 " filter_dropped=%" PRIu64 "\n",
	        stats->rows, stats->start_streams, stats->streams_opened, stats->producer_tasks,
	        stats->ring_frames, stats->ring_rows, stats->ring_bytes, stats->local_frames,
	        stats->local_rows, stats->overflow_bytes, stats->waits, stats->retries,
	        stats->filter_tested, stats->filter_dropped);
}

static void print_analysis(struct run *run, const struct dsmx_query *query)
{
	char *text = NULL;
	int r = dsmx_query_explain(query, true, &text);
	struct dsmx_error none = { 0 };

	if (r < 0) {
		fail(run, r, &none);
		return;
	}
	if (run->options->show_result) {
		out_flush(&run->out);
		fputs(text, stderr);
	} else {
		out_text(&run->out, text);
	}
	free(text);
}

/* Of this query: what the session's histograms have grown by since @before. */
static void print_phases(const struct run *run, const struct dsmx_phases *before)
{
	struct dsmx_phases phases;

	dsmx_session_phases(run->session, &phases);
	hist_subtract(&phases, before);
	fputs("StartStream: ", stderr);
	hist_print_summary(stderr, &phases);
	if (phases.streams > 0)
		hist_print_phase(stderr, &phases, DSMX_STREAM_TOTAL);
}

static void write_failed(struct run *run)
{
	char message[128];

	run->failed = true;
	if (run->out.error == -EPIPE)
		return; /* the reader has had enough: nobody is there to tell */
	snprintf(message, sizeof(message), "cannot write the result: %s",
	         strerror(-run->out.error));
	say(run, message);
}

static void read_query(struct run *run, struct dsmx_query *query, uint64_t plan_ns, uint64_t start)
{
	struct format_state state = { .out = &run->out, .schema = dsmx_query_schema(query) };
	struct dsmx_query_stats stats;
	struct dsmx_phases before;
	struct dsmx_error err = { 0 };
	int r;

	dsmx_session_phases(run->session, &before);
	progress_start(&run->progress, run->options->quiet);
	r = read_rows(run, query, &state, &err);
	if (run->options->show_result)
		run->options->format->fini(&state);
	value_scratch_fini(&state.scratch);
	if (r < 0 && r != run->out.error)
		fail(run, r, &err);
	if (out_flush(&run->out) < 0)
		write_failed(run);
	if (run->failed)
		return;
	if (run->options->analyze)
		print_analysis(run, query);
	dsmx_query_stats(query, &stats);
	if (run->options->timing)
		print_timing(run, &stats, plan_ns, progress_clock_ns() - start);
	if (run->options->stats)
		print_stats(run, &stats);
	if (run->options->phases)
		print_phases(run, &before);
	run->open_ns = 0;
}

/* @plan: NULL: @source is the plan. */
static void run_query(struct run *run, struct dsmx_plan *plan, const struct run_source *source,
                      uint64_t plan_ns)
{
	struct dsmx_query_options options = {
		.size = sizeof(options),
		.timeout_ms = run->options->timeout_ms,
		.retry = true,
	};
	struct dsmx_query *query = NULL;
	struct dsmx_error err = { 0 };
	uint64_t start;
	int r;

	if (!open_session(run) || caught != 0)
		return;
	start = progress_clock_ns();
	if (plan != NULL)
		r = dsmx_query_start(run->session, plan, &options, &query, &err);
	else
		r = dsmx_query_start_bytes(run->session, source->bytes, source->len, &options,
		                           &query, &err);
	if (r < 0) {
		fail(run, r, &err);
		return;
	}
	running = query;
	read_query(run, query, plan_ns, start);
	running = NULL;
	dsmx_query_close(query);
}

/* --- plans that are not run ----------------------------------------------------------------------------------- */

static void explain_plan(struct run *run, struct dsmx_plan *plan)
{
	uint32_t tasks = run->options->workers > 0 ? run->options->workers : 1;
	struct dsmx_error err = { 0 };
	char *text = NULL;
	int r = dsmx_plan_distribute(plan, tasks, &err);

	if (r == 0)
		r = dsmx_plan_explain(plan, &text);
	if (r < 0) {
		fail(run, r, &err);
		return;
	}
	out_text(&run->out, text);
	free(text);
}

static void emit_plan(struct run *run, const struct dsmx_plan *plan)
{
	const char *path = run->options->emit_plan;
	struct dsmx_error err = { 0 };
	struct out file;
	void *bytes;
	size_t len;
	int r = dsmx_plan_encode(plan, &bytes, &len, &err), fd;

	if (r < 0) {
		fail(run, r, &err);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	r = fd < 0 ? -errno : 0;
	if (fd >= 0) {
		out_init(&file, fd);
		out_bytes(&file, bytes, len);
		r = out_flush(&file);
		out_fini(&file);
		if (close(fd) < 0 && r == 0)
			r = -errno;
	}
	free(bytes);
	if (r < 0) {
		snprintf(err.message, sizeof(err.message), "cannot write %s: %s", path,
		         strerror(-r));
		fail(run, r, &err);
	}
}

/* --- all statements -------------------------------------------------------------------------------------------- */

/* Explain or emit where that is asked for. Returns whether the plan is to be run. */
static bool to_be_run(struct run *run, struct dsmx_plan *plan)
{
	if (run->options->no_filters)
		(void)dsmx_plan_filters(plan, false); /* it is finished */
	if (run->options->emit_plan != NULL)
		emit_plan(run, plan);
	else if (run->options->explain)
		explain_plan(run, plan);
	else
		return true;
	return false;
}

static void run_plan(struct run *run, const struct run_source *source)
{
	struct dsmx_error err = { 0 };
	struct dsmx_plan *plan;
	int r;

	/* The bytes as they are, but where they are to be shown or changed. */
	if (!run->options->explain && run->options->emit_plan == NULL &&
	    !run->options->no_filters) {
		for (uint64_t i = 0; i < run->options->repeat && !run->failed && caught == 0; i++)
			run_query(run, NULL, source, 0);
		return;
	}
	r = dsmx_plan_decode(source->bytes, source->len, &plan, &err);
	if (r < 0) {
		fail(run, r, &err);
		return;
	}
	for (uint64_t i = 0; i < run->options->repeat && !run->failed && caught == 0; i++) {
		if (!to_be_run(run, plan))
			break;
		run_query(run, plan, NULL, 0);
	}
	dsmx_plan_free(plan);
}

static void run_statement(struct run *run, const struct run_source *source,
                          const struct sql_script *script, uint32_t index)
{
	const struct sql_options options = { run->options->data_dir, run->options->workers };

	for (uint64_t i = 0; i < run->options->repeat && !run->failed && caught == 0; i++) {
		uint64_t start = progress_clock_ns();
		struct sql_error error;
		struct dsmx_plan *plan;

		if (sql_plan(script, index, &options, &plan, &error) < 0) {
			run->failed = true;
			sql_error_print(source->name, source->bytes, &error);
			return;
		}
		if (to_be_run(run, plan))
			run_query(run, plan, NULL, progress_clock_ns() - start);
		else
			i = run->options->repeat - 1;
		dsmx_plan_free(plan);
	}
}

static void run_script(struct run *run, const struct run_source *source)
{
	struct sql_script *script = NULL;
	struct sql_error error;

	if (sql_parse(source->bytes, &script, &error) < 0) {
		run->failed = true;
		sql_error_print(source->name, source->bytes, &error);
		return;
	}
	if (run->options->emit_plan != NULL && sql_statement_count(script) != 1) {
		run->failed = true;
		say(run, "--emit-plan takes one statement");
	}
	for (uint32_t i = 0; i < sql_statement_count(script) && !run->failed && caught == 0; i++)
		run_statement(run, source, script, i);
	sql_free(script);
}

int run_source(const struct run_options *options, const struct run_source *source)
{
	struct run run = { .options = options, .on_terminal = isatty(STDOUT_FILENO) == 1 };

	catch_signals();
	out_init(&run.out, STDOUT_FILENO);
	if (source->is_plan)
		run_plan(&run, source);
	else
		run_script(&run, source);
	if (out_flush(&run.out) < 0 && !run.failed)
		write_failed(&run);
	out_fini(&run.out);
	dsmx_session_close(run.session);
	if (caught != 0)
		return 128 + caught;
	return run.failed ? EXIT_ERROR : EXIT_OK;
}
