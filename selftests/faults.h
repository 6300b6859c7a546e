/* SPDX-License-Identifier: MIT */
/*
 * faults.h - for the tests that are the fault table: how often, how long, against which limit, and what is left
 */
#ifndef DX_SELFTESTS_FAULTS_H
#define DX_SELFTESTS_FAULTS_H

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "processes.h"

#define ROUNDS     5
#define ROUNDS_MAX 100

static inline int fault_rounds(void)
{
	const char *said = getenv("DSMX_FAULT_ROUNDS");
	int rounds = said != NULL ? atoi(said) : ROUNDS;

	return rounds < 1 ? 1 : rounds < ROUNDS_MAX ? rounds : ROUNDS_MAX;
}

/* --- times ------------------------------------------------------------------------------------------------------ */

struct series_ns {
	int count;
	uint64_t ns[ROUNDS_MAX];
};

static inline void add_ns(struct series_ns *series, uint64_t ns)
{
	if (series->count < ROUNDS_MAX)
		series->ns[series->count++] = ns;
}

static inline int compare_ns(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Prints median and worst; returns the median, in milliseconds. */
static inline double print_ns(const char *what, struct series_ns *series)
{
	double median, worst;

	qsort(series->ns, (size_t)series->count, sizeof(uint64_t), compare_ns);
	median = (double)series->ns[series->count / 2] / 1e6;
	worst = (double)series->ns[series->count - 1] / 1e6;
	printf("# %s after %.3g ms (worst %.3g), of %d\n", what, median, worst, series->count);
	return median;
}

/* --- the limit -------------------------------------------------------------------------------------------------- */

/* Shared by a process that is killed and the one that waits for it. */
struct bare {
	struct robust_list link;
	uint32_t word;
	uint32_t ready;
};

/* A process that has nothing but @resident bytes, and the word of a robust list. */
static inline void bare_victim(struct bare *bare, size_t resident)
{
	struct robust_list_head head = {
		.list = { &bare->link },
		.futex_offset = offsetof(struct bare, word) - offsetof(struct bare, link),
	};
	volatile char *memory = mmap(NULL, resident + 1, PROT_READ | PROT_WRITE,
	                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t at = 0; memory != MAP_FAILED && at < resident; at += 4096)
		memory[at] = 1;
	bare->link.next = &head.list;
	__atomic_store_n(&bare->word, (uint32_t)getpid() | FUTEX_WAITERS, __ATOMIC_RELEASE);
	(void)syscall(SYS_set_robust_list, &head, sizeof(head));
	__atomic_store_n(&bare->ready, 1, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, &bare->ready, FUTEX_WAKE, 1, NULL, NULL, 0);
	for (;;)
		(void)pause();
}

static inline void bare_wait(const uint32_t *word, uint32_t bit)
{
	uint32_t seen;

	while (((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) & bit) == 0)
		(void)syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

/*
 * What no watcher can undercut: from the kill of such a process to the return of a futex wait for its word, in a
 * process that does nothing else.
 */
static inline uint64_t bare_death_ns(size_t resident)
{
	struct bare *bare = mmap(NULL, sizeof(*bare), PROT_READ | PROT_WRITE,
	                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t from_ns, took_ns;
	pid_t pid = fork();

	if (pid == 0)
		bare_victim(bare, resident);
	bare_wait(&bare->ready, 1);
	from_ns = dx_now_ns();
	(void)kill(pid, SIGKILL);
	bare_wait(&bare->word, FUTEX_OWNER_DIED);
	took_ns = dx_now_ns() - from_ns;
	(void)waitpid(pid, NULL, 0);
	(void)munmap(bare, sizeof(*bare));
	return took_ns;
}

/* --- what is left ----------------------------------------------------------------------------------------------- */

/* What a session leaves behind, noted while it is open. */
struct traces {
	uint64_t id;
	struct dx_cgroup group;
	char state[DX_CGROUP_PATH];
	int fds, mappings;
};

static inline bool entry_gone(const struct traces *traces)
{
	for (int i = 0; i < DX_V1_COUNT; i++)
		if (is_dir(traces->group.v1[i]))
			return false;
	return count_processes(traces->id) == 0 && !is_dir(traces->group.v2) &&
	       access(traces->state, F_OK) != 0;
}

/* Of a session of this process. */
static inline bool traces_gone(const struct traces *traces)
{
	return entry_gone(traces) && count_mappings() == traces->mappings &&
	       harness_each_fd(NULL) == traces->fds;
}

/* What `dsmx ps` tells somebody else of a session. */
static inline bool read_ps(uint64_t id, char *said, size_t room)
{
	char command[PATH_MAX + 80];
	const char *dir_end = strstr(self_path, "/selftests/");
	FILE *pipe;

	said[0] = '\0';
	(void)snprintf(command, sizeof(command), "'%.*s/dsmx' ps --json -s %016llx",
	               (int)(dir_end - self_path), self_path, (unsigned long long)id);
	pipe = dir_end != NULL ? popen(command, "re") : NULL;
	if (pipe == NULL)
		return false;
	said[fread(said, 1, room - 1, pipe)] = '\0';
	(void)pclose(pipe);
	return true;
}

/* It has @want in it, as soon as the supervisor sleeps: it has told the leader before it writes its status down. */
static inline bool ps_says(uint64_t id, const char *want)
{
	uint64_t until_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;
	char said[8192];

	do {
		if (!read_ps(id, said, sizeof(said)))
			return false;
		if (strstr(said, want) != NULL)
			return true;
	} while (dx_now_ns() < until_ns);
	printf("# no %s in what dsmx ps says: %s\n", want, said);
	return false;
}

#endif /* DX_SELFTESTS_FAULTS_H */
