/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dsmx/abi.h"

int dx_error(struct dsmx_error *err, int code, const char *fmt, ...)
{
	va_list args;

	if (err == NULL)
		return code;
	*err = (struct dsmx_error){ .code = code, .worker = -1, .exchange = -1 };
	va_start(args, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	return code;
}

int dx_error_prefix(struct dsmx_error *err, const char *fmt, ...)
{
	char said[sizeof(err->message)];
	va_list args;
	int n;

	if (err == NULL)
		return 0;
	memcpy(said, err->message, sizeof(said));
	va_start(args, fmt);
	n = vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	/* A sentence that does not fit any more is cut. */
	if (n >= 0 && (size_t)n < sizeof(err->message) - 3)
		(void)snprintf(err->message + n, sizeof(err->message) - (size_t)n, ": %.*s",
		               (int)(sizeof(err->message) - (size_t)n - 3), said);
	return err->code;
}

int dx_error_foreign(struct dsmx_error *err, int code, const char *text, size_t len)
{
	size_t n = 0;

	if (err == NULL)
		return code;
	*err = (struct dsmx_error){ .code = code, .worker = -1, .exchange = -1 };
	for (; n < len && n < sizeof(err->message) - 1 && text[n] != '\0'; n++)
		err->message[n] = (unsigned char)text[n] < ' ' || text[n] == 0x7f ? '?' : text[n];
	return code;
}

int dx_error_worker(int worker)
{
	return worker >= 0 && worker < (int)DSMX_ABI_PEERS - 1 ? worker : -1;
}

const char *dx_strerror(int code)
{
	const char *text = strerrordesc_np(code < 0 ? -code : code);

	return text != NULL ? text : "unknown error";
}

const char *dsmx_exit_reason_str(int reason)
{
	static const char *const names[DSMX_EXIT_COUNT] = {
		[DSMX_EXIT_NONE] = "NONE",
		[DSMX_EXIT_CLEAN] = "CLEAN",
		[DSMX_EXIT_CODE] = "EXIT_CODE",
		[DSMX_EXIT_SIGNAL] = "SIGNAL",
		[DSMX_EXIT_OOM] = "OOM",
		[DSMX_EXIT_HUGETLB_LIMIT] = "HUGETLB_LIMIT",
		[DSMX_EXIT_WATCHDOG] = "WATCHDOG",
		[DSMX_EXIT_START_TIMEOUT] = "START_TIMEOUT",
		[DSMX_EXIT_STOP_TIMEOUT] = "STOP_TIMEOUT",
		[DSMX_EXIT_PROTOCOL] = "PROTOCOL",
		[DSMX_EXIT_EXEC_FAILED] = "EXEC_FAILED",
		[DSMX_EXIT_LEADER_GONE] = "LEADER_GONE",
	};

	return reason >= 0 && reason < DSMX_EXIT_COUNT ? names[reason] : "?";
}
