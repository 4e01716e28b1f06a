/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/census_worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/act/headroom.h"
#include "agent/act/inject/hold.h"
#include "agent/act/inject/snapshot.h"
#include "agent/act/inject/worker.h"
#include "agent/python/census.h"
#include "agent/python/gcstat.h"
#include "agent/python/heap.h"
#include "agent/python/memory.h"
#include "common/clock.h"
#include "common/str.h"

#define WALKS_MAX  8
#define LIVE_WALKS 3
#define FIND_US    (2 * USEC_PER_SEC)
#define LIVE_US    (3 * USEC_PER_SEC)
#define FIND_TRIES 20
#define RETRY_NS   5000000
/* Lists are in the order of creation, so a walk meets few chunks at a time; and what fits into the
 * processor's cache is faster than more. */
#define CACHE_BYTES (16u << 20)
/* Of what the process has resident: what its writes may copy while the snapshot lives. */
#define COPY_SHARE 4
#define COPY_ROOM  (16 << 20)
#define PIDS_ROOM  8
/* A copy takes as long as its page tables; measured, and rounded up. */
#define COPY_US_PER_MB 25
#define WALK_US_PER_MB 1000

struct counting {
	const struct census_job *job;
	struct census_report *report;
	struct maps maps;
	struct libc libc;
	struct runtime runtime;
	uint64_t collectors[RUNTIME_MAX_INTERPRETERS];
	size_t n_collectors;
	struct census census;
	int64_t t_wall_us;
	int64_t walk_us;
	uint32_t error_per_10000;
};

static void pause_ns(long ns)
{
	const struct timespec ts = {.tv_nsec = ns};

	nanosleep(&ts, NULL);
}

/* ---- whether, and how ---- */

static int find_interpreter(struct counting *c, struct error *err)
{
	pid_t pid = c->job->process->pid;
	enum python_state state = PYTHON_UNKNOWN_LAYOUT;
	int n;

	/* Lists that are being changed look like none; a build that we do not know stays so. */
	for (int i = 0; i < FIND_TRIES && state == PYTHON_UNKNOWN_LAYOUT; i++) {
		if (i)
			pause_ns(RETRY_NS);
		state = runtime_find(pid, &c->maps, &c->runtime, err);
	}
	if (state == PYTHON_GONE)
		return error_set(err, -ESRCH, "process %d is gone", (int)pid);
	if (state == PYTHON_DENIED)
		return error_set(err, -EPERM, "%s", python_state_text(state));
	if (state != PYTHON_READABLE)
		return error_set(err, state == PYTHON_STARTING ? -EAGAIN : -ENOTSUP, "%s",
				 python_state_text(state));
	n = census_collectors(&c->runtime, c->collectors);
	if (n < 0)
		return error_sys(err, n == -EBADMSG ? -EAGAIN : n,
				 "cannot read the interpreters of process %d", (int)pid);
	c->n_collectors = (size_t)n;
	return 0;
}

/* Is there room for what the process writes while its copy lives? */
static int check_room(const struct counting *c, struct error *err)
{
	int64_t need = c->job->rss / COPY_SHARE + COPY_ROOM;
	char have[STR_UNIT_SIZE];
	char want[STR_UNIT_SIZE];
	struct headroom room;
	int rc = headroom_read(c->job->process->pid, &room, err);

	if (rc < 0)
		return rc;
	if (room.memory < need)
		return error_set(err, -ENOTSUP, "%s of memory are free, a snapshot may take %s",
				 str_bytes(have, room.memory), str_bytes(want, need));
	if (room.pids < PIDS_ROOM)
		return error_set(err, -ENOTSUP,
				 "its cgroup has room for %" PRId64 " more processes only",
				 room.pids);
	return 0;
}

static int check_snapshot(struct counting *c, struct error *err)
{
	const struct process *p = c->job->process;
	int rc;

	if (p->state == 'T')
		return error_set(err, -ENOTSUP, "process %d is stopped", (int)p->pid);
	if (p->seccomp)
		return error_set(err, -ENOTSUP, "its seccomp filter may forbid a copy");
	if (p->shadow_stack)
		return error_set(err, -ENOTSUP,
				 "it has a shadow stack: a signal frame of ours would end it");
	rc = check_room(c, err);
	return rc < 0 ? rc : libc_find_calls(p->pid, &c->maps, &c->libc, err);
}

