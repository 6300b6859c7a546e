/* SPDX-License-Identifier: MIT */
/*
 * sql_from.c - tables: which file a name means, which column a name means, and how FROM nests
 *
 * Inner joins, whether by comma or by JOIN, are one group without an order; an outer join is a boundary
 * that keeps its two sides. RIGHT JOIN is a LEFT JOIN with the sides exchanged.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sql_tree.h"

/* --- files ---------------------------------------------------------------------------------------------- */

/*
 * The parser cuts names at 63 bytes, as PostgreSQL does; the path of a file may be longer. So a quoted
 * name is read again from the text.
 */
static const char *quoted_name(struct sql *sql, const PgQuery__RangeVar *var)
{
	const char *text = sql->text;
	size_t len = 0, at = (size_t)var->location + 1;
	char *name;

	if (var->location < 0 || text[var->location] != '"')
		return arena_copy(&sql->arena, var->relname, strlen(var->relname));
	name = arena_alloc(&sql->arena, strlen(text + at) + 1);
	for (; text[at] != '\0'; at++) {
		if (text[at] == '"' && text[++at] != '"')
			break;
		name[len++] = text[at];
	}
	return name;
}

static bool is_path(const char *name)
{
	size_t len = strlen(name);

	return strchr(name, '/') != NULL || (len > 6 && strcmp(name + len - 6, ".arrow") == 0);
}

/* dir/x.arrow is table x */
static const char *base_name(struct sql *sql, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash != NULL ? slash + 1 : path;
	size_t len = strlen(base);

	if (len > 6 && strcmp(base + len - 6, ".arrow") == 0)
		len -= 6;
	return arena_copy(&sql->arena, base, len);
}

static bool open_file(struct sql *sql, struct sql_table *table, const char *path, int location)
{
	struct dsmx_error err = { 0 };
	char *absolute = realpath(path, NULL);

	if (absolute == NULL) {
		int code = errno;

		sql_fail(sql, -code, location, "cannot open table \"%s\": %s: %s", table->name,
		         path, strerror(code));
		return false;
	}
	table->path = arena_copy(&sql->arena, absolute, strlen(absolute));
	free(absolute);
	if (dsmx_ipc_open(table->path, &table->file, &err) < 0) {
		sql_fail(sql, err.code != 0 ? err.code : -EIO, location, "%s", err.message);
		return false;
	}
	table->schema = dsmx_ipc_schema(table->file);
	table->rows = dsmx_ipc_rows(table->file);
	return true;
}

static void add_columns(struct sql *sql, struct sql_table *table)
{
	uint32_t count = table->schema->field_count;
	size_t bytes = (sql->column_count + count) * sizeof(struct sql_column);
	struct sql_column *columns = arena_alloc(&sql->arena, bytes);
	bool *used = arena_alloc(&sql->arena, sql->column_count + count);

	if (sql->column_count > 0) {
		memcpy(columns, sql->columns, sql->column_count * sizeof(struct sql_column));
		memcpy(used, sql->used, sql->column_count);
	}
	sql->used = used;
	table->first_column = sql->column_count;
	for (uint32_t i = 0; i < count; i++)
		columns[sql->column_count + i] = (struct sql_column){ sql->table_count, i };
	sql->columns = columns;
	sql->column_count += count;
	sql->table_count++;
}

static struct sql_item *new_item(struct sql *sql, enum sql_item_kind kind)
{
	struct sql_item *item = arena_alloc(&sql->arena, sizeof(*item));

	item->kind = kind;
	return item;
}

static struct sql_item *bind_table(struct sql *sql, const PgQuery__RangeVar *var)
{
	const char *name = quoted_name(sql, var), *path = name;
	struct sql_table *table = &sql->tables[sql->table_count];
	struct sql_item *item = new_item(sql, SQL_ITEM_TABLE);

