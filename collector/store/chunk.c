/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/chunk.h"

#include <errno.h>
#include <string.h>

#include "common/cursor.h"

/* A column of CHUNK_MAX_SAMPLES at its worst: a run length and a value of ten bytes each. */
#define COLUMN_MAX ((size_t)CHUNK_MAX_SAMPLES * 21 + 32)

static const struct chunk_predictor process_predictors[] = {
	{METRIC_ANON, 3, {{METRIC_RSS, 1}, {METRIC_FILE, -1}, {METRIC_SHMEM, -1}}},
	{METRIC_USS, 1, {{METRIC_ANON, 1}}},
	{METRIC_PSS, 1, {{METRIC_USS, 1}}},
};

static const struct chunk_predictor host_predictors[] = {
	{HOST_METRIC_AVAILABLE, 2, {{HOST_METRIC_FREE, 1}, {HOST_METRIC_CACHED, 1}}},
};

/* usage = anon + file + kernel, but for what is charged in batches a CPU. */
static const struct chunk_predictor cgroup_predictors[] = {
	{CGROUP_METRIC_USAGE,
	 3,
	 {{CGROUP_METRIC_ANON, 1}, {CGROUP_METRIC_FILE, 1}, {CGROUP_METRIC_KERNEL, 1}}},
	{CGROUP_METRIC_WORKING_SET, 1, {{CGROUP_METRIC_USAGE, 1}}},
};

const struct chunk_spec chunk_process_spec = {METRIC_COUNT, process_predictors,
					      ARRAY_SIZE(process_predictors)};
const struct chunk_spec chunk_host_spec = {HOST_METRIC_COUNT, host_predictors,
					   ARRAY_SIZE(host_predictors)};
const struct chunk_spec chunk_cgroup_spec = {CGROUP_METRIC_COUNT, cgroup_predictors,
					     ARRAY_SIZE(cgroup_predictors)};

static const struct chunk_predictor *predictor_of(const struct chunk_spec *spec, unsigned column)
{
	for (size_t i = 0; i < spec->n_predictors; i++)
		if (spec->predictors[i].column == column)
			return &spec->predictors[i];
	return NULL;
}

/* Differences wrap: any two int64 have one, and adding it back is exact. */
static int64_t minus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

static int64_t plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static uint64_t magnitude(int64_t v)
{
	return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

static int64_t divide(int64_t v, uint64_t by)
{
	uint64_t q = magnitude(v) / by;

	return v < 0 ? (int64_t)(0 - q) : (int64_t)q;
}

static int64_t multiply(int64_t v, uint64_t by)
{
	return (int64_t)((uint64_t)v * by);
}

/* ---- encoding ---- */

/* Numbers in zig-zag, zeros counted: '0 extra' stands for extra + 1 of them. */
struct run_writer {
	struct buf *out;
	uint64_t zeros;
};

static void run_flush(struct run_writer *w)
{
	if (!w->zeros)
		return;
	buf_u8(w->out, 0);
	buf_varint(w->out, w->zeros - 1);
	w->zeros = 0;
}

static void run_put(struct run_writer *w, int64_t v)
{
	if (v == 0) {
		w->zeros++;
		return;
	}
	run_flush(w);
	buf_zigzag(w->out, v);
}

static uint64_t gcd_of(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t r = a % b;

		a = b;
		b = r;
	}
	return a;
}

/* What a column's shape is: counted once, before it is written. */
struct shape {
	size_t present;
	uint64_t gcd;
	bool zero; /* every present value is 0 */
};

static struct shape shape_of(const int64_t *v, size_t n)
{
	struct shape s = {.zero = true};
	int64_t before = 0;

	for (size_t i = 0; i < n; i++) {
		if (v[i] == METRIC_ABSENT)
			continue;
		if (s.present++)
			s.gcd = gcd_of(s.gcd, magnitude(minus(v[i], before)));
		before = v[i];
		s.zero = s.zero && before == 0;
	}
	if (s.gcd >> 62) /* has to leave room for the flag */
		s.gcd = 1;
	return s;
}

static void put_holes(struct buf *out, const int64_t *v, size_t n)
{
	bool present = true;
	size_t run = 0;

	for (size_t i = 0; i < n; i++) {
		if ((v[i] != METRIC_ABSENT) != present) {
			buf_varint(out, run);
			present = !present;
			run = 0;
		}
		run++;
	}
	buf_varint(out, run);
}

