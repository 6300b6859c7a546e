/* SPDX-License-Identifier: MIT */
/* The evaluator: text, lists, casts, dates. */
#include "expressions.h"

#include "plan/node.h"

TEST(texts, "functions on text count characters, and a broken byte is one")
{
	static const struct eval_case cases[] = {
		GIVES("(eq c0 utf8:'abc')", "utf8: 'abc' 'abcd' '' NULL 'ABC'",
		      "bool: t f f NULL f"),
		GIVES("(lt c0 utf8:'b')", "utf8: 'a' 'b' 'ab' '' 'ba' '\xc3\xa4'",
		      "bool: t f t t f f"),
		GIVES("(ge c0 c1)", "utf8: 'a' 'ab' NULL; utf8: 'ab' 'a' ''", "bool: f t NULL"),
		GIVES("(ne c0 c1)", "large_utf8: 'a' 'ab' NULL; large_utf8: 'ab' 'ab' ''",
		      "bool: t f NULL"),
		GIVES("(eq c0 c1)", "binary: '\\xff' 'a' NULL; binary: '\\xff' 'b' ''",
		      "bool: t f NULL"),
		GIVES("(length c0)",
		      "utf8: 'abc' '' NULL '\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80' '\\xff\\xfe' '\\xe2\\x82'",
		      "int32: 3 0 NULL 3 2 2"),
		GIVES("(length c0)", "utf8: 'abcdefghijk\xc3\xa4' 'abcdefgh'", "int32: 12 8"),
		GIVES("(substring c0 int64:2 int64:3)",
		      "utf8: 'abcdef' 'a' '' NULL 'x\xc3\xa4\xc3\xb6yz'",
		      "utf8: 'bcd' '' '' NULL '\xc3\xa4\xc3\xb6y'"),
		GIVES("(substring c0 int64:0 int64:2)", "utf8: 'abc'", "utf8: 'a'"),
		GIVES("(substring c0 int64:-5 int64:3)", "utf8: 'abc'", "utf8: ''"),
		GIVES("(substring c0 int64:2 int64:9223372036854775807)", "utf8: 'abc'",
		      "utf8: 'bc'"),
		GIVES("(substring c0 c1 c2)",
		      "utf8: 'abc' 'abc' NULL; int64: 1 3 1; int64: 2 NULL -1",
		      "utf8: 'ab' NULL NULL"),
		FAILS("(substring c0 int64:1 c1)", "utf8: 'abc'; int64: -1",
		      "SUBSTRING of a negative length: -1", -EDOM),
		GIVES("(lower c0)", "utf8: 'AbZ[@' NULL '\xc3\x84'",
		      "utf8: 'abz[@' NULL '\xc3\x84'"),
		GIVES("(upper c0)", "utf8: 'AbZz{`' NULL '\xc3\xa4'",
		      "utf8: 'ABZZ{`' NULL '\xc3\xa4'"),
		GIVES("(concat c0 utf8:'-' c1)", "utf8: 'a' NULL ''; utf8: 'b' 'c' ''",
		      "utf8: 'a-b' NULL '-'"),
		GIVES("(eq (lower (concat c0 utf8:'X')) utf8:'ax')", "utf8: 'a' 'A' 'b' NULL",
		      "bool: t t f NULL"),
		GIVES("(in (substring c0 int64:1 int64:2) utf8:'13' utf8:'31')",
		      "utf8: '13-x' '31' '3' NULL", "bool: t t f NULL"),
		GIVES("(or (isnull c0) (eq c0 utf8:'a'))", "utf8: 'a' NULL 'b'", "bool: t t f"),
	};

	RUN(cases);
}

