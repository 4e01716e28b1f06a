/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/supervisor.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/str.h"

#define SERVICE ".service"
#define SCOPE   ".scope"

/* How the engines that memherd can ask call the scope or folder of a container. */
static const char *const id_prefixes[] = {"docker-", "libpod-", ""};

static void be(struct supervisor *s, enum supervisor_kind kind, const char *name, size_t len)
{
	s->kind = kind;
	str_safe(s->name, sizeof(s->name), name, len);
}

/* Names as systemd.unit(5) lets them be: whatever else is in a path was not made by PID 1. */
static bool is_unit(const char *s, size_t len)
{
	if (len <= strlen(SERVICE) || len >= SUPERVISOR_NAME_SIZE ||
	    memcmp(s + len - strlen(SERVICE), SERVICE, strlen(SERVICE)) != 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr(":-_.\\@", s[i]))
			return false;
	return true;
}

static bool has(const char *s, size_t len, const char *word)
{
	return memmem(s, len, word, strlen(word)) != NULL;
}

/* The id in 'docker-<id>.scope', 'libpod-<id>.scope' or '<id>', or NULL. */
static const char *id_in(const char *s, size_t len)
{
	if (len > strlen(SCOPE) && memcmp(s + len - strlen(SCOPE), SCOPE, strlen(SCOPE)) == 0)
		len -= strlen(SCOPE);
	for (size_t i = 0; i < ARRAY_SIZE(id_prefixes); i++) {
		size_t n = strlen(id_prefixes[i]);
		size_t digits = 0;

		if (len != n + CONTAINER_ID_LEN || memcmp(s, id_prefixes[i], n) != 0)
			continue;
		while (digits < CONTAINER_ID_LEN && strchr("0123456789abcdef", s[n + digits]))
			digits++;
		if (digits == CONTAINER_ID_LEN)
			return s + n;
	}
	return NULL;
}

/* 'user@1000.service': the manager of a user, below which the user may make any name. */
static bool is_users_own(const char *s, size_t len)
{
	return len > 5 && memcmp(s, "user@", 5) == 0 && is_unit(s, len);
}

/* One name of the path, from the root on. False when nothing below it counts. */
static bool take(struct supervisor *s, const char *c, size_t len)
{
	const char *id = id_in(c, len);

	if (is_users_own(c, len)) {
		be(s, SUPERVISOR_OTHER, "a user's own service manager", 28);
		return false;
	}
	if (has(c, len, "kubepods")) {
		be(s, SUPERVISOR_OTHER, "Kubernetes", 10);
		return false;
	}
	if (is_unit(c, len)) {
		be(s, SUPERVISOR_UNIT, c, len);
		/* An engine's own unit holds others' containers; any other unit is itself
		 * responsible for all that is below it. */
		return has(c, len, "docker") || has(c, len, "containerd");
	}
	if (id) {
		be(s, SUPERVISOR_CONTAINER, id, CONTAINER_ID_LEN);
		return false;
	}
	if (has(c, len, "cri-containerd") || has(c, len, "crio-") || has(c, len, "nerdctl-") ||
	    has(c, len, "lxc.payload") || (len > 8 && memcmp(c, "machine-", 8) == 0)) {
		be(s, SUPERVISOR_OTHER, "another container engine", 24);
		return false;
	}
	return true;
}

void supervisor_of_cgroup(const char *path, struct supervisor *ret)
{
	*ret = (struct supervisor){.kind = SUPERVISOR_BARE};
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len && !take(ret, path, len))
			return;
		path += len;
		path += *path == '/';
	}
}

bool supervisor_is_master(const char *comm)
{
	static const char *const others[] = {
		"sh",   "bash",  "dash",    "zsh",   "ksh",    "fish",  "busybox", "su",
		"sudo", "doas",  "login",   "sshd*", "screen", "tmux*", "script",  "nohup",
		"cron", "crond", "systemd", "init",  "setsid", "env",   "xterm*",  "nsenter",
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (fnmatch(others[i], comm, 0) == 0)
			return false;
	return *comm != '\0';
}
