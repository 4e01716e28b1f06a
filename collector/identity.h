/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - who a collector is: the CA that its agents believe, its certificates, the key that
 * signs commands, and a number of its own. All of it lies in state_dir and is made at the first
 * start.
 */
#ifndef MEMHERD_COLLECTOR_IDENTITY_H
#define MEMHERD_COLLECTOR_IDENTITY_H

#include <stdint.h>

#include "common/error.h"
#include "common/sign.h"
#include "common/tls.h"
#include "common/tls_ca.h"

struct identity {
	struct tls_ca *ca;
	struct tls_ctx *stream;
	struct tls_ctx *enroll;
	struct tls_ctx *web;
	struct sign_key *command_key;
	uint8_t command_public[SIGN_KEY_SIZE];
	uint8_t pin[TLS_PIN_SIZE];
	uint8_t fleet[SHA256_SIZE]; /* of CA and command key: collectors of one database share both
				     */
	uint8_t uuid[16];           /* which collector this is, over restarts */
};

/* A zeroed *ret is filled in; after an error too it is to be given to identity_fini(). */
int identity_open(const char *state_dir, struct identity *ret, struct error *err) must_use;
void identity_fini(struct identity *i);
/* A file of state_dir: its path in out, or -EINVAL when it does not fit. */
int identity_path(char *out, size_t size, const char *state_dir, const char *name,
		  struct error *err) must_use;

#endif
