/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token.h - the one-time enrolment token as a person carries it from the collector to a host:
 * where to call, whom to trust there, and the secret that proves the right to enrol.
 *
 * "mh1." and the base64url (RFC 4648, no padding) of: u8 version = 1, u8 length of host, host,
 * u16 port of enrolment (big endian), 32 bytes pin of the CA (tls.h), 32 bytes secret. Pure.
 */
#ifndef MEMHERD_PROTO_TOKEN_H
#define MEMHERD_PROTO_TOKEN_H

#include <stdint.h>

#include "common/error.h"

#define TOKEN_HOST_MAX    253 /* a DNS name's length: RFC 1035 */
#define TOKEN_PIN_SIZE    32
#define TOKEN_SECRET_SIZE 32
/* Room for the text of any token with its NUL. */
#define TOKEN_TEXT_SIZE 512

struct token {
	char host[TOKEN_HOST_MAX + 1]; /* name or address */
	uint16_t port;
	uint8_t pin[TOKEN_PIN_SIZE];
	uint8_t secret[TOKEN_SECRET_SIZE];
};

/* The length of the text; -EINVAL for a host or port that no token may carry. */
int token_format(const struct token *t, char out[TOKEN_TEXT_SIZE]) must_use;
/* text may be anything; spaces and line ends around it are ignored. -EINVAL with err saying what
 * is wrong with it, never repeating the secret. */
int token_parse(const char *text, struct token *ret, struct error *err) must_use;

#endif
