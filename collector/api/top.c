/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/top.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int top_init(struct top *t, size_t max, size_t size, top_compare *compare)
{
	/* one more: room to swap two in */
	*t = (struct top){.rows = calloc(max + 1, size),
			  .size = size,
			  .max = max,
			  .compare = compare};
	return t->rows ? 0 : -ENOMEM;
}

void top_fini(struct top *t)
{
	free(t->rows);
	t->rows = NULL;
	t->n = 0;
}

static void *at(const struct top *t, size_t i)
{
	return t->rows + i * t->size;
}

static void swap(struct top *t, size_t i, size_t j)
{
	void *spare = at(t, t->max);

	memcpy(spare, at(t, i), t->size);
	memcpy(at(t, i), at(t, j), t->size);
	memcpy(at(t, j), spare, t->size);
}

/* Of two rows, does the first stand behind the second? */
static bool is_behind(const struct top *t, size_t i, size_t j)
{
	return t->compare(at(t, i), at(t, j)) > 0;
}

static void rise(struct top *t, size_t i)
{
	for (; i > 0 && is_behind(t, i, (i - 1) / 2); i = (i - 1) / 2)
		swap(t, i, (i - 1) / 2);
}

static void sink(struct top *t)
{
	for (size_t i = 0, last;; i = last) {
		last = i;
		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < t->n; child++)
			if (is_behind(t, child, last))
				last = child;
		if (last == i)
			return;
		swap(t, i, last);
	}
}

void top_add(struct top *t, const void *row)
{
	if (t->n < t->max) {
		memcpy(at(t, t->n), row, t->size);
		rise(t, t->n++);
	} else if (t->compare(row, at(t, 0)) < 0) {
		memcpy(at(t, 0), row, t->size);
		sink(t);
	}
}

void top_sort(struct top *t)
{
	qsort(t->rows, t->n, t->size, t->compare);
}

const void *top_get(const struct top *t, size_t i)
{
	return at(t, i);
}
