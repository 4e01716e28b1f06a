/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "collector/store/chunk.h"

#include <errno.h>

#include "tests/support/alloc.h"
#include "tests/support/test.h"

#define N_MAX CHUNK_MAX_SAMPLES

static uint64_t seed = 1;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

struct table {
	size_t n;
	int64_t *t;
	int64_t *v;
};

static struct table table_new(size_t n, unsigned columns)
{
	struct table a = {.n = n};

	a.t = calloc(n, sizeof(*a.t));
	a.v = calloc(n * columns, sizeof(*a.v));
	assert_non_null(a.t);
	assert_non_null(a.v);
	return a;
}

static void table_free(struct table *a)
{
	free(a->t);
	free(a->v);
}

/* The same bytes when it is told what stands still, and then only first values are read of those.
 */
static void check_still(const struct chunk_spec *spec, const struct table *a, const struct buf *out)
{
	struct table b = table_new(a->n, spec->n_columns);
	auto_buf struct buf again = BUF_INIT(64 << 20);
	uint64_t still = 0, unread;

	memcpy(b.v, a->v, a->n * spec->n_columns * sizeof(*b.v));
	for (unsigned k = 0; k < spec->n_columns; k++) {
		size_t i = 1;

		while (i < a->n && a->v[k * a->n + i] == a->v[k * a->n])
			i++;
		still |= (uint64_t)(i == a->n) << k;
	}
	unread = chunk_still(spec, still);
	assert_int_equal(unread & ~still, 0);
	for (unsigned k = 0; k < spec->n_columns; k++)
		for (size_t i = 1; i < a->n && (unread & UINT64_C(1) << k); i++)
			b.v[k * a->n + i] = (int64_t)rnd(1000);
	assert_int_equal(chunk_encode_still(spec, a->n, a->t, b.v, still, &again), 0);
	assert_int_equal(again.len, out->len);
	assert_memory_equal(again.data, out->data, out->len);
	table_free(&b);
}

static void check_round_trip(const struct chunk_spec *spec, const struct table *a)
{
	struct table b = table_new(a->n, spec->n_columns);
	auto_buf struct buf out = BUF_INIT(64 << 20);
	struct error err;
	int64_t slack = 100; /* of ten seconds */

	assert_int_equal(chunk_encode(spec, a->n, a->t, a->v, &out), 0);
	check_still(spec, a, &out);
	assert_int_equal(chunk_samples(out.data, out.len, &err), (int)a->n);
	assert_int_equal(chunk_decode(spec, out.data, out.len, a->n, b.v, &err), 0);
	assert_memory_equal(a->v, b.v, a->n * spec->n_columns * sizeof(*a->v));
	assert_int_equal(chunk_decode_times(out.data, out.len, a->n, b.t, &err), 0);
	for (size_t i = 0; i < a->n; i++) {
		assert_true(b.t[i] >= a->t[i] - slack && b.t[i] <= a->t[i] + slack);
		assert_true(i == 0 || b.t[i] >= b.t[i - 1]);
	}
	table_free(&b);
}

/* Values as processes have them: idle, jumping, absent for a while, counters. */
static void fill(struct table *a, unsigned columns)
{
	int64_t t = (int64_t)rnd(1800000);
	bool plain = rnd(2); /* nothing absent, nothing huge */

	for (size_t i = 0; i < a->n; i++) {
		a->t[i] = t;
		t += 10000 + (int64_t)rnd(5) - 2 + (rnd(40) ? 0 : 10000);
	}
	for (unsigned k = 0; k < columns; k++) {
		int64_t v = (int64_t)rnd(1 << 20);
		unsigned kind = (unsigned)rnd(5);

		if (plain && kind != 3)
			kind %= 2;
		for (size_t i = 0; i < a->n; i++) {
			if (kind == 1)
				v += (int64_t)rnd(64) * 4;
			else if (kind == 2)
				v = (int64_t)rnd(UINT64_MAX >> 3) - (INT64_MAX >> 3);
			else if (kind == 3 && rnd(10) == 0)
				v -= (int64_t)rnd(100000);
			a->v[k * a->n + i] =
				kind == 4 || (rnd(50) == 0 && !plain) ? METRIC_ABSENT : v;
		}
	}
}

