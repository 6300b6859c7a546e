/* SPDX-License-Identifier: MIT */
/*
 * exec.h - what an operator is: the built-in ones, and those an engine brings
 *
 * An operator is made once per task from the plan, and gives a stream when it is executed. A stream
 * is polled, never blocks, and shares its thread with other tasks: poll_next() works for about a
 * millisecond at a time.
 *
 *	poll_next:   1  one batch, valid until the next poll or close
 *	             0  end of stream (and 0 again if polled again)
 *	       -EAGAIN  nothing now. Either somebody will wake the task (a stream that this one
 *	                polled said so too, or dsmx_cx_waker() was left with somebody), or
 *	                dsmx_cx_yield() was called because the slice is over
 *	         other  the stream has failed; dsmx_cx_error() has the sentence
 */
#ifndef DSMX_EXEC_H
#define DSMX_EXEC_H

#include "dsmx/batch.h"
#include "dsmx/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct dsmx_cx;       /* the task that polls */
struct dsmx_stream;   /* rows of one partition, on their way */
struct dsmx_operator; /* a node of the running plan */

/* Leave it with whoever will have news; it may be called often, from the same thread only. */
struct dsmx_waker {
	void (*wake)(struct dsmx_waker *waker);
};

struct dsmx_stream_ops {
	int (*poll_next)(struct dsmx_stream *stream, struct dsmx_cx *cx,
	                 struct dsmx_batch *ret_batch);
	/* Ends it at any point, frees it, closes the streams below it. */
	void (*close)(struct dsmx_stream *stream);
};

/* The first member of every stream. */
struct dsmx_stream {
	const struct dsmx_stream_ops *ops;
};

struct dsmx_operator_ops {
	const char *name; /* as EXPLAIN shows it */
	/* Start partition @partition of the operator's partitions; calls execute of its inputs. */
	int (*execute)(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
	               struct dsmx_stream **ret_stream);
	/* Frees the operator and its inputs. */
	void (*free)(struct dsmx_operator *op);
};

#define DSMX_OPERATOR_INPUTS 2

/* The first member of every operator; filled before it is used, constant after. */
struct dsmx_operator {
	const struct dsmx_operator_ops *ops;
	struct dsmx_schema schema; /* of its output; borrowed from the plan */
	uint32_t input_count;
	struct dsmx_operator *inputs[DSMX_OPERATOR_INPUTS];
};

/* dsmx_cx_expired() - has this poll worked for its slice? Then call dsmx_cx_yield(), return -EAGAIN. */
DSMX_API bool dsmx_cx_expired(const struct dsmx_cx *cx);

/* dsmx_cx_yield() - poll me again soon, after the others and after control */
DSMX_API void dsmx_cx_yield(struct dsmx_cx *cx);

/* dsmx_cx_waker() - of the task that polls; valid until that task's streams are closed */
DSMX_API struct dsmx_waker *dsmx_cx_waker(struct dsmx_cx *cx);

/* dsmx_cx_error() - where a failing poll leaves its sentence; never NULL */
DSMX_API struct dsmx_error *dsmx_cx_error(struct dsmx_cx *cx);

/*
 * struct dsmx_simple_ops - an operator of at most one input, in two functions
 *
 * @next: as poll_next; @input is the input's stream, NULL for a leaf; @state is the caller's
 * @free: of @state; NULL: there is nothing to free
 */
struct dsmx_simple_ops {
	const char *name;
	int (*next)(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
	            struct dsmx_batch *ret_batch);
	void (*free)(void *state);
};

/*
 * dsmx_simple_new() - such an operator; its stream, executing and closing the input are taken care of
 *
 * @ops, @schema: borrowed, live as long as the operator
 * @state: freed with the operator, on success
 * @input: NULL for a leaf; the operator's on success
 * Return: 0 or -ENOMEM.
 */
DSMX_API int dsmx_simple_new(const struct dsmx_simple_ops *ops, void *state,
                             const struct dsmx_schema *schema, struct dsmx_operator *input,
                             struct dsmx_operator **ret_operator);

/*
 * struct dsmx_extension - an operator of the engine's own
 *
 * @name: what the plan calls it, unique in a process
 * @make: builds the operator. @bytes are the plan's, any length, from outside: check them. @inputs
 *	are built already and become the operator's on success. @output is the schema that the plan
 *	states. Returns 0 or -errno with a sentence in @err.
 */
struct dsmx_extension {
	const char *name;
	int (*make)(const void *bytes, size_t len_bytes, const struct dsmx_schema *output,
	            struct dsmx_operator **inputs, uint32_t input_count,
	            struct dsmx_operator **ret_operator, struct dsmx_error *err);
};

#ifdef __cplusplus
}
#endif

#endif /* DSMX_EXEC_H */
