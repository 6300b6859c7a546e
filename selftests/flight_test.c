/* SPDX-License-Identifier: MIT */
/*
 * The control segment, by which others switch something on, and the flight recorder that it switches: what is refused,
 * what is written when, and that nothing is written while it is off.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "chan/flight.h"
#include "chan_pair.h"
#include "harness.h"
#include "shm/control.h"

#define SESSION 77

static const struct dsmx_flight_abi *recorder(const struct dx_mesh *mesh)
{
	return DX_LAYOUT_AT(struct dsmx_flight_abi, mesh->page.base, mesh->layout.flight, 0);
}

static struct dsmx_flight_event_abi event_at(const struct dx_mesh *mesh, uint64_t number)
{
	return *DX_LAYOUT_AT(struct dsmx_flight_event_abi, mesh->page.base,
	                     mesh->layout.flight_events, number % DSMX_FLIGHT_EVENTS);
}

TEST(control_seen,
     "what somebody else writes into the control segment is seen, and nobody can resize it")
{
	struct dx_control leader, worker;
	struct dsmx_control_abi *words;
	char path[40];
	int fd;

	CHECK_EQ(dx_control_create(SESSION, false, &leader, NULL), 0);
	CHECK_EQ(dx_control_attach(leader.fd, SESSION, &worker, NULL), 0);
	CHECK_EQ(worker.words->flight, 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", leader.fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(ftruncate(fd, 0) < 0 && errno == EPERM);
	CHECK(ftruncate(fd, 1 << 20) < 0 && errno == EPERM);
	words = mmap(NULL, DSMX_CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(words != MAP_FAILED);
	(void)close(fd);
	dx_store_plain(&words->flight, 1);
	CHECK_EQ(dx_load_plain(&worker.words->flight), 1);
	CHECK_EQ(dx_load_plain(&leader.words->flight), 1);
	(void)munmap(words, DSMX_CONTROL_BYTES);
	dx_control_close(&worker);
	dx_control_close(&leader);
	dx_control_close(&leader); /* none is fine */
}

static int attach_memfd(size_t bytes, int seals, uint64_t session)
{
	struct dsmx_control_abi words = { .magic = DSMX_CONTROL_MAGIC, .session = session };
	int fd = memfd_create("control", MFD_CLOEXEC | MFD_ALLOW_SEALING), r = -EIO;
	struct dx_control control;

	if (fd >= 0 && ftruncate(fd, (off_t)bytes) == 0 && fallocate(fd, 0, 0, (off_t)bytes) == 0 &&
	    pwrite(fd, &words, sizeof(words), 0) > 0 && fcntl(fd, F_ADD_SEALS, seals) == 0)
		r = dx_control_attach(fd, SESSION, &control, NULL);
	if (r == 0)
		dx_control_close(&control);
	(void)close(fd);
	return r;
}

TEST(control_refused,
     "a control segment that could shrink, has another size or is another session's is refused")
{
	const int size = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct dx_control control;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	CHECK_EQ(attach_memfd(DSMX_CONTROL_BYTES, size, SESSION), 0);
	CHECK_EQ(attach_memfd(DSMX_CONTROL_BYTES, size, SESSION + 1), -EPROTO);
	CHECK_EQ(attach_memfd(DSMX_CONTROL_BYTES, size & ~F_SEAL_SHRINK, SESSION), -EPROTO);
	CHECK_EQ(attach_memfd(DSMX_CONTROL_BYTES, 0, SESSION), -EPROTO);
	CHECK_EQ(attach_memfd(DSMX_CONTROL_BYTES * 2, size, SESSION), -EPROTO);
	CHECK_EQ(dx_control_attach(fd, SESSION, &control, NULL), -EPROTO);
	(void)close(fd);
}

