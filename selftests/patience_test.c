/* SPDX-License-Identifier: MIT */
/* patience_test.c - how long a reactor looks by itself before it parks, over a clock of the test's */
#include "harness.h"
#include "task/patience.h"
#include "wait/backend.h"

#define US 1000ULL

struct fake {
	struct dx_wait wait; /* must be first */
	uint64_t now_ns;
	uint64_t look_ns; /* what a look takes */
	uint64_t news_ns; /* when there are some */
	int looks;
};

static uint64_t fake_now(struct dx_wait *wait)
{
	return ((struct fake *)wait)->now_ns;
}

static bool fake_look(void *arg)
{
	struct fake *f = arg;

	f->looks++;
	f->now_ns += f->look_ns;
	return f->now_ns >= f->news_ns;
}

static const struct dx_wait_ops fake_ops = { .name = "fake", .now = fake_now };

/* One wait, and if it came to that a park. @after_ns: when news came; a wake takes 20 us. Was it awake then? */
static bool wait_once(struct fake *f, struct dx_patience *patience, uint64_t after_ns)
{
	uint64_t start_ns = f->now_ns;

	f->news_ns = start_ns + after_ns;
	if (dx_patience_wait(patience, &f->wait, UINT64_MAX, fake_look, f))
		return true;
	f->now_ns = (f->now_ns > f->news_ns ? f->now_ns : f->news_ns) + 20 * US;
	dx_patience_learn(patience, f->now_ns, true);
	return false;
}

static void init(struct fake *f, struct dx_patience *patience)
{
	*f = (struct fake){ .wait = { .ops = &fake_ops }, .now_ns = 1000 * US, .look_ns = 50 };
	dx_patience_init(patience, false);
}

TEST(patience_gives_up, "who waits long again and again does not look any more before it parks")
{
	struct dx_patience patience;
	struct fake f;
	int before;

	init(&f, &patience);
	for (int i = 0; i < 8; i++)
		CHECK(!wait_once(&f, &patience, 1000 * US));
	CHECK_EQ(patience.yield_ns, 0);
	before = f.looks;
	CHECK(!wait_once(&f, &patience, 1000 * US));
	CHECK_EQ(f.looks, before);
}

TEST(patience_in_vain, "news that come just after a full budget do not make it full again")
{
	struct dx_patience patience;
	struct fake f;

	init(&f, &patience);
	for (int i = 0; i < 8; i++)
		CHECK(!wait_once(&f, &patience, 45 * US));
	CHECK_EQ(patience.yield_ns, 0);
}

TEST(patience_learns, "a few short parks bring patience back, and then the news are met awake")
{
	struct dx_patience patience;
	struct fake f;
	int parks = 0;

	init(&f, &patience);
	while (patience.yield_ns > 0)
		(void)wait_once(&f, &patience, 1000 * US);
	while (parks < 7 && !wait_once(&f, &patience, 10 * US))
		parks++;
	CHECK(parks < 7);
	for (int i = 0; i < 8; i++)
		CHECK(wait_once(&f, &patience, 10 * US));
}

TEST(patience_dear_looks, "looks that are dear are not taken eight at a time")
{
	struct dx_patience patience;
	struct fake f;

	init(&f, &patience);
	patience.yield_ns = 1;
	f.look_ns = 500;
	CHECK(!wait_once(&f, &patience, 1000 * US));
	CHECK_EQ(f.looks, 4 + 1); /* 2 us, and one after a yield */
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
