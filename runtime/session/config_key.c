/* SPDX-License-Identifier: MIT */
/*
 * The keys: a row says in which section each stands, what kind of value it has, and which field of the session's
 * options it goes to.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "session/config.h"
#include "worker/cgroup.h"

enum kind {
	KIND_COUNT,    /* uint32_t */
	KIND_LIMIT,    /* the same, infinity: 0 */
	KIND_SIZE,     /* uint64_t bytes */
	KIND_MS,       /* uint32_t */
	KIND_MS_LONG,  /* uint64_t */
	KIND_WATCHDOG, /* uint32_t, 0 and infinity: off */
	KIND_PERCENT,  /* uint32_t, of one processor */
	KIND_CPUS,     /* text */
	KIND_PATH,     /* text */
	KIND_RESTART,
	KIND_PAGES,
	KIND_WAIT,
	KIND_ISOLATION,
	KIND_NUMA,
	KIND_NODES, /* text */
	KIND_IO,    /* text */
	KIND_YES,   /* bool */
	KIND_COUNT_OF
};

static const struct {
	size_t bytes;
	const char *wants;
} kinds[KIND_COUNT_OF] = {
	[KIND_COUNT] = { sizeof(uint32_t), "a number" },
	[KIND_LIMIT] = { sizeof(uint32_t), "a number from 1 on, or infinity" },
	[KIND_SIZE] = { sizeof(uint64_t),
	                "a size: 512M, 1.5G, 50% of the machine's memory, infinity" },
	[KIND_MS] = { sizeof(uint32_t), "a time: 100ms, 5s, 1min 30s" },
	[KIND_MS_LONG] = { sizeof(uint64_t), "a time: 100ms, 5s, 1min 30s" },
	[KIND_WATCHDOG] = { sizeof(uint32_t), "a time from 200ms on, or 0 for none" },
	[KIND_PERCENT] = { sizeof(uint32_t), "a share of one processor: 150%, or infinity" },
	[KIND_CPUS] = { sizeof(char *), "a list of processors: 0-3,8" },
	[KIND_PATH] = { sizeof(char *), "an absolute path" },
	[KIND_RESTART] = { sizeof(enum dsmx_restart), "no, on-failure or always" },
	[KIND_PAGES] = { sizeof(enum dsmx_pages), "auto, hugetlb, collapsed or small" },
	[KIND_WAIT] = { sizeof(enum dsmx_wait_backend), "auto, io_uring or futex" },
	[KIND_ISOLATION] = { sizeof(enum dsmx_isolation),
	                     "none, cgroup, standard or strict, perhaps with a ! behind" },
	[KIND_NUMA] = { sizeof(enum dsmx_numa), "preferred or default" },
	[KIND_NODES] = { sizeof(char *), "a list of memory nodes: 0-1" },
	[KIND_IO] = { sizeof(char *), "a path and bytes a second: /dev/sda 50M" },
	[KIND_YES] = { sizeof(bool), "yes or no" },
};

#define AT(field) offsetof(struct dsmx_session_options, field)

