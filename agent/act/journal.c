/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/act/journal_record.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"

#define COMPACT_ABOVE (4 * JOURNAL_KEEP)
#define LOCK_STEP_NS  20000000
#define OLD_MAX       ((size_t)4 * JOURNAL_KEEP * JOURNAL_OLD_SIZE)

struct journal {
	char *path;
	int lock_fd;
	int fd;
	ino_t inode;
	off_t size;             /* of whole records that were read */
	size_t records;         /* in the file, the anchor too */
	struct journal_link at; /* the last of them */
	uint64_t base;          /* number before the file's first record */
	bool anchored;
	uint64_t counter;
	uint64_t fence;
	struct journal_entry *entries; /* JOURNAL_KEEP, oldest first */
	size_t n;
};

static struct journal_entry *find(const struct journal *j, const uint8_t id[16])
{
	/* The newest are asked for most. */
	for (size_t i = j->n; i-- > 0;)
		if (memcmp(j->entries[i].id, id, 16) == 0)
			return &j->entries[i];
	return NULL;
}

/* Where the chain tells of it: with the record that said it had started, where that is the one
 * before. */
static void fill_span(struct command_span *s, const struct journal_record *r,
		      const struct journal_entry *started)
{
	*s = (struct command_span){.last = r->number, .records = 1};
	memcpy(s->before, r->before, sizeof(s->before));
	memcpy(s->head, r->hash, sizeof(s->head));
	if (!started || started->done || started->result.journal.last + 1 != r->number)
		return;
	s->records = 2;
	memcpy(s->before, started->result.journal.before, sizeof(s->before));
}

static void remember(struct journal *j, const struct journal_record *r)
{
	struct journal_entry e = r->entry;
	struct journal_entry *old;

	j->counter = MAX_OF(j->counter, e.counter);
	j->fence = MAX_OF(j->fence, e.fence);
	if (r->kind == JOURNAL_ANCHOR || r->kind == JOURNAL_NOTE)
		return;
	old = find(j, e.id);
	fill_span(&e.result.journal, r, old);
	if (old) {
		*old = e;
		return;
	}
	if (j->n == JOURNAL_KEEP) {
		memmove(j->entries, j->entries + 1, (JOURNAL_KEEP - 1) * sizeof(*j->entries));
		j->n--;
	}
	j->entries[j->n++] = e;
}

static int open_file(struct journal *j, struct error *err)
{
	struct stat st;

	if (j->fd >= 0)
		close(j->fd);
	j->fd = open(j->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->fd < 0 || fstat(j->fd, &st) < 0)
		return error_sys(err, -errno, "cannot open journal '%s'", j->path);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return error_set(err, -EPERM,
				 "journal '%s' must be a plain file that only its owner can write",
				 j->path);
	j->inode = st.st_ino;
	j->size = 0;
	j->records = 0;
	j->n = 0;
	j->at = (struct journal_link){.number = 0};
	j->base = 0;
	j->anchored = false;
	return 0;
}

static int bad_record(const struct journal *j, const struct error *why, struct error *err)
{
	return error_set(err, -EBADMSG, "journal '%s': record %zu %s", j->path, j->records + 1,
			 why->msg);
}

/* 1 when a record was read, 0 when it was damaged: at the very end that is forgiven. */
static int read_record(struct journal *j, off_t end, struct error *err)
{
	uint8_t bytes[JOURNAL_RECORD_SIZE];
	struct journal_record r;
	struct error why = {""};

	if (pread(j->fd, bytes, sizeof(bytes), j->size) != (ssize_t)sizeof(bytes))
		return error_sys(err, -errno, "cannot read journal '%s'", j->path);
	if (journal_record_unpack(bytes, &r, &why) < 0)
		return j->size + 2 * JOURNAL_RECORD_SIZE <= end ? bad_record(j, &why, err) : 0;
	if (journal_link_follow(&j->at, &r, &why) < 0)
		return bad_record(j, &why, err);
	if (r.kind == JOURNAL_ANCHOR) {
		j->base = r.number;
		j->anchored = true;
	}
	remember(j, &r);
	j->size += JOURNAL_RECORD_SIZE;
	j->records++;
	return 1;
}

/* Reads from where the last read ended. A record that is cut or damaged at the very end was being
 * written when the machine stopped: it is taken off, or what follows would be out of step. */
