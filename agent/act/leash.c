/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/leash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/act/oom_score.h"
#include "agent/act/process.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/sign.h"
#include "common/str.h"

#define TEXT_MAX (LEASHES_MAX * (CGROUP_PATH_SIZE + 256))
/* A healthy service at its limit reclaims now and then; measured, one that leaks against
 * memory.high without swap waits 10 to 46 % of the time, 130 times a second. */
#define FULL_PERCENT 20
#define EVENTS_A_SEC 50

const char *leash_judge(const struct leash_sight *a, const struct leash_sight *b)
{
	int64_t us = b->t_us - a->t_us;

	if (us < (LEASH_WINDOW - 1) * USEC_PER_SEC)
		return NULL;
	if (a->full >= 0 && b->full >= a->full && (b->full - a->full) * 100 >= us * FULL_PERCENT)
		return "all of it waited for memory for a fifth of the time";
	if (a->events >= 0 && b->events >= a->events &&
	    (b->events - a->events) * USEC_PER_SEC >= us * EVENTS_A_SEC)
		return "it was held up at the limit over 50 times a second";
	return NULL;
}

/* ---- what is on a leash: a file of a cgroup, or a process's oom_score_adj ---- */

static bool is_score(const struct leash *o)
{
	return strcmp(o->file, OOM_SCORE_FILE) == 0;
}

static int number_of(const struct leash *o, int64_t *ret)
{
	return is_score(o) ? oom_score_read(o->folder, ret, NULL)
			   : cgroup_number(o->folder, o->file, ret);
}

static int put(const struct leash *o, int64_t value, struct error *err)
{
	return is_score(o) ? oom_score_write(o->folder, value, err)
			   : cgroup_set(o->folder, o->file, value, err);
}

/* The kernel keeps limits in pages. */
static bool is_as_set(const struct leash *o, int64_t now)
{
	return is_score(o) ? now == o->set : now / 4096 == o->set / 4096;
}

/* ---- the file: one line a leash ---- */

void leashes_path(char out[LEASH_PATH_SIZE], const char *journal)
{
	snprintf(out, LEASH_PATH_SIZE, "%.1000s.limits", journal);
}

