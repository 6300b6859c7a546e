/* SPDX-License-Identifier: MIT */
/* kernel_sum.c - see kernel_sum.h */
#include "kernel_sum.h"

#ifdef DSMX_HAVE_BPF

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/mem.h"

/* All that are numbers to be added. */
static void add_all(uint64_t *to, const __u64 *from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		to[i] += from[i];
}

static void add_hist(struct ss_hist *to, const struct ss_hist *from)
{
	to->sum_ns += from->sum_ns;
	if (from->max_ns > to->max_ns)
		to->max_ns = from->max_ns;
	for (int b = 0; b < SS_BUCKETS; b++)
		to->buckets[b] += from->buckets[b];
}

static void add_counts(struct source_sum *sum, const struct ss_counts *c)
{
	add_all(sum->hits, c->hits, DSMX_PROBE_COUNT);
	add_all(sum->losses, c->losses, SS_LOSS_COUNT);
	add_all(sum->causes, c->causes, SS_CAUSE_COUNT);
	for (int i = 0; i < SS_HISTS; i++)
		add_hist(&sum->hists[i], &c->hists[i]);
	for (int i = 0; i < SS_SPLITS; i++) {
		sum->splits[i].count += c->splits[i].count;
		for (int p = 0; p < SS_PARTS; p++)
			sum->splits[i].ns[p] += c->splits[i].ns[p];
	}
}

void kernel_sum_counts(int map, struct source_sum *sum)
{
	int cpus = libbpf_num_possible_cpus();
	struct ss_counts *values = cpus > 0 ? mem_alloc((size_t)cpus * sizeof(*values)) : NULL;
	uint32_t zero = 0;

	if (values != NULL && bpf_map_lookup_elem(map, &zero, values) == 0)
		for (int c = 0; c < cpus; c++)
			add_counts(sum, &values[c]);
	free(values);
}

uint64_t kernel_sum_misses(int program)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(program, &info, &len) == 0 ? info.recursion_misses : 0;
}

uint64_t kernel_sum_flights(int map)
{
	struct ss_key key, *last = NULL;
	uint64_t count = 0;

	while (count < SS_FLIGHTS && bpf_map_get_next_key(map, last, &key) == 0) {
		count++;
		last = &key;
	}
	return count;
}

/* Process ids in the kernel are those that we know only in the outermost namespace of them. */
static bool knows_processes(void)
{
	char text[64] = "";

	return readlink("/proc/self/ns/pid", text, sizeof(text) - 1) > 0 &&
	       strcmp(text, "pid:[4026531836]") == 0;
}

uint64_t kernel_sum_abandon(int map)
{
	struct ss_key key, next;
	bool more = knows_processes() && bpf_map_get_next_key(map, NULL, &key) == 0;
	uint64_t count = 0;

	for (uint32_t i = 0; more && i < SS_FLIGHTS; i++) {
		struct ss_flight f;
		bool gone = bpf_map_lookup_elem(map, &key, &f) == 0 && kill((pid_t)f.tgid, 0) < 0 &&
		            errno == ESRCH;

		more = bpf_map_get_next_key(map, &key, &next) == 0;
		if (gone)
			count += bpf_map_delete_elem(map, &key) == 0;
		key = next;
	}
	return count;
}

void kernel_sum_off(int map,
                    void (*take)(void *arg, const struct ss_task_key *key,
                                 const struct ss_off *off),
                    void *arg)
{
	struct ss_task_key key, *last = NULL;
	struct ss_off off;

	for (uint32_t i = 0; i < SS_TASKS && bpf_map_get_next_key(map, last, &key) == 0; i++) {
		if (bpf_map_lookup_elem(map, &key, &off) == 0)
			take(arg, &key, &off);
		last = &key;
	}
}

#endif
