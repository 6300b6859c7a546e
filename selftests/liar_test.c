/* SPDX-License-Identifier: MIT */
/*
 * liar_test.c - a worker that lies in one way, aimed, all the time: it is found out, named and ended, and the session
 * goes on without it
 *
 * This program is its own supervisor and worker. The operator "liar" starts a thread that keeps one kind of words of its
 * own process as no honest one would have them, and gives rows like "series". It runs on worker 0; the words are those
 * that worker 1 reads, where the kind has words for each peer. What any word can do is tried in hostile_test.c, and in
 * selftests/fuzz.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "base/order.h"
#include "exchange/query.h"
#include "liars.h"
#include "segments.h"
#include "series.h"

enum { LIAR_PEER = 1, SIBLING_PEER = 2 };

enum lie {
	LIE_DEAD,      /* its liveness words say dead, and it serves on */
	LIE_DEAD_TO,   /* the same, to its sibling alone */
	LIE_CLOSED,    /* it never says that a query is closed */
	LIE_MAPPED,    /* it does not show that it has mapped its sibling */
	LIE_ACCUSED,   /* its sibling broke a rule, it says */
	LIE_CALL_DEAD, /* its sibling is dead, it says */
	LIE_LENGTHS,   /* descriptors reach out of its data */
	LIE_OFFSETS,   /* they are not where a frame can be */
	LIE_IDS,       /* frames have numbers that there are not */
	LIE_STATES,    /* stream words are of no state */
	LIE_RINGS,     /* its rings are elsewhere */
	LIE_TAILS,     /* it has published more than a ring has slots */
	LIE_BACKWARDS, /* it has published less than it had */
	LIE_FRAMES,    /* what is in its frames makes no sense */
	LIE_COUNT
};

static const char *const lie_names[LIE_COUNT] = {
	"dead",    "dead to one", "never closed", "not mapped", "accuses", "calls dead", "lengths",
	"offsets", "ids",         "states",       "rings",      "tails",   "backwards",  "frames",
};

struct liar_bytes {
	struct series_bytes series;
	int64_t lie;
	uint64_t epoch; /* of the incarnation that lies: who comes in its place is honest */
};

/* --- the worker --------------------------------------------------------------------------------------------------- */

HOSTILE static void set_live(struct segments *s, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		dx_store_plain(
			&DX_LAYOUT_AT(struct dsmx_live_abi, s->page, s->layout.live, i)->word,
			(uint32_t)getpid() | FUTEX_WAITERS | FUTEX_OWNER_DIED);
}

HOSTILE static void set_peer(struct segments *s, size_t part, uint64_t value)
{
	dx_store_plain(DX_LAYOUT_AT(uint64_t, s->page, part, SIBLING_PEER), value);
}

/* Workers are started in their order, and the first epoch is the leader's. */
HOSTILE static uint64_t sibling_epoch(const struct segments *s)
{
	return DX_LAYOUT_AT(uint64_t, s->page, s->layout.mapped, SIBLING_PEER)[0];
}

HOSTILE static void set_closed(struct segments *s)
{
	for (uint32_t i = 0; i < DSMX_ABI_QUERIES; i++)
		dx_store_plain(
			&DX_LAYOUT_AT(struct dsmx_query_abi, s->page, s->layout.queries, i)->closed,
			0);
}

HOSTILE static void change_descriptors(struct segments *s, enum lie lie, size_t slot)
{
	struct dsmx_descriptor_abi *ring =
		(struct dsmx_descriptor_abi *)(void *)s->data + slot * s->layout.frames;

	for (uint32_t i = 0; i < s->layout.frames; i++) {
		if (lie == LIE_LENGTHS)
			dx_store_plain(&ring[i].bytes, UINT32_MAX);
		else if (lie == LIE_OFFSETS)
			dx_store_plain(&ring[i].offset, ring[i].offset | 8);
		else
			dx_store_plain(&ring[i].frame, s->layout.frames + 1);
	}
}

/* A tail that was never seen cannot go back: the sibling gets the time to see it. */
HOSTILE static void go_back(struct dsmx_stream_abi *stream)
{
	if (dx_load_plain(&stream->tail) == 0)
		return;
	for (int i = 0; i < 20000; i++)
		dx_spin_pause();
	dx_store_plain(&stream->tail, 0);
}

HOSTILE static void change_stream(struct segments *s, enum lie lie, size_t slot)
{
	struct dsmx_stream_abi *stream =
		DX_LAYOUT_AT(struct dsmx_stream_abi, s->page, s->layout.streams, slot);
	uint64_t *word = DX_LAYOUT_AT(uint64_t, s->page, s->layout.stream_words, slot);

	switch (lie) {
	case LIE_STATES:
		if (*word != 0)
			dx_store_plain(word, *word | 0x80);
		break;
	case LIE_RINGS:
		dx_store_plain(&stream->ring_offset, s->data_bytes - 8);
		break;
	case LIE_TAILS:
		dx_store_plain(&stream->tail, 1000000);
		break;
	default:
		go_back(stream);
		break;
	}
}

