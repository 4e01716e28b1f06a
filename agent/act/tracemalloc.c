/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/tracemalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/act/probe/probe.h"
#include "agent/act/script_action.h"
#include "agent/act/snapshot.h"
#include "common/clock.h"
#include "common/str.h"

/* Two scripts and the seconds between them are less than COMMAND_LIMIT_SEC. */
#define START_US  (2 * USEC_PER_SEC)
#define RUN_US    (3 * USEC_PER_SEC)
#define GUARD_SEC 8 /* beyond the seconds asked for: then the target ends the trace itself */
#define SITES     25
#define TOLD      3
#define OWN_MAX   (INT64_C(256) << 20)

bool trace_total(const struct buf *answer, int64_t ret[3])
{
	char text[96];

	return script_value(answer, "total", text, sizeof(text)) &&
	       sscanf(text, "%" SCNd64 "\\x09%" SCNd64 "\\x09%" SCNd64, &ret[0], &ret[1],
		      &ret[2]) == 3;
}

static void say_done(const struct process *p, const struct action_order *o,
		     const struct buf *answer, struct command_result *r)
{
	const struct snapshot_layout *layout = snapshot_layout(SNAPSHOT_TRACEMALLOC);
	int64_t total[SNAPSHOT_VALUES_MAX] = {0};
	char text[COMMAND_DETAIL_SIZE];
	char bytes[STR_UNIT_SIZE];
	struct snapshot_row row;
	const char *at = NULL;
	size_t n;

	if (!trace_total(answer, total)) {
		action_say(r, COMMAND_FAILED, "the process's answer is not well formed");
		return;
	}
	total[3] = o->params[0];
	n = (size_t)snprintf(text, sizeof(text), "in %" PRId64 " s %s%s in %+" PRId64 " blocks",
			     total[3], total[0] < 0 ? "" : "+", str_bytes(bytes, total[0]),
			     total[1]);
	for (int i = 0;
	     i < TOLD && snapshot_row_next(answer, layout, &at, &row) && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.80s +%s (%+" PRId64 ")",
				      i ? ", " : ": ", row.name, str_bytes(bytes, row.values[0]),
				      row.values[1]);
	action_say(r, COMMAND_DONE, "%s", text);
	snapshot_keep(p, o, layout, answer, total, r);
}

static void wait_seconds(int64_t seconds)
{
	const struct timespec ts = {.tv_sec = seconds};

	nanosleep(&ts, NULL);
}

void tracemalloc_run(const struct process *p, const struct action_order *o,
		     struct command_result *r)
{
	auto_buf struct buf answer = BUF_INIT(SCRIPT_ANSWER + 1);
	int64_t seconds = o->params[0];
	char begin_args[64];
	char end_args[64];
	char would[96];
	const struct script_action begin = {
		.source = probe_trace_start,
		.args = begin_args,
		.would = would,
		.cost = "each allocation takes some times longer meanwhile, and a block that lives "
			"some hundred bytes more",
		.start_us = START_US,
		.run_us = RUN_US,
	};
	const struct script_action end = {
		.source = probe_trace_stop,
		.args = end_args,
		.start_us = START_US,
		.run_us = RUN_US,
	};
	int64_t start = clock_boot_us();
	struct command_result first;

	snprintf(begin_args, sizeof(begin_args), "(%" PRId64 ", %" PRId64 ")", o->params[1],
		 seconds + GUARD_SEC);
	snprintf(end_args, sizeof(end_args), "(%d, %" PRId64 ")", SITES, OWN_MAX);
	snprintf(would, sizeof(would),
		 "trace allocations with %" PRId64 " frames for %" PRId64 " s", o->params[1],
		 seconds);
	if (!script_act(p, o, &begin, &answer, r))
		return;
	first = *r;
	wait_seconds(seconds);
	if (script_act(p, o, &end, &answer, r))
		say_done(p, o, &answer, r);
	else if (r->status != COMMAND_UNKNOWN)
		r->status = COMMAND_FAILED;
	r->rss_before = first.rss_before;
	r->swap_before = first.swap_before;
	r->held_us += first.held_us;
	r->total_us = clock_boot_us() - start;
	if (r->status == COMMAND_DONE)
		snapshot_untouched(r);
	if (r->status == COMMAND_FAILED) {
		size_t n = strlen(r->detail);

		snprintf(r->detail + n, sizeof(r->detail) - n,
			 "; the trace ends by itself within %d s", GUARD_SEC);
	}
}
