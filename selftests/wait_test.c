/* SPDX-License-Identifier: MIT */
/*
 * wait_test.c - the same rows over both back ends, and which of them is taken where
 *
 * Whoever has to come while another sleeps waits until the kernel says that he does: no pause is long enough
 * on some machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/order.h"
#include "harness.h"
#include "wait/wait.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

/* Longer than anything takes here; a test that needs it has failed. */
#define LONG_NS (20 * DX_NS_PER_S)

static uint64_t in(uint64_t ns)
{
	return dx_now_ns() + ns;
}

static bool has(enum dsmx_wait_backend backend)
{
	struct dx_wait *wait;

	if (dx_wait_new(backend, &wait, NULL) < 0)
		return false;
	dx_wait_free(wait);
	return true;
}

/* Each row is two tests, one for each back end. */
#define ROW(id, claim)                                                                             \
	static void id##_row(bool *ok, struct dx_wait *wait);                                      \
	static void id##_on(bool *ok, enum dsmx_wait_backend backend)                              \
	{                                                                                          \
		struct dx_wait *wait;                                                              \
                                                                                                   \
		CHECK_EQ(dx_wait_new(backend, &wait, NULL), 0);                                    \
		id##_row(ok, wait);                                                                \
		dx_wait_free(wait);                                                                \
	}                                                                                          \
	TEST(id##_uring, claim " (io_uring)")                                                      \
	{                                                                                          \
		if (!has(DSMX_WAIT_URING))                                                         \
			SKIP("no futex operations in io_uring");                                   \
		id##_on(ok, DSMX_WAIT_URING);                                                      \
	}                                                                                          \
	TEST(id##_futex, claim " (futex_waitv)")                                                   \
	{                                                                                          \
		id##_on(ok, DSMX_WAIT_FUTEX);                                                      \
	}                                                                                          \
	static void id##_row(bool *ok, struct dx_wait *wait)

/* --- somebody who comes while this thread sleeps ------------------------------------------------------ */

struct visitor {
	pthread_t thread;
	int tid;        /* who must be asleep first */
	uint32_t *word; /* set to `value` and woken; NULL: none */
	uint32_t value;
	int fd;       /* an eventfd to be written; -1: none */
	bool signals; /* the sleeper's thread, by SIGUSR1 */
};

static bool is_asleep(int tid)
{
	char path[64], text[512], *end;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	end = strrchr(text, ')');
	return end != NULL && end[2] == 'S';
}

static void *visit(void *arg)
{
	struct visitor *visitor = arg;

	while (!is_asleep(visitor->tid))
		(void)sched_yield();
	if (visitor->word != NULL) {
		dx_store_release(DX_EDGE_BELL, visitor->word, visitor->value);
		dx_wake(visitor->word);
	}
	if (visitor->fd >= 0)
		(void)eventfd_write(visitor->fd, 1);
	if (visitor->signals)
		(void)syscall(SYS_tgkill, getpid(), visitor->tid, SIGUSR1);
	return NULL;
}

static void invite(struct visitor *visitor)
{
	visitor->tid = (int)syscall(SYS_gettid);
	if (pthread_create(&visitor->thread, NULL, visit, visitor) != 0)
		abort();
}

static void goodbye(struct visitor *visitor)
{
	(void)pthread_join(visitor->thread, NULL);
}

/* --- words -------------------------------------------------------------------------------------------- */

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

/* --- descriptors -------------------------------------------------------------------------------------- */

ROW(wait_fd,
    "a descriptor fires while it is readable, and with a hang-up, without words and with idle ones")
{
	uint32_t value = 0;
	struct dx_wait_word word = { .word = &value };
	int event = eventfd(0, EFD_CLOEXEC), ends[2];
	struct dx_wait_fd fd = { .fd = event, .events = POLLIN }, pipe_end;
	struct visitor visitor = { .fd = event };

	CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
	pipe_end = (struct dx_wait_fd){ .fd = ends[0], .events = POLLIN };
	CHECK_EQ(dx_wait_add_fd(wait, &fd), 0);
	CHECK_EQ(dx_wait_add_fd(wait, &pipe_end), 0);
	for (int with_word = 0; with_word < 2; with_word++) {
		if (with_word)
			CHECK_EQ(dx_wait_add_word(wait, &word), 0);
		CHECK_EQ(dx_wait_sleep(wait, 0), 0);
		invite(&visitor);
		CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1);
		goodbye(&visitor);
		CHECK_EQ(fd.fired, POLLIN);
		fd.fired = 0;
		CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1); /* still readable */
		CHECK_EQ(fd.fired, POLLIN);
		fd.fired = 0;
		CHECK_EQ(eventfd_read(event, &(eventfd_t){ 0 }), 0);
		CHECK(dx_wait_sleep(wait, 0) <=
		      1); /* a poll that was armed before may still say so */
		fd.fired = 0;
		CHECK_EQ(dx_wait_sleep(wait, 0), 0);
		CHECK_EQ(fd.fired, 0);
	}
	CHECK_EQ(pipe_end.fired, 0);
	(void)close(ends[1]);
	CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1);
	CHECK_EQ(pipe_end.fired, POLLHUP);
	dx_wait_remove_fd(wait, &pipe_end);
	dx_wait_remove_fd(wait, &fd);
	dx_wait_remove_word(wait, &word);
	(void)close(ends[0]);
	(void)close(event);
}

