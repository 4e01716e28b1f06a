/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "collector/store/store_inner.h"
#include "collector/store/store_replica.h"
#include "common/clock.h"

#define MAGIC       0x73657269u
#define MAX_WINDOWS 65536 /* in one answer */
#define MAX_SAMPLES ((size_t)4 << 20)
#define HOUR_US     (3600 * USEC_PER_SEC)
#define DAY_US      (24 * HOUR_US)

struct points {
	struct point *v;
	size_t n, cap;
	bool failed;
};

struct series_query {
	struct store_job job; /* first */
	unsigned magic;
	store_on_series *done;
	void *arg;
	struct store *s;
	struct db *db; /* where its chunks are read */
	struct series_id id;
	const struct series_type *type;
	unsigned metric;
	bool counter;
	int64_t from_us, to_us;
	size_t max_points;
	bool old;             /* it begins before chunks are kept */
	int64_t coarsest_us;  /* span of a rollup that is among them, 0 = none */
	struct points memory; /* as it was when asked; chunks of it that were sealed since count */
	struct points all;
};

static void points_add(struct points *p, int64_t t_us, int64_t v)
{
	if (p->n == p->cap) {
		size_t cap = MAX_OF(p->cap * 2, (size_t)256);
		struct point *to = cap <= MAX_SAMPLES ? realloc(p->v, cap * sizeof(*to)) : NULL;

		if (!to) {
			p->failed = true;
			return;
		}
		p->v = to;
		p->cap = cap;
	}
	p->v[p->n++] = (struct point){.t_us = t_us, .v = v};
}

static void query_free(struct store_job *job)
{
	struct series_query *q = (struct series_query *)job;

	free(q->memory.v);
	free(q->all.v);
	free(q);
}

static void on_memory_point(void *arg, const struct point *p)
{
	points_add(arg, p->t_us, p->v);
}

/*
 * What memory held and the database now has, too, is taken from the database. Each sample of a
 * chunk stands for one: what came late for its window, or just after it, is in memory alone.
 */
static void drop_sealed(struct points *memory, const struct point *sealed, size_t n,
			int64_t tolerance_us)
{
	size_t kept = 0, at = 0;

	for (size_t i = 0; i < memory->n; i++) {
		struct point p = memory->v[i];

		while (at < n && sealed[at].t_us < p.t_us - tolerance_us)
			at++;
		if (at < n && sealed[at].t_us <= p.t_us + tolerance_us && sealed[at].v == p.v)
			at++;
		else
			memory->v[kept++] = p;
	}
	memory->n = kept;
}

static int add_chunk(struct series_query *q, int64_t t0_us, const uint8_t *data, size_t len,
		     struct error *err)
{
	auto_free int64_t *times = NULL;
	size_t before = q->all.n;
	int n = chunk_samples(data, len, err);
	int64_t *values;
	int rc;

	if (n < 0)
		return n;
	times = malloc(2 * (size_t)n * sizeof(*times));
	if (!times)
		return -ENOMEM;
	values = times + n;
	rc = chunk_decode_times(data, len, (size_t)n, times, err);
	if (rc == 0)
		rc = chunk_decode_column(q->type->spec, data, len, q->metric, (size_t)n, values,
					 err);
	if (rc < 0)
		return rc;
	for (int i = 0; i < n; i++) {
		int64_t t = t0_us + times[i] * 1000;

		if (values[i] != METRIC_ABSENT && t >= q->from_us && t < q->to_us)
			points_add(&q->all, t, values[i]);
	}
	drop_sealed(&q->memory, q->all.v + before, q->all.n - before,
		    chunk_time_tolerance(chunk_step(data, len)) * 1000);
	return 0;
}

static int by_time(const void *pa, const void *pb)
{
	const struct point *a = pa, *b = pb;

	return a->t_us < b->t_us ? -1 : a->t_us > b->t_us;
}

/* Chunks come in order, memory is newer: only late data needs to be sorted in. */
static void put_in_order(struct points *p)
{
	for (size_t i = 1; i < p->n; i++)
		if (p->v[i].t_us < p->v[i - 1].t_us) {
			qsort(p->v, p->n, sizeof(*p->v), by_time);
			return;
		}
}

