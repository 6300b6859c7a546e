/* SPDX-License-Identifier: MIT */
/*
 * error.h - what a call returns, and what it can say about it
 *
 * Every function returns 0 (or a count) on success and a negative errno on failure. Calls that may
 * fail for a reason worth a sentence also take a struct dsmx_error, which may be NULL; on success it
 * is left alone.
 *
 *	-EAGAIN		nothing now; ask again when woken	-ETIMEDOUT	the deadline passed
 *	-EPIPE		the consumer is gone			-EOWNERDEAD	a process died too early
 *	-ECANCELED	the query was cancelled			-EBADMSG	bytes from outside break a rule
 *	-EPROTO		wrong magic or version			-EMSGSIZE	a row that can never fit
 *	-ENOSPC		no room in a segment or on disk		-ENOMEM		no memory
 *	-E2BIG		a stated limit is exceeded		-ENOENT		no such file, table or stream
 *	-EINVAL		the caller's mistake			-EOPNOTSUPP	not supported (here, or yet)
 *	-EBUSY		the session is in use			-EDOM		a value has no result: 1/0
 *	-ERANGE		a result does not fit its type		-EILSEQ		text that is not what it should be
 */
#ifndef DSMX_ERROR_H
#define DSMX_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#define DSMX_API __attribute__((visibility("default")))

/* How a worker ended. The names are what people see: in errors, `dsmx ps` and EXPLAIN ANALYZE. */
enum dsmx_exit_reason {
	DSMX_EXIT_NONE, /* it did not */
	DSMX_EXIT_CLEAN,
	DSMX_EXIT_CODE,
	DSMX_EXIT_SIGNAL,
	DSMX_EXIT_OOM,
	DSMX_EXIT_HUGETLB_LIMIT,
	DSMX_EXIT_WATCHDOG,
	DSMX_EXIT_START_TIMEOUT,
	DSMX_EXIT_STOP_TIMEOUT,
	DSMX_EXIT_PROTOCOL,
	DSMX_EXIT_EXEC_FAILED,
	DSMX_EXIT_LEADER_GONE,
	DSMX_EXIT_COUNT
};

#define DSMX_ERROR_MESSAGE_BYTES 480

/* struct dsmx_error - the first cause of a failure, for programs (the fields) and people (the text) */
struct dsmx_error {
	int code;     /* the negative errno that the call returned */
	int worker;   /* index of the worker concerned, -1: none */
	int exchange; /* number of the exchange concerned, -1: none */
	int reason;   /* enum dsmx_exit_reason, when a worker's death is the cause */
	int status;   /* exit code or signal number that goes with @reason */
	char message[DSMX_ERROR_MESSAGE_BYTES]; /* what failed, on what, what to do; no newline */
};

/* "OOM", "SIGNAL", ...; "?" for a number that is no reason. */
DSMX_API const char *dsmx_exit_reason_str(int reason);

#ifdef __cplusplus
}
#endif

#endif /* DSMX_ERROR_H */
