/* SPDX-License-Identifier: MIT */
/*
 * import_schema.c - "name type, name type not null, ..."
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "import.h"

#define WRONG_BYTES 200
#define TYPE_BYTES  64

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Where a field's text ends: at a comma outside of parentheses and quotes. */
static const char *field_end(const char *at)
{
	int depth = 0;
	bool quoted = false;

	for (; *at != 0; at++) {
		if (*at == '"')
			quoted = !quoted;
		else if (*at == '(' && !quoted)
			depth++;
		else if (*at == ')' && !quoted)
			depth--;
		else if (*at == ',' && !quoted && depth <= 0)
			break;
	}
	return at;
}

/* Take " not null" off the end of a type. */
static bool take_not_null(const char *start, const char **end)
{
	const char *at = *end;

	if (at - start < 4 || strncasecmp(at - 4, "null", 4) != 0)
		return false;
	for (at -= 4; at > start && is_space(at[-1]); at--)
		;
	if (at - start < 4 || strncasecmp(at - 3, "not", 3) != 0 || !is_space(at[-4]))
		return false;
	for (at -= 3; at > start && is_space(at[-1]); at--)
		;
	*end = at;
	return true;
}

static int parse_field(const char *start, const char *end, struct mem_arena *arena,
                       struct dsmx_field *ret_field, char *wrong)
{
	const char *name = start, *name_end;
	char type[TYPE_BYTES];

	if (*start == '"') {
		name++;
		name_end = memchr(name, '"', (size_t)(end - name));
		start = name_end != NULL ? name_end + 1 : end;
	} else {
		for (name_end = name; name_end < end && !is_space(*name_end); name_end++)
			;
		start = name_end;
	}
	for (; start < end && is_space(*start); start++)
		;
	ret_field->nullable = !take_not_null(start, &end);
	if (name_end == NULL || name_end == name || start == end) {
		(void)snprintf(wrong, WRONG_BYTES, "'%.*s' is not a name and a type",
		               (int)(end - name < 100 ? end - name : 100), name);
		return -EINVAL;
	}
	(void)snprintf(type, sizeof(type), "%.*s",
	               (int)(end - start < TYPE_BYTES ? end - start : TYPE_BYTES), start);
	ret_field->name = arena_copy(arena, name, (size_t)(name_end - name));
	if (dsmx_type_parse(type, &ret_field->type) < 0) {
		(void)snprintf(wrong, WRONG_BYTES, "column '%s' has the unknown type '%s'",
		               ret_field->name, type);
		return -EINVAL;
	}
	return 0;
}

int import_schema_parse(const char *text, struct mem_arena *arena, struct dsmx_schema *ret_schema,
                        char *wrong)
{
	struct dsmx_field *fields;
	uint32_t count = 1;

	for (const char *at = field_end(text); *at != 0; at = field_end(at + 1))
		count++;
	fields = arena_alloc(arena, count * sizeof(*fields));
	for (uint32_t i = 0; i < count; i++) {
		const char *end = field_end(text), *stop = end;

		for (; text < end && is_space(*text); text++)
			;
		for (; stop > text && is_space(stop[-1]); stop--)
			;
		if (parse_field(text, stop, arena, &fields[i], wrong) < 0)
			return -EINVAL;
		for (uint32_t j = 0; j < i; j++) {
			if (strcmp(fields[j].name, fields[i].name) == 0) {
				(void)snprintf(wrong, WRONG_BYTES, "there are two columns '%s'",
				               fields[i].name);
				return -EINVAL;
			}
		}
		text = end + 1;
	}
	*ret_schema = (struct dsmx_schema){ count, fields };
	return 0;
}
