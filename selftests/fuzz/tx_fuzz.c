/* SPDX-License-Identifier: MIT */
/* tx_fuzz.c - a producer's readers: request words and records, counts, release logs; its memory always comes back */
#include <string.h>

#include "hostile.h"

enum { PRODUCER, CONSUMER, STREAMS = HOSTILE_SLOTS };

const struct fuzz_target fuzz_target = { .name = "tx", .len_max = 16384 };

struct target {
	struct reader reader;
	struct dx_mesh_ops ops;
	struct dx_tx *streams[STREAMS]; /* ours until they are finished */
	uint64_t opened;
};

static struct hostile consumer;

static void finish(struct target *t, uint32_t i, uint32_t state)
{
	struct dsmx_error why = { .code = -EIO, .message = "lost" };

	if (t->streams[i] != NULL)
		dx_tx_finish(t->streams[i], state, state == DSMX_STREAM_ERROR ? &why : NULL);
	t->streams[i] = NULL;
}

/* Called from within a look. */
static void on_request(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
                       const struct dsmx_request_abi *request)
{
	struct target *t = dx_mesh_ops(mesh)->arg;
	uint32_t i = slot;
	int r;

	FUZZ_CHECK(peer == CONSUMER && slot < HOSTILE_SLOTS);
	FUZZ_CHECK(request->epoch == dx_mesh_epoch(mesh, PRODUCER));
	/* What the service would do: a stream of an older generation is its owner's to end. */
	while (i < STREAMS && t->streams[i] != NULL)
		i++;
	if (i == STREAMS || request->partition % 4 == 1) {
		dx_tx_refuse(mesh, peer, slot, word, request, DSMX_STREAM_NAK,
		             &(struct dsmx_error){ .code = -ENOENT, .message = "no" });
		return;
	}
	r = dx_tx_open(mesh, peer, slot, word, request, 0, 3 * DX_PIECE_BYTES, &t->streams[i]);
	FUZZ_CHECK(r == 0 || r == -ESTALE);
	if (r < 0)
		t->streams[i] = NULL;
}

static void push(struct target *t, uint32_t i)
{
	struct dx_mesh *mesh = t->reader.process.mesh;
	struct dx_frame *frame;
	int r = t->streams[i] == NULL ? -EPIPE : dx_tx_room(t->streams[i], DX_PIECE_BYTES, NULL);

	FUZZ_CHECK(r == 1 || r == -EAGAIN || r == -EPIPE || r == -EBADMSG);
	if (r < 0)
		return;
	if (dx_frame_new(mesh, DX_PIECE_BYTES, true, NULL, &frame) < 0)
		return;
	memset(frame->bytes, 0x11, DX_PIECE_BYTES);
	dx_tx_push(t->streams[i], frame, DX_PIECE_BYTES, 1);
}

static void step(struct target *t, struct script *script)
{
	struct dx_mesh *mesh = t->reader.process.mesh;
	uint32_t slot = script_pick(script, HOSTILE_SLOTS);
	struct dsmx_request_abi request = { .query = 5, .partition = script_pick(script, 4) };

	switch (script_pick(script, 8)) {
	case 0:
		hostile_ask(&consumer, mesh, slot, &request,
		            script_pick(script, 4) == 0 ? DSMX_REQUEST_CANCEL : DSMX_REQUEST_START);
		reader_turn(&t->reader);
		break;
	case 1:
		hostile_say(&consumer, mesh, slot, 1 + script_pick(script, 3));
		break;
	case 2:
		push(t, slot);
		break;
	case 3:
		hostile_release(&consumer, mesh, slot);
		break;
	case 4:
		if (script_pick(script, 4) == 0)
			finish(t, slot, DSMX_STREAM_FIN + script_pick(script, 2));
		else
			push(t, slot);
		break;
	case 5:
		reader_turn(&t->reader);
		break;
	default:
		hostile_scribble(&consumer, PRODUCER, script);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = { data, data + size };
	struct target t = { .opened = 0 };
	struct dx_mesh *mesh;

	reader_open(&t.reader, PRODUCER, 2);
	mesh = t.reader.process.mesh;
	t.ops = (struct dx_mesh_ops){ .request = on_request, .arg = &t };
	dx_mesh_set_ops(mesh, &t.ops);
	hostile_open(&consumer, CONSUMER, 2);
	hostile_attach(&consumer, mesh);
	while (!script_over(&script))
		step(&t, &script);
	for (uint32_t i = 0; i < STREAMS; i++)
		finish(&t, i, DSMX_STREAM_FIN);
	dx_mesh_peer_dead(mesh, CONSUMER, hostile_epoch(&consumer));
	FUZZ_CHECK(dx_slab_used(dx_mesh_slabs(mesh)) == 0);
	FUZZ_CHECK(dx_slab_strays(dx_mesh_slabs(mesh)) == 0);
	reader_close(&t.reader);
	return 0;
}
