/* SPDX-License-Identifier: MIT */
/*
 * dsmx.h - everything an application needs
 */
#ifndef DSMX_DSMX_H
#define DSMX_DSMX_H

#include "dsmx/arrow.h"
#include "dsmx/batch.h"
#include "dsmx/config.h"
#include "dsmx/control.h"
#include "dsmx/error.h"
#include "dsmx/exec.h"
#include "dsmx/ipc.h"
#include "dsmx/isolation.h"
#include "dsmx/plan.h"
#include "dsmx/session.h"
#include "dsmx/worker.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "major.minor", the version of the library that was loaded. */
DSMX_API const char *dsmx_version(void);

#ifdef __cplusplus
}
#endif

#endif /* DSMX_DSMX_H */
