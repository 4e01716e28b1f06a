/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/container_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "common/span.h"

#define MOUNTINFO_MAX ((size_t)64 * 1024)
#define FILE_MAX      4096

/* ---- is it safe to open? ---- */

/* Served by the kernel alone, from memory or a disk. */
static bool is_local_type(struct span type)
{
	static const char *const types[] = {
		"overlay", "ext2", "ext3", "ext4",   "xfs",   "btrfs",    "tmpfs",
		"ramfs",   "zfs",  "f2fs", "rootfs", "erofs", "squashfs", "bcachefs",
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (span_is(type, types[i]))
			return true;
	return false;
}

static struct span next_field(const char **p)
{
	struct span f = {*p, strcspn(*p, " \n")};

	*p += f.len;
	*p += **p == ' ';
	return f;
}

static bool covers(struct span mount, const char *path)
{
	return mount.len == 1 || (strncmp(path, mount.s, mount.len) == 0 &&
				  (path[mount.len] == '/' || path[mount.len] == '\0'));
}

bool container_file_is_local(const char *mountinfo, const char *path)
{
	bool any = false;

	while (*mountinfo) {
		const char *p = mountinfo;
		struct span mount = {"", 0};
		struct span f;

		/* id, parent, device, root, mount point, options, then optional ones up to '-' */
		for (int i = 0; i < 5; i++)
			mount = next_field(&p);
		do
			f = next_field(&p);
		while (f.len && !span_is(f, "-"));
		/* all on the way, also those that another one hides */
		if (mount.len && covers(mount, path)) {
			if (!is_local_type(next_field(&p)))
				return false;
			any = true;
		}
		mountinfo += strcspn(mountinfo, "\n");
		mountinfo += *mountinfo == '\n';
	}
	return any;
}

static int check_mounts(const struct procdir *d, uint32_t pid, const char *path)
{
	auto_free char *text = malloc(MOUNTINFO_MAX);
	int n = text ? procdir_read_all(d, pid, "mountinfo", text, MOUNTINFO_MAX) : -ENOMEM;

	if (n < 0)
		return n;
	/* what was cut off might have said otherwise */
	if ((size_t)n == MOUNTINFO_MAX - 1 || !container_file_is_local(text, path))
		return -EXDEV;
	return 0;
}

/* ---- reading ---- */

static int open_inside(int root, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int container_file_read(const struct procdir *d, uint32_t pid, const char *path, char *buf,
			size_t size)
{
	auto_close int root = -1;
	auto_close int fd = -1;
	char link[32];
	struct stat st;
	ssize_t n;
	int r = check_mounts(d, pid, path);

	if (r < 0)
		return r;
	snprintf(link, sizeof(link), "%u/root", pid);
	root = openat(d->fd, link, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = open_inside(root, path);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return (int)n;
}

/* ---- what they say ---- */

/* Letters, digits, '.', '-' and '_', as engines and DNS allow. */
static bool take_name(char *out, size_t size, struct span s)
{
	if (!s.len || s.len >= size)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.s[i]) && !strchr("._-", s.s[i]))
			return false;
	memcpy(out, s.s, s.len);
	out[s.len] = '\0';
	return true;
}

/* The value of key="value" on a line of its own. */
static struct span quoted(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; *p; p += *p == '\n') {
		if (strncmp(p, key, n) == 0 && p[n] == '=' && p[n + 1] == '"')
			return (struct span){p + n + 2, strcspn(p + n + 2, "\"\n")};
		p += strcspn(p, "\n");
	}
	return (struct span){"", 0};
}

bool container_file_podman(const char *text, const char *id, char *name, size_t size)
{
	return span_is(quoted(text, "id"), id) && take_name(name, size, quoted(text, "name"));
}

bool container_file_hostname(const char *text, const char *id, const char *own, char *name,
			     size_t size)
{
	struct span s = {text, strcspn(text, " \t\r\n")};

	if (s.len >= 8 && s.len <= strlen(id) && memcmp(s.s, id, s.len) == 0)
		return false;
	return !span_is(s, own) && take_name(name, size, s);
}

/* The alphabet of Kubernetes' random suffixes. */
static bool is_suffix(const char *s, size_t len, size_t min, size_t max)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr("bcdfghjklmnpqrstvwxz2456789", s[i]))
			return false;
	return len >= min && len <= max;
}

static bool is_number(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isdigit((unsigned char)s[i]))
			return false;
	return len > 0 && len < 6;
}

void container_file_workload(char *out, size_t size, const char *pod)
{
	char *dash;

	str_copy(out, size, pod);
	dash = strrchr(out, '-');
	if (!dash || dash == out)
		return;
	if (is_number(dash + 1, strlen(dash + 1))) { /* of a StatefulSet */
		*dash = '\0';
		return;
	}
	if (!is_suffix(dash + 1, strlen(dash + 1), 5, 5))
		return;
	*dash = '\0';
	dash = strrchr(out, '-');
	if (dash && dash != out && is_suffix(dash + 1, strlen(dash + 1), 8, 10))
		*dash = '\0'; /* of a Deployment's ReplicaSet */
}

bool container_file_name(const struct procdir *d, uint32_t pid, const struct container *c,
			 char *name, char *service, size_t size)
{
	struct utsname own;
	char text[FILE_MAX];

	if (strcmp(c->runtime, "podman") == 0 &&
	    container_file_read(d, pid, "/run/.containerenv", text, sizeof(text)) > 0 &&
	    container_file_podman(text, c->id, name, size)) {
		str_copy(service, size, name);
		return true;
	}
	if (uname(&own) < 0 ||
	    container_file_read(d, pid, "/etc/hostname", text, sizeof(text)) <= 0 ||
	    !container_file_hostname(text, c->id, own.nodename, name, size))
		return false;
	if (strcmp(c->runtime, "k8s") == 0)
		container_file_workload(service, size, name);
	else
		str_copy(service, size, name);
	return true;
}
