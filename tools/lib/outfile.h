/* SPDX-License-Identifier: MIT */
/*
 * outfile.h - a file that is there whole or not at all
 *
 * It has no name while it is written (where the file system can do that; else a name of its own beside the
 * target), and takes the place of what was there when it is kept. What is no regular file, a pipe or a
 * device, is written as it is.
 */
#ifndef TOOLS_OUTFILE_H
#define TOOLS_OUTFILE_H

struct outfile {
	int fd;
	char *path;
	char *temporary; /* NULL: the file has no name, or is no regular file */
	int special;     /* no regular file: nothing to be renamed */
};

/* 0 or -errno. */
int outfile_open(struct outfile *file, const char *path);
/* Give it its name. 0 or -errno; in both cases it is closed and freed, on failure nothing is left. */
int outfile_keep(struct outfile *file);
/* It is not wanted: nothing is left. */
void outfile_drop(struct outfile *file);

#endif /* TOOLS_OUTFILE_H */
