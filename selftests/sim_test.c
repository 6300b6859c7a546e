/* SPDX-License-Identifier: MIT */
/*
 * sim_test.c - leader and workers as reactors of one process, under a seeded scheduler
 *
 * Nothing in the library is global, so a whole session's worth of meshes, services and reactors fits one
 * process. Each has a wait of the simulation's: it never sleeps, but a process whose turn found nothing counts
 * as asleep, and is not run again before one of the words that it armed has moved. So a wake that is lost is a
 * hang here, and is found when everybody sleeps and the query is not over.
 *
 * A seed decides sizes, the order of turns, and whether and when the query is closed or a worker dies; the
 * news of a death reach each process at a time of its own. DSMX_SIM_SEEDS runs more of them, DSMX_SIM_SEED one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "harness.h"
#include "simulated.h"

enum { ROWS = 9600, BATCH_ROWS = 400, KEYS = 97, TURNS_MAX = 200000 };

struct sim {
	struct cluster c;
	uint32_t turns;
	/* the query */
	struct dx_query *query;
	struct dx_task root;
	struct dsmx_operator *op;
	struct dsmx_stream *stream;
	bool running;
	int result;
	struct dsmx_error err;
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

static void tell_death(struct sim *s, struct process *p, uint32_t dead)
{
	if (!p->alive || (p->knows >> dead & 1) != 0)
		return;
	p->knows |= 1U << dead;
	dx_mesh_peer_dead(p->mesh, dead, 100 + dead);
	p->asleep = false; /* a pidfd or liveness word fired */
	(void)s;
}

/* --- the query ----------------------------------------------------------------------------------------------------- */

