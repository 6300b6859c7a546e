/* SPDX-License-Identifier: MIT */
/*
 * rerun.pml - runtime/exchange/rerun.c: a producer dies, and runs again elsewhere only if nobody has seen of it
 *
 * Two consumers of one producer task, and the leader. The producer dies at any moment; each consumer learns of it at a
 * moment of its own, and may have taken of the first attempt before, or have its end still to read (FIN stands). The
 * leader decides once both say that they know. Who has taken nothing waits for the move, and takes of the second
 * attempt at its new place.
 *
 * Assertions: nothing is taken of two attempts; where a move says that it runs, its place is there. Invalid end state:
 * a consumer waits for a move that never comes.
 *
 * Edges: DEAD, MOVE.
 */
#define PROCESSES 3
#define WORDS     6
#define DEPTH     3

#define TOOK  0 /* + consumer */
#define DEAD  2 /* + consumer */
#define MOVE  4 /* the leader's */
#define PLACE 5

#include "memory.inc"

#define LEADER  2
#define MOVED   1
#define REFUSED 2

#ifdef NO_RELEASE_DEAD
#define RELEASE_DEAD STORE
#else
#define RELEASE_DEAD RELEASE
#endif
#ifdef NO_ACQUIRE_DEAD
#define ACQUIRE_DEAD LOAD
#else
#define ACQUIRE_DEAD ACQUIRE
#endif
#ifdef NO_RELEASE_MOVE
#define RELEASE_MOVE STORE
#else
#define RELEASE_MOVE RELEASE
#endif
#ifdef NO_ACQUIRE_MOVE
#define ACQUIRE_MOVE LOAD
#else
#define ACQUIRE_MOVE ACQUIRE
#endif

bool died, first_taken, second_taken;

inline take_first()
{
	first_taken = true;
	assert(!second_taken)
}

proctype consumer(byte p)
{
	byte _i, value;
	bool took, whole, knows;

	if
	:: whole = true /* its partition reaches FIN before the death */
	:: skip
	fi;
	do
	:: !knows && !took && !died ->
		STORE(p, TOOK + p, 1);
		took = true;
		take_first()
	:: died && !knows ->
#ifdef DEAD_FIRST
		RELEASE_DEAD(p, DEAD + p, 1);
#endif
#ifndef FIN_FORGOTTEN
		if
		:: whole && !took -> STORE(p, TOOK + p, 1); took = true
		:: else
		fi;
#endif
#ifndef DEAD_FIRST
		RELEASE_DEAD(p, DEAD + p, 1);
#endif
		knows = true
	:: knows && whole -> take_first(); break
	:: knows && !whole && took -> break /* the query fails */
	:: knows && !whole && !took && value == 0 && mem[MOVE] != 0 -> ACQUIRE_MOVE(p, MOVE, value)
	:: value == REFUSED -> break
	:: value == MOVED ->
		LOAD(p, PLACE, value);
		assert(value == 1);
		second_taken = true;
		assert(!first_taken);
		break
	od
}

proctype leader()
{
	byte _i, value, taken;

	do
	:: mem[DEAD] == 1 -> ACQUIRE_DEAD(LEADER, DEAD, value); if :: value == 1 -> break :: else fi
	od;
#ifndef ONE_IS_ENOUGH
	do
	:: mem[DEAD + 1] == 1 -> ACQUIRE_DEAD(LEADER, DEAD + 1, value); if :: value == 1 -> break :: else fi
	od;
#endif
	LOAD(LEADER, TOOK, value);
	taken = value;
	LOAD(LEADER, TOOK + 1, value);
	taken = taken + value;
	if
	:: taken == 0 ->
		STORE(LEADER, PLACE, 1);
		RELEASE_MOVE(LEADER, MOVE, MOVED)
	:: else -> RELEASE_MOVE(LEADER, MOVE, REFUSED)
	fi
}

init
{
	atomic {
		run drain(0);
		run drain(1);
		run drain(LEADER);
		run consumer(0);
		run consumer(1);
		run leader()
	};
	died = true
}
