/* SPDX-License-Identifier: MIT */
/*
 * wait_test.c - words: the same rows over both back ends
 *
 * Descriptors are in wait_fd_test.c; which back end is taken where, in wait_choice_test.c.
 */
#include <errno.h>
#include <poll.h>
#include <sys/mman.h>

#include "wait_rows.h"

ROW(wait_deadline,
    "a sleep ends at its deadline and not before, and one in the past does not block")
{
	uint32_t value = 5;
	struct dx_wait_word word = { .word = &value, .seen = 5 };
	struct dx_wait_stats stats;
	uint64_t deadline_ns;

	CHECK_EQ(dx_wait_add_word(wait, &word), 0);
	CHECK_EQ(dx_wait_sleep(wait, 0), 0);
	CHECK_EQ(dx_wait_sleep(wait, in(0)), 0);
	dx_wait_stats(wait, &stats);
	CHECK_EQ(stats.sleeps, 0);
	for (uint64_t ns = 1; ns < 30 * DX_NS_PER_MS; ns *= 30) {
		deadline_ns = in(ns);
		CHECK_EQ(dx_wait_sleep(wait, deadline_ns), 0);
		CHECK(dx_now_ns() >= deadline_ns);
	}
	CHECK(!word.fired);
	CHECK(dx_wait_now(wait) <= dx_now_ns());
	dx_wait_remove_word(wait, &word);
	/* With nothing at all to wait for. */
	deadline_ns = in(DX_NS_PER_MS);
	CHECK_EQ(dx_wait_sleep(wait, deadline_ns), 0);
	CHECK(dx_now_ns() >= deadline_ns);
}

ROW(wait_differs,
    "a word that is not `seen` when it is armed ends the sleep at once, and only it has fired")
{
	uint32_t values[3] = { 1, 2, 3 };
	struct dx_wait_word words[3] = { { .word = &values[0], .seen = 1 },
		                         { .word = &values[1], .seen = 7 },
		                         { .word = &values[2], .seen = 3 } };

	for (int i = 0; i < 3; i++)
		CHECK_EQ(dx_wait_add_word(wait, &words[i]), 0);
	CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1);
	CHECK(!words[0].fired && words[1].fired && !words[2].fired);
	/* And again, as long as it is so. */
	words[1].fired = false;
	CHECK_EQ(dx_wait_sleep(wait, 0), 1);
	CHECK(words[1].fired);
	words[1].seen = 2;
	words[1].fired = false;
	CHECK_EQ(dx_wait_sleep(wait, 0), 0);
	CHECK(!words[1].fired);
	for (int i = 0; i < 3; i++)
		dx_wait_remove_word(wait, &words[i]);
}

ROW(wait_wake, "a wake ends the sleep, again and again, whichever word it is for")
{
	uint32_t values[3] = { 0 };
	struct dx_wait_word words[3] = { { .word = &values[0] },
		                         { .word = &values[1] },
		                         { .word = &values[2] } };

	for (int i = 0; i < 3; i++)
		CHECK_EQ(dx_wait_add_word(wait, &words[i]), 0);
	for (uint32_t i = 0; i < 30; i++) {
		struct visitor visitor = { .word = &values[i % 3], .value = i + 1, .fd = -1 };

		invite(&visitor);
		CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1);
		goodbye(&visitor);
		CHECK(words[i % 3].fired && !words[(i + 1) % 3].fired);
		words[i % 3].fired = false;
		words[i % 3].seen = i + 1;
	}
	for (int i = 0; i < 3; i++)
		dx_wait_remove_word(wait, &words[i]);
}

ROW(wait_no_news, "a wake for a word that still is as it was seen does not end the sleep")
{
	uint32_t value = 4;
	struct dx_wait_word word = { .word = &value, .seen = 4 };
	struct visitor visitor = { .word = &value, .value = 4, .fd = -1 };
	uint64_t deadline_ns = in(50 * DX_NS_PER_MS);

	CHECK_EQ(dx_wait_add_word(wait, &word), 0);
	invite(&visitor);
	CHECK_EQ(dx_wait_sleep(wait, deadline_ns), 0);
	CHECK(dx_now_ns() >= deadline_ns);
	goodbye(&visitor);
	CHECK(!word.fired);
	/* And it waits on. */
	visitor.value = 5;
	invite(&visitor);
	CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1);
	goodbye(&visitor);
	dx_wait_remove_word(wait, &word);
}

