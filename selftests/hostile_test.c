/* SPDX-License-Identifier: MIT */
/*
 * hostile_test.c - workers that are compromised: engine code in a true process that writes its own two segments while
 * the session runs
 *
 * This program is its own supervisor and worker. The operator "hostile" finds the segments where they are mapped,
 * starts a thread that writes them, or stops the process, and gives rows like "series". What is claimed is about
 * everybody else: the leader gets an answer, right or wrong, or an error, in time; the session closes in time; nothing
 * is left. What a single word can do is tried in selftests/fuzz.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "base/order.h"
#include "harness.h"
#include "processes.h"
#include "segments.h"
#include "series.h"

/* --- the operator ----------------------------------------------------------------------------------------------- */

enum mode {
	MODE_PAGE,   /* any word of the page */
	MODE_DATA,   /* any word of the data */
	MODE_WORDS,  /* states out of order, generations again, counts backwards */
	MODE_EPOCHS, /* what it has mapped, who it is */
	MODE_SILENT, /* its bells never move */
	MODE_STORM,  /* its bells never stop */
	MODE_PARKED, /* its tasks wait, it says, for whatever */
	MODE_FREEZE, /* stopped */
	MODE_COUNT
};

static const char *const mode_names[MODE_COUNT] = { "page",   "data",  "words",  "epochs",
	                                            "silent", "storm", "parked", "freeze" };

struct hostile_bytes {
	struct series_bytes series;
	int64_t mode;
};

static uint64_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 16;
}

/* One of the words of a part of the page, changed. */
static void change(struct segments *s, size_t part, size_t bytes, uint64_t *state)
{
	uint64_t *word = s->words + part / 8 + draw(state) % (bytes / 8);
	uint64_t now = dx_load_plain(word), drawn = draw(state);

	dx_store_plain(word, drawn % 4 == 0   ? now - 1
	                     : drawn % 4 == 1 ? now + 256
	                     : drawn % 4 == 2 ? (now & ~0xffULL) | drawn % 8
	                                      : drawn);
}

static void change_streams(struct segments *s, uint64_t *state)
{
	const struct dx_layout *l = &s->layout;
	size_t streams = (size_t)l->peers * l->slots;

	switch (draw(state) % 4) {
	case 0:
		change(s, l->request_words, streams * sizeof(uint64_t), state);
		break;
	case 1:
		change(s, l->stream_words, streams * sizeof(uint64_t), state);
		break;
	case 2:
		change(s, l->requests, streams * sizeof(struct dsmx_request_abi), state);
		break;
	default:
		change(s, l->streams, streams * sizeof(struct dsmx_stream_abi), state);
		break;
	}
}

static void set_bells(struct segments *s, bool storm)
{
	for (uint32_t i = 0; i < s->layout.peers; i++) {
		struct dsmx_bell_abi *line =
			DX_LAYOUT_AT(struct dsmx_bell_abi, s->page, s->layout.bells, i);

		dx_store_plain(&line->bell, storm ? line->bell + 1 : 0);
		dx_store_plain(&line->changes, storm ? line->changes + 1 : 0);
	}
}

static void *keep_writing(void *arg)
{
	struct segments *s = arg;
	const struct dx_layout *l = &s->layout;
	uint64_t state = 1;

	for (;;) {
		switch (s->mode) {
		case MODE_PAGE:
			change(s, 0, s->page_bytes, &state);
			break;
		case MODE_DATA:
			dx_store_plain(s->data + draw(&state) % (s->data_bytes / 8), draw(&state));
			break;
		case MODE_WORDS:
			change_streams(s, &state);
			break;
		case MODE_EPOCHS:
			change(s, draw(&state) % 2 == 0 ? 0 : l->mapped, 64, &state);
			break;
		case MODE_PARKED:
			change(s, l->task_records, l->tasks * sizeof(struct dsmx_task_abi), &state);
			break;
		default:
			set_bells(s, s->mode == MODE_STORM);
			break;
		}
	}
	return NULL;
}

