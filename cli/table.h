/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - rows for people and for pipes: aligned columns on a terminal, tab-separated otherwise.
 * Cells are made safe text, so nothing a process is called can move the cursor.
 */
#ifndef MEMHERD_CLI_TABLE_H
#define MEMHERD_CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "common/check.h"

#define TABLE_COLUMNS_MAX 16

struct table {
	unsigned columns;
	bool right[TABLE_COLUMNS_MAX];
	char **cells; /* row by row, the heading first */
	size_t n;
	size_t cap;
	bool failed;
};

/* headings end with NULL; one that begins with '>' is aligned to the right. */
void table_init(struct table *t, const char *const *headings);
void table_fini(struct table *t);
/* The next cell; NULL is '-'. */
void table_cell(struct table *t, const char *text);
void table_printf(struct table *t, const char *fmt, ...) printf_like(2, 3);
/* -ENOMEM when a cell found no memory: nothing is printed. */
int table_print(const struct table *t, FILE *out, bool aligned) must_use;

#endif
