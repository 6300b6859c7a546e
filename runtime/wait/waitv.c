/* SPDX-License-Identifier: MIT */
/*
 * waitv.c - the wait over futex_waitv(2) and poll(2), for machines where io_uring is not to be had
 *
 * Nothing stays armed here: each sleep hands the kernel all words with their `seen`, and it compares them
 * under its own lock. What fired is found by comparing again.
 *
 * futex_waitv waits for at most 128 words and for no descriptor. Both limits have one answer: while there is
 * something that it cannot wait for, it sleeps in slices and everything is looked at between them. A slice
 * begins at 1 ms after something fired and doubles while nothing does, up to 100 ms, across sleeps: a
 * descriptor is seen at most as late as the process was idle before, and an idle process wakes ten times in a
 * second. Descriptors carry death and control, which can bear that; words carry the data.
 *
 * Without words it is plain poll(2), without delay.
 */
#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/order.h"
#include "wait/backend.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#define FUTEX2_SIZE_U32 0x02

#define WORDS_AT_ONCE 128U /* the kernel's limit */
#define WAITS_MAX     1016U
#define SLICE_MIN_NS  (1 * DX_NS_PER_MS)
#define SLICE_MAX_NS  (100 * DX_NS_PER_MS)

struct waitv {
	struct dx_wait wait;
	struct dx_list words;
	struct dx_list fds;
	unsigned int word_count;
	unsigned int fd_count;
	unsigned int pollfd_room;
	struct pollfd *pollfds; /* one per descriptor, in the order of the list */
	uint64_t slice_ns;
};

static struct waitv *waitv_of(struct dx_wait *wait)
{
	return DX_CONTAINER(wait, struct waitv, wait);
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / DX_NS_PER_S),
		                  .tv_nsec = (long)(ns % DX_NS_PER_S) };
}

static int waitv_add_word(struct dx_wait *wait, struct dx_wait_word *word)
{
	struct waitv *waitv = waitv_of(wait);

	if (waitv->word_count >= WAITS_MAX)
		return -E2BIG;
	waitv->word_count++;
	dx_list_append(&waitv->words, &word->link);
	return 0;
}

static int waitv_add_fd(struct dx_wait *wait, struct dx_wait_fd *fd)
{
	struct waitv *waitv = waitv_of(wait);

	if (waitv->fd_count >= WAITS_MAX)
		return -E2BIG;
	if (waitv->fd_count == waitv->pollfd_room) {
		unsigned int room = waitv->pollfd_room == 0 ? 16 : 2 * waitv->pollfd_room;
		struct pollfd *pollfds = realloc(waitv->pollfds, room * sizeof(*pollfds));

		if (pollfds == NULL)
			return -ENOMEM;
		waitv->pollfds = pollfds;
		waitv->pollfd_room = room;
	}
	waitv->fd_count++;
	dx_list_append(&waitv->fds, &fd->link);
	waitv->slice_ns = SLICE_MIN_NS;
	return 0;
}

static void waitv_remove_word(struct dx_wait *wait, struct dx_wait_word *word)
{
	dx_list_unlink(&word->link);
	waitv_of(wait)->word_count--;
}

static void waitv_remove_fd(struct dx_wait *wait, struct dx_wait_fd *fd)
{
	dx_list_unlink(&fd->link);
	waitv_of(wait)->fd_count--;
}

/* --- looking ------------------------------------------------------------------------------------------ */

static int look_at_words(struct waitv *waitv)
{
	int fired = 0;

	dx_list_each(link, &waitv->words)
	{
		struct dx_wait_word *word = DX_CONTAINER(link, struct dx_wait_word, link);

		if (dx_load_plain(word->word) != word->seen) {
			word->fired = true;
			fired++;
		}
	}
	return fired;
}

/* Poll all descriptors for at most @timeout_ns; how many fired, or -EINTR. */
static int look_at_fds(struct waitv *waitv, uint64_t timeout_ns)
{
	struct timespec timeout = timespec_of(timeout_ns);
	unsigned int i = 0;
	int ready;

	dx_list_each(link, &waitv->fds)
	{
		const struct dx_wait_fd *fd = DX_CONTAINER(link, struct dx_wait_fd, link);

		waitv->pollfds[i++] = (struct pollfd){ .fd = fd->fd, .events = fd->events };
	}
	ready = ppoll(waitv->pollfds, waitv->fd_count, &timeout, NULL);
	if (ready <= 0)
		return ready < 0 && errno == EINTR ? -EINTR : 0;
	i = 0;
	dx_list_each(link, &waitv->fds)
	{
		struct dx_wait_fd *fd = DX_CONTAINER(link, struct dx_wait_fd, link);

		fd->fired = (short)(fd->fired | waitv->pollfds[i++].revents);
	}
	return ready;
}

