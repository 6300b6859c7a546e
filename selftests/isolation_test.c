/* SPDX-License-Identifier: MIT */
/*
 * Levels of isolation: their text, and where a session takes its own from.
 */
#include <errno.h>

#include "dsmx/dsmx.h"
#include "harness.h"
#include "processes.h"

TEST(isolation_text, "a level is parsed from the text that it is written as, nothing else is")
{
	static const char *const wrong[] = { "",        "!",       "Strict",    "strict!!",
		                             " strict", "strict ", "standard?", "default" };
	struct dsmx_error err;

	for (enum dsmx_isolation level = DSMX_ISOLATION_NONE; level <= DSMX_ISOLATION_STRICT;
	     level++) {
		for (int required = 0; required < 2; required++) {
			enum dsmx_isolation got = DSMX_ISOLATION_DEFAULT;
			bool got_required = required == 0;

			CHECK_EQ(dsmx_isolation_parse(dsmx_isolation_str(level, required == 1),
			                              &got, &got_required, NULL),
			         0);
			CHECK_EQ(got, level);
			CHECK_EQ(got_required, required == 1);
		}
	}
	CHECK_STR(dsmx_isolation_str(DSMX_ISOLATION_STRICT, true), "strict!");
	CHECK_STR(dsmx_isolation_str((enum dsmx_isolation)77, true), "?");
	for (size_t i = 0; i < DX_ARRAY_LEN(wrong); i++) {
		enum dsmx_isolation got = DSMX_ISOLATION_DEFAULT;
		bool required = false;

		err.message[0] = '\0';
		CHECK_EQ(dsmx_isolation_parse(wrong[i], &got, &required, &err), -EINVAL);
		CHECK(strstr(err.message, "strict") != NULL);
		CHECK_EQ(got, DSMX_ISOLATION_DEFAULT);
	}
}

TEST(isolation_steps_text, "steps are listed by name, all of them fit, and a small room cuts them")
{
	char text[256], small[12];

	CHECK_STR(dsmx_isolation_steps_str(DSMX_ISOLATION_STRICT, text, sizeof(text)), "-");
	CHECK_STR(
		dsmx_isolation_steps_str(DSMX_STEP_CGROUP | DSMX_STEP_SECCOMP, text, sizeof(text)),
		"cgroup,seccomp");
	CHECK(strstr(dsmx_isolation_steps_str(UINT32_MAX, text, sizeof(text)), "dontfork") != NULL);
	CHECK_EQ(strlen(dsmx_isolation_steps_str(UINT32_MAX, small, sizeof(small))), 11);
}

TEST(isolation_environment, "DSMX_ISOLATION is the level where the program names none")
{
	static const struct {
		const char *variable;
		enum dsmx_isolation option;
		const char *level;
		bool required;
	} rows[] = {
		{ NULL, DSMX_ISOLATION_DEFAULT, "cgroup" },
		{ "", DSMX_ISOLATION_DEFAULT, "cgroup" },
		{ "none", DSMX_ISOLATION_DEFAULT, "none" },
		{ "none!", DSMX_ISOLATION_DEFAULT, "none!" },
		{ "none", DSMX_ISOLATION_DEFAULT, "none!", true },
		{ "none!", DSMX_ISOLATION_CGROUP, "cgroup" },
		{ "nonsense", DSMX_ISOLATION_DEFAULT, NULL },
		{ "nonsense", DSMX_ISOLATION_NONE, "none" },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_session_options options = options_of(0, NULL);
		struct dsmx_session *session = NULL;
		struct dsmx_session_info info;
		struct dsmx_error err;

		CHECK_EQ(rows[i].variable == NULL ? unsetenv("DSMX_ISOLATION")
		                                  : setenv("DSMX_ISOLATION", rows[i].variable, 1),
		         0);
		options.isolation = rows[i].option;
		options.isolation_required = rows[i].required;
		CHECK_EQ(dsmx_session_open(&options, &session, &err),
		         rows[i].level != NULL ? 0 : -EINVAL);
		if (session == NULL)
			continue;
		dsmx_session_info(session, &info);
		CHECK_STR(info.level, rows[i].level);
		dsmx_session_close(session);
	}
	CHECK_EQ(unsetenv("DSMX_ISOLATION"), 0);
}

int main(int argc, char **argv)
{
	int served = dsmx_worker_main(argc, argv, NULL);

	return served >= 0 ? served : harness_main(argc, argv);
}
