/* SPDX-License-Identifier: MIT */
/*
 * distribute.c - EnforceDsmShuffle: exchanges where a required distribution is not met
 *
 * From the leaves up, each relation's inputs are rewritten first, then exchanges are put between it and those
 * inputs whose rows do not lie where it needs them:
 *
 *	relation	needs
 *	join		equal keys of both sides in one task: both hashed on the keys in the same way, or all
 *			of the right side in every task, or all of both in one
 *	aggregate	equal groups in one task: hashed on columns among the keys, or all in one
 *	sort, limit	all rows in one task
 *	extension	with two inputs: all rows in one task; with one: nothing, each task has its share
 *	the plan	all rows in one task, and that one reads no file and no leaf itself
 *
 * An aggregate that has to be moved is split in two: PARTIAL below the exchange, FINAL above. So is a limit,
 * and a sort under a limit: a local one below, the one that counts above. Without a limit each task sorts its
 * share, and the exchange merges them.
 *
 * Where rows lie (struct place) is read off the exchanges themselves, which is more than they report as their
 * properties: those say UNKNOWN, so that whoever looks at properties never plans across an exchange; this rule
 * alone knows that a hash exchange right below has done the work already, and does not put a second one
 * there. So it changes nothing in a tree that it has been through.
 *
 * How many tasks each fragment has is decided when all exchanges are there: tasks.c.
 */
#include <string.h>

#include "base/err.h"
#include "dsmx/ipc.h"
#include "plan/estimate.h"
#include "plan/tree.h"

/*
 * A right side of up to this many rows is broadcast if the left one is this many times larger for each task:
 * all tasks build a table of all its rows, but the left side stays where it is. (Both sides cross an exchange
 * otherwise.)
 */
#define BROADCAST_ROWS_MAX 262144.0
#define BROADCAST_RATIO    2.0

/* A left side that is in one task keeps its place if what comes to it is no more than this. */
#define GATHER_ROWS_MAX 65536.0

/* Groups of so few rows are put together in one task. */
#define GATHER_GROUPS_ROWS_MAX 4096.0

struct distribute {
	struct dsmx_plan *plan;
	uint32_t tasks;
};

/* Where the rows of a relation lie. HASH: @keys are its own columns. */
struct place {
	enum dx_partitioning_kind kind;
	const struct dx_exchange *by; /* HASH: partitions and seed */
	uint32_t key_count;
	const uint32_t *keys;
};

static const struct place unknown = { .kind = DX_PARTITIONING_UNKNOWN };
static const struct place single = { .kind = DX_PARTITIONING_SINGLE };

/* --- where rows lie ------------------------------------------------------------------------------------ */

/* The column of @rel, a project or aggregate, that is column @column of its input; GONE: none. */
static uint32_t column_above(const struct dsmx_rel *rel, uint32_t column)
{
	bool project = rel->kind == DX_REL_PROJECT;
	struct dsmx_expr *const *exprs = project ? rel->exprs : rel->aggregate.keys;
	uint32_t count = project ? rel->schema.field_count : rel->aggregate.key_count;

	for (uint32_t i = 0; i < count; i++) {
		if (exprs[i]->kind == DX_EXPR_COLUMN && exprs[i]->column == column)
			return i;
	}
	return DX_COLUMN_GONE;
}

/* A place whose hash keys are renumbered; UNKNOWN if one of them is gone. */
static struct place place_above(struct distribute *d, const struct dsmx_rel *rel,
                                struct place place)
{
	uint32_t *keys;

	if (place.kind != DX_PARTITIONING_HASH)
		return place;
	keys = dx_plan_alloc(d->plan, place.key_count, sizeof(uint32_t));
	if (keys == NULL)
		return unknown;
	for (uint32_t i = 0; i < place.key_count; i++) {
		keys[i] = column_above(rel, place.keys[i]);
		if (keys[i] == DX_COLUMN_GONE)
			return unknown;
	}
	place.keys = keys;
	return place;
}

static struct place place_of_exchange(const struct dx_exchange *exchange)
{
	if (dx_exchange_is_gather(exchange))
		return single;
	if (exchange->kind == DSMX_EXCHANGE_BROADCAST)
		return (struct place){ .kind = DX_PARTITIONING_REPLICATED };
	if (exchange->kind != DSMX_EXCHANGE_HASH)
		return unknown;
	return (struct place){ .kind = DX_PARTITIONING_HASH,
		               .by = exchange,
		               .key_count = exchange->key_count,
		               .keys = exchange->keys };
}

