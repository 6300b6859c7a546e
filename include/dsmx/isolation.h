/* SPDX-License-Identifier: MIT */
/*
 * isolation.h - what keeps a worker in its place: the levels, as numbers and as text, and the steps that they take
 *
 *	none		a process, nothing else
 *	cgroup		a control group of its own, with limits
 *	standard	and no privileges, no files but those that are named, few system calls that change others
 *	strict		and a user and namespaces of its own, only the system calls that it needs
 *
 * Each level has what those before it have. A step that the machine cannot take is left out, and said once; with a
 * `!` behind the level (options: isolation_required) the session then does not open. docs/ISOLATION.md has the steps,
 * what each needs and what it keeps out.
 */
#ifndef DSMX_ISOLATION_H
#define DSMX_ISOLATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsmx/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum dsmx_isolation {
	DSMX_ISOLATION_DEFAULT, /* the variable DSMX_ISOLATION, else cgroup */
	DSMX_ISOLATION_NONE,
	DSMX_ISOLATION_CGROUP,
	DSMX_ISOLATION_STANDARD,
	DSMX_ISOLATION_STRICT,
};

/*
 * dsmx_isolation_parse() - a level from text: none, cgroup, standard or strict, maybe with a `!` behind it
 *
 * @ret_required: the `!` was there
 * Return: 0, or -EINVAL with a sentence that names the levels.
 */
DSMX_API int dsmx_isolation_parse(const char *text, enum dsmx_isolation *ret_level,
                                  bool *ret_required, struct dsmx_error *err);

/* dsmx_isolation_str() - the text that is parsed to the same: "strict!"; "default" for DEFAULT, "?" for no level */
DSMX_API const char *dsmx_isolation_str(enum dsmx_isolation level, bool required);

/*
 * What a worker has taken, as one word: in its page (struct dsmx_page_abi, isolation) and in struct
 * dsmx_worker_info. The lowest byte is the level, an enum dsmx_isolation, the bits above are steps.
 */
#define DSMX_ISOLATION_LEVEL(word) ((enum dsmx_isolation)((word) & 0xffU))

enum dsmx_isolation_step {
	DSMX_STEP_CGROUP = 1 << 8,
	DSMX_STEP_NO_DUMP = 1 << 9, /* nobody of its user may look into it */
	DSMX_STEP_NO_NEW_PRIVS = 1 << 10,
	DSMX_STEP_CAPABILITIES = 1 << 11, /* it has none */
	DSMX_STEP_LANDLOCK = 1 << 12,     /* files, and TCP where Linux has that */
	DSMX_STEP_SCOPE = 1 << 13,        /* signals and abstract sockets, by Landlock */
	DSMX_STEP_SECCOMP = 1 << 14,
	DSMX_STEP_SECCOMP_LOG = 1 << 15, /* the supervisor hears what is refused */
	DSMX_STEP_RING = 1 << 16,        /* io_uring for waiting only, or none */
	DSMX_STEP_UID = 1 << 17,         /* a user of its own */
	DSMX_STEP_USER_NS = 1 << 18,
	DSMX_STEP_NET_NS = 1 << 19,
	DSMX_STEP_IPC_NS = 1 << 20,
	DSMX_STEP_MOUNT_NS = 1 << 21, /* in which everything is read-only */
	DSMX_STEP_NO_EXEC = 1 << 22,  /* no memory becomes executable once plug-ins are loaded */
	DSMX_STEP_DONTFORK = 1 << 23, /* what it forked would not have its segments */
};

/*
 * dsmx_isolation_steps_str() - the steps of a word as text, for people: "cgroup,no-dump,no-new-privs"; "-" for none
 *
 * @ret_text: cut at @room, which 256 is enough for
 * Return: @ret_text.
 */
DSMX_API const char *dsmx_isolation_steps_str(uint32_t word, char *ret_text, size_t room);

#ifdef __cplusplus
}
#endif

#endif /* DSMX_ISOLATION_H */
