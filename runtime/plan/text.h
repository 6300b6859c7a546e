/* SPDX-License-Identifier: MIT */
/*
 * text.h - text that grows, for EXPLAIN
 */
#ifndef DX_PLAN_TEXT_H
#define DX_PLAN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "plan/node.h"

/* All zero: empty. A failure (no memory) is kept; what is added after it is dropped. */
struct dx_out {
	char *text;
	size_t len, room;
	bool failed;
};

void dx_out_add(struct dx_out *out, const char *fmt, ...) DX_PRINTF(2, 3);
void dx_out_bytes(struct dx_out *out, const char *bytes, size_t len);

/* An expression, its columns by the names they have in @schema. */
void dx_out_expr(struct dx_out *out, const struct dsmx_expr *expr,
                 const struct dsmx_schema *schema);
/* A column's name; its number where it has none. */
void dx_out_column(struct dx_out *out, const struct dsmx_schema *schema, uint32_t column);

#endif /* DX_PLAN_TEXT_H */
