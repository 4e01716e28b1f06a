/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cells.h - lists over the cells that this collector fronts (docs/adr/0022): each is asked for its
 * first rows, what comes in time is merged in the list's own order, each row with the 'cell' it is
 * of; a cell that does not answer is named in the reply.
 *
 * 'cell=self' asks for this collector's own rows, which is how cells are asked, so that no two that
 * front each other go round in circles; 'cell=NAME' asks that cell alone, pages included.
 */
#ifndef MEMHERD_COLLECTOR_API_CELLS_H
#define MEMHERD_COLLECTOR_API_CELLS_H

#include <jansson.h>

#include "collector/api/call.h"

#define CELLS_KEY_SIZE 48

struct cells;
struct event_base;

/* What the key of a row is. */
enum cells_order {
	CELLS_TEXT,   /* a string */
	CELLS_DIGITS, /* a string of digits, which may be too many for a number */
	CELLS_NUMBER, /* a number, or null, which comes last */
};

/* A list of a cell, by the path and the order of its rows. */
struct cells_list {
	const char *path;
	char key[CELLS_KEY_SIZE]; /* member that rows are ordered by; '': the answer is no list */
	enum cells_order order;
	bool ascending;
	/* key '': writes the members of the answer, made of docs[i] of names[i]; NULL = none */
	void (*merge)(struct call *c, const char *const *names, json_t *const *docs, size_t n);
};

/* text: option 'cells', '' = none. */
int cells_new(struct event_base *base, const char *text, struct cells **ret,
	      struct error *err) must_use;
/* Before the calls end: what waits for cells is forgotten. */
void cells_free(struct cells **cells);

/* First in a handler: true when the call was taken (or ended), false when it is about this
 * collector's own rows. The list is copied, its path is not. */
bool cells_take(struct call *c, const struct cells_list *list) must_use;

/* Of what changes something by an id, which may be one of a cell's: true when it was refused. */
bool cells_refuse(struct call *c) must_use;

/* Pure: which of two rows stands first. */
int cells_compare(const struct cells_list *list, const json_t *a, const json_t *b);
/* Pure: can the answer be merged? -EBADMSG, what is wrong and with which row: one is no object, or,
 * of CELLS_NUMBER, has no number or null as its key, or stands before one that it should stand
 * behind. */
int cells_check(const struct cells_list *list, const json_t *answer, struct error *err) must_use;

#endif
