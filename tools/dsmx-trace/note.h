/* SPDX-License-Identifier: MIT */
/*
 * note.h - the probes in an ELF file: notes of provider "dsmx"
 */
#ifndef DSMX_TRACE_NOTE_H
#define DSMX_TRACE_NOTE_H

#include <stdint.h>

#include "dsmx/trace.h"

struct note {
	uint64_t offset;    /* of the site in the file; 0: there is no such probe */
	uint64_t semaphore; /* offset in the file; 0: none */
};

/* How this kernel is fast with probes: which of a site's three nops it is to be given. */
enum note_site { NOTE_TRAP, NOTE_CALL5, NOTE_CALL10 };
enum note_site note_best_site(void);

/*
 * Find the probes in the file at @path.
 *
 * Returns how many there are; 0: none; -ENOTSUP: they are there, in a form that is not ours; else -errno.
 */
int note_read(const char *path, enum note_site site, struct note ret_notes[DSMX_PROBE_COUNT]);

#endif /* DSMX_TRACE_NOTE_H */