static const struct row {
	const char *section, *key;
	enum kind kind;
	size_t offset;
	uint64_t min, max;
} rows[] = {
	{ "Session", "Workers", KIND_COUNT, AT(workers), 1, DSMX_WORKERS_MAX },
	{ "Session", "DataSize", KIND_SIZE, AT(data_bytes), 1, UINT64_MAX },
	{ "Session", "Pages", KIND_PAGES, AT(pages), 0, 0 },
	{ "Session", "Wait", KIND_WAIT, AT(wait), 0, 0 },
	{ "Session", "OverflowMax", KIND_SIZE, AT(overflow_max_bytes), 1, UINT64_MAX },
	{ "Session", "StreamsPerPeer", KIND_COUNT, AT(streams_per_peer), 1, UINT32_MAX },
	{ "Session", "FramesPerStream", KIND_COUNT, AT(frames_per_stream), 1, UINT32_MAX },
	{ "Session", "TimeoutVerdictSec", KIND_MS, AT(verdict_timeout_ms), 1, 86400000 },
	{ "Session", "WorkerPath", KIND_PATH, AT(worker_path), 0, 0 },
	{ "Session", "CgroupRoot", KIND_PATH, AT(cgroup_root), 0, 0 },
	{ "Worker", "MemoryMax", KIND_SIZE, AT(worker_memory_max), 0, UINT64_MAX },
	{ "Worker", "MemoryHigh", KIND_SIZE, AT(worker_memory_high), 0, UINT64_MAX },
	{ "Worker", "HugetlbMax", KIND_SIZE, AT(worker_hugetlb_max), 0, UINT64_MAX },
	{ "Worker", "CPUWeight", KIND_COUNT, AT(worker_cpu_weight), 1, 10000 },
	{ "Worker", "CPUQuota", KIND_PERCENT, AT(worker_cpu_percent), 1, 1000000 },
	{ "Worker", "TasksMax", KIND_LIMIT, AT(worker_pids_max), 1, UINT32_MAX },
	{ "Worker", "AllowedCPUs", KIND_CPUS, AT(worker_cpus), 0, 0 },
	{ "Worker", "IOWeight", KIND_COUNT, AT(worker_io_weight), 1, 10000 },
	{ "Worker", "IOReadBandwidthMax", KIND_IO, AT(worker_io_read_max), 0, 0 },
	{ "Worker", "IOWriteBandwidthMax", KIND_IO, AT(worker_io_write_max), 0, 0 },
	{ "Worker", "NUMAPolicy", KIND_NUMA, AT(numa), 0, 0 },
	{ "Worker", "NUMAMask", KIND_NODES, AT(numa_nodes), 0, 0 },
	{ "Worker", "Isolation", KIND_ISOLATION, AT(isolation), 0, 0 },
	{ "Worker", "CoreDump", KIND_YES, AT(core_dumps), 0, 0 },
	{ "Worker", "Restart", KIND_RESTART, AT(restart), 0, 0 },
	{ "Worker", "RestartSec", KIND_MS, AT(restart_delay_ms), 1, UINT32_MAX },
	{ "Worker", "RestartMaxDelaySec", KIND_MS, AT(restart_max_delay_ms), 1, UINT32_MAX },
	{ "Worker", "RestartResetSec", KIND_MS, AT(restart_reset_ms), 1, UINT32_MAX },
	{ "Worker", "StartLimitBurst", KIND_COUNT, AT(restart_burst), 1, UINT32_MAX },
	{ "Worker", "StartLimitIntervalSec", KIND_MS, AT(restart_interval_ms), 1, UINT32_MAX },
	{ "Worker", "WatchdogSec", KIND_WATCHDOG, AT(watchdog_ms), 200, UINT32_MAX - 1 },
	{ "Worker", "TimeoutStartSec", KIND_MS_LONG, AT(start_timeout_ms), 1, 86400000 },
	{ "Worker", "TimeoutStopSec", KIND_MS, AT(stop_timeout_ms), 1, 86400000 },
};

_Static_assert(DX_ARRAY_LEN(rows) <= DX_CONFIG_KEYS_MAX, "room for every key");

/* --- values ------------------------------------------------------------------------------------------------------- */

union value {
	uint32_t small;
	uint64_t large;
	const char *text;
	bool yes;
	enum dsmx_restart restart;
	enum dsmx_pages pages;
	enum dsmx_wait_backend wait;
	enum dsmx_numa numa;
	enum dsmx_isolation isolation;
};

static int find_word(const char *value, const char *const *words, int count, int *ret_index)
{
	for (int i = 0; i < count; i++)
		if (words[i] != NULL && strcmp(value, words[i]) == 0) {
			*ret_index = i;
			return 0;
		}
	return -EINVAL;
}

