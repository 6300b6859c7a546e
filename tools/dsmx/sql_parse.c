/* SPDX-License-Identifier: MIT */
/*
 * sql_parse.c - the text to the parser's tree
 *
 * libpg_query parses, packs the tree as protobuf, and we unpack it: all three walk it recursively. The deepest
 * texts that the guard lets through take between 1 and 2 MiB of stack. So it is done on a thread with many times
 * that, whatever `ulimit -s` says; untouched, the stack costs nothing.
 */
#include "sql_parse.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/mem.h"

#define PARSER_STACK_BYTES ((size_t)64 << 20)

struct parse {
	const char *text;
	PgQuery__ParseResult *tree;
	struct sql_error *error;
};

static void *parse_thread(void *arg)
{
	struct parse *parse = arg;
	PgQueryProtobufParseResult result;

	if (sql_guard(parse->text, parse->error) < 0)
		return NULL;
	result = pg_query_parse_protobuf(parse->text);
	if (result.error != NULL) {
		parse->error->code = -EINVAL;
		parse->error->location =
			sql_byte_of_character(parse->text, result.error->cursorpos);
		snprintf(parse->error->message, sizeof(parse->error->message), "%s",
		         result.error->message);
	} else {
		parse->tree = pg_query__parse_result__unpack(
			NULL, result.parse_tree.len, (const uint8_t *)result.parse_tree.data);
		if (parse->tree == NULL) {
			parse->error->code = -ENOMEM;
			snprintf(parse->error->message, sizeof(parse->error->message),
			         "out of memory");
		}
	}
	pg_query_free_protobuf_parse_result(result);
	return NULL;
}

int sql_parse(const char *text, struct sql_script **ret_script, struct sql_error *err)
{
	struct parse parse = { .text = text, .error = err };
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	*err = (struct sql_error){ .location = -1 };
	pthread_attr_init(&attr);
	r = pthread_attr_setstacksize(&attr, PARSER_STACK_BYTES);
	if (r == 0)
		r = pthread_create(&thread, &attr, parse_thread, &parse);
	pthread_attr_destroy(&attr);
	if (r != 0) {
		err->code = -r;
		snprintf(err->message, sizeof(err->message),
		         "cannot start the parser with a stack of %zu MiB: %s",
		         PARSER_STACK_BYTES >> 20, strerror(r));
		return -r;
	}
	pthread_join(thread, NULL);
	if (err->code != 0)
		return err->code;
	*ret_script = mem_alloc(sizeof(**ret_script));
	(*ret_script)->text = text;
	(*ret_script)->tree = parse.tree;
	return 0;
}

void sql_free(struct sql_script *script)
{
	if (script == NULL)
		return;
	pg_query__parse_result__free_unpacked(script->tree, NULL);
	free(script);
}

uint32_t sql_statement_count(const struct sql_script *script)
{
	return (uint32_t)script->tree->n_stmts;
}
