/* SPDX-License-Identifier: MIT */
/*
 * sim_supervisor.h - the supervisor of a simulated session: deaths, verdicts, restarts, introductions
 *
 * One step at a time, in an order that the generator draws. When a worker is started again, and whether, is said by
 * the real rule (worker/restart.h), in the simulation's time; what the others hear of a death, and when they map the
 * successor, comes to each at a moment of its own, as messages do. The system calls have nothing of it: a process is
 * a reactor, to kill it is not to run it again, and its memory stays as it was.
 */
#ifndef DX_SELFTESTS_SIM_SUPERVISOR_H
#define DX_SELFTESTS_SIM_SUPERVISOR_H

#include "simulated.h"
#include "worker/restart.h"

enum { NEWS_MAX = 256 };

/* What a process is still to be told. */
struct news {
	uint32_t who;
	uint32_t about;
	uint64_t epoch; /* @about's */
	bool is_death;  /* else: it is to map that incarnation */
};

struct life {
	enum { LIFE_UP, LIFE_EXITED, LIFE_BACKOFF, LIFE_FAILED } state;
	uint64_t due_ns, ready_ns;
	struct dx_restart_history history;
};

struct supervisor {
	struct cluster *c;
	struct life lives[PROCESSES_MAX];
	struct news news[NEWS_MAX];
	uint32_t news_count;
	uint32_t deaths, restarts;
};

static const struct dx_restart restart_rule = { .policy = DSMX_RESTART_ON_FAILURE,
	                                        .delay_ms = 5,
	                                        .max_delay_ms = 40,
	                                        .reset_ms = 50,
	                                        .burst = 20,
	                                        .interval_ms = 1000 };

static inline void supervise(struct supervisor *v, struct cluster *c)
{
	*v = (struct supervisor){ .c = c };
	for (uint32_t i = 0; i < PROCESSES_MAX; i++)
		v->lives[i] = (struct life){ .history.random = 1 + draw(&c->state) / 2,
			                     .ready_ns = c->clock_ns };
}

static inline void add_news(struct supervisor *v, uint32_t who, uint32_t about, bool is_death)
{
	if (v->news_count == NEWS_MAX)
		abort();
	v->news[v->news_count++] = (struct news){ .who = who,
		                                  .about = about,
		                                  .epoch = v->c->processes[about].epoch,
		                                  .is_death = is_death };
}

/* SIGKILL: its liveness word and its pidfd tell each process, when they do. */
static inline void kill_process(struct supervisor *v, uint32_t victim)
{
	struct cluster *c = v->c;

	v->deaths++;
	c->processes[victim].alive = false;
	v->lives[victim].state = LIFE_EXITED;
	for (uint32_t i = 0; i < c->count; i++)
		if (i != victim && c->processes[i].alive)
			add_news(v, i, victim, true);
}

/* The first that is to be told of, in its order: messages of one socket do not overtake each other. */
static inline bool deliver(struct supervisor *v, uint32_t who)
{
	struct cluster *c = v->c;
	struct process *p = &c->processes[who];
	struct news n;
	uint32_t i = 0;

	while (i < v->news_count && v->news[i].who != who)
		i++;
	if (i == v->news_count)
		return false;
	n = v->news[i];
	memmove(&v->news[i], &v->news[i + 1], (--v->news_count - i) * sizeof(n));
	if (!p->alive)
		return true;
	p->asleep = false;
	if (n.is_death)
		dx_mesh_peer_dead(p->mesh, n.about, n.epoch);
	else if (c->processes[n.about].alive && c->processes[n.about].epoch == n.epoch &&
	         introduce(c, who, n.about) < 0)
		abort();
	return true;
}

/* EXITED to BACKOFF to UP again, a step. Returns whether there was one. */
static inline bool live_on(struct supervisor *v, uint32_t peer)
{
	struct cluster *c = v->c;
	struct life *l = &v->lives[peer];
	int64_t ms;

	if (l->state == LIFE_EXITED) {
		ms = dx_restart_after(&restart_rule, &l->history, DSMX_EXIT_SIGNAL,
		                      c->clock_ns - l->ready_ns, c->clock_ns);
		l->state = ms < 0 || c->grave_count == GRAVES_MAX ? LIFE_FAILED : LIFE_BACKOFF;
		l->due_ns = c->clock_ns + (uint64_t)(ms < 0 ? 0 : ms) * DX_NS_PER_MS;
		return true;
	}
	if (l->state != LIFE_BACKOFF || c->clock_ns < l->due_ns)
		return false;
	c->graves[c->grave_count++] = c->processes[peer];
	if (make_process(c, peer) < 0)
		abort();
	for (uint32_t i = 0; i < c->count; i++) {
		if (i == peer || !c->processes[i].alive)
			continue;
		add_news(v, i, peer, false);
		add_news(v, peer, i, false);
	}
	v->restarts++;
	l->state = LIFE_UP;
	l->ready_ns = c->clock_ns;
	return true;
}

/* Some step of somebody's. Returns whether there was anything to do. */
static inline bool supervisor_step(struct supervisor *v)
{
	uint32_t from = (uint32_t)(draw(&v->c->state) % v->c->count);
	bool first_news = draw(&v->c->state) % 2 == 0;

	for (uint32_t k = 0; k < 2 * v->c->count; k++) {
		uint32_t i = (from + k) % v->c->count;

		if ((k < v->c->count) == first_news ? deliver(v, i) : live_on(v, i))
			return true;
	}
	return false;
}

/* Nobody can run: on to the moment at which the next one is started. False: none is to be. */
static inline bool supervisor_wait(struct supervisor *v)
{
	uint64_t due_ns = UINT64_MAX;

	for (uint32_t i = 0; i < v->c->count; i++)
		if (v->lives[i].state == LIFE_BACKOFF && v->lives[i].due_ns < due_ns)
			due_ns = v->lives[i].due_ns;
	if (due_ns == UINT64_MAX)
		return false;
	if (v->c->clock_ns < due_ns)
		v->c->clock_ns = due_ns;
	return true;
}

#endif /* DX_SELFTESTS_SIM_SUPERVISOR_H */
