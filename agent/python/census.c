/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/census.h"

#include <errno.h>
#include <string.h>

#include "agent/python/census_types.h"
#include "common/clock.h"

#define GENERATION_SIZE 24u
#define NEXT_TAGS       1ull /* unreachable, or another space */
#define PREV_TAGS       3ull /* finalized, collecting */
#define STEPS_PER_LOOK  4096u

/* PyGC_Head and the object behind it. */
struct node {
	uint64_t next;
	uint64_t prev;
	uint64_t references;
	uint64_t type;
	int64_t ob_size;
};

struct walk {
	const struct census_order *order;
	struct census *census;
	struct chunks *chunks;
	struct census_types *types;
	uint64_t steps;
};

static int torn(struct error *err, const char *what, uint64_t at)
{
	return error_set(err, -EAGAIN, "the lists changed while they were read: %s at %#llx", what,
			 (unsigned long long)at);
}

/* What the source could not read is torn too, unless the process is gone or closed to us. */
static int unread(struct error *err, int rc, uint64_t at)
{
	if (rc == -ESRCH || rc == -EPERM)
		return error_sys(err, rc, "cannot read the process");
	return torn(err, "no memory", at);
}

static int count_object(struct walk *w, const struct node *n, uint64_t at, struct error *err)
{
	struct census_type *t;
	uint64_t bytes;
	int rc = census_types_get(w->types, w->chunks, w->order->layout, n->type, &t);

	if (rc == -E2BIG) {
		w->census->objects++;
		w->census->other_types++;
		return 0;
	}
	if (rc == -ENOMEM)
		return error_set(err, rc, "no memory for the types");
	if (rc < 0)
		return torn(err, "no type of an object", at);
	bytes = census_object_bytes(w->chunks, w->order->layout, t, at + CENSUS_GC_HEAD,
				    n->ob_size);
	t->objects++;
	t->bytes += bytes;
	w->census->objects++;
	w->census->bytes += bytes;
	return 0;
}

static int check_step(struct walk *w, uint64_t at, struct error *err)
{
	if (!at || at % 8)
		return torn(err, "a link that is no address", at);
	if (++w->steps > w->order->max_objects)
		return torn(err, "more objects than the heap can hold", at);
	if (w->steps % STEPS_PER_LOOK == 0 && w->order->until_us &&
	    clock_boot_us() >= w->order->until_us)
		return error_set(err, -ETIMEDOUT, "not done in time, after %llu objects",
				 (unsigned long long)w->steps);
	return 0;
}

/* A list from one of its ends, of links[forward]; each object must say that it comes after the one
 * before. */
static int walk_one_way(struct walk *w, uint64_t head, const uint64_t links[2], bool forward,
			struct error *err)
{
	uint64_t before = head;
	uint64_t at = forward ? links[0] & ~NEXT_TAGS : links[1] & ~PREV_TAGS;

	while (at != head) {
		struct node n;
		uint64_t back;
		int rc = check_step(w, at, err);

		if (rc < 0)
			return rc;
		rc = chunks_read(w->chunks, at, &n, sizeof(n));
		if (rc < 0)
			return unread(err, rc, at);
		back = forward ? n.prev & ~PREV_TAGS : n.next & ~NEXT_TAGS;
		if (back != before)
			return torn(err, "a broken link", at);
		rc = count_object(w, &n, at, err);
		if (rc < 0)
			return rc;
		before = at;
		at = forward ? n.next & ~NEXT_TAGS : n.prev & ~PREV_TAGS;
	}
	if (forward && (links[1] & ~PREV_TAGS) != before)
		return torn(err, "a broken link", head);
	return 0;
}

static int walk_list(struct walk *w, uint64_t head, struct error *err)
{
	uint64_t links[2]; /* next, prev */
	int rc = chunks_read(w->chunks, head, links, sizeof(links));

	if (rc < 0)
		return unread(err, rc, head);
	rc = walk_one_way(w, head, links, true, err);
	if (rc != -EAGAIN || !w->order->tolerate)
		return rc;
	w->census->broken++;
	rc = walk_one_way(w, head, links, false, err);
	return rc == -EAGAIN ? 0 : rc;
}

static int check_idle(struct walk *w, uint64_t collector, struct error *err)
{
	int32_t collecting;
	int rc = chunks_read(w->chunks, collector + w->order->layout->gc.collecting, &collecting,
			     sizeof(collecting));

	if (rc < 0)
		return unread(err, rc, collector);
	if (collecting)
		return error_set(err, -EBUSY, "a collection is under way");
	return 0;
}

static int walk_collector(struct walk *w, uint64_t collector, struct error *err)
{
	const struct layout_gc *gc = &w->order->layout->gc;
	uint64_t before;
	int rc = check_idle(w, collector, err);

	for (unsigned g = 0; rc == 0 && g < LAYOUT_GENERATIONS; g++)
		rc = walk_list(w, collector + gc->generations + g * GENERATION_SIZE, err);
	before = w->census->objects;
	if (rc == 0 && gc->permanent != LAYOUT_NONE)
		rc = walk_list(w, collector + gc->permanent, err);
	w->census->frozen += w->census->objects - before;
	return rc;
}

static int walk_all(struct walk *w, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < w->order->n_collectors; i++)
		rc = walk_collector(w, w->order->collectors[i], err);
	if (rc < 0)
		return rc;
	w->census->interpreters = (unsigned)w->order->n_collectors;
	w->census->reads = chunks_stats(w->chunks).loads + chunks_stats(w->chunks).single;
	if (census_types_rows(w->types, &w->census->rows, &w->census->n) < 0)
		return error_set(err, -ENOMEM, "no memory for the types");
	return 0;
}

int census_walk(const struct census_order *o, struct census *ret, struct error *err)
{
	struct census census = {0};
	struct walk w = {.order = o, .census = &census};
	int rc = chunks_new(o->source, o->cache_bytes, &w.chunks);

	if (rc == 0)
		rc = census_types_new(&w.types);
	if (rc == 0)
		rc = walk_all(&w, err);
	else
		error_set(err, rc, "no memory for the census");
	census_types_free(&w.types);
	chunks_free(&w.chunks);
	if (rc < 0)
		census_fini(&census);
	else
		*ret = census;
	return rc;
}

void census_fini(struct census *c)
{
	free(c->rows);
	*c = (struct census){0};
}

int census_collectors(const struct runtime *r, uint64_t ret[RUNTIME_MAX_INTERPRETERS])
{
	uint64_t interpreters[RUNTIME_MAX_INTERPRETERS];
	int n = runtime_interpreters(r, interpreters, RUNTIME_MAX_INTERPRETERS);
	int found = 0;

	for (int i = 0; i < n; i++) {
		uint64_t gc = runtime_gc(r, interpreters[i]);
		int k = 0;

		/* 3.8 has one for all of them. */
		while (k < found && ret[k] != gc)
			k++;
		if (k == found)
			ret[found++] = gc;
	}
	return n < 0 ? n : found;
}

uint64_t census_heap_bytes(const struct maps *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->rows[i].writable)
			sum += m->rows[i].end - m->rows[i].start;
	return sum;
}
