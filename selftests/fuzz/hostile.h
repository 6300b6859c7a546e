/* SPDX-License-Identifier: MIT */
/*
 * hostile.h - a process of a session that is nothing but its two segments, and a script that writes them
 *
 * The reader under test is a mesh of the library's over a wait that never sleeps (simulated.h), with real memfds: what
 * the script writes through the owner's mapping, the reader sees through its own, read-only one. So that a script gets
 * anywhere, there are steps that do what an honest process would do, from what the reader's page says; between them it
 * writes what it likes, wherever it likes.
 *
 * With fuzz_concurrent there also is a true process, born by fork(), that keeps changing words which the script wrote
 * last, while the reader reads them.
 */
#ifndef DX_SELFTESTS_HOSTILE_H
#define DX_SELFTESTS_HOSTILE_H

#include "../simulated.h"
#include "fuzz.h"

enum { HOSTILE_SLOTS = 4, HOSTILE_FRAMES = 4, HOSTILE_TASKS = 8, HOSTILE_DATA = 1 << 18 };

struct hostile {
	uint32_t self, peers;
	struct dx_layout layout;
	struct dx_segment page, data; /* made once, used again for each input */
	uint32_t next_frame;          /* where the next honest frame goes: a place in turn */
	uint64_t tail[PROCESSES_MAX][HOSTILE_SLOTS];
};

/* One of a session of @peers: made anew, all zero but for a proper header. */
void hostile_open(struct hostile *h, uint32_t self, uint32_t peers);
/* Its epoch, as it introduces itself. */
uint64_t hostile_epoch(const struct hostile *h);
void hostile_attach(const struct hostile *h, struct dx_mesh *reader);

/* Write a word as the owner can, anywhere: @segment's offset, 1 to 8 bytes. */
void hostile_write(struct hostile *h, bool in_data, size_t offset, uint64_t value, size_t bytes);
/* A word of the script's choice, aimed at what @victim reads, becomes a value of its choice. */
void hostile_scribble(struct hostile *h, uint32_t victim, struct script *s);

/* --- what an honest process does ---------------------------------------------------------------------------- */

/* As a producer: answer @victim's request of @slot, whatever it asks for. */
void hostile_answer(struct hostile *h, struct dx_mesh *victim, uint32_t slot, uint32_t state);
/* Write a frame for @schema and publish it. Does nothing while @victim has taken too few. */
void hostile_send(struct hostile *h, struct dx_mesh *victim, uint32_t slot,
                  const struct dsmx_schema *schema, uint32_t rows);
/* As a consumer: the next generation of @slot asks for @key, or only cancels. */
void hostile_ask(struct hostile *h, struct dx_mesh *victim, uint32_t slot,
                 const struct dsmx_request_abi *request, uint32_t state);
/* The word of that generation moves on: CANCEL, DONE. */
void hostile_say(struct hostile *h, struct dx_mesh *victim, uint32_t slot, uint32_t state);
/* Take what is published, and give back the oldest frame that is held. */
void hostile_release(struct hostile *h, struct dx_mesh *victim, uint32_t slot);
/* Its bell line for @victim: something changed. */
void hostile_ring(struct hostile *h, uint32_t victim);

struct dsmx_page_abi *hostile_page(const struct hostile *h);

/* --- the reader -------------------------------------------------------------------------------------------------- */

struct reader {
	struct process process; /* its service is NULL where a target brings none */
	uint64_t state;         /* of the generator that its slices end by */
	uint64_t clock_ns;
};

/* Process @self of the session, with a reactor over the simulated wait. */
void reader_open(struct reader *r, uint32_t self, uint32_t peers);
void reader_close(struct reader *r);
/* Turn, with the way to sleep and back. */
void reader_turn(struct reader *r);

#endif /* DX_SELFTESTS_HOSTILE_H */
