/* SPDX-License-Identifier: MIT */
/*
 * dsmx_import_fuzz.c - .tbl and .csv into columns, and the text of a schema
 *
 * The first byte of an input chooses: bit 0 quotes (.csv), bit 1 a delimiter at the end (.tbl), bit 2 a schema alone.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dsmx/import.h"
#include "fuzz.h"

static const char *const texts[] = {
	"\21|BUILDING|0.04|1996-03-13|t|17|\n2|x y|-12.5|1969-12-31||8|\n",
	"\1a,\"b\"\"c\",3\r\n1,\"multi\nline\",2\n,,\n\"\",x,9223372036854775807\n",
	"\0011,2.5,1996-01-01 12:30:00.5,true,\\xff\n\n,\"\",,,\n",
	"\4o_orderkey int64 not null, price decimal(15,2), day date, stamp timestamp(6), t utf8",
};

static size_t seed(uint32_t index, uint8_t *buf, size_t room)
{
	size_t len;

	if (index >= sizeof(texts) / sizeof(texts[0]))
		return 0;
	len = 1 + strlen(texts[index] + 1);
	FUZZ_CHECK(len <= room);
	memcpy(buf, texts[index], len);
	return len;
}

const struct fuzz_target fuzz_target = { .name = "dsmx_import", .seed = seed, .len_max = 8192 };

static const struct dsmx_field fields[] = {
	{ "a", { DSMX_INT64, 0, 0, 0 }, true },    { "b", { DSMX_UTF8, 0, 0, 0 }, true },
	{ "c", { DSMX_DECIMAL, 15, 2, 0 }, true }, { "d", { DSMX_DATE32, 0, 0, 0 }, true },
	{ "e", { DSMX_BOOL, 0, 0, 0 }, true },     { "f", { DSMX_BINARY, 0, 0, 0 }, true }
};
static const struct dsmx_schema schema = { 6, fields };

static void put_record(struct table *table, const struct splitter *splitter)
{
	for (uint32_t i = 0; i < schema.field_count; i++) {
		const struct span *span = &splitter->fields[i];
		int r = 0;

		if (i >= splitter->count || i >= splitter->limit ||
		    (span->len == 0 && !span->quoted))
			table_put_null(table, i);
		else
			r = table_put(table, i, span->text, span->len);
		if (r < 0)
			table_put_null(table, i);
	}
	table->rows++;
}

static void read_rows(struct source *source, struct format format)
{
	bool plain[6] = { false, true, false, false, false, false };
	struct splitter splitter;
	struct dsmx_batch batch;
	struct table table;
	int r = 0;

	splitter_init(&splitter, source, format, schema.field_count);
	table_init(&table, &schema, 512, plain);
	while (table.rows < 512 && (r = splitter_next(&splitter)) > 0)
		put_record(&table, &splitter);
	FUZZ_CHECK(table.rows == 512 || r == 0 || (r == -EBADMSG && splitter.wrong != NULL));
	FUZZ_CHECK(table_decide(&table) == 0);
	table_view(&table, &batch);
	FUZZ_CHECK(batch.length == table.rows);
	table_fini(&table);
	splitter_fini(&splitter);
}

static void read_schema(const char *text)
{
	struct mem_arena arena = { 0 };
	struct dsmx_schema got;
	char wrong[200] = "";
	int r = import_schema_parse(text, &arena, &got, wrong);

	FUZZ_CHECK(r == 0 || (r == -EINVAL && wrong[0] != '\0'));
	arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source source = { .name = "fuzz", .fd = memfd_create("fuzz", MFD_CLOEXEC) };
	uint8_t how = size > 0 ? data[0] : 0;
	struct format format = { how & 1 ? ',' : '|', how & 1, (how & 2) != 0 };
	size_t len = size > 0 ? size - 1 : 0;
	char *text = malloc(len + 1);

	FUZZ_CHECK(text != NULL);
	if (len > 0)
		memcpy(text, data + 1, len);
	text[len] = '\0';
	if (how & 4) {
		read_schema(text);
	} else {
		FUZZ_CHECK(pwrite(source.fd, text, len, 0) == (ssize_t)len);
		read_rows(&source, format);
	}
	free(text);
	source_close(&source);
	return 0;
}
