/* SPDX-License-Identifier: MIT */
/*
 * Levels and steps of isolation as text.
 */
#include "dsmx/isolation.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/err.h"

static const char *const levels[][2] = {
	[DSMX_ISOLATION_DEFAULT] = { "default", "default" },
	[DSMX_ISOLATION_NONE] = { "none", "none!" },
	[DSMX_ISOLATION_CGROUP] = { "cgroup", "cgroup!" },
	[DSMX_ISOLATION_STANDARD] = { "standard", "standard!" },
	[DSMX_ISOLATION_STRICT] = { "strict", "strict!" },
};

static const struct {
	uint32_t step;
	const char *name;
} steps[] = {
	{ DSMX_STEP_CGROUP, "cgroup" },
	{ DSMX_STEP_NO_DUMP, "no-dump" },
	{ DSMX_STEP_NO_NEW_PRIVS, "no-new-privs" },
	{ DSMX_STEP_CAPABILITIES, "no-capabilities" },
	{ DSMX_STEP_LANDLOCK, "landlock" },
	{ DSMX_STEP_SCOPE, "scope" },
	{ DSMX_STEP_SECCOMP, "seccomp" },
	{ DSMX_STEP_SECCOMP_LOG, "seccomp-log" },
	{ DSMX_STEP_RING, "ring" },
	{ DSMX_STEP_UID, "uid" },
	{ DSMX_STEP_USER_NS, "user-ns" },
	{ DSMX_STEP_NET_NS, "net-ns" },
	{ DSMX_STEP_IPC_NS, "ipc-ns" },
	{ DSMX_STEP_MOUNT_NS, "mount-ns" },
	{ DSMX_STEP_NO_EXEC, "no-exec" },
	{ DSMX_STEP_DONTFORK, "dontfork" },
};

const char *dsmx_isolation_str(enum dsmx_isolation level, bool required)
{
	return (size_t)level < DX_ARRAY_LEN(levels) ? levels[level][required] : "?";
}

int dsmx_isolation_parse(const char *text, enum dsmx_isolation *ret_level, bool *ret_required,
                         struct dsmx_error *err)
{
	for (size_t level = DSMX_ISOLATION_NONE; level < DX_ARRAY_LEN(levels); level++) {
		for (int required = 0; required < 2; required++) {
			if (strcmp(text, levels[level][required]) != 0)
				continue;
			*ret_level = (enum dsmx_isolation)level;
			*ret_required = required == 1;
			return 0;
		}
	}
	return dx_error(err, -EINVAL,
	                "\"%.100s\" is no level of isolation; there are none, cgroup, standard and "
	                "strict, each maybe with a ! behind it",
	                text);
}

const char *dsmx_isolation_steps_str(uint32_t word, char *ret_text, size_t room)
{
	size_t len = 0;

	(void)snprintf(ret_text, room, "-");
	for (size_t i = 0; i < DX_ARRAY_LEN(steps) && len < room; i++)
		if ((word & steps[i].step) != 0)
			len += (size_t)snprintf(ret_text + len, room - len, "%s%s",
			                        len > 0 ? "," : "", steps[i].name);
	return ret_text;
}
