/* SPDX-License-Identifier: MIT */
#include "shm/numa.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>

#include "base/err.h"

int dx_numa_node_of_cpu(int cpu)
{
	if (cpu < 0 || numa_available() < 0)
		return -1;
	return numa_node_of_cpu(cpu);
}

int dx_numa_bind(void *base, size_t bytes, int node, bool strict)
{
	struct bitmask *nodes;
	int err = 0;

	if (numa_available() < 0)
		return 0;
	if (node < 0 || node > numa_max_node())
		return -EINVAL;

	nodes = numa_allocate_nodemask();
	if (nodes == NULL)
		return -ENOMEM;
	(void)numa_bitmask_setbit(nodes, (unsigned int)node);
	if (mbind(base, bytes, strict ? MPOL_BIND : MPOL_PREFERRED, nodes->maskp, nodes->size + 1,
	          0) < 0)
		err = dx_errno();
	numa_bitmask_free(nodes);
	return err == -ENOSYS || err == -EPERM ? 0 : err;
}
