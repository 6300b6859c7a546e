/* SPDX-License-Identifier: MIT */
/*
 * exchange.c - make exchanges: what each kind needs, and nothing else
 *
 *	kind		columns			order		bounds
 *	hash		one or more		-		-
 *	explicit	one, an integer		-		-
 *	merge		-			one or more	-
 *	range		-			one		one for each partition but the last
 *	 sampled	-			one or more	-
 *	others		-			-		-
 */
#include <string.h>

#include "base/err.h"
#include "plan/tree.h"

static struct dsmx_exchange_config with_defaults(const struct dsmx_exchange_config *config)
{
	struct dsmx_exchange_config full = *config;

	if (full.credit_bytes == 0)
		full.credit_bytes = DX_EXCHANGE_CREDIT_BYTES;
	if (full.frame_bytes == 0)
		full.frame_bytes = DX_EXCHANGE_FRAME_BYTES;
	if (full.hash_seed == 0)
		full.hash_seed = DX_EXCHANGE_HASH_SEED;
	return full;
}

static bool fail(struct dsmx_plan *plan, const char *what)
{
	(void)dx_plan_fail(plan, -EINVAL, "%s", what);
	return false;
}

static bool column_there(struct dsmx_plan *plan, const struct dsmx_rel *input, uint32_t column)
{
	if (column < input->schema.field_count)
		return true;
	(void)dx_plan_fail(plan, -EINVAL, "an exchange: there is no column %u: there are %u",
	                   column, input->schema.field_count);
	return false;
}

static bool is_integer(struct dsmx_type type)
{
	return type.id >= DSMX_INT8 && type.id <= DSMX_UINT64;
}

/* --- columns and order --------------------------------------------------------------------------------- */

static bool check_keys(struct dsmx_plan *plan, const struct dsmx_rel *input,
                       const struct dx_exchange *e)
{
	char name[24];

	if (e->kind == DSMX_EXCHANGE_HASH && e->key_count == 0)
		return fail(plan, "a hash exchange has no keys");
	if (e->kind == DSMX_EXCHANGE_EXPLICIT && e->key_count != 1)
		return fail(plan, "an explicit exchange has one column that names the partition");
	if (e->kind != DSMX_EXCHANGE_HASH && e->kind != DSMX_EXCHANGE_EXPLICIT && e->key_count > 0)
		return fail(plan, "only a hash or explicit exchange has keys");
	for (uint32_t i = 0; i < e->key_count; i++)
		if (!column_there(plan, input, e->keys[i]))
			return false;
	if (e->kind != DSMX_EXCHANGE_EXPLICIT || is_integer(input->schema.fields[e->keys[0]].type))
		return true;
	(void)dx_plan_fail(
		plan, -EINVAL, "an explicit exchange by %s, which is %s and no integer",
		input->schema.fields[e->keys[0]].name,
		dsmx_type_format(input->schema.fields[e->keys[0]].type, name, sizeof(name)));
	return false;
}

static bool check_order(struct dsmx_plan *plan, const struct dsmx_rel *input,
                        const struct dx_exchange *e)
{
	if (e->kind == DSMX_EXCHANGE_MERGE && e->order_count == 0)
		return fail(plan, "a merge has no sort keys: use dsmx_rel_exchange_merge()");
	if (e->sampled && (e->kind != DSMX_EXCHANGE_RANGE || e->bound_count > 0))
		return fail(plan, "only a range exchange without bounds is sampled");
	if (e->sampled && e->order_count == 0)
		return fail(plan, "a sampled range exchange has no sort keys");
	if (e->kind == DSMX_EXCHANGE_RANGE && !e->sampled && e->order_count != 1)
		return fail(plan,
		            "a range exchange has one sort key: use dsmx_rel_exchange_range()");
	if (e->kind != DSMX_EXCHANGE_MERGE && e->kind != DSMX_EXCHANGE_RANGE && e->order_count > 0)
		return fail(plan, "only a merge or range exchange has sort keys");
	if (e->kind != DSMX_EXCHANGE_RANGE && e->bound_count > 0)
		return fail(plan, "only a range exchange has bounds");
	for (uint32_t i = 0; i < e->order_count; i++)
		if (!column_there(plan, input, e->order[i].column))
			return false;
	return true;
}

