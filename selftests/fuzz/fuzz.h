/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - readers of foreign bytes, and who feeds them
 *
 * A target is a file x_fuzz.c that defines fuzz_target and LLVMFuzzerTestOneInput(). It is linked twice: with
 * driver.c, whose random inputs need no more than a compiler (`make hostile`, and the gate's short run), and with
 * libFuzzer, which looks for inputs that reach new code (`make fuzz`).
 *
 * There are two kinds. A target of bytes (a plan, a file) is given damaged copies of seeds. A target of a script
 * stands between a reader and the memory that a hostile process would own, and takes its input as a list of steps:
 * write this there, publish a proper frame, let the reader go on. See hostile.h.
 *
 * What was mutated is counted in words: one for each change of a seed, one for each word that a hostile process wrote.
 */
#ifndef DX_SELFTESTS_FUZZ_H
#define DX_SELFTESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct fuzz_target {
	const char *name;
	/* Seed number @index, into @buf of @room bytes; returns its length, 0: there is none. NULL: takes a script. */
	size_t (*seed)(uint32_t index, uint8_t *buf, size_t room);
	size_t len_max; /* of an input */
};

extern const struct fuzz_target fuzz_target;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Words mutated so far; printed at the end. */
extern uint64_t fuzz_words;
/* Those of the process that writes at the same time, which grow meanwhile. NULL: there is none. */
extern const uint64_t *fuzz_words_beside;
/* Another process is to write at the same time; set by the driver. */
extern bool fuzz_concurrent;

/* A rule of the reader's own is broken: say so, and die. */
#define FUZZ_CHECK(cond)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* --- a script ---------------------------------------------------------------------------------------------------- */

struct script {
	const uint8_t *at, *end;
};

static inline bool script_over(const struct script *s)
{
	return s->at == s->end;
}

/* Zeroes after the end: every script is a whole one. */
static inline uint8_t script_u8(struct script *s)
{
	return s->at < s->end ? *s->at++ : 0;
}

static inline uint64_t script_bytes(struct script *s, int count)
{
	uint64_t value = 0;

	for (int i = 0; i < count; i++)
		value |= (uint64_t)script_u8(s) << 8 * i;
	return value;
}

/* Below @count. */
static inline uint32_t script_pick(struct script *s, uint32_t count)
{
	uint32_t value = (uint32_t)script_bytes(s, count <= 256 ? 1 : count <= 65536 ? 2 : 4);

	return count == 0 ? 0 : value % count;
}

/*
 * What a hostile process would put in the place of @now: a bit of it flipped, a little more or less, a bound of some
 * type, a plausible small number, a size of this session, or anything.
 */
uint64_t script_value(struct script *s, uint64_t now, uint64_t size);

/* --- random numbers: the driver's ---------------------------------------------------------------------------- */

static inline uint64_t fuzz_draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

#endif /* DX_SELFTESTS_FUZZ_H */
