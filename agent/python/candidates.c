/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/candidates.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

#define MINOR_MAX 99

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* At most two digits; -1 when there is none. */
static int take_number(const char **s)
{
	int v = -1;

	while (isdigit((unsigned char)**s) && v <= MINOR_MAX)
		v = MAX_OF(v, 0) * 10 + (*(*s)++ - '0');
	return v;
}

struct python_name python_name_parse(const char *path)
{
	static const char *const others[] = {"libpypy", "pypy", "graalpy", "libpythonvm"};
	struct python_name n = {.major = -1, .minor = -1};
	const char *s = last_part(path);

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (str_starts(s, others[i]))
			return (struct python_name){.is_python = true,
						    .other = true,
						    .major = -1,
						    .minor = -1};
	s += str_starts(s, "lib") ? 3 : 0;
	if (!str_starts(s, "python"))
		return n;
	s += strlen("python");
	n.is_python = true;
	n.major = take_number(&s);
	if (n.major >= 0 && *s == '.') {
		s++;
		n.minor = take_number(&s);
	}
	for (; *s == 'd' || *s == 't' || *s == 'm' || *s == 'u'; s++) {
		n.debug |= *s == 'd';
		n.threadfree |= *s == 't';
	}
	n.debug |= str_starts(s, "-dbg");
	return n;
}

/* A program with an interpreter inside has at least its code: some 3 MiB. Smaller ones are left
 * alone, since a look at their symbols would make pages of them resident. */
#define PROGRAM_MIN (UINT64_C(2) << 20)

/* Lower is looked at earlier. */
static int rank_of(const struct candidate *c)
{
	if (c->is_library)
		return 0;
	return c->is_program ? 1 : 2;
}

static void insert(struct candidate *list, unsigned *n, const struct candidate *c)
{
	unsigned i = *n;

	if (i == CANDIDATES_MAX) {
		if (rank_of(&list[i - 1]) <= rank_of(c))
			return;
		i--;
	} else {
		(*n)++;
	}
	for (; i > 0 && rank_of(&list[i - 1]) > rank_of(c); i--)
		list[i] = list[i - 1];
	list[i] = *c;
}

/* How much of the file that begins at row i is mapped: its rows follow each other. */
static uint64_t mapped_bytes(const struct maps *maps, size_t i)
{
	uint64_t sum = 0;

	for (size_t k = i; k < maps->n && maps->rows[k].inode == maps->rows[i].inode; k++)
		sum += maps->rows[k].end - maps->rows[k].start;
	return sum;
}

unsigned candidates_list(pid_t pid, const struct maps *maps, struct candidate ret[CANDIDATES_MAX])
{
	char link[32];
	char program[PATH_MAX];
	ssize_t len;
	unsigned n = 0;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	len = readlink(link, program, sizeof(program) - 1);
	program[len > 0 ? len : 0] = '\0';
	for (size_t i = 0; i < maps->n; i++) {
		const struct map *m = &maps->rows[i];
		struct candidate c = {.map = m};

		if (m->offset != 0 || m->path[0] != '/')
			continue;
		c.name = python_name_parse(m->path);
		c.is_program = program[0] && strcmp(m->path, program) == 0;
		c.is_library = c.name.is_python && c.name.major == 3 &&
			       str_starts(last_part(m->path), "libpython3.") &&
			       !str_starts(last_part(m->path), "libpython3.so");
		if (c.is_program && !c.name.is_python && mapped_bytes(maps, i) < PROGRAM_MIN)
			continue;
		if (c.is_program || c.name.is_python)
			insert(ret, &n, &c);
	}
	return n;
}

static int hint_in(const char *path)
{
	static const char *const marks[] = {".cpython-3", "/python3."};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		const char *s = strstr(path, marks[i]);
		int minor;

		if (!s)
			continue;
		s += strlen(marks[i]);
		minor = take_number(&s);
		if (minor >= 0 && minor <= MINOR_MAX && (*s == '-' || *s == '/'))
			return minor;
	}
	return -1;
}

int candidates_hint(const struct maps *maps)
{
	int minor = -1;

	for (size_t i = 0; i < maps->n && minor < 0; i++)
		minor = hint_in(maps->rows[i].path);
	return minor;
}
