/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/gcstat.h"

#include <errno.h>
#include <string.h>

#include "agent/python/memory.h"
#include "agent/python/rings.h"

#define GC_MAX_SIZE   512u
#define MAX_THRESHOLD 1000000000
#define CHECK_LOOKS   16u

/* A generation, and one of generation_stats. */
#define GENERATION_SIZE      24u
#define GENERATION_THRESHOLD 16u
#define GENERATION_COUNT     20u
#define STATS_SIZE           24u
#define HEAD_SIZE            16u /* {next, prev} */
#define PREV_FLAGS           3u  /* finalized, collecting */

/* What one look brings back. */
struct view {
	uint64_t address; /* of the collector */
	int32_t initialized;
	uint64_t finalizing;
	int64_t id;
	uint64_t runtime; /* back pointer */
	uint8_t gc[GC_MAX_SIZE];
};

static int read_view(const struct runtime *r, uint64_t interpreter, struct view *ret)
{
	const struct layout *l = &r->layout;
	struct memory_span spans[MEMORY_MAX_SPANS] = {
		{r->address + l->runtime.initialized, &ret->initialized, sizeof(ret->initialized)},
		{r->address + l->runtime.finalizing, &ret->finalizing, sizeof(ret->finalizing)},
		{interpreter + l->interpreter.id, &ret->id, sizeof(ret->id)},
		{runtime_gc(r, interpreter), ret->gc, l->gc.size},
	};
	unsigned n = 4;

	if (l->gc.size > sizeof(ret->gc))
		return -EBADMSG;
	ret->address = runtime_gc(r, interpreter);
	ret->runtime = r->address;
	if (l->interpreter.runtime != LAYOUT_NONE)
		spans[n++] = (struct memory_span){interpreter + l->interpreter.runtime,
						  &ret->runtime, sizeof(ret->runtime)};
	return memory_read_spans(r->pid, spans, n);
}

static const uint8_t *generation(const struct layout *l, const struct view *v, unsigned i)
{
	return v->gc + l->gc.generations + (size_t)i * GENERATION_SIZE;
}

static bool is_flag(int32_t v)
{
	return v == 0 || v == 1;
}

static int check_view(const struct runtime *r, const struct view *v)
{
	const struct layout *l = &r->layout;

	if (v->runtime != r->address || v->id < 0 || !is_flag(v->initialized) ||
	    !is_flag(memory_i32(v->gc + l->gc.enabled)) ||
	    !is_flag(memory_i32(v->gc + l->gc.collecting)))
		return -EBADMSG;
	if (l->gc.generation0 != LAYOUT_NONE &&
	    memory_u64(v->gc + l->gc.generation0) != v->address + l->gc.generations)
		return -EBADMSG;
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++) {
		int32_t threshold = memory_i32(generation(l, v, i) + GENERATION_THRESHOLD);

		if (threshold < 0 || threshold > MAX_THRESHOLD ||
		    memory_i32(generation(l, v, i) + GENERATION_COUNT) < 0)
			return -EBADMSG;
	}
	return v->finalizing || !v->initialized ? -ESHUTDOWN : 0;
}

static int take_stats(const struct runtime *r, const struct view *v, struct gcstat *st)
{
	const struct layout *l = &r->layout;

	if (l->gc.stats_is_pointer)
		return rings_totals(r, memory_u64(v->gc + l->gc.stats), st->generations);
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++) {
		const uint8_t *p = v->gc + l->gc.stats + (size_t)i * STATS_SIZE;

		st->generations[i].collections = memory_u64(p);
		st->generations[i].collected = memory_u64(p + 8);
		st->generations[i].uncollectable = memory_u64(p + 16);
		st->generations[i].duration_us = -1;
	}
	return 0;
}

