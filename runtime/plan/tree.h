/* SPDX-License-Identifier: MIT */
/*
 * tree.h - what the files of plan/ share: the plan itself, and making, copying and renumbering its nodes
 *
 * A node is constant once it is made. Whoever wants another one makes a copy: filters that move into scans,
 * pruning and EnforceDsmShuffle return new relations, and the root changes hands at the end. So a relation
 * may be used as an input twice; every use becomes a part of the tree of its own when the plan is finished.
 *
 * Every constructor takes the plan, keeps the first failure there, and returns NULL from then on.
 */
#ifndef DX_PLAN_TREE_H
#define DX_PLAN_TREE_H

#include "base/compiler.h"
#include "plan/arena.h"
#include "plan/node.h"

/*
 * Nodes of a tree, and of an expression: what a plan can grow to that uses parts of itself many times.
 */
#define DX_PLAN_RELS_MAX  16384U
#define DX_EXPR_NODES_MAX (1U << 20)

/* Tasks of a fragment, and so partitions of an exchange. */
#define DX_TASKS_MAX 1024U

/* A column that pruning dropped, in a map from old to new numbers. */
#define DX_COLUMN_GONE UINT32_MAX

/* What a config field of 0 means. The seed differs from those of joins and aggregates. */
#define DX_EXCHANGE_CREDIT_BYTES (1U << 20)
#define DX_EXCHANGE_FRAME_BYTES  (64U << 10)
#define DX_EXCHANGE_HASH_SEED    0x64736d78U

struct dsmx_plan {
	struct dx_arena arena;
	struct dsmx_error error; /* the first failure; code 0: none */
	struct dsmx_rel *root;
	struct dsmx_schema
		schema; /* the root's, under the names that dsmx_plan_finish() was given */
	struct dsmx_rel **exchanges; /* collect_dsm_exchanges */
	int *consumers;              /* the exchange above each of them, -1: the root */
	uint32_t exchange_count;
};

/* --- failing ------------------------------------------------------------------------------------------ */

/* Keep the first failure. Returns NULL, so that it ends a constructor. */
void *dx_plan_fail(struct dsmx_plan *plan, int code, const char *fmt, ...) DX_PRINTF(3, 4);

/* Zeroed memory of the plan's; NULL with -ENOMEM kept. */
void *dx_plan_alloc(struct dsmx_plan *plan, size_t count, size_t size);
void *dx_plan_copy(struct dsmx_plan *plan, const void *array, size_t count, size_t size);
const char *dx_plan_text(struct dsmx_plan *plan, const char *text);

static inline bool dx_plan_failed(const struct dsmx_plan *plan)
{
	return plan->error.code != 0;
}

/* May go on: nothing failed, and none of @count pointers is NULL (else that is the failure). */
bool dx_plan_given(struct dsmx_plan *plan, const char *what, const void *const *pointers,
                   uint32_t count);

/* --- expressions -------------------------------------------------------------------------------------- */

struct dsmx_expr *dx_expr_new(struct dsmx_plan *plan, enum dx_expr_kind kind, struct dsmx_type type,
                              bool nullable, struct dsmx_expr *const *args, uint32_t arg_count);
/* Text of a value is copied. */
struct dsmx_expr *dx_expr_value(struct dsmx_plan *plan, struct dsmx_type type,
                                const union dx_value *value);
struct dsmx_expr *dx_expr_null(struct dsmx_plan *plan, struct dsmx_type type);
struct dsmx_expr *dx_expr_field(struct dsmx_plan *plan, const struct dsmx_schema *schema,
                                uint32_t column);

/* a AND b, flat; either may be NULL. */
struct dsmx_expr *dx_expr_and(struct dsmx_plan *plan, struct dsmx_expr *a, struct dsmx_expr *b);

/* Mark the columns that @expr reads (NULL: none). */
void dx_expr_columns(const struct dsmx_expr *expr, bool *used);

/* @expr with column c numbered map[c]; itself where nothing changes; NULL for NULL. */
struct dsmx_expr *dx_expr_renumber(struct dsmx_plan *plan, struct dsmx_expr *expr,
                                   const uint32_t *map);

/* Every column that @expr reads is in @schema, with that type; else the plan fails, naming @where. */
bool dx_expr_fits(struct dsmx_plan *plan, const char *where, const struct dsmx_expr *expr,
                  const struct dsmx_schema *schema);

/* --- type rules: 0, or -EINVAL with the sentence -------------------------------------------------------- */

