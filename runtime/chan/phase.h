/* SPDX-License-Identifier: MIT */
/*
 * phase.h - how long a StartStream took, and in which phase: see struct dsmx_phases_abi
 */
#ifndef DX_CHAN_PHASE_H
#define DX_CHAN_PHASE_H

#include "dsmx/abi.h"

/*
 * Count a stream that was read for the first time at @read_ns.
 *
 * @stream: the producer's record: its stamps are believed only as far as they lie between the consumer's own
 */
void dx_phases_count(struct dsmx_phases_abi *phases, __u64 sent_ns,
                     const struct dsmx_stream_abi *stream, __u64 read_ns);

#endif /* DX_CHAN_PHASE_H */
