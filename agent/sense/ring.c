/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/ring.h"

#include <errno.h>
#include <string.h>

#define FIRST_CAP   128u
#define NAMES_MAX   8192u
#define NAMES_BYTES ((size_t)512 * 1024)
#define KEY_RSS(s)  ((s)*2)
#define KEY_SWAP(s) ((s)*2 + 1)

/* One round more than the span: the oldest state lies before the oldest change. */
const struct ring_config ring_defaults = {
	.lanes = {[RING_SLOW] = {.max_bytes = 1u << 20, .max_rounds = 361},
		  [RING_FAST] = {.max_bytes = 1u << 18, .max_rounds = 121}},
	.max_slots = 32768,
	.max_dead = 2048,
	.linger_us = 3600 * (int64_t)1000000,
};

int ring_init(struct ring *r, const struct ring_config *cfg)
{
	*r = (struct ring){
		.cfg = *cfg,
		.free_head = RING_NO_SLOT,
		.dead_head = RING_NO_SLOT,
		.dead_tail = RING_NO_SLOT,
	};
	names_init(&r->names, NAMES_MAX, NAMES_BYTES);
	for (unsigned i = 0; i < RING_LANES; i++) {
		if (ring_lane_init(&r->lanes[i], &cfg->lanes[i]) < 0) {
			ring_fini(r);
			return -ENOMEM;
		}
	}
	return 0;
}

void ring_fini(struct ring *r)
{
	for (unsigned i = 0; i < RING_LANES; i++) {
		ring_lane_fini(&r->lanes[i]);
		free(r->base[i]);
	}
	names_fini(&r->names);
	free(r->who);
	free(r->now);
	free(r->slot_of);
	*r = (struct ring){0};
}

/* ---- slots ---- */

static bool grow_array(uint32_t **a, uint32_t n)
{
	uint32_t *p = realloc(*a, n * sizeof(*p));

	if (p)
		*a = p;
	return p != NULL;
}

static int grow(struct ring *r)
{
	uint32_t cap = r->cap ? MORE_THAN(r->cap) : FIRST_CAP;
	struct ring_who *who = realloc(r->who, cap * sizeof(*who));

	if (!who)
		return -ENOMEM;
	r->who = who;
	if (!grow_array(&r->now, cap * 2))
		return -ENOMEM;
	for (unsigned i = 0; i < RING_LANES; i++)
		if (!grow_array(&r->base[i], cap * 2))
			return -ENOMEM;
	r->cap = cap;
	return 0;
}

static void free_slot(struct ring *r, uint32_t slot)
{
	struct ring_who *w = &r->who[slot];

	names_unref(&r->names, w->service);
	names_unref(&r->names, w->container);
	*w = (struct ring_who){.next = r->free_head};
	r->free_head = slot;
}

static void forget_oldest_dead(struct ring *r)
{
	uint32_t slot = r->dead_head;

	r->dead_head = r->who[slot].next;
	if (r->dead_head == RING_NO_SLOT)
		r->dead_tail = RING_NO_SLOT;
	r->n_dead--;
	free_slot(r, slot);
}

static int take_slot(struct ring *r, uint32_t *ret)
{
	if (r->free_head == RING_NO_SLOT && r->high >= r->cfg.max_slots) {
		if (!r->n_dead)
			return -ENOSPC;
		forget_oldest_dead(r);
		r->forgotten++;
	}
	if (r->free_head != RING_NO_SLOT) {
		*ret = r->free_head;
		r->free_head = r->who[*ret].next;
		return 0;
	}
	if (r->high == r->cap && grow(r) < 0)
		return -ENOMEM;
	*ret = r->high++;
	return 0;
}

static int reserve_id(struct ring *r, uint32_t id)
{
	uint32_t n = r->n_ids ? r->n_ids : FIRST_CAP;

	if (id < r->n_ids)
		return 0;
	while (n <= id)
		n = MORE_THAN(n);
	if (!grow_array(&r->slot_of, n))
		return -ENOMEM;
	for (uint32_t i = r->n_ids; i < n; i++)
		r->slot_of[i] = RING_NO_SLOT;
	r->n_ids = n;
	return 0;
}

uint32_t ring_slot(const struct ring *r, uint32_t id)
{
	return id < r->n_ids ? r->slot_of[id] : RING_NO_SLOT;
}

/* ---- a round ---- */

void ring_round_begin(struct ring *r, int64_t t_us, unsigned lanes)
{
	r->t_us = t_us;
	r->telling = lanes;
	while (r->n_dead && r->who[r->dead_head].exit_us < t_us - r->cfg.linger_us)
		forget_oldest_dead(r);
}

static void set_all(struct ring *r, uint32_t key, uint32_t v)
{
	r->now[key] = v;
	for (unsigned i = 0; i < RING_LANES; i++)
		r->base[i][key] = v;
}

