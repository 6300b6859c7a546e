/* SPDX-License-Identifier: MIT */
/*
 * codec_wire.c - is it a message at all: looked at before anything is unpacked
 *
 * protobuf-c unpacks recursively without a bound, drops fields that it does not know, cuts numbers to their
 * width, and takes the last of several values. Bytes from outside get none of this: they are walked first,
 * along the descriptors that protobuf-c generated, with bounds on depth and number of messages. A field that
 * substrait.proto has not may change what the plan means, so it makes the plan unsupported.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/err.h"
#include "plan/codec.h"
#include "plan/substrait.pb-c.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct walk {
	const uint8_t *start; /* of all bytes: places are told from here */
	uint32_t messages;
	struct dsmx_error *err;
};

/* What is left of a message. */
struct span {
	const uint8_t *at, *end;
};

static int walk_message(struct walk *w, const ProtobufCMessageDescriptor *type, struct span in,
                        uint32_t depth);

static int bad(struct walk *w, const uint8_t *at, const ProtobufCMessageDescriptor *type,
               const char *what)
{
	return dx_error(w->err, -EBADMSG, "not a plan: byte %zu, in %s: %s",
	                (size_t)(at - w->start), type->short_name, what);
}

/* Parts of Substrait that people know by name. */
static const struct {
	const ProtobufCMessageDescriptor *type;
	uint32_t field;
	const char *name;
} unsupported[] = {
	{ &substrait__rel__descriptor, 8, "SetRel" },
	{ &substrait__rel__descriptor, 12, "CrossRel" },
	{ &substrait__rel__descriptor, 14, "MergeJoinRel" },
	{ &substrait__rel__descriptor, 16, "ExpandRel" },
	{ &substrait__rel__descriptor, 17, "ConsistentPartitionWindowRel" },
	{ &substrait__rel__descriptor, 18, "NestedLoopJoinRel" },
	{ &substrait__rel__descriptor, 19, "WriteRel" },
	{ &substrait__rel__descriptor, 20, "DdlRel" },
	{ &substrait__rel__descriptor, 21, "ReferenceRel" },
	{ &substrait__rel__descriptor, 22, "UpdateRel" },
	{ &substrait__rel__descriptor, 23, "TopNRel" },
	{ &substrait__rel__descriptor, 24, "LateralJoinRel" },
	{ &substrait__expression__descriptor, 5, "window_function" },
	{ &substrait__expression__descriptor, 7, "switch_expression" },
	{ &substrait__expression__descriptor, 9, "multi_or_list" },
	{ &substrait__expression__descriptor, 12, "subquery" },
	{ &substrait__expression__descriptor, 13, "nested" },
	{ &substrait__expression__descriptor, 14, "dynamic_parameter" },
	{ &substrait__read_rel__descriptor, 5, "virtual_table" },
	{ &substrait__read_rel__descriptor, 9, "iceberg_table" },
	{ &substrait__exchange_rel__descriptor, 7, "multi_target" },
	{ &substrait__type__descriptor, 19, "interval_year" },
	{ &substrait__type__descriptor, 20, "interval_day" },
	{ &substrait__type__descriptor, 23, "fixed_binary" },
	{ &substrait__type__descriptor, 25, "struct" },
	{ &substrait__type__descriptor, 27, "list" },
	{ &substrait__type__descriptor, 28, "map" },
	{ &substrait__type__descriptor, 32, "uuid" },
	{ &substrait__type__descriptor, 36, "precision_time" },
};

static int unknown_field(struct walk *w, const uint8_t *at, const ProtobufCMessageDescriptor *type,
                         uint32_t field)
{
	for (size_t i = 0; i < DX_ARRAY_LEN(unsupported); i++) {
		if (unsupported[i].type == type && unsupported[i].field == field)
			return dx_error(w->err, -EOPNOTSUPP,
			                "Substrait's %s is not supported (byte %zu)",
			                unsupported[i].name, (size_t)(at - w->start));
	}
	return dx_error(w->err, -EOPNOTSUPP,
	                "field %u of Substrait's %s is not supported (byte %zu)", field,
	                type->short_name, (size_t)(at - w->start));
}

