/* SPDX-License-Identifier: MIT */
#include "args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define HELP_COLUMN 24

void args_init(struct args *args, const struct args_usage *usage, int argc, char **argv)
{
	*args = (struct args){ .usage = usage, .argc = argc, .argv = argv, .next = 1 };
	args->operands = mem_alloc(sizeof(char *) * (size_t)argc);
}

void args_fini(struct args *args)
{
	free(args->operands);
	args->operands = NULL;
}

static void print_option(const struct args_option *option)
{
	char left[64];
	int len = snprintf(left, sizeof(left), "  %c%c%c --%s%s%s", option->letter ? '-' : ' ',
	                   option->letter ? option->letter : ' ', option->letter ? ',' : ' ',
	                   option->name, option->value ? " " : "",
	                   option->value ? option->value : "");

	if (len >= HELP_COLUMN)
		printf("%s\n%*s%s\n", left, HELP_COLUMN, "", option->help);
	else
		printf("%-*s%s\n", HELP_COLUMN, left, option->help);
}

static void print_help(const struct args_usage *usage)
{
	static const struct args_option help = { "help", 'h', NULL, "this text" };
	const char *line = usage->usage;

	for (const char *lead = "usage:"; *line != '\0'; lead = "      ") {
		size_t len = strcspn(line, "\n");

		printf("%s %s %.*s\n", lead, usage->command, (int)len, line);
		line += len + (line[len] == '\n');
	}
	printf("\n%s\n\n", usage->summary);
	for (const struct args_option *option = usage->options; option->name != NULL; option++)
		print_option(option);
	print_option(&help);
	if (usage->footer != NULL)
		printf("\n%s\n", usage->footer);
}

int args_wrong(const struct args_usage *usage, const char *format, ...)
{
	va_list ap;

	/* The program is the command's first word. */
	fprintf(stderr, "%.*s: ", (int)strcspn(usage->command, " "), usage->command);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\n'%s --help' tells more\n", usage->command);
	return 2;
}

static int leave(struct args *args, int status)
{
	args->status = status;
	return ARGS_EXIT;
}

static int found(struct args *args, int index, const char *spelled, const char *value)
{
	const struct args_option *option = &args->usage->options[index];

	if (option->value == NULL && value != NULL)
		return leave(args, args_wrong(args->usage, "%s takes no value", spelled));
	if (option->value != NULL && value == NULL) {
		if (args->next >= args->argc)
			return leave(args, args_wrong(args->usage, "%s needs a value: %s %s",
			                              spelled, spelled, option->value));
		value = args->argv[args->next++];
	}
	args->value = value;
	return index;
}

static int long_option(struct args *args, const char *text)
{
	const struct args_option *options = args->usage->options;
	size_t len = strcspn(text + 2, "=");
	const char *value = text[2 + len] == '=' ? text + 2 + len + 1 : NULL;

	if (strcmp(text, "--help") == 0) {
		print_help(args->usage);
		return leave(args, 0);
	}
	for (int i = 0; options[i].name != NULL; i++)
		if (strlen(options[i].name) == len && memcmp(options[i].name, text + 2, len) == 0)
			return found(args, i, text, value);
	return leave(args,
	             args_wrong(args->usage, "there is no option '%.*s'", (int)len + 2, text));
}

static int short_option(struct args *args)
{
	const struct args_option *options = args->usage->options;
	char letter = *args->letters++;
	char spelled[3] = { '-', letter, '\0' };

	if (letter == 'h') {
		print_help(args->usage);
		return leave(args, 0);
	}
	for (int i = 0; options[i].name != NULL; i++) {
		const char *value = NULL;

		if (options[i].letter != letter)
			continue;
		if (options[i].value != NULL && *args->letters != '\0') {
			value = args->letters;
			args->letters = "";
		}
		return found(args, i, spelled, value);
	}
	return leave(args, args_wrong(args->usage, "there is no option '%s'", spelled));
}

int args_next(struct args *args)
{
	for (;;) {
		const char *text;

		if (args->letters != NULL && *args->letters != '\0')
			return short_option(args);
		if (args->next >= args->argc)
			return ARGS_END;
		text = args->argv[args->next++];
		if (strcmp(text, "--") == 0) {
			while (args->next < args->argc)
				args->operands[args->operand_count++] = args->argv[args->next++];
			return ARGS_END;
		}
		if (text[0] == '-' && text[1] == '-')
			return long_option(args, text);
		if (text[0] == '-' && text[1] != '\0') {
			args->letters = text + 1;
			continue;
		}
		args->operands[args->operand_count++] = text;
	}
}

int args_number(const char *text, uint64_t max, uint64_t *ret_number)
{
	unsigned long long number;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (*end != '\0' || errno != 0 || number > max)
		return -EINVAL;
	*ret_number = number;
	return 0;
}
