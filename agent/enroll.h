/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enroll.h - a one-time token becomes this host's key and certificate.
 *
 * The key is made here and never leaves; the collector is trusted by the pin in the token, before
 * the secret is said. Files appear in state_dir (agent/link/credentials.h) whole or not at all,
 * the certificate last, so that an interrupted enrolment is simply not one.
 */
#ifndef MEMHERD_AGENT_ENROLL_H
#define MEMHERD_AGENT_ENROLL_H

#include <stdbool.h>

#include "agent/options.h"
#include "proto/token.h"

/* From token_file, or from standard input when NULL (asked for without echo on a terminal). */
int enroll_read_token(const char *token_file, struct token *ret, struct error *err) must_use;
/* force replaces an enrolment that is there. -EEXIST without it; -EACCES when the collector refused
 * the token; -ETIMEDOUT and others when it could not be asked. */
int enroll_run(const struct agent_options *o, const struct token *t, bool force,
	       struct error *err) must_use;

#endif
