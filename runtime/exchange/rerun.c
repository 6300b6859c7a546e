/* SPDX-License-Identifier: MIT */
/*
 * rerun.c - a producer task whose process died runs again elsewhere, if nobody has seen anything of it
 *
 * Only the leader decides, and it needs no question and no answer for that:
 *
 *	consumer	notes in its page, before it takes the first frame or the end of what a producer task gave, or
 *			says CANCEL for it, that it `took` of that task. The bit stays.
 *			When a process died: what of its streams had reached FIN stays readable, so it counts as
 *			taken. Then, in `dead`, that this process knows: from now on it takes nothing more of what
 *			that one had not finished, and the bits about it are final.
 *	leader		once every live process of the query says so, reads the bits. A task without an exchange below
 *			it, of which nobody took, and whose consumers are all alive, gets a new place and the next
 *			attempt: a `move`. Any other one gets a move that refuses.
 *	consumer	whose stream broke before its first frame waits for the move: asks there, or fails.
 *
 * A new attempt deals all partitions anew, so two attempts must never meet: hence the bit for an end without rows, and
 * for a partition that was cancelled. A CANCEL that comes when the place is dead already waits for the move.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/order.h"
#include "exchange/internal.h"

/* Of one task, until the query is given up. */
#define RERUNS_MAX 3
/* For live processes to notice a death; who does not is stopped, or as good as. */
#define NOTICE_NS (100 * DX_NS_PER_MS)

/* The reactor's clock: a simulation has its own. */
static uint64_t now_ns(const struct dx_mesh *mesh)
{
	return dx_wait_now(dx_reactor_wait(dx_mesh_reactor(mesh)));
}

static struct dsmx_query_abi *own_record(const struct dx_query *q)
{
	struct dx_mesh *mesh = q->service->mesh;

	return DX_LAYOUT_AT(struct dsmx_query_abi, dx_mesh_page(mesh),
	                    dx_mesh_layout(mesh)->queries, q->record);
}

static const struct dsmx_query_abi *record_of(const struct dx_query *q, uint32_t peer)
{
	const struct dx_mesh *mesh = q->service->mesh;

	return DX_LAYOUT_PEER(struct dsmx_query_abi, dx_mesh_peer_page(mesh, peer),
	                      dx_mesh_layout(mesh)->queries, q->record);
}

/* --- where tasks run ---------------------------------------------------------------------------------------- */

/* The last move of a task; NULL: it is where it was dealt to. */
static const struct dx_move *find_move(const struct dx_query *q, uint32_t exchange, uint32_t task)
{
	for (uint32_t i = q->move_count; i-- > 0;)
		if (q->moves[i].exchange == exchange && q->moves[i].task == task)
			return &q->moves[i];
	return NULL;
}

uint32_t dx_query_place(const struct dx_query *q, uint32_t exchange, uint32_t task)
{
	const struct dx_move *move = find_move(q, exchange, task);

	if (q->procedures[exchange].leader_only)
		return DSMX_ABI_LEADER;
	return move != NULL ? move->place : q->placement[task % q->placements];
}

uint32_t dx_rerun_attempt(const struct dx_query *q, uint32_t exchange, uint32_t task)
{
	const struct dx_move *move = find_move(q, exchange, task);

	return move != NULL ? move->attempt : q->attempt;
}

uint32_t dx_rerun_count(const struct dx_query *q, uint32_t exchange)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < q->move_count; i++)
		count += !q->moves[i].refused &&
		         (exchange == DX_EVERY_EXCHANGE || q->moves[i].exchange == exchange);
	return count;
}

/* Nobody is there who was dealt the query. */
static bool is_gone(const struct dx_query *q, uint32_t place)
{
	const struct dx_mesh *mesh = q->service->mesh;

	return !dx_mesh_alive(mesh, place) || dx_mesh_epoch(mesh, place) > q->epoch_max;
}

enum dx_rerun_state dx_rerun_state(const struct dx_query *q, uint32_t exchange, uint32_t task)
{
	const struct dx_move *move = find_move(q, exchange, task);

	if (!is_gone(q, dx_query_place(q, exchange, task)))
		return DX_RERUN_THERE;
	return !q->procedures[exchange].can_move || (move != NULL && move->refused) ||
	                       q->moves_read == DSMX_ABI_MOVES /* there is no room for another */
	               ? DX_RERUN_REFUSED
	               : DX_RERUN_AWAITED;
}