ROW(wait_fd_idle,
    "a descriptor is seen within 200 ms by a process that was idle for a second beside idle words")
{
	uint32_t value = 0;
	struct dx_wait_word word = { .word = &value };
	struct dx_wait_stats before, after;
	struct dx_wait_fd fd = { .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN };
	struct timespec start, end;
	uint64_t told_ns;
	long took_ns;

	CHECK_EQ(dx_wait_add_word(wait, &word), 0);
	CHECK_EQ(dx_wait_add_fd(wait, &fd), 0);
	CHECK_EQ(dx_wait_sleep(wait, in(200 * DX_NS_PER_MS)), 0);
	dx_wait_stats(wait, &before);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
	CHECK_EQ(dx_wait_sleep(wait, in(DX_NS_PER_S)), 0);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	dx_wait_stats(wait, &after);
	CHECK(after.sleeps - before.sleeps <= 12);
	took_ns = (end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec;
	printf("# %ld us of a processor\n", took_ns / 1000);
	CHECK(took_ns < 5000000L * harness_slow());

	CHECK_EQ(eventfd_write(fd.fd, 1), 0);
	told_ns = dx_now_ns();
	CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1);
	CHECK(dx_now_ns() - told_ns < 200 * DX_NS_PER_MS);
	dx_wait_remove_fd(wait, &fd);
	dx_wait_remove_word(wait, &word);
	(void)close(fd.fd);
}

ROW(wait_pidfd, "the death of a process fires its pidfd, and a word beside it still wakes")
{
	uint32_t value = 0;
	struct dx_wait_word word = { .word = &value };
	struct visitor visitor = { .word = &value, .value = 1, .fd = -1 };
	struct dx_wait_fd fd = { .events = POLLIN };
	pid_t pid = fork();

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	CHECK(pid > 0);
	fd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	CHECK_EQ(dx_wait_add_fd(wait, &fd), 0);
	CHECK_EQ(dx_wait_add_word(wait, &word), 0);
	invite(&visitor);
	CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1);
	goodbye(&visitor);
	CHECK(word.fired && fd.fired == 0);
	word.seen = 1;
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(dx_wait_sleep(wait, in(LONG_NS)), 1);
	CHECK_EQ(fd.fired, POLLIN);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	dx_wait_remove_fd(wait, &fd);
	dx_wait_remove_word(wait, &word);
	(void)close(fd.fd);
}

/* --- the rest ----------------------------------------------------------------------------------------- */

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