static int take_word(enum kind kind, const char *value, union value *ret_value)
{
	static const char *const restarts[] = { [DSMX_RESTART_ON_FAILURE] = "on-failure",
		                                [DSMX_RESTART_ALWAYS] = "always",
		                                [DSMX_RESTART_NEVER] = "no" };
	static const char *const pages[] = { "auto", "hugetlb", "collapsed", "small" };
	static const char *const numas[] = {
		[DSMX_NUMA_AUTO] = "preferred", [DSMX_NUMA_OFF] = "default"
	};
	static const char *const waits[] = { "auto", "io_uring", "futex" };
	static const char *const noes[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };
	int index, r;

	switch (kind) {
	case KIND_RESTART:
		r = find_word(value, restarts, (int)DX_ARRAY_LEN(restarts), &index);
		if (r == 0)
			ret_value->restart = (enum dsmx_restart)index;
		return r;
	case KIND_PAGES:
		r = find_word(value, pages, (int)DX_ARRAY_LEN(pages), &index);
		if (r == 0)
			ret_value->pages = (enum dsmx_pages)index;
		return r;
	case KIND_NUMA:
		r = find_word(value, numas, (int)DX_ARRAY_LEN(numas), &index);
		if (r == 0)
			ret_value->numa = (enum dsmx_numa)index;
		return r;
	case KIND_WAIT:
		r = find_word(value, waits, (int)DX_ARRAY_LEN(waits), &index);
		if (r == 0)
			ret_value->wait = (enum dsmx_wait_backend)index;
		return r;
	default:
		r = find_word(value, noes, (int)DX_ARRAY_LEN(noes), &index);
		if (r == 0)
			ret_value->yes = index % 2 == 1;
		return r;
	}
}

static uint64_t memory_of_machine(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Upwards, so that what is little does not become nothing. */
static int take_ms(const char *value, uint64_t *ret_ms)
{
	int r = dx_config_time(value, ret_ms);

	if (r == 0 && *ret_ms != UINT64_MAX)
		*ret_ms = *ret_ms / 1000 + (*ret_ms % 1000 != 0);
	return r;
}

static int take_percent(const char *value, uint64_t *ret_percent)
{
	size_t len = strlen(value);
	char digits[16];

	if (len < 2 || len >= sizeof(digits) || value[len - 1] != '%')
		return -EINVAL;
	memcpy(digits, value, len - 1);
	digits[len - 1] = '\0';
	return dx_config_number(digits, UINT32_MAX, ret_percent);
}

/* Numbers of any kind, within the row's bounds. What is not limited is 0. */
static int take_number(const struct row *row, const char *value, uint64_t *ret_number)
{
	bool infinite = strcmp(value, "infinity") == 0;
	int r;

	if (infinite && (row->kind == KIND_LIMIT || row->kind == KIND_PERCENT ||
	                 (row->kind == KIND_SIZE && row->min == 0))) {
		*ret_number = 0;
		return 0;
	}
	switch (row->kind) {
	case KIND_SIZE:
		r = infinite ? -EINVAL : dx_config_size(value, memory_of_machine(), ret_number);
		break;
	case KIND_PERCENT:
		r = take_percent(value, ret_number);
		break;
	case KIND_COUNT:
	case KIND_LIMIT:
		r = dx_config_number(value, row->max, ret_number);
		break;
	default:
		r = take_ms(value, ret_number);
		if (r == 0 && row->kind == KIND_WATCHDOG &&
		    (*ret_number == 0 || *ret_number == UINT64_MAX)) {
			*ret_number = DSMX_WATCHDOG_OFF;
			return 0;
		}
		break;
	}
	return r == 0 && (*ret_number < row->min || *ret_number > row->max) ? -EINVAL : r;
}

/* @ret_text: a new string that the value points to, or NULL. */
static int take_value(const struct row *row, const char *value, struct dsmx_session_options *values,
                      union value *ret_value, char **ret_text)
{
	char list[1024], path[DX_CGROUP_PATH];
	uint64_t number;
	int r;

	*ret_text = NULL;
	switch (row->kind) {
	case KIND_CPUS:
	case KIND_NODES:
	case KIND_PATH:
		if (row->kind != KIND_PATH ? dx_config_cpus(value, list, sizeof(list)) != 0
		                           : value[0] != '/')
			return -EINVAL;
		*ret_text = strdup(row->kind != KIND_PATH ? list : value);
		ret_value->text = *ret_text;
		return *ret_text != NULL ? 0 : -ENOMEM;
	case KIND_IO:
		if (dx_io_max_parse(value, path, &number) != 0)
			return -EINVAL;
		*ret_text = strdup(value);
		ret_value->text = *ret_text;
		return *ret_text != NULL ? 0 : -ENOMEM;
	case KIND_ISOLATION:
		return dsmx_isolation_parse(value, &ret_value->isolation,
		                            &values->isolation_required, NULL);
	case KIND_RESTART:
	case KIND_PAGES:
	case KIND_WAIT:
	case KIND_NUMA:
	case KIND_YES:
		return take_word(row->kind, value, ret_value);
	default:
		r = take_number(row, value, &number);
		if (r == 0 && kinds[row->kind].bytes == sizeof(uint64_t))
			ret_value->large = number;
		else if (r == 0)
			ret_value->small = (uint32_t)number;
		return r;
	}
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

bool dx_config_section(const char *name)
{
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].section, name) == 0)
			return true;
	return false;
}

