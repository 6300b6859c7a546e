/* SPDX-License-Identifier: MIT */
#include "exec/aggregate.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* A wide decimal, or a struct dx_text: nothing in a vector is larger. */
#define VALUE_BYTES 16

int dx_aggregate_result_init(struct dx_aggregate_result *result,
                             const struct dx_aggregate_operator *op)
{
	uint32_t columns = op->base.schema.field_count;
	int err = 0;

	*result = (struct dx_aggregate_result){ .op = op };
	result->gathers = calloc(columns + 1UL, sizeof(struct dx_gather *));
	result->columns = calloc(columns + 1UL, sizeof(*result->columns));
	result->valid = malloc(DX_VECTOR_ROWS);
	result->counts = calloc(DX_VECTOR_ROWS, sizeof(*result->counts));
	result->values = calloc(columns + 1UL, sizeof(void *));
	if (result->gathers == NULL || result->columns == NULL || result->valid == NULL ||
	    result->counts == NULL || result->values == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; err == 0 && i < columns; i++) {
		err = dx_gather_new(op->base.schema.fields[i].type, &result->gathers[i]);
		result->values[i] = aligned_alloc(64, DX_VECTOR_ROWS * VALUE_BYTES);
		if (result->values[i] == NULL)
			err = -ENOMEM;
	}
	return err;
}

void dx_aggregate_result_fini(struct dx_aggregate_result *result)
{
	uint32_t columns = result->op != NULL ? result->op->base.schema.field_count : 0;

	for (uint32_t i = 0; result->gathers != NULL && i < columns; i++)
		dx_gather_free(result->gathers[i]);
	for (uint32_t i = 0; result->values != NULL && i < columns; i++)
		free(result->values[i]);
	free(result->gathers);
	free(result->columns);
	free(result->valid);
	free(result->counts);
	free(result->values);
	*result = (struct dx_aggregate_result){ 0 };
}

/* --- quotients ----------------------------------------------------------------------------------------- */

static __int128 power_of_ten(int digits)
{
	__int128 power = 1;

	while (digits-- > 0)
		power *= 10;
	return power;
}

static inline __int128 magnitude(__int128 value)
{
	return value < 0 ? -value : value;
}

/* value / by, half away from zero; @by is at most 2^126. */
static __int128 divide_rounded(__int128 value, __int128 by)
{
	__int128 quotient = value / by, rest = magnitude(value % by);

	if (rest >= by - rest)
		quotient += value < 0 ? -1 : 1;
	return quotient;
}

/*
 * sum / count with @digits more digits behind the point than the sum has, between -18 and 18. The product of
 * remainder and power stays below 2^63 * 10^18, within 128 bits. Returns false where it has over 38 digits.
 */
static bool average(__int128 sum, int64_t count, int digits, __int128 *ret_average)
{
	__int128 limit = power_of_ten(DSMX_DECIMAL_MAX_DIGITS), power, whole;

	if (digits < 0) {
		*ret_average = divide_rounded(sum, count * power_of_ten(-digits));
		return true;
	}
	power = power_of_ten(digits);
	whole = sum / count;
	if (magnitude(whole) >= limit / power)
		return false;
	*ret_average = whole * power + divide_rounded(sum % count * power, count);
	return magnitude(*ret_average) < limit;
}

static __int128 load_sum(const struct dx_vector *sums, uint32_t i)
{
	return sums->type.id == DSMX_INT64 ? ((const int64_t *)sums->values)[i]
	                                   : ((const __int128 *)sums->values)[i];
}

/* --- measures ------------------------------------------------------------------------------------------ */

static int too_wide(const struct dx_aggregate_result *result, uint32_t column,
                    struct dsmx_error *err)
{
	return dx_error(
		err, -ERANGE,
		"column \"%s\" of an aggregate would have over 38 digits; cast its argument "
		"to fewer digits, or to a float",
		result->op->base.schema.fields[column].name);
}

static bool fits_digits(const struct dx_vector *vector, uint32_t count)
{
	__int128 limit = power_of_ten(DSMX_DECIMAL_MAX_DIGITS);
	const __int128 *values = vector->values;

	for (uint32_t i = 0; i < count; i++)
		if (values[i] >= limit || values[i] <= -limit)
			return false;
	return true;
}

static int give(struct dx_aggregate_result *result, const struct dx_vector *vector, uint32_t column,
                uint32_t count, struct dsmx_error *err)
{
	int ret =
		dx_gather_column(result->gathers[column], vector, count, &result->columns[column]);

	if (ret < 0)
		return dx_error(err, ret, "an aggregate cannot give out column \"%s\": %s",
		                result->op->base.schema.fields[column].name, dx_strerror(ret));
	return 0;
}

/* The states of one kind of a vector of groups. */
static struct dx_vector states_of(const struct dx_aggregate_result *result,
                                  const struct dx_aggregate_groups *groups, uint32_t state,
                                  uint32_t first, uint32_t count, uint32_t column)
{
	return dx_accumulator_states(&groups->accumulators[state], first, count,
	                             result->values[column]);
}

