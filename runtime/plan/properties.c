/* SPDX-License-Identifier: MIT */
/*
 * properties.c - how a relation's output is spread and ordered, for those above
 *
 * An exchange ends what is known: it reports the number of its partitions and nothing more, so no rule can
 * plan across it by accident. Only a gather is known to be one partition, and a broadcast to be whole in each.
 */
#include "plan/tree.h"

static struct dx_properties of_exchange(const struct dx_exchange *exchange)
{
	static const enum dx_partitioning_kind kinds[DSMX_EXCHANGE_KIND_COUNT] = {
		[DSMX_EXCHANGE_BROADCAST] = DX_PARTITIONING_REPLICATED,
		[DSMX_EXCHANGE_GATHER] = DX_PARTITIONING_SINGLE,
		[DSMX_EXCHANGE_MERGE] = DX_PARTITIONING_SINGLE,
		/* all others: DX_PARTITIONING_UNKNOWN */
	};

	return (struct dx_properties){ .partitioning = kinds[exchange->kind],
		                       .partitions = exchange->partitions };
}

/* A join's rows come as its left input's do; but with a whole left input in each task, as its right's. */
static struct dx_properties of_join(const struct dsmx_rel *rel)
{
	struct dx_properties left = rel->inputs[0]->properties;

	if (left.partitioning == DX_PARTITIONING_REPLICATED)
		left = rel->inputs[1]->properties;
	left.order = NULL;
	left.order_count = 0;
	return left;
}

void dx_rel_properties(struct dsmx_rel *rel)
{
	struct dx_properties *own = &rel->properties;

	switch (rel->kind) {
	case DX_REL_SCAN:
		break;
	case DX_REL_LEAF:
		own->partitioning = DX_PARTITIONING_SINGLE;
		own->partitions = 1;
		break;
	case DX_REL_EXCHANGE:
		*own = of_exchange(&rel->exchange);
		break;
	case DX_REL_JOIN:
		*own = of_join(rel);
		break;
	case DX_REL_FILTER:
	case DX_REL_LIMIT:
		*own = rel->inputs[0]->properties;
		break;
	case DX_REL_SORT:
		*own = rel->inputs[0]->properties;
		own->order = rel->sort.keys;
		own->order_count = rel->sort.key_count;
		break;
	case DX_REL_EXTENSION:
		if (rel->input_count == 0)
			break;
		*own = rel->inputs[0]->properties;
		own->order = NULL;
		own->order_count = 0;
		break;
	default: /* a project or aggregate: columns have new numbers */
		*own = rel->inputs[0]->properties;
		own->order = NULL;
		own->order_count = 0;
		break;
	}
}
