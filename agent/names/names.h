/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h - the process memherd-names: what containers are called, asked of their engine.
 *
 * The engine's socket is as good as root, so nobody else in the agent has it, this process runs
 * only where the option container_engine says so, and it has nothing beside it: no capability, no
 * network, no other process (confine.h). It answers what sense asks (question.h), one after the
 * other.
 */
#ifndef MEMHERD_AGENT_NAMES_NAMES_H
#define MEMHERD_AGENT_NAMES_NAMES_H

#include <sys/types.h>

#include "agent/names/question.h"
#include "common/error.h"

#define NAMES_SOCKETS_MAX 2

/* The sockets that a value of container_engine means; none for 'off'. The texts are literals or
 * option itself. */
size_t names_sockets(const char *option, const char *ret[NAMES_SOCKETS_MAX]);
/* 'off', 'auto' or the path of a socket? */
const char *names_refuse_option(const char *option);
/* The groups that may use those sockets, root's left out: never worth having. How many. */
size_t names_groups(const char *option, gid_t ret[NAMES_SOCKETS_MAX]);

/* One question answered, of the sockets in their order. err is set where the status is
 * NAMES_TROUBLE. */
void names_resolve(const char *const *sockets, size_t n, const struct names_question *q,
		   struct names_answer *ret, struct error *err);
/*
 * Until fd, a SOCK_SEQPACKET end, closes. The exit code: 1 when the sockets' groups are no longer
 * ours (an engine was installed or started anew): the supervisor starts us again with the right
 * ones.
 */
int names_run(const char *option, int fd) must_use;

#endif
