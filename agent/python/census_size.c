/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "agent/python/census_types.h"

#define LIST_ALLOCATED  32u
#define DICT_KEYS       32u /* ma_keys, ma_values */
#define SET_MASK        32u /* mask, table */
#define SET_SMALL_TABLE 64u
#define SET_ENTRY       16u
#define DEQUE_LEFT      40u /* leftindex */
#define DEQUE_BLOCK     528u
#define DEQUE_ITEMS     64u /* in a block */
#define POINTER         8u
#define KEYS_HEAD_OLD   40u /* 3.8 to 3.10 */
#define KEYS_HEAD       32u
#define ENTRY_GENERAL   24u
#define ENTRY_UNICODE   16u
#define LOG2_MAX        40u
/* struct _dictvalues, 3.13: capacity, size, embedded, valid. */
#define VALUES_EMBEDDED 2u
/* More than any object has: what says so is garbage, and counts with its basic size alone. */
#define EXTRA_MAX (1ull << 40)

static uint64_t usable_of(uint64_t slots)
{
	return (slots << 1) / 3;
}

static int read_old_keys(struct chunks *c, uint64_t address, struct census_keys *k)
{
	/* dk_refcnt, dk_size, dk_lookup, dk_usable, dk_nentries */
	uint64_t words[5];
	uint64_t width;

	if (chunks_read(c, address, words, sizeof(words)) < 0)
		return -EAGAIN;
	k->references = words[0];
	k->slots = words[1];
	if (k->slots == 0 || k->slots > 1ull << LOG2_MAX || k->slots & (k->slots - 1))
		return -EAGAIN;
	width = k->slots <= 0xff ? 1 : k->slots <= 0xffff ? 2 : k->slots <= 0xffffffffu ? 4 : 8;
	k->index_bytes = k->slots * width;
	k->free = words[3];
	k->entries = words[4];
	k->entry_size = ENTRY_GENERAL;
	k->first = address + KEYS_HEAD_OLD + k->index_bytes;
	k->bytes = KEYS_HEAD_OLD + k->index_bytes;
	return 0;
}

static int read_new_keys(struct chunks *c, uint64_t address, struct census_keys *k)
{
	struct {
		uint64_t references;
		uint8_t log2_size;
		uint8_t log2_index_bytes;
		uint8_t kind;
		uint8_t version[5];
		uint64_t free;
		uint64_t entries;
	} head;

	_Static_assert(sizeof(head) == KEYS_HEAD, "as struct _dictkeysobject");
	if (chunks_read(c, address, &head, sizeof(head)) < 0)
		return -EAGAIN;
	if (head.log2_size > LOG2_MAX || head.log2_index_bytes > LOG2_MAX + 3 || head.kind > 2)
		return -EAGAIN;
	k->references = head.references;
	k->slots = 1ull << head.log2_size;
	k->index_bytes = 1ull << head.log2_index_bytes;
	k->free = head.free;
	k->entries = head.entries;
	k->entry_size = head.kind == 0 ? ENTRY_GENERAL : ENTRY_UNICODE;
	k->first = address + KEYS_HEAD + k->index_bytes;
	k->bytes = KEYS_HEAD + k->index_bytes;
	return 0;
}

int census_keys_read(struct chunks *c, const struct layout *l, uint64_t address,
		     struct census_keys *ret)
{
	struct census_keys k = {0};
	int rc = l->object.new_keys ? read_new_keys(c, address, &k) : read_old_keys(c, address, &k);

	if (rc < 0)
		return rc;
	k.usable = usable_of(k.slots);
	if (k.entries > k.slots || k.free > k.slots)
		return -EAGAIN;
	k.bytes += k.usable * k.entry_size;
	*ret = k;
	return 0;
}

static uint64_t list_bytes(struct chunks *c, uint64_t object)
{
	uint64_t allocated;

	if (chunks_read(c, object + LIST_ALLOCATED, &allocated, sizeof(allocated)) < 0 ||
	    allocated > EXTRA_MAX / POINTER)
		return 0;
	return allocated * POINTER;
}

/* Values that lie inside of the instance are counted with it. */
static bool are_embedded(struct chunks *c, const struct layout *l, uint64_t values)
{
	uint8_t head[4];

	return l->object.inline_values && chunks_read(c, values, head, sizeof(head)) == 0 &&
	       head[VALUES_EMBEDDED] == 1;
}

