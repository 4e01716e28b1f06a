/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open_chunk.h - the samples of one series in one window, while they come: a log of changes, a few
 * bytes a sample, beside the last values and the running figures. For window.c and window_seal.c,
 * who own them. Pure.
 *
 * A sample in the log: zig-zag ms after the one before (the first: after t0), varint bitmap of the
 * columns that differ, and for each of those a varint: 0 = absent now, else the zig-zag difference;
 * for a column that was absent the zig-zag value, plus 1.
 */
#ifndef MEMHERD_COLLECTOR_STORE_OPEN_CHUNK_H
#define MEMHERD_COLLECTOR_STORE_OPEN_CHUNK_H

#include "collector/store/chunk.h"
#include "collector/store/window_figures.h"
#include "common/cursor.h"

#define OPEN_CHUNK_COLUMNS \
	MAX_OF(MAX_OF((int)METRIC_COUNT, (int)HOST_METRIC_COUNT), (int)CGROUP_METRIC_COUNT)

struct open_chunk {
	struct open_chunk *next;
	int64_t t0_us;
	int64_t last_ms; /* of the last sample, after t0 */
	int64_t first_rcv_us;
	int64_t last_rcv_us;
	bool sealing;
	bool figured; /* of a process: its figures are kept */
	unsigned n;
	unsigned columns;
	uint32_t len, cap;
	uint8_t *log;
	struct running_figures run;
	int64_t v[]; /* last values, of each column */
};

/* NULL without memory. */
struct open_chunk *open_chunk_new(int64_t t0_us, const struct chunk_spec *spec, bool figured);
void open_chunk_free(struct open_chunk **c);
/* Memory that it takes. */
size_t open_chunk_bytes(const struct open_chunk *c);
/* v: a value of each column, ms after t0. -ENOMEM, then nothing is changed. */
int open_chunk_add(struct open_chunk *c, int64_t ms, const int64_t *v) must_use;
/* Samples from ms on go, as if they had never come. -ENOMEM, then it is as it was. */
int open_chunk_cut(struct open_chunk *c, int64_t ms) must_use;
/* Appends its stored form (chunk.h). */
int open_chunk_encode(const struct open_chunk *c, const struct chunk_spec *spec,
		      struct buf *out) must_use;

/* Sample after sample: ms and v are of the one that was just read. */
struct open_reader {
	struct cursor c;
	unsigned columns;
	int64_t ms;
	int64_t v[OPEN_CHUNK_COLUMNS];
};

void open_reader_init(struct open_reader *r, const struct open_chunk *c);
bool open_reader_next(struct open_reader *r);

#endif
