/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/embedded_bin.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

#define OLDEST_MAJOR 14

/* Debian; the PostgreSQL project's RPMs. */
static const char *const patterns[] = {"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
				       "/usr/local/pgsql/bin"};

struct search {
	int want; /* 0 = the newest */
	int best;
	char *out;
	char seen[128]; /* majors that were found, for the message */
};

/* 'postgres (PostgreSQL) 15.8 (Debian ...)': 15; 0 when it cannot be run. */
static int major_of(const char *dir)
{
	char command[PATH_MAX + 64], line[256] = "";
	const char *at;
	FILE *f;

	snprintf(command, sizeof(command), "%s/postgres", dir);
	if (access(command, X_OK) < 0 || strpbrk(dir, "'\\"))
		return 0;
	snprintf(command, sizeof(command), "'%s/postgres' --version 2>/dev/null", dir);
	f = popen(command, "re");
	if (!f)
		return 0;
	at = fgets(line, sizeof(line), f) ? strstr(line, ") ") : NULL;
	pclose(f);
	return at ? atoi(at + 2) : 0;
}

static void consider(struct search *s, const char *dir)
{
	char word[16];
	int major = major_of(dir);

	if (major <= 0)
		return;
	snprintf(word, sizeof(word), " %d", major);
	if (strlen(s->seen) + strlen(word) < sizeof(s->seen) && !strstr(s->seen, word))
		strcat(s->seen, word);
	if (s->want ? major != s->want : major < OLDEST_MAJOR || major <= s->best)
		return;
	s->best = major;
	(void)str_copy(s->out, PATH_MAX, dir);
}

static void look_along_path(struct search *s)
{
	const char *path = getenv("PATH");

	while (path && *path) {
		size_t n = strcspn(path, ":");
		char dir[PATH_MAX];

		if (n && n < sizeof(dir) && *path == '/') {
			memcpy(dir, path, n);
			dir[n] = '\0';
			consider(s, dir);
		}
		path += n + (path[n] == ':');
	}
}

int embedded_bin_find(int major, const char *only, char out[PATH_MAX], struct error *err)
{
	struct search s = {.want = major, .out = out};

	for (size_t i = 0; !only && i < ARRAY_SIZE(patterns); i++) {
		glob_t g;

		if (glob(patterns[i], 0, NULL, &g) == 0)
			for (size_t k = 0; k < g.gl_pathc; k++)
				consider(&s, g.gl_pathv[k]);
		globfree(&g);
	}
	if (only)
		consider(&s, only);
	else if (!s.best)
		look_along_path(&s);
	if (s.best)
		return 0;
	if (!s.seen[0])
		return error_set(err, -ENOENT,
				 "PostgreSQL is not installed here%s%s: apt install postgresql",
				 only ? ", looked in " : "", only ? only : "");
	if (major)
		return error_set(err, -ENOENT,
				 "the database was made by PostgreSQL %d, installed is only%s: apt "
				 "install postgresql-%d",
				 major, s.seen, major);
	return error_set(err, -EPROTO, "installed is PostgreSQL%s, needed is %d or newer", s.seen,
			 OLDEST_MAJOR);
}
