/* SPDX-License-Identifier: MIT */
/*
 * internal.h - the structs of the exchange: queries, procedures, producers, outputs
 *
 *	service ── queries ── procedures (one for each exchange of the plan: the registry)
 *	                          └── producers (one for each task that was asked for: producer_task)
 *	                                  └── outputs (one for each partition: credit, frames, tx)
 *
 * All of it is private memory of one process and one thread.
 */
#ifndef DX_EXCHANGE_INTERNAL_H
#define DX_EXCHANGE_INTERNAL_H

#include "chan/mesh.h"
#include "chan/rx.h"
#include "chan/tx.h"
#include "exchange/dynamic_filter.h"
#include "exchange/partition.h"
#include "exchange/query.h"
#include "exchange/sample.h"
#include "exchange/service.h"
#include "exchange/spill.h"
#include "exchange/writer.h"
#include "exec/build.h"
#include "plan/node.h"

struct dx_service {
	struct dx_mesh *mesh;
	struct dx_mesh_ops ops;
	const struct dsmx_extension *const *extensions;
	struct dx_file_cache *files;
	struct dx_spill_file
		overflow; /* for all outputs, if it has one; fd -1: each opens its own */
	bool keeps_overflow;
	struct dx_source source; /* looks for deadlocks before the process sleeps */
	const struct dsmx_task_abi
		*turn; /* of the producer task that is polled; for tracers, see dsmx/trace.h */
	bool sleeping;
	bool hold_deadlocks; /* for inspection: DSMX_HOLD_DEADLOCKS */
	struct dx_list queries;
	struct dx_list samplers; /* that wait for samples */
	uint32_t unsaid;         /* of all queries: see struct dx_procedure */
	uint32_t undecided;      /* leader: deaths, of all queries: see rerun.c */
	uint64_t next_query;     /* leader */
};

/* What is known of one (task, partition) of a procedure. */
enum dx_part_state {
	DX_PART_UNKNOWN, /* neither asked for nor cancelled: its rows are kept */
	DX_PART_STARTED,
	DX_PART_CANCELLED, /* before it was started: its rows are dropped */
};

/* A task that executed a partition which is not its own. */
struct dx_passive {
	struct dx_list link;
	struct dsmx_waker *waker; /* NULL: it does not wait */
};

/* An exchange of a plan, as something that this process can be asked to run. */
struct dx_procedure {
	const struct dsmx_rel *rel;
	uint64_t schema_hash;
	bool leader_only;
	bool can_move; /* may run again elsewhere: no exchange below it, and not the leader's */
	uint32_t first_task; /* number of its task 0 among all producer tasks of the plan */
	struct dx_producer **producers; /* by task; NULL: never started here */
	uint8_t *parts;                 /* enum dx_part_state by task and partition */
	bool *unsaid; /* by task and partition: as a consumer, a CANCEL that found no slot */
	uint32_t unsaid_count;
	struct dx_list passive;         /* those that wait for the end of the producers here */
	struct dx_filter_set **filters; /* by partition, NULL: none came; NULL: not one did */
};

/* What the consumers of one fragment count: a producer's task record, or the root's. */
struct dx_fragment {
	struct dx_exec_env env;
	struct dx_query *query;
	uint32_t task;
	int exchange; /* above it; -1: the root's */
	struct dx_counts *counts;
	struct dsmx_task_abi *record;
};

/* Where a producer task runs since a process died: see rerun.c. */
struct dx_move {
	uint32_t exchange;
	uint32_t task;
	uint32_t attempt;
	uint32_t place;
	bool refused; /* nowhere: it is lost */
};

struct dx_query {
	struct dx_list link;
	struct dx_service *service;
	uint64_t id;
	uint32_t record; /* index in the leader's records */
	uint64_t generation;
	uint32_t attempt;
	uint64_t plan_hash;
	struct dsmx_plan *plan;
	bool plan_taken; /* the session keeps it */
	uint32_t placements;
	uint8_t placement[64];
	uint64_t epoch_max; /* of those; what is attached later in their places has no part in it */
	struct dx_move moves[DSMX_ABI_MOVES];
	uint32_t move_count, moves_read;
	struct dx_list readers; /* client.c's streams */
	struct dx_spill_budget spill_budget;
	uint32_t procedure_count;
	struct dx_procedure *procedures;
	struct dx_counts root; /* leader: of the root's fragment */
	struct dx_fragment root_fragment;
	struct dsmx_task_abi *root_record;
	bool closing;
	/* leader only */
	struct dx_frame *plan_frame;
	const struct dsmx_leaf *leaves;
	bool offered;
	uint64_t epochs[64]; /* of the processes at placement */
	uint64_t undecided_ns
		[64]; /* when the one there was seen dead; 0: it was not, or that is settled */
};

/* A closed frame that waits for its stream: not asked for yet, or no room. */
struct dx_queued {
	struct dx_frame *frame;
	uint32_t len_bytes;
	uint32_t rows;
};

