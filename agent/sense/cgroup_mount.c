/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/cgroup_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "common/fs.h"

#define MOUNTINFO_MAX ((size_t)256 * 1024)

struct field {
	const char *s;
	size_t len;
};

static bool next_field(const char **p, const char *eol, struct field *ret)
{
	const char *s = *p;
	const char *blank;

	if (s >= eol)
		return false;
	blank = memchr(s, ' ', (size_t)(eol - s));
	*ret = (struct field){s, (size_t)((blank ? blank : eol) - s)};
	*p = blank ? blank + 1 : eol;
	return true;
}

static bool field_is(struct field f, const char *word)
{
	return f.len == strlen(word) && memcmp(f.s, word, f.len) == 0;
}

static bool has_option(struct field f, const char *word)
{
	while (f.len) {
		const char *comma = memchr(f.s, ',', f.len);
		size_t n = comma ? (size_t)(comma - f.s) : f.len;

		if (field_is((struct field){f.s, n}, word))
			return true;
		if (!comma)
			break;
		f = (struct field){comma + 1, f.len - n - 1};
	}
	return false;
}

static bool is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' &&
	       s[2] <= '7';
}

/* A blank, tab, newline or backslash stands as \ooo. False when it does not fit. */
static bool unescape(char out[CGROUP_MOUNT_MAX], struct field f)
{
	size_t n = 0;

	for (size_t i = 0; i < f.len; i++) {
		char c = f.s[i];

		if (n + 1 >= CGROUP_MOUNT_MAX)
			return false;
		if (c == '\\' && f.len - i >= 4 && is_octal(f.s + i + 1)) {
			c = (char)((f.s[i + 1] - '0') << 6 | (f.s[i + 2] - '0') << 3 |
				   (f.s[i + 3] - '0'));
			i += 3;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return n > 0;
}

/* Fields: id parent dev root mount options [tags ...] - type source super-options */
static enum cgroup_version judge_line(const char *s, const char *eol, struct cgroup_mount *ret)
{
	struct field f;
	struct field root = {0};
	struct field mount = {0};
	struct field type;

	for (unsigned i = 0; i < 6; i++) {
		if (!next_field(&s, eol, &f))
			return CGROUP_NO_VERSION;
		if (i == 3)
			root = f;
		else if (i == 4)
			mount = f;
	}
	while (next_field(&s, eol, &f) && !field_is(f, "-"))
		;
	if (!next_field(&s, eol, &type) || !next_field(&s, eol, &f) || !unescape(ret->root, root) ||
	    !unescape(ret->path, mount))
		return CGROUP_NO_VERSION;
	if (field_is(type, "cgroup2"))
		return CGROUP_V2;
	if (field_is(type, "cgroup") && next_field(&s, eol, &f) && has_option(f, "memory"))
		return CGROUP_V1;
	return CGROUP_NO_VERSION;
}

/* A controller lives in one hierarchy: where v1 has memory, v2 has not. Of several mounts of one
 * hierarchy the one that shows all of it is the best, then the first. */
static bool is_better(const struct cgroup_mount *m, const struct cgroup_mount *than)
{
	if (than->version == CGROUP_NO_VERSION || m->version != than->version)
		return than->version != CGROUP_V1;
	return strcmp(m->root, "/") == 0 && strcmp(than->root, "/") != 0;
}

void cgroup_mount_parse(const char *mountinfo, size_t len, struct cgroup_mount *ret)
{
	const char *s = mountinfo;
	const char *end = s + len;
	const char *eol;

	*ret = (struct cgroup_mount){.version = CGROUP_NO_VERSION};
	for (; s < end && (eol = memchr(s, '\n', (size_t)(end - s))); s = eol + 1) {
		struct cgroup_mount m;

		m.version = judge_line(s, eol, &m);
		if (m.version != CGROUP_NO_VERSION && is_better(&m, ret))
			*ret = m;
	}
}

void cgroup_mount_find(const char *path, struct cgroup_mount *ret)
{
	auto_free char *text = malloc(MOUNTINFO_MAX);
	int n = text ? fs_read_small(AT_FDCWD, path, text, MOUNTINFO_MAX) : -ENOMEM;

	*ret = (struct cgroup_mount){.version = CGROUP_NO_VERSION};
	/* a host with so many mounts has those of cgroups among the first */
	if (n == -EFBIG)
		n = (int)MOUNTINFO_MAX - 1;
	if (n > 0)
		cgroup_mount_parse(text, (size_t)n, ret);
}

const char *cgroup_mount_below(const struct cgroup_mount *m, const struct procfs_cgroup *paths)
{
	const char *path = m->version == CGROUP_V1 ? paths->memory : paths->unified;
	size_t n = strcmp(m->root, "/") == 0 ? 0 : strlen(m->root);

	if (m->version == CGROUP_NO_VERSION || *path != '/' ||
	    strlen(path) >= PROCFS_PATH_MAX - 1 || strstr(path, "/../") ||
	    strncmp(path, m->root, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return NULL;
	path += n;
	/* '/..' at the end: it belongs to the parent of what we see */
	if (strlen(path) >= 3 && strcmp(path + strlen(path) - 3, "/..") == 0)
		return NULL;
	return strcmp(path, "/") == 0 ? "" : path;
}
