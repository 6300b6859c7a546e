/* SPDX-License-Identifier: MIT */
/*
 * sql_query.h - a SELECT between the binding of its clauses (sql_clause.c) and the making of its relations
 * (sql_query.c)
 */
#ifndef DSMX_TOOL_SQL_QUERY_H
#define DSMX_TOOL_SQL_QUERY_H

#include "sql_tree.h"

struct sql_query {
	const PgQuery__SelectStmt *select;
	struct sql_list targets; /* the result's columns, then what only ORDER BY needs */
	const char **names;      /* of the result's columns */
	uint32_t result_count;
	struct sql_list groups;
	struct sql_expr *having;
	struct sql_list aggregates;
	uint32_t sort_count;
	struct dsmx_sort_key *sort;
	uint64_t offset, count;
};

/* Each needs what came before it: GROUP BY and ORDER BY can name the columns of SELECT. */
void sql_bind_targets(struct sql *sql, struct sql_query *query);
void sql_bind_groups(struct sql *sql, struct sql_query *query);
void sql_bind_having(struct sql *sql, struct sql_query *query);
void sql_bind_sort(struct sql *sql, struct sql_query *query);
void sql_bind_limits(struct sql *sql, struct sql_query *query);

#endif /* DSMX_TOOL_SQL_QUERY_H */
