/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * count.h - numbers that programs add to, on each CPU its own
 *
 * A program for a probe can be preempted by a thread that hits another probe on the same CPU, so every number is
 * added to atomically: no count is lost, and none is added to twice.
 */
#ifndef DSMX_BPF_COUNT_H
#define DSMX_BPF_COUNT_H

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ss_counts);
} counts SEC(".maps");

static __always_inline struct ss_counts *counts_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counts, &zero);
}

static __always_inline void add(__u64 *to, __u64 n)
{
	if (n != 0)
		__sync_fetch_and_add(to, n);
}

static __always_inline void count_loss(__u32 cause)
{
	struct ss_counts *c = counts_here();

	if (c)
		add(&c->losses[cause], 1);
}

static __always_inline __u32 log2_of(__u64 v)
{
	__u32 r = 0, high = (__u32)(v >> 32), x = (__u32)v;

	if (high) {
		r = 32;
		x = high;
	}
	if (x >> 16) {
		r += 16;
		x >>= 16;
	}
	if (x >> 8) {
		r += 8;
		x >>= 8;
	}
	if (x >> 4) {
		r += 4;
		x >>= 4;
	}
	if (x >> 2) {
		r += 2;
		x >>= 2;
	}
	return r + (x >> 1);
}

/* A function of its own: it is used often, and programs are to stay small. */
static __attribute__((noinline)) int count_time(struct ss_hist *h, __u64 ns)
{
	__u32 bucket = log2_of(ns);
	__u64 max_ns;

	if (!h)
		return 0;
	if (bucket >= SS_BUCKETS)
		bucket = SS_BUCKETS - 1;
	/* The compiler is to keep the bound where older verifiers see it. */
	asm volatile("" : "+r"(bucket));
	if (bucket < SS_BUCKETS)
		add(&h->buckets[bucket], 1);
	add(&h->sum_ns, ns);
	/* Whoever stored another one in between stored a greater one than we saw; ours may still be greater. */
	for (int i = 0; i < 4; i++) {
		max_ns = h->max_ns;
		if (ns <= max_ns || __sync_val_compare_and_swap(&h->max_ns, max_ns, ns) == max_ns)
			break;
	}
	return 0;
}

#endif /* DSMX_BPF_COUNT_H */