/* The leader's words are copied once and checked; a move that names what there is not is passed over. */
static bool take_move(struct dx_query *q, uint64_t word)
{
	struct dx_move m = { .exchange = DSMX_MOVE_EXCHANGE(word),
		             .task = DSMX_MOVE_TASK(word),
		             .attempt = DSMX_MOVE_ATTEMPT(word),
		             .place = DSMX_MOVE_PLACE(word),
		             .refused = DSMX_MOVE_REFUSED(word) };

	if (m.exchange >= q->procedure_count || !q->procedures[m.exchange].can_move ||
	    m.task >= q->procedures[m.exchange].rel->exchange.producer_tasks ||
	    m.place >= dx_mesh_peers(q->service->mesh))
		return false;
	q->moves[q->move_count++] = m;
	return true;
}

bool dx_rerun_read(struct dx_query *q)
{
	const struct dsmx_query_abi *rec = record_of(q, DSMX_ABI_LEADER);
	uint64_t count = dx_load_acquire(DX_EDGE_MOVE, &rec->moves);
	bool news = false;

	if (DSMX_WORD_GENERATION(dx_load_acquire(DX_EDGE_PLAN, &rec->word)) != q->generation)
		return false; /* the record is another query's: this one is closed */
	for (; q->moves_read < count && q->moves_read < DSMX_ABI_MOVES; q->moves_read++)
		news |= take_move(q, dx_load_plain(&rec->move[q->moves_read]));
	if (news)
		dx_client_moved(q);
	return news;
}

/* --- consumers ------------------------------------------------------------------------------------------------ */

static uint32_t bit_of(const struct dx_query *q, uint32_t exchange, uint32_t task)
{
	uint64_t number = (uint64_t)q->procedures[exchange].first_task + task;

	return number < 64 * DSMX_ABI_TOOK ? (uint32_t)number : 64 * DSMX_ABI_TOOK - 1;
}

/* Written by this process alone, for one query after the other. */
void dx_rerun_begin(struct dx_query *q)
{
	struct dsmx_query_abi *own = own_record(q);

	for (uint32_t i = 0; i < DSMX_ABI_TOOK; i++)
		dx_store_plain(&own->took[i], 0);
	dx_store_plain(&own->took_query, q->id);
}

void dx_rerun_took(struct dx_query *q, uint32_t exchange, uint32_t task)
{
	uint32_t bit = bit_of(q, exchange, task);
	__u64 *word = &own_record(q)->took[bit / 64];

	if ((*word >> bit % 64 & 1) == 0) /* plain: the leader reads it after `dead` only */
		dx_store_plain(word, *word | 1ULL << bit % 64);
}

void dx_rerun_died(struct dx_service *service, uint32_t peer)
{
	struct dx_mesh *mesh = service->mesh;

	dx_list_each(link, &service->queries)
	{
		struct dx_query *q = DX_CONTAINER(link, struct dx_query, link);

		dx_client_lost(q, peer);
		for (uint32_t i = 0; q->offered && i < q->placements; i++) {
			if (q->placement[i] != peer || q->epochs[i] != dx_mesh_epoch(mesh, peer))
				continue;
			q->undecided_ns[i] = now_ns(mesh);
			service->undecided++;
		}
	}
	dx_store_release(
		DX_EDGE_DEAD,
		DX_LAYOUT_AT(uint64_t, dx_mesh_page(mesh), dx_mesh_layout(mesh)->dead, peer),
		dx_mesh_epoch(mesh, peer));
	dx_mesh_changed(mesh, DSMX_ABI_LEADER); /* it waits for that */
}

/* --- the leader ----------------------------------------------------------------------------------------------- */

/* A live process that has a part in the query. */
static bool takes_part(const struct dx_query *q, uint32_t peer)
{
	return dx_mesh_alive(q->service->mesh, peer) && !is_gone(q, peer);
}

static bool is_noticed(const struct dx_query *q, uint32_t index)
{
	const struct dx_mesh *mesh = q->service->mesh;

	for (uint32_t p = 1; p < dx_mesh_peers(mesh); p++) {
		const uint64_t *dead =
			DX_LAYOUT_PEER(uint64_t, dx_mesh_peer_page(mesh, p),
		                       dx_mesh_layout(mesh)->dead, q->placement[index]);

		if (takes_part(q, p) && dx_load_acquire(DX_EDGE_DEAD, dead) < q->epochs[index])
			return false;
	}
	return true;
}