static int choose_method(struct counting *c, struct error *err)
{
	int wish = c->job->order->method;
	struct error why = {""};
	int rc = 0;

	if (wish < 0 || wish == CENSUS_METHOD_SNAPSHOT)
		rc = check_snapshot(c, &why);
	if (rc < 0 && wish >= 0)
		return error_set(err, rc, "no snapshot: %s", why.msg);
	if (rc < 0)
		snprintf(c->report->note, sizeof(c->report->note), "no snapshot: %.200s", why.msg);
	if (wish < 0)
		wish = rc < 0 ? CENSUS_METHOD_STOPPED : CENSUS_METHOD_SNAPSHOT;
	c->report->method = (enum census_method)wish;
	return 0;
}

static void expect(struct counting *c)
{
	int64_t mb = c->job->rss >> 20;

	c->report->expected_us = 0;
	if (c->report->method == CENSUS_METHOD_SNAPSHOT)
		c->report->expected_us = 500 + mb * COPY_US_PER_MB;
	else if (c->report->method == CENSUS_METHOD_STOPPED)
		c->report->expected_us = MIN_OF(1000 + mb * WALK_US_PER_MB, CENSUS_STOP_US);
}

/* ---- counting ---- */

/* Asked while threads are held, so that the process is neither another one nor in a collection. */
static int on_check(const void *arg, struct error *err)
{
	const struct counting *c = arg;
	const struct process *p = c->job->process;
	uint64_t ticks;

	if (process_start_ticks(p->pid, &ticks) < 0 || ticks != p->start_ticks)
		return error_set(err, -ESRCH, "process %d is another one now", (int)p->pid);
	for (size_t i = 0; i < c->n_collectors; i++) {
		int32_t collecting;
		int rc = memory_read(p->pid, c->collectors[i] + c->runtime.layout.gc.collecting,
				     &collecting, sizeof(collecting));

		if (rc < 0)
			return error_sys(err, rc, "cannot read process %d", (int)p->pid);
		if (collecting)
			return error_set(err, -EBUSY, "a collection is under way");
	}
	return 0;
}

static int walk(struct counting *c, const pid_t *pid, int64_t until_us, bool tolerate,
		struct error *err)
{
	const struct chunk_source source = chunk_source_of(pid);
	const struct census_order o = {
		.source = &source,
		.layout = &c->runtime.layout,
		.collectors = c->collectors,
		.n_collectors = c->n_collectors,
		.max_objects = census_heap_bytes(&c->maps) / CENSUS_MIN_OBJECT,
		.cache_bytes = CACHE_BYTES,
		.until_us = until_us,
		.tolerate = tolerate,
	};
	int64_t start = clock_boot_us();
	int rc;

	c->t_wall_us = clock_wall_us();
	c->report->attempts++;
	rc = census_walk(&o, &c->census, err);
	c->walk_us = clock_boot_us() - start;
	return rc;
}

/* Lists that were caught in the middle of a change: another look may find them whole. */
static bool is_passing(int rc)
{
	return rc == -EAGAIN || rc == -EBUSY;
}

/* A thread that waits for a processor stays where it is, in the middle of a change too: on a busy
 * machine for longer than any look takes. So each look waits twice as long as the one before. */
static bool try_again(const struct counting *c, int rc, int64_t until_us)
{
	if (!is_passing(rc) || c->report->attempts >= WALKS_MAX || clock_boot_us() >= until_us)
		return false;
	pause_ns(RETRY_NS << c->report->attempts);
	return true;
}