/* Minus one has no bit set beside its sign, like 0. */
static void predictions_of_small_values_come_back(void **state unused_arg)
{
	static const struct chunk_spec *const specs[] = {&chunk_process_spec, &chunk_host_spec,
							 &chunk_cgroup_spec};

	for (unsigned i = 0; i < 300; i++) {
		const struct chunk_spec *spec = specs[i % ARRAY_SIZE(specs)];
		struct table a = table_new(1 + i % 5, spec->n_columns);

		for (unsigned k = 0; k < spec->n_columns; k++) {
			bool same = rnd(2);
			int64_t v = (int64_t)rnd(3) - 1;

			for (size_t j = 0; j < a.n; j++)
				a.v[k * a.n + j] = same ? v : (int64_t)rnd(3) - 1;
		}
		check_round_trip(spec, &a);
		table_free(&a);
	}
}

static void any_samples_come_back(void **state unused_arg)
{
	static const size_t sizes[] = {1, 2, 3, 17, 180, 1800, N_MAX};

	for (size_t i = 0; i < 60; i++) {
		const struct chunk_spec *spec = i % 2 ? &chunk_process_spec : &chunk_host_spec;
		size_t n = sizes[i % (i < 50 ? ARRAY_SIZE(sizes) - 1 : ARRAY_SIZE(sizes))];
		struct table a = table_new(n, spec->n_columns);

		fill(&a, spec->n_columns);
		check_round_trip(spec, &a);
		table_free(&a);
	}
}

static void extremes_come_back(void **state unused_arg)
{
	static const int64_t values[] = {
		0, 1, -1, INT64_MAX, -INT64_MAX, INT64_MIN / 2, METRIC_ABSENT};
	struct table a = table_new(200, METRIC_COUNT);

	for (size_t i = 0; i < a.n; i++)
		for (unsigned k = 0; k < METRIC_COUNT; k++)
			a.v[k * a.n + i] = k == METRIC_ANON || k == METRIC_USS || k == METRIC_PSS
						   ? (int64_t)i
						   : values[rnd(ARRAY_SIZE(values))];
	for (size_t i = 0; i < a.n; i++) /* predictions stay clear of the mark for 'absent' */
		a.v[METRIC_RSS * a.n + i] = a.v[METRIC_FILE * a.n + i] =
			a.v[METRIC_SHMEM * a.n + i] = 7;
	check_round_trip(&chunk_process_spec, &a);
	table_free(&a);
}

/* Nothing moves, or only what predicts: what others are predicted from is read all the same. */
static void what_stands_still_is_the_same_bytes(void **state unused_arg)
{
	for (unsigned moving = 0; moving <= METRIC_COUNT; moving++) {
		struct table a = table_new(180, METRIC_COUNT);

		for (size_t i = 0; i < a.n; i++) {
			a.t[i] = (int64_t)i * 10000;
			for (unsigned k = 0; k < METRIC_COUNT; k++)
				a.v[k * a.n + i] = k % 7 == 6 ? METRIC_ABSENT : 100 * (k + 1);
			if (moving < METRIC_COUNT)
				a.v[moving * a.n + i] = (int64_t)rnd(3) * 4;
		}
		check_round_trip(&chunk_process_spec, &a);
		table_free(&a);
	}
}

