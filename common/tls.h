/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.h - TLS contexts: who shows which certificate and whom each side believes. TLS 1.3 only,
 * our own CA only (never the system's store); tls_ca.h makes what they are filled with.
 */
#ifndef MEMHERD_COMMON_TLS_H
#define MEMHERD_COMMON_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

#define TLS_PIN_SIZE       32 /* SHA-256 of the CA's SubjectPublicKeyInfo (DER) */
#define TLS_COLLECTOR_NAME "memherd-collector"

struct tls_ctx;

/* Seconds since 1970 when the certificate file ends. */
int tls_cert_end(const char *pem_path, int64_t *ret, struct error *err) must_use;

enum tls_role {
	TLS_STREAM_SERVER, /* demands a host certificate of our CA */
	TLS_ENROL_SERVER,  /* asks for none */
	TLS_WEB_SERVER,    /* REST and dashboard when not on loopback; TLS 1.2 allowed */
	TLS_STREAM_CLIENT, /* shows its own, demands the collector's */
	TLS_ENROL_CLIENT,  /* demands a chain to the CA with the pin */
};

struct tls_files {
	const char *ca;     /* PEM; not for TLS_ENROL_CLIENT */
	const char *cert;   /* PEM; not for TLS_ENROL_CLIENT */
	const char *key;    /* PEM, must be private (fs_check_private) */
	const uint8_t *pin; /* TLS_ENROL_CLIENT */
};

int tls_ctx_new(enum tls_role role, const struct tls_files *files, struct tls_ctx **ret,
		struct error *err) must_use;
void tls_ctx_free(struct tls_ctx **ctx);
/* The SSL_CTX, for conn.c and http.c. */
void *tls_ctx_native(const struct tls_ctx *ctx);
enum tls_role tls_ctx_role(const struct tls_ctx *ctx);
/* The queue of OpenSSL errors as one line, emptied; for conn.c. Never '' . */
const char *tls_last_error(char *out, size_t size);

#endif
