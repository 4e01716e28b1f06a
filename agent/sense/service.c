/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/service.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

#define SHORT_ID    12 /* as container tools print it */
#define CMDLINE_MAX 4096

/* One component of a path, or one argument: bytes with a length. */
struct span {
	const char *s;
	size_t len;
};

static bool span_is(struct span a, const char *word)
{
	return a.len == strlen(word) && memcmp(a.s, word, a.len) == 0;
}

static bool span_starts(struct span a, const char *prefix)
{
	return a.len >= strlen(prefix) && memcmp(a.s, prefix, strlen(prefix)) == 0;
}

static bool span_ends(struct span a, const char *suffix)
{
	size_t n = strlen(suffix);

	return a.len >= n && memcmp(a.s + a.len - n, suffix, n) == 0;
}

/* Cuts one component off the front of a path; false at the end. */
static bool next_component(const char **path, struct span *ret)
{
	const char *s = *path;

	while (*s == '/')
		s++;
	*ret = (struct span){s, strcspn(s, "/")};
	*path = s + ret->len;
	return ret->len > 0;
}

static bool is_hex(struct span a)
{
	for (size_t i = 0; i < a.len; i++)
		if (!isxdigit((unsigned char)a.s[i]))
			return false;
	return a.len > 0;
}

static void write_name(char *out, size_t size, const char *prefix, struct span name)
{
	size_t n = (size_t)snprintf(out, size, "%s", prefix);

	if (n < size)
		str_safe(out + n, size - n, name.s, name.len);
}

/* How each runtime calls the scope or folder that holds a container's 64-digit id. */
static const struct {
	const char *prefix;
	const char *shown;
} runtimes[] = {
	{"docker-", "docker:"}, {"libpod-", "podman:"},   {"cri-containerd-", "containerd:"},
	{"crio-", "crio:"},     {"nerdctl-", "nerdctl:"},
};

/* 'docker-<id>.scope', or a bare '<id>' below a folder that tells the runtime. */
static bool container_of_component(char *out, size_t size, struct span c, struct span parent,
				   bool k8s)
{
	const char *shown = "container:";
	struct span id = c;

	if (span_ends(id, ".scope"))
		id.len -= strlen(".scope");
	if (span_is(parent, "docker"))
		shown = "docker:";
	for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++) {
		size_t n = strlen(runtimes[i].prefix);

		if (!span_starts(id, runtimes[i].prefix))
			continue;
		id = (struct span){id.s + n, id.len - n};
		shown = runtimes[i].shown;
		break;
	}
	if (id.len != 64 || !is_hex(id))
		return false;
	id.len = SHORT_ID;
	write_name(out, size, k8s ? "k8s:" : shown, id);
	return true;
}

/* '/lxc/web', '/lxc.payload.web', 'machine-web.scope'. */
static bool machine_of_component(char *out, size_t size, struct span c, struct span parent)
{
	if (span_starts(c, "lxc.payload.") && c.len > strlen("lxc.payload.")) {
		size_t n = strlen("lxc.payload.");

		write_name(out, size, "lxc:", (struct span){c.s + n, c.len - n});
		return true;
	}
	if (span_is(parent, "lxc")) {
		write_name(out, size, "lxc:", c);
		return true;
	}
	if (span_starts(c, "machine-") && span_ends(c, ".scope") && c.len > 14) {
		write_name(out, size, "machine:", (struct span){c.s + 8, c.len - 14});
		return true;
	}
	return false;
}

static bool container_of_path(char *out, size_t size, const char *path)
{
	struct span parent = {"", 0};
	bool k8s = strstr(path, "kubepods") != NULL;
	bool found = false;
	struct span c;

	/* The innermost one: a container in a container belongs to itself. */
	for (; next_component(&path, &c); parent = c)
		if (container_of_component(out, size, c, parent, k8s) ||
		    machine_of_component(out, size, c, parent))
			found = true;
	return found;
}

static bool unit_of_path(char *out, size_t size, const char *path)
{
	bool found = false;
	struct span c;

	while (next_component(&path, &c)) {
		if (!span_ends(c, ".service") || c.len == strlen(".service"))
			continue;
		/* The manager of a user's session: what runs below has its own unit, or none. */
		if (span_starts(c, "user@"))
			continue;
		c.len -= strlen(".service");
		write_name(out, size, "", c);
		found = true;
	}
	return found;
}

bool service_container(char *out, size_t size, const struct procfs_cgroup *cgroup)
{
	return container_of_path(out, size, cgroup->unified) ||
	       container_of_path(out, size, cgroup->memory) ||
	       container_of_path(out, size, cgroup->systemd);
}

static bool service_unit(char *out, size_t size, const struct procfs_cgroup *cgroup)
{
	return unit_of_path(out, size, cgroup->unified) ||
	       unit_of_path(out, size, cgroup->systemd) || unit_of_path(out, size, cgroup->memory);
}

static struct span base_name(struct span path)
{
	const char *slash = path.len ? memrchr(path.s, '/', path.len) : NULL;

	if (!slash)
		return path;
	return (struct span){slash + 1, path.len - (size_t)(slash + 1 - path.s)};
}

/* Walks the arguments. */
struct args {
	const char *p;
	const char *end;
};