ROW(wait_seen_moves,
    "a word whose owner saw it move while it was armed wakes him for the next move")
{
	uint32_t value = 0;
	struct dx_wait_word word = { .word = &value };
	struct visitor visitor = { .word = &value, .fd = -1 };

	CHECK_EQ(dx_wait_add_word(wait, &word), 0);
	CHECK_EQ(dx_wait_sleep(wait, 0), 0); /* armed with 0 */
	for (uint32_t i = 1; i < 40; i += 2) {
		value = i;
		word.seen = i; /* seen by looking; the wake comes late */
		if (i % 4 == 1)
			dx_wake(&value);
		visitor.value = i + 1;
		invite(&visitor);
		CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1);
		goodbye(&visitor);
		CHECK(word.fired);
		word.fired = false;
		word.seen = i + 1;
	}
	dx_wait_remove_word(wait, &word);
}

ROW(wait_remove,
    "a word's memory may go as soon as it is removed, armed or fired, and others wait on")
{
	uint32_t other = 0;
	struct dx_wait_word stays = { .word = &other };
	struct visitor visitor = { .word = &other, .value = 1, .fd = -1 };

	CHECK_EQ(dx_wait_add_word(wait, &stays), 0);
	for (int i = 0; i < 20; i++) {
		uint32_t *value =
			mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		struct dx_wait_word word = { .word = value };

		CHECK(value != MAP_FAILED);
		CHECK_EQ(dx_wait_add_word(wait, &word), 0);
		CHECK_EQ(dx_wait_sleep(wait, 0), 0);
		if (i % 2 == 0) {
			*value = 1;
			dx_wake(value); /* it has ended, and nobody has looked */
		}
		dx_wait_remove_word(wait, &word);
		memset(&word, 0xff, sizeof(word));
		(void)munmap(value, 4096);
		CHECK_EQ(dx_wait_sleep(wait, 0), 0);
	}
	invite(&visitor);
	CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1);
	goodbye(&visitor);
	CHECK(stays.fired);
	dx_wait_remove_word(wait, &stays);
}

ROW(wait_many,
    "several hundred words are waited for at once, and each is found; too many are -E2BIG")
{
	enum { WORDS = 300 };

	static uint32_t values[WORDS];
	static struct dx_wait_word words[2000];
	int added;

	memset(values, 0, sizeof(values));
	for (int i = 0; i < WORDS; i++) {
		words[i] = (struct dx_wait_word){ .word = &values[i] };
		CHECK_EQ(dx_wait_add_word(wait, &words[i]), 0);
	}
	for (int i = 0; i < WORDS; i += 23) {
		struct visitor visitor = { .word = &values[i], .value = 1, .fd = -1 };

		invite(&visitor);
		CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1);
		goodbye(&visitor);
		CHECK(words[i].fired);
		words[i].fired = false;
		words[i].seen = 1;
	}
	/* All at the same time. */
	for (int i = 0; i < WORDS; i++)
		values[i] = 2;
	for (int i = 0; i < WORDS; i++)
		dx_wake(&values[i]);
	for (int left = WORDS; left > 0;) {
		CHECK(dx_wait_sleep(wait, in(LONG_NS)) > 0);
		left = 0;
		for (int i = 0; i < WORDS; i++)
			left += !words[i].fired;
	}
	for (int i = 0; i < WORDS; i++)
		words[i].seen = 2;
	CHECK_EQ(dx_wait_sleep(wait, in(DX_NS_PER_MS)), 0);

	for (added = WORDS; added < 2000; added++) {
		words[added] = (struct dx_wait_word){ .word = &values[0], .seen = 2 };
		if (dx_wait_add_word(wait, &words[added]) == -E2BIG)
			break;
	}
	CHECK(added > 1000 && added < 2000);
	CHECK_EQ(dx_wait_sleep(wait, 0), 0);
	values[0] = 3;
	dx_wake(&values[0]); /* every one of them has a completion now */
	CHECK(dx_wait_sleep(wait, in(LONG_NS)) > 0);
	while (added > 0)
		dx_wait_remove_word(wait, &words[--added]);
	CHECK_EQ(dx_wait_sleep(wait, 0), 0);
}