/* One stream with one frame, from WORKER to LEADER. */
static int pass_one(struct pair *p)
{
	struct dx_frame_view view;
	struct dx_rx *rx;
	struct dx_tx *tx;
	int r = open_stream(p, &rx, &tx, 1 << 20);

	if (r != 0 || push(p->sides[WORKER].mesh, tx, 9) != 0)
		return -EIO;
	dx_tx_finish(tx, DSMX_STREAM_FIN, NULL);
	settle(p);
	if (dx_rx_next(rx, NULL, &view, NULL) != 1)
		return -EIO;
	dx_rx_release(rx, view.id);
	r = dx_rx_next(rx, NULL, &view, NULL);
	dx_rx_close(rx);
	settle(p);
	return r;
}

TEST(flight_stream,
     "a stream's events are written by both its ends, in order, and only while it is on")
{
	static const uint16_t worker[] = { DSMX_FLIGHT_recv, DSMX_FLIGHT_start, DSMX_FLIGHT_commit,
		                           DSMX_FLIGHT_fin };
	static const uint16_t leader[] = { DSMX_FLIGHT_send, DSMX_FLIGHT_take, DSMX_FLIGHT_release,
		                           DSMX_FLIGHT_end };
	struct dsmx_control_abi words = { .flight = 0 };
	struct pair p;

	CHECK_EQ(setup(&p), 0);
	for (int i = 0; i < 2; i++)
		dx_mesh_set_control(p.sides[i].mesh, &words);
	CHECK_EQ(pass_one(&p), 0);
	CHECK_EQ(recorder(p.sides[WORKER].mesh)->written, 0);
	CHECK_EQ(recorder(p.sides[LEADER].mesh)->written, 0);
	words.flight = 1;
	settle(&p);
	CHECK_EQ(pass_one(&p), 0);
	words.flight = 0;
	settle(&p);
	CHECK_EQ(pass_one(&p), 0);
	CHECK_EQ(recorder(p.sides[WORKER].mesh)->written, DX_ARRAY_LEN(worker));
	CHECK_EQ(recorder(p.sides[LEADER].mesh)->written, DX_ARRAY_LEN(leader));
	for (size_t i = 0; i < DX_ARRAY_LEN(worker); i++) {
		struct dsmx_flight_event_abi e = event_at(p.sides[WORKER].mesh, i);

		CHECK_EQ(e.kind, worker[i]);
		CHECK_EQ(e.query, key.query);
		CHECK_EQ(e.exchange, key.exchange);
		CHECK_EQ(e.task, key.task);
		CHECK_EQ(e.partition, key.partition);
		CHECK_EQ(e.peer, LEADER);
		CHECK_EQ(event_at(p.sides[LEADER].mesh, i).kind, leader[i]);
		CHECK_EQ(event_at(p.sides[LEADER].mesh, i).peer, WORKER);
	}
	CHECK_EQ(event_at(p.sides[WORKER].mesh, 2).a, 9);
	CHECK_EQ(event_at(p.sides[LEADER].mesh, 1).a, 9);
	CHECK(event_at(p.sides[LEADER].mesh, 1).at_ns >= event_at(p.sides[WORKER].mesh, 2).at_ns);
	teardown(&p);
}

TEST(flight_overwrites, "the last events stay, in the slots of their numbers")
{
	const uint64_t count = 3 * DSMX_FLIGHT_EVENTS + 5;
	struct pair p;

	CHECK_EQ(setup(&p), 0);
	for (uint64_t i = 0; i < count; i++)
		dx_flight_write(p.sides[LEADER].mesh,
		                &(struct dsmx_flight_event_abi){ .kind = DSMX_FLIGHT_park,
		                                                 .a = (uint32_t)i });
	CHECK_EQ(recorder(p.sides[LEADER].mesh)->written, count);
	for (uint64_t i = count - DSMX_FLIGHT_EVENTS; i < count; i++)
		CHECK_EQ(event_at(p.sides[LEADER].mesh, i).a, i);
	teardown(&p);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
