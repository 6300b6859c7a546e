/* SPDX-License-Identifier: MIT */
/*
 * sql_tree.h - what the steps of the SQL front end hand to each other
 *
 * Names are resolved when an expression is bound; types are not. A bound expression knows its columns,
 * and nothing of the relation that will hold them: that is a scope's business, a list that says which
 * expression each output column of a relation holds. Because "is it there already?" is asked by
 * structural equality, columns, join keys, group keys and aggregates are all found the same way. Types
 * come last, from the plan builder (sql_emit.c), so that its rules stand in one place only.
 *
 * Everything here lives in the statement's arena. The first failure is kept in sql->error; after it every
 * step returns at once.
 */
#ifndef DSMX_TOOL_SQL_TREE_H
#define DSMX_TOOL_SQL_TREE_H

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/mem.h"
#include "dsmx/ipc.h"
#include "dsmx/plan.h"
#include "sql.h"

enum sql_kind {
	SQL_COLUMN,
	SQL_LITERAL,
	SQL_INTERVAL, /* only until it is folded into a date */
	SQL_CALL,
	SQL_CAST,
	SQL_CASE, /* args: condition, result, ..., otherwise (may be NULL) */
	SQL_IN,   /* args: what, options */
	SQL_AGGREGATE,
};

struct sql_expr {
	enum sql_kind kind;
	int location;
	uint32_t column;               /* COLUMN: index in sql->columns */
	struct dsmx_type type;         /* LITERAL, CAST */
	const char *text;              /* LITERAL: its value, NULL: the null */
	bool untyped;                  /* LITERAL: quoted or NULL: takes the type of its company */
	int64_t months, days, micros;  /* INTERVAL */
	enum dsmx_function function;   /* CALL */
	enum dsmx_aggregate aggregate; /* AGGREGATE */
	uint32_t arg_count;
	struct sql_expr **args;
	uint32_t size; /* nodes in it, a shared one counted each time */
};

struct sql_list {
	uint32_t count, room;
	struct sql_expr **at;
};

struct sql_table {
	const char *name; /* by which columns name it */
	const char *path;
	struct dsmx_ipc_file *file;
	const struct dsmx_schema *schema; /* the file's */
	uint64_t rows;
	uint32_t first_column; /* of its fields in sql->columns */
};

struct sql_column {
	uint32_t table;
	uint32_t field;
};

enum sql_item_kind {
	SQL_ITEM_TABLE,
	SQL_ITEM_GROUP, /* inner joins of its members, in any order */
	SQL_ITEM_LEFT,  /* members[0] LEFT JOIN members[1] */
};

/*
 * struct sql_item - a part of FROM
 *
 * @conditions: TABLE: what its scan filters; GROUP: what joins its members; LEFT: the ON clause
 * @filters: LEFT: what holds above the join
 * @tables: a bit for each table in it
 */
struct sql_item {
	enum sql_item_kind kind;
	uint32_t tables;
	uint32_t table;
	uint32_t member_count, member_room;
	struct sql_item **members;
	struct sql_list conditions;
	struct sql_list filters;
};

/*
 * struct sql_join - the physical tree, made by sql_join.c
 *
 * @left: the probe side, NULL for a table
 * @keys: pairs: left expression, right expression
 * @conditions: what a pair must also satisfy (a table: its scan's filter)
 * @filters: what holds above
 */
struct sql_join {
	enum dsmx_join_kind kind;
	uint32_t tables;
	uint32_t table;
	struct sql_join *left, *right;
	struct sql_list keys;
	struct sql_list conditions;
	struct sql_list filters;
	bool broadcast;
	double rows;      /* estimated, out of it */
	double width;     /* bytes of such a row */
	double base_rows; /* of the largest table in it */
	double cost;
};

/* A relation, and which expression each of its columns holds (NULL: none that can be named). */
struct sql_scope {
	struct dsmx_rel *rel;
	struct dsmx_rel *pair; /* for a join's condition: the right side; rel is the left */
	struct sql_list columns;
	bool grouped; /* what is not in columns is an error of grouping */
};

struct sql {
	struct mem_arena arena;
	struct sql_error *error;
	const struct sql_options *options;
	const char *text;
	struct dsmx_plan *plan;
	uint32_t table_count;
	struct sql_table tables[SQL_TABLES_MAX];
	uint32_t column_count;
	struct sql_column *columns;
	bool *used; /* which of them the statement names */
	/* While binding: where we are, for names and for errors. */
	uint32_t visible_first; /* columns of earlier tables cannot be named here */
	const char *clause;     /* "WHERE", ... */
	bool aggregates_allowed;
	bool in_aggregate;
};

/* --- sql_error.c --------------------------------------------------------------------------------------- */

