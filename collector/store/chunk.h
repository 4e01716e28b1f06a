/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk.h - the stored form of a run of samples of one object: format 1. Pure: bytes and arrays.
 *
 * A chunk is a table of n samples by the columns of a spec (the metrics in the order of
 * proto/metric.h, which only grows). Values are int64 or METRIC_ABSENT. Layout, all varints LEB128:
 *
 *   u8      version, 1
 *   varint  n, 1 .. CHUNK_MAX_SAMPLES
 *   zigzag  time of the first sample, ms after the window's start
 *   varint  step, ms between samples
 *   column  times: how far each sample is from 'the one before + step', in ms, n - 1 of them
 *   varint  number of columns
 *   column  per metric
 *
 * A column is a varint length and that many bytes: none = every value absent. Else a varint
 * 'gcd << 1 | holes'; where holes, the lengths of alternating runs of present and absent values
 * (present first, together n); then, unless the rest is empty (all values 0), the first present
 * value in zig-zag and the differences of the others divided by gcd in zig-zag, where a 0 is
 * followed by how many more zeros follow it. gcd 0 = all the same. (The times column has no first
 * value and no gcd: only the differences.)
 *
 * Where the spec predicts a column from others (anon = rss - file - shmem) and all of those are
 * present in a sample, what is stored is the value minus the prediction. RSS is a plain column.
 *
 * Times are kept to within a hundredth of the step (at least 1 ms, at most 100 ms): a sampler's
 * jitter would otherwise cost more than all its values.
 */
#ifndef MEMHERD_COLLECTOR_STORE_CHUNK_H
#define MEMHERD_COLLECTOR_STORE_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "proto/metric.h"

#define CHUNK_CODEC       1
#define CHUNK_MAX_SAMPLES 32767
#define CHUNK_MAX_COLUMNS 64
#define CHUNK_MAX_SPAN_MS ((int64_t)31 * 86400 * 1000)
#define CHUNK_MAX_TERMS   3

struct chunk_term {
	uint8_t column;
	int8_t sign; /* +1 or -1 */
};

/* What a column is predicted from: columns that are plain or whose predictor stands before it. */
struct chunk_predictor {
	uint8_t column;
	uint8_t n_terms;
	struct chunk_term terms[CHUNK_MAX_TERMS];
};

struct chunk_spec {
	unsigned n_columns;
	const struct chunk_predictor *predictors;
	size_t n_predictors;
};

extern const struct chunk_spec chunk_process_spec;     /* enum metric */
extern const struct chunk_spec chunk_host_spec;        /* enum host_metric */
extern const struct chunk_spec chunk_cgroup_spec;      /* enum cgroup_metric */
extern const struct chunk_spec chunk_interpreter_spec; /* enum interpreter_metric */

/*
 * Appends the chunk of n samples to out. times_ms: non-decreasing, after the window's start.
 * values: column-major, value i of column k at values[k * n + i].
 * -EINVAL for n or times out of range, -ENOMEM, -ENOBUFS when out is full.
 */
int chunk_encode(const struct chunk_spec *spec, size_t n, const int64_t *times_ms,
		 const int64_t *values, struct buf *out) must_use;

/*
 * As chunk_encode(), where the caller knows columns that stand still, a bit each in still: all of
 * their values are the first, and of those that chunk_still() gives back only the first is read. (A
 * column of a prediction is among them when all of the prediction's are.)
 */
int chunk_encode_still(const struct chunk_spec *spec, size_t n, const int64_t *times_ms,
		       const int64_t *values, uint64_t still, struct buf *out) must_use;
uint64_t chunk_still(const struct chunk_spec *spec, uint64_t still);

/* The number of samples, or -EBADMSG. */
int chunk_samples(const uint8_t *data, size_t len, struct error *err) must_use;
/* Its step, and how far from what they were times may be where that is the step: milliseconds. 0
 * for what chunk_samples() refuses. */
int64_t chunk_step(const uint8_t *data, size_t len);
int64_t chunk_time_tolerance(int64_t step_ms);
/* n as chunk_samples() said. -EBADMSG for bytes that no encoder made; -ENOMEM. */
int chunk_decode_times(const uint8_t *data, size_t len, size_t n, int64_t *times_ms,
		       struct error *err) must_use;
/* One metric; METRIC_ABSENT throughout when the chunk is older than the metric. */
int chunk_decode_column(const struct chunk_spec *spec, const uint8_t *data, size_t len,
			unsigned column, size_t n, int64_t *values, struct error *err) must_use;
/* All columns of the spec, column-major as for chunk_encode. */
int chunk_decode(const struct chunk_spec *spec, const uint8_t *data, size_t len, size_t n,
		 int64_t *values, struct error *err) must_use;

#endif
