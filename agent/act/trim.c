/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/trim.h"

#include <errno.h>
#include <stdio.h>

#include "agent/act/action.h"
#include "agent/act/inject/inject.h"
#include "agent/act/inject/worker.h"
#include "agent/python/heap.h"
#include "common/clock.h"
#include "common/str.h"

/* Under this a difference is noise: the kernel counts resident pages in batches per CPU. */
#define NOISE_BYTES (256 << 10)

int trim_check(const struct process *p, struct error *err)
{
	int rc;

	if (p->state == 'T' || p->state == 't')
		return error_set(err, -ENOTSUP, "process %d is stopped", (int)p->pid);
	if (p->state == 'D')
		return error_set(err, -ENOTSUP, "process %d is in uninterruptible sleep",
				 (int)p->pid);
	rc = process_check_traceable(p, err);
	if (rc < 0)
		return rc;
	if (p->shadow_stack)
		return error_set(err, -ENOTSUP,
				 "process %d has a shadow stack: a signal frame of ours would end "
				 "it",
				 (int)p->pid);
	if (!p->wide)
		return error_set(err, -ENOTSUP, "32-bit program: remote calls are for x86-64 only");
	return 0;
}

/* A heap of gigabytes takes a second or two to walk; then nothing is predicted. */
#define PREDICT_LIMIT_US (5 * USEC_PER_SEC)

static int predict_in_worker(const void *arg, void *result, struct error *err)
{
	int64_t parts[HEAP_PART_COUNT];
	int rc = heap_read(*(const pid_t *)arg, -1, parts, err);

	if (rc == 0)
		*(int64_t *)result = parts[HEAP_PART_TRIM_GAIN];
	return rc;
}

/* What the process's own heap says that a trim gives back; HEAP_ABSENT where it cannot be read. */
static int64_t predict(const struct process *p)
{
	int64_t gain = HEAP_ABSENT;

	if (worker_run(predict_in_worker, &p->pid, &gain, sizeof(gain), PREDICT_LIMIT_US, NULL) < 0)
		return HEAP_ABSENT;
	return gain;
}

static void say_done(const struct inject_report *report, struct command_result *r)
{
	int64_t back = r->rss_before - r->rss_after;
	char gave[STR_UNIT_SIZE];
	char of[STR_UNIT_SIZE];

	str_bytes(of, r->rss_before);
	if (!report->returned)
		action_say(r, COMMAND_DONE,
			   "gave back %s of %s so far; malloc_trim still runs in thread %d",
			   str_bytes(gave, MAX_OF(back, (int64_t)0)), of, (int)report->tid);
	else if (back < NOISE_BYTES)
		action_say(r, COMMAND_DONE,
			   "gave back nothing: the heap has no free pages (RSS %s)", of);
	else
		action_say(r, COMMAND_DONE, "gave back %s of %s", str_bytes(gave, back), of);
}

static void say_dry(const struct inject_report *report, int64_t gain, struct command_result *r)
{
	char would[STR_UNIT_SIZE];
	char rss[STR_UNIT_SIZE];

	str_bytes(rss, r->rss_before);
	if (gain == HEAP_ABSENT)
		action_say(r, COMMAND_DRY_RUN,
			   "would run malloc_trim(0) in thread %d; RSS is %s, what it gains is not "
			   "known",
			   (int)report->tid, rss);
	else
		action_say(r, COMMAND_DRY_RUN,
			   "would run malloc_trim(0) in thread %d and give back about %s of %s",
			   (int)report->tid, str_bytes(would, gain), rss);
}

void trim_run(const struct process *p, const struct action_order *o, struct command_result *r)
{
	struct inject_order order = {.pid = p->pid,
				     .start_ticks = p->start_ticks,
				     .look_only = o->dry_run};
	struct inject_report report = {0};
	struct process_memory before;
	struct process_memory after;
	int64_t start = clock_boot_us();
	struct error err = {""};
	int rc;

	if (trim_check(p, &err) < 0 || process_memory(p, &before, &err) < 0) {
		action_say(r, COMMAND_REFUSED, "%s", err.msg);
		return;
	}
	r->rss_before = before.rss;
	r->swap_before = before.swap;
	rc = inject_trim(&order, &report, &err);
	r->held_us = report.held_us;
	if (rc == -ENOTSUP) {
		action_say(r, COMMAND_REFUSED, "%s", err.msg);
		return;
	}
	/* Also after a failure: a worker that died late may have done it. */
	if (!o->dry_run && process_memory(p, &after, rc < 0 ? NULL : &err) == 0) {
		r->rss_after = after.rss;
		r->swap_after = after.swap;
	} else if (!o->dry_run && rc == 0) {
		rc = -ESRCH;
	}
	r->total_us = clock_boot_us() - start;
	if (rc < 0)
		action_say(r, COMMAND_FAILED, "%s", err.msg);
	else if (o->dry_run)
		say_dry(&report, predict(p), r);
	else
		say_done(&report, r);
}
