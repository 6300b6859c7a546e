/* SPDX-License-Identifier: MIT */
/*
 * check_config.c - dsmx check-config: what the configuration says, and where each value comes from
 */
#include <stdio.h>
#include <string.h>

#include "../lib/args.h"
#include "commands.h"
#include "dsmx/config.h"

enum option {
	OPT_ALL,
};

static const struct args_option options[] = {
	[OPT_ALL] = { "all", 'a', NULL, "also keys that nothing is said of" },
	{ 0 },
};

static const struct args_usage usage = {
	.command = "dsmx check-config",
	.usage = "[OPTION]... [FILE]",
	.summary =
		"Reads the configuration and prints what came out, with file and line. By default\n"
		"$DSMX_CONFIG, else " DSMX_CONFIG_PATH "; and all of FILE.d/*.conf. Then\n"
		"compares it with the limits that this command itself is under.",
	.options = options,
	.footer = "What is unknown is a warning. Exit status: 0, 1 after an error (a file that is\n"
		  "not there, a session that these limits refuse), 2 after wrong usage.",
};

static void print_entries(const struct dsmx_config *config, bool all)
{
	struct dsmx_config_entry entry;
	const char *section = "";

	for (uint32_t i = 0; dsmx_config_entry(config, i, &entry) == 0; i++) {
		if (!all && (entry.file == NULL || entry.value[0] == '\0'))
			continue;
		if (strcmp(section, entry.section) != 0)
			printf("%s[%s]\n", section[0] != '\0' ? "\n" : "", entry.section);
		section = entry.section;
		if (entry.file == NULL)
			printf("#%s=\n", entry.key);
		else
			printf("# %s:%u\n%s=%s\n", entry.file, entry.line, entry.key, entry.value);
	}
}

static void on_log(void *data, enum dsmx_log_level level, const char *message)
{
	(void)data;
	if (level <= DSMX_LOG_WARNING)
		fprintf(stderr, "dsmx: warning: %s\n", message);
}

/* Would a session of it open here? Without a number of workers, one of one worker. */
static int check_limits(const struct dsmx_config *config)
{
	struct dsmx_session_options wanted = { .size = sizeof(wanted), .log = on_log };
	struct dsmx_error err;

	dsmx_config_apply(config, &wanted);
	if (wanted.workers == 0)
		wanted.workers = 1;
	if (dsmx_session_check(&wanted, &err) == 0)
		return EXIT_OK;
	fprintf(stderr, "dsmx: %s\n", err.message);
	return EXIT_ERROR;
}

static int check(const char *path, bool all)
{
	struct dsmx_config *config;
	struct dsmx_error err;
	const char *text;
	int status;

	if (dsmx_config_load(path, &config, &err) != 0) {
		fprintf(stderr, "dsmx: %s\n", err.message);
		return EXIT_ERROR;
	}
	for (uint32_t i = 0; (text = dsmx_config_warning(config, i)) != NULL; i++)
		fprintf(stderr, "dsmx: warning: %s\n", text);
	if (dsmx_config_file(config, 0) == NULL)
		printf("# there is no " DSMX_CONFIG_PATH "\n");
	print_entries(config, all);
	status = check_limits(config);
	dsmx_config_free(config);
	return status;
}

int check_config_main(int argc, char **argv)
{
	struct args args;
	bool all = false;
	int option, status;

	args_init(&args, &usage, argc, argv);
	while ((option = args_next(&args)) >= 0)
		all |= option == OPT_ALL;
	if (option == ARGS_EXIT)
		status = args.status;
	else if (args.operand_count > 1)
		status = args_wrong(&usage, "only one file can be checked");
	else
		status = check(args.operand_count == 1 ? args.operands[0] : NULL, all);
	args_fini(&args);
	return status;
}
