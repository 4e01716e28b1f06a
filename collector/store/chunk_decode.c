/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a chunk (chunk.h has the layout). A query decodes millions of values: the loop over them
 * (read_short()) has no branch on the data. Cursors are handed on by their address: a copy of one
 * that was just written waits for the store, 45 % of the time that a still column took.
 */
#include <errno.h>
#include <string.h>

#include "collector/store/chunk_predict.h"
#include "common/cursor.h"

/* No time of a chunk is further from its first, nor from where its step puts it. */
#define SPAN_BITS (4 * (uint64_t)CHUNK_MAX_SPAN_MS)

/* Where a chunk's parts lie; its columns as far as they were looked up. */
struct layout {
	size_t n;
	int64_t first;
	int64_t step;
	struct cursor times;
	struct cursor rest; /* behind the last known column */
	unsigned n_columns;
	unsigned known;
	const uint8_t *columns[CHUNK_MAX_COLUMNS];
	size_t lens[CHUNK_MAX_COLUMNS];
};

/* Most are below 128. */
static inline uint64_t get_varint(struct cursor *c)
{
	return c->p < c->end && *c->p < 0x80 ? *c->p++ : cursor_varint(c);
}

static inline int64_t unzigzag(uint64_t w)
{
	return (int64_t)(w >> 1) ^ -(int64_t)(w & 1);
}

/* A length and as many bytes, which c leaves behind. */
static const uint8_t *sub_column(struct cursor *c, size_t *ret_len)
{
	uint64_t len = get_varint(c);
	const uint8_t *p = c->p;

	c->bad |= len > cursor_left(c);
	*ret_len = c->bad ? 0 : (size_t)len;
	c->p += *ret_len;
	return p;
}

static int read_layout(struct layout *l, const uint8_t *data, size_t len, struct error *err)
{
	struct cursor c = cursor_of(data, len);
	unsigned version = cursor_u8(&c);
	uint64_t n, step, columns;
	const uint8_t *times;
	size_t times_len;

	l->n = 0;
	l->n_columns = l->known = 0;
	if (!c.bad && version != CHUNK_CODEC)
		return error_set(err, -EBADMSG, "chunk: format %u is not known", version);
	n = get_varint(&c);
	l->first = cursor_zigzag(&c);
	step = cursor_varint(&c);
	times = sub_column(&c, &times_len);
	columns = get_varint(&c);
	if (c.bad || n < 1 || n > CHUNK_MAX_SAMPLES || step > CHUNK_MAX_SPAN_MS ||
	    l->first < -CHUNK_MAX_SPAN_MS || l->first > CHUNK_MAX_SPAN_MS ||
	    columns > CHUNK_MAX_COLUMNS)
		return error_set(err, -EBADMSG, "chunk: bad head");
	l->n = (size_t)n;
	l->times = cursor_of(times, times_len);
	l->step = (int64_t)step;
	l->n_columns = (unsigned)columns;
	l->rest = c;
	return 0;
}

static int read_layout_of(struct layout *l, const uint8_t *data, size_t len, size_t n,
			  struct error *err)
{
	int rc = read_layout(l, data, len, err);

	if (rc == 0 && l->n != n)
		return error_set(err, -EBADMSG, "chunk: holds %zu samples, not %zu", l->n, n);
	return rc;
}

/* Empty for a column that the chunk is too old for. */
static void column_at(struct layout *l, unsigned k, struct cursor *ret)
{
	for (; l->known <= k && k < l->n_columns; l->known++)
		l->columns[l->known] = sub_column(&l->rest, &l->lens[l->known]);
	ret->p = k < l->n_columns ? l->columns[k] : l->rest.p;
	ret->end = ret->p + (k < l->n_columns ? l->lens[k] : 0);
	ret->bad = false;
}

/* ---- values ---- */

/* What is there is doubled: that is what memcpy() is fast at. */
static void fill(int64_t *v, int64_t with, size_t n)
{
	size_t have = MIN_OF(n, (size_t)32);

	for (size_t i = 0; i < have; i++)
		v[i] = with;
	for (; have < n; have += MIN_OF(have, n - have))
		memcpy(v + have, v, MIN_OF(have, n - have) * sizeof(*v));
}

/* Where differences are being added up. */
struct run {
	const uint8_t *p;
	const uint8_t *end;
	uint64_t unit; /* of the differences */
	uint64_t way;  /* of all of them, in units, no sign: at least */
	int64_t now;
	int64_t *v; /* the next value */
	int64_t *stop;
};

/*
 * Differences of one byte or two, and runs told by one, as long as there are two bytes and four
 * places. Which one it is goes as the data please: branches on it would be missed half of the time,
 * which takes longer than all of this. So two bytes are taken for all three, the value is written
 * four times, and as many of these are kept as it stands for. -1 for a run beyond the end.
 */