/*
 * An output: the rows of one partition on their way into its stream.
 *
 *	[spill file ──▶] queue ──(tx has room)──▶ tx
 *
 * Bytes in queue and tx are held against the credit. An edge of a deadlock overflows: its frames go through a
 * file until that has run empty.
 */
struct dx_output {
	struct dx_producer *producer;
	uint32_t partition;
	struct dx_tx *tx;        /* NULL: not asked for yet, or over */
	bool over;               /* finished, or nobody wants it */
	bool reserved;           /* has its piece of the slabs */
	struct dx_queued *queue; /* a ring of room entries */
	uint32_t queue_room, queue_first, queue_count;
	uint64_t queue_bytes;
	bool overflows;
	struct dx_spill *spill; /* NULL: nothing in it */
};

/* Rows that wait because an output is full: the place in the batch where the producer stopped. */
struct dx_stalled {
	bool active;
	struct dsmx_batch batch;
	const uint32_t *rows;
	const uint32_t *starts;
	uint32_t target;
	uint32_t next; /* into rows */
	uint32_t kind; /* DSMX_PARK_: what it stopped for */
};

struct dx_producer {
	struct dx_task task;
	struct dx_query *query;
	struct dx_procedure *procedure;
	struct dx_fragment fragment;
	struct dsmx_operator *op;
	struct dsmx_stream *stream; /* NULL: not started, or over */
	struct dx_partitioner *partitioner;
	struct dx_sampler *sampler; /* of a sampled range; else NULL */
	struct dx_dropper *dropper; /* NULL: there was no filter so far */
	struct dx_writer *writers;  /* one for each target */
	uint32_t target_count;
	struct dx_output *outputs; /* one for each partition */
	struct dx_stalled stalled;
	struct dsmx_task_abi *record;
	struct dx_counts counts;
	size_t slab_bytes;     /* of a usual frame */
	uint32_t turn;         /* ARBITRARY: who is looked at first */
	uint32_t open_outputs; /* not over */
	bool input_ended;
	bool running;              /* the task is the reactor's */
	bool started;              /* it was polled: its streams have their third stamp */
	struct dsmx_error failure; /* code 0: none */
	uint64_t parked_since_ns;
};

/* --- registry.c --- */
/* All or nothing: the bytes decoded and every exchange of theirs a procedure, or an error; then free @query. */
int dx_query_load(struct dx_service *service, const void *bytes, size_t len, struct dx_query *query,
                  struct dsmx_error *err) DX_MUST_CHECK;
void dx_query_unregister(struct dx_query *query);
/* Which process runs the task that reads partition @partition of it: the leader, where that is the root. */
uint32_t dx_query_consumer_place(const struct dx_query *query, uint32_t exchange,
                                 uint32_t partition);
/* Have all processes room for what they are to run now? */
bool dx_query_fits(const struct dx_query *query);

/* --- query.c --- */
/* Query @id, decoded and registered, from the leader's records where it is new. NULL with a sentence. */
struct dx_query *dx_query_find(struct dx_service *service, uint64_t id, struct dsmx_error *err);
void dx_query_free(struct dx_query *query);
void dx_fragment_init(struct dx_fragment *fragment, struct dx_query *query, int exchange,
                      uint32_t task, uint32_t tasks);

/* --- rerun.c --- */
enum dx_rerun_state {
	DX_RERUN_THERE,   /* who it was dealt to is alive */
	DX_RERUN_AWAITED, /* dead; the leader has not decided yet */
	DX_RERUN_REFUSED, /* dead, and it runs nowhere */
};

/* Which process runs task @task of the fragment under exchange @exchange; as which attempt. */
uint32_t dx_query_place(const struct dx_query *query, uint32_t exchange, uint32_t task);
uint32_t dx_rerun_attempt(const struct dx_query *query, uint32_t exchange, uint32_t task);
enum dx_rerun_state dx_rerun_state(const struct dx_query *query, uint32_t exchange, uint32_t task);
/* Tasks of an exchange that ran again. */
#define DX_EVERY_EXCHANGE UINT32_MAX
uint32_t dx_rerun_count(const struct dx_query *query, uint32_t exchange);
/* The query is new here. */
void dx_rerun_begin(struct dx_query *query);
void dx_rerun_end(struct dx_query *query);
/* Before the first frame or the end of a task's stream is taken, or a CANCEL said. */
void dx_rerun_took(struct dx_query *query, uint32_t exchange, uint32_t task);
/* What the leader has decided since the last look. Returns whether it has. */
bool dx_rerun_read(struct dx_query *query);
/* A peer died: its streams have ended already. */
void dx_rerun_died(struct dx_service *service, uint32_t peer);
/* Leader: decide where all have noticed a death. Returns whether it did. */
bool dx_rerun_decide(struct dx_service *service);

/* --- service.c --- */
/* A worker: free the queries that the leader has closed. */
void dx_service_drop_closed(struct dx_service *service);

/* --- client.c --- */
int dx_client_make(struct dx_exec_env *env, const struct dsmx_rel *rel,
                   struct dsmx_operator **ret_operator, struct dsmx_error *err) DX_MUST_CHECK;
