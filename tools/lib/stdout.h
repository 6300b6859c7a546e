/* SPDX-License-Identifier: MIT */
/*
 * stdout.h - the end of a program that prints: what it printed is written, or that is said
 */
#ifndef TOOLS_STDOUT_H
#define TOOLS_STDOUT_H

/*
 * Writes what stdout still holds. Returns @status, or 1 where it was 0 and something could not be written; then
 * @program says so on stderr. A reader that has had enough and left is no error.
 */
int stdout_end(const char *program, int status);

#endif /* TOOLS_STDOUT_H */
