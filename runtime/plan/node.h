/* SPDX-License-Identifier: MIT */
/*
 * node.h - a plan in memory: relations over expressions
 *
 * One representation for everybody: the builder makes it, the codec reads and writes it, EnforceDsmShuffle
 * rewrites it, the operators are built from it, EXPLAIN prints it. All of it lives in the plan's arena and
 * is constant once the plan is finished or decoded; nobody but plan/ writes it.
 */
#ifndef DX_PLAN_NODE_H
#define DX_PLAN_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "batch/value.h"
#include "dsmx/abi.h"
#include "dsmx/exec.h"
#include "dsmx/plan.h"

/* --- expressions --------------------------------------------------------------------------------------- */

enum dx_expr_kind {
	DX_EXPR_COLUMN,
	DX_EXPR_LITERAL,
	DX_EXPR_CALL,
	DX_EXPR_CAST, /* args[0] to type */
	DX_EXPR_CASE, /* args: condition, result, condition, result, ..., otherwise (always there) */
	DX_EXPR_IN,   /* args[0] in args[1..]: literals of its type */
};

struct dsmx_expr {
	enum dx_expr_kind kind;
	struct dsmx_type type;
	bool nullable;
	uint16_t depth;  /* levels of expressions, this one included */
	uint32_t size;   /* expressions in all, this one included, each use counted */
	uint32_t column; /* COLUMN: of the input relation, for a join's condition of the pair */
	bool is_null;    /* LITERAL */
	union dx_value value;        /* LITERAL that is not null */
	enum dsmx_function function; /* CALL */
	uint32_t arg_count;
	struct dsmx_expr **args;
};

/* --- properties ---------------------------------------------------------------------------------------- */

enum dx_partitioning_kind {
	DX_PARTITIONING_UNKNOWN, /* several partitions, no more is known: what an exchange reports */
	DX_PARTITIONING_SINGLE,
	DX_PARTITIONING_HASH,       /* equal keys are in one partition */
	DX_PARTITIONING_REPLICATED, /* every partition has all rows */
};

/*
 * How the output of a relation is spread and ordered, for those above. An exchange says only that there are
 * partitions, so nobody plans anything across it; that it has put equal keys together is used by
 * EnforceDsmShuffle alone (plan/distribute.c), which reads it off the exchange itself.
 */
struct dx_properties {
	enum dx_partitioning_kind partitioning;
	uint32_t partitions; /* 0: as many as its fragment has tasks */
	const struct dsmx_sort_key *order;
	uint32_t order_count;
};

/* --- relations ----------------------------------------------------------------------------------------- */

enum dx_rel_kind {
	DX_REL_SCAN,
	DX_REL_LEAF,
	DX_REL_FILTER,
	DX_REL_PROJECT,
	DX_REL_JOIN,
	DX_REL_AGGREGATE,
	DX_REL_SORT,
	DX_REL_LIMIT,
	DX_REL_EXCHANGE,
	DX_REL_EXTENSION,
	DX_REL_KIND_COUNT
};

/* Least and greatest value of a column in a file, as dx_ipc_range() has them. */
struct dx_column_range {
	bool known;
	int64_t least, greatest;
};

/*
 * A scan's partitions are record batches: task t of n reads batches t, t + n, t + 2n, ... The filter is
 * numbered by the scan's output columns; `columns` says which of the file's they are. Columns that only
 * the filter needs are output columns too: a project above drops them.
 */
struct dx_scan {
	const char *path;
	uint32_t *
		columns; /* rel.schema.field_count of them: column i of the output is columns[i] of the file */
	struct dsmx_schema
		file_schema;      /* as the planner saw it; the scan compares it with the file */
	struct dsmx_expr *filter; /* NULL: all rows */
	uint64_t rows;    /* in the file when it was planned; an estimate, not on the wire */
	uint32_t batches; /* likewise; 0: not known */
	const struct dx_column_range *ranges; /* likewise; of the file's columns; NULL: not known */
};

struct dx_join {
	enum dsmx_join_kind kind;
	uint32_t *left_keys, *right_keys;
	uint32_t key_count;
	struct dsmx_expr *condition; /* NULL, or over the pair's columns */
	bool joinscan;               /* made by dsmx_rel_joinscan(): EXPLAIN says so */
	bool unfiltered; /* it keeps what it knows of its build keys to itself: see filter.c */
};

/* The scan or exchange that probe keys of a join come from, in the join's fragment, and which keys those are. */
struct dx_filter_target {
	const struct dsmx_rel *rel;
	uint32_t key_count;
	uint32_t keys[DSMX_FILTER_KEYS_MAX];    /* of the join's */
	uint32_t columns[DSMX_FILTER_KEYS_MAX]; /* of the relation's */
};

enum dx_phase {
	DX_PHASE_SINGLE,  /* rows to results */
	DX_PHASE_PARTIAL, /* rows to states */
	DX_PHASE_FINAL,   /* states to results */
};

/*
 * The columns of a PARTIAL output, and of a FINAL input: the keys, then for each measure its states:
 *	COUNT_STAR, COUNT	one int64, never null
 *	SUM, MIN, MAX		one of the result's type; null: no value yet
 *	AVG			the sum (as SUM of the argument's type), then the int64 count
 * In a FINAL aggregate keys are columns 0.. of the input, and the measure's `arg` is NULL: its states
 * follow from its place.
 */
struct dx_measure {
	enum dsmx_aggregate function;
	struct dsmx_expr *arg;     /* NULL for COUNT_STAR and in the FINAL phase */
	struct dsmx_type arg_type; /* of the argument, in every phase; DSMX_NONE for COUNT_STAR */
	struct dsmx_type type;     /* of the result */
};

