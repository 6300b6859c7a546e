/* SPDX-License-Identifier: MIT */
/*
 * A configuration: one file, then the files beside it, later ones over earlier ones.
 */
#include "session/config.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define SUFFIX ".conf"

void dx_config_warn(struct dsmx_config *config, const struct dx_config_place *place,
                    const char *fmt, ...)
{
	char text[512], *whole = NULL;
	va_list args;

	if (config->warning_count >= DX_CONFIG_WARNINGS_MAX)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (asprintf(&whole, "%s:%u: %s", place->file, place->line, text) > 0)
		config->warnings[config->warning_count++] = whole;
}

/* --- files ---------------------------------------------------------------------------------------------------------- */

static int read_text(const char *path, char **ret_text, size_t *ret_len, struct dsmx_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r = 0;
	struct stat st;
	ssize_t n = 0;
	char *text;

	if (fd < 0)
		return dx_error(err, dx_errno(), "%s: %s", path, dx_strerror(errno));
	if (fstat(fd, &st) != 0)
		r = dx_error(err, dx_errno(), "%s: %s", path, dx_strerror(errno));
	else if (!S_ISREG(st.st_mode))
		r = dx_error(err, -EINVAL, "%s is no file", path);
	else if (st.st_size > (off_t)DX_CONFIG_FILE_BYTES_MAX)
		r = dx_error(err, -E2BIG, "%s is larger than %u bytes: that is no configuration",
		             path, DX_CONFIG_FILE_BYTES_MAX);
	text = r == 0 ? malloc((size_t)st.st_size + 1) : NULL;
	if (r == 0 && text == NULL)
		r = dx_error(err, -ENOMEM, "no memory for %s", path);
	if (r == 0) {
		n = read(fd, text, (size_t)st.st_size);
		if (n < 0)
			r = dx_error(err, dx_errno(), "%s: %s", path, dx_strerror(errno));
	}
	(void)close(fd);
	if (r != 0) {
		free(text);
		return r;
	}
	*ret_text = text;
	*ret_len = (size_t)n;
	return 0;
}

static int add_file(struct dsmx_config *config, const char *path, struct dsmx_error *err)
{
	char *text = NULL, *name = strdup(path);
	size_t len = 0;
	int r;

	if (name == NULL)
		return dx_error(err, -ENOMEM, "no memory for the configuration");
	if (config->file_count >= DX_CONFIG_FILES_MAX) {
		free(name);
		return dx_error(err, -E2BIG, "%s: there are more than %u files", path,
		                DX_CONFIG_FILES_MAX);
	}
	config->files[config->file_count++] = name;
	r = read_text(name, &text, &len, err);
	if (r != 0)
		return r;
	r = dx_config_parse(config, name, text, len, err);
	free(text);
	return r;
}

static int is_drop_in(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > strlen(SUFFIX) &&
	       strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_drop_ins(struct dsmx_config *config, const char *path, struct dsmx_error *err)
{
	struct dirent **list = NULL;
	char *dir = NULL;
	int count, r = 0;

	if (asprintf(&dir, "%s.d", path) < 0)
		return dx_error(err, -ENOMEM, "no memory for the configuration");
	count = scandir(dir, &list, is_drop_in, by_bytes);
	for (int i = 0; i < count; i++) {
		char *file = NULL;

		if (r == 0 && asprintf(&file, "%s/%s", dir, list[i]->d_name) < 0)
			r = dx_error(err, -ENOMEM, "no memory for the configuration");
		if (r == 0)
			r = add_file(config, file, err);
		free(file);
		free(list[i]);
	}
	free(list);
	free(dir);
	return r;
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

int dsmx_config_load(const char *path, struct dsmx_config **ret_config, struct dsmx_error *err)
{
	const char *named = path != NULL ? path : secure_getenv("DSMX_CONFIG");
	struct dsmx_config *config = calloc(1, sizeof(*config));
	int r = 0;

	if (config == NULL)
		return dx_error(err, -ENOMEM, "no memory for the configuration");
	if (named != NULL && named[0] == '\0')
		named = NULL;
	path = named != NULL ? named : DSMX_CONFIG_PATH;
	if (named != NULL || access(path, F_OK) == 0)
		r = add_file(config, path, err);
	if (r == 0)
		r = add_drop_ins(config, path, err);
	if (r != 0) {
		dsmx_config_free(config);
		return r;
	}
	*ret_config = config;
	return 0;
}

void dsmx_config_free(struct dsmx_config *config)
{
	if (config == NULL)
		return;
	for (uint32_t i = 0; i < DX_CONFIG_KEYS_MAX; i++) {
		free(config->strings[i]);
		free(config->set[i].text);
	}
	for (uint32_t i = 0; i < config->file_count; i++)
		free(config->files[i]);
	for (uint32_t i = 0; i < config->warning_count; i++)
		free(config->warnings[i]);
	free(config);
}

const char *dsmx_config_warning(const struct dsmx_config *config, uint32_t index)
{
	return index < config->warning_count ? config->warnings[index] : NULL;
}

const char *dsmx_config_file(const struct dsmx_config *config, uint32_t index)
{
	return index < config->file_count ? config->files[index] : NULL;
}