/* Equal buckets, each told by its highest (of a gauge) and its last value; in place. */
static int64_t thin(struct series_query *q)
{
	struct points *p = &q->all;
	size_t per_bucket = q->counter ? 1 : 2;
	int64_t buckets = (int64_t)MAX_OF(q->max_points / per_bucket, (size_t)1);
	int64_t span = (q->to_us - q->from_us + buckets - 1) / buckets;
	size_t kept = 0, i = 0;

	while (i < p->n) {
		int64_t end = q->from_us + ((p->v[i].t_us - q->from_us) / span + 1) * span;
		struct point high = p->v[i], last = high;

		for (; i < p->n && p->v[i].t_us < end; i++) {
			last = p->v[i];
			if (last.v > high.v)
				high = last;
		}
		if (!q->counter && high.v > last.v)
			p->v[kept++] = high;
		p->v[kept++] = last;
	}
	p->n = kept;
	return span;
}

/* A window of another collector may be in memory here for a while after that has sealed it. */
static void drop_repeated(struct points *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n; i++)
		if (!kept || p->v[kept - 1].t_us != p->v[i].t_us)
			p->v[kept++] = p->v[i];
	p->n = kept;
}

static void answer(struct series_query *q, int rc, const struct error *err)
{
	int64_t resolution = 0;

	for (size_t i = 0; i < q->memory.n; i++)
		points_add(&q->all, q->memory.v[i].t_us, q->memory.v[i].v);
	if (rc == 0 && (q->all.failed || q->memory.failed))
		rc = -ENOMEM;
	if (rc == 0)
		put_in_order(&q->all);
	drop_repeated(&q->all);
	if (rc == 0 && q->all.n > q->max_points)
		resolution = thin(q);
	resolution = MAX_OF(resolution, q->coarsest_us);
	q->done(q->arg, rc, q->all.v, rc == 0 ? q->all.n : 0, resolution, err);
	store_job_end(&q->job);
}

/* ---- older than chunks: hours, then days ---- */

/* Is there one in [from, from + span)? They are sorted. */
static bool has_point(const struct points *p, int64_t from_us, int64_t span_us)
{
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->v[mid].t_us < from_us)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->n && p->v[low].t_us < from_us + span_us;
}

static void add_within(struct series_query *q, int64_t t_us, int64_t v)
{
	if (t_us >= q->from_us && t_us < q->to_us)
		points_add(&q->all, t_us, v);
}

/* The rollups of one span, where nothing finer tells of it: its highest in the middle, its last at
 * the end. */
static void add_rollups(struct series_query *q, const struct db_result *r, int64_t span_us)
{
	size_t before = q->all.n;

	for (size_t i = 0; i < db_rows(r); i++) {
		int64_t t0 = db_time(r, i, 0), high = db_int(r, i, 2);
		int64_t last = db_is_null(r, i, 3) ? high : db_int(r, i, 3);

		const struct points finer = {.v = q->all.v, .n = before};

		if (db_int(r, i, 1) * USEC_PER_SEC != span_us || has_point(&finer, t0, span_us))
			continue;
		add_within(q, t0 + span_us / 2, high);
		if (last != high)
			add_within(q, t0 + span_us - USEC_PER_SEC, last);
	}
	if (q->all.n > before)
		q->coarsest_us = span_us;
	put_in_order(&q->all);
}

static void on_rollups(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct series_query *q = arg;

	MAGIC_CHECK(q, MAGIC);
	put_in_order(&q->all);
	if (rc == 0) {
		add_rollups(q, r, HOUR_US);
		add_rollups(q, r, DAY_US);
	}
	answer(q, rc, err);
}

/* Every start of a span that [from, to) touches; NULL without memory. */
static int64_t *starts(int64_t span_us, int64_t from_us, int64_t to_us, size_t *ret_n)
{
	int64_t first = window_start(span_us, from_us);
	int64_t n = (to_us - first + span_us - 1) / span_us;
	int64_t *v = malloc((size_t)MAX_OF(n, 1) * sizeof(*v));

	for (int64_t i = 0; v && i < n; i++)
		v[i] = first + i * span_us;
	*ret_n = (size_t)MAX_OF(n, 0);
	return v;
}

