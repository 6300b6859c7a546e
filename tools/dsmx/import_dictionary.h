/* SPDX-License-Identifier: MIT */
/*
 * import_dictionary.h - distinct texts, in the order in which they came, as a dictionary column has them
 */
#ifndef DSMX_TOOL_IMPORT_DICTIONARY_H
#define DSMX_TOOL_IMPORT_DICTIONARY_H

#include <stddef.h>
#include <stdint.h>

#include "lib/mem.h"

/* Zeroed: empty. */
struct dictionary {
	uint32_t count;
	uint32_t room;    /* entries before it must grow: half the slots */
	int32_t *offsets; /* count + 1 */
	char *bytes;
	size_t byte_room;
	uint32_t *slots; /* linear probing: entry + 1, or 0 */
	uint32_t mask;
};

/* The entry of a text, a new one if need be; -1 if there would be over 2 GiB of them. */
int32_t dictionary_code(struct dictionary *dictionary, const char *text, size_t len);
void dictionary_fini(struct dictionary *dictionary);

#endif /* DSMX_TOOL_IMPORT_DICTIONARY_H */
