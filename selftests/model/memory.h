/* SPDX-License-Identifier: MIT */
/*
 * memory.h - shared memory for the models: weaker than any machine that dsmx runs on
 *
 * Stores wait in a buffer of their process and reach memory in any order, but those to one word in order, and a
 * release store after everything before it. A load gives what memory has now, or what it had when this process last
 * ordered its loads (a processor may have loaded early). An acquire load that gives the word of now orders those
 * that follow. A fence waits until the buffer is empty, and orders loads. So leaving out a release, an acquire or
 * a fence shows, on whatever processor the model runs. What is not here: a load that happens after a later store;
 * where that matters, the mutant has the two the other way round.
 *
 * Every word has one writer, and nobody loads his own, as in runtime/base/order.h. Before the inclusion: PROCESSES,
 * WORDS, and DEPTH, the places of a buffer.
 */
byte mem[WORDS];
byte early[PROCESSES * WORDS];
byte buffer_word[PROCESSES * DEPTH];
byte buffer_value[PROCESSES * DEPTH];
bool buffer_ordered[PROCESSES * DEPTH];
byte buffered[PROCESSES];

inline put(p, w, v, ordered)
{
	atomic {
		buffered[p] < DEPTH ->
		buffer_word[(p) * DEPTH + buffered[p]] = w;
		buffer_value[(p) * DEPTH + buffered[p]] = v;
		buffer_ordered[(p) * DEPTH + buffered[p]] = ordered;
		buffered[p]++
	}
}

#define STORE(p, w, v) put(p, w, v, false)
#define RELEASE(p, w, v) put(p, w, v, true)

/* Needs a local byte _i. */
inline order_loads(p)
{
	_i = 0;
	do
	:: _i < WORDS -> early[(p) * WORDS + _i] = mem[_i]; _i++
	:: else -> break
	od;
	_i = 0
}

inline LOAD(p, w, x)
{
	if
	:: x = early[(p) * WORDS + (w)]
	:: early[(p) * WORDS + (w)] != mem[w] ->
		d_step { early[(p) * WORDS + (w)] = mem[w]; x = mem[w] }
	fi
}

inline ACQUIRE(p, w, x)
{
	if
	:: early[(p) * WORDS + (w)] != mem[w] -> x = early[(p) * WORDS + (w)]
	:: d_step { x = mem[w]; order_loads(p) }
	fi
}

inline FENCE(p)
{
	d_step { buffered[p] == 0 -> order_loads(p) }
}

/* The buffer of one process on its way to memory: entry @at goes, those after it move up. */
inline drain_entry(p, at)
{
	d_step {
		mem[buffer_word[(p) * DEPTH + at]] = buffer_value[(p) * DEPTH + at];
		_i = at + 1;
		do
		:: _i < buffered[p] ->
			buffer_word[(p) * DEPTH + _i - 1] = buffer_word[(p) * DEPTH + _i];
			buffer_value[(p) * DEPTH + _i - 1] = buffer_value[(p) * DEPTH + _i];
			buffer_ordered[(p) * DEPTH + _i - 1] = buffer_ordered[(p) * DEPTH + _i];
			_i++
		:: else -> break
		od;
		_i = 0;
		buffered[p]--;
		buffer_word[(p) * DEPTH + buffered[p]] = 0;
		buffer_value[(p) * DEPTH + buffered[p]] = 0;
		buffer_ordered[(p) * DEPTH + buffered[p]] = false
	}
}

#define MAY_PASS(p, at, before) \
	(!buffer_ordered[(p) * DEPTH + (at)] && \
	 buffer_word[(p) * DEPTH + (at)] != buffer_word[(p) * DEPTH + (before)])

proctype drain(byte p)
{
	byte _i;
end:
	do
	:: atomic { buffered[p] > 0 -> drain_entry(p, 0) }
	:: atomic { buffered[p] > 1 && MAY_PASS(p, 1, 0) -> drain_entry(p, 1) }
	:: atomic { buffered[p] > 2 && MAY_PASS(p, 2, 0) && MAY_PASS(p, 2, 1) -> drain_entry(p, 2) }
	od
}
