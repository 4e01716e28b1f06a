/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sign.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/str.h"
#include "tests/support/test.h"

struct place {
	char dir[32];
	char key[64];
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/test_sign.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->key, sizeof(p->key), "%s/key.pem", p->dir);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	unlink(p->key);
	rmdir(p->dir);
	free(p);
	return 0;
}

static void sha256_gives_the_published_digest(void **state unused_arg)
{
	uint8_t out[SHA256_SIZE];
	char hex[2 * SHA256_SIZE + 1];

	sha256(out, "abc", 3); /* FIPS 180-2, appendix B.1 */
	str_hex(hex, out, sizeof(out));
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256(out, NULL, 0);
	str_hex(hex, out, sizeof(out));
	assert_string_equal(hex,
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 8032, section 7.1, test 2; its one-byte message may be domain or data. */
static void ed25519_accepts_the_published_signature(void **state unused_arg)
{
	uint8_t pub[SIGN_KEY_SIZE];
	uint8_t sig[SIGN_SIZE];
	const uint8_t data = 0x82;

	assert_int_equal(str_unhex(pub, sizeof(pub),
				   "3d4017c3e843895a92b70aa74d1b7ebc"
				   "9c982ccf2ec4968cc0cd55f12af4660c"),
			 0);
	assert_int_equal(
		str_unhex(sig, sizeof(sig),
			  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
			  "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
		0);
	assert_int_equal(sign_check(pub, "r", NULL, 0, sig), 0);
	assert_int_equal(sign_check(pub, "", "r", 1, sig), 0);
	assert_int_equal(sign_check(pub, "r", &data, 1, sig), -EBADMSG);
}

static void a_key_is_made_once_and_signs(void **state)
{
	const struct place *p = *state;
	struct sign_key *a = NULL;
	struct sign_key *b = NULL;
	uint8_t pub_a[SIGN_KEY_SIZE];
	uint8_t pub_b[SIGN_KEY_SIZE];
	uint8_t sig[SIGN_SIZE];
	struct error err;
	struct stat st;

	assert_int_equal(sign_key_open(p->key, &a, &err), 0);
	assert_int_equal(stat(p->key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(sign_key_open(p->key, &b, &err), 0);
	assert_int_equal(sign_key_public(a, pub_a), 0);
	assert_int_equal(sign_key_public(b, pub_b), 0);
	assert_memory_equal(pub_a, pub_b, sizeof(pub_a));

	assert_int_equal(sign_make(a, "domain-1", "hello", 5, sig), 0);
	assert_int_equal(sign_check(pub_b, "domain-1", "hello", 5, sig), 0);
	assert_int_equal(sign_check(pub_b, "domain-2", "hello", 5, sig), -EBADMSG);
	assert_int_equal(sign_check(pub_b, "domain-1", "hellO", 5, sig), -EBADMSG);
	sig[10] ^= 1;
	assert_int_equal(sign_check(pub_b, "domain-1", "hello", 5, sig), -EBADMSG);
	sign_key_free(&a);
	sign_key_free(&b);
	assert_null(a);
}

static void a_key_that_others_can_read_is_refused(void **state)
{
	const struct place *p = *state;
	struct sign_key *k = NULL;
	struct error err;

	assert_int_equal(sign_key_open(p->key, &k, &err), 0);
	sign_key_free(&k);
	assert_int_equal(chmod(p->key, 0640), 0);
	assert_int_equal(sign_key_open(p->key, &k, &err), -EPERM);
	assert_says(err, "can be read by others");
}

static void a_file_that_is_no_key_is_refused(void **state)
{
	/* Empty, not PEM, and a PEM of another kind. */
	static const char *const texts[] = {
		"", "hello\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"};
	const struct place *p = *state;
	struct sign_key *k = NULL;
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(fs_write(p->key, 0600, texts[i], strlen(texts[i]), &err), 0);
		assert_int_equal(sign_key_open(p->key, &k, &err), -EBADMSG);
		assert_says(err, "does not hold an Ed25519 private key");
		assert_null(k);
	}
}

static void random_stays_below(void **state unused_arg)
{
	unsigned seen[3] = {0};

	for (int i = 0; i < 3000; i++)
		seen[random_below(3)]++;
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
		assert_in_range(seen[i], 700, 1300);
	assert_int_equal(random_below(1), 0);
	assert_int_equal(random_below(0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_gives_the_published_digest),
		cmocka_unit_test(ed25519_accepts_the_published_signature),
		cmocka_unit_test_setup_teardown(a_key_is_made_once_and_signs, setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_that_others_can_read_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_file_that_is_no_key_is_refused, setup, teardown),
		cmocka_unit_test(random_stays_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
