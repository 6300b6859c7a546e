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

/* Behind the true clock by up to a slice, so that slices have any length. */
static inline uint64_t sim_now(struct dx_wait *wait)
{
	return dx_now_ns() - draw(sim_of(wait)->state) % DX_SLICE_NS;
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
	bool alive;
	bool asleep;
	uint32_t knows; /* bit p: it has heard that p is dead */
};

struct cluster {
	uint64_t state; /* of the generator */
	uint32_t count;
	uint32_t frames;
	struct process processes[PROCESSES_MAX];
};

static inline int make_process(struct cluster *s, uint32_t self)
{
	struct process *p = &s->processes[self];
	struct dx_mesh_params params = {
		.session = 1,
		.epoch = 100 + self,
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
	dx_list_init(&p->wait->words);
	r = dx_reactor_new_over(&p->wait->wait, false, &p->reactor, NULL);
	if (r == 0)
		r = dx_mesh_new(p->reactor, &params, &p->mesh, NULL);
	if (r == 0)
		r = dx_service_new(p->mesh, NULL, &p->service, NULL);
	p->alive = true;
	return r;
}

static inline int cluster_open(struct cluster *s)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < s->count; i++)
		r = make_process(s, i);
	for (uint32_t i = 0; r == 0 && i < s->count; i++)
		for (uint32_t j = 0; r == 0 && j < s->count; j++)
			if (i != j)
				r = dx_mesh_attach(s->processes[i].mesh, j, 100 + j,
				                   dx_mesh_page_segment(s->processes[j].mesh)->fd,
				                   dx_mesh_data_segment(s->processes[j].mesh)->fd,
				                   -1, NULL);
	return r;
}

static inline void cluster_close(struct cluster *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct process *p = &s->processes[i];

		if (p->service != NULL)
			dx_service_free(p->service);
		if (p->mesh != NULL)
			dx_mesh_free(p->mesh);
		if (p->reactor != NULL)
			dx_reactor_free(p->reactor);
	}
}

#endif /* DX_SELFTESTS_SIMULATED_H */
