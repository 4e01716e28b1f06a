/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/sizes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/probe/probe.h"
#include "agent/act/script_action.h"
#include "agent/act/snapshot.h"
#include "common/str.h"

#define TOLD 3

static void say_largest(const struct buf *answer, const int64_t totals[SNAPSHOT_VALUES_MAX],
			struct command_result *r)
{
	const struct snapshot_layout *layout = snapshot_layout(SNAPSHOT_SIZES);
	char text[COMMAND_DETAIL_SIZE];
	char cut[128];
	char bytes[STR_UNIT_SIZE];
	struct snapshot_row row;
	const char *at = NULL;
	size_t n;

	n = (size_t)snprintf(text, sizeof(text),
			     "in a heap of %" PRId64 " objects %" PRId64 " containers%s", totals[0],
			     totals[1],
			     script_value(answer, "cut", cut, sizeof(cut)) ? " (cut short)" : "");
	for (int i = 0;
	     i < TOLD && n < sizeof(text) && snapshot_row_next(answer, layout, &at, &row); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "%s %.80s (%.40s of %" PRId64 ") %s", i ? "," : ":", row.name,
				      row.about, row.values[3], str_bytes(bytes, row.values[0]));
	action_say(r, COMMAND_DONE, "%s", text);
}

static void say(const struct process *p, const struct action_order *o, const struct buf *answer,
		struct command_result *r)
{
	const int64_t totals[SNAPSHOT_VALUES_MAX] = {snapshot_number(answer, "heap"),
						     snapshot_number(answer, "containers")};

	if (snapshot_refused(answer, r))
		return;
	snapshot_untouched(r);
	if (totals[0] < 0 || totals[1] < 0) {
		action_say(r, COMMAND_FAILED, "the process's answer is not well formed");
		return;
	}
	say_largest(answer, totals, r);
	snapshot_keep(p, o, snapshot_layout(SNAPSHOT_SIZES), answer, totals, r);
}

void sizes_run(const struct process *p, const struct action_order *o, struct command_result *r)
{
	auto_buf struct buf answer = BUF_INIT(SCRIPT_ANSWER + 1);
	char args[96];
	char would[64];
	const struct script_action a = {
		.prelude = probe_paths,
		.source = probe_sizes,
		.args = args,
		.would = would,
		.cost = "its main thread does nothing else meanwhile, the others are slower; 8 "
			"bytes "
			"for each object",
	};

	snprintf(args, sizeof(args), "(%" PRId64 ", %" PRId64 ", %" PRId64 ")", o->params[1],
		 o->params[2], o->params[0]);
	snprintf(would, sizeof(would), "measure its containers for at most %" PRId64 " s",
		 o->params[0]);
	if (script_act(p, o, &a, &answer, r))
		say(p, o, &answer, r);
}
