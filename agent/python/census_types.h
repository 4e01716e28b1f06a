/* SPDX-License-Identifier: Apache-2.0 */
/*
 * census_types.h - the types that a census has met: what each says of its objects' size, what it
 * is called, and the running counts. Part of census.c's work; one owner.
 */
#ifndef MEMHERD_AGENT_PYTHON_CENSUS_TYPES_H
#define MEMHERD_AGENT_PYTHON_CENSUS_TYPES_H

#include "agent/python/census.h"

#define CENSUS_GC_HEAD 16u

/* How an object's memory beyond its own is found. */
enum census_shape {
	SHAPE_PLAIN, /* basicsize and items */
	SHAPE_FIXED, /* basicsize only: the word at ob_size is something else */
	SHAPE_LIST,
	SHAPE_DICT,
	SHAPE_SET,
	SHAPE_DEQUE,
	SHAPE_TYPE, /* of a class: with the keys that its instances share */
};

struct census_type {
	uint64_t address;
	enum census_shape shape;
	uint32_t basic_size;
	uint32_t item_size;
	uint32_t head_size;   /* before the object: the collector's head and the pre-header */
	uint32_t values_size; /* of the values an instance keeps: in itself, or beside it */
	bool values_beside;   /* 3.11, 3.12: only where its pre-header points to them */
	uint64_t objects;
	uint64_t bytes;
	char name[CENSUS_NAME_SIZE];
};

struct census_types;

int census_types_new(struct census_types **ret) must_use;
void census_types_free(struct census_types **t);
/* The type at an address, read at its first sight. -EAGAIN when no type is there, -E2BIG when the
 * table is full, -ENOMEM. The pointer is good until the next call. */
int census_types_get(struct census_types *t, struct chunks *c, const struct layout *l,
		     uint64_t address, struct census_type **ret) must_use;
/* Sums the rows of one name and sorts; rows is the caller's. */
int census_types_rows(struct census_types *t, struct census_row **ret, size_t *ret_n) must_use;

/* What an object of that type takes; ob_size is the word at its place. */
uint64_t census_object_bytes(struct chunks *c, const struct layout *l, const struct census_type *t,
			     uint64_t object, int64_t ob_size);

/* A type's full name, printable. 'flags' are its tp_flags. */
void census_type_name(struct chunks *c, const struct layout *l, uint64_t type, uint64_t flags,
		      char ret[CENSUS_NAME_SIZE]);

/* Offsets in PyTypeObject that all versions share. */
#define TYPE_NAME       24u
#define TYPE_BASIC_SIZE 32u
#define TYPE_ITEM_SIZE  40u
#define TYPE_FLAGS      168u
#define TYPE_BASE       256u
#define TYPE_DICT       264u

#define TYPE_FLAG_INLINE_VALUES   (1ull << 2)
#define TYPE_FLAG_MANAGED_WEAKREF (1ull << 3)
#define TYPE_FLAG_MANAGED_DICT    (1ull << 4)
#define TYPE_FLAG_HEAP            (1ull << 9)
#define TYPE_FLAG_READY           (1ull << 12)
#define TYPE_FLAG_GC              (1ull << 14)
#define TYPE_FLAG_LIST            (1ull << 25)
#define TYPE_FLAG_DICT            (1ull << 29)
#define TYPE_FLAG_TYPE            (1ull << 31)

#define TYPE_CACHED_KEYS 24u /* ht_cached_keys after ht_name */

/* struct _dictkeysobject: of 3.8 to 3.10, and of 3.11 on. */
struct census_keys {
	uint64_t references;
	uint64_t slots;       /* of the hash table */
	uint64_t index_bytes; /* of it */
	uint64_t usable;      /* entries that there is room for */
	uint64_t entries;     /* that were used */
	uint64_t free;        /* that were not yet */
	uint32_t entry_size;
	uint64_t first; /* address of the first entry */
	uint64_t bytes; /* of the whole */
};

/* -EAGAIN when the address holds none. */
int census_keys_read(struct chunks *c, const struct layout *l, uint64_t address,
		     struct census_keys *ret) must_use;

#endif
