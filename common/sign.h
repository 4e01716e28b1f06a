/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sign.h - Ed25519 (RFC 8032) and SHA-256, wrapped once for both ends.
 */
#ifndef MEMHERD_COMMON_SIGN_H
#define MEMHERD_COMMON_SIGN_H

#include <stdint.h>

#include "common/error.h"

#define SIGN_KEY_SIZE 32
#define SIGN_SIZE     64
#define SHA256_SIZE   32

struct sign_key;

/* Makes path (PEM, 0600) at the first call, then loads it. */
int sign_key_open(const char *path, struct sign_key **ret, struct error *err) must_use;
/* The same, of a file that must be there. */
int sign_key_load(const char *path, struct sign_key **ret, struct error *err) must_use;
void sign_key_free(struct sign_key **k);
int sign_key_public(const struct sign_key *k, uint8_t pub[SIGN_KEY_SIZE]) must_use;
/* Signs domain || data: the domain keeps a signature from being used for anything else. */
int sign_make(const struct sign_key *k, const char *domain, const void *data, size_t len,
	      uint8_t sig[SIGN_SIZE]) must_use;
/* 0, or -EBADMSG for a signature that is not of this key over these bytes. */
int sign_check(const uint8_t pub[SIGN_KEY_SIZE], const char *domain, const void *data, size_t len,
	       const uint8_t sig[SIGN_SIZE]) must_use;

void sha256(uint8_t out[SHA256_SIZE], const void *data, size_t len);
/* n random bytes from the system; aborts when it has none. */
void random_bytes(void *out, size_t n);
/* Uniform in [0, below). */
uint64_t random_below(uint64_t below);

#endif
