/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window_inner.h - the open windows' state, shared by window.c (adding, reading) and window_seal.c
 * (taking whole windows out); nobody else includes it.
 */
#ifndef MEMHERD_COLLECTOR_STORE_WINDOW_INNER_H
#define MEMHERD_COLLECTOR_STORE_WINDOW_INNER_H

#include "collector/store/open_chunk.h"
#include "collector/store/window.h"

#define HASH_NONFATAL_OOM         1
#define uthash_nonfatal_oom(item) ((item)->lost = true)
#include <uthash.h>

/*
 * A host tells of its objects in the same order round after round: whose sample came next last time
 * is mostly whose comes next now, so that no look-up is needed, and its memory can be asked for
 * while the one before is worked on.
 */
struct series {
	struct series_id id;
	int64_t last_us;           /* newest sample taken */
	struct open_chunk *chunks; /* in the order of time, as samples of a series come */
	struct open_chunk *newest; /* the last of them */
	struct series *follower;   /* whose sample came after the last one of this */
	bool lost;
	UT_hash_handle hh;
};

struct cut {
	int64_t t0_us;
	int64_t cut_us;    /* sealed is what was received up to then; 0: nothing yet */
	int64_t stored_us; /* the youngest batch of it that is stored was received then */
	bool lost;
	UT_hash_handle hh;
};

struct window_set {
	int64_t length_us;
	size_t max_bytes;
	size_t bytes;
	struct series *series;
	struct series *added; /* to which the last sample was added */
	struct cut *cuts;
	bool sealing;
	int64_t sealing_t0_us;
};

/* Takes the chunks of a series out of which goes(chunk, arg) says so. */
void window_drop_chunks(struct window_set *ws, struct series *s,
			bool (*goes)(const struct open_chunk *c, const void *arg), const void *arg);

#endif
