/* SPDX-License-Identifier: MIT */
/*
 * codec_plan.c - dsmx_plan_encode() and dsmx_plan_decode(): the plan around the relations
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "plan/codec.h"
#include "plan/substrait.pb-c.h"
#include "plan/tree.h"

#define MAPPING(name) SUBSTRAIT__SIMPLE_EXTENSION_DECLARATION__MAPPING_TYPE_##name

/* The version of Substrait that substrait.proto is a part of. */
#define SUBSTRAIT_MINOR 101

static const char *const urns[DX_FILE_COUNT] = {
	[DX_FILE_ARITHMETIC] = "extension:io.substrait:functions_arithmetic",
	[DX_FILE_COMPARISON] = "extension:io.substrait:functions_comparison",
	[DX_FILE_BOOLEAN] = "extension:io.substrait:functions_boolean",
	[DX_FILE_STRING] = "extension:io.substrait:functions_string",
	[DX_FILE_DATETIME] = "extension:io.substrait:functions_datetime",
	[DX_FILE_AGGREGATE] = "extension:io.substrait:functions_aggregate_generic",
	[DX_FILE_DECIMAL] = "extension:io.substrait:functions_arithmetic_decimal",
	[DX_FILE_UNSIGNED] = "extension:io.substrait:unsigned_integers",
	[DX_FILE_DSMX] = "extension:dev.dsmx:types",
};

/* --- out ----------------------------------------------------------------------------------------------- */

static Substrait__SimpleExtensionDeclaration *
declaration(struct dx_encoder *e, const struct dx_declared *from, uint32_t urn)
{
	Substrait__SimpleExtensionDeclaration *pb = DX_NEW(e, simple_extension_declaration);
	char *name = dx_encode_text(e, from->name, strlen(from->name));

	if (from->kind == DX_DECLARED_FUNCTION) {
		pb->mapping_type_case = MAPPING(EXTENSION_FUNCTION);
		pb->extension_function =
			DX_NEW(e, simple_extension_declaration__extension_function);
		pb->extension_function->extension_urn_reference = urn;
		pb->extension_function->has_extension_urn_reference = true;
		pb->extension_function->function_anchor = from->anchor;
		pb->extension_function->has_function_anchor = true;
		pb->extension_function->name = name;
	} else if (from->kind == DX_DECLARED_TYPE) {
		pb->mapping_type_case = MAPPING(EXTENSION_TYPE);
		pb->extension_type = DX_NEW(e, simple_extension_declaration__extension_type);
		pb->extension_type->extension_urn_reference = urn;
		pb->extension_type->has_extension_urn_reference = true;
		pb->extension_type->type_anchor = from->anchor;
		pb->extension_type->has_type_anchor = true;
		pb->extension_type->name = name;
	} else {
		pb->mapping_type_case = MAPPING(EXTENSION_TYPE_VARIATION);
		pb->extension_type_variation =
			DX_NEW(e, simple_extension_declaration__extension_type_variation);
		pb->extension_type_variation->extension_urn_reference = urn;
		pb->extension_type_variation->has_extension_urn_reference = true;
		pb->extension_type_variation->type_variation_anchor = from->anchor;
		pb->extension_type_variation->has_type_variation_anchor = true;
		pb->extension_type_variation->name = name;
	}
	return pb;
}

/* What was declared on the way, and the files that it is from, in the order of their first use. */
static void declarations(struct dx_encoder *e, Substrait__Plan *pb)
{
	uint32_t anchors[DX_FILE_COUNT] = { 0 };
	size_t room, used = 0;

	pb->extension_urns = dx_encode_array(e, DX_FILE_COUNT, &room);
	pb->extensions = dx_encode_array(e, e->declared_count, &pb->n_extensions);
	for (size_t i = 0; room > 0 && i < pb->n_extensions; i++) {
		enum dx_extension_file file = e->declared[i].file;

		if (anchors[file] == 0) {
			Substrait__SimpleExtensionURN *urn = DX_NEW(e, simple_extension_urn);

			anchors[file] = (uint32_t)used + 1;
			urn->extension_urn_anchor = anchors[file];
			urn->has_extension_urn_anchor = true;
			urn->urn = dx_encode_text(e, urns[file], strlen(urns[file]));
			pb->extension_urns[used++] = urn;
		}
		pb->extensions[i] = declaration(e, &e->declared[i], anchors[file]);
	}
	pb->n_extension_urns = used;
}

