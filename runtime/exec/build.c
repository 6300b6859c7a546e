/* SPDX-License-Identifier: MIT */
/*
 * build.c - a fragment of a plan as operators, inputs first
 *
 * The walk ends at scans, leaves and exchanges. A LIMIT right above a SORT is part of it: the sort then
 * keeps no more rows than are asked for.
 */
#include "exec/build.h"

#include "base/err.h"

typedef int make_function(struct dx_exec_env *env, const struct dsmx_rel *rel,
                          struct dsmx_operator **inputs, struct dsmx_operator **ret_operator,
                          struct dsmx_error *err);

static int make_scan(struct dx_exec_env *env, const struct dsmx_rel *rel,
                     struct dsmx_operator **inputs, struct dsmx_operator **ret_operator,
                     struct dsmx_error *err)
{
	(void)inputs;
	return dx_scan_make(env, rel, ret_operator, err);
}

static int make_leaf(struct dx_exec_env *env, const struct dsmx_rel *rel,
                     struct dsmx_operator **inputs, struct dsmx_operator **ret_operator,
                     struct dsmx_error *err)
{
	(void)inputs;
	return dx_leaf_make(env, rel, ret_operator, err);
}

static int make_filter(struct dx_exec_env *env, const struct dsmx_rel *rel,
                       struct dsmx_operator **inputs, struct dsmx_operator **ret_operator,
                       struct dsmx_error *err)
{
	(void)env;
	return dx_filter_make(rel, inputs[0], ret_operator, err);
}

static int make_project(struct dx_exec_env *env, const struct dsmx_rel *rel,
                        struct dsmx_operator **inputs, struct dsmx_operator **ret_operator,
                        struct dsmx_error *err)
{
	(void)env;
	return dx_project_make(rel, inputs[0], ret_operator, err);
}

static int make_join(struct dx_exec_env *env, const struct dsmx_rel *rel,
                     struct dsmx_operator **inputs, struct dsmx_operator **ret_operator,
                     struct dsmx_error *err)
{
	return dx_join_make(env, rel, inputs[0], inputs[1], ret_operator, err);
}

static int make_aggregate(struct dx_exec_env *env, const struct dsmx_rel *rel,
                          struct dsmx_operator **inputs, struct dsmx_operator **ret_operator,
                          struct dsmx_error *err)
{
	(void)env;
	return dx_aggregate_make(rel, inputs[0], ret_operator, err);
}

static int make_sort(struct dx_exec_env *env, const struct dsmx_rel *rel,
                     struct dsmx_operator **inputs, struct dsmx_operator **ret_operator,
                     struct dsmx_error *err)
{
	(void)env;
	return dx_sort_make(rel, NULL, inputs[0], ret_operator, err);
}

static int make_limit(struct dx_exec_env *env, const struct dsmx_rel *rel,
                      struct dsmx_operator **inputs, struct dsmx_operator **ret_operator,
                      struct dsmx_error *err)
{
	(void)env;
	if (rel->inputs[0]->kind == DX_REL_SORT)
		return dx_sort_make(rel->inputs[0], rel, inputs[0], ret_operator, err);
	return dx_limit_make(rel, inputs[0], ret_operator, err);
}

static int make_exchange(struct dx_exec_env *env, const struct dsmx_rel *rel,
                         struct dsmx_operator **inputs, struct dsmx_operator **ret_operator,
                         struct dsmx_error *err)
{
	(void)inputs;
	return env->make_exchange(env, rel, ret_operator, err);
}

static int make_extension(struct dx_exec_env *env, const struct dsmx_rel *rel,
                          struct dsmx_operator **inputs, struct dsmx_operator **ret_operator,
                          struct dsmx_error *err)
{
	const struct dsmx_extension *extension = NULL;
	int code;

	if (env->find_extension != NULL)
		extension = env->find_extension(env, rel->extension.name);
	if (extension == NULL)
		return dx_error(err, -ENOENT,
		                "no operator \"%s\" in this process: load its plug-in",
		                rel->extension.name);
	code = extension->make(rel->extension.bytes, rel->extension.len_bytes, &rel->schema, inputs,
	                       rel->input_count, ret_operator, err);
	if (code > 0)
		return dx_error(err, -EINVAL, "operator \"%s\" said %d when it was made",
		                rel->extension.name, code);
	return code;
}

/* What makes each kind, and over how many inputs. */
static const struct {
	make_function *make;
	uint32_t inputs;
} kinds[DX_REL_KIND_COUNT] = {
	[DX_REL_SCAN] = { make_scan, 0 },         [DX_REL_LEAF] = { make_leaf, 0 },
	[DX_REL_FILTER] = { make_filter, 1 },     [DX_REL_PROJECT] = { make_project, 1 },
	[DX_REL_JOIN] = { make_join, 2 },         [DX_REL_AGGREGATE] = { make_aggregate, 1 },
	[DX_REL_SORT] = { make_sort, 1 },         [DX_REL_LIMIT] = { make_limit, 1 },
	[DX_REL_EXCHANGE] = { make_exchange, 1 }, [DX_REL_EXTENSION] = { make_extension, 0 },
};

static bool is_sound(const struct dsmx_rel *rel)
{
	if ((uint32_t)rel->kind >= DX_REL_KIND_COUNT || rel->input_count > DSMX_OPERATOR_INPUTS)
		return false;
	return rel->kind == DX_REL_EXTENSION || rel->input_count == kinds[rel->kind].inputs;
}

int dx_exec_build(struct dx_exec_env *env, const struct dsmx_rel *rel,
                  struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	struct dsmx_operator *inputs[DSMX_OPERATOR_INPUTS] = { NULL };
	const struct dsmx_rel *over = rel;
	uint32_t built = 0;
	int code = 0;

	if (!is_sound(rel))
		return dx_error(err, -EINVAL, "a relation of kind %u over %u inputs",
		                (unsigned int)rel->kind, rel->input_count);
	if (rel->kind == DX_REL_LIMIT && rel->inputs[0]->kind == DX_REL_SORT &&
	    is_sound(rel->inputs[0]))
		over = rel->inputs[0];
	for (; rel->kind != DX_REL_EXCHANGE && code == 0 && built < over->input_count; built++) {
		code = dx_exec_build(env, over->inputs[built], &inputs[built], err);
		if (code < 0)
			break;
	}
	if (code == 0)
		code = kinds[rel->kind].make(env, rel, inputs, ret_operator, err);
	while (code < 0 && built-- > 0)
		inputs[built]->ops->free(inputs[built]);
	return code;
}
