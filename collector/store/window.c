/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/window.h"

#include <errno.h>

#include "collector/store/window_inner.h"

int window_set_new(int64_t window_us, size_t max_bytes, struct window_set **ret)
{
	struct window_set *ws;

	if (window_us <= 0)
		return -EINVAL;
	ws = calloc(1, sizeof(*ws));
	if (!ws)
		return -ENOMEM;
	ws->length_us = window_us;
	ws->max_bytes = max_bytes;
	*ret = ws;
	return 0;
}

static void cut_drop(struct window_set *ws, struct cut *c)
{
	HASH_DEL(ws->cuts, c);
	free(c);
}

void window_drop_chunks(struct window_set *ws, struct series *s,
			bool (*goes)(const struct open_chunk *c, const void *arg), const void *arg)
{
	struct open_chunk *c, **at = &s->chunks;

	s->newest = NULL;
	while ((c = *at)) {
		if (!goes(c, arg)) {
			s->newest = c;
			at = &c->next;
			continue;
		}
		*at = c->next;
		ws->bytes -= open_chunk_bytes(c);
		open_chunk_free(&c);
	}
}

static bool any(const struct open_chunk *c unused_arg, const void *arg unused_arg)
{
	return true;
}

/* Whoever calls this sees to it that nothing points to the series any more. */
static void series_drop(struct window_set *ws, struct series *s)
{
	window_drop_chunks(ws, s, any, NULL);
	HASH_DEL(ws->series, s);
	ws->bytes -= sizeof(*s);
	free(s);
}

void window_set_free(struct window_set **slot)
{
	struct window_set *ws = take_ptr(*slot);
	struct series *s, *s_next;
	struct cut *c, *c_next;

	if (!ws)
		return;
	HASH_ITER (hh, ws->series, s, s_next)
		series_drop(ws, s);
	HASH_ITER (hh, ws->cuts, c, c_next)
		cut_drop(ws, c);
	free(ws);
}

int64_t window_start(int64_t window_us, int64_t t_us)
{
	int64_t r = t_us % window_us;

	return t_us - (r < 0 ? r + window_us : r);
}

int64_t window_length(const struct window_set *ws)
{
	return ws->length_us;
}

size_t window_bytes(const struct window_set *ws)
{
	return ws->bytes;
}

/* ---- adding ---- */

static struct series *series_find(struct window_set *ws, const struct series_id *id)
{
	struct series *s;

	HASH_FIND(hh, ws->series, id, sizeof(*id), s);
	return s;
}

static struct series *series_new(struct window_set *ws, const struct series_id *id)
{
	struct series *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->id = *id;
	s->last_us = INT64_MIN;
	HASH_ADD(hh, ws->series, id, sizeof(s->id), s);
	if (s->lost) {
		free(s);
		return NULL;
	}
	ws->bytes += sizeof(*s);
	return s;
}

static bool is_of(const struct series *s, const struct series_id *id)
{
	return s && s->id.obj_id == id->obj_id && s->id.host_id == id->host_id &&
	       s->id.kind == id->kind;
}

/* What the next sample will need, if it is of who follows. */
static void look_ahead(const struct series *s)
{
	const struct series *next = s->follower;

	if (!next)
		return;
	__builtin_prefetch(next->follower);
	if (next->newest) {
		__builtin_prefetch(next->newest);
		__builtin_prefetch(next->newest->v);
	}
}

static struct series *series_get(struct window_set *ws, const struct series_id *id)
{
	struct series *before = ws->added, *s = before ? before->follower : NULL;

	if (!is_of(s, id)) {
		s = series_find(ws, id);
		if (!s)
			s = series_new(ws, id);
		if (!s)
			return NULL;
		if (before)
			before->follower = s;
	}
	ws->added = s;
	look_ahead(s);
	return s;
}

static void forget_order(struct window_set *ws)
{
	for (struct series *s = ws->series; s; s = s->hh.next)
		s->follower = NULL;
	ws->added = NULL;
}

/* The samples of a series come in the order of time: its newest chunk or a new one. */
static struct open_chunk *chunk_get(struct window_set *ws, struct series *s, int64_t t0_us)
{
	struct open_chunk *c = s->newest;

	if (c && c->t0_us == t0_us && !c->sealing && c->n < CHUNK_MAX_SAMPLES)
		return c;
	c = open_chunk_new(t0_us, series_types[s->id.kind].spec, s->id.kind == SERIES_PROCESS);
	if (!c)
		return NULL;
	ws->bytes += open_chunk_bytes(c);
	*(s->newest ? &s->newest->next : &s->chunks) = c;
	s->newest = c;
	return c;
}

static bool is_cut(const struct window_set *ws, int64_t t0_us, int64_t rcv_us)
{
	struct cut *c;

	HASH_FIND(hh, ws->cuts, &t0_us, sizeof(t0_us), c);
	return c && rcv_us <= c->cut_us;
}

int window_add(struct window_set *ws, const struct series_id *id, int64_t t_us, int64_t rcv_us,
	       const int64_t *v)
{
	int64_t t0_us = window_start(ws->length_us, t_us);
	struct open_chunk *c;
	struct series *s;
	size_t before;
	int rc;

	if (t_us < 0)
		return -ERANGE;
	s = series_get(ws, id);
	if (!s)
		return -ENOMEM;
	if (t_us <= s->last_us)
		return 1;
	if (is_cut(ws, t0_us, rcv_us)) {
		s->last_us = t_us;
		return 1;
	}
	if (ws->bytes >= ws->max_bytes)
		return -ENOBUFS;
	c = chunk_get(ws, s, t0_us);
	if (!c)
		return -ENOMEM;
	if (!c->n)
		c->first_rcv_us = rcv_us;
	before = open_chunk_bytes(c);
	rc = open_chunk_add(c, (t_us - t0_us) / 1000, v);
	if (rc < 0)
		return rc;
	ws->bytes += open_chunk_bytes(c) - before;
	c->last_rcv_us = rcv_us;
	s->last_us = t_us;
	return 0;
}

