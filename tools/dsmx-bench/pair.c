/* SPDX-License-Identifier: MIT */
/*
 * pair.c - see pair.h
 *
 * The first line pair of the shared memory is for pair_meet(), the second for the result; what a measurement has for
 * itself begins after them. Both processes die with the one that started them, and with each other.
 */
#include "pair.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/order.h"
#include "ring/ring.h"
#include "shm/segment.h"

#define HEAD_BYTES 4096U
#define COPY_BYTES 512000000ULL /* so that the first way through a window does not count */
#define COPIES_MAX 1000000ULL
#define TRIPS      1000

int pair_processor(int nth)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -1;
	for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && nth-- == 0)
			return (int)cpu;
	return -1;
}

int pair_bind(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (uint32_t i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || (uint32_t)cpu == i)
			CPU_SET(i, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

static pid_t start(int cpu, struct pair *pair, void (*run)(struct pair *pair))
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || pair_bind(cpu) < 0)
		_exit(1);
	run(pair);
	_exit(0);
}

/* They are a process group; the one that fails first ends the other. Returns 0 or -EIO. */
static int wait_for(pid_t group, int left)
{
	int status, r = left == 2 ? 0 : -EIO;

	if (r != 0)
		(void)kill(-group, SIGKILL);
	while (left > 0) {
		pid_t pid = waitpid(-group, &status, 0);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return -EIO;
		left--;
		if (status == 0)
			continue;
		r = -EIO;
		(void)kill(-group, SIGKILL);
	}
	return r;
}

int pair_run_on(enum dsmx_pages pages, size_t shared_bytes, const void *arg,
                void (*first)(struct pair *pair), void (*second)(struct pair *pair),
                double ret_results[PAIR_RESULTS])
{
	struct pair pair = { .shared_bytes = shared_bytes + HEAD_BYTES, .arg = arg };
	int cpus[2] = { pair_processor(0), pair_processor(1) };
	struct dx_segment segment;
	struct dsmx_error err;
	pid_t pids[2];
	char *memory;
	int r;

	if (cpus[0] < 0 || cpus[1] < 0) {
		fputs("dsmx-bench: needs two processors\n", stderr);
		return -EOPNOTSUPP;
	}
	r = dx_segment_create("dsmx-bench", pair.shared_bytes, pages, -1, &segment, &err);
	if (r < 0) {
		fprintf(stderr, "dsmx-bench: %s\n", err.message);
		return r;
	}
	memory = segment.base;
	pair.shared = memory + HEAD_BYTES;
	pair.result = (double *)(void *)(memory + 256);
	r = -EAGAIN;
	pids[0] = start(cpus[0], &pair, first);
	if (pids[0] > 0) {
		(void)setpgid(pids[0], pids[0]);
		pids[1] = start(cpus[1], &pair, second);
		if (pids[1] > 0)
			(void)setpgid(pids[1], pids[0]);
		r = wait_for(pids[0], pids[1] > 0 ? 2 : 1);
	}
	if (r < 0)
		fputs("dsmx-bench: a process of a pair failed\n", stderr);
	else
		memcpy(ret_results, pair.result, PAIR_RESULTS * sizeof(double));
	dx_segment_close(&segment);
	return r;
}

int pair_run(size_t shared_bytes, const void *arg, void (*first)(struct pair *pair),
             void (*second)(struct pair *pair), double ret_results[PAIR_RESULTS])
{
	return pair_run_on(DSMX_PAGES_SMALL, shared_bytes, arg, first, second, ret_results);
}

void pair_meet(struct pair *pair, int number)
{
	uint32_t *lines = (uint32_t *)(void *)((char *)pair->shared - HEAD_BYTES);

	dx_store_release(DX_EDGE_STATE, &lines[number * 32], 1);
	while (dx_load_acquire(DX_EDGE_STATE, &lines[(1 - number) * 32]) == 0)
		dx_spin_pause();
}

