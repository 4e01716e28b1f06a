/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=db_tx_new,--wrap=db_tx_query,--wrap=db_tx_commit,--wrap=db_tx_free
// link: -Wl,--wrap=db_rows,--wrap=db_int
#include "collector/fleet/enroll.h"

#include <errno.h>

#include "common/sign.h"
#include "common/str.h"
#include "tests/support/test.h"
#include "tests/unit/collector/fleet/site.h"

#define HOST_ID     31
#define STREAM_PORT 7421

/* The transaction as the database sees it: two steps with a check each, then the commit. */
static struct fake {
	bool away;
	enum query q[2];
	db_check *check[2];
	size_t n;
	uint8_t hash[SHA256_SIZE];
	uint8_t uuid[16];
	char name[300];
	db_done *done; /* of what waits for its commit */
	void *arg;
	size_t rows;
} fake;

int __wrap_db_tx_new(struct db *db unused_arg, struct db_tx **ret)
{
	if (fake.away)
		return -ENOTCONN;
	fake.n = 0;
	*ret = (struct db_tx *)&fake;
	return 0;
}

int __wrap_db_tx_query(struct db_tx *tx unused_arg, enum query q, const struct db_param *params,
		       size_t n, db_check *check)
{
	assert_true(fake.n < 2);
	if (q == Q_FLEET_ENROLL_TAKE) {
		assert_int_equal(params[0].n, SHA256_SIZE);
		memcpy(fake.hash, params[0].p, SHA256_SIZE);
	} else {
		assert_int_equal(n, 2);
		memcpy(fake.uuid, params[0].p, 16);
		snprintf(fake.name, sizeof(fake.name), "%s", (const char *)params[1].p);
	}
	fake.q[fake.n] = q;
	fake.check[fake.n++] = check;
	return 0;
}

int __wrap_db_tx_commit(struct db_tx **tx, db_done *done, void *arg)
{
	*tx = NULL;
	fake.done = done;
	fake.arg = arg;
	return 0;
}

void __wrap_db_tx_free(struct db_tx **tx)
{
	*tx = NULL;
}

size_t __wrap_db_rows(const struct db_result *r unused_arg)
{
	return fake.rows;
}

int64_t __wrap_db_int(const struct db_result *r unused_arg, size_t row unused_arg,
		      unsigned col unused_arg)
{
	return HOST_ID;
}

/* The transaction runs: so many rows for the token; rc is the commit's, when it comes to that. */
static void commit(size_t tokens, int rc)
{
	const struct error err = {"no database"};
	db_done *done = fake.done;

	assert_non_null(done);
	fake.done = NULL;
	fake.rows = tokens;
	if (rc == 0)
		rc = fake.check[0](fake.arg, NULL, NULL);
	fake.rows = 1;
	if (rc == 0)
		rc = fake.check[1](fake.arg, NULL, NULL);
	done(fake.arg, rc, NULL, rc < 0 ? &err : NULL);
}

struct world {
	struct event_base *base;
	struct registry registry;
	struct tls_ctx *server_tls, *client_tls;
	uint8_t key[SIGN_KEY_SIZE];
	struct enroller *e;
	struct listener *listener;
	struct client client;
	struct buf csr;
	struct arena arena;
	struct wire_enroll_reply reply;
};

