/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta.h - the state that turns full samples into changed-only columns and back.
 *
 * Both ends keep, per stream, the last value of each metric of each process, of each cgroup, of
 * each interpreter that is told by itself, and of the host. The encoder emits what differs exactly
 * (nothing is thresholded: slow leaks live below thresholds); the decoder adds. A keyframe starts
 * from nothing, so the two agree again whatever came before. Pure.
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
	int64_t key;                    /* decoder: identity_process() */
	int64_t v[METRIC_PYTHON_FIRST]; /* METRIC_ABSENT where not had */
	int64_t *python;                /* METRIC_PYTHON_COUNT of them; NULL = all absent */
};

/* The values of one slot, all of them. */
void delta_values(const struct delta_slot *slot, int64_t v[METRIC_COUNT]);

/* Kinds of object beside processes. */
enum delta_kind { DELTA_CGROUP, DELTA_INTERPRETER, DELTA_KINDS };

/* One of them, by its id. */
struct delta_object {
	bool live;
	uint32_t process; /* of an interpreter: id of its process */
	int64_t key;      /* of a cgroup: identity_cgroup(); of an interpreter: Python's number */
};

struct delta_objects {
	struct delta_object *list;
	int64_t *v; /* delta_object_values() */
	size_t n;   /* capacity */
};

struct delta_state {
	struct delta_slot *slots;
	size_t n_slots; /* capacity */
	struct delta_objects objects[DELTA_KINDS];
	int64_t host[HOST_METRIC_COUNT];
	bool ready;          /* decoder: a keyframe has come */
	uint8_t boot_id[16]; /* decoder: from the last keyframe */
};

/* NULL when no object of that kind has the id now. */
const struct delta_object *delta_object(const struct delta_state *s, enum delta_kind kind,
					size_t id);
/* Of one that is live: CGROUP_METRIC_COUNT or INTERPRETER_METRIC_COUNT values. */
const int64_t *delta_object_values(const struct delta_state *s, enum delta_kind kind, size_t id);

void delta_init(struct delta_state *s);
void delta_fini(struct delta_state *s);

/*
 * Encoder. For each round: delta_begin(), delta_process() for each live process and
 * delta_put_object() for each live object of the other kinds in ascending id, delta_host(), then
 * delta_finish() packs the tick and makes its values the new base. What is born and what went is in
 * tick before delta_begin(); columns are filled here. Memory comes from the arena given at begin,
 * which must live until finish.
 */
struct delta_encoder {
	struct delta_state *state;
	struct arena *arena;
	struct wire_tick *tick;
	size_t max_processes;
	size_t max_objects[DELTA_KINDS];
	uint8_t *reborn; /* a bit for each id of the base that is given anew in this tick */
	uint8_t *reborn_objects[DELTA_KINDS];
	bool failed;
};

int delta_begin(struct delta_encoder *e, struct delta_state *s, struct arena *a,
		struct wire_tick *tick, size_t n_processes,
		const size_t n_objects[DELTA_KINDS]) must_use;
void delta_process(struct delta_encoder *e, uint32_t id, const int64_t v[METRIC_COUNT]);
/* v: as delta_object_values(). */
void delta_put_object(struct delta_encoder *e, enum delta_kind kind, uint32_t id, const int64_t *v);
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
