/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/window.h"

#include <errno.h>
#include <string.h>

#define HASH_NONFATAL_OOM         1
#define uthash_nonfatal_oom(item) ((item)->lost = true)
#include <uthash.h>

#include "common/cursor.h"

#define COLUMNS    MAX_OF(MAX_OF((int)METRIC_COUNT, (int)HOST_METRIC_COUNT), (int)CGROUP_METRIC_COUNT)
#define LOG_FIRST  64 /* bytes at first; doubles */
#define CHUNK_ROOM ((size_t)32 << 20)

_Static_assert(COLUMNS <= 64, "a log's bitmap has 64 bits");

/* The counters that a rollup tells the increase of. */
static const enum metric counted[] = {METRIC_CPU, METRIC_MAJFLT, METRIC_GC2, METRIC_COLLECTED,
				      METRIC_UNCOLLECTABLE};

/* Running figures; what window_figures says is computed from them at the end. */
struct running {
	int64_t min, max, first; /* RSS */
	double sum;
	int64_t swap_max;
	int64_t counted[ARRAY_SIZE(counted)];
	double st, sv, stt, stv; /* of the slope: hours since t0, KiB */
	unsigned n;              /* samples with RSS */
};

/*
 * Samples of one series in one window, as a log. A sample: zig-zag ms after the one before (the
 * first: after t0), varint bitmap of the columns that differ, and for each of those a varint: 0 =
 * absent now, else the zig-zag difference (from 0 where it was absent).
 */
struct open_chunk {
	struct open_chunk *next;
	int64_t t0_us;
	int64_t last_ms; /* of the last sample, after t0 */
	int64_t first_rcv_us;
	int64_t last_rcv_us;
	bool sealing;
	unsigned n;
	uint8_t *log;
	uint32_t len, cap;
	unsigned columns;
	struct running run; /* of a process */
	int64_t v[];        /* last values, of each column */
};

struct series {
	struct series_id id;
	int64_t last_us; /* newest sample taken */
	bool lost;
	struct open_chunk *chunks;
	UT_hash_handle hh;
};

struct cut {
	int64_t t0_us;
	int64_t cut_us;    /* sealed is what was received up to then; 0: nothing yet */
	int64_t stored_us; /* the youngest batch of it that is stored was received then */
	bool lost;
	UT_hash_handle hh;
};

struct window_set {
	int64_t length_us;
	size_t max_bytes;
	size_t bytes;
	struct series *series;
	struct cut *cuts;
	bool sealing;
	int64_t sealing_t0_us;
};

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

static void chunk_drop(struct window_set *ws, struct open_chunk *c)
{
	ws->bytes -= sizeof(*c) + c->columns * sizeof(c->v[0]) + c->cap;
	free(c->log);
	free(c);
}

static void series_drop(struct window_set *ws, struct series *s)
{
	struct open_chunk *c;

	while ((c = s->chunks)) {
		s->chunks = c->next;
		chunk_drop(ws, c);
	}
	HASH_DEL(ws->series, s);
	ws->bytes -= sizeof(*s);
	free(s);
}

static void cut_drop(struct window_set *ws, struct cut *c)
{
	HASH_DEL(ws->cuts, c);
	free(c);
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

/* ---- the log ---- */

static int log_room(struct window_set *ws, struct open_chunk *c, uint32_t n)
{
	uint32_t cap = c->cap ? c->cap : LOG_FIRST;
	uint8_t *p;

	while (cap < c->len + n)
		cap *= 2;
	if (cap == c->cap)
		return 0;
	p = realloc(c->log, cap);
	if (!p)
		return -ENOMEM;
	ws->bytes += cap - c->cap;
	c->log = p;
	c->cap = cap;
	return 0;
}

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

static uint64_t zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}

static uint64_t difference(int64_t now, int64_t before)
{
	if (now == METRIC_ABSENT)
		return 0;
	return zigzag((int64_t)((uint64_t)now - (before == METRIC_ABSENT ? 0 : (uint64_t)before)));
}

static int log_add(struct window_set *ws, struct open_chunk *c, int64_t ms, const int64_t *v)
{
	unsigned columns = c->columns;
	uint64_t changed = 0;
	uint8_t *p;
	int rc = log_room(ws, c, 20 + 10 * columns);

	if (rc < 0)
		return rc;
	for (unsigned k = 0; k < columns; k++)
		if (v[k] != c->v[k])
			changed |= UINT64_C(1) << k;
	p = put_varint(c->log + c->len, zigzag(ms - c->last_ms));
	p = put_varint(p, changed);
	for (unsigned k = 0; k < columns; k++) {
		if (!(changed & UINT64_C(1) << k))
			continue;
		/* appearing at 0 is a difference of 0, which says 'absent': told as 1 more bit */
		if (c->v[k] == METRIC_ABSENT)
			p = put_varint(p, difference(v[k], 0) + 1);
		else
			p = put_varint(p, difference(v[k], c->v[k]));
		c->v[k] = v[k];
	}
	c->len = (uint32_t)(p - c->log);
	c->last_ms = ms;
	c->n++;
	return 0;
}

