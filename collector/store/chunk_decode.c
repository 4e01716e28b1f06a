/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a chunk (chunk.h has the layout). A query decodes millions of values: the loop over them
 * calls nothing for what takes one or two bytes, and fills runs.
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
	struct cursor columns[CHUNK_MAX_COLUMNS];
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

static struct cursor sub_column(struct cursor *c)
{
	uint64_t len = get_varint(c);
	struct cursor sub = cursor_of(NULL, 0);

	if (len > cursor_left(c)) {
		c->bad = true;
		return sub;
	}
	sub = cursor_of(c->p, (size_t)len);
	c->p += len;
	return sub;
}

static int read_layout(struct layout *l, const uint8_t *data, size_t len, struct error *err)
{
	struct cursor c = cursor_of(data, len);
	unsigned version = cursor_u8(&c);
	uint64_t n, step, columns;

	l->n = 0;
	l->n_columns = l->known = 0;
	if (!c.bad && version != CHUNK_CODEC)
		return error_set(err, -EBADMSG, "chunk: format %u is not known", version);
	n = get_varint(&c);
	l->first = cursor_zigzag(&c);
	step = cursor_varint(&c);
	l->times = sub_column(&c);
	columns = get_varint(&c);
	if (c.bad || n < 1 || n > CHUNK_MAX_SAMPLES || step > CHUNK_MAX_SPAN_MS ||
	    l->first < -CHUNK_MAX_SPAN_MS || l->first > CHUNK_MAX_SPAN_MS ||
	    columns > CHUNK_MAX_COLUMNS)
		return error_set(err, -EBADMSG, "chunk: bad head");
	l->n = (size_t)n;
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
static struct cursor column_at(struct layout *l, unsigned k)
{
	if (k >= l->n_columns)
		return cursor_of(NULL, 0);
	while (l->known <= k)
		l->columns[l->known++] = sub_column(&l->rest);
	return l->columns[k];
}

/* ---- values ---- */

static void fill(int64_t *v, int64_t with, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = with;
}

/* The bytes of a varint after its first. */
static inline uint64_t rest_of_varint(struct cursor *c, uint64_t first)
{
	if (c->p < c->end && *c->p < 0x80)
		return (first & 0x7f) | (uint64_t)*c->p++ << 7;
	c->p--;
	return cursor_varint(c);
}

/* Short runs are many and of any length: four values are written without a look at how many are
 * meant, what follows is written over. room: of v. */
static void fill_run(int64_t *v, int64_t with, size_t n, size_t room)
{
	if (n > 4 || room < 4) {
		fill(v, with, n);
		return;
	}
	v[0] = v[1] = v[2] = v[3] = with;
}

/*
 * n values from one on: differences in units of 'unit' that are added up. 0, or -1 for bytes that
 * do not make n values. *bits: predict_bits() of all are or-ed into it.
 */
static int read_values(struct cursor *from, uint64_t unit, int64_t now, int64_t *v, size_t n,
		       uint64_t *bits)
{
	struct cursor c = *from;
	uint64_t all = 0;

	for (size_t i = 0; i < n;) {
		uint64_t w;

		if (c.p == c.end)
			return -1;
		w = *c.p++;
		if (w >= 0x80)
			w = rest_of_varint(&c, w);
		if (w == 0) {
			uint64_t more = get_varint(&c);

			if (c.bad || more >= n - i)
				return -1;
			fill_run(v + i, now, (size_t)more + 1, n - i);
			i += (size_t)more + 1;
			continue;
		}
		now = plus(now, (int64_t)((uint64_t)unzigzag(w) * unit));
		all |= predict_bits(now);
		v[i++] = now;
	}
	*bits |= all;
	return c.bad || c.p != c.end ? -1 : 0;
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
static void spread(struct cursor runs, int64_t *v, size_t n, size_t count)
{
	bool present = true;
	size_t from = n - count;

	for (size_t i = 0; i < n; present = !present) {
		size_t run = (size_t)cursor_varint(&runs);

		if (present)
			memmove(v + i, v + from, run * sizeof(*v));
		else
			fill(v + i, METRIC_ABSENT, run);
		from += present ? run : 0;
		i += run;
	}
}

/* The values that are present; nothing left of the column = all are 0. */
static int read_present(struct cursor *c, uint64_t gcd, int64_t *v, size_t n, uint64_t *bits)
{
	if (n == 0 || cursor_left(c) == 0) {
		fill(v, 0, n);
		return cursor_left(c) ? -1 : 0;
	}
	v[0] = unzigzag(get_varint(c));
	*bits = predict_bits(v[0]);
	if (c->bad)
		return -1;
	if (gcd)
		return read_values(c, gcd, v[0], v + 1, n - 1, bits);
	fill(v + 1, v[0], n - 1);
	return cursor_left(c) ? -1 : 0;
}

/* A column as it is stored. */
static int read_column(struct cursor c, int64_t *v, size_t n, uint64_t *bound)
{
	struct cursor runs;
	uint64_t head, bits = 0;
	size_t count = n;

	*bound = PREDICT_WILD;
	if (cursor_left(&c) == 0) {
		fill(v, METRIC_ABSENT, n);
		return 0;
	}
	head = get_varint(&c);
	runs = c;
	if (c.bad || ((head & 1) && count_present(&c, n, &count) < 0) ||
	    read_present(&c, head >> 1, v + (n - count), count, &bits) < 0)
		return -1;
	if (head & 1)
		spread(runs, v, n, count);
	else
		*bound = MIN_OF(bits, PREDICT_WILD - 1) + 1;
	return 0;
}

/* ---- columns ---- */

static int read_stored(struct layout *l, unsigned k, int64_t *v, uint64_t *bound, struct error *err)
{
	struct cursor c = column_at(l, k);

	if (l->rest.bad || read_column(c, v, l->n, bound) < 0)
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

int chunk_decode_times(const uint8_t *data, size_t len, size_t n, int64_t *times_ms,
		       struct error *err)
{
	struct layout l;
	uint64_t bits = 0;
	int64_t at;
	int rc = read_layout_of(&l, data, len, n, err);

	if (rc < 0)
		return rc;
	at = l.first;
	/* first how far each is from its step, added up */
	fill(times_ms, 0, n);
	if ((cursor_left(&l.times) &&
	     read_values(&l.times, 1, 0, times_ms + 1, n - 1, &bits) < 0) ||
	    bits > SPAN_BITS || (int64_t)n * l.step > (int64_t)SPAN_BITS)
		return error_set(err, -EBADMSG, "chunk: bad times");
	for (size_t i = 0; i < n; i++, at += l.step)
		times_ms[i] += at;
	return 0;
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