struct dx_aggregate {
	enum dx_phase phase;
	struct dsmx_expr **keys;
	uint32_t key_count;
	struct dx_measure *measures;
	uint32_t measure_count;
};

struct dx_sort {
	struct dsmx_sort_key *keys;
	uint32_t key_count;
	bool local; /* of each partition by itself: the first half of a sort or top-k */
};

struct dx_limit {
	uint64_t offset;
	uint64_t count; /* UINT64_MAX: all */
	bool local;     /* of each partition by itself: the first half of a limit or top-k */
};

/*
 * The one process boundary. The fragment under it runs as `producer_tasks` tasks; each deals its rows to
 * `partitions` consumers: the tasks of the fragment above. `number` is its place among
 * collect_dsm_exchanges(), and its name everywhere.
 */
struct dx_exchange {
	uint32_t number;
	enum dsmx_exchange_kind kind;
	uint32_t *keys; /* HASH, EXPLICIT */
	uint32_t key_count;
	struct dsmx_sort_key
		*order; /* MERGE: of the rows; RANGE: what is dealt by, one unless it is sampled */
	uint32_t order_count;
	struct dsmx_expr *
		*bounds; /* RANGE: literals; those from bound i on are in partition i + 1 */
	uint32_t bound_count;
	bool sampled; /* RANGE: no bounds here: producers sort, take samples, and agree on bounds */
	uint32_t producer_tasks;            /* 0 before distribution */
	uint32_t partitions;                /* 0 before distribution */
	struct dsmx_exchange_config config; /* defaults filled in */
};

/* Does it bring all rows to one task? */
static inline bool dx_exchange_is_gather(const struct dx_exchange *exchange)
{
	return exchange->kind == DSMX_EXCHANGE_GATHER || exchange->kind == DSMX_EXCHANGE_MERGE;
}

/* Is there a stream from producer @task to consumer @partition? */
static inline bool dx_exchange_connects(const struct dx_exchange *exchange, uint32_t task,
                                        uint32_t partition)
{
	return exchange->kind != DSMX_EXCHANGE_PASSTHROUGH || task == partition;
}

struct dx_extension {
	const char *name;
	const void *bytes;
	size_t len_bytes;
};

struct dsmx_rel {
	enum dx_rel_kind kind;
	uint16_t depth; /* levels of relations and of their expressions, this one included */
	uint32_t size;  /* relations in all, this one included, each use counted */
	uint32_t input_count;
	struct dsmx_rel *inputs[DSMX_OPERATOR_INPUTS];
	struct dsmx_schema schema; /* of the output */
	struct dx_properties properties;
	union {
		struct dx_scan scan;
		const char *leaf;            /* LEAF: its name */
		struct dsmx_expr *condition; /* FILTER */
		struct dsmx_expr **exprs;    /* PROJECT: schema.field_count of them */
		struct dx_join join;
		struct dx_aggregate aggregate;
		struct dx_sort sort;
		struct dx_limit limit;
		struct dx_exchange exchange;
		struct dx_extension extension;
	};
};

/* --- what the layers above need of a plan ------------------------------------------------------------- */

/*
 * The scan or exchange of the same fragment that column *column of @rel comes from, if rows may be dropped there by
 * its value as well as here; *column is that relation's then. NULL: there is none.
 */
const struct dsmx_rel *dx_rel_origin(const struct dsmx_rel *rel, uint32_t *column);

/* May its producers drop a row for one partition alone, by what that one's consumer said? */
bool dx_exchange_takes_filters(const struct dx_exchange *exchange);

/* Where the filter of the build keys of @join can be used. False: nowhere, or it is switched off. */
bool dx_join_filter_target(const struct dsmx_rel *join, struct dx_filter_target *ret_target);

/* The root; NULL before the plan is finished. */
struct dsmx_rel *dx_plan_root(const struct dsmx_plan *plan);

/* Exchange @number of a distributed plan. */
struct dsmx_rel *dx_plan_exchange_rel(const struct dsmx_plan *plan, uint32_t number);

/*
 * The exchange above exchange @number: the one whose producers consume it; -1: the root does. A fragment is
 * named by the exchange above it, the root's fragment by -1.
 */
int dx_plan_consumer(const struct dsmx_plan *plan, uint32_t number);

/* Must the fragment under exchange @number run in the leader (a leaf is in it)? */
bool dx_plan_leader_only(const struct dsmx_plan *plan, uint32_t number);

/* A hash of plan bytes: the same bytes, the same hash. */
uint64_t dx_plan_hash(const void *bytes, size_t len);

/* A hash of a schema's types, names left out. */
uint64_t dx_schema_hash(const struct dsmx_schema *schema);

/*
 * EXPLAIN with something more at the end of each exchange's line: @note writes it to @buf (may be NULL),
 * and may add whole lines of its own below by returning them in @ret_below (malloc'ed, or NULL).
 */
struct dx_explain_notes {
	void (*note)(void *arg, uint32_t exchange, char *buf, size_t len, char **ret_below);
	void *arg;
};
int dx_plan_explain(const struct dsmx_plan *plan, const struct dx_explain_notes *notes,
                    char **ret_text);

/* The name of a function or aggregate as EXPLAIN prints it. */
const char *dx_function_str(enum dsmx_function function);
const char *dx_aggregate_str(enum dsmx_aggregate function);

#endif /* DX_PLAN_NODE_H */
