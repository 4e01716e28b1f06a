/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/chunk.h"

#include <errno.h>
#include <string.h>

#include "collector/store/chunk_predict.h"

/* Bytes of a column of n samples at its worst: a value (10), after each a hole's run (3). */
#define COLUMN_ROOM(n) ((n)*14 + 64)

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
const struct chunk_spec chunk_interpreter_spec = {INTERPRETER_METRIC_COUNT, NULL, 0};

static uint64_t magnitude(int64_t v)
{
	return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

/* ---- writing numbers: there is room, the caller saw to it ---- */

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

/* Most take one byte or two, as the data please: no branch tells those apart. */
static uint8_t *put_zigzag(uint8_t *p, int64_t v)
{
	uint64_t w = (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
	unsigned more = w >= 0x80;

	if (w >= 1 << 14)
		return put_varint(p, w);
	p[0] = (uint8_t)((w & 0x7f) | more << 7);
	p[1] = (uint8_t)(w >> 7);
	return p + 1 + more;
}

/* Zeros are counted: '0 extra' stands for extra + 1 of them. */
static uint8_t *put_zeros(uint8_t *p, size_t zeros)
{
	p[0] = 0;
	if (zeros > 0x80)
		return put_varint(p + 1, zeros - 1);
	p[1] = (uint8_t)(zeros - 1);
	return p + 2 * (zeros != 0);
}

/* ---- a column ---- */

/* Divides multiples of d, and knows them, without a division: without its powers of two, d has an
 * inverse modulo 2^64, and what is no multiple gives a quotient that is too large (Granlund and
 * Montgomery, Division by Invariant Integers using Multiplication, 1994). */
struct divisor {
	unsigned shift;
	uint64_t low; /* bits that are 0 in a multiple */
	uint64_t inverse;
	uint64_t most; /* the largest quotient */
};

static struct divisor divisor_of(uint64_t d)
{
	unsigned shift = (unsigned)__builtin_ctzll(d);
	uint64_t odd = d >> shift, x = odd;

	for (int i = 0; i < 5; i++) /* each doubles the bits that are right: 3, 6, .. 96 */
		x *= 2 - odd * x;
	return (struct divisor){shift, (UINT64_C(1) << shift) - 1, x, UINT64_MAX / odd};
}

static bool divides(const struct divisor *by, uint64_t m)
{
	return (m & by->low) == 0 && (m >> by->shift) * by->inverse <= by->most;
}

static int64_t divide(const struct divisor *by, int64_t v)
{
	return (int64_t)((uint64_t)(v >> by->shift) * by->inverse);
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

/* The values of a column that are present, told by the first and by those that differ from the one
 * before. */
struct changes {
	int64_t first;
	size_t present;
	size_t n;
	int64_t *d;   /* differences, none of them 0 */
	uint16_t *at; /* of which value, counted from the first present one, 0 */
};

/* Zeros come and go as the data please: each is written, and the next one written over it. */
static void change(struct changes *c, int64_t d, size_t at)
{
	c->d[c->n] = d;
	c->at[c->n] = (uint16_t)at;
	c->n += d != 0;
}

static void find_changes(const int64_t *v, size_t n, struct changes *c)
{
	int64_t before;
	size_t i = 0;

	while (v[i] == METRIC_ABSENT)
		i++;
	c->first = before = v[i];
	c->present = 1;
	c->n = 0;
	for (i++; i < n; i++) {
		if (v[i] == METRIC_ABSENT)
			continue;
		change(c, minus(v[i], before), c->present++);
		before = v[i];
	}
}

/* 0 = there are none. Most are multiples of what was found by then. */
static uint64_t common_divisor(const struct changes *c)
{
	struct divisor by = {0};
	uint64_t g = 0;

	for (size_t i = 0; i < c->n && g != 1; i++) {
		uint64_t m = magnitude(c->d[i]);

		if (g && divides(&by, m))
			continue;
		g = gcd_of(g, m);
		by = divisor_of(g);
	}
	return g >> 62 ? 1 : g; /* has to leave room for the flag */
}

static uint8_t *put_changes(uint8_t *p, const struct changes *c, uint64_t gcd)
{
	struct divisor by = divisor_of(gcd);
	size_t next = 1;

	for (size_t i = 0; i < c->n; i++) {
		p = put_zeros(p, c->at[i] - next);
		p = put_zigzag(p, divide(&by, c->d[i]));
		next = c->at[i] + 1u;
	}
	return put_zeros(p, c->present - next);
}

static uint8_t *put_holes(uint8_t *p, const int64_t *v, size_t n)
{
	bool present = true;
	size_t run = 0;

	for (size_t i = 0; i < n; i++) {
		if ((v[i] != METRIC_ABSENT) != present) {
			p = put_varint(p, run);
			present = !present;
			run = 0;
		}
		run++;
	}
	return put_varint(p, run);
}

/* Most columns are: this is libc's fastest loop, and it ends at the first change. */
static bool is_constant(const int64_t *v, size_t n)
{
	return memcmp(v, v + 1, (n - 1) * sizeof(*v)) == 0;
}

static uint8_t *put_constant(uint8_t *p, int64_t v)
{
	if (v == METRIC_ABSENT)
		return p;
	*p++ = 0; /* no holes, no differences */
	return v ? put_zigzag(p, v) : p;
}

/* c: room for n changes. */
static uint8_t *put_values(uint8_t *p, const int64_t *v, size_t n, struct changes *c)
{
	uint64_t gcd;

	if (is_constant(v, n))
		return put_constant(p, v[0]);
	find_changes(v, n, c);
	gcd = common_divisor(c);
	p = put_varint(p, gcd << 1 | (c->present < n));
	if (c->present < n)
		p = put_holes(p, v, n);
	if (gcd == 0 && c->first == 0)
		return p;
	p = put_zigzag(p, c->first);
	return gcd ? put_changes(p, c, gcd) : p;
}

/* ---- times ---- */

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

int64_t chunk_time_tolerance(int64_t step)
{
	int64_t ms = step / 100;

	return ms < 1 ? 1 : ms > 100 ? 100 : ms;
}

/* Each correction is against what a reader will have, so errors do not add up. */
static uint8_t *put_times(uint8_t *p, const int64_t *t, size_t n, int64_t step, struct changes *c)
{
	int64_t tolerance = chunk_time_tolerance(step), told = t[0];

	c->present = n;
	c->n = 0;
	for (size_t i = 1; i < n; i++) {
		int64_t off = t[i] - (told + step);

		if (off >= -tolerance && off <= tolerance)
			off = 0;
		if (told + step + off < told) /* never backwards */
			off = -step;
		change(c, off, i);
		told += step + off;
	}
	return c->n ? put_changes(p, c, 1) : p; /* an empty column says so */
}

/* ---- the chunk ---- */

/* What is to be encoded. */
struct table {
	const struct chunk_spec *spec;
	size_t n;
	const int64_t *values;
	uint64_t still; /* columns of which only the first value is there */
};

/* Room for any column of the table. */
struct scratch {
	int64_t *plain; /* a predicted column */
	struct changes changes;
	uint8_t *bytes;
};

static const int64_t *column_of(const struct table *t, unsigned k)
{
	return t->values + (size_t)k * t->n;
}

/* Its values, where what stands still has one. */
static size_t length_of(const struct table *t, unsigned k)
{
	return t->still & UINT64_C(1) << k ? 1 : t->n;
}

static void put_column(struct buf *out, const struct scratch *s, const uint8_t *end)
{
	size_t len = (size_t)(end - s->bytes);

	buf_varint(out, len);
	buf_put(out, s->bytes, len);
}

/* A bit for each column that a prediction makes or reads. */
static uint64_t predicted_together(const struct chunk_spec *spec)
{
	uint64_t columns = 0;

	for (size_t i = 0; i < spec->n_predictors; i++) {
		const struct chunk_predictor *p = &spec->predictors[i];

		columns |= UINT64_C(1) << p->column;
		for (unsigned k = 0; k < p->n_terms; k++)
			columns |= UINT64_C(1) << p->terms[k].column;
	}
	return columns;
}

uint64_t chunk_still(const struct chunk_spec *spec, uint64_t still)
{
	uint64_t together = predicted_together(spec);

	return (still & together) == together ? still : still & ~together;
}

/* Of each column that a prediction makes or reads. */
static void find_bounds(const struct table *t, uint64_t *bounds)
{
	uint64_t wanted = predicted_together(t->spec);

	for (unsigned k = 0; k < t->spec->n_columns; k++)
		if (wanted & UINT64_C(1) << k)
			bounds[k] = predict_bound(column_of(t, k), length_of(t, k));
}

/* What is stored of column k: its values or how far they are from their prediction. */
static int residuals(const struct table *t, const uint64_t *bounds, unsigned k, struct scratch *s,
		     const int64_t **ret)
{
	const struct chunk_predictor *p = predictor_of(t->spec, k);
	size_t n = length_of(t, k);
	struct predict_terms terms;

	*ret = column_of(t, k);
	if (!p)
		return 0;
	for (unsigned i = 0; i < p->n_terms; i++) {
		terms.v[i] = column_of(t, p->terms[i].column);
		terms.bound[i] = bounds[p->terms[i].column];
	}
	memcpy(s->plain, *ret, n * sizeof(*s->plain));
	*ret = s->plain;
	return predict_subtract(p, &terms, n, s->plain, bounds[k]);
}

static int encode_columns(const struct table *t, struct scratch *s, struct buf *out)
{
	uint64_t bounds[CHUNK_MAX_COLUMNS];
	int rc = 0;

	find_bounds(t, bounds);
	buf_varint(out, t->spec->n_columns);
	for (unsigned k = 0; k < t->spec->n_columns && rc == 0; k++) {
		const int64_t *v;

		rc = residuals(t, bounds, k, s, &v);
		if (rc == 0)
			put_column(out, s,
				   length_of(t, k) == 1
					   ? put_constant(s->bytes, v[0])
					   : put_values(s->bytes, v, t->n, &s->changes));
	}
	return rc;
}

int chunk_encode(const struct chunk_spec *spec, size_t n, const int64_t *times_ms,
		 const int64_t *values, struct buf *out)
{
	return chunk_encode_still(spec, n, times_ms, values, 0, out);
}

int chunk_encode_still(const struct chunk_spec *spec, size_t n, const int64_t *times_ms,
		       const int64_t *values, uint64_t still, struct buf *out)
{
	const struct table t = {spec, n, values, chunk_still(spec, still)};
	auto_free int64_t *room = NULL;
	auto_free uint16_t *at = NULL;
	struct scratch s;
	int64_t step;
	int rc;

	if (n < 1 || n > CHUNK_MAX_SAMPLES || spec->n_columns > CHUNK_MAX_COLUMNS)
		return -EINVAL;
	for (size_t i = 1; i < n; i++)
		if (times_ms[i] < times_ms[i - 1] || times_ms[i] - times_ms[0] > CHUNK_MAX_SPAN_MS)
			return -EINVAL;
	room = malloc(2 * n * sizeof(*room) + COLUMN_ROOM(n));
	at = malloc(n * sizeof(*at));
	if (!room || !at)
		return -ENOMEM;
	s = (struct scratch){.plain = room,
			     .changes = {.d = room + n, .at = at},
			     .bytes = (uint8_t *)(room + 2 * n)};
	step = step_of(times_ms, n);
	buf_u8(out, CHUNK_CODEC);
	buf_varint(out, n);
	buf_zigzag(out, times_ms[0]);
	buf_varint(out, (uint64_t)step);
	put_column(out, &s, put_times(s.bytes, times_ms, n, step, &s.changes));
	rc = encode_columns(&t, &s, out);
	return rc < 0 ? rc : buf_status(out);
}
