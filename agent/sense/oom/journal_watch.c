/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/journal_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/sense/oom/journal_entry.h"
#include "agent/sense/oom/journal_files.h"
#include "agent/sense/oom/sdjournal.h"
#include "agent/sense/procfs.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define CURSOR_SIZE 512
#define PATH_SIZE   512
/* journald writes through a mapping and touches the file some time later. */
#define MTIME_SLACK_US (10 * USEC_PER_SEC)

struct journal_watch {
	struct journal_folders folders;
	char library[PATH_SIZE];
	char proc[PATH_SIZE];
	char boot_id[33];
	int64_t lookback_us;
	struct sdjournal lib;
	struct sd_journal *sd;          /* NULL = closed */
	struct journal_current current; /* what was the current file when it was opened */
	bool wanted;
	int64_t needed_us;        /* when it was wanted last */
	int64_t retry_us;         /* not before; 0 = no failure */
	int told;                 /* the failure that was returned last; 0 = none since it worked */
	char cursor[CURSOR_SIZE]; /* the last entry that was read; "" = none */
	int64_t since_us;         /* all that is older was read, or is too old; 0 = never polled */
	struct journal_states states;
	struct journal_watch_counts counts;
};

/* ---- what there is ---- */

static int read_boot_id(const char *proc, char out[33], struct error *err)
{
	char path[PATH_SIZE];
	char text[64];
	uint8_t uuid[16];
	int rc = snprintf(path, sizeof(path), "%s/sys/kernel/random/boot_id", proc);

	if (rc >= (int)sizeof(path))
		return error_set(err, -ENAMETOOLONG, "the name of '%s' is too long", proc);
	rc = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	if (rc < 0)
		return error_sys(err, rc, "cannot read '%s'", path);
	if (uuid_parse(uuid, str_trim(text)) < 0)
		return error_set(err, -EBADMSG, "no boot id in '%s'", path);
	str_hex(out, uuid, sizeof(uuid));
	return 0;
}

static bool copy_config(struct journal_watch *j, const struct journal_watch_config *c)
{
	j->lookback_us = c->lookback_us;
	j->folders.n = c->dir ? 1 : 0;
	return str_copy(j->folders.path[0], sizeof(j->folders.path[0]), c->dir ? c->dir : "") &&
	       str_copy(j->library, sizeof(j->library),
			c->library ? c->library : SDJOURNAL_LIBRARY) &&
	       str_copy(j->proc, sizeof(j->proc), c->proc ? c->proc : "/proc") &&
	       str_copy(j->boot_id, sizeof(j->boot_id), c->boot_id ? c->boot_id : "");
}

int journal_watch_new(const struct journal_watch_config *c, struct journal_watch **ret,
		      struct error *err)
{
	auto_free struct journal_watch *j = calloc(1, sizeof(*j));
	struct sdjournal lib;
	int rc;

	if (!j)
		return error_set(err, -ENOMEM, "no memory for the journal");
	if (!copy_config(j, c))
		return error_set(err, -ENAMETOOLONG, "a name of the journal is too long");
	rc = *j->boot_id ? 0 : read_boot_id(j->proc, j->boot_id, err);
	if (rc == 0 && !j->folders.n)
		rc = journal_folders_of_system(&j->folders, err);
	if (rc == 0)
		rc = journal_folders_check(&j->folders, err);
	if (rc == 0)
		rc = sdjournal_load(j->library, &lib, err);
	if (rc < 0)
		return rc;
	sdjournal_unload(&lib);
	*ret = take_ptr(j);
	return 0;
}

/* ---- open and close ---- */

static int close_sd(void *arg)
{
	struct journal_watch *j = arg;

	j->lib.close(j->sd);
	return 0;
}

static void shut(struct journal_watch *j)
{
	/* What cannot be closed is left where it is: rather some memory than the process. */
	if (!j->sd || sdjournal_guard(close_sd, j) == 0)
		sdjournal_unload(&j->lib);
	j->lib.handle = NULL;
	j->sd = NULL;
	j->counts.open = false;
}

static int match_len(struct journal_watch *j, const char *field, const char *value, size_t len)
{
	char term[320];
	int n = snprintf(term, sizeof(term), "%s=%.*s", field, (int)len, value);

	return j->lib.add_match(j->sd, term, (size_t)n);
}

