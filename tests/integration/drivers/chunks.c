/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks for the decoder in SQL, and what C makes of them: 'chunks SEED N' prints N chunks of every
 * kind, each as a line 'chunk KIND SAMPLES HEX', one 'times' and one a column 'column NUMBER
 * VALUE..',
 * '-' where absent. Each has its own pattern of holes; in the later half of them are figures near
 * 2^60.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store/series.h"

#define SAMPLES_MAX 200
#define PATTERNS    8
#define SHAPES      6

static uint64_t state;

static uint64_t rnd(uint64_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (state >> 33) % below;
}

/* Is sample i of a column there? */
static bool is_there(unsigned pattern, size_t i, size_t n)
{
	switch (pattern) {
	case 0:
		return true;
	case 1:
		return false;
	case 2:
		return i > 0;
	case 3:
		return i + 1 < n;
	case 4:
		return i % 2;
	case 5:
		return i < n / 3 || i >= n / 2;
	case 6:
		return rnd(10) > 0;
	default:
		return i == n / 2;
	}
}

static int64_t next_value(unsigned shape, int64_t before)
{
	switch (shape) {
	case 0:
		return 0;
	case 1:
		return 123456;
	case 2:
		return before + 4 * (int64_t)rnd(100);
	case 3:
		return (int64_t)rnd(2000000) - 1000000;
	case 4:
		return rnd(5) ? before : before + (int64_t)rnd(1000000);
	default:
		return ((int64_t)1 << 60) - (int64_t)rnd(1000);
	}
}

static void fill_column(int64_t *v, size_t n, bool whole, unsigned shapes)
{
	unsigned pattern = whole ? 0 : (unsigned)rnd(PATTERNS), shape = (unsigned)rnd(shapes);
	int64_t before = 0;

	for (size_t i = 0; i < n; i++) {
		before = next_value(shape, before);
		v[i] = is_there(pattern, i, n) ? before : METRIC_ABSENT;
	}
}

static void print_values(const int64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] == METRIC_ABSENT)
			printf(" -");
		else
			printf(" %" PRId64, v[i]);
	putchar('\n');
}

static int print_chunk(int kind, const struct buf *b, struct error *err)
{
	const struct chunk_spec *spec = series_types[kind].spec;
	int n = chunk_samples(b->data, b->len, err);
	int64_t v[SAMPLES_MAX];

	if (n < 0)
		return n;
	printf("chunk %d %d ", kind, n);
	for (size_t i = 0; i < b->len; i++)
		printf("%02x", ((const uint8_t *)b->data)[i]);
	printf("\ntimes");
	if (chunk_decode_times(b->data, b->len, (size_t)n, v, err) < 0)
		return -EBADMSG;
	print_values(v, (size_t)n);
	for (unsigned k = 0; k < spec->n_columns; k++) {
		if (chunk_decode_column(spec, b->data, b->len, k, (size_t)n, v, err) < 0)
			return -EBADMSG;
		printf("column %u", k);
		print_values(v, (size_t)n);
	}
	return 0;
}

static int make_chunk(int kind, bool whole, unsigned shapes, struct error *err)
{
	const struct chunk_spec *spec = series_types[kind].spec;
	size_t n = 1 + rnd(SAMPLES_MAX);
	int64_t times[SAMPLES_MAX];
	struct buf b = BUF_INIT((size_t)1 << 20);
	int64_t *values = calloc(n * spec->n_columns, sizeof(*values));
	int64_t t = (int64_t)rnd(10000);
	int rc = values ? 0 : -ENOMEM;

	for (size_t i = 0; i < n;
	     i++, t += rnd(20) ? 10000 + (int64_t)rnd(30) : (int64_t)rnd(100000))
		times[i] = t;
	for (unsigned k = 0; values && k < spec->n_columns; k++)
		fill_column(values + k * n, n, whole, shapes);
	if (!rc)
		rc = chunk_encode(spec, n, times, values, &b);
	if (!rc)
		rc = print_chunk(kind, &b, err);
	free(values);
	buf_fini(&b);
	return rc;
}

int main(int argc, char **argv)
{
	struct error err = {"cannot make a chunk"};
	unsigned long count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

	if (!count)
		return 2;
	state = strtoul(argv[1], NULL, 10);
	for (unsigned long i = 0; i < count; i++)
		for (int kind = 0; kind < SERIES_KINDS; kind++)
			if (make_chunk(kind, i == 0, i < count / 2 ? SHAPES - 1 : SHAPES, &err) <
			    0) {
				fprintf(stderr, "%s\n", err.msg);
				return 1;
			}
	return 0;
}
