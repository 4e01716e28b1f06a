/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window.h - one sliding window over one expression of one subject: 60 buckets of width / 60.
 *
 * A value that has not moved within the window costs no buckets, which is the case of most
 * processes most of the time; they are made at the first move and given back when it is over.
 * Slope and r2 are worked out at most once a bucket. Times are microseconds since 1970 and must
 * rise. Pure; memory is at most sizeof(struct window) + 61 * 20 bytes.
 */
#ifndef MEMHERD_COLLECTOR_RULE_WINDOW_H
#define MEMHERD_COLLECTOR_RULE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/rule/vocab.h"

#define WINDOW_BUCKETS 60

struct window_bucket {
	float last;
	float min;
	float max;
	float mean;
	uint16_t n;  /* samples, saturating; 0 = none */
	uint16_t at; /* of the last sample, in 1/65536 of the bucket */
};

struct window {
	int64_t width_us;
	int64_t first_us; /* of the unbroken run that the window may look at */
	int64_t last_us;
	int64_t moved_us; /* last change of the value */
	double last;
	struct window_bucket *buckets; /* NULL while flat; bucket b is at b % WINDOW_BUCKETS */
	int64_t trend_bucket;          /* slope and r2 are of this bucket */
	double slope;
	double r2;
};

void window_init(struct window *w, int64_t width_us);
void window_fini(struct window *w);
/* Adds a sample. One that is not younger than the last is ignored. A hole of more than half the
 * window and three minutes starts the window anew. -ENOMEM leaves it without the sample. */
int window_feed(struct window *w, int64_t t_us, double v) must_use;
/* True when nothing that a window function says can change while the value stays as it is. */
bool window_settled(const struct window *w, int64_t now_us);

/* fn over the window that ends at its last sample; false where too little is known. */
bool window_value(struct window *w, enum rule_fn fn, double *ret) must_use;

/* tto refuses to extrapolate below these (r2, share of the value, bytes). */
#define WINDOW_TTO_R2    0.6
#define WINDOW_TTO_SHARE 0.05
#define WINDOW_TTO_BYTES (32.0 * 1048576)
#define WINDOW_TTO_FULL  0.75

/*
 * Seconds until the value reaches limit at its present slope, from either side. Unknown while
 * the window is not 3/4 full or where the points do not follow a line; INFINITY when the value
 * does not move towards the limit by as much as the floor, 0 when it was reached in the window.
 */
bool window_tto(struct window *w, double limit, bool bytes, double *ret) must_use;

#endif
