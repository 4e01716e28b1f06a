/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/reclaim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/cgroup.h"
#include "agent/act/inject/worker.h"
#include "agent/act/pageout.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define DEADLINE_US    (15 * USEC_PER_SEC)
#define POINTLESS      (1 << 20)
#define POINTLESS_PART 10

int64_t reclaim_possible(const struct reclaim_figures *f)
{
	return f->file_lru + MIN_OF(f->anon, MAX_OF(f->swap_room, (int64_t)0));
}

int reclaim_check(const struct reclaim_figures *f, int64_t bytes, struct error *err)
{
	int64_t possible = reclaim_possible(f);
	char a[STR_UNIT_SIZE], b[STR_UNIT_SIZE], c[STR_UNIT_SIZE];

	if (possible >= POINTLESS && possible >= bytes / POINTLESS_PART)
		return 0;
	return error_set(err, -EPERM, "only %s of its %s could be taken%s, %s are asked: pointless",
			 str_bytes(a, possible), str_bytes(b, f->usage),
			 f->swap_room > 0 ? "" : " (no swap: cached files alone)",
			 str_bytes(c, bytes));
}

/* A figure that this kernel does not count is none. */
static int64_t stat_of(const struct cgroup_place *c, const char *v2, const char *v1)
{
	return MAX_OF(cgroup_word(c->folder, "memory.stat", c->v2 ? v2 : v1), (int64_t)0);
}

static int look(const struct cgroup_place *c, struct reclaim_figures *ret, struct error *err)
{
	struct cgroup_figures f;
	int rc = cgroup_figures(c, &f, err);

	if (rc < 0)
		return rc;
	*ret = (struct reclaim_figures){
		.usage = f.usage,
		.anon = f.anon,
		.swap_room = f.swap_room,
		.file = stat_of(c, "file", "total_cache"),
		.file_lru = stat_of(c, "inactive_file", "total_inactive_file") +
			    stat_of(c, "active_file", "total_active_file"),
		.swap = stat_of(c, "", "total_swap"),
	};
	if (c->v2 && cgroup_number(c->folder, "memory.swap.current", &ret->swap) < 0)
		ret->swap = 0;
	return 0;
}

/* ---- how long tasks waited for memory ---- */

struct pressure {
	double avg10;  /* % */
	int64_t total; /* microseconds; -1 = the kernel does not say */
};

/* Of the cgroup; v1 has only the host's. */
static struct pressure pressure_of(const struct cgroup_place *c)
{
	char path[CGROUP_PATH_SIZE + 32], text[512];
	struct pressure p = {.total = -1};

	if (c->v2)
		snprintf(path, sizeof(path), "%s/memory.pressure", c->folder);
	else
		snprintf(path, sizeof(path), "/proc/pressure/memory");
	if (fs_read_small(AT_FDCWD, path, text, sizeof(text)) < 0 ||
	    sscanf(text, "some avg10=%lf avg60=%*f avg300=%*f total=%" SCNd64, &p.avg10,
		   &p.total) != 2)
		p.total = -1;
	return p;
}

static const char *pressure_text(char out[96], const struct cgroup_place *c,
				 const struct pressure *a, const struct pressure *b)
{
	if (a->total < 0 || b->total < a->total)
		return "the kernel does not tell its memory pressure";
	snprintf(out, 96, "%spressure %.1f %% before, %.1f %% after, waited %" PRId64 " ms",
		 c->v2 ? "" : "host's ", a->avg10, b->avg10, (b->total - a->total) / 1000);
	return out;
}

/* ---- doing it ---- */

struct job {
	const struct cgroup_place *place;
	int64_t bytes;
};

/* The kernel may take long: a worker's end ends it. -EAGAIN: it got less than was asked. */
static int write_in_worker(const void *arg, void *result unused_arg, struct error *err)
{
	const struct job *j = arg;

	return j->place->v2 ? cgroup_set(j->place->folder, "memory.reclaim", j->bytes, err)
			    : cgroup_set(j->place->folder, "memory.force_empty", 0, err);
}

