/* SPDX-License-Identifier: Apache-2.0 */
#include "common/unix_http.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/support/test.h"

static int parse(const char *answer)
{
	struct error err = {""};
	size_t body = 0;
	int rc = unix_http_parse(answer, strlen(answer), &body, &err);

	assert_int_equal(rc < 0, *err.msg != '\0');
	if (rc >= 0)
		assert_string_equal(answer + body, "{}");
	return rc;
}

static void a_status_is_read_and_nonsense_refused(void **state unused_arg)
{
	static const char *const bad[] = {
		"",
		"HTTP/1.1 200 OK",
		"HTTP/1.1 2x0 OK\r\n\r\n{}",
		"HTTP/2 200 OK\r\n\r\n{}",
		"HTTP/1.1-200 OK\r\n\r\n{}",
		"SSH-2.0-OpenSSH_9.2\r\n\r\n{}",
	};

	assert_int_equal(parse("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{}"), 200);
	assert_int_equal(parse("HTTP/1.1 204 No Content\r\n\r\n{}"), 204);
	assert_int_equal(parse("HTTP/1.1 404 \r\n\r\n{}"), 404);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i]), -EBADMSG);
}

/* A daemon for one request. */
struct daemon {
	char path[64];
	int listener;
	const char *answer; /* NULL: none ever */
	char heard[256];
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct daemon *d = arg;
	int fd = accept(d->listener, NULL, NULL);
	ssize_t n = recv(fd, d->heard, sizeof(d->heard) - 1, 0);

	d->heard[n > 0 ? n : 0] = '\0';
	if (d->answer)
		(void)!write(fd, d->answer, strlen(d->answer));
	else
		(void)!read(fd, &n, 1);
	close(fd);
	return NULL;
}

static void begin(struct daemon *d, const char *answer)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	*d = (struct daemon){.answer = answer};
	strcpy(d->path, "/tmp/test_unix_http.XXXXXX");
	assert_non_null(mkdtemp(d->path));
	strcat(d->path, "/s");
	strcpy(at.sun_path, d->path);
	d->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(d->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(d->listener, 1), 0);
	assert_int_equal(pthread_create(&d->thread, NULL, serve, d), 0);
}

static void finish(struct daemon *d)
{
	pthread_join(d->thread, NULL);
	close(d->listener);
	unlink(d->path);
	*strrchr(d->path, '/') = '\0';
	rmdir(d->path);
}

static int ask(const char *path, size_t most, int64_t limit_us)
{
	auto_buf struct buf b = BUF_INIT(most);
	struct error err;
	size_t body;
	int rc = unix_http_ask(path, "POST /x HTTP/1.0\r\n\r\n", limit_us, &b, &err);

	return rc < 0 ? rc : unix_http_parse(b.data, b.len, &body, &err);
}

static void a_request_gets_its_answer(void **state unused_arg)
{
	struct daemon d;

	begin(&d, "HTTP/1.0 204 No Content\r\n\r\n");
	assert_int_equal(ask(d.path, 1000, 5 * USEC_PER_SEC), 204);
	finish(&d);
	assert_string_equal(d.heard, "POST /x HTTP/1.0\r\n\r\n");
}

static void bytes_and_time_are_bounded(void **state unused_arg)
{
	struct daemon d;

	assert_int_equal(ask("/tmp/no/such/socket", 1000, USEC_PER_SEC), -ENOENT);
	begin(&d, "HTTP/1.0 200 OK\r\n\r\n0123456789");
	assert_int_equal(ask(d.path, 20, 5 * USEC_PER_SEC), -EFBIG);
	finish(&d);
	begin(&d, NULL);
	assert_int_equal(ask(d.path, 1000, 100000), -ETIMEDOUT);
	finish(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_status_is_read_and_nonsense_refused),
		cmocka_unit_test(a_request_gets_its_answer),
		cmocka_unit_test(bytes_and_time_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
