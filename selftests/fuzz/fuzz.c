/* SPDX-License-Identifier: MIT */
/* fuzz.c - what all targets share, whoever feeds them */
#include "fuzz.h"

#include <inttypes.h>

uint64_t fuzz_words;
const uint64_t *fuzz_words_beside;
bool fuzz_concurrent;

uint64_t script_value(struct script *s, uint64_t now, uint64_t size)
{
	static const uint64_t bounds[] = { 0,          1,          UINT8_MAX,  INT16_MAX,
		                           INT32_MAX,  UINT32_MAX, INT64_MAX,  UINT64_MAX,
		                           1ULL << 31, 1ULL << 32, 1ULL << 63, UINT64_MAX - 63 };
	uint8_t how = script_u8(s);

	switch (how % 8) {
	case 0:
		return now ^ 1ULL << script_u8(s) % 64;
	case 1:
		return now + script_u8(s);
	case 2:
		return now - script_u8(s);
	case 3:
		return bounds[script_pick(s, sizeof(bounds) / sizeof(bounds[0]))];
	case 4:
		return script_u8(s);
	case 5:
		return size - script_u8(s);
	case 6:
		return (now & ~0xffULL) | script_u8(s);
	default:
		return script_bytes(s, 8);
	}
}

/*
 * libFuzzer's: with DSMX_FUZZ_SEEDS=DIR only put the seeds there, for its corpus.
 */
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *dir = getenv("DSMX_FUZZ_SEEDS");
	uint8_t *buf = malloc(fuzz_target.len_max);
	char path[4096];
	size_t len;

	(void)argc;
	(void)argv;
	FUZZ_CHECK(buf != NULL);
	for (uint32_t i = 0; dir != NULL && fuzz_target.seed != NULL; i++) {
		FILE *file;

		len = fuzz_target.seed(i, buf, fuzz_target.len_max);
		if (len == 0)
			break;
		(void)snprintf(path, sizeof(path), "%s/seed-%u", dir, i);
		file = fopen(path, "w");
		FUZZ_CHECK(file != NULL && fwrite(buf, 1, len, file) == len && fclose(file) == 0);
	}
	free(buf);
	if (dir != NULL)
		exit(0);
	return 0;
}

__attribute__((destructor)) static void say_words(void)
{
	fprintf(stderr, "%s: %" PRIu64 " words mutated\n", fuzz_target.name, fuzz_words);
}
