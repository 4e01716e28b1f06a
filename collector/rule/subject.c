/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/rule/subject.h"

#include <errno.h>
#include <string.h>

#define TABLE_MIN 64

int64_t subject_service_id(const char *name)
{
	/* FNV-1a, 64 bits */
	uint64_t h = 0xcbf29ce484222325;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3;
	return (int64_t)h;
}

unsigned subject_metrics(enum rule_kind kind)
{
	return kind == RULE_HOST ? (unsigned)HOST_METRIC_COUNT : (unsigned)METRIC_COUNT;
}

static int service_init(struct subject *s)
{
	s->absent = calloc(METRIC_COUNT, sizeof(*s->absent));
	s->sums = calloc(METRIC_COUNT, sizeof(*s->sums));
	return s->absent && s->sums ? 0 : -ENOMEM;
}

struct subject *subject_new(enum rule_kind kind, int32_t host_id, int64_t id, const char *name)
{
	unsigned n = subject_metrics(kind);
	struct subject *s = calloc(1, sizeof(*s) + n * sizeof(s->v[0]));

	if (!s)
		return NULL;
	s->kind = kind;
	s->host_id = host_id;
	s->id = id;
	for (unsigned i = 0; i < n; i++)
		s->v[i] = METRIC_ABSENT;
	if (kind == RULE_PROCESS)
		return s;
	s->name = strdup(name ? name : "");
	if (!s->name || (kind == RULE_SERVICE && service_init(s) < 0))
		subject_free(&s, 0);
	return s;
}

void subject_free(struct subject **slot, unsigned n_windows)
{
	struct subject *s = *slot;

	if (!s)
		return;
	for (unsigned i = 0; s->windows && i < n_windows; i++) {
		if (s->windows[i])
			window_fini(s->windows[i]);
		free(s->windows[i]);
	}
	while (s->states) {
		struct rule_state *next = s->states->next;

		free(s->states);
		s->states = next;
	}
	free(s->windows);
	free(s->rules);
	free(s->absent);
	free(s->sums);
	free(s->name);
	free(s);
	*slot = NULL;
}

/* Ids are small and close together, so they are mixed (the finalizer of MurmurHash3). */
static size_t hash(enum rule_kind kind, int32_t host_id, int64_t id)
{
	uint64_t h = (uint64_t)id ^ ((uint64_t)(uint32_t)host_id << 32) ^ ((uint64_t)kind << 29);

	h = (h ^ (h >> 33)) * 0xff51afd7ed558ccd;
	h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53;
	return (size_t)(h ^ (h >> 33));
}

static size_t home(const struct subject_table *t, const struct subject *s)
{
	return hash(s->kind, s->host_id, s->id) & (t->capacity - 1);
}

struct subject *subject_find(const struct subject_table *t, enum rule_kind kind, int32_t host_id,
			     int64_t id)
{
	size_t mask = t->capacity - 1;

	if (!t->capacity)
		return NULL;
	for (size_t i = hash(kind, host_id, id) & mask; t->slots[i]; i = (i + 1) & mask) {
		struct subject *s = t->slots[i];

		if (s->id == id && s->host_id == host_id && s->kind == kind)
			return s;
	}
	return NULL;
}

static void place(struct subject_table *t, struct subject *s)
{
	size_t i = home(t, s);

	while (t->slots[i])
		i = (i + 1) & (t->capacity - 1);
	t->slots[i] = s;
}

static int grow(struct subject_table *t)
{
	struct subject_table larger = {.capacity = MAX_OF(t->capacity * 2, (size_t)TABLE_MIN)};

	larger.slots = calloc(larger.capacity, sizeof(struct subject *));
	if (!larger.slots)
		return -ENOMEM;
	larger.n = t->n;
	for (size_t i = 0; i < t->capacity; i++)
		if (t->slots[i])
			place(&larger, t->slots[i]);
	free(t->slots);
	*t = larger;
	return 0;
}

