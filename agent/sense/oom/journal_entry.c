/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/journal_entry.h"

#include <string.h>

#include "common/str.h"

#define SUFFIX ".service"

/* PID 1's notes are found by MESSAGE_ID; nohang-desktop.service by its program's name. */
const char *journal_unit(enum killer killer)
{
	static const char *const units[] = {
#define X(NAME, name, unit) unit,
		KILLER_LIST(X)
#undef X
	};

	return str_ends(units[killer], SUFFIX) ? units[killer] : NULL;
}

size_t journal_name_len(const char *unit)
{
	return strlen(unit) - strlen(SUFFIX);
}

static bool is_named(const char *unit, const char *comm)
{
	size_t n = journal_name_len(unit);

	return strlen(comm) == n && memcmp(unit, comm, n) == 0;
}

bool journal_is_killer(const char *comm)
{
	for (enum killer k = 0; k < KILLER_COUNT; k++)
		if (journal_unit(k) && is_named(journal_unit(k), comm))
			return true;
	return false;
}

static enum journal_trust trust_source(const struct journal_entry *e, enum killer *ret)
{
	for (enum killer k = 0; k < KILLER_COUNT; k++) {
		const char *unit = journal_unit(k);

		if (!unit)
			continue;
		*ret = k;
		if (strcmp(e->unit, unit) == 0)
			return JOURNAL_BY_UNIT;
		if (e->uid == 0 && is_named(unit, e->comm))
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
		if (n.act == KILLER_ACT_STOPPED)
			str_safe(n.reason, sizeof(n.reason), e->job_type, strlen(e->job_type));
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
