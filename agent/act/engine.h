/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - a container engine asked to restart a container: Docker's API, which Podman serves
 * too. Source: Docker Engine API, ContainerInspect and ContainerRestart.
 */
#ifndef MEMHERD_AGENT_ACT_ENGINE_H
#define MEMHERD_AGENT_ACT_ENGINE_H

#include <stdint.h>

#include "common/error.h"

#define ENGINE_SOCKET_SIZE 108
/* Between the engine's SIGTERM and its SIGKILL: what 'docker restart' gives too. */
#define ENGINE_STOP_SEC 10

/* sockets: paths with blanks between; the first one that knows the container. -ENOENT: none. */
int engine_of(const char *sockets, const char *id, char ret_socket[ENGINE_SOCKET_SIZE],
	      struct error *err) must_use;
/* Returns when the container was started again. -ETIMEDOUT: asked, and no answer within limit_us.
 */
int engine_restart(const char *socket, const char *id, int64_t limit_us,
		   struct error *err) must_use;

#endif