static inline int read_short(struct run *at)
{
	struct run r = *at;

	while (r.stop - r.v >= 4 && r.end - r.p >= 2) {
		uint64_t a = r.p[0], b = r.p[1];
		uint64_t two = a >> 7, zero = a == 0;
		uint64_t more = zero * b;
		uint64_t w = (a & 0x7f) | two * b << 7;

		/* longer; or a 0 in two bytes, which is no run's */
		if ((two | zero) & ((b - two) | b) >> 7)
			break;
		r.p += 1 + (two | zero);
		r.way += w;
		r.now = plus(r.now, (int64_t)((uint64_t)unzigzag(w) * r.unit));
		r.v[0] = r.v[1] = r.v[2] = r.v[3] = r.now;
		if (more >= 4) {
			if (more >= (uint64_t)(r.stop - r.v))
				return -1;
			fill(r.v + 4, r.now, (size_t)more - 3);
		}
		r.v += more + 1;
	}
	*at = r;
	return 0;
}

/* Any one. */
static int read_next(struct run *r)
{
	struct cursor c = cursor_of(r->p, (size_t)(r->end - r->p));
	uint64_t w = cursor_varint(&c);
	bool padded = w == 0 && c.p > r->p + 1;
	uint64_t more = w == 0 ? cursor_varint(&c) : 0;

	if (c.bad || padded || more >= (uint64_t)(r->stop - r->v))
		return -1;
	r->way = w < PREDICT_WILD && r->way < PREDICT_WILD ? r->way + w : PREDICT_WILD;
	r->now = plus(r->now, (int64_t)((uint64_t)unzigzag(w) * r->unit));
	fill(r->v, r->now, (size_t)more + 1);
	r->v += more + 1;
	r->p = c.p;
	return 0;
}

/*
 * n values from one on: differences in units of 'unit' that are added up. 0, or -1 for bytes that
 * do not make n values. *bound: of all of them and the one before.
 */
static int read_values(const struct cursor *from, uint64_t unit, int64_t now, int64_t *v, size_t n,
		       uint64_t *bound)
{
	struct run r = {
		.p = from->p, .end = from->end, .unit = unit, .now = now, .v = v, .stop = v + n};
	uint64_t far;

	while (r.v < r.stop)
		if (read_short(&r) < 0 || (r.v < r.stop && read_next(&r) < 0))
			return -1;
	if (__builtin_mul_overflow(r.way, unit, &far) || far >= PREDICT_WILD ||
	    predict_bits(now) >= PREDICT_WILD)
		*bound = PREDICT_WILD;
	else
		*bound = far + predict_bits(now) + 1;
	return r.p == r.end ? 0 : -1;
}

/* ---- holes ---- */

/* How many of n samples are present; moves c behind the runs. */
static int count_present(struct cursor *c, size_t n, size_t *ret)
{
	bool present = true;
	size_t i = 0, count = 0;

	while (i < n) {
		uint64_t run = get_varint(c);

		if (c->bad || run > n - i || (run == 0 && i > 0))
			return -1;
		i += (size_t)run;
		count += present ? (size_t)run : 0;
		present = !present;
	}
	*ret = count;
	return 0;
}

/* The values that are present lie at the end of v, in order: each goes to its place. */
static void spread(struct cursor *runs, int64_t *v, size_t n, size_t count)
{
	bool present = true;
	size_t from = n - count;

	for (size_t i = 0; i < n; present = !present) {
		size_t run = (size_t)cursor_varint(runs);

		if (present)
			memmove(v + i, v + from, run * sizeof(*v));
		else
			fill(v + i, METRIC_ABSENT, run);
		from += present ? run : 0;
		i += run;
	}
}

/* The values that are present; nothing left of the column = all are 0. */
static int read_present(struct cursor *c, uint64_t gcd, int64_t *v, size_t n, uint64_t *bound)
{
	*bound = 0;
	if (n == 0 || cursor_left(c) == 0) {
		memset(v, 0, n * sizeof(*v));
		return cursor_left(c) ? -1 : 0;
	}
	v[0] = unzigzag(get_varint(c));
	if (c->bad)
		return -1;
	if (gcd)
		return read_values(c, gcd, v[0], v + 1, n - 1, bound);
	*bound = predict_bits(v[0]) + 1;
	fill(v + 1, v[0], n - 1);
	return cursor_left(c) ? -1 : 0;
}

/* As read_present(), where some are absent. */
static int read_holes(struct cursor *c, uint64_t gcd, int64_t *v, size_t n)
{
	struct cursor runs = *c;
	uint64_t bound;
	size_t count;

	if (count_present(c, n, &count) < 0 ||
	    read_present(c, gcd, v + (n - count), count, &bound) < 0)
		return -1;
	spread(&runs, v, n, count);
	return 0;
}

