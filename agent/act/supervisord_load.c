/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a supervisord's configuration, below its own root. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/act/supervisord_conf.h"
#include "common/fs.h"
#include "common/str.h"

#define FILE_MAX      ((size_t)256 * 1024)
#define FILES_MAX     256 /* that an [include] names */
#define ARGUMENTS_MAX 4096

/* Root's or its user's, and nobody else's to write; and what it could read itself. */
static int check_file(const struct supervisord *s, int fd, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_sys(err, -errno, "cannot look at '%s'", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EPERM, "'%s' is no file", path);
	if ((st.st_uid != 0 && st.st_uid != s->master.uid) || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return error_set(err, -EPERM,
				 "'%s' can be written by others than root and supervisord's user",
				 path);
	if (s->master.uid != 0 && st.st_uid != s->master.uid && !(st.st_mode & S_IROTH))
		return error_set(err, -EPERM, "'%s' is not for supervisord's user to read", path);
	return st.st_size <= (off_t)FILE_MAX
		       ? 0
		       : error_set(err, -EFBIG, "'%s' is larger than %zu bytes", path, FILE_MAX);
}

static int read_all(int fd, struct buf *text)
{
	char chunk[8192];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_put(text, chunk, (size_t)n);
	if (n < 0)
		return -errno;
	buf_putc(text, '\0');
	return buf_status(text) < 0 ? -EFBIG : 0;
}

static int add_file(const struct supervisord *s, struct supervisord_conf *c, const char *path,
		    struct error *err)
{
	auto_buf struct buf text = BUF_INIT(FILE_MAX + 1);
	auto_close int fd = supervisord_open(s, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	char here[PROCESS_PATH_SIZE];
	char *slash;
	int rc;

	if (fd < 0)
		return error_sys(err, fd, "cannot open '%s'", path);
	rc = check_file(s, fd, path, err);
	if (rc < 0)
		return rc;
	rc = read_all(fd, &text);
	if (rc == 0 && strlen((char *)text.data) + 1 != text.len)
		rc = -EBADMSG; /* not text */
	if (rc == 0) {
		(void)str_copy(here, sizeof(here), path);
		slash = strrchr(here, '/');
		if (slash)
			*slash = '\0';
		supervisord_conf_add(c, here, (char *)text.data);
	} else {
		error_sys(err, rc, "cannot read '%s'", path);
	}
	/* It may hold a password. */
	if (text.data)
		explicit_bzero(text.data, text.len);
	return rc;
}

/* ---- [include] ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	char *at[FILES_MAX];
	size_t n;
};

static void free_names(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->at[i]);
}

/* The files of a folder that fit, sorted. */
static int list(const struct supervisord *s, const char *folder, const char *pattern,
		struct names *ret)
{
	int fd = supervisord_open(s, folder, O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	ret->n = 0;
	if (!d) {
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	while ((e = readdir(d))) {
		if (fnmatch(pattern, e->d_name, FNM_PERIOD) != 0)
			continue;
		if (ret->n == FILES_MAX)
			break;
		ret->at[ret->n] = strdup(e->d_name);
		ret->n += ret->at[ret->n] != NULL;
	}
	closedir(d);
	if (e) {
		free_names(ret);
		return -E2BIG;
	}
	qsort(ret->at, ret->n, sizeof(ret->at[0]), by_name);
	return 0;
}

static void say_missing(struct supervisord_conf *c, const char *why)
{
	if (!*c->missing)
		snprintf(c->missing, sizeof(c->missing), "%.199s", why);
}

static void add_included(const struct supervisord *s, struct supervisord_conf *c,
			 const char *pattern)
{
	char folder[PROCESS_PATH_SIZE];
	char path[2 * PROCESS_PATH_SIZE];
	struct error err = {""};
	struct names *names = calloc(1, sizeof(*names));
	char *slash;
	int rc;

	if (*pattern == '/')
		(void)str_copy(folder, sizeof(folder), pattern);
	else
		snprintf(folder, sizeof(folder), "%.*s/%.500s",
			 (int)(strrchr(c->path, '/') - c->path), c->path, pattern);
	slash = strrchr(folder, '/');
	*slash = '\0';
	if (!names || strpbrk(folder, "*?[")) {
		say_missing(c, "its [include] has a wildcard in a folder's name");
		free(names);
		return;
	}
	rc = list(s, *folder ? folder : "/", slash + 1, names);
	/* No such folder: no such files, which supervisord only warns of. */
	if (rc < 0 && rc != -ENOENT)
		say_missing(c, "a folder of its [include] cannot be read");
	for (size_t i = 0; rc == 0 && i < names->n; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names->at[i]);
		if (add_file(s, c, path, &err) < 0)
			say_missing(c, err.msg);
	}
	if (rc == 0)
		free_names(names);
	free(names);
}

static void add_all_included(const struct supervisord *s, struct supervisord_conf *c)
{
	char patterns[SUPERVISORD_COMMAND_SIZE];
	char *rest = patterns;

	/* What is included includes nothing itself. */
	memcpy(patterns, c->include, sizeof(patterns));
	for (char *one; (one = strsep(&rest, " \t"));)
		if (*one)
			add_included(s, c, one);
}

/* ---- the main file ---- */

static size_t read_arguments(const struct supervisord *s, char out[ARGUMENTS_MAX])
{
	char path[32];
	auto_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)s->master.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, out, ARGUMENTS_MAX - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* The folder that it is in now: where it was started, unless it was told to go elsewhere. */
static void read_folder(const struct supervisord *s, char out[PROCESS_PATH_SIZE])
{
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cwd", (int)s->master.pid);
	n = readlink(path, out, PROCESS_PATH_SIZE - 1);
	out[n > 0 ? n : 0] = '\0';
}

static bool is_there(const struct supervisord *s, const char *path)
{
	auto_close int fd = supervisord_open(s, path, O_PATH);

	return fd >= 0;
}

/* '/usr' of '/usr/bin/python3', '/usr/bin/supervisord', ...: beside the program's folder. */
static void beside(const char *arguments, size_t len, char out[PROCESS_PATH_SIZE])
{
	const char *end = arguments + len;

	out[0] = '\0';
	for (const char *a = arguments; a < end; a += strnlen(a, (size_t)(end - a)) + 1) {
		char *slash;

		if (!str_ends(a, "/supervisord") || *a != '/' ||
		    !str_copy(out, PROCESS_PATH_SIZE, a))
			continue;
		for (int up = 0; up < 2 && (slash = strrchr(out, '/')); up++)
			*slash = '\0';
		return;
	}
}

static int find_main(const struct supervisord *s, char ret[PROCESS_PATH_SIZE], struct error *err)
{
	char arguments[ARGUMENTS_MAX];
	char folder[PROCESS_PATH_SIZE];
	char up[PROCESS_PATH_SIZE];
	size_t len = read_arguments(s, arguments);
	const char *named = supervisord_conf_named(arguments, len);
	const char *const places[][2] = {
		{up, "/etc/supervisord.conf"}, {up, "/supervisord.conf"},
		{folder, "/supervisord.conf"}, {folder, "/etc/supervisord.conf"},
		{"", "/etc/supervisord.conf"}, {"", "/etc/supervisor/supervisord.conf"},
	};
	int n;

	read_folder(s, folder);
	if (named) {
		n = snprintf(ret, PROCESS_PATH_SIZE, "%s%s%s", *named == '/' ? "" : folder,
			     *named == '/' ? "" : "/", named);
		return n < PROCESS_PATH_SIZE && *named ? 0
						       : error_set(err, -ENAMETOOLONG,
								   "the name of its configuration "
								   "is too long, or empty");
	}
	beside(arguments, len, up);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		n = snprintf(ret, PROCESS_PATH_SIZE, "%s%s", places[i][0], places[i][1]);
		if (n < PROCESS_PATH_SIZE && is_there(s, ret))
			return 0;
	}
	return error_set(err, -ENOENT, "its configuration is not at one of the usual places");
}

struct supervisord_conf *supervisord_conf_load(const struct supervisord *s, struct error *err)
{
	auto_supervisord_conf struct supervisord_conf *c = calloc(1, sizeof(*c));
	int rc = c ? find_main(s, c->path, err) : error_set(err, -ENOMEM, "no memory");

	if (rc == 0)
		rc = add_file(s, c, c->path, err);
	if (rc < 0)
		return NULL;
	add_all_included(s, c);
	return take_ptr(c);
}
