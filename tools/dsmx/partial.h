/* SPDX-License-Identifier: MIT */
/*
 * partial.h - link although the library lacks what is declared here; included by the command line to make it so
 *
 * What is missing is NULL: run_query.c asks before it calls.
 */
#pragma weak dsmx_ipc_writer_new
#pragma weak dsmx_ipc_write
#pragma weak dsmx_ipc_finish
#pragma weak dsmx_ipc_abandon
#pragma weak dsmx_ipc_open
#pragma weak dsmx_ipc_close
#pragma weak dsmx_ipc_schema
#pragma weak dsmx_ipc_rows
#pragma weak dsmx_plan_encode
#pragma weak dsmx_plan_decode
#pragma weak dsmx_session_open
#pragma weak dsmx_session_close
#pragma weak dsmx_query_start
#pragma weak dsmx_query_start_bytes
#pragma weak dsmx_query_schema
#pragma weak dsmx_query_next_batch
#pragma weak dsmx_query_stats
#pragma weak dsmx_query_explain
#pragma weak dsmx_query_cancel
#pragma weak dsmx_query_close