TEST(like, "LIKE takes % for any characters and _ for one")
{
	static const struct eval_case cases[] = {
		GIVES("(like c0 utf8:'abc')", "utf8: 'abc' 'abcd' 'xabc' '' NULL",
		      "bool: t f f f NULL"),
		GIVES("(like c0 utf8:'abc%')", "utf8: 'abc' 'abcd' 'xabc' 'ab'", "bool: t t f f"),
		GIVES("(like c0 utf8:'%abc')", "utf8: 'abc' 'abcd' 'xabc' 'bc'", "bool: t f t f"),
		GIVES("(like c0 utf8:'%b%')", "utf8: 'abc' 'b' 'xac' ''", "bool: t t f f"),
		GIVES("(like c0 utf8:'%')", "utf8: 'abc' '' NULL", "bool: t t NULL"),
		GIVES("(like c0 utf8:'')", "utf8: 'abc' ''", "bool: f t"),
		GIVES("(like c0 utf8:'a%a')", "utf8: 'a' 'aa' 'aba' 'ab'", "bool: f t t f"),
		GIVES("(like c0 utf8:'%ab%ab%')", "utf8: 'abab' 'ab' 'xabyabz' 'aab'",
		      "bool: t f t f"),
		GIVES("(like c0 utf8:'a%b%c')", "utf8: 'abc' 'axbxc' 'acb' 'abcb' 'abcbc'",
		      "bool: t t f f t"),
		GIVES("(like c0 utf8:'a_c')",
		      "utf8: 'abc' 'ac' 'a\xc3\xa4"
		      "c' 'abbc' 'a\\xffc'",
		      "bool: t f t f t"),
		GIVES("(like c0 utf8:'_%_')", "utf8: '' 'a' 'ab' '\xc3\xa4' '\xc3\xa4x'",
		      "bool: f f t f t"),
		GIVES("(like c0 utf8:'%__')",
		      "utf8: '\xe2\x82\xac' '\xe2\x82\xacx' 'ab' '\\xff\\xff'", "bool: f t t t"),
		GIVES("(like c0 utf8:'%_b%c_')", "utf8: 'abcd' 'bcd' 'xbxbccd' 'abc'",
		      "bool: t f t f"),
		GIVES("(like c0 utf8:'%a_%a_')", "utf8: 'abab' 'aab' 'abaab'", "bool: t f t"),
		GIVES("(like c0 utf8:'100\\%')", "utf8: '100%' '1000' '100'", "bool: t f f"),
		GIVES("(like c0 utf8:'a\\_%')", "utf8: 'a_b' 'ab_'", "bool: t f"),
	};

	RUN(cases);
}

TEST(membership, "IN finds what is in the list; a null in it turns \"no\" into null")
{
	static const struct eval_case cases[] = {
		GIVES("(in c0 int32:1 int32:3)", "int32: 1 2 3 NULL", "bool: t f t NULL"),
		GIVES("(in c0 int32:1 int32:NULL)", "int32: 1 2 NULL", "bool: t NULL NULL"),
		GIVES("(in c0 int64:1 int64:2 int64:3 int64:4 int64:5 int64:6 int64:7 int64:8 int64:9 int64:-9223372036854775808)",
		      "int64: 9 10 -9223372036854775808 0 NULL", "bool: t f t f NULL"),
		GIVES("(in c0 utf8:'MAIL' utf8:'SHIP')", "utf8: 'MAIL' 'AIR' 'SHIP' '' NULL",
		      "bool: t f t f NULL"),
		GIVES("(in c0 utf8:'' utf8:NULL)", "utf8: '' 'a' NULL", "bool: t NULL NULL"),
		GIVES("(in c0 decimal(5,2):1.00 decimal(5,2):2.50)", "decimal(5,2): 1 2.5 2 NULL",
		      "bool: t t f NULL"),
		GIVES("(in c0 decimal(30,2):1.00 decimal(30,2):-2.50)",
		      "decimal(30,2): 1 -2.5 2 NULL", "bool: t t f NULL"),
		GIVES("(in c0 decimal(30,0):1 decimal(30,0):2 decimal(30,0):3 decimal(30,0):4 decimal(30,0):5 decimal(30,0):6 decimal(30,0):7 decimal(30,0):8 decimal(30,0):999999999999999999999999999999)",
		      "decimal(30,0): 1 -1 999999999999999999999999999999 NULL",
		      "bool: t f t NULL"),
		GIVES("(in c0 float32:1 float32:2 float32:3 float32:4 float32:5 float32:6 float32:7 float32:8 float32:nan float32:0)",
		      "float32: 8 nan -0 9 NULL", "bool: t t t f NULL"),
		GIVES("(in c0 bool:t)", "bool: t f NULL", "bool: t f NULL"),
		GIVES("(in c0 uint8:200 uint8:7)", "uint8: 200 8 NULL", "bool: t f NULL"),
		GIVES("(in c0 date:1995-01-01)", "date: 1995-01-01 1995-01-02", "bool: t f"),
		GIVES("(not (in c0 int16:1 int16:2))", "int16: 1 3 NULL", "bool: f t NULL"),
	};

	RUN(cases);
}

