/* SPDX-License-Identifier: MIT */
/*
 * session_fuzz.c - a whole process of a session, leader or worker, whose peers are hostile: requests, records of plans
 * and their bytes, task records, error records, streams, what is mapped; and the walk for deadlocks before each sleep
 *
 *	endless ── exchange 0 (hash) ── groups ── exchange 1 (gather) ── the root
 *
 * The first byte says who the reader is: the leader, which runs the root; or a worker, which is asked for its tasks of
 * both exchanges, and asks its hostile sibling for its part of the first.
 */
#include <string.h>

#include "hostile.h"

enum { PEERS = 3, WORKER = 1 };

const struct fuzz_target fuzz_target = { .name = "session", .len_max = 16384 };

/* --- the plan ----------------------------------------------------------------------------------------------------- */

static int some_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                     struct dsmx_batch *ret_batch)
{
	static int64_t values[64];
	static const struct dsmx_column column = { .values = values };
	uint32_t *count = state;

	(void)input;
	(void)cx;
	if (++*count > 40)
		return 0;
	for (int i = 0; i < 64; i++)
		values[i] = i;
	*ret_batch = (struct dsmx_batch){
		.length = 64, .selected = 64, .column_count = 1, .columns = &column
	};
	return 1;
}

static const struct dsmx_simple_ops some_ops = { "Some", some_next, free };

static int some_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	uint32_t *count = calloc(1, sizeof(*count));
	int r;

	(void)bytes;
	(void)len;
	(void)inputs;
	(void)err;
	if (count == NULL || output->field_count != 1 || output->fields[0].type.id != DSMX_INT64 ||
	    input_count != 0) {
		free(count);
		return -EINVAL;
	}
	r = dsmx_simple_new(&some_ops, count, output, NULL, ret_operator);
	if (r < 0)
		free(count);
	return r;
}

static const struct dsmx_extension extensions[] = { { "some", some_make }, { NULL, NULL } };
static const struct dsmx_extension *const extension_arrays[] = { extensions, NULL };

static void *plan_bytes;
static size_t plan_len;
static uint64_t schema_hashes[2];
static struct dsmx_schema schemas[2];
static struct dsmx_plan *kept; /* the schemas are its */

static void make_plan(void)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const uint32_t key = 0;
	const struct dsmx_schema schema = { 1, &field };
	struct dsmx_plan *plan;
	struct dsmx_measure count;
	struct dsmx_expr *group;
	struct dsmx_rel *rel;

	FUZZ_CHECK(dsmx_plan_new(&plan) == 0);
	rel = dsmx_rel_extension(plan, "some", NULL, 0, &schema, NULL, 0);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, &key, 1, 0, NULL);
	group = dsmx_expr_column(plan, rel, 0);
	count = (struct dsmx_measure){ DSMX_AGG_COUNT, dsmx_expr_column(plan, rel, 0), "count" };
	rel = dsmx_rel_aggregate(plan, rel, &group, 1, &count, 1);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	FUZZ_CHECK(dsmx_plan_finish(plan, rel, NULL, NULL) == 0);
	FUZZ_CHECK(dsmx_plan_distribute(plan, 2, NULL) == 0);
	FUZZ_CHECK(dsmx_plan_encode(plan, &plan_bytes, &plan_len, NULL) == 0);
	dsmx_plan_free(plan);
	FUZZ_CHECK(dsmx_plan_decode(plan_bytes, plan_len, &kept, NULL) == 0);
	FUZZ_CHECK(dsmx_plan_exchange_count(kept) == 2);
	for (uint32_t i = 0; i < 2; i++) {
		schemas[i] = dx_plan_exchange_rel(kept, i)->schema;
		schema_hashes[i] = dx_schema_hash(&schemas[i]);
	}
}

/* --- the reader --------------------------------------------------------------------------------------------------- */

struct target {
	struct reader reader;
	uint32_t self;
	/* as the leader: */
	struct dx_query *query;
	struct dx_task root;
	struct dsmx_operator *op;
	struct dsmx_stream *stream;
	bool running;
};

static struct hostile others[PEERS]; /* not used at the reader's own place */

