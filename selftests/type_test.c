/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "batch/bits.h"
#include "batch/calendar.h"
#include "batch/format.h"
#include "batch/parse.h"
#include "batch/schema.h"
#include "harness.h"

/* A row of the tables below: the text of @type is read, and the value written as @want. */
struct row {
	const char *type;
	const char *text;
	const char *want; /* NULL: reading fails with @code */
	int code;
};

static bool row_holds(const struct row *row)
{
	struct dsmx_type type;
	union dx_value value;
	char buf[DX_FORMAT_BYTES] = "";
	int ret = dsmx_type_parse(row->type, &type);

	if (ret == 0)
		ret = dx_parse_value(type, row->text, strlen(row->text), &value);
	if (ret == 0 && (dx_format_value(type, &value, buf) != strlen(buf)))
		ret = -EIO;
	if (ret == row->code && (row->want == NULL || strcmp(buf, row->want) == 0))
		return true;
	printf("# %s '%s': %d '%s'\n", row->type, row->text, ret, buf);
	return false;
}

#define CHECK_ROWS(rows)                                                                           \
	do {                                                                                       \
		for (size_t i_ = 0; i_ < sizeof(rows) / sizeof((rows)[0]); i_++)                   \
			CHECK_EQ(row_holds(&(rows)[i_]), true);                                    \
	} while (0)

TEST(type_names, "every type's name is read back, aliases too, and what is no name refused")
{
	static const struct {
		const char *text, *name;
	} rows[] = {
		{ "bool", "bool" },
		{ " INTEGER ", "int32" },
		{ "bigint", "int64" },
		{ "double  precision", NULL },
		{ "double precision", "float64" },
		{ "decimal( 15 , 2 )", "decimal(15,2)" },
		{ "numeric(38)", "decimal(38,0)" },
		{ "date32", "date" },
		{ "timestamp", "timestamp(6)" },
		{ "timestamptz(9)", "timestamptz(9)" },
		{ "string", "utf8" },
		{ "large_utf8", "large_utf8" },
		{ "bytea", "binary" },
		{ "", NULL },
		{ "in", NULL },
		{ "int33", NULL },
		{ "int32(4)", NULL },
		{ "decimal", NULL },
		{ "decimal()", NULL },
		{ "decimal(0)", NULL },
		{ "decimal(39)", NULL },
		{ "decimal(3,4)", NULL },
		{ "decimal(3,-1)", NULL },
		{ "decimal(3,1,1)", NULL },
		{ "decimal(3,1", NULL },
		{ "decimal(3,1))", NULL },
		{ "decimal(003)", NULL },
		{ "timestamp(4)", NULL },
		{ "timestamp(10)", NULL },
	};
	char buf[24];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dsmx_type type = { 0 }, again;
		int ret = dsmx_type_parse(rows[i].text, &type);

		CHECK_EQ(ret, rows[i].name == NULL ? -EINVAL : 0);
		if (ret < 0)
			continue;
		CHECK_EQ(strcmp(dsmx_type_format(type, buf, sizeof(buf)), rows[i].name), 0);
		CHECK_EQ(dsmx_type_parse(buf, &again), 0);
		CHECK_EQ(dsmx_type_equal(type, again), true);
	}
}

TEST(type_widths, "widths: 8 bytes for decimals of 18 digits, 16 for 19, none for bool and text")
{
	static const struct {
		const char *name;
		size_t width;
	} rows[] = {
		{ "bool", 0 },         { "int8", 1 },           { "uint16", 2 },
		{ "float32", 4 },      { "float64", 8 },        { "date", 4 },
		{ "timestamp(0)", 8 }, { "decimal(18,18)", 8 }, { "decimal(19,0)", 16 },
		{ "utf8", 0 },         { "binary", 0 },
	};
	struct dsmx_type type;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_EQ(dsmx_type_parse(rows[i].name, &type), 0);
		CHECK_EQ(dsmx_type_width(type), rows[i].width);
	}
}

TEST(integers, "integers reach their limits and no further")
{
	static const struct row rows[] = {
		{ "int8", "127", "127", 0 },
		{ "int8", "-128", "-128", 0 },
		{ "int8", "128", NULL, -ERANGE },
		{ "int8", "-129", NULL, -ERANGE },
		{ "uint8", "255", "255", 0 },
		{ "uint8", "256", NULL, -ERANGE },
		{ "uint8", "-1", NULL, -ERANGE },
		{ "uint8", "-0", "0", 0 },
		{ "int32", " +2147483647\n", "2147483647", 0 },
		{ "int32", "-2147483649", NULL, -ERANGE },
		{ "int64", "-9223372036854775808", "-9223372036854775808", 0 },
		{ "int64", "9223372036854775808", NULL, -ERANGE },
		{ "uint64", "18446744073709551615", "18446744073709551615", 0 },
		{ "uint64", "18446744073709551616", NULL, -ERANGE },
		{ "int64", "99999999999999999999999999", NULL, -ERANGE },
		{ "int32", "", NULL, -EINVAL },
		{ "int32", "-", NULL, -EINVAL },
		{ "int32", "--1", NULL, -EINVAL },
		{ "int32", "1x", NULL, -EINVAL },
		{ "int32", "1 2", NULL, -EINVAL },
		{ "int32", "99999999999x", NULL, -EINVAL },
		{ "bool", "TRUE", "true", 0 },
		{ "bool", "off", "false", 0 },
		{ "bool", "2", NULL, -EINVAL },
	};

	CHECK_ROWS(rows);
}

