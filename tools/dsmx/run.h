/* SPDX-License-Identifier: MIT */
/*
 * run.h - `dsmx run` and `dsmx explain`: one set of options, two ways to end
 *
 *	run.c		options to struct run_options, texts and plans from files
 *	run_query.c	the session, the queries, signals, what is printed around a result
 */
#ifndef DSMX_TOOL_RUN_H
#define DSMX_TOOL_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/out.h"
#include "dsmx/config.h"
#include "dsmx/session.h"
#include "format.h"

#define RUN_PATHS_MAX 64 /* that a session takes */

struct run_options {
	const struct dsmx_config *config; /* for what is not said here */
	uint32_t workers;
	const char *data_dir;
	const struct format *format;
	bool show_result; /* false: rows are read and dropped */
	bool explain;     /* do not run: print the plan */
	bool analyze;     /* print what ran: after a result on stderr, else on stdout */
	bool timing;
	bool stats;
	bool phases; /* how long StartStreams took, after the result on stderr */
	bool quiet;
	bool no_filters; /* joins keep what they know of their build keys to themselves */
	uint64_t repeat;
	uint64_t timeout_ms;
	enum dsmx_isolation isolation;
	bool isolation_required;
	bool numa_off;
	const char *numa_nodes;                    /* NULL: any */
	const char *read_paths[RUN_PATHS_MAX + 1]; /* the data first: what workers may read */
	uint32_t read_path_count;
	const char *emit_plan; /* do not run: write the plan to this file */
};

/* What to run: a text of SQL, or the bytes of a plan. */
struct run_source {
	const char *name; /* of the file, NULL: from the command line */
	char *bytes;      /* with a 0 behind */
	size_t len;
	bool is_plan;
};

/* Returns the exit status. */
int run_source(const struct run_options *options, const struct run_source *source);

#endif /* DSMX_TOOL_RUN_H */