static int root_poll(struct dx_task *task, struct dsmx_cx *cx)
{
	struct target *t = DX_CONTAINER(task, struct target, root);
	struct dsmx_batch batch;
	int r = 0;

	if (t->stream == NULL)
		r = dx_query_root(t->query, cx, &t->op, &t->stream, cx->err);
	while (r >= 0) {
		r = t->stream->ops->poll_next(t->stream, cx, &batch);
		if (r == -EAGAIN) {
			if (!cx->yielded)
				dx_query_root_park(t->query, DSMX_PARK_INPUT);
			return 0;
		}
		if (r == 0)
			return 1;
	}
	return r;
}

static void root_end(struct dx_task *task, int result, const struct dsmx_error *err)
{
	FUZZ_CHECK(result > 0 || err->message[0] != '\0');
	DX_CONTAINER(task, struct target, root)->running = false;
}

static void start_query(struct target *t)
{
	static const uint8_t placement[] = { 1, 2 };
	struct dx_offer offer = { .placement = placement,
		                  .placements = 2,
		                  .overflow_max = 1 << 20 };
	int r = dx_query_offer(t->reader.process.service, plan_bytes, plan_len, &offer, &t->query,
	                       NULL);

	FUZZ_CHECK(r == 0 || r == -EBUSY || r == -EAGAIN || r == -ENOSPC);
	if (r < 0) {
		t->query = NULL;
		return;
	}
	t->running = true;
	t->root = (struct dx_task){ .name = "root", .poll = root_poll, .end = root_end };
	dx_task_start(t->reader.process.reactor, &t->root);
}

static void close_query(struct target *t)
{
	struct dsmx_query_stats stats = { 0 };
	struct dsmx_error cause;
	char *text = NULL;

	if (t->query == NULL)
		return;
	dx_query_sum(t->query, &stats);
	if (dx_query_text(t->query, true, &text) == 0)
		free(text);
	if (dx_query_cause(t->query, &cause))
		FUZZ_CHECK(cause.code < 0 &&
		           memchr(cause.message, 0, sizeof(cause.message)) != NULL);
	if (t->running)
		dx_task_stop(&t->root);
	t->running = false;
	if (t->stream != NULL)
		t->stream->ops->close(t->stream);
	if (t->op != NULL)
		t->op->ops->free(t->op);
	t->stream = NULL;
	t->op = NULL;
	dx_query_close(t->query);
	t->query = NULL;
}

/* --- what the hostile ones do ------------------------------------------------------------------------------------ */

/* The leader puts the plan on offer, as an honest one would. */
static void offer(struct hostile *leader, uint32_t index)
{
	struct dsmx_query_abi *rec = DX_LAYOUT_AT(struct dsmx_query_abi, leader->page.base,
	                                          leader->layout.queries, index);
	size_t at = HOSTILE_DATA / 4 + index * 8192;

	FUZZ_CHECK(plan_len < 8192);
	memcpy((char *)leader->data.base + at, plan_bytes, plan_len);
	rec->id = 5 + index;
	rec->plan_offset = at;
	rec->plan_bytes = plan_len;
	rec->plan_hash = dx_plan_hash(plan_bytes, plan_len);
	rec->attempt = 0;
	rec->placements = 2;
	rec->overflow_max = 1 << 20;
	rec->epoch_max = 1000;
	rec->placement[0] = 1;
	rec->placement[1] = 2;
	rec->word = DSMX_WORD(DSMX_WORD_GENERATION(rec->word) + 1, DSMX_QUERY_OPEN);
	hostile_ring(leader, WORKER);
}

static void close_offer(struct hostile *leader, uint32_t index)
{
	struct dsmx_query_abi *rec = DX_LAYOUT_AT(struct dsmx_query_abi, leader->page.base,
	                                          leader->layout.queries, index);

	rec->word = DSMX_WORD(DSMX_WORD_GENERATION(rec->word), DSMX_QUERY_CLOSED);
	hostile_ring(leader, WORKER);
}

/* Ask for a stream of the plan, of either exchange, by whomever. */
static void ask(struct target *t, struct hostile *by, uint32_t slot, struct script *s)
{
	uint32_t exchange = script_pick(s, 2);
	struct dsmx_request_abi request = {
		.query = t->query != NULL ? dx_query_id(t->query) : 5 + script_pick(s, 2),
		.exchange = exchange,
		.task = t->self == 0 ? 0 : script_pick(s, 4) == 0,
		.partition = exchange == 0 ? script_pick(s, 2) : 0,
		.partitions = exchange == 0 ? 2 : 1,
		.record = script_pick(s, HOSTILE_TASKS),
		.plan_hash = dx_plan_hash(plan_bytes, plan_len),
		.schema_hash = schema_hashes[exchange],
	};

	hostile_ask(by, t->reader.process.mesh, slot, &request,
	            script_pick(s, 6) == 0 ? DSMX_REQUEST_CANCEL : DSMX_REQUEST_START);
}

