/* SPDX-License-Identifier: MIT */
/*
 * dynamic_filter.h - dynamic filters across an exchange: what a join knows of its build keys, where its probe rows
 * are made
 *
 *	consumer: join ──offer──▶ client ──bytes in its data, place in the request──▶ StartStream
 *	                                                                                  │
 *	producer:                        procedure ◀──copied, then checked────────────────┘
 *	                                     ├──▶ partitioner: rows for that partition that fail are not dealt
 *	                                     └──▶ scans below: record batches that hold no key of any partition
 *
 * A join completes its build side before it executes its probe side, so the filter is there when the StartStream is
 * sent, and travels with it. Each consumer partition has a filter of its own, of the keys that it will look for: of
 * a partitioned join those which the hash sends there. Consumers ask at different times; a producer uses what it has
 * when it deals a batch, and deals all rows to a partition of which it has heard nothing.
 *
 * The bytes lie in the consumer's slabs only until the producer has answered, and the Control Service answers between
 * two slices whatever its tasks wait for: so memory lent for a filter cannot be part of a deadlock. Where there is
 * none at that moment, there is no filter. The producer's copy is private and lives as long as the query's procedure.
 *
 * A filter comes from another process, so it is copied once and the copy is checked: offsets, counts, columns; one
 * that breaks the rules is refused with its StartStream. One that keeps them and lies can only make its producer drop
 * rows of the liar's own partition, which the liar could as well have dropped itself.
 */
#ifndef DX_EXCHANGE_DYNAMIC_FILTER_H
#define DX_EXCHANGE_DYNAMIC_FILTER_H

#include "chan/tx.h"
#include "exec/offer.h"
#include "plan/node.h"

struct dx_producer;
struct dx_procedure;

/* --- consumer ------------------------------------------------------------------------------------------ */

/*
 * What is on offer to partition @partition of exchange @rel, as bytes of the own data segment with one reference.
 * Returns NULL: nothing is, or there is no memory for it now.
 */
struct dx_frame *dx_filters_publish(struct dx_mesh *mesh, const struct dx_exec_env *env,
                                    const struct dsmx_rel *rel, uint32_t partition,
                                    size_t *ret_bytes);

/* --- producer ------------------------------------------------------------------------------------------ */

/* The filters of one partition; private memory. */
struct dx_filter_set {
	char *bytes; /* the copy, which the filters' words are in */
	uint32_t count;
	struct dx_key_filter filters[DSMX_FILTERS_MAX];
};

/*
 * Copy the @len bytes at @offset of a segment of @data_bytes, and check the copy against the exchange's schema.
 * Returns 0, -EBADMSG (they break the rules) or -ENOMEM.
 */
int dx_filters_copy(const struct dsmx_schema *schema, const char *data, size_t data_bytes,
                    uint64_t offset, uint64_t len, struct dx_filter_set **ret_set) DX_MUST_CHECK;
void dx_filters_free(struct dx_filter_set *set);

/* The filters of a START: the procedure's from now on. Returns 0 or an error with its sentence. */
int dx_filters_adopt(const struct dx_mesh *mesh, struct dx_procedure *procedure, uint32_t peer,
                     const struct dsmx_request_abi *request, struct dsmx_error *err) DX_MUST_CHECK;

/* What one producer task does with its procedure's filters. */
struct dx_dropper;

/* To the scans below, before they are executed: what all partitions that ask so far have in common. */
void dx_dropper_start(struct dx_producer *producer);
/* A partition has come, or gone. */
void dx_dropper_update(struct dx_producer *producer);
/* Leave those of @rows, partition @target's, in that pass. Returns how many. */
uint32_t dx_dropper_keep(struct dx_producer *producer, uint32_t target,
                         const struct dsmx_batch *batch, uint32_t *rows, uint32_t count);
void dx_dropper_free(struct dx_producer *producer);

#endif /* DX_EXCHANGE_DYNAMIC_FILTER_H */
