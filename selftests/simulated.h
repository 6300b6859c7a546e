/* SPDX-License-Identifier: MIT */
/*
 * simulated.h - a session's processes as reactors of one program
 *
 * Nothing in the library is global, so a whole session's worth of meshes, services and reactors fits one
 * process. Each has a wait that never sleeps: the test decides who takes a turn.
 */
#ifndef DX_SELFTESTS_SIMULATED_H
#define DX_SELFTESTS_SIMULATED_H

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cx.h"
#include "base/err.h"
#include "base/order.h"
#include "chan/internal.h"
#include "dsmx/dsmx.h"
#include "exchange/internal.h"
#include "task/reactor.h"
#include "wait/backend.h"

enum { PROCESSES_MAX = 5, SIMULATED_SLOTS = 32 };

/* --- the simulated wait ---------------------------------------------------------------------------------------- */

struct sim_wait {
	struct dx_wait wait; /* must be first */
	struct dx_list words;
	uint64_t *state; /* of the generator: slices end at random times */
	uint64_t *clock_ns;
};

static inline uint64_t draw(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15ULL;
	uint64_t z = *state;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline struct sim_wait *sim_of(struct dx_wait *wait)
{
	return (struct sim_wait *)wait;
}

static inline int sim_add_word(struct dx_wait *wait, struct dx_wait_word *word)
{
	dx_list_append(&sim_of(wait)->words, &word->link);
	return 0;
}

static inline int sim_add_fd(struct dx_wait *wait, struct dx_wait_fd *fd)
{
	(void)wait;
	dx_list_init(&fd->link);
	return 0;
}

static inline void sim_remove_word(struct dx_wait *wait, struct dx_wait_word *word)
{
	(void)wait;
	dx_list_unlink(&word->link);
}

static inline void sim_remove_fd(struct dx_wait *wait, struct dx_wait_fd *fd)
{
	(void)wait;
	(void)fd;
}

static inline int sim_sleep(struct dx_wait *wait, uint64_t deadline_ns)
{
	(void)wait;
	(void)deadline_ns;
	return 0;
}

static inline int sim_pollable(struct dx_wait *wait)
{
	(void)wait;
	return -EOPNOTSUPP;
}

/* Time passes by being asked for: slices have any length, and the same seed gives the same ones. */
static inline uint64_t sim_now(struct dx_wait *wait)
{
	struct sim_wait *w = sim_of(wait);

	*w->clock_ns += draw(w->state) % (DX_SLICE_NS / 4);
	return *w->clock_ns;
}

static inline void sim_free(struct dx_wait *wait)
{
	free(wait);
}

static const struct dx_wait_ops sim_ops = {
	"simulated", sim_add_word, sim_add_fd, sim_remove_word, sim_remove_fd,
	sim_sleep,   sim_pollable, sim_now,    sim_free,
};

/* --- processes --------------------------------------------------------------------------------------------------- */

struct process {
	struct sim_wait *wait;
	struct dx_reactor *reactor;
	struct dx_mesh *mesh;
	struct dx_service *service;
	uint64_t epoch;
	bool alive;
	bool asleep;
};

enum { GRAVES_MAX = 64 };

struct cluster {
	uint64_t state; /* of the generator */
	uint32_t count;
	uint32_t frames;
	struct process processes[PROCESSES_MAX];
	/* The killed: nothing of theirs is tidied up, and others may have their memory still. */
	struct process graves[GRAVES_MAX];
	uint32_t grave_count;
	uint64_t last_epoch;
	uint64_t clock_ns;
};

static inline int make_process(struct cluster *s, uint32_t self)
{
	struct process *p = &s->processes[self];

	*p = (struct process){ .epoch = 100 + s->last_epoch++ };

	struct dx_mesh_params params = {
		.session = 1,
		.epoch = p->epoch,
		.self = self,
		.peers = s->count,
		.slots = SIMULATED_SLOTS,
		.frames = s->frames,
		.tasks = 64,
		.data_bytes = 1 << 20,
		.pages = DSMX_PAGES_SMALL,
		.numa_node = -1,
	};
	int r;

	p->wait = calloc(1, sizeof(*p->wait));
	if (p->wait == NULL)
		return -ENOMEM;
	p->wait->wait.ops = &sim_ops;
	p->wait->state = &s->state;
	p->wait->clock_ns = &s->clock_ns;
	dx_list_init(&p->wait->words);
	r = dx_reactor_new_over(&p->wait->wait, false, &p->reactor, NULL);
	if (r == 0)
		r = dx_mesh_new(p->reactor, &params, &p->mesh, NULL);
	if (r == 0)
		r = dx_service_new(p->mesh, NULL, &p->service, NULL);
	p->alive = true;
	return r;
}

/* Process @who gets to know process @whom; that its predecessor is dead, too. */
static inline int introduce(struct cluster *s, uint32_t who, uint32_t whom)
{
	struct process *p = &s->processes[who], *q = &s->processes[whom];

	dx_mesh_peer_dead(p->mesh, whom, dx_mesh_epoch(p->mesh, whom));
	p->asleep = false;
	return dx_mesh_attach(p->mesh, whom, q->epoch, dx_mesh_page_segment(q->mesh)->fd,
	                      dx_mesh_data_segment(q->mesh)->fd, -1, NULL);
}

static inline int cluster_open(struct cluster *s)
{
	int r = 0;

	s->clock_ns = DX_NS_PER_S;

	for (uint32_t i = 0; r == 0 && i < s->count; i++)
		r = make_process(s, i);
	for (uint32_t i = 0; r == 0 && i < s->count; i++)
		for (uint32_t j = 0; r == 0 && j < s->count; j++)
			if (i != j)
				r = introduce(s, i, j);
	return r;
}

static inline void free_process(struct process *p)
{
	if (p->service != NULL)
		dx_service_free(p->service);
	if (p->mesh != NULL)
		dx_mesh_free(p->mesh);
	if (p->reactor != NULL)
		dx_reactor_free(p->reactor);
	*p = (struct process){ 0 };
}

static inline void cluster_close(struct cluster *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		free_process(&s->processes[i]);
	for (uint32_t i = 0; i < s->grave_count; i++)
		free_process(&s->graves[i]);
	s->grave_count = 0;
}

#endif /* DX_SELFTESTS_SIMULATED_H */
