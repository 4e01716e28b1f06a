/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tls.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/fs.h"
#include "common/str.h"

#define DAY_S           (24 * 3600LL)
#define CA_LIFETIME     (3650 * DAY_S)
#define SERVER_LIFETIME (365 * DAY_S)
/* Clocks of fresh virtual machines may be behind ours. */
#define BACKDATE_S   3600
#define PEM_FILE_MAX (64u * 1024)
#define CHAIN_MAX    4
#define PEER_CERTS   (16 * 1024)
#define CN_SIZE      65 /* X.520 ub-common-name and NUL */
#define HOST_URI     "URI:memherd://host/"

struct tls_ca {
	EVP_PKEY *key;
	X509 *cert;
};

struct tls_ctx {
	SSL_CTX *native;
	enum tls_role role;
	uint8_t pin[TLS_PIN_SIZE];
};

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

const char *tls_last_error(char *out, size_t size)
{
	unsigned long code;
	size_t n = 0;

	if (size)
		out[0] = '\0';
	while ((code = ERR_get_error()) != 0) {
		const char *reason = ERR_reason_error_string(code);

		if (!reason && ERR_SYSTEM_ERROR(code))
			reason = strerror(ERR_GET_REASON(code));
		if (reason && n < size)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", reason);
	}
	if (!n)
		str_copy(out, size, "unknown cause");
	return out;
}

static int ossl_error(struct error *err, int code, const char *fmt, ...) printf_like(3, 4);
static int ossl_error(struct error *err, int code, const char *fmt, ...)
{
	char what[300], cause[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return error_set(err, code, "%s: %s", what, tls_last_error(cause, sizeof(cause)));
}

static int join(char path[PATH_MAX], const char *folder, const char *name, struct error *err)
{
	if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
		return error_set(err, -ENAMETOOLONG, "'%s' is too long", folder);
	return 0;
}

/* ---- files ---- */

/* Without it OpenSSL would ask on the terminal. */
static int on_password(char *to unused_arg, int size unused_arg, int write unused_arg,
		       void *arg unused_arg)
{
	return -1;
}

static int load_key(const char *path, EVP_PKEY **ret, struct error *err)
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
		return ossl_error(err, -EBADMSG, "'%s' holds no usable private key", path);
	return 0;
}

/* The first certificate of the file into ret; the ones behind it into chain, where wanted. */
static int load_certs(const char *path, X509 **ret, SSL_CTX *chain, struct error *err)
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
		return ossl_error(err, -EBADMSG, "'%s' holds no certificate", path);
	/* OpenSSL files a chain under the certificate that is set last. */
	if (chain && SSL_CTX_use_certificate(chain, first) != 1)
		return ossl_error(err, -EBADMSG, "cannot use certificate '%s'", path);
	for (int i = 0; chain && i < CHAIN_MAX; i++) {
		auto_x509 X509 *next = PEM_read_bio_X509(bio, NULL, on_password, NULL);

		if (!next)
			break;
		if (SSL_CTX_add1_chain_cert(chain, next) != 1)
			return ossl_error(err, -EBADMSG, "cannot use the chain in '%s'", path);
	}
	ERR_clear_error();
	*ret = take_ptr(first);
	return 0;
}

static int save_key(const char *path, EVP_PKEY *key, struct error *err)
{
	auto_bio BIO *bio = BIO_new(BIO_s_secmem());
	char *pem;
	long len;

	if (!bio || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		return ossl_error(err, -ENOMEM, "cannot encode the key for '%s'", path);
	len = BIO_get_mem_data(bio, &pem);
	return fs_write(path, 0600, pem, (size_t)len, err);
}

static int append_pem(X509 *cert, struct buf *out, struct error *err)
{
	auto_bio BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long len;

	if (!bio || PEM_write_bio_X509(bio, cert) != 1)
		return ossl_error(err, -ENOMEM, "cannot encode a certificate");
	len = BIO_get_mem_data(bio, &pem);
	buf_put(out, pem, (size_t)len);
	return buf_status(out) ? error_set(err, -ENOBUFS, "no room for a certificate") : 0;
}

static int save_cert(const char *path, X509 *cert, struct error *err)
{
	auto_buf struct buf pem = BUF_INIT(PEM_FILE_MAX);
	int rc = append_pem(cert, &pem, err);

	return rc ? rc : fs_write(path, 0644, pem.data, pem.len, err);
}

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
		return ossl_error(err, -EIO, "cannot make the CA certificate");
	rc = save_cert(path, cert, err);
	if (!rc)
		*ret = take_ptr(cert);
	return rc;
}

