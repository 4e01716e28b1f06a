/* SPDX-License-Identifier: Apache-2.0 */
/* What the flight ring knows of the past. */
#include <errno.h>
#include <string.h>

#include "agent/sense/ring.h"

int64_t ring_covered_us(const struct ring *r, enum ring_lane_kind lane, int64_t now_us)
{
	int64_t begin = r->lanes[lane].begin_us;

	return begin ? now_us - begin : 0;
}

/* Is what a round of t_us says of this slot about the process that has it now? */
static bool concerns(const struct ring *r, uint32_t slot, int64_t t_us)
{
	return slot < r->high && r->who[slot].pid && t_us > r->who[slot].birth_us;
}

static void undo_round(const struct ring *r, struct ring_walk *w, uint32_t *values)
{
	uint32_t key;
	int64_t delta;

	while (ring_walk_change(w, &key, &delta))
		if (concerns(r, key / 2, w->t_us))
			values[key] = (uint32_t)(values[key] - delta);
}

/* ---- growth ---- */

static bool is_recent(const struct ring_who *w, int64_t now_us)
{
	return w->pid && (!w->exit_us || w->exit_us >= now_us - RING_RECENT_US);
}

static bool lived_at(const struct ring_who *w, int64_t t_us)
{
	return w->birth_us <= t_us && (!w->exit_us || w->exit_us > t_us);
}

static size_t list_all(const struct ring *r, int64_t now_us, struct ring_grown *out)
{
	size_t n = 0;

	for (uint32_t slot = 0; slot < r->high; slot++) {
		if (!is_recent(&r->who[slot], now_us))
			continue;
		out[n] = (struct ring_grown){
			.who = &r->who[slot],
			.slot = slot,
			.rss = r->now[slot * 2],
			.swap = r->now[slot * 2 + 1],
		};
		for (unsigned i = 0; i < RING_SPANS; i++)
			out[n].rss_then[i] = out[n].swap_then[i] = RING_ABSENT;
		n++;
	}
	return n;
}

static enum ring_lane_kind lane_for(const struct ring *r, int64_t t_us)
{
	int64_t fast = r->lanes[RING_FAST].begin_us;

	return fast && fast <= t_us ? RING_FAST : RING_SLOW;
}

/* Fills the spans that this lane answers. */
static void walk_lane(const struct ring *r, enum ring_lane_kind lane, int64_t now_us,
		      const int64_t *spans_us, uint32_t *values, struct ring_grown *out, size_t n)
{
	const struct ring_lane *l = &r->lanes[lane];
	struct ring_walk w;

	if (!l->begin_us)
		return;
	memcpy(values, r->base[lane], r->high * 2 * sizeof(*values));
	ring_walk_begin(&w, l);
	for (unsigned i = 0; i < RING_SPANS; i++) {
		int64_t t_us = now_us - spans_us[i];

		if (lane_for(r, t_us) != lane || t_us < l->begin_us)
			continue;
		while (ring_walk_back(&w, t_us))
			undo_round(r, &w, values);
		for (size_t k = 0; k < n; k++) {
			if (!lived_at(out[k].who, t_us))
				continue;
			out[k].rss_then[i] = values[out[k].slot * 2];
			out[k].swap_then[i] = values[out[k].slot * 2 + 1];
		}
	}
}

int ring_growth(const struct ring *r, int64_t now_us, const int64_t spans_us[RING_SPANS],
		struct ring_grown **ret, size_t *ret_n)
{
	auto_free uint32_t *values = malloc((r->high * 2 + 1) * sizeof(*values));
	struct ring_grown *out = malloc((r->high + 1) * sizeof(*out));
	size_t n;

	if (!values || !out) {
		free(out);
		return -ENOMEM;
	}
	n = list_all(r, now_us, out);
	for (unsigned i = 0; i < RING_LANES && r->high; i++)
		walk_lane(r, i, now_us, spans_us, values, out, n);
	*ret = out;
	*ret_n = n;
	return 0;
}

static int64_t known(uint32_t v)
{
	return v == RING_ABSENT ? 0 : v;
}

int64_t ring_gain(const struct ring_grown *g, unsigned i, int64_t now_us, int64_t span_us)
{
	if (g->rss == RING_ABSENT)
		return METRIC_ABSENT;
	if (g->rss_then[i] != RING_ABSENT)
		return (int64_t)g->rss + known(g->swap) - g->rss_then[i] - known(g->swap_then[i]);
	if (!g->who->fresh || g->who->birth_us <= now_us - span_us)
		return METRIC_ABSENT;
	return (int64_t)g->rss + known(g->swap);
}

/* ---- one process ---- */

/* Undoes a round for one slot. */
static void undo_slot(const struct ring *r, struct ring_walk *w, uint32_t slot, uint32_t v[2])
{
	uint32_t key;
	int64_t delta;

	while (ring_walk_change(w, &key, &delta))
		if (key / 2 == slot && concerns(r, slot, w->t_us))
			v[key % 2] = (uint32_t)(v[key % 2] - delta);
}

size_t ring_series(const struct ring *r, enum ring_lane_kind lane, uint32_t slot,
		   struct ring_point *out, size_t max)
{
	const struct ring_who *who = slot < r->high ? &r->who[slot] : NULL;
	const struct ring_lane *l = &r->lanes[lane];
	struct ring_walk w;
	uint32_t v[2];
	int64_t t_us = l->last_us;
	size_t n = 0;

	if (!who || !who->pid || !l->begin_us)
		return 0;
	memcpy(v, &r->base[lane][slot * 2], sizeof(v));
	ring_walk_begin(&w, l);
	while (n < max && t_us >= who->birth_us) {
		if (!who->exit_us || who->exit_us > t_us)
			out[n++] = (struct ring_point){.t_us = t_us, .rss = v[0], .swap = v[1]};
		if (!ring_walk_back(&w, 0))
			break;
		undo_slot(r, &w, slot, v);
		t_us = w.before_us;
	}
	return n;
}

static void peak_of_lane(const struct ring *r, unsigned lane, uint32_t slot, uint32_t *kib,
			 int64_t *at_us)
{
	const struct ring_lane *l = &r->lanes[lane];
	uint32_t v[2] = {r->base[lane][slot * 2], 0};
	int64_t t_us = l->last_us;
	struct ring_walk w;

	ring_walk_begin(&w, l);
	while (t_us >= r->who[slot].birth_us) {
		if (v[0] != RING_ABSENT && v[0] > *kib) {
			*kib = v[0];
			*at_us = t_us;
		}
		if (!ring_walk_back(&w, 0))
			return;
		undo_slot(r, &w, slot, v);
		t_us = w.before_us;
	}
}

bool ring_peak(const struct ring *r, uint32_t slot, uint32_t *ret_kib, int64_t *ret_t_us)
{
	uint32_t kib = 0;
	int64_t at_us = 0;

	if (slot >= r->high || !r->who[slot].pid)
		return false;
	for (unsigned i = 0; i < RING_LANES; i++)
		if (r->lanes[i].begin_us)
			peak_of_lane(r, i, slot, &kib, &at_us);
	*ret_kib = kib;
	*ret_t_us = at_us;
	return true;
}

uint32_t ring_find(const struct ring *r, uint32_t pid)
{
	uint32_t best = RING_NO_SLOT;

	for (uint32_t slot = 0; slot < r->high; slot++)
		if (r->who[slot].pid == pid && pid &&
		    (best == RING_NO_SLOT || r->who[slot].birth_us >= r->who[best].birth_us))
			best = slot;
	return best;
}
