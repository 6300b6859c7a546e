/* SPDX-License-Identifier: MIT */
/*
 * ring.pml - runtime/ring/ring.h: descriptors to the consumer, frame ids back, frames used again
 *
 * The ring has one slot for two frames, so that a slot is used again while its last frame is still held (a stream's
 * ring has as many slots as frames: there RELEASED gives what TAKEN does). The log has two entries for four
 * frames in all, so it wraps. The consumer holds up to two frames and gives them back in any order.
 *
 * Lost rows, rows in the wrong order, a frame written while it is held, one given back twice: failed assertions.
 * Somebody who waits for ever: an invalid end state. Waiting itself is wait.pml's: here it ends when the word moves.
 *
 * Edges: TAIL, TAKEN, RELEASED.
 */
#define PROCESSES 2
#define WORDS     8
#define DEPTH     3

#define SLOT     0 /* the producer's: item * 2 + frame */
#define FRAME    1 /* two: the item */
#define TAIL     3
#define TAKEN    4 /* the consumer's */
#define LOG      5 /* two: a frame's id */
#define RELEASED 7

#include "memory.inc"

#define PRODUCER 0
#define CONSUMER 1
#define ITEMS    3

#ifdef NO_RELEASE_TAIL
#define RELEASE_TAIL STORE
#else
#define RELEASE_TAIL RELEASE
#endif
#ifdef NO_ACQUIRE_TAIL
#define ACQUIRE_TAIL LOAD
#else
#define ACQUIRE_TAIL ACQUIRE
#endif
#ifdef NO_RELEASE_RELEASED
#define RELEASE_RELEASED STORE
#else
#define RELEASE_RELEASED RELEASE
#endif
#ifdef NO_ACQUIRE_RELEASED
#define ACQUIRE_RELEASED LOAD
#else
#define ACQUIRE_RELEASED ACQUIRE
#endif

/* --- producer ------------------------------------------------------------------------------------------- */

bool out[2];

inline collect()
{
	mem[RELEASED] != released -> ACQUIRE_RELEASED(PRODUCER, RELEASED, value);
	do
	:: released != value ->
		LOAD(PRODUCER, LOG + (released & 1), id);
		assert(id < 2 && out[id]);
		out[id] = false;
		released++
	:: else -> break
	od
}

proctype producer()
{
	byte _i, value, id, tail, taken, released, published;

	do
	:: tail < ITEMS ->
		do
#ifdef NO_LOOK_RELEASED
		:: out[0] && out[1] -> out[tail & 1] = false
#else
		:: out[0] && out[1] -> collect()
#endif
		:: !out[0] || !out[1] -> break
		od;
		id = (out[0] -> 1 : 0);
		STORE(PRODUCER, FRAME + id, tail + 1);
#ifdef WRITE_BEFORE_TAKEN
		STORE(PRODUCER, SLOT, (tail + 1) * 2 + id);
#endif
#ifndef NO_LOOK_TAKEN
		do
		:: tail - taken > 0 ->
			if
			:: mem[TAKEN] != taken -> ACQUIRE(PRODUCER, TAKEN, taken)
			fi
		:: else -> break
		od;
#endif
#ifndef WRITE_BEFORE_TAKEN
		STORE(PRODUCER, SLOT, (tail + 1) * 2 + id);
#endif
		out[id] = true;
		tail++;
		RELEASE_TAIL(PRODUCER, TAIL, tail);
		id = 0;
		value = 0
	:: tail == ITEMS && (out[0] || out[1]) -> collect()
	:: tail == ITEMS && !out[0] && !out[1] -> break
	od
}

/* --- consumer ------------------------------------------------------------------------------------------- */

inline take()
{
#ifdef TAKEN_BEFORE_COPY
	RELEASE(CONSUMER, TAKEN, taken + 1);
#endif
	LOAD(CONSUMER, SLOT, value);
	taken++;
	assert(value / 2 == taken && !held[value & 1]);
	held[value & 1] = true;
	item[value & 1] = taken;
#ifndef TAKEN_BEFORE_COPY
	RELEASE(CONSUMER, TAKEN, taken);
#endif
	value = 0
}

inline give_back(id)
{
#ifdef RELEASED_BEFORE_READ
	STORE(CONSUMER, LOG + (released & 1), id);
	released++;
	RELEASE_RELEASED(CONSUMER, RELEASED, released);
#endif
	LOAD(CONSUMER, FRAME + id, value);
	assert(value == item[id]);
	held[id] = false;
#ifndef RELEASED_BEFORE_READ
	STORE(CONSUMER, LOG + (released & 1), id);
	released++;
	RELEASE_RELEASED(CONSUMER, RELEASED, released);
#endif
#ifdef RELEASE_TWICE
	if
	:: released < 4 ->
		STORE(CONSUMER, LOG + (released & 1), id);
		released++;
		RELEASE_RELEASED(CONSUMER, RELEASED, released)
	:: skip
	fi;
#endif
	item[id] = 0;
	value = 0
}

proctype consumer()
{
	byte _i, value, tail, taken, released;
	bool held[2];
	byte item[2];

	do
	:: taken == tail && taken < ITEMS && mem[TAIL] != tail -> ACQUIRE_TAIL(CONSUMER, TAIL, tail)
	:: taken != tail -> take()
	:: held[0] -> give_back(0)
	:: held[1] -> give_back(1)
	:: taken == ITEMS && !held[0] && !held[1] -> break
	od
}

init
{
	atomic {
		run drain(PRODUCER);
		run drain(CONSUMER);
		run producer();
		run consumer()
	}
}