TEST(wait_pollable_uring,
     "the pollable descriptor is readable when something armed has fired, else only when it is new")
{
	uint32_t value = 0;
	struct dx_wait_word word = { .word = &value };
	struct dx_wait_fd fd = { .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN };
	struct visitor visitor = { .word = &value, .fd = -1 };
	struct pollfd pollfd = { .events = POLLIN };
	struct dx_wait *wait;

	if (!has(DSMX_WAIT_URING)) {
		(void)close(fd.fd);
		SKIP("no futex operations in io_uring");
	}
	CHECK_EQ(dx_wait_new(DSMX_WAIT_URING, &wait, NULL), 0);
	CHECK_EQ(dx_wait_add_word(wait, &word), 0);
	CHECK_EQ(dx_wait_add_fd(wait, &fd), 0);
	CHECK_EQ(dx_wait_sleep(wait, 0), 0);
	pollfd.fd = dx_wait_pollable(wait);
	CHECK(pollfd.fd >= 0);
	CHECK_EQ(poll(&pollfd, 1, 0), 1); /* what fired before it was there is not lost */
	CHECK_EQ(dx_wait_sleep(wait, 0), 0);
	CHECK_EQ(dx_wait_pollable(wait), pollfd.fd);
	for (uint32_t i = 1; i < 10; i++) {
		CHECK_EQ(poll(&pollfd, 1, 0), 0);
		visitor.value = i;
		invite(&visitor);
		CHECK_EQ(poll(&pollfd, 1, 20000), 1);
		goodbye(&visitor);
		CHECK_EQ(dx_wait_sleep(wait, 0), 1);
		CHECK(word.fired);
		word.fired = false;
		word.seen = i;
		CHECK_EQ(dx_wait_sleep(wait, 0), 0);
	}
	CHECK_EQ(poll(&pollfd, 1, 0), 0);
	CHECK_EQ(eventfd_write(fd.fd, 1), 0);
	CHECK_EQ(poll(&pollfd, 1, 20000), 1);
	CHECK_EQ(dx_wait_sleep(wait, 0), 1);
	CHECK_EQ(fd.fired, POLLIN);
	dx_wait_remove_fd(wait, &fd);
	dx_wait_remove_word(wait, &word);
	dx_wait_free(wait);
	(void)close(fd.fd);
}

TEST(wait_pollable_futex, "futex_waitv has no pollable descriptor: -EOPNOTSUPP")
{
	struct dx_wait *wait;

	CHECK_EQ(dx_wait_new(DSMX_WAIT_FUTEX, &wait, NULL), 0);
	CHECK(!dx_wait_has_pollable(wait));
	CHECK_EQ(dx_wait_pollable(wait), -EOPNOTSUPP);
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

/* --- which back end ----------------------------------------------------------------------------------- */

TEST(wait_environment,
     "DSMX_WAIT decides for AUTO, and only for it; what it does not know is -EINVAL")
{
	static const struct {
		const char *said;
		enum dsmx_wait_backend asked;
		int want;
		const char *name;
		const char *missing;
	} rows[] = {
		{ "futex", DSMX_WAIT_AUTO, 0, "futex_waitv", "DSMX_WAIT=futex" },
		{ "uring", DSMX_WAIT_AUTO, 0, "io_uring", NULL },
		{ "", DSMX_WAIT_AUTO, 0, "io_uring", NULL },
		{ "futex", DSMX_WAIT_URING, 0, "io_uring", NULL },
		{ "uring", DSMX_WAIT_FUTEX, 0, "futex_waitv", NULL },
		{ "epoll", DSMX_WAIT_AUTO, -EINVAL, NULL, NULL },
		{ "epoll", DSMX_WAIT_FUTEX, 0, "futex_waitv", NULL },
	};
	char *before = getenv("DSMX_WAIT");
	char said[32] = "";

	if (!has(DSMX_WAIT_URING))
		SKIP("no futex operations in io_uring");
	if (before != NULL)
		(void)snprintf(said, sizeof(said), "%s", before);
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_error err = { .code = 0 };
		struct dx_wait *wait = NULL;

		(void)setenv("DSMX_WAIT", rows[i].said, 1);
		CHECK_EQ(dx_wait_new(rows[i].asked, &wait, &err), rows[i].want);
		CHECK_EQ(err.code, rows[i].want);
		if (rows[i].want == 0) {
			CHECK_STR(dx_wait_name(wait), rows[i].name);
			CHECK_STR(dx_wait_missing(wait), rows[i].missing);
		}
		dx_wait_free(wait);
	}
	(void)(before != NULL ? setenv("DSMX_WAIT", said, 1) : unsetenv("DSMX_WAIT"));
}

