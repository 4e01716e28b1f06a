/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/services.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "common/str.h"

#define FIRST_CAP  32u
#define WORD_BITS  64u
#define SEPARATORS " \t\r\n,"

void services_init(struct services *s, uint32_t max)
{
	*s = (struct services){.max = max};
}

static void forget(struct service *e)
{
	free(e->name);
	free(e->slots);
	*e = (struct service){0};
}

void services_fini(struct services *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		forget(&s->all[i]);
	for (uint32_t i = 0; i < s->n_expected; i++)
		free(s->expected[i].pattern);
	free(s->all);
	services_init(s, s->max);
}

/* ---- expected ones ---- */

static bool next_word(const char **p, size_t *ret_len)
{
	*p += strspn(*p, SEPARATORS);
	*ret_len = strcspn(*p, SEPARATORS);
	return *ret_len > 0;
}

bool services_expectable(const char *words)
{
	unsigned n = 0;
	size_t len;

	for (; next_word(&words, &len); words += len)
		if (++n > SERVICES_EXPECTED || len > WIRE_NAME_MAX || !str_is_safe(words, len))
			return false;
	return true;
}

int services_expect(struct services *s, const char *words, int64_t absent_after_us, int64_t now_us)
{
	size_t len;

	if (!services_expectable(words))
		return -EINVAL;
	s->absent_after_us = absent_after_us;
	for (; next_word(&words, &len); words += len) {
		struct expectation *x = &s->expected[s->n_expected];

		*x = (struct expectation){.pattern = malloc(len + 1), .since_us = now_us};
		if (!x->pattern)
			return -ENOMEM;
		memcpy(x->pattern, words, len);
		x->pattern[len] = '\0';
		s->n_expected++;
	}
	return 0;
}

static uint64_t expectations_of(const struct services *s, const char *name)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < s->n_expected; i++)
		if (str_glob(s->expected[i].pattern, name))
			bits |= UINT64_C(1) << i;
	return bits;
}

/* What lives now, as bits; the services that do are noted in their expectations. */
static uint64_t look_around(struct services *s)
{
	uint64_t alive = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct service *e = &s->all[i];

		for (uint64_t left = e->live ? e->expected : 0; left; left &= left - 1)
			s->expected[__builtin_ctzll(left)].incarnation = e->incarnation;
		if (e->live)
			alive |= e->expected;
	}
	return alive;
}

size_t services_sweep(struct services *s, int64_t now_us,
		      struct service_change out[SERVICES_EXPECTED])
{
	uint64_t alive = look_around(s);
	size_t n = 0;

	for (uint32_t i = 0; i < s->n_expected; i++) {
		struct expectation *x = &s->expected[i];
		bool here = alive >> i & 1;

		if (here == x->told && (here || now_us - x->since_us >= s->absent_after_us))
			out[n++] = (struct service_change){
				.back = here,
				.never_seen = !x->seen,
				.pattern = x->pattern,
				.since_us = x->since_us,
				.last_pid = x->last_pid,
				.incarnation = here ? x->incarnation : 0,
			};
		if (here) {
			x->seen = true;
			x->since_us = now_us;
			x->told = false;
		} else if (now_us - x->since_us >= s->absent_after_us) {
			x->told = true;
		}
	}
	return n;
}

/* ---- slots ---- */

static bool grow_slots(struct service *e)
{
	uint32_t words = e->slot_words ? e->slot_words * 2 : 1;
	uint64_t *slots;

	if (words > (SERVICES_SLOT_MAX + 1) / WORD_BITS)
		return false;
	slots = realloc(e->slots, words * sizeof(*slots));
	if (!slots)
		return false;
	memset(slots + e->slot_words, 0, (words - e->slot_words) * sizeof(*slots));
	e->slots = slots;
	e->slot_words = words;
	return true;
}

static uint16_t take_slot(struct service *e)
{
	for (uint32_t w = 0; w < e->slot_words || grow_slots(e); w++) {
		uint32_t bit;

		if (e->slots[w] == UINT64_MAX)
			continue;
		bit = (uint32_t)__builtin_ctzll(~e->slots[w]);
		if (w * WORD_BITS + bit >= SERVICES_SLOT_MAX)
			break;
		e->slots[w] |= UINT64_C(1) << bit;
		return (uint16_t)(w * WORD_BITS + bit + 1);
	}
	return 0;
}

