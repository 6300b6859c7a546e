/* SPDX-License-Identifier: MIT */
/*
 * ipc_open.c - from a path to an Arrow file whose structure was checked
 *
 * Read from the end: magic, length of the footer, footer; from there every message. The order of checks is
 * that of dependence: nothing is followed before its place was found to be inside the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hash.h"
#include "batch/bits.h"
#include "batch/ipc_file.h"

/* Fields of table Footer. */
enum { FOOTER_VERSION, FOOTER_SCHEMA, FOOTER_DICTIONARIES, FOOTER_BATCHES, FOOTER_KEYS };

/* The footer on its way through the checks. */
struct footer {
	uint64_t start; /* in the file */
	struct dx_fb fb;
	struct dx_fb_table table;
	struct dx_fb_vector dictionaries, batches;
	struct dx_ipc_end end;
	uint64_t hash; /* of the messages */
};

/* --- the file ------------------------------------------------------------------------------------------- */

static int map_file(struct dsmx_ipc_file *file, struct dsmx_error *err)
{
	/* Not to wait for who writes to what turns out to be a pipe. */
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), ret = 0;
	struct stat st;
	void *map;

	if (fd < 0) {
		ret = dx_errno();
		return dx_error(err, ret, "cannot open %s: %s", file->path, dx_strerror(ret));
	}
	if (fstat(fd, &st) < 0)
		ret = dx_errno();
	else if (!S_ISREG(st.st_mode))
		ret = S_ISDIR(st.st_mode) ? -EISDIR : -EPROTO;
	if (ret < 0) {
		close(fd);
		return dx_error(err, ret, "cannot read %s: %s", file->path,
		                ret == -EPROTO ? "it is no regular file" : dx_strerror(ret));
	}
	file->len = (size_t)st.st_size;
	if (file->len < DX_IPC_MAGIC_BYTES + DX_IPC_END_BYTES) {
		close(fd);
		return dx_error(err, -EPROTO, "%s is no Arrow file: it has %zu bytes", file->path,
		                file->len);
	}
	map = mmap(NULL, file->len, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		ret = dx_errno();
	close(fd);
	if (ret < 0)
		return dx_error(err, ret, "cannot map %s: %s", file->path, dx_strerror(ret));
	file->map = map;
	return 0;
}

/* Blocks lie between the head of the file and the footer, one behind the other. */
static int check_span(const struct footer *footer, const struct dx_fb_vector *blocks, uint32_t i,
                      uint64_t *last, struct dx_ipc_span *ret_span, struct dsmx_error *err)
{
	const uint8_t *at = blocks->items + DX_IPC_BLOCK_BYTES * (size_t)i;
	uint64_t offset = (uint64_t)dx_fb_load_i64(at), body = (uint64_t)dx_fb_load_i64(at + 16);
	int32_t metadata;

	memcpy(&metadata, at + 8, sizeof(metadata));
	if (metadata <= 0 || offset > footer->start ||
	    (uint64_t)metadata > footer->start - offset ||
	    body > footer->start - offset - (uint64_t)metadata)
		return dx_error(err, -EBADMSG,
		                "the footer says that it is at %llu with %d and %llu bytes, "
		                "and the file ends at %llu",
		                (unsigned long long)offset, metadata, (unsigned long long)body,
		                (unsigned long long)footer->start);
	if (offset < *last || offset % 8 != 0 || metadata % 8 != 0)
		return dx_error(err, -EBADMSG,
		                "the footer says that it is at %llu, which is no multiple "
		                "of 8 or inside of what is before it",
		                (unsigned long long)offset);
	*last = offset + (uint64_t)metadata + body;
	*ret_span = (struct dx_ipc_span){ offset, (uint64_t)metadata, body };
	return 0;
}

static void hash_message(const struct dsmx_ipc_file *file, struct footer *footer,
                         const struct dx_ipc_span *span)
{
	const uint8_t *at = file->map + span->offset;
	size_t prefix = DX_IPC_PREFIX_BYTES; /* a message is at least that long, and ours have it */

	footer->hash = dx_hash_combine(footer->hash, dx_hash_bytes(at, prefix, 0));
	footer->hash = dx_hash_combine(
		footer->hash, dx_hash_bytes(at + prefix, (size_t)span->metadata - prefix, 0));
}

/* --- the schema ----------------------------------------------------------------------------------------- */

