/* SPDX-License-Identifier: MIT */
/*
 * uring.c - the wait over io_uring: one system call arms what is not armed, and sleeps for everything
 *
 * Each word has at most one FUTEX_WAIT in the kernel, each descriptor at most one POLL_ADD. What is armed
 * stays so from sleep to sleep; its completion moves it back to the idle list, and the next sleep arms it
 * again. So a sleep costs by what happened since the last one, not by how much is waited for.
 *
 *	idle  -- arm() --> armed -- complete() --> idle
 *
 * `seen` may move on while a wait is armed: its owner looked by itself. That wait needs no new arming, as
 * every change of a word is followed by a wake, and that wake ends it. It ends then without news: a word that
 * still equals `seen` is armed again without a word to the caller.
 *
 * The ring has one submitter (SINGLE_ISSUER), and its completions are made when he asks for them
 * (DEFER_TASKRUN): the cheapest kind. A session may be handed from thread to thread, though. The kernel then
 * says -EEXIST, and a new ring takes the place of the old: nothing is lost, as all is armed anew, and what
 * the old ring leaves behind for a moment cannot swallow a wake, as wakes are for all waiters.
 *
 * A deadline about as far away as a park's bound gets an alarm, a timeout that stays armed, too: the next sleep's
 * deadline is a little later, and an alarm that ends a sleep early is only armed again. So a process that is woken
 * often sets a timer once in a bound, and not for each sleep.
 *
 * The ring's own descriptor is no use in somebody else's poll loop: with DEFER_TASKRUN it does not become
 * readable when a futex wait ends. An eventfd registered with the ring does, and stays the same when the ring
 * changes.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/order.h"
#include "base/point.h"
#include "wait/backend.h"
#include "wait/uring_compat.h"

#define SQ_ENTRIES 128U
#define CQ_ENTRIES 1024U
/* Every wait can complete at once and finds room, cancellations beside them. */
#define WAITS_MAX (CQ_ENTRIES - 8U)

/* The kernel's timeout type is signed; nobody sleeps longer anyway. */
#define SLEEP_MAX_NS (3600 * DX_NS_PER_S)

/*
 * Deadlines that get an alarm. A nearer one would ring too often; after a farther one, all that are nearer would need a
 * timer of their own until it rings.
 */
#define ALARM_MIN_NS (50 * DX_NS_PER_MS)
#define ALARM_MAX_NS (200 * DX_NS_PER_MS)

/* user_data is the waiter's address; its low bits say what it is. */
#define TAG_WORD   0ULL
#define TAG_FD     1ULL
#define TAG_CANCEL 2ULL
#define TAG_ALARM  3ULL
#define TAG_MASK   3ULL

struct uring {
	struct dx_wait wait;
	struct io_uring ring;
	struct dx_list idle_words;
	struct dx_list armed_words;
	struct dx_list idle_fds;
	struct dx_list armed_fds;
	unsigned int count;                  /* words and descriptors */
	unsigned int cancels;                /* cancellations that are not answered */
	uint64_t alarm_ns;                   /* when the one that is armed rings; 0: none is */
	struct __kernel_timespec alarm_time; /* the same, until the kernel has read it */
	bool no_alarm;                       /* the kernel does not do it */
	int eventfd;                         /* told by the ring of completions; -1: nobody asked */
};

static struct uring *uring_of(struct dx_wait *wait)
{
	return DX_CONTAINER(wait, struct uring, wait);
}

static uint64_t tagged(const void *waiter, uint64_t tag)
{
	return (uint64_t)(uintptr_t)waiter | tag;
}

/* --- the ring ----------------------------------------------------------------------------------------- */

/*
 * Nothing but waiting: seccomp does not see what goes through a ring, so in a worker that is confined the ring has to
 * be, and one that cannot be is not used anywhere. One register operation is in the list because Linux 7.2 takes
 * a list without any for no limit on them; the kernel refuses a list with an operation that it does not know.
 */
static int restrict_ring(struct io_uring *ring)
{
	struct io_uring_restriction only[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = DX_URING_OP_FUTEX_WAIT },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_POLL_ADD },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_ASYNC_CANCEL },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_TIMEOUT },
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
		  .register_op = IORING_REGISTER_EVENTFD },
	};
	int code = dx_uring_register(ring, IORING_REGISTER_RESTRICTIONS, only, DX_ARRAY_LEN(only));

	return code < 0 ? code : dx_uring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int make_ring(struct io_uring *ret_ring)
{
	static const unsigned int flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		0,
	};
	int code = -EINVAL;

	for (size_t i = 0; i < DX_ARRAY_LEN(flags) && code == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED,
			.cq_entries = CQ_ENTRIES,
		};

		code = DX_POINT_FAILS(URING)
		               ? dx_errno()
		               : io_uring_queue_init_params(SQ_ENTRIES, ret_ring, &params);
		if (code < 0)
			continue;
		code = params.features & IORING_FEAT_EXT_ARG ? restrict_ring(ret_ring)
		                                             : -EOPNOTSUPP;
		if (code == 0)
			return 0;
		io_uring_queue_exit(ret_ring);
	}
	return code;
}