/* Peer @peer died: what it had finished counts as taken. */
void dx_client_lost(struct dx_query *query, uint32_t peer);
/* There are moves: who waits for one asks again. */
void dx_client_moved(struct dx_query *query);

/* --- cancel.c --- */
/* What a request names: a stream of task @task for a partition; @record is the consuming task's. */
struct dx_stream_key dx_stream_key_of(const struct dx_query *query, const struct dsmx_rel *rel,
                                      uint32_t task, uint32_t partition, uint32_t record);
/* Say CANCEL for the stream of one task, or keep it until there is a slot. */
void dx_cancel_task(struct dx_query *query, const struct dsmx_rel *rel, uint32_t task,
                    uint32_t partition);
/* For every stream that partition @partition of an exchange would have read. */
void dx_cancel_partition(struct dx_query *query, const struct dsmx_rel *rel, uint32_t partition);
/* What found no slot before. Returns whether anything was said. */
bool dx_cancel_again(struct dx_query *query);

/* --- passive.c --- */
int dx_passive_execute(struct dx_fragment *fragment, const struct dsmx_rel *rel, struct dsmx_cx *cx,
                       struct dsmx_stream **ret_stream) DX_MUST_CHECK;

/* --- deal.c --- */
/* Deal a batch out. 0; -EAGAIN: no room for all of it, the rest is in producer->stalled; else why not. */
int dx_deal_batch(struct dx_producer *producer, const struct dsmx_batch *batch,
                  struct dsmx_error *err) DX_MUST_CHECK;
/* The rest of it, likewise. */
int dx_deal_rest(struct dx_producer *producer, struct dsmx_error *err) DX_MUST_CHECK;
/* Queue what is in open frames, as far as it is. Returns 0, or what dx_deal_failed() has a sentence for. */
int dx_deal_flush(struct dx_producer *producer) DX_MUST_CHECK;
int dx_deal_failed(struct dx_producer *producer, int code, struct dsmx_error *err);
/* From queues into streams; notes consumers that went away. */
void dx_deal_deliver(struct dx_producer *producer);
/* Of a usual frame. */
size_t dx_deal_slab_bytes(const struct dx_producer *producer);
/* It is the lowest of a deadlock: let what is full overflow, or fail with the set in the sentence. */
void dx_deal_overflow(struct dx_producer *producer, const char *set);

/* --- producer.c --- */
int dx_producer_start(struct dx_query *query, uint32_t exchange, uint32_t task, uint64_t recv_ns,
                      struct dx_producer **ret_producer, struct dsmx_error *err) DX_MUST_CHECK;
/* A partition was asked for, or is not wanted. The task takes note. */
void dx_producer_attach(struct dx_producer *producer, uint32_t partition, struct dx_tx *tx);
void dx_producer_cancel(struct dx_producer *producer, uint32_t partition);
void dx_producer_free(struct dx_producer *producer);

/* --- record.c --- */
/* NULL: all are in use. */
struct dsmx_task_abi *dx_record_take(struct dx_query *query, uint32_t exchange, uint32_t task);
void dx_record_drop(struct dsmx_task_abi *record);
uint32_t dx_record_index(const struct dx_mesh *mesh, const struct dsmx_task_abi *record);
/* What is parked on (park_exchange, park_partition) was stored before. */
void dx_record_park(struct dsmx_task_abi *record, uint32_t kind);

/* A partition's bit in park_any. */
#define DX_PARK_BIT(partition) (1ULL << ((partition) < 63 ? (partition) : 63))

/* --- deadlock.c --- */
/* Is this parked task in a deadlock, and the lowest of it? Then @ret_set says who else is. */
bool dx_deadlock_look(struct dx_service *service, const struct dsmx_task_abi *record, char *ret_set,
                      size_t len);

/* --- output.c --- */
int dx_output_init(struct dx_output *output, struct dx_producer *producer,
                   uint32_t partition) DX_MUST_CHECK;
void dx_output_fini(struct dx_output *output);
/* May one more frame of about @len_bytes be opened for it? */
bool dx_output_has_room(const struct dx_output *output, size_t len_bytes);
/* Bytes of its credit that are left. */
uint64_t dx_output_free_bytes(const struct dx_output *output);
/* Has it nothing out at all? Then it may take its reserved piece. */
bool dx_output_is_empty(const struct dx_output *output);
/* Queue a frame; takes one reference over. */
int dx_output_put(struct dx_output *output, struct dx_frame *frame, uint32_t len_bytes,
                  uint32_t rows) DX_MUST_CHECK;
/* Queue to stream, as far as there is room; then @waker will be woken. Notes a consumer that went away. */
void dx_output_deliver(struct dx_output *output, struct dsmx_waker *waker);
/* The end, once its queue is empty (FIN) or at once (ERROR, CANCELLED). */
void dx_output_finish(struct dx_output *output, uint32_t state, const struct dsmx_error *why);

#endif /* DX_EXCHANGE_INTERNAL_H */
