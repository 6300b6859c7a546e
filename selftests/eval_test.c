/* SPDX-License-Identifier: MIT */
/*
 * The evaluator: expressions over a few rows, with the values or the error that must come out.
 *
 * An expression is written "(add c0 int32:1)": c0 is a column, int32:1 a literal. Columns and results are
 * written "int32: 1 NULL 3". Every case is run over the same rows in many shapes (selected among rows that
 * would fail, repeated to the longest vector, dictionary-encoded, without and with a bitmap) and must give the
 * same each time.
 */
#include "harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "batch/bits.h"
#include "batch/format.h"
#include "batch/parse.h"
#include "dsmx/plan.h"
#include "exec/eval.h"

#define COLUMNS_MAX 4
#define ROWS_MAX    16
#define TEXT_MAX    64

/* --- values as they are written ---------------------------------------------------------------------- */

struct cell {
	bool null;
	union dx_value value;
	char text[TEXT_MAX];
};

struct values {
	struct dsmx_type type;
	uint32_t rows;
	struct cell cells[ROWS_MAX];
};

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t';
}

/* The next word: up to a space or an unmatched ), quotes kept together. Returns its end. */
static const char *word_end(const char *at)
{
	int depth = 0;
	bool quoted = false;

	for (; *at != 0; at++) {
		if (*at == '\'')
			quoted = !quoted;
		if (quoted)
			continue;
		if (is_space(*at) || *at == ';' || (*at == ')' && depth == 0))
			break;
		depth += (*at == '(') - (*at == ')');
	}
	return at;
}

static const char *skip_spaces(const char *at)
{
	while (is_space(*at))
		at++;
	return at;
}

/* The bytes of a word: quotes off, \xHH and \\ resolved. */
static uint32_t unquote(const char *word, size_t len, char *out)
{
	uint32_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned int byte;

		if (word[i] == '\'')
			continue;
		if (word[i] == '\\' && word[i + 1] == 'x' &&
		    sscanf(word + i + 2, "%2x", &byte) == 1) {
			out[n++] = (char)byte;
			i += 3;
			continue;
		}
		out[n++] = word[i];
	}
	out[n] = 0;
	return n;
}

static bool read_cell(struct dsmx_type type, const char *word, size_t len, struct cell *cell)
{
	uint32_t n;

	*cell = (struct cell){ .null = len == 4 && memcmp(word, "NULL", 4) == 0 };
	if (cell->null)
		return true;
	if (len >= TEXT_MAX)
		return false;
	n = unquote(word, len, cell->text);
	if (dx_parse_value(type, cell->text, n, &cell->value) < 0)
		return false;
	if (dsmx_type_is_text(type))
		cell->value.text = (struct dx_text){ cell->text, n };
	return true;
}

/* "type: value value ..." up to ; or the end. Returns where the next may begin, NULL: cannot be read. */
static const char *read_values(const char *at, struct values *values)
{
	const char *colon = strchr(at, ':'), *end;
	char name[32] = "";

	values->rows = 0;
	at = skip_spaces(at);
	if (colon == NULL || (size_t)(colon - at) >= sizeof(name))
		return NULL;
	memcpy(name, at, (size_t)(colon - at));
	if (dsmx_type_parse(name, &values->type) < 0)
		return NULL;
	for (at = skip_spaces(colon + 1); *at != 0 && *at != ';'; at = skip_spaces(end)) {
		end = word_end(at);
		if (values->rows == ROWS_MAX || end == at ||
		    !read_cell(values->type, at, (size_t)(end - at), &values->cells[values->rows]))
			return NULL;
		values->rows++;
	}
	return *at == ';' ? at + 1 : at;
}

/* --- expressions as they are written ----------------------------------------------------------------- */

