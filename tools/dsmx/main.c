/* SPDX-License-Identifier: MIT */
/*
 * main.c - dsmx COMMAND: finds the command
 */
#include <stdio.h>
#include <string.h>

#include "../lib/stdout.h"
#include "commands.h"
#include "dsmx/dsmx.h"

static const struct command commands[] = {
	{ "run", "run SQL or a plan over Arrow files", run_main },
	{ "explain", "show the plan of SQL, with its exchanges", explain_main },
	{ "import", "write a .tbl or .csv file as an Arrow file", import_main },
	{ "ps", "show sessions and their workers", ps_main },
	{ "ctl", "drain, restart, kill, freeze or thaw workers", ctl_main },
	{ "check-config", "show the configuration, and what is wrong with it", check_config_main },
	{ "gen", "make the tables of TPC-H as Arrow files", gen_main },
};

static void print_usage(FILE *to)
{
	fputs("usage: dsmx COMMAND [OPTION]...\n\ncommands:\n", to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-14s%s\n", commands[i].name, commands[i].line);
	fputs("\n'dsmx COMMAND --help' tells more about one, dsmx(1) about all.\n", to);
}

static int start(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_usage(stdout);
		return EXIT_OK;
	}
	if (strcmp(name, "--version") == 0) {
		printf("dsmx %s\n", dsmx_version());
		return EXIT_OK;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].main(argc - 1, argv + 1);
	if (argc < 2)
		fputs("dsmx: a command is missing\n", stderr);
	else
		fprintf(stderr, "dsmx: there is no command '%s'\n", name);
	fputs("'dsmx --help' lists the commands\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	return stdout_end("dsmx", start(argc, argv));
}