ROW(wait_misuse, "what is no word or no descriptor is -EINVAL")
{
	uint32_t values[2] = { 0 };
	struct dx_wait_word word = { .word = NULL };
	struct dx_wait_fd fd = { .fd = -1, .events = POLLIN };

	CHECK_EQ(dx_wait_add_word(wait, &word), -EINVAL);
	word.word = (const uint32_t *)(const void *)((const char *)values + 1);
	CHECK_EQ(dx_wait_add_word(wait, &word), -EINVAL);
	CHECK_EQ(dx_wait_add_fd(wait, &fd), -EINVAL);
}

static void on_signal(int sig)
{
	(void)sig;
}

ROW(wait_signal, "a signal ends the sleep with -EINTR, and nothing is lost by it")
{
	uint32_t value = 0;
	struct dx_wait_word word = { .word = &value };
	struct sigaction action = { .sa_handler = on_signal }, old;
	struct visitor visitor = { .fd = -1, .signals = true };

	CHECK_EQ(sigaction(SIGUSR1, &action, &old), 0);
	CHECK_EQ(dx_wait_add_word(wait, &word), 0);
	for (int i = 0; i < 5; i++) {
		invite(&visitor);
		CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), -EINTR);
		goodbye(&visitor);
	}
	visitor = (struct visitor){ .word = &value, .value = 1, .fd = -1 };
	invite(&visitor);
	CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1);
	goodbye(&visitor);
	dx_wait_remove_word(wait, &word);
	CHECK_EQ(sigaction(SIGUSR1, &old, NULL), 0);
}

struct moved {
	struct dx_wait *wait;
	struct dx_wait_word *word;
	int slept;
};

static void *sleep_elsewhere(void *arg)
{
	struct moved *moved = arg;
	uint32_t *value = (uint32_t *)(uintptr_t)moved->word->word;
	struct visitor visitor = { .word = value, .value = *value + 1, .fd = -1 };

	invite(&visitor);
	moved->slept = dx_wait_sleep(moved->wait, in(LONG_NS));
	goodbye(&visitor);
	moved->word->seen = *value;
	moved->word->fired = false;
	return NULL;
}