struct log_reader {
	struct cursor c;
	unsigned columns;
	int64_t ms;
	int64_t v[COLUMNS];
};

static void log_begin(struct log_reader *r, const struct open_chunk *c)
{
	r->c = cursor_of(c->log, c->len);
	r->columns = c->columns;
	r->ms = 0;
	for (unsigned k = 0; k < c->columns; k++)
		r->v[k] = METRIC_ABSENT;
}

static int64_t unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static bool log_next(struct log_reader *r)
{
	uint64_t changed;

	if (cursor_left(&r->c) == 0)
		return false;
	r->ms += cursor_zigzag(&r->c);
	changed = cursor_varint(&r->c);
	for (unsigned k = 0; k < r->columns; k++) {
		uint64_t word;

		if (!(changed & UINT64_C(1) << k))
			continue;
		word = cursor_varint(&r->c);
		if (r->v[k] == METRIC_ABSENT)
			r->v[k] = unzigzag(word - 1);
		else if (word == 0)
			r->v[k] = METRIC_ABSENT;
		else
			r->v[k] = (int64_t)((uint64_t)r->v[k] + (uint64_t)unzigzag(word));
	}
	return true;
}

/* ---- figures ---- */

static void figures_count(struct running *f, const struct open_chunk *c, const int64_t *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(counted); i++) {
		int64_t now = v[counted[i]], before = c->n ? c->v[counted[i]] : METRIC_ABSENT;

		if (now == METRIC_ABSENT)
			continue;
		if (f->counted[i] == METRIC_ABSENT)
			f->counted[i] = 0;
		if (before != METRIC_ABSENT)
			f->counted[i] += now >= before ? now - before : now;
	}
}

/* Before the sample goes into the log: c->v is the one before. */
static void figures_add(struct open_chunk *c, int64_t ms, const int64_t *v)
{
	struct running *f = &c->run;
	double t = (double)ms / 3.6e6, rss = (double)v[METRIC_RSS];

	figures_count(f, c, v);
	if (v[METRIC_SWAP] != METRIC_ABSENT && v[METRIC_SWAP] > f->swap_max)
		f->swap_max = v[METRIC_SWAP];
	if (v[METRIC_RSS] == METRIC_ABSENT)
		return;
	if (!f->n++)
		f->min = f->max = f->first = v[METRIC_RSS];
	f->min = MIN_OF(f->min, v[METRIC_RSS]);
	f->max = MAX_OF(f->max, v[METRIC_RSS]);
	f->sum += rss;
	f->st += t;
	f->sv += rss;
	f->stt += t * t;
	f->stv += t * rss;
}

static struct window_figures figures_of(const struct open_chunk *c)
{
	const struct running *f = &c->run;
	double n = f->n, d = n * f->stt - f->st * f->st;
	struct window_figures w = {
		.rss_min = METRIC_ABSENT,
		.rss_max = METRIC_ABSENT,
		.rss_avg = METRIC_ABSENT,
		.rss_first = METRIC_ABSENT,
		.rss_last = c->v[METRIC_RSS],
		.anon_last = c->v[METRIC_ANON],
		.swap_max = f->swap_max,
		.cpu_ms = f->counted[0],
		.majflt = f->counted[1],
		.gc2 = f->counted[2],
		.collected = f->counted[3],
		.uncollectable = f->counted[4],
	};

	if (f->n) {
		w.rss_min = f->min;
		w.rss_max = f->max;
		w.rss_first = f->first;
		w.rss_avg = (int64_t)(f->sum / n + 0.5);
	}
	if (f->n >= 3 && d > 0) {
		w.has_slope = true;
		w.rss_slope = (n * f->stv - f->st * f->sv) / d;
	}
	return w;
}

/* ---- adding ---- */

static struct series *series_find(struct window_set *ws, const struct series_id *id)
{
	struct series *s;

	HASH_FIND(hh, ws->series, id, sizeof(*id), s);
	return s;
}

static struct series *series_get(struct window_set *ws, const struct series_id *id)
{
	struct series *s = series_find(ws, id);

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
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

static void chunk_begin(struct open_chunk *c)
{
	c->n = 0;
	c->len = 0;
	c->last_ms = 0;
	memset(&c->run, 0, sizeof(c->run));
	c->run.swap_max = METRIC_ABSENT;
	for (unsigned k = 0; k < c->columns; k++)
		c->v[k] = METRIC_ABSENT;
	for (size_t i = 0; i < ARRAY_SIZE(counted); i++)
		c->run.counted[i] = METRIC_ABSENT;
}

static struct open_chunk *chunk_get(struct window_set *ws, struct series *s, int64_t t0_us)
{
	unsigned columns = series_types[s->id.kind].spec->n_columns;
	struct open_chunk *c, **tail = &s->chunks;
	size_t size = sizeof(*c) + columns * sizeof(c->v[0]);