/* Runs of zeros and words at the lengths where their bytes become more. */
static void lengths_of_numbers_come_back(void **state unused_arg)
{
	static const int64_t steps[] = {1,    -1,   63,    64,    -64,     -65,
					8191, 8192, -8192, -8193, 1 << 20, INT64_C(1) << 40};
	static const size_t runs[] = {1, 2, 127, 128, 129, 130, 300};

	for (size_t r = 0; r < ARRAY_SIZE(runs); r++) {
		struct table a = table_new(ARRAY_SIZE(steps) * runs[r] + 7, HOST_METRIC_COUNT);
		int64_t v = INT64_C(1) << 41;

		for (size_t i = 0; i < a.n; i++) {
			a.t[i] = (int64_t)i * 10000;
			if (i && i % runs[r] == 0 && i / runs[r] <= ARRAY_SIZE(steps))
				v += steps[i / runs[r] - 1];
			for (unsigned k = 0; k < HOST_METRIC_COUNT; k++)
				a.v[k * a.n + i] = v * (k + 1);
		}
		check_round_trip(&chunk_host_spec, &a);
		table_free(&a);
	}
}

static void idle_process_is_small(void **state unused_arg)
{
	struct table a = table_new(180, METRIC_COUNT);
	auto_buf struct buf out = BUF_INIT(1 << 20);

	for (size_t i = 0; i < a.n; i++) {
		a.t[i] = (int64_t)i * 10000 + (int64_t)(i % 2) * 20; /* 20 ms of jitter */
		for (unsigned k = 0; k < METRIC_COUNT; k++)
			a.v[k * a.n + i] = k < METRIC_GC0 ? 1000 * (k + 1) : METRIC_ABSENT;
		a.v[METRIC_ANON * a.n + i] = 1000 - 5000 - 6000;
	}
	assert_int_equal(chunk_encode(&chunk_process_spec, a.n, a.t, a.v, &out), 0);
	assert_in_range(out.len, 1, 96);
	table_free(&a);
}

static void wrong_input_is_refused(void **state unused_arg)
{
	int64_t t[2] = {5, 4}, v[2 * METRIC_COUNT] = {0};
	auto_buf struct buf out = BUF_INIT(1 << 20);

	assert_int_equal(chunk_encode(&chunk_process_spec, 0, t, v, &out), -EINVAL);
	assert_int_equal(chunk_encode(&chunk_process_spec, 2, t, v, &out), -EINVAL);
	assert_int_equal(chunk_encode(&chunk_process_spec, N_MAX + 1, t, v, &out), -EINVAL);
}

