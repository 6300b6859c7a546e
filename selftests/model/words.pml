/* SPDX-License-Identifier: MIT */
/*
 * words.pml - runtime/chan/rx.c and tx.c: request and stream words, generations, CANCEL against FIN, a slot used again
 *
 * One slot of two processes, used for two streams one after the other. The consumer may cancel at any point, and may
 * ask for a stream that nobody will read (CANCEL at once). The producer has one frame; once it is back, others may
 * write it at any time. Each side resets its own counts before the word that announces them, while the other may still
 * look at the slot for the sake of the stream before.
 *
 * Assertions: an answer belongs to what was asked, exactly one final answer, the end comes with the count that was
 * published, a frame in hand stays as it is, nobody is said to break the rules. Invalid end state: one side waits for
 * a word that never comes.
 *
 * Edges: REQUEST, STREAM, TAIL, TAKEN, RELEASED.
 */
#define PROCESSES 2
#define WORDS     9
#define DEPTH     3

#define WORD     0 /* the consumer's */
#define REQUEST  1 /* the fields of the request: the generation again */
#define TAKEN    2
#define RELEASED 3
#define ANSWER   4 /* the producer's */
#define STREAM   5 /* the fields of the stream, and its slot: the generation again */
#define TAIL     6
#define FINAL    7
#define FRAME    8

#include "memory.inc"

#define CONSUMER    0
#define PRODUCER    1
#ifndef GENERATIONS
#define GENERATIONS 2
#endif

#define START     1
#define CANCEL    2
#define DONE      3
#define RUNNING   1
#define FIN       2
#define CANCELLED 5

#define MAKE(generation, state) ((generation) * 8 + (state))
#define STATE(word)      ((word) & 7)
#define GENERATION(word) ((word) >> 3)

#ifdef NO_RELEASE_REQUEST
#define RELEASE_REQUEST STORE
#else
#define RELEASE_REQUEST RELEASE
#endif
#ifdef NO_ACQUIRE_REQUEST
#define ACQUIRE_REQUEST LOAD
#else
#define ACQUIRE_REQUEST ACQUIRE
#endif
#ifdef NO_RELEASE_STREAM
#define RELEASE_STREAM STORE
#else
#define RELEASE_STREAM RELEASE
#endif
#ifdef NO_ACQUIRE_STREAM
#define ACQUIRE_STREAM LOAD
#else
#define ACQUIRE_STREAM ACQUIRE
#endif

/* --- consumer ------------------------------------------------------------------------------------------- */

inline ask()
{
	/* What resets a count is ordered after the DONE before. */
#ifdef PLAIN_RESET
	STORE(CONSUMER, RELEASED, 0);
#else
	RELEASE(CONSUMER, RELEASED, 0);
#endif
	STORE(CONSUMER, TAKEN, 0);
	STORE(CONSUMER, REQUEST, generation);
	if
	:: RELEASE_REQUEST(CONSUMER, WORD, MAKE(generation, START))
	:: RELEASE_REQUEST(CONSUMER, WORD, MAKE(generation, CANCEL)); cancelled = true
	fi
}

/* answer_state() and dx_rx_next() */
inline next()
{
	ACQUIRE_STREAM(CONSUMER, ANSWER, answer);
#ifndef NO_GENERATION
	if
	:: GENERATION(answer) != generation -> answer = 0
	:: else
	fi;
#endif
#ifdef TAIL_BEFORE_WORD
	if
	:: STATE(answer) == FIN -> answer = MAKE(generation, FIN)
	:: (STATE(answer) == RUNNING) -> ACQUIRE(CONSUMER, TAIL, tail)
	:: else
	fi;
#endif
	if
	:: !cancelled && (STATE(answer) == RUNNING || STATE(answer) == FIN) ->
		LOAD(CONSUMER, STREAM, value);
		assert(value == generation);
#ifndef TAIL_BEFORE_WORD
		ACQUIRE(CONSUMER, TAIL, tail);
#endif
		assert(tail <= 1);
		if
		:: tail > taken ->
			taken = tail;
			holds = true
		:: tail == taken && STATE(answer) == FIN ->
			LOAD(CONSUMER, FINAL, value);
			assert(value == taken);
			ended = true
		:: else
		fi
	:: STATE(answer) == CANCELLED -> assert(cancelled); ended = true
	:: cancelled && STATE(answer) == FIN -> ended = true
	:: else
	fi;
	value = 0
}

inline read_frame()
{
	LOAD(CONSUMER, FRAME, value);
	assert(value == generation);
	value = 0
}