	for (; (c = *tail); tail = &c->next)
		if (c->t0_us == t0_us && !c->sealing && c->n < CHUNK_MAX_SAMPLES)
			return c;
	c = calloc(1, size);
	if (!c)
		return NULL;
	c->t0_us = t0_us;
	c->columns = columns;
	chunk_begin(c);
	ws->bytes += size;
	*tail = c;
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
	int64_t t0_us = window_start(ws->length_us, t_us), ms = (t_us - t0_us) / 1000;
	struct open_chunk *c;
	struct series *s;
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
	rc = log_room(ws, c, 20 + 10 * c->columns);
	if (rc < 0)
		return rc;
	if (id->kind == SERIES_PROCESS)
		figures_add(c, ms, v);
	if (!c->n)
		c->first_rcv_us = rcv_us;
	c->last_rcv_us = rcv_us;
	s->last_us = t_us;
	return log_add(ws, c, ms, v);
}

/* Written anew up to there, its figures with it. */
static int chunk_take_back(struct window_set *ws, struct series *s, struct open_chunk *c,
			   int64_t ms)
{
	struct open_chunk old = *c;
	struct log_reader r;
	uint8_t *log;
	int rc = 0;

	if (c->last_ms < ms)
		return 0;
	log = malloc(c->cap);
	if (!log)
		return -ENOMEM;
	log_begin(&r, &old);
	c->log = log;
	chunk_begin(c);
	while (rc == 0 && log_next(&r) && r.ms < ms) {
		if (s->id.kind == SERIES_PROCESS)
			figures_add(c, r.ms, r.v);
		rc = log_add(ws, c, r.ms, r.v);
	}
	free(old.log);
	return rc;
}

int window_take_back(struct window_set *ws, int32_t host_id, int64_t t_us)
{
	int rc = 0;

	for (struct series *s = ws->series; s && rc == 0; s = s->hh.next) {
		struct open_chunk *c, **at = &s->chunks;

		if (s->id.host_id != host_id || s->last_us < t_us)
			continue;
		while (rc == 0 && (c = *at)) {
			if (!c->sealing)
				rc = chunk_take_back(ws, s, c, (t_us - c->t0_us) / 1000);
			if (c->n || c->sealing) {
				at = &c->next;
				continue;
			}
			*at = c->next;
			chunk_drop(ws, c);
		}
		s->last_us = t_us - 1;
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
	struct log_reader r;
	int n = 0;

	for (log_begin(&r, c); log_next(&r);) {
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

/* ---- sealing ---- */

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

static int encode(const struct open_chunk *c, const struct chunk_spec *spec, struct buf *out)
{
	auto_free int64_t *times = malloc((size_t)c->n * (spec->n_columns + 1) * sizeof(*times));
	int64_t *values;
	struct log_reader r;
	size_t i = 0;

	if (!times)
		return -ENOMEM;
	values = times + c->n;
	for (log_begin(&r, c); i < c->n && log_next(&r); i++) {
		times[i] = r.ms;
		for (unsigned k = 0; k < spec->n_columns; k++)
			values[(size_t)k * c->n + i] = r.v[k];
	}
	return chunk_encode(spec, c->n, times, values, out);
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
			part.figures = figures_of(c);
		buf_reset(&chunk);
		rc = encode(c, series_types[part.id.kind].spec, &chunk);
		if (rc >= 0)
			rc = each(arg, &part, &chunk);
	}
	if (rc < 0)
		window_seal_undo(ws);
	return rc < 0 ? rc : 0;
}

void window_seal_done(struct window_set *ws, int64_t cut_us)
{
	for (struct series *s = ws->series; s; s = s->hh.next) {
		struct open_chunk *c, **at = &s->chunks;

		while ((c = *at)) {
			if (!c->sealing) {
				at = &c->next;
				continue;
			}
			*at = c->next;
			chunk_drop(ws, c);
		}
	}
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

static void drop_where(struct window_set *ws,
		       bool (*goes)(const struct open_chunk *, int64_t, int64_t), int64_t t_us,
		       int64_t cut_us)
{
	for (struct series *s = ws->series; s; s = s->hh.next) {
		struct open_chunk *c, **at = &s->chunks;

		while ((c = *at)) {
			if (!goes(c, t_us, cut_us)) {
				at = &c->next;
				continue;
			}
			*at = c->next;
			chunk_drop(ws, c);
		}
	}
}

static bool is_sealed(const struct open_chunk *c, int64_t t0_us, int64_t cut_us)
{
	return c->t0_us == t0_us && c->last_rcv_us <= cut_us;
}

static bool is_before(const struct open_chunk *c, int64_t t_us, int64_t cut_us unused_arg)
{
	return c->t0_us < t_us;
}

void window_drop(struct window_set *ws, int64_t t0_us, int64_t cut_us)
{
	drop_where(ws, is_sealed, t0_us, cut_us);
}

void window_drop_before(struct window_set *ws, int64_t t_us)
{
	drop_where(ws, is_before, t_us, 0);
}