static const struct {
	const char *name;
	enum dsmx_function function;
} functions[] = {
	{ "add", DSMX_FN_ADD },
	{ "sub", DSMX_FN_SUBTRACT },
	{ "mul", DSMX_FN_MULTIPLY },
	{ "div", DSMX_FN_DIVIDE },
	{ "mod", DSMX_FN_MODULUS },
	{ "neg", DSMX_FN_NEGATE },
	{ "abs", DSMX_FN_ABS },
	{ "eq", DSMX_FN_EQUAL },
	{ "ne", DSMX_FN_NOT_EQUAL },
	{ "lt", DSMX_FN_LT },
	{ "le", DSMX_FN_LTE },
	{ "gt", DSMX_FN_GT },
	{ "ge", DSMX_FN_GTE },
	{ "isnull", DSMX_FN_IS_NULL },
	{ "isnotnull", DSMX_FN_IS_NOT_NULL },
	{ "and", DSMX_FN_AND },
	{ "or", DSMX_FN_OR },
	{ "not", DSMX_FN_NOT },
	{ "like", DSMX_FN_LIKE },
	{ "substring", DSMX_FN_SUBSTRING },
	{ "lower", DSMX_FN_LOWER },
	{ "upper", DSMX_FN_UPPER },
	{ "concat", DSMX_FN_CONCAT },
	{ "length", DSMX_FN_CHAR_LENGTH },
	{ "coalesce", DSMX_FN_COALESCE },
	{ "extract", DSMX_FN_EXTRACT },
};

struct reader {
	struct dsmx_plan *plan;
	struct dsmx_rel *input;
	const char *at;
};

static struct dsmx_expr *read_expr(struct reader *reader);

static struct dsmx_expr *read_atom(struct reader *reader)
{
	const char *word = reader->at, *end = word_end(word), *colon;
	struct dsmx_type type;
	char name[32] = "", text[TEXT_MAX];
	uint32_t len;

	reader->at = end;
	if (word[0] == 'c' && word[1] >= '0' && word[1] <= '9' && end == word + 2)
		return dsmx_expr_column(reader->plan, reader->input, (uint32_t)(word[1] - '0'));
	colon = memchr(word, ':', (size_t)(end - word));
	if (colon == NULL || (size_t)(colon - word) >= sizeof(name))
		return NULL;
	memcpy(name, word, (size_t)(colon - word));
	if (dsmx_type_parse(name, &type) < 0)
		return NULL;
	len = unquote(colon + 1, (size_t)(end - colon - 1), text);
	if (strcmp(text, "NULL") == 0)
		return dsmx_expr_literal(reader->plan, type, NULL);
	if (type.id == DSMX_UTF8)
		return dsmx_expr_utf8(reader->plan, text, len);
	return dsmx_expr_literal(reader->plan, type, text);
}

static struct dsmx_expr *make_case(struct dsmx_plan *plan, struct dsmx_expr **args, uint32_t count)
{
	struct dsmx_expr *when[8], *then[8];

	for (uint32_t i = 0; i < count / 2; i++) {
		when[i] = args[2 * i];
		then[i] = args[2 * i + 1];
	}
	return dsmx_expr_case(plan, when, then, count / 2, count % 2 ? args[count - 1] : NULL);
}

static struct dsmx_expr *make_call(struct reader *reader, const char *name, size_t len,
                                   struct dsmx_expr **args, uint32_t count)
{
	if (len == 4 && memcmp(name, "case", 4) == 0)
		return make_case(reader->plan, args, count);
	if (len == 2 && memcmp(name, "in", 2) == 0)
		return dsmx_expr_in(reader->plan, args[0], args + 1, count - 1);
	for (size_t i = 0; i < DX_ARRAY_LEN(functions); i++) {
		if (strlen(functions[i].name) == len && memcmp(functions[i].name, name, len) == 0)
			return dsmx_expr_call(reader->plan, functions[i].function, args, count);
	}
	return NULL;
}

static struct dsmx_expr *read_cast(struct reader *reader)
{
	struct dsmx_expr *arg = read_expr(reader);
	const char *word = skip_spaces(reader->at), *end = word_end(word);
	struct dsmx_type type;
	char name[32] = "";

	memcpy(name, word, (size_t)(end - word));
	reader->at = skip_spaces(end) + 1;
	return dsmx_type_parse(name, &type) == 0 ? dsmx_expr_cast(reader->plan, arg, type) : NULL;
}

static struct dsmx_expr *read_expr(struct reader *reader)
{
	struct dsmx_expr *args[40];
	const char *name;
	uint32_t count = 0;
	size_t len;

	reader->at = skip_spaces(reader->at);
	if (*reader->at != '(')
		return read_atom(reader);
	name = ++reader->at;
	reader->at = word_end(name);
	len = (size_t)(reader->at - name);
	if (len == 4 && memcmp(name, "cast", 4) == 0)
		return read_cast(reader);
	while (*(reader->at = skip_spaces(reader->at)) != ')' && *reader->at != 0 && count < 40)
		args[count++] = read_expr(reader);
	reader->at += *reader->at == ')';
	return make_call(reader, name, len, args, count);
}

