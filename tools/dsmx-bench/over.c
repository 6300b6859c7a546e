/* SPDX-License-Identifier: MIT */
/*
 * over.c - dsmx-bench oversubscribed: two pairs and a hog on two processors
 *
 * Each producer fills records of 4 KiB and works 500 ns for each, its consumer adds them up and works as long; a
 * window of 64 records is between them. Nothing is bound to a processor. The same with the library's patience, with
 * none (each wait parks at once), and with nothing but spinning. What counts is the work that all pairs get done
 * beside the hog, and the processor time of a record.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/order.h"
#include "bench.h"
#include "pair.h"
#include "side.h"

#define PAIRS        2
#define RECORD_BYTES 4096U
#define WINDOW       64U
#define BATCH        4U /* records that are published together: 16 KiB */
#define WORK_NS      500
#define RUN_NS       400000000ULL

enum policy { PATIENT, PARKING, SPINNING, POLICIES };

struct shared {
	_Alignas(128) uint32_t stop;
	struct {
		struct side_words sides[2];
		_Alignas(128) char window[WINDOW][RECORD_BYTES];
	} pairs[PAIRS];
};

static bool is_over(const struct shared *shared)
{
	return dx_load_plain(&shared->stop) != 0;
}

/* The end is told by a count that is further than any. */
#define OVER (1ULL << 40)

static void wait_for(struct side *side, uint64_t count, enum policy policy)
{
	if (policy != SPINNING)
		side_wait(side, count);
	else
		while (!side_has(side, count))
			dx_spin_pause();
}

static void produce(struct shared *shared, int number, enum policy policy)
{
	struct side_words *words = shared->pairs[number].sides;
	static char record[RECORD_BYTES];
	struct side side;
	uint64_t i = 0;

	side_init(&side, &words[0], &words[1], DSMX_WAIT_AUTO, policy == PATIENT);
	memset(record, 1, sizeof(record));
	while (!is_over(shared)) {
		if (i >= WINDOW)
			wait_for(&side, i + 1 - WINDOW, policy);
		pair_spin(WORK_NS);
		memcpy(shared->pairs[number].window[i++ % WINDOW], record, sizeof(record));
		/* Before it waits, it tells what there is. */
		if (i % BATCH == 0 || (i >= WINDOW && !side_has(&side, i + 1 - WINDOW)))
			side_publish(&side, i);
	}
	side_publish(&side, OVER + i);
}

static void consume(struct shared *shared, int number, enum policy policy)
{
	struct side_words *words = shared->pairs[number].sides;
	struct side side;
	uint64_t i = 0;

	side_init(&side, &words[1], &words[0], DSMX_WAIT_AUTO, policy == PATIENT);
	for (;;) {
		if (side.seen <= i && i % BATCH != 0)
			side_publish(&side, i);
		wait_for(&side, i + 1, policy);
		if (side.seen >= OVER && i == side.seen - OVER)
			break;
		if (pair_sum(shared->pairs[number].window[i++ % WINDOW], RECORD_BYTES) !=
		    RECORD_BYTES / 8 * 0x0101010101010101ULL)
			_exit(1);
		pair_spin(WORK_NS);
		if (i % BATCH == 0)
			side_publish(&side, i);
	}
}

static pid_t start(struct shared *shared, int number, enum policy policy)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (number == 2 * PAIRS) /* the hog */
		while (!is_over(shared))
			dx_spin_pause();
	else if (number % 2 == 0)
		produce(shared, number / 2, policy);
	else
		consume(shared, number / 2, policy);
	_exit(0);
}

/* Records of all pairs, and the processor time that they took. */
static int run(enum policy policy, double *ret_records, double *ret_cpu_ns)
{
	struct timespec time = { 0, (long)RUN_NS };
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	                             MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	pid_t pids[2 * PAIRS + 1];
	int r = 0;

	if (shared == MAP_FAILED)
		return -ENOMEM;
	*ret_records = *ret_cpu_ns = 0;
	for (int i = 0; i <= 2 * PAIRS; i++) {
		pids[i] = start(shared, i, policy);
		if (pids[i] < 0)
			r = -EAGAIN;
	}
	(void)nanosleep(&time, NULL);
	for (int i = 0; i < PAIRS; i++)
		*ret_records += (double)(shared->pairs[i].sides[1].count);
	dx_store_plain(&shared->stop, 1);
	for (int i = 0; i <= 2 * PAIRS; i++) {
		struct rusage usage;
		int status = 0;

		if (pids[i] < 0 || wait4(pids[i], &status, 0, &usage) < 0 || status != 0)
			r = r < 0 ? r : -EIO;
		else if (i < 2 * PAIRS)
			*ret_cpu_ns +=
				(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
				(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
	}
	(void)munmap(shared, sizeof(*shared));
	if (r == 0 && *ret_records == 0)
		r = -EIO;
	if (r < 0)
		fputs("dsmx-bench: a process of a pair failed\n", stderr);
	return r;
}

int over_round(struct bench *bench)
{
	double records[POLICIES], cpu_ns[POLICIES], seconds = (double)RUN_NS / 1e9;
	int r = 0;

	for (int p = 0; r == 0 && p < POLICIES; p++)
		r = run((enum policy)p, &records[p], &cpu_ns[p]);
	if (r < 0)
		return r;
	bench_add(bench, "over/records : parking", "1/s", records[PATIENT] / seconds,
	          records[PARKING] / seconds);
	bench_add(bench, "over/records : spinning", "1/s", records[PATIENT] / seconds,
	          records[SPINNING] / seconds);
	bench_add(bench, "over/cpu of a record : parking", "ns", cpu_ns[PATIENT] / records[PATIENT],
	          cpu_ns[PARKING] / records[PARKING]);
	bench_add(bench, "over/cpu of a record : spinning", "ns",
	          cpu_ns[PATIENT] / records[PATIENT], cpu_ns[SPINNING] / records[SPINNING]);
	return 0;
}
