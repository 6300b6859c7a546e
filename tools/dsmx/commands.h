/* SPDX-License-Identifier: MIT */
/*
 * commands.h - the commands of dsmx: each is a main() of its own, with its name as argv[0]
 */
#ifndef DSMX_TOOL_COMMANDS_H
#define DSMX_TOOL_COMMANDS_H

struct command {
	const char *name;
	const char *line; /* what it does, for the list of commands */
	int (*main)(int argc, char **argv);
};

/* Exit statuses of all of them; 130 and 143 after SIGINT and SIGTERM. */
enum {
	EXIT_OK = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
	EXIT_DENIED = 3, /* ctl: another user's */
};

int run_main(int argc, char **argv);
int explain_main(int argc, char **argv);
int import_main(int argc, char **argv);
int gen_main(int argc, char **argv);
int ps_main(int argc, char **argv);
int ctl_main(int argc, char **argv);
int check_config_main(int argc, char **argv);

#endif /* DSMX_TOOL_COMMANDS_H */