static int read_new(struct journal *j, struct error *err)
{
	struct stat st;
	int rc = 1;

	if (fstat(j->fd, &st) < 0)
		return error_sys(err, -errno, "cannot look at journal '%s'", j->path);
	while (rc > 0 && j->size + JOURNAL_RECORD_SIZE <= st.st_size)
		rc = read_record(j, st.st_size, err);
	if (rc < 0)
		return rc;
	if (j->size < st.st_size && ftruncate(j->fd, j->size) < 0)
		return error_sys(err, -errno, "cannot cut journal '%s'", j->path);
	return 0;
}

static int refresh(struct journal *j, struct error *err)
{
	struct stat st;

	/* Another process may have written a shorter one in its place. */
	if (j->fd < 0 || stat(j->path, &st) < 0 || st.st_ino != j->inode || st.st_size < j->size) {
		int rc = open_file(j, err);

		if (rc < 0)
			return rc;
	}
	return read_new(j, err);
}

/* ---- a file in its place ---- */

static void pack_anchor(struct buf *b, const struct journal *j, const struct journal_link *at)
{
	struct journal_record r = {
		.kind = JOURNAL_ANCHOR,
		.number = at->number,
		.entry = {.counter = j->counter, .fence = j->fence},
	};

	memcpy(r.before, at->hash, sizeof(r.before));
	journal_record_pack(b, &r);
}

static off_t place_of(const struct journal *j, uint64_t number)
{
	return (off_t)(number - j->base - 1 + j->anchored) * JOURNAL_RECORD_SIZE;
}

static int read_at(const struct journal *j, uint64_t number, struct journal_record *r,
		   struct error *err)
{
	uint8_t bytes[JOURNAL_RECORD_SIZE];

	if (pread(j->fd, bytes, sizeof(bytes), place_of(j, number)) != (ssize_t)sizeof(bytes))
		return error_sys(err, -EIO, "cannot read journal '%s'", j->path);
	return journal_record_unpack(bytes, r, err);
}

/* The last records as they are, behind an anchor. */
static int compact(struct journal *j, struct error *err)
{
	auto_buf struct buf b = BUF_INIT((JOURNAL_HOLD + 1) * JOURNAL_RECORD_SIZE);
	const size_t keep = (size_t)JOURNAL_HOLD * JOURNAL_RECORD_SIZE;
	struct journal_link at = {.number = j->at.number - JOURNAL_HOLD};
	struct journal_record first;
	uint8_t *to;
	int rc = read_at(j, at.number + 1, &first, err);

	if (rc < 0)
		return rc;
	memcpy(at.hash, first.before, sizeof(at.hash));
	pack_anchor(&b, j, &at);
	to = buf_reserve(&b, keep);
	if (!to)
		return error_set(err, -ENOMEM, "no memory to shorten journal '%s'", j->path);
	if (pread(j->fd, to, keep, place_of(j, at.number + 1)) != (ssize_t)keep)
		return error_sys(err, -EIO, "cannot read journal '%s'", j->path);
	b.len += keep;
	rc = fs_write(j->path, 0600, b.data, b.len, err);
	return rc < 0 ? rc : refresh(j, err);
}

/* One of a former version: its records are chained behind the hash of the file. */
static int continue_old(struct journal *j, const struct buf *old, struct error *err)
{
	auto_buf struct buf b = BUF_INIT((4 * JOURNAL_KEEP + 1) * JOURNAL_RECORD_SIZE);
	struct journal_link at = {.number = 0};
	struct journal_record r;

	sha256(at.hash, old->data, old->len);
	for (size_t i = 0; i + JOURNAL_OLD_SIZE <= old->len; i += JOURNAL_OLD_SIZE) {
		struct error why = {""};

		if (journal_record_unpack_old(old->data + i, &r, &why) < 0) {
			j->records = i / JOURNAL_OLD_SIZE;
			if (i + (size_t)2 * JOURNAL_OLD_SIZE <= old->len)
				return bad_record(j, &why, err);
			break;
		}
		if (i == 0 || r.kind == JOURNAL_ANCHOR) {
			j->counter = MAX_OF(j->counter, r.entry.counter);
			j->fence = MAX_OF(j->fence, r.entry.fence);
		}
		if (i == 0)
			pack_anchor(&b, j, &at);
		if (r.kind == JOURNAL_ANCHOR)
			continue;
		r.number = at.number + 1;
		memcpy(r.before, at.hash, sizeof(r.before));
		journal_record_pack(&b, &r);
		if (buf_status(&b) < 0)
			return error_set(err, -ENOMEM, "no memory to continue journal '%s'",
					 j->path);
		at.number = r.number;
		memcpy(at.hash, r.hash, sizeof(at.hash));
	}
	return fs_write(j->path, 0600, b.data ? (const void *)b.data : "", b.len, err);
}

