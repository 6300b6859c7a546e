/* SPDX-License-Identifier: MIT */
/*
 * wait.pml - the wait protocol of runtime/chan/look.c and runtime/task/reactor.c
 *
 * A waker publishes a count (a stream's tail), ordered by nothing but its own release, and once a word (a request or
 * a stream's end) with `changes`; it does so one by one, or in batches that a flush ends. A sleeper wants both. A lost
 * wake is a state in which the sleeper sleeps for ever: spin calls it an invalid end state. There is no bound on a
 * park here, as that only hides one. The waker counts when the tail passes what is wanted, and rings if the sleeper is
 * armed; a sleeper who found nothing at the place that he wants leaves the tail alone until that count moves.
 *
 * Edges: BELL, CHANGES, COUNTS, TAIL, and the word's own, REQUEST. Fences: SLEEP, WAKE. The bell wraps on its way.
 * The release of COUNTS has no mutant: WAKE stands between it and what it is for, and does the same.
 */
#define PROCESSES 2
#define WORDS     7
#define DEPTH     3

#define TAIL    0 /* the waker's */
#define WORD    1
#define CHANGES 2
#define BELL    3
#define COUNTS  4
#define WANTED  5 /* the sleeper's */
#define ARMED   6

#include "memory.inc"

#define WAKER   0
#define SLEEPER 1
#define ITEMS   2
#define NONE    99

bool queued; /* in the kernel, on the bell */
bool woken;

#ifdef NO_RELEASE_CHANGES
#define RELEASE_CHANGES STORE
#else
#define RELEASE_CHANGES RELEASE
#endif
#ifdef NO_ACQUIRE_CHANGES
#define ACQUIRE_CHANGES LOAD
#else
#define ACQUIRE_CHANGES ACQUIRE
#endif
#ifdef NO_ACQUIRE_COUNTS
#define ACQUIRE_COUNTS LOAD
#else
#define ACQUIRE_COUNTS ACQUIRE
#endif
#ifdef NO_ACQUIRE_BELL
#define ACQUIRE_BELL LOAD
#else
#define ACQUIRE_BELL ACQUIRE
#endif

/* --- waker ---------------------------------------------------------------------------------------------- */

inline fence_wake()
{
#ifndef NO_FENCE_WAKE
	FENCE(WAKER)
#else
	skip
#endif
}

inline ring()
{
#ifndef NO_BELL_MOVE
	bell++;
	RELEASE(WAKER, BELL, bell);
#endif
	FENCE(WAKER); /* futex(2) has one */
	d_step {
		if
		:: queued -> queued = false; woken = true
		:: else
		fi
	}
}

/* dx_tx_test(): was `wanted` passed since the last test? */
inline test()
{
	LOAD(WAKER, WANTED, seen);
	if
	:: seen >= tested && seen < tail ->
		counts++;
		RELEASE(WAKER, COUNTS, counts);
		passed = true
	:: else
	fi;
	tested = tail;
	seen = 0
}

/* After what the sleeper has to look at has moved: ring if he is armed. */
inline ring_armed()
{
#ifndef NO_FENCE_COUNTS
	if
	:: passed -> FENCE(WAKER)
	:: else
	fi;
#endif
	if
	:: changed || passed ->
		LOAD(WAKER, ARMED, seen);
		if
		:: seen != 0 -> ring()
		:: else
		fi
	:: else
	fi;
	passed = false;
	seen = 0
}

inline flush()
{
	if
	:: dirty -> RELEASE(WAKER, TAIL, tail)
	:: else
	fi;
	fence_wake();
	if
	:: dirty -> test()
	:: else
	fi;
#ifdef NO_LOOK_ARMED
	changed = false;
#endif
	ring_armed();
	dirty = false;
	changed = false
}

proctype waker()
{
	byte _i, tail, tested, seen;
	byte counts;
	byte bell = 255;
	bool dirty, changed, passed, said;

	do
	:: tail < ITEMS -> /* a push that publishes at once */
		tail++;
		RELEASE(WAKER, TAIL, tail);
		fence_wake();
		test();
		if
		:: passed -> ring_armed()
		:: else
		fi;
		dirty = false
	:: tail < ITEMS -> tail++; dirty = true
	:: !said ->
		said = true;
#ifdef CHANGES_FIRST
		RELEASE(WAKER, CHANGES, 1);
		RELEASE(WAKER, WORD, 1);
#else
		RELEASE(WAKER, WORD, 1);
		RELEASE_CHANGES(WAKER, CHANGES, 1);
#endif
		changed = true
	:: dirty || changed -> flush()
	:: tail == ITEMS && said && !dirty && !changed -> break
	od
}

/* --- sleeper -------------------------------------------------------------------------------------------- */

inline look()
{
#ifndef SEEN_LATE
	ACQUIRE_BELL(SLEEPER, BELL, bell_seen);
#endif
	ACQUIRE_CHANGES(SLEEPER, CHANGES, value);
	if
	:: value != changes_seen ->
		changes_seen = value;
		ACQUIRE(SLEEPER, WORD, value);
		if
		:: value != word -> word = value; news = true
		:: else
		fi
	:: else
	fi;
	ACQUIRE_COUNTS(SLEEPER, COUNTS, value);
	if
	:: value != counts_seen -> counts_seen = value; told = false
	:: else
	fi;
	if
	:: !told ->
		ACQUIRE(SLEEPER, TAIL, value);
		if
		:: value != position -> position = value; news = true
#ifdef TOLD_UNASKED
		:: else -> told = true
#else
		:: else -> told = (wanted == position)
#endif
		fi
	:: else
	fi;
#ifdef SEEN_LATE
	ACQUIRE_BELL(SLEEPER, BELL, bell_seen);
#endif
	value = 0
}

proctype sleeper()
{
	byte _i, position, word, changes_seen, counts_seen, value;
	byte wanted = NONE;
	byte bell_seen = 255;
	bool news, told;

again:
	news = false;
	look();
	if
	:: position == ITEMS && word == 1 -> goto done
	:: else
	fi;
	/* park() */
	news = false;
	ACQUIRE_BELL(SLEEPER, BELL, bell_seen);
	STORE(SLEEPER, ARMED, 1);
	if
	:: wanted != position ->
		wanted = position;
		STORE(SLEEPER, WANTED, position)
	:: else
	fi;
#ifndef NO_FENCE_SLEEP
	FENCE(SLEEPER);
#endif
#ifndef NO_LAST_LOOK
	look();
#endif
	if
	:: news
	:: else ->
		d_step {
			if
			:: mem[BELL] == bell_seen -> queued = true
			:: else -> woken = true
			fi
		};
		woken;
		woken = false
	fi;
	STORE(SLEEPER, ARMED, 0);
	goto again;
done:
	skip
}

init
{
	atomic {
		mem[BELL] = 255;
		mem[WANTED] = NONE;
		early[WAKER * WORDS + WANTED] = NONE;
		early[SLEEPER * WORDS + BELL] = 255;
		run drain(WAKER);
		run drain(SLEEPER);
		run waker();
		run sleeper()
	}
}