uint64_t pair_blocks(size_t bytes)
{
	uint64_t blocks = COPY_BYTES / bytes;

	return blocks < COPIES_MAX ? blocks : COPIES_MAX;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int run_one(size_t shared_bytes, const void *arg, void (*first)(struct pair *pair),
                   void (*second)(struct pair *pair), double *ret_result)
{
	double results[PAIR_RESULTS];
	int r = pair_run(shared_bytes, arg, first, second, results);

	if (r == 0)
		*ret_result = results[0];
	return r;
}

/* --- a line, to and fro ------------------------------------------------------------------------------------ */

static void line_first(struct pair *pair)
{
	uint32_t *to = pair->shared, *from = to + 32;
	static double trips[TRIPS];

	pair_meet(pair, 0);
	for (uint32_t i = 1; i <= TRIPS; i++) {
		uint64_t start_ns = dx_now_ns();

		dx_store_release(DX_EDGE_TAIL, to, i);
		while (dx_load_acquire(DX_EDGE_TAIL, from) != i)
			;
		trips[i - 1] = (double)(dx_now_ns() - start_ns);
	}
	qsort(trips, TRIPS, sizeof(double), by_value);
	*pair->result = trips[TRIPS / 2];
}

static void line_second(struct pair *pair)
{
	uint32_t *from = pair->shared, *to = from + 32;

	pair_meet(pair, 1);
	for (uint32_t i = 1; i <= TRIPS; i++) {
		while (dx_load_acquire(DX_EDGE_TAIL, from) != i)
			;
		dx_store_release(DX_EDGE_TAIL, to, i);
	}
}

int pair_line(double *ret_ns)
{
	return run_one(256, NULL, line_first, line_second, ret_ns);
}

/* --- a futex, to and fro ------------------------------------------------------------------------------------- */

struct futex_trips {
	uint64_t pause_ns;
	uint32_t count;
};

void pair_say(uint32_t *word, uint32_t value)
{
	dx_store_release(DX_EDGE_BELL, word, value);
	(void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void pair_hear(const uint32_t *word, uint32_t value)
{
	uint32_t now;

	while ((now = dx_load_acquire(DX_EDGE_BELL, word)) != value)
		(void)syscall(SYS_futex, word, FUTEX_WAIT, now, NULL, NULL, 0);
}

static void futex_first(struct pair *pair)
{
	const struct futex_trips *trips = pair->arg;
	struct timespec pause = { 0, (long)trips->pause_ns };
	uint32_t *to = pair->shared, *from = to + 32;
	static double times[TRIPS];

	pair_meet(pair, 0);
	for (uint32_t i = 1; i <= trips->count; i++) {
		uint64_t start_ns;

		if (trips->pause_ns > 0)
			(void)nanosleep(&pause, NULL);
		start_ns = dx_now_ns();
		pair_say(to, i);
		pair_hear(from, i);
		times[i - 1] = (double)(dx_now_ns() - start_ns);
	}
	qsort(times, trips->count, sizeof(double), by_value);
	*pair->result = times[trips->count / 2];
}

static void futex_second(struct pair *pair)
{
	const struct futex_trips *trips = pair->arg;
	uint32_t *from = pair->shared, *to = from + 32;

	pair_meet(pair, 1);
	for (uint32_t i = 1; i <= trips->count; i++) {
		pair_hear(from, i);
		pair_say(to, i);
	}
}

int pair_futex(uint64_t pause_ns, double *ret_ns)
{
	struct futex_trips trips = { pause_ns, pause_ns > 0 ? TRIPS / 10 : TRIPS };

	return run_one(256, &trips, futex_first, futex_second, ret_ns);
}

void pair_spin(uint64_t ns)
{
	uint64_t end_ns = dx_now_ns() + ns;

	while (dx_now_ns() < end_ns)
		dx_spin_pause();
}

/* --- blocks, one way ------------------------------------------------------------------------------------------ */

struct copy {
	size_t bytes;
	uint32_t slots;
};

static uint64_t add_up(const uint64_t *words, size_t count)
{
	uint64_t sums[16] = { 0 }, sum = 0;

	for (size_t i = 0; i + 16 <= count; i += 16)
		for (size_t j = 0; j < 16; j++)
			sums[j] += words[i + j];
	for (size_t j = 0; j < 16; j++)
		sum += sums[j];
	for (size_t i = count & ~(size_t)15; i < count; i++)
		sum += words[i];
	return sum;
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static uint64_t add_up_avx2(const uint64_t *words, size_t count)
{
	uint64_t sums[16] = { 0 }, sum = 0;

	for (size_t i = 0; i + 16 <= count; i += 16)
		for (size_t j = 0; j < 16; j++)
			sums[j] += words[i + j];
	for (size_t j = 0; j < 16; j++)
		sum += sums[j];
	for (size_t i = count & ~(size_t)15; i < count; i++)
		sum += words[i];
	return sum;
}
#endif

uint64_t pair_sum_many(const void *block, size_t bytes)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return add_up_avx2(block, bytes / sizeof(uint64_t));
#endif
	return add_up(block, bytes / sizeof(uint64_t));
}

/* Counts are told as often as the library's. */
static uint64_t copy_batch(const struct copy *copy)
{
	uint64_t batch = dx_publish_bytes(copy->bytes * copy->slots) / copy->bytes;

	return batch > 0 ? batch : 1;
}

static void copy_first(struct pair *pair)
{
	const struct copy *copy = pair->arg;
	uint64_t count = pair_blocks(copy->bytes), batch = copy_batch(copy), taken = 0;
	uint64_t *to = pair->shared, *from = to + 16;
	char *window = (char *)pair->shared + HEAD_BYTES;
	char *source = aligned_alloc(4096, copy->bytes < 4096 ? 4096 : copy->bytes);
	uint64_t start_ns;

	if (source == NULL)
		_exit(1);
	memset(source, 1, copy->bytes);
	pair_meet(pair, 0);
	start_ns = dx_now_ns();
	for (uint64_t i = 0; i < count; i++) {
		while (i - taken >= copy->slots)
			taken = dx_load_acquire(DX_EDGE_TAKEN, from);
		pair_put(window + i % copy->slots * copy->bytes, source, copy->bytes);
		if ((i + 1) % batch == 0 || i + 1 == count)
			dx_store_release(DX_EDGE_TAIL, to, i + 1);
	}
	while (dx_load_acquire(DX_EDGE_TAKEN, from) != count)
		dx_spin_pause();
	*pair->result = (double)count * (double)copy->bytes / (double)(dx_now_ns() - start_ns);
}

static void copy_second(struct pair *pair)
{
	const struct copy *copy = pair->arg;
	uint64_t count = pair_blocks(copy->bytes), batch = copy_batch(copy), tail = 0, sum = 0;
	uint64_t *from = pair->shared, *to = from + 16;
	const char *window = (const char *)pair->shared + HEAD_BYTES;

	pair_meet(pair, 1);
	for (uint64_t i = 0; i < count; i++) {
		while (i == tail)
			tail = dx_load_acquire(DX_EDGE_TAIL, from);
		sum += pair_sum(window + i % copy->slots * copy->bytes, copy->bytes);
		if ((i + 1) % batch == 0 || i + 1 == count)
			dx_store_release(DX_EDGE_TAKEN, to, i + 1);
	}
	if (sum != count * (copy->bytes / 8) * 0x0101010101010101ULL)
		_exit(1);
}

int pair_copy(enum dsmx_pages pages, size_t bytes, uint32_t slots, double *ret_gb)
{
	struct copy copy = { bytes, slots };
	double results[PAIR_RESULTS];
	int r = pair_run_on(pages, HEAD_BYTES + bytes * slots, &copy, copy_first, copy_second,
	                    results);

	if (r == 0)
		*ret_gb = results[0];
	return r;
}