static int match(struct journal_watch *j, const char *field, const char *value)
{
	return match_len(j, field, value, strlen(value));
}

/* The terms of one alternative are joined with AND; equal fields with OR. */
static int match_by_unit(struct journal_watch *j)
{
	int rc = match(j, "_BOOT_ID", j->boot_id);

	for (enum killer k = 0; rc >= 0 && k < KILLER_COUNT; k++)
		if (journal_unit(k))
			rc = match(j, "_SYSTEMD_UNIT", journal_unit(k));
	return rc < 0 ? rc : j->lib.add_disjunction(j->sd);
}

static int match_by_name(struct journal_watch *j)
{
	int rc = match(j, "_BOOT_ID", j->boot_id);

	for (enum killer k = 0; rc >= 0 && k < KILLER_COUNT; k++) {
		const char *unit = journal_unit(k);

		if (unit)
			rc = match_len(j, "_COMM", unit, journal_name_len(unit));
	}
	if (rc >= 0)
		rc = match(j, "_UID", "0");
	return rc < 0 ? rc : j->lib.add_disjunction(j->sd);
}

static int match_by_pid1(struct journal_watch *j)
{
	int rc = match(j, "_BOOT_ID", j->boot_id);

	if (rc >= 0)
		rc = match(j, "_PID", "1");
	if (rc >= 0)
		rc = match(j, "MESSAGE_ID", KILLER_MESSAGE_UNIT_OOM);
	if (rc >= 0)
		rc = match(j, "MESSAGE_ID", KILLER_MESSAGE_UNIT_OOMD);
	if (rc >= 0)
		rc = match(j, "MESSAGE_ID", KILLER_MESSAGE_STOPPING);
	if (rc >= 0)
		rc = match(j, "MESSAGE_ID", KILLER_MESSAGE_STOPPED);
	return rc;
}

static int set_up(struct journal_watch *j)
{
	int rc = j->lib.set_data_threshold(j->sd, JOURNAL_MESSAGE_SIZE);

	if (rc >= 0)
		rc = match_by_unit(j);
	if (rc >= 0)
		rc = match_by_name(j);
	if (rc >= 0)
		rc = match_by_pid1(j);
	if (rc < 0)
		return rc;
	if (*j->cursor)
		return j->lib.seek_cursor(j->sd, j->cursor);
	return j->lib.seek_realtime_usec(j->sd, (uint64_t)j->since_us);
}

/* One broken file among them would keep the library from opening any. */
static void drop_broken(struct journal_watch *j, const char *paths[JOURNAL_MAX_FILES + 1])
{
	size_t n = 0;

	for (size_t i = 0; paths[i]; i++) {
		const char *one[] = {paths[i], NULL};

		if (j->lib.open_files(&j->sd, one, 0) < 0) {
			j->counts.errors++;
			continue;
		}
		j->lib.close(j->sd);
		paths[n++] = paths[i];
	}
	j->sd = NULL;
	paths[n] = NULL;
}

static int open_files(struct journal_watch *j)
{
	const char *paths[JOURNAL_MAX_FILES + 1] = {NULL};
	struct journal_files files;
	int rc;

	journal_folders_list(&j->folders, j->since_us - MTIME_SLACK_US, &files);
	j->counts.left_out += files.left_out;
	for (size_t i = 0; i < files.n; i++)
		paths[i] = files.path[i];
	if (!files.n)
		return -ENOENT;
	rc = j->lib.open_files(&j->sd, paths, 0);
	if (rc >= 0)
		return rc;
	drop_broken(j, paths);
	return paths[0] ? j->lib.open_files(&j->sd, paths, 0) : rc;
}

static int open_up(struct journal_watch *j)
{
	int rc;

	/* First: what is rotated from here on is seen as a change at the next poll. */
	journal_folders_current(&j->folders, &j->current);
	rc = open_files(j);
	if (rc < 0)
		j->sd = NULL;
	else
		rc = set_up(j);
	if (rc >= 0)
		j->counts.open = true;
	return rc;
}

void journal_watch_free(struct journal_watch **j)
{
	if (!*j)
		return;
	shut(*j);
	free(*j);
	*j = NULL;
}

void journal_watch_want(struct journal_watch *j, bool wanted)
{
	j->wanted = wanted;
}

const struct journal_watch_counts *journal_watch_counts(const struct journal_watch *j)
{
	return &j->counts;
}

