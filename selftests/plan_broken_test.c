/* SPDX-License-Identifier: MIT */
/*
 * plan_broken_test.c - bytes that are no plan, or a broken one: cut, with bits flipped, made to break
 */
#include <errno.h>

#include "plan_bytes.h"

/* --- broken bytes -------------------------------------------------------------------------------------- */

static bool is_refusal(int rc)
{
	return rc == -EBADMSG || rc == -EOPNOTSUPP || rc == -EINVAL || rc == -E2BIG ||
	       rc == -ENOENT || rc == -ERANGE || rc == -EILSEQ;
}

/*
 * Decode what may be broken: an error with a sentence, or a plan that can be written, read again, shown and
 * distributed. Says whether it was a plan; *@ok is cleared for anything else.
 */
static bool decodes(const uint8_t *bytes, size_t len, bool *ok)
{
	struct dsmx_plan *plan = NULL, *again = NULL;
	struct bytes out = { NULL, 0 }, out2 = { NULL, 0 };
	struct dsmx_error err = { 0 };
	char *text = NULL;
	int rc = dsmx_plan_decode(bytes, len, &plan, &err);

	if (rc < 0) {
		*ok = *ok && plan == NULL && is_refusal(rc) && err.code == rc &&
		      err.message[0] != 0;
		return false;
	}
	*ok = *ok && encode(plan, &out) && dsmx_plan_decode(out.at, out.len, &again, NULL) == 0 &&
	      encode(again, &out2) && same(out, out2) && dsmx_plan_explain(plan, &text) == 0;
	free(text);
	rc = dsmx_plan_distribute(plan, 2, &err);
	*ok = *ok && (rc == 0 || is_refusal(rc));
	free(out.at);
	free(out2.at);
	dsmx_plan_free(plan);
	dsmx_plan_free(again);
	return true;
}

TEST(truncated, "a plan that ends at any byte is an error or a plan, never anything else")
{
	for (uint32_t m = 0; m < LEN(makers); m++) {
		struct bytes bytes = make(m, 2);
		uint32_t plans = 0;
		bool fine = true;

		CHECK(bytes.at != NULL);
		for (size_t len = 0; len < bytes.len && fine; len++) {
			/* In memory of its own, so that reading behind the end is seen. */
			uint8_t *copy = malloc(len + 1);

			memcpy(copy, bytes.at, len);
			copy = realloc(copy, len > 0 ? len : 1);
			plans += decodes(copy, len, &fine);
			free(copy);
			if (!fine)
				printf("# plan %u cut to %zu of %zu bytes\n", m, len, bytes.len);
		}
		CHECK(fine);
		/* Only what stands behind the relations can be missing: the version and the URNs. */
		CHECK(plans < 16);
		free(bytes.at);
	}
}

/* A byte that says what or how much follows; the rest are values. Marks them in @marks from @at on. */
static size_t mark(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t at,
                   size_t end, uint8_t *marks)
{
	while (at < end) {
		const ProtobufCFieldDescriptor *field;
		uint64_t tag = 0, len = 0;
		unsigned shift = 0;

		do {
			marks[at] = 'T';
			tag |= (uint64_t)(bytes[at] & 0x7f) << shift;
			shift += 7;
		} while ((bytes[at++] & 0x80) != 0);
		if ((tag & 7) == 0) {
			while ((bytes[at++] & 0x80) != 0)
				;
			continue;
		}
		if ((tag & 7) != 2) {
			at += (tag & 7) == 1 ? 8 : 4;
			continue;
		}
		shift = 0;
		do {
			marks[at] = 'L';
			len |= (uint64_t)(bytes[at] & 0x7f) << shift;
			shift += 7;
		} while ((bytes[at++] & 0x80) != 0);
		field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
		if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE)
			(void)mark(field->descriptor, bytes, at, at + len, marks);
		at += len;
	}
	return at;
}

extern const ProtobufCMessageDescriptor substrait__plan__descriptor;

