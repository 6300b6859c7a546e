/* SPDX-License-Identifier: MIT */
/*
 * kernel_sum.h - what the BPF programs have counted, added up; maps and programs are given as descriptors
 */
#ifndef DSMX_TRACE_KERNEL_SUM_H
#define DSMX_TRACE_KERNEL_SUM_H

#include "source.h"

/* Add what every CPU has to @sum. */
void kernel_sum_counts(int map, struct source_sum *sum);

/* How often the kernel left out this program, because it was running already. */
uint64_t kernel_sum_misses(int program);

/* How many StartStreams are under way. */
uint64_t kernel_sum_flights(int map);

/* Forget those whose consumer is no more: nobody will read them. Returns how many. */
uint64_t kernel_sum_abandon(int map);

void kernel_sum_off(int map,
                    void (*take)(void *arg, const struct ss_task_key *key,
                                 const struct ss_off *off),
                    void *arg);

#endif /* DSMX_TRACE_KERNEL_SUM_H */