/* A column as it is stored. */
static int read_column(struct cursor *c, int64_t *v, size_t n, uint64_t *bound)
{
	uint64_t head;

	*bound = PREDICT_WILD;
	if (cursor_left(c) == 0) {
		fill(v, METRIC_ABSENT, n);
		return 0;
	}
	head = get_varint(c);
	if (c->bad)
		return -1;
	return head & 1 ? read_holes(c, head >> 1, v, n) : read_present(c, head >> 1, v, n, bound);
}

/* ---- columns ---- */

static int read_stored(struct layout *l, unsigned k, int64_t *v, uint64_t *bound, struct error *err)
{
	struct cursor c;

	column_at(l, k, &c);
	if (l->rest.bad || read_column(&c, v, l->n, bound) < 0)
		return error_set(err, -EBADMSG, "chunk: column %u is damaged", k);
	return 0;
}

static int read_whole(const struct chunk_spec *spec, struct layout *l, unsigned k, int64_t *v,
		      uint64_t *bound, struct error *err)
{
	const struct chunk_predictor *p = predictor_of(spec, k);
	auto_free int64_t *scratch = NULL;
	struct predict_terms terms;
	int rc = read_stored(l, k, v, bound, err);

	if (rc < 0 || !p)
		return rc;
	scratch = malloc(p->n_terms * l->n * sizeof(*scratch));
	if (!scratch)
		return -ENOMEM;
	for (unsigned i = 0; i < p->n_terms; i++) {
		int64_t *term = scratch + i * l->n;

		rc = read_whole(spec, l, p->terms[i].column, term, &terms.bound[i], err);
		if (rc < 0)
			return rc;
		terms.v[i] = term;
	}
	predict_add(p, &terms, l->n, v, bound);
	return 0;
}

int chunk_samples(const uint8_t *data, size_t len, struct error *err)
{
	struct layout l;
	int rc = read_layout(&l, data, len, err);

	return rc < 0 ? rc : (int)l.n;
}

int64_t chunk_step(const uint8_t *data, size_t len)
{
	struct layout l = {.step = 0};
	struct error err;

	return read_layout(&l, data, len, &err) < 0 ? 0 : (int64_t)l.step;
}

int chunk_decode_times(const uint8_t *data, size_t len, size_t n, int64_t *times_ms,
		       struct error *err)
{
	struct layout l;
	uint64_t bits = 0, bound = 1;
	int64_t at;
	int rc = read_layout_of(&l, data, len, n, err);

	if (rc < 0)
		return rc;
	at = l.first;
	/* first how far each is from its step, added up */
	memset(times_ms, 0, n * sizeof(*times_ms));
	if ((cursor_left(&l.times) &&
	     read_values(&l.times, 1, 0, times_ms + 1, n - 1, &bound) < 0) ||
	    (int64_t)n * l.step > (int64_t)SPAN_BITS)
		return error_set(err, -EBADMSG, "chunk: bad times");
	for (size_t i = 0; bound > 1 && i < n; i++)
		bits |= predict_bits(times_ms[i]);
	for (size_t i = 0; i < n; i++, at += l.step)
		times_ms[i] = plus(times_ms[i], at);
	return bits > SPAN_BITS ? error_set(err, -EBADMSG, "chunk: bad times") : 0;
}

int chunk_decode_column(const struct chunk_spec *spec, const uint8_t *data, size_t len,
			unsigned column, size_t n, int64_t *values, struct error *err)
{
	struct layout l;
	uint64_t bound;
	int rc;

	if (column >= spec->n_columns)
		return error_set(err, -EINVAL, "chunk: no column %u", column);
	rc = read_layout_of(&l, data, len, n, err);
	return rc < 0 ? rc : read_whole(spec, &l, column, values, &bound, err);
}

int chunk_decode(const struct chunk_spec *spec, const uint8_t *data, size_t len, size_t n,
		 int64_t *values, struct error *err)
{
	uint64_t bounds[CHUNK_MAX_COLUMNS];
	struct layout l;
	int rc = read_layout_of(&l, data, len, n, err);

	for (unsigned k = 0; k < spec->n_columns && rc == 0; k++)
		rc = read_stored(&l, k, values + (size_t)k * n, &bounds[k], err);
	/* a predictor's terms are plain or stand before it */
	for (size_t i = 0; i < spec->n_predictors && rc == 0; i++) {
		const struct chunk_predictor *p = &spec->predictors[i];
		struct predict_terms terms;

		for (unsigned k = 0; k < p->n_terms; k++) {
			terms.v[k] = values + (size_t)p->terms[k].column * n;
			terms.bound[k] = bounds[p->terms[k].column];
		}
		predict_add(p, &terms, n, values + (size_t)p->column * n, &bounds[p->column]);
	}
	return rc;
}
