/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/journal_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define CURRENT   "system.journal"
#define MOST_SEEN 4096 /* names in a folder */

int journal_folders_of_system(struct journal_folders *ret, struct error *err)
{
	static const char *const roots[JOURNAL_FOLDERS] = {"/run/log/journal", "/var/log/journal"};
	struct journal_folders f = {.n = JOURNAL_FOLDERS};
	char id[64];

	if (fs_read_small(AT_FDCWD, "/etc/machine-id", id, sizeof(id)) < 0)
		return error_set(err, -ENOENT, "no journal here: '/etc/machine-id' is missing");
	str_trim(id);
	for (size_t i = 0; i < JOURNAL_FOLDERS; i++)
		snprintf(f.path[i], sizeof(f.path[i]), "%s/%s", roots[i], id);
	*ret = f;
	return 0;
}

/* False when the name is too long. */
static bool join(char out[JOURNAL_PATH_SIZE], const char *folder, const char *name)
{
	return snprintf(out, JOURNAL_PATH_SIZE, "%s/%s", folder, name) < JOURNAL_PATH_SIZE;
}

static int try_open(const char *folder)
{
	char path[JOURNAL_PATH_SIZE];
	auto_close int fd = -1;

	if (!join(path, folder, CURRENT))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : 0;
}

int journal_folders_check(const struct journal_folders *f, struct error *err)
{
	int worst = -ENOENT;

	for (size_t i = 0; i < f->n; i++) {
		int rc = try_open(f->path[i]);

		if (rc == 0)
			return 0;
		if (rc != -ENOENT && rc != -ENOTDIR)
			worst = rc;
	}
	if (worst == -ENOENT)
		return error_set(err, worst, "systemd keeps no journal here");
	return error_sys(err, worst, "cannot read systemd's journal");
}

void journal_folders_current(const struct journal_folders *f, struct journal_current *ret)
{
	char path[JOURNAL_PATH_SIZE];
	struct stat st;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < f->n; i++) {
		if (!join(path, f->path[i], CURRENT) || stat(path, &st) < 0)
			continue;
		ret->dev[i] = st.st_dev;
		ret->ino[i] = st.st_ino;
	}
}

/* Keeps the latest, in order. */
static void keep(struct journal_files *files, const char *path, int64_t written_us)
{
	size_t at = files->n;
	size_t last;

	if (files->n == JOURNAL_MAX_FILES)
		files->left_out++;
	while (at > 0 && files->written_us[at - 1] < written_us)
		at--;
	if (at == JOURNAL_MAX_FILES)
		return;
	if (files->n < JOURNAL_MAX_FILES)
		files->n++;
	last = files->n - 1;
	memmove(files->path[at + 1], files->path[at], (last - at) * sizeof(files->path[0]));
	memmove(&files->written_us[at + 1], &files->written_us[at],
		(last - at) * sizeof(files->written_us[0]));
	(void)str_copy(files->path[at], sizeof(files->path[at]), path);
	files->written_us[at] = written_us;
}

static bool is_journal(const char *name)
{
	return strcmp(name, CURRENT) == 0 ||
	       (str_starts(name, "system@") &&
		(str_ends(name, ".journal") || str_ends(name, ".journal~")));
}

/* The current file counts as just written: journald writes through a mapping, late in mtime. */
static void list_folder(const char *folder, int64_t since_us, struct journal_files *files)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	struct stat st;
	char path[JOURNAL_PATH_SIZE];

	for (int seen = 0; d && seen < MOST_SEEN && (e = readdir(d)); seen++) {
		int64_t written_us;

		if (!is_journal(e->d_name) || !join(path, folder, e->d_name) ||
		    stat(path, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		written_us = strcmp(e->d_name, CURRENT) == 0
				     ? INT64_MAX
				     : (int64_t)st.st_mtim.tv_sec * USEC_PER_SEC +
					       st.st_mtim.tv_nsec / 1000;
		if (written_us >= since_us)
			keep(files, path, written_us);
	}
	if (d)
		closedir(d);
}

void journal_folders_list(const struct journal_folders *f, int64_t since_us,
			  struct journal_files *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < f->n; i++)
		list_folder(f->path[i], since_us, ret);
}