TEST(decimals, "decimals are exact, and refused if digits would be lost")
{
	static const struct row rows[] = {
		{ "decimal(15,2)", "-12.5", "-12.50", 0 },
		{ "decimal(15,2)", ".5", "0.50", 0 },
		{ "decimal(15,2)", "5.", "5.00", 0 },
		{ "decimal(15,2)", "-0", "0.00", 0 },
		{ "decimal(15,2)", "-0.01", "-0.01", 0 },
		{ "decimal(15,2)", "0.000", "0.00", 0 },
		{ "decimal(15,2)", "1.1200000000000000000000000000000000000000000000", "1.12", 0 },
		{ "decimal(15,2)", "1.125", NULL, -ERANGE },
		{ "decimal(15,2)", "9999999999999.99", "9999999999999.99", 0 },
		{ "decimal(15,2)", "10000000000000", NULL, -ERANGE },
		{ "decimal(15,2)", "125e-2", "1.25", 0 },
		{ "decimal(15,2)", "1.25E+3", "1250.00", 0 },
		{ "decimal(15,2)", "0e99999999999999999999", "0.00", 0 },
		{ "decimal(15,2)", "1e99999999999999999999", NULL, -ERANGE },
		{ "decimal(15,2)", "1e-9223372036854775808", NULL, -ERANGE },
		{ "decimal(38,0)", "99999999999999999999999999999999999999",
		  "99999999999999999999999999999999999999", 0 },
		{ "decimal(38,0)", "100000000000000000000000000000000000000", NULL, -ERANGE },
		{ "decimal(38,0)", "340282366920938463463374607431768211457", NULL, -ERANGE },
		{ "decimal(38,38)", "-0.00000000000000000000000000000000000001",
		  "-0.00000000000000000000000000000000000001", 0 },
		{ "decimal(20,0)", "18446744073709551616", "18446744073709551616", 0 },
		{ "decimal(3,1)", "", NULL, -EINVAL },
		{ "decimal(3,1)", ".", NULL, -EINVAL },
		{ "decimal(3,1)", "-", NULL, -EINVAL },
		{ "decimal(3,1)", "1.2.3", NULL, -EINVAL },
		{ "decimal(3,1)", "1e", NULL, -EINVAL },
		{ "decimal(3,1)", "e1", NULL, -EINVAL },
		{ "decimal(3,1)", "1,2", NULL, -EINVAL },
		{ "decimal(3,1)", "nan", NULL, -EINVAL },
	};

	CHECK_ROWS(rows);
}

TEST(floats, "floats are read to the nearest and written with the fewest digits, in any locale")
{
	static const struct row rows[] = {
		{ "float64", "0.1", "0.1", 0 },
		{ "float64", "-0", "-0", 0 },
		{ "float64", "1e14", "100000000000000", 0 },
		{ "float64", "1e15", "1e+15", 0 },
		{ "float64", "0.0001", "0.0001", 0 },
		{ "float64", "0.00001234", "1.234e-05", 0 },
		{ "float64", "123456.789", "123456.789", 0 },
		{ "float64", "0.30000000000000004", "0.30000000000000004", 0 },
		{ "float64", "179769313486231570814527423731704356798070e267",
		  "1.7976931348623157e+308", 0 },
		{ "float64", "5e-324", "5e-324", 0 },
		{ "float64", "9007199254740993", "9.007199254740992e+15", 0 },
		{ "float64", "1e309", NULL, -ERANGE },
		{ "float64", "1e-400", NULL, -ERANGE },
		{ "float64", "0e-400", "0", 0 },
		{ "float64", "Infinity", "Infinity", 0 },
		{ "float64", "-inf", "-Infinity", 0 },
		{ "float64", "nan", "NaN", 0 },
		{ "float32", "0.1", "0.1", 0 },
		{ "float32", "16777217", "1.6777216e+07", 0 },
		{ "float32", "1e-45", "1e-45", 0 },
		{ "float32", "123456", "123456", 0 },
		{ "float32", "1e39", NULL, -ERANGE },
		{ "float64", "0x10", NULL, -EINVAL },
		{ "float64", "1.5f", NULL, -EINVAL },
		{ "float64", "", NULL, -EINVAL },
		{ "float64", "infinit", NULL, -EINVAL },
	};

	CHECK_ROWS(rows);
	if (setlocale(LC_NUMERIC, "de_DE.UTF-8") != NULL) {
		CHECK_ROWS(rows);
		setlocale(LC_NUMERIC, "C");
	}
}

