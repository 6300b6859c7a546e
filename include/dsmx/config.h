/* SPDX-License-Identifier: MIT */
/*
 * config.h - dsmx.conf: what an operator says of sessions, for whatever the program leaves open
 *
 * Lines Key=value in sections, with systemd's names; dsmx.conf(5) has the keys. Beside FILE, all of FILE.d/ *.conf
 * are read, in the order of their names; what is later wins. A program reads it with dsmx_config_load() and
 * puts it under its own wishes with dsmx_config_apply(); the library does neither by itself.
 */
#ifndef DSMX_CONFIG_H
#define DSMX_CONFIG_H

#include "dsmx/session.h"

#ifdef __cplusplus
extern "C" {
#endif

struct dsmx_config;

#define DSMX_CONFIG_PATH "/etc/dsmx/dsmx.conf"

/*
 * dsmx_config_load() - read the configuration
 *
 * @path: a file that has to be there; NULL: that of the variable DSMX_CONFIG, which has to be there too, else
 *	DSMX_CONFIG_PATH if there is one
 * Return: 0; -ENOENT, -EACCES, ... for a file; -EINVAL for a line that is none or a value that is wrong, with
 * file and line in the sentence; -E2BIG; -ENOMEM.
 */
DSMX_API int dsmx_config_load(const char *path, struct dsmx_config **ret_config,
                              struct dsmx_error *err);
DSMX_API void dsmx_config_free(struct dsmx_config *config);

/*
 * dsmx_config_apply() - fill in the fields of @options that are 0 (NULL, DEFAULT) and that the configuration has
 *
 * @options: size is set; strings are the configuration's, which has to stay until the session is open
 */
DSMX_API void dsmx_config_apply(const struct dsmx_config *config,
                                struct dsmx_session_options *options);

/* dsmx_config_warning() - what was ignored, with file and line: number @index from 0 on; NULL: there are no more */
DSMX_API const char *dsmx_config_warning(const struct dsmx_config *config, uint32_t index);

/* One key, as it came out. */
struct dsmx_config_entry {
	const char *section;
	const char *key;
	const char *value; /* "": the program's, or the default */
	const char *file;  /* where it was said; NULL: nowhere */
	uint32_t line;
};

/* dsmx_config_entry() - key number @index. Return: 0, -ENOENT: there are no more. */
DSMX_API int dsmx_config_entry(const struct dsmx_config *config, uint32_t index,
                               struct dsmx_config_entry *ret_entry);

/* dsmx_config_file() - the file number @index that was read; NULL: there are no more */
DSMX_API const char *dsmx_config_file(const struct dsmx_config *config, uint32_t index);

#ifdef __cplusplus
}
#endif

#endif /* DSMX_CONFIG_H */
