/* SPDX-License-Identifier: Apache-2.0 */
/* Whole windows leave memory: sealed into chunks, or dropped where another collector sealed. */
#include <errno.h>
#include <stdlib.h>

#include "collector/store/window_inner.h"

#define CHUNK_ROOM ((size_t)32 << 20)

struct sealed {
	const struct series *s;
	struct open_chunk *c;
	size_t order; /* among the chunks of one series */
};

static int by_key(const void *pa, const void *pb)
{
	const struct sealed *a = pa, *b = pb;
	const struct series_id *x = &a->s->id, *y = &b->s->id;

	if (x->host_id != y->host_id)
		return x->host_id < y->host_id ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->obj_id != y->obj_id)
		return x->obj_id < y->obj_id ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* Marks the window's chunks and lists them in order. */
static int seal_collect(struct window_set *ws, int64_t t0_us, struct sealed **ret, size_t *ret_n)
{
	size_t n = 0, i = 0;
	struct sealed *list;

	for (struct series *s = ws->series; s; s = s->hh.next)
		for (struct open_chunk *c = s->chunks; c; c = c->next)
			n += c->t0_us == t0_us && c->n > 0;
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (struct series *s = ws->series; s; s = s->hh.next)
		for (struct open_chunk *c = s->chunks; c; c = c->next)
			if (c->t0_us == t0_us && c->n > 0) {
				c->sealing = true;
				list[i] = (struct sealed){.s = s, .c = c, .order = i};
				i++;
			}
	qsort(list, n, sizeof(*list), by_key);
	*ret = list;
	*ret_n = n;
	return 0;
}

int window_seal_begin(struct window_set *ws, int64_t t0_us, window_each *each, void *arg)
{
	auto_buf struct buf chunk = BUF_INIT(CHUNK_ROOM);
	auto_free struct sealed *list = NULL;
	size_t n = 0;
	int rc;

	if (ws->sealing)
		return -EBUSY;
	rc = seal_collect(ws, t0_us, &list, &n);
	if (rc < 0)
		return rc;
	ws->sealing = true;
	ws->sealing_t0_us = t0_us;
	for (size_t i = 0; i < n && rc >= 0; i++) {
		const struct open_chunk *c = list[i].c;
		struct window_part part = {
			.id = list[i].s->id,
			.n = c->n,
			.t_last_us = t0_us + c->last_ms * 1000,
		};

		if (part.id.kind == SERIES_PROCESS)
			part.figures = running_figures_end(&c->run, c->v);
		buf_reset(&chunk);
		rc = open_chunk_encode(c, series_types[part.id.kind].spec, &chunk);
		if (rc >= 0)
			rc = each(arg, &part, &chunk);
	}
	if (rc < 0)
		window_seal_undo(ws);
	return rc < 0 ? rc : 0;
}

static void drop_where(struct window_set *ws,
		       bool (*goes)(const struct open_chunk *c, const void *arg), const void *arg)
{
	for (struct series *s = ws->series; s; s = s->hh.next)
		window_drop_chunks(ws, s, goes, arg);
}

static bool is_being_sealed(const struct open_chunk *c, const void *arg unused_arg)
{
	return c->sealing;
}

void window_seal_done(struct window_set *ws, int64_t cut_us)
{
	drop_where(ws, is_being_sealed, NULL);
	ws->sealing = false;
	/* Without memory for it nothing is lost: cuts serve the replay, which is over by now. */
	(void)!window_set_cut(ws, ws->sealing_t0_us, cut_us);
}

void window_seal_undo(struct window_set *ws)
{
	for (struct series *s = ws->series; s; s = s->hh.next)
		for (struct open_chunk *c = s->chunks; c; c = c->next)
			c->sealing = false;
	ws->sealing = false;
}

struct seal_elsewhere {
	int64_t t0_us, cut_us;
};

static bool is_sealed(const struct open_chunk *c, const void *arg)
{
	const struct seal_elsewhere *by = arg;

	return c->t0_us == by->t0_us && c->last_rcv_us <= by->cut_us;
}

static bool is_before(const struct open_chunk *c, const void *t_us)
{
	return c->t0_us < *(const int64_t *)t_us;
}

void window_drop(struct window_set *ws, int64_t t0_us, int64_t cut_us)
{
	drop_where(ws, is_sealed, &(struct seal_elsewhere){t0_us, cut_us});
}

void window_drop_before(struct window_set *ws, int64_t t_us)
{
	drop_where(ws, is_before, &t_us);
}