/* Where frames are: behind the rings. */
HOSTILE static void change_frames(struct segments *s)
{
	size_t rings = (size_t)s->layout.peers * s->layout.slots * s->layout.frames *
	               sizeof(struct dsmx_descriptor_abi);

	for (size_t i = rings / 8 + 512; i < s->data_bytes / 8; i++)
		dx_store_plain(s->data + i, ~0ULL);
}

HOSTILE static void tell_lie(struct segments *s, enum lie lie)
{
	switch (lie) {
	case LIE_DEAD:
		set_live(s, 0, s->layout.peers);
		return;
	case LIE_DEAD_TO:
		set_live(s, SIBLING_PEER, SIBLING_PEER + 1);
		return;
	case LIE_CLOSED:
		set_closed(s);
		return;
	case LIE_MAPPED:
		set_peer(s, s->layout.mapped, 0);
		return;
	case LIE_ACCUSED:
		set_peer(s, s->layout.accused, sibling_epoch(s));
		return;
	case LIE_CALL_DEAD:
		set_peer(s, s->layout.dead, sibling_epoch(s));
		return;
	case LIE_FRAMES:
		change_frames(s);
		return;
	default:
		break;
	}
	for (uint32_t i = 0; i < s->layout.slots; i++) {
		size_t slot = dx_layout_slot(&s->layout, SIBLING_PEER, i);

		if (lie <= LIE_IDS)
			change_descriptors(s, lie, slot);
		else
			change_stream(s, lie, slot);
	}
}

HOSTILE static void *keep_lying(void *arg)
{
	struct segments *s = arg;

	for (;;)
		tell_lie(s, (enum lie)s->mode);
	return NULL;
}

static int liar_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static struct segments segments; /* of this process, for as long as it lives */
	static bool lies;
	struct liar_bytes is;
	pthread_t thread;

	if (len != sizeof(is))
		return -EINVAL;
	memcpy(&is, bytes, len);
	if (segments.page == NULL && !find_segments(&segments))
		return dx_error(err, -ENOENT, "the segments are not where they should be");
	if (!lies && segments.page->epoch == is.epoch) {
		lies = true;
		segments.mode = (int)is.lie;
		if (pthread_create(&thread, NULL, keep_lying, &segments) != 0)
			return dx_error(err, -EAGAIN, "no thread to lie with");
	}
	return series_make(&is.series, sizeof(is.series), output, inputs, input_count, ret_operator,
	                   err);
}

static const struct dsmx_extension operators[] = {
	{ "series", series_make },
	{ "liar", liar_make },
	{ NULL, NULL },
};

/* --- the leader --------------------------------------------------------------------------------------------------- */

#define QUERY_MS 1000U
#define ROWS     300000

/* liar on worker 0 ── shuffle over both ── gather */
static struct dsmx_plan *liar_plan(enum lie lie, uint64_t epoch)
{
	const struct liar_bytes bytes = { { ROWS, 100 }, lie, epoch };

	return shuffled_plan("liar", &bytes, sizeof(bytes));
}

static int run_lie(struct dsmx_session *session, uint32_t lie, uint64_t epoch,
                   struct dsmx_error *err)
{
	const struct dsmx_query_options options = { .size = sizeof(options),
		                                    .timeout_ms = QUERY_MS * harness_slow() };
	struct dsmx_plan *plan = liar_plan(lie, epoch);
	struct dsmx_query *query;
	struct dsmx_batch batch;
	int r = dsmx_query_start(session, plan, &options, &query, err);

	dsmx_plan_free(plan);
	if (r < 0)
		return r;
	while ((r = dsmx_query_next_batch(query, 10000LL * harness_slow(), &batch, err)) == 1)
		;
	dsmx_query_close(query);
	return r;
}

static int run_honest(struct dsmx_session *session)
{
	struct dsmx_query *query;
	struct dsmx_error err = { 0 };
	int64_t sum = 0;
	int r = start_query(session, KIND_SHUFFLE, 10000, &query, &err);

	if (r == 0) {
		r = drain(query, KIND_SHUFFLE, &sum, &err);
		dsmx_query_close(query);
	}
	if (r < 0)
		printf("# %d %s\n", r, err.message);
	return r == 0 && sum != sum_of(10000) ? -EBADE : r;
}

static const struct liars liars = { operators, lie_names, run_lie, run_honest };

