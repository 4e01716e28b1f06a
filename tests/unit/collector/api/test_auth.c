/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/auth.h"

#include <errno.h>

#include "common/clock.h"
#include "tests/support/test.h"

#define MINUTE (60 * USEC_PER_SEC)

static void tokens_expire_and_are_revoked(void **state unused_arg)
{
	struct auth *a = NULL;
	struct principal who;
	char text[AUTH_TOKEN_SIZE];
	char value[100];
	uint8_t hash[SHA256_SIZE];

	assert_int_equal(auth_new(&a), 0);
	auth_make_token(text, hash);
	assert_int_equal(auth_add_token(a, 7, "ops", hash, SCOPE_READ, 1000), 0);
	snprintf(value, sizeof(value), "Bearer %s", text);
	assert_int_equal(auth_bearer(a, value, 999, &who), 0);
	assert_string_equal(who.name, "token:ops");
	assert_int_equal(who.scopes, SCOPE_READ);
	assert_int_equal(auth_bearer(a, value, 1000, &who), -EACCES);
	value[20] ^= 1;
	assert_int_equal(auth_bearer(a, value, 1, &who), -EACCES);
	value[20] ^= 1;
	assert_int_equal(auth_bearer(a, text, 1, &who), -EACCES);
	auth_remove_token(a, 7);
	assert_int_equal(auth_bearer(a, value, 1, &who), -EACCES);
	auth_free(&a);
}

static void what_a_token_opened_ends_with_it(void **state unused_arg)
{
	const struct principal ops = {.name = "token:ops", .scopes = SCOPE_READ, .token_id = 7};
	struct auth *a = NULL;
	struct principal who;
	char text[AUTH_TOKEN_SIZE];
	char first[AUTH_TOKEN_SIZE];
	char second[AUTH_TOKEN_SIZE];
	char session[AUTH_TOKEN_SIZE];
	char cookies[120];
	uint8_t hash[SHA256_SIZE];

	assert_int_equal(auth_new(&a), 0);
	auth_make_token(text, hash);
	assert_int_equal(auth_add_token(a, 7, "ops", hash, SCOPE_READ, 0), 0);
	auth_login_new(a, &ops, MINUTE, first);
	auth_login_new(a, &ops, MINUTE, second);
	assert_int_equal(auth_login(a, first, MINUTE, session), 0);
	snprintf(cookies, sizeof(cookies), "memherd=%s", session);
	assert_int_equal(auth_session(a, cookies, "memherd", MINUTE, &who), 0);
	assert_string_equal(who.name, "token:ops");
	assert_true(who.token_id == 7);
	auth_remove_token(a, 7);
	assert_int_equal(auth_session(a, cookies, "memherd", MINUTE, &who), -EACCES);
	assert_int_equal(auth_login(a, second, MINUTE, session), -EACCES);
	auth_free(&a);
}

static void a_login_is_good_once_and_a_session_ends(void **state unused_arg)
{
	const struct principal admin = {.name = "admin", .scopes = SCOPE_ADMIN};
	struct auth *a = NULL;
	struct principal who;
	char login[AUTH_TOKEN_SIZE];
	char session[AUTH_TOKEN_SIZE];
	char cookies[120];
	int64_t t = 100 * MINUTE;

	assert_int_equal(auth_new(&a), 0);
	auth_login_new(a, &admin, t, login);
	assert_int_equal(auth_login(a, login, t + 11 * MINUTE, session), -EACCES);
	auth_login_new(a, &admin, t, login);
	assert_int_equal(auth_login(a, login, t + 9 * MINUTE, session), 0);
	assert_int_equal(auth_login(a, login, t + 9 * MINUTE, session), -EACCES);
	snprintf(cookies, sizeof(cookies), "x=1; memherd=%s; y=2", session);
	t += 9 * MINUTE;
	for (int i = 0; i < 24; i++, t += 29 * MINUTE)
		assert_int_equal(auth_session(a, cookies, "memherd", t, &who), 0);
	assert_true(who.session);
	/* seen each half hour, and yet over after twelve */
	assert_int_equal(auth_session(a, cookies, "memherd", t + 28 * MINUTE, &who), -EACCES);
	auth_login_new(a, &admin, t, login);
	assert_int_equal(auth_login(a, login, t, session), 0);
	snprintf(cookies, sizeof(cookies), "memherd=%s", session);
	assert_int_equal(auth_session(a, cookies, "other", t, &who), -EACCES);
	assert_int_equal(auth_session(a, cookies, "memherd", t + 31 * MINUTE, &who), -EACCES);
	auth_free(&a);
}

static void only_failures_are_slowed(void **state unused_arg)
{
	struct auth *a = NULL;

	assert_int_equal(auth_new(&a), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(auth_failed(a, "192.0.2.1", MINUTE), 0);
	assert_int_equal(auth_failed(a, "192.0.2.1", MINUTE), 6);
	assert_int_equal(auth_failed(a, "192.0.2.2", MINUTE), 0);
	assert_int_equal(auth_failed(a, "192.0.2.1", MINUTE + 7 * USEC_PER_SEC), 0);
	auth_free(&a);
}

static void scopes_are_words(void **state unused_arg)
{
	struct error err;
	unsigned scopes;
	char text[SCOPES_TEXT_SIZE];

	assert_int_equal(scopes_parse("act:trim\nread", &scopes, &err), 0);
	scopes_format(scopes, ' ', text);
	assert_string_equal(text, "read act:trim");
	assert_int_equal(scopes_parse("read root", &scopes, &err), -EINVAL);
	assert_says(err, "'root'");
	assert_int_equal(scopes_parse(" ", &scopes, &err), -EINVAL);
	scopes_format(2 * SCOPE_ADMIN - 1, ' ', text);
	assert_int_equal(scopes_parse(text, &scopes, &err), 0);
	assert_int_equal(scopes, 2 * SCOPE_ADMIN - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_expire_and_are_revoked),
		cmocka_unit_test(what_a_token_opened_ends_with_it),
		cmocka_unit_test(a_login_is_good_once_and_a_session_ends),
		cmocka_unit_test(only_failures_are_slowed),
		cmocka_unit_test(scopes_are_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
