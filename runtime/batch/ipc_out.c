/* SPDX-License-Identifier: MIT */
#include "batch/ipc_out.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"

int dx_ipc_out_init(struct dx_ipc_out *out, int fd, size_t columns)
{
	/* Each buffer and its padding, prefix and metadata, and some. */
	size_t pieces = columns * 2 * DX_IPC_COLUMN_BUFFERS + 8;

	*out = (struct dx_ipc_out){ .fd = fd };
	out->pieces = calloc(pieces, sizeof(*out->pieces));
	return out->pieces == NULL ? -ENOMEM : 0;
}

void dx_ipc_out_fini(struct dx_ipc_out *out)
{
	free(out->pieces);
	free(out->meta.bytes);
	*out = (struct dx_ipc_out){ .fd = -1 };
}

static int write_pieces(struct dx_ipc_out *out, struct dsmx_error *err)
{
	struct iovec *at = out->pieces;
	uint32_t left = out->piece_count;

	out->piece_count = 0;
	while (left > 0) {
		ssize_t n = writev(out->fd, at, (int)(left < IOV_MAX ? left : IOV_MAX));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int ret = dx_errno();

			return dx_error(err, ret, "cannot write: %s", dx_strerror(ret));
		}
		out->offset += (uint64_t)n;
		for (; left > 0 && (size_t)n >= at->iov_len; at++, left--)
			n -= (ssize_t)at->iov_len;
		if (left > 0) {
			at->iov_base = (char *)at->iov_base + n;
			at->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static void add_piece(struct dx_ipc_out *out, const void *bytes, uint64_t len)
{
	if (len > 0)
		out->pieces[out->piece_count++] =
			(struct iovec){ (void *)(uintptr_t)bytes, (size_t)len };
}

int dx_ipc_out_write(struct dx_ipc_out *out, const void *bytes, size_t len, struct dsmx_error *err)
{
	add_piece(out, bytes, len);
	return write_pieces(out, err);
}

uint64_t dx_ipc_padded(uint64_t len)
{
	return (len + DX_IPC_ALIGN - 1) / DX_IPC_ALIGN * DX_IPC_ALIGN;
}

static int add_block(struct dx_ipc_blocks *blocks, struct dx_ipc_block block)
{
	if (blocks->count == blocks->room) {
		uint32_t room = blocks->room == 0 ? 64 : 2 * blocks->room;
		struct dx_ipc_block *list = realloc(blocks->list, room * sizeof(*list));

		if (list == NULL)
			return -ENOMEM;
		blocks->list = list;
		blocks->room = room;
	}
	blocks->list[blocks->count++] = block;
	return 0;
}

static uint64_t body_bytes(const struct dx_ipc_node *nodes, uint32_t node_count)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < node_count; i++) {
		for (unsigned int j = 0; j < nodes[i].buffer_count; j++)
			bytes += dx_ipc_padded(nodes[i].buffers[j].len);
	}
	return bytes;
}

size_t dx_ipc_begin_message(struct dx_ipc_out *out, enum dx_ipc_header header,
                            const struct dx_ipc_node *nodes, uint32_t node_count, bool with_keys)
{
	const struct dx_fb_field fields[5] = {
		{ 2, DX_IPC_VERSION_V5 },
		{ 1, header },
		{ 4, 0 },
		{ 8, (int64_t)body_bytes(nodes, node_count) },
		{ with_keys ? 4 : 0, 0 },
	};

	out->meta.len = 0;
	return dx_fb_add_table(&out->meta, fields, 5);
}

void dx_ipc_add_batch(struct dx_ipc_out *out, size_t table, unsigned int field,
                      const struct dx_ipc_node *nodes, uint32_t node_count, uint64_t rows)
{
	const struct dx_fb_field fields[3] = { { 8, (int64_t)rows }, { 4, 0 }, { 4, 0 } };
	struct dx_fb_writer *meta = &out->meta;
	size_t at = dx_fb_add_child(meta, table, field, fields, 3), items;
	uint32_t buffer_count = 0;
	uint64_t offset = 0;

	items = dx_fb_add_vector(meta, at, 1, node_count, DX_IPC_PAIR_BYTES);
	for (uint32_t i = 0; i < node_count; i++, items += DX_IPC_PAIR_BYTES) {
		dx_fb_put_i64(meta, items, (int64_t)nodes[i].rows);
		dx_fb_put_i64(meta, items + 8, (int64_t)nodes[i].nulls);
		buffer_count += nodes[i].buffer_count;
	}
	items = dx_fb_add_vector(meta, at, 2, buffer_count, DX_IPC_PAIR_BYTES);
	for (uint32_t i = 0; i < node_count; i++) {
		for (unsigned int j = 0; j < nodes[i].buffer_count; j++) {
			uint64_t len = nodes[i].buffers[j].len;

			dx_fb_put_i64(meta, items, (int64_t)offset);
			dx_fb_put_i64(meta, items + 8, (int64_t)len);
			offset += dx_ipc_padded(len);
			items += DX_IPC_PAIR_BYTES;
		}
	}
}

int dx_ipc_end_message(struct dx_ipc_out *out, const struct dx_ipc_node *nodes, uint32_t node_count,
                       struct dx_ipc_blocks *blocks, struct dsmx_error *err)
{
	static const uint8_t zeros[DX_IPC_ALIGN];
	struct dx_fb_writer *meta = &out->meta;
	struct dx_ipc_block block = { .offset = out->offset,
		                      .body = body_bytes(nodes, node_count) };
	uint32_t prefix[2] = { DX_IPC_CONTINUATION, 0 };

	dx_fb_pad(meta, DX_IPC_ALIGN, (size_t)out->offset + sizeof(prefix));
	block.metadata = (uint32_t)(sizeof(prefix) + meta->len);
	if (meta->failed || (blocks != NULL && add_block(blocks, block) < 0))
		return dx_error(err, -ENOMEM, "no memory for the metadata of a message");
	prefix[1] = (uint32_t)meta->len;
	out->hash = dx_hash_combine(out->hash, dx_hash_bytes(prefix, sizeof(prefix), 0));
	out->hash = dx_hash_combine(out->hash, dx_hash_bytes(meta->bytes, meta->len, 0));
	add_piece(out, prefix, sizeof(prefix));
	add_piece(out, meta->bytes, meta->len);
	for (uint32_t i = 0; i < node_count; i++) {
		for (unsigned int j = 0; j < nodes[i].buffer_count; j++) {
			uint64_t len = nodes[i].buffers[j].len;

			add_piece(out, nodes[i].buffers[j].bytes, len);
			add_piece(out, zeros, dx_ipc_padded(len) - len);
		}
	}
	return write_pieces(out, err);
}
