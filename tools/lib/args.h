/* SPDX-License-Identifier: MIT */
/*
 * args.h - command lines: one table per command is its parser and its --help
 *
 *	while ((opt = args_next(&args)) >= 0)
 *		switch (opt) { case OPT_WORKERS: use(args.value); ... }
 *	if (opt == ARGS_EXIT)
 *		return args.status;
 *
 * Options may stand before, between and after operands; "--" ends them. A wrong one is said on stderr
 * with the usage, status 2; --help goes to stdout, status 0.
 */
#ifndef TOOLS_ARGS_H
#define TOOLS_ARGS_H

#include <stdint.h>

struct args_option {
	const char *name;  /* --name */
	char letter;       /* -l, or 0 */
	const char *value; /* what its value is called in the help; NULL: it takes none */
	const char *help;
};

struct args_usage {
	const char *command;               /* "dsmx run" */
	const char *usage;                 /* what follows the command, a line for each form */
	const char *summary;               /* a paragraph, its lines at most 80 columns */
	const struct args_option *options; /* ended by a NULL name */
	const char *footer;                /* NULL, or more paragraphs */
};

enum {
	ARGS_END = -1,  /* all is read */
	ARGS_EXIT = -2, /* leave with .status */
};

struct args {
	const struct args_usage *usage;
	int argc;
	char **argv; /* argv[0] is the command */
	int next;
	const char *letters; /* the rest of "-abc" */
	int status;
	const char *value;
	int operand_count;
	const char **operands; /* argc of them at the most */
};

void args_init(struct args *args, const struct args_usage *usage, int argc, char **argv);
int args_next(struct args *args);
void args_fini(struct args *args);

/* A sentence about wrong usage, and how to get help. Returns 2, the exit status for it. */
int args_wrong(const struct args_usage *usage, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* @text as a number of at most @max. Returns 0 or -EINVAL. */
int args_number(const char *text, uint64_t max, uint64_t *ret_number);

#endif /* TOOLS_ARGS_H */
