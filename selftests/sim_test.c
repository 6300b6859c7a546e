/* SPDX-License-Identifier: MIT */
/*
 * sim_test.c - leader, supervisor and workers as reactors of one process, under a seeded scheduler
 *
 * Nothing in the library is global, so a whole session's worth of meshes, services and reactors fits one
 * process. Each has a wait of the simulation's: it never sleeps, but a process whose turn found nothing counts
 * as asleep, and is not run again before one of the words that it armed has moved. So a wake that is lost is a
 * hang here, and is found when everybody sleeps and the query is not over.
 *
 * A seed decides sizes, the order and the lengths of turns, and whether and when the query is closed or workers die;
 * the news of a death reach each process at a time of its own, and so does the successor (sim_supervisor.h). Tasks of
 * the dead run again elsewhere; a query that fails with a death is run again as a whole, until it gives the answer.
 * Time is the simulation's own, so a seed replays exactly. DSMX_SIM_SEEDS runs more of them, DSMX_SIM_SEED one.
 */
#define HARNESS_TIMEOUT_S 120

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "harness.h"
#include "sim_plans.h"
#include "sim_supervisor.h"

enum { TURNS_MAX = 200000, TRIES_MAX = 6, SEEDS = 2000 };

struct sim {
	struct cluster c;
	struct supervisor supervisor;
	uint32_t turns;
	uint64_t trace; /* of the turns so far: who, and what came of it */
	uint64_t reruns, retries;
	/* the query */
	struct dx_query *query;
	struct dx_task root;
	struct dsmx_operator *op;
	struct dsmx_stream *stream;
	bool running;
	int result;
	struct dsmx_error err;
	int which; /* plan */
	uint64_t rows;
	__int128 total;
};

/* Would the kernel let it sleep on? */
static bool is_rung(const struct process *p)
{
	dx_list_each(link, &p->wait->words)
	{
		struct dx_wait_word *w = DX_CONTAINER(link, struct dx_wait_word, link);

		if (dx_load_plain(w->word) != w->seen)
			return true;
	}
	return false;
}

static void take_turn(struct sim *s, struct process *p)
{
	s->turns++;
	p->asleep = dx_reactor_turn(p->reactor, 0) == 0;
	s->trace =
		(s->trace ^ ((uint64_t)(p - s->c.processes) << 1 | p->asleep)) * 0x100000001b3ULL;
}

/* Somebody who can run, at random; NULL: everybody sleeps. */
static struct process *pick(struct sim *s)
{
	uint32_t from = (uint32_t)(draw(&s->c.state) % s->c.count);

	for (uint32_t i = 0; i < s->c.count; i++) {
		struct process *p = &s->c.processes[(from + i) % s->c.count];

		if (p->alive && (!p->asleep || is_rung(p)))
			return p;
	}
	return NULL;
}

/* A turn of somebody's, or a step of the supervisor's. False: nobody will do anything any more. */
static bool go_on(struct sim *s)
{
	struct process *p;

	if (draw(&s->c.state) % 16 == 0 && supervisor_step(&s->supervisor))
		return true;
	p = pick(s);
	if (p != NULL) {
		take_turn(s, p);
		return true;
	}
	return supervisor_step(&s->supervisor) || supervisor_wait(&s->supervisor);
}

/* --- the query ----------------------------------------------------------------------------------------------------- */

static void add_rows(struct sim *s, const struct dsmx_batch *b)
{
	s->rows += b->selected;
	for (uint32_t i = 0; i < b->selected; i++) {
		uint32_t row = b->selection != NULL ? b->selection[i] : i;
		const struct dsmx_column *last = &b->columns[b->column_count - 1];
		__int128 value;

		if (s->which == PLAN_ROWS || s->which == PLAN_FEW) {
			s->total += ((const int64_t *)last->values)[row];
			continue;
		}
		memcpy(&value, (const char *)last->values + row * sizeof(value), sizeof(value));
		s->total += value;
	}
}

static int root_poll(struct dx_task *task, struct dsmx_cx *cx)
{
	struct sim *s = DX_CONTAINER(task, struct sim, root);
	struct dsmx_batch batch;
	int r = 0;

	if (s->stream == NULL)
		r = dx_query_root(s->query, cx, &s->op, &s->stream, cx->err);
	while (r >= 0) {
		r = s->stream->ops->poll_next(s->stream, cx, &batch);
		if (r == -EAGAIN) {
			if (!cx->yielded)
				dx_query_root_park(s->query, DSMX_PARK_INPUT);
			return 0;
		}
		if (r == 0)
			return 1;
		if (r == 1)
			add_rows(s, &batch);
	}
	return r;
}

static void root_end(struct dx_task *task, int result, const struct dsmx_error *err)
{
	struct sim *s = DX_CONTAINER(task, struct sim, root);

	s->running = false;
	s->result = result;
	s->err = *err;
}