	if (sql->table_count == SQL_TABLES_MAX)
		return sql_fail(sql, -E2BIG, var->location, "FROM can have at most %d tables",
		                SQL_TABLES_MAX);
	if (var->schemaname[0] != '\0')
		return sql_unsupported(sql, var->location, "a schema's name before a table");
	if (var->alias != NULL && var->alias->n_colnames > 0)
		return sql_unsupported(sql, var->location, "a list of column aliases");
	table->name = is_path(name) ? base_name(sql, name) : name;
	if (!is_path(name))
		path = arena_print(&sql->arena, "%s/%s.arrow", sql->options->data_dir, name);
	if (!open_file(sql, table, path, var->location))
		return NULL;
	if (var->alias != NULL)
		table->name = arena_copy(&sql->arena, var->alias->aliasname,
		                         strlen(var->alias->aliasname));
	for (uint32_t i = 0; i < sql->table_count; i++)
		if (strcmp(sql->tables[i].name, table->name) == 0) {
			dsmx_ipc_close(table->file);
			return sql_fail(sql, -EINVAL, var->location,
			                "table \"%s\" stands twice in FROM; give one an alias",
			                table->name);
		}
	item->table = sql->table_count;
	item->tables = 1U << sql->table_count;
	add_columns(sql, table);
	return item;
}

/* --- joins ---------------------------------------------------------------------------------------------- */

static void add_member(struct sql *sql, struct sql_item *item, struct sql_item *member)
{
	if (item->member_count == item->member_room) {
		uint32_t room = item->member_room > 0 ? item->member_room * 2 : 4;
		struct sql_item **members = arena_alloc(&sql->arena, room * sizeof(*members));

		if (item->member_count > 0)
			memcpy(members, item->members, item->member_count * sizeof(*members));
		item->members = members;
		item->member_room = room;
	}
	item->members[item->member_count++] = member;
	item->tables |= member->tables;
}

/* Into a group: what is a group itself gives its members, so that all of them can be reordered. */
static void merge(struct sql *sql, struct sql_item *group, struct sql_item *item)
{
	if (item->kind != SQL_ITEM_GROUP) {
		add_member(sql, group, item);
		return;
	}
	for (uint32_t i = 0; i < item->member_count; i++)
		add_member(sql, group, item->members[i]);
	for (uint32_t i = 0; i < item->conditions.count; i++)
		sql_push(sql, &group->conditions, item->conditions.at[i]);
}

static struct sql_item *bind_item(struct sql *sql, const PgQuery__Node *node);

static struct sql_item *bind_join(struct sql *sql, const PgQuery__JoinExpr *join)
{
	uint32_t first = sql->visible_first;
	struct sql_item *left, *right, *item;
	struct sql_expr *condition = NULL;
	int location;

	sql->visible_first = sql->column_count;
	left = bind_item(sql, join->larg);
	right = bind_item(sql, join->rarg);
	if (sql_failed(sql))
		return NULL;
	location = sql_location(join->rarg);
	if (join->is_natural || join->n_using_clause > 0)
		return sql_unsupported(sql, location, "NATURAL JOIN and JOIN ... USING");
	if (join->alias != NULL)
		return sql_unsupported(sql, location, "an alias of a join");
	if (join->quals != NULL)
		condition = sql_bind(sql, join->quals);
	sql->visible_first = first;
	switch (join->jointype) {
	case PG_QUERY__JOIN_TYPE__JOIN_INNER:
		item = new_item(sql, SQL_ITEM_GROUP);
		merge(sql, item, left);
		merge(sql, item, right);
		break;
	case PG_QUERY__JOIN_TYPE__JOIN_LEFT:
	case PG_QUERY__JOIN_TYPE__JOIN_RIGHT:
		item = new_item(sql, SQL_ITEM_LEFT);
		add_member(sql, item,
		           join->jointype == PG_QUERY__JOIN_TYPE__JOIN_LEFT ? left : right);
		add_member(sql, item,
		           join->jointype == PG_QUERY__JOIN_TYPE__JOIN_LEFT ? right : left);
		break;
	default:
		return sql_unsupported(sql, location, "FULL JOIN");
	}
	if (condition != NULL)
		sql_conjuncts(sql, condition, &item->conditions);
	return item;
}

