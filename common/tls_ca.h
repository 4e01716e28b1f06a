/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_ca.h - our CA: the collector's key pairs and certificates, and those it signs for hosts. All
 * keys are P-256.
 *
 * Certificates: CA (self-signed, 10 years, CA:TRUE pathlen 0); server (serverAuth only, SAN
 * DNS:memherd-collector, 1 year, made anew when less than a third is left); host (clientAuth only,
 * SAN URI:memherd://host/<uuid>, 90 days). Each side demands the other's extended key usage, so no
 * host's certificate can pose as the collector.
 */
#ifndef MEMHERD_COMMON_TLS_CA_H
#define MEMHERD_COMMON_TLS_CA_H

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/tls.h"

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

#endif
