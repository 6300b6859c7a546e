/* SPDX-License-Identifier: MIT */
#include "shm/numa.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <unistd.h>

#include "base/err.h"

int dx_numa_node_of_cpu(int cpu)
{
	if (cpu < 0 || numa_available() < 0)
		return -1;
	return numa_node_of_cpu(cpu);
}

static void free_mask(struct bitmask **mask)
{
	if (*mask != NULL)
		numa_bitmask_free(*mask);
}

/* How many nodes @cpus are of; they are set in @nodes. */
static uint32_t nodes_of(const struct bitmask *cpus, struct bitmask *nodes)
{
	for (unsigned cpu = 0; cpu < cpus->size; cpu++) {
		int node = numa_bitmask_isbitset(cpus, cpu) ? numa_node_of_cpu((int)cpu) : -1;

		if (node >= 0)
			(void)numa_bitmask_setbit(nodes, (unsigned)node);
	}
	return numa_bitmask_weight(nodes);
}

static int nth(const struct bitmask *nodes, uint32_t n)
{
	for (unsigned node = 0; node < nodes->size; node++)
		if (numa_bitmask_isbitset(nodes, node) && n-- == 0)
			return (int)node;
	return -1;
}

/* Run on those of @cpus that are of @node. */
static bool run_on(struct bitmask *cpus, int node)
{
	for (unsigned cpu = 0; cpu < cpus->size; cpu++)
		if (numa_bitmask_isbitset(cpus, cpu) && numa_node_of_cpu((int)cpu) != node)
			(void)numa_bitmask_clearbit(cpus, cpu);
	return numa_sched_setaffinity(0, cpus) >= 0;
}

int dx_numa_settle(bool spread, uint32_t turn)
{
	struct bitmask *cpus DX_CLEANUP(free_mask) = NULL, *nodes DX_CLEANUP(free_mask) = NULL;
	struct bitmask *allowed DX_CLEANUP(free_mask) = NULL;
	uint32_t count;
	int node;

	if (numa_available() < 0 || numa_max_node() == 0)
		return -1;
	cpus = numa_allocate_cpumask();
	nodes = numa_allocate_nodemask();
	allowed = numa_get_mems_allowed();
	if (cpus == NULL || nodes == NULL || allowed == NULL || numa_sched_getaffinity(0, cpus) < 0)
		return -1;
	count = nodes_of(cpus, nodes);
	if (count == 0 || (count > 1 && !spread))
		return -1;
	node = nth(nodes, turn % count);
	if (count > 1 && !run_on(cpus, node))
		return -1;
	return numa_bitmask_isbitset(allowed, (unsigned)node) ? node : -1;
}

int dx_numa_bind(void *base, size_t bytes, int node)
{
	struct bitmask *nodes DX_CLEANUP(free_mask) = NULL;
	int err = 0;

	if (numa_available() < 0)
		return 0;
	if (node < 0 || node > numa_max_node())
		return -EINVAL;
	nodes = numa_allocate_nodemask();
	if (nodes == NULL)
		return -ENOMEM;
	(void)numa_bitmask_setbit(nodes, (unsigned)node);
	if (mbind(base, bytes, MPOL_PREFERRED, nodes->maskp, nodes->size + 1, 0) < 0)
		err = dx_errno();
	return err == -ENOSYS || err == -EPERM ? 0 : err;
}

int dx_numa_node_of_page(const void *address)
{
	void *page = (void *)((uintptr_t)address & ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1));
	int node = -1;

	if (numa_available() < 0 || numa_move_pages(0, 1, &page, NULL, &node, 0) != 0)
		return -1;
	return node < 0 ? -1 : node;
}
