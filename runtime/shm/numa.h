/* SPDX-License-Identifier: MIT */
/*
 * numa.h - memory near the processor that uses it: the only door to libnuma
 *
 * A machine without NUMA, or a container that forbids its calls, is no error: memory is then not bound.
 */
#ifndef DX_SHM_NUMA_H
#define DX_SHM_NUMA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

/* The node of @cpu, -1 where that is not known. */
int dx_numa_node_of_cpu(int cpu);

/*
 * Let pages of [@base, @base + @bytes) that are not there yet come from @node.
 *
 * @strict: from no other node; a shortage there is a shortage. Else other nodes help out
 * Returns 0, also where memory cannot be bound at all; -EINVAL: no such node.
 */
int dx_numa_bind(void *base, size_t bytes, int node, bool strict) DX_MUST_CHECK;

#endif /* DX_SHM_NUMA_H */
