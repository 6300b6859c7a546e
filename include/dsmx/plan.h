/* SPDX-License-Identifier: MIT */
/*
 * plan.h - build, read, write and show plans
 *
 * A plan is a tree of relations over expressions. Its wire form is a Substrait Plan (substrait.io);
 * the exchange is an ExchangeRel. Everything made by the builder belongs to the plan and is freed with
 * it. Building needs no error checks on the way: the first failure is kept, every later call returns
 * NULL at once (and takes NULL arguments), and dsmx_plan_finish() reports it.
 *
 * Columns are numbered from 0 in the output of a relation; a join's are its left input's, then its
 * right input's. Types of calls are inferred; arguments must have been cast to agree.
 */
#ifndef DSMX_PLAN_H
#define DSMX_PLAN_H

#include "dsmx/batch.h"

#ifdef __cplusplus
extern "C" {
#endif

struct dsmx_plan;
struct dsmx_rel;
struct dsmx_expr;

/* Limits that decoding checks first; over them: -E2BIG. */
#define DSMX_PLAN_BYTES_MAX     (16U << 20)
#define DSMX_PLAN_DEPTH_MAX     200
#define DSMX_PLAN_EXCHANGES_MAX 1024
#define DSMX_PLAN_COLUMNS_MAX   4096

/* --- life of a plan ---------------------------------------------------------------------------------- */

/* dsmx_plan_new() - an empty plan. Return: 0 or -ENOMEM. */
DSMX_API int dsmx_plan_new(struct dsmx_plan **ret_plan);
/* dsmx_plan_free() - the plan and everything built in it; NULL is fine */
DSMX_API void dsmx_plan_free(struct dsmx_plan *plan);

/*
 * dsmx_plan_finish() - make @root the plan's root
 *
 * @names: one for each column of @root, copied; NULL: the schema's own
 * Return: 0, or the first failure since dsmx_plan_new() with its sentence: -EINVAL (types that do not
 * fit, no such column, ...), -EOPNOTSUPP, -E2BIG, -ENOMEM, ...
 */
DSMX_API int dsmx_plan_finish(struct dsmx_plan *plan, struct dsmx_rel *root,
                              const char *const *names, struct dsmx_error *err);

/* dsmx_plan_error() - the first failure so far, 0 if none; the sentence goes to @err */
DSMX_API int dsmx_plan_error(const struct dsmx_plan *plan, struct dsmx_error *err);

/* The root's schema; NULL before dsmx_plan_finish(). The plan's. */
DSMX_API const struct dsmx_schema *dsmx_plan_schema(const struct dsmx_plan *plan);

/* The output schema of a relation; NULL for NULL. The plan's. */
DSMX_API const struct dsmx_schema *dsmx_rel_schema(const struct dsmx_rel *rel);

/* The type of an expression; DSMX_NONE for NULL. */
DSMX_API struct dsmx_type dsmx_expr_type(const struct dsmx_expr *expr);
DSMX_API bool dsmx_expr_nullable(const struct dsmx_expr *expr);

/* --- expressions -------------------------------------------------------------------------------------- */

enum dsmx_function {
	DSMX_FN_NONE,
	DSMX_FN_ADD, /* numbers alike (decimals may differ in precision and scale) */
	DSMX_FN_SUBTRACT,
	DSMX_FN_MULTIPLY,
	DSMX_FN_DIVIDE,
	DSMX_FN_MODULUS,
	DSMX_FN_NEGATE,
	DSMX_FN_EQUAL, /* both of one type (decimals may differ); NaN equals NaN */
	DSMX_FN_NOT_EQUAL,
	DSMX_FN_LT,
	DSMX_FN_LTE,
	DSMX_FN_GT,
	DSMX_FN_GTE,
	DSMX_FN_IS_NULL,
	DSMX_FN_IS_NOT_NULL,
	DSMX_FN_AND, /* any number of bools, three-valued */
	DSMX_FN_OR,
	DSMX_FN_NOT,
	DSMX_FN_LIKE,      /* text, pattern literal: % any characters, _ one, \ escapes */
	DSMX_FN_SUBSTRING, /* text, from 1, length: in characters */
	DSMX_FN_LOWER,     /* ASCII letters, as in UPPER */
	DSMX_FN_UPPER,
	DSMX_FN_CONCAT,      /* any number of texts */
	DSMX_FN_CHAR_LENGTH, /* int32 */
	DSMX_FN_COALESCE,    /* any number of one type */
	DSMX_FN_ABS,
	DSMX_FN_EXTRACT, /* a part (utf8 literal: year month day quarter dow doy hour minute), date or
	                    timestamp: int64 */
	DSMX_FN_COUNT
};

/* Column @column of @input. */
DSMX_API struct dsmx_expr *dsmx_expr_column(struct dsmx_plan *plan, const struct dsmx_rel *input,
                                            uint32_t column);
/* The same by name; -ENOENT where there is none, -EINVAL where there are two. */
DSMX_API struct dsmx_expr *dsmx_expr_column_named(struct dsmx_plan *plan,
                                                  const struct dsmx_rel *input, const char *name);

/*
 * Literals. dsmx_expr_literal() reads the text of a value as `dsmx import` does: "-12.50", "1995-03-15",
 * "true", "2024-02-29 12:30:00.5"; NULL is the null of that type. -EINVAL, -ERANGE.
 */
DSMX_API struct dsmx_expr *dsmx_expr_literal(struct dsmx_plan *plan, struct dsmx_type type,
                                             const char *text);
DSMX_API struct dsmx_expr *dsmx_expr_int64(struct dsmx_plan *plan, int64_t value);
DSMX_API struct dsmx_expr *dsmx_expr_utf8(struct dsmx_plan *plan, const char *text, size_t len);

/* @function of @arg_count arguments, of the types that stand beside its name above. */
DSMX_API struct dsmx_expr *dsmx_expr_call(struct dsmx_plan *plan, enum dsmx_function function,
                                          struct dsmx_expr *const *args, uint32_t arg_count);

/* A cast: numbers to numbers, text to and from everything, date to and from timestamp, bool to int. */
DSMX_API struct dsmx_expr *dsmx_expr_cast(struct dsmx_plan *plan, struct dsmx_expr *arg,
                                          struct dsmx_type type);

/*
 * CASE WHEN conditions[0] THEN results[0] ... ELSE otherwise END; @otherwise NULL: the null. All
 * results have one type.
 */
DSMX_API struct dsmx_expr *dsmx_expr_case(struct dsmx_plan *plan,
                                          struct dsmx_expr *const *conditions,
                                          struct dsmx_expr *const *results, uint32_t count,
                                          struct dsmx_expr *otherwise);

/* @arg IN (options): all of one type. */
DSMX_API struct dsmx_expr *dsmx_expr_in(struct dsmx_plan *plan, struct dsmx_expr *arg,
                                        struct dsmx_expr *const *options, uint32_t count);

/* --- relations ---------------------------------------------------------------------------------------- */

/*
 * dsmx_rel_scan() - rows of an Arrow file
 *
 * @path: absolute, or relative to the directory of the process that opens it; opened here for its
 *	schema, and again, memory-mapped, by every process that reads a share of its record batches
 * @columns: which columns, in which order; @column_count 0: all
 */
DSMX_API struct dsmx_rel *dsmx_rel_scan(struct dsmx_plan *plan, const char *path,
                                        const uint32_t *columns, uint32_t column_count);

/*
 * dsmx_rel_leaf() - rows of an ArrowArrayStream that the leader has
 *
 * @name: the stream is given to dsmx_query_start() under it; its fragment runs in the leader
 */
DSMX_API struct dsmx_rel *dsmx_rel_leaf(struct dsmx_plan *plan, const char *name,
                                        const struct dsmx_schema *schema);

/* Rows for which @condition is true. Over a scan, it is done by the scan. */
DSMX_API struct dsmx_rel *dsmx_rel_filter(struct dsmx_plan *plan, struct dsmx_rel *input,
                                          struct dsmx_expr *condition);

/* One column for each expression; @names NULL, or NULL in it: as the column it refers to, or "". */
DSMX_API struct dsmx_rel *dsmx_rel_project(struct dsmx_plan *plan, struct dsmx_rel *input,
                                           struct dsmx_expr *const *exprs, const char *const *names,
                                           uint32_t count);

enum dsmx_join_kind {
	DSMX_JOIN_INNER,
	DSMX_JOIN_LEFT, /* all left rows; right columns null where there is none */
	DSMX_JOIN_SEMI, /* left rows that have a match; left columns only */
	DSMX_JOIN_ANTI, /* left rows that have none; left columns only */
};

/*
 * dsmx_rel_join() - a hash join; the right input is the build side
 *
 * @left_keys, @right_keys: columns compared by equality, pairwise of one type; null matches nothing
 * @condition: NULL, or what a pair must also satisfy (columns numbered left, then right; make them
 *	with dsmx_expr_pair_column())
 */
DSMX_API struct dsmx_rel *dsmx_rel_join(struct dsmx_plan *plan, enum dsmx_join_kind kind,
                                        struct dsmx_rel *left, struct dsmx_rel *right,
                                        const uint32_t *left_keys, const uint32_t *right_keys,
                                        uint32_t key_count, struct dsmx_expr *condition);
DSMX_API struct dsmx_expr *dsmx_expr_pair_column(struct dsmx_plan *plan,
                                                 const struct dsmx_rel *left,
                                                 const struct dsmx_rel *right, uint32_t column);

/*
 * dsmx_rel_join_filter() - a join that does, or does not, say early what its build keys are
 *
 * An inner or semi join that does (all do, unless they are told not to) makes a Bloom filter and the range of its
 * keys when its build side is complete, before it asks for its probe side. The scan or exchange that the probe keys
 * come from drops rows which cannot match: an exchange in the producer, before they are sent. Where that cannot be
 * used it changes nothing, and it never changes a result. EXPLAIN names the scan or exchange.
 * Return: a copy of @join; NULL after a failure.
 */
DSMX_API struct dsmx_rel *dsmx_rel_join_filter(struct dsmx_plan *plan, struct dsmx_rel *join,
                                               bool on);
/* dsmx_plan_filters() - the same for all joins of a finished plan. Return: 0, or -EINVAL: it is not finished. */
DSMX_API int dsmx_plan_filters(struct dsmx_plan *plan, bool on);

enum dsmx_aggregate {
	DSMX_AGG_COUNT_STAR,
	DSMX_AGG_COUNT, /* int64 */
	DSMX_AGG_SUM, /* int8..32: int64; int64: decimal(38,0); decimal(p,s): decimal(38,s); floats: float64 */
	DSMX_AGG_AVG, /* ints and decimals: decimal(38, max(6, s) + 4); floats: float64 */
	DSMX_AGG_MIN, /* any type */
	DSMX_AGG_MAX,
};

struct dsmx_measure {
	enum dsmx_aggregate function;
	struct dsmx_expr *arg; /* NULL for COUNT_STAR */
	const char *name;      /* of the output column; NULL: as PostgreSQL would call it */
};

/*
 * dsmx_rel_aggregate() - groups by @keys; its columns: the keys, then the measures
 *
 * Without keys: one row, also over no rows. EnforceDsmShuffle splits it into a partial and a final
 * phase around an exchange.
 */
DSMX_API struct dsmx_rel *dsmx_rel_aggregate(struct dsmx_plan *plan, struct dsmx_rel *input,
                                             struct dsmx_expr *const *keys, uint32_t key_count,
                                             const struct dsmx_measure *measures,
                                             uint32_t measure_count);

struct dsmx_sort_key {
	uint32_t column;
	bool descending;
	bool nulls_first; /* usual: false ascending, true descending */
};

/* All rows of @input, by the first key, where that is equal by the second, and so on. */
DSMX_API struct dsmx_rel *dsmx_rel_sort(struct dsmx_plan *plan, struct dsmx_rel *input,
                                        const struct dsmx_sort_key *keys, uint32_t key_count);

/* Rows @offset .. @offset + @count - 1; @count UINT64_MAX: all from @offset. Over a sort: a top-k. */
DSMX_API struct dsmx_rel *dsmx_rel_limit(struct dsmx_plan *plan, struct dsmx_rel *input,
                                         uint64_t offset, uint64_t count);

/* An operator of the engine's own: see struct dsmx_extension. @bytes are copied. */
DSMX_API struct dsmx_rel *dsmx_rel_extension(struct dsmx_plan *plan, const char *name,
                                             const void *bytes, size_t len_bytes,
                                             const struct dsmx_schema *output,
                                             struct dsmx_rel *const *inputs, uint32_t input_count);

enum dsmx_exchange_kind {
	DSMX_EXCHANGE_HASH,      /* a row goes to the partition of its keys' hash */
	DSMX_EXCHANGE_BROADCAST, /* every row goes to every partition */
	DSMX_EXCHANGE_GATHER,    /* every row goes to the one partition there is */
	DSMX_EXCHANGE_ROUND_ROBIN, /* rows are dealt in turn, some dozens at a time; task t begins at t */
	DSMX_EXCHANGE_EXPLICIT,    /* a row goes to the partition whose number it has in a column */
	DSMX_EXCHANGE_PASSTHROUGH, /* the rows of producer task t go to partition t */
	DSMX_EXCHANGE_MERGE,       /* a gather of rows that come sorted, and stay so */
	DSMX_EXCHANGE_RANGE,     /* partitions lie one behind the other in the order of a column */
	DSMX_EXCHANGE_ARBITRARY, /* a row goes to a partition that has room for it, any one */
	DSMX_EXCHANGE_KIND_COUNT
};

/* struct dsmx_exchange_config - 0 in any field: the default */
struct dsmx_exchange_config {
	uint64_t credit_bytes; /* that a stream may have outstanding */
	uint32_t frame_bytes;  /* small frames are coalesced up to this */
	uint32_t hash_seed;
	bool overflow_forbidden;
};

/*
 * dsmx_rel_exchange() - a process boundary; usually left to EnforceDsmShuffle
 *
 * @kind: any but MERGE and RANGE
 * @keys: columns, for HASH; the one integer column, for EXPLICIT: a row whose value is null or no
 *	partition's number ends the query with -ERANGE
 * @partitions: of the consumers; 0: as many as there are tasks. PASSTHROUGH has at most as many
 *	producer tasks; partitions without one are empty.
 * Failures, here and below: -EINVAL, -E2BIG, -ENOMEM.
 */
DSMX_API struct dsmx_rel *dsmx_rel_exchange(struct dsmx_plan *plan, enum dsmx_exchange_kind kind,
                                            struct dsmx_rel *input, const uint32_t *keys,
                                            uint32_t key_count, uint32_t partitions,
                                            const struct dsmx_exchange_config *config);

/*
 * dsmx_rel_exchange_merge() - MERGE: a gather of sorted rows
 *
 * @keys: what the rows of each producer task are sorted by already (dsmx_rel_sort() under an exchange is of
 *	all tasks: dsmx_plan_distribute() makes a merge of a sort). Rows that come in another order are neither
 *	lost nor refused, only not in order. Of rows with equal keys those of a lower task come first.
 */
DSMX_API struct dsmx_rel *dsmx_rel_exchange_merge(struct dsmx_plan *plan, struct dsmx_rel *input,
                                                  const struct dsmx_sort_key *keys,
                                                  uint32_t key_count,
                                                  const struct dsmx_exchange_config *config);

/*
 * dsmx_rel_exchange_range() - RANGE: partition p has the rows from bound p - 1 on, up to before bound p
 *
 * @key: column and order; nulls are in the first or last partition, as they are sorted
 * @bounds: literals of the column's type, in the order of @key; equal ones leave a partition empty.
 *	There is one partition more than bounds.
 */
DSMX_API struct dsmx_rel *dsmx_rel_exchange_range(struct dsmx_plan *plan, struct dsmx_rel *input,
                                                  const struct dsmx_sort_key *key,
                                                  struct dsmx_expr *const *bounds,
                                                  uint32_t bound_count,
                                                  const struct dsmx_exchange_config *config);

/*
 * dsmx_rel_exchange_sampled() - RANGE without bounds: a distributed sort
 *
 * Each producer task sorts its rows, takes a sample, and reads the others' samples when all are there; so all of
 * them come to the same bounds, which share the rows out evenly. Partition p has its rows in order, all of them before
 * those of p + 1; rows with equal keys are in one partition. Nothing is sent before every task has read its input.
 *
 * @keys: any number of sort keys; @partitions: 0: as many as there are tasks
 */
DSMX_API struct dsmx_rel *dsmx_rel_exchange_sampled(struct dsmx_plan *plan, struct dsmx_rel *input,
                                                    const struct dsmx_sort_key *keys,
                                                    uint32_t key_count, uint32_t partitions,
                                                    const struct dsmx_exchange_config *config);

/* --- JoinScan: a distributed join in one call --------------------------------------------------------- */

struct dsmx_joinscan_side {
	struct dsmx_rel *rel; /* a scan, or anything over one */
	const uint32_t *keys;
	uint32_t key_count;
	bool broadcast; /* small: every task gets all of it (the right side only) */
};

/*
 * dsmx_rel_joinscan() - both sides exchanged by key (or the right one broadcast), then joined
 *
 * Return: the join; aggregate, sort and limit go on top as usual. EXPLAIN calls it JoinScan.
 */
DSMX_API struct dsmx_rel *dsmx_rel_joinscan(struct dsmx_plan *plan, enum dsmx_join_kind kind,
                                            const struct dsmx_joinscan_side *left,
                                            const struct dsmx_joinscan_side *right);

/* --- distribution, bytes, EXPLAIN ---------------------------------------------------------------------- */

/*
 * dsmx_plan_distribute() - EnforceDsmShuffle: put exchanges where a distribution is required and not met
 *
 * @tasks: of every fragment that is not the root's, at least 1; the number of workers is usual
 * Idempotent. Exchanges are numbered in the order in which dsmx_plan_exchange() gives them.
 * Return: 0 or -EINVAL, -E2BIG, -ENOMEM.
 */
DSMX_API int dsmx_plan_distribute(struct dsmx_plan *plan, uint32_t tasks, struct dsmx_error *err);

/* What an exchange is, for reading. Strings and arrays are the plan's. */
struct dsmx_exchange_info {
	uint32_t number;
	enum dsmx_exchange_kind kind;
	uint32_t producer_tasks;      /* 0 before dsmx_plan_distribute() */
	uint32_t consumer_partitions; /* likewise */
	const uint32_t *keys;
	uint32_t key_count;
	const struct dsmx_schema *schema;
	struct dsmx_exchange_config config; /* defaults filled in */
	const struct dsmx_sort_key *order;  /* MERGE, RANGE */
	uint32_t order_count;
	uint32_t bound_count; /* RANGE */
	bool sampled;         /* RANGE */
};

/* dsmx_plan_exchange() - collect_dsm_exchanges: the exchanges in a stable order, inputs first */
DSMX_API uint32_t dsmx_plan_exchange_count(const struct dsmx_plan *plan);
DSMX_API int dsmx_plan_exchange(const struct dsmx_plan *plan, uint32_t number,
                                struct dsmx_exchange_info *ret_info);

/*
 * dsmx_plan_encode() - the plan as Substrait bytes
 *
 * @ret_bytes: malloc'ed, the caller's: free()
 * Return: 0, -EINVAL for a plan that is not finished, -ENOMEM.
 */
DSMX_API int dsmx_plan_encode(const struct dsmx_plan *plan, void **ret_bytes, size_t *ret_len,
                              struct dsmx_error *err);

/*
 * dsmx_plan_decode() - a plan from Substrait bytes, ours or another planner's
 *
 * Return: 0, -EBADMSG: not a Substrait plan (the sentence says where), -EOPNOTSUPP: a part of Substrait
 * that dsmx has not, -E2BIG, -EINVAL (types that do not fit), -ENOMEM.
 */
DSMX_API int dsmx_plan_decode(const void *bytes, size_t len, struct dsmx_plan **ret_plan,
                              struct dsmx_error *err);

/*
 * dsmx_plan_explain() - the tree, one line for each relation
 *
 * @ret_text: malloc'ed, ends in a newline, the caller's: free()
 * Return: 0 or -EINVAL, -ENOMEM.
 */
DSMX_API int dsmx_plan_explain(const struct dsmx_plan *plan, char **ret_text);

#ifdef __cplusplus
}
#endif

#endif /* DSMX_PLAN_H */
