/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/script_action.h"

#include <errno.h>

#include "agent/act/inject/hold.h"
#include "common/clock.h"
#include "proto/python.h"

static void say_failed(int rc, const struct script_report *report, const struct error *err,
		       struct command_result *r)
{
	if (rc == -ENOTSUP && !report->queued)
		action_say(r, COMMAND_REFUSED, "%s", err->msg);
	else if (report->running || rc == -ECHILD)
		action_say(r, COMMAND_UNKNOWN, "%s", err->msg);
	else
		action_say(r, COMMAND_FAILED, "%s", err->msg);
}

static void say_dry(const struct script_action *a, const struct script_report *report,
		    struct command_result *r)
{
	char version[PYTHON_VERSION_SIZE];

	action_say(r, COMMAND_DRY_RUN, "would %s in Python %s, by %s; %s", a->would,
		   python_version_text(version, report->version), report->carrier, a->cost);
}

bool script_act(const struct process *p, const struct action_order *o,
		const struct script_action *a, struct buf *answer, struct command_result *r)
{
	const struct script script = {.prelude = a->prelude,
				      .source = a->source,
				      .args = a->args,
				      .start_us = a->start_us,
				      .run_us = a->run_us,
				      .look_only = o->dry_run};
	struct script_report report = {0};
	struct process_memory before;
	struct process_memory after;
	int64_t start = clock_boot_us();
	struct error err = {""};
	int rc = process_memory(p, &before, &err);

	if (rc < 0) {
		action_say(r, COMMAND_REFUSED, "%s", err.msg);
		return false;
	}
	r->rss_before = before.rss;
	r->swap_before = before.swap;
	rc = script_run(p, &script, answer, &report, &err);
	r->held_us = report.held_us;
	r->total_us = clock_boot_us() - start;
	/* What was taken back did nothing; what runs still may have. */
	if ((rc == 0 || report.running || rc == -EPROTO || rc == -ECHILD) && !o->dry_run &&
	    process_memory(p, &after, NULL) == 0) {
		r->rss_after = after.rss;
		r->swap_after = after.swap;
	}
	if (rc < 0)
		say_failed(rc, &report, &err, r);
	else if (o->dry_run)
		say_dry(a, &report, r);
	return rc == 0 && !o->dry_run;
}
