/* SPDX-License-Identifier: MIT */
/*
 * codec_read.c - scans and leaves, both ways
 *
 * A scan is a ReadRel over one local Arrow file: base_schema is the file's, projection picks the columns, and
 * the filter speaks, as Substrait has it, of the file's columns. A path is a URI: "file://" before an absolute
 * one, with %XX for all but letters, digits and -._~/. A table that is only named is the file of that name,
 * with ".arrow" behind it, under the working directory. A leaf is an extension table.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plan/codec.h"
#include "plan/substrait.pb-c.h"
#include "plan/tree.h"

#define READ(name) SUBSTRAIT__READ_REL__READ_TYPE_##name
#define PATH(name) SUBSTRAIT__READ_REL__LOCAL_FILES__FILE_OR_FILES__PATH_TYPE_##name

#define FILE_SCHEME "file://"

/* --- paths --------------------------------------------------------------------------------------------- */

static bool is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       strchr("-._~/", c) != NULL;
}

static char *uri_of(struct dx_encoder *e, const char *path)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t scheme = path[0] == '/' ? strlen(FILE_SCHEME) : 0, len = strlen(path), at;
	char *uri = dx_arena_alloc(&e->arena, scheme + len * 3 + 1);

	if (uri == NULL)
		return dx_encode_text(e, "", 0);
	memcpy(uri, FILE_SCHEME, scheme);
	at = scheme;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)path[i];

		if (is_plain(c)) {
			uri[at++] = (char)c;
			continue;
		}
		uri[at++] = '%';
		uri[at++] = digits[c >> 4];
		uri[at++] = digits[c & 15];
	}
	uri[at] = 0;
	return uri;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static const char *bad_uri(struct dx_decoder *d, int code, const char *uri, const char *why)
{
	return dx_plan_fail(d->plan, code, "a file's URI '%.200s' %s", uri, why);
}

static const char *path_of(struct dx_decoder *d, const char *uri)
{
	const char *colon = strchr(uri, ':'), *from = uri;
	char *path = dx_arena_alloc(&d->arena, strlen(uri) + 1);
	size_t at = 0;

	if (path == NULL)
		return dx_plan_fail(d->plan, -ENOMEM, "no memory for a plan");
	if (strncmp(uri, FILE_SCHEME, strlen(FILE_SCHEME)) == 0) {
		from = uri + strlen(FILE_SCHEME);
		if (strncmp(from, "localhost/", 10) == 0)
			from += 9;
		if (from[0] != '/')
			return bad_uri(d, -EOPNOTSUPP, uri, "is on another host");
	} else if (colon != NULL && memchr(uri, '/', (size_t)(colon - uri)) == NULL) {
		return bad_uri(d, -EOPNOTSUPP, uri, "is no local file");
	}
	for (; *from != 0; from++) {
		int high, low;

		if (*from != '%') {
			path[at++] = *from;
			continue;
		}
		high = hex_digit(from[1]);
		low = high < 0 ? -1 : hex_digit(from[2]);
		if (low < 0 || (high == 0 && low == 0))
			return bad_uri(d, -EBADMSG, uri, "has a broken %XX");
		path[at++] = (char)(high << 4 | low);
		from += 2;
	}
	path[at] = 0;
	return at > 0 ? path : bad_uri(d, -EBADMSG, uri, "is empty");
}

/* --- out ----------------------------------------------------------------------------------------------- */

static Substrait__Expression__MaskExpression *mask_of(struct dx_encoder *e,
                                                      const struct dsmx_rel *rel)
{
	Substrait__Expression__MaskExpression *mask = DX_NEW(e, expression__mask_expression);
	Substrait__Expression__MaskExpression__StructSelect *select =
		DX_NEW(e, expression__mask_expression__struct_select);

	mask->select = select;
	mask->maintain_singular_struct = true;
	mask->has_maintain_singular_struct = true;
	select->struct_items = dx_encode_array(e, rel->schema.field_count, &select->n_struct_items);
	for (size_t i = 0; i < select->n_struct_items; i++) {
		Substrait__Expression__MaskExpression__StructItem *item =
			DX_NEW(e, expression__mask_expression__struct_item);

		item->field = (int32_t)rel->scan.columns[i];
		item->has_field = item->field != 0;
		select->struct_items[i] = item;
	}
	return mask;
}

