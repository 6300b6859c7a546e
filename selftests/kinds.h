/* SPDX-License-Identifier: MIT */
/*
 * kinds.h - files whose rows are known, and plans that pass them through one exchange of each kind
 *
 *	file ── stamp ── exchange of the kind ── stamp ── project ── gather ── here
 *
 * The stamps say of each row which task it passed below and above the exchange, and the how manieth it was there.
 */
#ifndef DX_SELFTESTS_KINDS_H
#define DX_SELFTESTS_KINDS_H

#include "engine.h"

/* --- files ----------------------------------------------------------------------------------------------------- */

static const struct dsmx_field file_fields[] = {
	{ "key", { DSMX_INT64, 0, 0, 0 }, true },
	{ "seq", { DSMX_INT64, 0, 0, 0 }, false },
	{ "target", { DSMX_UINT16, 0, 0, 0 }, true },
	{ "text", { DSMX_UTF8, 0, 0, 0 }, false },
};

#define KEYS    97
#define PARTS   4U
#define TURN    64
#define COLUMNS 8

struct file {
	const char *name;
	uint32_t rows;
	uint32_t batch_rows;
	uint32_t null_every; /* key of every so manieth row; 0: none */
	uint32_t text_every; /* a row has seq % it * 100 bytes of text */
	int64_t lost_target; /* seq of a row whose target is no partition; -1: none */
	bool halves;         /* targets are 1 in the first half, 0 in the second */
	uint32_t last_text;  /* bytes of text in the last row; 0: as the others */
};

/* A row for each partition. */
static const struct file one_each = { "one_each", PARTS, 1, 0, 1, -1, false, 0 };

static inline int64_t key_of(int64_t seq)
{
	return seq * 7919 % KEYS;
}

static inline uint16_t target_of(const struct file *file, int64_t seq)
{
	if (file->halves)
		return seq < file->rows / 2;
	if (seq == file->lost_target)
		return (uint16_t)PARTS;
	return (uint16_t)(seq * 7 % PARTS);
}

static inline int32_t text_of(const struct file *file, int64_t seq)
{
	if (file->last_text > 0 && seq == file->rows - 1)
		return (int32_t)file->last_text;
	return (int32_t)(seq % file->text_every * 100);
}

static inline bool is_null(const struct file *file, int64_t seq)
{
	return file->null_every > 0 && seq % file->null_every == 0;
}

static inline void write_batch(struct dsmx_ipc_writer *writer, const struct file *file,
                               int64_t first, uint32_t rows)
{
	int64_t *keys = calloc(rows, sizeof(*keys)), *seqs = calloc(rows, sizeof(*seqs));
	uint16_t *targets = calloc(rows, sizeof(*targets));
	int32_t *offsets = calloc(rows + 1, sizeof(*offsets));
	uint8_t *valid = calloc(rows / 8 + 1, 1), *text;
	struct dsmx_column columns[] = {
		{ .validity = valid, .values = keys },
		{ .values = seqs },
		{ .values = targets },
		{ .values = offsets },
	};
	struct dsmx_batch batch = {
		.length = rows, .selected = rows, .column_count = 4, .columns = columns
	};

	for (uint32_t i = 0; i < rows; i++) {
		keys[i] = key_of(first + i);
		seqs[i] = first + i;
		targets[i] = target_of(file, first + i);
		offsets[i + 1] = offsets[i] + text_of(file, first + i);
		valid[i / 8] = (uint8_t)(valid[i / 8] | !is_null(file, first + i) << i % 8);
	}
	text = malloc((size_t)offsets[rows] + 1);
	memset(text, 'x', (size_t)offsets[rows]);
	columns[3].bytes = text;
	if (dsmx_ipc_write(writer, &batch, NULL) != 0)
		abort();
	free(keys);
	free(seqs);
	free(targets);
	free(offsets);
	free(valid);
	free(text);
}

/* Beside one of the same name: a worker may still read that, though its query is closed. */
static inline void make_file(const struct file *file)
{
	static const struct dsmx_schema schema = { DX_ARRAY_LEN(file_fields), file_fields };
	struct dsmx_ipc_writer *writer;
	char path[PATH_MAX + 64];
	int fd;

	(void)unlink(file_path(file->name, path, sizeof(path)));
	writer = file_new(file->name, &schema, NULL, &fd);
	for (uint32_t at = 0; at < file->rows; at += file->batch_rows)
		write_batch(writer, file, at,
		            at + file->batch_rows < file->rows ? file->batch_rows
		                                               : file->rows - at);
	file_end(writer, fd);
}
/* --- plans ----------------------------------------------------------------------------------------------------- */

static const char *const bound_texts[] = { "10", "10", "60" };

