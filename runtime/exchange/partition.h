/* SPDX-License-Identifier: MIT */
/*
 * partition.h - which row of a batch goes where
 *
 * A partitioner turns a batch into one list of row numbers for each target, in input order. Targets are
 * partitions where a row decides, and a single one, "everybody", "the one there is" or "who has room", where it
 * does not. Nothing else in the exchange knows how rows are dealt.
 */
#ifndef DX_EXCHANGE_PARTITION_H
#define DX_EXCHANGE_PARTITION_H

#include "base/compiler.h"
#include "plan/node.h"

struct dx_partitioner;
struct dx_sort_entry;

/* @schema: of the input; @task: the producer's. Returns 0 or -ENOMEM. */
int dx_partitioner_new(const struct dx_exchange *exchange, const struct dsmx_schema *schema,
                       uint32_t task, struct dx_partitioner **ret_partitioner) DX_MUST_CHECK;
void dx_partitioner_free(struct dx_partitioner *partitioner);

/* Lists that dx_partition() gives: the partitions, or 1. */
uint32_t dx_partitioner_targets(const struct dx_partitioner *partitioner);

/*
 * Deal the selected rows of a batch.
 *
 * @ret_rows: row numbers of the batch, target after target; the partitioner's, until the next call
 * @ret_starts: target t has rows[starts[t]] .. rows[starts[t + 1]] - 1; targets + 1 entries, likewise
 * Returns 0, -ENOMEM, or -ERANGE: a row names a partition that is not there; with a sentence.
 */
int dx_partition(struct dx_partitioner *partitioner, const struct dsmx_batch *batch,
                 const uint32_t **ret_rows, const uint32_t **ret_starts,
                 struct dsmx_error *err) DX_MUST_CHECK;

/* Of a sampled range: see range.h. */
int dx_partitioner_set_bounds(struct dx_partitioner *partitioner,
                              const struct dx_sort_entry *bounds, uint32_t count) DX_MUST_CHECK;
bool dx_partitioner_keys_are_short(const struct dx_partitioner *partitioner);

/*
 * Thin out the lists that dx_partition() gave last.
 *
 * @keep: leaves in @rows those of target @target that are to stay, in their order, and returns how many
 */
void dx_partition_keep(struct dx_partitioner *partitioner, const struct dsmx_batch *batch,
                       uint32_t (*keep)(void *arg, uint32_t target, const struct dsmx_batch *batch,
                                        uint32_t *rows, uint32_t count),
                       void *arg);

#endif /* DX_EXCHANGE_PARTITION_H */