TEST(number_casts, "numbers become other numbers, rounded as in PostgreSQL, or out of range")
{
	static const struct eval_case cases[] = {
		GIVES("(cast c0 int64)", "int8: -128 127 NULL", "int64: -128 127 NULL"),
		GIVES("(cast c0 int8)", "int64: -128 127 NULL", "int8: -128 127 NULL"),
		FAILS("(cast c0 int8)", "int64: 128", "value out of range: int8 cast", -ERANGE),
		FAILS("(cast c0 uint16)", "int32: -1", "value out of range: uint16 cast", -ERANGE),
		GIVES("(cast c0 uint64)", "int32: 5 NULL", "uint64: 5 NULL"),
		FAILS("(cast c0 uint64)", "int64: -5", "value out of range: uint64 cast", -ERANGE),
		GIVES("(cast c0 int64)", "uint64: 9223372036854775807 NULL",
		      "int64: 9223372036854775807 NULL"),
		FAILS("(cast c0 int64)", "uint64: 9223372036854775808",
		      "value out of range: int64 cast", -ERANGE),
		GIVES("(cast c0 int32)", "bool: t f NULL", "int32: 1 0 NULL"),
		GIVES("(cast c0 decimal(10,2))", "int32: 5 -7 NULL",
		      "decimal(10,2): 5.00 -7.00 NULL"),
		FAILS("(cast c0 decimal(4,2))", "int32: 100",
		      "value out of range: decimal(4,2) cast", -ERANGE),
		GIVES("(cast c0 decimal(38,10))", "uint64: 18446744073709551615",
		      "decimal(38,10): 18446744073709551615.0000000000"),
		FAILS("(cast c0 decimal(15,0))", "uint64: 18446744073709551615",
		      "value out of range: decimal(15,0) cast", -ERANGE),
		GIVES("(cast c0 int32)", "decimal(5,1): 2.5 -2.5 2.4 -2.4 NULL",
		      "int32: 3 -3 2 -2 NULL"),
		GIVES("(cast c0 int32)", "decimal(30,1): 2.5 -2.5 NULL", "int32: 3 -3 NULL"),
		FAILS("(cast c0 int32)", "decimal(12,1): 2147483647.5",
		      "value out of range: int32 cast", -ERANGE),
		GIVES("(cast c0 decimal(5,1))", "decimal(5,2): 1.25 -1.25 1.24 NULL 999.94",
		      "decimal(5,1): 1.3 -1.3 1.2 NULL 999.9"),
		FAILS("(cast c0 decimal(3,1))", "decimal(5,2): 99.95",
		      "value out of range: decimal(3,1) cast", -ERANGE),
		GIVES("(cast c0 decimal(38,4))", "decimal(5,2): 1.25 NULL",
		      "decimal(38,4): 1.2500 NULL"),
		GIVES("(cast c0 decimal(5,2))", "decimal(38,4): 1.2550 NULL -999.99",
		      "decimal(5,2): 1.26 NULL -999.99"),
		FAILS("(cast c0 decimal(5,2))", "decimal(38,4): 1000",
		      "value out of range: decimal(5,2) cast", -ERANGE),
		GIVES("(cast c0 decimal(18,2))", "decimal(15,2): 1.25 NULL",
		      "decimal(18,2): 1.25 NULL"),
		GIVES("(cast c0 float64)", "decimal(15,2): 0.1 -2.25 NULL",
		      "float64: 0.1 -2.25 NULL"),
		GIVES("(cast c0 float64)", "decimal(38,10): 12345678901234567890.0123456789 NULL",
		      "float64: 12345678901234567890.0123456789 NULL"),
		GIVES("(cast c0 float32)", "decimal(38,10): 0.1 16777217", "float32: 0.1 16777217"),
		GIVES("(cast c0 decimal(10,2))", "float64: 1.005 2.675 -0.125 NULL",
		      "decimal(10,2): 1.00 2.68 -0.13 NULL"),
		FAILS("(cast c0 decimal(10,2))", "float64: nan",
		      "value out of range: decimal(10,2) cast", -ERANGE),
		FAILS("(cast c0 decimal(4,2))", "float64: 100",
		      "value out of range: decimal(4,2) cast", -ERANGE),
		GIVES("(cast c0 int32)", "float64: 0.5 1.5 2.5 -0.5 -1.5 NULL",
		      "int32: 0 2 2 0 -2 NULL"),
		FAILS("(cast c0 int64)", "float64: 9223372036854775807",
		      "value out of range: int64 cast", -ERANGE),
		GIVES("(cast c0 uint64)", "float64: 18446744073709549568",
		      "uint64: 18446744073709549568"),
		FAILS("(cast c0 int8)", "float32: inf", "value out of range: int8 cast", -ERANGE),
		FAILS("(cast c0 float32)", "float64: 1e300", "value out of range: float32 cast",
		      -ERANGE),
		GIVES("(cast c0 float32)", "float64: inf nan 1.5 NULL",
		      "float32: inf nan 1.5 NULL"),
		GIVES("(cast c0 float64)", "uint64: 18446744073709551615",
		      "float64: 18446744073709551615"),
		GIVES("(cast int32:NULL decimal(4,2))", NULL, "decimal(4,2): NULL"),
		GIVES("(add (cast c0 decimal(10,0)) decimal(3,2):0.25)", "int32: 1 NULL",
		      "decimal(13,2): 1.25 NULL"),
	};

	RUN(cases);
}