/* The calling thread is not the one that made the ring: it gets its own. */
static int move_here(struct uring *uring)
{
	struct io_uring ring;
	int code = make_ring(&ring);

	if (code < 0)
		return code;
	if (uring->eventfd >= 0)
		code = io_uring_register_eventfd(&ring, uring->eventfd);
	if (code < 0) {
		io_uring_queue_exit(&ring);
		return code;
	}
	io_uring_queue_exit(&uring->ring);
	uring->ring = ring;
	uring->cancels = 0;
	uring->alarm_ns = 0;

	for (struct dx_list *link; (link = dx_list_take(&uring->armed_words)) != NULL;) {
		DX_CONTAINER(link, struct dx_wait_word, link)->armed = false;
		dx_list_append(&uring->idle_words, link);
	}
	for (struct dx_list *link; (link = dx_list_take(&uring->armed_fds)) != NULL;) {
		DX_CONTAINER(link, struct dx_wait_fd, link)->armed = false;
		dx_list_append(&uring->idle_fds, link);
	}
	return 0;
}

/*
 * NULL: the queue is full and the kernel takes nothing now. Each time it takes some it also has to make
 * completions: those that it finds at once could otherwise keep away those of wakes for ever.
 */
static struct io_uring_sqe *next_sqe(struct uring *uring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	if (sqe == NULL && io_uring_submit_and_get_events(&uring->ring) >= 0)
		sqe = io_uring_get_sqe(&uring->ring);
	return sqe;
}

/* --- armed and completed ------------------------------------------------------------------------------ */

static void arm(struct uring *uring)
{
	struct io_uring_sqe *sqe;

	dx_list_each(link, &uring->idle_words)
	{
		struct dx_wait_word *word = DX_CONTAINER(link, struct dx_wait_word, link);

		sqe = next_sqe(uring);
		if (sqe == NULL)
			return;
		dx_uring_prep_futex_wait(sqe, word->word, word->seen);
		sqe->user_data = tagged(word, TAG_WORD);
		word->armed_value = word->seen;
		word->armed = true;
		dx_list_unlink(link);
		dx_list_append(&uring->armed_words, link);
		uring->wait.stats.arms++;
	}
	dx_list_each(link, &uring->idle_fds)
	{
		struct dx_wait_fd *fd = DX_CONTAINER(link, struct dx_wait_fd, link);

		sqe = next_sqe(uring);
		if (sqe == NULL)
			return;
		io_uring_prep_poll_add(sqe, fd->fd, (unsigned short)fd->events);
		sqe->user_data = tagged(fd, TAG_FD);
		fd->armed = true;
		dx_list_unlink(link);
		dx_list_append(&uring->armed_fds, link);
		uring->wait.stats.arms++;
	}
}

/* Is there news in the end of this wait? */
static bool complete_word(struct uring *uring, struct dx_wait_word *word, int res)
{
	word->armed = false;
	dx_list_unlink(&word->link);
	dx_list_append(&uring->idle_words, &word->link);
	if (res == -ECANCELED)
		return false;
	if ((res == 0 || res == -EAGAIN) && dx_load_plain(word->word) == word->seen)
		return false;
	word->fired = true;
	return true;
}

static bool complete_fd(struct uring *uring, struct dx_wait_fd *fd, int res)
{
	fd->armed = false;
	dx_list_unlink(&fd->link);
	dx_list_append(&uring->idle_fds, &fd->link);
	if (res == -ECANCELED)
		return false;
	fd->fired = (short)(fd->fired | (res < 0 ? POLLERR | POLLNVAL : res));
	return true;
}

static void complete_alarm(struct uring *uring, int res)
{
	uring->alarm_ns = 0;
	uring->no_alarm = res != -ETIME;
}

/* Take what has completed: how many had news, and in @ret_ended how many in all. */
static int collect(struct uring *uring, unsigned int *ret_ended)
{
	struct io_uring_cqe *cqe;
	unsigned int head, ended = 0;
	int fired = 0;

	io_uring_for_each_cqe(&uring->ring, head, cqe)
	{
		void *waiter = (void *)(uintptr_t)(cqe->user_data & ~TAG_MASK);
		uint64_t tag = cqe->user_data & TAG_MASK;

		if (tag == TAG_WORD)
			fired += complete_word(uring, waiter, cqe->res);
		else if (tag == TAG_FD)
			fired += complete_fd(uring, waiter, cqe->res);
		else if (tag == TAG_CANCEL)
			uring->cancels--;
		else
			complete_alarm(uring, cqe->res);
		ended++;
	}
	io_uring_cq_advance(&uring->ring, ended);
	uring->wait.stats.fires += (uint64_t)fired;
	*ret_ended = ended;
	return fired;
}

