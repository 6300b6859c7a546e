/* SPDX-License-Identifier: MIT */
/* The evaluator: numbers, comparisons, logic and branches. */
#include "expressions.h"

TEST(integers, "integers add, subtract, multiply, divide within their type, or say so")
{
	static const struct eval_case cases[] = {
		GIVES("(add c0 c1)", "int32: 1 NULL 3; int32: 4 5 NULL", "int32: 5 NULL NULL"),
		GIVES("(add c0 int8:1)", "int8: 126 -128 NULL", "int8: 127 -127 NULL"),
		FAILS("(add c0 int8:1)", "int8: 1 127", "value out of range: int8 addition",
		      -ERANGE),
		GIVES("(sub int8:-2 c0)", "int8: 126 -128", "int8: -128 126"),
		FAILS("(sub int8:-2 c0)", "int8: 127", "value out of range: int8 subtraction",
		      -ERANGE),
		GIVES("(mul c0 c0)", "int16: 181 -181", "int16: 32761 32761"),
		FAILS("(mul c0 c0)", "int16: 1 182", "value out of range: int16 multiplication",
		      -ERANGE),
		GIVES("(add c0 c1)", "int64: 9223372036854775806 -1; int64: 1 -9223372036854775807",
		      "int64: 9223372036854775807 -9223372036854775808"),
		FAILS("(add c0 c1)", "int64: 9223372036854775807; int64: 1",
		      "value out of range: int64 addition", -ERANGE),
		FAILS("(sub c0 c1)", "int64: -9223372036854775808; int64: 1",
		      "value out of range: int64 subtraction", -ERANGE),
		GIVES("(sub c0 c1)", "int64: -9223372036854775808 0; int64: -1 NULL",
		      "int64: -9223372036854775807 NULL"),
		GIVES("(mul c0 int64:4)", "int64: 2305843009213693951 NULL",
		      "int64: 9223372036854775804 NULL"),
		FAILS("(mul c0 int64:4)", "int64: 2305843009213693952",
		      "value out of range: int64 multiplication", -ERANGE),
		GIVES("(add c0 c1)", "uint8: 250 0; uint8: 5 255", "uint8: 255 255"),
		FAILS("(add c0 c1)", "uint8: 250; uint8: 6", "value out of range: uint8 addition",
		      -ERANGE),
		FAILS("(sub c0 c1)", "uint64: 5; uint64: 6",
		      "value out of range: uint64 subtraction", -ERANGE),
		GIVES("(mul c0 c1)", "uint64: 4294967296 3; uint64: 4294967295 NULL",
		      "uint64: 18446744069414584320 NULL"),
		FAILS("(mul c0 c1)", "uint32: 65536; uint32: 65536",
		      "value out of range: uint32 multiplication", -ERANGE),
		GIVES("(div c0 c1)", "int32: 7 -7 7 -7 NULL; int32: 2 2 -2 -2 0",
		      "int32: 3 -3 -3 3 NULL"),
		FAILS("(div c0 c1)", "int32: 7 1; int32: 2 0", "division by zero: int32 division",
		      -EDOM),
		GIVES("(div c0 int32:-1)", "int32: -2147483647 5", "int32: 2147483647 -5"),
		FAILS("(div c0 int32:-1)", "int32: -2147483648",
		      "value out of range: int32 division", -ERANGE),
		FAILS("(div c0 c1)", "int64: -9223372036854775808; int64: -1",
		      "value out of range: int64 division", -ERANGE),
		GIVES("(div c0 c1)", "uint16: 65535 8; uint16: 2 3", "uint16: 32767 2"),
		GIVES("(mod c0 c1)", "int32: 7 -7 7 -7 -2147483648; int32: 3 3 -3 -3 -1",
		      "int32: 1 -1 1 -1 0"),
		FAILS("(mod c0 c1)", "int64: 7 NULL 1; int64: NULL 0 0",
		      "division by zero: int64 modulus", -EDOM),
		GIVES("(mod c0 c1)", "uint8: 200; uint8: 7", "uint8: 4"),
		GIVES("(neg c0)", "int16: 32767 NULL -5", "int16: -32767 NULL 5"),
		FAILS("(neg c0)", "int16: -32768", "value out of range: int16 negation", -ERANGE),
		GIVES("(abs c0)", "int64: -9223372036854775807 3 NULL",
		      "int64: 9223372036854775807 3 NULL"),
		FAILS("(abs c0)", "int8: -128", "value out of range: int8 magnitude", -ERANGE),
		GIVES("(add int32:1 int32:2)", NULL, "int32: 3"),
		GIVES("(add c0 (mul int32:3 int32:-2))", "int32: 1 NULL", "int32: -5 NULL"),
		GIVES("(add c0 int32:NULL)", "int32: 1 2147483647", "int32: NULL NULL"),
	};

	RUN(cases);
}