static bool is_taken(const struct dx_query *q, uint32_t exchange, uint32_t task)
{
	uint32_t bit = bit_of(q, exchange, task);

	for (uint32_t p = 0; p < dx_mesh_peers(q->service->mesh); p++) {
		const struct dsmx_query_abi *rec;

		if (p != DSMX_ABI_LEADER && !takes_part(q, p))
			continue;
		rec = record_of(q, p);
		if (dx_load_plain(&rec->took_query) == q->id &&
		    (dx_load_plain(&rec->took[bit / 64]) >> bit % 64 & 1) != 0)
			return true;
	}
	return false;
}

/* Partitions of the dead would be produced for nobody, and hold up the others. */
static bool consumers_live(const struct dx_query *q, uint32_t exchange, uint32_t task)
{
	const struct dx_exchange *x = &q->procedures[exchange].rel->exchange;

	for (uint32_t c = 0; c < x->partitions; c++) {
		uint32_t place = dx_query_consumer_place(q, exchange, c);

		if (dx_exchange_connects(x, task, c) && place != DSMX_ABI_LEADER &&
		    is_gone(q, place))
			return false;
	}
	return true;
}

/* The next live process in turn that has room for the task. False: none. */
static bool find_place(struct dx_query *q, struct dx_move *move)
{
	for (uint32_t k = 0; k < q->placements; k++) {
		move->place = q->placement[(move->task + move->attempt + k) % q->placements];
		if (is_gone(q, move->place))
			continue;
		q->moves[q->move_count] = *move;
		q->move_count++;
		if (dx_query_fits(q))
			return true;
		q->move_count--;
	}
	return false;
}

/* One task of a process that died: a move, one way or the other. False: there is no room for another. */
static bool move_task(struct dx_query *q, uint32_t exchange, uint32_t task, bool may)
{
	struct dsmx_query_abi *rec = own_record(q);
	struct dx_move move = { .exchange = exchange,
		                .task = task,
		                .attempt = dx_rerun_attempt(q, exchange, task) + 1 };
	uint32_t place = dx_query_place(q, exchange, task);
	uint64_t count = rec->moves;

	if (count == DSMX_ABI_MOVES)
		return false;
	if (!may || move.attempt - q->attempt > RERUNS_MAX || exchange > UINT16_MAX ||
	    task > UINT16_MAX || is_taken(q, exchange, task) ||
	    !consumers_live(q, exchange, task) || !find_place(q, &move)) {
		move.refused = true;
		move.place = place;
		q->moves[q->move_count++] = move;
	}
	dx_store_plain(&rec->move[count],
	               DSMX_MOVE(exchange, task, move.attempt, move.place, move.refused));
	dx_store_release(DX_EDGE_MOVE, &rec->moves, count + 1);
	q->moves_read = (uint32_t)count + 1;
	return true;
}

static void decide(struct dx_query *q, uint32_t index, bool may)
{
	struct dx_mesh *mesh = q->service->mesh;

	for (uint32_t i = 0; i < q->procedure_count; i++) {
		uint32_t tasks = q->procedures[i].rel->exchange.producer_tasks;

		for (uint32_t t = 0; q->procedures[i].can_move && t < tasks; t++)
			if (dx_query_place(q, i, t) == q->placement[index] &&
			    !move_task(q, i, t, may))
				break;
	}
	dx_client_moved(q);
	for (uint32_t p = 0; p < dx_mesh_peers(mesh); p++)
		dx_mesh_changed(mesh, p);
}

static bool decide_query(struct dx_query *q)
{
	bool news = false;

	for (uint32_t i = 0; i < q->placements; i++) {
		bool noticed;

		if (q->undecided_ns[i] == 0)
			continue;
		noticed = is_noticed(q, i);
		if (!noticed && now_ns(q->service->mesh) - q->undecided_ns[i] < NOTICE_NS)
			continue;
		q->undecided_ns[i] = 0;
		q->service->undecided--;
		decide(q, i, noticed);
		news = true;
	}
	return news;
}

bool dx_rerun_decide(struct dx_service *service)
{
	bool news = false;

	if (service->undecided == 0)
		return false;
	dx_list_each(link, &service->queries) news |=
		decide_query(DX_CONTAINER(link, struct dx_query, link));
	return news;
}

void dx_rerun_end(struct dx_query *q)
{
	for (uint32_t i = 0; i < q->placements; i++)
		q->service->undecided -= q->undecided_ns[i] != 0;
}
