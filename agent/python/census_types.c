/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/census_types.h"

#include <errno.h>
#include <string.h>

#include "common/str.h"

#define BASIC_SIZE_MIN 16u
#define BASIC_SIZE_MAX (16u << 20)
#define ITEM_SIZE_MAX  (1u << 20)
#define BASES_MAX      32
#define PRE_HEADER     16u
#define FIRST_SLOTS    1024u
#define VALUES_MAX     256u

struct census_types {
	struct census_type *rows;
	uint32_t n;
	uint32_t cap;
	uint32_t *slots; /* open addressing: index into rows + 1 */
	uint32_t mask;
	uint32_t last;
};

int census_types_new(struct census_types **ret)
{
	struct census_types *t = calloc(1, sizeof(*t));

	if (t)
		t->slots = calloc(FIRST_SLOTS, sizeof(*t->slots));
	if (!t || !t->slots) {
		free(t);
		return -ENOMEM;
	}
	t->mask = FIRST_SLOTS - 1;
	*ret = t;
	return 0;
}

void census_types_free(struct census_types **slot)
{
	struct census_types *t = *slot;

	if (!t)
		return;
	free(t->rows);
	free(t->slots);
	free(t);
	*slot = NULL;
}

static uint32_t *slot_of(const struct census_types *t, uint64_t address)
{
	uint32_t i = (uint32_t)((address * 0x9e3779b97f4a7c15ull) >> 32) & t->mask;

	while (t->slots[i] && t->rows[t->slots[i] - 1].address != address)
		i = (i + 1) & t->mask;
	return &t->slots[i];
}

