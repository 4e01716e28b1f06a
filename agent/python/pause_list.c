/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/pause_list.h"

#define FIRST_CAP 1024u

static void grow(struct pause_list *l)
{
	size_t cap = l->cap ? MIN_OF(MORE_THAN(l->cap), PAUSE_LIST_MAX) : FIRST_CAP;
	struct pause *more = realloc(l->rows, cap * sizeof(*more));

	if (!more)
		return;
	l->rows = more;
	l->cap = cap;
}

void pause_list_add(struct pause_list *l, const struct pause *one)
{
	if (one->start_ns < l->from_ns)
		return;
	if (l->n == l->cap && l->cap < PAUSE_LIST_MAX)
		grow(l);
	if (l->n == l->cap)
		l->not_kept++;
	else
		l->rows[l->n++] = *one;
}

static int compare(const void *a, const void *b)
{
	const struct pause *x = a;
	const struct pause *y = b;

	return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

void pause_list_sort(struct pause_list *l)
{
	if (l->n)
		qsort(l->rows, l->n, sizeof(*l->rows), compare);
}

void pause_list_fini(struct pause_list *l)
{
	free(l->rows);
	*l = (struct pause_list){0};
}
