/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta_inner.h - what both directions of the deltas know of their state: delta.c (state, decoder)
 * and delta_encode.c; nobody else includes it.
 */
#ifndef MEMHERD_PROTO_DELTA_INNER_H
#define MEMHERD_PROTO_DELTA_INNER_H

#include "proto/delta.h"

/* Values are KiB, counts and milliseconds: 2^53 is far above all and exact in JSON's numbers. */
#define VALUE_MAX (INT64_C(1) << 53)
#define SLOTS_MIN 64

struct delta_kind_info {
	const char *name;
	const struct metric_info *infos;
	unsigned n_metrics;
	size_t max; /* ids are below it */
};

extern const struct delta_kind_info delta_kinds[DELTA_KINDS];

static inline int64_t or_zero(int64_t v)
{
	return v == METRIC_ABSENT ? 0 : v;
}

/* Room for that id; -ENOMEM. */
int delta_grow(struct delta_state *s, size_t id) must_use;
int delta_grow_objects(struct delta_state *s, enum delta_kind kind, size_t id) must_use;
/* Its values, live or not. */
int64_t *delta_object_at(const struct delta_state *s, enum delta_kind kind, size_t id);

/* What a tick announces of a kind. */
size_t delta_announced(const struct wire_tick *t, enum delta_kind kind);
uint32_t delta_announced_id(const struct wire_tick *t, enum delta_kind kind, size_t i);

#endif
