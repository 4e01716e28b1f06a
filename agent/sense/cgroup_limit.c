/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/cgroup_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/fs.h"

/* Where each hierarchy may be mounted below root, and what its limit's file is called. */
struct hierarchy {
	const char *mount;
	const char *file;
	bool unified;
};

static const struct hierarchy hierarchies[] = {
	{"", "memory.max", true},
	{"/unified", "memory.max", true},
	{"/memory", "memory.limit_in_bytes", false},
	{"/cpu,memory", "memory.limit_in_bytes", false},
};

/* 0 with a limit, -ENODATA for none there, else what kept the file from being read. */
static int read_limit(const char *dir, const char *file, int64_t *ret)
{
	char path[PATH_MAX];
	char text[64];
	int n;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, file) >= sizeof(path))
		return -ENAMETOOLONG;
	n = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	return n < 0 ? n : procfs_parse_limit(text, (size_t)n, ret);
}

/* Climbs from the process's folder to the mount. The v2 root has no memory.max: that alone does not
 * mean that the hierarchy is missing. */
static int climb(const char *mount, const char *cgroup, const char *file, int64_t *ret)
{
	char dir[PATH_MAX];
	size_t base = strlen(mount);
	int result = -ENOENT;

	if ((size_t)snprintf(dir, sizeof(dir), "%s%s", mount, cgroup) >= sizeof(dir))
		return -ENAMETOOLONG;
	for (;;) {
		int64_t limit = 0;
		char *slash;
		int r = read_limit(dir, file, &limit);

		if (r == 0 && (result != 0 || limit < *ret)) {
			*ret = limit;
			result = 0;
		} else if (r == -ENODATA && result == -ENOENT) {
			result = -ENODATA;
		}
		slash = strrchr(dir + base, '/');
		if (!slash)
			return result;
		*slash = '\0';
	}
}

/* From another cgroup namespace a path begins with '/..': it leads nowhere here. */
static const char *local_path(const char *path)
{
	return strstr(path, "/..") ? "/" : path;
}

int cgroup_limit(const char *root, const struct procfs_cgroup *paths, int64_t *ret)
{
	int result = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(hierarchies); i++) {
		const struct hierarchy *h = &hierarchies[i];
		const char *path = h->unified ? paths->unified : paths->memory;
		char mount[PATH_MAX];
		int64_t limit = 0;
		int r;

		if (!*path ||
		    (size_t)snprintf(mount, sizeof(mount), "%s%s", root, h->mount) >= sizeof(mount))
			continue;
		r = climb(mount, local_path(path), h->file, &limit);
		if (r == 0 && (result != 0 || limit < *ret)) {
			*ret = limit;
			result = 0;
		} else if (r == -ENODATA && result == -ENOENT) {
			result = -ENODATA;
		}
	}
	return result;
}
