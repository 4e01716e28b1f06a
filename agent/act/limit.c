/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/limit.h"

#include <errno.h>
#include <string.h>

#include "agent/act/leash.h"
#include "agent/act/watch.h"
#include "common/clock.h"
#include "common/str.h"

/* Of the working set: what a limit must leave above it, or the kernel does nothing but reclaim. */
#define ROOM_PERCENT 110
#define ANON_PERCENT 80

int limit_check(const struct cgroup_figures *f, int64_t bytes, struct error *err)
{
	char a[STR_UNIT_SIZE], b[STR_UNIT_SIZE];

	if (bytes / ROOM_PERCENT * 100 < f->working_set)
		return error_set(
			err, -EPERM,
			"%s would be less than its working set of %s and a tenth: it would do "
			"nothing but reclaim",
			str_bytes(a, bytes), str_bytes(b, f->working_set));
	if (f->swap_room <= 0 && f->anon / ANON_PERCENT * 100 > f->usage)
		return error_set(
			err, -EPERM,
			"%s of its %s are anonymous and there is no swap: at the limit nothing "
			"could be reclaimed, and it would stand still",
			str_bytes(a, f->anon), str_bytes(b, f->usage));
	return 0;
}

static const char *file_of(const struct cgroup_place *c, enum limit_kind kind)
{
	if (c->v2)
		return kind == LIMIT_HIGH ? "memory.high" : "memory.max";
	return kind == LIMIT_MAX ? "memory.limit_in_bytes" : NULL;
}

/* What is there now has to be wider. */
static int check_before(const struct leash *one, struct error *err)
{
	char a[STR_UNIT_SIZE];

	if (one->before > one->set)
		return 0;
	return error_set(err, -EPERM, "'%s' is %s already", one->file, str_bytes(a, one->before));
}

static int find(const struct process *p, const struct action_order *o, struct cgroup_place *place,
		struct leash *one, struct error *err)
{
	struct cgroup_place self = {.path = ""};
	struct cgroup_figures figures;
	struct error none;
	const char *file;
	int rc = cgroup_of(p->pid, place, err);

	if (rc == 0 && cgroup_of(getpid(), &self, &none) < 0)
		self.path[0] = '\0';
	if (rc == 0)
		rc = cgroup_check_own(place, self.path, err);
	if (rc < 0)
		return rc;
	file = file_of(place, (enum limit_kind)o->params[LIMIT_KIND]);
	if (!file)
		return error_set(err, -ENOTSUP, "cgroup v1 has no 'high', only 'max'");
	rc = cgroup_figures(place, &figures, err);
	if (rc == 0)
		rc = limit_check(&figures, o->params[LIMIT_BYTES], err);
	if (rc < 0)
		return rc;
	one->set = o->params[LIMIT_BYTES] & ~(int64_t)4095;
	one->since_us = clock_boot_us();
	one->pid = (uint32_t)p->pid;
	memcpy(one->id, o->command_id, sizeof(one->id));
	one->until_us = clock_boot_us() + o->params[LIMIT_TTL] * USEC_PER_SEC;
	(void)str_copy(one->file, sizeof(one->file), file);
	(void)str_copy(one->folder, sizeof(one->folder), place->folder);
	if (cgroup_number(one->folder, one->file, &one->before) < 0)
		return error_set(err, -ENOENT, "'%s' is not there in cgroup '%.200s'", file,
				 place->path);
	return check_before(one, err);
}

static void say(const struct cgroup_place *place, const struct leash *one, const char *verb,
		int64_t ttl_s, enum command_status status, struct command_result *r)
{
	char set[STR_UNIT_SIZE], was[STR_UNIT_SIZE], span[STR_UNIT_SIZE];

	action_say(r, status, "%s %s of cgroup '%.160s' to %s (it was %s) for %s", verb, one->file,
		   place->path, str_bytes(set, one->set),
		   one->before == INT64_MAX ? "not limited" : str_bytes(was, one->before),
		   str_duration(span, ttl_s * USEC_PER_SEC));
}

void limit_run(const struct process *p, const struct action_order *o, struct command_result *r)
{
	int64_t start = clock_boot_us();
	struct process_memory before, after;
	struct cgroup_place place;
	struct leash one = {.n = 0};
	struct error err = {""};

	if (find(p, o, &place, &one, &err) < 0 || process_memory(p, &before, &err) < 0 ||
	    watch_check(o->options->socket, &err) < 0) {
		action_say(r, COMMAND_REFUSED, "%s", err.msg);
		return;
	}
	r->rss_before = before.rss;
	r->swap_before = before.swap;
	if (o->dry_run) {
		say(&place, &one, "would set", o->params[LIMIT_TTL], COMMAND_DRY_RUN, r);
		return;
	}
	if (leashes_put(o->options->journal, &one, &err) < 0) {
		action_say(r, COMMAND_FAILED, "%s", err.msg);
		return;
	}
	if (process_memory(p, &after, NULL) == 0) {
		r->rss_after = after.rss;
		r->swap_after = after.swap;
	}
	r->total_us = clock_boot_us() - start;
	say(&place, &one, "set", o->params[LIMIT_TTL], COMMAND_DONE, r);
}