static Substrait__ReadRel__LocalFiles *files_of(struct dx_encoder *e, const char *path)
{
	Substrait__ReadRel__LocalFiles *files = DX_NEW(e, read_rel__local_files);
	Substrait__ReadRel__LocalFiles__FileOrFiles *item =
		DX_NEW(e, read_rel__local_files__file_or_files);

	item->path_type_case = PATH(URI_FILE);
	item->uri_file = uri_of(e, path);
	item->file_format_case = SUBSTRAIT__READ_REL__LOCAL_FILES__FILE_OR_FILES__FILE_FORMAT_ARROW;
	item->arrow = DX_NEW(e, read_rel__local_files__file_or_files__arrow_read_options);
	files->items = dx_encode_array(e, 1, &files->n_items);
	if (files->n_items == 1)
		files->items[0] = item;
	return files;
}

Substrait__ReadRel *dx_encode_scan(struct dx_encoder *e, const struct dsmx_rel *rel)
{
	Substrait__ReadRel *pb = DX_NEW(e, read_rel);

	pb->base_schema = dx_encode_schema(e, &rel->scan.file_schema);
	if (rel->scan.filter != NULL)
		pb->filter = dx_encode_expr(e, rel->scan.filter, rel->scan.columns);
	pb->projection = mask_of(e, rel);
	pb->read_type_case = READ(LOCAL_FILES);
	pb->local_files = files_of(e, rel->scan.path);
	return pb;
}

Substrait__ReadRel *dx_encode_leaf(struct dx_encoder *e, const struct dsmx_rel *rel)
{
	Substrait__ReadRel *pb = DX_NEW(e, read_rel);
	Substrait__DsmxLeaf *leaf = DX_NEW(e, dsmx_leaf);

	leaf->name = dx_encode_text(e, rel->leaf, strlen(rel->leaf));
	pb->base_schema = dx_encode_schema(e, &rel->schema);
	pb->read_type_case = READ(EXTENSION_TABLE);
	pb->extension_table = DX_NEW(e, read_rel__extension_table);
	pb->extension_table->detail = dx_encode_any(e, DX_URL_LEAF, &leaf->base);
	return pb;
}

/* --- in ------------------------------------------------------------------------------------------------ */

static const char *local_path(struct dx_decoder *d, const Substrait__ReadRel__LocalFiles *files)
{
	const Substrait__ReadRel__LocalFiles__FileOrFiles *item;

	if (files->n_items != 1)
		return dx_plan_fail(d->plan, -EOPNOTSUPP,
		                    "a read of %zu files is not supported: it takes one",
		                    files->n_items);
	item = files->items[0];
	if (item->start != 0 || item->length != 0 || item->partition_index != 0)
		return dx_plan_fail(d->plan, -EOPNOTSUPP,
		                    "a read of a part of a file is not supported");
	if (item->path_type_case == PATH(URI_FILE))
		return path_of(d, item->uri_file);
	if (item->path_type_case == PATH(URI_PATH))
		return path_of(d, item->uri_path);
	return dx_plan_fail(d->plan, -EBADMSG, "not a plan: a file has no path");
}

/* "a/b.arrow" for the names a, b. */
static const char *named_path(struct dx_decoder *d, const Substrait__ReadRel__NamedTable *table)
{
	size_t len = sizeof(".arrow"), at = 0;
	char *path;

	if (table->n_names == 0)
		return dx_plan_fail(d->plan, -EBADMSG, "not a plan: a table has no name");
	for (size_t i = 0; i < table->n_names; i++)
		len += strlen(table->names[i]) + 1;
	path = dx_arena_alloc(&d->arena, len);
	if (path == NULL)
		return dx_plan_fail(d->plan, -ENOMEM, "no memory for a plan");
	for (size_t i = 0; i < table->n_names; i++)
		at += (size_t)snprintf(path + at, len - at, "%s%s", i > 0 ? "/" : "",
		                       table->names[i]);
	(void)snprintf(path + at, len - at, ".arrow");
	return path;
}

/* The columns that a projection picks; all of them where there is none. */
static bool picked(struct dx_decoder *d, const Substrait__ReadRel *pb, uint32_t field_count,
                   uint32_t **ret_columns, uint32_t *ret_count)
{
	const Substrait__Expression__MaskExpression__StructSelect *select =
		pb->projection != NULL ? pb->projection->select : NULL;
	size_t count = select != NULL ? select->n_struct_items : field_count;
	uint32_t *columns;

	if (count == 0 || count > DSMX_PLAN_COLUMNS_MAX) {
		(void)dx_plan_fail(d->plan, -EOPNOTSUPP, "a read of %zu columns is not supported",
		                   count);
		return false;
	}
	/* Room for the filter's own columns behind them. */
	columns = dx_arena_array(&d->arena, count + field_count, sizeof(uint32_t));
	if (columns == NULL) {
		(void)dx_plan_fail(d->plan, -ENOMEM, "no memory for a plan");
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		columns[i] = (uint32_t)i;
		if (select == NULL)
			continue;
		columns[i] = (uint32_t)select->struct_items[i]->field;
		if (columns[i] >= field_count || select->struct_items[i]->child != NULL) {
			(void)dx_plan_fail(d->plan, -EINVAL,
			                   "a read picks column %d of %u, or a part of one",
			                   select->struct_items[i]->field, field_count);
			return false;
		}
	}
	*ret_columns = columns;
	*ret_count = (uint32_t)count;
	return true;
}

