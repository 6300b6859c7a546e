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
#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/error.h"

/* The node of @cpu, -1 where that is not known. */
int dx_numa_node_of_cpu(int cpu);

/* Is @list one of nodes that this machine has, "0-1,3"? Returns 0, -EINVAL with a sentence, -ENOMEM. */
int dx_numa_check(const char *list, struct dsmx_error *err) DX_MUST_CHECK;

/*
 * Let this thread run on processors of the nodes of @list only, which was checked.
 * Returns 0, -EINVAL: it may run on none of them; -ENOMEM, or what the kernel said.
 */
int dx_numa_confine(const char *list, struct dsmx_error *err) DX_MUST_CHECK;

/*
 * The node that this thread's memory is to be on: the one that all processors are of which it may run on.
 *
 * @spread: where they are of several nodes, let it run on those of one of them only, the @turn-th, round and round
 * Returns -1 where there is no such node: they are of several, the machine has one, or its memory is not for us.
 */
int dx_numa_settle(bool spread, uint32_t turn);

/*
 * Let pages of [@base, @base + @bytes) that are not there yet come from @node, and where it has none from others: a
 * huge page that is far is better than small ones that are near, and a small one better than the OOM killer.
 *
 * Returns 0, also where memory cannot be bound at all; -EINVAL: no such node.
 */
int dx_numa_bind(void *base, size_t bytes, int node) DX_MUST_CHECK;

/* The node that the page at @address is on; -1: not known. */
int dx_numa_node_of_page(const void *address);

#endif /* DX_SHM_NUMA_H */
