/* SPDX-License-Identifier: MIT */
/*
 * segment_test.c - what the owner of a segment gets, and what nobody can do to it afterwards
 *
 * The attacks are made through the owner's own descriptor and mapping: a peer has less. They are made on
 * every kind of pages that this machine has.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/compiler.h"
#include "harness.h"
#include "shm/numa.h"
#include "shm/segment.h"

#define SMALL_BYTES ((size_t)4096)
#define HUGE_BYTES  ((size_t)2 << 20)
#define ALL_SEALS   (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

static bool has_hugetlb(void)
{
	struct dx_segment segment;

	if (dx_segment_create("probe", HUGE_BYTES, DSMX_PAGES_HUGETLB, -1, &segment, NULL) < 0)
		return false;
	dx_segment_close(&segment);
	return true;
}

/* --- creating ----------------------------------------------------------------------------------------- */

static void check_created(bool *ok, enum dsmx_pages asked, size_t bytes)
{
	struct dx_segment own, peer;
	struct stat st;

	CHECK_EQ(dx_segment_create("segment_test", bytes, asked, -1, &own, NULL), 0);
	CHECK(own.pages != DSMX_PAGES_AUTO);
	CHECK(asked == DSMX_PAGES_AUTO || own.pages == asked);
	CHECK_EQ(own.bytes, dx_segment_round(bytes, own.pages));
	CHECK_EQ((uintptr_t)own.base % (own.bytes < HUGE_BYTES ? SMALL_BYTES : HUGE_BYTES), 0);
	CHECK_EQ(fcntl(own.fd, F_GET_SEALS) & ALL_SEALS, ALL_SEALS);
	CHECK_EQ(fcntl(own.fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fstat(own.fd, &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0400);
	CHECK_EQ(st.st_size, own.bytes);
	CHECK_EQ(st.st_blocks * 512, own.bytes);

	CHECK_EQ(dx_segment_attach(own.fd, own.bytes, &peer, NULL), 0);
	CHECK_EQ(peer.bytes, own.bytes);
	CHECK_EQ(peer.fd, -1);
	for (size_t at = 0; at < own.bytes; at += 1000) {
		CHECK_EQ(((char *)peer.base)[at], 0);
		((char *)own.base)[at] = 7;
		CHECK_EQ(((char *)peer.base)[at], 7);
	}
	dx_segment_close(&peer);
	dx_segment_close(&own);
	CHECK(own.base == NULL && own.fd == -1);
	dx_segment_close(&own);
}

TEST(segment_create,
     "a segment has the size, seals, mode and pages that were asked for, and peers see its bytes")
{
	static const struct {
		enum dsmx_pages pages;
		size_t bytes;
	} rows[] = {
		{ DSMX_PAGES_AUTO, 1 },
		{ DSMX_PAGES_AUTO, 3 * HUGE_BYTES + 1 },
		{ DSMX_PAGES_COLLAPSED, 1 },
		{ DSMX_PAGES_COLLAPSED, 2 * HUGE_BYTES },
		{ DSMX_PAGES_SMALL, 1 },
		{ DSMX_PAGES_SMALL, SMALL_BYTES },
		{ DSMX_PAGES_SMALL, 25 * SMALL_BYTES - 1 },
		{ DSMX_PAGES_SMALL, HUGE_BYTES + 1 },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows) && *ok; i++)
		check_created(ok, rows[i].pages, rows[i].bytes);
}

TEST(segment_create_hugetlb, "a segment on reserved huge pages is all that the others are")
{
	if (!has_hugetlb())
		SKIP("no huge pages are reserved");
	check_created(ok, DSMX_PAGES_HUGETLB, 1);
	if (*ok)
		check_created(ok, DSMX_PAGES_HUGETLB, HUGE_BYTES);
}

static void nothing(int sig)
{
	(void)sig;
}

TEST(segment_signals, "a timer that rings all the time does not keep a segment from being made")
{
	struct itimerspec interval = { .it_interval = { .tv_nsec = 3000000L * harness_slow() },
		                       .it_value = { .tv_nsec = 3000000L * harness_slow() } };
	struct sigevent rings = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct sigaction action = { .sa_handler = nothing, .sa_flags = SA_RESTART }, before;
	struct dx_segment segment;
	timer_t timer;
	int r;

	CHECK_EQ(sigaction(SIGUSR1, &action, &before), 0);
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &rings, &timer), 0);
	CHECK_EQ(timer_settime(timer, 0, &interval, NULL), 0);
	r = dx_segment_create("s", 32 * HUGE_BYTES, DSMX_PAGES_SMALL, -1, &segment, NULL);
	CHECK_EQ(timer_delete(timer), 0);
	CHECK_EQ(sigaction(SIGUSR1, &before, NULL), 0);
	CHECK_EQ(r, 0);
	dx_segment_close(&segment);
}