static bool is_emptied(const struct open_chunk *c, const void *arg unused_arg)
{
	return !c->n && !c->sealing;
}

static int series_take_back(struct series *s, int64_t t_us)
{
	int rc = 0;

	for (struct open_chunk *c = s->chunks; c && rc == 0; c = c->next)
		if (!c->sealing)
			rc = open_chunk_cut(c, (t_us - c->t0_us) / 1000);
	s->last_us = t_us - 1;
	return rc;
}

int window_take_back(struct window_set *ws, int32_t host_id, int64_t t_us)
{
	int rc = 0;

	for (struct series *s = ws->series; s && rc == 0; s = s->hh.next) {
		if (s->id.host_id != host_id || s->last_us < t_us)
			continue;
		rc = series_take_back(s, t_us);
		window_drop_chunks(ws, s, is_emptied, NULL);
	}
	return rc;
}

static struct cut *cut_get(struct window_set *ws, int64_t t0_us)
{
	struct cut *c;

	HASH_FIND(hh, ws->cuts, &t0_us, sizeof(t0_us), c);
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->t0_us = t0_us;
	HASH_ADD(hh, ws->cuts, t0_us, sizeof(t0_us), c);
	if (!c->lost)
		return c;
	free(c);
	return NULL;
}

int window_set_cut(struct window_set *ws, int64_t t0_us, int64_t cut_us)
{
	struct cut *c = cut_get(ws, t0_us);

	if (!c)
		return -ENOMEM;
	c->cut_us = MAX_OF(c->cut_us, cut_us);
	return 0;
}

int window_stored(struct window_set *ws, int64_t t0_us, int64_t rcv_us)
{
	struct cut *c = cut_get(ws, t0_us);

	if (!c)
		return -ENOMEM;
	c->stored_us = MAX_OF(c->stored_us, rcv_us);
	return 0;
}

/* Batches of it are stored that no seal is known to cover. */
static bool is_open(const struct window_set *ws, const struct cut *c)
{
	return c->stored_us > c->cut_us && !(ws->sealing && c->t0_us == ws->sealing_t0_us);
}

void window_forget(struct window_set *ws, int64_t t_us)
{
	struct series *s, *s_next;
	struct cut *c, *c_next;

	forget_order(ws);
	HASH_ITER (hh, ws->cuts, c, c_next)
		if (c->t0_us < t_us)
			cut_drop(ws, c);
	HASH_ITER (hh, ws->series, s, s_next)
		if (!s->chunks && s->last_us < t_us)
			series_drop(ws, s);
}

/* ---- reading ---- */

static int read_chunk(const struct open_chunk *c, unsigned metric, int64_t from_us, int64_t to_us,
		      window_point *each, void *arg)
{
	struct open_reader r;
	int n = 0;

	for (open_reader_init(&r, c); open_reader_next(&r);) {
		struct point p = {.t_us = c->t0_us + r.ms * 1000, .v = r.v[metric]};

		if (p.v == METRIC_ABSENT || p.t_us < from_us || p.t_us >= to_us)
			continue;
		each(arg, &p);
		n++;
	}
	return n;
}

int window_read(struct window_set *ws, const struct series_id *id, unsigned metric, int64_t from_us,
		int64_t to_us, window_point *each, void *arg)
{
	struct series *s = series_find(ws, id);
	int n = 0;

	if (!s || metric >= series_types[id->kind].spec->n_columns)
		return 0;
	/* samples of a series come in the order of time, so its chunks are in order too */
	for (struct open_chunk *c = s->chunks; c; c = c->next)
		if (c->t0_us < to_us && c->t0_us + ws->length_us > from_us)
			n += read_chunk(c, metric, from_us, to_us, each, arg);
	return n;
}

int64_t window_oldest(const struct window_set *ws)
{
	int64_t oldest = INT64_MAX;

	for (struct series *s = ws->series; s; s = s->hh.next)
		for (struct open_chunk *c = s->chunks; c; c = c->next)
			if (!c->sealing)
				oldest = MIN_OF(oldest, c->t0_us);
	for (struct cut *c = ws->cuts; c; c = c->hh.next)
		if (is_open(ws, c))
			oldest = MIN_OF(oldest, c->t0_us);
	return oldest;
}

int64_t window_oldest_received(const struct window_set *ws)
{
	int64_t oldest = INT64_MAX;

	for (struct series *s = ws->series; s; s = s->hh.next)
		for (struct open_chunk *c = s->chunks; c; c = c->next)
			oldest = MIN_OF(oldest, c->first_rcv_us);
	return oldest;
}

int64_t window_last_received(const struct window_set *ws, int64_t t0_us)
{
	int64_t last = 0;
	struct cut *w;

	HASH_FIND(hh, ws->cuts, &t0_us, sizeof(t0_us), w);
	if (w && is_open(ws, w))
		last = w->stored_us;
	for (struct series *s = ws->series; s; s = s->hh.next)
		for (struct open_chunk *c = s->chunks; c; c = c->next)
			if (c->t0_us == t0_us && !c->sealing)
				last = MAX_OF(last, c->last_rcv_us);
	return last;
}
