/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/referrers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/probe/probe.h"
#include "agent/act/script_action.h"
#include "agent/act/snapshot.h"
#include "common/str.h"

#define SEARCH_SEC 3
#define TOLD       2

/* 'found<TAB>COUNT<TAB>app.Entry, other.Entry': the names. */
static const char *names_in(char *found)
{
	char *tab = strstr(found, "\\x09");

	return tab ? tab + strlen("\\x09") : "";
}

static void say_chains(const struct buf *answer, int64_t heap, int64_t count,
		       struct command_result *r)
{
	const struct snapshot_layout *layout = snapshot_layout(SNAPSHOT_REFERRERS);
	char text[COMMAND_DETAIL_SIZE];
	char found[256] = "";
	struct snapshot_row row;
	const char *at = NULL;
	size_t n;

	script_value(answer, "found", found, sizeof(found));
	n = (size_t)snprintf(text, sizeof(text),
			     "%" PRId64 " objects of %.80s in a heap of %" PRId64 ", held", count,
			     names_in(found), heap);
	for (int i = 0;
	     i < TOLD && n < sizeof(text) && snapshot_row_next(answer, layout, &at, &row); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %.130s (%" PRId64 ")",
				      i ? "," : " by", row.name, row.values[0]);
	action_say(r, COMMAND_DONE, "%s", text);
}

static void say(const struct process *p, const struct action_order *o, const struct buf *answer,
		struct command_result *r)
{
	const int64_t totals[SNAPSHOT_VALUES_MAX] = {snapshot_number(answer, "heap"),
						     snapshot_number(answer, "found")};

	if (snapshot_refused(answer, r))
		return;
	snapshot_untouched(r);
	if (totals[0] < 0 || totals[1] < 0) {
		action_say(r, COMMAND_FAILED, "the process's answer is not well formed");
	} else if (totals[1] == 0) {
		action_say(r, COMMAND_FAILED,
			   "no object of a type '%s' is among the %" PRId64
			   " that the collector tracks",
			   o->text, totals[0]);
	} else {
		say_chains(answer, totals[0], totals[1], r);
		snapshot_keep(p, o, snapshot_layout(SNAPSHOT_REFERRERS), answer, totals, r);
	}
}

void referrers_run(const struct process *p, const struct action_order *o, struct command_result *r)
{
	auto_buf struct buf answer = BUF_INIT(SCRIPT_ANSWER + 1);
	char args[COMMAND_REASON_SIZE + 80];
	char would[COMMAND_REASON_SIZE + 80];
	const struct script_action a = {
		.prelude = probe_paths,
		.source = probe_referrers,
		.args = args,
		.would = would,
		.cost = "its heap is gone through once for each link, some 100 ms per million "
			"objects, 8 bytes for each meanwhile",
	};

	snprintf(args, sizeof(args), "('%s', %" PRId64 ", %" PRId64 ", %d)", o->text, o->params[1],
		 o->params[2], SEARCH_SEC);
	snprintf(would, sizeof(would), "look for who holds %" PRId64 " objects of '%s'",
		 o->params[1], o->text);
	if (script_act(p, o, &a, &answer, r))
		say(p, o, &answer, r);
}
