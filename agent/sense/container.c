/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/container.h"

#include <ctype.h>

#include "common/span.h"

#define SHORT_ID 12 /* as container tools print it */

/* How each runtime calls the scope or folder that holds a container's id. */
static const struct {
	const char *prefix;
	const char *runtime;
	bool of_unit;
} prefixes[] = {
	{"docker-", "docker", false}, {"libpod-payload-", "podman", true},
	{"libpod-", "podman", false}, {"cri-containerd-", "containerd", false},
	{"crio-", "crio", false},     {"nerdctl-", "nerdctl", false},
};

static bool is_id(struct span a)
{
	for (size_t i = 0; i < a.len; i++)
		if (!isxdigit((unsigned char)a.s[i]))
			return false;
	return a.len == CONTAINER_ID_LEN;
}

/* 'docker-<id>.scope', a bare '<id>', or what containerd makes of a systemd triple when its driver
 * is cgroupfs: 'kubepods-pod1.slice:cri-containerd:<id>'. */
static bool engine_component(struct span c, struct span parent, struct container *ret)
{
	const char *colon = memrchr(c.s, ':', c.len);
	const char *runtime = span_is(parent, "docker") ? "docker" : "container";
	bool of_unit = false;

	if (colon && span_find(c, ":cri-containerd:")) {
		runtime = "containerd";
		c = span_from(c, (size_t)(colon + 1 - c.s));
	}
	c = span_without(c, ".scope");
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (!span_starts(c, prefixes[i].prefix))
			continue;
		c = span_from(c, strlen(prefixes[i].prefix));
		runtime = prefixes[i].runtime;
		of_unit = prefixes[i].of_unit;
		break;
	}
	if (!is_id(c))
		return false;
	*ret = (struct container){.runtime = runtime, .of_unit = of_unit};
	memcpy(ret->id, c.s, CONTAINER_ID_LEN);
	return true;
}

/* systemd writes what a unit's name may not hold as \x2d. */
static size_t unescape(char *out, size_t size, struct span a)
{
	size_t n = 0;

	for (size_t i = 0; i < a.len && n < size; i++) {
		uint8_t byte;
		char hex[3] = {0};

		if (a.s[i] == '\\' && i + 3 < a.len && a.s[i + 1] == 'x') {
			memcpy(hex, a.s + i + 2, 2);
			if (str_unhex(&byte, 1, hex) == 0) {
				out[n++] = (char)byte;
				i += 3;
				continue;
			}
		}
		out[n++] = a.s[i];
	}
	return n;
}

static bool named(struct container *ret, const char *runtime, struct span name)
{
	char plain[CONTAINER_NAME_MAX];
	size_t n = unescape(plain, sizeof(plain), name);

	if (!name.len)
		return false;
	*ret = (struct container){.runtime = runtime};
	str_safe(ret->name, sizeof(ret->name), plain, n);
	return true;
}

/* '/lxc/web', '/lxc.payload/web', '/lxc.payload.web', 'machine-web.scope',
 * 'systemd-nspawn@web.service'. */
static bool machine_component(struct span c, struct span parent, struct container *ret)
{
	if (span_starts(c, "lxc.payload."))
		return named(ret, "lxc", span_from(c, strlen("lxc.payload.")));
	if (span_is(parent, "lxc") || span_is(parent, "lxc.payload"))
		return named(ret, "lxc", c);
	if (span_starts(c, "machine-") && span_ends(c, ".scope"))
		return named(ret, "machine",
			     span_from(span_without(c, ".scope"), strlen("machine-")));
	if (span_starts(c, "systemd-nspawn@") && span_ends(c, ".service"))
		return named(ret, "machine",
			     span_from(span_without(c, ".service"), strlen("systemd-nspawn@")));
	return false;
}

/* 'pod<uid>' or 'kubepods-burstable-pod<uid with _>.slice': 8-4-4-4-12 hex digits, or for a static
 * pod 32 without dashes. */
static void pod_component(struct span c, char pod[CONTAINER_POD_LEN + 1])
{
	const char *colon = memchr(c.s, ':', c.len);
	const char *at;

	if (colon)
		c.len = (size_t)(colon - c.s);
	c = span_without(c, ".slice");
	if (span_starts(c, "pod"))
		at = c.s;
	else
		at = span_starts(c, "kube") ? span_find(c, "-pod") : NULL;
	if (!at)
		return;
	at += *at == '-' ? 4 : 3;
	c = span_from(c, (size_t)(at - c.s));
	if (c.len != CONTAINER_POD_LEN && c.len != CONTAINER_POD_LEN - 4)
		return;
	for (size_t i = 0; i < c.len; i++)
		if (!isxdigit((unsigned char)c.s[i]) && c.s[i] != '-' && c.s[i] != '_')
			return;
	for (size_t i = 0; i < c.len; i++)
		pod[i] = c.s[i] == '_' ? '-' : c.s[i];
	pod[c.len] = '\0';
}

static bool container_of_path(const char *path, struct container *ret)
{
	struct span parent = {"", 0};
	char pod[CONTAINER_POD_LEN + 1] = "";
	struct container found;
	bool any = false;
	bool kube = false;
	struct span c;

	for (; span_component(&path, &c); parent = c) {
		kube = kube || span_find(c, "kubepods");
		pod_component(c, pod);
		if (!engine_component(c, parent, &found) && !machine_component(c, parent, &found))
			continue;
		*ret = found;
		ret->inside = path;
		any = true;
		/* what is below has pods of its own */
		if (kube && ret->id[0]) {
			ret->runtime = "k8s";
			memcpy(ret->pod, pod, sizeof(ret->pod));
		}
		kube = false;
		pod[0] = '\0';
	}
	return any;
}

bool container_of_cgroup(const struct procfs_cgroup *cgroup, struct container *ret)
{
	return container_of_path(cgroup->unified, ret) || container_of_path(cgroup->memory, ret) ||
	       container_of_path(cgroup->systemd, ret);
}

void container_short(char *out, size_t size, const struct container *c)
{
	if (c->id[0])
		snprintf(out, size, "%.*s", SHORT_ID, c->id);
	else
		str_copy(out, size, c->name);
}

void container_label(char *out, size_t size, const struct container *c)
{
	size_t n = (size_t)snprintf(out, size, "%s:", c->runtime);

	if (n < size)
		container_short(out + n, size - n, c);
}
