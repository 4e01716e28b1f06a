/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/names/engine.h"

#include <errno.h>

#include "common/str.h"
#include "tests/unit/agent/names/fakeengine.h"

static int parse(const char *answer, struct names_answer *a)
{
	struct error err = {""};
	int r = engine_parse(answer, strlen(answer), ID, a, &err);

	if (r < 0)
		assert_true(*err.msg);
	return r;
}

#define OK         "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
#define WITH(rest) OK "{\"Id\":\"" ID "\"," rest "}"

static void compose_names_the_service(void **state unused_arg)
{
	struct names_answer a;

	assert_int_equal(parse(ENGINE_OK, &a), 0);
	assert_memory_equal(a.id, ID, NAMES_ID_LEN);
	assert_int_equal(a.status, NAMES_KNOWN);
	assert_string_equal(a.name, "shop_web_1");
	assert_string_equal(a.service, "shop_web");
	assert_string_equal(a.image, "shop:1.2");
}

static void labels_or_else_the_name(void **state unused_arg)
{
	static const struct {
		const char *answer;
		const char *service;
	} rows[] = {
		{WITH("\"Name\":\"/web\""), "web"},
		{WITH("\"Name\":\"web\",\"Config\":null"), "web"},
		{WITH("\"Name\":\"/web\",\"Config\":{\"Labels\":[1]}"), "web"},
		{WITH("\"Name\":\"/web\",\"Config\":{\"Labels\":{\"com.docker.compose.project\":"
		      "\"p\",\"com.docker.compose.service\":5}}"),
		 "web"},
		{WITH("\"Name\":\"/web\",\"Config\":{\"Labels\":{\"io.podman.compose.project\":"
		      "\"p\",\"com.docker.compose.service\":\"s\"}}"),
		 "p_s"},
		{WITH("\"Name\":\"/k\",\"Config\":{\"Labels\":{\"io.kubernetes.pod.namespace\":"
		      "\"prod\",\"io.kubernetes.container.name\":\"api\"}}"),
		 "k8s:prod/api"},
	};
	struct names_answer a;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].answer, &a), 0);
		assert_string_equal(a.service, rows[i].service);
	}
}

static void what_is_no_answer_is_refused(void **state unused_arg)
{
	static const struct {
		const char *answer;
		int code;
	} rows[] = {
		{"", -EBADMSG},
		{"garbage that is long enough", -EBADMSG},
		{"HTTP/1.0 404 Not Found\r\n\r\n", -ENOENT},
		{"HTTP/1.0 500 Oops\r\n\r\n", -EBADMSG},
		{"HTTP/1.0 2x0 OK\r\n\r\n{}", -EBADMSG},
		{"HTTP/1.0 200 OK\r\n", -EBADMSG},
		{OK, -EBADMSG},
		{OK "[]", -EBADMSG},
		{OK "{}", -EBADMSG},
		{OK "{\"Id\":\"" ID2 "\",\"Name\":\"/x\"}", -EBADMSG},
		{OK "{\"Id\":\"" ID "\"}", -EBADMSG},
		{WITH("\"Name\":\"/\""), -EBADMSG},
		{WITH("\"Name\":[[[[[[[[[[[[[[[["), -EBADMSG},
	};
	struct names_answer a = {.status = 99};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(parse(rows[i].answer, &a), rows[i].code);
	assert_int_equal(a.status, 99);
}

static void names_become_safe_and_short(void **state unused_arg)
{
	char answer[2048];
	char name[1001];
	struct names_answer a;

	assert_int_equal(parse(WITH("\"Name\":\"/a\\u001b[0m\\nb\""), &a), 0);
	assert_string_equal(a.name, "a\\x1b[0m\\x0ab");
	memset(name, 'n', 1000);
	name[1000] = '\0';
	snprintf(answer, sizeof(answer),
		 OK "{\"Id\":\"" ID "\",\"Name\":\"%s\",\"Config\":{\"Labels\":{"
		    "\"com.docker.compose.project\":\"%.300s\","
		    "\"com.docker.compose.service\":\"%.300s\"}}}",
		 name, name, name);
	assert_int_equal(parse(answer, &a), 0);
	assert_int_equal(strlen(a.name), NAMES_TEXT_SIZE - 1);
	assert_int_equal(strlen(a.service), NAMES_TEXT_SIZE - 1);
	assert_true(str_is_safe(a.service, strlen(a.service)));
}

static int ask(enum engine_mood mood, int64_t deadline_us, struct buf *b)
{
	struct fake_engine e;
	struct error err = {""};
	int r;

	engine_start(&e, mood);
	r = engine_ask(e.path, ID, deadline_us, b, &err);
	if (r < 0)
		assert_says(err, e.path);
	engine_stop(&e);
	return r;
}

static void an_engine_is_asked(void **state unused_arg)
{
	struct buf b = BUF_INIT(ENGINE_ANSWER_MAX);

	assert_int_equal(ask(ENGINE_ANSWERS, 60000000, &b), 0);
	assert_string_equal((char *)b.data, ENGINE_OK);
	buf_fini(&b);
}

static void an_engine_that_misbehaves_is_left(void **state unused_arg)
{
	static const struct {
		enum engine_mood mood;
		int64_t deadline_us;
		int code;
	} rows[] = {
		{ENGINE_HANGS, 200000, -ETIMEDOUT},
		{ENGINE_DRIPS, 200000, -ETIMEDOUT},
		{ENGINE_FLOODS, 60000000, -EFBIG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf b = BUF_INIT(ENGINE_ANSWER_MAX);

		assert_int_equal(ask(rows[i].mood, rows[i].deadline_us, &b), rows[i].code);
		buf_fini(&b);
	}
}

static void no_engine_is_an_error(void **state unused_arg)
{
	struct buf b = BUF_INIT(ENGINE_ANSWER_MAX);
	char longest[200];
	struct error err;

	assert_int_equal(engine_ask("/nonexistent/sock", ID, 1000000, &b, &err), -ENOENT);
	assert_says(err, "/nonexistent/sock");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(engine_ask(longest, ID, 1000000, &b, &err), -ENAMETOOLONG);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compose_names_the_service),
		cmocka_unit_test(labels_or_else_the_name),
		cmocka_unit_test(what_is_no_answer_is_refused),
		cmocka_unit_test(names_become_safe_and_short),
		cmocka_unit_test(an_engine_is_asked),
		cmocka_unit_test(an_engine_that_misbehaves_is_left),
		cmocka_unit_test(no_engine_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