static bool next_arg(struct args *a, struct span *ret)
{
	if (a->p >= a->end)
		return false;
	ret->s = a->p;
	ret->len = strnlen(a->p, (size_t)(a->end - a->p));
	a->p += ret->len + 1;
	return true;
}

static bool is_python(struct span base)
{
	return span_starts(base, "python") || span_starts(base, "pypy");
}

static bool is_app_server(struct span base)
{
	static const char *const servers[] = {
		"gunicorn", "uvicorn",   "hypercorn", "daphne", "waitress-serve", "celery", "uwsgi",
		"flask",    "streamlit", "dramatiq",  "rq",     "huey_consumer",
	};

	for (size_t i = 0; i < ARRAY_SIZE(servers); i++)
		if (span_is(base, servers[i]))
			return true;
	return false;
}

/* 'gunicorn:shop.wsgi' from 'gunicorn -w 4 shop.wsgi:app', 'celery:proj' from 'celery -A proj
 * worker': one host may run several applications on the same server. */
static void name_app(char *out, size_t size, struct span server, struct args a)
{
	struct span app = {"", 0};
	struct span arg;
	char prefix[64];

	while (!app.len && next_arg(&a, &arg)) {
		const char *colon = arg.len ? memchr(arg.s, ':', arg.len) : NULL;

		if (span_is(arg, "-A") || span_is(arg, "--app")) {
			if (!next_arg(&a, &app))
				break;
		} else if (span_starts(arg, "--app=")) {
			app = (struct span){arg.s + 6, arg.len - 6};
		} else if (colon && colon != arg.s && arg.s[0] != '-' &&
			   !isdigit((unsigned char)colon[1]) && colon[1] != '/') {
			app = (struct span){arg.s, (size_t)(colon - arg.s)};
		}
	}
	if (!app.len) {
		write_name(out, size, "", server);
		return;
	}
	snprintf(prefix, sizeof(prefix), "%.*s:", (int)MIN_OF(server.len, (size_t)60), server.s);
	write_name(out, size, prefix, app);
}

/* What the interpreter runs: options first, then -m module, -c code or a file. */
static bool name_python(char *out, size_t size, struct args a)
{
	struct span arg;

	while (next_arg(&a, &arg)) {
		if (span_is(arg, "-m") && next_arg(&a, &arg)) {
			if (is_app_server(arg))
				name_app(out, size, arg, a);
			else
				write_name(out, size, "python:-m ", arg);
			return true;
		}
		if (span_is(arg, "-c") || span_is(arg, "-")) {
			write_name(out, size, "python:", arg);
			return true;
		}
		if (span_is(arg, "-W") || span_is(arg, "-X") ||
		    span_is(arg, "--check-hash-based-pycs")) {
			if (!next_arg(&a, &arg))
				return false;
			continue;
		}
		if (arg.len == 0 || arg.s[0] == '-')
			continue;
		arg = base_name(arg);
		if (is_app_server(arg))
			name_app(out, size, arg, a);
		else
			write_name(out, size, "python:", arg);
		return true;
	}
	return false;
}

/* A title set by the program itself: 'gunicorn: worker [shop]' gives 'gunicorn:shop', 'postgres:
 * checkpointer' gives 'postgres'. */
static bool name_title(char *out, size_t size, struct span title)
{
	const char *colon = title.len ? memchr(title.s, ':', title.len) : NULL;
	struct span head = {title.s, colon ? (size_t)(colon - title.s) : 0};
	const char *open;
	const char *close;
	char prefix[64];

	if (!head.len || head.len > 32 || (size_t)(colon - title.s) + 1 >= title.len ||
	    colon[1] != ' ' || memchr(head.s, ' ', head.len) || memchr(head.s, '/', head.len))
		return false;
	open = memchr(colon, '[', title.len - head.len);
	close = open ? memchr(open, ']', title.len - (size_t)(open - title.s)) : NULL;
	if (!is_app_server(head) || !close || close == open + 1) {
		write_name(out, size, "", head);
		return true;
	}
	snprintf(prefix, sizeof(prefix), "%.*s:", (int)head.len, head.s);
	write_name(out, size, prefix, (struct span){open + 1, (size_t)(close - open - 1)});
	return true;
}

static bool name_program(char *out, size_t size, const struct service_hint *hint)
{
	struct args a = {hint->cmdline,
			 hint->cmdline + MIN_OF(hint->cmdline_len, (size_t)CMDLINE_MAX)};
	struct span exe = base_name((struct span){hint->exe, strlen(hint->exe)});
	struct span first = {"", 0};

	/* an updated program's file: '/usr/bin/x (deleted)' */
	if (span_ends(exe, " (deleted)"))
		exe.len -= strlen(" (deleted)");
	if (next_arg(&a, &first) && name_title(out, size, first))
		return true;
	first = base_name(first);
	if (!exe.len)
		exe = first;
	if (is_python(exe)) {
		if (name_python(out, size, a))
			return true;
	} else if (is_app_server(exe)) {
		name_app(out, size, exe, a);
		return true;
	}
	if (!exe.len)
		return false;
	write_name(out, size, "", exe);
	return true;
}

void service_name(char *out, size_t size, const struct service_hint *hint)
{
	if (service_container(out, size, hint->cgroup) || service_unit(out, size, hint->cgroup) ||
	    name_program(out, size, hint))
		return;
	str_copy(out, size, *hint->comm ? hint->comm : "unknown");
}