/* Cancel the wait that has @user_data, and see both ends of it. */
static void cancel(struct uring *uring, uint64_t user_data, const bool *armed)
{
	bool sent = false;

	while (*armed || uring->cancels > 0) {
		struct io_uring_sqe *sqe = sent ? NULL : next_sqe(uring);
		unsigned int ended;

		if (sqe != NULL) {
			io_uring_prep_cancel64(sqe, user_data, 0);
			sqe->user_data = TAG_CANCEL;
			uring->cancels++;
			sent = true;
		}
		/* Without end, as the kernel answers every cancellation. */
		if (io_uring_submit_and_wait(&uring->ring, 1) == -EEXIST && move_here(uring) < 0)
			return; /* only exiting, or out of memory: the ring dies with its owner */
		(void)collect(uring, &ended);
	}
}

/* --- the operations ----------------------------------------------------------------------------------- */

static int uring_add_word(struct dx_wait *wait, struct dx_wait_word *word)
{
	struct uring *uring = uring_of(wait);

	if (uring->count >= WAITS_MAX)
		return -E2BIG;
	uring->count++;
	dx_list_append(&uring->idle_words, &word->link);
	return 0;
}

static int uring_add_fd(struct dx_wait *wait, struct dx_wait_fd *fd)
{
	struct uring *uring = uring_of(wait);

	if (uring->count >= WAITS_MAX)
		return -E2BIG;
	uring->count++;
	dx_list_append(&uring->idle_fds, &fd->link);
	return 0;
}

static void uring_remove_word(struct dx_wait *wait, struct dx_wait_word *word)
{
	struct uring *uring = uring_of(wait);

	if (word->armed)
		cancel(uring, tagged(word, TAG_WORD), &word->armed);
	dx_list_unlink(&word->link);
	uring->count--;
}

static void uring_remove_fd(struct dx_wait *wait, struct dx_wait_fd *fd)
{
	struct uring *uring = uring_of(wait);

	if (fd->armed)
		cancel(uring, tagged(fd, TAG_FD), &fd->armed);
	dx_list_unlink(&fd->link);
	uring->count--;
}

static struct __kernel_timespec timespec_of(uint64_t ns)
{
	return (struct __kernel_timespec){ .tv_sec = (long long)(ns / DX_NS_PER_S),
		                           .tv_nsec = (long long)(ns % DX_NS_PER_S) };
}

/* Let an alarm ring at @deadline_ns, if it is one for that. */
static bool set_alarm(struct uring *uring, uint64_t now_ns, uint64_t deadline_ns)
{
	struct io_uring_sqe *sqe;

	if (uring->alarm_ns != 0 || uring->no_alarm || deadline_ns - now_ns < ALARM_MIN_NS ||
	    deadline_ns - now_ns > ALARM_MAX_NS)
		return false;
	sqe = next_sqe(uring);
	if (sqe == NULL)
		return false;
	uring->alarm_time = timespec_of(deadline_ns);
	io_uring_prep_timeout(sqe, &uring->alarm_time, 0, IORING_TIMEOUT_ABS);
	sqe->user_data = TAG_ALARM;
	uring->alarm_ns = deadline_ns;
	return true;
}

/* One system call: submit, and wait until something completed or @deadline_ns. */
static int enter(struct uring *uring, uint64_t deadline_ns)
{
	struct __kernel_timespec timeout;
	struct io_uring_cqe *cqe;
	uint64_t now_ns, left_ns;

	if (uring->alarm_ns != 0 && uring->alarm_ns <= deadline_ns) {
		uring->wait.stats.sleeps++;
		return io_uring_submit_and_wait(&uring->ring, 1);
	}
	now_ns = dx_now_ns();
	if (deadline_ns <= now_ns)
		return io_uring_submit_and_get_events(&uring->ring);

	uring->wait.stats.sleeps++;
	uring->wait.stats.timers++;
	if (set_alarm(uring, now_ns, deadline_ns))
		return io_uring_submit_and_wait(&uring->ring, 1);
	left_ns = deadline_ns - now_ns < SLEEP_MAX_NS ? deadline_ns - now_ns : SLEEP_MAX_NS;
	timeout = timespec_of(left_ns);
	return io_uring_submit_and_wait_timeout(&uring->ring, &cqe, 1, &timeout, NULL);
}

