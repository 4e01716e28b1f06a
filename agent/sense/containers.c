/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/containers.h"

#include <string.h>

#include "common/str.h"

#define FIRST_CAP 8u

void containers_init(struct containers *c, uint32_t max)
{
	*c = (struct containers){.max = max};
}

static void forget(struct known_container *k)
{
	free(k->name);
	free(k->service);
	free(k->image);
	*k = (struct known_container){0};
}

void containers_fini(struct containers *c)
{
	for (uint32_t i = 0; i < c->count; i++)
		forget(&c->all[i]);
	free(c->all);
	containers_init(c, c->max);
}

static struct known_container *find(const struct containers *c, const char *id)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (memcmp(c->all[i].id, id, CONTAINER_ID_LEN) == 0)
			return &c->all[i];
	return NULL;
}

const struct known_container *containers_find(const struct containers *c, const char *id)
{
	return find(c, id);
}

static struct known_container *make_room(struct containers *c)
{
	struct known_container *oldest;

	if (c->count < c->max && c->count == c->cap) {
		uint32_t cap = c->cap ? c->cap * 2 : FIRST_CAP;
		struct known_container *all = realloc(c->all, cap * sizeof(*all));

		if (!all)
			return NULL;
		c->all = all;
		c->cap = cap;
	}
	if (c->count < c->max) {
		c->all[c->count] = (struct known_container){0};
		return &c->all[c->count++];
	}
	oldest = &c->all[0];
	for (uint32_t i = 1; i < c->count; i++)
		if (c->all[i].met_us < oldest->met_us)
			oldest = &c->all[i];
	forget(oldest);
	return oldest;
}

struct known_container *containers_meet(struct containers *c, const struct container *of,
					int64_t now_us)
{
	struct known_container *k = of->id[0] ? find(c, of->id) : NULL;

	if (!k && of->id[0]) {
		k = make_room(c);
		if (!k)
			return NULL;
		memcpy(k->id, of->id, sizeof(k->id));
		container_label(k->label, sizeof(k->label), of);
	}
	if (k)
		k->met_us = now_us;
	return k;
}

const char *containers_service(const struct known_container *k)
{
	return k->service ? k->service : k->label;
}

/* Without memory it stays as it was. */
static void set(char **to, const char *text)
{
	char *copy = *text ? strdup(text) : NULL;

	if (!copy)
		return;
	free(*to);
	*to = copy;
}

void containers_told_inside(struct known_container *k, const char *name, const char *service)
{
	char label[sizeof(k->label) + NAMES_TEXT_SIZE];
	const char *colon = strchr(k->label, ':');
	size_t n = colon ? (size_t)(colon + 1 - k->label) : 0;

	memcpy(label, k->label, n);
	str_copy(label + n, sizeof(label) - n, service);
	set(&k->name, name);
	set(&k->service, label);
}

size_t containers_wanted(struct containers *c, int64_t now_us, const char **ids, size_t n)
{
	size_t found = 0;

	for (uint32_t i = 0; i < c->count && found < n; i++) {
		if (c->all[i].ask_us > now_us)
			continue;
		c->all[i].ask_us = now_us + CONTAINERS_ASK_AGAIN_US;
		ids[found++] = c->all[i].id;
	}
	return found;
}

bool containers_learn(struct containers *c, const struct names_answer *a, char *before, size_t size)
{
	struct known_container *k = find(c, a->id);

	if (!k || a->status != NAMES_KNOWN)
		return false;
	str_copy(before, size, containers_service(k));
	k->ask_us = INT64_MAX;
	set(&k->name, a->name);
	set(&k->service, a->service);
	set(&k->image, a->image);
	return strcmp(before, containers_service(k)) != 0;
}