/* A task record that waits for something of this query: for the walk. */
static void park(struct hostile *by, struct script *s)
{
	struct dsmx_task_abi *rec =
		DX_LAYOUT_AT(struct dsmx_task_abi, by->page.base, by->layout.task_records,
	                     script_pick(s, HOSTILE_TASKS));

	rec->query = 5;
	rec->exchange = script_pick(s, 4) == 0 ? DSMX_ROOT_TASK : script_pick(s, 2);
	rec->task = script_pick(s, 2);
	rec->state = DSMX_STREAM_RUNNING;
	rec->park_kind = 1 + script_pick(s, 3);
	rec->park_exchange = script_pick(s, 2);
	rec->park_partition = script_pick(s, 2);
	rec->park_task = script_pick(s, 3);
	rec->park_any = script_pick(s, 3) == 0 ? script_u8(s) : 0;
	dx_store_release(DX_EDGE_PARK, &rec->park, rec->park + 1);
}

static void produce(struct target *t, struct hostile *by, uint32_t slot, struct script *s)
{
	struct dx_mesh *mesh = t->reader.process.mesh;

	if (script_pick(s, 3) == 0)
		hostile_answer(by, mesh, slot, DSMX_STREAM_RUNNING);
	else if (script_pick(s, 8) == 0)
		hostile_answer(by, mesh, slot, 2 + script_pick(s, 4));
	else
		hostile_send(by, mesh, slot, &schemas[t->self == 0], script_pick(s, 32));
}

static void step(struct target *t, struct script *s)
{
	uint32_t who = (t->self + 1 + script_pick(s, PEERS - 1)) % PEERS;
	uint32_t slot = script_pick(s, HOSTILE_SLOTS);
	struct hostile *by = &others[who];

	switch (script_pick(s, 10)) {
	case 0:
		ask(t, by, slot, s);
		break;
	case 1:
		hostile_say(by, t->reader.process.mesh, slot, 1 + script_pick(s, 3));
		break;
	case 2:
		produce(t, by, slot, s);
		break;
	case 3:
		hostile_release(by, t->reader.process.mesh, slot);
		break;
	case 4:
		park(by, s);
		break;
	case 5:
		if (t->self != 0 && script_pick(s, 4) > 0)
			offer(&others[0], script_pick(s, 2));
		else if (t->self != 0)
			close_offer(&others[0], script_pick(s, 2));
		else if (t->query == NULL)
			start_query(t);
		else if (script_pick(s, 4) == 0)
			close_query(t);
		break;
	case 6:
	case 7:
		reader_turn(&t->reader);
		break;
	default:
		hostile_scribble(by, t->self, s);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, data + size };
	struct target t = { .query = NULL };
	struct dx_service_options options = { .extensions = extension_arrays };

	if (plan_bytes == NULL)
		make_plan();
	t.self = script_u8(&s) % 2;
	reader_open(&t.reader, t.self, PEERS);
	for (uint32_t i = 0; i < PEERS;
	     i++) /* all: who writes at the same time is born with them */
		hostile_open(&others[i], i, PEERS);
	for (uint32_t i = 0; i < PEERS; i++)
		if (i != t.self)
			hostile_attach(&others[i], t.reader.process.mesh);
	FUZZ_CHECK(dx_service_new(t.reader.process.mesh, &options, &t.reader.process.service,
	                          NULL) == 0);
	if (t.self == 0)
		start_query(&t);
	else
		offer(&others[0], 0);
	while (!script_over(&s))
		step(&t, &s);
	close_query(&t);
	for (uint32_t i = 1; i < PEERS; i++) /* the leader's mapping is needed for records */
		if (i != t.self)
			dx_mesh_peer_dead(t.reader.process.mesh, i, hostile_epoch(&others[i]));
	reader_close(&t.reader);
	return 0;
}