static int register_dictionary(struct dsmx_ipc_file *file, uint32_t field, struct dsmx_error *err)
{
	const struct dx_ipc_encoding *encoding = &file->encodings[field];
	struct dsmx_type type = file->schema.fields[field].type;
	uint32_t i;

	if (encoding->index == 0)
		return 0;
	for (i = 0; i < file->dictionary_count; i++) {
		if (file->dictionaries[i].id == encoding->dictionary)
			break;
	}
	if (i == file->dictionary_count)
		file->dictionaries[file->dictionary_count++] =
			(struct dx_ipc_dictionary){ .id = encoding->dictionary, .type = type };
	else if (!dsmx_type_equal(file->dictionaries[i].type, type))
		return dx_error(err, -EBADMSG, "dictionary %lld has columns of two types",
		                (long long)encoding->dictionary);
	file->field_dictionaries[field] = i;
	return 0;
}

static int read_schema(struct dsmx_ipc_file *file, const struct footer *footer,
                       struct dsmx_error *err)
{
	struct dx_fb_table schema;
	uint32_t buffers = 0, fields;
	int ret;

	if (!dx_fb_table(&footer->table, FOOTER_SCHEMA, &schema)) {
		ret = dx_ipc_check_buffer(&footer->fb, err);
		return ret < 0 ? ret : dx_error(err, -EBADMSG, "it has no schema");
	}
	ret = dx_ipc_read_schema(&schema, &file->schema, &file->encodings, err);
	if (ret < 0)
		return ret;
	fields = file->schema.field_count;
	file->first_buffers = calloc((size_t)fields + 1, sizeof(*file->first_buffers));
	file->field_dictionaries = calloc((size_t)fields + 1, sizeof(*file->field_dictionaries));
	file->dictionaries = calloc((size_t)fields + 1, sizeof(*file->dictionaries));
	if (file->first_buffers == NULL || file->field_dictionaries == NULL ||
	    file->dictionaries == NULL)
		return dx_error(err, -ENOMEM, "no memory for its schema");
	for (uint32_t i = 0; i < fields; i++) {
		bool text = dsmx_type_is_text(file->schema.fields[i].type);

		file->first_buffers[i] = buffers;
		buffers += text && file->encodings[i].index == 0 ? 3 : 2;
		ret = register_dictionary(file, i, err);
		if (ret < 0)
			return ret;
	}
	file->first_buffers[fields] = buffers;
	return 0;
}

static bool same_schema(const struct dsmx_ipc_file *file, const struct dsmx_schema *schema,
                        const struct dx_ipc_encoding *encodings)
{
	if (schema->field_count != file->schema.field_count)
		return false;
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct dsmx_field *a = &schema->fields[i], *b = &file->schema.fields[i];

		if (strcmp(a->name, b->name) != 0 || a->nullable != b->nullable ||
		    !dsmx_type_equal(a->type, b->type) ||
		    encodings[i].width != file->encodings[i].width ||
		    encodings[i].index != file->encodings[i].index ||
		    encodings[i].index_is_unsigned != file->encodings[i].index_is_unsigned ||
		    encodings[i].dictionary != file->encodings[i].dictionary)
			return false;
	}
	return true;
}

/* The first message of the file says the same as the footer. */
static int check_first_message(struct dsmx_ipc_file *file, struct footer *footer,
                               struct dsmx_error *err)
{
	struct dx_ipc_span span = { .offset = DX_IPC_MAGIC_BYTES };
	struct dx_ipc_encoding *encodings;
	struct dx_fb_table message, table;
	struct dsmx_schema schema;
	uint32_t words[2];
	struct dx_fb fb;
	int ret;

	if (footer->start - span.offset < sizeof(words))
		return dx_error(err, -EBADMSG, "it is not there");
	memcpy(words, file->map + span.offset, sizeof(words));
	span.metadata = words[0] == DX_IPC_CONTINUATION ? words[1] + 8ULL : words[0] + 4ULL;
	if (span.metadata > footer->start - span.offset)
		return dx_error(err, -EBADMSG, "it reaches into the footer");
	ret = dx_ipc_open_message(file, &span, DX_IPC_HEADER_SCHEMA, &fb, &message, err);
	if (ret < 0)
		return ret;
	(void)dx_fb_table(&message, 2, &table);
	ret = dx_ipc_read_schema(&table, &schema, &encodings, err);
	if (ret < 0)
		return ret;
	if (!same_schema(file, &schema, encodings))
		ret = dx_error(err, -EBADMSG, "it differs from the footer's");
	dsmx_schema_free(&schema);
	free(encodings);
	hash_message(file, footer, &span);
	return ret;
}