TEST(floats, "floats calculate as IEEE says, but infinity is no result of finite ones")
{
	static const struct eval_case cases[] = {
		GIVES("(add c0 c1)", "float64: 1.5 NULL inf; float64: 2 1 1",
		      "float64: 3.5 NULL Infinity"),
		GIVES("(sub c0 c1)", "float32: 1.5 nan; float32: 2 1", "float32: -0.5 NaN"),
		FAILS("(mul c0 c0)", "float64: 1e200", "value out of range: float64 multiplication",
		      -ERANGE),
		GIVES("(div c0 c1)", "float64: 1 -1; float64: 4 8", "float64: 0.25 -0.125"),
		FAILS("(div c0 c1)", "float64: 1; float64: 0", "division by zero: float64 division",
		      -EDOM),
		GIVES("(neg (abs c0))", "float32: -2.5 inf NULL", "float32: -2.5 -Infinity NULL"),
		GIVES("(eq c0 c1)", "float64: nan 0 1 NULL nan; float64: nan -0 2 1 1",
		      "bool: t t f NULL f"),
		GIVES("(ne c0 c1)", "float32: nan 0 1 NULL nan; float32: nan -0 2 1 1",
		      "bool: f f t NULL t"),
		GIVES("(lt c0 c1)", "float64: inf nan nan 1 -0; float64: nan inf nan 2 0",
		      "bool: t f f t f"),
		GIVES("(le c0 c1)", "float32: inf nan nan 2 -0; float32: nan inf nan 1 0",
		      "bool: t f t f t"),
		GIVES("(gt c0 c1)", "float64: inf nan nan 1; float64: nan inf nan 2",
		      "bool: f t f f"),
		GIVES("(ge c0 c1)", "float64: inf nan nan 1; float64: nan inf nan 2",
		      "bool: f t t f"),
		GIVES("(in c0 float64:nan float64:0)", "float64: nan -0 1 NULL",
		      "bool: t t f NULL"),
	};

	RUN(cases);
}

TEST(decimals, "decimals are exact, of both widths and any pair of scales, or out of range")
{
	static const struct eval_case cases[] = {
		GIVES("(add c0 c1)", "decimal(5,2): 1.25 NULL -0.01; decimal(4,3): 0.005 1 0.010",
		      "decimal(7,3): 1.255 NULL 0.000"),
		GIVES("(sub decimal(1,0):1 c0)", "decimal(15,2): 0.05 NULL -3",
		      "decimal(16,2): 0.95 NULL 4.00"),
		GIVES("(mul c0 (sub decimal(1,0):1 c1))",
		      "decimal(15,2): 1000.00 20.50 NULL; decimal(15,2): 0.05 NULL 0.07",
		      "decimal(31,4): 950.0000 NULL NULL"),
		GIVES("(mul (mul c0 (sub decimal(1,0):1 c1)) (add decimal(1,0):1 c1))",
		      "decimal(15,2): 1000.00 -3.33; decimal(15,2): 0.05 0.07",
		      "decimal(38,6): 997.500000 -3.313683"),
		GIVES("(mul c0 c1)",
		      "decimal(9,2): 1.11 -9999999.99; decimal(9,2): -2.5 9999999.99",
		      "decimal(18,4): -2.7750 -99999999800000.0001"),
		GIVES("(mul c0 c1)",
		      "decimal(38,0): 99999999999999999999999999999999999999; decimal(1,0): 1",
		      "decimal(38,0): 99999999999999999999999999999999999999"),
		FAILS("(mul c1 c0)",
		      "decimal(38,0): 99999999999999999999999999999999999999; decimal(1,0): 2",
		      "value out of range: decimal(38,0) multiplication", -ERANGE),
		GIVES("(mul c0 c1)",
		      "decimal(38,0): 12345678901234567890 -5 NULL; decimal(38,0): 10000000000 -7 1",
		      "decimal(38,0): 123456789012345678900000000000 35 NULL"),
		FAILS("(mul c0 c0)", "decimal(38,0): 99999999999999999999",
		      "value out of range: decimal(38,0) multiplication", -ERANGE),
		FAILS("(add c0 c0)", "decimal(38,0): 50000000000000000000000000000000000000",
		      "value out of range: decimal(38,0) addition", -ERANGE),
		GIVES("(add c0 c1)", "decimal(38,0): 1 NULL; decimal(18,0): 999999999999999999 1",
		      "decimal(38,0): 1000000000000000000 NULL"),
		GIVES("(sub c0 c1)", "decimal(18,0): 1; decimal(18,18): 0.000000000000000001",
		      "decimal(37,18): 0.999999999999999999"),
		FAILS("(mul c0 c1)",
		      "decimal(38,0): 36893488147419103231; decimal(38,0): 18446744073709551615",
		      "value out of range: decimal(38,0) multiplication", -ERANGE),
		GIVES("(neg c0)", "decimal(30,2): 1.25 NULL -7", "decimal(30,2): -1.25 NULL 7.00"),
		GIVES("(abs c0)", "decimal(3,2): -1.25 NULL 7", "decimal(3,2): 1.25 NULL 7.00"),
		GIVES("(abs c0)", "decimal(30,2): -1.25 NULL 7", "decimal(30,2): 1.25 NULL 7.00"),
		GIVES("(eq c0 c1)", "decimal(5,2): 1.50 1.51 NULL -1; decimal(3,1): 1.5 1.5 1 -1",
		      "bool: t f NULL t"),
		GIVES("(lt c0 c1)", "decimal(18,0): 1 -1 0; decimal(18,18): 0.5 -0.5 0",
		      "bool: f t f"),
		GIVES("(lt c0 c1)",
		      "decimal(38,0): 99999999999999999999999999999999999999 -99999999999999999999999999999999999999 0; decimal(38,38): 0.5 -0.5 0.1",
		      "bool: f t t"),
		GIVES("(ge c1 c0)",
		      "decimal(38,0): 99999999999999999999999999999999999999 -99999999999999999999999999999999999999 0; decimal(38,38): 0.5 -0.5 0.1",
		      "bool: f t t"),
		GIVES("(le c0 c1)", "decimal(20,2): 5 5 NULL; decimal(20,2): 5 4.99 1",
		      "bool: t f NULL"),
	};

	RUN(cases);
}