static void say_done(const struct cgroup_place *c, int64_t bytes, int rc,
		     const struct reclaim_figures *a, const struct reclaim_figures *b,
		     const char *pressure, struct command_result *r)
{
	char text[8][STR_UNIT_SIZE];
	int64_t back = MAX_OF(a->usage - b->usage, (int64_t)0);

	action_say(r, COMMAND_DONE,
		   "gave back %s of %s%s: anon %s -> %s, file %s -> %s, swap %s -> %s; %s",
		   str_bytes(text[0], back), str_bytes(text[1], bytes),
		   !c->v2             ? " (v1 takes all it can)"
		   : rc == -EAGAIN    ? ", more could not be taken"
		   : rc == -ETIMEDOUT ? " within its time"
				      : "",
		   str_bytes(text[2], a->anon), str_bytes(text[3], b->anon),
		   str_bytes(text[4], a->file), str_bytes(text[5], b->file),
		   str_bytes(text[6], a->swap), str_bytes(text[7], b->swap), pressure);
}

static void say_dry(const struct cgroup_place *c, int64_t bytes, const struct reclaim_figures *f,
		    struct command_result *r)
{
	char text[4][STR_UNIT_SIZE];

	action_say(r, COMMAND_DRY_RUN,
		   "would have the kernel take %s from cgroup '%.120s', which uses %s: %s of files "
		   "and %s anonymous could be taken, and are read again when they are needed",
		   c->v2 ? str_bytes(text[0], bytes) : "all it can (v1 knows no amount)", c->path,
		   str_bytes(text[1], f->usage), str_bytes(text[2], f->file_lru),
		   str_bytes(text[3], reclaim_possible(f) - f->file_lru));
}

static void reclaim_cgroup(const struct process *p, const struct action_order *o,
			   const struct cgroup_place *place, struct command_result *r)
{
	const struct job job = {.place = place, .bytes = o->params[RECLAIM_BYTES]};
	struct reclaim_figures before, after;
	struct pressure from, to;
	struct process_memory memory;
	struct error err = {""};
	char pressure[96], nothing;
	int rc = look(place, &before, &err);

	if (rc == 0)
		rc = reclaim_check(&before, job.bytes, &err);
	if (rc < 0) {
		action_say(r, COMMAND_REFUSED, "%s", err.msg);
		return;
	}
	if (o->dry_run) {
		say_dry(place, job.bytes, &before, r);
		return;
	}
	from = pressure_of(place);
	rc = worker_run(write_in_worker, &job, &nothing, 0, DEADLINE_US, &err);
	to = pressure_of(place);
	if (rc == -ENOENT) {
		action_say(r, COMMAND_REFUSED,
			   "this kernel has no memory.reclaim (Linux 5.19 and later have it)");
		return;
	}
	if (process_memory(p, &memory, NULL) == 0) {
		r->rss_after = memory.rss;
		r->swap_after = memory.swap;
	}
	if ((rc < 0 && rc != -EAGAIN && rc != -ETIMEDOUT) || look(place, &after, &err) < 0)
		action_say(r, COMMAND_FAILED, "%s", err.msg);
	else
		say_done(place, job.bytes, rc, &before, &after,
			 pressure_text(pressure, place, &from, &to), r);
}

void reclaim_run(const struct process *p, const struct action_order *o, struct command_result *r)
{
	int64_t start = clock_boot_us();
	struct cgroup_place place = {.path = ""}, self = {.path = ""};
	struct process_memory before;
	struct error err = {""}, none;

	if (process_memory(p, &before, &err) < 0) {
		action_say(r, COMMAND_REFUSED, "%s", err.msg);
		return;
	}
	r->rss_before = before.rss;
	r->swap_before = before.swap;
	if (cgroup_of(getpid(), &self, &none) < 0)
		self.path[0] = '\0';
	if (cgroup_of(p->pid, &place, &err) < 0 || cgroup_check_own(&place, self.path, &err) < 0)
		pageout_process(p, o, err.msg, r);
	else
		reclaim_cgroup(p, o, &place, r);
	r->total_us = clock_boot_us() - start;
}
