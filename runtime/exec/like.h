/* SPDX-License-Identifier: MIT */
/*
 * like.h - LIKE: % for any characters, _ for one, \ before either for itself
 */
#ifndef DX_EXEC_LIKE_H
#define DX_EXEC_LIKE_H

#include <stdbool.h>

#include "base/compiler.h"
#include "batch/value.h"

struct dx_like;

/* Returns 0, -ENOMEM, or -EINVAL: the pattern ends in its escape character. */
int dx_like_new(struct dx_text pattern, struct dx_like **ret_like) DX_MUST_CHECK;
void dx_like_free(void *like);

bool dx_like_matches(const struct dx_like *like, struct dx_text text);

#endif /* DX_EXEC_LIKE_H */
