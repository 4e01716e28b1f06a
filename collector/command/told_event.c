/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent tells of its host's journal, out of an event's details. */
#include <string.h>

#include "collector/command/told.h"
#include "common/str.h"
#include "proto/wire.h"

static const char *detail(const struct wire_event *e, const char *key)
{
	for (size_t i = 0; i < e->n_details; i++)
		if (strcmp(e->keys[i], key) == 0)
			return e->values[i];
	return "";
}

static bool number(const struct wire_event *e, const char *key, int64_t max, int64_t *ret)
{
	return str_parse_int(detail(e, key), ret) == 0 && *ret >= 0 && *ret <= max;
}

static bool take_what(const struct wire_event *e, enum told_what *ret)
{
	static const char *const words[] = {
#define X(NAME, word) [TOLD_##NAME] = #word,
		TOLD_LIST(X)
#undef X
	};

	for (size_t i = TOLD_RESULT + 1; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i], detail(e, "what")) != 0)
			continue;
		*ret = (enum told_what)i;
		return true;
	}
	return false;
}

bool told_of_event(int32_t host_id, const struct wire_event *e, struct told_item *ret)
{
	struct told_item i = {.host_id = host_id, .t_us = e->t_wall_us};
	int64_t last, records, pid;

	if (e->kind != WIRE_EVENT_ACTION || !take_what(e, &i.what) ||
	    !number(e, "record", INT64_MAX, &last) || !number(e, "records", 2, &records) ||
	    !number(e, "pid", INT32_MAX, &pid) || uuid_parse(i.cmd_id, detail(e, "id")) < 0 ||
	    str_unhex(i.run.before, sizeof(i.run.before), detail(e, "before")) < 0 ||
	    str_unhex(i.run.head, sizeof(i.run.head), detail(e, "head")) < 0)
		return false;
	i.run.last = (uint64_t)last;
	i.run.records = (uint32_t)records;
	i.pid = (int32_t)pid;
	i.dry_run = strcmp(detail(e, "dry_run"), "yes") == 0;
	str_safe(i.action, sizeof(i.action), detail(e, "action"), strlen(detail(e, "action")));
	str_safe(i.status, sizeof(i.status), detail(e, "status"), strlen(detail(e, "status")));
	str_safe(i.detail, sizeof(i.detail), e->text, strlen(e->text));
	*ret = i;
	return true;
}