/* Edits that make one of the other: letters changed, put in, left out. Case does not count. */
static size_t distance(const char *a, const char *b)
{
	size_t row[64], lb = strlen(b);

	if (lb >= DX_ARRAY_LEN(row) || strlen(a) >= DX_ARRAY_LEN(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t before = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t cost = before + ((a[i - 1] | 0x20) != (b[j - 1] | 0x20));

			before = row[j];
			if (row[j] + 1 < cost)
				cost = row[j] + 1;
			if (row[j - 1] + 1 < cost)
				cost = row[j - 1] + 1;
			row[j] = cost;
		}
	}
	return row[lb];
}

static void warn_unknown(struct dsmx_config *config, const struct dx_config_place *place,
                         const char *section, const char *key)
{
	size_t best = SIZE_MAX, like = 0;

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		size_t far = distance(key, rows[i].key);

		if (far < best) {
			best = far;
			like = i;
		}
	}
	if (best == 0 && strcmp(key, rows[like].key) == 0)
		dx_config_warn(config, place, "%s= stands in section [%s], not [%s]: it is ignored",
		               key, rows[like].section, section);
	else if (best <= 1 + strlen(key) / 4)
		dx_config_warn(config, place,
		               "there is no key %.64s=, it is ignored; did you mean %s=?", key,
		               rows[like].key);
	else
		dx_config_warn(config, place, "there is no key %.64s=: it is ignored", key);
}

static int assign(struct dsmx_config *config, size_t index, const struct dx_config_place *place,
                  const char *text, struct dsmx_error *err)
{
	const struct row *row = &rows[index];
	struct dx_config_set *set = &config->set[index];
	union value value = { .large = 0 };
	char *copy = strdup(text), *string = NULL;
	int r = copy == NULL ? -ENOMEM : 0;

	if (r == 0 && text[0] != '\0')
		r = take_value(row, text, &config->values, &value, &string);
	if (r != 0) {
		free(copy);
		return r == -ENOMEM ? dx_error(err, r, "no memory for the configuration")
		                    : dx_error(err, r, "%s:%u: %s=%.100s is not %s", place->file,
		                               place->line, row->key, text, kinds[row->kind].wants);
	}
	free(config->strings[index]);
	free(set->text);
	config->strings[index] = string;
	memcpy((char *)&config->values + row->offset, &value, kinds[row->kind].bytes);
	*set = (struct dx_config_set){ place->file, place->line, copy };
	return 0;
}

int dx_config_set(struct dsmx_config *config, const struct dx_config_place *place,
                  const char *section, const char *key, const char *value, struct dsmx_error *err)
{
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].key, key) == 0 && strcmp(rows[i].section, section) == 0)
			return assign(config, i, place, value, err);
	warn_unknown(config, place, section, key);
	return 0;
}

int dsmx_config_entry(const struct dsmx_config *config, uint32_t index,
                      struct dsmx_config_entry *ret_entry)
{
	const struct dx_config_set *set;

	if (index >= DX_ARRAY_LEN(rows))
		return -ENOENT;
	set = &config->set[index];
	*ret_entry = (struct dsmx_config_entry){ .section = rows[index].section,
		                                 .key = rows[index].key,
		                                 .value = set->text != NULL ? set->text : "",
		                                 .file = set->file,
		                                 .line = set->line };
	return 0;
}

static bool is_zero(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

void dsmx_config_apply(const struct dsmx_config *config, struct dsmx_session_options *options)
{
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		size_t bytes = kinds[row->kind].bytes;
		char *field = (char *)options + row->offset;

		if (config->set[i].file == NULL || row->offset + bytes > options->size ||
		    !is_zero(field, bytes))
			continue;
		memcpy(field, (const char *)&config->values + row->offset, bytes);
		if (row->kind == KIND_ISOLATION &&
		    AT(isolation_required) + sizeof(bool) <= options->size)
			options->isolation_required |= config->values.isolation_required;
	}
}