/* Room for one more in rows and in slots, which are at most half full. */
static int make_room(struct census_types *t)
{
	if (t->n == CENSUS_MAX_TYPES)
		return -E2BIG;
	if (t->n == t->cap) {
		uint32_t cap = MORE_THAN(MAX_OF(t->cap, 256u));
		struct census_type *rows = realloc(t->rows, cap * sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		t->rows = rows;
		t->cap = cap;
	}
	if ((t->n + 1) * 2 > t->mask + 1) {
		uint32_t *slots = calloc(((size_t)t->mask + 1) * 2, sizeof(*slots));

		if (!slots)
			return -ENOMEM;
		free(t->slots);
		t->slots = slots;
		t->mask = t->mask * 2 + 1;
		for (uint32_t i = 0; i < t->n; i++)
			*slot_of(t, t->rows[i].address) = i + 1;
	}
	return 0;
}

/* A set has no flag of its own in tp_flags: it is known by its base's name. */
static bool is_named(struct chunks *c, uint64_t type, const char *const *names, size_t n)
{
	for (int depth = 0; type && depth < BASES_MAX; depth++) {
		char text[16] = "";
		uint64_t flags;
		uint64_t at;

		if (chunks_read(c, type + TYPE_FLAGS, &flags, sizeof(flags)) < 0 ||
		    chunks_read(c, type + TYPE_NAME, &at, sizeof(at)) < 0)
			return false;
		for (size_t i = 0; !(flags & TYPE_FLAG_HEAP) && i < n; i++)
			if (chunks_read(c, at, text, strlen(names[i]) + 1) == 0 &&
			    strcmp(text, names[i]) == 0)
				return true;
		if (chunks_read(c, type + TYPE_BASE, &type, sizeof(type)) < 0)
			return false;
	}
	return false;
}

static enum census_shape shape_of(struct chunks *c, uint64_t address, uint64_t flags)
{
	static const char *const sets[] = {"set", "frozenset"};
	static const char *const dicts[] = {"frozendict"};
	/* From 3.11 on the word at ob_size is their list of weak references. */
	static const char *const generators[] = {"generator", "coroutine", "async_generator"};

	if (flags & TYPE_FLAG_LIST)
		return SHAPE_LIST;
	if (flags & TYPE_FLAG_TYPE)
		return SHAPE_TYPE;
	if (flags & TYPE_FLAG_DICT || is_named(c, address, dicts, ARRAY_SIZE(dicts)))
		return SHAPE_DICT;
	if (is_named(c, address, sets, ARRAY_SIZE(sets)))
		return SHAPE_SET;
	if (is_named(c, address, generators, ARRAY_SIZE(generators)))
		return SHAPE_FIXED;
	return SHAPE_PLAIN;
}

/*
 * What the values of an instance take (struct _dictvalues): a prefix of bytes, one a value and
 * rounded up to words, and the values; 3.13 has one word more in it.
 */
static uint32_t values_size(struct chunks *c, const struct layout *l, uint64_t type)
{
	struct census_keys k;
	uint64_t keys;
	uint64_t n;

	if (chunks_read(c, type + l->object.heap_type_name + TYPE_CACHED_KEYS, &keys,
			sizeof(keys)) < 0 ||
	    !keys || census_keys_read(c, l, keys, &k) < 0)
		return 0;
	n = k.entries + k.free;
	if (n > VALUES_MAX)
		return 0;
	if (l->object.inline_values)
		return (uint32_t)(((n + 7) & ~7ull) + (n + 1) * 8);
	return (uint32_t)(((n + 2 + 7) & ~7ull) + n * 8);
}

static void measure_values(struct chunks *c, const struct layout *l, uint64_t flags,
			   struct census_type *t)
{
	if (!l->object.managed_dict || !(flags & TYPE_FLAG_HEAP))
		return;
	t->values_beside = !l->object.inline_values;
	if (flags & (t->values_beside ? TYPE_FLAG_MANAGED_DICT : TYPE_FLAG_INLINE_VALUES))
		t->values_size = values_size(c, l, t->address);
}

static int read_type(struct chunks *c, const struct layout *l, uint64_t address,
		     struct census_type *t)
{
	int64_t sizes[2];
	uint64_t flags;

	if (!address || address % 8 ||
	    chunks_read(c, address + TYPE_BASIC_SIZE, sizes, sizeof(sizes)) < 0 ||
	    chunks_read(c, address + TYPE_FLAGS, &flags, sizeof(flags)) < 0)
		return -EAGAIN;
	/* Every object in the collector's lists is of a finished type that says it belongs there.
	 */
	if (!(flags & TYPE_FLAG_READY) || !(flags & TYPE_FLAG_GC) || sizes[0] < BASIC_SIZE_MIN ||
	    sizes[0] > BASIC_SIZE_MAX || sizes[1] < 0 || sizes[1] > ITEM_SIZE_MAX)
		return -EAGAIN;
	*t = (struct census_type){
		.address = address,
		.basic_size = (uint32_t)sizes[0],
		.item_size = (uint32_t)sizes[1],
		.head_size = CENSUS_GC_HEAD,
		.shape = shape_of(c, address, flags),
	};
	if (l->object.managed_dict &&
	    flags & (TYPE_FLAG_MANAGED_DICT | (l->minor >= 12 ? TYPE_FLAG_MANAGED_WEAKREF : 0)))
		t->head_size += PRE_HEADER;
	measure_values(c, l, flags, t);
	census_type_name(c, l, address, flags, t->name);
	if (t->shape == SHAPE_PLAIN && strcmp(t->name, "collections.deque") == 0)
		t->shape = SHAPE_DEQUE;
	return 0;
}

int census_types_get(struct census_types *t, struct chunks *c, const struct layout *l,
		     uint64_t address, struct census_type **ret)
{
	uint32_t *slot;
	int rc;

	if (t->n && t->rows[t->last].address == address) {
		*ret = &t->rows[t->last];
		return 0;
	}
	slot = slot_of(t, address);
	if (!*slot) {
		struct census_type row;

		rc = read_type(c, l, address, &row);
		if (rc == 0)
			rc = make_room(t);
		if (rc < 0)
			return rc;
		t->rows[t->n++] = row;
		slot = slot_of(t, address);
		*slot = t->n;
	}
	t->last = *slot - 1;
	*ret = &t->rows[t->last];
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct census_row *x = a;
	const struct census_row *y = b;

	return strcmp(x->name, y->name);
}

static int by_bytes(const void *a, const void *b)
{
	const struct census_row *x = a;
	const struct census_row *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->name, y->name);
}

int census_types_rows(struct census_types *t, struct census_row **ret, size_t *ret_n)
{
	struct census_row *rows = calloc(MAX_OF(t->n, 1u), sizeof(*rows));
	size_t n = 0;

	if (!rows)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++) {
		if (!t->rows[i].objects)
			continue;
		rows[n].objects = t->rows[i].objects;
		rows[n].bytes = t->rows[i].bytes;
		memcpy(rows[n].name, t->rows[i].name, sizeof(rows[n].name));
		n++;
	}
	qsort(rows, n, sizeof(*rows), by_name);
	*ret_n = 0;
	for (size_t i = 0; i < n; i++) {
		if (*ret_n && strcmp(rows[*ret_n - 1].name, rows[i].name) == 0) {
			rows[*ret_n - 1].objects += rows[i].objects;
			rows[*ret_n - 1].bytes += rows[i].bytes;
		} else {
			rows[(*ret_n)++] = rows[i];
		}
	}
	qsort(rows, *ret_n, sizeof(*rows), by_bytes);
	*ret = rows;
	return 0;
}