int subject_insert(struct subject_table *t, struct subject *s)
{
	if ((t->n + 1) * 4 > t->capacity * 3 && grow(t) < 0)
		return -ENOMEM;
	place(t, s);
	t->n++;
	return 0;
}

void subject_remove(struct subject_table *t, struct subject *s)
{
	size_t mask = t->capacity - 1;
	size_t hole = home(t, s);

	while (t->slots[hole] != s)
		hole = (hole + 1) & mask;
	t->slots[hole] = NULL;
	t->n--;
	/* Those behind the hole move up when their home is not after it (Knuth 6.4, R). */
	for (size_t i = (hole + 1) & mask; t->slots[i]; i = (i + 1) & mask) {
		size_t away = (i - home(t, t->slots[i])) & mask;

		if (away < ((i - hole) & mask))
			continue;
		t->slots[hole] = t->slots[i];
		t->slots[i] = NULL;
		hole = i;
	}
}

void subject_table_fini(struct subject_table *t, unsigned n_windows)
{
	for (size_t i = 0; i < t->capacity; i++)
		subject_free(&t->slots[i], n_windows);
	free(t->slots);
	*t = (struct subject_table){0};
}

static bool is_counter(unsigned metric)
{
	return metric_infos[metric].kind == METRIC_COUNTER;
}

/* Sums of what an agent may claim can pass 2^63: they wrap, which is no undefined behaviour, and
 * unwrap again when the claim is taken back. */
static void count_in(int64_t *sum, int64_t v)
{
	*sum = (int64_t)((uint64_t)*sum + (uint64_t)v);
}

static void count_out(int64_t *sum, int64_t v)
{
	*sum = (int64_t)((uint64_t)*sum - (uint64_t)v);
}

static void add(struct subject *service, unsigned i, int64_t v)
{
	if (v == METRIC_ABSENT)
		service->absent[i]++;
	else if (!is_counter(i))
		count_in(&service->sums[i], v);
}

static void take(struct subject *service, unsigned i, int64_t v)
{
	if (v == METRIC_ABSENT)
		service->absent[i]--;
	else if (!is_counter(i))
		count_out(&service->sums[i], v);
}

void service_join(struct subject *service, const int64_t v[METRIC_COUNT])
{
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		add(service, i, v[i]);
	service->processes++;
}

void service_change(struct subject *service, const int64_t old[METRIC_COUNT],
		    const int64_t v[METRIC_COUNT])
{
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		if (old[i] == v[i])
			continue;
		if (is_counter(i) && old[i] != METRIC_ABSENT && v[i] > old[i]) {
			count_in(&service->sums[i], v[i]);
			count_out(&service->sums[i], old[i]);
		}
		take(service, i, old[i]);
		add(service, i, v[i]);
	}
}

void service_leave(struct subject *service, const int64_t old[METRIC_COUNT])
{
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		take(service, i, old[i]);
	service->processes--;
}

void service_limit(struct subject *service, int64_t limit_kib, int64_t t_us)
{
	bool first = service->limit_us != t_us;

	if (first || (limit_kib > 0 && (!service->limit_kib || limit_kib < service->limit_kib)))
		service->limit_kib = MAX_OF(limit_kib, (int64_t)0);
	service->limit_us = t_us;
}

void service_sum(const struct subject *service, int64_t v[METRIC_COUNT])
{
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		v[i] = service->absent[i] || !service->processes ? METRIC_ABSENT : service->sums[i];
}

struct rule_state *subject_state(struct subject *s, const struct rule *rule, bool make)
{
	struct rule_state *st = s->states;

	while (st && st->rule != rule)
		st = st->next;
	if (st || !make)
		return st;
	st = calloc(1, sizeof(*st));
	if (!st)
		return NULL;
	st->rule = rule;
	st->next = s->states;
	s->states = st;
	return st;
}

void subject_drop_idle(struct subject *s, int64_t t_us)
{
	struct rule_state **at = &s->states;

	while (*at) {
		struct rule_state *st = *at;

		if (!rule_state_idle(st, t_us)) {
			at = &st->next;
			continue;
		}
		*at = st->next;
		free(st);
	}
}
