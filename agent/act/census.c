/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/census.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "agent/act/census_worker.h"
#include "agent/act/inject/hold.h"
#include "agent/act/inject/worker.h"
#include "common/clock.h"
#include "common/str.h"

/* All attempts, each with a copy's life, and a little. */
#define DEADLINE_US    (10 * USEC_PER_SEC)
#define CLEAN_UP_US    (4 * USEC_PER_SEC)
#define TOLD_TYPES     3
#define ASLEEP_STEPS   25
#define ASLEEP_STEP_NS 20000000

/* A page that is read or a child that is started is over in a moment. */
static bool stays_asleep(pid_t pid)
{
	const struct timespec step = {.tv_nsec = ASLEEP_STEP_NS};

	for (int i = 0; i < ASLEEP_STEPS; i++) {
		if (hold_state(pid, pid) != 'D')
			return false;
		nanosleep(&step, NULL);
	}
	return true;
}

int census_check(const struct process *p, struct error *err)
{
	int rc;

	if (p->state == 'D' && stays_asleep(p->pid))
		return error_set(err, -ENOTSUP, "process %d is in uninterruptible sleep",
				 (int)p->pid);
	rc = process_check_traceable(p, err);
	if (rc == 0 && !p->wide)
		rc = error_set(err, -ENOTSUP, "32-bit program: a census is for x86-64 only");
	return rc;
}

/* Whatever the worker left: its copy has ended with it, and waits to be reaped. */
static void clean_up(const struct census_job *job)
{
	struct census_report none;
	struct error err;

	if (worker_run(census_clean_up, job, &none, sizeof(none), CLEAN_UP_US, &err) < 0)
		return;
}

static int run_worker(const struct process *p, const struct census_order_by *o,
		      struct census_shared *shared, struct census_report *ret, struct error *err)
{
	struct process_memory memory;
	struct census_job job = {.process = p, .order = o, .shared = shared};
	long ticks_per_sec = sysconf(_SC_CLK_TCK);
	int rc = process_memory(p, &memory, err);

	if (rc < 0)
		return rc;
	job.rss = memory.rss;
	job.since_ticks =
		(uint64_t)(clock_boot_us() / (USEC_PER_SEC / MAX_OF(ticks_per_sec, 1L))) - 1;
	rc = worker_run(census_work, &job, ret, sizeof(*ret), DEADLINE_US, err);
	if (!o->look_only && (rc == -ECHILD || rc == -ETIMEDOUT || !ret->reaped))
		clean_up(&job);
	return rc;
}

int census_take(const struct process *p, const struct census_order_by *o, struct buf *body,
		struct census_report *ret, struct error *err)
{
	/* The census is larger than a worker's answer; both see the same pages. */
	struct census_shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct census_report report = {.reaped = true};
	int rc;

	if (shared == MAP_FAILED)
		return error_sys(err, -errno, "no memory for the census");
	rc = census_check(p, err);
	if (rc == 0)
		rc = run_worker(p, o, shared, &report, err);
	if (rc == 0 && report.body_len > CENSUS_BODY_MAX)
		rc = error_set(err, -EBADMSG, "the worker's answer is too long");
	if (rc == 0 && body) {
		buf_reset(body);
		buf_put(body, shared->body, report.body_len);
		rc = buf_status(body);
	}
	munmap(shared, sizeof(*shared));
	*ret = report;
	return rc;
}

void census_sentence(const struct wire_census *c, char *out, size_t size)
{
	char bytes[STR_UNIT_SIZE];
	size_t n;

	snprintf(out, size, "%llu objects, %s", (unsigned long long)c->objects,
		 str_bytes(bytes, (int64_t)c->bytes));
	for (size_t i = 0; i < MIN_OF(c->n_types, (size_t)TOLD_TYPES); i++) {
		n = strlen(out);
		snprintf(out + n, size - n, "%s%.64s %s", i ? ", " : ": ", c->types[i].name,
			 str_bytes(bytes, (int64_t)c->types[i].bytes));
	}
	n = strlen(out);
	if (c->method == CENSUS_METHOD_LIVE)
		snprintf(out + n, size - n, "; while it ran, off by up to %.2f %%",
			 c->error_per_10000 / 100.0);
	else
		snprintf(out + n, size - n, "; %s, held for %.1f ms", census_method_word(c->method),
			 (double)c->pause_us / 1000);
}

static void say_done(const struct buf *body, struct command_result *r)
{
	struct wire_census c;
	struct error err;
	auto_arena struct arena arena;
	char text[COMMAND_DETAIL_SIZE];

	arena_init(&arena, WIRE_BUDGET(body->len));
	if (wire_unpack_census(&arena, body->data, body->len, &c, &err) < 0) {
		action_say(r, COMMAND_FAILED, "%s", err.msg);
		return;
	}
	census_sentence(&c, text, sizeof(text));
	action_say(r, COMMAND_DONE, "%s%s%s", text, *c.note ? "; " : "", c.note);
}

static void say_dry(const struct census_report *report, struct command_result *r)
{
	char rss[STR_UNIT_SIZE];

	str_bytes(rss, report->rss);
	if (report->method == CENSUS_METHOD_LIVE)
		action_say(r, COMMAND_DRY_RUN, "would read %s while it runs", rss);
	else
		action_say(r, COMMAND_DRY_RUN, "would %s %s; expected pause about %lld ms%s%s",
			   report->method == CENSUS_METHOD_SNAPSHOT ? "take a snapshot of"
								    : "stop and read",
			   rss, (long long)(report->expected_us + 999) / 1000,
			   *report->note ? "; " : "", report->note);
}

void census_run(const struct process *p, const struct action_order *o, struct command_result *r)
{
	const struct census_order_by order = {
		.method = (int)o->params[0] - 1, /* 0 = fitting, then CENSUS_METHOD_LIST */
		.reason = action_reason(o),
		.command_id = o->by_hand ? NULL : o->command_id,
		.look_only = o->dry_run,
	};
	auto_buf struct buf own = BUF_INIT(CENSUS_BODY_MAX);
	struct buf *body = o->body ? o->body : &own;
	struct census_report report;
	int64_t start = clock_boot_us();
	struct error err = {""};
	int rc = census_take(p, &order, body, &report, &err);

	r->rss_before = report.rss;
	r->held_us = report.held_us;
	r->total_us = clock_boot_us() - start;
	if (rc == -ENOTSUP)
		action_say(r, COMMAND_REFUSED, "%s", err.msg);
	else if (rc < 0)
		action_say(r, COMMAND_FAILED, "%s", err.msg);
	else if (o->dry_run)
		say_dry(&report, r);
	else
		say_done(body, r);
}