static struct place place_of(struct distribute *d, const struct dsmx_rel *rel)
{
	struct place place;

	switch (rel->kind) {
	case DX_REL_SCAN:
		return d->tasks == 1 ? single : unknown;
	case DX_REL_LEAF:
		return unknown; /* one task, but not any task */
	case DX_REL_EXCHANGE:
		return place_of_exchange(&rel->exchange);
	case DX_REL_PROJECT:
	case DX_REL_AGGREGATE:
		return place_above(d, rel, place_of(d, rel->inputs[0]));
	case DX_REL_JOIN:
		place = place_of(d, rel->inputs[0]);
		if (place.kind != DX_PARTITIONING_REPLICATED)
			return place;
		place = place_of(d, rel->inputs[1]);
		return place.kind == DX_PARTITIONING_HASH ? unknown : place;
	case DX_REL_EXTENSION:
		if (rel->input_count == 0)
			return unknown;
		place = place_of(d, rel->inputs[0]);
		return place.kind == DX_PARTITIONING_HASH ? unknown : place;
	default:
		return place_of(d, rel->inputs[0]);
	}
}

/* --- exchanges ----------------------------------------------------------------------------------------- */

static struct dsmx_rel *gather(struct distribute *d, struct dsmx_rel *rel)
{
	if (dx_plan_failed(d->plan))
		return NULL;
	if (place_of(d, rel).kind == DX_PARTITIONING_REPLICATED)
		return dx_plan_fail(
			d->plan, -EINVAL,
			"a broadcast exchange would give its rows several times here: it "
			"can stand only under the right side of a join");
	return dsmx_rel_exchange(d->plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
}

static struct dsmx_rel *to_single(struct distribute *d, struct dsmx_rel *rel)
{
	if (rel == NULL || place_of(d, rel).kind == DX_PARTITIONING_SINGLE)
		return rel;
	return gather(d, rel);
}

/* What @sort gives of @rel, which lies in several tasks. */
static struct dsmx_rel *sort_and_merge(struct distribute *d, const struct dx_sort *sort,
                                       struct dsmx_rel *rel)
{
	if (place_of(d, rel).kind == DX_PARTITIONING_REPLICATED)
		return gather(d, rel); /* fails with the reason */
	rel = dsmx_rel_sort(d->plan, rel, sort->keys, sort->key_count);
	if (rel == NULL)
		return NULL;
	return dsmx_rel_exchange_merge(d->plan, dx_rel_local(d->plan, rel), sort->keys,
	                               sort->key_count, NULL);
}

/* Hash @rel on @keys as @like (NULL: the default way) does. */
static struct dsmx_rel *hash_on(struct distribute *d, struct dsmx_rel *rel, const uint32_t *keys,
                                uint32_t key_count, const struct dx_exchange *like)
{
	struct dsmx_exchange_config config = { 0 };

	if (like != NULL)
		config.hash_seed = like->config.hash_seed;
	return dsmx_rel_exchange(d->plan, DSMX_EXCHANGE_HASH, rel, keys, key_count,
	                         like != NULL ? like->partitions : 0, &config);
}

/* --- aggregates ---------------------------------------------------------------------------------------- */

/* Are rows of one group in one task? Then the hash keys are all among the group's. */
static bool groups_together(const struct dsmx_rel *agg, struct place place)
{
	if (place.kind == DX_PARTITIONING_SINGLE)
		return true;
	if (place.kind != DX_PARTITIONING_HASH)
		return false;
	for (uint32_t i = 0; i < place.key_count; i++) {
		if (column_above(agg, place.keys[i]) == DX_COLUMN_GONE)
			return false;
	}
	return true;
}

/* Bring what PARTIAL gives to where FINAL can work: its keys are the first columns. */
static struct dsmx_rel *move_groups(struct distribute *d, struct dsmx_rel *rel, uint32_t key_count,
                                    double rows)
{
	uint32_t *keys;

	if (key_count == 0 || rows <= GATHER_GROUPS_ROWS_MAX)
		return gather(d, rel);
	keys = dx_plan_alloc(d->plan, key_count, sizeof(uint32_t));
	for (uint32_t i = 0; keys != NULL && i < key_count; i++)
		keys[i] = i;
	return keys != NULL ? hash_on(d, rel, keys, key_count, NULL) : NULL;
}

static struct dsmx_rel *distribute_aggregate(struct distribute *d, const struct dsmx_rel *rel,
                                             struct dsmx_rel *input)
{
	const struct dx_aggregate *agg = &rel->aggregate;
	struct dx_final_measure *measures;
	struct dsmx_rel *moved;
	double rows = dx_estimate(input).rows;