/* --- bounds -------------------------------------------------------------------------------------------- */

static int compare_texts(const struct dx_text *a, const struct dx_text *b)
{
	uint32_t common = a->len < b->len ? a->len : b->len;
	int order = common > 0 ? memcmp(a->bytes, b->bytes, common) : 0;

	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* Two literals of one type, as a sort has them: NaN is the greatest. */
static int compare_literals(const struct dsmx_expr *a, const struct dsmx_expr *b)
{
	const union dx_value *x = &a->value, *y = &b->value;

	switch (a->type.id) {
	case DSMX_UTF8:
	case DSMX_LARGE_UTF8:
	case DSMX_BINARY:
		return compare_texts(&x->text, &y->text);
	case DSMX_FLOAT32:
	case DSMX_FLOAT64:
		if (x->f != x->f || y->f != y->f)
			return (x->f != x->f) - (y->f != y->f);
		return (x->f > y->f) - (x->f < y->f);
	case DSMX_DECIMAL:
		return (x->d > y->d) - (x->d < y->d);
	case DSMX_UINT8:
	case DSMX_UINT16:
	case DSMX_UINT32:
	case DSMX_UINT64:
		return (x->u > y->u) - (x->u < y->u);
	default:
		return (x->i > y->i) - (x->i < y->i);
	}
}

static bool check_bounds(struct dsmx_plan *plan, const struct dsmx_rel *input,
                         const struct dx_exchange *e)
{
	for (uint32_t i = 0; i < e->bound_count; i++) {
		const struct dsmx_field *field = &input->schema.fields[e->order[0].column];
		const struct dsmx_expr *bound = e->bounds[i];
		int order;

		if (bound->kind != DX_EXPR_LITERAL || bound->is_null)
			return fail(plan, "a bound of a range exchange is no literal, or null");
		if (!dsmx_type_equal(bound->type, field->type)) {
			char a[24], b[24];

			(void)dx_plan_fail(plan, -EINVAL, "bound %u is %s, and %s is %s; cast it",
			                   i, dsmx_type_format(bound->type, a, sizeof(a)),
			                   field->name,
			                   dsmx_type_format(field->type, b, sizeof(b)));
			return false;
		}
		order = i > 0 ? compare_literals(e->bounds[i - 1], bound) : 0;
		if (e->order[0].descending ? order < 0 : order > 0) {
			(void)dx_plan_fail(plan, -EINVAL,
			                   "bounds %u and %u of a range exchange are not in order",
			                   i - 1, i);
			return false;
		}
	}
	return true;
}

/* --- the exchange -------------------------------------------------------------------------------------- */

struct dsmx_rel *dx_rel_exchange_like(struct dsmx_plan *plan, struct dsmx_rel *input,
                                      const struct dx_exchange *like)
{
	struct dsmx_rel *rel;
	struct dx_exchange *e;

	if (dx_exchange_is_gather(like) && like->partitions > 1)
		return dx_plan_fail(plan, -EINVAL, "a gather has one partition, not %u",
		                    like->partitions);
	if (like->partitions > DX_TASKS_MAX)
		return dx_plan_fail(plan, -E2BIG, "an exchange has %u partitions, the most is %u",
		                    like->partitions, DX_TASKS_MAX);
	if (like->kind == DSMX_EXCHANGE_RANGE && !like->sampled &&
	    like->partitions != like->bound_count + 1)
		return dx_plan_fail(plan, -EINVAL,
		                    "a range exchange has %u partitions, but %u bounds",
		                    like->partitions, like->bound_count);
	if (!check_keys(plan, input, like) || !check_order(plan, input, like) ||
	    !check_bounds(plan, input, like))
		return NULL;
	rel = dx_rel_passing(plan, DX_REL_EXCHANGE, input);
	if (rel == NULL)
		return NULL;
	e = &rel->exchange;
	*e = *like;
	e->config = with_defaults(&like->config);
	if (dx_exchange_is_gather(e))
		e->partitions = 1;
	e->keys = dx_plan_copy(plan, like->keys, like->key_count, sizeof(like->keys[0]));
	e->order = dx_plan_copy(plan, like->order, like->order_count, sizeof(like->order[0]));
	e->bounds = dx_plan_copy(plan, like->bounds, like->bound_count, sizeof(struct dsmx_expr *));
	return dx_plan_failed(plan) ? NULL : dx_rel_seal(plan, rel);
}

static struct dsmx_exchange_config config_or_none(const struct dsmx_exchange_config *config)
{
	return config != NULL ? *config : (struct dsmx_exchange_config){ 0 };
}

/* Arrays that are only read: dx_rel_exchange_like() copies them. */
#define READ_ONLY(type, array) ((type *)(uintptr_t)(array))

struct dsmx_rel *dsmx_rel_exchange(struct dsmx_plan *plan, enum dsmx_exchange_kind kind,
                                   struct dsmx_rel *input, const uint32_t *keys, uint32_t key_count,
                                   uint32_t partitions, const struct dsmx_exchange_config *config)
{
	const void *given = input;

	if (!dx_plan_given(plan, "the input of an exchange", &given, 1))
		return NULL;
	if ((unsigned)kind >= DSMX_EXCHANGE_KIND_COUNT)
		return dx_plan_fail(plan, -EINVAL, "there is no exchange kind %d", (int)kind);
	return dx_rel_exchange_like(plan, input,
	                            &(struct dx_exchange){ .kind = kind,
	                                                   .keys = READ_ONLY(uint32_t, keys),
	                                                   .key_count = key_count,
	                                                   .partitions = partitions,
	                                                   .config = config_or_none(config) });
}

struct dsmx_rel *dsmx_rel_exchange_merge(struct dsmx_plan *plan, struct dsmx_rel *input,
                                         const struct dsmx_sort_key *keys, uint32_t key_count,
                                         const struct dsmx_exchange_config *config)
{
	const void *given = input;

	if (!dx_plan_given(plan, "the input of a merge", &given, 1))
		return NULL;
	return dx_rel_exchange_like(
		plan, input,
		&(struct dx_exchange){ .kind = DSMX_EXCHANGE_MERGE,
	                               .order = READ_ONLY(struct dsmx_sort_key, keys),
	                               .order_count = key_count,
	                               .partitions = 1,
	                               .config = config_or_none(config) });
}

struct dsmx_rel *dsmx_rel_exchange_range(struct dsmx_plan *plan, struct dsmx_rel *input,
                                         const struct dsmx_sort_key *key,
                                         struct dsmx_expr *const *bounds, uint32_t bound_count,
                                         const struct dsmx_exchange_config *config)
{
	const void *given[] = { input, key };

	if (!dx_plan_given(plan, "the input or key of a range exchange", given, 2) ||
	    !dx_plan_given(plan, "a bound of a range exchange", (const void *const *)bounds,
	                   bound_count))
		return NULL;
	if (bound_count >= DX_TASKS_MAX)
		return dx_plan_fail(plan, -E2BIG, "an exchange has %u bounds, the most is %u",
		                    bound_count, DX_TASKS_MAX - 1);
	return dx_rel_exchange_like(
		plan, input,
		&(struct dx_exchange){ .kind = DSMX_EXCHANGE_RANGE,
	                               .order = READ_ONLY(struct dsmx_sort_key, key),
	                               .order_count = 1,
	                               .bounds = READ_ONLY(struct dsmx_expr *, bounds),
	                               .bound_count = bound_count,
	                               .partitions = bound_count + 1,
	                               .config = config_or_none(config) });
}

struct dsmx_rel *dsmx_rel_exchange_sampled(struct dsmx_plan *plan, struct dsmx_rel *input,
                                           const struct dsmx_sort_key *keys, uint32_t key_count,
                                           uint32_t partitions,
                                           const struct dsmx_exchange_config *config)
{
	const void *given = input;

	if (!dx_plan_given(plan, "the input of a sampled range exchange", &given, 1))
		return NULL;
	return dx_rel_exchange_like(
		plan, input,
		&(struct dx_exchange){ .kind = DSMX_EXCHANGE_RANGE,
	                               .order = READ_ONLY(struct dsmx_sort_key, keys),
	                               .order_count = key_count,
	                               .sampled = true,
	                               .partitions = partitions,
	                               .config = config_or_none(config) });
}