static struct sql_item *bind_item(struct sql *sql, const PgQuery__Node *node)
{
	if (sql_failed(sql))
		return NULL;
	switch (node->node_case) {
	case PG_QUERY__NODE__NODE_RANGE_VAR:
		return bind_table(sql, node->range_var);
	case PG_QUERY__NODE__NODE_JOIN_EXPR:
		return bind_join(sql, node->join_expr);
	case PG_QUERY__NODE__NODE_RANGE_SUBSELECT:
		return sql_unsupported(sql, -1, "a subquery in FROM");
	default:
		return sql_unsupported(sql, -1, "this item of FROM");
	}
}

struct sql_item *sql_from(struct sql *sql, PgQuery__Node *const *items, size_t count)
{
	struct sql_item *group = new_item(sql, SQL_ITEM_GROUP);

	sql->clause = "JOIN conditions";
	for (size_t i = 0; i < count; i++) {
		struct sql_item *item = bind_item(sql, items[i]);

		if (item == NULL)
			return NULL;
		merge(sql, group, item);
	}
	return group;
}

/* --- columns -------------------------------------------------------------------------------------------- */

const struct dsmx_field *sql_field(const struct sql *sql, uint32_t column)
{
	const struct sql_column *c = &sql->columns[column];

	return &sql->tables[c->table].schema->fields[c->field];
}

struct sql_expr *sql_column(struct sql *sql, uint32_t column, int location)
{
	struct sql_expr *expr = sql_new(sql, SQL_COLUMN, location);

	expr->column = column;
	sql->used[column] = true;
	return expr;
}

static struct sql_expr *no_such_column(struct sql *sql, const char *table, const char *name,
                                       int location)
{
	struct sql_nearest nearest = { 0 };

	for (uint32_t i = sql->visible_first; i < sql->column_count; i++)
		if (table == NULL || strcmp(sql->tables[sql->columns[i].table].name, table) == 0)
			sql_nearest(&nearest, name, sql_field(sql, i)->name);
	return sql_fail(sql, -ENOENT, location, "there is no column \"%.60s%s%.60s\"%s%s%s",
	                table ? table : "", table ? "." : "", name,
	                nearest.name ? "; did you mean \"" : "", nearest.name ? nearest.name : "",
	                nearest.name ? "\"?" : "");
}

struct sql_expr *sql_bind_column(struct sql *sql, const PgQuery__ColumnRef *ref)
{
	const char *name = sql_string(ref->fields[ref->n_fields - 1]);
	const char *table = ref->n_fields > 1 ? sql_string(ref->fields[0]) : NULL;
	uint32_t found = UINT32_MAX;
	bool known = table == NULL;

	if (ref->n_fields > 2)
		return sql_unsupported(sql, ref->location, "a name of more than two parts");
	if (ref->fields[ref->n_fields - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR)
		return sql_fail(sql, -EINVAL, ref->location, "* cannot stand here");
	for (uint32_t i = sql->visible_first; i < sql->column_count; i++) {
		const char *owner = sql->tables[sql->columns[i].table].name;

		if (table != NULL && strcmp(owner, table) != 0)
			continue;
		known = true;
		if (strcmp(sql_field(sql, i)->name, name) != 0)
			continue;
		if (found != UINT32_MAX)
			return sql_fail(sql, -EINVAL, ref->location,
			                "column \"%.60s\" is ambiguous: "
			                "it is in %.60s and in %.60s",
			                name, sql->tables[sql->columns[found].table].name, owner);
		found = i;
	}
	if (!known)
		return sql_fail(sql, -ENOENT, ref->location,
		                "there is no table \"%.60s\" in FROM that can be named here",
		                table);
	if (found == UINT32_MAX)
		return no_such_column(sql, table, name, ref->location);
	return sql_column(sql, found, ref->location);
}