static inline struct dsmx_rel *exchange_of(struct dsmx_plan *plan, enum dsmx_exchange_kind kind,
                                           struct dsmx_rel *rel)
{
	const struct dsmx_sort_key key = { .column = 0 };
	const uint32_t hash_key = 0, target = 2;
	struct dsmx_expr *bounds[DX_ARRAY_LEN(bound_texts)];

	switch (kind) {
	case DSMX_EXCHANGE_HASH:
		return dsmx_rel_exchange(plan, kind, rel, &hash_key, 1, 0, NULL);
	case DSMX_EXCHANGE_EXPLICIT:
		return dsmx_rel_exchange(plan, kind, rel, &target, 1, PARTS, NULL);
	case DSMX_EXCHANGE_RANGE:
		for (size_t i = 0; i < DX_ARRAY_LEN(bounds); i++)
			bounds[i] = dsmx_expr_literal(plan, file_fields[0].type, bound_texts[i]);
		return dsmx_rel_exchange_range(plan, rel, &key, bounds, DX_ARRAY_LEN(bounds), NULL);
	case DSMX_EXCHANGE_MERGE: /* made when the plan is distributed */
		return dsmx_rel_sort(plan, rel, &key, 1);
	default:
		return dsmx_rel_exchange(plan, kind, rel, NULL, 0, 0, NULL);
	}
}

/* The columns that come here, all int64. */
static inline struct dsmx_rel *columns_of(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	static const struct dsmx_type int64 = { DSMX_INT64, 0, 0, 0 };
	struct dsmx_expr *exprs[COLUMNS], *text = dsmx_expr_column(plan, rel, 3);

	for (uint32_t i = 0; i < COLUMNS; i++)
		exprs[i] = dsmx_expr_column(plan, rel, i);
	exprs[2] = dsmx_expr_cast(plan, exprs[2], int64);
	exprs[3] = dsmx_expr_cast(plan, dsmx_expr_call(plan, DSMX_FN_CHAR_LENGTH, &text, 1), int64);
	return dsmx_rel_project(plan, rel, exprs, NULL, COLUMNS);
}

static inline struct dsmx_plan *kind_plan(enum dsmx_exchange_kind kind, const struct file *file,
                                          uint32_t tasks)
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = rel_stamp(plan, rel_file(plan, file->name));

	rel = columns_of(plan, rel_stamp(plan, exchange_of(plan, kind, rel)));
	if (kind != DSMX_EXCHANGE_MERGE) /* which is a gather itself */
		rel = rel_gather(plan, rel);
	if (plan_end(plan, rel, tasks) == 0)
		return plan;
	dsmx_plan_free(plan);
	return NULL;
}
/* @rel with a column more that is the same in all rows, to join on. */
static inline struct dsmx_rel *with_constant(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	uint32_t count = dsmx_rel_schema(rel)->field_count;
	struct dsmx_expr *exprs[COLUMNS];

	for (uint32_t i = 0; i < count; i++)
		exprs[i] = dsmx_expr_column(plan, rel, i);
	exprs[count] = dsmx_expr_int64(plan, 1);
	return dsmx_rel_project(plan, rel, exprs, NULL, count + 1);
}

/* A row for each task of the fragment, by its target, joined with all rows of the file. */
static inline struct dsmx_plan *broadcast_plan(const struct file *file, uint32_t tasks)
{
	/* Left: a file's four columns and the constant; right: those, the stamp's two, the constant. */
	static const uint32_t columns[COLUMNS] = { 5, 6, 7, 8, 9, 10, 2, 1 };
	const uint32_t target = 2, left_key = 4, right_key = 6;
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *left = rel_file(plan, one_each.name), *right, *rel;
	struct dsmx_expr *exprs[COLUMNS];

	left = dsmx_rel_exchange(plan, DSMX_EXCHANGE_EXPLICIT, left, &target, 1, PARTS, NULL);
	left = with_constant(plan, left);
	right = with_constant(plan, rel_stamp(plan, rel_file(plan, file->name)));
	right = dsmx_rel_exchange(plan, DSMX_EXCHANGE_BROADCAST, right, NULL, 0, 0, NULL);
	rel = dsmx_rel_join(plan, DSMX_JOIN_INNER, left, right, &left_key, &right_key, 1, NULL);
	for (uint32_t i = 0; i < COLUMNS; i++)
		exprs[i] = dsmx_expr_column(plan, rel, columns[i]);
	exprs[6] = dsmx_expr_cast(plan, exprs[6], file_fields[1].type);
	rel = dsmx_rel_project(plan, rel, exprs, NULL, COLUMNS);
	if (plan_end(plan, rel_gather(plan, columns_of(plan, rel)), tasks) == 0)
		return plan;
	dsmx_plan_free(plan);
	return NULL;
}

#endif /* DX_SELFTESTS_KINDS_H */