static int of_snapshot(struct counting *c, struct error *err)
{
	struct snapshot_order o = {.pid = c->job->process->pid,
				   .libc = &c->libc,
				   .maps = &c->maps,
				   .check = on_check,
				   .arg = c,
				   .trace = &c->job->shared->trace};
	int64_t until = clock_boot_us() + FIND_US;
	int rc;

	do {
		struct snapshot s;
		int64_t reaping;

		rc = snapshot_take(&o, &s, err);
		c->report->held_us += s.held_us;
		c->report->held = s.held;
		if (rc == 0) {
			rc = walk(c, &s.child, clock_boot_us() + CENSUS_CHILD_US, false, err);
			reaping = snapshot_end(&o, &s);
			c->report->reaped = reaping >= 0;
			c->report->held_us += MAX_OF(reaping, (int64_t)0);
			/* Of those that sleep one may have woken in between: if that happens again,
			 * none is left out. */
			o.stop_all = c->report->attempts > 1;
		}
	} while (try_again(c, rc, until));
	return rc;
}

static int while_stopped(struct counting *c, struct error *err)
{
	pid_t pid = c->job->process->pid;
	int64_t until = clock_boot_us() + FIND_US;
	int rc;

	do {
		int64_t start = clock_boot_us();
		struct hold h;
		int late;

		rc = hold_init(&h, pid);
		if (rc < 0)
			return error_set(err, rc, "no memory for the threads");
		worker_hurry(true);
		rc = hold_threads(&h, true, 0, err);
		if (rc == 0)
			rc = on_check(c, err);
		if (rc == 0)
			rc = walk(c, &pid, start + CENSUS_STOP_US, false, err);
		c->report->held = (unsigned)h.n;
		late = hold_fini(&h, err);
		worker_hurry(false);
		if (late == -ETIMEDOUT)
			rc = late;
		c->report->held_us += clock_boot_us() - start;
	} while (try_again(c, rc, until));
	return rc;
}

/* How often the collectors have run: a walk during which they did is not of one moment. */
static uint64_t collections(const struct counting *c)
{
	uint64_t interpreters[RUNTIME_MAX_INTERPRETERS];
	uint64_t sum = 0;
	int n = runtime_interpreters(&c->runtime, interpreters, RUNTIME_MAX_INTERPRETERS);

	for (int i = 0; i < n; i++) {
		struct gcstat stat;

		if (gcstat_read(&c->runtime, interpreters[i], &stat) == 0)
			for (unsigned g = 0; g < LAYOUT_GENERATIONS; g++)
				sum += stat.generations[g].collections;
	}
	return sum;
}

/*
 * How far off it may be, from what two looks differ by. At least one in ten thousand, because 0 is
 * said of one moment.
 */
static uint32_t error_of(const struct census *c, uint64_t other)
{
	uint64_t off = (c->objects > other ? c->objects - other : other - c->objects);

	return (uint32_t)MIN_OF(MAX_OF(off * 10000 / MAX_OF(c->objects, (uint64_t)1), 1ull), 10000);
}

/* Nothing is stopped. Whole lists first; if they never hold still, what can be read of them. */
static int while_it_runs(struct counting *c, struct error *err)
{
	pid_t pid = c->job->process->pid;
	int64_t until = clock_boot_us() + LIVE_US;
	uint64_t other = 0;
	int rc = -EAGAIN;

	while (is_passing(rc) && c->report->attempts < LIVE_WALKS) {
		uint64_t before = collections(c);

		rc = walk(c, &pid, until, false, err);
		if (rc == 0 && collections(c) == before) {
			c->error_per_10000 = 1;
			return 0;
		}
		if (rc == 0) {
			census_fini(&c->census);
			rc = -EAGAIN;
		}
		if (is_passing(rc))
			pause_ns(RETRY_NS);
	}
	for (unsigned good = 0; is_passing(rc) && c->report->attempts < 4 * LIVE_WALKS;) {
		rc = walk(c, &pid, until, true, err);
		if (rc == 0 && ++good == 2) {
			c->error_per_10000 = error_of(&c->census, other);
		} else if (rc == 0) {
			other = c->census.objects;
			census_fini(&c->census);
			rc = -EAGAIN;
		}
	}
	if (is_passing(rc))
		return error_set(err, -EAGAIN, "it changes too fast to be counted while it runs");
	return rc;
}