static void call_it(struct ring *r, struct ring_who *w, const struct ring_birth *b)
{
	w->service = names_ref(&r->names, b->service);
	w->container = names_ref(&r->names, b->container);
	memset(w->comm, 0, sizeof(w->comm));
	memcpy(w->comm, b->comm, strnlen(b->comm, sizeof(w->comm) - 1));
}

static uint32_t find_living(const struct ring *r, uint32_t pid, uint64_t start_ticks)
{
	for (uint32_t slot = 0; slot < r->high; slot++) {
		const struct ring_who *w = &r->who[slot];

		if (w->pid == pid && w->start_ticks == start_ticks && !w->exit_us)
			return slot;
	}
	return RING_NO_SLOT;
}

bool ring_move(struct ring *r, uint32_t id, const struct ring_birth *b)
{
	uint32_t slot = find_living(r, b->pid, b->start_ticks);
	struct ring_who *w;

	if (slot == RING_NO_SLOT || reserve_id(r, id) < 0)
		return false;
	for (uint32_t i = 0; i < r->n_ids; i++)
		if (r->slot_of[i] == slot)
			r->slot_of[i] = RING_NO_SLOT;
	ring_exit(r, id);
	w = &r->who[slot];
	names_unref(&r->names, w->service);
	names_unref(&r->names, w->container);
	call_it(r, w, b);
	r->slot_of[id] = slot;
	return true;
}

int ring_birth(struct ring *r, uint32_t id, const struct ring_birth *b)
{
	struct ring_who *w;
	uint32_t slot = RING_NO_SLOT;
	int rc = reserve_id(r, id);

	ring_exit(r, id);
	if (rc == 0)
		rc = take_slot(r, &slot);
	if (rc < 0) {
		r->refused++;
		return rc;
	}
	w = &r->who[slot];
	*w = (struct ring_who){
		.start_ticks = b->start_ticks,
		.birth_us = r->t_us,
		.pid = b->pid,
		.uid = b->uid,
		.next = RING_NO_SLOT,
		.fresh = b->fresh,
	};
	call_it(r, w, b);
	set_all(r, KEY_RSS(slot), RING_ABSENT);
	set_all(r, KEY_SWAP(slot), RING_ABSENT);
	r->slot_of[id] = slot;
	r->n_live++;
	return 0;
}

void ring_value(struct ring *r, uint32_t id, uint32_t rss_kib, uint32_t swap_kib)
{
	uint32_t slot = ring_slot(r, id);

	if (slot == RING_NO_SLOT)
		return;
	/* What it was born with is no change: walking back ends at its birth. */
	if (r->who[slot].birth_us == r->t_us) {
		set_all(r, KEY_RSS(slot), rss_kib);
		set_all(r, KEY_SWAP(slot), swap_kib);
		return;
	}
	r->now[KEY_RSS(slot)] = rss_kib;
	r->now[KEY_SWAP(slot)] = swap_kib;
}

void ring_exit(struct ring *r, uint32_t id)
{
	uint32_t slot = ring_slot(r, id);

	if (slot == RING_NO_SLOT)
		return;
	r->slot_of[id] = RING_NO_SLOT;
	r->n_live--;
	r->who[slot].exit_us = r->t_us;
	r->who[slot].next = RING_NO_SLOT;
	if (r->dead_tail == RING_NO_SLOT)
		r->dead_head = slot;
	else
		r->who[r->dead_tail].next = slot;
	r->dead_tail = slot;
	if (++r->n_dead > r->cfg.max_dead) {
		forget_oldest_dead(r);
		r->forgotten++;
	}
}

static void tell_lane(struct ring *r, unsigned lane)
{
	struct ring_lane *l = &r->lanes[lane];
	uint32_t *base = r->base[lane];

	ring_lane_begin(l);
	for (uint32_t key = 0; key < r->high * 2; key++) {
		if (r->now[key] == base[key])
			continue;
		if (r->who[key / 2].pid)
			ring_lane_put(l, key, (int64_t)r->now[key] - base[key]);
		base[key] = r->now[key];
	}
	ring_lane_end(l, r->t_us);
}

void ring_round_end(struct ring *r)
{
	for (unsigned i = 0; i < RING_LANES; i++)
		if (r->telling & 1u << i)
			tell_lane(r, i);
	r->telling = 0;
}

size_t ring_bytes(const struct ring *r)
{
	size_t sum = names_memory(&r->names) + r->n_ids * sizeof(*r->slot_of);

	sum += r->cap * (sizeof(*r->who) + (1 + RING_LANES) * 2 * sizeof(*r->now));
	for (unsigned i = 0; i < RING_LANES; i++)
		sum += ring_lane_memory(&r->lanes[i]);
	return sum;
}
