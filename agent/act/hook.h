/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook.h - how a service lets itself be asked to give memory back, as the host's policy says:
 *
 *	shed unit=shop.service signal=USR1
 *	shed unit=shop.service http=127.0.0.1:9000/shed
 *	shed unit=shop.service unix=/run/shop.sock:/shed
 *
 * Nothing of it ever comes from a command. Pure.
 */
#ifndef MEMHERD_AGENT_ACT_HOOK_H
#define MEMHERD_AGENT_ACT_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

#define HOOK_PATH_SIZE   128
#define HOOK_SOCKET_SIZE 108

/* X(NAME, word, help): a 'shed' line has one of them. */
#define HOOK_KIND_LIST(X)                                                                   \
	X(SIGNAL, signal, "HUP, USR1, USR2 or RTMIN+n, that the program has a handler for") \
	X(HTTP, http, "127.0.0.1:PORT/PATH or [::1]:PORT/PATH, asked by POST")              \
	X(UNIX, unix, "SOCKET:/PATH, asked by POST over that Unix socket")

enum hook_kind {
	HOOK_NONE,
#define X(NAME, word, help) HOOK_##NAME,
	HOOK_KIND_LIST(X)
#undef X
};

struct hook {
	enum hook_kind kind;
	int signal;
	bool v6;       /* ::1 */
	uint16_t port; /* host order */
	char socket[HOOK_SOCKET_SIZE];
	char path[HOOK_PATH_SIZE]; /* '/shed' */
};

/* HOOK_NONE for none; n: bytes of the word. */
enum hook_kind hook_find(const char *word, size_t n);
/* -EINVAL says what was expected. */
int hook_parse(enum hook_kind kind, const char *value, struct hook *ret,
	       struct error *err) must_use;
/* As the policy has it: 'SIGUSR1', 'http 127.0.0.1:9000/shed'. Returns out. */
char *hook_text(char out[HOOK_SOCKET_SIZE + HOOK_PATH_SIZE + 32], const struct hook *h);
/* Is the signal in the set of caught ones of a text as /proc/PID/status has it? Else the kernel
 * would end the program, or do nothing. */
bool hook_is_caught(const char *status, int sig);

#endif
