/* SPDX-License-Identifier: MIT */
/*
 * eval_step.c - steps and the rooms for their results, as an expression is compiled
 */
#include <stdlib.h>

#include "exec/program.h"

enum dx_phys dx_phys_of(struct dsmx_type type)
{
	switch (type.id) {
	case DSMX_BOOL:
		return DX_PHYS_BOOL;
	case DSMX_INT8:
		return DX_PHYS_I8;
	case DSMX_INT16:
		return DX_PHYS_I16;
	case DSMX_INT32:
	case DSMX_DATE32:
		return DX_PHYS_I32;
	case DSMX_INT64:
	case DSMX_TIMESTAMP:
	case DSMX_TIMESTAMP_TZ:
		return DX_PHYS_I64;
	case DSMX_UINT8:
		return DX_PHYS_U8;
	case DSMX_UINT16:
		return DX_PHYS_U16;
	case DSMX_UINT32:
		return DX_PHYS_U32;
	case DSMX_UINT64:
		return DX_PHYS_U64;
	case DSMX_FLOAT32:
		return DX_PHYS_F32;
	case DSMX_FLOAT64:
		return DX_PHYS_F64;
	case DSMX_DECIMAL:
		return type.precision <= DSMX_DECIMAL_NARROW_DIGITS ? DX_PHYS_I64 : DX_PHYS_I128;
	case DSMX_UTF8:
	case DSMX_LARGE_UTF8:
	case DSMX_BINARY:
		return DX_PHYS_TEXT;
	default:
		return DX_PHYS_NONE;
	}
}

size_t dx_phys_width(enum dx_phys phys)
{
	switch (phys) {
	case DX_PHYS_BOOL:
	case DX_PHYS_I8:
	case DX_PHYS_U8:
		return 1;
	case DX_PHYS_I16:
	case DX_PHYS_U16:
		return 2;
	case DX_PHYS_I32:
	case DX_PHYS_U32:
	case DX_PHYS_F32:
		return 4;
	case DX_PHYS_I64:
	case DX_PHYS_U64:
	case DX_PHYS_F64:
		return 8;
	default:
		return 16;
	}
}

/* --- rooms ------------------------------------------------------------------------------------------- */

/* Make room for one more in a growing array. */
static int grow(void **array, uint32_t count, uint32_t *room, size_t width)
{
	uint32_t wanted = *room > 0 ? *room * 2 : 16;
	void *grown;

	if (count < *room)
		return 0;
	grown = realloc(*array, wanted * width);
	if (grown == NULL)
		return -ENOMEM;
	*array = grown;
	*room = wanted;
	return 0;
}

int dx_room_take(struct dx_eval *eval, size_t width, void **ret_memory)
{
	struct dx_room *room;
	void *memory;
	int err;

	for (uint32_t i = eval->room_count; i-- > 0;) {
		room = &eval->rooms[i];
		if (!room->taken && room->width == width) {
			room->taken = true;
			*ret_memory = room->memory;
			return 0;
		}
	}
	err = grow((void **)&eval->rooms, eval->room_count, &eval->rooms_room, sizeof(*room));
	if (err < 0)
		return err;
	memory = aligned_alloc(64, DX_VECTOR_ROWS * width);
	if (memory == NULL)
		return -ENOMEM;
	/* Values under a null are some value: never bytes that nobody has written. */
	memset(memory, 0, DX_VECTOR_ROWS * width);
	eval->rooms[eval->room_count++] =
		(struct dx_room){ .memory = memory, .width = width, .taken = true };
	*ret_memory = memory;
	return 0;
}

void dx_room_give(struct dx_eval *eval, const void *memory)
{
	for (uint32_t i = 0; i < eval->room_count; i++) {
		if (eval->rooms[i].memory == memory)
			eval->rooms[i].taken = false;
	}
}

int dx_rooms_take(struct dx_eval *eval, struct dx_step *step)
{
	void *memory;
	int err = dx_room_take(eval, dx_phys_width(step->phys), &memory);

	if (err < 0)
		return err;
	step->values_room = memory;
	step->values = memory;
	err = dx_room_take(eval, 1, &memory);
	if (err == 0)
		step->valid_room = memory;
	return err;
}