static Substrait__Plan *encode_plan(struct dx_encoder *e, const struct dsmx_plan *plan)
{
	Substrait__Plan *pb = DX_NEW(e, plan);
	Substrait__PlanRel *relation = DX_NEW(e, plan_rel);
	Substrait__RelRoot *root = DX_NEW(e, rel_root);

	root->input = dx_encode_rel(e, plan->root);
	root->names = dx_encode_array(e, plan->schema.field_count, &root->n_names);
	for (size_t i = 0; i < root->n_names; i++) {
		const char *name = plan->schema.fields[i].name;

		root->names[i] = dx_encode_text(e, name, strlen(name));
	}
	relation->rel_type_case = SUBSTRAIT__PLAN_REL__REL_TYPE_ROOT;
	relation->root = root;
	pb->relations = dx_encode_array(e, 1, &pb->n_relations);
	if (pb->n_relations == 1)
		pb->relations[0] = relation;
	declarations(e, pb);
	pb->version = DX_NEW(e, version);
	pb->version->minor_number = SUBSTRAIT_MINOR;
	pb->version->has_minor_number = true;
	pb->version->producer = dx_encode_text(e, "dsmx", 4);
	return pb;
}

/* The arena's failures are looked at before anything is packed: spare messages are never read. */
static int pack(struct dx_encoder *e, const Substrait__Plan *pb, void **ret_bytes, size_t *ret_len,
                struct dsmx_error *err)
{
	size_t len;
	void *bytes;

	if (e->arena.failed)
		return dx_error(err, -ENOMEM, "no memory for a plan's bytes");
	len = protobuf_c_message_get_packed_size(&pb->base);
	if (len > DSMX_PLAN_BYTES_MAX)
		return dx_error(err, -E2BIG, "the plan has %zu bytes, the most is %u", len,
		                DSMX_PLAN_BYTES_MAX);
	bytes = malloc(len);
	if (bytes == NULL)
		return dx_error(err, -ENOMEM, "no memory for a plan's bytes");
	(void)protobuf_c_message_pack(&pb->base, bytes);
	*ret_bytes = bytes;
	*ret_len = len;
	return 0;
}

int dsmx_plan_encode(const struct dsmx_plan *plan, void **ret_bytes, size_t *ret_len,
                     struct dsmx_error *err)
{
	struct dx_encoder e = { 0 };
	int rc = dsmx_plan_error(plan, err);

	if (rc < 0)
		return rc;
	if (plan->root == NULL)
		return dx_error(err, -EINVAL, "the plan is not finished");
	rc = pack(&e, encode_plan(&e, plan), ret_bytes, ret_len, err);
	dx_arena_free(&e.arena);
	return rc;
}

/* --- in ------------------------------------------------------------------------------------------------ */

static int by_anchor(const void *a, const void *b)
{
	uint32_t x = ((const struct dx_anchor *)a)->anchor,
		 y = ((const struct dx_anchor *)b)->anchor;

	return x < y ? -1 : x > y;
}

