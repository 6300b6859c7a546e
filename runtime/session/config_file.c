/* SPDX-License-Identifier: MIT */
/*
 * The grammar: [Section], Key=value, # or ; in front of a remark, blank lines. Blanks around a key and a value do not
 * count. The bytes are from outside: a line that is none of these is an error, with its number.
 */
#include <string.h>

#include "base/err.h"
#include "session/config.h"

static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t\r");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
		text[--len] = '\0';
	return text;
}

struct state {
	struct dsmx_config *config;
	struct dx_config_place place;
	char section[64]; /* "": before the first; "?": one that is not ours */
};

static int take_section(struct state *state, char *line, struct dsmx_error *err)
{
	char *end = strchr(line, ']');

	if (end == NULL || end[1] != '\0' || end - line - 1 >= (long)sizeof(state->section) ||
	    end == line + 1)
		return dx_error(err, -EINVAL, "%s:%u: a section is written [Name]",
		                state->place.file, state->place.line);
	*end = '\0';
	memcpy(state->section, line + 1, (size_t)(end - line));
	if (!dx_config_section(state->section)) {
		dx_config_warn(state->config, &state->place,
		               "there is no section [%s]: what is in it is ignored",
		               state->section);
		memcpy(state->section, "?", 2);
	}
	return 0;
}

static int take_line(struct state *state, char *line, struct dsmx_error *err)
{
	char *equals, *key;

	line = trim(line);
	if (line[0] == '\0' || line[0] == '#' || line[0] == ';')
		return 0;
	if (line[0] == '[')
		return take_section(state, line, err);
	equals = strchr(line, '=');
	if (equals == NULL || equals == line)
		return dx_error(err, -EINVAL, "%s:%u: this is neither [Section] nor Key=value",
		                state->place.file, state->place.line);
	if (line[strlen(line) - 1] == '\\')
		return dx_error(err, -EINVAL, "%s:%u: a value ends with its line",
		                state->place.file, state->place.line);
	*equals = '\0';
	key = trim(line);
	if (state->section[0] == '\0')
		return dx_error(err, -EINVAL, "%s:%u: %.64s= stands before the first [Section]",
		                state->place.file, state->place.line, key);
	if (state->section[0] == '?')
		return 0;
	return dx_config_set(state->config, &state->place, state->section, key, trim(equals + 1),
	                     err);
}

int dx_config_parse(struct dsmx_config *config, const char *file, char *text, size_t len,
                    struct dsmx_error *err)
{
	struct state state = { .config = config, .place = { file, 0 } };
	int r = 0;

	for (char *at = text, *end = text + len, *next; r == 0 && at < end; at = next) {
		char *stop = memchr(at, '\n', (size_t)(end - at));

		state.place.line++;
		next = stop != NULL ? stop + 1 : end;
		if (stop == NULL)
			stop = end;
		if ((size_t)(stop - at) > DX_CONFIG_LINE_MAX ||
		    memchr(at, '\0', (size_t)(stop - at)) != NULL)
			return dx_error(err, -EINVAL,
			                "%s:%u: a line has at most %u bytes, and none of them is 0",
			                file, state.place.line, DX_CONFIG_LINE_MAX);
		*stop = '\0'; /* text has room for one more */
		r = take_line(&state, at, err);
	}
	return r;
}
