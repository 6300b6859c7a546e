/* SPDX-License-Identifier: MIT */
/* rx_fuzz.c - a consumer's readers: stream words and records, descriptors, frames, errors, bells, liveness */
#include "batch/frame.h"
#include "hostile.h"

enum { LEADER, WORKER, STREAMS = 3 };

const struct fuzz_target fuzz_target = { .name = "rx", .len_max = 16384 };

static const struct dsmx_field fields[] = { { "k", { DSMX_INT64, 0, 0, 0 }, false },
	                                    { "t", { DSMX_UTF8, 0, 0, 0 }, true },
	                                    { "b", { DSMX_BOOL, 0, 0, 0 }, true } };
static const struct dsmx_schema schema = { 3, fields };

struct stream {
	struct dx_rx *rx; /* NULL: none open */
	uint32_t held[HOSTILE_FRAMES];
	uint32_t held_count;
	int error; /* that dx_rx_next() gave: it stays */
};

struct target {
	struct reader reader;
	struct stream streams[STREAMS];
	struct dx_frame_reader *frames;
};

static struct hostile worker;
static uint64_t sum; /* so that reading is not left out */

/* Everything that a batch points to lies in the frame, or is the reader's own. */
static void read_batch(const struct dx_frame_view *view, const struct dsmx_batch *batch)
{
	const char *begin = view->bytes, *end = begin + view->len_bytes;

	for (uint32_t c = 0; c < batch->column_count; c++) {
		const struct dsmx_column *column = &batch->columns[c];
		struct dsmx_type type = schema.fields[c].type;

		FUZZ_CHECK(column->validity == NULL ||
		           ((const char *)column->validity >= begin &&
		            (const char *)column->validity + (batch->length + 7) / 8 <= end));
		for (uint32_t row = 0; row < batch->length; row++) {
			const char *text;
			size_t len;

			if (dsmx_column_is_null(column, row))
				continue;
			if (!dsmx_type_is_text(type)) {
				text = (const char *)column->values +
				       (type.id == DSMX_BOOL ? row / 8 : row * 8ULL);
				len = type.id == DSMX_BOOL ? 1 : 8;
			} else {
				text = dsmx_column_text(type, column, row, &len);
			}
			FUZZ_CHECK(len == 0 || (text >= begin && text + len <= end));
			for (size_t i = 0; i < len; i++)
				sum += (unsigned char)text[i];
		}
	}
}

static void next(struct target *t, struct stream *s)
{
	const char *data = dx_mesh_peer_data(t->reader.process.mesh, WORKER);
	struct dsmx_error err = { 0 };
	struct dx_frame_view view;
	struct dsmx_batch batch;
	int r = dx_rx_next(s->rx, NULL, &view, &err);

	FUZZ_CHECK(s->error == 0 || r == s->error);
	if (r < 0) {
		FUZZ_CHECK(r == -EAGAIN || err.message[0] != '\0');
		s->error = r == -EAGAIN ? 0 : r;
		return;
	}
	if (r == 0)
		return;
	FUZZ_CHECK(s->held_count < HOSTILE_FRAMES);
	FUZZ_CHECK((const char *)view.bytes >= data &&
	           (const char *)view.bytes + view.len_bytes <= data + HOSTILE_DATA);
	s->held[s->held_count++] = view.id;
	r = dx_frame_read(t->frames, view.bytes, view.len_bytes, view.rows, &batch);
	FUZZ_CHECK(r == 0 || r == -EBADMSG);
	if (r == 0)
		read_batch(&view, &batch);
}

static void release(struct stream *s, uint32_t which)
{
	uint32_t id;

	if (s->held_count == 0)
		return;
	which %= s->held_count;
	id = s->held[which];
	s->held[which] = s->held[--s->held_count];
	dx_rx_release(s->rx, id);
}

static void drop(struct stream *s)
{
	dx_rx_close(s->rx); /* lives on while frames are held */
	while (s->held_count > 0)
		release(s, 0);
	*s = (struct stream){ .rx = NULL };
}

static void open_one(struct target *t, struct stream *s, bool cancel)
{
	struct dx_stream_key key = { .query = 5, .exchange = 2, .task = 1, .partitions = 8 };
	int r = dx_rx_open(t->reader.process.mesh, WORKER, &key, cancel, &s->rx, NULL);

	FUZZ_CHECK(r == 0 || r == -EAGAIN || r == -EOWNERDEAD || r == -E2BIG);
	if (r < 0)
		s->rx = NULL;
	if (cancel && s->rx != NULL)
		drop(s);
}

static void act(struct target *t, struct stream *s, struct script *script)
{
	uint32_t what = script_pick(script, 8);

	if (s->rx == NULL)
		open_one(t, s, what == 0);
	else if (what < 5)
		next(t, s);
	else if (what < 7)
		release(s, script_u8(script));
	else
		drop(s);
}

static void step(struct target *t, struct script *script)
{
	struct dx_mesh *mesh = t->reader.process.mesh;
	uint32_t slot = script_pick(script, STREAMS);

	switch (script_pick(script, 8)) {
	case 0:
		hostile_answer(&worker, mesh, slot, 1 + script_pick(script, 5));
		break;
	case 1:
		hostile_answer(&worker, mesh, slot, DSMX_STREAM_RUNNING);
		hostile_send(&worker, mesh, slot, &schema, script_pick(script, 64));
		break;
	case 2:
		hostile_send(&worker, mesh, slot, &schema, script_pick(script, 64));
		break;
	case 3:
		act(t, &t->streams[slot], script);
		break;
	case 4:
		reader_turn(&t->reader);
		break;
	default:
		hostile_scribble(&worker, LEADER, script);
		if (script_pick(script, 2) == 0)
			act(t, &t->streams[slot], script);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = { data, data + size };
	struct target t = { .frames = NULL };

	reader_open(&t.reader, LEADER, 2);
	hostile_open(&worker, WORKER, 2);
	hostile_attach(&worker, t.reader.process.mesh);
	FUZZ_CHECK(dx_frame_reader_new(&schema, &t.frames) == 0);
	while (!script_over(&script))
		step(&t, &script);
	for (uint32_t i = 0; i < STREAMS; i++)
		if (t.streams[i].rx != NULL)
			drop(&t.streams[i]);
	dx_frame_reader_free(t.frames);
	reader_close(&t.reader);
	return 0;
}
