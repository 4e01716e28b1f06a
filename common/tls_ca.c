/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tls_ca.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/str.h"
#include "common/tls_pem.h"

#define DAY_S           (24 * 3600LL)
#define CA_LIFETIME     (3650 * DAY_S)
#define SERVER_LIFETIME (365 * DAY_S)
/* Clocks of fresh virtual machines may be behind ours. */
#define BACKDATE_S 3600
#define CSR_MAX    (64u * 1024)
#define CN_SIZE    65 /* X.520 ub-common-name and NUL */
#define HOST_URI   "URI:memherd://host/"

struct tls_ca {
	EVP_PKEY *key;
	X509 *cert;
};

/* ---- making certificates ---- */

struct leaf {
	const char *common_name;
	const char *usage; /* extendedKeyUsage; NULL for the CA itself */
	const char *san;
	int64_t not_before;
	int64_t lifetime_s;
};

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static bool add_extensions(X509 *cert, X509 *issuer, const struct leaf *l)
{
	if (!add_extension(cert, issuer, NID_subject_key_identifier, "hash"))
		return false;
	if (!l->usage)
		return add_extension(cert, issuer, NID_basic_constraints,
				     "critical,CA:TRUE,pathlen:0") &&
		       add_extension(cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
	return add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(cert, issuer, NID_authority_key_identifier, "keyid:always") &&
	       add_extension(cert, issuer, NID_ext_key_usage, l->usage) &&
	       add_extension(cert, issuer, NID_subject_alt_name, l->san);
}

static bool set_serial(X509 *cert)
{
	auto_bn BIGNUM *bn = BN_new();

	return bn && BN_rand(bn, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
	       BN_add_word(bn, 1) == 1 && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert));
}

static bool set_name(X509_NAME *name, const char *common_name)
{
	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
					  (const unsigned char *)common_name, -1, -1, 0) == 1;
}

/* issuer NULL: signed by itself. */
static X509 *make_cert(const struct leaf *l, EVP_PKEY *key, X509 *issuer, EVP_PKEY *signer)
{
	auto_x509 X509 *cert = X509_new();
	X509 *by = issuer ? issuer : cert;

	if (!cert || X509_set_version(cert, X509_VERSION_3) != 1 || !set_serial(cert) ||
	    !set_name(X509_get_subject_name(cert), l->common_name) ||
	    X509_set_issuer_name(cert, X509_get_subject_name(by)) != 1 ||
	    !ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)l->not_before) ||
	    !ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(l->not_before + l->lifetime_s)) ||
	    X509_set_pubkey(cert, key) != 1 || !add_extensions(cert, by, l) ||
	    X509_sign(cert, signer, EVP_sha256()) == 0)
		return NULL;
	return take_ptr(cert);
}

/* ---- the CA ---- */

static int join(char path[PATH_MAX], const char *folder, const char *name, struct error *err)
{
	if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
		return error_set(err, -ENAMETOOLONG, "'%s' is too long", folder);
	return 0;
}

static int make_ca_cert(const char *path, EVP_PKEY *key, X509 **ret, struct error *err)
{
	struct leaf l = {
		.common_name = "memherd CA",
		.not_before = (int64_t)time(NULL) - BACKDATE_S,
		.lifetime_s = CA_LIFETIME,
	};
	auto_x509 X509 *cert = make_cert(&l, key, NULL, key);
	int rc;

	if (!cert)
		return tls_error(err, -EIO, "cannot make the CA certificate");
	rc = tls_pem_save_cert(path, cert, err);
	if (!rc)
		*ret = take_ptr(cert);
	return rc;
}

static int make_key(const char *path, EVP_PKEY **ret, struct error *err)
{
	auto_pkey EVP_PKEY *key = EVP_EC_gen("P-256");
	int rc;

	if (!key)
		return tls_error(err, -EIO, "cannot make a P-256 key");
	rc = tls_pem_save_key(path, key, err);
	if (!rc)
		*ret = take_ptr(key);
	return rc;
}

