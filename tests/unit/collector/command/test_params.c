/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/params.h"

#include <errno.h>

#include "common/str.h"
#include "tests/support/test.h"

static char text_said[128];

static int parse(enum command_action action, const char *text, int64_t params[COMMAND_PARAMS],
		 struct error *err)
{
	json_t *json = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
	const char *said = NULL;
	int rc;

	assert_true(json || !text);
	rc = params_from_json(action, json, params, &said, err);
	str_copy(text_said, sizeof(text_said), rc == 0 && said ? said : "");
	json_decref(json);
	return rc;
}

static void what_is_not_said_is_preset(void **state unused_arg)
{
	static const char *const texts[] = {NULL, "null", "{}"};
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int64_t params[COMMAND_PARAMS] = {7, 7, 7};

		assert_int_equal(parse(COMMAND_CENSUS, texts[i], params, &err), 0);
		assert_true(!params[0] && !params[1] && !params[2]);
		assert_int_equal(parse(COMMAND_TRIM, texts[i], params, &err), 0);
	}
}

static void params_go_there_and_back(void **state unused_arg)
{
	int64_t params[COMMAND_PARAMS];
	struct error err;
	char *text;

	assert_int_equal(parse(COMMAND_CENSUS, "{\"method\": \"live\"}", params, &err), 0);
	assert_int_equal(params[0], 3);
	text = params_to_json(COMMAND_CENSUS, params, "");
	assert_string_equal(text, "{\"method\":\"live\"}");
	free(text);
	text = params_to_json(COMMAND_RESTART, params, "");
	assert_string_equal(text, "{}");
	free(text);
	assert_string_equal(text_said, "");
	assert_int_equal(parse(COMMAND_REFERRERS, "{\"type\": \"app.Entry\", \"max\": 3}", params,
			       &err),
			 0);
	assert_string_equal(text_said, "app.Entry");
	assert_true(params[0] == 9 && params[1] == 3 && params[2] == 2000000);
	text = params_to_json(COMMAND_REFERRERS, params, text_said);
	assert_string_equal(text, "{\"type\":\"app.Entry\",\"max\":3,\"objects\":2000000}");
	free(text);
}

static void what_is_wrong_is_named(void **state unused_arg)
{
	static const struct {
		enum command_action action;
		const char *text;
		const char *says;
	} rows[] = {
		{COMMAND_TRIM, "{\"a\": 1}", "'trim' takes no parameters, so not 'a'"},
		{COMMAND_TRIM, "[]", "'params' must be an object"},
		{COMMAND_TRIM, "7", "'params' must be an object"},
		{COMMAND_CENSUS, "{\"methods\": \"live\"}",
		 "'census' takes no parameter 'methods'"},
		{COMMAND_CENSUS, "{\"\\u001b[2J\": 1}", "takes no parameter '\\x1b[2J'"},
		{COMMAND_CENSUS, "{\"method\": 3}", "census: 'method' is one of fitting|"},
		{COMMAND_CENSUS, "{\"method\": null}", "census: 'method' is one of fitting|"},
		{COMMAND_CENSUS, "{\"method\": \"fast\"}", "'method' is 'fast', but one of"},
		{COMMAND_REFERRERS, "{}", "referrers: 'type' must be given: whose objects"},
		{COMMAND_REFERRERS, "{\"type\": 5}", "referrers: 'type' must be a text"},
		{COMMAND_REFERRERS, "{\"type\": \"\"}", "expected a name such as module.Class"},
		{COMMAND_REFERRERS, "{\"type\": \"a') or quit(\"}", "expected a name such as"},
		{COMMAND_REFERRERS,
		 "{\"type\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
		 "'type' is 64, but at most 63 bytes"},
		{COMMAND_SIZES, "{\"seconds\": 9}", "sizes: 'seconds' is 9, but at most 8 s"},
		{COMMAND_SIZES, "{\"objects\": 5}", "sizes: 'objects' is 5, but at least 1000"},
	};
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t params[COMMAND_PARAMS] = {7, 7, 7};

		assert_int_equal(parse(rows[i].action, rows[i].text, params, &err), -EINVAL);
		assert_says(err, rows[i].says);
		assert_int_equal(params[0], 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_said_is_preset),
		cmocka_unit_test(params_go_there_and_back),
		cmocka_unit_test(what_is_wrong_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