static int set_up(void **state)
{
	const struct listener_limits limits = {1000, 100, 100};
	struct world *w = calloc(1, sizeof(*w));
	struct enroll_config config = {.ca = site.ca,
				       .registry = &w->registry,
				       .command_key = w->key,
				       .stream_port = STREAM_PORT};
	struct error err = {""};

	fake = (struct fake){0};
	w->base = event_base_new();
	registry_init(&w->registry);
	arena_init(&w->arena, 1 << 20);
	memset(w->key, 0x5a, sizeof(w->key));
	w->server_tls = config.tls = make_ctx(TLS_ENROL_SERVER, "server");
	w->client_tls = make_ctx(TLS_ENROL_CLIENT, "known");
	buf_init(&w->csr, 4096);
	assert_int_equal(tls_make_csr(in_site("new.key"), "liar", &w->csr, &err), 0);
	assert_int_equal(enroller_new(w->base, &config, &w->e), 0);
	assert_int_equal(listener_new(w->base, "127.0.0.1:0", &limits, enroller_accept, w->e,
				      &w->listener, &err),
			 0);
	client_connect(&w->client, w->base, w->client_tls, listener_port(w->listener));
	RUN_UNTIL(w->base, w->client.opened);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	client_fini(&w->client);
	enroller_free(&w->e);
	listener_free(&w->listener);
	tls_ctx_free(&w->server_tls);
	tls_ctx_free(&w->client_tls);
	registry_fini(&w->registry);
	arena_fini(&w->arena);
	buf_fini(&w->csr);
	event_base_free(w->base);
	unlink(in_site("new.key"));
	free(w);
	return 0;
}

static void ask(struct world *w, const char *secret, const struct buf *csr, const char *name)
{
	auto_buf struct buf b = BUF_INIT(8192);

	wire_pack_enroll(&b,
			 &(struct wire_enroll){.secret = {(const uint8_t *)secret, strlen(secret)},
					       .csr = {csr->data, csr->len},
					       .host_name = name,
					       .version = "1"});
	client_send(&w->client, FRAME_ENROLL, &b);
}

static void get_reply(struct world *w)
{
	struct error err = {""};

	RUN_UNTIL(w->base, !w->client.c);
	assert_int_equal(w->client.type, FRAME_ENROLL_REPLY);
	if (wire_unpack_enroll_reply(&w->arena, w->client.last.data, w->client.last.len, &w->reply,
				     &err) < 0)
		fail_msg("%s", err.msg);
}

static void assert_refused(struct world *w, const char *why)
{
	get_reply(w);
	if (!strstr(w->reply.error, why))
		fail_msg("refused with '%s', not '%s'", w->reply.error, why);
	assert_int_equal(w->reply.certificate.len, 0);
	assert_int_equal(w->reply.command_key.len, 0);
	assert_int_equal(HASH_COUNT(w->registry.hosts), 0);
}

static void a_good_token_becomes_a_host(void **state)
{
	struct world *w = *state;
	uint8_t hash[SHA256_SIZE];
	struct error err = {""};
	struct host *h;
	int64_t end;

	ask(w, "secret", &w->csr, "web-1");
	RUN_UNTIL(w->base, fake.done);
	sha256(hash, "secret", 6);
	assert_memory_equal(fake.hash, hash, sizeof(hash));
	assert_int_equal(fake.q[0], Q_FLEET_ENROLL_TAKE);
	assert_int_equal(fake.q[1], Q_FLEET_HOST_ADD);
	assert_string_equal(fake.name, "web-1");
	run_for(w->base, 20);
	assert_int_equal(w->client.frames, 0); /* nothing is promised before the commit */
	commit(1, 0);
	get_reply(w);
	assert_string_equal(w->reply.error, "");
	assert_memory_equal(w->reply.host_uuid.data, fake.uuid, 16);
	assert_memory_equal(w->reply.command_key.data, w->key, SIGN_KEY_SIZE);
	assert_int_equal(w->reply.stream_port, STREAM_PORT);
	h = registry_find_host(&w->registry, HOST_ID);
	assert_non_null(h);
	assert_memory_equal(h->uuid, fake.uuid, 16);
	/* A random UUID, version 4 of RFC 9562. */
	assert_int_equal(fake.uuid[6] >> 4, 4);
	assert_int_equal(fake.uuid[8] >> 6, 2);
	/* The certificate is for the key of the CSR, and good for the stream port. */
	assert_int_equal(fs_write(in_site("new.pem"), 0644, w->reply.certificate.data,
				  w->reply.certificate.len, &err),
			 0);
	assert_int_equal(tls_cert_end(in_site("new.pem"), &end, &err), 0);
	assert_true(end > time(NULL) + (ENROLL_CERT_DAYS - 1) * 86400LL);
	assert_true(end <= time(NULL) + ENROLL_CERT_DAYS * 86400LL);
	tls_ctx_free(&w->client_tls);
	w->client_tls = make_ctx(TLS_STREAM_CLIENT, "new");
}

