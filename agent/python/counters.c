/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/counters.h"

#include <errno.h>

#include "agent/python/gcstat.h"

#define NS_PER_US     1000
#define FIRST_TO_KEEP 15u /* 3.15 */

/* 3.8 has one collector for all interpreters. */
static int find_collectors(const struct runtime *r, uint64_t *ret)
{
	int n = runtime_interpreters(r, ret, RUNTIME_MAX_INTERPRETERS);

	return n > 1 && r->layout.interpreter.gc == LAYOUT_NONE ? 1 : n;
}

int counters_read(const struct runtime *r, struct counters *ret)
{
	uint64_t interpreters[RUNTIME_MAX_INTERPRETERS];
	int n = find_collectors(r, interpreters);
	struct counters sum = {0};

	for (int i = 0; i < n; i++) {
		struct gcstat s;
		int rc = gcstat_read(r, interpreters[i], &s);

		if (rc < 0)
			return rc;
		for (unsigned g = 0; g < LAYOUT_GENERATIONS; g++) {
			sum.collections[g] += s.generations[g].collections;
			sum.collected[g] += s.generations[g].collected;
		}
	}
	if (n > 0)
		*ret = sum;
	return n < 0 ? n : 0;
}

bool counters_have_pauses(const struct runtime *r)
{
	return r->layout.minor >= FIRST_TO_KEEP;
}

/* The interpreter's row, or a free one for it, or NULL. */
static struct counters_seen *find_seen(struct counters_poll *p, uint64_t interpreter)
{
	for (size_t i = 0; i < ARRAY_SIZE(p->seen); i++) {
		struct counters_seen *s = &p->seen[i];

		if (!s->interpreter)
			s->interpreter = interpreter;
		if (s->interpreter == interpreter)
			return s;
	}
	return NULL;
}

/* Each pause that is newer than what was seen; the numbers tell of those between. */
static void take(struct counters_poll *p, struct counters_seen *s, unsigned generation,
		 const struct gcstat_pause *pauses, int n, struct pause_list *into)
{
	for (int i = 0; i < n; i++) {
		const struct gcstat_pause *one = &pauses[i];
		uint64_t seen = s->collections[generation];
		bool follows = one->collections == seen + 1;
		struct pause pause = {.start_ns = one->start_us * NS_PER_US,
				      .duration_ns = one->duration_us * NS_PER_US,
				      .collected = -1,
				      .generation = (int8_t)generation};

		if (one->collections <= seen)
			continue;
		if (follows && one->collected >= s->collected[generation])
			pause.collected = (int64_t)(one->collected - s->collected[generation]);
		s->collections[generation] = one->collections;
		s->collected[generation] = one->collected;
		if (!p->begun)
			continue;
		if (!follows)
			p->lost += one->collections - seen - 1;
		pause_list_add(into, &pause);
	}
}

int counters_poll(struct counters_poll *p, const struct runtime *r, struct pause_list *into)
{
	uint64_t interpreters[RUNTIME_MAX_INTERPRETERS];
	int n = find_collectors(r, interpreters);

	for (int i = 0; i < n; i++) {
		struct counters_seen *s = find_seen(p, interpreters[i]);

		for (unsigned g = 0; s && g < LAYOUT_GENERATIONS; g++) {
			struct gcstat_pause pauses[GCSTAT_PAUSES];
			int got = gcstat_pauses(r, interpreters[i], g, pauses);

			if (got < 0)
				return got;
			take(p, s, g, pauses, got, into);
		}
	}
	if (n > 0)
		p->begun = true;
	return n < 0 ? n : 0;
}
