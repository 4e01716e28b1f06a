/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/tracemalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/act/probe/probe.h"
#include "agent/act/script_action.h"
#include "common/clock.h"
#include "common/str.h"

/* Two scripts and the seconds between them are less than COMMAND_LIMIT_SEC. */
#define START_US  (2 * USEC_PER_SEC)
#define RUN_US    (3 * USEC_PER_SEC)
#define GUARD_SEC 8 /* beyond the seconds asked for: then the target ends the trace itself */
#define SITES     25
#define TOLD      3
#define OWN_MAX   (INT64_C(256) << 20)

static const char *skip_line(const char *at)
{
	at += strcspn(at, "\n");
	return *at ? at + 1 : at;
}

bool trace_next(const struct buf *answer, const char **at, struct trace_site *ret)
{
	const char *p = *at ? *at : answer->len ? (const char *)answer->data : "";
	struct trace_site s;

	for (; *p; p = skip_line(p)) {
		int used = 0;

		if (sscanf(p, "site\t%" SCNd64 "\t%" SCNd64 "\t%" SCNd64 "\t%" SCNd64 "\t%n",
			   &s.grew, &s.more, &s.size, &s.count, &used) != 4 ||
		    !used)
			continue;
		str_safe(s.place, sizeof(s.place), p + used, strcspn(p + used, "\n"));
		s.back[0] = '\0';
		p = skip_line(p);
		if (str_starts(p, "back\t"))
			str_safe(s.back, sizeof(s.back), p + 5, strcspn(p + 5, "\n"));
		*at = p;
		*ret = s;
		return true;
	}
	*at = p;
	return false;
}

bool trace_total(const struct buf *answer, int64_t ret[3])
{
	char text[96];

	return script_value(answer, "total", text, sizeof(text)) &&
	       sscanf(text, "%" SCNd64 "\\x09%" SCNd64 "\\x09%" SCNd64, &ret[0], &ret[1],
		      &ret[2]) == 3;
}

static void say_done(const struct buf *answer, int64_t seconds, struct command_result *r)
{
	char text[COMMAND_DETAIL_SIZE];
	char bytes[STR_UNIT_SIZE];
	struct trace_site s;
	const char *at = NULL;
	int64_t total[3];
	size_t n;

	if (!trace_total(answer, total)) {
		action_say(r, COMMAND_FAILED, "the process's answer is not well formed");
		return;
	}
	n = (size_t)snprintf(text, sizeof(text), "in %" PRId64 " s %s%s in %+" PRId64 " blocks",
			     seconds, total[0] < 0 ? "" : "+", str_bytes(bytes, total[0]),
			     total[1]);
	for (int i = 0; i < TOLD && trace_next(answer, &at, &s) && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.80s +%s (%+" PRId64 ")",
				      i ? ", " : ": ", s.place, str_bytes(bytes, s.grew), s.more);
	action_say(r, COMMAND_DONE, "%s", text);
}

static void wait_seconds(int64_t seconds)
{
	const struct timespec ts = {.tv_sec = seconds};

	nanosleep(&ts, NULL);
}

void tracemalloc_run(const struct process *p, const struct action_order *o,
		     struct command_result *r)
{
	auto_buf struct buf own = BUF_INIT(SCRIPT_ANSWER + 1);
	struct buf *answer = o->by_hand && o->body ? o->body : &own;
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
	if (!script_act(p, o, &begin, answer, r))
		return;
	first = *r;
	wait_seconds(seconds);
	if (script_act(p, o, &end, answer, r))
		say_done(answer, seconds, r);
	else if (r->status != COMMAND_UNKNOWN)
		r->status = COMMAND_FAILED;
	r->rss_before = first.rss_before;
	r->swap_before = first.swap_before;
	r->held_us += first.held_us;
	r->total_us = clock_boot_us() - start;
	/* It gives nothing back; measured after, it would be told as ineffective. */
	if (r->status == COMMAND_DONE)
		r->rss_after = r->swap_after = -1;
	if (r->status == COMMAND_FAILED) {
		size_t n = strlen(r->detail);

		snprintf(r->detail + n, sizeof(r->detail) - n,
			 "; the trace ends by itself within %d s", GUARD_SEC);
	}
}