TEST(segment_shortage,
     "a shortage of huge pages is an error with a sentence; AUTO goes down the ladder")
{
	size_t bytes = (size_t)1 << 40;
	struct dx_segment segment = { .fd = 77 };
	struct dsmx_error err = { .code = 0 };

	CHECK_EQ(dx_segment_create("s", bytes, DSMX_PAGES_HUGETLB, -1, &segment, &err), -ENOMEM);
	CHECK_EQ(err.code, -ENOMEM);
	CHECK(strstr(err.message, "hugetlb") != NULL);
	CHECK(strstr(err.message, "nr_hugepages") != NULL);
	CHECK_EQ(segment.fd, 77);
	CHECK_EQ(dx_segment_create("s", 0, DSMX_PAGES_SMALL, -1, &segment, &err), -EINVAL);
	CHECK_EQ(dx_segment_create("s", SIZE_MAX, DSMX_PAGES_SMALL, -1, &segment, &err), -EINVAL);
	CHECK_EQ(
		dx_segment_create("s", SIZE_MAX - SMALL_BYTES, DSMX_PAGES_AUTO, -1, &segment, &err),
		-EINVAL);
	CHECK_EQ(segment.fd, 77);
}

TEST(segment_numa,
     "a segment can be bound to the node of a processor; a node that is not there is -EINVAL")
{
	int node = dx_numa_node_of_cpu(0);
	struct dx_segment segment;
	struct dsmx_error err;

	CHECK(node >= -1);
	CHECK_EQ(dx_numa_node_of_cpu(-1), -1);
	CHECK_EQ(dx_numa_node_of_cpu(1 << 20), -1);
	CHECK_EQ(dx_segment_create("s", SMALL_BYTES, DSMX_PAGES_SMALL, node, &segment, &err), 0);
	dx_segment_close(&segment);
	if (node < 0)
		SKIP("this machine cannot bind memory");
	CHECK_EQ(dx_segment_create("s", SMALL_BYTES, DSMX_PAGES_SMALL, 4000, &segment, &err),
	         -EINVAL);
	CHECK(strstr(err.message, "NUMA node 4000") != NULL);
}

TEST(segment_pages_str, "each kind of pages has a name")
{
	CHECK_STR(dx_pages_str(DSMX_PAGES_HUGETLB), "hugetlb");
	CHECK_STR(dx_pages_str(DSMX_PAGES_COLLAPSED), "collapsed");
	CHECK_STR(dx_pages_str(DSMX_PAGES_SMALL), "4 KiB");
	CHECK_STR(dx_pages_str(DSMX_PAGES_AUTO), "?");
}

/* --- attacking ---------------------------------------------------------------------------------------- */

static int says(long result)
{
	return result < 0 ? -errno : 0;
}

static int map_rw(int fd, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	(void)munmap(at, bytes);
	return 0;
}

static int reopen_and_map_rw(int fd, size_t bytes)
{
	char path[64];
	int again, code;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again < 0)
		return -errno;
	code = map_rw(again, bytes);
	(void)close(again);
	return code;
}