/* Where chunks may have gone: a leaf more than is kept. */
static int ask_rollups(struct series_query *q)
{
	int64_t now = clock_wall_us();
	int64_t to = MIN_OF(q->to_us, now - q->s->cfg.keep_chunk_us + 2 * DAY_US);
	size_t n_hours, n_days;
	auto_free int64_t *hours = starts(HOUR_US, q->from_us, to, &n_hours);
	auto_free int64_t *days = starts(DAY_US, q->from_us, to, &n_days);

	if (!hours || !days)
		return -ENOMEM;
	const struct db_param params[] = {
		DB_P_INT4(q->id.host_id),
		DB_P_INT8(q->id.obj_id),
		DB_P_INT2(q->metric),
		DB_P_TIMES(hours, n_hours),
		DB_P_TIMES(days, n_days),
		DB_P_TIME(window_start(HOUR_US, q->from_us)),
		DB_P_TIME(to),
	};

	return db_query(q->db, Q_SERIES_ROLLUP, params, ARRAY_SIZE(params), on_rollups, q);
}

static bool has_rollups(const struct series_query *q)
{
	return q->old && q->id.kind == SERIES_PROCESS &&
	       (q->metric == METRIC_RSS || q->metric == METRIC_ANON || q->metric == METRIC_SWAP);
}

/* ---- chunks ---- */

static void on_chunks(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct series_query *q = arg;
	struct error bad;

	MAGIC_CHECK(q, MAGIC);
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++) {
		size_t len;
		const uint8_t *d = db_bytes(r, i, 2, &len);

		error_set(&bad, 0, "not enough memory");
		rc = add_chunk(q, db_time(r, i, 0), d, len, &bad);
		err = &bad;
	}
	if (rc == 0 && has_rollups(q)) {
		rc = ask_rollups(q);
		if (rc == 0)
			return;
	}
	answer(q, rc, err);
}

/* The starts of the windows that [from, to) touches; NULL without memory or for too many. */
static int64_t *grid(const struct store *s, int64_t from_us, int64_t to_us, size_t *ret_n)
{
	int64_t first = window_start(s->cfg.window_us, from_us);
	int64_t n = (to_us - first + s->cfg.window_us - 1) / s->cfg.window_us;
	int64_t *v = n > 0 && n <= MAX_WINDOWS ? malloc((size_t)n * sizeof(*v)) : NULL;

	for (int64_t i = 0; v && i < n; i++)
		v[i] = first + i * s->cfg.window_us;
	*ret_n = (size_t)n;
	return v;
}

static int ask(struct store *s, struct series_query *q, const struct series_id *id)
{
	size_t n;
	auto_free int64_t *t0 = grid(s, q->from_us, q->to_us, &n);

	if (!t0)
		return -ERANGE;
	const struct db_param params[] = {DB_P_INT4(id->host_id), DB_P_INT8(id->obj_id),
					  DB_P_TIMES(t0, n),      DB_P_TIME(t0[0]),
					  DB_P_TIME(q->to_us),    DB_P_INT2(id->kind)};
	static const enum query queries[2][2] = {{Q_SERIES_OBJECT, Q_SERIES_OBJECT_OLD},
						 {Q_SERIES_PROCESS, Q_SERIES_PROCESS_OLD}};
	bool process = id->kind == SERIES_PROCESS;

	return db_query(q->db, queries[process][q->old], params, ARRAY_SIZE(params) - process,
			on_chunks, q);
}

int store_series(struct store *s, const struct series_id *id, unsigned metric, int64_t from_us,
		 int64_t to_us, size_t max_points, store_on_series *done, void *arg)
{
	const struct series_type *type = &series_types[id->kind];
	struct series_query *q;
	int rc;

	from_us = MAX_OF(from_us, 0);
	if (metric >= type->spec->n_columns || from_us >= to_us || max_points < 2)
		return -EINVAL;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	*q = (struct series_query){
		.magic = MAGIC,
		.done = done,
		.arg = arg,
		.s = s,
		.db = store_reader_of_chunks(s),
		.id = *id,
		.type = type,
		.metric = metric,
		.counter = type->infos[metric].kind == METRIC_COUNTER,
		.from_us = from_us,
		.to_us = to_us,
		.max_points = max_points,
		.old = from_us < clock_wall_us() - s->cfg.keep_chunk_us + DAY_US,
	};
	store_job_add(s, &q->job, query_free);
	rc = window_read(s->windows, id, metric, from_us, to_us, on_memory_point, &q->memory);
	if (rc >= 0)
		rc = window_read(s->others, id, metric, from_us, to_us, on_memory_point,
				 &q->memory);
	put_in_order(&q->memory);
	if (rc >= 0)
		rc = ask(s, q, id);
	if (rc < 0)
		store_job_end(&q->job);
	return rc < 0 ? rc : 0;
}