/* From here on the system call @nr fails with @code in this process. */
static bool forbid(unsigned int nr, unsigned int code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { DX_ARRAY_LEN(filter), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Exit codes of the child: the line that did not hold. */
#define CHILD_CHECK(cond)                                                                          \
	do {                                                                                       \
		if (!(cond))                                                                       \
			return __LINE__ % 256;                                                     \
	} while (0)

static int without_uring(void)
{
	uint32_t value = 0;
	struct dx_wait_word word = { .word = &value };
	struct dsmx_error err = { .code = 0 };
	struct dx_wait *wait;

	(void)unsetenv("DSMX_WAIT");
	CHILD_CHECK(forbid(SYS_io_uring_setup, EPERM));
	CHILD_CHECK(dx_wait_new(DSMX_WAIT_URING, &wait, &err) == -EOPNOTSUPP);
	CHILD_CHECK(err.code == -EOPNOTSUPP && strstr(err.message, "seccomp") != NULL);
	CHILD_CHECK(dx_wait_new(DSMX_WAIT_AUTO, &wait, &err) == 0);
	CHILD_CHECK(strcmp(dx_wait_name(wait), "futex_waitv") == 0);
	CHILD_CHECK(dx_wait_missing(wait) != NULL);
	CHILD_CHECK(strstr(dx_wait_missing(wait), "io_uring") != NULL);
	CHILD_CHECK(dx_wait_add_word(wait, &word) == 0);
	CHILD_CHECK(dx_wait_sleep(wait, in(1000)) == 0);
	dx_wait_remove_word(wait, &word);
	dx_wait_free(wait);
	return 0;
}

static int without_ring_entry(void)
{
	struct dsmx_error err = { .code = 0 };
	struct dx_wait *wait;

	/* The ring is made and then not usable: only a try tells. */
	(void)unsetenv("DSMX_WAIT");
	CHILD_CHECK(forbid(SYS_io_uring_enter, EACCES));
	CHILD_CHECK(dx_wait_new(DSMX_WAIT_URING, &wait, &err) == -EOPNOTSUPP);
	CHILD_CHECK(dx_wait_new(DSMX_WAIT_AUTO, &wait, &err) == 0);
	CHILD_CHECK(strcmp(dx_wait_name(wait), "futex_waitv") == 0);
	dx_wait_free(wait);
	return 0;
}

static int without_anything(void)
{
	struct dsmx_error err = { .code = 0 };
	struct dx_wait *wait;

	(void)unsetenv("DSMX_WAIT");
	CHILD_CHECK(forbid(SYS_io_uring_setup, ENOSYS));
	CHILD_CHECK(forbid(SYS_futex_waitv, ENOSYS));
	CHILD_CHECK(dx_wait_new(DSMX_WAIT_FUTEX, &wait, &err) == -EOPNOTSUPP);
	CHILD_CHECK(strstr(err.message, "futex_waitv") != NULL);
	CHILD_CHECK(dx_wait_new(DSMX_WAIT_AUTO, &wait, &err) == -EOPNOTSUPP);
	return 0;
}

static int in_child(int (*body)(void))
{
	int status;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(body());
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
	                                                                       : -1;
}

TEST(wait_seccomp,
     "where io_uring is forbidden AUTO takes futex_waitv and says so; without both it is -EOPNOTSUPP")
{
	CHECK_EQ(in_child(without_uring), 0);
	CHECK_EQ(in_child(without_ring_entry), 0);
	CHECK_EQ(in_child(without_anything), 0);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