static void encode_column(struct buf *out, const int64_t *v, size_t n)
{
	struct shape s = shape_of(v, n);
	struct run_writer w = {.out = out};
	int64_t before = 0;
	size_t seen = 0;

	if (!s.present)
		return;
	buf_varint(out, s.gcd << 1 | (s.present < n));
	if (s.present < n)
		put_holes(out, v, n);
	if (s.zero)
		return;
	for (size_t i = 0; i < n; i++) {
		if (v[i] == METRIC_ABSENT)
			continue;
		if (!seen++)
			buf_zigzag(out, v[i]);
		else if (s.gcd)
			run_put(&w, divide(minus(v[i], before), s.gcd));
		before = v[i];
	}
	run_flush(&w);
}

/* The sampler's interval: the mean of those that are not pauses. */
static int64_t step_of(const int64_t *t, size_t n)
{
	int64_t least = INT64_MAX, sum = 0, count = 0;

	for (size_t i = 1; i < n; i++)
		if (t[i] != t[i - 1])
			least = MIN_OF(least, t[i] - t[i - 1]);
	for (size_t i = 1; i < n && least < INT64_MAX; i++) {
		int64_t d = t[i] - t[i - 1];

		if (d > least + least / 2)
			continue;
		sum += d;
		count++;
	}
	return count ? sum / count : 0;
}

static int64_t time_tolerance(int64_t step)
{
	int64_t ms = step / 100;

	return ms < 1 ? 1 : ms > 100 ? 100 : ms;
}

/* Each correction is against what a reader will have, so errors do not add up. */
static void encode_times(struct buf *out, const int64_t *t, size_t n, int64_t step)
{
	int64_t tolerance = time_tolerance(step), told = t[0];
	struct run_writer w = {.out = out};
	bool plain = true;

	for (size_t i = 1; i < n; i++) {
		int64_t off = t[i] - (told + step);

		if (off >= -tolerance && off <= tolerance)
			off = 0;
		if (told + step + off < told) /* never backwards */
			off = -step;
		plain = plain && off == 0;
		run_put(&w, off);
		told += step + off;
	}
	if (plain)
		w.zeros = 0; /* an empty column says so in one byte */
	run_flush(&w);
}

static void put_column(struct buf *out, struct buf *column)
{
	buf_varint(out, column->len);
	buf_put(out, column->data, column->len);
	out->failed = out->failed || column->failed;
	buf_reset(column);
}

/* The prediction for sample i, false when a term is absent. Reads plain values of all terms. */
static bool predict(const struct chunk_predictor *p, const int64_t *values, size_t n, size_t i,
		    int64_t *ret)
{
	int64_t sum = 0;

	for (unsigned k = 0; k < p->n_terms; k++) {
		int64_t v = values[p->terms[k].column * n + i];

		if (v == METRIC_ABSENT)
			return false;
		sum = p->terms[k].sign < 0 ? minus(sum, v) : plus(sum, v);
		if (sum == METRIC_ABSENT) /* a reader could not tell */
			return false;
	}
	*ret = sum;
	return true;
}

/* A residual that happens to be the mark for 'absent' stays plain; a reader cannot know, so the
 * whole encoding is refused instead: no real figure is near 2^63. */
static int residuals(const struct chunk_spec *spec, size_t n, const int64_t *values,
		     unsigned column, int64_t *out)
{
	const struct chunk_predictor *p = predictor_of(spec, column);
	const int64_t *plain = values + (size_t)column * n;
	int64_t guess;

	for (size_t i = 0; i < n; i++) {
		out[i] = plain[i];
		if (!p || plain[i] == METRIC_ABSENT || !predict(p, values, n, i, &guess))
			continue;
		out[i] = minus(plain[i], guess);
		if (out[i] == METRIC_ABSENT)
			return -EINVAL;
	}
	return 0;
}

