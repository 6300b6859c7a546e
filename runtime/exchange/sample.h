/* SPDX-License-Identifier: MIT */
/*
 * sample.h - bounds of a range exchange from samples of its rows
 *
 *	SORT ──▶ PUBLISH ──▶ COLLECT ──▶ deal
 *
 * A producer task of a sampled range exchange sorts its share first (the sort is the exchange's own, not the plan's),
 * and so knows exactly how its keys are spread. It cuts its rows into parts of equal size, writes the first key of
 * each into a frame of its data, and names it in its task record. Then it waits until every task of the exchange has
 * done so, copies their samples, and takes as bounds the keys that share out all rows evenly. All tasks read the same
 * samples, so all come to the same bounds; nobody has to be asked, and no consumer has a part in it. As in any
 * regular sampling of sorted runs, no partition gets more than its share and one part of each task's rows beyond it,
 * but for rows with equal keys, which stay together.
 *
 * A task is started by the first StartStream for it, and whoever opens a partition sends one to all tasks. So a task
 * that waits here waits for tasks that are started, or will be, or for a consumer that closes, which ends its wait. If
 * one of them ends or dies without a sample, those who wait fail, too: their consumer may be a merge that waits for
 * them, and would not look at the one that has the cause. A task here has read its own input to the end, so nothing
 * below waits for it. What it waits for is in its record (DSMX_PARK_SAMPLE), for who looks for deadlocks.
 *
 * Samples are bytes of another process: copied once, then checked. Wrong keys in them make wrong bounds, in those tasks
 * that read them; their sender could as well have sent wrong rows.
 */
#ifndef DX_EXCHANGE_SAMPLE_H
#define DX_EXCHANGE_SAMPLE_H

#include "base/compiler.h"
#include "base/list.h"
#include "dsmx/exec.h"

struct dx_producer;
struct dx_query;
struct dx_sampler;
struct dx_service;
struct dsmx_task_abi;
struct dx_mesh;

/* For a producer of a sampled range exchange. Returns 0, -ENOMEM, -ENOSPC: no memory to set aside for a sample. */
int dx_sampler_new(struct dx_producer *producer) DX_MUST_CHECK;
void dx_sampler_free(struct dx_producer *producer);

/* Put the sort over the fragment's operator, which becomes its input on success. */
int dx_sampler_sort(struct dx_producer *producer, struct dsmx_operator **op,
                    struct dsmx_error *err) DX_MUST_CHECK;

/*
 * On the way to the bounds: 1: the partitioner has them, now and on every later call; -EAGAIN: the task yielded, or
 * stalled.kind says what it waits for; else it failed, with its sentence.
 */
int dx_sampler_step(struct dx_producer *producer, struct dsmx_cx *cx) DX_MUST_CHECK;

/* The task is over: if it has no sample yet, nobody is to wait for one. */
void dx_sampler_end(struct dx_producer *producer);

/* Wake those for whom samples came, or never will. Returns whether there were any. */
bool dx_samplers_look(struct dx_service *service);

/* The record of a task, in its process's page; NULL: it is not started. @ret_peer: the process. */
const struct dsmx_task_abi *dx_task_record(const struct dx_query *query, uint32_t exchange,
                                           uint32_t task, uint32_t *ret_peer);

#endif /* DX_EXCHANGE_SAMPLE_H */
