/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <wchar.h>

#include "common/str.h"

#define CELL_MAX 512

void table_init(struct table *t, const char *const *headings)
{
	*t = (struct table){0};
	while (headings[t->columns] && t->columns < TABLE_COLUMNS_MAX) {
		t->right[t->columns] = *headings[t->columns] == '>';
		t->columns++;
	}
	for (unsigned i = 0; i < t->columns; i++)
		table_cell(t, headings[i] + t->right[i]);
}

void table_fini(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){0};
}

void table_cell(struct table *t, const char *text)
{
	char safe[CELL_MAX];

	if (t->n == t->cap) {
		size_t cap = MAX_OF(t->cap * 2, (size_t)64);
		char **more = reallocarray(t->cells, cap, sizeof(*more));

		if (!more) {
			t->failed = true;
			return;
		}
		t->cells = more;
		t->cap = cap;
	}
	if (!text)
		text = "-";
	str_safe(safe, sizeof(safe), text, strlen(text));
	t->cells[t->n] = strdup(safe);
	if (t->cells[t->n])
		t->n++;
	else
		t->failed = true;
}

void table_printf(struct table *t, const char *fmt, ...)
{
	char text[CELL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	table_cell(t, text);
}

/* Columns on the terminal; bytes where the locale cannot tell. */
static size_t width_of(const char *s)
{
	size_t n = mbstowcs(NULL, s, 0);
	wchar_t wide[CELL_MAX];
	int w;

	if (n == (size_t)-1 || n >= CELL_MAX)
		return strlen(s);
	mbstowcs(wide, s, CELL_MAX);
	w = wcswidth(wide, n);
	return w < 0 ? strlen(s) : (size_t)w;
}

static void print_row(const struct table *t, char **row, const size_t *widths, FILE *out)
{
	for (unsigned c = 0; c < t->columns; c++) {
		size_t pad = widths ? widths[c] - width_of(row[c]) : 0;
		bool last = c + 1 == t->columns;

		if (c)
			fputs(widths ? "  " : "\t", out);
		if (t->right[c])
			fprintf(out, "%*s", (int)pad, "");
		fputs(row[c], out);
		if (!t->right[c] && !last)
			fprintf(out, "%*s", (int)pad, "");
	}
	fputc('\n', out);
}

int table_print(const struct table *t, FILE *out, bool aligned)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};

	if (t->failed)
		return -ENOMEM;
	for (size_t i = 0; aligned && i < t->n; i++)
		widths[i % t->columns] = MAX_OF(widths[i % t->columns], width_of(t->cells[i]));
	for (size_t i = 0; i + t->columns <= t->n; i += t->columns)
		print_row(t, t->cells + i, aligned ? widths : NULL, out);
	return 0;
}
