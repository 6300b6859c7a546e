// SPDX-License-Identifier: MIT
// peer_boost.cc - Boost.Lockfree's spsc_queue, with the messages in it: read in place
#include <boost/lockfree/spsc_queue.hpp>
#include <cstring>
#include <new>
#include <unistd.h>

#include "peer.h"

namespace {

template <size_t bytes> struct message {
	alignas(64) char data[bytes];
	message() = default;
	explicit message(const void *from)
	{
		pair_put(data, from, bytes);
	}
	message(const message &other)
	{
		pair_put(data, other.data, bytes);
	}
	message &operator=(const message &other)
	{
		pair_put(data, other.data, bytes);
		return *this;
	}
};

constexpr size_t window = 1 << 20;

constexpr size_t slots_of(size_t bytes)
{
	return window / bytes < 4 ? 4 : window / bytes > 1024 ? 1024 : window / bytes;
}

// It has a slot more than its capacity, and leaves one empty: its window is the others', not one message larger.
template <size_t bytes>
using queue = boost::lockfree::spsc_queue<message<bytes>,
                                          boost::lockfree::capacity<slots_of(bytes) - 1>>;

template <size_t bytes> void produce_all(void *shared, uint64_t count, const void *block)
{
	auto &q = *static_cast<queue<bytes> *>(shared);
	const auto &from = *static_cast<const message<bytes> *>(block);

	for (uint64_t i = 0; i < count; i++)
		while (!q.push(from))
			;
}

template <size_t bytes> uint64_t consume_all(void *shared, uint64_t count)
{
	auto &q = *static_cast<queue<bytes> *>(shared);
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		while (q.read_available() == 0)
			;
		sum += pair_sum(q.front().data, bytes);
		q.pop();
	}
	return sum;
}

size_t shared_bytes(const peer_flow *)
{
	return sizeof(queue<1 << 20>) + (8 << 20);
}

int prepare(peer_flow *flow, void *shared)
{
	switch (flow->bytes) {
	case 64:
		new (shared) queue<64>;
		return 0;
	case 4096:
		new (shared) queue<4096>;
		return 0;
	case 65536:
		new (shared) queue<65536>;
		return 0;
	case 1 << 20:
		new (shared) queue<1 << 20>;
		return 0;
	default:
		return -22;
	}
}

void produce(void *shared, const peer_flow *flow, const void *block)
{
	switch (flow->bytes) {
	case 64:
		return produce_all<64>(shared, flow->count, block);
	case 4096:
		return produce_all<4096>(shared, flow->count, block);
	case 65536:
		return produce_all<65536>(shared, flow->count, block);
	default:
		return produce_all<1 << 20>(shared, flow->count, block);
	}
}

uint64_t consume(void *shared, const peer_flow *flow)
{
	switch (flow->bytes) {
	case 64:
		return consume_all<64>(shared, flow->count);
	case 4096:
		return consume_all<4096>(shared, flow->count);
	case 65536:
		return consume_all<65536>(shared, flow->count);
	default:
		return consume_all<1 << 20>(shared, flow->count);
	}
}

} // namespace

extern "C" const struct peer peer_boost = { "Boost spsc", shared_bytes, prepare, produce, consume };