/* Workers that a query may be dealt to now, as the session decides it. */
static uint32_t place(struct sim *s, uint8_t *placement)
{
	const struct dx_mesh *mesh = s->c.processes[0].mesh;
	uint32_t count = 0;

	for (uint32_t i = 1; i < s->c.count; i++)
		if (dx_mesh_alive(mesh, i) && dx_mesh_mapped_by_all(mesh, i))
			placement[count++] = (uint8_t)i;
	if (s->c.count == 1)
		placement[count++] = 0;
	return count;
}

/* -EAGAIN: there is no worker to deal it to. */
static int start_query(struct sim *s, const void *bytes, size_t len, uint32_t attempt)
{
	uint8_t placement[PROCESSES_MAX] = { 0 };
	struct dx_offer offer = { .placement = placement,
		                  .overflow_max = 1 << 28,
		                  .attempt = attempt };
	int r;

	offer.placements = place(s, placement);
	if (offer.placements == 0)
		return -EAGAIN;
	r = dx_query_offer(s->c.processes[0].service, bytes, len, &offer, &s->query, &s->err);
	if (r < 0)
		return r;
	s->rows = 0;
	s->total = 0;
	s->running = true;
	s->root = (struct dx_task){ .name = "root", .poll = root_poll, .end = root_end };
	dx_task_start(s->c.processes[0].reactor, &s->root);
	s->c.processes[0].asleep = false;
	return 0;
}

static void close_query(struct sim *s)
{
	if (s->running)
		dx_task_stop(&s->root);
	s->running = false;
	if (s->stream != NULL)
		s->stream->ops->close(s->stream);
	if (s->op != NULL)
		s->op->ops->free(s->op);
	s->stream = NULL;
	s->op = NULL;
	dx_query_close(s->query);
	s->c.processes[0].asleep = false;
}

/*
 * Everybody runs until nobody can, and all workers are there again: then no memory may be out and no stream open.
 * Returns what is wrong.
 */
static const char *settle(struct sim *s)
{
	for (uint32_t i = 0; i < s->c.count; i++)
		s->c.processes[i].asleep = false;
	while (go_on(s))
		if (s->turns > TURNS_MAX)
			return "the session does not come to rest";
	for (uint32_t i = 1; i < s->c.count; i++)
		if (s->supervisor.lives[i].state != LIFE_FAILED &&
		    !dx_mesh_mapped_by_all(s->c.processes[0].mesh, i))
			return "a worker is not ready after all news were heard";
	for (uint32_t i = 0; i < s->c.count; i++) {
		struct dx_mesh *mesh = s->c.processes[i].mesh;

		if (!s->c.processes[i].alive)
			continue;
		if (dx_slab_used(dx_mesh_slabs(mesh)) != 0)
			return "slabs are out after the query";
		for (uint32_t q = 0; q < s->c.count; q++)
			for (uint32_t slot = 0; slot < SIMULATED_SLOTS; slot++)
				if (mesh->peers[q].rx[slot] != NULL ||
				    mesh->peers[q].tx[slot] != NULL)
					return "a stream is open after the query";
	}
	return NULL;
}

/* --- one seed --------------------------------------------------------------------------------------------------------- */

enum fate { FATE_NONE, FATE_CLOSE, FATE_KILL, FATE_LEADER, FATE_COUNT };

/* Of those that live; 0: none does. */
static uint32_t draw_victim(struct sim *s)
{
	uint32_t from = (uint32_t)(draw(&s->c.state) % s->c.count);

	for (uint32_t k = 0; k < s->c.count; k++) {
		uint32_t i = (from + k) % s->c.count;

		if (i != 0 && s->c.processes[i].alive)
			return i;
	}
	return 0;
}

/* Turns from now: few as well as many. */
static uint32_t draw_moment(struct sim *s)
{
	return (uint32_t)(draw(&s->c.state) % (1U << draw(&s->c.state) % 9));
}

/* The leader is killed: until the supervisor has ended them all, workers may not run in circles, or on what is gone. */
static const char *kill_leader(struct sim *s)
{
	kill_process(&s->supervisor, 0);
	s->supervisor.lives[0].state = LIFE_FAILED; /* nobody takes its place */
	while (go_on(s))
		if (s->turns > TURNS_MAX)
			return "workers without a leader do not come to rest";
	return NULL;
}

/* One run of the query, closed, ended or failed. @kills: that there may be yet. */
static const char *run_once(struct sim *s, enum fate fate, uint32_t *kills)
{
	uint32_t when = draw_moment(s), begin = s->turns;

	while (s->running) {
		if (fate == FATE_CLOSE && s->turns - begin >= when)
			return NULL;
		if (fate == FATE_LEADER && s->turns - begin >= when)
			return kill_leader(s);
		if (fate == FATE_KILL && *kills > 0 && s->turns - begin >= when) {
			uint32_t victim = draw_victim(s);

			if (victim != 0)
				kill_process(&s->supervisor, victim);
			(*kills)--;
			when += draw_moment(s);
		}
		if (!go_on(s))
			return "everybody sleeps and the query is not over";
		if (s->turns > TURNS_MAX)
			return "the query does not end";
	}
	return NULL;
}

