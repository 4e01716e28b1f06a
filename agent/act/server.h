/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - the door for memherd-agent: a SOCK_SEQPACKET socket in the file system where one
 * datagram is one struct command_request and its answer COMMAND_RESULT_SIZE bytes. What an action
 * made beside its sentence (a census, encoded) comes with the answer: a sealed memfd, SCM_RIGHTS.
 *
 * One thread, one request at a time: an action holds the others up for as long as it takes, which
 * is bounded. A peer is judged by its uid before a byte is read; a datagram of another size ends
 * the connection.
 */
#ifndef MEMHERD_AGENT_ACT_SERVER_H
#define MEMHERD_AGENT_ACT_SERVER_H

#include <sys/types.h>

#include "agent/act/gate.h"

struct server;

/* Listens on path for root and the user, or on what the service manager passed (activation.h);
 * -EADDRINUSE when another one does. */
int server_new(const char *path, uid_t uid, gid_t gid, struct gate *gate, struct server **ret,
	       struct error *err) must_use;
/* Serves until stop_fd becomes readable. */
int server_run(struct server *s, int stop_fd, int watcher_fd, struct error *err) must_use;
/* Takes the socket's file away too, if it made it. */
void server_free(struct server **s);

#endif
