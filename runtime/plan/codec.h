/* SPDX-License-Identifier: MIT */
/*
 * codec.h - what the files of the codec share
 *
 *	codec_wire.c	is it well-formed: sizes, depth, known fields; before anything is unpacked
 *	codec_type.c	types and literals, both ways
 *	codec_plan.c	the plan: bytes, declarations, root; both ways
 *	codec_encode.c, codec_expr_encode.c	relations and expressions to messages
 *	codec_decode.c, codec_expr_decode.c	and from them
 *	codec_aggregate.c	aggregates from messages
 *	codec_read.c	scans and leaves, both ways
 *
 * Messages live in an arena on both ways, and go with it. Encoding cannot fail but for memory: a message that
 * finds none is the encoder's spare one, and the arena remembers. Decoding goes through the constructors of
 * plan.h, so what is decoded could have been built, and fails where they do.
 */
#ifndef DX_PLAN_CODEC_H
#define DX_PLAN_CODEC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "plan/arena.h"
#include "plan/functions.h"
#include "plan/node.h"

struct Substrait__AggregateRel;
struct Substrait__Any;
struct Substrait__Expression;
struct Substrait__Expression__FieldReference;
struct Substrait__Expression__Literal;
struct Substrait__FunctionArgument;
struct Substrait__FunctionOption;
struct Substrait__NamedStruct;
struct Substrait__Plan;
struct Substrait__ReadRel;
struct Substrait__Rel;
struct Substrait__Type;

/* How deep messages may be nested for a plan of DSMX_PLAN_DEPTH_MAX levels: three for each, and a type. */
#define DX_WIRE_DEPTH_MAX (3U * DSMX_PLAN_DEPTH_MAX + 32U)

/* Messages in a plan: bounds what unpacking allocates. */
#define DX_WIRE_MESSAGES_MAX (1U << 19)

/* type_url of what is our own. */
#define DX_URL_EXCHANGE   "dsmx/exchange"
#define DX_URL_EXTENSION  "dsmx/extension"
#define DX_URL_FINAL      "dsmx/final"
#define DX_URL_JOINSCAN   "dsmx/joinscan"
#define DX_URL_LEAF       "dsmx/leaf"
#define DX_URL_LOCAL      "dsmx/local"
#define DX_URL_PARTIAL    "dsmx/partial"
#define DX_URL_UNFILTERED "dsmx/unfiltered"

/* --- codec_wire.c -------------------------------------------------------------------------------------- */

/*
 * Check that @bytes are a message of type @type, without recursion deeper than DX_WIRE_DEPTH_MAX.
 *
 * Returns 0, -EBADMSG, -E2BIG, or -EOPNOTSUPP for a field that substrait.proto has not; with the place.
 */
int dx_wire_check(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len,
                  struct dsmx_error *err);

/* Check and unpack into an arena. */
int dx_wire_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len,
                   struct dx_arena *arena, ProtobufCMessage **ret_message, struct dsmx_error *err);

/* --- encoding ------------------------------------------------------------------------------------------ */

/* A declaration of an extension type, variation or function; its anchor counts from 1 for each kind. */
enum dx_declared_kind {
	DX_DECLARED_TYPE,
	DX_DECLARED_VARIATION,
	DX_DECLARED_FUNCTION,
	DX_DECLARED_KIND_COUNT
};

struct dx_declared {
	enum dx_declared_kind kind;
	enum dx_extension_file file;
	const char *name;
	uint32_t anchor;
};

/* More than a function that encodes has at a time: once memory is short, no other level of the tree is begun. */
#define DX_SPARES      16U
#define DX_SPARE_BYTES 512U

struct dx_encoder {
	struct dx_arena arena;
	struct dx_declared *declared;
	uint32_t declared_count, declared_room;
	uint32_t anchors[DX_DECLARED_KIND_COUNT]; /* the last given out */
	/* What is got where there is no memory, in turn: who still writes to one is given others. */
	unsigned int spares;
	_Alignas(max_align_t) char spare[DX_SPARES][DX_SPARE_BYTES];
	char no_text[1];
};

/* A message of @type, initialised; never NULL. */
void *dx_encode_new(struct dx_encoder *e, const ProtobufCMessageDescriptor *type);
#define DX_NEW(e, name) dx_encode_new((e), &substrait__##name##__descriptor)

/* An array of pointers; NULL where there is no memory, then *@ret_count is 0. */
void *dx_encode_array(struct dx_encoder *e, size_t count, size_t *ret_count);

