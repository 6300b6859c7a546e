/* SPDX-License-Identifier: MIT */
/* main.c - the runner's options, the order of files, and what is reported of each */
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "runner.h"

struct runner {
	struct skips *skips;
	int timeout_s;
	const char *patterns;
	bool terminal;
	struct counts total;
};

static void report(const struct file_run *file)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%d passed", file->counts.passed);

	if (file->counts.failed > 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ", %d failed",
		              file->counts.failed);
	if (file->counts.skipped > 0)
		(void)snprintf(text + n, sizeof(text) - (size_t)n, ", %d skipped",
		               file->counts.skipped);
	if (file->counts.failed > 0)
		printf("--- all that %s said:\n%s%s---\n", file->name, file->output,
		       file->output[0] && file->output[strlen(file->output) - 1] != '\n' ? "\n"
		                                                                         : "");
	printf("%s  %-28s %-34s %7.2f s\n%s", file->counts.failed > 0 ? "FAILED" : "ok    ",
	       file->name, text, file->seconds, file->said);
	(void)fflush(stdout);
}

/* A pattern is a glob, or a part of the name. */
static bool selected(const char *patterns, const char *name)
{
	char copy[512], *rest = copy, *word;
	bool any = false;

	(void)snprintf(copy, sizeof(copy), "%s", patterns);
	while ((word = strsep(&rest, " ,")) != NULL) {
		if (*word == '\0')
			continue;
		any = true;
		if (fnmatch(word, name, 0) == 0 || strstr(name, word) != NULL)
			return true;
	}
	return !any;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* Returns the signal that ended it, or 0. */
static int run_one(struct runner *runner, const char *path)
{
	struct file_run file = { .path = path, .name = base_name(path) };
	int ended_by = process_run(&file, runner->timeout_s);

	tap_judge(&file, runner->skips);
	if (runner->terminal)
		printf("\r\033[K");
	report(&file);
	free(file.output);
	runner->total.passed += file.counts.passed;
	runner->total.failed += file.counts.failed;
	runner->total.skipped += file.counts.skipped;
	return ended_by;
}

static int run_all(struct runner *runner, int count, char **paths)
{
	int number = 0, ended_by = 0, wanted = 0;

	for (int i = 0; i < count; i++)
		wanted += selected(runner->patterns, base_name(paths[i]));
	if (wanted == 0) {
		printf("run: no test file of %d is called \"%s\"\n", count, runner->patterns);
		runner->total.failed = 1;
	}
	for (int i = 0; i < count && ended_by == 0; i++) {
		if (!selected(runner->patterns, base_name(paths[i])))
			continue;
		number++;
		if (runner->terminal) {
			printf("\r\033[K[%d/%d] %s ...", number, wanted, base_name(paths[i]));
			(void)fflush(stdout);
		}
		ended_by = run_one(runner, paths[i]);
	}
	return ended_by;
}

/* Ctrl-C and the children's ends are waited for, not handled. */
static void block_signals(void)
{
	sigset_t mask;

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGCHLD);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
}

int main(int argc, char **argv)
{
	struct runner runner = { .timeout_s = 300,
		                 .patterns = "",
		                 .terminal = isatty(STDOUT_FILENO) };
	int option, ended_by;

	while ((option = getopt(argc, argv, "t:s:p:")) != -1) {
		if (option == 't')
			runner.timeout_s = atoi(optarg);
		else if (option == 'p')
			runner.patterns = optarg;
		else if (option != 's' || (runner.skips = skips_read(optarg)) == NULL)
			return 2;
	}
	block_signals();
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		perror("run: subreaper");
	ended_by = run_all(&runner, argc - optind, argv + optind);
	printf("%d passed, %d failed, %d skipped\n", runner.total.passed, runner.total.failed,
	       runner.total.skipped);
	skips_free(runner.skips);
	if (ended_by != 0)
		return 128 + ended_by;
	return runner.total.failed > 0;
}