/*
 * The keys that the instances of a class share are the class's. A dict without entries of its own
 * has the interpreter's one empty keys, which are referred to by many.
 */
static uint64_t dict_bytes(struct chunks *c, const struct layout *l, uint64_t object)
{
	uint64_t words[2];
	struct census_keys k;
	uint64_t bytes = 0;

	if (chunks_read(c, object + DICT_KEYS, words, sizeof(words)) < 0 ||
	    census_keys_read(c, l, words[0], &k) < 0)
		return 0;
	if (words[1] && !are_embedded(c, l, words[1]))
		bytes += (l->object.new_keys ? k.entries + k.free : k.usable) * POINTER;
	if (k.references == 1)
		bytes += k.bytes;
	return bytes;
}

static uint64_t set_bytes(struct chunks *c, uint64_t object)
{
	uint64_t words[2];

	if (chunks_read(c, object + SET_MASK, words, sizeof(words)) < 0 ||
	    words[1] == object + SET_SMALL_TABLE || words[0] >= EXTRA_MAX / SET_ENTRY)
		return 0;
	return (words[0] + 1) * SET_ENTRY;
}

/* Its blocks, of which the first and the last are partly used. */
static uint64_t deque_bytes(struct chunks *c, uint64_t object, int64_t ob_size)
{
	uint64_t left;

	if (chunks_read(c, object + DEQUE_LEFT, &left, sizeof(left)) < 0 || left >= DEQUE_ITEMS ||
	    ob_size < 0 || ob_size > (int64_t)(EXTRA_MAX / DEQUE_BLOCK))
		return 0;
	return (left + (uint64_t)ob_size + DEQUE_ITEMS - 1) / DEQUE_ITEMS * DEQUE_BLOCK;
}

static uint64_t shared_keys_bytes(struct chunks *c, const struct layout *l, uint64_t object)
{
	struct census_keys k;
	uint64_t flags;
	uint64_t keys;

	if (chunks_read(c, object + TYPE_FLAGS, &flags, sizeof(flags)) < 0 ||
	    !(flags & TYPE_FLAG_HEAP) ||
	    chunks_read(c, object + l->object.heap_type_name + TYPE_CACHED_KEYS, &keys,
			sizeof(keys)) < 0 ||
	    !keys || census_keys_read(c, l, keys, &k) < 0)
		return 0;
	return k.bytes;
}

static uint64_t items_bytes(const struct census_type *t, int64_t ob_size)
{
	uint64_t n = ob_size < 0 ? 0 - (uint64_t)ob_size : (uint64_t)ob_size;

	return n > EXTRA_MAX / MAX_OF(t->item_size, 1u) ? 0 : n * t->item_size;
}

/* 3.11: a pointer four words before the object; 3.12: three, with bit 0 set for values. */
static uint64_t values_bytes(struct chunks *c, const struct layout *l, const struct census_type *t,
			     uint64_t object)
{
	unsigned words_before = l->minor == 11 ? 4 : 3;
	uint64_t p;

	if (!t->values_beside)
		return t->values_size;
	if (chunks_read(c, object - words_before * sizeof(p), &p, sizeof(p)) < 0 || !p)
		return 0;
	return l->minor == 11 || p & 1 ? t->values_size : 0;
}

uint64_t census_object_bytes(struct chunks *c, const struct layout *l, const struct census_type *t,
			     uint64_t object, int64_t ob_size)
{
	uint64_t bytes = t->head_size + t->basic_size;

	if (t->values_size)
		bytes += values_bytes(c, l, t, object);
	switch (t->shape) {
	case SHAPE_LIST:
		return bytes + list_bytes(c, object);
	case SHAPE_DICT:
		return bytes + dict_bytes(c, l, object);
	case SHAPE_SET:
		return bytes + set_bytes(c, object);
	case SHAPE_DEQUE:
		return bytes + deque_bytes(c, object, ob_size);
	case SHAPE_TYPE:
		return bytes + items_bytes(t, ob_size) + shared_keys_bytes(c, l, object);
	case SHAPE_PLAIN:
		return bytes + items_bytes(t, ob_size);
	case SHAPE_FIXED:
		break;
	}
	return bytes;
}
