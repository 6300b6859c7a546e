/* SPDX-License-Identifier: MIT */
/*
 * worker.h - being a worker: for dsmx-worker, and for an application that executes itself as one
 */
#ifndef DSMX_WORKER_H
#define DSMX_WORKER_H

#include "dsmx/exec.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * dsmx_worker_main() - serve as the supervisor or as a worker until the session ends
 *
 * An application that names itself as `worker_path` calls this first in main(): when the arguments are
 * those with which dsmx starts its processes, it serves and returns an exit status; otherwise it returns
 * -1 at once and the application goes on.
 *
 * @extensions: ended by a NULL name, or NULL: the operators of the engine's own
 */
DSMX_API int dsmx_worker_main(int argc, char **argv, const struct dsmx_extension *extensions);

/* The symbol that a plug-in's shared object exports: its operators, ended by a NULL name. */
#define DSMX_PLUGIN_SYMBOL "dsmx_plugin_extensions"

#ifdef __cplusplus
}
#endif

#endif /* DSMX_WORKER_H */
