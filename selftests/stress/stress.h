/* SPDX-License-Identifier: MIT */
/*
 * stress.h - what the judge (stress.c) and the processes it starts (actor.c, reader.c) share
 */
#ifndef DX_SELFTESTS_STRESS_H
#define DX_SELFTESTS_STRESS_H

#include "chan/internal.h"

enum { STRESS_ACTORS = 4, STRESS_FRAMES = 16 };

/* What one seed is, all of it drawn from that number. */
struct stress {
	uint64_t seed;
	uint32_t actors;
	uint32_t readers;    /* of each process that reads */
	bool all_read;       /* else only the first process does */
	uint32_t slots;      /* of each pair: few, so that they are used again */
	uint32_t frames;     /* at most, of a stream */
	uint32_t frame_most; /* bytes */
	uint64_t credit_bytes;
	uint32_t one_in;     /* of points, where to linger */
	uint32_t kill_point; /* of the last process; DX_POINT_COUNT: it stays alive */
	uint64_t kill_at;
	enum dsmx_wait_backend wait[STRESS_ACTORS];
	uint64_t end_ns; /* no stream is asked for later; the judge says it when all have met */
};

/* What each process says of itself, in memory that all share: each writes its own, the judge reads. */
struct stress_report {
	uint64_t streams, whole, cancelled, refused, lost, frames;
	uint64_t parks, late, starved, wrong, hits;
	uint32_t drained; /* nothing of its own is open, nothing lent is out */
	char said[160];   /* the first that was wrong */
};

struct stress_shared {
	struct stress stress;
	struct stress_report reports[STRESS_ACTORS];
};

/* One process, or one thread over the others' mappings. */
struct actor {
	const struct stress *stress;
	struct stress_shared *shared;
	struct stress_report *report;
	uint32_t self;
	struct dx_reactor *reactor;
	struct dx_mesh *mesh;
	struct dx_mesh_ops ops;
	struct dx_source source;
	struct dx_wait_fd over;
	uint64_t pulses[STRESS_ACTORS]; /* the others', as last looked at */
	uint64_t late;                  /* parks, that were judged */
	struct dx_list writers;
	struct reader *readers;
	uint32_t reading; /* readers that have not ended */
	uint64_t random;
	uint64_t asked; /* streams, so each has a name */
};

struct reader {
	struct dx_task task;
	struct actor *actor;
	struct dx_rx *rx;
	bool closed; /* the rx is, and frames of it are still held */
	struct dx_stream_key key;
	uint64_t next;      /* frame that comes */
	uint64_t cancel_at; /* frames after which it is closed; UINT64_MAX: read to its end */
	uint32_t keep;      /* frames held back */
	uint32_t held_count;
	struct {
		struct dx_frame_view view;
		uint64_t index;
	} held[STRESS_FRAMES];
};

/* How a stream ends, in its key: what its reader asks for, its writer does. */
enum stress_end { END_FIN, END_ERROR, END_NAK, END_EMPTY, ENDS };

bool stress_is_over(const struct stress *stress);
uint64_t stress_draw(struct actor *actor, uint64_t below);

/* Something that must not be: the first of it is kept for the judge. */
void stress_wrong(struct actor *actor, const char *fmt, ...) DX_PRINTF(2, 3);

/* The bytes of a frame follow from its stream and index. */
uint32_t stress_frame_bytes(const struct stress *stress, uint64_t query, uint64_t index);
void stress_fill(char *bytes, uint32_t len, uint64_t query, uint64_t index);
bool stress_is_filled(const char *bytes, uint32_t len, uint64_t query, uint64_t index);

/* --- actor.c --- */
int actor_make(struct actor *actor, struct stress_shared *shared, uint32_t self);
/* Ask and answer until @over_fd is readable, or its other end closed. */
int actor_run(struct actor *actor, int over_fd);
void actor_unmake(struct actor *actor);

/* --- reader.c --- */
void readers_start(struct actor *actor);

#endif /* DX_SELFTESTS_STRESS_H */
