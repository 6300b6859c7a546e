/* SPDX-License-Identifier: MIT */
/*
 * Where the processes of a session have their memory, on a machine with several NUMA nodes: `make vmtest` has two.
 *
 * Seen from outside: /proc/PID/maps tells which mappings a process may write, its own, and numa_maps on which nodes
 * their pages are. This program is its own supervisor and worker.
 */
#include <sched.h>

#include "base/err.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "processes.h"
#include "shm/numa.h"
#include "shm/segment.h"

#define NODES_MAX  8
#define HUGE_BYTES ((size_t)2 << 20)

static int node_count(void)
{
	char path[64];
	int count = 0;

	do
		(void)snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", count);
	while (is_dir(path) && count++ < NODES_MAX);
	return count;
}

/* Pages of one mapping by node: of "ADDRESS ... N0=3 N1=8 ..." in numa_maps. Returns false if it is not there. */
static bool pages_at(int pid, const char *address, long pages[NODES_MAX])
{
	char path[64], line[1024];
	bool found = false;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/numa_maps", pid);
	file = fopen(path, "re");
	while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
		found = strncmp(line, address, strlen(address)) == 0 &&
		        line[strlen(address)] == ' ';
		for (const char *at = line; found && (at = strstr(at, " N")) != NULL; at++) {
			long count;
			int node;

			if (sscanf(at, " N%d=%ld", &node, &count) == 2 && node < NODES_MAX)
				pages[node] += count;
		}
	}
	if (file != NULL)
		(void)fclose(file);
	return found;
}

/*
 * The node that all pages of a process's own segments are on; -1: of several, or there are not two segments; @told
 * where that process does not let us look.
 */
static int node_of_segments(int pid, int told)
{
	long pages[NODES_MAX] = { 0 };
	char path[64], line[1024], address[32];
	int segments = 0, node = -1;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "re");
	if (file == NULL && geteuid() != 0)
		return told;
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strstr(line, " rw-s ") == NULL || strstr(line, "/memfd:dsmx-") == NULL ||
		    sscanf(line, "%31[0-9a-f]-", address) != 1)
			continue;
		segments += pages_at(pid, address, pages);
	}
	if (file != NULL)
		(void)fclose(file);
	for (int n = 0; n < NODES_MAX; n++) {
		if (pages[n] == 0)
			continue;
		printf("# process %d: %ld pages of %d segments on node %d\n", pid, pages[n],
		       segments, n);
		node = node == -1 ? n : -2;
	}
	return segments == 2 && node >= 0 ? node : -1;
}

/* The node of the processors that a process may run on; -1: of several. */
static int node_of_cpus(int pid)
{
	cpu_set_t cpus;
	int node = -1;

	if (sched_getaffinity(pid, sizeof(cpus), &cpus) != 0)
		return -1;
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &cpus))
			continue;
		if (node >= 0 && dx_numa_node_of_cpu((int)cpu) != node)
			return -1;
		node = dx_numa_node_of_cpu((int)cpu);
	}
	return node;
}

/* A session's workers have memory and processors on these nodes, in turn, and the session says so. */
static void check_workers(bool *ok, const struct dsmx_session_options *options, const int nodes[2])
{
	struct dsmx_worker_info info;
	struct dsmx_session *session;

	CHECK_EQ(dsmx_session_open(options, &session, NULL), 0);
	if (strstr(((struct log *)options->log_data)->text, "worker_cpus") != NULL) {
		dsmx_session_close(session);
		SKIP("no cpuset controller");
	}
	for (uint32_t w = 0; w < options->workers; w++) {
		CHECK_EQ(dsmx_session_worker(session, w, &info), 0);
		CHECK_EQ(info.node, nodes[w % 2]);
		CHECK_EQ(node_of_segments(info.pid, info.node), nodes[w % 2]);
		CHECK_EQ(node_of_cpus(info.pid), nodes[w % 2]);
	}
	dsmx_session_close(session);
}

TEST(numa_spread,
     "workers that may run anywhere take the nodes in turn, with processors and memory")
{
	static const enum dsmx_pages pages[] = { DSMX_PAGES_AUTO, DSMX_PAGES_SMALL };

	if (node_count() != 2)
		SKIP("%d nodes, not 2", node_count());
	for (size_t i = 0; i < DX_ARRAY_LEN(pages) && *ok; i++) {
		struct log log = { .notices = 0 };
		struct dsmx_session_options options = options_of(4, &log);

		options.pages = pages[i];
		check_workers(ok, &options, (int[]){ 0, 1 });
	}
}

TEST(numa_cpus, "workers on processors of one node have their memory there")
{
	if (node_count() != 2)
		SKIP("%d nodes, not 2", node_count());
	for (int node = 0; node < 2 && *ok; node++) {
		struct log log = { .notices = 0 };
		struct dsmx_session_options options = options_of(2, &log);
		char cpus[16];
		int cpu = 0;

		while (dx_numa_node_of_cpu(cpu) != node)
			cpu++;
		(void)snprintf(cpus, sizeof(cpus), "%d", cpu);
		options.worker_cpus = cpus;
		check_workers(ok, &options, (int[]){ node, node });
	}
}