TEST(bits_flipped,
     "a plan with any bit flipped is an error or a plan; with a length changed, an error")
{
	for (uint32_t m = 0; m < LEN(makers); m++) {
		struct bytes bytes = make(m, 2);
		uint8_t *marks = calloc(1, bytes.len + 1);
		uint32_t plans[256] = { 0 }, flips[256] = { 0 };
		bool fine = true;

		CHECK(bytes.at != NULL && marks != NULL);
		(void)mark(&substrait__plan__descriptor, bytes.at, 0, bytes.len, marks);
		for (size_t bit = 0; bit < bytes.len * 8 && fine; bit++) {
			uint8_t kind = marks[bit / 8];
			bool plan;

			bytes.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
			plan = decodes(bytes.at, bytes.len, &fine);
			bytes.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
			flips[kind]++;
			plans[kind] += plan;
			if (!fine || (plan && kind == 'L'))
				printf("# plan %u, byte %zu bit %zu (%c)\n", m, bit / 8, bit % 8,
				       kind ? kind : 'v');
		}
		printf("# plan %u, %zu bytes: still a plan with %u of %u bits of tags flipped, %u of %u "
		       "of lengths, %u of %u of values\n",
		       m, bytes.len, plans['T'], flips['T'], plans['L'], flips['L'], plans[0],
		       flips[0]);
		CHECK(fine);
		CHECK_EQ(plans['L'], 0);
		free(marks);
		free(bytes.at);
	}
}

/* --- made to break ------------------------------------------------------------------------------------- */

/* Bytes that grow at the front: a message is written from the inside out. */
struct wire {
	uint8_t bytes[1 << 17];
	size_t at; /* of the first byte */
};

static void put(struct wire *w, const void *bytes, size_t len)
{
	w->at -= len;
	memcpy(w->bytes + w->at, bytes, len);
}