/* Text for a message; never NULL. protobuf-c's strings are not const, but it does not write to them. */
char *dx_encode_text(struct dx_encoder *e, const char *bytes, size_t len);

uint32_t dx_encode_declare(struct dx_encoder *e, enum dx_declared_kind kind,
                           enum dx_extension_file file, const char *name);

struct Substrait__Type *dx_encode_type(struct dx_encoder *e, struct dsmx_type type, bool nullable);
struct Substrait__NamedStruct *dx_encode_schema(struct dx_encoder *e,
                                                const struct dsmx_schema *schema);
struct Substrait__Expression__Literal *dx_encode_literal(struct dx_encoder *e,
                                                         const struct dsmx_expr *expr);
/* "i64", "dec", ...: a type in the name of a function. */
const char *dx_encode_short_name(struct dsmx_type type);

/* @map: NULL, or column c is written as map[c]. */
struct Substrait__Expression *dx_encode_expr(struct dx_encoder *e, const struct dsmx_expr *expr,
                                             const uint32_t *map);
struct Substrait__Expression *dx_encode_column(struct dx_encoder *e, uint32_t column);
struct Substrait__Expression__FieldReference *dx_encode_field(struct dx_encoder *e,
                                                              uint32_t column);
/* The anchor of an aggregate over @arg (DSMX_NONE: none). */
uint32_t dx_encode_aggregate_function(struct dx_encoder *e, enum dsmx_aggregate function,
                                      struct dsmx_type arg);

struct Substrait__Rel *dx_encode_rel(struct dx_encoder *e, const struct dsmx_rel *rel);
struct Substrait__ReadRel *dx_encode_scan(struct dx_encoder *e, const struct dsmx_rel *rel);
struct Substrait__ReadRel *dx_encode_leaf(struct dx_encoder *e, const struct dsmx_rel *rel);
/* @message: NULL, or what is packed into it. */
struct Substrait__Any *dx_encode_any(struct dx_encoder *e, const char *url,
                                     const ProtobufCMessage *message);

/* --- decoding ------------------------------------------------------------------------------------------ */

struct dx_anchor {
	uint32_t anchor;
	const char *name;
};

struct dx_decoder {
	struct dsmx_plan *plan;
	struct dx_arena arena;
	struct dx_anchor *declared[DX_DECLARED_KIND_COUNT]; /* sorted by anchor */
	uint32_t declared_count[DX_DECLARED_KIND_COUNT];
	struct dx_anchor *files; /* what declarations are from, sorted by anchor */
	uint32_t file_count;
	uint32_t exchanges; /* decoded so far */
};

/* The name of what was declared with @anchor; NULL: nothing was, and the plan has failed. */
const char *dx_decode_declared(struct dx_decoder *d, enum dx_declared_kind kind, uint32_t anchor);

bool dx_decode_type(struct dx_decoder *d, const struct Substrait__Type *pb,
                    struct dsmx_type *ret_type, bool *ret_nullable);
bool dx_decode_schema(struct dx_decoder *d, const struct Substrait__NamedStruct *pb,
                      struct dsmx_schema *ret_schema);
struct dsmx_expr *dx_decode_literal(struct dx_decoder *d,
                                    const struct Substrait__Expression__Literal *pb);

struct dsmx_expr *dx_decode_expr(struct dx_decoder *d, const struct Substrait__Expression *pb,
                                 const struct dsmx_schema *schema);
bool dx_decode_field(struct dx_decoder *d, const struct Substrait__Expression__FieldReference *pb,
                     uint32_t *ret_column);
/* False unless all options leave us a choice that is what we do. */
bool dx_decode_options(struct dx_decoder *d, struct Substrait__FunctionOption *const *options,
                       size_t count);

struct dsmx_rel *dx_decode_rel(struct dx_decoder *d, const struct Substrait__Rel *pb);
struct dsmx_rel *dx_decode_read(struct dx_decoder *d, const struct Substrait__ReadRel *pb);
struct dsmx_rel *dx_decode_aggregate(struct dx_decoder *d,
                                     const struct Substrait__AggregateRel *pb);

/* Is @any the one of this name? NULL is none. */
bool dx_decode_is(const struct Substrait__Any *any, const char *url);

/* Unpack what is in @any; NULL and a failed plan where it is not such a message. */
void *dx_decode_any(struct dx_decoder *d, const struct Substrait__Any *any,
                    const ProtobufCMessageDescriptor *type);

#endif /* DX_PLAN_CODEC_H */
