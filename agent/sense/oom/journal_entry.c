/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/journal_entry.h"

#include <string.h>

/* By the list of killers: PID 1's notes are found by MESSAGE_ID, gunicorn has no log of its own.
 * systemd-oomd's _COMM has a dash where its name here has none: it is found by its unit alone, and
 * never runs without. nohang-desktop.service is found by name. */
const struct journal_source journal_sources[KILLER_COUNT] = {
#define X(NAME, name, unit) {unit, #name},
	KILLER_LIST(X)
#undef X
};

bool journal_has_source(enum killer killer)
{
	return killer != KILLER_PID1_OOM && killer != KILLER_PID1_OOMD &&
	       *journal_sources[killer].unit;
}

static enum journal_trust trust_source(const struct journal_entry *e, enum killer *ret)
{
	for (enum killer k = 0; k < KILLER_COUNT; k++) {
		if (!journal_has_source(k))
			continue;
		*ret = k;
		if (strcmp(e->unit, journal_sources[k].unit) == 0)
			return JOURNAL_BY_UNIT;
		if (e->uid == 0 && strcmp(e->comm, journal_sources[k].comm) == 0)
			return JOURNAL_BY_NAME;
	}
	return JOURNAL_NOBODY;
}

enum journal_trust journal_entry_judge(struct journal_states *states, const struct journal_entry *e,
				       struct killer_note *ret)
{
	struct killer_note n = {.pid = 0};
	enum journal_trust trust;
	enum killer killer;

	if (e->pid == 1 && e->uid == 0 && *e->about_unit &&
	    killer_from_pid1(e->message_id, e->about_unit, e->n_processes, &n)) {
		trust = JOURNAL_BY_PID1;
	} else {
		trust = trust_source(e, &killer);
		if (trust == JOURNAL_NOBODY ||
		    !killer_parse(&states->of[killer], e->message, e->message_len, &n) ||
		    n.killer != killer)
			return JOURNAL_NOBODY;
	}
	n.wall_us = e->wall_us;
	*ret = n;
	return trust;
}
