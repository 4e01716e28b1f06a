/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.h - keys, certificates and TLS contexts: with proto/conn.c and common/sign.c the only users
 * of OpenSSL. TLS 1.3 only, P-256 keys, our own CA only (never the system's store).
 *
 * Certificates: CA (self-signed, 10 years, CA:TRUE pathlen 0); server (serverAuth only, SAN
 * DNS:memherd-collector, 1 year, made anew when less than a third is left); host (clientAuth only,
 * SAN URI:memherd://host/<uuid>, 90 days). Each side demands the other's extended key usage, so no
 * host's certificate can pose as the collector.
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
struct tls_ca;

/* Makes ca.key (0600) and ca.pem in folder at the first call, then loads them. */
int tls_ca_open(const char *folder, struct tls_ca **ret, struct error *err) must_use;
void tls_ca_free(struct tls_ca **ca);
void tls_ca_pin(const struct tls_ca *ca, uint8_t pin[TLS_PIN_SIZE]);
int tls_ca_pem(const struct tls_ca *ca, struct buf *pem, struct error *err) must_use;
/* Makes folder/server.key and folder/server.pem when missing or near their end. */
int tls_ca_server(const struct tls_ca *ca, const char *folder, struct error *err) must_use;
/* Signs a CSR (DER, untrusted: only its key is used, P-256 demanded, signature checked) for host
 * uuid; not_before and lifetime in seconds. Appends the leaf as PEM. */
int tls_ca_issue(const struct tls_ca *ca, const uint8_t *csr, size_t len, const uint8_t uuid[16],
		 int64_t not_before, int64_t lifetime_s, struct buf *pem,
		 struct error *err) must_use;

/* A new P-256 key into key_path (0600) and its CSR (DER) into csr. */
int tls_make_csr(const char *key_path, const char *common_name, struct buf *csr,
		 struct error *err) must_use;
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