static int convert(struct journal *j, struct error *err)
{
	auto_buf struct buf old = BUF_INIT(OLD_MAX);
	char magic[4] = "";
	int rc;

	if (j->fd < 0) {
		rc = open_file(j, err);
		if (rc < 0)
			return rc;
	}
	if (j->size || pread(j->fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) ||
	    memcmp(magic, JOURNAL_OLD_MAGIC, sizeof(magic)) != 0)
		return 0;
	rc = fs_read(j->path, &old, err);
	if (rc == 0)
		rc = continue_old(j, &old, err);
	return rc < 0 ? rc : open_file(j, err);
}

int journal_open(const char *path, struct journal **ret, struct error *err)
{
	struct journal *j = calloc(1, sizeof(*j));
	auto_free char *lock_path = NULL;
	int rc = 0;

	if (asprintf(&lock_path, "%s.lock", path) < 0)
		lock_path = NULL;
	if (!j)
		return error_set(err, -ENOMEM, "no memory for journal '%s'", path);
	j->fd = j->lock_fd = -1;
	j->path = strdup(path);
	j->entries = calloc(JOURNAL_KEEP, sizeof(*j->entries));
	if (!lock_path || !j->path || !j->entries)
		rc = error_set(err, -ENOMEM, "no memory for journal '%s'", path);
	if (rc == 0) {
		j->lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (j->lock_fd < 0)
			rc = error_sys(err, -errno, "cannot open '%s'", lock_path);
	}
	if (rc == 0)
		rc = journal_lock(j, 0, err);
	if (rc == 0)
		journal_unlock(j);
	/* Busy: somebody acts right now, and what is written is read at the next lock. */
	if (rc < 0 && rc != -EBUSY) {
		journal_free(&j);
		return rc;
	}
	*ret = j;
	return 0;
}

void journal_free(struct journal **slot)
{
	struct journal *j = *slot;

	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	if (j->lock_fd >= 0)
		close(j->lock_fd);
	free(j->path);
	free(j->entries);
	free(j);
	*slot = NULL;
}