proctype consumer()
{
	byte _i, generation, answer, tail, taken, value;
	bool cancelled, ended, holds;

	do
	:: generation < GENERATIONS ->
		generation++;
		ask();
		do
		:: !ended && (STATE(answer) > RUNNING || mem[ANSWER] != answer || mem[TAIL] != tail) -> next()
		:: !ended && !cancelled ->
#ifndef CANCEL_BEFORE_TAKEN
			RELEASE(CONSUMER, TAKEN, taken);
#endif
			RELEASE_REQUEST(CONSUMER, WORD, MAKE(generation, CANCEL));
			cancelled = true
		:: holds ->
			read_frame();
			holds = false;
			RELEASE(CONSUMER, TAKEN, taken);
			RELEASE(CONSUMER, RELEASED, 1)
#ifdef DONE_EARLY
		:: cancelled && !holds -> break
#endif
#ifdef DONE_HOLDING
		:: ended -> break
#else
		:: ended && !holds -> break
#endif
		od;
		RELEASE_REQUEST(CONSUMER, WORD, MAKE(generation, DONE));
#ifdef DONE_HOLDING
		if
		:: holds -> read_frame()
		:: else
		fi;
#endif
		atomic { cancelled = false; ended = false; holds = false; taken = 0; tail = 0; answer = 0 }
	:: else -> break
	od
}

/* --- producer ------------------------------------------------------------------------------------------- */

byte finals[GENERATIONS + 1];

inline final_answer(state)
{
	assert(finals[open_generation] == 0);
	finals[open_generation]++;
	final = true;
	STORE(PRODUCER, FINAL, pushed);
	RELEASE_STREAM(PRODUCER, ANSWER, MAKE(open_generation, state))
}

/* The request words of the slot: dx_tx_consumer_word(), then a new stream. */
inline look_at_word()
{
	ACQUIRE_REQUEST(PRODUCER, WORD, word);
	if
	:: word == word_seen
	:: word != word_seen && is_open && GENERATION(word) == open_generation && STATE(word) == CANCEL ->
		ACQUIRE(PRODUCER, TAKEN, value);
		if
		:: out && pushed > value -> out = false /* never read: put_back_from() */
		:: else
		fi;
		if
#ifdef CANCEL_OVER_FIN
		:: skip -> final_answer(CANCELLED)
#else
		:: !final -> final_answer(CANCELLED)
#endif
		:: else
		fi;
		gone = true
	:: word != word_seen && is_open && (GENERATION(word) > open_generation || STATE(word) == DONE) ->
		out = false;
		is_open = false
	:: else
	fi;
	if
	:: word != word_seen && !is_open && GENERATION(word) > GENERATION(word_seen) &&
	   (STATE(word) == START || STATE(word) == CANCEL) ->
		open_generation = GENERATION(word);
		LOAD(PRODUCER, REQUEST, value);
		assert(value == open_generation);
		final = false;
		gone = false;
		pushed = 0;
		lent = false;
		read = 0;
		STORE(PRODUCER, STREAM, open_generation);
		STORE(PRODUCER, TAIL, 0);
		if
		:: STATE(word) == START ->
			is_open = true;
			RELEASE_STREAM(PRODUCER, ANSWER, MAKE(open_generation, RUNNING))
		:: else -> final_answer(CANCELLED)
		fi
	:: else
	fi;
	word_seen = word;
	value = 0
}

/* Frames that came back. A count that went backwards breaks the rules, unless the stream is over. */
inline collect()
{
	ACQUIRE(PRODUCER, RELEASED, value);
	if
	:: value > read -> read = value; out = false
	:: value < read ->
#ifndef NO_WORD_AFTER
		ACQUIRE(PRODUCER, WORD, word);
		assert(GENERATION(word) != open_generation || STATE(word) == DONE)
#else
		assert(false)
#endif
	:: else
	fi;
	value = 0;
	word = 0
}

proctype producer()
{
	byte _i, word, word_seen, open_generation, value, pushed, read;
	bool is_open, out, final, gone, lent;

	do
	:: mem[WORD] != word_seen -> look_at_word()
	:: is_open && !final && !gone && pushed == 0 && !out ->
		STORE(PRODUCER, FRAME, open_generation);
		out = true;
		pushed = 1;
		RELEASE(PRODUCER, TAIL, 1)
	:: !out && pushed > 0 && !lent -> lent = true; STORE(PRODUCER, FRAME, 9)
	:: is_open && !final -> final_answer(FIN)
	:: is_open && pushed > 0 && mem[RELEASED] != read -> collect()
	:: !is_open && word_seen == MAKE(GENERATIONS, DONE) -> break
	od;
	assert(!out)
}

init
{
	atomic {
		run drain(CONSUMER);
		run drain(PRODUCER);
		run consumer();
		run producer()
	}
}