int gcstat_read(const struct runtime *r, uint64_t interpreter, struct gcstat *ret)
{
	const struct layout *l = &r->layout;
	struct gcstat st = {0};
	struct view v;
	int rc = read_view(r, interpreter, &v);

	if (rc == 0)
		rc = check_view(r, &v);
	if (rc == 0)
		rc = take_stats(r, &v, &st);
	if (rc < 0)
		return rc;
	st.interpreter = v.id;
	st.enabled = memory_i32(v.gc + l->gc.enabled);
	st.collecting = memory_i32(v.gc + l->gc.collecting);
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++) {
		st.generations[i].threshold =
			memory_i32(generation(l, &v, i) + GENERATION_THRESHOLD);
		st.generations[i].count = memory_i32(generation(l, &v, i) + GENERATION_COUNT);
	}
	if (l->gc.long_lived_total != LAYOUT_NONE) {
		st.long_lived_total = memory_u64(v.gc + l->gc.long_lived_total);
		st.long_lived_pending = memory_u64(v.gc + l->gc.long_lived_pending);
	}
	*ret = st;
	return 0;
}

/* The first of the list points back at its head, and the last points on to it. */
static int check_head(const struct runtime *r, uint64_t head)
{
	uint64_t links[2];
	uint64_t back;
	uint64_t on;
	int rc = memory_read(r->pid, head, links, sizeof(links));

	if (rc == 0 && (links[0] == head) != ((links[1] & ~(uint64_t)PREV_FLAGS) == head))
		return -EBADMSG;
	if (rc == 0)
		rc = memory_read_u64(r->pid, (links[0] & ~(uint64_t)1) + 8, &back);
	if (rc == 0)
		rc = memory_read_u64(r->pid, links[1] & ~(uint64_t)PREV_FLAGS, &on);
	if (rc < 0)
		return rc == -EFAULT ? -EBADMSG : rc;
	return (back & ~(uint64_t)PREV_FLAGS) == head && (on & ~(uint64_t)PREV_FLAGS) == head
		       ? 0
		       : -EBADMSG;
}

static int check_once(const struct runtime *r, uint64_t interpreter)
{
	uint64_t gc = runtime_gc(r, interpreter);
	struct gcstat st;
	int rc = gcstat_read(r, interpreter, &st);

	/* a collection keeps its counts of references in the objects' back links: its end may be
	 * long to wait for, and what gcstat_read() checked has to do */
	if (rc < 0 || st.collecting)
		return rc;
	for (unsigned i = 0; rc == 0 && i < LAYOUT_GENERATIONS; i++)
		rc = check_head(r, gc + r->layout.gc.generations + (uint64_t)i * GENERATION_SIZE);
	return rc == 0 ? check_head(r, gc + r->layout.gc.permanent) : rc;
}

int gcstat_check(const struct runtime *r, uint64_t interpreter)
{
	int rc = -EBADMSG;

	for (unsigned i = 0; i < CHECK_LOOKS && (rc == -EBADMSG || rc == -EAGAIN); i++)
		rc = check_once(r, interpreter);
	return rc;
}

int gcstat_frozen(const struct runtime *r, uint64_t interpreter, uint32_t max, uint64_t *ret)
{
	uint64_t head = runtime_gc(r, interpreter) + r->layout.gc.permanent;
	uint64_t before = head;
	uint64_t links[2];
	uint64_t n = 0;
	int rc = memory_read(r->pid, head, links, sizeof(links));

	while (rc == 0 && (links[0] & ~(uint64_t)1) != head) {
		uint64_t node = links[0] & ~(uint64_t)1;

		if (n++ >= max)
			return -E2BIG;
		rc = memory_read(r->pid, node, links, sizeof(links));
		if (rc == 0 && (links[1] & ~(uint64_t)PREV_FLAGS) != before)
			return -EAGAIN;
		before = node;
	}
	if (rc == 0)
		*ret = n;
	return rc;
}

int gcstat_pauses(const struct runtime *r, uint64_t interpreter, unsigned i,
		  struct gcstat_pause ret[GCSTAT_PAUSES])
{
	const struct layout *l = &r->layout;
	struct view v;
	int rc;

	if (!l->gc.stats_is_pointer || i >= LAYOUT_GENERATIONS)
		return -ENOTSUP;
	rc = read_view(r, interpreter, &v);
	if (rc == 0)
		rc = check_view(r, &v);
	return rc < 0 ? rc : rings_pauses(r, memory_u64(v.gc + l->gc.stats), i, ret);
}
