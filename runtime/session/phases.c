/* SPDX-License-Identifier: MIT */
/*
 * phases.c - dsmx_session_phases(): the phase histograms of every process's page, added up
 *
 * The pages of processes that died count as well, as long as they are mapped.
 */
#include "base/order.h"
#include "session/session.h"

_Static_assert(DSMX_STREAM_PHASES == DSMX_PHASES && DSMX_STREAM_BUCKETS == DSMX_PHASE_BUCKETS &&
                       (int)DSMX_STREAM_TOTAL == (int)DSMX_PHASE_TOTAL,
               "what is public is what is in the page");

static void add(struct dsmx_phases *sum, const struct dsmx_phases_abi *p)
{
	sum->streams += dx_load_plain(&p->streams);
	sum->unread += dx_load_plain(&p->unread);
	sum->odd += dx_load_plain(&p->odd);
	for (uint32_t i = 0; i < DSMX_PHASES; i++) {
		uint64_t max_ns = dx_load_plain(&p->max_ns[i]);

		sum->sum_ns[i] += dx_load_plain(&p->sum_ns[i]);
		if (max_ns > sum->max_ns[i])
			sum->max_ns[i] = max_ns;
		for (uint32_t b = 0; b < DSMX_PHASE_BUCKETS; b++)
			sum->buckets[i][b] += dx_load_plain(&p->buckets[i][b]);
	}
}

void dsmx_session_phases(const struct dsmx_session *session, struct dsmx_phases *ret_phases)
{
	const struct dx_layout *l = dx_mesh_layout(session->mesh);
	struct dsmx_phases sum = { 0 };

	for (uint32_t peer = 0; peer < l->peers; peer++) {
		const void *page = dx_mesh_peer_page(session->mesh, peer);

		if (page != NULL)
			add(&sum, DX_LAYOUT_PEER(struct dsmx_phases_abi, page, l->phases, 0));
	}
	*ret_phases = sum;
}
