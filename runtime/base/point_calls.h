/* SPDX-License-Identifier: MIT */
/*
 * point_calls.h - makes each of these calls a fault point: stands before every source of runtime/ where there are points
 *
 * A macro is not expanded in its own expansion, so what stands in it is the call itself. The headers that declare the
 * calls come first: a declaration behind the macros would be expanded, too.
 */
#ifndef DX_BASE_POINT_CALLS_H
#define DX_BASE_POINT_CALLS_H

#include "base/point.h"

#ifdef DX_POINTS

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define malloc(...)        (DX_POINT_FAILS(ALLOC) ? NULL : malloc(__VA_ARGS__))
#define calloc(...)        (DX_POINT_FAILS(ALLOC) ? NULL : calloc(__VA_ARGS__))
#define realloc(...)       (DX_POINT_FAILS(ALLOC) ? NULL : realloc(__VA_ARGS__))
#define reallocarray(...)  (DX_POINT_FAILS(ALLOC) ? NULL : reallocarray(__VA_ARGS__))
#define aligned_alloc(...) (DX_POINT_FAILS(ALLOC) ? NULL : aligned_alloc(__VA_ARGS__))
#define asprintf(...)      (DX_POINT_FAILS(ALLOC) ? -1 : asprintf(__VA_ARGS__))
#undef strdup
#define strdup(...) (DX_POINT_FAILS(ALLOC) ? NULL : strdup(__VA_ARGS__))

#define mmap(...)         (DX_POINT_FAILS(MMAP) ? MAP_FAILED : mmap(__VA_ARGS__))
#define madvise(...)      (DX_POINT_FAILS(MADVISE) ? -1 : madvise(__VA_ARGS__))
#define memfd_create(...) (DX_POINT_FAILS(MEMFD) ? -1 : memfd_create(__VA_ARGS__))
#define ftruncate(...)    (DX_POINT_FAILS(FTRUNCATE) ? -1 : ftruncate(__VA_ARGS__))
#define fallocate(...)    (DX_POINT_FAILS(FALLOCATE) ? -1 : fallocate(__VA_ARGS__))
#define fcntl(...)        (DX_POINT_FAILS(SEAL) ? -1 : fcntl(__VA_ARGS__))

#define open(...)    (DX_POINT_FAILS(OPEN) ? -1 : open(__VA_ARGS__))
#define openat(...)  (DX_POINT_FAILS(OPEN) ? -1 : openat(__VA_ARGS__))
#define fopen(...)   (DX_POINT_FAILS(OPEN) ? NULL : fopen(__VA_ARGS__))
#define opendir(...) (DX_POINT_FAILS(OPEN) ? NULL : opendir(__VA_ARGS__))
#define mkdir(...)   (DX_POINT_FAILS(MKDIR) ? -1 : mkdir(__VA_ARGS__))
#define pread(...)   (DX_POINT_FAILS(READ) ? -1 : pread(__VA_ARGS__))
#define pwrite(...)  (DX_POINT_FAILS(WRITE) ? -1 : pwrite(__VA_ARGS__))

#define eventfd(...)       (DX_POINT_FAILS(EVENTFD) ? -1 : eventfd(__VA_ARGS__))
#define epoll_create1(...) (DX_POINT_FAILS(EPOLL) ? -1 : epoll_create1(__VA_ARGS__))
#define socket(...)        (DX_POINT_FAILS(SOCKET) ? -1 : socket(__VA_ARGS__))
#define socketpair(...)    (DX_POINT_FAILS(SOCKET) ? -1 : socketpair(__VA_ARGS__))
#define pipe2(...)         (DX_POINT_FAILS(PIPE) ? -1 : pipe2(__VA_ARGS__))
#define clone(...)         (DX_POINT_FAILS(CHILD) ? -1 : clone(__VA_ARGS__))

#endif /* DX_POINTS */

#endif /* DX_BASE_POINT_CALLS_H */
