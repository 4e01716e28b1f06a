/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lives.h - how a service grows over the lives of its processes: does each life grow, along a line
 * or at one moment, by the clock or by load. Pure: points in, a judgement and one sentence out. A
 * life is one process; the lives of a worker's slot follow one another.
 *
 * The slope is Theil-Sen (Sen 1968) over the pairs of points within a life, so that the fall at a
 * restart is in none; r2 is that of a line with one slope and a level of its own for each life. The
 * first minutes of a life, in which it loads what it needs, are left out where the rest is longer.
 *
 * A burst is told from a leak by two medians: a life is split where the medians of both sides,
 * each taken near the split, differ most, as E-Divisive with Medians does (James, Kejariwal,
 * Matteson 2014); that is a burst when the difference is at least LIVES_JUMP times the scaled
 * median absolute deviation around the two (Hampel 1974: 1.4826 MAD estimates sigma) and two levels
 * leave at most half the residual that the line leaves. Along a ramp the quotient is 2.7 at most
 * however long it is: half its rise over 1.4826 times an eighth of it.
 *
 * Growth is by load when the CPU time that a life used explains it better than the time it lived:
 * when a line over CPU time leaves at most half the unexplained variance that a line over time
 * leaves.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_LIVES_H
#define MEMHERD_COLLECTOR_FLEET_LIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIVES_MAX   64
#define LIFE_POINTS 48
#define LIVES_JUMP  6.0
/* Below it nobody is told of growth. */
#define LIVES_GROWTH_MIN (4.0 * 1024 * 1024)
#define LIVES_TEXT_SIZE  256

/* X(NAME, word, text) */
#define GROWTH_SHAPE_LIST(X)                                \
	X(UNKNOWN, unknown, "too little is known of it")    \
	X(STEADY, steady, "does not grow")                  \
	X(GRADUAL, gradual, "grows along a line")           \
	X(BURST, burst, "grew at one moment and stayed so") \
	X(WARM_UP, warm_up, "grew at first and levels off") \
	X(ERRATIC, erratic, "grows, but not along a line")

enum growth_shape {
#define X(NAME, word, text) GROWTH_##NAME,
	GROWTH_SHAPE_LIST(X)
#undef X
		GROWTH_SHAPES
};

/* X(NAME, word, text) */
#define GROWTH_DRIVER_LIST(X)                           \
	X(UNKNOWN, unknown, "")                         \
	X(CLOCK, clock, "by the clock and not by load") \
	X(LOAD, load, "by load and not by the clock")

enum growth_driver {
#define X(NAME, word, text) DRIVER_##NAME,
	GROWTH_DRIVER_LIST(X)
#undef X
		GROWTH_DRIVERS
};

struct life_point {
	int64_t t_us;
	double bytes;
	double cpu_s; /* used so far in this life; NAN = not known */
};

struct life {
	int64_t proc_id;
	int64_t key; /* lives of one key follow one another: role and slot */
	unsigned n;
	unsigned skip; /* inner: adds between points that are kept */
	unsigned seen;
	struct life_point p[LIFE_POINTS]; /* oldest first */
};

struct lives {
	size_t n;
	struct life life[LIVES_MAX];
};

struct growth {
	enum growth_shape shape;
	enum growth_driver driver;
	size_t lives;          /* that are long enough to tell */
	size_t restarts;       /* lives that followed another one */
	double span_s;         /* from the first point to the last */
	double bytes_per_hour; /* within a life; NAN = not known */
	double r2;             /* 0..1 */
	double r2_cpu;         /* NAN = not known */
	double bytes_per_cpu_second;
	double growth_bytes; /* of a life, the median of them */
	double burst_bytes;  /* the largest; 0 = none */
	int64_t burst_us;    /* when, 0 = none */
	char sentence[LIVES_TEXT_SIZE];
};

/* The life of that process, made when it is new; NULL when there are LIVES_MAX. */
struct life *lives_get(struct lives *l, int64_t proc_id, int64_t key);
/* A point later than the last one; others are not taken. A full life is thinned out. */
void life_add(struct life *l, int64_t t_us, double bytes, double cpu_s);
/* 0 or -ENOMEM. */
int lives_judge(const struct lives *l, struct growth *ret) __attribute__((warn_unused_result));

const char *growth_shape_word(enum growth_shape shape);
const char *growth_driver_word(enum growth_driver driver);

#endif
