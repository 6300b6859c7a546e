/* SPDX-License-Identifier: MIT */
/*
 * dsmx-worker - the program that libdsmx starts as the supervisor and as the workers of a session
 */
#include <stdio.h>

#include "dsmx/dsmx.h"

int main(int argc, char **argv)
{
	int status = dsmx_worker_main(argc, argv, NULL);

	if (status >= 0)
		return status;
	(void)fprintf(
		stderr,
		"dsmx-worker %s: libdsmx starts this program for its sessions; it is of no use by "
		"hand\n",
		dsmx_version());
	return 2;
}