/* What a declaration says; @ret_file: the anchor of the URN, or in older plans URI, that it is from. */
static enum dx_declared_kind read_declaration(const Substrait__SimpleExtensionDeclaration *pb,
                                              struct dx_anchor *ret_anchor, uint32_t *ret_file)
{
	switch (pb->mapping_type_case) {
	case MAPPING(EXTENSION_FUNCTION):
		*ret_file = pb->extension_function->extension_urn_reference |
		            pb->extension_function->extension_uri_reference;
		*ret_anchor = (struct dx_anchor){ pb->extension_function->function_anchor,
			                          pb->extension_function->name };
		return DX_DECLARED_FUNCTION;
	case MAPPING(EXTENSION_TYPE):
		*ret_file = pb->extension_type->extension_urn_reference |
		            pb->extension_type->extension_uri_reference;
		*ret_anchor = (struct dx_anchor){ pb->extension_type->type_anchor,
			                          pb->extension_type->name };
		return DX_DECLARED_TYPE;
	case MAPPING(EXTENSION_TYPE_VARIATION):
		*ret_file = pb->extension_type_variation->extension_urn_reference |
		            pb->extension_type_variation->extension_uri_reference;
		*ret_anchor =
			(struct dx_anchor){ pb->extension_type_variation->type_variation_anchor,
			                    pb->extension_type_variation->name };
		return DX_DECLARED_VARIATION;
	default:
		return DX_DECLARED_KIND_COUNT;
	}
}

/* The URNs, and in older plans URIs, that declarations refer to; sorted. */
static bool decode_files(struct dx_decoder *d, const Substrait__Plan *pb)
{
	size_t count = pb->n_extension_urns + pb->n_extension_uris, at = 0;

	d->files = dx_arena_array(&d->arena, count, sizeof(struct dx_anchor));
	if (d->files == NULL) {
		(void)dx_plan_fail(d->plan, -ENOMEM, "no memory for a plan");
		return false;
	}
	for (size_t i = 0; i < pb->n_extension_urns; i++)
		d->files[at++] = (struct dx_anchor){ pb->extension_urns[i]->extension_urn_anchor,
			                             pb->extension_urns[i]->urn };
	for (size_t i = 0; i < pb->n_extension_uris; i++)
		d->files[at++] = (struct dx_anchor){ pb->extension_uris[i]->extension_uri_anchor,
			                             pb->extension_uris[i]->uri };
	d->file_count = (uint32_t)count;
	qsort(d->files, count, sizeof(struct dx_anchor), by_anchor);
	return true;
}

static bool file_known(struct dx_decoder *d, uint32_t anchor, const char *name)
{
	const struct dx_anchor key = { anchor, NULL };

	if (bsearch(&key, d->files, d->file_count, sizeof(key), by_anchor) != NULL)
		return true;
	(void)dx_plan_fail(d->plan, -EBADMSG,
	                   "not a plan: '%.64s' is of extension %u: there is none", name, anchor);
	return false;
}

/* What is declared, sorted by anchor for each kind. */
static bool decode_declarations(struct dx_decoder *d, const Substrait__Plan *pb)
{
	if (!decode_files(d, pb))
		return false;
	for (int k = 0; k < DX_DECLARED_KIND_COUNT; k++) {
		d->declared[k] =
			dx_arena_array(&d->arena, pb->n_extensions, sizeof(struct dx_anchor));
		if (d->declared[k] == NULL) {
			(void)dx_plan_fail(d->plan, -ENOMEM, "no memory for a plan");
			return false;
		}
	}
	for (size_t i = 0; i < pb->n_extensions; i++) {
		struct dx_anchor anchor = { 0, NULL };
		uint32_t file = 0;
		enum dx_declared_kind kind = read_declaration(pb->extensions[i], &anchor, &file);

		if (kind == DX_DECLARED_KIND_COUNT || anchor.name == NULL) {
			(void)dx_plan_fail(d->plan, -EBADMSG,
			                   "not a plan: declaration %zu has no name or no kind", i);
			return false;
		}
		if (!file_known(d, file, anchor.name))
			return false;
		d->declared[kind][d->declared_count[kind]++] = anchor;
	}
	for (int k = 0; k < DX_DECLARED_KIND_COUNT; k++) {
		qsort(d->declared[k], d->declared_count[k], sizeof(struct dx_anchor), by_anchor);
		for (uint32_t i = 1; i < d->declared_count[k]; i++) {
			if (d->declared[k][i].anchor != d->declared[k][i - 1].anchor)
				continue;
			(void)dx_plan_fail(d->plan, -EBADMSG,
			                   "not a plan: anchor %u is declared twice",
			                   d->declared[k][i].anchor);
			return false;
		}
	}
	return true;
}