/* Where each column of the base is among @columns; those that only the filter needs are added to them. */
static uint32_t *base_map(struct dx_decoder *d, const struct dsmx_expr *filter, uint32_t base_count,
                          uint32_t *columns, uint32_t *count)
{
	uint32_t *map = dx_arena_array(&d->arena, base_count, sizeof(uint32_t));
	bool *used = dx_arena_array(&d->arena, base_count, sizeof(bool));

	if (map == NULL || used == NULL)
		return dx_plan_fail(d->plan, -ENOMEM, "no memory for a plan");
	for (uint32_t i = 0; i < base_count; i++)
		map[i] = DX_COLUMN_GONE;
	for (uint32_t i = *count; i-- > 0;)
		map[columns[i]] = i;
	dx_expr_columns(filter, used);
	for (uint32_t i = 0; i < base_count; i++) {
		if (!used[i] || map[i] != DX_COLUMN_GONE)
			continue;
		map[i] = *count;
		columns[(*count)++] = i;
	}
	return map;
}

static struct dsmx_rel *read_file(struct dx_decoder *d, const Substrait__ReadRel *pb,
                                  const char *path, const struct dsmx_schema *base)
{
	struct dsmx_expr *filter = NULL;
	uint32_t *columns, *map, picks, count;
	struct dsmx_rel *rel;

	if (path == NULL || !picked(d, pb, base->field_count, &columns, &picks))
		return NULL;
	if (pb->filter != NULL)
		filter = dx_decode_expr(d, pb->filter, base);
	if (dx_plan_failed(d->plan))
		return NULL;
	count = picks;
	map = base_map(d, filter, base->field_count, columns, &count);
	if (map == NULL)
		return NULL;
	rel = dx_rel_scan_of(d->plan, path, base, columns, count);
	if (rel != NULL && filter != NULL)
		rel = dsmx_rel_filter(d->plan, rel, dx_expr_renumber(d->plan, filter, map));
	if (rel == NULL || count == picks)
		return rel;
	for (uint32_t i = 0; i < picks; i++)
		columns[i] = i;
	return dx_rel_pick(d->plan, rel, columns, picks);
}

static struct dsmx_rel *read_leaf(struct dx_decoder *d, const Substrait__ReadRel *pb,
                                  const struct dsmx_schema *base)
{
	const Substrait__DsmxLeaf *leaf;
	uint32_t *columns, picks;
	struct dsmx_rel *rel;

	if (!dx_decode_is(pb->extension_table->detail, DX_URL_LEAF))
		return dx_plan_fail(d->plan, -EOPNOTSUPP, "an extension table is not supported");
	leaf = dx_decode_any(d, pb->extension_table->detail, &substrait__dsmx_leaf__descriptor);
	if (leaf == NULL)
		return NULL;
	rel = dsmx_rel_leaf(d->plan, leaf->name != NULL ? leaf->name : "", base);
	if (rel != NULL && pb->filter != NULL)
		rel = dsmx_rel_filter(d->plan, rel, dx_decode_expr(d, pb->filter, base));
	if (rel == NULL || pb->projection == NULL)
		return rel;
	if (!picked(d, pb, base->field_count, &columns, &picks))
		return NULL;
	return dx_rel_pick(d->plan, rel, columns, picks);
}

struct dsmx_rel *dx_decode_read(struct dx_decoder *d, const Substrait__ReadRel *pb)
{
	struct dsmx_schema base;

	if (!dx_decode_schema(d, pb->base_schema, &base))
		return NULL;
	switch (pb->read_type_case) {
	case READ(LOCAL_FILES):
		return read_file(d, pb, local_path(d, pb->local_files), &base);
	case READ(NAMED_TABLE):
		return read_file(d, pb, named_path(d, pb->named_table), &base);
	case READ(EXTENSION_TABLE):
		return read_leaf(d, pb, &base);
	default:
		return dx_plan_fail(d->plan, -EBADMSG, "not a plan: a read does not say of what");
	}
}
