/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunk codec by itself (goal G6): windows of 30 minutes of the synthetic fleet, encoded and
 * decoded in memory, CPU time. Prints 'name value unit': of each round's figure the median.
 * Argument: seconds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store/window.h"
#include "common/clock.h"
#include "tests/bench/lib/fleet.h"

/* A host: as when a window is sealed, what is encoded was put together just before. */
#define SERIES FLEET_PROCESSES
#define ROUNDS 20000

struct coded {
	struct buf chunk;
	int64_t *values; /* column-major */
	int64_t *rows;   /* the same, sample by sample */
	uint64_t still;  /* columns that stand still, as an open window knows them */
	int64_t times[FLEET_ROUNDS];
};

static struct coded all[SERIES];
static int64_t scratch[METRIC_COUNT * FLEET_ROUNDS];

enum figure {
	ENCODE,
	ENCODE_BLIND,
	DECODE_ALL,
	DECODE_ABSENT,
	DECODE_RSS,
	DECODE_ANON,
	DECODE_TIMES,
	FLOOR,
	WINDOW,
	FIGURES
};
static const char *const names[] = {
	[ENCODE] = "codec_encode ns_per_sample",
	[ENCODE_BLIND] = "codec_encode_without_knowing_what_stands_still ns_per_sample",
	[DECODE_ALL] = "codec_decode_all_columns ns_per_value",
	[DECODE_ABSENT] = "codec_decode_with_absent_columns ns_per_value",
	[DECODE_RSS] = "codec_decode_rss ns_per_value",
	[DECODE_ANON] = "codec_decode_anon ns_per_stored_value",
	[DECODE_TIMES] = "codec_decode_times ns_per_value",
	[FLOOR] = "codec_floor ns_per_value",
	[WINDOW] = "window_add_and_seal ns_per_sample",
};
static double rounds[FIGURES][ROUNDS];

static void make(struct coded *c, unsigned i)
{
	struct fleet_process p;

	fleet_start(&p, i / FLEET_PROCESSES, i % FLEET_PROCESSES, 0);
	c->values = malloc(sizeof(scratch));
	c->rows = malloc(sizeof(scratch));
	if (!c->values || !c->rows)
		exit(1);
	buf_init(&c->chunk, 1 << 20);
	for (int r = 0; r < FLEET_ROUNDS; r++) {
		fleet_step(&p);
		c->times[r] = fleet_jitter(i / FLEET_PROCESSES, r * FLEET_STEP_US) / 1000;
		for (int k = 0; k < METRIC_COUNT; k++)
			c->values[k * FLEET_ROUNDS + r] = p.v[k];
		memcpy(c->rows + r * METRIC_COUNT, p.v, sizeof(p.v));
	}
	for (int k = 0; k < METRIC_COUNT; k++) {
		const int64_t *v = c->values + k * FLEET_ROUNDS;

		if (memcmp(v, v + 1, (FLEET_ROUNDS - 1) * sizeof(*v)) == 0)
			c->still |= UINT64_C(1) << k;
	}
}

static void must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "storage_codec: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static double since(int64_t before_us, double units)
{
	return (double)(clock_cpu_us() - before_us) * 1e3 / units;
}

static double encode_all(bool blind)
{
	int64_t before = clock_cpu_us();

	for (int i = 0; i < SERIES; i++) {
		buf_reset(&all[i].chunk);
		must(chunk_encode_still(&chunk_process_spec, FLEET_ROUNDS, all[i].times,
					all[i].values, blind ? 0 : all[i].still, &all[i].chunk),
		     "encode");
	}
	return since(before, SERIES * FLEET_ROUNDS);
}

/* The fleet has figures in the first of the columns: these alone, or with those that are absent. */
static double decode_all(unsigned columns, bool compare)
{
	struct chunk_spec spec = chunk_process_spec;
	int64_t before = clock_cpu_us();

	spec.n_columns = columns;
	for (int i = 0; i < SERIES; i++) {
		must(chunk_decode(&spec, all[i].chunk.data, all[i].chunk.len, FLEET_ROUNDS, scratch,
				  NULL),
		     "decode");
		if (compare && memcmp(scratch, all[i].values,
				      columns * FLEET_ROUNDS * sizeof(scratch[0])) != 0)
			must(-EBADMSG, "what was decoded");
	}
	return since(before, (double)SERIES * FLEET_ROUNDS * FLEET_METRICS);
}

static double decode_one(unsigned metric, double values)
{
	int64_t before = clock_cpu_us();

	for (int i = 0; i < SERIES; i++)
		must(chunk_decode_column(&chunk_process_spec, all[i].chunk.data, all[i].chunk.len,
					 metric, FLEET_ROUNDS, scratch, NULL),
		     "decode a column");
	return since(before, SERIES * FLEET_ROUNDS * values);
}