const char *dx_decode_declared(struct dx_decoder *d, enum dx_declared_kind kind, uint32_t anchor)
{
	const struct dx_anchor key = { anchor, NULL };
	const struct dx_anchor *found =
		bsearch(&key, d->declared[kind], d->declared_count[kind], sizeof(key), by_anchor);

	if (found != NULL)
		return found->name;
	return dx_plan_fail(d->plan, -EBADMSG,
	                    "not a plan: a function or type with anchor %u is not declared",
	                    anchor);
}

bool dx_decode_is(const Substrait__Any *any, const char *url)
{
	return any != NULL && any->type_url != NULL && strcmp(any->type_url, url) == 0;
}

void *dx_decode_any(struct dx_decoder *d, const Substrait__Any *any,
                    const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message;
	struct dsmx_error err;
	int rc = dx_wire_unpack(type, any->value.data, any->value.len, &d->arena, &message, &err);

	if (rc < 0)
		return dx_plan_fail(d->plan, rc, "in a %s: %s", any->type_url, err.message);
	return message;
}

/* The one relation of the plan, and the names that its columns get. */
static const Substrait__Rel *root_of(struct dx_decoder *d, const Substrait__Plan *pb,
                                     size_t *ret_count, char ***ret_names)
{
	const Substrait__PlanRel *relation;

	*ret_count = 0;
	*ret_names = NULL;
	if (pb->n_relations != 1)
		return dx_plan_fail(d->plan, pb->n_relations == 0 ? -EBADMSG : -EOPNOTSUPP,
		                    "a plan of %zu relations is not supported: it has one",
		                    pb->n_relations);
	relation = pb->relations[0];
	if (relation->rel_type_case == SUBSTRAIT__PLAN_REL__REL_TYPE_REL)
		return relation->rel;
	if (relation->rel_type_case != SUBSTRAIT__PLAN_REL__REL_TYPE_ROOT ||
	    relation->root->input == NULL)
		return dx_plan_fail(d->plan, -EBADMSG, "not a plan: it has no root");
	*ret_count = relation->root->n_names;
	*ret_names = relation->root->names;
	return relation->root->input;
}

static void decode_plan(struct dx_decoder *d, const Substrait__Plan *pb)
{
	const Substrait__Rel *rel;
	struct dsmx_rel *root;
	size_t count;
	char **names;

	if (!decode_declarations(d, pb))
		return;
	rel = root_of(d, pb, &count, &names);
	root = rel != NULL ? dx_decode_rel(d, rel) : NULL;
	if (root == NULL)
		return;
	if (names != NULL && count != root->schema.field_count) {
		(void)dx_plan_fail(d->plan, -EBADMSG, "not a plan: %zu names for %u columns", count,
		                   root->schema.field_count);
		return;
	}
	root = dx_plan_prune(d->plan, root);
	if (root == NULL)
		return;
	dx_plan_set_root(d->plan, root, (const char *const *)names);
	dx_plan_check_tasks(d->plan);
}

int dsmx_plan_decode(const void *bytes, size_t len, struct dsmx_plan **ret_plan,
                     struct dsmx_error *err)
{
	struct dx_decoder d = { 0 };
	ProtobufCMessage *message;
	int rc = dsmx_plan_new(&d.plan);

	if (rc < 0)
		return dx_error(err, rc, "no memory for a plan");
	rc = dx_wire_unpack(&substrait__plan__descriptor, bytes, len, &d.arena, &message, err);
	if (rc == 0) {
		decode_plan(&d, (const Substrait__Plan *)message);
		rc = dsmx_plan_error(d.plan, err);
	}
	dx_arena_free(&d.arena);
	if (rc < 0)
		dsmx_plan_free(d.plan);
	else
		*ret_plan = d.plan;
	return rc;
}