TEST(quotients,
     "quotients of decimals have ten digits or more, the last rounded half away from zero")
{
	static const struct eval_case cases[] = {
		GIVES("(div c0 c1)", "decimal(15,2): 1 -1 1; decimal(15,2): 2048 2048 4096",
		      "decimal(38,10): 0.0004882813 -0.0004882813 0.0002441406"),
		GIVES("(div c0 c1)", "decimal(15,2): 1.00 -2.00 NULL 1; decimal(15,2): 3 3 1 -8",
		      "decimal(38,10): 0.3333333333 -0.6666666667 NULL -0.1250000000"),
		FAILS("(div c0 c1)", "decimal(15,2): 1; decimal(5,0): 0",
		      "division by zero: decimal(38,10) division", -EDOM),
		GIVES("(div c0 c1)",
		      "decimal(38,0): 9999999999999999999999999999; decimal(38,0): 3333333333333333333333333333",
		      "decimal(38,10): 3.0000000000"),
		GIVES("(div c0 c1)",
		      "decimal(38,0): 99999999999999999999999999999999999999; decimal(38,0): 99999999999999999999999999999999999998",
		      "decimal(38,10): 1.0000000000"),
		FAILS("(div c0 c1)",
		      "decimal(38,0): 99999999999999999999999999999999999999; decimal(38,0): 1",
		      "value out of range: decimal(38,10) division", -ERANGE),
		GIVES("(mod c0 c1)", "decimal(5,2): 7.50 -7.50 NULL; decimal(3,1): 2 2 2",
		      "decimal(4,2): 1.50 -1.50 NULL"),
		FAILS("(mod c0 c1)", "decimal(5,2): 7.50; decimal(30,1): 0",
		      "division by zero: decimal(38,2) modulus", -EDOM),
	};

	RUN(cases);
}

