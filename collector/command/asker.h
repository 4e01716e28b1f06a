/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asker.h - who waits for dispatch's answer: kept on its list, so that none is called back after
 * dispatch_free.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_ASKER_H
#define MEMHERD_COLLECTOR_COMMAND_ASKER_H

#include "collector/command/dispatch.h"

struct asker {
	unsigned magic;
	struct asker *prev, *next; /* utlist */
	struct dispatch *dispatch;
	struct asker **list;
	dispatch_done *done; /* may be NULL */
	void *arg;
	char by[COMMAND_ACTOR_SIZE]; /* who, of what does not stand in the row */
};

/* NULL without memory. */
struct asker *asker_new(struct dispatch *d, struct asker **list, dispatch_done *done, void *arg);
void asker_free(struct asker **a);
/* All that is on the list. */
void asker_free_all(struct asker **list);
/* The asker behind a ledger_done's arg. */
struct asker *asker_of(void *arg);
/* Calls back, once, and frees it. */
void asker_tell(struct asker *a, int rc, const struct action_row *row, const struct error *err);

#endif
