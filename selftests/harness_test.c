/* SPDX-License-Identifier: MIT */
/*
 * harness_test.c - the harness itself: what it says of tests that are known to be wrong
 *
 * The tests called inner_... are run only when they are asked for: by the others, which start this program again
 * and read what it says.
 */
#define HARNESS_TIMEOUT_S 20
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

TEST(inner_pass, "passes")
{
	CHECK(*ok);
	CHECK_EQ(-1, (short)-1);
	CHECK_STR("a", "a");
}

TEST(inner_check, "fails at the first check")
{
	CHECK(1 > 2);
	printf("went on\n");
}

TEST(inner_eq, "fails at unequal numbers")
{
	CHECK_EQ(1 + 1, -EAGAIN);
}

TEST(inner_str, "fails at unequal texts")
{
	CHECK_STR("seen", NULL);
}

TEST(inner_skip, "is skipped")
{
	SKIP("no %s", "moon");
}

TEST(inner_leak, "leaves a descriptor open")
{
	CHECK(open("/dev/null", O_RDONLY) >= 0);
}

TEST(inner_hang, "never ends")
{
	for (;;)
		(void)pause();
}

/* Runs this program with @ids; what it said goes to @ret_said, its exit code is returned. */
static int run_inner(const char *ids, char *ret_said, size_t room)
{
	char program[4096], command[4096 + 256];
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
	size_t count;
	FILE *in;

	program[len > 0 ? len : 0] = '\0';
	(void)snprintf(command, sizeof(command), "DSMX_TEST_TIMEOUT=1 '%s' %s", program, ids);
	in = popen(command, "re");
	if (in == NULL)
		return -1;
	count = fread(ret_said, 1, room - 1, in);
	ret_said[count] = '\0';
	return WEXITSTATUS(pclose(in));
}

static const struct row {
	const char *ids;
	int code;
	const char *says;
	const char *last;
} rows[] = {
	{ "inner_pass", KSFT_PASS, "TAP version 13\n1..1\n", "ok 1 - inner_pass: passes\n" },
	{ "inner_check", KSFT_FAIL, "not so: 1 > 2\n",
	  "not ok 1 - inner_check: fails at the first check\n" },
	{ "inner_eq", KSFT_FAIL, "1 + 1 is 2, not -EAGAIN (-11)\n",
	  "not ok 1 - inner_eq: fails at unequal numbers\n" },
	{ "inner_str", KSFT_FAIL, "\"seen\" is \"seen\", not \"(NULL)\"\n",
	  "not ok 1 - inner_str: fails at unequal texts\n" },
	{ "inner_skip", KSFT_SKIP, "1..1\n", "ok 1 - inner_skip: is skipped # SKIP no moon\n" },
	{ "inner_pass inner_skip", KSFT_PASS, "1..2\nok 1",
	  "ok 2 - inner_skip: is skipped # SKIP no moon\n" },
	{ "inner_pass inner_leak", KSFT_FAIL, "ok 1 - inner_pass: passes\n",
	  "not ok 2 - inner_leak: leaves a descriptor open\n" },
	{ "inner_leak", KSFT_FAIL, "1 descriptors left open", "open\n" },
	{ "inner_pass inner_hang", KSFT_FAIL,
	  "not ok 2 - inner_hang: never ends # timed out after 1 s\n",
	  "Bail out! inner_hang timed out\n" },
	{ "no_such", KSFT_FAIL, "Bail out! no such test\n", "test\n" },
	{ "-l", KSFT_PASS, "inner_hang: never ends\n", "\n" },
};

TEST(verdicts, "each kind of wrong is said, and gives its exit code")
{
	char said[8192];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		size_t tail = strlen(row->last);

		CHECK_EQ(run_inner(row->ids, said, sizeof(said)), row->code);
		if (strstr(said, row->says) == NULL)
			CHECK_STR(said, row->says);
		if (strlen(said) < tail || strcmp(said + strlen(said) - tail, row->last) != 0)
			CHECK_STR(said, row->last);
		CHECK(strstr(said, "went on") == NULL);
	}
}

TEST(environment, "a test finds the programs of its build")
{
	CHECK(getenv("DSMX_BUILD") != NULL);
	CHECK_EQ(access(DSMX_TOP "/runtime/LAYERS", R_OK), 0);
}

int main(int argc, char **argv)
{
	char verdicts_id[] = "verdicts", environment_id[] = "environment";
	char *outer[] = { argv[0], verdicts_id, environment_id, NULL };

	return argc > 1 ? harness_main(argc, argv) : harness_main(3, outer);
}
