/* SPDX-License-Identifier: MIT */
/*
 * ipc_stats.c - what a file says of a whole column, for those who plan
 *
 * The ranges that dsmx writes for each record batch, put together, and the length of a dictionary. Nothing is
 * read of the column itself, so it costs a few nanoseconds for each record batch.
 */
#include "batch/ipc_file.h"

void dsmx_ipc_stats(const struct dsmx_ipc_file *file, uint32_t column,
                    struct dsmx_ipc_stats *ret_stats)
{
	struct dsmx_ipc_stats stats = { .has_range = file->part_count > 0,
		                        .min = INT64_MAX,
		                        .max = INT64_MIN };

	for (uint32_t part = 0; part < file->part_count && stats.has_range; part++) {
		int64_t min, max;

		stats.has_range = dx_ipc_range(file, part, column, &min, &max);
		if (!stats.has_range)
			break;
		stats.min = min < stats.min ? min : stats.min;
		stats.max = max > stats.max ? max : stats.max;
	}
	if (!stats.has_range)
		stats.min = stats.max = 0;
	if (file->encodings[column].index > 0)
		stats.dictionary_length =
			file->dictionaries[file->field_dictionaries[column]].rows.rows;
	*ret_stats = stats;
}