TEST(ranges, "a column compared with a literal of another scale keeps exactly the right rows")
{
	static const struct eval_case cases[] = {
		GIVES("(lt c0 decimal(4,3):0.055)", "decimal(15,2): 0.05 0.06 5 NULL -1",
		      "bool: t f f NULL t"),
		GIVES("(le c0 decimal(4,3):0.055)", "decimal(15,2): 0.05 0.06 NULL",
		      "bool: t f NULL"),
		GIVES("(gt c0 decimal(4,3):0.055)", "decimal(15,2): 0.05 0.06 NULL",
		      "bool: f t NULL"),
		GIVES("(ge decimal(4,3):0.055 c0)", "decimal(15,2): 0.05 0.06 NULL",
		      "bool: t f NULL"),
		GIVES("(gt c0 decimal(4,3):-0.055)", "decimal(15,2): -0.06 -0.05 NULL",
		      "bool: f t NULL"),
		GIVES("(ge c0 decimal(4,3):-0.055)", "decimal(15,2): -0.06 -0.05 0", "bool: f t t"),
		GIVES("(lt c0 decimal(4,3):-0.055)", "decimal(15,2): -0.06 -0.05 0", "bool: t f f"),
		GIVES("(eq c0 decimal(4,3):0.050)", "decimal(15,2): 0.05 0.06 NULL",
		      "bool: t f NULL"),
		GIVES("(eq c0 decimal(4,3):0.055)", "decimal(15,2): 0.05 0.06 NULL",
		      "bool: f f NULL"),
		GIVES("(ne c0 decimal(4,3):0.055)", "decimal(15,2): 0.05 0.06 NULL",
		      "bool: t t NULL"),
		GIVES("(lt c0 decimal(38,0):99999999999999999999999999999999999999)",
		      "decimal(18,2): 9999999999999999.99 NULL", "bool: t NULL"),
		GIVES("(gt c0 decimal(38,0):-99999999999999999999999999999999999999)",
		      "decimal(18,2): 9999999999999999.99 NULL", "bool: t NULL"),
		GIVES("(gt c0 decimal(38,0):99999999999999999999999999999999999999)",
		      "decimal(18,2): 9999999999999999.99 NULL", "bool: f NULL"),
		GIVES("(lt c0 int64:-9223372036854775808)", "int64: -9223372036854775808 0",
		      "bool: f f"),
		GIVES("(ge c0 int64:-9223372036854775808)", "int64: -9223372036854775808 NULL",
		      "bool: t NULL"),
		GIVES("(gt c0 int64:9223372036854775807)", "int64: 9223372036854775807 0",
		      "bool: f f"),
		GIVES("(le c0 int8:-128)", "int8: -128 127 NULL", "bool: t f NULL"),
		GIVES("(ge c0 uint32:4294967295)", "uint32: 4294967295 1 NULL", "bool: t f NULL"),
		GIVES("(ge c0 uint64:9223372036854775808)",
		      "uint64: 18446744073709551615 9223372036854775807 NULL", "bool: t f NULL"),
		GIVES("(and (ge c0 date:1994-01-01) (lt c0 date:1995-01-01))",
		      "date: 1993-12-31 1994-01-01 1994-12-31 1995-01-01 NULL",
		      "bool: f t t f NULL"),
		GIVES("(and (ge c0 int16:5) (le c0 int16:4))", "int16: 4 5 NULL", "bool: f f NULL"),
		GIVES("(and (ge c0 int16:5) (lt c1 uint8:7) (gt c0 int16:6) (ne c0 int16:8))",
		      "int16: 5 7 8 9 NULL 9; uint8: 1 2 3 4 5 9", "bool: f t f t NULL f"),
		GIVES("(lt c0 (add int32:3 int32:4))", "int32: 6 7 NULL", "bool: t f NULL"),
		GIVES("(eq c0 timestamp(6):'2024-02-29 12:00:00')",
		      "timestamp(6): '2024-02-29 12:00:00' '2024-02-29 12:00:00.000001'",
		      "bool: t f"),
		GIVES("(and (gt c0 int32:0) (gt (div int32:10 c0) int32:3))", "int32: 0 2 5 NULL",
		      "bool: f t f NULL"),
	};

	RUN(cases);
}

