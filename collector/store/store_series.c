/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "collector/store/store_inner.h"

#define MAGIC         0x73657269u
#define MAX_WINDOWS   65536 /* in one answer */
#define MAX_SAMPLES   ((size_t)4 << 20)
#define TIME_SLACK_US 100000 /* chunk.h: what times are kept to */

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
	const struct series_type *type;
	unsigned metric;
	bool counter;
	int64_t from_us, to_us;
	size_t max_points;
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

/* What memory held and the database now has, too, is taken from the database. */
static void drop_sealed(struct points *memory, int64_t first_us, int64_t last_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < memory->n; i++)
		if (memory->v[i].t_us < first_us - TIME_SLACK_US ||
		    memory->v[i].t_us > last_us + TIME_SLACK_US)
			memory->v[kept++] = memory->v[i];
	memory->n = kept;
}

static int add_chunk(struct series_query *q, int64_t t0_us, const uint8_t *data, size_t len,
		     struct error *err)
{
	auto_free int64_t *times = NULL;
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
	drop_sealed(&q->memory, t0_us + times[0] * 1000, t0_us + times[n - 1] * 1000);
	for (int i = 0; i < n; i++) {
		int64_t t = t0_us + times[i] * 1000;

		if (values[i] != METRIC_ABSENT && t >= q->from_us && t < q->to_us)
			points_add(&q->all, t, values[i]);
	}
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
		int64_t bucket = (p->v[i].t_us - q->from_us) / span;
		struct point high = p->v[i], last = high;

		for (; i < p->n && (p->v[i].t_us - q->from_us) / span == bucket; i++) {
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

static void answer(struct series_query *q, int rc, const struct error *err)
{
	int64_t resolution = 0;

	for (size_t i = 0; i < q->memory.n; i++)
		points_add(&q->all, q->memory.v[i].t_us, q->memory.v[i].v);
	if (rc == 0 && (q->all.failed || q->memory.failed))
		rc = -ENOMEM;
	if (rc == 0)
		put_in_order(&q->all);
	if (rc == 0 && q->all.n > q->max_points)
		resolution = thin(q);
	q->done(q->arg, rc, q->all.v, rc == 0 ? q->all.n : 0, resolution, err);
	store_job_end(&q->job);
}

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
	bool process = id->kind == SERIES_PROCESS;

	return db_query(s->db, process ? Q_SERIES_PROCESS : Q_SERIES_OBJECT, params,
			ARRAY_SIZE(params) - process, on_chunks, q);
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
		.type = type,
		.metric = metric,
		.counter = type->infos[metric].kind == METRIC_COUNTER,
		.from_us = from_us,
		.to_us = to_us,
		.max_points = max_points,
	};
	store_job_add(s, &q->job, query_free);
	rc = window_read(s->windows, id, metric, from_us, to_us, on_memory_point, &q->memory);
	if (rc >= 0)
		rc = ask(s, q, id);
	if (rc < 0)
		store_job_end(&q->job);
	return rc < 0 ? rc : 0;
}
