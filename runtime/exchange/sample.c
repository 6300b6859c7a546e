/* SPDX-License-Identifier: MIT */
#include "exchange/sample.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/order.h"
#include "exchange/internal.h"
#include "exec/sort.h"

/* A key of a sample, and how many rows it stands for. */
struct weighted {
	struct dx_sort_entry key;
	double rows;
};

struct dx_sampler {
	struct dx_list link; /* among those that wait for samples */
	struct dx_producer *producer;
	struct dsmx_rel sort;
	bool reserved;
	bool done;
	struct dx_frame *frame; /* the own sample, until the query is closed; NULL: not published */
	uint32_t collected;     /* tasks */
	uint64_t epoch;         /* of the process of the one that is waited for; 0: none is */
	char **copies;          /* of their samples: the keys' bytes are in them */
	struct weighted *keys;
	uint32_t key_count;
	double rows; /* of all tasks */
};

static struct dx_mesh *mesh_of(const struct dx_producer *p)
{
	return p->query->service->mesh;
}

static uint32_t tasks_of(const struct dx_producer *p)
{
	return p->procedure->rel->exchange.producer_tasks;
}

/* --- life ---------------------------------------------------------------------------------------------- */

int dx_sampler_new(struct dx_producer *p)
{
	const struct dsmx_rel *rel = p->procedure->rel;
	struct dx_sampler *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	p->sampler = s;
	dx_list_init(&s->link);
	s->producer = p;
	s->sort = (struct dsmx_rel){ .kind = DX_REL_SORT, .schema = rel->schema };
	s->sort.sort = (struct dx_sort){ .keys = rel->exchange.order,
		                         .key_count = rel->exchange.order_count,
		                         .local = true };
	s->copies = calloc(tasks_of(p), sizeof(*s->copies));
	if (s->copies == NULL)
		return -ENOMEM;
	if (dx_slab_reserve(dx_mesh_slabs(mesh_of(p))) < 0)
		return -ENOSPC;
	s->reserved = true;
	return 0;
}

/* What the bounds were made of. The own sample stays: others may have yet to read it. */
static void drop_samples(struct dx_producer *p)
{
	struct dx_sampler *s = p->sampler;

	for (uint32_t t = 0; s->copies != NULL && t < tasks_of(p); t++)
		free(s->copies[t]);
	free(s->copies);
	free(s->keys);
	s->copies = NULL;
	s->keys = NULL;
}

void dx_sampler_free(struct dx_producer *p)
{
	struct dx_sampler *s = p->sampler;

	if (s == NULL)
		return;
	dx_list_unlink(&s->link);
	drop_samples(p);
	if (s->frame != NULL)
		dx_frame_release(s->frame);
	if (s->reserved)
		dx_slab_unreserve(dx_mesh_slabs(mesh_of(p)));
	free(s);
	p->sampler = NULL;
}

int dx_sampler_sort(struct dx_producer *p, struct dsmx_operator **op, struct dsmx_error *err)
{
	return dx_sort_make(&p->sampler->sort, NULL, *op, op, err);
}

/* --- the own sample ------------------------------------------------------------------------------------ */

static uint32_t stored_len(const struct dx_sort_entry *key)
{
	if (key->bytes == NULL)
		return 0;
	return key->len < DSMX_SAMPLE_KEY_BYTES ? key->len : DSMX_SAMPLE_KEY_BYTES;
}

/* Key @i of @keys parts of @rows rows. */
static size_t part_start(size_t rows, uint32_t keys, uint32_t i)
{
	return (size_t)((unsigned __int128)rows * i / keys);
}

static size_t sample_bytes(const struct dx_sort_entry *entries, size_t rows, uint32_t keys)
{
	size_t bytes = sizeof(struct dsmx_sample_abi);

	for (uint32_t i = 0; i < keys; i++)
		bytes += sizeof(struct dsmx_sample_key_abi) +
		         stored_len(&entries[part_start(rows, keys, i)]);
	return bytes;
}

/* As many keys as a piece of the slabs holds, which was set aside for them. */
static uint32_t choose_keys(const struct dx_sort_entry *entries, size_t rows)
{
	uint32_t keys = rows < DSMX_SAMPLE_KEYS_MAX ? (uint32_t)rows : DSMX_SAMPLE_KEYS_MAX;

	while (keys > 0 && sample_bytes(entries, rows, keys) > DX_PIECE_BYTES)
		keys -= keys / 8 + 1;
	return keys;
}

static void write_sample(char *base, const struct dx_sort_entry *entries, size_t rows,
                         uint32_t keys)
{
	struct dsmx_sample_abi *head = (void *)base;
	struct dsmx_sample_key_abi *to = (void *)(head + 1);
	size_t at = sizeof(*head) + keys * sizeof(*to);

	*head = (struct dsmx_sample_abi){ DSMX_SAMPLE_MAGIC, keys, rows };
	for (uint32_t i = 0; i < keys; i++) {
		const struct dx_sort_entry *key = &entries[part_start(rows, keys, i)];
		uint32_t len = stored_len(key);

		to[i] = (struct dsmx_sample_key_abi){
			.high = key->high,
			.low = key->low,
			.len = key->bytes == NULL ? key->len : len,
			.bytes = key->bytes == NULL ? 0 : (uint32_t)at,
		};
		if (len > 0)
			memcpy(base + at, key->bytes, len);
		at += len;
	}
}

