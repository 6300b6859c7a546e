/* SPDX-License-Identifier: MIT */
/* side.c - see side.h: the protocol of runtime/chan/look.c with one count each way */
#include "side.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/order.h"
#include "ring/ring.h"

static bool look(struct dx_source *source)
{
	struct side *side = DX_CONTAINER(source, struct side, source);

	side->bell.seen = dx_load_acquire(DX_EDGE_BELL, &side->peer->bell);
	side->bell.fired = false;
	side->seen = dx_load_acquire(DX_EDGE_TAIL, &side->peer->count);
	return side->seen >= side->wanted;
}

/* Crossed by the count that is waited for, not by those before it. */
static void arm(struct dx_source *source)
{
	struct side *side = DX_CONTAINER(source, struct side, source);

	dx_store_plain(&side->own->wanted, side->wanted - 1);
}

static void disarm(struct dx_source *source)
{
	struct side *side = DX_CONTAINER(source, struct side, source);

	dx_store_plain(&side->own->wanted, DSMX_WANTED_NONE);
}

void side_init(struct side *side, struct side_words *own, const struct side_words *peer,
               enum dsmx_wait_backend backend, bool patient)
{
	struct dx_wait *wait;

	*side = (struct side){ .own = own,
		               .peer = peer,
		               .source = { .look = look, .arm = arm, .disarm = disarm } };
	if (dx_wait_new(backend, &wait, NULL) < 0 ||
	    dx_reactor_new_over(wait, patient, &side->reactor, NULL) < 0)
		_exit(1);
	side->bell.word = &peer->bell;
	if (dx_wait_add_word(wait, &side->bell) < 0)
		_exit(1);
	dx_reactor_add_source(side->reactor, &side->source);
	disarm(&side->source);
}

void side_publish(struct side *side, uint64_t count)
{
	dx_store_release(DX_EDGE_TAIL, &side->own->count, count);
	dx_fence(DX_FENCE_WAKE);
	if (dx_wanted_crossed(dx_load_plain(&side->peer->wanted), side->tested, count)) {
		dx_store_release(DX_EDGE_BELL, &side->own->bell, side->own->bell + 1);
		dx_wake(&side->own->bell);
		side->rings++;
	}
	side->tested = count;
}

bool side_has(struct side *side, uint64_t count)
{
	side->wanted = count;
	return side->seen >= count || look(&side->source);
}

void side_wait(struct side *side, uint64_t count)
{
	while (!side_has(side, count))
		(void)dx_reactor_turn(side->reactor, DX_NEVER);
}