static void a_host_without_a_name_gets_one(void **state)
{
	struct world *w = *state;

	ask(w, "secret", &w->csr, "");
	RUN_UNTIL(w->base, fake.done);
	assert_string_equal(fake.name, "unnamed");
	commit(1, 0);
	get_reply(w);
}

static void an_unknown_token_is_refused(void **state)
{
	struct world *w = *state;

	ask(w, "wrong", &w->csr, "web-1");
	RUN_UNTIL(w->base, fake.done);
	commit(0, 0);
	assert_refused(w, "unknown, used up or expired");
}

/* And it uses up no token. */
static void a_bad_csr_is_refused(void **state)
{
	struct world *w = *state;

	w->csr.data[w->csr.len / 2] ^= 0xff;
	ask(w, "secret", &w->csr, "web-1");
	assert_refused(w, "");
	assert_true(*w->reply.error != '\0');
	assert_null(fake.done);
}

static void one_request_a_connection(void **state)
{
	struct world *w = *state;

	ask(w, "secret", &w->csr, "web-1");
	ask(w, "secret", &w->csr, "web-2");
	RUN_UNTIL(w->base, fake.done);
	assert_refused(w, "one enrolment request");
	commit(1, 0); /* and its commit finds the visitor gone */
	run_for(w->base, 10);
}

static void junk_is_refused(void **state)
{
	struct world *w = *state;
	auto_buf struct buf b = BUF_INIT(64);

	buf_puts(&b, "\xff\xff");
	client_send(&w->client, FRAME_ENROLL, &b);
	assert_refused(w, "not well-formed");
	assert_null(fake.done);
}

static void another_frame_is_refused(void **state)
{
	struct world *w = *state;
	auto_buf struct buf b = BUF_INIT(64);

	buf_puts(&b, "x");
	client_send(&w->client, FRAME_HELLO, &b);
	assert_refused(w, "expected one enrolment request");
}

static void without_a_database_one_comes_later(void **state)
{
	struct world *w = *state;

	fake.away = true;
	ask(w, "secret", &w->csr, "web-1");
	assert_refused(w, "not available, try again later");
}

static void a_commit_that_fails_promises_nothing(void **state)
{
	struct world *w = *state;

	ask(w, "secret", &w->csr, "web-1");
	RUN_UNTIL(w->base, fake.done);
	commit(1, -EPIPE);
	assert_refused(w, "not available, try again later");
}

/* The visitor outlives its socket until the transaction has ended. */
static void who_leaves_early_leaves_nothing(void **state)
{
	struct world *w = *state;

	ask(w, "secret", &w->csr, "web-1");
	RUN_UNTIL(w->base, fake.done);
	conn_free(&w->client.c);
	run_for(w->base, 50);
	commit(1, 0);
	run_for(w->base, 10);
	/* The host is in the database, so it is known here too. */
	assert_non_null(registry_find_host(&w->registry, HOST_ID));
}

static void the_end_frees_who_waits(void **state)
{
	struct world *w = *state;

	ask(w, "secret", &w->csr, "web-1");
	RUN_UNTIL(w->base, fake.done);
	enroller_free(&w->e);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_good_token_becomes_a_host),
		TEST(a_host_without_a_name_gets_one),
		TEST(an_unknown_token_is_refused),
		TEST(a_bad_csr_is_refused),
		TEST(one_request_a_connection),
		TEST(junk_is_refused),
		TEST(another_frame_is_refused),
		TEST(without_a_database_one_comes_later),
		TEST(a_commit_that_fails_promises_nothing),
		TEST(who_leaves_early_leaves_nothing),
		TEST(the_end_frees_who_waits),
	};

	return cmocka_run_group_tests(tests, make_site, remove_site);
}