/* --- messages ------------------------------------------------------------------------------------------- */

static int open_batches(struct dsmx_ipc_file *file, struct footer *footer, struct dsmx_error *err)
{
	uint64_t last = DX_IPC_MAGIC_BYTES;

	for (uint32_t i = 0; i < footer->batches.count; i++) {
		struct dx_ipc_span span;
		int ret = check_span(footer, &footer->batches, i, &last, &span, err);

		if (ret == 0)
			ret = dx_ipc_open_batch(file, &span, &file->blocks[i], err);
		if (ret < 0) {
			dx_error_prefix(err, "%s: record batch %u", file->path, i);
			return ret;
		}
		hash_message(file, footer, &span);
		file->block_count++;
		file->rows += file->blocks[i].rows;
		file->part_count +=
			(file->blocks[i].rows + DX_IPC_PART_ROWS - 1) / DX_IPC_PART_ROWS;
	}
	return 0;
}

static int open_dictionaries(struct dsmx_ipc_file *file, struct footer *footer,
                             struct dsmx_error *err)
{
	uint64_t last = DX_IPC_MAGIC_BYTES;

	for (uint32_t i = 0; i < footer->dictionaries.count; i++) {
		struct dx_ipc_span span;
		int ret = check_span(footer, &footer->dictionaries, i, &last, &span, err);

		if (ret == 0)
			ret = dx_ipc_open_dictionary(file, &span, err);
		if (ret < 0) {
			dx_error_prefix(err, "%s: dictionary %u", file->path, i);
			return ret;
		}
		hash_message(file, footer, &span);
	}
	for (uint32_t i = 0; i < file->dictionary_count && file->rows > 0; i++) {
		if (!file->dictionaries[i].found)
			return dx_error(err, -EBADMSG, "%s: there is no dictionary %lld",
			                file->path, (long long)file->dictionaries[i].id);
	}
	return 0;
}

static int make_parts(struct dsmx_ipc_file *file, struct dsmx_error *err)
{
	uint64_t bits = (uint64_t)file->part_count * file->schema.field_count;
	uint32_t part = 0;

	file->parts = calloc((size_t)file->part_count + 1, sizeof(*file->parts));
	file->checked = calloc(dx_bits_bytes(bits) + 1, 1);
	if (file->parts == NULL || file->checked == NULL)
		return dx_error(err, -ENOMEM, "no memory for the parts of %s", file->path);
	for (uint32_t i = 0; i < file->block_count; i++) {
		uint32_t rows = file->blocks[i].rows;

		for (uint32_t from = 0; from < rows; from += DX_IPC_PART_ROWS) {
			uint32_t left = rows - from;

			file->parts[part++] = (struct dx_ipc_part){
				i, from, left < DX_IPC_PART_ROWS ? left : DX_IPC_PART_ROWS
			};
		}
	}
	return 0;
}

/* --- the footer ----------------------------------------------------------------------------------------- */

static int open_footer(const struct dsmx_ipc_file *file, struct footer *footer,
                       struct dsmx_error *err)
{
	const uint8_t *end = file->map + file->len - DX_IPC_END_BYTES;
	uint64_t most = file->len - DX_IPC_MAGIC_BYTES - DX_IPC_END_BYTES;
	int64_t version;
	int ret;

