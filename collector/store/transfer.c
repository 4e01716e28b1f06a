/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/store/db_sync.h"
#include "collector/store/embedded_bin.h"
#include "collector/store/migrate.h"
#include "common/fs.h"
#include "common/str.h"

#define HEAD      "memherd-db 1 schema "
#define HEAD_SIZE 64

/* ---- bytes ---- */

/* Bytes read: less than len only at the end. */
static ssize_t read_all(int fd, void *data, size_t len)
{
	uint8_t *p = data;
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, p + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static int write_length(int fd, uint32_t n)
{
	const uint8_t b[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
			      (uint8_t)n};

	return fs_write_all(fd, b, sizeof(b));
}

/* ---- the programs ---- */

struct program {
	pid_t pid;
	int fd; /* ours: of its output, or of its input */
};

/* Runs 'name' with stdout (or stdin) to us. Whose database stands in the environment: a password
 * among the arguments would be seen by everybody. */
static int start(struct program *p, const struct transfer *t, const char *name,
		 const char *const *args, bool to_us, struct error *err)
{
	char dir[PATH_MAX], path[PATH_MAX + 16];
	const char *argv[12] = {name};
	int fds[2];

	if (t->bin_dir)
		snprintf(path, sizeof(path), "%s/%s", t->bin_dir, name);
	else if (embedded_bin_find(0, NULL, dir, NULL) == 0)
		snprintf(path, sizeof(path), "%s/%s", dir, name);
	else
		(void)str_copy(path, sizeof(path), name);
	for (size_t i = 0; args[i]; i++)
		argv[i + 1] = args[i];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_sys(err, -errno, "pipe");
	p->pid = fork();
	if (p->pid < 0)
		return error_sys(err, -errno, "fork");
	if (p->pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		if (dup2(to_us ? fds[1] : fds[0], to_us ? STDOUT_FILENO : STDIN_FILENO) >= 0)
			execvp(path, (char *const *)(uintptr_t)argv);
		fprintf(stderr, "cannot run '%s': %s; install postgresql-client\n", path,
			strerror(errno));
		_exit(127);
	}
	close(to_us ? fds[1] : fds[0]);
	p->fd = to_us ? fds[0] : fds[1];
	return 0;
}

static int finish(struct program *p, const char *name, struct error *err)
{
	int status;

	if (p->fd >= 0)
		close(p->fd);
	while (waitpid(p->pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_sys(err, -errno, "%s", name);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return error_set(err, -EIO, "%s failed: its message is above", name);
}

/* ---- what is there ---- */

struct database {
	char name[128];
	int64_t tables;
	int64_t collectors;
	int schema;
};

static int look(const struct transfer *t, struct database *ret, struct error *err)
{
	struct db_sync *s = NULL;
	struct db_result *r;
	int rc = db_sync_open(t->conninfo, t->relaxed, &s, err);

	if (rc < 0)
		return rc;
	rc = db_sync_query(s, Q_TRANSFER_CHECK, NULL, 0, &r, err);
	if (rc == 0) {
		(void)str_copy(ret->name, sizeof(ret->name), db_text(r, 0, 0));
		ret->tables = db_int(r, 0, 1);
		ret->collectors = db_int(r, 0, 2);
		db_result_free(&r);
		rc = ret->schema = migrate_version(s, err);
	}
	db_sync_free(&s);
	if (rc >= 0)
		rc = db_sync_environment(t->conninfo, err);
	return rc < 0 ? rc : 0;
}

/* ---- export ---- */

static int pump_out(int from, int to, struct error *err)
{
	uint8_t block[TRANSFER_BLOCK];
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = read_all(from, block, sizeof(block))) > 0) {
		rc = write_length(to, (uint32_t)n);
		if (rc == 0)
			rc = fs_write_all(to, block, (size_t)n);
	}
	return rc < 0 ? error_sys(err, rc, "cannot write the file") : 0;
}

static int export_to(const struct transfer *t, const struct database *d, int fd, struct error *err)
{
	char head[HEAD_SIZE], name[160];
	const char *const args[] = {"--format=custom", "--no-owner", "--no-privileges",
				    "--dbname",        name,         NULL};
	struct program p;
	int n = snprintf(head, sizeof(head), HEAD "%d\n", d->schema);
	int rc = fs_write_all(fd, head, (size_t)n), ended;

	snprintf(name, sizeof(name), "%s", d->name);
	if (rc < 0)
		return error_sys(err, rc, "cannot write the file");
	rc = start(&p, t, "pg_dump", args, true, err);
	if (rc < 0)
		return rc;
	rc = pump_out(p.fd, fd, err);
	ended = finish(&p, "pg_dump", rc < 0 ? NULL : err);
	rc = rc < 0 ? rc : ended;
	if (rc < 0)
		return rc;
	rc = write_length(fd, 0);
	if (rc == 0 && fd != STDOUT_FILENO && fsync(fd) < 0)
		rc = -errno;
	return rc < 0 ? error_sys(err, rc, "cannot write the file") : 0;
}

int transfer_export(const struct transfer *t, const char *file, struct error *err)
{
	bool out = strcmp(file, "-") == 0;
	struct database d;
	int fd = STDOUT_FILENO, rc = look(t, &d, err);

	if (rc < 0)
		return rc;
	if (d.schema == 0)
		return error_set(err, -EPROTO, "database '%s' holds nothing of memherd", d.name);
	if (d.schema > migrate_newest())
		return error_set(err, -EPROTO, "schema %d is newer than this program knows (%d)",
				 d.schema, migrate_newest());
	if (out && isatty(fd))
		return error_set(err, -EINVAL, "the export is not for a terminal: name a file");
	if (!out)
		fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_sys(err, -errno, "cannot make '%s'", file);
	rc = export_to(t, &d, fd, err);
	if (!out)
		close(fd);
	if (!out && rc < 0)
		(void)unlink(file); /* half of one is of no use */
	return rc;
}

/* ---- import ---- */

static int read_head(int fd, int *ret_schema, struct error *err)
{
	char head[HEAD_SIZE] = "", end;
	size_t n = 0;

	while (n + 1 < sizeof(head) && read_all(fd, head + n, 1) == 1 && head[n] != '\n')
		n++;
	if (!str_starts(head, HEAD) || head[n] != '\n' ||
	    sscanf(head + strlen(HEAD), "%d%c", ret_schema, &end) != 2 || end != '\n')
		return error_set(err, -EBADMSG,
				 "the file was not made by 'memherd-collector db export'");
	if (*ret_schema > migrate_newest())
		return error_set(err, -EPROTO,
				 "the file is of schema %d, this program knows up to %d: it was "
				 "exported by a newer memherd-collector, upgrade this one",
				 *ret_schema, migrate_newest());
	return 0;
}

/* The length of the next block, 0 = the end. */
static int64_t read_length(int fd)
{
	uint8_t b[4];
	uint32_t n;

	if (read_all(fd, b, sizeof(b)) != sizeof(b))
		return -EBADMSG;
	n = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
	return n <= TRANSFER_BLOCK ? (int64_t)n : -EBADMSG;
}

static int pump_in(int from, int to, struct error *err)
{
	uint8_t block[TRANSFER_BLOCK];
	int64_t n = read_length(from), next;

	for (; n > 0; n = next) {
		int rc;

		if (read_all(from, block, (size_t)n) != n || (next = read_length(from)) < 0) {
			n = -EBADMSG;
			break;
		}
		rc = fs_write_all(to, block, (size_t)n);
		if (rc == -EPIPE) /* it gave up, and says why */
			return 0;
		if (rc < 0)
			return error_sys(err, rc, "cannot hand on to pg_restore");
	}
	return n < 0 ? error_set(err, -EBADMSG, "the file is cut off: nothing of it was imported")
		     : 0;
}

static int restore(const struct transfer *t, const struct database *d, int fd, struct error *err)
{
	char name[160];
	const char *const args[] = {"--format=custom",
				    "--no-owner",
				    "--no-privileges",
				    "--single-transaction",
				    "--exit-on-error",
				    "--dbname",
				    name,
				    NULL};
	struct program p;
	int rc, ended;

	snprintf(name, sizeof(name), "%s", d->name);
	rc = start(&p, t, "pg_restore", args, false, err);
	if (rc < 0)
		return rc;
	rc = pump_in(fd, p.fd, err);
	if (rc < 0)
		(void)kill(p.pid, SIGKILL); /* before it sees an end: its transaction is undone */
	ended = finish(&p, "pg_restore", rc < 0 ? NULL : err);
	return rc < 0 ? rc : ended;
}

static int bring_up(const struct transfer *t, struct error *err)
{
	struct db_sync *s = NULL;
	int rc = db_sync_open(t->conninfo, t->relaxed, &s, err);

	if (rc == 0)
		rc = migrate_run(s, err);
	db_sync_free(&s);
	return rc < 0 ? rc : 0;
}

int transfer_import(const struct transfer *t, const char *file, struct error *err)
{
	bool in = strcmp(file, "-") == 0;
	int fd = in ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	struct database d;
	int schema, rc;

	if (fd < 0)
		return error_sys(err, -errno, "cannot open '%s'", file);
	rc = read_head(fd, &schema, err);
	if (rc == 0)
		rc = look(t, &d, err);
	if (rc == 0 && d.collectors)
		rc = error_set(err, -EBUSY, "a collector is using database '%s': stop it first",
			       d.name);
	if (rc == 0 && d.tables)
		rc = error_set(err, -ENOTEMPTY, "database '%s' is not empty: import into a new one",
			       d.name);
	if (rc == 0)
		rc = restore(t, &d, fd, err);
	if (!in)
		close(fd);
	return rc == 0 ? bring_up(t, err) : rc;
}