static int uring_sleep(struct dx_wait *wait, uint64_t deadline_ns)
{
	struct uring *uring = uring_of(wait);

	for (;;) {
		unsigned int ended;
		eventfd_t told;
		int code, fired;

		arm(uring);
		/* Before the look, so that what comes after it makes the descriptor readable again. */
		if (uring->eventfd >= 0)
			(void)eventfd_read(uring->eventfd, &told);
		code = enter(uring, deadline_ns);
		if (code == -EEXIST && move_here(uring) == 0)
			continue;
		fired = collect(uring, &ended);
		if (fired > 0)
			return fired;
		if (dx_now_ns() >= deadline_ns) {
			if (ended > 0) { /* without news: leave them armed */
				arm(uring);
				(void)io_uring_submit(&uring->ring);
			}
			return 0;
		}
		if (ended > 0)
			continue;
		if (code < 0 && code != -EINTR && code != -ETIME)
			(void)poll(NULL, 0,
			           1); /* the kernel is short of something: not in a loop */
		/* A signal, though with something to submit the kernel does not say so. */
		return -EINTR;
	}
}

static int uring_pollable(struct dx_wait *wait)
{
	struct uring *uring = uring_of(wait);
	int fd, code;

	if (uring->eventfd >= 0)
		return uring->eventfd;
	fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* what fired before is not told again */
	if (fd < 0)
		return dx_errno();
	code = io_uring_register_eventfd(&uring->ring, fd);
	if (code < 0) {
		(void)close(fd);
		return code;
	}
	uring->eventfd = fd;
	return fd;
}

static void uring_free(struct dx_wait *wait)
{
	struct uring *uring = uring_of(wait);

	io_uring_queue_exit(&uring->ring);
	if (uring->eventfd >= 0)
		(void)close(uring->eventfd);
	free(uring);
}

static const struct dx_wait_ops uring_ops = {
	.name = "io_uring",
	.add_word = uring_add_word,
	.add_fd = uring_add_fd,
	.remove_word = uring_remove_word,
	.remove_fd = uring_remove_fd,
	.sleep = uring_sleep,
	.pollable = uring_pollable,
	.now = dx_wait_clock,
	.free = uring_free,
};

/* --- does it work here? ------------------------------------------------------------------------------- */

/*
 * Do one futex wait and one poll. What a kernel lists as supported can still be forbidden (a restricted ring,
 * a security module), so only a try tells.
 */
static int probe(struct io_uring *ring, int fd)
{
	struct io_uring_sqe *futex = io_uring_get_sqe(ring), *poll_add = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	unsigned int head, ended = 0;
	uint32_t word = 1;
	int code, wrong = 0;

	if (futex == NULL || poll_add == NULL)
		return -EIO;
	dx_uring_prep_futex_wait(futex, &word, word + 1);
	futex->user_data = TAG_WORD;
	io_uring_prep_poll_add(poll_add, fd, POLLOUT);
	poll_add->user_data = TAG_FD;

	do {
		code = io_uring_submit_and_wait(ring, 2);
	} while (code == -EINTR);
	if (code < 0)
		return code;
	io_uring_for_each_cqe(ring, head, cqe)
	{
		int want = cqe->user_data == TAG_WORD ? -EAGAIN : POLLOUT;

		if (cqe->res != want)
			wrong = cqe->res < 0 ? cqe->res : -EIO;
		ended++;
	}
	io_uring_cq_advance(ring, ended);
	return wrong;
}

int dx_uring_new(struct dx_wait **ret_wait, struct dsmx_error *err)
{
	struct uring *uring = calloc(1, sizeof(*uring));
	int code, fd;

	if (uring == NULL)
		return dx_error(err, -ENOMEM, "no memory for a wait");
	uring->wait.ops = &uring_ops;
	uring->eventfd = -1;
	dx_list_init(&uring->idle_words);
	dx_list_init(&uring->armed_words);
	dx_list_init(&uring->idle_fds);
	dx_list_init(&uring->armed_fds);

	code = make_ring(&uring->ring);
	if (code < 0) {
		free(uring);
		return code == -ENOMEM ? dx_error(err, code, "no memory for io_uring")
		                       : dx_error(err, -EOPNOTSUPP, "no io_uring here: %s%s",
		                                  dx_strerror(code),
		                                  code == -EPERM ? " (kernel.io_uring_disabled "
		                                                   "or a seccomp filter)"
		                                                 : "");
	}
	fd = eventfd(0, EFD_CLOEXEC);
	code = fd < 0 ? dx_errno() : probe(&uring->ring, fd);
	if (fd >= 0)
		(void)close(fd);
	if (code < 0) {
		uring_free(&uring->wait);
		return dx_error(err, -EOPNOTSUPP,
		                "no futex operations in this machine's io_uring: %s%s",
		                dx_strerror(code), code == -EINVAL ? " (Linux before 6.7)" : "");
	}
	*ret_wait = &uring->wait;
	return 0;
}