static const char *judge(const struct sim *s, uint32_t deaths_before)
{
	uint64_t rows;
	__int128 total;

	expected(s->which, &rows, &total);
	if (!s->running && s->result < 0 && s->supervisor.deaths == deaths_before)
		return "the query failed though nobody died";
	if (!s->running && s->result > 0 &&
	    (s->rows != rows || (s->which != PLAN_LIMIT && s->total != total)))
		return "the answer is wrong";
	return NULL;
}

/* To its end: again as a whole while it fails with deaths. */
static const char *run_query(struct sim *s, int which, enum fate fate)
{
	uint32_t tasks = s->c.count > 1 ? s->c.count - 1 : 1;
	uint32_t kills = s->c.count > 1 ? 1 + (uint32_t)(draw(&s->c.state) % 3) : 0;
	uint32_t deaths = s->supervisor.deaths; /* of before, which all have heard of */
	const char *wrong = NULL;

	s->which = which;
	if (make_plan(which, tasks) < 0)
		return "the plan cannot be made";
	for (uint32_t attempt = 0; wrong == NULL && attempt < TRIES_MAX;) {
		int r = start_query(s, plans[which][tasks].bytes, plans[which][tasks].len, attempt);

		if (r == -EAGAIN) { /* no worker, or a record that is not free yet */
			if (!go_on(s))
				return "no worker comes back";
			continue;
		}
		if (r < 0)
			return "the query does not start";
		wrong = run_once(s, fate, &kills);
		if (!s->c.processes[0].alive) {
			close_query(s); /* what is left of it here, when nobody runs any more */
			return wrong;
		}
		if (wrong == NULL)
			wrong = judge(s, deaths);
		s->reruns += dx_rerun_count(s->query, DX_EVERY_EXCHANGE);
		close_query(s);
		if (s->result > 0 || fate == FATE_CLOSE)
			break;
		s->retries++;
		attempt++;
	}
	if (wrong == NULL && fate != FATE_CLOSE && s->result < 0)
		wrong = "the query fails though it was run again";
	return wrong != NULL ? wrong : settle(s);
}

struct outcome {
	const char *wrong; /* NULL: nothing */
	uint64_t trace;
	uint64_t deaths, restarts, reruns, retries;
};

static struct outcome run_seed(uint64_t seed)
{
	struct sim s = { .c.state = seed };
	const char *wrong = NULL;

	s.c.count = 1 + (uint32_t)(draw(&s.c.state) % PROCESSES_MAX);
	s.c.frames = 1U << draw(&s.c.state) % 4;
	if (cluster_open(&s.c) < 0)
		wrong = "the session does not open";
	supervise(&s.supervisor, &s.c);
	for (int i = 0; wrong == NULL && i < 3 && s.c.processes[0].alive; i++) {
		enum fate fate = (enum fate)(draw(&s.c.state) % (i < 2 ? FATE_LEADER : FATE_COUNT));

		s.turns = 0;
		wrong = run_query(&s, (int)(draw(&s.c.state) % PLAN_COUNT), fate);
	}
	if (wrong == NULL)
		cluster_close(&s.c);
	return (struct outcome){ wrong,    s.trace,  s.supervisor.deaths, s.supervisor.restarts,
		                 s.reruns, s.retries };
}

TEST(sim_seeds,
     "sessions under random turns, closes, deaths and restarts: the answer, never a hang, nothing left")
{
	const char *one = getenv("DSMX_SIM_SEED"), *many = getenv("DSMX_SIM_SEEDS");
	uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;
	uint64_t count = one != NULL ? 1 : many != NULL ? strtoull(many, NULL, 10) : SEEDS;
	struct outcome sum = { 0 };
	int failed = 0;

	CHECK_EQ(write_table(), 0);
	for (uint64_t seed = first; seed < first + count && failed < 5; seed++) {
		struct outcome o = run_seed(seed);

		sum.deaths += o.deaths;
		sum.restarts += o.restarts;
		sum.reruns += o.reruns;
		sum.retries += o.retries;
		if (o.wrong == NULL)
			continue;
		failed++;
		printf("# DSMX_SIM_SEED=%" PRIu64 ": %s\n", seed, o.wrong);
	}
	free_plans();
	printf("# %" PRIu64 " seeds: %" PRIu64 " deaths, %" PRIu64 " restarts, %" PRIu64
	       " tasks ran again, %" PRIu64 " queries did\n",
	       count, sum.deaths, sum.restarts, sum.reruns, sum.retries);
	CHECK_EQ(failed, 0);
	CHECK(count < 100 || (sum.restarts > 0 && sum.reruns > 0 && sum.retries > 0));
}

TEST(sim_replay, "a seed gives the same turns again, one after another")
{
	CHECK_EQ(write_table(), 0);
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct outcome once = run_seed(seed), again = run_seed(seed);

		CHECK(once.trace != 0);
		if (once.trace != again.trace)
			printf("# seed %" PRIu64 "\n", seed);
		CHECK(once.trace == again.trace && once.deaths == again.deaths);
	}
	free_plans();
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