/* --- batches ----------------------------------------------------------------------------------------- */

/* How the rows of a case are laid out. */
struct shape {
	const char *name;
	uint32_t repeat;  /* so many times all rows */
	uint32_t between; /* before each row so many that are not selected */
	bool dictionary;  /* texts by dictionary */
	bool bitmaps;     /* also where no row is null */
};

static const struct shape shapes[] = {
	{ "dense", 1, 0, false, false },
	{ "dense with bitmaps", 1, 0, false, true },
	{ "selected among others", 1, 1, false, false },
	{ "selected among many", 1, 11, false, true },
	{ "by dictionary", 1, 0, true, false },
	{ "by dictionary, selected", 1, 2, true, true },
	{ "longest", 0, 0, false, false },
	{ "longest, by dictionary", 0, 0, true, false },
	{ "longest, selected", 0, 3, false, false },
	{ "longest, by dictionary, selected", 0, 1, true, false },
};

struct layout {
	struct dsmx_batch batch;
	struct dsmx_column columns[COLUMNS_MAX];
	uint32_t *selection;
	void *memory[COLUMNS_MAX][4];
};

/* The row of the case that a row of the batch shows; -1: one that is not selected. */
static int case_row(const struct shape *shape, uint32_t rows, uint32_t row)
{
	uint32_t step = shape->between + 1;

	return row % step == shape->between ? (int)(row / step % rows) : -1;
}

/* A value for rows that nobody asked for: null, or one that makes every calculation fail. */
static struct cell unwanted(struct dsmx_type type, uint32_t row)
{
	struct cell cell = { .null = row % 3 == 0 };

	if (dsmx_type_is_text(type))
		cell.value.text = (struct dx_text){ "no number", 9 };
	else if (type.id == DSMX_DECIMAL)
		cell.value.d = row % 2 == 0 ? 0 : 999999999999999999;
	else if (type.id == DSMX_FLOAT32 || type.id == DSMX_FLOAT64)
		cell.value.f = row % 2 == 0 ? 0 : 3e38;
	else if (type.id != DSMX_BOOL)
		cell.value.i = row % 2 == 0 ? 0 : INT64_MIN ^ -1;
	return cell;
}

static void lay_texts(struct layout *layout, uint32_t c, const struct values *values,
                      const struct shape *shape, uint32_t rows)
{
	bool large = values->type.id == DSMX_LARGE_UTF8;
	uint32_t entries = shape->dictionary ? values->rows + 1 : rows, at = 0;
	int64_t *large_offsets = calloc(entries + 1UL, 8);
	int32_t *offsets = (int32_t *)(void *)large_offsets, *codes = NULL;
	char *bytes = calloc(entries + 1UL, TEXT_MAX);

	for (uint32_t i = 0; i < entries; i++) {
		int of = shape->dictionary ? (int)i : case_row(shape, values->rows, i);
		struct cell cell = unwanted(values->type, i);

		if (of >= 0 && of < (int)values->rows)
			cell = values->cells[of];
		if (!cell.null) {
			memcpy(bytes + at, cell.value.text.bytes, cell.value.text.len);
			at += cell.value.text.len;
		}
		if (large)
			large_offsets[i + 1] = at;
		else
			offsets[i + 1] = (int32_t)at;
	}
	if (shape->dictionary) {
		codes = calloc(rows, sizeof(*codes));
		for (uint32_t row = 0; row < rows; row++) {
			int of = case_row(shape, values->rows, row);

			codes[row] = of < 0 ? (int)values->rows : of;
		}
	}
	layout->columns[c].values = layout->memory[c][0] = large_offsets;
	layout->columns[c].bytes = layout->memory[c][1] = bytes;
	layout->columns[c].codes = layout->memory[c][2] = codes;
	layout->columns[c].dictionary_length = shape->dictionary ? entries : 0;
}