static void check_attacks(bool *ok, enum dsmx_pages pages)
{
	struct dx_segment own, peer;
	size_t page = pages == DSMX_PAGES_SMALL ? SMALL_BYTES : HUGE_BYTES;
	int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, fd;

	CHECK_EQ(dx_segment_create("segment_test", 2 * page, pages, -1, &own, NULL), 0);
	CHECK_EQ(dx_segment_attach(own.fd, own.bytes, &peer, NULL), 0);
	memset(own.base, 1, own.bytes);
	fd = own.fd;

	CHECK_EQ(says(ftruncate(fd, (off_t)page)), -EPERM);
	CHECK_EQ(says(ftruncate(fd, 0)), -EPERM);
	CHECK_EQ(says(ftruncate(fd, (off_t)(3 * page))), -EPERM);
	CHECK_EQ(says(fallocate(fd, punch, 0, (off_t)page)), -EPERM);
	CHECK_EQ(says(fallocate(fd, punch, 0, (off_t)own.bytes)), -EPERM);
	CHECK_EQ(says(fallocate(fd, 0, 0, (off_t)(3 * page))), -EPERM);
	CHECK(says(madvise(own.base, page, MADV_REMOVE)) < 0);
	CHECK_EQ(map_rw(fd, own.bytes), -EPERM);
	CHECK_EQ(reopen_and_map_rw(fd, own.bytes), geteuid() == 0 ? -EPERM : -EACCES);
	CHECK_EQ(says(mprotect(peer.base, peer.bytes, PROT_READ | PROT_WRITE)), -EACCES);
	/* hugetlb has no write at all. */
	CHECK_EQ(says(pwrite(fd, "x", 1, 0)), pages == DSMX_PAGES_HUGETLB ? -EINVAL : -EPERM);
	CHECK_EQ(says(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)), -EPERM);

	for (size_t at = 0; at < own.bytes; at += 512)
		CHECK_EQ(((char *)peer.base)[at], 1);
	dx_segment_close(&peer);
	dx_segment_close(&own);
}

TEST(segment_attacks,
     "nobody can shrink, grow, punch, map for writing or unseal a segment, its owner neither")
{
	check_attacks(ok, DSMX_PAGES_SMALL);
	if (*ok)
		check_attacks(ok, DSMX_PAGES_COLLAPSED);
}

TEST(segment_attacks_hugetlb, "the same on reserved huge pages")
{
	if (!has_hugetlb())
		SKIP("no huge pages are reserved");
	check_attacks(ok, DSMX_PAGES_HUGETLB);
}

TEST(segment_peer_writes,
     "a peer that writes to its mapping dies by SIGSEGV, and the owner's byte stays")
{
	struct dx_segment own;
	int status;
	pid_t pid;

	CHECK_EQ(dx_segment_create("segment_test", 1, DSMX_PAGES_SMALL, -1, &own, NULL), 0);
	pid = fork();
	if (pid == 0) {
		struct dx_segment peer;

		(void)signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own idea of it */
		if (dx_segment_attach(own.fd, own.bytes, &peer, NULL) == 0)
			((char *)peer.base)[0] = 1;
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	CHECK_EQ(((char *)own.base)[0], 0);
	dx_segment_close(&own);
}

TEST(segment_other_user, "another user cannot reopen a segment through /proc")
{
	struct dx_segment own;
	char path[64];
	int status;
	pid_t pid;

	if (geteuid() != 0)
		SKIP("only root can become another user");
	CHECK_EQ(dx_segment_create("segment_test", 1, DSMX_PAGES_SMALL, -1, &own, NULL), 0);
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), own.fd);
	pid = fork();
	if (pid == 0) {
		int code = 0;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", own.fd);
		if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
		    setresuid(65534, 65534, 65534) < 0)
			_exit(99);
		/* The descriptor is inherited, what it stands for may not be opened anew. */
		code = open(path, O_RDONLY) < 0 ? errno : 0;
		_exit(code == EACCES && open(path, O_RDWR) < 0 ? errno : 98);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), EACCES);
	dx_segment_close(&own);
}

/* --- what a peer is offered --------------------------------------------------------------------------- */

enum offer {
	GOOD,
	SPARSE,
	ONE_HOLE,
	UNSEALED,
	NOT_SEALABLE,
	REGULAR_FILE,
	EVENTFD,
	READ_ONLY_FD,
	CLOSED,
};