/* Each cut and each flipped byte of a chunk gives an error or other values, never a crash. */
static void damage_is_survived(void **state unused_arg)
{
	struct table a = table_new(40, METRIC_COUNT), b = table_new(40, METRIC_COUNT);
	auto_buf struct buf out = BUF_INIT(1 << 20);
	struct error err;
	int refused = 0;

	fill(&a, METRIC_COUNT);
	assert_int_equal(chunk_encode(&chunk_process_spec, a.n, a.t, a.v, &out), 0);
	for (size_t cut = 0; cut < out.len; cut++)
		assert_true(chunk_decode(&chunk_process_spec, out.data, cut, a.n, b.v, &err) < 0);
	for (size_t i = 0; i < out.len * 8; i++) {
		out.data[i / 8] ^= (uint8_t)(1 << i % 8);
		refused += chunk_decode(&chunk_process_spec, out.data, out.len, a.n, b.v, &err) < 0;
		refused += chunk_decode_times(out.data, out.len, a.n, b.t, &err) < 0;
		out.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_true(refused > 0);
	table_free(&a);
	table_free(&b);
}

/* A column of eight samples: gcd 1, first value 5, then these differences. */
static int decode_differences(const char *bytes, size_t len, int64_t v[8])
{
	static const struct chunk_spec one = {1, NULL, 0};
	uint8_t chunk[64] = {CHUNK_CODEC, 8, 0, 20, 0, 1, (uint8_t)(len + 2), 1 << 1, 5 << 1};

	memcpy(chunk + 9, bytes, len);
	return chunk_decode(&one, chunk, len + 9, 8, v, NULL);
}

/* Each length of a number and of a run, at each distance from the end of the bytes and the values.
 */
static void every_way_to_write_differences_is_read(void **state unused_arg)
{
	static const struct {
		const char *bytes;
		size_t len;
		int64_t v[8]; /* none: refused */
	} cases[] = {
		{"\x02\x01\x02\x01\x02\x01\x02", 7, {5, 6, 5, 6, 5, 6, 5, 6}},
		{"\x00\x06", 2, {5, 5, 5, 5, 5, 5, 5, 5}},
		{"\x02\x00\x05", 3, {5, 6, 6, 6, 6, 6, 6, 6}},
		{"\x00\x05\x02", 3, {5, 5, 5, 5, 5, 5, 5, 6}},
		{"\x00\x00\x02\x00\x01\x01\x00\x01", 8, {5, 5, 6, 6, 6, 5, 5, 5}},
		{"\x80\x01\x00\x04\xff\x7f", 6, {5, 69, 69, 69, 69, 69, 69, -8123}},
		{"\x80\x80\x01\x00\x05", 5, {5, 8197, 8197, 8197, 8197, 8197, 8197, 8197}},
		{"\x00\x05\x80\x80\x01", 5, {5, 5, 5, 5, 5, 5, 5, 8197}},
		{"\x00\x86\x00", 3, {5, 5, 5, 5, 5, 5, 5, 5}},
		{"\x00\x07", 2, {0}},                 /* one value too many */
		{"\x00\x7f", 2, {0}},                 /* many */
		{"\x00\xff\x7f", 3, {0}},             /* more */
		{"\x00\x05", 2, {0}},                 /* one too few */
		{"\x00\x06\x02", 3, {0}},             /* something behind */
		{"\x80\x00\x06", 3, {0}},             /* a run's 0 in two bytes */
		{"\x02\x80\x00\x02\x00\x03", 6, {0}}, /* the same further on */
		{"\x00\x05\x80", 3, {0}},             /* half a number */
		{"\x00\x05\x00", 3, {0}},             /* half a run */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t v[8];
		int rc = decode_differences(cases[i].bytes, cases[i].len, v);

		assert_int_equal(rc, cases[i].v[0] ? 0 : -EBADMSG);
		if (rc == 0)
			assert_memory_equal(v, cases[i].v, sizeof(v));
	}
}

static void no_memory_is_an_error(void **state unused_arg)
{
	struct table a = table_new(50, METRIC_COUNT), b = table_new(50, METRIC_COUNT);
	bool hit = true;

	fill(&a, METRIC_COUNT);
	for (unsigned i = 1; hit; i++) {
		struct buf out = BUF_INIT(1 << 20);
		int rc;

		alloc_fail_at(i);
		rc = chunk_encode(&chunk_process_spec, a.n, a.t, a.v, &out);
		if (rc == 0)
			rc = chunk_decode(&chunk_process_spec, out.data, out.len, a.n, b.v, NULL);
		hit = alloc_failed();
		alloc_fail_off();
		assert_int_equal(rc != 0, hit);
		buf_fini(&out);
	}
	assert_memory_equal(a.v, b.v, a.n * METRIC_COUNT * sizeof(*a.v));
	table_free(&a);
	table_free(&b);
}

/* Stored bytes of format 1, made by the encoder that came with it: files in tests/fixtures/chunk.
 * Databases hold such bytes: they must decode to the same values for as long as format 1 is read.
 */
static const struct {
	const char *name;
	const struct chunk_spec *spec;
	unsigned columns; /* that it had when they were made */
	size_t n;
	uint64_t seed;
} goldens[] = {
	{"process", &chunk_process_spec, 30, 180, 11},
	{"process-one", &chunk_process_spec, 30, 1, 12},
	{"process-whole", &chunk_process_spec, 30, 180, 13},
	{"host", &chunk_host_spec, 44, 180, 14},
	{"cgroup", &chunk_cgroup_spec, 19, 181, 15},
};

static struct table golden_table(size_t i)
{
	struct table a = table_new(goldens[i].n, goldens[i].columns);

	seed = goldens[i].seed;
	fill(&a, goldens[i].columns);
	return a;
}

static void golden_read(const char *name, struct buf *out)
{
	char path[128];
	uint8_t bytes[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "tests/fixtures/chunk/v1-%s.bin", name);
	f = fopen(path, "rbe");
	if (!f)
		fail_msg("%s is not there", path);
	while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		buf_put(out, bytes, n);
	fclose(f);
}

static void stored_bytes_stay_readable(void **state unused_arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(goldens); i++) {
		const struct chunk_spec then = {goldens[i].columns, goldens[i].spec->predictors,
						goldens[i].spec->n_predictors};
		const struct chunk_spec *spec = &then;
		auto_buf struct buf stored = BUF_INIT(1 << 20), again = BUF_INIT(1 << 20);
		struct table a = golden_table(i), b = table_new(a.n, spec->n_columns);
		struct error err;

		golden_read(goldens[i].name, &stored);
		assert_int_equal(chunk_samples(stored.data, stored.len, &err), (int)a.n);
		assert_int_equal(chunk_decode(spec, stored.data, stored.len, a.n, b.v, &err), 0);
		assert_memory_equal(a.v, b.v, a.n * spec->n_columns * sizeof(*a.v));
		for (unsigned k = 0; k < spec->n_columns; k++) {
			assert_int_equal(chunk_decode_column(spec, stored.data, stored.len, k, a.n,
							     b.v, &err),
					 0);
			assert_memory_equal(a.v + k * a.n, b.v, a.n * sizeof(*a.v));
		}
		assert_int_equal(chunk_decode_times(stored.data, stored.len, a.n, b.t, &err), 0);
		for (size_t k = 0; k < a.n; k++)
			assert_in_range(b.t[k] - a.t[k] + 100, 0, 200);
		/* nor has the encoder changed: what it writes the SQL functions read */
		assert_int_equal(chunk_encode(spec, a.n, a.t, a.v, &again), 0);
		assert_int_equal(again.len, stored.len);
		assert_memory_equal(again.data, stored.data, stored.len);
		/* what was added since is absent in them */
		for (unsigned k = spec->n_columns; k < goldens[i].spec->n_columns; k++) {
			assert_int_equal(chunk_decode_column(goldens[i].spec, stored.data,
							     stored.len, k, a.n, b.v, &err),
					 0);
			for (size_t x = 0; x < a.n; x++)
				assert_true(b.v[x] == METRIC_ABSENT);
		}
		table_free(&a);
		table_free(&b);
	}
}