static int make_key(const char *path, EVP_PKEY **ret, struct error *err)
{
	auto_pkey EVP_PKEY *key = EVP_EC_gen("P-256");
	int rc;

	if (!key)
		return ossl_error(err, -EIO, "cannot make a P-256 key");
	rc = save_key(path, key, err);
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
	rc = have_key ? load_key(key_path, &ca->key, err) : make_key(key_path, &ca->key, err);
	if (rc)
		return rc;
	/* A crash may have left the key alone. The pin is of the key, so it stays the same. */
	rc = have_pem ? load_certs(pem_path, &ca->cert, NULL, err)
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

static bool spki_pin(X509 *cert, uint8_t pin[TLS_PIN_SIZE])
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	bool ok = len > 0 && EVP_Digest(der, (size_t)len, pin, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	return ok;
}

void tls_ca_pin(const struct tls_ca *ca, uint8_t pin[TLS_PIN_SIZE])
{
	if (!spki_pin(ca->cert, pin))
		abort(); /* only without memory */
}

int tls_ca_pem(const struct tls_ca *ca, struct buf *pem, struct error *err)
{
	return append_pem(ca->cert, pem, err);
}

static int64_t end_of(const X509 *cert)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm);
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
	rc = load_key(key_path, &key, err);
	if (rc == -EPERM)
		return rc;
	if (rc || load_certs(pem_path, &cert, NULL, NULL))
		return 0;
	good = X509_check_private_key(cert, key) == 1 && X509_verify(cert, ca->key) == 1 &&
	       end_of(cert) - (int64_t)time(NULL) > SERVER_LIFETIME / 3;
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
		return ossl_error(err, -EIO, "cannot make the server's certificate");
	return save_cert(pem_path, cert, err);
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

	if (len > PEM_FILE_MAX)
		return error_set(err, -EBADMSG, "certificate request of %zu bytes", len);
	req = d2i_X509_REQ(NULL, &p, (long)len);
	if (!req || p != csr + len)
		return ossl_error(err, -EBADMSG, "malformed certificate request");
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
		return ossl_error(err, -EIO, "cannot make the certificate of host %s", name);
	return append_pem(cert, pem, err);
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
		return ossl_error(err, -EIO, "cannot make a certificate request");
	len = i2d_X509_REQ(req, &der);
	if (len < 0)
		return ossl_error(err, -ENOMEM, "cannot encode a certificate request");
	buf_put(csr, der, (size_t)len);
	OPENSSL_free(der);
	return buf_status(csr) ? error_set(err, -ENOBUFS, "no room for a request") : 0;
}

int tls_cert_end(const char *pem_path, int64_t *ret, struct error *err)
{
	auto_x509 X509 *cert = NULL;
	int rc = load_certs(pem_path, &cert, NULL, err);

	if (!rc)
		*ret = end_of(cert);
	return rc;
}

/* ---- contexts ---- */

static bool is_server(enum tls_role role)
{
	return role == TLS_STREAM_SERVER || role == TLS_ENROL_SERVER || role == TLS_WEB_SERVER;
}

/* OpenSSL's purpose accepts a certificate that names no usage at all; we do not. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(store);

	if (ok && X509_STORE_CTX_get_error_depth(store) == 0 &&
	    X509_get_extended_key_usage(cert) == UINT32_MAX) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_PURPOSE);
		return 0;
	}
	return ok;
}

static X509 *find_pinned(STACK_OF(X509) * certs, const uint8_t want[TLS_PIN_SIZE])
{
	uint8_t pin[TLS_PIN_SIZE];

	for (int i = 0; i < sk_X509_num(certs); i++)
		if (spki_pin(sk_X509_value(certs, i), pin) &&
		    CRYPTO_memcmp(pin, want, TLS_PIN_SIZE) == 0)
			return sk_X509_value(certs, i);
	return NULL;
}

/* The one trusted certificate is that of the presented chain which has the token's pin; the
 * rest is OpenSSL's ordinary verification of chain, time, usage and name. */
static int on_verify_pin(X509_STORE_CTX *store, void *arg)
{
	const struct tls_ctx *ctx = arg;
	X509 *ca = find_pinned(X509_STORE_CTX_get0_untrusted(store), ctx->pin);
	STACK_OF(X509) * trusted;
	int ok;

	if (!ca) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	trusted = sk_X509_new_null();
	if (!trusted || !sk_X509_push(trusted, ca)) {
		sk_X509_free(trusted);
		X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
		return 0;
	}
	X509_STORE_CTX_set0_trusted_stack(store, trusted);
	ok = X509_verify_cert(store);
	sk_X509_free(trusted);
	return ok == 1;
}

static bool set_protocol(SSL_CTX *c, enum tls_role role)
{
	int min = role == TLS_WEB_SERVER ? TLS1_2_VERSION : TLS1_3_VERSION;

	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
				       SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(c, PEER_CERTS);
	return SSL_CTX_set_min_proto_version(c, min) == 1 &&
	       SSL_CTX_set1_groups_list(c, "X25519:P-256") == 1 &&
	       SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
	       SSL_CTX_set_num_tickets(c, 0) == 1 && SSL_CTX_set_max_early_data(c, 0) == 1;
}

