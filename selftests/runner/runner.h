/* SPDX-License-Identifier: MIT */
/*
 * runner.h - run test programs that speak TAP, and count what they say
 *
 *	run [-t SECONDS] [-s SKIPS] [-p PATTERNS] FILE...
 *
 * A file is a program of the harness or a script. What counts:
 *
 *	passed	an "ok" point
 *	failed	a "not ok" point, or one marked TODO
 *		a skip, of a point or of a whole file, that SKIPS does not allow on this machine
 *		and once per file, if it did not keep to its part: it crashed, took longer than SECONDS, printed no
 *		plan or another number of points, exited with another code than its points call for, left a process
 *		behind or something in TMPDIR
 *	skipped	a skip that is allowed
 *
 * So the only way to a green run is that every test ran and passed, or that the machine lacks what it needs:
 * SKIPS names the kinds of machine, and this program looks for itself whether it runs on one.
 *
 * A file is reported in one line, its whole output is shown when something failed, and the last line is
 * "N passed, N failed, N skipped". The exit code is 0 if nothing failed, else 1; 130 after Ctrl-C.
 *
 *	machine.c	what this machine lacks, and what may be skipped for it
 *	process.c	start a file, wait for it, and end what it leaves behind
 *	tap.c		read what it said, and judge it
 *	main.c		options, order, report
 */
#ifndef DX_SELFTESTS_RUNNER_H
#define DX_SELFTESTS_RUNNER_H

#include <stdbool.h>
#include <stddef.h>

struct skips;

struct counts {
	int passed, failed, skipped;
};

/* A file, and what is known of it. */
struct file_run {
	const char *path;
	const char *name;
	char *output;     /* all that it wrote */
	int status;       /* of waitpid(); -1: it was killed here */
	bool late;        /* it took too long */
	bool interrupted; /* this program was told to end */
	int left_behind;  /* processes, and files in TMPDIR */
	char tmpdir[256];
	int points;
	int planned; /* -1: no plan */
	bool whole_skip;
	bool gave_up;
	struct counts counts;
	double seconds;
	char said[4096]; /* by this program, about the file */
	size_t said_len;
};

/* Add to what is said about a file. */
__attribute__((format(printf, 2, 3))) void say(struct file_run *file, const char *fmt, ...);

/* NULL with a message on stderr: the list cannot be read, or has a line that is none. */
struct skips *skips_read(const char *path);
void skips_free(struct skips *skips);
/* @what: "FILE", or "FILE: POINT". Nothing may be skipped where @skips is NULL. */
bool skips_allow(const struct skips *skips, const char *what);

/* Fills output, status, late, interrupted, left_behind, seconds. Returns the signal that told us to end, or 0. */
int process_run(struct file_run *file, int timeout_s);

/* Fills the rest from what the file wrote and how it ended. */
void tap_judge(struct file_run *file, const struct skips *skips);

#endif /* DX_SELFTESTS_RUNNER_H */
