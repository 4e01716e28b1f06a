/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/gcstat.h"

#include <errno.h>
#include <string.h>

#include "agent/python/memory.h"
#include "agent/python/rings.h"

#define LIFE_MAX        64u
#define INTERPRETER_MAX 1024u
#define GC_MAX          512u
#define MAX_THRESHOLD   1000000000
#define CHECK_LOOKS     64u
#define HEADS           (LAYOUT_GENERATIONS + 1) /* and what is frozen */

/* A generation, and one of generation_stats. */
#define GENERATION_SIZE      24u
#define GENERATION_THRESHOLD 16u
#define GENERATION_COUNT     20u
#define STATS_SIZE           24u
#define PREV_FLAGS           3u /* finalized, collecting */
#define NEXT_FLAGS           3u /* unreachable, or of which half of the heap */

/* What one look brings back: fields that stand close are read with what lies between them, since
 * each place costs the kernel a walk of the target's page tables. */
struct view {
	uint64_t address; /* of the collector */
	const uint8_t *gc;
	int32_t initialized;
	uint64_t finalizing;
	int64_t id;
	uint64_t runtime; /* back pointer */
	uint8_t life[LIFE_MAX];
	uint8_t interpreter[INTERPRETER_MAX];
	uint8_t own_gc[GC_MAX]; /* 3.8 */
};

/* From the first to the end of the last of the fields in the interpreter. */
static void span_of(const struct layout *l, uint64_t *ret_from, uint64_t *ret_to)
{
	const struct layout_interpreter *i = &l->interpreter;
	uint64_t from = i->id;
	uint64_t to = from + sizeof(int64_t);

	if (i->runtime != LAYOUT_NONE) {
		from = MIN_OF(from, i->runtime);
		to = MAX_OF(to, (uint64_t)i->runtime + sizeof(uint64_t));
	}
	if (i->gc != LAYOUT_NONE) {
		from = MIN_OF(from, i->gc);
		to = MAX_OF(to, (uint64_t)i->gc + l->gc.size);
	}
	*ret_from = from;
	*ret_to = to;
}

static int read_view(const struct runtime *r, uint64_t interpreter, struct view *v)
{
	const struct layout *l = &r->layout;
	uint64_t begin = l->runtime.initialized;
	uint64_t end = (uint64_t)l->runtime.finalizing + sizeof(v->finalizing);
	bool own_gc = l->runtime.gc != LAYOUT_NONE;
	uint64_t from;
	uint64_t to;
	int rc;

	span_of(l, &from, &to);
	if (l->runtime.finalizing < begin || end - begin > sizeof(v->life) ||
	    to - from > sizeof(v->interpreter) || l->gc.size > sizeof(v->own_gc))
		return -EBADMSG;
	v->address = runtime_gc(r, interpreter);
	rc = memory_read_spans(
		r->pid,
		(const struct memory_span[]){{r->address + begin, v->life, end - begin},
					     {interpreter + from, v->interpreter, to - from},
					     {v->address, v->own_gc, l->gc.size}},
		own_gc ? 3 : 2);
	if (rc < 0)
		return rc;
	v->initialized = memory_i32(v->life);
	v->finalizing = memory_u64(v->life + (l->runtime.finalizing - begin));
	v->id = (int64_t)memory_u64(v->interpreter + (l->interpreter.id - from));
	v->runtime = l->interpreter.runtime == LAYOUT_NONE
			     ? r->address
			     : memory_u64(v->interpreter + (l->interpreter.runtime - from));
	v->gc = own_gc ? v->own_gc : v->interpreter + (l->interpreter.gc - from);
	return 0;
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

/* The first of the list points back at its head, or the last on to it. Lists of objects change
 * between our two reads, at one end more than at the other. */
static int check_head(const struct runtime *r, uint64_t head)
{
	uint64_t links[2];
	uint64_t back = 0;
	uint64_t on = 0;
	struct memory_span spans[2] = {{.buf = &back, .n = sizeof(back)},
				       {.buf = &on, .n = sizeof(on)}};
	int rc = memory_read(r->pid, head, links, sizeof(links));

	if (rc < 0)
		return rc;
	spans[0].address = (links[0] & ~(uint64_t)NEXT_FLAGS) + sizeof(links[0]);
	spans[1].address = links[1] & ~(uint64_t)PREV_FLAGS;
	rc = memory_read_spans(r->pid, spans, ARRAY_SIZE(spans));
	if (rc < 0)
		return rc == -EFAULT ? -EBADMSG : rc;
	return (back & ~(uint64_t)PREV_FLAGS) == head || (on & ~(uint64_t)NEXT_FLAGS) == head
		       ? 0
		       : -EBADMSG;
}

/* One look at the heads that were not seen whole yet. */
static int check_heads(const struct runtime *r, uint64_t interpreter, bool seen[HEADS])
{
	const struct layout_gc *l = &r->layout.gc;
	uint64_t gc = runtime_gc(r, interpreter);
	int rc = 0;

	for (unsigned i = 0; i < HEADS && (rc == 0 || rc == -EBADMSG); i++) {
		int one =
			seen[i] ? 0
				: check_head(r, i < LAYOUT_GENERATIONS
							? gc + l->generations + i * GENERATION_SIZE
							: gc + l->permanent);

		seen[i] = one == 0;
		rc = one < 0 ? one : rc;
	}
	return rc;
}

int gcstat_check(const struct runtime *r, uint64_t interpreter)
{
	bool seen[HEADS] = {false};
	int rc = -EBADMSG;

	for (unsigned i = 0; i < CHECK_LOOKS && (rc == -EBADMSG || rc == -EAGAIN); i++) {
		struct gcstat st;

		rc = gcstat_read(r, interpreter, &st);
		/* a collection keeps its counts of references in the objects' back links: its end
		 * may be long to wait for, and what gcstat_read() checked has to do */
		if (rc == 0 && st.collecting)
			return 0;
		if (rc == 0)
			rc = check_heads(r, interpreter, seen);
	}
	return rc;
}

int gcstat_frozen(const struct runtime *r, uint64_t interpreter, uint32_t max, uint64_t *ret)
{
	uint64_t head = runtime_gc(r, interpreter) + r->layout.gc.permanent;
	uint64_t before = head;
	uint64_t links[2];
	uint64_t n = 0;
	int rc = memory_read(r->pid, head, links, sizeof(links));

	while (rc == 0 && (links[0] & ~(uint64_t)NEXT_FLAGS) != head) {
		uint64_t node = links[0] & ~(uint64_t)NEXT_FLAGS;

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
