/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/ring_lane.h"

#include <errno.h>
#include <string.h>

#define FIRST_CAP 4096u

int ring_lane_init(struct ring_lane *l, const struct ring_lane_config *cfg)
{
	*l = (struct ring_lane){.cfg = *cfg};
	l->rounds = calloc(cfg->max_rounds, sizeof(*l->rounds));
	return l->rounds ? 0 : -ENOMEM;
}

void ring_lane_fini(struct ring_lane *l)
{
	free(l->bytes);
	free(l->rounds);
	*l = (struct ring_lane){0};
}

static const struct ring_round *round_at(const struct ring_lane *l, uint32_t i)
{
	return &l->rounds[(l->first + i) % l->cfg.max_rounds];
}

/* What the oldest round led to is from now on the oldest that can be had. */
static void drop_oldest(struct ring_lane *l)
{
	const struct ring_round *r = round_at(l, 0);

	l->begin_us = r->t_us;
	l->len -= r->len;
	l->first = (l->first + 1) % l->cfg.max_rounds;
	l->count--;
}

/* Steps round the bytes. */
static uint32_t after(const struct ring_lane *l, uint32_t at)
{
	return at + 1 == l->cap ? 0 : at + 1;
}

static uint32_t before(const struct ring_lane *l, uint32_t at, uint32_t n)
{
	return at >= n ? at - n : at + l->cap - n;
}

/* More room, its bytes in line again. */
static bool grow(struct ring_lane *l)
{
	uint32_t cap = MIN_OF(l->cap ? MORE_THAN(l->cap) : FIRST_CAP, l->cfg.max_bytes);
	uint32_t at = before(l, l->head, l->len);
	uint8_t *bytes;

	if (cap <= l->cap)
		return false;
	bytes = malloc(cap);
	if (!bytes)
		return false;
	for (uint32_t i = 0; i < l->len; i++, at = after(l, at))
		bytes[i] = l->bytes[at];
	free(l->bytes);
	l->bytes = bytes;
	l->cap = cap;
	l->head = l->len;
	return true;
}

static bool make_room(struct ring_lane *l)
{
	if (l->len < l->cap || grow(l))
		return true;
	while (l->count && l->len == l->cap) {
		drop_oldest(l);
		l->evicted++;
	}
	return l->len < l->cap;
}

static void put_byte(struct ring_lane *l, uint8_t b)
{
	if (l->overflow || !make_room(l)) {
		l->overflow = true;
		return;
	}
	l->bytes[l->head] = b;
	l->head = after(l, l->head);
	l->len++;
	l->open++;
}

static void put_varint(struct ring_lane *l, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		put_byte(l, (uint8_t)(v | 0x80));
	put_byte(l, (uint8_t)v);
}

void ring_lane_begin(struct ring_lane *l)
{
	l->open = 0;
	l->next_key = 0;
	l->overflow = false;
}

void ring_lane_put(struct ring_lane *l, uint32_t key, int64_t delta)
{
	put_varint(l, key - l->next_key);
	put_varint(l, ((uint64_t)delta << 1) ^ (delta < 0 ? UINT64_MAX : 0));
	l->next_key = key + 1;
}

/* All is forgotten but the present state. */
static void start_anew(struct ring_lane *l, int64_t t_us)
{
	l->len = 0;
	l->count = 0;
	l->begin_us = t_us;
}

void ring_lane_end(struct ring_lane *l, int64_t t_us)
{
	l->last_us = t_us;
	if (l->overflow)
		l->lost++;
	if (l->overflow || !l->begin_us) {
		start_anew(l, t_us);
		return;
	}
	if (l->count == l->cfg.max_rounds)
		drop_oldest(l);
	l->rounds[(l->first + l->count++) % l->cfg.max_rounds] =
		(struct ring_round){.t_us = t_us, .len = l->open};
}

void ring_walk_begin(struct ring_walk *w, const struct ring_lane *l)
{
	*w = (struct ring_walk){.lane = l, .left = l->count, .start = l->head};
}

bool ring_walk_back(struct ring_walk *w, int64_t t_us)
{
	const struct ring_round *r = w->left ? round_at(w->lane, w->left - 1) : NULL;

	if (!r || r->t_us <= t_us)
		return false;
	w->left--;
	w->start = before(w->lane, w->start, r->len);
	w->at = w->start;
	w->remain = r->len;
	w->key = 0;
	w->t_us = r->t_us;
	w->before_us = w->left ? round_at(w->lane, w->left - 1)->t_us : w->lane->begin_us;
	return true;
}

static uint64_t take_varint(struct ring_walk *w)
{
	uint64_t v = 0;
	uint8_t b = 0x80;

	for (unsigned shift = 0; shift < 64 && b & 0x80 && w->remain; shift += 7) {
		b = w->lane->bytes[w->at];
		w->at = after(w->lane, w->at);
		w->remain--;
		v |= (uint64_t)(b & 0x7f) << shift;
	}
	return v;
}

bool ring_walk_change(struct ring_walk *w, uint32_t *ret_key, int64_t *ret_delta)
{
	uint64_t v;

	if (!w->remain)
		return false;
	*ret_key = w->key + (uint32_t)take_varint(w);
	w->key = *ret_key + 1;
	v = take_varint(w);
	*ret_delta = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
	return true;
}

size_t ring_lane_memory(const struct ring_lane *l)
{
	return l->cap + l->cfg.max_rounds * sizeof(*l->rounds);
}
