/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - what the actions that tell what Python found in a process have in common: the lines
 * of its answer, as rows and numbers, and their way into a body that is stored
 * (wire_pack_snapshot()). The text is the target's: what is not well formed is passed over.
 */
#ifndef MEMHERD_AGENT_ACT_SNAPSHOT_H
#define MEMHERD_AGENT_ACT_SNAPSHOT_H

#include "agent/act/action.h"
#include "proto/wire.h"

/* Of the encoded snapshot: as much as a record may have. */
#define SNAPSHOT_BODY_MAX (192u << 10)

struct snapshot_row {
	int64_t values[SNAPSHOT_VALUES_MAX];
	char name[WIRE_TEXT_MAX + 1];
	char about[WIRE_TEXT_MAX + 1];
};
/* The next 'row<TAB>NUMBER...<TAB>NAME' of an answer with 'about<TAB>TEXT' behind it, from *at on
 * (NULL at first); false after the last. Pure. */
bool snapshot_row_next(const struct buf *answer, const struct snapshot_layout *layout,
		       const char **at, struct snapshot_row *ret);
/* The number of a line 'NAME<TAB>NUMBER'; -1 when there is none. */
int64_t snapshot_number(const struct buf *answer, const char *name);
/* Where it was cut short and what it could not see, in words; "" = nothing. Returns buf. */
char *snapshot_note(const struct buf *answer, char *buf, size_t size);
/* True when the script would not look, and said why: then r says it. */
bool snapshot_refused(const struct buf *answer, struct command_result *r);
/* It gives nothing back; measured after, it would be told as ineffective. */
void snapshot_untouched(struct command_result *r);

/* Into o->body, where one is wanted; as many rows as it has room for. totals: as the layout has
 * them. A failure is part of r->detail: what was found is told there all the same. */
void snapshot_keep(const struct process *p, const struct action_order *o,
		   const struct snapshot_layout *layout, const struct buf *answer,
		   const int64_t totals[SNAPSHOT_VALUES_MAX], struct command_result *r);

#endif
