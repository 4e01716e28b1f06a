/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/names.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#define FIRST_CAP 32u

void names_init(struct names *n, uint32_t max, size_t max_bytes)
{
	*n = (struct names){.max = max, .max_bytes = max_bytes};
}

void names_fini(struct names *n)
{
	for (uint32_t i = 0; i < n->cap; i++)
		free(n->entries[i].text);
	free(n->entries);
	free(n->index);
	*n = (struct names){.max = n->max, .max_bytes = n->max_bytes};
}

static bool same(const struct name_entry *e, uint32_t hash, const char *text, size_t len)
{
	return e->hash == hash && strlen(e->text) == len && memcmp(e->text, text, len) == 0;
}

/* The place of id in the index. */
static uint32_t place_of(const struct names *n, uint32_t id)
{
	uint32_t i = n->entries[id - 1].hash & n->mask;

	while (n->index[i] != id)
		i = (i + 1) & n->mask;
	return i;
}

static void index_add(struct names *n, uint32_t id)
{
	uint32_t i = n->entries[id - 1].hash & n->mask;

	while (n->index[i])
		i = (i + 1) & n->mask;
	n->index[i] = id;
}

/* Closes the gap, so that no search meets a tombstone. */
static void index_remove(struct names *n, uint32_t id)
{
	uint32_t hole = place_of(n, id);
	uint32_t i = hole;

	for (;;) {
		uint32_t home;

		i = (i + 1) & n->mask;
		if (!n->index[i])
			break;
		home = n->entries[n->index[i] - 1].hash & n->mask;
		if (((i - home) & n->mask) < ((i - hole) & n->mask))
			continue;
		n->index[hole] = n->index[i];
		hole = i;
	}
	n->index[hole] = 0;
}

static int grow(struct names *n)
{
	uint32_t cap = n->cap ? n->cap * 2 : FIRST_CAP;
	uint32_t *index = calloc((size_t)cap * 2, sizeof(*index));
	struct name_entry *entries;

	if (!index)
		return -ENOMEM;
	entries = realloc(n->entries, cap * sizeof(*entries));
	if (!entries) {
		free(index);
		return -ENOMEM;
	}
	memset(entries + n->cap, 0, (cap - n->cap) * sizeof(*entries));
	for (uint32_t i = cap; i-- > n->cap;) {
		entries[i].refs = n->free_head;
		n->free_head = i + 1;
	}
	free(n->index);
	n->index = index;
	n->mask = cap * 2 - 1;
	n->entries = entries;
	for (uint32_t i = 0; i < n->cap; i++)
		if (entries[i].text)
			index_add(n, i + 1);
	n->cap = cap;
	return 0;
}

static uint32_t add(struct names *n, const char *text, size_t len, uint32_t hash)
{
	struct name_entry *e;
	uint32_t id;
	char *copy;

	if (n->count >= n->max || n->bytes + len + 1 > n->max_bytes ||
	    (!n->free_head && grow(n) < 0))
		return NAMES_NONE;
	copy = malloc(len + 1);
	if (!copy)
		return NAMES_NONE;
	memcpy(copy, text, len);
	copy[len] = '\0';
	id = n->free_head;
	e = &n->entries[id - 1];
	n->free_head = e->refs;
	*e = (struct name_entry){.text = copy, .hash = hash, .refs = 1};
	n->count++;
	n->bytes += len + 1;
	index_add(n, id);
	return id;
}

uint32_t names_ref(struct names *n, const char *text)
{
	size_t len = strnlen(text, NAMES_TEXT_MAX);
	uint32_t hash = (uint32_t)XXH3_64bits(text, len);
	uint32_t id;

	if (!len)
		return NAMES_NONE;
	for (uint32_t i = hash & n->mask; n->index && n->index[i]; i = (i + 1) & n->mask) {
		struct name_entry *e = &n->entries[n->index[i] - 1];

		if (!same(e, hash, text, len))
			continue;
		e->refs++;
		return n->index[i];
	}
	id = add(n, text, len, hash);
	n->refused += id == NAMES_NONE;
	return id;
}

void names_unref(struct names *n, uint32_t id)
{
	struct name_entry *e;

	if (id == NAMES_NONE)
		return;
	e = &n->entries[id - 1];
	if (--e->refs)
		return;
	index_remove(n, id);
	n->bytes -= strlen(e->text) + 1;
	n->count--;
	free(e->text);
	*e = (struct name_entry){.refs = n->free_head};
	n->free_head = id;
}

const char *names_text(const struct names *n, uint32_t id)
{
	return id == NAMES_NONE ? "" : n->entries[id - 1].text;
}

size_t names_memory(const struct names *n)
{
	return n->cap * (sizeof(*n->entries) + 2 * sizeof(*n->index)) + n->bytes;
}