/* The size is the word that others wait for; all else of the sample is written before. */
static void announce(struct dx_producer *p, uint64_t bytes)
{
	dx_store_release(DX_EDGE_SAMPLE, &p->record->sample_bytes, bytes);
	for (uint32_t t = 0; t < tasks_of(p); t++)
		dx_mesh_changed(mesh_of(p), dx_query_place(p->query, p->record->exchange, t));
	dx_mesh_flush(mesh_of(p));
}

static int publish(struct dx_producer *p, struct dsmx_cx *cx)
{
	const struct dx_sort_entry *entries;
	struct dsmx_task_abi *record = p->record;
	size_t rows;
	uint32_t keys;
	int r;

	p->stalled.kind = DSMX_PARK_INPUT;
	r = dx_sort_entries(p->stream, cx, &entries, &rows);
	if (r < 0)
		return r;
	p->stalled.kind = DSMX_PARK_SLAB;
	r = dx_frame_new(mesh_of(p), DX_PIECE_BYTES, true, &p->task.waker, &p->sampler->frame);
	if (r == -EAGAIN)
		return r;
	if (r < 0)
		return dx_error(cx->err, r, "exchange %u: no memory for a sample",
		                p->procedure->rel->exchange.number);
	keys = choose_keys(entries, rows);
	write_sample(p->sampler->frame->bytes, entries, rows, keys);
	dx_store_plain(&record->sample_offset,
	               (uint64_t)(p->sampler->frame->bytes - dx_mesh_data(mesh_of(p))));
	announce(p, sample_bytes(entries, rows, keys));
	return 0;
}

void dx_sampler_end(struct dx_producer *p)
{
	if (p->sampler->frame == NULL)
		announce(p, DSMX_SAMPLE_NEVER);
	dx_list_unlink(&p->sampler->link);
}

/* --- everybody's samples ------------------------------------------------------------------------------- */

const struct dsmx_task_abi *dx_task_record(const struct dx_query *q, uint32_t exchange,
                                           uint32_t task, uint32_t *ret_peer)
{
	const struct dx_mesh *mesh = q->service->mesh;
	const struct dx_layout *l = dx_mesh_layout(mesh);
	const void *page;

	*ret_peer = dx_query_place(q, exchange, task);
	page = dx_mesh_peer_page(mesh, *ret_peer);
	for (uint32_t i = 0; page != NULL && i < l->tasks; i++) {
		const struct dsmx_task_abi *record =
			DX_LAYOUT_PEER(struct dsmx_task_abi, page, l->task_records, i);

		if (dx_load_acquire(DX_EDGE_PARK, &record->query) == q->id &&
		    dx_load_plain(&record->exchange) == exchange &&
		    dx_load_plain(&record->task) == task)
			return record;
	}
	return NULL;
}

