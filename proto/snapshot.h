/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - what the kinds of snapshot consist of: rows of a name, a text about it and some
 * numbers, and some numbers of the whole. One table for agent, database, REST and command line.
 * Kinds and numbers go over the wire and into the database: added at the end, none is moved.
 */
#ifndef MEMHERD_PROTO_SNAPSHOT_H
#define MEMHERD_PROTO_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#define SNAPSHOT_VALUES_MAX 4 /* of a row, and of the whole */

enum snapshot_kind {
	SNAPSHOT_TRACEMALLOC = 1, /* lines of code that allocated what stayed */
	SNAPSHOT_REFERRERS = 2,   /* chains from modules and frames to objects of a type */
	SNAPSHOT_SIZES = 3,       /* containers that hold most */
};

/* Names end in _bytes, _seconds or say what is counted; NULL after the last. */
struct snapshot_layout {
	enum snapshot_kind kind;
	unsigned action; /* enum command_action: that makes it */
	const char *word;
	const char *name;                            /* of a row: 'place' */
	const char *about;                           /* 'called_from' */
	bool keyed_by_about;                         /* the name alone does not tell rows apart */
	const char *values[SNAPSHOT_VALUES_MAX + 1]; /* rows are in the order of the first */
	const char *totals[SNAPSHOT_VALUES_MAX + 1];
};

/* NULL for none. */
const struct snapshot_layout *snapshot_layout(unsigned kind);
const struct snapshot_layout *snapshot_layout_find(const char *word);
const struct snapshot_layout *snapshot_layout_of(unsigned action);
/* How many names there are before the NULL. */
size_t snapshot_names(const char *const names[SNAPSHOT_VALUES_MAX + 1]);

#endif
