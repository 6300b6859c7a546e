/* SPDX-License-Identifier: MIT */
/*
 * tap.c - read what a test program said, and judge it
 *
 * Points, plan, "Bail out!" and the directives SKIP and TODO are looked at; comments, indented lines (sub-tests)
 * and everything else is not.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>

#include "runner.h"

void say(struct file_run *file, const char *fmt, ...)
{
	size_t room = sizeof(file->said) - file->said_len;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(file->said + file->said_len, room, fmt, args);
	va_end(args);
	if (n > 0)
		file->said_len += (size_t)n < room ? (size_t)n : room - 1;
}

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

/* The "SKIP reason" or "TODO" after a '#' in @text, or NULL. */
static char *directive(char *text, const char *word)
{
	for (char *at = strchr(text, '#'); at != NULL; at = strchr(at + 1, '#')) {
		char *after = at + 1 + strspn(at + 1, " \t");

		if (strncasecmp(after, word, strlen(word)) == 0)
			return after + strlen(word);
	}
	return NULL;
}

static void count_skip(const struct skips *skips, struct file_run *file, const char *what,
                       char *why)
{
	char full[512];

	(void)snprintf(full, sizeof(full), "%s%s%s", file->name, *what ? ": " : "", what);
	if (skips_allow(skips, full)) {
		file->counts.skipped++;
		say(file, "        skipped: %s (%s)\n", full, trim(why));
	} else {
		file->counts.failed++;
		say(file, "# skipped, which %s: %s (%s)\n", "selftests/skips does not allow here",
		    full, trim(why));
	}
}

/* "ok 3 - text # SKIP why", what comes after "ok". */
static void read_point(const struct skips *skips, struct file_run *file, bool ok, char *rest)
{
	char *end, *text, *why;
	long number;

	file->points++;
	rest += strspn(rest, " ");
	number = strtol(rest, &end, 10);
	if (end != rest && number != file->points)
		say(file, "# point %ld came as number %d\n", number, file->points);
	text = end + strspn(end, " ");
	if (strncmp(text, "- ", 2) == 0)
		text += 2;
	why = directive(text, "SKIP");
	if (directive(text, "TODO") != NULL) {
		say(file, "# TODO is not used here: %s\n", text);
		file->counts.failed++;
	} else if (!ok) {
		file->counts.failed++;
	} else if (why != NULL) {
		char what[256];

		(void)snprintf(what, sizeof(what), "%.*s", (int)(strchr(text, '#') - text), text);
		count_skip(skips, file, trim(what), why);
	} else {
		file->counts.passed++;
	}
}

/* "1..7", "1..0 # SKIP why". */
static void read_plan(const struct skips *skips, struct file_run *file, char *rest)
{
	char *end, *why;
	long count = strtol(rest, &end, 10);

	if (end == rest || count < 0 || count > 1000000 || file->planned >= 0) {
		say(file, "# a plan that is none, or a second one: 1..%s\n", rest);
		file->gave_up = true;
		return;
	}
	file->planned = (int)count;
	why = directive(end, "SKIP");
	if (count == 0 && why != NULL) {
		file->whole_skip = true;
		count_skip(skips, file, "", why);
	}
}

static void read_tap(const struct skips *skips, struct file_run *file)
{
	char *copy = strdup(file->output), *rest = copy, *line;

	while (copy != NULL && (line = strsep(&rest, "\n")) != NULL) {
		line[strcspn(line, "\r")] = '\0';
		if (strncmp(line, "1..", 3) == 0)
			read_plan(skips, file, line + 3);
		else if (strcmp(line, "ok") == 0 || strncmp(line, "ok ", 3) == 0)
			read_point(skips, file, true, line + 2);
		else if (strcmp(line, "not ok") == 0 || strncmp(line, "not ok ", 7) == 0)
			read_point(skips, file, false, line + 6);
		else if (strncmp(line, "Bail out!", 9) == 0)
			file->gave_up = true;
	}
	free(copy);
}

/* Whether the file as a whole kept to its part; a sentence about the first thing that it did not. */
static bool kept_to_its_part(struct file_run *file)
{
	int code = WIFEXITED(file->status) ? WEXITSTATUS(file->status) : -1;
	bool failed = file->counts.failed > 0;
	bool skipped = file->counts.skipped > 0 && file->counts.passed == 0;

	if (file->interrupted)
		say(file, "# interrupted after point %d\n", file->points);
	else if (file->late)
		say(file, "# took too long and was killed, after point %d\n", file->points);
	else if (WIFSIGNALED(file->status))
		say(file, "# died of signal %d (%s), after point %d\n", WTERMSIG(file->status),
		    strsignal(WTERMSIG(file->status)), file->points);
	else if (file->gave_up && failed)
		return true; /* the point that it gave up at is counted */
	else if (file->gave_up)
		say(file, "# gave up after point %d\n", file->points);
	else if (file->planned < 0)
		say(file, "# printed no plan; exit code %d\n", code);
	else if (file->planned == 0 && !file->whole_skip)
		say(file, "# planned nothing\n");
	else if (file->points != file->planned)
		say(file, "# planned %d points, and printed %d; exit code %d\n", file->planned,
		    file->points, code);
	else if (!failed && code != 0 && !(code == 4 && skipped))
		say(file, "# exit code %d, though nothing failed\n", code);
	else
		return true;
	return false;
}

void tap_judge(struct file_run *file, const struct skips *skips)
{
	bool kept;

	file->planned = -1;
	read_tap(skips, file);
	kept = kept_to_its_part(file);
	file->counts.failed += !kept || (!file->late && file->left_behind > 0);
}