static int hostile_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                        struct dsmx_operator **inputs, uint32_t input_count,
                        struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static struct segments segments; /* of this process, for as long as it lives */
	struct hostile_bytes is;
	pthread_t thread;

	if (len != sizeof(is))
		return -EINVAL;
	memcpy(&is, bytes, len);
	segments.mode = (int)is.mode;
	if (segments.mode == MODE_FREEZE)
		(void)kill(getpid(), SIGSTOP);
	else if (segments.page == NULL &&
	         (!find_segments(&segments) ||
	          pthread_create(&thread, NULL, keep_writing, &segments) != 0))
		return dx_error(err, -ENOENT, "the segments are not where they should be");
	return series_make(&is.series, sizeof(is.series), output, inputs, input_count, ret_operator,
	                   err);
}

static const struct dsmx_extension operators[] = {
	{ "series", series_make },
	{ "hostile", hostile_make },
	{ NULL, NULL },
};

/* --- the leader -------------------------------------------------------------------------------------------------- */

/*
 * hostile on one worker ── shuffle over both ── gather
 */
static struct dsmx_plan *hostile_plan(enum mode mode)
{
	const struct hostile_bytes bytes = { { 3000000, 100 }, mode };

	return shuffled_plan("hostile", &bytes, sizeof(bytes));
}

#define QUERY_MS 2000U
#define LATE_MS  3000U /* beyond that: for slow machines, and a supervisor that kills */

/* Read until the end, a failure, or the query's own time-out; the rows may be anything. */
static int run(struct dsmx_session *session, enum mode mode, struct dsmx_error *err)
{
	const struct dsmx_query_options options = { .size = sizeof(options),
		                                    .timeout_ms = QUERY_MS };
	struct dsmx_plan *plan = hostile_plan(mode);
	struct dsmx_query *query;
	struct dsmx_batch batch;
	volatile int64_t sum = 0;
	int r = plan == NULL ? -ENOMEM : dsmx_query_start(session, plan, &options, &query, err);

	dsmx_plan_free(plan);
	if (r < 0)
		return r;
	while ((r = dsmx_query_next_batch(query, QUERY_MS + LATE_MS, &batch, err)) == 1)
		for (uint32_t i = 0; i < batch.selected; i++)
			sum += ((const int64_t *)batch.columns[0].values)[i];
	dsmx_query_close(query);
	return r;
}

static void try_mode(enum mode mode, uint32_t watchdog_ms, bool *ok)
{
	const struct dsmx_session_options options = {
		.size = sizeof(options),
		.workers = 2,
		.worker_path = self_path,
		.watchdog_ms = watchdog_ms,
	};
	struct dsmx_session *session;
	struct dsmx_error err = { 0 };
	uint64_t begin_ns;
	int r;

	CHECK_EQ(dsmx_session_open(&options, &session, &err), 0);
	begin_ns = dx_now_ns();
	r = run(session, mode, &err);
	printf("# %s: %d, %.0f ms, %s %s\n", mode_names[mode], r,
	       (double)(dx_now_ns() - begin_ns) / 1e6, dsmx_exit_reason_str(err.reason),
	       r < 0 ? err.message : "");
	CHECK(r <= 0 && (r == 0 || err.message[0] != '\0'));
	CHECK(dx_now_ns() - begin_ns < (QUERY_MS + LATE_MS) * DX_NS_PER_MS);
	begin_ns = dx_now_ns();
	dsmx_session_close(session);
	printf("# closed in %.0f ms\n", (double)(dx_now_ns() - begin_ns) / 1e6);
	CHECK(dx_now_ns() - begin_ns < 15000 * DX_NS_PER_MS);
}

TEST(hostile_worker,
     "whatever a worker writes into its own segments, the leader has its answer or an error in time")
{
	for (int mode = 0; mode < MODE_FREEZE; mode++) {
		try_mode((enum mode)mode, 0, ok);
		if (!*ok)
			return;
	}
}

TEST(hostile_freeze, "a worker that stops itself is a time-out or the watchdog's, never a hang")
{
	try_mode(MODE_FREEZE, DSMX_WATCHDOG_OFF, ok);
	if (*ok)
		try_mode(MODE_FREEZE, 500, ok);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, operators);
	return status >= 0 ? status : harness_main(argc, argv);
}