TEST(text_casts, "text becomes everything that it is the text of, and everything becomes text")
{
	static const struct eval_case cases[] = {
		GIVES("(cast c0 int32)", "utf8: '12' ' -7 ' NULL", "int32: 12 -7 NULL"),
		FAILS("(cast c0 int32)", "utf8: '12' 'x'", "no int32: \"x\"", -EILSEQ),
		FAILS("(cast c0 int8)", "utf8: '128'", "out of range for int8: \"128\"", -ERANGE),
		GIVES("(cast c0 decimal(5,2))", "utf8: '1.5' NULL", "decimal(5,2): 1.50 NULL"),
		GIVES("(cast c0 date)", "utf8: '1995-03-15' NULL", "date: 1995-03-15 NULL"),
		FAILS("(cast c0 date)", "utf8: '1995-13-15'", "no date: \"1995-13-15\"", -EILSEQ),
		GIVES("(cast c0 bool)", "utf8: 't' 'no' NULL", "bool: t f NULL"),
		GIVES("(cast c0 utf8)", "int32: 12 -7 NULL", "utf8: '12' '-7' NULL"),
		GIVES("(cast c0 utf8)", "decimal(5,2): 1.5 NULL", "utf8: '1.50' NULL"),
		GIVES("(cast c0 utf8)", "decimal(38,2): -1.5 NULL", "utf8: '-1.50' NULL"),
		GIVES("(cast c0 utf8)", "date: 1995-03-15 NULL", "utf8: '1995-03-15' NULL"),
		GIVES("(cast c0 utf8)", "float64: 0.1 NULL", "utf8: '0.1' NULL"),
		GIVES("(concat (cast c0 utf8) utf8:'!')", "int64: 5 NULL", "utf8: '5!' NULL"),
		GIVES("(cast c0 large_utf8)", "utf8: 'a' NULL", "large_utf8: 'a' NULL"),
	};

	RUN(cases);
}

TEST(times, "dates and timestamps become each other, and fall into their parts")
{
	static const struct eval_case cases[] = {
		GIVES("(cast c0 timestamp(6))", "date: 1970-01-02 1969-12-31 NULL",
		      "timestamp(6): '1970-01-02 00:00:00' '1969-12-31 00:00:00' NULL"),
		FAILS("(cast c0 timestamp(9))", "date: 9999-01-01",
		      "value out of range: timestamp(9) cast", -ERANGE),
		GIVES("(cast c0 date)",
		      "timestamp(3): '1970-01-01 23:59:59.999' '1969-12-31 23:59:59' NULL",
		      "date: 1970-01-01 1969-12-31 NULL"),
		GIVES("(cast c0 timestamp(9))", "timestamp(0): '2024-02-29 12:30:05' NULL",
		      "timestamp(9): '2024-02-29 12:30:05' NULL"),
		GIVES("(cast c0 timestamp(0))", "timestamp(3): '2024-02-29 12:30:05.5' NULL",
		      "timestamp(0): '2024-02-29 12:30:06' NULL"),
		GIVES("(extract utf8:'year' c0)", "date: 1992-01-01 1998-12-31 NULL 0001-01-01",
		      "int64: 1992 1998 NULL 1"),
		GIVES("(extract utf8:'month' c0)", "date: 1992-01-01 1998-12-31 NULL",
		      "int64: 1 12 NULL"),
		GIVES("(extract utf8:'day' c0)", "date: 2024-02-29 1900-03-01 NULL",
		      "int64: 29 1 NULL"),
		GIVES("(extract utf8:'quarter' c0)", "date: 2024-03-31 1900-04-01 1950-12-31",
		      "int64: 1 2 4"),
		GIVES("(extract utf8:'dow' c0)", "date: 1970-01-01 2024-02-25 1969-12-27",
		      "int64: 4 0 6"),
		GIVES("(extract utf8:'doy' c0)", "date: 2024-12-31 2023-12-31 1950-01-01",
		      "int64: 366 365 1"),
		GIVES("(extract utf8:'hour' c0)",
		      "timestamp(6): '1969-12-31 23:59:59.5' '2024-01-01 00:30:00' NULL",
		      "int64: 23 0 NULL"),
		GIVES("(extract utf8:'minute' c0)", "timestamp(0): '1969-12-31 23:59:59' NULL",
		      "int64: 59 NULL"),
		GIVES("(extract utf8:'year' c0)", "timestamp(9): '1969-12-31 23:59:59.5' NULL",
		      "int64: 1969 NULL"),
		GIVES("(eq c0 c1)",
		      "timestamp(6): '2024-01-01 00:00:00'; timestamp(6): '2024-01-01 00:00:00.000001'",
		      "bool: f"),
	};

	RUN(cases);
}