TEST(dates, "dates and timestamps follow the calendar, before year 1 and at their limits too")
{
	static const struct row rows[] = {
		{ "date", "1970-01-01", "1970-01-01", 0 },
		{ "date", "2000-02-29", "2000-02-29", 0 },
		{ "date", "1900-02-29", NULL, -EINVAL },
		{ "date", "2023-04-31", NULL, -EINVAL },
		{ "date", "2023-13-01", NULL, -EINVAL },
		{ "date", "2023-00-01", NULL, -EINVAL },
		{ "date", "2023-1-01", NULL, -EINVAL },
		{ "date", "0000-01-01", NULL, -EINVAL },
		{ "date", "0001-01-01", "0001-01-01", 0 },
		{ "date", "0001-12-31 BC", "0001-12-31 BC", 0 },
		{ "date", "0001-02-29 BC", "0001-02-29 BC", 0 },
		{ "date", "5881580-07-11", "5881580-07-11", 0 },
		{ "date", "5881580-07-12", NULL, -ERANGE },
		{ "date", "1995-03-15x", NULL, -EINVAL },
		{ "timestamp(6)", "2024-02-29 12:30:00.5", "2024-02-29 12:30:00.5", 0 },
		{ "timestamp(6)", "2024-02-29T12:30", "2024-02-29 12:30:00", 0 },
		{ "timestamp(0)", "1969-12-31 23:59:59", "1969-12-31 23:59:59", 0 },
		{ "timestamp(3)", "1969-12-31 23:59:59.999", "1969-12-31 23:59:59.999", 0 },
		{ "timestamp(3)", "2024-01-01 00:00:00.0010000", "2024-01-01 00:00:00.001", 0 },
		{ "timestamp(3)", "2024-01-01 00:00:00.0001", NULL, -ERANGE },
		{ "timestamp(3)", "2024-01-01 00:00:00.0001x", NULL, -EINVAL },
		{ "timestamp(9)", "2262-04-11 23:47:16.854775807", "2262-04-11 23:47:16.854775807",
		  0 },
		{ "timestamp(9)", "2262-04-11 23:47:16.854775808", NULL, -ERANGE },
		{ "timestamp(9)", "2263-01-01", NULL, -ERANGE },
		{ "timestamp(6)", "2024-01-01 24:00:00", NULL, -EINVAL },
		{ "timestamp(6)", "2024-01-01 12:60", NULL, -EINVAL },
		{ "timestamp(6)", "2024-01-01 12:00:00.", NULL, -EINVAL },
		{ "timestamp(6)", "2024-01-01 12:00:00Z", NULL, -EINVAL },
		{ "timestamptz(6)", "2024-01-01 12:00:00Z", "2024-01-01 12:00:00+00", 0 },
		{ "timestamptz(6)", "2024-01-01 00:30:00+02", "2023-12-31 22:30:00+00", 0 },
		{ "timestamptz(6)", "2024-01-01 00:30:00.25-0330", "2024-01-01 04:00:00.25+00", 0 },
		{ "timestamptz(6)", "2024-01-01 00:30:00+02:", NULL, -EINVAL },
	};

	CHECK_ROWS(rows);
}

TEST(calendar, "each day of 1000 years follows the one before it")
{
	struct dx_date last = dx_date_of_days(-500000), date;

	CHECK_EQ(dx_days_of_date((struct dx_date){ 1970, 1, 1 }), 0);
	CHECK_EQ(dx_days_of_date((struct dx_date){ 2000, 3, 1 }), 11017);
	for (int64_t days = -499999; days < -100000; days++, last = date) {
		bool ends = last.day == dx_month_days(last.year, last.month);

		date = dx_date_of_days(days);
		CHECK_EQ(dx_days_of_date(date), days);
		CHECK_EQ(date.day, ends ? 1 : last.day + 1);
		CHECK_EQ(date.month, ends ? last.month % 12 + 1 : last.month);
		CHECK_EQ(date.year, last.year + (ends && last.month == 12));
	}
}

