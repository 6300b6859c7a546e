/* SPDX-License-Identifier: MIT */
/*
 * wait_fd_test.c - descriptors that a wait sleeps on beside its words, and the one that others may sleep on for it
 */
#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <time.h>

#include "wait_rows.h"

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

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
