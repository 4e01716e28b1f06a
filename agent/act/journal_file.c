/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's file: opened, locked, read on, written to, shortened. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/act/journal_file.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"

#define COMPACT_ABOVE (4 * JOURNAL_KEEP)
#define LOCK_STEP_NS  20000000
#define OLD_MAX       ((size_t)4 * JOURNAL_KEEP * JOURNAL_OLD_SIZE)

static void remember(struct journal *j, const struct journal_record *r)
{
	struct journal_entry e = r->entry;
	struct journal_entry *old;

	j->counter = MAX_OF(j->counter, e.counter);
	j->fence = MAX_OF(j->fence, e.fence);
	if (r->kind == JOURNAL_ANCHOR || r->kind == JOURNAL_NOTE)
		return;
	old = journal_entry_of(j, e.id);
	journal_span(&e.result.journal, r, old);
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

int journal_read_at(const struct journal *j, uint64_t number, struct journal_record *r,
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
	int rc = journal_read_at(j, at.number + 1, &first, err);

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