TEST(storing, "a value put into a column's place is loaded and shown again")
{
	static const struct row rows[] = {
		{ "int8", "-5", "-5", 0 },
		{ "uint16", "65535", "65535", 0 },
		{ "uint32", "4294967295", "4294967295", 0 },
		{ "float32", "-1.5", "-1.5", 0 },
		{ "float64", "2.25", "2.25", 0 },
		{ "decimal(5,2)", "-1.25", "-1.25", 0 },
		{ "decimal(20,2)", "-1.25", "-1.25", 0 },
		{ "date", "0044-03-15 BC", "0044-03-15 BC", 0 },
		{ "bool", "yes", "true", 0 },
		{ "timestamptz(0)", "1960-01-01", "1960-01-01 00:00:00+00", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_Alignas(16) uint8_t values[48];
		struct dsmx_column column = { .values = values };
		struct dsmx_type type;
		char buf[64];

		memset(values, 0xff, sizeof(values));
		CHECK_EQ(dsmx_type_parse(rows[i].type, &type), 0);
		CHECK_EQ(dsmx_value_parse(type, rows[i].text, strlen(rows[i].text),
		                          values + dsmx_type_width(type)),
		         0);
		if (type.id == DSMX_BOOL)
			values[0] = (uint8_t)(values[0] << 1);
		CHECK_EQ(dsmx_column_format(type, &column, 1, buf, sizeof(buf)),
		         strlen(rows[i].want));
		CHECK_EQ(strcmp(buf, rows[i].want), 0);
	}
}

TEST(texts, "text is shown as it is, binary in hexadecimal, both cut to the room there is")
{
	static const int32_t offsets[3] = { 0, 0, 5 };
	static const uint8_t valid[1] = { 2 };
	static const struct dsmx_column column = { valid, offsets, (const uint8_t *)"hello", NULL,
		                                   0 };
	const struct dsmx_type text = { .id = DSMX_UTF8 }, binary = { .id = DSMX_BINARY };
	char buf[16];

	CHECK_EQ(dsmx_column_is_null(&column, 0), true);
	CHECK_EQ(dsmx_column_is_null(&column, 1), false);
	CHECK_EQ(dsmx_column_format(text, &column, 1, buf, sizeof(buf)), 5);
	CHECK_EQ(strcmp(buf, "hello"), 0);
	CHECK_EQ(dsmx_column_format(text, &column, 1, buf, 3), 5);
	CHECK_EQ(strcmp(buf, "he"), 0);
	CHECK_EQ(dsmx_column_format(text, &column, 1, NULL, 0), 5);
	CHECK_EQ(dsmx_column_format(binary, &column, 1, buf, sizeof(buf)), 12);
	CHECK_EQ(strcmp(buf, "\\x68656c6c6f"), 0);
	CHECK_EQ(dsmx_column_format(binary, &column, 1, buf, 6), 12);
	CHECK_EQ(strcmp(buf, "\\x686"), 0);
	CHECK_EQ(dsmx_column_format(text, &column, 0, buf, sizeof(buf)), 0);
}

TEST(schema_copy, "a copied schema lives on its own")
{
	char name[] = "price";
	struct dsmx_field fields[2] = { { name, { .id = DSMX_DECIMAL, .precision = 5 }, true },
		                        { "", { .id = DSMX_UTF8 }, false } };
	struct dsmx_schema schema = { 2, fields }, copy;

	CHECK_EQ(dx_schema_copy(&schema, &copy), 0);
	name[0] = 'x';
	CHECK_EQ(strcmp(copy.fields[0].name, "price"), 0);
	CHECK_EQ(strcmp(copy.fields[1].name, ""), 0);
	CHECK_EQ(dx_schema_types_equal(&schema, &copy), true);
	fields[0].type.scale = 1;
	CHECK_EQ(dx_schema_types_equal(&schema, &copy), false);
	dsmx_schema_free(&copy);
	CHECK_EQ(copy.fields == NULL, true);
}

TEST(bit_copies, "bitmaps are copied, filled and counted at every pair of bit places")
{
	uint8_t src[8], dst[8];

	for (unsigned int i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)(i * 37 + 11);
	for (uint64_t from = 0; from < 16; from++) {
		for (uint64_t to = 0; to < 16; to++) {
			for (uint64_t count = 0; count <= 64 - (from > to ? from : to); count++) {
				uint64_t ones = 0;

				memset(dst, 0x5a, sizeof(dst));
				dx_bits_copy(dst, to, src, from, count);
				for (uint64_t i = 0; i < to; i++)
					CHECK_EQ(dx_bit_get(dst, i), 0x5a >> (i & 7) & 1);
				for (uint64_t i = 0; i < count; i++) {
					CHECK_EQ(dx_bit_get(dst, to + i),
					         dx_bit_get(src, from + i));
					ones += dx_bit_get(src, from + i);
				}
				CHECK_EQ(dx_bits_count(dst, to, count), ones);
				dx_bits_fill(dst, to, count);
				CHECK_EQ(dx_bits_count(dst, to, count), count);
			}
		}
	}
}

int main(void)
{
	return harness_run();
}
