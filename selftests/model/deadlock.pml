/* SPDX-License-Identifier: MIT */
/*
 * deadlock.pml - the walk of runtime/exchange/deadlock.c
 *
 * Two tasks of two processes, with a stream each way. A task pushes, or takes what came, or parks for rows; nobody
 * ever ends, so at last both are parked and nothing is on its way. Who parks publishes that, passes the fence of the
 * sleep, looks at its stream once more, and walks: twice, and the park numbers must be the same.
 *
 * Found must be true: both are parked, and all that was pushed was taken. True must be found: a state in which both
 * sleep and nobody has said so is an invalid end state. Waking is the other model's: here who has rows wakes up.
 *
 * The word which says that what came is no news any more is TAKEN for rows, and SEEN for frames that come back: here
 * both are one, and it is stored after the task was said to run.
 *
 * Edges: PARK, TAIL, TAKEN, SEEN. Fence: SLEEP.
 */
#define PROCESSES 2
#define WORDS     8
#define DEPTH     3

#define TAIL(p)  ((p) * 4)     /* of its stream to the other */
#define TAKEN(p) ((p) * 4 + 1) /* of the other's stream */
#define KIND(p)  ((p) * 4 + 2) /* not 0: it is parked for rows */
#define PARK(p)  ((p) * 4 + 3) /* the number of the park */

#include "memory.inc"

#define OTHER (1 - me)
#define ITEMS (2 - me)

/* What is true, whatever anybody sees. */
byte pushed[PROCESSES], took[PROCESSES];
bool parked[PROCESSES];
bool found;

#ifdef NO_RELEASE_PARK
#define RELEASE_PARK STORE
#else
#define RELEASE_PARK RELEASE
#endif
#ifdef NO_ACQUIRE_PARK
#define ACQUIRE_PARK LOAD
#else
#define ACQUIRE_PARK ACQUIRE
#endif
#ifdef NO_RELEASE_KIND
#define RELEASE_KIND STORE
#else
#define RELEASE_KIND RELEASE
#endif

/* dx_record_park() */
inline publish(kind)
{
	park++;
#ifdef NUMBER_FIRST
	RELEASE_PARK(me, PARK(me), park);
	RELEASE_KIND(me, KIND(me), kind)
#else
	RELEASE_KIND(me, KIND(me), kind);
	RELEASE_PARK(me, PARK(me), park)
#endif
}

/* From the own task to the other and back. */
inline walk(number)
{
	set = false;
	ACQUIRE(me, TAIL(OTHER), value);
	if
	:: value == taken -> /* nothing to read here */
		ACQUIRE_PARK(me, PARK(OTHER), number);
		LOAD(me, KIND(OTHER), value);
		if
		:: value != 0 ->
			ACQUIRE(me, TAKEN(OTHER), value);
			set = (value == tail) /* nor there */
		:: else
		fi
	:: else
	fi;
	value = 0
}

proctype task(byte me)
{
	byte _i, tail, taken, park, value, first, second;
	bool set;

	do
	:: found -> break
	:: tail < ITEMS ->
		tail++;
		d_step { pushed[me] = tail };
		RELEASE(me, TAIL(me), tail)
	:: true ->
wait:
		ACQUIRE(me, TAIL(OTHER), value);
		if
		:: value != taken -> goto take
		:: else
		fi;
		value = 0;
		parked[me] = true;
		publish(1);
#ifndef NO_FENCE_SLEEP
		FENCE(me);
#endif
		ACQUIRE(me, TAIL(OTHER), value);
		if
		:: value != taken -> goto again
		:: else
		fi;
		value = 0;
		walk(first);
#ifndef NO_SECOND_PASS
		if
		:: set -> walk(second)
		:: else
		fi;
#ifndef NO_PARK_NUMBER
		set = set && first == second;
#endif
#endif
		first = 0;
		second = 0;
		if
		:: set ->
			assert(parked[0] && parked[1] && pushed[0] == took[1] && pushed[1] == took[0]);
			found = true;
			break
		:: else
		fi;
		if /* sleep */
		:: found -> break
		:: mem[TAIL(OTHER)] != taken
		fi;
again:
		value = 0;
#ifdef SEEN_FIRST
		ACQUIRE(me, TAIL(OTHER), value);
		RELEASE(me, TAKEN(me), value);
		value = 0;
#endif
#ifndef RUN_UNSAID
		publish(0);
#endif
		parked[me] = false;
		ACQUIRE(me, TAIL(OTHER), value);
		if
		:: value == taken -> goto wait
		:: else
		fi;
take:
		taken = value;
		value = 0;
		took[me] = taken;
		RELEASE(me, TAKEN(me), taken)
	od
}

init
{
	atomic {
		run drain(0);
		run drain(1);
		run task(0);
		run task(1)
	}
}