/* A lie that the leader can see: worker 0 is ended for good, its sibling serves on as the process that it was. */
static void find_out(enum lie lie, bool *ok)
{
	struct dsmx_session *session = open_session(&liars);
	uint64_t sibling;

	CHECK(session != NULL);
	sibling = info_of(session, 1).epoch;
	CHECK(run_until_gone(&liars, session, lie) > 0);
	CHECK_EQ(info_of(session, 0).reason, DSMX_EXIT_PROTOCOL);
	CHECK_EQ(info_of(session, 0).state, DSMX_WORKER_FAILED);
	CHECK_EQ(info_of(session, 1).epoch, sibling);
	CHECK_EQ(run_honest(session), 0);
	dsmx_session_close(session);
}

TEST(liar_dead, "a worker that says it is dead, to all or to one, and goes on is ended")
{
	find_out(LIE_DEAD, ok);
	if (*ok)
		find_out(LIE_DEAD_TO, ok);
}

TEST(liar_closed, "a worker that never says that a query is closed is ended")
{
	find_out(LIE_CLOSED, ok);
}

TEST(liar_mapped, "a worker that hides that it has mapped another is ended")
{
	find_out(LIE_MAPPED, ok);
}

TEST(liar_streams,
     "what a worker shows its sibling alone and breaks a rule is seen by the leader: ended")
{
	for (int lie = LIE_LENGTHS; lie <= LIE_RINGS && *ok; lie++)
		find_out((enum lie)lie, ok);
}

TEST(liar_counts,
     "counts that break the rules for a sibling: that says so, and the leader cannot tell: both replaced")
{
	for (int lie = LIE_TAILS; lie <= LIE_BACKWARDS && *ok; lie++)
		replace_both(&liars, (enum lie)lie, ok);
}

TEST(liar_accuses,
     "a worker that accuses its sibling, or calls it dead, goes with it, and both are replaced")
{
	replace_both(&liars, LIE_ACCUSED, ok);
	if (*ok)
		replace_both(&liars, LIE_CALL_DEAD, ok);
}

TEST(liar_frames, "frames that make no sense cost their worker its place")
{
	struct dsmx_session *session = open_session(&liars);

	CHECK(session != NULL);
	CHECK(run_until_gone(&liars, session, LIE_FRAMES) > 0);
	CHECK_EQ(run_honest(session), 0);
	dsmx_session_close(session);
}

/* Let the leader look, until it has looked for suspects once more. */
static bool await_look(struct dsmx_session *session, uint32_t pulse)
{
	const struct dx_suspect *suspect = &session->suspects.peers[LIAR_PEER];
	uint64_t until_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;

	while ((suspect->what == 0 || suspect->pulse != pulse) && dx_now_ns() < until_ns)
		(void)dx_reactor_turn(session->reactor, dx_now_ns() + DX_NS_PER_MS);
	return suspect->what != 0 && suspect->pulse == pulse;
}

TEST(liar_late,
     "a worker that is late with one closed query after the other, and answers each, does not lie")
{
	struct dsmx_session_options options = options_of(1, NULL);
	struct dsmx_query *queries[10];
	struct dsmx_session *session;
	struct dsmx_error err;
	int pid;

	options.extensions = operators;
	options.watchdog_ms = DSMX_WATCHDOG_OFF;
	CHECK_EQ(dsmx_session_open(&options, &session, &err), 0);
	for (size_t i = 0; i < DX_ARRAY_LEN(queries); i++)
		CHECK_EQ(start_query(session, KIND_GATHER, 10, &queries[i], &err), 0);
	pid = dsmx_session_worker_pid(session, 0);
	for (size_t i = 0; i < DX_ARRAY_LEN(queries); i++) {
		uint64_t until_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;

		CHECK_EQ(kill(pid, SIGSTOP), 0);
		while (harness_state_of(pid) != 'T' && dx_now_ns() < until_ns)
			(void)sched_yield();
		dsmx_query_close(queries[i]);
		CHECK(await_look(session, dx_mesh_pulse(session->mesh, LIAR_PEER)));
		CHECK_EQ(session->suspects.peers[LIAR_PEER].ended_epoch, 0);
		CHECK_EQ(kill(pid, SIGCONT), 0);
		/* The leader does not look meanwhile: each time it does, something is owed. */
		while (dx_query_owed_echo(session->mesh, LIAR_PEER, 0) != 0 &&
		       dx_now_ns() < until_ns)
			(void)sched_yield();
		CHECK_EQ(dx_query_owed_echo(session->mesh, LIAR_PEER, 0), 0);
	}
	CHECK_EQ(run_honest(session), 0);
	CHECK_EQ(dsmx_session_worker_pid(session, 0), pid);
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, operators);
	return status >= 0 ? status : harness_main(argc, argv);
}
