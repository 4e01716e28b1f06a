/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/pause_summary.h"

#include <errno.h>

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The smallest with at least that share of all at or below it. */
static int64_t percentile(const int64_t *sorted, size_t n, unsigned percent)
{
	return sorted[(n * percent + 99) / 100 - 1];
}

static unsigned row_of(const struct pause *p)
{
	return p->generation >= 0 && p->generation < PAUSE_GENERATIONS ? (unsigned)p->generation
								       : PAUSE_ROW_UNKNOWN;
}

static void summarize(const struct pause *pauses, size_t n, unsigned row, int64_t *scratch,
		      struct pause_summary *s)
{
	size_t timed = 0;

	*s = (struct pause_summary){.collected = -1};
	for (size_t i = 0; i < n; i++) {
		const struct pause *p = &pauses[i];

		if (row != PAUSE_ROW_ALL && row_of(p) != row)
			continue;
		s->count++;
		if (p->collected >= 0)
			s->collected = MAX_OF(s->collected, 0) + p->collected;
		if (p->duration_ns < 0)
			continue;
		scratch[timed++] = p->duration_ns;
		s->total_ns += p->duration_ns;
	}
	s->timed = timed;
	if (!timed)
		return;
	qsort(scratch, timed, sizeof(*scratch), compare);
	s->mean_ns = s->total_ns / (int64_t)timed;
	s->p50_ns = percentile(scratch, timed, 50);
	s->p99_ns = percentile(scratch, timed, 99);
	s->max_ns = scratch[timed - 1];
}

int pause_summarize(const struct pause *pauses, size_t n, struct pause_summary ret[PAUSE_ROWS])
{
	auto_free int64_t *scratch = malloc((n + 1) * sizeof(*scratch));

	if (!scratch)
		return -ENOMEM;
	for (unsigned row = 0; row < PAUSE_ROWS; row++)
		summarize(pauses, n, row, scratch, &ret[row]);
	return 0;
}

size_t pause_longest(const struct pause *pauses, size_t n, size_t *ret, size_t max)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		size_t at = found;

		if (pauses[i].duration_ns < 0)
			continue;
		while (at && pauses[ret[at - 1]].duration_ns < pauses[i].duration_ns)
			at--;
		if (at == max)
			continue;
		if (found < max)
			found++;
		for (size_t k = found - 1; k > at; k--)
			ret[k] = ret[k - 1];
		ret[at] = i;
	}
	return found;
}