static void lay_column(struct layout *layout, uint32_t c, const struct values *values,
                       const struct shape *shape, uint32_t rows)
{
	size_t width = dsmx_type_width(values->type);
	uint8_t *bits = calloc(rows / 8 + 1, 1), *fixed = calloc(rows + 1UL, width + 1);
	bool nulls = shape->bitmaps;

	for (uint32_t row = 0; row < rows; row++) {
		int of = case_row(shape, values->rows, row);
		struct cell cell = of < 0 ? unwanted(values->type, row) : values->cells[of];

		nulls |= cell.null;
		dx_bit_put(bits, row, !cell.null);
		if (cell.null && !dsmx_type_is_text(values->type))
			cell = unwanted(values->type, 3 * row + 1); /* what lies under a null */
		if (values->type.id == DSMX_BOOL)
			dx_bit_put(fixed, row, cell.value.i != 0);
		else if (width > 0)
			dx_value_store(values->type, &cell.value, fixed + row * width);
	}
	layout->columns[c].values = layout->memory[c][0] = fixed;
	layout->memory[c][3] = bits;
	layout->columns[c].validity = nulls ? bits : NULL;
	if (dsmx_type_is_text(values->type)) {
		free(fixed);
		lay_texts(layout, c, values, shape, rows);
	}
}

static void lay_out(struct layout *layout, const struct values *columns, uint32_t count,
                    const struct shape *shape)
{
	uint32_t step = shape->between + 1, rows = count > 0 ? columns[0].rows : 1;
	uint32_t repeat = shape->repeat > 0 ? shape->repeat : DX_VECTOR_ROWS / (rows * step);
	uint32_t length = repeat * rows * step, selected = 0;

	*layout = (struct layout){ .selection = calloc(length, sizeof(uint32_t)) };
	for (uint32_t c = 0; c < count; c++)
		lay_column(layout, c, &columns[c], shape, length);
	for (uint32_t row = 0; row < length; row++) {
		if (case_row(shape, rows, row) >= 0)
			layout->selection[selected++] = row;
	}
	layout->batch = (struct dsmx_batch){ .length = length,
		                             .selected = selected,
		                             .column_count = count,
		                             .columns = layout->columns };
	if (step > 1)
		layout->batch.selection = layout->selection;
}

static void lay_down(struct layout *layout)
{
	for (uint32_t c = 0; c < COLUMNS_MAX; c++) {
		for (uint32_t i = 0; i < 4; i++)
			free(layout->memory[c][i]);
	}
	free(layout->selection);
}

/* --- comparing --------------------------------------------------------------------------------------- */

static void cell_print(struct dsmx_type type, const struct cell *cell, char *out, size_t len)
{
	char text[DX_FORMAT_BYTES];

	if (cell->null) {
		(void)snprintf(out, len, "NULL");
	} else if (dsmx_type_is_text(type)) {
		(void)snprintf(out, len, "'%.*s'", (int)cell->value.text.len,
		               cell->value.text.bytes);
	} else {
		(void)dx_format_value(type, &cell->value, text);
		(void)snprintf(out, len, "%s", text);
	}
}

static struct cell cell_of(const struct dx_vector *vector, uint32_t i)
{
	struct cell cell = { .null = vector->valid != NULL && !vector->valid[i] };

	if (cell.null)
		return cell;
	if (dsmx_type_is_text(vector->type))
		cell.value.text = ((const struct dx_text *)vector->values)[i];
	else
		dx_value_load(vector->type,
		              (const uint8_t *)vector->values + i * dx_vector_width(vector->type),
		              &cell.value);
	return cell;
}

/* --- cases ------------------------------------------------------------------------------------------- */

struct eval_case {
	const char *expr;
	const char *columns; /* NULL: one row, no columns */
	const char *want;    /* values, or the sentence of an error */
	int code;
};

#define GIVES(expr, columns, want)       { expr, columns, want, 0 }
#define FAILS(expr, columns, want, code) { expr, columns, want, code }

struct prepared {
	struct values columns[COLUMNS_MAX], want;
	uint32_t column_count;
	struct dsmx_plan *plan;
	struct dsmx_expr *expr;
};

static bool complain(const struct eval_case *c, const char *where, const char *what)
{
	printf("# %s over %s (%s): %s\n", c->expr, c->columns != NULL ? c->columns : "nothing",
	       where, what);
	return false;
}