	if (agg->phase == DX_PHASE_PARTIAL || groups_together(rel, place_of(d, input)))
		return dx_rel_over(d->plan, rel, &input);
	if (agg->phase == DX_PHASE_FINAL) {
		moved = move_groups(d, input, agg->key_count, rows);
		return dx_rel_over(d->plan, rel, &moved);
	}
	measures = dx_plan_alloc(d->plan, agg->measure_count, sizeof(measures[0]));
	if (measures == NULL)
		return NULL;
	for (uint32_t i = 0; i < agg->measure_count; i++) {
		const struct dx_measure *m = &agg->measures[i];

		measures[i] = (struct dx_final_measure){
			.function = m->function,
			.arg_type = m->arg_type,
			.arg_nullable = dsmx_expr_nullable(m->arg),
			.name = rel->schema.fields[agg->key_count + i].name,
		};
	}
	moved = dx_rel_partial(d->plan, rel, input);
	if (moved == NULL)
		return NULL;
	moved = move_groups(d, moved, agg->key_count, rows);
	return dx_rel_final(d->plan, moved, agg->key_count, measures, agg->measure_count);
}

/* --- joins --------------------------------------------------------------------------------------------- */

/*
 * The keys of the other side that belong to those which @place is hashed on; false: it is not hashed on
 * columns among @own.
 */
static bool matching_keys(const struct place *place, const uint32_t *own, const uint32_t *other,
                          uint32_t key_count, uint32_t *ret_keys)
{
	for (uint32_t i = 0; i < place->key_count; i++) {
		uint32_t k = 0;

		while (k < key_count && own[k] != place->keys[i])
			k++;
		if (k == key_count)
			return false;
		ret_keys[i] = other[k];
	}
	return place->kind == DX_PARTITIONING_HASH;
}

static bool hashed_alike(const struct place *a, const struct place *b, const uint32_t *keys_for_b)
{
	return b->kind == DX_PARTITIONING_HASH && a->key_count == b->key_count &&
	       a->by->partitions == b->by->partitions &&
	       a->by->config.hash_seed == b->by->config.hash_seed &&
	       memcmp(b->keys, keys_for_b, a->key_count * sizeof(uint32_t)) == 0;
}

/* Is there a source in the fragment of @rel that only one task can read? */
static bool has_single_source(const struct dsmx_rel *rel)
{
	if (rel->kind == DX_REL_LEAF || (rel->kind == DX_REL_EXTENSION && rel->input_count == 0))
		return true;
	for (uint32_t i = 0; rel->kind != DX_REL_EXCHANGE && i < rel->input_count; i++) {
		if (has_single_source(rel->inputs[i]))
			return true;
	}
	return false;
}

static bool worth_broadcast(const struct distribute *d, const struct dsmx_rel *left,
                            const struct dsmx_rel *right)
{
	double rows = dx_estimate(right).rows;

	return rows <= BROADCAST_ROWS_MAX && !has_single_source(left) &&
	       rows * d->tasks * BROADCAST_RATIO <= dx_estimate(left).rows;
}

/* Neither side is replicated, nor are both in one task. */
static void move_sides(struct distribute *d, const struct dx_join *join, struct dsmx_rel **left,
                       struct dsmx_rel **right)
{
	struct place l = place_of(d, *left), r = place_of(d, *right);
	uint32_t *keys = dx_plan_alloc(d->plan, join->key_count + l.key_count + r.key_count,
	                               sizeof(uint32_t));

