/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_pem.h - keys and certificates as OpenSSL has them and as PEM files hold them. Between tls.c
 * and tls_ca.c only: no other file may see OpenSSL's types.
 */
#ifndef MEMHERD_COMMON_TLS_PEM_H
#define MEMHERD_COMMON_TLS_PEM_H

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/tls.h"

#define AUTO_OSSL(type, name, free_fn)                 \
	static inline void auto_##name##_(type **slot) \
	{                                              \
		free_fn(*slot);                        \
	}
AUTO_OSSL(EVP_PKEY, pkey, EVP_PKEY_free)
AUTO_OSSL(X509, x509, X509_free)
AUTO_OSSL(X509_REQ, req, X509_REQ_free)
AUTO_OSSL(BIO, bio, BIO_free_all)
AUTO_OSSL(BIGNUM, bn, BN_free)
#define auto_pkey __attribute__((cleanup(auto_pkey_)))
#define auto_x509 __attribute__((cleanup(auto_x509_)))
#define auto_req  __attribute__((cleanup(auto_req_)))
#define auto_bio  __attribute__((cleanup(auto_bio_)))
#define auto_bn   __attribute__((cleanup(auto_bn_)))

/* error_set() with OpenSSL's own words behind it, whose queue is emptied. */
int tls_error(struct error *err, int code, const char *fmt, ...) printf_like(3, 4);

/* The file must be private (fs_check_private: -EPERM); -EBADMSG when it holds no key. */
int tls_pem_load_key(const char *path, EVP_PKEY **ret, struct error *err) must_use;
/* The first certificate of the file into ret; the ones behind it into chain, where wanted. */
int tls_pem_load_certs(const char *path, X509 **ret, SSL_CTX *chain, struct error *err) must_use;
/* 0600 */
int tls_pem_save_key(const char *path, EVP_PKEY *key, struct error *err) must_use;
/* 0644 */
int tls_pem_save_cert(const char *path, X509 *cert, struct error *err) must_use;
int tls_pem_append(X509 *cert, struct buf *out, struct error *err) must_use;

/* SHA-256 of the SubjectPublicKeyInfo; false without memory. */
bool tls_spki_pin(X509 *cert, uint8_t pin[TLS_PIN_SIZE]) must_use;
/* Seconds since 1970. */
int64_t tls_end_of(const X509 *cert);

#endif