static bool prepare(const struct eval_case *c, struct prepared *p)
{
	struct dsmx_field fields[COLUMNS_MAX] = { 0 };
	struct dsmx_schema schema = { .fields = fields };
	struct reader reader = { .at = c->expr };
	struct dsmx_error err = { 0 };
	const char *at = c->columns;

	*p = (struct prepared){ 0 };
	while (at != NULL && *at != 0) {
		at = read_values(at, &p->columns[p->column_count]);
		if (at == NULL)
			return complain(c, "test", "columns cannot be read");
		fields[p->column_count] = (struct dsmx_field){
			.name = "c", .type = p->columns[p->column_count].type, .nullable = true
		};
		p->column_count++;
	}
	if (c->code == 0 && read_values(c->want, &p->want) == NULL)
		return complain(c, "test", "what is wanted cannot be read");
	schema.field_count = p->column_count;
	if (schema.field_count == 0) { /* a relation has a column */
		fields[0] = (struct dsmx_field){ .name = "c", .type = { .id = DSMX_INT8 } };
		schema.field_count = 1;
	}
	if (dsmx_plan_new(&p->plan) < 0)
		return complain(c, "test", "no memory");
	reader.plan = p->plan;
	reader.input = dsmx_rel_leaf(p->plan, "rows", &schema);
	p->expr = read_expr(&reader);
	if (dsmx_plan_error(p->plan, &err) < 0 || p->expr == NULL)
		return complain(c, "test", err.code != 0 ? err.message : "no such expression");
	return true;
}

static bool compare(const struct eval_case *c, const struct prepared *p, const struct shape *shape,
                    const struct dx_vector *vector, uint32_t rows)
{
	if (!dsmx_type_equal(vector->type, p->want.type))
		return complain(c, shape->name, "it has another type");
	for (uint32_t i = 0; i < rows; i++) {
		const struct cell *want = &p->want.cells[i % p->want.rows];
		struct cell is = cell_of(vector, i);
		char text[2][2 * TEXT_MAX], what[6 * TEXT_MAX];

		cell_print(vector->type, &is, text[0], sizeof(text[0]));
		cell_print(vector->type, want, text[1], sizeof(text[1]));
		if (strcmp(text[0], text[1]) == 0)
			continue;
		(void)snprintf(what, sizeof(what), "row %u is %s, not %s", i, text[0], text[1]);
		return complain(c, shape->name, what);
	}
	return true;
}

/* As a condition: the rows for which it is true. */
static bool compare_selected(const struct eval_case *c, const struct prepared *p,
                             const struct shape *shape, struct dx_eval *eval,
                             const struct dsmx_batch *batch)
{
	uint32_t *rows = calloc(batch->selected + 1UL, sizeof(*rows)), count = 0, k = 0;
	struct dsmx_error err;
	bool ok = dx_eval_select(eval, batch, rows, &count, &err) == 0;

	for (uint32_t i = 0; ok && i < batch->selected; i++) {
		const struct cell *want = &p->want.cells[i % p->want.rows];
		uint32_t row = batch->selection != NULL ? batch->selection[i] : i;

		if (!want->null && want->value.i != 0)
			ok = k < count && rows[k++] == row;
	}
	free(rows);
	return ok && k == count ? true : complain(c, shape->name, "it selects other rows");
}

static bool run_shape(const struct eval_case *c, const struct prepared *p, struct dx_eval *eval,
                      const struct shape *shape)
{
	struct layout layout;
	struct dsmx_error err = { 0 };
	struct dx_vector vector;
	bool ok;
	int code;

	lay_out(&layout, p->columns, p->column_count, shape);
	code = dx_eval_run(eval, &layout.batch, &vector, &err);
	if (code != c->code)
		ok = complain(c, shape->name, code < 0 ? err.message : "it did not fail");
	else if (code < 0)
		ok = strcmp(err.message, c->want) == 0 || complain(c, shape->name, err.message);
	else
		ok = compare(c, p, shape, &vector, layout.batch.selected) &&
		     (vector.type.id != DSMX_BOOL ||
		      compare_selected(c, p, shape, eval, &layout.batch));
	lay_down(&layout);
	return ok;
}

static bool run_case(const struct eval_case *c)
{
	struct prepared p;
	struct dx_eval *eval = NULL;
	struct dsmx_error err = { 0 };
	bool ok = prepare(c, &p);

	if (ok && dx_eval_new(p.expr, &eval, &err) < 0)
		ok = complain(c, "compiling", err.message);
	for (size_t i = 0; ok && i < DX_ARRAY_LEN(shapes); i++)
		ok = run_shape(c, &p, eval, &shapes[i]);
	dx_eval_free(eval);
	dsmx_plan_free(p.plan);
	return ok;
}

static bool run_cases(const struct eval_case *cases, size_t count)
{
	bool ok = true;

	for (size_t i = 0; i < count; i++)
		ok &= run_case(&cases[i]);
	return ok;
}

#define RUN(cases) CHECK_EQ(run_cases(cases, DX_ARRAY_LEN(cases)), true)

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

int main(void)
{
	return harness_run();
}
