/* SPDX-License-Identifier: MIT */
/* base_test.c - errors, lists, clocks, hashes: the ground that the layers stand on */
#include "harness.h"

#include <errno.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "dsmx/dsmx.h"

TEST(error_fields, "dx_error() fills code and sentence, and names no worker and no exchange")
{
	struct dsmx_error err = { .worker = 7, .exchange = 7 };

	CHECK_EQ(dx_error(&err, -ENOENT, "no table \"%s\"", "lineitem"), -ENOENT);
	CHECK_EQ(err.code, -ENOENT);
	CHECK_EQ(err.worker, -1);
	CHECK_EQ(err.exchange, -1);
	CHECK_STR(err.message, "no table \"lineitem\"");
	CHECK_EQ(dx_error(NULL, -E2BIG, "nobody listens"), -E2BIG);
}

TEST(error_prefix, "a prefix goes in front of the sentence and keeps its code")
{
	struct dsmx_error err;

	(void)dx_error(&err, -EBADMSG, "bad magic");
	CHECK_EQ(dx_error_prefix(&err, "%s", "t.arrow"), -EBADMSG);
	CHECK_STR(err.message, "t.arrow: bad magic");
	CHECK_EQ(dx_error_prefix(NULL, "t.arrow"), 0);
}

TEST(error_long, "a sentence that is too long is cut, and ends")
{
	struct dsmx_error err;
	char text[2 * DSMX_ERROR_MESSAGE_BYTES];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void)dx_error(&err, -EINVAL, "%s", text);
	CHECK_EQ(strlen(err.message), sizeof(err.message) - 1);
	(void)dx_error_prefix(&err, "%s", "before");
	CHECK_EQ(strlen(err.message), sizeof(err.message) - 1);
	CHECK_EQ(strncmp(err.message, "before: xxx", 11), 0);
}

TEST(strerror_both_signs, "dx_strerror() takes an errno of either sign, and an unknown one")
{
	CHECK_STR(dx_strerror(-ENOENT), "No such file or directory");
	CHECK_STR(dx_strerror(ENOENT), "No such file or directory");
	CHECK_STR(dx_strerror(99999), "unknown error");
}

TEST(exit_reason_names, "every exit reason has a name of its own")
{
	for (int reason = 0; reason < DSMX_EXIT_COUNT; reason++) {
		const char *name = dsmx_exit_reason_str(reason);

		CHECK(name != NULL && name[0] >= 'A' && name[0] <= 'Z');
		for (int other = 0; other < reason; other++)
			CHECK(strcmp(name, dsmx_exit_reason_str(other)) != 0);
	}
	CHECK_STR(dsmx_exit_reason_str(DSMX_EXIT_COUNT), "?");
	CHECK_STR(dsmx_exit_reason_str(-1), "?");
}

TEST(list_order, "links come out in the order they went in, and unlinking twice does no harm")
{
	struct dx_list list, links[3];

	dx_list_init(&list);
	CHECK(dx_list_empty(&list));
	CHECK(dx_list_take(&list) == NULL);
	for (size_t i = 0; i < DX_ARRAY_LEN(links); i++)
		dx_list_append(&list, &links[i]);
	dx_list_unlink(&links[1]);
	dx_list_unlink(&links[1]);
	CHECK(dx_list_take(&list) == &links[0]);
	CHECK(dx_list_take(&list) == &links[2]);
	CHECK(dx_list_take(&list) == NULL);
}

TEST(list_each_unlinks, "the body of dx_list_each() may unlink the link it was given")
{
	struct dx_list list, links[4];
	size_t seen = 0;

	dx_list_init(&list);
	for (size_t i = 0; i < DX_ARRAY_LEN(links); i++)
		dx_list_append(&list, &links[i]);
	dx_list_each(link, &list)
	{
		CHECK(link == &links[seen]);
		dx_list_unlink(link);
		seen++;
	}
	CHECK_EQ(seen, DX_ARRAY_LEN(links));
	CHECK(dx_list_empty(&list));
}

TEST(clock_grows, "the clock never goes back")
{
	uint64_t before = dx_now_ns(), after;

	for (int i = 0; i < 1000; i++, before = after) {
		after = dx_now_ns();
		CHECK(after >= before);
	}
}

TEST(hash_equal_values, "values that compare equal have one hash")
{
	CHECK(dx_hash_f64(0.0, 1) == dx_hash_f64(-0.0, 1));
	CHECK(dx_hash_f64(__builtin_nan("1"), 1) == dx_hash_f64(-__builtin_nan("2"), 1));
	CHECK(dx_hash_i128(-5, 1) == dx_hash_u64((uint64_t)-5, 1));
	CHECK(dx_hash_i128((__int128)1 << 64, 1) != dx_hash_i128(0, 1));
}

TEST(hash_bytes_each, "each byte of a text, and its length, decide its hash")
{
	uint8_t bytes[40] = { 0 };
	uint64_t zeros[sizeof(bytes) + 1];

	for (size_t len = 0; len <= sizeof(bytes); len++) {
		zeros[len] = dx_hash_bytes(bytes, len, 3);
		for (size_t other = 0; other < len; other++)
			CHECK(zeros[len] != zeros[other]);
		for (size_t at = 0; at < len; at++) {
			bytes[at] = 1;
			CHECK(dx_hash_bytes(bytes, len, 3) != zeros[len]);
			bytes[at] = 0;
		}
	}
}

TEST(version_is_makefiles, "the library says the version it was built as")
{
	CHECK_STR(dsmx_version(), DSMX_VERSION);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
