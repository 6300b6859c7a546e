/* SPDX-License-Identifier: MIT */
/*
 * publish.pml - what one process says for all others to read: PLAN, STATE, PARK, LIVE, and a bell alone
 *
 * PLAN		a query's record, then its word; the reader echoes what it closed, and the record is used again
 * STATE	what a state stands for, then the state
 * PULSE	a turn of the reactor, then its count: who sees it move sees a process that moves
 * DEAD		what was taken of a dead peer's streams, then its epoch
 * MOVE		where a task runs again, then the count of moves
 * SAMPLE	a sample's keys, then its length
 * FLIGHT	an event, then how many were recorded
 * PARK		why a task is parked, then the park's number: who reads a number never finds an older reason
 * BELL		without the fence of a flush (dx_mesh_ring()): who is rung sees what the ringer said before
 * LIVE		the kernel says that the owner died: its last request is read before its streams end
 *
 * Each is its own run: -DEDGE_PLAN and so on. The kernel's store is ordered after everything of the dead thread.
 */
#define PROCESSES 2
#define WORDS     3
#define DEPTH     3

#define RECORD 0 /* the owner's */
#define WORD   1
#define ECHO   2 /* the reader's */

#include "memory.inc"

#define OWNER  0
#define READER 1
#define TIMES  2

#ifdef NO_RELEASE
#define RELEASE_WORD STORE
#else
#define RELEASE_WORD RELEASE
#endif
#ifdef NO_ACQUIRE
#define ACQUIRE_WORD LOAD
#else
#define ACQUIRE_WORD ACQUIRE
#endif

proctype owner()
{
	byte _i, times, value;

	do
	:: times < TIMES ->
		times++;
#ifdef WORD_FIRST
		RELEASE_WORD(OWNER, WORD, times);
		STORE(OWNER, RECORD, times);
#else
		STORE(OWNER, RECORD, times);
		RELEASE_WORD(OWNER, WORD, times);
#endif
#if defined(EDGE_PLAN) && !defined(NO_ECHO)
		do
		:: value != times -> mem[ECHO] != value -> ACQUIRE(OWNER, ECHO, value)
		:: else -> break
		od
#endif
	:: else -> break
	od;
#ifdef EDGE_LIVE
	atomic { buffered[OWNER] == 0 -> mem[WORD] = TIMES + 1 }; /* OWNER_DIED */
#endif
	skip
}

proctype reader()
{
	byte _i, word, record, value;

	do
	:: mem[WORD] != word ->
		ACQUIRE_WORD(READER, WORD, value);
		if
		:: value != word ->
			word = value;
			LOAD(READER, RECORD, record);
#if defined(EDGE_PLAN)
			assert(record == word); /* it is not used again before the echo */
			RELEASE(READER, ECHO, word)
#elif defined(EDGE_LIVE)
			assert(record >= word || (word == TIMES + 1 && record == TIMES))
#else
			assert(record >= word)
#endif
		:: else
		fi;
		record = 0;
		value = 0
#ifdef EDGE_LIVE
	:: word == TIMES + 1 -> break
#else
	:: word == TIMES -> break
#endif
	od
}

init
{
	atomic {
		run drain(OWNER);
		run drain(READER);
		run owner();
		run reader()
	}
}