int chunk_encode(const struct chunk_spec *spec, size_t n, const int64_t *times_ms,
		 const int64_t *values, struct buf *out)
{
	auto_buf struct buf column = BUF_INIT(COLUMN_MAX);
	auto_free int64_t *scratch = NULL;
	int64_t step;
	int rc = 0;

	if (n < 1 || n > CHUNK_MAX_SAMPLES || spec->n_columns > CHUNK_MAX_COLUMNS)
		return -EINVAL;
	for (size_t i = 1; i < n; i++)
		if (times_ms[i] < times_ms[i - 1] || times_ms[i] - times_ms[0] > CHUNK_MAX_SPAN_MS)
			return -EINVAL;
	scratch = malloc(n * sizeof(*scratch));
	if (!scratch)
		return -ENOMEM;
	step = step_of(times_ms, n);
	buf_u8(out, CHUNK_CODEC);
	buf_varint(out, n);
	buf_zigzag(out, times_ms[0]);
	buf_varint(out, (uint64_t)step);
	encode_times(&column, times_ms, n, step);
	put_column(out, &column);
	buf_varint(out, spec->n_columns);
	for (unsigned k = 0; k < spec->n_columns && rc == 0; k++) {
		rc = residuals(spec, n, values, k, scratch);
		encode_column(&column, scratch, n);
		put_column(out, &column);
	}
	return rc < 0 ? rc : buf_status(out);
}

/* ---- decoding ---- */

struct head {
	size_t n;
	int64_t first;
	int64_t step;
	struct cursor times;
	uint64_t columns;
};

static struct cursor sub_column(struct cursor *c)
{
	uint64_t len = cursor_varint(c);
	const uint8_t *p = len <= cursor_left(c) ? cursor_bytes(c, (size_t)len) : NULL;

	if (!p)
		c->bad = true;
	return cursor_of(p, p ? (size_t)len : 0);
}

static int read_head(struct cursor *c, struct head *h, struct error *err)
{
	unsigned version = cursor_u8(c);
	uint64_t n, step;

	if (!c->bad && version != CHUNK_CODEC)
		return error_set(err, -EBADMSG, "chunk: format %u is not known", version);
	n = cursor_varint(c);
	h->first = cursor_zigzag(c);
	step = cursor_varint(c);
	h->times = sub_column(c);
	h->columns = cursor_varint(c);
	if (c->bad || n < 1 || n > CHUNK_MAX_SAMPLES || step > CHUNK_MAX_SPAN_MS ||
	    h->first < -CHUNK_MAX_SPAN_MS || h->first > CHUNK_MAX_SPAN_MS ||
	    h->columns > CHUNK_MAX_COLUMNS)
		return error_set(err, -EBADMSG, "chunk: bad head");
	h->n = (size_t)n;
	h->step = (int64_t)step;
	return 0;
}

struct run_reader {
	struct cursor *c;
	uint64_t zeros;
};

static int64_t run_get(struct run_reader *r)
{
	int64_t v;

	if (r->zeros) {
		r->zeros--;
		return 0;
	}
	v = cursor_zigzag(r->c);
	if (v == 0)
		r->zeros = cursor_varint(r->c);
	return v;
}

static bool run_ended(const struct run_reader *r)
{
	return !r->c->bad && r->zeros == 0 && cursor_left(r->c) == 0;
}

int chunk_samples(const uint8_t *data, size_t len, struct error *err)
{
	struct cursor c = cursor_of(data, len);
	struct head h;
	int rc = read_head(&c, &h, err);

	return rc < 0 ? rc : (int)h.n;
}

int chunk_decode_times(const uint8_t *data, size_t len, size_t n, int64_t *times_ms,
		       struct error *err)
{
	struct cursor c = cursor_of(data, len);
	struct head h;
	struct run_reader r = {.c = &h.times};
	bool plain;
	int rc = read_head(&c, &h, err);

	if (rc < 0)
		return rc;
	if (n != h.n)
		return error_set(err, -EBADMSG, "chunk: holds %zu samples, not %zu", h.n, n);
	plain = cursor_left(&h.times) == 0;
	times_ms[0] = h.first;
	for (size_t i = 1; i < n; i++) {
		int64_t off = plain ? 0 : run_get(&r);

		if (off < -CHUNK_MAX_SPAN_MS || off > CHUNK_MAX_SPAN_MS ||
		    times_ms[i - 1] > 3 * CHUNK_MAX_SPAN_MS)
			return error_set(err, -EBADMSG, "chunk: bad times");
		times_ms[i] = times_ms[i - 1] + h.step + off;
	}
	if (!plain && !run_ended(&r))
		return error_set(err, -EBADMSG, "chunk: bad times");
	return 0;
}