static int load_ca(struct tls_ca *ca, const char *key_path, const char *pem_path, struct error *err)
{
	bool have_key = access(key_path, F_OK) == 0;
	bool have_pem = access(pem_path, F_OK) == 0;
	int rc;

	if (have_pem && !have_key)
		return error_set(err, -ENOENT, "'%s' is there but '%s' is missing", pem_path,
				 key_path);
	rc = have_key ? tls_pem_load_key(key_path, &ca->key, err)
		      : make_key(key_path, &ca->key, err);
	if (rc)
		return rc;
	/* A crash may have left the key alone. The pin is of the key, so it stays the same. */
	rc = have_pem ? tls_pem_load_certs(pem_path, &ca->cert, NULL, err)
		      : make_ca_cert(pem_path, ca->key, &ca->cert, err);
	if (rc)
		return rc;
	if (X509_check_private_key(ca->cert, ca->key) != 1) {
		ERR_clear_error();
		return error_set(err, -EBADMSG, "key '%s' does not match certificate '%s'",
				 key_path, pem_path);
	}
	if (X509_check_ca(ca->cert) != 1)
		return error_set(err, -EBADMSG, "'%s' is not a CA's certificate", pem_path);
	return 0;
}

int tls_ca_open(const char *folder, struct tls_ca **ret, struct error *err)
{
	char key_path[PATH_MAX], pem_path[PATH_MAX];
	struct tls_ca *ca;
	int rc = join(key_path, folder, "ca.key", err);

	if (!rc)
		rc = join(pem_path, folder, "ca.pem", err);
	if (rc)
		return rc;
	ca = calloc(1, sizeof(*ca));
	if (!ca)
		return error_set(err, -ENOMEM, "no memory for the CA");
	rc = load_ca(ca, key_path, pem_path, err);
	if (rc) {
		tls_ca_free(&ca);
		return rc;
	}
	*ret = ca;
	return 0;
}

void tls_ca_free(struct tls_ca **ca)
{
	if (!*ca)
		return;
	EVP_PKEY_free((*ca)->key);
	X509_free((*ca)->cert);
	free(*ca);
	*ca = NULL;
}

void tls_ca_pin(const struct tls_ca *ca, uint8_t pin[TLS_PIN_SIZE])
{
	if (!tls_spki_pin(ca->cert, pin))
		abort(); /* only without memory */
}

int tls_ca_pem(const struct tls_ca *ca, struct buf *pem, struct error *err)
{
	return tls_pem_append(ca->cert, pem, err);
}

/* 1 when the server's files can be used, 0 when they must be made, -errno when neither. */
static int server_is_good(const struct tls_ca *ca, const char *key_path, const char *pem_path,
			  struct error *err)
{
	auto_pkey EVP_PKEY *key = NULL;
	auto_x509 X509 *cert = NULL;
	bool good;
	int rc;

	if (access(key_path, F_OK) < 0 || access(pem_path, F_OK) < 0)
		return 0;
	rc = tls_pem_load_key(key_path, &key, err);
	if (rc == -EPERM)
		return rc;
	if (rc || tls_pem_load_certs(pem_path, &cert, NULL, NULL))
		return 0;
	good = X509_check_private_key(cert, key) == 1 && X509_verify(cert, ca->key) == 1 &&
	       tls_end_of(cert) - (int64_t)time(NULL) > SERVER_LIFETIME / 3;
	ERR_clear_error();
	return good;
}