static double decode_times(void)
{
	int64_t before = clock_cpu_us();

	for (int i = 0; i < SERIES; i++)
		must(chunk_decode_times(all[i].chunk.data, all[i].chunk.len, FLEET_ROUNDS, scratch,
					NULL),
		     "times");
	return since(before, SERIES * FLEET_ROUNDS);
}

/* What no decoder does without: differences that lie there as int64 are added up and stored. */
static double floor_of_decoding(void)
{
	int64_t before = clock_cpu_us();

	for (int i = 0; i < SERIES; i++)
		for (int k = 0; k < FLEET_METRICS; k++) {
			const int64_t *d = all[i].values + k * FLEET_ROUNDS;
			int64_t *v = scratch + k * FLEET_ROUNDS;
			uint64_t now = 0;

			for (int r = 0; r < FLEET_ROUNDS; r++)
				v[r] = (int64_t)(now += (uint64_t)d[r]);
		}
	return since(before, (double)SERIES * FLEET_ROUNDS * FLEET_METRICS);
}

static int on_sealed(void *arg, const struct window_part *part, const struct buf *chunk)
{
	(void)part, (void)chunk;
	++*(unsigned *)arg;
	return 0;
}

/* What a sample costs from its arrival to its chunk: the open window's log, figures, encoding. */
static double window_all(void)
{
	struct window_set *ws;
	int64_t before;
	unsigned sealed = 0;

	must(window_set_new(FLEET_ROUNDS * FLEET_STEP_US, 1 << 30, &ws), "window");
	before = clock_cpu_us();
	for (int r = 0; r < FLEET_ROUNDS; r++)
		for (int i = 0; i < SERIES; i++) {
			struct series_id id = SERIES_OF_PROCESS(i / FLEET_PROCESSES + 1, i + 1);

			must(window_add(ws, &id, all[i].times[r] * 1000, 1,
					all[i].rows + r * METRIC_COUNT),
			     "add");
		}
	must(window_seal_begin(ws, 0, on_sealed, &sealed), "seal");
	window_seal_done(ws, 1);
	before = (int64_t)since(before, 1);
	if (sealed != SERIES)
		must(-EBADMSG, "what was sealed");
	window_set_free(&ws);
	return (double)before / SERIES / FLEET_ROUNDS;
}

static int by_value(const void *pa, const void *pb)
{
	double a = *(const double *)pa, b = *(const double *)pb;

	return a < b ? -1 : a > b;
}

int main(int argc, char **argv)
{
	int64_t end = clock_boot_us() + (int64_t)((argc > 1 ? atof(argv[1]) : 8) * 1e6);
	size_t n = 0, bytes = 0;

	for (unsigned i = 0; i < SERIES; i++)
		make(&all[i], i);
	encode_all(true);
	decode_all(METRIC_COUNT, true);
	encode_all(false);
	decode_all(METRIC_COUNT, true);
	decode_all(FLEET_METRICS, true);
	while (n < ROUNDS && (clock_boot_us() < end || n < 3)) {
		rounds[ENCODE][n] = encode_all(false);
		rounds[ENCODE_BLIND][n] = encode_all(true);
		rounds[DECODE_ALL][n] = decode_all(FLEET_METRICS, false);
		rounds[DECODE_ABSENT][n] = decode_all(METRIC_COUNT, false);
		rounds[DECODE_RSS][n] = decode_one(METRIC_RSS, 1);
		/* itself and what it is predicted from: rss, file, shmem */
		rounds[DECODE_ANON][n] = decode_one(METRIC_ANON, 4);
		rounds[DECODE_TIMES][n] = decode_times();
		rounds[FLOOR][n] = floor_of_decoding();
		rounds[WINDOW][n] = window_all();
		n++;
	}
	for (int f = 0; f < FIGURES; f++) {
		const char *unit = strchr(names[f], ' ');

		qsort(rounds[f], n, sizeof(rounds[f][0]), by_value);
		printf("%.*s %.3f%s\n", (int)(unit - names[f]), names[f], rounds[f][n / 2], unit);
	}
	for (int i = 0; i < SERIES; i++)
		bytes += all[i].chunk.len;
	printf("codec_payload %.3f bytes_per_sample\n", (double)bytes / SERIES / FLEET_ROUNDS);
	for (int i = 0; i < SERIES; i++) {
		buf_fini(&all[i].chunk);
		free(all[i].values);
		free(all[i].rows);
	}
	return 0;
}
