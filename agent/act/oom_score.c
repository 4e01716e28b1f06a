/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/oom_score.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/act/leash.h"
#include "agent/act/watch.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

int oom_score_check(int64_t before, int64_t wanted, bool may_lower, struct error *err)
{
	if (wanted == before)
		return error_set(err, -EPERM, "oom_score_adj is %" PRId64 " already", before);
	if (wanted < before && !may_lower)
		return error_set(err, -EPERM,
				 "oom_score_adj is %" PRId64 ": to lower it, so that others are "
				 "killed before it, the policy's line must say lower=yes",
				 before);
	return 0;
}

void oom_score_place(char out[OOM_SCORE_PLACE_SIZE], pid_t pid, uint64_t start_ticks)
{
	snprintf(out, OOM_SCORE_PLACE_SIZE, "/proc/%d@%" PRIu64, (int)pid, start_ticks);
}

/* Its folder of /proc, which stays that process's. */
static int open_place(const char *place, struct error *err)
{
	char path[32], text[4096];
	struct process p = {.pid = 0};
	auto_close int dir = -1;
	uint64_t ticks;
	int pid;

	if (sscanf(place, "/proc/%d@%" SCNu64, &pid, &ticks) != 2 || pid <= 0)
		return error_set(err, -EBADMSG, "'%.100s' is no process", place);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fs_read_small(dir, "stat", text, sizeof(text)) < 0 ||
	    process_parse_stat(text, &p) < 0 || p.start_ticks != ticks)
		return error_set(err, -ESRCH, "process %d is gone", pid);
	return take_fd(dir);
}

int oom_score_read(const char *place, int64_t *ret, struct error *err)
{
	auto_close int dir = open_place(place, err);
	char text[32];
	int rc;

	if (dir < 0)
		return dir;
	rc = fs_read_small(dir, OOM_SCORE_FILE, text, sizeof(text));
	if (rc < 0)
		return error_sys(err, rc, "cannot read '%s/" OOM_SCORE_FILE "'", place);
	if (str_parse_int(str_trim(text), ret) < 0)
		return error_set(err, -EBADMSG, "oom_score_adj '%s' is no number", text);
	return 0;
}

int oom_score_write(const char *place, int64_t value, struct error *err)
{
	auto_close int dir = open_place(place, err);
	auto_close int fd = -1;
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRId64, value);

	if (dir < 0)
		return dir;
	fd = openat(dir, OOM_SCORE_FILE, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		return error_sys(err, -errno,
				 errno == EACCES || errno == EPERM
					 ? "cannot set oom_score_adj of '%s' to %s (less than it "
					   "was given takes CAP_SYS_RESOURCE)"
					 : "cannot set oom_score_adj of '%s' to %s",
				 place, text);
	return 0;
}

static int set(const struct process *p, const struct action_order *o, const char *place,
	       int64_t before, struct error *err)
{
	struct leash one = {
		.before = before,
		.set = o->params[OOM_SCORE_VALUE],
		.since_us = clock_boot_us(),
		.pid = (uint32_t)p->pid,
		.until_us = clock_boot_us() + o->params[OOM_SCORE_TTL] * USEC_PER_SEC,
	};

	if (!o->params[OOM_SCORE_TTL])
		return oom_score_write(place, o->params[OOM_SCORE_VALUE], err);
	memcpy(one.id, o->command_id, sizeof(one.id));
	(void)str_copy(one.file, sizeof(one.file), OOM_SCORE_FILE);
	(void)str_copy(one.folder, sizeof(one.folder), place);
	return leashes_put(o->options->journal, &one, err);
}

static void say(const struct action_order *o, enum command_status status, const char *verb,
		int64_t before, struct command_result *r)
{
	int64_t wanted = o->params[OOM_SCORE_VALUE];
	int64_t ttl_s = o->params[OOM_SCORE_TTL];
	char span[STR_UNIT_SIZE];

	action_say(r, status,
		   "%s oom_score_adj to %" PRId64 " (it was %" PRId64 "): it is killed %s others; "
		   "%s%s; a process that comes after it does not have it",
		   verb, wanted, before, wanted > before ? "sooner than" : "later than",
		   ttl_s ? "taken back in " : "it stays until the process ends",
		   ttl_s ? str_duration(span, ttl_s * USEC_PER_SEC) : "");
}

static int look(const struct process *p, const struct action_order *o, const char *place,
		int64_t *ret_before, struct error *err)
{
	struct process_memory memory;
	int rc = process_memory(p, &memory, err);

	if (rc == 0)
		rc = oom_score_read(place, ret_before, err);
	if (rc == 0)
		rc = oom_score_check(*ret_before, o->params[OOM_SCORE_VALUE], o->may_lower, err);
	if (rc == 0 && o->params[OOM_SCORE_TTL])
		rc = watch_check(o->options->socket, err);
	return rc;
}

void oom_score_run(const struct process *p, const struct action_order *o, struct command_result *r)
{
	int64_t start = clock_boot_us();
	char place[OOM_SCORE_PLACE_SIZE];
	struct process_memory memory;
	struct error err = {""};
	int64_t before, now;

	oom_score_place(place, p->pid, p->start_ticks);
	if (look(p, o, place, &before, &err) < 0) {
		action_say(r, COMMAND_REFUSED, "%s", err.msg);
		return;
	}
	if (o->dry_run) {
		say(o, COMMAND_DRY_RUN, "would set", before, r);
		return;
	}
	if (set(p, o, place, before, &err) < 0) {
		action_say(r, COMMAND_FAILED, "%s", err.msg);
		return;
	}
	if (process_memory(p, &memory, NULL) == 0) {
		r->rss_before = r->rss_after = memory.rss;
		r->swap_before = r->swap_after = memory.swap;
	}
	r->total_us = clock_boot_us() - start;
	if (oom_score_read(place, &now, &err) < 0)
		action_say(r, COMMAND_FAILED, "%s", err.msg);
	else if (now != o->params[OOM_SCORE_VALUE])
		action_say(r, COMMAND_FAILED,
			   "oom_score_adj was set to %" PRId64 ", but is %" PRId64,
			   o->params[OOM_SCORE_VALUE], now);
	else
		say(o, COMMAND_DONE, "set", before, r);
}
