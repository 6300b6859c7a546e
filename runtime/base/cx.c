/* SPDX-License-Identifier: MIT */
#include "base/cx.h"

#include "base/clock.h"

bool dsmx_cx_expired(const struct dsmx_cx *cx)
{
	return (cx->now != NULL ? cx->now(cx) : dx_now_ns()) >= cx->slice_end_ns;
}

void dsmx_cx_yield(struct dsmx_cx *cx)
{
	cx->yielded = true;
}

struct dsmx_waker *dsmx_cx_waker(struct dsmx_cx *cx)
{
	return cx->waker;
}

struct dsmx_error *dsmx_cx_error(struct dsmx_cx *cx)
{
	return cx->err;
}