	if (keys == NULL)
		return;
	if (d->tasks == 1 ||
	    (l.kind == DX_PARTITIONING_SINGLE && dx_estimate(*right).rows <= GATHER_ROWS_MAX)) {
		*left = to_single(d, *left);
		*right = to_single(d, *right);
	} else if (matching_keys(&l, join->left_keys, join->right_keys, join->key_count, keys)) {
		if (!hashed_alike(&l, &r, keys))
			*right = hash_on(d, *right, keys, l.key_count, l.by);
	} else if (worth_broadcast(d, *left, *right) && r.kind != DX_PARTITIONING_HASH) {
		*right = dsmx_rel_exchange(d->plan, DSMX_EXCHANGE_BROADCAST, *right, NULL, 0, 0,
		                           NULL);
	} else if (matching_keys(&r, join->right_keys, join->left_keys, join->key_count, keys)) {
		*left = hash_on(d, *left, keys, r.key_count, r.by);
	} else {
		*left = hash_on(d, *left, join->left_keys, join->key_count, NULL);
		*right = hash_on(d, *right, join->right_keys, join->key_count, NULL);
	}
}

static struct dsmx_rel *distribute_join(struct distribute *d, const struct dsmx_rel *rel,
                                        struct dsmx_rel *left, struct dsmx_rel *right)
{
	enum dx_partitioning_kind l = place_of(d, left).kind, r = place_of(d, right).kind;

	if (l == DX_PARTITIONING_REPLICATED && r != DX_PARTITIONING_REPLICATED &&
	    rel->join.kind != DSMX_JOIN_INNER)
		return dx_plan_fail(d->plan, -EINVAL,
		                    "the left side of a left, semi or anti join is broadcast: its "
		                    "rows would come several times");
	if (l != DX_PARTITIONING_REPLICATED && r != DX_PARTITIONING_REPLICATED &&
	    !(l == DX_PARTITIONING_SINGLE && r == DX_PARTITIONING_SINGLE))
		move_sides(d, &rel->join, &left, &right);
	if (dx_plan_failed(d->plan))
		return NULL;
	return dx_rel_over(d->plan, rel, (struct dsmx_rel *[]){ left, right });
}

/* --- the walk ------------------------------------------------------------------------------------------ */

static struct dsmx_rel *distribute(struct distribute *d, struct dsmx_rel *rel);

static struct dsmx_rel *local_limit(struct distribute *d, const struct dx_limit *limit,
                                    struct dsmx_rel *input)
{
	uint64_t count = limit->offset + limit->count;

	if (limit->count == UINT64_MAX || count > INT64_MAX)
		return input;
	input = dsmx_rel_limit(d->plan, input, 0, count);
	return input != NULL ? dx_rel_local(d->plan, input) : NULL;
}

static struct dsmx_rel *distribute_topk(struct distribute *d, const struct dsmx_rel *limit,
                                        const struct dsmx_rel *sort)
{
	struct dsmx_rel *input = distribute(d, sort->inputs[0]), *local;

	if (input == NULL)
		return NULL;
	if (place_of(d, input).kind != DX_PARTITIONING_SINGLE) {
		if (limit->limit.count == UINT64_MAX) {
			input = sort_and_merge(d, &sort->sort, input);
			return dx_rel_over(d->plan, limit, &input);
		}
		local = dsmx_rel_sort(d->plan, input, sort->sort.keys, sort->sort.key_count);
		if (local == NULL)
			return NULL;
		input = local_limit(d, &limit->limit, dx_rel_local(d->plan, local));
		input = to_single(d, input);
	}
	input = dx_rel_over(d->plan, sort, &input);
	return dx_rel_over(d->plan, limit, &input);
}

/* A limit goes under a project that stands on a sort, so that the two make a top-k. */
static struct dsmx_rel *distribute_limit(struct distribute *d, struct dsmx_rel *rel)
{
	struct dsmx_rel *input = rel->inputs[0], *under = input;

	if (rel->limit.local) {
		input = distribute(d, input);
		return dx_rel_over(d->plan, rel, &input);
	}
	while (under->kind == DX_REL_PROJECT)
		under = under->inputs[0];
	if (under->kind == DX_REL_SORT && !under->sort.local) {
		if (input == under)
			return distribute_topk(d, rel, under);
		under = dsmx_rel_limit(d->plan, input->inputs[0], rel->limit.offset,
		                       rel->limit.count);
		under = under != NULL ? distribute(d, under) : NULL;
		return dx_rel_over(d->plan, input, &under);
	}
	input = distribute(d, input);
	if (input != NULL && place_of(d, input).kind != DX_PARTITIONING_SINGLE)
		input = to_single(d, local_limit(d, &rel->limit, input));
	return dx_rel_over(d->plan, rel, &input);
}

/* A scan that came over the wire does not know how much there is to read: look, if it can be opened here. */
static struct dsmx_rel *look_at_file(struct distribute *d, struct dsmx_rel *rel)
{
	struct dsmx_ipc_file *file;
	struct dsmx_rel *copy = dx_rel_over(d->plan, rel, NULL);