static const struct offer_row {
	const char *name;
	enum offer kind;
	int without; /* this seal */
	size_t asked;
	int want;
} offers[] = {
	{ "a good one", GOOD, 0, 2 * SMALL_BYTES, 0 },
	{ "a good one over a read-only descriptor", READ_ONLY_FD, 0, 2 * SMALL_BYTES, 0 },
	{ "no SHRINK", GOOD, F_SEAL_SHRINK, 2 * SMALL_BYTES, -EPROTO },
	{ "no GROW", GOOD, F_SEAL_GROW, 2 * SMALL_BYTES, -EPROTO },
	{ "no FUTURE_WRITE", GOOD, F_SEAL_FUTURE_WRITE, 2 * SMALL_BYTES, -EPROTO },
	{ "no SEAL", GOOD, F_SEAL_SEAL, 2 * SMALL_BYTES, -EPROTO },
	{ "no seals at all", UNSEALED, 0, 2 * SMALL_BYTES, -EPROTO },
	{ "never to be sealed", NOT_SEALABLE, 0, 2 * SMALL_BYTES, -EPROTO },
	{ "too small", GOOD, 0, 3 * SMALL_BYTES, -EPROTO },
	{ "too large", GOOD, 0, SMALL_BYTES, -EPROTO },
	{ "a byte off", GOOD, 0, 2 * SMALL_BYTES - 1, -EPROTO },
	{ "nothing asked", GOOD, 0, 0, -EPROTO },
	{ "beyond all sizes", GOOD, 0, SIZE_MAX, -EPROTO },
	{ "no block at all", SPARSE, 0, 2 * SMALL_BYTES, -EPROTO },
	{ "one block missing", ONE_HOLE, 0, 2 * SMALL_BYTES, -EPROTO },
	{ "a regular file", REGULAR_FILE, 0, 2 * SMALL_BYTES, -EPROTO },
	{ "an eventfd", EVENTFD, 0, 2 * SMALL_BYTES, -EPROTO },
	{ "no descriptor", CLOSED, 0, 2 * SMALL_BYTES, -EPROTO },
};

static int make_offer(const struct offer_row *row)
{
	char path[] = "/tmp/dsmx-segment-XXXXXX", again[64];
	int fd, readable;

	if (row->kind == CLOSED)
		return -1;
	if (row->kind == EVENTFD)
		return eventfd(0, EFD_CLOEXEC);
	if (row->kind == REGULAR_FILE) {
		fd = mkostemp(path, O_CLOEXEC);
		(void)unlink(path);
	} else {
		fd = memfd_create(
			"offer", MFD_CLOEXEC | (row->kind == NOT_SEALABLE ? 0 : MFD_ALLOW_SEALING));
	}
	if (fd < 0 || ftruncate(fd, (off_t)(2 * SMALL_BYTES)) < 0)
		return -1;
	if (row->kind != SPARSE && fallocate(fd, 0, 0, (off_t)(2 * SMALL_BYTES)) < 0)
		return -1;
	if (row->kind == ONE_HOLE &&
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SMALL_BYTES, SMALL_BYTES) < 0)
		return -1;
	if (row->kind != UNSEALED && row->kind != NOT_SEALABLE && row->kind != REGULAR_FILE &&
	    fcntl(fd, F_ADD_SEALS, ALL_SEALS & ~row->without) < 0)
		return -1;
	if (row->kind != READ_ONLY_FD)
		return fd;
	(void)snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	readable = open(again, O_RDONLY | O_CLOEXEC);
	(void)close(fd);
	return readable;
}

TEST(segment_offers,
     "a peer takes only what is sealed in all four ways, of the agreed size and without a hole")
{
	for (size_t i = 0; i < DX_ARRAY_LEN(offers); i++) {
		struct dx_segment peer = { .bytes = 77 };
		struct dsmx_error err = { .code = 0 };
		int fd = make_offer(&offers[i]), code;

		CHECK(fd >= 0 || offers[i].kind == CLOSED);
		code = dx_segment_attach(fd, offers[i].asked, &peer, &err);
		if (code != offers[i].want)
			printf("# offer: %s: %s\n", offers[i].name, err.message);
		CHECK_EQ(code, offers[i].want);
		CHECK_EQ(err.code, offers[i].want);
		CHECK(code == 0 || (peer.bytes == 77 && strlen(err.message) > 20));
		if (code == 0)
			dx_segment_close(&peer);
		if (fd >= 0)
			(void)close(fd);
	}
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