/* ---- telling ---- */

static int pack(struct counting *c, struct error *err)
{
	const struct census_order_by *o = c->job->order;
	const struct census *census = &c->census;
	size_t n = MIN_OF(census->n, (size_t)WIRE_MAX_TYPES);
	struct wire_census_type *types = calloc(MAX_OF(n, (size_t)1), sizeof(*types));
	struct buf b = BUF_INIT(CENSUS_BODY_MAX);
	struct wire_census w = {
		.t_wall_us = c->t_wall_us,
		.pid = (uint32_t)c->job->process->pid,
		.start_ticks = c->job->process->start_ticks,
		.method = c->report->method,
		.reason = o->reason,
		.has_command = o->command_id,
		.version = c->runtime.version,
		.interpreters = census->interpreters,
		.pause_us = (uint64_t)c->report->held_us,
		.walk_us = (uint64_t)c->walk_us,
		.objects = census->objects,
		.bytes = census->bytes,
		.types_total = (uint32_t)census->n,
		.error_per_10000 = c->error_per_10000,
		.types = types,
		.n_types = n,
		.note = c->report->note,
	};
	int rc = types ? process_boot_id(w.boot_id, err) : error_set(err, -ENOMEM, "no memory");

	if (rc < 0)
		return rc;
	if (o->command_id)
		memcpy(w.command_id, o->command_id, sizeof(w.command_id));
	for (size_t i = 0; i < n; i++)
		types[i] = (struct wire_census_type){census->rows[i].name, census->rows[i].objects,
						     census->rows[i].bytes};
	for (int i = 0; i < HEAP_PART_COUNT; i++)
		w.parts[i] = HEAP_ABSENT;
	/* Of the process itself: a copy has none of the pages that are shared. */
	if (heap_read(c->job->process->pid, c->runtime.layout.minor, w.parts, NULL) < 0)
		w.parts[HEAP_PART_RSS] = c->job->rss;
	w.parts[HEAP_PART_OBJECTS] = (int64_t)census->bytes;
	wire_pack_census(&b, &w);
	if (buf_status(&b) < 0)
		return error_set(err, -E2BIG, "the census is larger than %u bytes",
				 CENSUS_BODY_MAX);
	memcpy(c->job->shared->body, b.data, b.len);
	c->report->body_len = (uint32_t)b.len;
	return 0;
}

int census_work(const void *arg, void *result, struct error *err)
{
	struct counting c = {.job = arg, .report = result};
	int rc;

	*c.report = (struct census_report){.rss = c.job->rss, .reaped = true};
	rc = maps_load(c.job->process->pid, &c.maps, err);
	if (rc == 0)
		rc = find_interpreter(&c, err);
	if (rc == 0)
		rc = choose_method(&c, err);
	if (rc < 0)
		return rc;
	expect(&c);
	if (c.job->order->look_only)
		return 0;
	switch (c.report->method) {
	case CENSUS_METHOD_SNAPSHOT:
		rc = of_snapshot(&c, err);
		break;
	case CENSUS_METHOD_STOPPED:
		rc = while_stopped(&c, err);
		break;
	case CENSUS_METHOD_LIVE:
		rc = while_it_runs(&c, err);
		break;
	case CENSUS_METHOD_COUNT:
		return error_set(err, -EINVAL, "no such method");
	}
	c.report->objects = c.census.objects;
	return rc < 0 ? rc : pack(&c, err);
}

int census_clean_up(const void *arg, void *result, struct error *err)
{
	struct counting c = {.job = arg, .report = result};
	struct snapshot_order o = {.pid = c.job->process->pid,
				   .libc = &c.libc,
				   .maps = &c.maps,
				   .check = on_check,
				   .arg = &c,
				   .trace = &c.job->shared->trace};
	int rc = maps_load(o.pid, &c.maps, err);

	if (rc == 0)
		rc = libc_find_calls(o.pid, &c.maps, &c.libc, err);
	if (rc == 0)
		rc = on_check(&c, err);
	return rc < 0 ? rc : snapshot_sweep(&o, c.job->since_ticks);
}
