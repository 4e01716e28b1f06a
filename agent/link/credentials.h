/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credentials.h - what enrolment left in state_dir, as link reads it: who we are to the collector
 * and where it is.
 */
#ifndef MEMHERD_AGENT_LINK_CREDENTIALS_H
#define MEMHERD_AGENT_LINK_CREDENTIALS_H

#include "agent/options.h"

struct tls_ctx;

#define CREDENTIALS_KEY       "host.key" /* PEM, 0600, never leaves the host */
#define CREDENTIALS_CERT      "host.pem" /* written last: there = enrolled */
#define CREDENTIALS_CA        "ca.pem"
#define CREDENTIALS_COLLECTOR "collector" /* host:port of the stream */
/* In trust_dir: whoever can write these two commands the root helper. */
#define CREDENTIALS_UUID        "host_uuid"   /* text */
#define CREDENTIALS_COMMAND_KEY "command.pub" /* hex */

/* The option 'collector', or what enrolment wrote; -ENOENT when there is neither. */
/* which: of several that are listed, over again behind the last. */
int credentials_address(const struct agent_options *o, unsigned which, char host[OPTIONS_HOST_SIZE],
			uint16_t *port, struct error *err) must_use;
int credentials_load(const struct agent_options *o, struct tls_ctx **ret,
		     struct error *err) must_use;
/* 0 when this host is enrolled, -ENOENT with what to do when not. */
int credentials_check(const struct agent_options *o, struct error *err) must_use;

#endif
