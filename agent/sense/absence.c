/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/absence.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"

static void add(struct absence *out, const char *key, const char *value)
{
	out->keys[out->event.n_details] = key;
	out->values[out->event.n_details++] = value;
}

static void say(struct absence *out, const struct service_change *c, int64_t away_us)
{
	char away[STR_UNIT_SIZE];
	char pid[32] = "";

	if (c->last_pid)
		snprintf(pid, sizeof(pid), " (last pid %" PRIu32 ")", c->last_pid);
	if (c->back)
		snprintf(out->text, sizeof(out->text), "expected service '%s' is back after %s",
			 c->pattern, str_duration(away, away_us));
	else if (c->never_seen)
		snprintf(out->text, sizeof(out->text),
			 "expected service '%s' has not been seen since the agent started",
			 c->pattern);
	else
		snprintf(out->text, sizeof(out->text),
			 "expected service '%s' has had no process since %s%s", c->pattern,
			 out->since, pid);
}

void absence_describe(struct absence *out, const struct service_change *c, int64_t wall_us,
		      int64_t boot_us)
{
	int64_t away_us = boot_us - c->since_us;

	out->event = (struct wire_event){
		.t_wall_us = wall_us,
		.kind = c->back ? WIRE_EVENT_BACK : WIRE_EVENT_ABSENT,
		.text = out->text,
		.keys = out->keys,
		.values = out->values,
	};
	str_time(out->since, wall_us - away_us);
	snprintf(out->last_pid, sizeof(out->last_pid), "%" PRIu32, c->last_pid);
	snprintf(out->away, sizeof(out->away), "%" PRId64, (int64_t)(away_us / USEC_PER_SEC));
	snprintf(out->incarnation, sizeof(out->incarnation), "%" PRIu32, c->incarnation);
	say(out, c, away_us);
	add(out, "service", c->pattern);
	add(out, c->never_seen ? "watched_since" : "last_seen", out->since);
	add(out, "away_seconds", out->away);
	if (c->last_pid)
		add(out, "last_pid", out->last_pid);
	if (c->back)
		add(out, "incarnation", out->incarnation);
}
