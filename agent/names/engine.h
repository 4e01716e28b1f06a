/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - a container engine asked about one container: Docker's API, which Podman serves too.
 *
 * GET /containers/ID/json over a Unix socket in HTTP/1.0 (one answer, then the end of the
 * connection). The answer is bounded in bytes and time; nothing else is ever asked. The format:
 * Docker Engine API, ContainerInspect.
 */
#ifndef MEMHERD_AGENT_NAMES_ENGINE_H
#define MEMHERD_AGENT_NAMES_ENGINE_H

#include "agent/names/question.h"
#include "common/buf.h"
#include "common/error.h"

#define ENGINE_ANSWER_MAX  ((size_t)256 * 1024)
#define ENGINE_DEADLINE_US 2000000

/*
 * The whole answer, head and body, into b (made for ENGINE_ANSWER_MAX). -ETIMEDOUT, -EFBIG, -EACCES
 * (the socket is not ours to use), -ENOENT and -ECONNREFUSED (no engine there), or another -errno.
 */
int engine_ask(const char *socket_path, const char id[NAMES_ID_LEN], int64_t deadline_us,
	       struct buf *b, struct error *err) must_use;
/*
 * Pure: the answer's bytes as what sense is told of that container. -ENOENT when the engine does
 * not know it (404), -EBADMSG for what is no such answer or another container's.
 */
int engine_parse(const void *answer, size_t len, const char id[NAMES_ID_LEN],
		 struct names_answer *ret, struct error *err) must_use;

#endif