/* Keep the first failure. Returns NULL, for callers that return a pointer. */
void *sql_fail(struct sql *sql, int code, int location, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void *sql_unsupported(struct sql *sql, int location, const char *what);
bool sql_failed(const struct sql *sql);
/* Of @count names the nearest to @name, or NULL when none is near. */
struct sql_nearest {
	const char *name;
	uint32_t distance;
};
void sql_nearest(struct sql_nearest *best, const char *name, const char *candidate);

/* --- sql_tree.c ---------------------------------------------------------------------------------------- */

struct sql_expr *sql_new(struct sql *sql, enum sql_kind kind, int location);
/* With arguments; NULL after a failure. BETWEEN and CASE share theirs, so the size is bounded here. */
struct sql_expr *sql_make(struct sql *sql, enum sql_kind kind, int location,
                          const struct sql_list *args);
struct sql_expr *sql_call(struct sql *sql, enum dsmx_function function, int location,
                          uint32_t arg_count, ...);
struct sql_expr *sql_call_list(struct sql *sql, enum dsmx_function function, int location,
                               const struct sql_list *args);
struct sql_expr *sql_literal(struct sql *sql, struct dsmx_type type, const char *text,
                             int location);
struct sql_expr *sql_cast(struct sql *sql, struct sql_expr *arg, struct dsmx_type type,
                          int location);
void sql_push(struct sql *sql, struct sql_list *list, struct sql_expr *expr);
/* The index of what equals @expr in @list, or -1. */
int sql_find(const struct sql_list *list, const struct sql_expr *expr);
bool sql_equal(const struct sql_expr *a, const struct sql_expr *b);
/* The tables whose columns an expression uses, as bits. */
uint32_t sql_tables_of(const struct sql *sql, const struct sql_expr *expr);
bool sql_is_call(const struct sql_expr *expr, enum dsmx_function function);
/* Add to @list every aggregate in @expr that is not there yet. */
void sql_collect_aggregates(struct sql *sql, struct sql_expr *expr, struct sql_list *list);

/* --- sql_type.c ------------------------------------------------------------------------------------------ */

bool sql_is_integer(struct dsmx_type type);
bool sql_is_exact(struct dsmx_type type); /* an integer or a decimal */
bool sql_is_number(struct dsmx_type type);
/* An exact type as the decimal that holds all of it. */
struct dsmx_type sql_as_decimal(struct dsmx_type type);
/* The type that both can be cast to; false where there is none. */
bool sql_common_type(struct dsmx_type a, struct dsmx_type b, struct dsmx_type *ret_type);

/* --- sql_const.c: constants ---------------------------------------------------------------------------- */

struct sql_expr *sql_const(struct sql *sql, const PgQuery__AConst *node);
struct sql_expr *sql_interval(struct sql *sql, const char *text, int64_t fields, int location);
/* a op b of two constants, or NULL when it is to be computed by the plan. */
struct sql_expr *sql_fold(struct sql *sql, enum dsmx_function function, struct sql_expr *a,
                          struct sql_expr *b, int location);
/* sql_date.c: the same for dates. */
bool sql_is_moment(const struct sql_expr *expr);
struct sql_expr *sql_fold_dates(struct sql *sql, enum dsmx_function function, struct sql_expr *a,
                                struct sql_expr *b, int location);
/* The constant as one of @type with the same value, or NULL when there is none. */
struct sql_expr *sql_retype(struct sql *sql, struct sql_expr *literal, struct dsmx_type type);

/* --- sql_expr.c, sql_func.c, sql_from.c: from the parser's tree ------------------------------------------ */

struct sql_expr *sql_bind(struct sql *sql, const PgQuery__Node *node);
struct sql_expr *sql_bind_column(struct sql *sql, const PgQuery__ColumnRef *ref);
struct sql_expr *sql_bind_function(struct sql *sql, const PgQuery__FuncCall *call);
bool sql_type_name(struct sql *sql, const PgQuery__TypeName *name, struct dsmx_type *ret_type);
int sql_location(const PgQuery__Node *node);
/* The name that PostgreSQL gives to a result column. */
const char *sql_result_name(const PgQuery__Node *node);
const char *sql_string(const PgQuery__Node *node);

/* FROM as one item; columns of its tables can be named afterwards. */
struct sql_item *sql_from(struct sql *sql, PgQuery__Node *const *items, size_t count);
const struct dsmx_field *sql_field(const struct sql *sql, uint32_t column);
struct sql_expr *sql_column(struct sql *sql, uint32_t column, int location);

/* --- sql_logic.c: conditions ---------------------------------------------------------------------------- */

/* Take a condition apart: what must all be true, with what follows from it for single tables. */
void sql_conjuncts(struct sql *sql, struct sql_expr *condition, struct sql_list *ret_list);
/* Give each condition to the lowest part of FROM where it can be tested. */
void sql_distribute(struct sql *sql, struct sql_item *item, const struct sql_list *conditions);
/* --- sql_estimate.c -------------------------------------------------------------------------------------- */

/* The share of rows for which all of @conditions hold. */
double sql_share(struct sql *sql, struct sql_expr *const *conditions, uint32_t count);
/* How many different values an expression may have. */
double sql_distinct(const struct sql *sql, const struct sql_expr *expr);
/* Bytes of a row of a table, of what the statement uses of it. */
double sql_width(const struct sql *sql, uint32_t table);
/* The rows of the largest of @tables. */
double sql_rows_of_tables(const struct sql *sql, uint32_t tables);

/* --- sql_join.c ----------------------------------------------------------------------------------------- */

struct sql_join *sql_order_joins(struct sql *sql, struct sql_item *item);

/* --- sql_emit.c: to the plan builder -------------------------------------------------------------------- */

struct dsmx_expr *sql_emit(struct sql *sql, const struct sql_scope *scope, struct sql_expr *expr);
/* As a condition: must be bool; @clause names it in the error. */
struct dsmx_expr *sql_emit_condition(struct sql *sql, const struct sql_scope *scope,
                                     const struct sql_list *conditions, const char *clause);
/* After a call of the plan builder: take its failure over. Returns @made. */
void *sql_built(struct sql *sql, void *made, int location);

/* --- sql_plan.c: relations ------------------------------------------------------------------------------- */

/* The joins as a relation that holds all the columns marked in sql->used. */
struct sql_scope sql_build(struct sql *sql, const struct sql_join *join);
/* A project that holds exactly @exprs; none if the scope does already. */
struct sql_scope sql_project(struct sql *sql, const struct sql_scope *scope,
                             const struct sql_list *exprs);

/* --- sql_query.c ------------------------------------------------------------------------------------------ */

void sql_select(struct sql *sql, const PgQuery__SelectStmt *select);

#endif /* DSMX_TOOL_SQL_TREE_H */