static void put_varint(struct wire *w, uint64_t value)
{
	uint8_t bytes[10];
	size_t len = 0;

	do {
		bytes[len++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		value >>= 7;
	} while (value > 0);
	put(w, bytes, len);
}

/* Wrap all that is there from @end back into field @field. */
static void wrap(struct wire *w, uint32_t field, size_t end)
{
	put_varint(w, end - w->at);
	put_varint(w, (uint64_t)field << 3 | 2);
}

/* Plan.relations[0].root.input = what is there */
static void wrap_plan(struct wire *w)
{
	wrap(w, 1, sizeof(w->bytes));
	wrap(w, 2, sizeof(w->bytes));
	wrap(w, 3, sizeof(w->bytes));
}

static int decode_wire(const struct wire *w, struct dsmx_error *err)
{
	struct dsmx_plan *plan = NULL;
	int rc = dsmx_plan_decode(w->bytes + w->at, sizeof(w->bytes) - w->at, &plan, err);

	dsmx_plan_free(plan);
	return rc;
}

TEST(nested_too_deep,
     "10 000 levels of filters or expressions are -E2BIG, and use no stack to find out")
{
	static struct wire w;
	struct dsmx_error err;

	w.at = sizeof(w.bytes);
	for (int i = 0; i < 10000; i++) { /* Rel.filter.input */
		wrap(&w, 2, sizeof(w.bytes));
		wrap(&w, 2, sizeof(w.bytes));
	}
	wrap_plan(&w);
	CHECK_EQ(decode_wire(&w, &err), -E2BIG);
	CHECK(strstr(err.message, "200") != NULL);

	w.at = sizeof(w.bytes);
	for (int i = 0; i < 10000; i++) { /* Expression.cast.input */
		wrap(&w, 2, sizeof(w.bytes));
		wrap(&w, 11, sizeof(w.bytes));
	}
	wrap(&w, 3, sizeof(w.bytes));
	wrap(&w, 2, sizeof(w.bytes));
	wrap_plan(&w);
	CHECK_EQ(decode_wire(&w, &err), -E2BIG);
}

TEST(too_long, "a plan over the limit is -E2BIG before a byte of it is read")
{
	struct dsmx_plan *plan = NULL;
	struct dsmx_error err;

	CHECK_EQ(dsmx_plan_decode("", (size_t)DSMX_PLAN_BYTES_MAX + 1, &plan, &err), -E2BIG);
	CHECK(plan == NULL);
}

TEST(too_many_parts, "a plan of very many empty parts is -E2BIG: what it would need is bounded")
{
	size_t len = ((size_t)DX_WIRE_MESSAGES_MAX + 1) * 2;
	struct dsmx_plan *plan = NULL;
	uint8_t *bytes = malloc(len);
	struct dsmx_error err;
	int rc;

	CHECK(bytes != NULL);
	for (size_t i = 0; i < len; i += 2) {
		bytes[i] = 0x12; /* Plan.extensions, empty */
		bytes[i + 1] = 0;
	}
	rc = dsmx_plan_decode(bytes, len, &plan, &err);
	free(bytes);
	CHECK_EQ(rc, -E2BIG);
}

TEST(refused_bytes, "what is no plan, or says more than dsmx can do, is refused with its reason")
{
	static const struct {
		const char *bytes;
		size_t len;
		int want;
		const char *why;
	} rows[] = {
#define ROW(text, want, why) { text, sizeof(text) - 1, want, why }
		ROW("", -EBADMSG, "0 relations"),
		ROW("\x1a", -EBADMSG, "byte 1"),
		ROW("\x1a\x05", -EBADMSG, "ends too early"),
		ROW("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", -EBADMSG, "ends too early"),
		ROW("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", -EBADMSG, "ends too early"),
		ROW("\x00\x00", -EBADMSG, "no number"),
		ROW("\x80\x80\x80\x80\x80\x01\x00", -EBADMSG, "no number"),
		ROW("\x18\x01", -EBADMSG, "another kind"),
		ROW("\x1a\x00", -EBADMSG, "root"),
		ROW("\x1a\x00\x1a\x00", -EOPNOTSUPP, "2 relations"),
		ROW("\x1a\x02\x12\x00", -EBADMSG, "root"),
		ROW("\x1a\x04\x12\x02\x0a\x00", -EBADMSG, "relation"),
		ROW("\x1a\x04\x12\x00\x12\x00", -EBADMSG, "twice"),
		ROW("\x1a\x04\x0a\x00\x12\x00", -EBADMSG, "twice"),
		ROW("\x1a\x06\x12\x04\x0a\x02\x42\x00", -EOPNOTSUPP, "SetRel"),
		ROW("\x1a\x06\x12\x04\x0a\x02\x62\x00", -EOPNOTSUPP, "CrossRel"),
		ROW("\x1a\x07\x12\x05\x0a\x03\xba\x01\x00", -EOPNOTSUPP, "TopNRel"),
		ROW("\x32\x06\x08\xff\xff\xff\xff\x1f", -EBADMSG, "number"),
		ROW("\x32\x04\x22\x02"
		    "a\0",
		    -EBADMSG, "zero byte"),
		ROW("\x42\x02\x08\x01"
		    "\x12\x04\x1a\x02\x20\x01",
		    -EBADMSG, "no name"),
		ROW("\x12\x05\x1a\x03\x1a\x01"
		    "f",
		    -EBADMSG, "there is none"),
		ROW("\x42\x00\x12\x05\x1a\x03\x1a\x01"
		    "f\x12\x05\x1a\x03\x1a\x01"
		    "f",
		    -EBADMSG, "twice"),
		ROW("\xfa\x01\x00", -EOPNOTSUPP, "field 31"),
#undef ROW
	};

	for (uint32_t i = 0; i < LEN(rows); i++) {
		struct dsmx_plan *plan = NULL;
		struct dsmx_error err = { 0 };
		int rc = dsmx_plan_decode(rows[i].bytes, rows[i].len, &plan, &err);

		if (rc != rows[i].want || strstr(err.message, rows[i].why) == NULL)
			printf("# row %u: %s\n", i, err.message);
		CHECK_EQ(rc, rows[i].want);
		CHECK(strstr(err.message, rows[i].why) != NULL);
		CHECK(plan == NULL);
	}
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
