/* SPDX-License-Identifier: MIT */
#include "shm/numa.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <stdlib.h>
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

/* A machine without NUMA has one node, 0. */
static int last_node(void)
{
	return numa_available() < 0 ? 0 : numa_max_node();
}

/* By hand, as libnuma says on standard error what it does not like. */
static int parse_nodes(const char *list, struct bitmask *nodes)
{
	const char *at = list;

	for (;;) {
		unsigned long first, last;
		char *end;

		if (*at < '0' || *at > '9')
			return -EINVAL;
		first = last = strtoul(at, &end, 10);
		if (*end == '-' && end[1] >= '0' && end[1] <= '9')
			last = strtoul(end + 1, &end, 10);
		if (first > last || last > (unsigned long)last_node())
			return -EINVAL;
		for (; first <= last; first++)
			(void)numa_bitmask_setbit(nodes, (unsigned)first);
		if (*end == '\0')
			return 0;
		if (*end != ',')
			return -EINVAL;
		at = end + 1;
	}
}

int dx_numa_check(const char *list, struct dsmx_error *err)
{
	struct bitmask *nodes DX_CLEANUP(free_mask) = numa_bitmask_alloc((unsigned)last_node() + 1);

	if (nodes == NULL)
		return dx_error(err, -ENOMEM, "no memory for a list of nodes");
	if (parse_nodes(list, nodes) != 0)
		return dx_error(err, -EINVAL,
		                "numa_nodes: \"%.100s\" is no list of this machine's nodes, which "
		                "are 0 to %d: say \"0-%d\", or nothing for any",
		                list, last_node(), last_node());
	return 0;
}

int dx_numa_confine(const char *list, struct dsmx_error *err)
{
	struct bitmask *cpus DX_CLEANUP(free_mask) = NULL, *nodes DX_CLEANUP(free_mask) = NULL;

	if (numa_available() < 0 || numa_max_node() == 0)
		return 0;
	cpus = numa_allocate_cpumask();
	nodes = numa_allocate_nodemask();
	if (cpus == NULL || nodes == NULL || parse_nodes(list, nodes) != 0)
		return dx_error(err, -ENOMEM, "no memory for a list of nodes");
	if (numa_sched_getaffinity(0, cpus) < 0)
		return dx_error(err, dx_errno(), "sched_getaffinity: %s", dx_strerror(errno));
	for (unsigned cpu = 0; cpu < cpus->size; cpu++) {
		int node = numa_bitmask_isbitset(cpus, cpu) ? numa_node_of_cpu((int)cpu) : 0;

		if (node < 0 || !numa_bitmask_isbitset(nodes, (unsigned)node))
			(void)numa_bitmask_clearbit(cpus, cpu);
	}
	if (numa_bitmask_weight(cpus) == 0)
		return dx_error(err, -EINVAL,
		                "numa_nodes: no processor that a worker may run on is of nodes "
		                "%.100s: widen worker_cpus, the application's affinity or the list",
		                list);
	if (numa_sched_setaffinity(0, cpus) < 0)
		return dx_error(err, dx_errno(), "sched_setaffinity: %s", dx_strerror(errno));
	return 0;
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
