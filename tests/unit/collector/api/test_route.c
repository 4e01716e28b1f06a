/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/route.h"

#include <errno.h>

#include "tests/support/test.h"

static void handler(struct call *c unused_arg)
{
}

static int find(enum http_method m, const char *text, const char *params[CALL_PARAMS_MAX],
		char *allow, const struct route **r, char path[128])
{
	snprintf(path, 128, "%s", text);
	return route_find(route_table, m, path, params, allow, r);
}

static void the_table_is_sound(void **state unused_arg)
{
	struct error err;

	assert_int_equal(route_check(route_table, &err), 0);
}

static void a_row_without_scope_is_refused(void **state unused_arg)
{
	const struct route none[] = {{HTTP_GET, "/a", 0, handler, "a"}, {.pattern = NULL}};
	const struct route both[] = {{HTTP_GET, "/a", SCOPE_PUBLIC | SCOPE_READ, handler, "a"},
				     {.pattern = NULL}};
	const struct route twice[] = {{HTTP_GET, "/a", SCOPE_READ, handler, "a"},
				      {HTTP_GET, "/a", SCOPE_ADMIN, handler, "a"},
				      {.pattern = NULL}};
	struct error err;

	assert_int_equal(route_check(none, &err), -EINVAL);
	assert_says(err, "no scope");
	assert_int_equal(route_check(both, &err), -EINVAL);
	assert_int_equal(route_check(twice, &err), -EINVAL);
	assert_says(err, "twice");
}

static void paths_find_their_row(void **state unused_arg)
{
	const char *params[CALL_PARAMS_MAX] = {NULL};
	char allow[ROUTE_ALLOW_SIZE];
	const struct route *r = NULL;
	char path[128];

	assert_int_equal(find(HTTP_GET, "/api/v1/hosts/a%2Fb/series", params, allow, &r, path), 0);
	assert_string_equal(r->pattern, "/api/v1/hosts/{id}/series");
	assert_string_equal(params[0], "a/b");
	assert_int_equal(find(HTTP_HEAD, "/healthz", params, allow, &r, path), 0);
	assert_string_equal(r->pattern, "/healthz");
	assert_int_equal(find(HTTP_GET, "/api/v1/hosts/", params, allow, &r, path), -ENOENT);
	assert_int_equal(find(HTTP_GET, "/api/v1", params, allow, &r, path), -ENOENT);
	assert_int_equal(find(HTTP_GET, "/api/v1/hosts/%00", params, allow, &r, path), -EINVAL);
	assert_int_equal(find(HTTP_GET, "/api/v1/hosts/%0a", params, allow, &r, path), -EINVAL);
	assert_int_equal(find(HTTP_PUT, "/api/v1/tokens", params, allow, &r, path), -EOPNOTSUPP);
	assert_string_equal(allow, "GET, HEAD, POST");
}

/* Each scope alone, against each row: only the rows that ask for it open. */
static void scopes_open_only_their_rows(void **state unused_arg)
{
	for (const struct route *r = route_table; r->pattern; r++) {
		for (unsigned bit = SCOPE_READ; bit <= SCOPE_ADMIN; bit <<= 1)
			assert_int_equal(scopes_allow(bit, r->scopes),
					 bit == SCOPE_ADMIN || (r->scopes & bit) != 0);
		if (r->method != HTTP_GET && strcmp(r->pattern, "/api/v1/rules/check") != 0 &&
		    strcmp(r->pattern, "/api/v1/logout") != 0)
			assert_false(scopes_allow(SCOPE_READ, r->scopes));
	}
}

static void queries_are_parsed(void **state unused_arg)
{
	struct query_fields q;
	struct error err;

	assert_int_equal(query_parse(&q, "a=1&&b=x%20y+z&c", &err), 0);
	assert_string_equal(query_get(&q, "b"), "x y z");
	assert_string_equal(query_get(&q, "c"), "");
	assert_null(query_get(&q, "d"));
	assert_int_equal(query_parse(&q, "a=1&a=2", &err), -EINVAL);
	assert_says(err, "twice");
	assert_int_equal(query_parse(&q, "a=%4", &err), -EINVAL);
	assert_int_equal(query_parse(&q, "a=%ff", &err), -EINVAL);
}

static void depth_is_counted_outside_strings(void **state unused_arg)
{
	assert_int_equal(call_json_depth("{\"[[[\\\"[\":[{}]}", 15), 3);
	assert_int_equal(call_json_depth("1", 1), 0);
	assert_int_equal(call_json_depth("\"\\", 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_sound),
		cmocka_unit_test(a_row_without_scope_is_refused),
		cmocka_unit_test(paths_find_their_row),
		cmocka_unit_test(scopes_open_only_their_rows),
		cmocka_unit_test(queries_are_parsed),
		cmocka_unit_test(depth_is_counted_outside_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