static void add_rows(struct sim *s, const struct dsmx_batch *b)
{
	s->rows += b->selected;
	for (uint32_t i = 0; i < b->selected; i++) {
		uint32_t row = b->selection != NULL ? b->selection[i] : i;
		const struct dsmx_column *last = &b->columns[b->column_count - 1];
		__int128 value;

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

static int start_query(struct sim *s, const void *bytes, size_t len)
{
	uint8_t placement[PROCESSES_MAX] = { 0 };
	struct dx_offer offer = { .placement = placement,
		                  .placements = 1,
		                  .overflow_max = 1 << 28 };
	int r;

	if (s->c.count > 1) {
		offer.placements = s->c.count - 1;
		for (uint32_t i = 1; i < s->c.count; i++)
			placement[i - 1] = (uint8_t)i;
	}
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

/* Everybody runs until nobody can: then no memory may be out and no stream open. Returns what is wrong. */
static const char *settle(struct sim *s)
{
	struct process *p;

	for (uint32_t i = 0; i < s->c.count; i++)
		s->c.processes[i].asleep = false;
	while ((p = pick(s)) != NULL)
		if (take_turn(s, p), s->turns > TURNS_MAX)
			return "the session does not come to rest";
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

/* --- plans --------------------------------------------------------------------------------------------------------- */

enum { PLAN_GROUPS, PLAN_JOIN, PLAN_BROADCAST, PLAN_LIMIT, PLAN_COUNT };

static char table_path[256];

/* k = i % KEYS, v = i */
static int write_table(void)
{
	static const struct dsmx_field fields[] = { { "k", { DSMX_INT64, 0, 0, 0 }, false },
		                                    { "v", { DSMX_INT64, 0, 0, 0 }, false } };
	const struct dsmx_schema schema = { 2, fields };
	int64_t k[BATCH_ROWS], v[BATCH_ROWS];
	struct dsmx_column columns[2] = { { .values = k }, { .values = v } };
	struct dsmx_ipc_writer *writer;
	int fd, r;

	snprintf(table_path, sizeof(table_path), "%s/dsmx-sim-%d.arrow",
	         getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp", (int)getpid());
	fd = open(table_path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = dsmx_ipc_writer_new(fd, DSMX_IPC_FILE, &schema, NULL, &writer, NULL);
	for (int64_t i = 0; r == 0 && i < ROWS; i += BATCH_ROWS) {
		struct dsmx_batch batch = { .length = BATCH_ROWS,
			                    .selected = BATCH_ROWS,
			                    .column_count = 2,
			                    .columns = columns };

		for (int64_t j = 0; j < BATCH_ROWS; j++) {
			k[j] = (i + j) % KEYS;
			v[j] = i + j;
		}
		r = dsmx_ipc_write(writer, &batch, NULL);
	}
	if (r == 0)
		r = dsmx_ipc_finish(writer, NULL);
	close(fd);
	return r;
}

static struct dsmx_rel *aggregate(struct dsmx_plan *plan, struct dsmx_rel *in, bool grouped)
{
	struct dsmx_expr *key = dsmx_expr_column(plan, in, 0);
	struct dsmx_measure sum = { DSMX_AGG_SUM, dsmx_expr_column(plan, in, 1), "s" };

	return dsmx_rel_aggregate(plan, in, &key, grouped, &sum, 1);
}

static struct dsmx_rel *build(struct dsmx_plan *plan, int which)
{
	static const uint32_t key = 0;
	struct dsmx_rel *a = dsmx_rel_scan(plan, table_path, NULL, 0);
	struct dsmx_rel *b = dsmx_rel_scan(plan, table_path, NULL, 0);
	struct dsmx_joinscan_side left = { a, &key, 1, false };
	struct dsmx_joinscan_side right = { b, &key, 1, which == PLAN_BROADCAST };

	switch (which) {
	case PLAN_GROUPS:
		return aggregate(plan, a, true);
	case PLAN_LIMIT:
		return dsmx_rel_limit(plan, aggregate(plan, a, true), 0, 5);
	default:
		return aggregate(plan, dsmx_rel_joinscan(plan, DSMX_JOIN_INNER, &left, &right),
		                 false);
	}
}

struct bytes {
	void *bytes;
	size_t len;
};

static struct bytes plans[PLAN_COUNT][PROCESSES_MAX];

static int make_plan(int which, uint32_t tasks)
{
	struct bytes *out = &plans[which][tasks];
	struct dsmx_plan *plan;
	int r;

	if (out->bytes != NULL)
		return 0;
	r = dsmx_plan_new(&plan);
	if (r < 0)
		return r;
	r = dsmx_plan_finish(plan, build(plan, which), NULL, NULL);
	if (r == 0)
		r = dsmx_plan_distribute(plan, tasks, NULL);
	if (r == 0)
		r = dsmx_plan_encode(plan, &out->bytes, &out->len, NULL);
	dsmx_plan_free(plan);
	return r;
}

/* What a plan gives, worked out here. */
static void expected(int which, uint64_t *rows, __int128 *total)
{
	int64_t count[KEYS] = { 0 }, sum[KEYS] = { 0 };

	for (int64_t i = 0; i < ROWS; i++) {
		count[i % KEYS]++;
		sum[i % KEYS] += i;
	}
	*total = 0;
	*rows = which == PLAN_GROUPS ? KEYS : which == PLAN_LIMIT ? 5 : 1;
	for (int k = 0; k < KEYS; k++)
		*total += which == PLAN_GROUPS ? sum[k] : (__int128)sum[k] * count[k];
}

/* --- one seed --------------------------------------------------------------------------------------------------------- */

enum fate { FATE_NONE, FATE_CLOSE, FATE_KILL, FATE_COUNT };

static const char *run_query(struct sim *s, int which, enum fate fate)
{
	uint32_t when = (uint32_t)(draw(&s->c.state) % 400), begin = s->turns, dead = 0;
	uint64_t rows;
	__int128 total;

	if (make_plan(which, s->c.count > 1 ? s->c.count - 1 : 1) < 0 ||
	    start_query(s, plans[which][s->c.count > 1 ? s->c.count - 1 : 1].bytes,
	                plans[which][s->c.count > 1 ? s->c.count - 1 : 1].len) < 0)
		return "the query does not start";
	while (s->running) {
		struct process *p;

		if (fate == FATE_CLOSE && s->turns - begin >= when)
			break;
		if (fate == FATE_KILL && dead == 0 && s->c.count > 1 && s->turns - begin >= when) {
			dead = 1 + (uint32_t)(draw(&s->c.state) % (s->c.count - 1));
			s->c.processes[dead].alive = false;
		}
		if (dead != 0 && draw(&s->c.state) % 16 == 0)
			tell_death(s, &s->c.processes[draw(&s->c.state) % s->c.count], dead);
		p = pick(s);
		if (p == NULL && dead != 0)
			for (uint32_t i = 0; i < s->c.count; i++)
				tell_death(s, &s->c.processes[i], dead);
		else if (p == NULL)
			return "everybody sleeps and the query is not over";
		if (p != NULL)
			take_turn(s, p);
		if (s->turns > TURNS_MAX)
			return "the query does not end";
	}
	expected(which, &rows, &total);
	if (!s->running && s->result < 0 && (fate != FATE_KILL || dead == 0))
		return "the query failed though nobody died";
	if (!s->running && s->result > 0 &&
	    (s->rows != rows || (which != PLAN_LIMIT && s->total != total)))
		return "the answer is wrong";
	close_query(s);
	if (dead != 0)
		for (uint32_t i = 0; i < s->c.count; i++)
			tell_death(s, &s->c.processes[i], dead);
	return settle(s);
}

static const char *run_seed(uint64_t seed)
{
	struct sim s = { .c.state = seed };
	const char *wrong = NULL;

	s.c.count = 1 + (uint32_t)(draw(&s.c.state) % PROCESSES_MAX);
	s.c.frames = 1U << draw(&s.c.state) % 4;
	if (cluster_open(&s.c) < 0)
		wrong = "the session does not open";
	for (int i = 0; wrong == NULL && i < 3; i++) {
		bool last = i == 2;
		enum fate fate = (enum fate)(draw(&s.c.state) % (last ? FATE_COUNT : FATE_KILL));

		s.turns = 0;
		wrong = run_query(&s, (int)(draw(&s.c.state) % PLAN_COUNT), fate);
	}
	if (wrong == NULL || s.query != NULL)
		cluster_close(&s.c);
	return wrong;
}

TEST(sim_seeds,
     "sessions under random orders of turns, closes and deaths: the answer or an error, never a hang, nothing left")
{
	const char *one = getenv("DSMX_SIM_SEED"), *many = getenv("DSMX_SIM_SEEDS");
	uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;
	uint64_t count = one != NULL ? 1 : many != NULL ? strtoull(many, NULL, 10) : 500;
	int failed = 0;

	CHECK_EQ(write_table(), 0);
	for (uint64_t seed = first; seed < first + count && failed < 5; seed++) {
		const char *wrong = run_seed(seed);

		if (wrong == NULL)
			continue;
		failed++;
		printf("# DSMX_SIM_SEED=%" PRIu64 ": %s\n", seed, wrong);
	}
	unlink(table_path);
	for (int i = 0; i < PLAN_COUNT; i++)
		for (int j = 0; j < PROCESSES_MAX; j++) {
			free(plans[i][j].bytes);
			plans[i][j].bytes = NULL;
		}
	CHECK_EQ(failed, 0);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
