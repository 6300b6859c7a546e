/* SPDX-License-Identifier: MIT */
/*
 * list.h - a ring of links that live in what they link
 *
 * A link that is in no list points at itself, so it can be unlinked at any time, also twice.
 */
#ifndef DX_BASE_LIST_H
#define DX_BASE_LIST_H

#include <stdbool.h>

#include "base/compiler.h"

struct dx_list {
	struct dx_list *next;
	struct dx_list *prev;
};

static inline void dx_list_init(struct dx_list *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool dx_list_empty(const struct dx_list *list)
{
	return list->next == list;
}

static inline void dx_list_unlink(struct dx_list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	dx_list_init(link);
}

/* @link must be in no list. */
static inline void dx_list_append(struct dx_list *list, struct dx_list *link)
{
	link->prev = list->prev;
	link->next = list;
	list->prev->next = link;
	list->prev = link;
}

/* Unlinks and returns the first link, NULL of an empty list. */
static inline struct dx_list *dx_list_take(struct dx_list *list)
{
	struct dx_list *first = list->next;

	if (first == list)
		return NULL;
	dx_list_unlink(first);
	return first;
}

/* The body may unlink @link, nothing else. */
#define dx_list_each(link, list)                                                                   \
	for (struct dx_list *link = (list)->next, *link##_next = link->next; link != (list);       \
	     link = link##_next, link##_next = link->next)

#endif /* DX_BASE_LIST_H */
