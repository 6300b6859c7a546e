/* SPDX-License-Identifier: MIT */
/*
 * dropper.c - the producer's half of dynamic_filter.h
 */
#include <stdlib.h>

#include "base/err.h"
#include "exchange/internal.h"

/* The range of a column that all partitions together ask for, on offer to the scan it comes from. */
struct common_range {
	uint32_t column; /* of the exchange */
	uint32_t scan_column;
	struct dx_key_filter filter;
	struct dx_offer_filter offer;
};

struct dx_dropper {
	struct dx_filter_hashes hashes;
	struct dx_worth *worth; /* by target and filter */
	uint32_t range_count;
	struct common_range ranges[DSMX_FILTERS_MAX];
};

int dx_filters_adopt(const struct dx_mesh *mesh, struct dx_procedure *procedure, uint32_t peer,
                     const struct dsmx_request_abi *request, struct dsmx_error *err)
{
	const struct dx_exchange *x = &procedure->rel->exchange;
	const char *data = dx_mesh_peer_data(mesh, peer);
	int r;

	/* Every task of a partition's producers is told the same. */
	if (request->filter_bytes == 0 || data == NULL || !dx_exchange_takes_filters(x) ||
	    (procedure->filters != NULL && procedure->filters[request->partition] != NULL))
		return 0;
	if (procedure->filters == NULL)
		procedure->filters = calloc(x->partitions, sizeof(struct dx_filter_set *));
	if (procedure->filters == NULL)
		return 0; /* it does without */
	r = dx_filters_copy(&procedure->rel->schema, data, dx_mesh_peer_data_bytes(mesh, peer),
	                    request->filter_offset, request->filter_bytes,
	                    &procedure->filters[request->partition]);
	if (r == -EBADMSG)
		return dx_error(err, r, "exchange %u: the filter of partition %u breaks the rules",
		                x->number, request->partition);
	return 0;
}

static struct dx_dropper *dropper_of(struct dx_producer *p)
{
	struct dx_dropper *d = p->dropper;

	if (d != NULL)
		return d;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return NULL;
	d->worth = calloc((size_t)p->target_count * DSMX_FILTERS_MAX, sizeof(*d->worth));
	if (d->worth == NULL) {
		free(d);
		return NULL;
	}
	p->dropper = d;
	return d;
}

void dx_dropper_free(struct dx_producer *p)
{
	if (p->dropper == NULL)
		return;
	dx_filter_hashes_fini(&p->dropper->hashes);
	free(p->dropper->worth);
	free(p->dropper);
	p->dropper = NULL;
}

/* --- rows ---------------------------------------------------------------------------------------------- */

uint32_t dx_dropper_keep(struct dx_producer *p, uint32_t target, const struct dsmx_batch *batch,
                         uint32_t *rows, uint32_t count)
{
	const struct dsmx_rel *rel = p->procedure->rel;
	uint32_t partition =
		rel->exchange.kind == DSMX_EXCHANGE_PASSTHROUGH ? p->fragment.task : target;
	const struct dx_filter_set *set = p->procedure->filters[partition];
	struct dx_dropper *d = set == NULL ? NULL : dropper_of(p);
	struct dsmx_batch part = *batch;

	part.selection = rows;
	if (d == NULL || p->outputs[partition].over)
		return count;
	for (uint32_t i = 0; i < set->count && count > 0; i++) {
		struct dx_worth *worth = &d->worth[target * DSMX_FILTERS_MAX + i];
		uint32_t kept;

		if (!dx_worth_asking(worth, count))
			continue;
		part.selected = count;
		kept = dx_key_filter_keep(&set->filters[i], &rel->schema, &part, rows, &d->hashes);
		dx_worth_note(worth, count, count - kept, DX_WORTH_SEND);
		p->fragment.env.filter_tested += count;
		p->fragment.env.filter_dropped += count - kept;
		count = kept;
	}
	return count;
}

/* --- record batches ------------------------------------------------------------------------------------ */

static bool range_in(const struct dx_filter_set *set, uint32_t column, int64_t *ret_least,
                     int64_t *ret_greatest)
{
	for (uint32_t i = 0; set != NULL && i < set->count; i++) {
		const struct dx_key_filter *f = &set->filters[i];

		for (uint32_t k = 0; k < f->key_count; k++) {
			if (f->columns[k] != column || (f->ranged >> k & 1) == 0)
				continue;
			*ret_least = f->least[k];
			*ret_greatest = f->greatest[k];
			return true;
		}
	}
	return false;
}

/* Until every partition that is still wanted has said one, everything passes. */
static void join_ranges(const struct dx_producer *p, struct common_range *range)
{
	int64_t least = INT64_MAX, greatest = INT64_MIN, low, high;

	range->filter.key_count = 0;
	range->filter.ranged = 0;
	for (uint32_t i = 0; i < p->procedure->rel->exchange.partitions; i++) {
		if (p->outputs[i].over)
			continue;
		if (!range_in(p->procedure->filters[i], range->column, &low, &high))
			return;
		least = low < least ? low : least;
		greatest = high > greatest ? high : greatest;
	}
	range->filter.key_count = 1;
	range->filter.ranged = 1;
	range->filter.columns[0] = range->scan_column;
	range->filter.least[0] = least;
	range->filter.greatest[0] = greatest;
}

void dx_dropper_update(struct dx_producer *p)
{
	for (uint32_t i = 0; p->dropper != NULL && i < p->dropper->range_count; i++)
		join_ranges(p, &p->dropper->ranges[i]);
}

static void offer_range(struct dx_producer *p, struct dx_dropper *d, uint32_t column)
{
	struct common_range *range = &d->ranges[d->range_count];
	uint32_t scan_column = column;
	const struct dsmx_rel *scan = dx_rel_origin(p->procedure->rel->inputs[0], &scan_column);

	if (d->range_count == DSMX_FILTERS_MAX || scan == NULL || scan->kind != DX_REL_SCAN)
		return;
	for (uint32_t i = 0; i < d->range_count; i++)
		if (d->ranges[i].column == column)
			return;
	range->column = column;
	range->scan_column = scan_column;
	range->offer = (struct dx_offer_filter){ .rel = scan,
		                                 .partition = p->fragment.task,
		                                 .filter = &range->filter };
	dx_filter_offer(&p->fragment.env, &range->offer);
	d->range_count++;
}

/* Whoever asked first has said which columns it is about. */
void dx_dropper_start(struct dx_producer *p)
{
	const struct dx_filter_set *set = NULL;
	struct dx_dropper *d;

	for (uint32_t i = 0; p->procedure->filters != NULL && set == NULL &&
	                     i < p->procedure->rel->exchange.partitions;
	     i++)
		set = p->procedure->filters[i];
	d = set == NULL ? NULL : dropper_of(p);
	for (uint32_t i = 0; d != NULL && i < set->count; i++)
		for (uint32_t k = 0; k < set->filters[i].key_count; k++)
			if ((set->filters[i].ranged >> k & 1) != 0)
				offer_range(p, d, set->filters[i].columns[k]);
	dx_dropper_update(p);
}
