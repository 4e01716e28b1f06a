/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"
#include "common/tls_pem.h"

#define PEER_CERTS (16 * 1024)

struct tls_ctx {
	SSL_CTX *native;
	enum tls_role role;
	uint8_t pin[TLS_PIN_SIZE];
};

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

int tls_cert_end(const char *pem_path, int64_t *ret, struct error *err)
{
	auto_x509 X509 *cert = NULL;
	int rc = tls_pem_load_certs(pem_path, &cert, NULL, err);

	if (!rc)
		*ret = tls_end_of(cert);
	return rc;
}

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
		if (tls_spki_pin(sk_X509_value(certs, i), pin) &&
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
	int rc = tls_pem_load_certs(path, &ca, NULL, err);

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
		return tls_error(err, -ENOMEM, "cannot use CA '%s'", path);
	/* An enrolling client has only the pin: the CA must come with the chain. */
	if (ctx->role == TLS_ENROL_SERVER && SSL_CTX_add1_chain_cert(ctx->native, ca) != 1)
		return tls_error(err, -ENOMEM, "cannot send CA '%s'", path);
	return 0;
}

static int use_own(struct tls_ctx *ctx, const struct tls_files *files, struct error *err)
{
	auto_pkey EVP_PKEY *key = NULL;
	auto_x509 X509 *cert = NULL;
	int rc = tls_pem_load_certs(files->cert, &cert,
				    ctx->role == TLS_WEB_SERVER ? ctx->native : NULL, err);

	if (!rc)
		rc = tls_pem_load_key(files->key, &key, err);
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
		return tls_error(err, -EBADMSG, "cannot use certificate '%s'", files->cert);
	if (!files->ca)
		return 0;
	return use_ca(ctx, files->ca, cert, files->cert, err);
}

static int fill_ctx(struct tls_ctx *ctx, const struct tls_files *files, struct error *err)
{
	ctx->native = SSL_CTX_new(is_server(ctx->role) ? TLS_server_method() : TLS_client_method());
	if (!ctx->native || !set_protocol(ctx->native, ctx->role) || !set_verification(ctx))
		return tls_error(err, -ENOMEM, "cannot set up TLS");
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
