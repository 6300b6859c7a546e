/* SPDX-License-Identifier: MIT */
/*
 * What probes and the flight recorder cost where nobody traces: instructions, counted by callgrind.
 *
 * The same program exists twice: with the library as it is, and with its streams built without any probe
 * (DX_NO_PROBES). Each passes frames through a ring between two processes' worth of state, or opens and closes
 * streams; from two runs of different length follows what one more frame, or stream, costs to the instruction.
 */
#define HARNESS_TIMEOUT_S 200
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "chan_pair.h"
#include "harness.h"

/* A run takes some hundred instructions more or less than the next: so the difference is that of many. */
#define FEW          500
#define MORE_FRAMES  10000
#define MORE_STREAMS 1000

/*
 * A guard is a comparison with memory and a branch; finding that memory, and going on, may take two more. A frame has
 * three: commit, take, release. A stream has twenty with its one frame, and keeps what lives across them: 1 in 200 of what it costs.
 */
#define FRAME_MOST  12
#define STREAM_MOST 230

static void on_flush(struct pair *p)
{
	dx_mesh_flush(p->sides[WORKER].mesh);
	dx_mesh_flush(p->sides[LEADER].mesh);
}

static int pass_frames(struct pair *p, struct dx_tx *tx, struct dx_rx *rx, int count)
{
	struct dx_frame_view view;
	int r = 0;

	for (int i = 0; r == 0 && i < count; i++) {
		if (dx_tx_room(tx, 64, NULL) != 1 || push(p->sides[WORKER].mesh, tx, 9) != 0)
			return -EIO;
		on_flush(p);
		if (dx_rx_next(rx, NULL, &view, NULL) != 1)
			return -EIO;
		dx_rx_release(rx, view.id);
		on_flush(p);
	}
	return r;
}

static int one_stream(struct pair *p, int frames)
{
	struct dx_frame_view view;
	struct dx_rx *rx;
	struct dx_tx *tx;
	int r = open_stream(p, &rx, &tx, 1 << 20);

	if (r == 0)
		r = pass_frames(p, tx, rx, frames);
	if (r != 0)
		return r;
	dx_tx_finish(tx, DSMX_STREAM_FIN, NULL);
	settle(p);
	r = dx_rx_next(rx, NULL, &view, NULL);
	dx_rx_close(rx);
	settle(p);
	return r;
}

/* What callgrind looks at. */
static int work(const char *what, int count)
{
	struct pair p;
	int r = setup(&p);

	if (r == 0 && strcmp(what, "frames") == 0)
		r = one_stream(&p, count);
	for (int i = 0; r == 0 && strcmp(what, "streams") == 0 && i < count; i++)
		r = one_stream(&p, 1);
	teardown(&p);
	return r;
}

/* --- counting ------------------------------------------------------------------------------------------------------------- */

static const char *sibling(const char *name, char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 64);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash != NULL)
		(void)strcpy(slash + 1, name);
	return path;
}

/* Instructions of a whole run, 0: it failed. */
static long long instructions(const char *program, const char *what, int count)
{
	char line[PATH_MAX + 256];
	long long n = 0;
	FILE *pipe;

	(void)snprintf(
		line, sizeof(line),
		"valgrind --tool=callgrind --callgrind-out-file=/dev/null '%s' -work %s %d 2>&1",
		program, what, count);
	pipe = popen(line, "re");
	while (pipe != NULL && fgets(line, sizeof(line), pipe) != NULL) {
		const char *at = strstr(line, "Collected : ");

		if (at != NULL)
			n = atoll(at + strlen("Collected : "));
	}
	return pipe != NULL && pclose(pipe) == 0 ? n : 0;
}

/* Of one more frame or stream. Without debugging information: valgrind gives up over that of newer compilers. */
static double each(const char *program, const char *what, int more)
{
	char bare[] = "/tmp/dsmx-cost-XXXXXX", line[2 * PATH_MAX], path[PATH_MAX];
	int fd = mkostemp(bare, O_CLOEXEC);
	long long few = 0, many = 0;

	(void)close(fd);
	(void)snprintf(line, sizeof(line), "strip --strip-debug -o %s '%s'", bare,
	               sibling(program, path));
	if (fd >= 0 && system(line) == 0 && chmod(bare, 0700) == 0) {
		few = instructions(bare, what, FEW);
		many = instructions(bare, what, FEW + more);
	}
	(void)unlink(bare);
	return few == 0 || many == 0 ? 0 : (double)(many - few) / more;
}

static void compare(const char *what, int more, int most, bool *ok)
{
	double with, without;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	SKIP("a sanitizer's instructions are not ours");
#endif
	if (system("valgrind --version >/dev/null 2>&1") != 0)
		SKIP("no valgrind");
	with = each("trace_cost_test", what, more);
	without = each("trace_cost_bare", what, more);
	printf("# of %s each: %.2f instructions, %.2f without probes: %+.2f\n", what, with, without,
	       with - without);
	CHECK(with > 0 && without > 0);
	CHECK(with - without >= 0.5);
	CHECK(with - without <= most);
}

TEST(trace_cost_frame, "a frame executes no more than its guards where nobody traces")
{
	compare("frames", MORE_FRAMES, FRAME_MOST, ok);
}

TEST(trace_cost_stream, "a StartStream executes no more than its guards where nobody traces")
{
	compare("streams", MORE_STREAMS, STREAM_MOST, ok);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "-work") == 0)
		return work(argv[2], atoi(argv[3])) == 0 ? 0 : 1;
	return harness_main(argc, argv);
}
