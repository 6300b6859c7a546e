/* SPDX-License-Identifier: MIT */
/*
 * config.h - the parts of a configuration: private to
 *
 *	config.c	files in their order, and what is known of them
 *	config_file.c	a file to lines Section, Key, value
 *	config_key.c	the keys: where each goes
 *	config_value.c	values to numbers
 */
#ifndef DX_SESSION_CONFIG_H
#define DX_SESSION_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/config.h"

#define DX_CONFIG_FILE_BYTES_MAX (1U << 20)
#define DX_CONFIG_LINE_MAX       4096U
#define DX_CONFIG_KEYS_MAX       48U
#define DX_CONFIG_FILES_MAX      256U
#define DX_CONFIG_WARNINGS_MAX   100U

struct dx_config_set {
	const char *file; /* NULL: not set */
	uint32_t line;
	char *text; /* the value as it was understood */
};

struct dsmx_config {
	struct dsmx_session_options values;
	char *strings[DX_CONFIG_KEYS_MAX]; /* that values points to, by key */
	struct dx_config_set set[DX_CONFIG_KEYS_MAX];
	char *files[DX_CONFIG_FILES_MAX];
	uint32_t file_count;
	char *warnings[DX_CONFIG_WARNINGS_MAX];
	uint32_t warning_count;
};

/* Where a line stands, for sentences. */
struct dx_config_place {
	const char *file;
	uint32_t line;
};

/* Keep a warning; too many are dropped. */
void dx_config_warn(struct dsmx_config *config, const struct dx_config_place *place,
                    const char *fmt, ...) DX_PRINTF(3, 4);

/* --- config_file.c */

/*
 * Take a file's bytes apart and set each key. @text has @len bytes and is changed; @file stays.
 * Returns 0, -EINVAL with place and sentence, -ENOMEM.
 */
int dx_config_parse(struct dsmx_config *config, const char *file, char *text, size_t len,
                    struct dsmx_error *err) DX_MUST_CHECK;

/* --- config_key.c */

/* Whether there is a section of this name. */
bool dx_config_section(const char *name);
/* Returns 0 (unknown keys are warned of), -EINVAL, -ENOMEM. */
int dx_config_set(struct dsmx_config *config, const struct dx_config_place *place,
                  const char *section, const char *key, const char *value,
                  struct dsmx_error *err) DX_MUST_CHECK;

/* --- config_value.c: 0 or -EINVAL */

/* 512, 4K, 1.5G, infinity (0: no limit); 50% where @whole is not 0: of that. */
int dx_config_size(const char *value, uint64_t whole, uint64_t *ret_bytes) DX_MUST_CHECK;
/* 5, 5s, 100ms, "1min 30s", infinity (UINT64_MAX); in microseconds. */
int dx_config_time(const char *value, uint64_t *ret_us) DX_MUST_CHECK;
int dx_config_number(const char *value, uint64_t max, uint64_t *ret_number) DX_MUST_CHECK;
/* "0-3 8" to "0-3,8". */
int dx_config_cpus(const char *value, char *ret_list, size_t room) DX_MUST_CHECK;

#endif /* DX_SESSION_CONFIG_H */