/* A prediction that led back to its column would never end, and chunk_decode() goes through the
 * predictors once: each is from columns that are plain or were predicted before. */
static void predictions_do_not_loop(void **state unused_arg)
{
	const struct chunk_spec *specs[] = {&chunk_process_spec, &chunk_host_spec,
					    &chunk_cgroup_spec};

	for (size_t s = 0; s < ARRAY_SIZE(specs); s++) {
		for (size_t i = 0; i < specs[s]->n_predictors; i++) {
			const struct chunk_predictor *p = &specs[s]->predictors[i];

			for (unsigned k = 0; k < p->n_terms; k++)
				for (size_t j = i; j < specs[s]->n_predictors; j++)
					assert_int_not_equal(specs[s]->predictors[j].column,
							     p->terms[k].column);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_samples_come_back),
		cmocka_unit_test(predictions_of_small_values_come_back),
		cmocka_unit_test(extremes_come_back),
		cmocka_unit_test(what_stands_still_is_the_same_bytes),
		cmocka_unit_test(lengths_of_numbers_come_back),
		cmocka_unit_test(idle_process_is_small),
		cmocka_unit_test(wrong_input_is_refused),
		cmocka_unit_test(damage_is_survived),
		cmocka_unit_test(every_way_to_write_differences_is_read),
		cmocka_unit_test(no_memory_is_an_error),
		cmocka_unit_test(predictions_do_not_loop),
		cmocka_unit_test(stored_bytes_stay_readable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