TEST(logic, "AND, OR and NOT are three-valued and do not ask settled rows")
{
	static const struct eval_case cases[] = {
		GIVES("(and c0 c1)",
		      "bool: t t t f f f NULL NULL NULL; bool: t f NULL t f NULL t f NULL",
		      "bool: t f NULL f f f NULL f NULL"),
		GIVES("(or c0 c1)",
		      "bool: t t t f f f NULL NULL NULL; bool: t f NULL t f NULL t f NULL",
		      "bool: t t t t f NULL t NULL NULL"),
		GIVES("(and c0 c1 c2)", "bool: t NULL f; bool: NULL t t; bool: t f NULL",
		      "bool: NULL f f"),
		GIVES("(or c0 c1 c2)", "bool: f NULL t; bool: NULL f f; bool: f t NULL",
		      "bool: NULL t t"),
		GIVES("(not c0)", "bool: t f NULL", "bool: f t NULL"),
		GIVES("(and c0 bool:NULL)", "bool: t f NULL", "bool: NULL f NULL"),
		GIVES("(or c0 bool:NULL)", "bool: t f NULL", "bool: t NULL NULL"),
		GIVES("(and c0 bool:t)", "bool: t f NULL", "bool: t f NULL"),
		GIVES("(or (eq c0 int32:0) (gt (div int32:10 c0) int32:3))",
		      "int32: 0 2 5 NULL 0 0", "bool: t t f NULL t t"),
		GIVES("(not (and (ne c0 int32:0) (gt (div int32:10 c0) int32:3)))",
		      "int32: 0 2 5 NULL", "bool: t f t NULL"),
		GIVES("(or (and (eq c0 int32:1) (eq c1 int32:1)) (and (eq c0 int32:2) (eq c1 int32:2)))",
		      "int32: 1 1 2 2 3 NULL 1; int32: 1 2 1 2 3 1 NULL",
		      "bool: t f f t f NULL NULL"),
		GIVES("(isnull c0)", "int32: 1 NULL", "bool: f t"),
		GIVES("(isnotnull c0)", "utf8: 'a' NULL ''", "bool: t f t"),
		GIVES("(isnull (add c0 int32:1))", "int32: 1 NULL", "bool: f t"),
		GIVES("(eq c0 c1)", "bool: t f NULL; bool: t t t", "bool: t f NULL"),
		GIVES("(lt c0 bool:t)", "bool: t f NULL", "bool: f t NULL"),
		GIVES("(and (isnull int32:NULL) bool:t)", NULL, "bool: t"),
	};

	RUN(cases);
}

TEST(branches, "CASE and COALESCE evaluate an operand on the rows that take it, and no others")
{
	static const struct eval_case cases[] = {
		GIVES("(case (ne c0 int32:0) (div int32:10 c0) int32:-1)", "int32: 0 2 5 NULL",
		      "int32: -1 5 2 -1"),
		GIVES("(case (eq c0 int32:0) int32:-1 (div int32:10 c0))", "int32: 0 2 5 NULL",
		      "int32: -1 5 2 NULL"),
		GIVES("(case (eq c0 int32:0) int32:7 (gt (div int32:10 c0) int32:3) int32:8)",
		      "int32: 0 2 5 NULL", "int32: 7 8 NULL NULL"),
		GIVES("(case bool:f (div int32:1 int32:0) c0)", "int32: 3 NULL", "int32: 3 NULL"),
		GIVES("(case bool:t c0 (div int32:1 int32:0))", "int32: 3 NULL", "int32: 3 NULL"),
		FAILS("(case (isnull c0) (div int32:1 int32:0) c0)", "int32: 3 NULL",
		      "division by zero: int32 division", -EDOM),
		GIVES("(case c0 utf8:'yes' utf8:'no')", "bool: t f NULL", "utf8: 'yes' 'no' 'no'"),
		GIVES("(case c0 (concat c1 utf8:'+') c0 c1 c1)",
		      "bool: t f NULL; utf8: 'a' 'b' 'c'", "utf8: 'a+' 'b' 'c'"),
		GIVES("(case (lt c0 int8:0) bool:t (gt c0 int8:0) bool:f)", "int8: -1 0 1 NULL",
		      "bool: t NULL f NULL"),
		GIVES("(case (like c0 utf8:'PROMO%') (mul c1 (sub decimal(1,0):1 c2)) decimal(31,4):0)",
		      "utf8: 'PROMO TIN' 'SMALL' NULL 'PROMO'; decimal(15,2): 10 20 30 40; decimal(15,2): 0.1 0.2 0.3 NULL",
		      "decimal(31,4): 9.0000 0.0000 0.0000 NULL"),
		GIVES("(coalesce c0 c1 int32:9)", "int32: 1 NULL NULL; int32: 2 3 NULL",
		      "int32: 1 3 9"),
		GIVES("(coalesce c0 c1)", "int32: 1 NULL NULL; int32: 2 3 NULL", "int32: 1 3 NULL"),
		GIVES("(coalesce c0 (div int32:6 c1))", "int32: 1 NULL 1; int32: 0 3 0",
		      "int32: 1 2 1"),
		GIVES("(coalesce c0 utf8:'-')", "utf8: 'x' NULL ''", "utf8: 'x' '-' ''"),
		GIVES("(coalesce (case c0 int64:1) int64:2)", "bool: t f NULL", "int64: 1 2 2"),
		GIVES("(add (case c0 c1 int32:5) (case c0 int32:1 c1))", "bool: t f; int32: 10 20",
		      "int32: 11 25"),
		GIVES("(case c0 c1 c2)",
		      "bool: t f NULL; decimal(30,2): 1.25 2 3; decimal(30,2): 4 5.50 NULL",
		      "decimal(30,2): 1.25 5.50 NULL"),
	};

	RUN(cases);
}

int main(void)
{
	return harness_run();
}