/* The keys of a private copy, checked. Keys of an exchange have bytes all of them, or none. */
static int read_sample(struct dx_sampler *s, const char *copy, size_t len, bool has_bytes)
{
	struct dsmx_sample_abi head;
	const struct dsmx_sample_key_abi *from = (const void *)(copy + sizeof(head));
	struct weighted *more;

	memcpy(&head, copy, sizeof(head));
	if (head.magic != DSMX_SAMPLE_MAGIC || head.keys > DSMX_SAMPLE_KEYS_MAX ||
	    head.keys * sizeof(*from) > len - sizeof(head) || (head.keys == 0) != (head.rows == 0))
		return -EBADMSG;
	more = realloc(s->keys, (s->key_count + head.keys + 1) * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	s->keys = more;
	for (uint32_t i = 0; i < head.keys; i++) {
		if ((from[i].bytes != 0) != has_bytes ||
		    (has_bytes && (from[i].bytes > len || from[i].len > len - from[i].bytes)))
			return -EBADMSG;
		s->keys[s->key_count++] = (struct weighted){
			.key = { .high = from[i].high,
			         .low = from[i].low,
			         .bytes = has_bytes ? (const uint8_t *)copy + from[i].bytes : NULL,
			         .len = from[i].len },
			.rows = (double)head.rows / head.keys,
		};
	}
	s->rows += (double)head.rows;
	return 0;
}

/* Has the process of the task that is waited for gone since? Another may be in its place. */
static bool has_died(const struct dx_producer *p, uint32_t peer)
{
	return !dx_mesh_alive(mesh_of(p), peer) ||
	       (p->sampler->epoch != 0 && p->sampler->epoch != dx_mesh_epoch(mesh_of(p), peer));
}

/* The sample of one task. -EAGAIN: it is not there yet. */
static int collect(struct dx_producer *p, uint32_t task, struct dsmx_error *err)
{
	const struct dx_mesh *mesh = mesh_of(p);
	uint32_t exchange = p->procedure->rel->exchange.number, peer;
	const struct dsmx_task_abi *record = dx_task_record(p->query, exchange, task, &peer);
	uint64_t len = record == NULL ? 0 : dx_load_acquire(DX_EDGE_SAMPLE, &record->sample_bytes);
	uint64_t offset = record == NULL ? 0 : dx_load_plain(&record->sample_offset);
	size_t all = dx_mesh_peer_data_bytes(mesh, peer);
	char *copy;
	int r = -EBADMSG;

	if (len == DSMX_SAMPLE_NEVER) /* it has the cause, or nobody reads on */
		return dx_error(err, -ECANCELED, "exchange %u: task %u ended before its sample",
		                exchange, task);
	if (len == 0 && has_died(p, peer))
		return dx_error(err, -EOWNERDEAD,
		                "exchange %u: the process of task %u died before its sample",
		                exchange, task);
	p->sampler->epoch = len == 0 ? dx_mesh_epoch(mesh, peer) : 0;
	if (len == 0)
		return -EAGAIN;
	if (len >= sizeof(struct dsmx_sample_abi) && len <= DX_PIECE_BYTES && offset % 8 == 0 &&
	    offset <= all && len <= all - offset) {
		copy = p->sampler->copies[task] = malloc(len);
		r = -ENOMEM;
		if (copy != NULL) {
			dx_copy_once(copy, dx_mesh_peer_data(mesh, peer) + offset, len);
			r = read_sample(p->sampler, copy, len,
			                !dx_partitioner_keys_are_short(p->partitioner));
		}
	}
	if (r == 0)
		return 0;
	return dx_error(err, r, "exchange %u: the sample of task %u %s", exchange, task,
	                r == -EBADMSG ? "breaks the rules" : "finds no memory");
}

/* --- bounds -------------------------------------------------------------------------------------------- */

/* Total, whatever keys a sample has: a bound that is cut short comes before the keys that it begins. */
static int compare(const void *x, const void *y)
{
	const struct dx_sort_entry *a = &((const struct weighted *)x)->key;
	const struct dx_sort_entry *b = &((const struct weighted *)y)->key;
	uint32_t common = a->len < b->len ? a->len : b->len;
	int order = 0;

	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	if (a->bytes != NULL && common > 0)
		order = memcmp(a->bytes, b->bytes, common);
	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* In order, each key has about so many rows before it as the ones before it stand for. */
static int set_bounds(struct dx_producer *p)
{
	struct dx_sampler *s = p->sampler;
	uint32_t partitions = p->procedure->rel->exchange.partitions, count = 0;
	struct dx_sort_entry *bounds = calloc(partitions, sizeof(*bounds));
	double before = 0;
	int r;

	if (bounds == NULL)
		return -ENOMEM;
	qsort(s->keys, s->key_count, sizeof(*s->keys), compare);
	for (uint32_t i = 0; i < s->key_count; i++) {
		while (count < partitions - 1 && before * partitions >= s->rows * (count + 1))
			bounds[count++] = s->keys[i].key;
		before += s->keys[i].rows;
	}
	r = dx_partitioner_set_bounds(p->partitioner, bounds, count);
	free(bounds);
	return r;
}

int dx_sampler_step(struct dx_producer *p, struct dsmx_cx *cx)
{
	struct dx_sampler *s = p->sampler;
	int r = 0;

	if (s->done)
		return 1;
	if (p->procedure->rel->exchange.partitions > 1) {
		r = s->frame == NULL ? publish(p, cx) : 0;
		for (; r == 0 && s->collected < tasks_of(p); s->collected += r == 0) {
			p->stalled.kind = DSMX_PARK_SAMPLE;
			r = collect(p, s->collected, cx->err);
		}
		if (r == -EAGAIN && s->frame != NULL && dx_list_empty(&s->link))
			dx_list_append(&p->query->service->samplers, &s->link);
		if (r == 0) {
			r = set_bounds(p);
			if (r < 0)
				(void)dx_error(cx->err, r, "exchange %u: no memory for its bounds",
				               p->procedure->rel->exchange.number);
		}
	}
	if (r < 0)
		return r;
	drop_samples(p);
	s->done = true;
	return 1;
}

bool dx_samplers_look(struct dx_service *service)
{
	bool news = false;

	dx_list_each(link, &service->samplers)
	{
		struct dx_sampler *s = DX_CONTAINER(link, struct dx_sampler, link);
		struct dx_producer *p = s->producer;
		const struct dsmx_task_abi *record;
		uint32_t peer;

		record = dx_task_record(p->query, p->record->exchange, s->collected, &peer);
		if (!has_died(p, peer) &&
		    (record == NULL || dx_load_acquire(DX_EDGE_SAMPLE, &record->sample_bytes) == 0))
			continue;
		dx_list_unlink(&s->link);
		dx_task_wake(&p->task);
		news = true;
	}
	return news;
}
