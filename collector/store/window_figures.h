/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window_figures.h - what a rollup row says of a process in one window, kept running while its
 * samples come. Pure.
 */
#ifndef MEMHERD_COLLECTOR_STORE_WINDOW_FIGURES_H
#define MEMHERD_COLLECTOR_STORE_WINDOW_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

/* Figures over the samples of one process in one window; METRIC_ABSENT where there was none. */
struct window_figures {
	int64_t rss_min, rss_max, rss_avg, rss_first, rss_last; /* KiB */
	int64_t anon_last, swap_max;                            /* KiB */
	int64_t cpu_ms, majflt, gc2, collected, uncollectable;  /* increase; a restart of a counter
								 * counts from 0 */
	bool has_slope;
	double rss_slope; /* KiB per hour, least squares */
};

#define WINDOW_COUNTED 5 /* counters that a rollup tells the increase of */

/* What they are computed from at the end. */
struct running_figures {
	int64_t min, max, first; /* RSS */
	double sum;
	int64_t swap_max;
	int64_t counted[WINDOW_COUNTED];
	double st, sv, stt, stv; /* of the slope: hours since the window's start, KiB */
	unsigned n;              /* samples with RSS */
};

void running_figures_init(struct running_figures *f);
/* v: METRIC_COUNT values, ms after the window's start; before: those of the sample before, NULL for
 * the first. */
void running_figures_add(struct running_figures *f, int64_t ms, const int64_t *before,
			 const int64_t *v);
/* last: the values of the last sample. */
struct window_figures running_figures_end(const struct running_figures *f, const int64_t *last);

#endif
