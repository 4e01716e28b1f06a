/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authority.h - whether a command comes from the one who may command: signed by the key on this
 * host's disk, for this host, in time, newer than all before it. The signature is checked over the
 * exact bytes before one field is read. Pure, but for authority_load.
 */
#ifndef MEMHERD_AGENT_ACT_AUTHORITY_H
#define MEMHERD_AGENT_ACT_AUTHORITY_H

#include "common/error.h"
#include "common/sign.h"
#include "proto/command.h"

#define AUTHORITY_AHEAD_US (600 * 1000000LL)

struct authority {
	uint8_t key[SIGN_KEY_SIZE];
	uint8_t host_uuid[16];
};

/* Reads the key (64 hex digits, a file of root's) and the host's uuid (text). */
int authority_load(const char *key_path, const char *uuid_path, struct authority *ret,
		   struct error *err) must_use;
/* The signature alone: -EACCES. */
int authority_check(const struct authority *a, const struct command_request *r,
		    struct error *err) must_use;
/* -EACCES for a wrong signature or host, -EBADMSG for bytes that are signed and make no sense. */
int authority_verify(const struct authority *a, const struct command_request *r,
		     struct command *ret, struct error *err) must_use;
/* -ESTALE for a command that is late, or not newer than what was seen before. */
int authority_fresh(const struct command *c, int64_t now_us, uint64_t highest_counter,
		    uint64_t highest_fence, struct error *err) must_use;

#endif