int tls_ca_server(const struct tls_ca *ca, const char *folder, struct error *err)
{
	struct leaf l = {
		.common_name = TLS_COLLECTOR_NAME,
		.usage = "serverAuth",
		.san = "DNS:" TLS_COLLECTOR_NAME,
		.not_before = (int64_t)time(NULL) - BACKDATE_S,
		.lifetime_s = SERVER_LIFETIME,
	};
	char key_path[PATH_MAX], pem_path[PATH_MAX];
	auto_pkey EVP_PKEY *key = NULL;
	auto_x509 X509 *cert = NULL;
	int rc = join(key_path, folder, "server.key", err);

	if (!rc)
		rc = join(pem_path, folder, "server.pem", err);
	if (!rc)
		rc = server_is_good(ca, key_path, pem_path, err);
	if (rc)
		return MIN_OF(rc, 0);
	rc = make_key(key_path, &key, err);
	if (rc)
		return rc;
	cert = make_cert(&l, key, ca->cert, ca->key);
	if (!cert)
		return tls_error(err, -EIO, "cannot make the server's certificate");
	return tls_pem_save_cert(pem_path, cert, err);
}

/* ---- hosts ---- */

static bool is_p256(EVP_PKEY *key)
{
	int explicit_curve = 0;
	char group[32];

	if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
	    EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1)
		return false;
	EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
			       &explicit_curve);
	return !explicit_curve && strcmp(group, SN_X9_62_prime256v1) == 0;
}

static int parse_csr(const uint8_t *csr, size_t len, X509_REQ **ret, struct error *err)
{
	auto_req X509_REQ *req = NULL;
	const unsigned char *p = csr;

	if (len > CSR_MAX)
		return error_set(err, -EBADMSG, "certificate request of %zu bytes", len);
	req = d2i_X509_REQ(NULL, &p, (long)len);
	if (!req || p != csr + len)
		return tls_error(err, -EBADMSG, "malformed certificate request");
	if (!is_p256(X509_REQ_get0_pubkey(req))) {
		ERR_clear_error();
		return error_set(err, -EBADMSG, "certificate request without a P-256 key");
	}
	if (X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) != 1) {
		ERR_clear_error();
		return error_set(err, -EBADMSG, "certificate request with a wrong signature");
	}
	*ret = take_ptr(req);
	return 0;
}

int tls_ca_issue(const struct tls_ca *ca, const uint8_t *csr, size_t len, const uint8_t uuid[16],
		 int64_t not_before, int64_t lifetime_s, struct buf *pem, struct error *err)
{
	char name[UUID_TEXT_SIZE], san[sizeof(HOST_URI) + UUID_TEXT_SIZE];
	struct leaf l = {
		.common_name = name,
		.usage = "clientAuth",
		.san = san,
		.not_before = not_before,
		.lifetime_s = lifetime_s,
	};
	auto_req X509_REQ *req = NULL;
	auto_x509 X509 *cert = NULL;
	int rc = parse_csr(csr, len, &req, err);

	if (rc)
		return rc;
	uuid_text(name, uuid);
	snprintf(san, sizeof(san), HOST_URI "%s", name);
	cert = make_cert(&l, X509_REQ_get0_pubkey(req), ca->cert, ca->key);
	if (!cert)
		return tls_error(err, -EIO, "cannot make the certificate of host %s", name);
	return tls_pem_append(cert, pem, err);
}

int tls_make_csr(const char *key_path, const char *common_name, struct buf *csr, struct error *err)
{
	auto_req X509_REQ *req = X509_REQ_new();
	auto_pkey EVP_PKEY *key = NULL;
	unsigned char *der = NULL;
	char name[CN_SIZE];
	int len, rc;

	rc = make_key(key_path, &key, err);
	if (rc)
		return rc;
	str_safe(name, sizeof(name), common_name, strlen(common_name));
	if (!req || !set_name(X509_REQ_get_subject_name(req), *name ? name : "memherd") ||
	    X509_REQ_set_pubkey(req, key) != 1 || X509_REQ_sign(req, key, EVP_sha256()) == 0)
		return tls_error(err, -EIO, "cannot make a certificate request");
	len = i2d_X509_REQ(req, &der);
	if (len < 0)
		return tls_error(err, -ENOMEM, "cannot encode a certificate request");
	buf_put(csr, der, (size_t)len);
	OPENSSL_free(der);
	return buf_status(csr) ? error_set(err, -ENOBUFS, "no room for a request") : 0;
}