static bool take_varint(struct span *in, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 70 && in->at < in->end; shift += 7) {
		uint8_t byte = *in->at++;

		if (shift == 63 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static bool take_bytes(struct span *in, struct span *ret_bytes)
{
	uint64_t len;

	if (!take_varint(in, &len) || len > (uint64_t)(in->end - in->at))
		return false;
	*ret_bytes = (struct span){ in->at, in->at + len };
	in->at += len;
	return true;
}

/* Would protobuf-c cut this number? */
static bool number_fits(ProtobufCType type, uint64_t value)
{
	switch (type) {
	case PROTOBUF_C_TYPE_BOOL:
		return value <= 1;
	case PROTOBUF_C_TYPE_UINT32:
		return value <= UINT32_MAX;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_ENUM:
		return value <= INT32_MAX || value >= (uint64_t)(int64_t)INT32_MIN;
	default:
		return true;
	}
}

static enum wire_type wire_type_of(const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_FLOAT:
		return WIRE_32;
	case PROTOBUF_C_TYPE_DOUBLE:
		return WIRE_64;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return WIRE_BYTES;
	default:
		return WIRE_VARINT;
	}
}

static int walk_packed(struct walk *w, const ProtobufCMessageDescriptor *type,
                       const ProtobufCFieldDescriptor *field, struct span in)
{
	uint64_t value;

	while (in.at < in.end) {
		if (!take_varint(&in, &value) || !number_fits(field->type, value))
			return bad(w, in.at, type, "a list of numbers is broken");
	}
	return 0;
}

/* The value of a field, of which the tag is read. */
static int walk_value(struct walk *w, const ProtobufCMessageDescriptor *type,
                      const ProtobufCFieldDescriptor *field, unsigned wire, struct span *in,
                      uint32_t depth)
{
	enum wire_type wanted = wire_type_of(field);
	struct span bytes;
	uint64_t value;

	if (wire == WIRE_BYTES && wanted == WIRE_VARINT &&
	    field->label == PROTOBUF_C_LABEL_REPEATED) {
		if (!take_bytes(in, &bytes))
			return bad(w, in->at, type, "a list ends too early");
		return walk_packed(w, type, field, bytes);
	}
	if (wire != wanted)
		return bad(w, in->at, type, "a field is of another kind");
	if (wanted == WIRE_VARINT) {
		if (!take_varint(in, &value) || !number_fits(field->type, value))
			return bad(w, in->at, type, "a number is broken");
		return 0;
	}
	if (wanted != WIRE_BYTES) {
		size_t width = wanted == WIRE_32 ? 4 : 8;

		if ((size_t)(in->end - in->at) < width)
			return bad(w, in->at, type, "a number ends too early");
		in->at += width;
		return 0;
	}
	if (!take_bytes(in, &bytes))
		return bad(w, in->at, type, "it ends too early");
	if (field->type == PROTOBUF_C_TYPE_STRING &&
	    memchr(bytes.at, 0, (size_t)(bytes.end - bytes.at)) != NULL)
		return bad(w, bytes.at, type, "a text has a zero byte");
	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		return walk_message(w, field->descriptor, bytes, depth + 1);
	return 0;
}

/* A field that is there once at the most is there twice, or another one of its oneof is. */
static bool seen_before(const ProtobufCMessageDescriptor *type,
                        const ProtobufCFieldDescriptor *field, uint64_t seen)
{
	bool oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;

	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return false;
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *other = &type->fields[i];

		if ((seen >> i & 1) != 0 &&
		    (other == field ||
		     (oneof && (other->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
		      other->quantifier_offset == field->quantifier_offset)))
			return true;
	}
	return false;
}

static int walk_message(struct walk *w, const ProtobufCMessageDescriptor *type, struct span in,
                        uint32_t depth)
{
	uint64_t seen = 0, tag;
	int rc;

	if (depth > DX_WIRE_DEPTH_MAX)
		return dx_error(w->err, -E2BIG, "the plan is nested over %u levels deep",
		                DSMX_PLAN_DEPTH_MAX);
	if (++w->messages > DX_WIRE_MESSAGES_MAX)
		return dx_error(w->err, -E2BIG, "the plan has over %u parts", DX_WIRE_MESSAGES_MAX);
	while (in.at < in.end) {
		const uint8_t *at = in.at;
		const ProtobufCFieldDescriptor *field;

		if (!take_varint(&in, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
			return bad(w, at, type, "a field has no number");
		field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
		if (field == NULL)
			return unknown_field(w, at, type, (uint32_t)(tag >> 3));
		if (seen_before(type, field, seen))
			return bad(w, at, type, "a field is there twice");
		seen |= 1ULL << (field - type->fields);
		rc = walk_value(w, type, field, (unsigned)(tag & 7), &in, depth);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int dx_wire_check(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len,
                  struct dsmx_error *err)
{
	struct walk w = { .start = bytes, .err = err };

	if (len > DSMX_PLAN_BYTES_MAX)
		return dx_error(err, -E2BIG, "a plan of %zu bytes: the most is %u", len,
		                DSMX_PLAN_BYTES_MAX);
	return walk_message(&w, type, (struct span){ bytes, bytes + len }, 0);
}

/* --- unpacking into an arena --------------------------------------------------------------------------- */

static void *arena_alloc(void *data, size_t size)
{
	return dx_arena_alloc(data, size);
}

static void arena_free(void *data, void *pointer)
{
	(void)data;
	(void)pointer;
}

int dx_wire_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len,
                   struct dx_arena *arena, ProtobufCMessage **ret_message, struct dsmx_error *err)
{
	ProtobufCAllocator allocator = { .alloc = arena_alloc,
		                         .free = arena_free,
		                         .allocator_data = arena };
	ProtobufCMessage *message;
	int rc = dx_wire_check(type, bytes, len, err);

	if (rc < 0)
		return rc;
	message = protobuf_c_message_unpack(type, &allocator, len, bytes);
	if (message == NULL && arena->failed)
		return dx_error(err, -ENOMEM, "no memory for a plan");
	if (message == NULL)
		return dx_error(err, -EBADMSG, "not a plan: %s cannot be unpacked",
		                type->short_name);
	*ret_message = message;
	return 0;
}
