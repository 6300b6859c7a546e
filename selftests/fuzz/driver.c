/* SPDX-License-Identifier: MIT */
/*
 * driver.c - a fuzz target's main() without libFuzzer
 *
 *	x_fuzz [-w WORDS] [-n RUNS] [-s SEED] [-c] [FILE|DIRECTORY]...
 *
 * First each file, once, as it is; then random inputs until so many words were mutated and so many runs made. With -c
 * another process writes at the same time (hostile.h). An input that kills the target is in ./crash-NAME.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "fuzz.h"

#define SEEDS_MAX   64
#define CHANGES_LOG 8

struct bytes {
	uint8_t *at;
	size_t len;
};

struct driver {
	uint64_t words, runs, seed;
	uint64_t done;
	struct bytes seeds[SEEDS_MAX];
	uint32_t seed_count;
	/* The input of the run, where a dying process can still find it. */
	uint8_t *input;
	size_t len;
	char crash[64];
};

static struct driver driver;

/* --- dying ---------------------------------------------------------------------------------------------------- */

/* Sanitizers end a process through here, too. */
static void keep_input(void)
{
	int fd = open(driver.crash, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	if (fd >= 0) {
		(void)!write(fd, driver.input, driver.len);
		(void)close(fd);
	}
	fprintf(stderr, "%s: run %" PRIu64 " of seed %" PRIu64 ": its input is in %s\n",
	        fuzz_target.name, driver.done, driver.seed, driver.crash);
}

static void on_signal(int sig)
{
	keep_input();
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
void __sanitizer_set_death_callback(void (*callback)(void));
#endif

/* A hang is a death: so long in its own time, as the machine may stand still; ten times that by the clock. */
static void watch(unsigned seconds)
{
	const struct itimerval own = { .it_value = { .tv_sec = seconds } };

	(void)setitimer(ITIMER_PROF, &own, NULL);
	alarm(10 * seconds);
}

static void run(const uint8_t *bytes, size_t len)
{
	driver.len = len;
	memcpy(driver.input, bytes, len);
	driver.done++;
	watch(60);
	(void)LLVMFuzzerTestOneInput(driver.input, len);
}

/* --- files ------------------------------------------------------------------------------------------------------ */

static void replay_file(const char *path)
{
	static uint8_t buf[1 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, fuzz_target.len_max);

	if (n < 0) {
		perror(path);
		exit(2);
	}
	(void)close(fd);
	run(buf, (size_t)n);
	if (driver.seed_count < SEEDS_MAX) { /* to be damaged later */
		struct bytes *seed = &driver.seeds[driver.seed_count++];

		seed->at = malloc((size_t)n + 1);
		if (seed->at == NULL)
			abort();
		memcpy(seed->at, buf, (size_t)n);
		seed->len = (size_t)n;
	}
}

static void replay(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char file[4096];

	if (dir == NULL) {
		replay_file(path);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		replay_file(file);
	}
	(void)closedir(dir);
}

/* --- random inputs ---------------------------------------------------------------------------------------------- */

static size_t change(uint64_t *state, uint8_t *buf, size_t len)
{
	uint64_t drawn = fuzz_draw(state), value = fuzz_draw(state);
	size_t at = len > 0 ? value % len : 0, count = 1 + drawn / 8 % 16;
	size_t from = len > 0 ? fuzz_draw(state) % len : 0;
	struct script s = { (uint8_t *)&drawn, (uint8_t *)&drawn + sizeof(drawn) };
	uint64_t now = 0;

	fuzz_words++;
	if (len == 0)
		return 0;
	switch (drawn % 8) {
	case 0:
		buf[at] ^= (uint8_t)(1U << value / len % 8);
		return len;
	case 1:
		buf[at] = (uint8_t)(value >> 32);
		return len;
	case 2: /* cut something out */
		count = count < len - at ? count : len - at;
		memmove(buf + at, buf + at + count, len - at - count);
		return len - count;
	case 3: /* put something in: what is there, or anything */
		count = count < fuzz_target.len_max - len ? count : fuzz_target.len_max - len;
		memmove(buf + at + count, buf + at, len - at);
		for (size_t i = 0; i < count; i++)
			buf[at + i] = drawn & 64 ? (uint8_t)fuzz_draw(state) : buf[from];
		return len + count;
	case 4: /* copy over */
		count = count < len - at ? count : len - at;
		count = count < len - from ? count : len - from;
		memmove(buf + at, buf + from, count);
		return len;
	default: /* a number of 1, 2, 4 or 8 bytes */
		count = (size_t)1 << drawn / 8 % 4;
		count = count < len - at ? count : len - at;
		memcpy(&now, buf + at, count);
		now = script_value(&s, now, len);
		memcpy(buf + at, &now, count);
		return len;
	}
}

static void run_damaged(uint64_t *state, uint8_t *buf)
{
	uint32_t pick = (uint32_t)(fuzz_draw(state) % driver.seed_count);
	/* Mostly few, so that what follows them is still looked at. */
	uint32_t changes =
		1 + (uint32_t)(fuzz_draw(state) % (1U << fuzz_draw(state) % CHANGES_LOG));
	size_t len = driver.seeds[pick].len;

	memcpy(buf, driver.seeds[pick].at, len);
	for (uint32_t i = 0; i < changes; i++)
		len = change(state, buf, len);
	run(buf, len);
}

static void run_script(uint64_t *state, uint8_t *buf)
{
	size_t len = 64 + fuzz_draw(state) % (fuzz_target.len_max - 64);

	for (size_t i = 0; i < len; i += 8) {
		uint64_t drawn = fuzz_draw(state);

		memcpy(buf + i, &drawn, len - i < 8 ? len - i : 8);
	}
	run(buf, len);
}

static uint64_t words_so_far(void)
{
	return fuzz_words + (fuzz_words_beside == NULL
	                             ? 0
	                             : __atomic_load_n(fuzz_words_beside, __ATOMIC_RELAXED));
}

static void run_random(void)
{
	uint64_t state = driver.seed;
	uint64_t begin = words_so_far(), last = driver.done + driver.runs;
	uint8_t *buf = malloc(fuzz_target.len_max + 64);

	if (buf == NULL)
		abort();
	while (words_so_far() - begin < driver.words || driver.done < last) {
		/* A script is made anew, or a known one is damaged; of bytes, only the latter gets anywhere. */
		if (fuzz_target.seed == NULL &&
		    (driver.seed_count == 0 || fuzz_draw(&state) % 4 != 0))
			run_script(&state, buf);
		else
			run_damaged(&state, buf);
	}
	free(buf);
}

static void take_seeds(void)
{
	uint8_t *buf = malloc(fuzz_target.len_max);

	if (buf == NULL)
		abort();
	for (uint32_t i = 0; fuzz_target.seed != NULL && driver.seed_count < SEEDS_MAX; i++) {
		struct bytes *seed = &driver.seeds[driver.seed_count];

		seed->len = fuzz_target.seed(i, buf, fuzz_target.len_max);
		if (seed->len == 0)
			break;
		seed->at = malloc(seed->len);
		if (seed->at == NULL)
			abort();
		memcpy(seed->at, buf, seed->len);
		driver.seed_count++;
		run(buf, seed->len);
	}
	free(buf);
}

int main(int argc, char **argv)
{
	int option;

	driver.seed = 1;
	while ((option = getopt(argc, argv, "w:n:s:c")) != -1) {
		if (option == 'c')
			fuzz_concurrent = true;
		else if (option == '?')
			return 2;
		else
			*(option == 'w'   ? &driver.words
			  : option == 'n' ? &driver.runs
			                  : &driver.seed) = strtoull(optarg, NULL, 10);
	}
	driver.input = malloc(fuzz_target.len_max + 64);
	if (driver.input == NULL)
		return 2;
	(void)snprintf(driver.crash, sizeof(driver.crash), "crash-%s", fuzz_target.name);
#ifdef HAS_ASAN
	__sanitizer_set_death_callback(keep_input);
#else
	(void)signal(SIGSEGV, on_signal);
#endif
	(void)signal(SIGABRT, on_signal);
	(void)signal(SIGBUS, on_signal);
	(void)signal(SIGALRM, on_signal);
	(void)signal(SIGPROF, on_signal);
	take_seeds();
	for (int i = optind; i < argc; i++)
		replay(argv[i]);
	run_random();
	watch(0);
	fprintf(stderr, "%s: %" PRIu64 " runs, ", fuzz_target.name, driver.done);
	free(driver.input);
	for (uint32_t i = 0; i < driver.seed_count; i++)
		free(driver.seeds[i].at);
	return 0;
}
