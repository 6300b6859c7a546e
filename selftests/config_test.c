/* SPDX-License-Identifier: MIT */
/*
 * dsmx.conf: values, drop-ins, who wins, what is said about what is wrong, and bytes that are no configuration.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/compiler.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "session/config.h"

static char dir[64];

static const char *write_file(const char *name, const char *text)
{
	static char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "we");
	if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
		return NULL;
	return path;
}

static bool make_dirs(void)
{
	char path[80];

	(void)snprintf(dir, sizeof(dir), "/tmp/dsmx-config-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return false;
	(void)snprintf(path, sizeof(path), "%s/a.conf.d", dir);
	return mkdir(path, 0755) == 0;
}

static void remove_dirs(void)
{
	char command[100];

	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	(void)!system(command);
}

TEST(config_sizes, "sizes: K, M, G, T of 1024, fractions, shares of the machine; nothing else")
{
	static const struct {
		const char *text;
		int code;
		uint64_t bytes;
	} rows[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "1K", 0, 1024 },
		{ "1.5G", 0, 1610612736 },
		{ "2T", 0, 2199023255552 },
		{ "50%", 0, 500 },
		{ "0.5%", 0, 5 },
		{ "100%", 0, 1000 },
		{ "infinity", 0, 0 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "101%", -EINVAL, 0 },
		{ "18446744073709551616", -EINVAL, 0 },
		{ "99999999999T", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "M", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "1.", -EINVAL, 0 },
		{ "1 M", -EINVAL, 0 },
		{ "1MB", -EINVAL, 0 },
		{ "1k", -EINVAL, 0 },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		uint64_t bytes = 0;
		int r = dx_config_size(rows[i].text, 1000, &bytes);

		if (r != rows[i].code || (r == 0 && bytes != rows[i].bytes))
			printf("# '%s': %d, %llu\n", rows[i].text, r, (unsigned long long)bytes);
		CHECK_EQ(r, rows[i].code);
		CHECK(r != 0 || bytes == rows[i].bytes);
	}
}

TEST(config_times, "times: us, ms, s, min, h, sums of them; seconds where none is named")
{
	static const struct {
		const char *text;
		int code;
		uint64_t us;
	} rows[] = {
		{ "5", 0, 5000000 },
		{ "100ms", 0, 100000 },
		{ "1.5s", 0, 1500000 },
		{ "1min 30s", 0, 90000000 },
		{ "1h2min", 0, 3720000000 },
		{ "250us", 0, 250 },
		{ "5 s", 0, 5000000 },
		{ "infinity", 0, UINT64_MAX },
		{ "0", 0, 0 },
		{ "", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ "5 fortnights", -EINVAL, 0 },
		{ "-5s", -EINVAL, 0 },
		{ "5s x", -EINVAL, 0 },
		{ "99999999999999999999s", -EINVAL, 0 },
		{ "9999999999999999999h", -EINVAL, 0 },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		uint64_t us = 0;
		int r = dx_config_time(rows[i].text, &us);

		if (r != rows[i].code || (r == 0 && us != rows[i].us))
			printf("# '%s': %d, %llu\n", rows[i].text, r, (unsigned long long)us);
		CHECK_EQ(r, rows[i].code);
		CHECK(r != 0 || us == rows[i].us);
	}
}

TEST(config_cpus, "lists of processors")
{
	char list[64];

	CHECK_EQ(dx_config_cpus("0-3 8", list, sizeof(list)), 0);
	CHECK_STR(list, "0-3,8");
	CHECK_EQ(dx_config_cpus("0,2", list, sizeof(list)), 0);
	CHECK_STR(list, "0,2");
	CHECK_EQ(dx_config_cpus("3-1", list, sizeof(list)), -EINVAL);
	CHECK_EQ(dx_config_cpus("a", list, sizeof(list)), -EINVAL);
	CHECK_EQ(dx_config_cpus("", list, sizeof(list)), -EINVAL);
	CHECK_EQ(dx_config_cpus("9999", list, sizeof(list)), -EINVAL);
}

TEST(config_apply, "each key goes to its field, and what the program has said stays")
{
	struct dsmx_session_options options = { .size = sizeof(options), .worker_pids_max = 3 };
	struct dsmx_config *config;
	struct dsmx_error err;
	const char *path;

	CHECK(make_dirs());
	path = write_file(
		"a.conf",
		"# a remark\n[Session]\nWorkers=3\nTimeoutVerdictSec=0.7\n\n[Worker]\nMemoryMax = 4G\n"
		"CPUQuota=150%\nTasksMax=64\nAllowedCPUs=0 1\n"
		"Isolation=cgroup!\nCoreDump=yes\nRestart=always\n"
		"RestartSec=200ms\nRestartMaxDelaySec=10\n"
		"RestartResetSec=1min\nStartLimitBurst=7\n"
		"StartLimitIntervalSec=30s\nWatchdogSec=0\n"
		"TimeoutStartSec=3\nTimeoutStopSec=1.5s\n");
	CHECK_EQ(dsmx_config_load(path, &config, &err), 0);
	CHECK(dsmx_config_warning(config, 0) == NULL);
	dsmx_config_apply(config, &options);
	CHECK_EQ(options.workers, 3);
	CHECK_EQ(options.worker_memory_max, 4ULL << 30);
	CHECK_EQ(options.worker_cpu_percent, 150);
	CHECK_EQ(options.worker_pids_max, 3);
	CHECK_STR(options.worker_cpus, "0,1");
	CHECK_EQ(options.isolation, DSMX_ISOLATION_CGROUP);
	CHECK(options.isolation_required && options.core_dumps);
	CHECK_EQ(options.restart, DSMX_RESTART_ALWAYS);
	CHECK_EQ(options.restart_delay_ms, 200);
	CHECK_EQ(options.restart_max_delay_ms, 10000);
	CHECK_EQ(options.restart_reset_ms, 60000);
	CHECK_EQ(options.restart_burst, 7);
	CHECK_EQ(options.restart_interval_ms, 30000);
	CHECK_EQ(options.watchdog_ms, DSMX_WATCHDOG_OFF);
	CHECK_EQ(options.start_timeout_ms, 3000);
	CHECK_EQ(options.stop_timeout_ms, 1500);
	CHECK_EQ(options.verdict_timeout_ms, 700);
	dsmx_config_free(config);
	remove_dirs();
}

TEST(config_numa, "NUMAPolicy=, NUMAMask= and the keys of disks go to the session's options")
{
	struct dsmx_session_options options = { .size = sizeof(options) };
	struct dsmx_config *config;

	CHECK(make_dirs());
	CHECK_EQ(dsmx_config_load(write_file("a.conf", "[Worker]\nNUMAPolicy=default\n"), &config,
	                          NULL),
	         0);
	dsmx_config_apply(config, &options);
	CHECK_EQ(options.numa, DSMX_NUMA_OFF);
	CHECK(options.numa_nodes == NULL);
	dsmx_config_free(config);
	options = (struct dsmx_session_options){ .size = sizeof(options) };
	CHECK_EQ(dsmx_config_load(write_file("a.conf",
	                                     "[Worker]\nNUMAPolicy=preferred\nNUMAMask=0 2-3\n"
	                                     "IOWeight=50\nIOReadBandwidthMax=/dev/vda 5M\n"
	                                     "IOWriteBandwidthMax=/var/tmp 1G\n"),
	                          &config, NULL),
	         0);
	dsmx_config_apply(config, &options);
	CHECK_EQ(options.numa, DSMX_NUMA_AUTO);
	CHECK_STR(options.numa_nodes, "0,2-3");
	CHECK_EQ(options.worker_io_weight, 50);
	CHECK_STR(options.worker_io_read_max, "/dev/vda 5M");
	CHECK_STR(options.worker_io_write_max, "/var/tmp 1G");
	dsmx_config_free(config);
	remove_dirs();
}

TEST(config_old_program, "a program whose options are older gets the fields that it has")
{
	struct dsmx_session_options options = { .size = offsetof(struct dsmx_session_options,
		                                                 worker_cpus) };
	struct dsmx_config *config;

	CHECK(make_dirs());
	CHECK_EQ(dsmx_config_load(write_file("a.conf", "[Worker]\nTasksMax=9\nAllowedCPUs=0\n"),
	                          &config, NULL),
	         0);
	dsmx_config_apply(config, &options);
	CHECK_EQ(options.worker_pids_max, 9);
	CHECK(options.worker_cpus == NULL);
	dsmx_config_free(config);
	remove_dirs();
}

TEST(config_drop_ins, "drop-ins are read in the order of their names, and the later one wins")
{
	struct dsmx_session_options options = { .size = sizeof(options) };
	struct dsmx_config_entry entry;
	struct dsmx_config *config;
	const char *path;
	int found = 0;

	CHECK(make_dirs());
	(void)write_file("a.conf.d/20-b.conf", "[Worker]\nTasksMax=20\nRestart=\n");
	(void)write_file("a.conf.d/10-a.conf", "[Worker]\nTasksMax=10\nRestart=always\n");
	(void)write_file("a.conf.d/30-c.conf~", "[Worker]\nTasksMax=30\n");
	(void)write_file("a.conf.d/.hidden.conf", "nonsense\n");
	path = write_file("a.conf", "[Worker]\nTasksMax=1\nRestart=no\nWatchdogSec=5s\n");
	CHECK_EQ(dsmx_config_load(path, &config, NULL), 0);
	dsmx_config_apply(config, &options);
	CHECK_EQ(options.worker_pids_max, 20);
	CHECK_EQ(options.restart, DSMX_RESTART_DEFAULT);
	CHECK_EQ(options.watchdog_ms, 5000);
	for (uint32_t i = 0; dsmx_config_entry(config, i, &entry) == 0; i++) {
		if (strcmp(entry.key, "TasksMax") == 0) {
			CHECK_STR(entry.value, "20");
			CHECK(strstr(entry.file, "20-b.conf") != NULL);
			CHECK_EQ(entry.line, 2);
			found++;
		}
		if (strcmp(entry.key, "CPUQuota") == 0) {
			CHECK(entry.file == NULL);
			found++;
		}
	}
	CHECK_EQ(found, 2);
	CHECK(strstr(dsmx_config_file(config, 2), "20-b.conf") != NULL);
	CHECK(dsmx_config_file(config, 3) == NULL);
	dsmx_config_free(config);
	remove_dirs();
}

TEST(config_wrong, "what is wrong is said with file and line; what is unknown is a warning")
{
	static const struct {
		const char *text, *says;
	} errors[] = {
		{ "[Worker]\n\nMemoryMax=lots\n", "a.conf:3: MemoryMax=lots is not a size" },
		{ "[Worker]\nCPUQuota=2\n", "a.conf:2: CPUQuota=2 is not a share" },
		{ "[Worker]\nRestart=maybe\n", "no, on-failure or always" },
		{ "[Worker]\nIsolation=loose\n", "standard or strict" },
		{ "[Worker]\nIOWeight=0\n", "a number" },
		{ "[Worker]\nIOReadBandwidthMax=50M\n", "a path and bytes a second" },
		{ "[Worker]\nNUMAPolicy=bind\n", "preferred or default" },
		{ "[Worker]\nNUMAMask=all\n", "a list of memory nodes" },
		{ "[Worker]\nWatchdogSec=1ms\n", "from 200ms on" },
		{ "[Worker]\nTasksMax=0\n", "from 1 on" },
		{ "[Session]\nWorkers=65\n", "Workers=65" },
		{ "[Session]\nTimeoutVerdictSec=25h\n", "a time" },
		{ "[Session]\nWorkerPath=bin/x\n", "absolute path" },
		{ "Workers=1\n", "a.conf:1: Workers= stands before" },
		{ "[Worker]\nTasksMax\n", "neither" },
		{ "[Worker\n", "[Name]" },
		{ "[Worker]\nTasksMax=1\\\n", "ends with its line" },
	}, warnings[] = {
		{ "[Worker]\nMemoryMx=1G\n", "a.conf:2: there is no key MemoryMx=, it is ignored; did you mean MemoryMax=?" },
		{ "[Worker]\nmemorymax=1G\n", "did you mean MemoryMax=?" },
		{ "[Worker]\nQuux=1\n", "there is no key Quux=: it is ignored" },
		{ "[Worker]\nWorkers=1\n", "stands in section [Session]" },
		{ "[Wrker]\nTasksMax=x\n", "no section [Wrker]" },
	};
	struct dsmx_config *config;
	struct dsmx_error err;

	CHECK(make_dirs());
	for (size_t i = 0; i < DX_ARRAY_LEN(errors); i++) {
		CHECK_EQ(dsmx_config_load(write_file("a.conf", errors[i].text), &config, &err),
		         -EINVAL);
		if (strstr(err.message, errors[i].says) == NULL)
			printf("# %s\n", err.message);
		CHECK(strstr(err.message, errors[i].says) != NULL);
	}
	for (size_t i = 0; i < DX_ARRAY_LEN(warnings); i++) {
		CHECK_EQ(dsmx_config_load(write_file("a.conf", warnings[i].text), &config, &err),
		         0);
		CHECK(dsmx_config_warning(config, 0) != NULL);
		if (strstr(dsmx_config_warning(config, 0), warnings[i].says) == NULL)
			printf("# %s\n", dsmx_config_warning(config, 0));
		CHECK(strstr(dsmx_config_warning(config, 0), warnings[i].says) != NULL);
		CHECK(dsmx_config_warning(config, 1) == NULL);
		dsmx_config_free(config);
	}
	remove_dirs();
}

TEST(config_files, "a file that is named has to be there, and to be a file of a sensible size")
{
	struct dsmx_config *config;
	struct dsmx_error err;
	const char *path;
	int fd;

	CHECK(make_dirs());
	CHECK_EQ(dsmx_config_load("/nonexistent/dsmx.conf", &config, &err), -ENOENT);
	CHECK_EQ(dsmx_config_load(dir, &config, &err), -EINVAL);
	path = write_file("a.conf", "");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK_EQ(ftruncate(fd, (off_t)DX_CONFIG_FILE_BYTES_MAX + 1), 0);
	(void)close(fd);
	CHECK_EQ(dsmx_config_load(path, &config, &err), -E2BIG);
	CHECK_EQ(mkfifo(strcat(strcpy((char[128]){ 0 }, dir), "/fifo"), 0600), 0);
	CHECK_EQ(dsmx_config_load(strcat(strcpy((char[128]){ 0 }, dir), "/fifo"), &config, &err),
	         -EINVAL);
	CHECK_EQ(setenv("DSMX_CONFIG", "/nonexistent/x.conf", 1), 0);
	CHECK_EQ(dsmx_config_load(NULL, &config, &err), -ENOENT);
	CHECK_EQ(unsetenv("DSMX_CONFIG"), 0);
	remove_dirs();
}

TEST(config_damaged,
     "bytes that were cut or turned over are refused, or are values within their bounds")
{
	static const char whole[] =
		"# x\n[Session]\nWorkers=3\nPages=small\n[Worker]\nMemoryMax=1.5G\nCPUQuota=50%\n"
		"AllowedCPUs=0-1\nWatchdogSec=1min 5s\nRestart=no\nIsolation=strict!\n;y\n";
	unsigned seed = (unsigned)getpid();
	char *text = malloc(sizeof(whole) + 1);
	int taken = 0;

	printf("# seed %u\n", seed);
	for (int i = 0; i < 30000; i++) {
		struct dsmx_config *config = calloc(1, sizeof(*config));
		size_t len = i < (int)sizeof(whole) ? (size_t)i : sizeof(whole) - 1;
		struct dsmx_error err;
		int r;

		memcpy(text, whole, sizeof(whole));
		for (int j = 0; i >= (int)sizeof(whole) && j < 1 + i % 4; j++)
			text[(size_t)rand_r(&seed) % len] ^= (char)(1 << rand_r(&seed) % 8);
		r = dx_config_parse(config, "x", text, len, &err);
		CHECK(r == 0 || r == -EINVAL);
		CHECK(config->values.workers <= DSMX_WORKERS_MAX);
		CHECK(config->values.watchdog_ms == 0 || config->values.watchdog_ms >= 200);
		taken += r == 0;
		dsmx_config_free(config);
	}
	printf("# %d of 30000 taken\n", taken);
	CHECK(taken > 100 && taken < 30000);
	free(text);
}

int main(int argc, char **argv)
{
	(void)unsetenv("DSMX_CONFIG");
	return harness_main(argc, argv);
}
