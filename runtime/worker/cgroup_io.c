/* SPDX-License-Identifier: MIT */
/*
 * Disks: a worker's share of them, and at most how many bytes a second it reads and writes on one.
 *
 * The kernel limits whole disks by number. What is named is the disk, a partition, or any file on it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/err.h"
#include "worker/cgroup_file.h"

#define DEVICE_TEXT 32

/* Digits, and perhaps K, M, G or T of 1000: a bandwidth, as systemd has it. */
static int parse_bytes(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t bytes;
	char *end;

	errno = 0;
	bytes = strtoull(text, &end, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9')
		return -EINVAL;
	unit = *end != '\0' ? strchr(units, *end) : NULL;
	if (*end != '\0' && (unit == NULL || end[1] != '\0'))
		return -EINVAL;
	for (const char *u = units; unit != NULL && u <= unit; u++)
		if (__builtin_mul_overflow(bytes, (uint64_t)1000, &bytes))
			return -EINVAL;
	*ret_bytes = bytes;
	return bytes > 0 && bytes < INT64_MAX ? 0 : -EINVAL;
}

int dx_io_max_parse(const char *text, char ret_path[DX_CGROUP_PATH], uint64_t *ret_bytes)
{
	const char *blank = strrchr(text, ' ');
	size_t len = blank != NULL ? (size_t)(blank - text) : 0;

	while (len > 0 && text[len - 1] == ' ')
		len--;
	if (len == 0 || len >= DX_CGROUP_PATH || text[0] != '/')
		return -EINVAL;
	memcpy(ret_path, text, len);
	ret_path[len] = '\0';
	return parse_bytes(blank + 1, ret_bytes);
}

/* The number of the whole disk, "254:0". */
static int find_disk(const char *path, char ret_device[DEVICE_TEXT])
{
	char dir[64], name[96];
	struct stat st;
	dev_t dev;

	if (stat(path, &st) != 0)
		return dx_errno();
	dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	if (major(dev) == 0)
		return -ENODEV;
	(void)snprintf(dir, sizeof(dir), "/sys/dev/block/%u:%u", major(dev), minor(dev));
	(void)snprintf(name, sizeof(name), "%s/partition", dir);
	if (access(name, F_OK) == 0) {
		(void)strcat(dir, "/..");
		dx_cgroup_read_file(dir, "dev", ret_device, DEVICE_TEXT);
		ret_device[strcspn(ret_device, "\n")] = '\0';
		return ret_device[0] != '\0' ? 0 : -ENODEV;
	}
	(void)snprintf(ret_device, DEVICE_TEXT, "%u:%u", major(dev), minor(dev));
	return 0;
}

static int set_max(const struct dx_cgroup_leaf *leaf, const char *option, const char **limit,
                   const char *v1_file, const char *v2_key, struct dsmx_error *err)
{
	bool v1 = leaf->v1[DX_V1_BLKIO][0] != '\0';
	char path[DX_CGROUP_PATH], device[DEVICE_TEXT], text[96];
	uint64_t bytes;
	int r;

	if (*limit == NULL)
		return 0;
	r = dx_io_max_parse(*limit, path, &bytes);
	if (r == 0)
		r = find_disk(path, device);
	if (r != 0)
		return dx_error(err, r, "%s: \"%.200s\": %s", option, *limit,
		                r == -ENODEV ? "that is on no disk of this machine's"
		                             : dx_strerror(r));
	(void)snprintf(text, sizeof(text), "%s %s%llu", device, v1 ? "" : v2_key,
	               (unsigned long long)bytes);
	r = dx_cgroup_write_file(v1 ? leaf->v1[DX_V1_BLKIO] : leaf->v2, v1 ? v1_file : "io.max",
	                         text);
	if (r == -ENOENT) {
		*limit = NULL;
		return dx_error(err, -EOPNOTSUPP, "%s: there is no io controller in %s", option,
		                leaf->v2);
	}
	return r == 0 ? 0 : dx_error(err, r, "%s: \"%s\": %s", option, text, dx_strerror(r));
}

/* Version 1 has weights where a disk's scheduler is bfq. */
static int set_weight(const struct dx_cgroup_leaf *leaf, struct dx_limits *limits,
                      struct dsmx_error *err)
{
	bool v1 = leaf->v1[DX_V1_BLKIO][0] != '\0';
	unsigned long long weight = limits->io_weight;
	char text[32];
	int r;

	if (weight == 0)
		return 0;
	(void)snprintf(text, sizeof(text), v1 ? "%llu" : "default %llu",
	               v1 && weight > 1000 ? 1000 : weight);
	r = dx_cgroup_write_file(v1 ? leaf->v1[DX_V1_BLKIO] : leaf->v2,
	                         v1 ? "blkio.bfq.weight" : "io.weight", text);
	if (r == -ENOENT) {
		limits->io_weight = 0;
		return dx_error(err, -EOPNOTSUPP,
		                "worker_io_weight: there is no io controller with weights in %s",
		                leaf->v2);
	}
	return r == 0 ? 0 : dx_error(err, r, "worker_io_weight: %s", dx_strerror(r));
}

int dx_cgroup_set_io(const struct dx_cgroup_leaf *leaf, struct dx_limits *limits,
                     struct dsmx_error *err)
{
	int r = set_weight(leaf, limits, err);

	if (r == 0)
		r = set_max(leaf, "worker_io_read_max", &limits->io_read_max,
		            "blkio.throttle.read_bps_device", "rbps=", err);
	return r == 0 ? set_max(leaf, "worker_io_write_max", &limits->io_write_max,
	                        "blkio.throttle.write_bps_device", "wbps=", err)
	              : r;
}
