/* SPDX-License-Identifier: MIT */
/*
 * lease.h - batches handed to the application as Arrow arrays
 *
 * Where a batch lies in a producer's memory and has no selection, the array points there and holds the lease:
 * no value is copied but narrow decimals (Arrow's consumers want 16 bytes) and the offsets of text, which are
 * the reader's. Memory that an application holds is memory that its producer cannot use, so there is a budget
 * for the session: beyond it, arrays are copies.
 */
#ifndef DX_SESSION_LEASE_H
#define DX_SESSION_LEASE_H

#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/batch.h"

struct dx_leases {
	uint64_t budget_bytes;
	uint64_t held_bytes;
	uint64_t leased; /* arrays that were leases; copies: for tests */
	uint64_t copied;
};

int dx_lease_export(struct dx_leases *leases, const struct dsmx_schema *schema,
                    const struct dsmx_batch *batch, struct ArrowArray *ret_array) DX_MUST_CHECK;

#endif /* DX_SESSION_LEASE_H */
