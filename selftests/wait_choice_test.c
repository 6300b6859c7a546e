/* SPDX-License-Identifier: MIT */
/*
 * wait_choice_test.c - which back end is taken where
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "wait_rows.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

TEST(wait_environment,
     "DSMX_WAIT decides for AUTO, and only for it; what it does not know is -EINVAL")
{
	static const struct {
		const char *said;
		enum dsmx_wait_backend asked;
		int want;
		const char *name;
		const char *missing;
	} rows[] = {
		{ "futex", DSMX_WAIT_AUTO, 0, "futex_waitv", "DSMX_WAIT=futex" },
		{ "uring", DSMX_WAIT_AUTO, 0, "io_uring", NULL },
		{ "", DSMX_WAIT_AUTO, 0, "io_uring", NULL },
		{ "futex", DSMX_WAIT_URING, 0, "io_uring", NULL },
		{ "uring", DSMX_WAIT_FUTEX, 0, "futex_waitv", NULL },
		{ "epoll", DSMX_WAIT_AUTO, -EINVAL, NULL, NULL },
		{ "epoll", DSMX_WAIT_FUTEX, 0, "futex_waitv", NULL },
	};
	char *before = getenv("DSMX_WAIT");
	char said[32] = "";

	if (!has(DSMX_WAIT_URING))
		SKIP("no futex operations in io_uring");
	if (before != NULL)
		(void)snprintf(said, sizeof(said), "%s", before);
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_error err = { .code = 0 };
		struct dx_wait *wait = NULL;

		(void)setenv("DSMX_WAIT", rows[i].said, 1);
		CHECK_EQ(dx_wait_new(rows[i].asked, &wait, &err), rows[i].want);
		CHECK_EQ(err.code, rows[i].want);
		if (rows[i].want == 0) {
			CHECK_STR(dx_wait_name(wait), rows[i].name);
			CHECK_STR(dx_wait_missing(wait), rows[i].missing);
		}
		dx_wait_free(wait);
	}
	(void)(before != NULL ? setenv("DSMX_WAIT", said, 1) : unsetenv("DSMX_WAIT"));
}

/* From here on the system call @nr fails with @code in this process. */
static bool forbid(unsigned int nr, unsigned int code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { DX_ARRAY_LEN(filter), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Exit codes of the child: the line that did not hold. */
#define CHILD_CHECK(cond)                                                                          \
	do {                                                                                       \
		if (!(cond))                                                                       \
			return __LINE__ % 256;                                                     \
	} while (0)

static int without_uring(void)
{
	uint32_t value = 0;
	struct dx_wait_word word = { .word = &value };
	struct dsmx_error err = { .code = 0 };
	struct dx_wait *wait;

	(void)unsetenv("DSMX_WAIT");
	CHILD_CHECK(forbid(SYS_io_uring_setup, EPERM));
	CHILD_CHECK(dx_wait_new(DSMX_WAIT_URING, &wait, &err) == -EOPNOTSUPP);
	CHILD_CHECK(err.code == -EOPNOTSUPP && strstr(err.message, "seccomp") != NULL);
	CHILD_CHECK(dx_wait_new(DSMX_WAIT_AUTO, &wait, &err) == 0);
	CHILD_CHECK(strcmp(dx_wait_name(wait), "futex_waitv") == 0);
	CHILD_CHECK(dx_wait_missing(wait) != NULL);
	CHILD_CHECK(strstr(dx_wait_missing(wait), "io_uring") != NULL);
	CHILD_CHECK(dx_wait_add_word(wait, &word) == 0);
	CHILD_CHECK(dx_wait_sleep(wait, in(1000)) == 0);
	dx_wait_remove_word(wait, &word);
	dx_wait_free(wait);
	return 0;
}

static int without_ring_entry(void)
{
	struct dsmx_error err = { .code = 0 };
	struct dx_wait *wait;

	/* The ring is made and then not usable: only a try tells. */
	(void)unsetenv("DSMX_WAIT");
	CHILD_CHECK(forbid(SYS_io_uring_enter, EACCES));
	CHILD_CHECK(dx_wait_new(DSMX_WAIT_URING, &wait, &err) == -EOPNOTSUPP);
	CHILD_CHECK(dx_wait_new(DSMX_WAIT_AUTO, &wait, &err) == 0);
	CHILD_CHECK(strcmp(dx_wait_name(wait), "futex_waitv") == 0);
	dx_wait_free(wait);
	return 0;
}

static int without_anything(void)
{
	struct dsmx_error err = { .code = 0 };
	struct dx_wait *wait;

	(void)unsetenv("DSMX_WAIT");
	CHILD_CHECK(forbid(SYS_io_uring_setup, ENOSYS));
	CHILD_CHECK(forbid(SYS_futex_waitv, ENOSYS));
	CHILD_CHECK(dx_wait_new(DSMX_WAIT_FUTEX, &wait, &err) == -EOPNOTSUPP);
	CHILD_CHECK(strstr(err.message, "futex_waitv") != NULL);
	CHILD_CHECK(dx_wait_new(DSMX_WAIT_AUTO, &wait, &err) == -EOPNOTSUPP);
	return 0;
}

static int in_child(int (*body)(void))
{
	int status;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(body());
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
	                                                                       : -1;
}

TEST(wait_seccomp,
     "where io_uring is forbidden AUTO takes futex_waitv and says so; without both it is -EOPNOTSUPP")
{
	CHECK_EQ(in_child(without_uring), 0);
	CHECK_EQ(in_child(without_ring_entry), 0);
	CHECK_EQ(in_child(without_anything), 0);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