/* ---- one entry ---- */

/* A field's value into out, cut at size; its length, 0 when there is none or it cannot be read. */
static size_t get(struct journal_watch *j, const char *field, char *out, size_t size)
{
	const void *data = NULL;
	size_t skip = strlen(field) + 1;
	size_t len = 0;

	*out = '\0';
	if (j->lib.get_data(j->sd, field, &data, &len) < 0 || len < skip)
		return 0;
	len = MIN_OF(len - skip, size - 1);
	memcpy(out, (const char *)data + skip, len);
	out[len] = '\0';
	return len;
}

static int64_t get_number(struct journal_watch *j, const char *field, int64_t absent)
{
	char text[24];
	int64_t v;

	return get(j, field, text, sizeof(text)) && str_parse_int(text, &v) == 0 && v >= 0 ? v
											   : absent;
}

static void read_entry(struct journal_watch *j, struct journal_entry *e)
{
	uint64_t received = 0;

	(void)get(j, "_SYSTEMD_UNIT", e->unit, sizeof(e->unit));
	(void)get(j, "_COMM", e->comm, sizeof(e->comm));
	(void)get(j, "MESSAGE_ID", e->message_id, sizeof(e->message_id));
	(void)get(j, "UNIT", e->about_unit, sizeof(e->about_unit));
	(void)get(j, "N_PROCESSES", e->n_processes, sizeof(e->n_processes));
	(void)get(j, "JOB_TYPE", e->job_type, sizeof(e->job_type));
	e->message_len = get(j, "MESSAGE", e->message, sizeof(e->message));
	e->pid = get_number(j, "_PID", 0);
	e->uid = get_number(j, "_UID", -1);
	/* The kernel stamped the datagram; a stream's line has only the time of its receipt. */
	(void)j->lib.get_realtime_usec(j->sd, &received);
	e->wall_us = get_number(j, "_SOURCE_REALTIME_TIMESTAMP", (int64_t)received);
}

enum place { PLACE_OURS, PLACE_FOREIGN, PLACE_UNKNOWN };

/* Does the process that wrote the line still have its pid? Who got it later began after the line.
 * Names do not tell: journald may know the one from before an exec. */
static bool is_still_there(const struct journal_watch *j, const struct journal_entry *e)
{
	int64_t line_boot_us = clock_boot_us() - (clock_wall_us() - e->wall_us);
	int64_t tick_us = USEC_PER_SEC / MAX_OF(sysconf(_SC_CLK_TCK), 1L);
	char path[PATH_SIZE + 64];
	char text[1024];
	struct procfs_stat st;
	int n;

	if (!e->pid)
		return false;
	snprintf(path, sizeof(path), "%s/%lld/stat", j->proc, (long long)e->pid);
	n = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	return n > 0 && procfs_parse_stat(text, (size_t)n, &st) == 0 &&
	       (int64_t)st.start_ticks * tick_us <= line_boot_us + tick_us;
}

/* In whose pid namespace the program that wrote the line counts. */
static enum place place_of(const struct journal_watch *j, const struct journal_entry *e)
{
	char path[PATH_SIZE + 64];
	struct stat ours;
	struct stat theirs;

	if (!is_still_there(j, e))
		return PLACE_UNKNOWN;
	snprintf(path, sizeof(path), "%s/%lld/ns/pid", j->proc, (long long)e->pid);
	if (stat(path, &theirs) < 0)
		return PLACE_UNKNOWN;
	snprintf(path, sizeof(path), "%s/self/ns/pid", j->proc);
	if (stat(path, &ours) < 0)
		return PLACE_UNKNOWN;
	return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino ? PLACE_OURS
									    : PLACE_FOREIGN;
}

/* A line about a process is of the namespace of who wrote it, one that names a cgroup or unit of
 * the host. Services are started in PID 1's, which is the journal's; root under a name may be in
 * any container. */
static bool is_ours(const struct journal_watch *j, const struct journal_entry *e,
		    enum journal_trust trust, const struct killer_note *n)
{
	enum place p;

	if (!n->pid && *n->target)
		return true;
	p = place_of(j, e);
	return p == PLACE_OURS || (p == PLACE_UNKNOWN && trust == JOURNAL_BY_UNIT);
}

