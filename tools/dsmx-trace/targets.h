/* SPDX-License-Identifier: MIT */
/*
 * targets.h - the files that hold our probes: whatever running processes have mapped, and the library of this
 * program itself, for processes that have not started yet
 */
#ifndef DSMX_TRACE_TARGETS_H
#define DSMX_TRACE_TARGETS_H

#include <stdbool.h>
#include <stdint.h>

#include "note.h"

struct target {
	uint64_t device, inode;
	bool has_probes;
	bool attached;
	char path[512]; /* by which the file can be opened, also where its name has gone */
	char name[256]; /* what to call it */
	struct note notes[DSMX_PROBE_COUNT];
};

struct targets {
	const char *const *files; /* these and no others; NULL: whatever there is */
	uint32_t file_count;
	enum note_site site;
	uint32_t count, room;
	struct target *list; /* every mapped file, so that each is read once */
	uint32_t odd;        /* with probes of another form: another version of dsmx */
};

/* Look for files that are new since the last call. Zeroed before the first. Returns how many have probes. */
uint32_t targets_find(struct targets *targets);
void targets_fini(struct targets *targets);

#endif /* DSMX_TRACE_TARGETS_H */
