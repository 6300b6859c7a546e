/* SPDX-License-Identifier: MIT */
/*
 * A service that serves nothing: sessions open and close with it. Gives way to service.c.
 */
#include <stdlib.h>

#include "base/err.h"
#include "exchange/service.h"

struct dx_service {
	struct dx_mesh *mesh;
};

__attribute__((weak)) int dx_service_new(struct dx_mesh *mesh,
                                         const struct dx_service_options *options,
                                         struct dx_service **ret_service, struct dsmx_error *err)
{
	struct dx_service *service = calloc(1, sizeof(*service));

	(void)options;
	if (service == NULL)
		return dx_error(err, -ENOMEM, "no memory for a service");
	service->mesh = mesh;
	*ret_service = service;
	return 0;
}

__attribute__((weak)) void dx_service_free(struct dx_service *service)
{
	free(service);
}