/* 1 = a note was handed out. */
static int take_entry(struct journal_watch *j, journal_watch_note_fn *on_note, void *arg)
{
	struct journal_entry e;
	struct killer_note n;
	enum journal_trust trust;

	j->counts.entries++;
	read_entry(j, &e);
	trust = journal_entry_judge(&j->states, &e, &n);
	if (trust == JOURNAL_NOBODY)
		return 0;
	if (!is_ours(j, &e, trust, &n)) {
		j->counts.foreign++;
		return 0;
	}
	j->counts.notes++;
	on_note(&n, arg);
	return 1;
}

/* ---- the turn ---- */

/* After seek_cursor() the entry of the cursor comes first, if it still exists. */
static bool was_read(struct journal_watch *j)
{
	return *j->cursor && j->lib.test_cursor(j->sd, j->cursor) > 0;
}

static int remember(struct journal_watch *j)
{
	auto_free char *cursor = NULL;
	int rc = j->lib.get_cursor(j->sd, &cursor);

	if (rc < 0)
		return rc;
	if (strlen(cursor) >= sizeof(j->cursor))
		return -E2BIG; /* one that is cut would lead elsewhere */
	(void)str_copy(j->cursor, sizeof(j->cursor), cursor);
	return 0;
}

struct turn {
	struct journal_watch *j;
	int64_t now_us;
	unsigned budget;
	journal_watch_note_fn *on_note;
	void *arg;
	int notes;
};

/* Until the end, or until the budget is used up: how many entries were read. */
static int read_entries(struct turn *t)
{
	struct journal_watch *j = t->j;
	int rc = 1;
	unsigned n;

	for (n = 0; n < t->budget; n++) {
		rc = j->lib.next(j->sd);
		if (rc <= 0)
			break;
		if (was_read(j))
			continue;
		rc = remember(j);
		if (rc < 0)
			break;
		t->notes += take_entry(j, t->on_note, t->arg);
	}
	return rc < 0 ? rc : (int)n;
}

static int read_on(void *arg)
{
	struct turn *t = arg;
	int rc = t->j->sd ? 0 : open_up(t->j);

	if (rc >= 0)
		rc = read_entries(t);
	/* Below the budget means at the end. */
	if (rc >= 0 && (unsigned)rc < t->budget)
		t->j->since_us = t->now_us;
	return rc;
}

static int fail(struct journal_watch *j, int rc, int64_t now_us)
{
	bool again = rc == j->told;

	shut(j);
	j->counts.errors++;
	j->retry_us = now_us + JOURNAL_RETRY_US;
	j->told = rc;
	return again ? 0 : rc;
}

/* Whether it is wanted, and not resting. A clock that was set back ends the rest. */
static bool is_due(struct journal_watch *j, int64_t now_us)
{
	if (!j->wanted) {
		int64_t idle = now_us - j->needed_us;

		if (j->sd && (idle < 0 || idle >= JOURNAL_LINGER_US))
			shut(j);
		return false;
	}
	j->needed_us = now_us;
	return now_us >= j->retry_us || j->retry_us - now_us > JOURNAL_RETRY_US;
}

/* The current file is another one: the rest of the old one and the new one are found anew. */
static bool was_rotated(const struct journal_watch *j)
{
	struct journal_current now;

	journal_folders_current(&j->folders, &now);
	return memcmp(&now, &j->current, sizeof(now)) != 0;
}

static void skip_to(struct journal_watch *j, int64_t since_us)
{
	j->since_us = since_us;
	*j->cursor = '\0';
}

int journal_watch_poll(struct journal_watch *j, int64_t now_us, unsigned budget,
		       journal_watch_note_fn *on_note, void *arg, struct error *err)
{
	struct turn t = {j, now_us, budget, on_note, arg, 0};
	int rc = 0;

	if (!is_due(j, now_us))
		return 0;
	if (j->sd && was_rotated(j))
		shut(j);
	if (!j->sd && (!j->since_us || now_us - j->since_us > JOURNAL_FORGET_US))
		skip_to(j, MAX_OF(now_us - j->lookback_us, 1));
	if (!j->lib.handle)
		rc = sdjournal_load(j->library, &j->lib, err);
	if (rc < 0)
		return fail(j, rc, now_us);
	rc = sdjournal_guard(read_on, &t);
	if (rc < 0)
		return fail(j, error_sys(err, rc, "cannot read systemd's journal"), now_us);
	j->told = 0;
	return t.notes;
}
