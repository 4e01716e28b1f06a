/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/hook.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

static const char *const words[] = {"",
#define X(NAME, word, help) #word,
				    HOOK_KIND_LIST(X)
#undef X
};

enum hook_kind hook_find(const char *word, size_t n)
{
	for (unsigned i = 1; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == n && strncmp(words[i], word, n) == 0)
			return (enum hook_kind)i;
	return HOOK_NONE;
}

static const struct {
	const char *word;
	int number;
} signals[] = {{"HUP", SIGHUP}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}};

/* Those above SIGRTMIN that the C library leaves to programs. */
static int parse_signal(const char *value, struct hook *h, struct error *err)
{
	const char *word = str_starts(value, "SIG") ? value + 3 : value;
	int64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (strcmp(word, signals[i].word) == 0)
			h->signal = signals[i].number;
	if (str_starts(word, "RTMIN+") && word[6] >= '0' && word[6] <= '9' &&
	    str_parse_int(word + 6, &n) == 0 && n <= SIGRTMAX - SIGRTMIN)
		h->signal = SIGRTMIN + (int)n;
	return h->signal ? 0
			 : error_set(err, -EINVAL,
				     "signal '%s': expected HUP, USR1, USR2 or RTMIN+n", value);
}

/* What stands in a request line: it must not end it. */
static int take_path(const char *path, struct hook *h)
{
	if (path[0] != '/' || strpbrk(path, " \t\r\n") || !str_is_safe(path, strlen(path)) ||
	    !str_copy(h->path, sizeof(h->path), path))
		return -EINVAL;
	return 0;
}

static int parse_http(const char *value, struct hook *h, struct error *err)
{
	const char *at = value;
	unsigned port = 0;
	int used = 0;

	if (str_starts(at, "127.0.0.1:")) {
		at += strlen("127.0.0.1:");
	} else if (str_starts(at, "[::1]:")) {
		at += strlen("[::1]:");
		h->v6 = true;
	} else {
		at = "";
	}
	if (*at < '0' || *at > '9' || sscanf(at, "%5u%n", &port, &used) != 1 || port < 1 ||
	    port > UINT16_MAX || take_path(at + used, h) < 0)
		return error_set(err, -EINVAL,
				 "http '%s': expected 127.0.0.1:PORT/PATH or [::1]:PORT/PATH",
				 value);
	h->port = (uint16_t)port;
	return 0;
}

static int parse_unix(const char *value, struct hook *h, struct error *err)
{
	const char *colon = strchr(value, ':');
	size_t n = colon ? (size_t)(colon - value) : 0;

	if (n < 2 || n >= sizeof(h->socket) || value[0] != '/' || take_path(colon + 1, h) < 0)
		return error_set(err, -EINVAL, "unix '%s': expected /SOCKET:/PATH", value);
	memcpy(h->socket, value, n);
	h->socket[n] = '\0';
	return 0;
}

int hook_parse(enum hook_kind kind, const char *value, struct hook *ret, struct error *err)
{
	struct hook h = {.kind = kind};
	int rc = -EINVAL;

	switch (kind) {
	case HOOK_SIGNAL:
		rc = parse_signal(value, &h, err);
		break;
	case HOOK_HTTP:
		rc = parse_http(value, &h, err);
		break;
	case HOOK_UNIX:
		rc = parse_unix(value, &h, err);
		break;
	case HOOK_NONE:
		return error_set(err, rc, "no hook");
	}
	if (rc == 0)
		*ret = h;
	return rc;
}

char *hook_text(char out[HOOK_SOCKET_SIZE + HOOK_PATH_SIZE + 32], const struct hook *h)
{
	size_t size = HOOK_SOCKET_SIZE + HOOK_PATH_SIZE + 32;
	const char *name = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (signals[i].number == h->signal)
			name = signals[i].word;
	if (h->kind == HOOK_UNIX)
		snprintf(out, size, "POST %s to '%s'", h->path, h->socket);
	else if (h->kind == HOOK_HTTP)
		snprintf(out, size, "POST http://%s:%u%s", h->v6 ? "[::1]" : "127.0.0.1", h->port,
			 h->path);
	else if (name)
		snprintf(out, size, "SIG%s", name);
	else
		snprintf(out, size, "SIGRTMIN+%d", h->signal - SIGRTMIN);
	return out;
}

bool hook_is_caught(const char *status, int sig)
{
	const char *line = strstr(status, "\nSigCgt:");
	uint64_t caught;

	return line && sig > 0 && sig <= 64 &&
	       sscanf(line + strlen("\nSigCgt:"), "%" SCNx64, &caught) == 1 &&
	       (caught >> (sig - 1) & 1);
}