TEST(numa_application,
     "an application on processors of one node has its memory, and its workers, there")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = options_of(2, &log);
	struct dsmx_session_info info;
	struct dsmx_session *session;
	cpu_set_t before;

	if (node_count() != 2)
		SKIP("%d nodes, not 2", node_count());
	CHECK_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
	for (size_t cpu = 0; cpu < CPU_SETSIZE && *ok; cpu++) {
		cpu_set_t one;
		int node = CPU_ISSET(cpu, &before) ? dx_numa_node_of_cpu((int)cpu) : -1;

		if (node < 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
		CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
		dsmx_session_info(session, &info);
		CHECK_EQ(info.node, node);
		CHECK_EQ(node_of_segments(getpid(), -1), node);
		dsmx_session_close(session);
		check_workers(ok, &options, (int[]){ node, node });
	}
	CHECK_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

TEST(numa_off, "off: workers run where the application may")
{
	struct dsmx_session_options options = options_of(2, NULL);
	struct dsmx_session *session;

	options.numa = (enum dsmx_numa)7;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), -EINVAL);
	options.numa = DSMX_NUMA_OFF;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	for (uint32_t w = 0; w < 2; w++) {
		cpu_set_t ours, its;

		CHECK_EQ(sched_getaffinity(0, sizeof(ours), &ours), 0);
		CHECK_EQ(sched_getaffinity(dsmx_session_worker_pid(session, w), sizeof(its), &its),
		         0);
		CHECK(CPU_EQUAL(&ours, &its));
	}
	dsmx_session_close(session);
}

TEST(numa_nodes, "workers are on the nodes that were named, and on no others")
{
	static const char *const lists[] = { "0", "1", "0-1" };
	static const int nodes[][2] = { { 0, 0 }, { 1, 1 }, { 0, 1 } };

	if (node_count() != 2)
		SKIP("%d nodes, not 2", node_count());
	for (size_t i = 0; i < DX_ARRAY_LEN(lists) && *ok; i++) {
		struct log log = { .notices = 0 };
		struct dsmx_session_options options = options_of(4, &log);

		options.numa_nodes = lists[i];
		check_workers(ok, &options, nodes[i]);
	}
}

TEST(numa_nodes_wrong, "a list of nodes that is none, or that this machine has not, is refused")
{
	static const char *const lists[] = {
		"", "x", "0-", "1-0", "0,,0", "0 1", "-1", "4096", "0-4096", "99999999999999999999"
	};
	struct dsmx_session_options options = options_of(1, NULL);
	struct dsmx_session *session;
	struct dsmx_error err;

	for (size_t i = 0; i < DX_ARRAY_LEN(lists); i++) {
		options.numa_nodes = lists[i];
		CHECK_EQ(dsmx_session_open(&options, &session, &err), -EINVAL);
		CHECK(strstr(err.message, "numa_nodes") != NULL);
	}
	options.numa_nodes = "0";
	options.numa = DSMX_NUMA_OFF;
	CHECK_EQ(dsmx_session_open(&options, &session, &err), -EINVAL);
	CHECK(strstr(err.message, "numa is OFF") != NULL);
	options.numa = DSMX_NUMA_AUTO;
	CHECK_EQ(dsmx_session_open(&options, &session, &err), 0);
	dsmx_session_close(session);
}

TEST(numa_nodes_unreachable,
     "nodes on which a worker may not run end the opening, and it is said why")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = options_of(1, &log);
	struct dsmx_session *session = NULL;
	struct dsmx_error err;
	char cpus[16];
	int cpu = 0, r;

	if (node_count() != 2)
		SKIP("%d nodes, not 2", node_count());
	while (dx_numa_node_of_cpu(cpu) != 0)
		cpu++;
	(void)snprintf(cpus, sizeof(cpus), "%d", cpu);
	options.worker_cpus = cpus;
	options.numa_nodes = "1";
	r = dsmx_session_open(&options, &session, &err);
	if (r == 0) {
		dsmx_session_close(session);
		CHECK(strstr(log.text, "worker_cpus") != NULL);
		SKIP("no cpuset controller");
	}
	CHECK_EQ(r, -EOWNERDEAD);
	CHECK(strstr(err.message, "of nodes 1") != NULL);
}

TEST(numa_shortage, "huge pages that a node lacks come from another one")
{
	struct dx_segment segment;
	char path[128];
	long free_pages = 0, pages[NODES_MAX] = { 0 };
	char address[32];
	FILE *file;

	if (node_count() != 2)
		SKIP("%d nodes, not 2", node_count());
	for (int node = 0; node < 2; node++) {
		long count = 0;

		(void)snprintf(
			path, sizeof(path),
			"/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/free_hugepages",
			node);
		file = fopen(path, "re");
		CHECK(file != NULL && fscanf(file, "%ld", &count) == 1);
		(void)fclose(file);
		if (count < 4)
			SKIP("fewer than 4 huge pages on node %d", node);
		free_pages = node == 0 ? count : free_pages;
	}
	CHECK_EQ(dx_segment_create("dsmx-x", (size_t)(free_pages + 2) * HUGE_BYTES,
	                           DSMX_PAGES_HUGETLB, 0, &segment, NULL),
	         0);
	(void)snprintf(address, sizeof(address), "%lx", (unsigned long)(uintptr_t)segment.base);
	CHECK(pages_at(getpid(), address, pages));
	CHECK_EQ(pages[0], free_pages);
	CHECK_EQ(pages[1], 2);
	CHECK_EQ(dx_numa_node_of_page((char *)segment.base + 5), 0);
	CHECK_EQ(dx_numa_node_of_page((char *)segment.base + segment.bytes - 1), 1);
	dx_segment_close(&segment);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, NULL);
	return status >= 0 ? status : harness_main(argc, argv);
}
