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

static uint8_t *put_zigzag(uint8_t *p, int64_t v)
{
	return put_varint(p, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

/* Zeros are counted: '0 extra' stands for extra + 1 of them. */
static uint8_t *put_zeros(uint8_t *p, size_t zeros)
{
	if (!zeros)
		return p;
	*p++ = 0;
	return put_varint(p, zeros - 1);
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

/* Of differences; 0 = all are 0. Most are multiples of what was found by then. */
static uint64_t common_divisor(const int64_t *d, size_t n)
{
	struct divisor by = {0};
	uint64_t g = 0;

	for (size_t i = 0; i < n && g != 1; i++) {
		uint64_t m = magnitude(d[i]);

		if (m == 0 || (g && divides(&by, m)))
			continue;
		g = gcd_of(g, m);
		by = divisor_of(g);
	}
	return g >> 62 ? 1 : g; /* has to leave room for the flag */
}

static uint8_t *put_differences(uint8_t *p, const int64_t *d, size_t n, uint64_t gcd)
{
	struct divisor by = divisor_of(gcd);
	size_t zeros = 0;

	for (size_t i = 0; i < n; i++) {
		if (d[i] == 0) {
			zeros++;
			continue;
		}
		p = put_zeros(p, zeros);
		p = put_zigzag(p, divide(&by, d[i]));
		zeros = 0;
	}
	return put_zeros(p, zeros);
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

/* Differences between the values that are present; the number of those. */
static size_t differences(const int64_t *v, size_t n, int64_t *d)
{
	int64_t before = 0;
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		if (v[i] == METRIC_ABSENT)
			continue;
		d[count++] = minus(v[i], before);
		before = v[i];
	}
	return count;
}

/* d: scratch for n. */
static uint8_t *put_values(uint8_t *p, const int64_t *v, size_t n, int64_t *d)
{
	size_t count;
	uint64_t gcd;

	if (is_constant(v, n))
		return put_constant(p, v[0]);
	count = differences(v, n, d);
	gcd = common_divisor(d + 1, count - 1);
	p = put_varint(p, gcd << 1 | (count < n));
	if (count < n)
		p = put_holes(p, v, n);
	if (gcd == 0 && d[0] == 0)
		return p;
	p = put_zigzag(p, d[0]);
	return gcd ? put_differences(p, d + 1, count - 1, gcd) : p;
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

static int64_t time_tolerance(int64_t step)
{
	int64_t ms = step / 100;

	return ms < 1 ? 1 : ms > 100 ? 100 : ms;
}

/* Each correction is against what a reader will have, so errors do not add up. */
static uint8_t *put_times(uint8_t *p, const int64_t *t, size_t n, int64_t step, int64_t *d)
{
	int64_t tolerance = time_tolerance(step), told = t[0];
	bool plain = true;

	for (size_t i = 1; i < n; i++) {
		int64_t off = t[i] - (told + step);

		if (off >= -tolerance && off <= tolerance)
			off = 0;
		if (told + step + off < told) /* never backwards */
			off = -step;
		plain = plain && off == 0;
		d[i - 1] = off;
		told += step + off;
	}
	return plain ? p : put_differences(p, d, n - 1, 1); /* an empty column says so */
}

/* ---- the chunk ---- */

/* Room for any column of n samples, and for its values. */
struct scratch {
	int64_t *plain;      /* a predicted column */
	int64_t *difference; /* of n values */
	uint8_t *bytes;
};

static void put_column(struct buf *out, const struct scratch *s, const uint8_t *end)
{
	size_t len = (size_t)(end - s->bytes);

	buf_varint(out, len);
	buf_put(out, s->bytes, len);
}

/* bounds: of each column. */
static void find_bounds(const struct chunk_spec *spec, size_t n, const int64_t *values,
			uint64_t *bounds)
{
	uint64_t wanted = 0;

	for (size_t i = 0; i < spec->n_predictors; i++) {
		const struct chunk_predictor *p = &spec->predictors[i];

		wanted |= UINT64_C(1) << p->column;
		for (unsigned k = 0; k < p->n_terms; k++)
			wanted |= UINT64_C(1) << p->terms[k].column;
	}
	for (unsigned k = 0; k < spec->n_columns; k++)
		if (wanted & UINT64_C(1) << k)
			bounds[k] = predict_bound(values + (size_t)k * n, n);
}

/* What is stored of column k: its values or how far they are from their prediction. */
static int residuals(const struct chunk_spec *spec, size_t n, const int64_t *values,
		     const uint64_t *bounds, unsigned k, struct scratch *s, const int64_t **ret)
{
	const struct chunk_predictor *p = predictor_of(spec, k);
	struct predict_terms terms;

	*ret = values + (size_t)k * n;
	if (!p)
		return 0;
	for (unsigned i = 0; i < p->n_terms; i++) {
		terms.v[i] = values + (size_t)p->terms[i].column * n;
		terms.bound[i] = bounds[p->terms[i].column];
	}
	memcpy(s->plain, *ret, n * sizeof(*s->plain));
	*ret = s->plain;
	return predict_subtract(p, &terms, n, s->plain, bounds[k]);
}

static int encode_columns(const struct chunk_spec *spec, size_t n, const int64_t *values,
			  struct scratch *s, struct buf *out)
{
	uint64_t bounds[CHUNK_MAX_COLUMNS];
	int rc = 0;

	find_bounds(spec, n, values, bounds);
	buf_varint(out, spec->n_columns);
	for (unsigned k = 0; k < spec->n_columns && rc == 0; k++) {
		const int64_t *stored;

		rc = residuals(spec, n, values, bounds, k, s, &stored);
		if (rc == 0)
			put_column(out, s, put_values(s->bytes, stored, n, s->difference));
	}
	return rc;
}

int chunk_encode(const struct chunk_spec *spec, size_t n, const int64_t *times_ms,
		 const int64_t *values, struct buf *out)
{
	auto_free int64_t *room = NULL;
	struct scratch s;
	int64_t step;
	int rc;

	if (n < 1 || n > CHUNK_MAX_SAMPLES || spec->n_columns > CHUNK_MAX_COLUMNS)
		return -EINVAL;
	for (size_t i = 1; i < n; i++)
		if (times_ms[i] < times_ms[i - 1] || times_ms[i] - times_ms[0] > CHUNK_MAX_SPAN_MS)
			return -EINVAL;
	room = malloc(2 * n * sizeof(*room) + COLUMN_ROOM(n));
	if (!room)
		return -ENOMEM;
	s = (struct scratch){room, room + n, (uint8_t *)(room + 2 * n)};
	step = step_of(times_ms, n);
	buf_u8(out, CHUNK_CODEC);
	buf_varint(out, n);
	buf_zigzag(out, times_ms[0]);
	buf_varint(out, (uint64_t)step);
	put_column(out, &s, put_times(s.bytes, times_ms, n, step, s.difference));
	rc = encode_columns(spec, n, values, &s, out);
	return rc < 0 ? rc : buf_status(out);
}
