/* SPDX-License-Identifier: MIT */
/*
 * eval_in.c - membership in a list of literals
 *
 * A short list of fixed-width values is compared option by option, a loop over the vector for each. Longer
 * ones, and texts, become a hash set of their places in the list: open addressing, never more than half full.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "batch/parse.h"
#include "exec/decimal.h"
#include "exec/program.h"

#define SHORT_LIST 8

struct set {
	enum dx_phys phys;
	uint32_t count;   /* of options that are not null */
	bool has_null;    /* then what is not found is null, not false */
	uint8_t *options; /* as a vector of them */
	uint32_t *slots;  /* place + 1 of an option, 0: empty; NULL: a short list */
	uint32_t mask;
};

static void free_set(void *state)
{
	struct set *set = state;

	free(set->options);
	free(set->slots);
	free(set);
}

/* --- by hash ----------------------------------------------------------------------------------------- */

static uint64_t low_bytes(const void *at, size_t width)
{
	uint64_t value = 0;

	memcpy(&value, at, width);
	return value;
}

static double float_at(enum dx_phys phys, const void *at)
{
	float single;
	double value;

	if (phys == DX_PHYS_F64) {
		memcpy(&value, at, sizeof(value));
		return value;
	}
	memcpy(&single, at, sizeof(single));
	return (double)single;
}

static inline uint64_t hash_at(enum dx_phys phys, const void *at)
{
	const struct dx_text *text = at;

	switch (phys) {
	case DX_PHYS_TEXT:
		return dx_hash_bytes(text->bytes, text->len, 0);
	case DX_PHYS_I128:
		return dx_hash_i128(dx_load_i128(at, 0), 0);
	case DX_PHYS_F32:
	case DX_PHYS_F64:
		return dx_hash_f64(float_at(phys, at), 0);
	default:
		return dx_hash_u64(low_bytes(at, dx_phys_width(phys)), 0);
	}
}

static inline bool equal_at(enum dx_phys phys, const void *a, const void *b)
{
	const struct dx_text *x = a, *y = b;
	double f, g;

	switch (phys) {
	case DX_PHYS_TEXT:
		return x->len == y->len && (x->len == 0 || memcmp(x->bytes, y->bytes, x->len) == 0);
	case DX_PHYS_F32:
	case DX_PHYS_F64:
		f = float_at(phys, a);
		g = float_at(phys, b);
		return f == g || (f != f && g != g);
	default:
		return memcmp(a, b, dx_phys_width(phys)) == 0;
	}
}

/* The slot where the value at @at is, or would be. */
static uint32_t *slot_of(const struct set *set, const void *at)
{
	uint32_t i = (uint32_t)hash_at(set->phys, at) & set->mask;
	size_t width = dx_phys_width(set->phys);

	while (set->slots[i] != 0 &&
	       !equal_at(set->phys, at, set->options + (set->slots[i] - 1) * width))
		i = (i + 1) & set->mask;
	return &set->slots[i];
}

static void find_hashed(const struct set *set, const void *values, uint32_t n, uint8_t *out)
{
	size_t width = dx_phys_width(set->phys);

	for (uint32_t i = 0; i < n; i++)
		out[i] = *slot_of(set, (const uint8_t *)values + i * width) != 0;
}

/* --- by comparison ----------------------------------------------------------------------------------- */

#define FIND(type, equal)                                                                          \
	do {                                                                                       \
		const type *from = values, *option = (const void *)set->options;                   \
		for (uint32_t k = 0; k < set->count; k++) {                                        \
			const type y = option[k];                                                  \
			for (uint32_t i = 0; i < n; i++) {                                         \
				const type x = from[i];                                            \
				out[i] |= (uint8_t)(equal);                                        \
			}                                                                          \
		}                                                                                  \
	} while (0)

static void find_short(const struct set *set, const void *values, uint32_t n, uint8_t *out)
{
	memset(out, 0, n);
	switch (set->phys) {
	case DX_PHYS_F32:
		FIND(float, (x == y) | ((x != x) & (y != y)));
		return;
	case DX_PHYS_F64:
		FIND(double, (x == y) | ((x != x) & (y != y)));
		return;
	default:
		break;
	}
	switch (dx_phys_width(set->phys)) {
	case 1:
		FIND(uint8_t, x == y);
		return;
	case 2:
		FIND(uint16_t, x == y);
		return;
	case 4:
		FIND(uint32_t, x == y);
		return;
	case 8:
		FIND(uint64_t, x == y);
		return;
	default:
		FIND(struct dx_words, (x.low == y.low) & (x.high == y.high));
		return;
	}
}

static int run_in(struct dx_eval *eval, struct dx_step *step)
{
	const struct set *set = step->state;
	const struct dx_step *arg = step->args[0];
	uint32_t n = dx_step_rows(eval, step);
	uint8_t *out = step->values_room;

	dx_combine_valid(step, n);
	if (set->slots != NULL)
		find_hashed(set, arg->values, n, out);
	else
		find_short(set, arg->values, n, out);
	if (!set->has_null)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		step->valid_room[i] = out[i] & (arg->valid == NULL || arg->valid[i]);
	step->valid = step->valid_room;
	return 0;
}

/* --- compiling --------------------------------------------------------------------------------------- */

static int add_options(struct dx_eval *eval, const struct dsmx_expr *expr, struct dsmx_type type,
                       struct set *set)
{
	size_t width = dx_phys_width(set->phys);

	for (uint32_t i = 1; i < expr->arg_count; i++) {
		const struct dsmx_expr *option = expr->args[i];

		if (option->kind != DX_EXPR_LITERAL || !dsmx_type_equal(option->type, type))
			return dx_error(eval->err, -EINVAL,
			                "option %u of IN is no literal of its operand's type", i);
		if (option->is_null)
			set->has_null = true;
		else if (dsmx_type_is_text(type))
			memcpy(set->options + set->count++ * width, &option->value.text, width);
		else
			dx_value_store(type, &option->value, set->options + set->count++ * width);
	}
	return 0;
}

static int hash_options(struct set *set)
{
	uint32_t slots = 16;

	while (slots < 2 * set->count)
		slots *= 2;
	set->slots = calloc(slots, sizeof(*set->slots));
	if (set->slots == NULL)
		return -ENOMEM;
	set->mask = slots - 1;
	for (uint32_t i = 0; i < set->count; i++)
		*slot_of(set, set->options + i * dx_phys_width(set->phys)) = i + 1;
	return 0;
}

int dx_compile_in(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step *arg,
                  struct dx_step **ret_step)
{
	struct dx_step like = { .run = run_in, .type = expr->type, .args = &arg, .arg_count = 1 };
	struct set *set = calloc(1, sizeof(*set));
	int err = 0;

	if (set == NULL)
		return -ENOMEM;
	set->phys = arg->phys;
	set->options = calloc(expr->arg_count, dx_phys_width(arg->phys));
	if (expr->type.id != DSMX_BOOL)
		err = dx_error(eval->err, -EINVAL, "IN that is no bool");
	else if (set->options == NULL)
		err = -ENOMEM;
	else
		err = add_options(eval, expr, arg->type, set);
	if (err == 0 && (arg->phys == DX_PHYS_TEXT || set->count > SHORT_LIST))
		err = hash_options(set);
	if (err < 0) {
		free_set(set);
		return err;
	}
	like.state = set;
	like.free_state = free_set;
	return dx_emit(eval, &like, ret_step);
}