int leashes_lock(const char *path, struct error *err)
{
	char name[CGROUP_PATH_SIZE];
	auto_close int fd = -1;

	snprintf(name, sizeof(name), "%s.lock", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return error_sys(err, -errno, "cannot lock '%s'", name);
	return take_fd(fd);
}

void leashes_unlock(int *lock)
{
	if (*lock >= 0)
		close(*lock);
	*lock = -1;
}

static int take_line(struct leashes *l, const char *line, const uint8_t boot_id[16])
{
	struct leash *one = &l->at[l->n];
	char boot[33], mine[33], id[33];

	if (l->n == LEASHES_MAX)
		return -ENOSPC;
	*one = (struct leash){.n = 0};
	if (sscanf(line,
		   "%32s %31s %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %32s %" SCNu32
		   " %2047[^\n]",
		   boot, one->file, &one->before, &one->set, &one->until_us, &one->since_us, id,
		   &one->pid, one->folder) == 9) {
		if (str_unhex(one->id, sizeof(one->id), id) < 0)
			return -EBADMSG;
	} else if (sscanf(line, "%32s %31s %" SCNd64 " %" SCNd64 " %" SCNd64 " %2047[^\n]", boot,
			  one->file, &one->before, &one->set, &one->until_us, one->folder) != 6) {
		return -EBADMSG; /* the second is of memherd before 0.2 */
	}
	if (one->folder[0] != '/' || strchr(one->file, '/') ||
	    (!str_starts(one->file, "memory.") && !is_score(one)))
		return -EBADMSG;
	str_hex(mine, boot_id, 16);
	l->n += strcmp(boot, mine) == 0;
	return 0;
}

int leashes_load(struct leashes *l, const char *path, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(TEXT_MAX);
	char *rest;
	int rc;

	memmove(l->path, path, strlen(path) + 1);
	l->n = 0;
	rc = process_boot_id(l->boot_id, err);
	if (rc < 0 || access(path, F_OK) < 0)
		return rc;
	rc = fs_check_root_owned(path, err);
	if (rc == 0)
		rc = fs_read(path, &text, err);
	if (rc < 0 || !text.len)
		return rc;
	buf_putc(&text, '\0');
	rest = (char *)text.data;
	for (char *line; (line = strsep(&rest, "\n"));) {
		int bad = *line ? take_line(l, line, l->boot_id) : 0;

		if (bad)
			rc = error_set(err, bad, "'%s': '%.100s' is no limit of ours", path, line);
	}
	return rc;
}

static int save(const struct leashes *l, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(TEXT_MAX);
	char boot[33], id[33];

	str_hex(boot, l->boot_id, 16);
	for (unsigned i = 0; i < l->n; i++) {
		const struct leash *o = &l->at[i];

		str_hex(id, o->id, sizeof(o->id));
		buf_printf(&text,
			   "%s %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %s %" PRIu32
			   " %s\n",
			   boot, o->file, o->before, o->set, o->until_us, o->since_us, id, o->pid,
			   o->folder);
	}
	if (buf_status(&text) < 0)
		return error_set(err, -ENOMEM, "no memory for '%s'", l->path);
	return fs_write(l->path, 0600, text.data ? (const void *)text.data : "", text.len, err);
}

static struct leash *find(struct leashes *l, const struct leash *like)
{
	for (unsigned i = 0; i < l->n; i++)
		if (strcmp(l->at[i].folder, like->folder) == 0 &&
		    strcmp(l->at[i].file, like->file) == 0)
			return &l->at[i];
	return NULL;
}

int leashes_add(struct leashes *l, const struct leash *one, struct error *err)
{
	struct leash *at = find(l, one);
	struct leash was = at ? *at : *one;
	int rc;

	if (!at && l->n == LEASHES_MAX)
		return error_set(err, -ENOSPC, "%d limits are set already", LEASHES_MAX);
	if (!at)
		at = &l->at[l->n++];
	*at = *one;
	at->before = was.before;
	rc = save(l, err);
	if (rc == 0)
		rc = put(one, one->set, err);
	return rc;
}

int leashes_put(const char *journal, const struct leash *one, struct error *err)
{
	char path[LEASH_PATH_SIZE];
	struct leashes *l = calloc(1, sizeof(*l));
	int lock, rc;

	leashes_path(path, journal);
	lock = l ? leashes_lock(path, err) : error_set(err, -ENOMEM, "no memory");
	rc = lock < 0 ? lock : leashes_load(l, path, err);

	if (rc == 0)
		rc = leashes_add(l, one, err);
	leashes_unlock(&lock);
	free(l);
	return rc;
}

/* ---- watching ---- */

static struct leash_sight look(const struct leash *o, int64_t boot_us)
{
	bool v2 = !strstr(o->file, "_in_bytes");

	return (struct leash_sight){
		.t_us = boot_us,
		.full = v2 ? cgroup_word(o->folder, "memory.pressure", "full") : -1,
		.events = v2 ? cgroup_word(o->folder, "memory.events",
					   strcmp(o->file, "memory.high") == 0 ? "high" : "max")
			     : cgroup_word(o->folder, "memory.failcnt", ""),
	};
}

static const char *reason_of(struct leash *o, int64_t boot_us)
{
	if (boot_us >= o->until_us)
		return "its time is over";
	if (is_score(o))
		return NULL;
	if (o->n == ARRAY_SIZE(o->sights))
		memmove(o->sights, o->sights + 1, --o->n * sizeof(o->sights[0]));
	o->sights[o->n++] = look(o, boot_us);
	return leash_judge(&o->sights[0], &o->sights[o->n - 1]);
}

static void tell_end(const struct leashes *l, const struct leash *o, int64_t boot_us,
		     const char *what, const char *why)
{
	char text[256], span[STR_UNIT_SIZE];

	if (!l->on_end)
		return;
	if (o->since_us > 0)
		snprintf(text, sizeof(text), "%s after %s: %s", what,
			 str_duration(span, MAX_OF(boot_us - o->since_us, (int64_t)0)), why);
	else
		snprintf(text, sizeof(text), "%s: %s", what, why);
	l->on_end(l->arg, o, text);
}

/* What somebody else has set meanwhile is theirs. */
static void take_back(const struct leashes *l, const struct leash *o, int64_t boot_us,
		      const char *why)
{
	struct error err = {""};
	int64_t now;

	if (number_of(o, &now) < 0) {
		log_info("limit cgroup='%s' event=gone", o->folder);
		tell_end(l, o, boot_us, "over",
			 is_score(o) ? "the process is gone" : "its cgroup is gone");
		return;
	}
	if (!is_as_set(o, now)) {
		log_warn("limit cgroup='%s' file=%s event=left why='it was changed by somebody "
			 "else'",
			 o->folder, o->file);
		tell_end(l, o, boot_us, "over", "it was changed by somebody else, and is left");
		return;
	}
	if (put(o, o->before, &err) < 0) {
		log_error("limit cgroup='%s' error='%s'", o->folder, err.msg);
		tell_end(l, o, boot_us, "could not be taken back", err.msg);
		return;
	}
	log_warn("limit cgroup='%s' file=%s event=taken_back why='%s'", o->folder, o->file, why);
	tell_end(l, o, boot_us, "taken back", why);
}

/* What others have added since; what was seen of those that are known stays. */
static int refresh(struct leashes *l, struct error *err)
{
	struct leashes *now = calloc(1, sizeof(*now));
	leash_end *on_end = l->on_end;
	void *arg = l->arg;
	int rc;

	if (!now)
		return error_set(err, -ENOMEM, "no memory for limits");
	rc = leashes_load(now, l->path, err);
	for (unsigned i = 0; i < now->n; i++) {
		const struct leash *was = find(l, &now->at[i]);

		if (!was || was->set != now->at[i].set)
			continue;
		now->at[i].n = was->n;
		memcpy(now->at[i].sights, was->sights, sizeof(was->sights));
	}
	*l = *now;
	l->on_end = on_end;
	l->arg = arg;
	free(now);
	return rc;
}

static void turn(struct leashes *l, int64_t boot_us, const char *all)
{
	struct error err = {""};
	int lock = leashes_lock(l->path, &err);
	unsigned kept = 0;

	if (lock < 0 || refresh(l, &err) < 0)
		log_error("limits error='%s'", err.msg);
	for (unsigned i = 0; i < l->n; i++) {
		const char *why = all ? all : reason_of(&l->at[i], boot_us);

		if (why)
			take_back(l, &l->at[i], boot_us, why);
		else if (kept++ != i)
			l->at[kept - 1] = l->at[i];
	}
	if (kept != l->n) {
		l->n = kept;
		if (save(l, &err) < 0)
			log_error("limits error='%s'", err.msg);
	}
	leashes_unlock(&lock);
}

void leashes_turn(struct leashes *l, int64_t boot_us)
{
	turn(l, boot_us, NULL);
}

void leashes_drop(struct leashes *l, const char *why)
{
	turn(l, clock_boot_us(), why);
}