static void give_slot(struct service *e, uint16_t slot)
{
	uint32_t bit = slot - 1u;

	if (slot && bit / WORD_BITS < e->slot_words)
		e->slots[bit / WORD_BITS] &= ~(UINT64_C(1) << bit % WORD_BITS);
}

/* ---- joining and leaving ---- */

static uint32_t hash_of(const char *name)
{
	return (uint32_t)XXH3_64bits(name, strlen(name));
}

uint16_t services_find(const struct services *s, const char *name)
{
	uint32_t hash = hash_of(name);

	for (uint32_t i = 0; i < s->count; i++)
		if (s->all[i].hash == hash && strcmp(s->all[i].name, name) == 0)
			return (uint16_t)(i + 1);
	return SERVICES_NONE;
}

/* An entry for a new name: beyond the last one, or that of the service gone for longest. */
static struct service *make_room(struct services *s)
{
	struct service *oldest = NULL;

	if (s->count < s->max && s->count == s->cap) {
		uint32_t cap = s->cap ? s->cap * 2 : FIRST_CAP;
		struct service *all = realloc(s->all, cap * sizeof(*all));

		if (!all)
			return NULL;
		memset(all + s->cap, 0, (cap - s->cap) * sizeof(*all));
		s->all = all;
		s->cap = cap;
	}
	if (s->count < s->max)
		return &s->all[s->count];
	for (uint32_t i = 0; i < s->count; i++)
		if (!s->all[i].live && (!oldest || s->all[i].last_us < oldest->last_us))
			oldest = &s->all[i];
	return oldest;
}

static uint16_t intern(struct services *s, const char *name, int64_t now_us)
{
	uint16_t index = services_find(s, name);
	struct service *e;
	char *copy;

	if (index != SERVICES_NONE)
		return index;
	e = make_room(s);
	copy = e ? strdup(name) : NULL;
	if (!copy)
		return SERVICES_NONE;
	if (e->name)
		forget(e);
	else
		s->count++;
	*e = (struct service){.name = copy,
			      .hash = hash_of(name),
			      .first_us = now_us,
			      .expected = expectations_of(s, name)};
	return (uint16_t)(e - s->all + 1);
}

/* All that was there before belongs to the old master's life, unless this is the first. */
static void note_master(struct service *e, uint32_t pid)
{
	if (e->master_pid && e->master_pid != pid && e->live > 1)
		e->incarnation++;
	e->master_pid = pid;
}

uint16_t services_role(struct services *s, uint16_t index, enum wire_role role, uint32_t pid,
		       uint16_t slot)
{
	struct service *e = index ? &s->all[index - 1] : NULL;

	if (!e)
		return 0;
	if (role == WIRE_ROLE_WORKER)
		return slot ? slot : take_slot(e);
	give_slot(e, slot);
	if (role == WIRE_ROLE_MASTER)
		note_master(e, pid);
	return 0;
}

uint16_t services_join(struct services *s, const char *name, enum wire_role role, uint32_t pid,
		       int64_t now_us, uint16_t *ret_slot)
{
	uint16_t index = intern(s, name, now_us);
	struct service *e;

	*ret_slot = 0;
	if (index == SERVICES_NONE) {
		s->refused++;
		return index;
	}
	e = &s->all[index - 1];
	if (e->live == 0)
		e->incarnation++;
	e->live++;
	e->starts++;
	*ret_slot = services_role(s, index, role, pid, 0);
	return index;
}

void services_leave(struct services *s, uint16_t index, uint16_t slot, uint32_t pid, int64_t now_us)
{
	struct service *e = index ? &s->all[index - 1] : NULL;

	if (!e || !e->live)
		return;
	e->live--;
	e->last_pid = pid;
	e->last_us = now_us;
	give_slot(e, slot);
	for (uint64_t left = e->live ? 0 : e->expected; left; left &= left - 1)
		s->expected[__builtin_ctzll(left)].last_pid = pid;
}

const struct service *services_get(const struct services *s, uint16_t index)
{
	return index && index <= s->count ? &s->all[index - 1] : NULL;
}
