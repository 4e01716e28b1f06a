/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tls_pem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "common/fs.h"

#define PEM_FILE_MAX (64u * 1024)
#define CHAIN_MAX    4

int tls_error(struct error *err, int code, const char *fmt, ...)
{
	char what[300], cause[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return error_set(err, code, "%s: %s", what, tls_last_error(cause, sizeof(cause)));
}

/* Without it OpenSSL would ask on the terminal. */
static int on_password(char *to unused_arg, int size unused_arg, int write unused_arg,
		       void *arg unused_arg)
{
	return -1;
}

int tls_pem_load_key(const char *path, EVP_PKEY **ret, struct error *err)
{
	auto_buf struct buf pem = BUF_INIT(PEM_FILE_MAX);
	auto_bio BIO *bio = NULL;
	int rc = fs_check_private(path, err);

	if (!rc)
		rc = fs_read(path, &pem, err);
	if (rc)
		return rc;
	bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	*ret = bio ? PEM_read_bio_PrivateKey(bio, NULL, on_password, NULL) : NULL;
	if (pem.data)
		OPENSSL_cleanse(pem.data, pem.len);
	if (!*ret)
		return tls_error(err, -EBADMSG, "'%s' holds no usable private key", path);
	return 0;
}

int tls_pem_load_certs(const char *path, X509 **ret, SSL_CTX *chain, struct error *err)
{
	auto_buf struct buf pem = BUF_INIT(PEM_FILE_MAX);
	auto_x509 X509 *first = NULL;
	auto_bio BIO *bio = NULL;
	int rc = fs_read(path, &pem, err);

	if (rc)
		return rc;
	bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	first = bio ? PEM_read_bio_X509(bio, NULL, on_password, NULL) : NULL;
	if (!first)
		return tls_error(err, -EBADMSG, "'%s' holds no certificate", path);
	/* OpenSSL files a chain under the certificate that is set last. */
	if (chain && SSL_CTX_use_certificate(chain, first) != 1)
		return tls_error(err, -EBADMSG, "cannot use certificate '%s'", path);
	for (int i = 0; chain && i < CHAIN_MAX; i++) {
		auto_x509 X509 *next = PEM_read_bio_X509(bio, NULL, on_password, NULL);

		if (!next)
			break;
		if (SSL_CTX_add1_chain_cert(chain, next) != 1)
			return tls_error(err, -EBADMSG, "cannot use the chain in '%s'", path);
	}
	ERR_clear_error();
	*ret = take_ptr(first);
	return 0;
}

int tls_pem_save_key(const char *path, EVP_PKEY *key, struct error *err)
{
	auto_bio BIO *bio = BIO_new(BIO_s_secmem());
	char *pem;
	long len;

	if (!bio || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		return tls_error(err, -ENOMEM, "cannot encode the key for '%s'", path);
	len = BIO_get_mem_data(bio, &pem);
	return fs_write(path, 0600, pem, (size_t)len, err);
}

int tls_pem_append(X509 *cert, struct buf *out, struct error *err)
{
	auto_bio BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long len;

	if (!bio || PEM_write_bio_X509(bio, cert) != 1)
		return tls_error(err, -ENOMEM, "cannot encode a certificate");
	len = BIO_get_mem_data(bio, &pem);
	buf_put(out, pem, (size_t)len);
	return buf_status(out) ? error_set(err, -ENOBUFS, "no room for a certificate") : 0;
}

int tls_pem_save_cert(const char *path, X509 *cert, struct error *err)
{
	auto_buf struct buf pem = BUF_INIT(PEM_FILE_MAX);
	int rc = tls_pem_append(cert, &pem, err);

	return rc ? rc : fs_write(path, 0644, pem.data, pem.len, err);
}

bool tls_spki_pin(X509 *cert, uint8_t pin[TLS_PIN_SIZE])
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	bool ok = len > 0 && EVP_Digest(der, (size_t)len, pin, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	return ok;
}

int64_t tls_end_of(const X509 *cert)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm);
}