int dx_type_check(struct dsmx_type type, struct dsmx_error *err);
int dx_call_type(enum dsmx_function function, struct dsmx_expr *const *args, uint32_t count,
                 struct dsmx_type *ret_type, struct dsmx_error *err);
int dx_cast_check(struct dsmx_type from, struct dsmx_type to, struct dsmx_error *err);
int dx_aggregate_type(enum dsmx_aggregate function, struct dsmx_type arg,
                      struct dsmx_type *ret_type, struct dsmx_error *err);

/* --- relations ---------------------------------------------------------------------------------------- */

/* A relation over @inputs, its schema with room for @field_count fields; kind and inputs are filled. */
struct dsmx_rel *dx_rel_new(struct dsmx_plan *plan, enum dx_rel_kind kind,
                            struct dsmx_rel *const *inputs, uint32_t input_count,
                            uint32_t field_count);
/* Field @column of a relation that is being made; the name is borrowed from the plan. */
void dx_rel_set_field(struct dsmx_rel *rel, uint32_t column, struct dsmx_field field);

/* Depth and properties, after all else is filled; every constructor ends with it. */
struct dsmx_rel *dx_rel_seal(struct dsmx_plan *plan, struct dsmx_rel *rel);

/* A relation over one input that has that input's columns; to be filled and sealed. */
struct dsmx_rel *dx_rel_passing(struct dsmx_plan *plan, enum dx_rel_kind kind,
                                struct dsmx_rel *input);

/* An exchange as @like says, which is checked; its arrays are copied, its number and tasks are taken over. */
struct dsmx_rel *dx_rel_exchange_like(struct dsmx_plan *plan, struct dsmx_rel *input,
                                      const struct dx_exchange *like);

/* A copy of @rel over other inputs of the same schemas. */
struct dsmx_rel *dx_rel_over(struct dsmx_plan *plan, const struct dsmx_rel *rel,
                             struct dsmx_rel *const *inputs);

struct dsmx_rel *dx_rel_scan_of(struct dsmx_plan *plan, const char *path,
                                const struct dsmx_schema *file_schema, const uint32_t *columns,
                                uint32_t column_count);
/* A project of plain columns. */
struct dsmx_rel *dx_rel_pick(struct dsmx_plan *plan, struct dsmx_rel *input,
                             const uint32_t *columns, uint32_t count);
struct dsmx_rel *dx_rel_local(struct dsmx_plan *plan, struct dsmx_rel *sort_or_limit);
/* The PARTIAL phase of @like, an aggregate in one phase, over an input with the columns of its own. */
struct dsmx_rel *dx_rel_partial(struct dsmx_plan *plan, const struct dsmx_rel *like,
                                struct dsmx_rel *input);
/* The FINAL phase, over what such a PARTIAL gives. */
struct dx_final_measure {
	enum dsmx_aggregate function;
	struct dsmx_type arg_type; /* of what the partial phase took; DSMX_NONE for COUNT_STAR */
	bool arg_nullable;
	const char *name;
};
struct dsmx_rel *dx_rel_final(struct dsmx_plan *plan, struct dsmx_rel *input, uint32_t key_count,
                              const struct dx_final_measure *measures, uint32_t measure_count);

/* --- whole trees -------------------------------------------------------------------------------------- */

/* Drop the columns that nobody uses. Returns a tree of its own, NULL on failure (kept). */
struct dsmx_rel *dx_plan_prune(struct dsmx_plan *plan, struct dsmx_rel *root);

/*
 * Number the exchanges and list them, inputs first. The number is written into the nodes: the tree must be
 * the plan's own, as dx_plan_prune() returns it.
 */
void dx_plan_collect(struct dsmx_plan *plan);

/* What both dsmx_plan_finish() and the codec end with: @root becomes the plan's. */
void dx_plan_set_root(struct dsmx_plan *plan, struct dsmx_rel *root, const char *const *names);

/* Is a leaf in the fragment of @rel? */
bool dx_rel_has_leaf(const struct dsmx_rel *rel);

/* Give each fragment of a tree its tasks, @tasks where nothing else decides. */
void dx_plan_set_tasks(struct dsmx_plan *plan, struct dsmx_rel *root, uint32_t tasks);

/*
 * Do the numbers of tasks and partitions of a plan that came from outside go together? All are there or none,
 * exchanges into a fragment have a partition for each of its tasks, a leaf's fragment has one.
 */
void dx_plan_check_tasks(struct dsmx_plan *plan);

/* Fill @rel->properties from its inputs'. */
void dx_rel_properties(struct dsmx_rel *rel);

#endif /* DX_PLAN_TREE_H */
