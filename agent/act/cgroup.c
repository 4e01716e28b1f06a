/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/act/headroom.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/str.h"

#define MOUNTS_MAX     (1u << 20)
#define FILE_SIZE      16384
#define UNLIMITED_FROM (INT64_MAX / 2) /* v1 says 'none' as a number near the largest */

/* What others hang on, or what is nobody's own. */
static const char *const shared[] = {
	"*.slice",   "init.scope", "user@*",         "session-*.scope",
	"kubepods*", "docker",     "libpod_parent*", "machine*",
};

static int find(const char *cgroups, const char *mounts, const char *controller,
		struct cgroup_place *ret)
{
	char point[CGROUP_PATH_SIZE / 2];
	int rc = headroom_cgroup(cgroups, controller, ret->path, sizeof(ret->path) / 2);

	if (rc == 0)
		rc = headroom_mount(mounts, controller, point, sizeof(point));
	if (rc < 0)
		return rc;
	ret->v2 = !*controller;
	snprintf(ret->folder, sizeof(ret->folder), "%s%.1000s", point, ret->path);
	return 0;
}

int cgroup_of(pid_t pid, struct cgroup_place *ret, struct error *err)
{
	auto_buf struct buf mounts = BUF_INIT(MOUNTS_MAX);
	char path[32], cgroups[8192];
	const char *text;
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	rc = fs_read_small(AT_FDCWD, path, cgroups, sizeof(cgroups));
	if (rc < 0)
		return error_sys(err, rc, "cannot read '%s'", path);
	rc = fs_read("/proc/self/mountinfo", &mounts, err);
	if (rc < 0)
		return rc;
	text = mounts.data ? (const char *)mounts.data : "";
	if (find(cgroups, text, "memory", ret) == 0)
		return 0;
	if (find(cgroups, text, "", ret) == 0) {
		snprintf(path, sizeof(path), "memory.current");
		if (cgroup_word(ret->folder, path, "") >= 0)
			return 0;
	}
	return error_set(err, -ENOENT, "process %d is in no memory cgroup", (int)pid);
}

static bool has_children(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d)))
		found = e->d_type == DT_DIR && e->d_name[0] != '.';
	if (d)
		closedir(d);
	return found;
}

int cgroup_check_own(const struct cgroup_place *c, const char *self, struct error *err)
{
	const char *name = strrchr(c->path, '/');
	size_t n = strlen(c->path);

	if (!name || !name[1] || strstr(c->path, "/.."))
		return error_set(err, -EPERM, "it is in no cgroup of its own: '%.200s'", c->path);
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
		if (fnmatch(shared[i], name + 1, 0) == 0)
			return error_set(err, -EPERM, "cgroup '%.200s' is not one service's own",
					 c->path);
	if (strncmp(self, c->path, n) == 0 && (!self[n] || self[n] == '/'))
		return error_set(err, -EPERM, "cgroup '%.200s' is memherd's own", c->path);
	if (has_children(c->folder))
		return error_set(err, -EPERM, "cgroup '%.200s' holds other cgroups", c->path);
	return 0;
}

/* ---- its files ---- */

static int read_file(const char *folder, const char *file, char text[FILE_SIZE])
{
	char path[CGROUP_PATH_SIZE + 64];

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	return fs_read_small(AT_FDCWD, path, text, FILE_SIZE) < 0 ? -ENOENT : 0;
}

int cgroup_number(const char *folder, const char *file, int64_t *ret)
{
	char text[FILE_SIZE];
	int64_t v;

	if (read_file(folder, file, text) < 0)
		return -ENOENT;
	if (strcmp(str_trim(text), "max") == 0)
		v = INT64_MAX;
	else if (str_parse_int(text, &v) < 0)
		return -ENOENT;
	*ret = v >= UNLIMITED_FROM ? INT64_MAX : v;
	return 0;
}

int64_t cgroup_word(const char *folder, const char *file, const char *word)
{
	char text[FILE_SIZE];
	size_t n = strlen(word);
	int64_t v;

	if (read_file(folder, file, text) < 0)
		return -1;
	for (const char *l = text; l && *l; l = strchr(l, '\n')) {
		const char *total;

		l += *l == '\n';
		if (!n)
			return sscanf(l, "%" SCNd64, &v) == 1 ? v : -1;
		if (strncmp(l, word, n) != 0 || l[n] != ' ')
			continue;
		total = strcmp(file, "memory.pressure") == 0 ? strstr(l, "total=") : NULL;
		return sscanf(total ? total + 6 : l + n, "%" SCNd64, &v) == 1 ? v : -1;
	}
	return -1;
}

int64_t cgroup_host_swap(void)
{
	char text[8192];
	const char *at;
	int64_t kib;

	if (fs_read_small(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) < 0 ||
	    !(at = strstr(text, "\nSwapFree:")) || sscanf(at + 10, "%" SCNd64, &kib) != 1)
		return 0;
	return kib * 1024;
}

int cgroup_figures(const struct cgroup_place *c, struct cgroup_figures *ret, struct error *err)
{
	int64_t cache = cgroup_word(c->folder, "memory.stat",
				    c->v2 ? "inactive_file" : "total_inactive_file");
	int64_t limit, used;

	ret->anon = cgroup_word(c->folder, "memory.stat", c->v2 ? "anon" : "total_rss");
	if (cgroup_number(c->folder, c->v2 ? "memory.current" : "memory.usage_in_bytes",
			  &ret->usage) < 0 ||
	    cache < 0 || ret->anon < 0)
		return error_set(err, -ENOENT, "cannot read what cgroup '%.200s' uses", c->path);
	ret->working_set = MAX_OF(ret->usage - cache, (int64_t)0);
	ret->swap_room = cgroup_host_swap();
	if (c->v2 && cgroup_number(c->folder, "memory.swap.max", &limit) == 0 &&
	    limit != INT64_MAX && cgroup_number(c->folder, "memory.swap.current", &used) == 0)
		ret->swap_room = MIN_OF(ret->swap_room, MAX_OF(limit - used, (int64_t)0));
	return 0;
}

int cgroup_set(const char *folder, const char *file, int64_t value, struct error *err)
{
	char path[CGROUP_PATH_SIZE + 64], text[32];
	auto_close int fd = -1;
	int n;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	if (value != INT64_MAX)
		n = snprintf(text, sizeof(text), "%" PRId64, value);
	else
		n = snprintf(text, sizeof(text), "%s", strstr(file, "_in_bytes") ? "-1" : "max");
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		return error_sys(err, -errno, "cannot write '%s' to '%.300s'", text, path);
	return 0;
}
