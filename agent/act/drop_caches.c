/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/drop_caches.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/act/inject/worker.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define SWITCH      "/proc/sys/vm/drop_caches"
#define DEADLINE_US (20 * USEC_PER_SEC)

int drop_caches_parse(const char *meminfo, struct drop_caches_figures *ret, struct error *err)
{
	int64_t shmem = 0;
	const struct {
		const char *name;
		int64_t *to;
	} figures[] = {{"MemTotal:", &ret->total},
		       {"MemFree:", &ret->free},
		       {"MemAvailable:", &ret->available},
		       {"Cached:", &ret->cached},
		       {"Shmem:", &shmem},
		       {"SReclaimable:", &ret->slab}};

	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		size_t n = strlen(figures[i].name);
		const char *l = meminfo;
		int64_t kib;

		while (l && strncmp(l, figures[i].name, n) != 0) {
			l = strchr(l, '\n');
			l += l != NULL;
		}
		if (!l || sscanf(l + n, "%" SCNd64, &kib) != 1)
			return error_set(err, -EBADMSG, "'/proc/meminfo' does not say '%.*s'",
					 (int)n - 1, figures[i].name);
		*figures[i].to = kib * 1024;
	}
	ret->cached = MAX_OF(ret->cached - shmem, (int64_t)0);
	return 0;
}

static int look(struct drop_caches_figures *ret, struct error *err)
{
	char text[8192];
	int rc = fs_read_small(AT_FDCWD, "/proc/meminfo", text, sizeof(text));

	return rc < 0 ? error_sys(err, rc, "cannot read '/proc/meminfo'")
		      : drop_caches_parse(text, ret, err);
}

/* Only what is clean can be thrown away; what is dirty stays. It may take long on a large host. */
static int write_in_worker(const void *arg, void *result unused_arg, struct error *err)
{
	char digit = (char)('1' + *(const int64_t *)arg);
	auto_close int fd = open(SWITCH, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, &digit, 1) != 1)
		return error_sys(err, -errno, "cannot write '%c' to '" SWITCH "'", digit);
	return 0;
}

static const char *what(int64_t kind)
{
	static const char *const words[] = {"the page cache", "cached names (slab)",
					    "page cache and cached names"};

	return words[kind];
}

static void say_dry(int64_t kind, const struct drop_caches_figures *f, struct command_result *r)
{
	char text[4][STR_UNIT_SIZE];

	action_say(r, COMMAND_DRY_RUN,
		   "would throw away %s (cached %s, slab %s). It rarely helps: the kernel gives "
		   "caches back by itself when memory is wanted, %s count as available already "
		   "(free %s), and every service reads its files from disk again",
		   what(kind), str_bytes(text[0], f->cached), str_bytes(text[1], f->slab),
		   str_bytes(text[2], f->available), str_bytes(text[3], f->free));
}

static void say_done(int64_t kind, const struct drop_caches_figures *a,
		     const struct drop_caches_figures *b, struct command_result *r)
{
	char text[4][STR_UNIT_SIZE];

	action_say(r, COMMAND_DONE, "threw away %s: free %s -> %s, available %s -> %s", what(kind),
		   str_bytes(text[0], a->free), str_bytes(text[1], b->free),
		   str_bytes(text[2], a->available), str_bytes(text[3], b->available));
}

void drop_caches_run(const struct process *p unused_arg, const struct action_order *o,
		     struct command_result *r)
{
	int64_t kind = o->params[DROP_CACHES_KIND];
	int64_t start = clock_boot_us();
	struct drop_caches_figures before, after;
	struct error err = {""}, late = {""};
	char nothing;
	int rc;

	if (look(&before, &err) < 0) {
		action_say(r, COMMAND_REFUSED, "%s", err.msg);
		return;
	}
	r->rss_before = before.total - before.free;
	if (o->dry_run) {
		say_dry(kind, &before, r);
		return;
	}
	rc = worker_run(write_in_worker, &kind, &nothing, 0, DEADLINE_US, &err);
	if ((rc == 0 || rc == -ETIMEDOUT) && look(&after, &late) == 0)
		r->rss_after = after.total - after.free;
	r->total_us = clock_boot_us() - start;
	if (rc < 0 || *late.msg)
		action_say(r, COMMAND_FAILED, "%s", rc < 0 ? err.msg : late.msg);
	else
		say_done(kind, &before, &after, r);
}
