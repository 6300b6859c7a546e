/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"
#include "lib/mem.h"

static int fail(struct gen_table *table, const char *what)
{
	progress_clear(&table->gen->progress);
	fprintf(stderr, "dsmx: %s/%s.arrow: %s\n", table->gen->dir, table->name, what);
	return -EIO;
}

/* The list as a dictionary: offsets and bytes that stay. */
static void add_list(struct gen_table *table, uint32_t i, const struct gen_list *list)
{
	struct gen_memory *memory = &table->memory[i];
	int32_t *offsets = mem_alloc((list->count + 1) * sizeof(*offsets));
	size_t bytes = 1;

	for (uint32_t j = 0; j < list->count; j++)
		bytes += strlen(list->words[j]);
	memory->bytes = mem_alloc(bytes);
	for (uint32_t j = 0; j < list->count; j++) {
		size_t len = strlen(list->words[j]);

		memcpy(memory->bytes + offsets[j], list->words[j], len);
		offsets[j + 1] = offsets[j] + (int32_t)len;
	}
	memory->values = offsets;
	memory->codes = mem_alloc(GEN_BATCH_ROWS * sizeof(*memory->codes));
	table->columns[i].codes = memory->codes;
	table->columns[i].dictionary_length = list->count;
}

static char *path_of(const struct gen *gen, const char *name)
{
	size_t len = strlen(gen->dir) + strlen(name) + 16;
	char *path = mem_alloc(len);

	(void)snprintf(path, len, "%s/%s.arrow", gen->dir, name);
	return path;
}

struct gen_table *gen_table_new(struct gen *gen, const char *name, const struct gen_column *columns,
                                uint32_t column_count)
{
	struct gen_table *table = mem_alloc(sizeof(*table));
	struct dsmx_schema schema = { column_count, table->fields };
	bool coded[GEN_COLUMNS_MAX] = { false };
	char *path = path_of(gen, name);
	struct dsmx_error err;
	int ret;

	*table = (struct gen_table){ .gen = gen, .name = name, .column_count = column_count };
	for (uint32_t i = 0; i < column_count; i++) {
		struct gen_memory *memory = &table->memory[i];

		table->fields[i].name = columns[i].name;
		if (dsmx_type_parse(columns[i].type, &table->fields[i].type) < 0)
			abort();
		memory->width = (uint8_t)dsmx_type_width(table->fields[i].type);
		coded[i] = columns[i].list != NULL;
		if (coded[i])
			add_list(table, i, columns[i].list);
		else
			memory->values = mem_alloc((GEN_BATCH_ROWS + 1) *
			                           (size_t)(memory->width > 0 ? memory->width : 4));
	}
	gen->tables[gen->table_count++] = table;
	ret = outfile_open(&table->out, path);
	free(path);
	if (ret < 0) {
		fail(table, strerror(-ret));
		return NULL;
	}
	if (dsmx_ipc_writer_new(table->out.fd, DSMX_IPC_FILE, &schema, coded, &table->writer,
	                        &err) < 0) {
		fail(table, err.message);
		return NULL;
	}
	return table;
}

void gen_table_free(struct gen_table *table)
{
	dsmx_ipc_abandon(table->writer);
	if (table->out.path != NULL)
		outfile_drop(&table->out);
	for (uint32_t i = 0; i < table->column_count; i++) {
		free(table->memory[i].values);
		free(table->memory[i].codes);
		free(table->memory[i].bytes);
	}
	free(table);
}

void gen_put_text(struct gen_table *table, uint32_t column, const char *text, size_t len)
{
	struct gen_memory *memory = &table->memory[column];

	if (memory->room - memory->used < len) {
		memory->room = 2 * memory->room + len + 4096;
		memory->bytes = mem_resize(memory->bytes, memory->room);
	}
	memcpy(memory->bytes + memory->used, text, len);
	memory->used += len;
	((int32_t *)memory->values)[table->rows + 1] = (int32_t)memory->used;
}

static int write_rows(struct gen_table *table)
{
	struct dsmx_batch batch = {
		.length = table->rows,
		.selected = table->rows,
		.column_count = table->column_count,
		.columns = table->columns,
	};
	struct gen *gen = table->gen;
	struct dsmx_error err;

	for (uint32_t i = 0; i < table->column_count; i++) {
		table->columns[i].values = table->memory[i].values;
		table->columns[i].bytes = (const uint8_t *)table->memory[i].bytes;
		table->memory[i].used = 0;
	}
	if (dsmx_ipc_write(table->writer, &batch, &err) < 0)
		return fail(table, err.message);
	gen->rows_done += table->rows;
	table->rows = 0;
	if (progress_due(&gen->progress))
		progress_show(&gen->progress, "%s: %llu %%", table->name,
		              (unsigned long long)(gen->rows_done * 100 / gen->rows_all));
	return 0;
}

int gen_end_row(struct gen_table *table)
{
	return ++table->rows == GEN_BATCH_ROWS ? write_rows(table) : 0;
}

int gen_end_table(struct gen_table *table)
{
	struct dsmx_ipc_writer *writer = table->writer;
	struct dsmx_error err;

	if (table->rows > 0 && write_rows(table) < 0)
		return -EIO;
	table->writer = NULL;
	return dsmx_ipc_finish(writer, &err) < 0 ? fail(table, err.message) : 0;
}