/* --- sleeping ----------------------------------------------------------------------------------------- */

/* Until one of the words changes or @until_ns. 0 or -EINTR; who changed is seen by looking. */
static int sleep_on_words(struct waitv *waitv, uint64_t until_ns)
{
	struct futex_waitv futexes[WORDS_AT_ONCE];
	struct timespec until = timespec_of(until_ns);
	unsigned int count = 0;

	dx_list_each(link, &waitv->words)
	{
		struct dx_wait_word *word = DX_CONTAINER(link, struct dx_wait_word, link);

		if (count == WORDS_AT_ONCE)
			break;
		futexes[count++] = (struct futex_waitv){
			.val = word->seen,
			.uaddr = (uintptr_t)word->word,
			.flags = FUTEX2_SIZE_U32,
		};
	}
	waitv->wait.stats.arms += count;
	if (syscall(SYS_futex_waitv, futexes, count, 0, &until, CLOCK_MONOTONIC) < 0)
		return errno == EINTR ? -EINTR : 0;
	return 0;
}

static int waitv_sleep(struct dx_wait *wait, uint64_t deadline_ns)
{
	struct waitv *waitv = waitv_of(wait);
	int fired, fds;

	for (;;) {
		bool poll_only = waitv->word_count == 0;
		bool sliced = waitv->fd_count > 0 || waitv->word_count > WORDS_AT_ONCE;
		uint64_t now_ns = dx_now_ns(), until_ns = deadline_ns;
		int code = 0;

		if (sliced && !poll_only && deadline_ns - now_ns > waitv->slice_ns)
			until_ns = now_ns + waitv->slice_ns;

		fired = look_at_words(waitv);
		fds = 0;
		if (waitv->fd_count > 0 || poll_only) {
			bool sleeps = poll_only && deadline_ns > now_ns;

			wait->stats.sleeps += sleeps;
			fds = look_at_fds(waitv, sleeps ? deadline_ns - now_ns : 0);
		}
		if (fired > 0 || fds > 0)
			break;
		if (fds < 0 || deadline_ns <= now_ns)
			return fds;
		if (poll_only)
			continue;
		wait->stats.sleeps++;
		code = sleep_on_words(waitv, until_ns);
		if (code < 0)
			return code;
		if (sliced)
			waitv->slice_ns = waitv->slice_ns * 2 < SLICE_MAX_NS ? waitv->slice_ns * 2
			                                                     : SLICE_MAX_NS;
	}
	waitv->slice_ns = SLICE_MIN_NS;
	fired += fds > 0 ? fds : 0;
	wait->stats.fires += (uint64_t)fired;
	return fired;
}

static void waitv_free(struct dx_wait *wait)
{
	struct waitv *waitv = waitv_of(wait);

	free(waitv->pollfds);
	free(waitv);
}

static const struct dx_wait_ops waitv_ops = {
	.name = "futex_waitv",
	.add_word = waitv_add_word,
	.add_fd = waitv_add_fd,
	.remove_word = waitv_remove_word,
	.remove_fd = waitv_remove_fd,
	.sleep = waitv_sleep,
	.now = dx_wait_clock,
	.free = waitv_free,
};

int dx_waitv_new(struct dx_wait **ret_wait, struct dsmx_error *err)
{
	struct waitv *waitv = calloc(1, sizeof(*waitv));
	struct futex_waitv probe = { .flags = FUTEX2_SIZE_U32, .val = 1 };
	uint32_t word = 0;

	if (waitv == NULL)
		return dx_error(err, -ENOMEM, "no memory for a wait");
	probe.uaddr = (uintptr_t)&word;
	if (syscall(SYS_futex_waitv, &probe, 1, 0, NULL, CLOCK_MONOTONIC) < 0 && errno != EAGAIN) {
		int code = dx_errno();

		free(waitv);
		return dx_error(err, -EOPNOTSUPP,
		                "no futex_waitv here: %s (Linux before 5.16, or a seccomp filter)",
		                dx_strerror(code));
	}
	waitv->wait.ops = &waitv_ops;
	waitv->slice_ns = SLICE_MIN_NS;
	dx_list_init(&waitv->words);
	dx_list_init(&waitv->fds);
	*ret_wait = &waitv->wait;
	return 0;
}
