/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta.h - the state that turns full samples into changed-only columns and back.
 *
 * Both ends keep, per stream, the last value of each metric of each id. The encoder emits what
 * differs exactly (nothing is thresholded: slow leaks live below thresholds); the decoder adds. A
 * keyframe starts from nothing, so the two agree again whatever came before. Pure.
 */
#ifndef MEMHERD_PROTO_DELTA_H
#define MEMHERD_PROTO_DELTA_H

#include "proto/wire.h"

/* One slot per id; slots of ids not in use have live == false. */
struct delta_slot {
	bool live;
	bool told; /* decoder: strings were announced in this stream */
	uint32_t pid;
	uint64_t start_ticks;
	int64_t v[METRIC_COUNT]; /* METRIC_ABSENT where not had */
};

struct delta_state {
	struct delta_slot *slots;
	size_t n_slots; /* capacity */
	int64_t host[HOST_METRIC_COUNT];
	bool ready; /* decoder: a keyframe has come */
};

void delta_init(struct delta_state *s);
void delta_fini(struct delta_state *s);

/*
 * Encoder. For each round: delta_begin(), delta_process() for each live process in ascending
 * id, delta_exit() for each that went, delta_host(), then delta_finish() packs the tick and
 * makes its values the new base. born entries and exits are in tick before delta_begin(); columns
 * are filled here. Memory comes from the arena given at begin, which must live until finish.
 */
struct delta_encoder {
	struct delta_state *state;
	struct arena *arena;
	struct wire_tick *tick;
	size_t max_processes;
	uint8_t *reborn; /* a bit for each id of the base that is given anew in this tick */
	bool failed;
};

int delta_begin(struct delta_encoder *e, struct delta_state *s, struct arena *a,
		struct wire_tick *tick, size_t n_processes) must_use;
void delta_process(struct delta_encoder *e, uint32_t id, const int64_t v[METRIC_COUNT]);
void delta_host(struct delta_encoder *e, const int64_t v[HOST_METRIC_COUNT]);
/* -ENOMEM when something did not fit; the state is then unchanged and the next tick must be a
 * keyframe. */
int delta_finish(struct delta_encoder *e, struct buf *out) must_use;

/*
 * Decoder: applies the tick to the state. -ENODATA for a delta before any keyframe, -EBADMSG
 * for an id that is not live, a double birth, or a value that leaves 0..2^53; the state is then
 * not ready until the next keyframe.
 */
int delta_apply(struct delta_state *s, const struct wire_tick *tick, struct error *err) must_use;

#endif
