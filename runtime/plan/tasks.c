/* SPDX-License-Identifier: MIT */
/*
 * tasks.c - how many tasks a fragment has, and its exchanges partitions
 *
 * A fragment has as many tasks as were asked for; but one where a leaf, an extension without inputs or a gather
 * is in it, and no more than the record batches that it has to read. The exchanges into a fragment have as many
 * partitions as it has tasks. A number that is there already stays, or the plan is refused where it cannot be.
 */
#include <errno.h>

#include "plan/tree.h"

/* What a fragment's tasks depend on. */
struct fragment {
	uint32_t fixed;   /* its own tasks, or an exchange's partitions, where given; else 0 */
	uint32_t batches; /* most record batches of a file, when there is a scan */
	bool has_scan, is_dealt_to, has_gather, has_single_source;
};

static void look(struct dsmx_plan *plan, const struct dsmx_rel *rel, struct fragment *f)
{
	if (rel->kind == DX_REL_EXCHANGE) {
		const struct dx_exchange *e = &rel->exchange;

		f->has_gather = f->has_gather || dx_exchange_is_gather(e);
		f->is_dealt_to = f->is_dealt_to ||
		                 (e->kind != DSMX_EXCHANGE_BROADCAST && !dx_exchange_is_gather(e));
		if (dx_exchange_is_gather(e) || e->partitions == 0)
			return;
		if (f->fixed != 0 && f->fixed != e->partitions)
			(void)dx_plan_fail(
				plan, -EINVAL,
				"a fragment of %u tasks has an exchange of %u partitions "
				"into it",
				f->fixed, e->partitions);
		f->fixed = e->partitions;
		return;
	}
	if (rel->kind == DX_REL_SCAN) {
		f->has_scan = true;
		if (rel->scan.batches == 0)
			f->batches = UINT32_MAX;
		else if (rel->scan.batches > f->batches)
			f->batches = rel->scan.batches;
	}
	if (rel->kind == DX_REL_LEAF || (rel->kind == DX_REL_EXTENSION && rel->input_count == 0))
		f->has_single_source = true;
	for (uint32_t i = 0; i < rel->input_count; i++)
		look(plan, rel->inputs[i], f);
}

/* @given: what the fragment had before; 0: nothing. */
static uint32_t fragment_tasks(struct dsmx_plan *plan, const struct dsmx_rel *rel, uint32_t asked,
                               uint32_t given, bool is_root)
{
	struct fragment f = { .fixed = given };
	uint32_t tasks = asked;

	look(plan, rel, &f);
	if (f.fixed != 0)
		tasks = f.fixed;
	else if (is_root || f.has_gather || f.has_single_source)
		tasks = 1;
	else if (f.has_scan && !f.is_dealt_to && f.batches < tasks)
		tasks = f.batches;
	if (tasks > 1 && (is_root || f.has_gather || f.has_single_source))
		(void)dx_plan_fail(
			plan, -EINVAL,
			"a fragment with a %s has one task, but an exchange into it has %u "
			"partitions",
			is_root        ? "root"
			: f.has_gather ? "gather"
				       : "leaf",
			tasks);
	return tasks;
}

/* Each of its tasks has a partition of its own. */
static void check_passthrough(struct dsmx_plan *plan, const struct dx_exchange *e)
{
	if (e->kind == DSMX_EXCHANGE_PASSTHROUGH && e->producer_tasks > e->partitions)
		(void)dx_plan_fail(plan, -EINVAL,
		                   "a passthrough exchange has %u tasks and only %u partitions",
		                   e->producer_tasks, e->partitions);
}

/* The exchanges into the fragment that @rel is in get @tasks partitions; the fragments below their own. */
static void set_tasks(struct dsmx_plan *plan, struct dsmx_rel *rel, uint32_t asked, uint32_t tasks)
{
	struct dx_exchange *e = &rel->exchange;

	if (rel->kind == DX_REL_EXCHANGE) {
		bool to_one_each = e->kind == DSMX_EXCHANGE_PASSTHROUGH;

		e->partitions = dx_exchange_is_gather(e) ? 1 : tasks;
		tasks = fragment_tasks(plan, rel->inputs[0],
		                       to_one_each && tasks < asked ? tasks : asked,
		                       e->producer_tasks, false);
		e->producer_tasks = tasks;
		check_passthrough(plan, e);
	}
	for (uint32_t i = 0; i < rel->input_count; i++)
		set_tasks(plan, rel->inputs[i], asked, tasks);
}

void dx_plan_set_tasks(struct dsmx_plan *plan, struct dsmx_rel *root, uint32_t tasks)
{
	set_tasks(plan, root, tasks, fragment_tasks(plan, root, tasks, 0, true));
}

/* --- numbers from outside ------------------------------------------------------------------------------ */

/* The exchanges into a fragment of @tasks: is there a partition for each task? */
static void check_partitions(struct dsmx_plan *plan, const struct dsmx_rel *rel, uint32_t tasks)
{
	const struct dx_exchange *e = &rel->exchange;

	if (rel->kind != DX_REL_EXCHANGE) {
		for (uint32_t i = 0; i < rel->input_count; i++)
			check_partitions(plan, rel->inputs[i], tasks);
		return;
	}
	if (e->producer_tasks == 0)
		(void)dx_plan_fail(plan, -EINVAL, "exchange %u has no tasks, others have",
		                   e->number);
	else if (e->partitions != tasks)
		(void)dx_plan_fail(plan, -EINVAL,
		                   "exchange %u has %u partitions, the fragment above has %u tasks",
		                   e->number, e->partitions, tasks);
	else if (e->producer_tasks > 1 && dx_rel_has_leaf(rel->inputs[0]))
		(void)dx_plan_fail(plan, -EINVAL, "exchange %u has %u tasks over a leaf", e->number,
		                   e->producer_tasks);
	else
		check_partitions(plan, rel->inputs[0], e->producer_tasks);
	check_passthrough(plan, e);
}

void dx_plan_check_tasks(struct dsmx_plan *plan)
{
	bool distributed = false;

	if (dx_plan_failed(plan))
		return;
	for (uint32_t i = 0; i < plan->exchange_count; i++)
		distributed = distributed || plan->exchanges[i]->exchange.producer_tasks > 0;
	if (distributed)
		check_partitions(plan, plan->root, 1);
}
