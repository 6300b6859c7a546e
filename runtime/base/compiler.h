/* SPDX-License-Identifier: MIT */
#ifndef DX_BASE_COMPILER_H
#define DX_BASE_COMPILER_H

#include <stddef.h>

#define DX_MUST_CHECK       __attribute__((warn_unused_result))
#define DX_CLEANUP(fn)      __attribute__((cleanup(fn)))
#define DX_PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))

#define DX_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define DX_LIKELY(x)    __builtin_expect(!!(x), 1)
#define DX_UNLIKELY(x)  __builtin_expect(!!(x), 0)

/* The struct of type @type whose member @member is at @ptr. */
#define DX_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#endif /* DX_BASE_COMPILER_H */