int journal_lock(struct journal *j, int64_t wait_us, struct error *err)
{
	const struct timespec step = {.tv_nsec = LOCK_STEP_NS};
	int64_t until = clock_boot_us() + wait_us;
	int rc;

	while (flock(j->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_sys(err, -errno, "cannot lock journal '%s'", j->path);
		if (clock_boot_us() >= until)
			return error_set(err, -EBUSY, "another action is under way on this host");
		nanosleep(&step, NULL);
	}
	rc = convert(j, err);
	if (rc == 0)
		rc = refresh(j, err);
	if (rc == 0 && j->records > COMPACT_ABOVE)
		rc = compact(j, err);
	if (rc < 0)
		journal_unlock(j);
	return rc;
}

void journal_unlock(struct journal *j)
{
	flock(j->lock_fd, LOCK_UN);
}

int journal_find(const struct journal *j, const uint8_t id[16], struct command_result *ret)
{
	const struct journal_entry *e = find(j, id);

	if (!e)
		return -ENOENT;
	if (e->done) {
		*ret = e->result;
		return 0;
	}
	*ret = (struct command_result){
		.status = COMMAND_UNKNOWN,
		.rss_before = -1,
		.rss_after = -1,
		.swap_before = -1,
		.swap_after = -1,
		.detail = "interrupted between its start and its end; not tried again",
		.journal = e->result.journal,
	};
	memcpy(ret->id, id, sizeof(ret->id));
	return 0;
}

void journal_highest(const struct journal *j, uint64_t *ret_counter, uint64_t *ret_fence)
{
	*ret_counter = j->counter;
	*ret_fence = j->fence;
}

/* What touched the process, or may have. */
static bool acted(const struct journal_entry *e)
{
	if (e->dry_run || !e->done)
		return !e->dry_run;
	/* A trim that found no safe point may be tried again; a restart that failed on its way may
	 * have been an outage. */
	return e->action == COMMAND_TRIM ? e->result.status == COMMAND_DONE
					 : command_result_acted(&e->result);
}

static bool is_alike(const struct journal_entry *e, const struct journal_entry *like)
{
	if (e->action != like->action || e->subject != like->subject)
		return false;
	return e->subject || (e->pid == like->pid && e->start_ticks == like->start_ticks);
}

int64_t journal_reach(const struct journal *j)
{
	return j->n == JOURNAL_KEEP ? j->entries[0].t_wall_us : 0;
}

unsigned journal_count(const struct journal *j, const struct journal_entry *like, int64_t since_us,
		       int64_t *ret_last_us)
{
	unsigned count = 0;

	*ret_last_us = 0;
	for (size_t i = 0; i < j->n; i++) {
		const struct journal_entry *e = &j->entries[i];

		if (!is_alike(e, like) || !acted(e))
			continue;
		*ret_last_us = MAX_OF(*ret_last_us, e->t_wall_us);
		count += e->t_wall_us >= since_us;
	}
	return count;
}

int journal_append(struct journal *j, const struct journal_entry *e, struct error *err)
{
	auto_buf struct buf b = BUF_INIT(JOURNAL_RECORD_SIZE);
	struct journal_record r = {
		.kind = e->note   ? JOURNAL_NOTE
			: e->done ? JOURNAL_DONE
				  : JOURNAL_STARTED,
		.entry = *e,
		.number = j->at.number + 1,
	};

	memcpy(r.before, j->at.hash, sizeof(r.before));
	journal_record_pack(&b, &r);
	if (buf_status(&b) < 0)
		return error_set(err, -ENOMEM, "no memory to write journal '%s'", j->path);
	errno = ENOSPC; /* what a short write means */
	if (write(j->fd, b.data, b.len) != (ssize_t)b.len || fdatasync(j->fd) < 0) {
		int rc = -errno;

		/* A part of it would put all that follows out of step. */
		if (ftruncate(j->fd, j->size) < 0)
			rc = -errno;
		return error_sys(err, rc, "cannot write journal '%s'", j->path);
	}
	remember(j, &r);
	j->at.number = r.number;
	memcpy(j->at.hash, r.hash, sizeof(j->at.hash));
	j->size += JOURNAL_RECORD_SIZE;
	j->records++;
	return 0;
}

void journal_head(const struct journal *j, struct command_span *ret)
{
	*ret = (struct command_span){.last = j->at.number};
	memcpy(ret->before, j->at.hash, sizeof(ret->before));
	memcpy(ret->head, j->at.hash, sizeof(ret->head));
}

/* ---- what no result tells ---- */

/* A start whose end is not the next record was cut short. */
static bool is_news(const struct journal_record *r, const struct journal_record *next)
{
	if (r->kind == JOURNAL_STARTED)
		return !next || next->kind != JOURNAL_DONE ||
		       memcmp(r->entry.id, next->entry.id, sizeof(r->entry.id)) != 0;
	return r->kind == JOURNAL_NOTE || (r->kind == JOURNAL_DONE && !r->entry.counter);
}

static void fill_news(const struct journal *j, struct journal_news *n,
		      const struct journal_record *r, const struct journal_record *before)
{
	bool started = r->kind == JOURNAL_DONE && before && before->kind == JOURNAL_STARTED &&
		       memcmp(before->entry.id, r->entry.id, sizeof(r->entry.id)) == 0;
	struct journal_entry start = {.done = false};

	n->any = true;
	n->by_hand = !r->entry.counter;
	n->entry = r->entry;
	n->entry.note = r->kind == JOURNAL_NOTE;
	if (r->kind == JOURNAL_STARTED && journal_find(j, r->entry.id, &n->entry.result) < 0)
		n->entry.result = (struct command_result){.status = COMMAND_UNKNOWN};
	if (started)
		fill_span(&start.result.journal, before, NULL);
	fill_span(&n->entry.result.journal, r, started ? &start : NULL);
}

int journal_next(const struct journal *j, uint64_t after, struct journal_news *ret,
		 struct error *err)
{
	struct journal_record r[3] = {{.number = 0}}; /* the one before, this one, the next */
	int rc = 0;

	*ret = (struct journal_news){.through = MAX_OF(after, j->base)};
	/* One that goes back is not waited for. */
	if (after > j->at.number)
		ret->through = j->at.number;
	for (uint64_t n = ret->through + 1; rc == 0 && n <= j->at.number; n++) {
		bool first = n == j->base + 1;

		if (!first)
			rc = read_at(j, n - 1, &r[0], err);
		if (rc == 0)
			rc = read_at(j, n, &r[1], err);
		if (rc == 0 && n < j->at.number)
			rc = read_at(j, n + 1, &r[2], err);
		if (rc < 0)
			break;
		ret->through = n;
		if (is_news(&r[1], n < j->at.number ? &r[2] : NULL)) {
			fill_news(j, ret, &r[1], first ? NULL : &r[0]);
			break;
		}
	}
	return rc;
}