/* --- by hand ------------------------------------------------------------------------------------------ */

static const struct dsmx_type utf8 = { .id = DSMX_UTF8 };

static struct dsmx_expr text_literal(const char *bytes)
{
	struct dsmx_expr literal = { .kind = DX_EXPR_LITERAL, .type = utf8 };

	literal.is_null = bytes == NULL;
	if (bytes != NULL)
		literal.value.text = (struct dx_text){ bytes, (uint32_t)strlen(bytes) };
	return literal;
}

/* A predicate over column 0, run over some rows of it. */
struct predicate {
	struct dsmx_expr column, options[2], *args[3], expr;
	struct dx_eval *eval;
};

static bool predicate_new(struct predicate *p, enum dx_expr_kind kind, const char *first,
                          const char *second, uint32_t arg_count)
{
	p->column = (struct dsmx_expr){ .kind = DX_EXPR_COLUMN, .type = utf8, .nullable = true };
	p->options[0] = text_literal(first);
	p->options[1] = text_literal(second);
	p->args[0] = &p->column;
	p->args[1] = &p->options[0];
	p->args[2] = &p->options[1];
	p->expr = (struct dsmx_expr){ .kind = kind,
		                      .type = { .id = DSMX_BOOL },
		                      .function = DSMX_FN_EQUAL,
		                      .args = p->args,
		                      .arg_count = arg_count };
	return dx_eval_new(&p->expr, &p->eval, NULL) == 0;
}

/* The value at row @row: 0, 1, or -1 for null. */
static int predicate_at(const struct predicate *p, const struct dsmx_column *column, uint32_t rows,
                        uint32_t row)
{
	struct dsmx_batch batch = {
		.length = rows, .selected = rows, .column_count = 1, .columns = column
	};
	struct dx_vector vector;

	if (dx_eval_run(p->eval, &batch, &vector, NULL) < 0)
		return -2;
	if (vector.valid != NULL && !vector.valid[row])
		return -1;
	return ((const uint8_t *)vector.values)[row];
}

TEST(dictionaries_change, "another dictionary at the same address is another one")
{
	int32_t offsets[3] = { 0, 1, 3 }, codes[2] = { 0, 1 };
	char bytes[4] = "abc";
	struct dsmx_column column = { .values = offsets,
		                      .bytes = (const uint8_t *)bytes,
		                      .codes = codes,
		                      .dictionary_length = 2 };
	struct predicate p;

	CHECK_EQ(predicate_new(&p, DX_EXPR_CALL, "a", NULL, 2), true);
	CHECK_EQ(predicate_at(&p, &column, 2, 0), 1);
	CHECK_EQ(predicate_at(&p, &column, 2, 1), 0);
	offsets[1] = 2; /* ab, c */
	CHECK_EQ(predicate_at(&p, &column, 2, 0), 0);
	memcpy(bytes, "bca", 3); /* bc, a */
	CHECK_EQ(predicate_at(&p, &column, 2, 1), 1);
	column.dictionary_length = 1;
	codes[1] = 0;
	CHECK_EQ(predicate_at(&p, &column, 2, 1), 0);
	column.dictionary_length = 2;
	codes[1] = 1;
	CHECK_EQ(predicate_at(&p, &column, 2, 1), 1);
	column.codes = NULL; /* plain, by the same evaluator, and back */
	CHECK_EQ(predicate_at(&p, &column, 2, 0), 0);
	column.codes = codes;
	CHECK_EQ(predicate_at(&p, &column, 2, 1), 1);
	dx_eval_free(p.eval);
}

TEST(lists_with_null, "what is not found in a list with a null is null")
{
	int32_t offsets[3] = { 0, 1, 2 };
	struct dsmx_column column = { .values = offsets, .bytes = (const uint8_t *)"ab" };
	struct predicate p;

	CHECK_EQ(predicate_new(&p, DX_EXPR_IN, "a", NULL, 3), true);
	CHECK_EQ(predicate_at(&p, &column, 2, 0), 1);
	CHECK_EQ(predicate_at(&p, &column, 2, 1), -1);
	dx_eval_free(p.eval);
}

int main(void)
{
	return harness_run();
}