	if (copy == NULL || copy->scan.batches > 0)
		return copy;
	if (dsmx_ipc_open(copy->scan.path, &file, NULL) < 0)
		return copy;
	dx_scan_look(d->plan, copy, file);
	dsmx_ipc_close(file);
	return dx_plan_failed(d->plan) ? NULL : copy;
}

/* An extension of two inputs: nobody knows what it needs, but a caller who put exchanges under both. */
static bool needs_single(const struct dsmx_rel *rel)
{
	return rel->kind == DX_REL_EXTENSION && rel->input_count > 1 &&
	       (rel->inputs[0]->kind != DX_REL_EXCHANGE || rel->inputs[1]->kind != DX_REL_EXCHANGE);
}

static struct dsmx_rel *distribute(struct distribute *d, struct dsmx_rel *rel)
{
	struct dsmx_rel *inputs[DSMX_OPERATOR_INPUTS] = { 0 };

	if (dx_plan_failed(d->plan))
		return NULL;
	if (rel->kind == DX_REL_SCAN)
		return look_at_file(d, rel);
	if (rel->kind == DX_REL_LIMIT)
		return distribute_limit(d, rel);
	for (uint32_t i = 0; i < rel->input_count; i++)
		inputs[i] = distribute(d, rel->inputs[i]);
	if (dx_plan_failed(d->plan))
		return NULL;
	if (rel->kind == DX_REL_JOIN)
		return distribute_join(d, rel, inputs[0], inputs[1]);
	if (rel->kind == DX_REL_AGGREGATE)
		return distribute_aggregate(d, rel, inputs[0]);
	if (rel->kind == DX_REL_SORT && !rel->sort.local &&
	    place_of(d, inputs[0]).kind != DX_PARTITIONING_SINGLE)
		return sort_and_merge(d, &rel->sort, inputs[0]);
	if (rel->kind == DX_REL_EXCHANGE &&
	    place_of(d, inputs[0]).kind == DX_PARTITIONING_REPLICATED)
		inputs[0] = gather(d, inputs[0]); /* fails with the reason */
	for (uint32_t i = 0; needs_single(rel) && i < 2; i++)
		inputs[i] = to_single(d, inputs[i]);
	return dx_rel_over(d->plan, rel, inputs);
}

/* --- the plan ------------------------------------------------------------------------------------------ */

/* Does the fragment of @rel read a file, a leaf or an extension's rows itself? */
static bool reads(const struct dsmx_rel *rel)
{
	bool found = rel->input_count == 0;

	for (uint32_t i = 0; rel->kind != DX_REL_EXCHANGE && i < rel->input_count; i++)
		found = found || reads(rel->inputs[i]);
	return found;
}

static struct dsmx_rel *rewrite(struct distribute *d, struct dsmx_rel *root)
{
	root = distribute(d, root);
	if (root == NULL)
		return NULL;
	if (place_of(d, root).kind != DX_PARTITIONING_SINGLE || reads(root))
		root = gather(d, root);
	if (root == NULL)
		return NULL;
	dx_plan_set_tasks(d->plan, root, d->tasks);
	return dx_plan_failed(d->plan) ? NULL : dx_plan_prune(d->plan, root);
}

int dsmx_plan_distribute(struct dsmx_plan *plan, uint32_t tasks, struct dsmx_error *err)
{
	struct distribute d = { .plan = plan, .tasks = tasks };
	struct dsmx_schema schema = plan->schema;
	struct dsmx_rel *root;
	int rc = dsmx_plan_error(plan, err);

	if (rc < 0)
		return rc;
	if (plan->root == NULL)
		return dx_error(err, -EINVAL, "the plan is not finished");
	if (tasks == 0 || tasks > DX_TASKS_MAX)
		return dx_error(err, -EINVAL, "a fragment has 1 to %u tasks, not %u", DX_TASKS_MAX,
		                tasks);
	root = rewrite(&d, plan->root);
	if (root != NULL) {
		struct dsmx_rel *before = plan->root;

		plan->root = root;
		dx_plan_collect(plan);
		if (dx_plan_failed(plan)) {
			plan->root = before;
		}
	}
	plan->schema = schema;
	rc = dsmx_plan_error(plan, err);
	plan->error = (struct dsmx_error){ 0 }; /* the plan is as it was */
	return rc;
}