/* Rows less nulls: to result->counts, and to result->valid which are not 0. */
static void count_values(struct dx_aggregate_result *result,
                         const struct dx_aggregate_groups *groups, uint32_t nulls_state,
                         uint32_t first, uint32_t count)
{
	const int64_t *all = states_of(result, groups, 0, first, count, 0).values;
	const int64_t *nulls = NULL;

	if (nulls_state != DX_AGGREGATE_NO_STATE)
		nulls = states_of(result, groups, nulls_state, first, count, 0).values;
	for (uint32_t i = 0; i < count; i++) {
		result->counts[i] = all[i] - (nulls != NULL ? nulls[i] : 0);
		result->valid[i] = result->counts[i] > 0;
	}
}

static int give_counts(struct dx_aggregate_result *result, const int64_t *counts, uint32_t column,
                       uint32_t count, struct dsmx_error *err)
{
	struct dx_vector vector = { .type = { .id = DSMX_INT64 },
		                    .values = result->values[column] };

	memcpy(result->values[column], counts, count * sizeof(*counts));
	return give(result, &vector, column, count, err);
}

/* A sum, least or greatest. */
static int give_value(struct dx_aggregate_result *result, const struct dx_vector *vector,
                      uint32_t column, uint32_t count, struct dsmx_error *err)
{
	if (vector->type.id == DSMX_DECIMAL && dsmx_type_width(vector->type) == 16 &&
	    !fits_digits(vector, count))
		return too_wide(result, column, err);
	return give(result, vector, column, count, err);
}

static void average_floats(const struct dx_vector *sums, const int64_t *counts, uint32_t count,
                           double *ret)
{
	const double *values = sums->values;

	for (uint32_t i = 0; i < count; i++)
		ret[i] = counts[i] > 0 ? values[i] / (double)counts[i] : 0;
}

static bool average_decimals(const struct dx_vector *sums, const int64_t *counts, int digits,
                             uint32_t count, __int128 *ret)
{
	bool fits = true;

	for (uint32_t i = 0; i < count; i++) {
		ret[i] = 0;
		if (counts[i] > 0)
			fits &= average(load_sum(sums, i), counts[i], digits, &ret[i]);
	}
	return fits;
}

static int give_average(struct dx_aggregate_result *result, const struct dx_vector *sums,
                        const int64_t *counts, uint32_t column, uint32_t count,
                        struct dsmx_error *err)
{
	struct dsmx_type type = result->op->base.schema.fields[column].type;
	struct dx_vector vector = { type, result->valid, result->values[column] };

	for (uint32_t i = 0; i < count; i++)
		result->valid[i] = counts[i] > 0;
	if (type.id == DSMX_FLOAT64)
		average_floats(sums, counts, count, result->values[column]);
	else if (!average_decimals(sums, counts, type.scale - sums->type.scale, count,
	                           result->values[column]))
		return too_wide(result, column, err);
	return give(result, &vector, column, count, err);
}

/* The column or two of measure @m, from @column on, which moves behind them. */
static int give_measure(struct dx_aggregate_result *result,
                        const struct dx_aggregate_groups *groups, uint32_t m, uint32_t *column,
                        uint32_t first, uint32_t count, struct dsmx_error *err)
{
	const struct dx_aggregate *aggregate = result->op->aggregate;
	const struct dx_aggregate_parts *parts = &result->op->parts[m];
	enum dsmx_aggregate function = aggregate->measures[m].function;
	bool is_final = aggregate->phase == DX_PHASE_FINAL;
	uint32_t c = (*column)++;
	const int64_t *counts = result->counts;
	struct dx_vector vector;
	int ret;

	count_values(result, groups, parts->nulls, first, count);
	if (is_final)
		counts = states_of(result, groups, parts->counts, first, count, c).values;
	if (function == DSMX_AGG_COUNT_STAR || function == DSMX_AGG_COUNT)
		return give_counts(result, counts, c, count, err);
	vector = states_of(result, groups, parts->value, first, count, c);
	if (function == DSMX_AGG_AVG && aggregate->phase != DX_PHASE_PARTIAL)
		return give_average(result, &vector, counts, c, count, err);
	if (function == DSMX_AGG_SUM || function == DSMX_AGG_AVG)
		vector.valid = result->valid;
	ret = give_value(result, &vector, c, count, err);
	if (ret < 0 || function != DSMX_AGG_AVG)
		return ret;
	return give_counts(result, counts, (*column)++, count, err);
}

int dx_aggregate_result_run(struct dx_aggregate_result *result,
                            const struct dx_aggregate_groups *groups, uint32_t first,
                            uint32_t count, struct dsmx_batch *ret_batch, struct dsmx_error *err)
{
	const struct dx_aggregate_operator *op = result->op;
	uint32_t column = op->aggregate->key_count;
	int ret;

	for (uint32_t k = 0; k < op->aggregate->key_count; k++) {
		bool all = dx_keys_decode(&groups->keys, k, groups->table.keys + first, count,
		                          result->valid, result->values[k]);
		struct dx_vector vector = { op->key_types[k], all ? NULL : result->valid,
			                    result->values[k] };

		ret = give(result, &vector, k, count, err);
		if (ret < 0)
			return ret;
	}
	for (uint32_t m = 0; m < op->aggregate->measure_count; m++) {
		ret = give_measure(result, groups, m, &column, first, count, err);
		if (ret < 0)
			return ret;
	}
	*ret_batch = (struct dsmx_batch){
		.length = count,
		.selected = count,
		.column_count = op->base.schema.field_count,
		.columns = result->columns,
	};
	return 0;
}
