/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window.h - the samples that are not in chunks yet: per process, host and cgroup (series.h), the
 * open windows of a fixed grid (30 minutes) in memory. Ingest adds, reads of recent history read,
 * sealing (store_seal.c) takes whole windows out. No I/O, no clock: times are parameters, wall
 * microseconds.
 *
 * Samples are kept as a log of changes (a few bytes each), beside running figures for the rollup.
 *
 * A sample is taken once: one that is not newer than the last of its series is ignored (a resend
 * after a lost connection), and so is one whose batch was received (rcv) before the cut at which
 * its window was sealed (a replay after a restart). Samples for a window that is sealed, or being
 * sealed, open it again: they become the next part of their chunk, never a change to one.
 */
#ifndef MEMHERD_COLLECTOR_STORE_WINDOW_H
#define MEMHERD_COLLECTOR_STORE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/store/series.h"
#include "collector/store/window_figures.h"
#include "common/buf.h"
#include "common/error.h"

struct window_set;

/* One value of one series. */
struct point {
	int64_t t_us;
	int64_t v;
};

/* window_us: length of a window. max_bytes: bound on the memory; adding beyond is refused. */
int window_set_new(int64_t window_us, size_t max_bytes, struct window_set **ret) must_use;
void window_set_free(struct window_set **ws);

/* Start of the window that holds t. */
int64_t window_start(int64_t window_us, int64_t t_us);
int64_t window_length(const struct window_set *ws);
/* Bytes held. */
size_t window_bytes(const struct window_set *ws);

/* v: the columns of the series' kind. 0 taken, 1 ignored as known, -ENOBUFS over max_bytes,
 * -ENOMEM, -ERANGE for a time before 1970. */
int window_add(struct window_set *ws, const struct series_id *id, int64_t t_us, int64_t rcv_us,
	       const int64_t *v) must_use;

/* The host's samples from t on are taken back: another collector has stored them. What is being
 * sealed stays. Without memory a chunk stays as it was: -ENOMEM. */
int window_take_back(struct window_set *ws, int32_t host_id, int64_t t_us) must_use;

/* The window from t0 was sealed with everything received up to cut_us. Cuts of windows that began
 * before oldest are forgotten by window_forget(). */
int window_set_cut(struct window_set *ws, int64_t t0_us, int64_t cut_us) must_use;
/* A batch of the window from t0, received then, is stored: it is to be sealed also when none of its
 * samples is here (events alone; samples that were known). */
int window_stored(struct window_set *ws, int64_t t0_us, int64_t rcv_us) must_use;
/* Drops cuts of windows before t_us and series that have nothing open and nothing newer. */
void window_forget(struct window_set *ws, int64_t t_us);

/*
 * Calls each(arg, point) for the present values of metric in [from, to) that are in memory, oldest
 * first per window. metric is of the series' kind. The number of points or -ENOMEM.
 */
typedef void window_point(void *arg, const struct point *p);
int window_read(struct window_set *ws, const struct series_id *id, unsigned metric, int64_t from_us,
		int64_t to_us, window_point *each, void *arg) must_use;

/* Start of the oldest window that is not sealed and not being sealed, INT64_MAX when none. */
int64_t window_oldest(const struct window_set *ws);
/* Receive time of the oldest sample that is in no chunk, INT64_MAX when none: what the inbox must
 * still hold. */
int64_t window_oldest_received(const struct window_set *ws);
/* When the window from t0 last got a sample or a batch (receive time), 0 when it has none. */
int64_t window_last_received(const struct window_set *ws, int64_t t0_us);

/* One object's samples in a window that is being sealed. */
struct window_part {
	struct series_id id;
	size_t n;
	int64_t t_last_us;
	struct window_figures figures; /* of processes */
};

/*
 * Sealing: window_seal_begin() closes the window for samples and calls each(arg, part, chunk)
 * ordered by (host_id, kind, obj_id); chunk is the encoded form (chunk.h). The first negative
 * return ends it. The samples stay readable until window_seal_done(), which drops them and
 * remembers the cut, or window_seal_undo(), after which the window is open again. One at a time:
 * -EBUSY.
 */
typedef int window_each(void *arg, const struct window_part *part, const struct buf *chunk);
int window_seal_begin(struct window_set *ws, int64_t t0_us, window_each *each, void *arg) must_use;
void window_seal_done(struct window_set *ws, int64_t cut_us);
void window_seal_undo(struct window_set *ws);

/* Of a set that is only shown: the window from t0 is in chunks up to cut; what began before t. */
void window_drop(struct window_set *ws, int64_t t0_us, int64_t cut_us);
void window_drop_before(struct window_set *ws, int64_t t_us);

#endif
