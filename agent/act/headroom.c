/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/headroom.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/fs.h"
#include "common/str.h"

#define PATH_SIZE      4096
#define FOLDER_SIZE    (2 * PATH_SIZE + 64)
#define MOUNTS_MAX     (1u << 20)
#define LEVELS_MAX     64
#define STAT_SIZE      16384
#define UNLIMITED_FROM (INT64_MAX / 2) /* v1 says 'none' as a number near the largest */

/* What a controller's files are called. */
struct names {
	const char *controller; /* "" = v2 */
	const char *limit;
	const char *usage;
	const char *cache; /* in memory.stat: what can be given back; NULL for pids */
};

static const struct names memory_names[] = {
	{"", "memory.max", "memory.current", "inactive_file"},
	{"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
};
static const struct names pids_names[] = {
	{"", "pids.max", "pids.current", NULL},
	{"pids", "pids.max", "pids.current", NULL},
};

/* Is the word one of a list that commas part? */
static bool has_word(const char *list, size_t len, const char *word)
{
	size_t n = strlen(word);

	while (len) {
		const char *comma = memchr(list, ',', len);
		size_t one = comma ? (size_t)(comma - list) : len;

		if (one == n && memcmp(list, word, n) == 0)
			return true;
		if (!comma)
			return false;
		list += one + 1;
		len -= one + 1;
	}
	return false;
}

static int copy_part(char *out, size_t size, const char *from, size_t n)
{
	if (n == 0 || n >= size)
		return -ENAMETOOLONG;
	memcpy(out, from, n);
	out[n] = '\0';
	return 0;
}

int headroom_cgroup(const char *text, const char *controller, char *out, size_t size)
{
	for (const char *l = text; *l;) {
		size_t len = strcspn(l, "\n");
		const char *one = memchr(l, ':', len);
		const char *two = one ? memchr(one + 1, ':', len - (size_t)(one + 1 - l)) : NULL;
		size_t n = two ? (size_t)(two - one - 1) : 0;

		if (two && (*controller ? has_word(one + 1, n, controller) : n == 0))
			return copy_part(out, size, two + 1, len - (size_t)(two + 1 - l));
		l += len;
		l += *l == '\n';
	}
	return -ENOENT;
}

/* proc(5): 'id parent major:minor root mount-point options ... - type source super-options'. */
int headroom_mount(const char *text, const char *controller, char *out, size_t size)
{
	for (const char *l = text; *l;) {
		size_t len = strcspn(l, "\n");
		char line[PATH_SIZE + 512];
		char root[PATH_SIZE];
		char point[PATH_SIZE];
		char type[32];
		char super[512];
		const char *dash;

		if (copy_part(line, sizeof(line), l, len) == 0 && (dash = strstr(line, " - ")) &&
		    sscanf(line, "%*d %*d %*s %4095s %4095s", root, point) == 2 &&
		    sscanf(dash, " - %31s %*s %511s", type, super) == 2 && strcmp(root, "/") == 0 &&
		    (*controller ? strcmp(type, "cgroup") == 0 &&
					   has_word(super, strlen(super), controller)
				 : strcmp(type, "cgroup2") == 0))
			return str_copy(out, size, point) ? 0 : -ENAMETOOLONG;
		l += len;
		l += *l == '\n';
	}
	return -ENOENT;
}

/* A number, or 'max'; -ENOENT when the file is not there or holds something else. */
static int read_number(const char *folder, const char *name, int64_t *ret)
{
	char path[FOLDER_SIZE + 64];
	char text[64];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (fs_read_small(AT_FDCWD, path, text, sizeof(text)) < 0)
		return -ENOENT;
	str_trim(text);
	if (strcmp(text, "max") == 0) {
		*ret = INT64_MAX;
		return 0;
	}
	return sscanf(text, "%" SCNd64, ret) == 1 ? 0 : -ENOENT;
}

static int64_t read_cache(const char *folder, const char *key)
{
	char path[FOLDER_SIZE + 64];
	char text[STAT_SIZE];
	size_t n = strlen(key);
	int64_t v = 0;

	snprintf(path, sizeof(path), "%s/memory.stat", folder);
	if (fs_read_small(AT_FDCWD, path, text, sizeof(text)) < 0)
		return 0;
	for (const char *l = text; l; l = strchr(l, '\n')) {
		l += *l == '\n';
		if (strncmp(l, key, n) == 0 && l[n] == ' ')
			return sscanf(l + n, "%" SCNd64, &v) == 1 ? v : 0;
	}
	return 0;
}

static int64_t room_at(const char *folder, const struct names *names)
{
	int64_t limit;
	int64_t usage;

	if (read_number(folder, names->limit, &limit) < 0 || limit >= UNLIMITED_FROM ||
	    read_number(folder, names->usage, &usage) < 0)
		return INT64_MAX;
	if (names->cache)
		usage -= read_cache(folder, names->cache);
	return MAX_OF(limit - usage, (int64_t)0);
}

/* The narrowest of a cgroup and those above it. */
static int64_t room_in(const char *cgroups, const char *mounts, const struct names *names)
{
	char point[PATH_SIZE];
	char path[PATH_SIZE];
	char folder[FOLDER_SIZE];
	int64_t room = INT64_MAX;
	char *slash;

	if (headroom_cgroup(cgroups, names->controller, path, sizeof(path)) < 0 ||
	    headroom_mount(mounts, names->controller, point, sizeof(point)) < 0)
		return room;
	for (int level = 0; level < LEVELS_MAX; level++) {
		snprintf(folder, sizeof(folder), "%s%s", point, path);
		room = MIN_OF(room, room_at(folder, names));
		slash = strrchr(path, '/');
		if (!slash || (slash == path && !path[1]))
			break;
		/* The root is '/', not ''. */
		slash[slash == path] = '\0';
	}
	return room;
}

static int host_memory(int64_t *ret, struct error *err)
{
	static const char key[] = "\nMemAvailable:";
	char text[8192];
	const char *line;
	int64_t kib;
	int rc = fs_read_small(AT_FDCWD, "/proc/meminfo", text, sizeof(text));

	if (rc < 0)
		return error_sys(err, rc, "cannot read '/proc/meminfo'");
	line = strstr(text, key);
	if (!line || sscanf(line + sizeof(key) - 1, "%" SCNd64, &kib) != 1)
		return error_set(err, -EBADMSG, "'/proc/meminfo' does not say what is available");
	*ret = kib * 1024;
	return 0;
}

int headroom_read(pid_t pid, struct headroom *ret, struct error *err)
{
	auto_buf struct buf mounts = BUF_INIT(MOUNTS_MAX);
	char path[32];
	char cgroups[2 * PATH_SIZE];
	struct headroom h = {.pids = INT64_MAX};
	int rc = host_memory(&h.memory, err);

	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	rc = fs_read_small(AT_FDCWD, path, cgroups, sizeof(cgroups));
	if (rc < 0)
		return error_sys(err, rc, "cannot read '%s'", path);
	rc = fs_read("/proc/self/mountinfo", &mounts, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(memory_names); i++) {
		const char *text = mounts.data ? (const char *)mounts.data : "";

		h.memory = MIN_OF(h.memory, room_in(cgroups, text, &memory_names[i]));
		h.pids = MIN_OF(h.pids, room_in(cgroups, text, &pids_names[i]));
	}
	*ret = h;
	return 0;
}