	memcpy(&footer->end, end, DX_IPC_END_BYTES);
	if (memcmp(file->map, DX_IPC_MAGIC, DX_IPC_MAGIC_BYTES) != 0)
		return dx_error(err, -EPROTO, "%s is no Arrow file: it does not begin with ARROW1",
		                file->path);
	if (memcmp(footer->end.magic, DX_IPC_MAGIC, sizeof(footer->end.magic) - 2) != 0)
		return dx_error(
			err, -EPROTO,
			"%s is no Arrow file, or not all of it: it does not end with ARROW1",
			file->path);
	if (footer->end.footer_len <= 0 || (uint64_t)footer->end.footer_len > most)
		return dx_error(err, -EBADMSG, "%s: a footer of %d bytes in a file of %zu",
		                file->path, footer->end.footer_len, file->len);
	footer->start = file->len - DX_IPC_END_BYTES - (uint64_t)footer->end.footer_len;
	(void)dx_fb_root(&footer->fb, file->map + footer->start, (size_t)footer->end.footer_len,
	                 &footer->table);
	version = dx_fb_int(&footer->table, FOOTER_VERSION, 2, 0);
	(void)dx_fb_vector(&footer->table, FOOTER_DICTIONARIES, DX_IPC_BLOCK_BYTES,
	                   &footer->dictionaries);
	(void)dx_fb_vector(&footer->table, FOOTER_BATCHES, DX_IPC_BLOCK_BYTES, &footer->batches);
	ret = dx_ipc_check_buffer(&footer->fb, err);
	if (ret == 0 && version != DX_IPC_VERSION_V5 && version != DX_IPC_VERSION_V4)
		ret = dx_error(err, -EOPNOTSUPP, "metadata version %lld", (long long)version + 1);
	if (ret < 0)
		dx_error_prefix(err, "%s: footer", file->path);
	return ret;
}

/* The mark in front of the footer and the key in it come together, or the file is not ours. */
static int check_hash(const struct dsmx_ipc_file *file, const struct footer *footer,
                      struct dsmx_error *err)
{
	struct dx_ipc_tail tail = { 0 };
	uint32_t len;
	bool key = dx_ipc_find_key(&footer->table, FOOTER_KEYS, DX_IPC_KEY_HASHED, &len) != NULL;
	bool mark;

	if (footer->start >= sizeof(tail))
		memcpy(&tail, file->map + footer->start - sizeof(tail), sizeof(tail));
	mark = memcmp(tail.mark, DX_IPC_HASHED_MARK, sizeof(tail.mark)) == 0;
	if (!key && !mark)
		return 0;
	if (key && mark &&
	    tail.hash == dx_ipc_hash_end(footer->hash, &tail, file->map + footer->start,
	                                 (size_t)footer->end.footer_len, &footer->end))
		return 0;
	return dx_error(err, -EBADMSG, "%s is damaged: the hash of its structure does not agree",
	                file->path);
}

static int open_structure(struct dsmx_ipc_file *file, struct dsmx_error *err)
{
	struct footer footer = { 0 };
	int ret = open_footer(file, &footer, err);

	if (ret < 0)
		return ret;
	ret = read_schema(file, &footer, err);
	if (ret < 0) {
		dx_error_prefix(err, "%s: footer", file->path);
		return ret;
	}
	ret = check_first_message(file, &footer, err);
	if (ret < 0) {
		dx_error_prefix(err, "%s: schema's message", file->path);
		return ret;
	}
	file->blocks = calloc((size_t)footer.batches.count + 1, sizeof(*file->blocks));
	if (file->blocks == NULL)
		return dx_error(err, -ENOMEM, "no memory for the record batches of %s", file->path);
	ret = open_batches(file, &footer, err);
	if (ret == 0)
		ret = open_dictionaries(file, &footer, err);
	if (ret == 0)
		ret = check_hash(file, &footer, err);
	if (ret == 0)
		ret = make_parts(file, err);
	return ret;
}

int dsmx_ipc_open(const char *path, struct dsmx_ipc_file **ret_file, struct dsmx_error *err)
{
	struct dsmx_ipc_file *file = calloc(1, sizeof(*file));
	int ret;

	if (file != NULL)
		file->path = strdup(path);
	if (file == NULL || file->path == NULL) {
		free(file);
		return dx_error(err, -ENOMEM, "no memory to open %s", path);
	}
	ret = map_file(file, err);
	if (ret == 0)
		ret = open_structure(file, err);
	if (ret < 0)
		dsmx_ipc_close(file);
	else
		*ret_file = file;
	return ret;
}

void dsmx_ipc_close(struct dsmx_ipc_file *file)
{
	uint64_t columns;

	if (file == NULL)
		return;
	columns = (uint64_t)file->part_count * file->schema.field_count;
	for (uint64_t i = 0; i < columns && file->copies != NULL; i++)
		free(file->copies[i]);
	if (file->map != NULL)
		munmap((void *)(uintptr_t)file->map, file->len);
	dsmx_schema_free(&file->schema);
	free(file->path);
	free(file->encodings);
	free(file->first_buffers);
	free(file->field_dictionaries);
	free(file->dictionaries);
	free(file->blocks);
	free(file->parts);
	free(file->checked);
	free(file->copies);
	free(file);
}
