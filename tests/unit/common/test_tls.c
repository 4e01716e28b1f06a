/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tls.h"
#include "common/tls_ca.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

#include "common/fs.h"
#include "tests/support/test.h"

struct fixture {
	char dir[64];
	char path[8][PATH_MAX];
	struct tls_ca *ca;
	struct error err;
};

enum { CA_KEY, CA_PEM, SERVER_KEY, SERVER_PEM, HOST_KEY, HOST_PEM, OTHER, OTHER_CA };

static const char *const names[] = {"ca.key",   "ca.pem",   "server.key", "server.pem",
				    "host.key", "host.pem", "other",      "other/ca.pem"};
static const uint8_t uuid[16] = {0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void make_host(struct fixture *f, struct tls_ca *ca)
{
	auto_buf struct buf csr = BUF_INIT(4096), pem = BUF_INIT(16384);

	assert_int_equal(tls_make_csr(f->path[HOST_KEY], "vps-1", &csr, &f->err), 0);
	assert_int_equal(tls_ca_issue(ca, csr.data, csr.len, uuid, time(NULL) - 60, 3600, &pem,
				      &f->err),
			 0);
	assert_int_equal(fs_write(f->path[HOST_PEM], 0644, pem.data, pem.len, &f->err), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/memherd-test-tls-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		snprintf(f->path[i], PATH_MAX, "%s/%s", f->dir, names[i]);
	assert_int_equal(mkdir(f->path[OTHER], 0700), 0);
	assert_int_equal(tls_ca_open(f->dir, &f->ca, &f->err), 0);
	assert_int_equal(tls_ca_server(f->ca, f->dir, &f->err), 0);
	make_host(f, f->ca);
	*state = f;
	return 0;
}

static int on_remove(const char *path, const struct stat *st unused_arg, int flag unused_arg,
		     struct FTW *ftw unused_arg)
{
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	tls_ca_free(&f->ca);
	nftw(f->dir, on_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static struct tls_files server_files(struct fixture *f)
{
	return (struct tls_files){f->path[CA_PEM], f->path[SERVER_PEM], f->path[SERVER_KEY], NULL};
}

static int try_ctx(struct fixture *f, enum tls_role role, struct tls_files files)
{
	struct tls_ctx *ctx = NULL;
	int rc = tls_ctx_new(role, &files, &ctx, &f->err);

	tls_ctx_free(&ctx);
	return rc;
}

static void the_ca_is_made_once(void **state)
{
	struct fixture *f = *state;
	uint8_t pin[TLS_PIN_SIZE], again[TLS_PIN_SIZE];
	struct tls_ca *ca;
	struct stat st;
	int64_t end;

	tls_ca_pin(f->ca, pin);
	assert_int_equal(tls_ca_open(f->dir, &ca, &f->err), 0);
	tls_ca_pin(ca, again);
	assert_memory_equal(pin, again, sizeof(pin));
	tls_ca_free(&ca);
	assert_int_equal(stat(f->path[CA_KEY], &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(tls_cert_end(f->path[CA_PEM], &end, &f->err), 0);
	assert_true(end > time(NULL) + 3600LL * 24 * 3649);
	/* A crash between the two files: same key, same pin. */
	assert_int_equal(unlink(f->path[CA_PEM]), 0);
	assert_int_equal(tls_ca_open(f->dir, &ca, &f->err), 0);
	tls_ca_pin(ca, again);
	assert_memory_equal(pin, again, sizeof(pin));
	tls_ca_free(&ca);
}

static void a_ca_without_its_key_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tls_ca *ca;

	assert_int_equal(unlink(f->path[CA_KEY]), 0);
	assert_int_equal(tls_ca_open(f->dir, &ca, &f->err), -ENOENT);
	assert_says(f->err, "ca.key' is missing");
}

static void keys_that_others_can_read_are_refused(void **state)
{
	struct fixture *f = *state;
	struct tls_ca *ca;

	assert_int_equal(chmod(f->path[CA_KEY], 0640), 0);
	assert_int_equal(tls_ca_open(f->dir, &ca, &f->err), -EPERM);
	assert_int_equal(chmod(f->path[SERVER_KEY], 0604), 0);
	assert_int_equal(tls_ca_server(f->ca, f->dir, &f->err), -EPERM);
	assert_int_equal(try_ctx(f, TLS_STREAM_SERVER, server_files(f)), -EPERM);
	assert_says(f->err, "can be read by others");
}

static void the_server_is_made_anew_only_when_it_must(void **state)
{
	auto_buf struct buf before = BUF_INIT(16384), after = BUF_INIT(16384);
	struct fixture *f = *state;
	struct tls_ca *other;

	assert_int_equal(fs_read(f->path[SERVER_PEM], &before, &f->err), 0);
	assert_int_equal(tls_ca_server(f->ca, f->dir, &f->err), 0);
	assert_int_equal(fs_read(f->path[SERVER_PEM], &after, &f->err), 0);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.data, after.data, before.len);
	/* of another CA */
	assert_int_equal(tls_ca_open(f->path[OTHER], &other, &f->err), 0);
	assert_int_equal(tls_ca_server(other, f->dir, &f->err), 0);
	buf_reset(&after);
	assert_int_equal(fs_read(f->path[SERVER_PEM], &after, &f->err), 0);
	assert_true(before.len != after.len || memcmp(before.data, after.data, after.len));
	tls_ca_free(&other);
	/* rubbish */
	assert_int_equal(fs_write(f->path[SERVER_PEM], 0644, "x", 1, &f->err), 0);
	assert_int_equal(tls_ca_server(f->ca, f->dir, &f->err), 0);
	assert_int_equal(try_ctx(f, TLS_STREAM_SERVER, server_files(f)), 0);
}

static void each_role_takes_its_certificate_only(void **state)
{
	struct fixture *f = *state;
	struct tls_files host = {f->path[CA_PEM], f->path[HOST_PEM], f->path[HOST_KEY], NULL};
	struct tls_files server = server_files(f);
	struct tls_ca *other;
	uint8_t pin[TLS_PIN_SIZE];

	tls_ca_pin(f->ca, pin);
	assert_int_equal(try_ctx(f, TLS_STREAM_SERVER, server), 0);
	assert_int_equal(try_ctx(f, TLS_ENROL_SERVER, server), 0);
	assert_int_equal(try_ctx(f, TLS_WEB_SERVER, server), 0);
	assert_int_equal(try_ctx(f, TLS_STREAM_CLIENT, host), 0);
	assert_int_equal(try_ctx(f, TLS_ENROL_CLIENT, (struct tls_files){.pin = pin}), 0);
	assert_int_equal(try_ctx(f, TLS_STREAM_CLIENT, server), -EBADMSG);
	assert_says(f->err, "is not for clients");
	assert_int_equal(try_ctx(f, TLS_STREAM_SERVER, host), -EBADMSG);
	assert_says(f->err, "host.pem' is not for servers (serverAuth)");
	host.key = f->path[SERVER_KEY];
	assert_int_equal(try_ctx(f, TLS_STREAM_CLIENT, host), -EBADMSG);
	assert_says(f->err, "server.key' does not match certificate");
	host.key = f->path[HOST_KEY];
	host.ca = f->path[SERVER_PEM];
	assert_int_equal(try_ctx(f, TLS_STREAM_CLIENT, host), -EBADMSG);
	assert_says(f->err, "is not a CA's certificate");
	assert_int_equal(tls_ca_open(f->path[OTHER], &other, &f->err), 0);
	tls_ca_free(&other);
	host.ca = f->path[OTHER_CA];
	assert_int_equal(try_ctx(f, TLS_STREAM_CLIENT, host), -EBADMSG);
	assert_says(f->err, "is not signed by the CA in");
}

static void missing_and_broken_files_are_named(void **state)
{
	struct fixture *f = *state;
	struct tls_files server = server_files(f);

	server.cert = "/nonexistent/x.pem";
	assert_int_equal(try_ctx(f, TLS_STREAM_SERVER, server), -ENOENT);
	assert_says(f->err, "/nonexistent/x.pem");
	server = server_files(f);
	assert_int_equal(fs_write(f->path[SERVER_KEY], 0600, "-----BEGIN", 10, &f->err), 0);
	assert_int_equal(try_ctx(f, TLS_STREAM_SERVER, server), -EBADMSG);
	assert_says(f->err, "server.key' holds no usable private key: ");
	server.cert = f->path[SERVER_KEY];
	assert_int_equal(try_ctx(f, TLS_STREAM_SERVER, server), -EBADMSG);
	assert_says(f->err, "holds no certificate: ");
}

static void hostile_requests_are_refused(void **state)
{
	auto_buf struct buf csr = BUF_INIT(4096), pem = BUF_INIT(16384);
	struct fixture *f = *state;

	assert_int_equal(tls_make_csr(f->path[HOST_KEY], "a\nb", &csr, &f->err), 0);
#define ISSUE(len) tls_ca_issue(f->ca, csr.data, len, uuid, 0, 1, &pem, &f->err)
	for (size_t len = 0; len < csr.len; len++)
		assert_int_equal(ISSUE(len), -EBADMSG);
	assert_says(f->err, "malformed certificate request");
	/* All of what is signed; the signature itself has bits that do not matter. */
	for (size_t bit = 0; bit < (csr.len - 90) * 8; bit += 7) {
		csr.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(ISSUE(csr.len), -EBADMSG);
		csr.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(pem.len, 0);
	buf_putc(&csr, 'x');
	assert_int_equal(ISSUE(csr.len), -EBADMSG);
	assert_int_equal(ISSUE(csr.len - 1), 0);
#undef ISSUE
}

static void a_certificate_ends_when_it_was_told_to(void **state)
{
	auto_buf struct buf csr = BUF_INIT(4096), pem = BUF_INIT(16384);
	struct fixture *f = *state;
	int64_t end;

	assert_int_equal(tls_make_csr(f->path[HOST_KEY], "", &csr, &f->err), 0);
	assert_int_equal(tls_ca_issue(f->ca, csr.data, csr.len, uuid, 1700000000, 86400, &pem,
				      &f->err),
			 0);
	assert_int_equal(fs_write(f->path[HOST_PEM], 0644, pem.data, pem.len, &f->err), 0);
	assert_int_equal(tls_cert_end(f->path[HOST_PEM], &end, &f->err), 0);
	assert_int_equal(end, 1700086400);
}

static void there_is_always_an_error_text(void **state unused_arg)
{
	char out[40];

	assert_string_equal(tls_last_error(out, sizeof(out)), "unknown cause");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_ca_is_made_once),
		TEST(a_ca_without_its_key_is_refused),
		TEST(keys_that_others_can_read_are_refused),
		TEST(the_server_is_made_anew_only_when_it_must),
		TEST(each_role_takes_its_certificate_only),
		TEST(missing_and_broken_files_are_named),
		TEST(hostile_requests_are_refused),
		TEST(a_certificate_ends_when_it_was_told_to),
		cmocka_unit_test(there_is_always_an_error_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
