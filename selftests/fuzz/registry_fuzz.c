/* SPDX-License-Identifier: MIT */
/* registry_fuzz.c - files that killed sessions left: a sweep removes them, whatever is in them, and nothing else */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "worker/registry.h"

#define ID "00000000f0220000" /* no session's */

static char dir[] = "/tmp/dsmx-fuzz-XXXXXX";
static char path[128], bystander[128];

static size_t seed(uint32_t index, uint8_t *buf, size_t room)
{
	static const char *const texts[] = {
		"SESSION=" ID "\nLEADER=1\nSUPERVISOR=2\nCGROUP=/sys/fs/cgroup/dsmx/" ID
		"\nCGROUP_MEMORY=\nCGROUP_PIDS=\nCGROUP_CPU=\nCGROUP_CPUSET=\nCGROUP_OWN_ROOT=0\n",
		"SESSION=" ID "\nCGROUP=/tmp/" ID "\nCGROUP_OWN_ROOT=1\n",
		"CGROUP=/sys/fs/cgroup/../../tmp/" ID "\nCGROUP_MEMORY=" ID "\n",
	};

	if (index >= sizeof(texts) / sizeof(texts[0]))
		return 0;
	FUZZ_CHECK(strlen(texts[index]) <= room);
	memcpy(buf, texts[index], strlen(texts[index]));
	return strlen(texts[index]);
}

const struct fuzz_target fuzz_target = { .name = "registry", .seed = seed, .len_max = 17000 };

static void tidy(void)
{
	(void)unlink(path);
	(void)rmdir(bystander);
	(void)snprintf(path, sizeof(path), "%s/dsmx", dir);
	(void)rmdir(path);
	(void)rmdir(dir);
}

static void make_place(void)
{
	FUZZ_CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(bystander, sizeof(bystander), "%s/" ID, dir);
	FUZZ_CHECK(mkdir(bystander, 0700) == 0);
	(void)snprintf(path, sizeof(path), "%s/dsmx", dir);
	FUZZ_CHECK(mkdir(path, 0700) == 0 && setenv("XDG_RUNTIME_DIR", dir, 1) == 0);
	(void)snprintf(path, sizeof(path), "%s/dsmx/" ID, dir);
	(void)atexit(tidy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd;

	if (path[0] == '\0')
		make_place();
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)close(fd);
	(void)!dx_registry_sweep(); /* others may be dying elsewhere */
	FUZZ_CHECK(access(path, F_OK) < 0);
	FUZZ_CHECK(access(bystander, F_OK) == 0);
	return 0;
}
