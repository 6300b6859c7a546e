/* SPDX-License-Identifier: MIT */
/*
 * sql_join.h - the search for an order of joins, between the file that finds what is equal (sql_class.c) and
 * the one that searches (sql_join.c)
 */
#ifndef DSMX_TOOL_SQL_JOIN_H
#define DSMX_TOOL_SQL_JOIN_H

#include "sql_tree.h"

#define CLASSES_MAX     64
#define CLASS_EXPRS_MAX 32

/*
 * What is equal: when parts are joined, one expression of each counts; that a member's second one equals
 * its first becomes a condition of its own. Only columns whose comparison is exact are put together;
 * another equality is a class of two that stays `closed`.
 */
struct sql_class {
	bool closed;
	uint32_t members; /* bits of the group's members that have one */
	double distinct;
	struct sql_list exprs;
	uint32_t owner[CLASS_EXPRS_MAX]; /* of each expression: the member */
};

struct sql_order {
	struct sql *sql;
	const struct sql_item *group;
	struct sql_join **best; /* by set of members */
	uint32_t class_count;
	struct sql_class classes[CLASSES_MAX];
	struct sql_list residuals;
};

/* Take an equality into the classes. Returns whether it says no more than they do. */
bool sql_class_add(struct sql_order *order, struct sql_expr *condition);

/* The class's expression in a set of members; NULL where it has none. */
struct sql_expr *sql_class_expr(const struct sql_class *class, uint32_t set);

#endif /* DSMX_TOOL_SQL_JOIN_H */
