/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sign.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/random.h>

#include "common/fs.h"

#define KEY_FILE_MAX     4096
#define SIGN_MESSAGE_MAX (64u << 20)

struct sign_key {
	EVP_PKEY *pkey;
};

static void free_pkey(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}
static void free_bio(BIO **b)
{
	BIO_free(*b);
}
static void free_md(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}
#define auto_pkey __attribute__((cleanup(free_pkey)))
#define auto_bio  __attribute__((cleanup(free_bio)))
#define auto_md   __attribute__((cleanup(free_md)))

/* A key file with a passphrase must fail here, never prompt on the terminal. */
static int on_passphrase(char *buf unused_arg, int size unused_arg, int rw unused_arg,
			 void *user unused_arg)
{
	return -1;
}

static int make_file(const char *path, struct error *err)
{
	auto_pkey EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	/* Secure memory is not set up, so this BIO is cleared by hand: the key is in it. */
	auto_bio BIO *bio = BIO_new(BIO_s_mem());
	char *pem = NULL;
	long len;
	int rc;

	if (!pkey || !bio ||
	    PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) != 1)
		return error_set(err, -ENOMEM, "cannot make a signing key");
	len = BIO_get_mem_data(bio, &pem);
	rc = fs_write(path, 0600, pem, (size_t)len, err);
	OPENSSL_cleanse(pem, (size_t)len);
	return rc;
}

static int load_file(const char *path, EVP_PKEY **ret, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(KEY_FILE_MAX);
	auto_bio BIO *bio = NULL;
	auto_pkey EVP_PKEY *pkey = NULL;
	int rc;

	rc = fs_check_private(path, err);
	if (rc == 0)
		rc = fs_read(path, &text, err);
	if (rc < 0)
		return rc;
	bio = BIO_new_mem_buf(text.data ? (void *)text.data : (void *)"", (int)text.len);
	if (bio)
		pkey = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, NULL);
	if (text.data)
		OPENSSL_cleanse(text.data, text.len);
	if (!bio)
		return error_set(err, -ENOMEM, "no memory to read '%s'", path);
	if (!pkey || !EVP_PKEY_is_a(pkey, "ED25519"))
		return error_set(err, -EBADMSG, "'%s' does not hold an Ed25519 private key (PEM)",
				 path);
	*ret = take_ptr(pkey);
	return 0;
}

int sign_key_load(const char *path, struct sign_key **ret, struct error *err)
{
	auto_free struct sign_key *k = calloc(1, sizeof(*k));
	int rc;

	if (!k)
		return error_set(err, -ENOMEM, "no memory for key '%s'", path);
	rc = load_file(path, &k->pkey, err);
	if (rc < 0)
		return rc;
	*ret = take_ptr(k);
	return 0;
}

int sign_key_open(const char *path, struct sign_key **ret, struct error *err)
{
	int rc = 0;

	if (access(path, F_OK) < 0) {
		if (errno != ENOENT)
			return error_sys(err, -errno, "cannot look at '%s'", path);
		rc = make_file(path, err);
	}
	return rc < 0 ? rc : sign_key_load(path, ret, err);
}

void sign_key_free(struct sign_key **k)
{
	if (!*k)
		return;
	EVP_PKEY_free((*k)->pkey);
	free(*k);
	*k = NULL;
}

int sign_key_public(const struct sign_key *k, uint8_t pub[SIGN_KEY_SIZE])
{
	size_t len = SIGN_KEY_SIZE;

	if (EVP_PKEY_get_raw_public_key(k->pkey, pub, &len) != 1 || len != SIGN_KEY_SIZE)
		return -EIO;
	return 0;
}

/* Ed25519 hashes the message twice, so OpenSSL takes it only in one piece. */
static int join(const char *domain, const void *data, size_t len, uint8_t **ret, size_t *ret_len)
{
	size_t head = strlen(domain);
	uint8_t *p;

	if (len > SIGN_MESSAGE_MAX)
		return -EFBIG;
	p = malloc(head + len + 1);
	if (!p)
		return -ENOMEM;
	memcpy(p, domain, head);
	if (len)
		memcpy(p + head, data, len);
	*ret = p;
	*ret_len = head + len;
	return 0;
}

int sign_make(const struct sign_key *k, const char *domain, const void *data, size_t len,
	      uint8_t sig[SIGN_SIZE])
{
	auto_md EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	auto_free uint8_t *message = NULL;
	size_t message_len;
	size_t sig_len = SIGN_SIZE;
	int rc = join(domain, data, len, &message, &message_len);

	if (rc < 0)
		return rc;
	if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) != 1)
		return -ENOMEM;
	if (EVP_DigestSign(ctx, sig, &sig_len, message, message_len) != 1 || sig_len != SIGN_SIZE)
		return -EIO;
	return 0;
}

int sign_check(const uint8_t pub[SIGN_KEY_SIZE], const char *domain, const void *data, size_t len,
	       const uint8_t sig[SIGN_SIZE])
{
	auto_pkey EVP_PKEY *pkey =
		EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, pub, SIGN_KEY_SIZE);
	auto_md EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	auto_free uint8_t *message = NULL;
	size_t message_len;
	int rc = join(domain, data, len, &message, &message_len);

	if (rc < 0)
		return rc;
	if (!pkey || !ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) != 1)
		return -ENOMEM;
	return EVP_DigestVerify(ctx, sig, SIGN_SIZE, message, message_len) == 1 ? 0 : -EBADMSG;
}

void sha256(uint8_t out[SHA256_SIZE], const void *data, size_t len)
{
	/* Its callers have no way to go on without a hash, and it fails only for want of memory. */
	if (EVP_Q_digest(NULL, "SHA256", NULL, len ? data : "", len, out, NULL) != 1)
		abort();
}

void random_bytes(void *out, size_t n)
{
	uint8_t *p = out;

	while (n) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort();
		p += got;
		n -= (size_t)got;
	}
}

uint64_t random_below(uint64_t below)
{
	/* Values under 2^64 mod below would make the small results likelier: draw again. */
	uint64_t skip = below ? -below % below : 0;
	uint64_t v;

	if (!below)
		return 0;
	do {
		random_bytes(&v, sizeof(v));
	} while (v < skip);
	return v % below;
}
