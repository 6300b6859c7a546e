/* SPDX-License-Identifier: MIT */
/*
 * expressions.h - an expression over a few rows, with the values or the error that must come out
 *
 * An expression is written "(add c0 int32:1)": c0 is a column, int32:1 a literal. Columns and results are
 * written "int32: 1 NULL 3". Every case is run over the same rows in many shapes (selected among rows that
 * would fail, repeated to the longest vector, dictionary-encoded, without and with a bitmap) and must give the
 * same each time.
 */
#ifndef DX_SELFTESTS_EXPRESSIONS_H
#define DX_SELFTESTS_EXPRESSIONS_H

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

#endif /* DX_SELFTESTS_EXPRESSIONS_H */