/* Marks which samples are there: absent ones are set, present ones become 0. */
static size_t get_holes(struct cursor *c, int64_t *v, size_t n)
{
	bool present = true;
	size_t i = 0, count = 0;

	while (i < n && !c->bad) {
		uint64_t run = cursor_varint(c);

		if (run > n - i || (run == 0 && i > 0))
			c->bad = true;
		for (; run && !c->bad; run--, i++) {
			v[i] = present ? 0 : METRIC_ABSENT;
			count += present;
		}
		present = !present;
	}
	return count;
}

static bool decode_plain(struct cursor *c, int64_t *v, size_t n)
{
	struct run_reader r = {.c = c};
	uint64_t head;
	int64_t before = 0;
	size_t seen = 0;

	memset(v, 0, n * sizeof(*v));
	if (cursor_left(c) == 0) {
		for (size_t i = 0; i < n; i++)
			v[i] = METRIC_ABSENT;
		return true;
	}
	head = cursor_varint(c);
	if (head & 1)
		get_holes(c, v, n);
	if (!c->bad && cursor_left(c) == 0)
		return true; /* all zero */
	for (size_t i = 0; i < n && !c->bad; i++) {
		if (v[i] == METRIC_ABSENT)
			continue;
		if (!seen++)
			before = cursor_zigzag(c);
		else if (head >> 1)
			before = plus(before, multiply(run_get(&r), head >> 1));
		v[i] = before;
	}
	return run_ended(&r);
}

/* Column k as it is stored. */
static int decode_stored(const uint8_t *data, size_t len, unsigned k, size_t n, int64_t *v,
			 struct error *err)
{
	struct cursor c = cursor_of(data, len), column = cursor_of(NULL, 0);
	struct head h;
	int rc = read_head(&c, &h, err);

	if (rc < 0)
		return rc;
	if (n != h.n)
		return error_set(err, -EBADMSG, "chunk: holds %zu samples, not %zu", h.n, n);
	for (unsigned i = 0; i <= k && i < h.columns; i++) {
		column = sub_column(&c);
		if (i < k)
			column = cursor_of(NULL, 0);
	}
	if (c.bad || !decode_plain(&column, v, n))
		return error_set(err, -EBADMSG, "chunk: column %u is damaged", k);
	return 0;
}

/* Adds what the column was predicted to be; guess is scratch for a term. */
static int add_prediction(const struct chunk_spec *spec, const uint8_t *data, size_t len,
			  const struct chunk_predictor *p, size_t n, int64_t *v, struct error *err)
{
	auto_free int64_t *sum = malloc(2 * n * sizeof(*sum));
	int64_t *term = sum ? sum + n : NULL;

	if (!sum)
		return -ENOMEM;
	memset(sum, 0, n * sizeof(*sum));
	for (unsigned k = 0; k < p->n_terms; k++) {
		int rc = chunk_decode_column(spec, data, len, p->terms[k].column, n, term, err);

		if (rc < 0)
			return rc;
		for (size_t i = 0; i < n; i++)
			if (term[i] == METRIC_ABSENT || sum[i] == METRIC_ABSENT)
				sum[i] = METRIC_ABSENT;
			else if (p->terms[k].sign < 0)
				sum[i] = minus(sum[i], term[i]);
			else
				sum[i] = plus(sum[i], term[i]);
	}
	for (size_t i = 0; i < n; i++)
		if (v[i] != METRIC_ABSENT && sum[i] != METRIC_ABSENT)
			v[i] = plus(v[i], sum[i]);
	return 0;
}

int chunk_decode_column(const struct chunk_spec *spec, const uint8_t *data, size_t len,
			unsigned column, size_t n, int64_t *values, struct error *err)
{
	const struct chunk_predictor *p = predictor_of(spec, column);
	int rc;

	if (column >= spec->n_columns)
		return error_set(err, -EINVAL, "chunk: no column %u", column);
	rc = decode_stored(data, len, column, n, values, err);
	if (rc < 0 || !p)
		return rc;
	return add_prediction(spec, data, len, p, n, values, err);
}

int chunk_decode(const struct chunk_spec *spec, const uint8_t *data, size_t len, size_t n,
		 int64_t *values, struct error *err)
{
	for (unsigned k = 0; k < spec->n_columns; k++) {
		int rc = chunk_decode_column(spec, data, len, k, n, values + (size_t)k * n, err);

		if (rc < 0)
			return rc;
	}
	return 0;
}