ROW(wait_thread, "a wait may be handed from thread to thread with all that is armed")
{
	uint32_t values[2] = { 0 };
	struct dx_wait_word words[2] = { { .word = &values[0] }, { .word = &values[1] } };
	int fd = dx_wait_pollable(wait);

	CHECK_EQ(dx_wait_add_word(wait, &words[0]), 0);
	CHECK_EQ(dx_wait_add_word(wait, &words[1]), 0);
	CHECK_EQ(dx_wait_sleep(wait, 0), 0);
	for (int i = 0; i < 4; i++) {
		struct moved moved = { .wait = wait, .word = &words[i % 2] };
		pthread_t thread;

		CHECK_EQ(pthread_create(&thread, NULL, sleep_elsewhere, &moved), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(moved.slept, 1);
		if (i % 2 == 0)
			CHECK_EQ(dx_wait_sleep(wait, 0), 0); /* back here */
	}
	CHECK_EQ(dx_wait_pollable(wait), fd);
	dx_wait_remove_word(wait, &words[0]); /* armed by the other thread */
	dx_wait_remove_word(wait, &words[1]);
}

/* Deadlines of sleeps one after the other, in ms; most of them about as far away as a park's bound. */
static const struct {
	uint64_t ms;
	bool woken; /* at once */
} deadlines[] = {
	{ 190, true },  /* leaves 190 ms behind */
	{ 60, false },  /* nearer than that */
	{ 195, false }, /* farther */
	{ 100, true },  { 150, false }, { 5, false }, { 250, false },
};

/* How long the sleep before may still have something set, beyond this one's deadline. */
#define BEFORE_NS (100 * DX_NS_PER_MS)

static void sleep_to_deadlines(bool *ok, struct dx_wait *wait, struct dx_wait_word *word,
                               uint32_t *value, bool *ret_soon)
{
	*ret_soon = true;
	for (size_t i = 0; i < DX_ARRAY_LEN(deadlines); i++) {
		uint64_t deadline_ns = in(deadlines[i].ms * DX_NS_PER_MS);
		struct visitor visitor = { .word = value, .value = *value + 1, .fd = -1 };
		int code;

		if (deadlines[i].woken)
			invite(&visitor);
		code = dx_wait_sleep(wait, deadline_ns);
		if (deadlines[i].woken)
			goodbye(&visitor);
		else
			CHECK(dx_now_ns() >= deadline_ns);
		CHECK_EQ(code, deadlines[i].woken);
		*ret_soon = *ret_soon && dx_now_ns() < deadline_ns + BEFORE_NS;
		word->seen = *value;
		word->fired = false;
	}
}

ROW(wait_deadlines,
    "each sleep ends at its own deadline, whether that of the sleep before was nearer or farther")
{
	uint32_t value = 0;
	struct dx_wait_word word = { .word = &value };
	bool soon = false;

	CHECK_EQ(dx_wait_add_word(wait, &word), 0);
	for (int i = 0; i < 5 && !soon; i++) /* unless something else was in the way */
		sleep_to_deadlines(ok, wait, &word, &value, &soon);
	CHECK(soon);
	dx_wait_remove_word(wait, &word);
}

static void *sleep_to_deadline(void *arg)
{
	struct moved *moved = arg;

	moved->slept = dx_wait_sleep(moved->wait, in(150 * DX_NS_PER_MS));
	return NULL;
}

ROW(wait_thread_deadline, "a thread that a wait is handed to has its own deadlines")
{
	struct moved moved = { .wait = wait, .slept = -1 };
	pthread_t thread;

	CHECK_EQ(dx_wait_sleep(wait, in(100 * DX_NS_PER_MS)), 0);
	for (int i = 0; i < 2; i++) {
		uint32_t value = 0;
		struct dx_wait_word word = { .word = &value };
		struct visitor visitor = { .word = &value, .value = 1, .fd = -1 };

		CHECK_EQ(dx_wait_add_word(wait, &word), 0);
		invite(&visitor);
		CHECK_EQ(dx_wait_sleep(wait, in(100 * DX_NS_PER_MS)), 1);
		goodbye(&visitor);
		dx_wait_remove_word(wait, &word);
		CHECK_EQ(pthread_create(&thread, NULL, sleep_to_deadline, &moved), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(moved.slept, 0);
	}
}

TEST(wait_one_timer, "twenty sleeps that are woken before their deadlines set one timer")
{
	uint32_t value = 0;
	struct dx_wait_word word = { .word = &value };
	struct dx_wait_stats stats;
	struct dx_wait *wait;

	if (!has(DSMX_WAIT_URING))
		SKIP("no futex operations in io_uring");
	CHECK_EQ(dx_wait_new(DSMX_WAIT_URING, &wait, NULL), 0);
	CHECK_EQ(dx_wait_add_word(wait, &word), 0);
	for (uint32_t i = 1; i <= 20; i++) {
		struct visitor visitor = { .word = &value, .value = i, .fd = -1 };

		invite(&visitor);
		CHECK_EQ(dx_wait_sleep(wait, in(199 * DX_NS_PER_MS)), 1);
		goodbye(&visitor);
		word.seen = value;
	}
	dx_wait_stats(wait, &stats);
	CHECK(stats.timers >= 1);
	CHECK(stats.timers <= 10); /* one, if nothing else is in the way */
	dx_wait_remove_word(wait, &word);
	dx_wait_free(wait);
}

TEST(wait_armed_stays, "a word that did not fire is not armed again by the next sleep")
{
	uint32_t value = 0;
	struct dx_wait_word word = { .word = &value };
	struct dx_wait_stats stats;
	struct dx_wait *wait;

	if (!has(DSMX_WAIT_URING))
		SKIP("no futex operations in io_uring");
	CHECK_EQ(dx_wait_new(DSMX_WAIT_URING, &wait, NULL), 0);
	CHECK_EQ(dx_wait_add_word(wait, &word), 0);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(dx_wait_sleep(wait, in(DX_NS_PER_MS)), 0);
	dx_wait_stats(wait, &stats);
	CHECK_EQ(stats.arms, 1);
	CHECK_EQ(stats.sleeps, 10);
	dx_wait_remove_word(wait, &word);
	dx_wait_free(wait);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
