/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/cursor.h"
#include "common/fs.h"
#include "common/sign.h"

#define RECORD_MAGIC   "MHJ1"
#define RECORD_BODY    584
#define RECORD_DIGEST  16
#define RECORD_SIZE    (RECORD_BODY + RECORD_DIGEST)
#define COMPACT_ABOVE  (3 * JOURNAL_KEEP)
#define LOCK_STEP_NS   20000000
#define HIGHEST_RECORD 1 /* beside the kept ones: the highest counter and fence */

enum record_kind { RECORD_STARTED = 1, RECORD_DONE = 2, RECORD_HIGHEST = 3 };

struct journal {
	char *path;
	int lock_fd;
	int fd;
	ino_t inode;
	off_t size;     /* of whole records that were read */
	size_t records; /* in the file */
	uint64_t counter;
	uint64_t fence;
	struct journal_entry *entries; /* JOURNAL_KEEP, oldest first */
	size_t n;
};

static void pack_record(struct buf *b, enum record_kind kind, const struct journal_entry *e)
{
	uint8_t result[COMMAND_RESULT_SIZE] = {0};
	uint8_t digest[SHA256_SIZE];
	size_t start = b->len;

	if (kind == RECORD_DONE)
		command_result_pack(result, &e->result);
	buf_put(b, RECORD_MAGIC, 4);
	buf_le32(b, kind);
	buf_le32(b, e->action);
	buf_le32(b, e->dry_run);
	buf_put(b, e->id, sizeof(e->id));
	buf_le64(b, (uint64_t)e->t_wall_us);
	buf_le32(b, e->pid);
	buf_le32(b, e->subject);
	buf_le64(b, e->start_ticks);
	buf_le64(b, e->counter);
	buf_le64(b, e->fence);
	buf_put(b, result, sizeof(result));
	if (buf_status(b) < 0)
		return;
	sha256(digest, b->data + start, RECORD_BODY);
	buf_put(b, digest, RECORD_DIGEST);
}

static int unpack_record(const uint8_t *p, enum record_kind *kind, struct journal_entry *e)
{
	struct cursor c = cursor_of(p, RECORD_BODY);
	uint8_t digest[SHA256_SIZE];
	const uint8_t *id;

	sha256(digest, p, RECORD_BODY);
	if (memcmp(digest, p + RECORD_BODY, RECORD_DIGEST) != 0 ||
	    memcmp(cursor_bytes(&c, 4), RECORD_MAGIC, 4) != 0)
		return -EBADMSG;
	*kind = cursor_le32(&c);
	*e = (struct journal_entry){.done = *kind == RECORD_DONE};
	e->action = cursor_le32(&c);
	e->dry_run = cursor_le32(&c);
	id = cursor_bytes(&c, sizeof(e->id));
	if (!id)
		return -EBADMSG;
	memcpy(e->id, id, sizeof(e->id));
	e->t_wall_us = (int64_t)cursor_le64(&c);
	e->pid = cursor_le32(&c);
	e->subject = cursor_le32(&c);
	e->start_ticks = cursor_le64(&c);
	e->counter = cursor_le64(&c);
	e->fence = cursor_le64(&c);
	if (!e->done)
		return 0;
	return command_result_unpack(cursor_bytes(&c, COMMAND_RESULT_SIZE), COMMAND_RESULT_SIZE,
				     &e->result, NULL);
}

static struct journal_entry *find(const struct journal *j, const uint8_t id[16])
{
	/* The newest are asked for most. */
	for (size_t i = j->n; i-- > 0;)
		if (memcmp(j->entries[i].id, id, 16) == 0)
			return &j->entries[i];
	return NULL;
}

static void remember(struct journal *j, enum record_kind kind, const struct journal_entry *e)
{
	struct journal_entry *old = kind == RECORD_HIGHEST ? NULL : find(j, e->id);

	j->counter = MAX_OF(j->counter, e->counter);
	j->fence = MAX_OF(j->fence, e->fence);
	if (kind == RECORD_HIGHEST)
		return;
	if (old) {
		*old = *e;
		return;
	}
	if (j->n == JOURNAL_KEEP) {
		memmove(j->entries, j->entries + 1, (JOURNAL_KEEP - 1) * sizeof(*j->entries));
		j->n--;
	}
	j->entries[j->n++] = *e;
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
	return 0;
}

/* Reads from where the last read ended. A record that is cut or damaged at the very end was being
 * written when the machine stopped: it is taken off, or what follows would be out of step. */
static int read_new(struct journal *j, struct error *err)
{
	uint8_t record[RECORD_SIZE];
	struct journal_entry e;
	enum record_kind kind;
	struct stat st;

	if (fstat(j->fd, &st) < 0)
		return error_sys(err, -errno, "cannot look at journal '%s'", j->path);
	while (j->size + RECORD_SIZE <= st.st_size) {
		if (pread(j->fd, record, sizeof(record), j->size) != (ssize_t)sizeof(record))
			return error_sys(err, -errno, "cannot read journal '%s'", j->path);
		if (unpack_record(record, &kind, &e) < 0) {
			if (j->size + 2 * RECORD_SIZE <= st.st_size)
				return error_set(err, -EBADMSG,
						 "journal '%s': record %zu is damaged", j->path,
						 j->records + 1);
			break;
		}
		remember(j, kind, &e);
		j->size += RECORD_SIZE;
		j->records++;
	}
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

static int compact(struct journal *j, struct error *err)
{
	auto_buf struct buf b = BUF_INIT((JOURNAL_KEEP + HIGHEST_RECORD) * RECORD_SIZE);
	const struct journal_entry highest = {.counter = j->counter, .fence = j->fence};
	int rc;

	pack_record(&b, RECORD_HIGHEST, &highest);
	for (size_t i = 0; i < j->n; i++)
		pack_record(&b, j->entries[i].done ? RECORD_DONE : RECORD_STARTED, &j->entries[i]);
	if (buf_status(&b) < 0)
		return error_set(err, -ENOMEM, "no memory to shorten journal '%s'", j->path);
	rc = fs_write(j->path, 0600, b.data, b.len, err);
	return rc < 0 ? rc : refresh(j, err);
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
	auto_buf struct buf b = BUF_INIT(RECORD_SIZE);
	enum record_kind kind = e->done ? RECORD_DONE : RECORD_STARTED;

	pack_record(&b, kind, e);
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
	remember(j, kind, e);
	j->size += RECORD_SIZE;
	j->records++;
	return 0;
}
