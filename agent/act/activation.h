/* SPDX-License-Identifier: Apache-2.0 */
/*
 * activation.h - the listening socket that a service manager made for us and starts us for. Source:
 * sd_listen_fds(3): LISTEN_PID is ours, LISTEN_FDS counts descriptors from 3 on.
 */
#ifndef MEMHERD_AGENT_ACT_ACTIVATION_H
#define MEMHERD_AGENT_ACT_ACTIVATION_H

#include "common/error.h"

/* The descriptor, ours and non-blocking; -ENOENT when none was passed; -EINVAL when it is not one
 * SOCK_SEQPACKET socket that listens on path. The environment is cleared of it. */
int activation_take(const char *path, struct error *err) must_use;

#endif