static bool set_verification(struct tls_ctx *ctx)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx->native);

	if (ctx->role == TLS_ENROL_SERVER || ctx->role == TLS_WEB_SERVER) {
		SSL_CTX_set_verify(ctx->native, SSL_VERIFY_NONE, NULL);
		return true;
	}
	SSL_CTX_set_verify(ctx->native, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			   on_verify);
	SSL_CTX_set_verify_depth(ctx->native, 1);
	if (ctx->role == TLS_STREAM_SERVER)
		return X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) == 1;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
						       X509_CHECK_FLAG_NO_WILDCARDS);
	if (ctx->role == TLS_ENROL_CLIENT)
		SSL_CTX_set_cert_verify_callback(ctx->native, on_verify_pin, ctx);
	return X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) == 1 &&
	       X509_VERIFY_PARAM_set1_host(param, TLS_COLLECTOR_NAME, 0) == 1;
}

static int check_usage(const struct tls_ctx *ctx, X509 *cert, const char *path, struct error *err)
{
	bool server = is_server(ctx->role);
	uint32_t want = server ? XKU_SSL_SERVER : XKU_SSL_CLIENT;
	uint32_t has = X509_get_extended_key_usage(cert);

	/* A web certificate may come from anyone; ours always say what they are for. */
	if (has == UINT32_MAX && ctx->role == TLS_WEB_SERVER)
		return 0;
	if (has == UINT32_MAX || !(has & want))
		return error_set(err, -EBADMSG, "certificate '%s' is not for %s (%s)", path,
				 server ? "servers" : "clients",
				 server ? "serverAuth" : "clientAuth");
	return 0;
}

static int use_ca(struct tls_ctx *ctx, const char *path, X509 *own, const char *own_path,
		  struct error *err)
{
	auto_x509 X509 *ca = NULL;
	int rc = load_certs(path, &ca, NULL, err);

	if (rc)
		return rc;
	if (X509_check_ca(ca) != 1)
		return error_set(err, -EBADMSG, "'%s' is not a CA's certificate", path);
	if (X509_verify(own, X509_get0_pubkey(ca)) != 1) {
		ERR_clear_error();
		return error_set(err, -EBADMSG, "certificate '%s' is not signed by the CA in '%s'",
				 own_path, path);
	}
	if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx->native), ca) != 1)
		return ossl_error(err, -ENOMEM, "cannot use CA '%s'", path);
	/* An enrolling client has only the pin: the CA must come with the chain. */
	if (ctx->role == TLS_ENROL_SERVER && SSL_CTX_add1_chain_cert(ctx->native, ca) != 1)
		return ossl_error(err, -ENOMEM, "cannot send CA '%s'", path);
	return 0;
}

static int use_own(struct tls_ctx *ctx, const struct tls_files *files, struct error *err)
{
	auto_pkey EVP_PKEY *key = NULL;
	auto_x509 X509 *cert = NULL;
	int rc = load_certs(files->cert, &cert, ctx->role == TLS_WEB_SERVER ? ctx->native : NULL,
			    err);

	if (!rc)
		rc = load_key(files->key, &key, err);
	if (!rc)
		rc = check_usage(ctx, cert, files->cert, err);
	if (rc)
		return rc;
	if (X509_check_private_key(cert, key) != 1) {
		ERR_clear_error();
		return error_set(err, -EBADMSG, "key '%s' does not match certificate '%s'",
				 files->key, files->cert);
	}
	if (SSL_CTX_use_certificate(ctx->native, cert) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx->native, key) != 1)
		return ossl_error(err, -EBADMSG, "cannot use certificate '%s'", files->cert);
	if (!files->ca)
		return 0;
	return use_ca(ctx, files->ca, cert, files->cert, err);
}

static int fill_ctx(struct tls_ctx *ctx, const struct tls_files *files, struct error *err)
{
	ctx->native = SSL_CTX_new(is_server(ctx->role) ? TLS_server_method() : TLS_client_method());
	if (!ctx->native || !set_protocol(ctx->native, ctx->role) || !set_verification(ctx))
		return ossl_error(err, -ENOMEM, "cannot set up TLS");
	if (ctx->role == TLS_ENROL_CLIENT) {
		memcpy(ctx->pin, files->pin, TLS_PIN_SIZE);
		return 0;
	}
	return use_own(ctx, files, err);
}

int tls_ctx_new(enum tls_role role, const struct tls_files *files, struct tls_ctx **ret,
		struct error *err)
{
	struct tls_ctx *ctx;
	int rc;

	assert(role == TLS_ENROL_CLIENT ? files->pin != NULL : files->cert && files->key);
	assert(files->ca || role == TLS_ENROL_CLIENT || role == TLS_WEB_SERVER);
	ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return error_set(err, -ENOMEM, "no memory for TLS");
	ctx->role = role;
	ERR_clear_error();
	rc = fill_ctx(ctx, files, err);
	if (rc) {
		tls_ctx_free(&ctx);
		return rc;
	}
	*ret = ctx;
	return 0;
}

void tls_ctx_free(struct tls_ctx **ctx)
{
	if (!*ctx)
		return;
	SSL_CTX_free((*ctx)->native);
	free(*ctx);
	*ctx = NULL;
}

void *tls_ctx_native(const struct tls_ctx *ctx)
{
	return ctx->native;
}

enum tls_role tls_ctx_role(const struct tls_ctx *ctx)
{
	return ctx->role;
}