void dx_rooms_give(struct dx_eval *eval, const struct dx_step *step)
{
	if (step->held)
		return;
	dx_room_give(eval, step->values_room);
	dx_room_give(eval, step->valid_room);
}

/* --- steps ------------------------------------------------------------------------------------------- */

static void free_state(const struct dx_step *like)
{
	if (like->free_state != NULL)
		like->free_state(like->state);
}

int dx_add(struct dx_eval *eval, const struct dx_step *like, struct dx_step **ret_step)
{
	struct dx_block *block = eval->block;
	struct dx_step *step;

	if (grow((void **)&eval->made, eval->made_count, &eval->made_room, sizeof(step)) < 0 ||
	    grow((void **)&block->steps, block->count, &block->room, sizeof(step)) < 0) {
		free_state(like);
		return -ENOMEM;
	}
	step = calloc(1, sizeof(*step));
	if (step == NULL) {
		free_state(like);
		return -ENOMEM;
	}
	*step = *like;
	step->args = NULL;
	eval->made[eval->made_count++] = step;
	if (step->phys == DX_PHYS_NONE)
		step->phys = dx_phys_of(step->type);
	if (like->arg_count > 0) {
		step->args = calloc(like->arg_count, sizeof(*step->args));
		if (step->args == NULL)
			return -ENOMEM;
		step->constant = true;
	}
	for (uint32_t i = 0; i < like->arg_count; i++) {
		step->args[i] = like->args[i];
		step->constant &= like->args[i]->constant;
	}
	if (step->run != NULL)
		block->steps[block->count++] = step;
	*ret_step = step;
	return 0;
}

int dx_emit(struct dx_eval *eval, const struct dx_step *like, struct dx_step **ret_step)
{
	struct dx_step *step;
	int err = dx_add(eval, like, &step);

	if (err == 0)
		err = dx_rooms_take(eval, step);
	if (err < 0)
		return err;
	for (uint32_t i = 0; i < step->arg_count; i++)
		dx_rooms_give(eval, step->args[i]);
	*ret_step = step;
	return 0;
}

int dx_add_constant(struct dx_eval *eval, struct dsmx_type type, uint32_t rows, bool is_null,
                    struct dx_step **ret_step)
{
	struct dx_step like = { .type = type, .free_state = free, .constant = rows == 1 };
	size_t width = dx_phys_width(dx_phys_of(type));

	/* Values, and behind them the bytes that say null. */
	like.state = calloc(rows, width + 1);
	if (like.state == NULL)
		return -ENOMEM;
	like.values = like.state;
	if (is_null)
		like.valid = (uint8_t *)like.state + rows * width;
	return dx_add(eval, &like, ret_step);
}

int dx_compile_null(struct dx_eval *eval, struct dsmx_type type, struct dx_step **ret_step)
{
	return dx_add_constant(eval, type, 1, true, ret_step);
}

bool dx_step_is_null(const struct dx_step *step)
{
	return step->run == NULL && step->valid != NULL;
}

static void spread(const void *value, size_t width, uint32_t n, void *out)
{
	uint8_t *to = out;

	for (uint32_t i = 0; i < n; i++)
		memcpy(to + i * width, value, width);
}

static int run_fill(struct dx_eval *eval, struct dx_step *step)
{
	spread(step->args[0]->values, dx_phys_width(step->phys), eval->rows, step->values_room);
	return 0;
}

int dx_fill(struct dx_eval *eval, struct dx_step *step, struct dx_step **ret_step)
{
	struct dx_step like = { .run = run_fill, .type = step->type, .phys = step->phys };
	int err;

	if (!step->constant) {
		*ret_step = step;
		return 0;
	}
	if (step->run == NULL) {
		err = dx_add_constant(eval, step->type, DX_VECTOR_ROWS, dx_step_is_null(step),
		                      ret_step);
		if (err == 0)
			spread(step->values, dx_phys_width(step->phys), DX_VECTOR_ROWS,
			       (*ret_step)->state);
		return err;
	}
	like.args = &step;
	like.arg_count = 1;
	err = dx_emit(eval, &like, ret_step);
	if (err == 0)
		(*ret_step)->constant = false;
	return err;
}
