/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/xmlrpc.h"

#include <errno.h>

#include "common/check.h"
#include "tests/support/test.h"

#define HEAD "<?xml version='1.0'?>\n<methodResponse>\n"
#define ONE  HEAD "<params>\n<param>\n<value>"
#define END  "</value>\n</param>\n</params>\n</methodResponse>\n"
#define FAULT                                                                                     \
	HEAD "<fault>\n<value><struct>\n<member>\n<name>faultCode</name>\n<value><int>10</int></" \
	     "value>\n"                                                                           \
	     "</member>\n<member>\n<name>faultString</name>\n<value><string>BAD_NAME: "           \
	     "x\n</string></value>\n"                                                             \
	     "</member>\n</struct></value>\n</fault>\n</methodResponse>\n"
#define MEMBER(n, v) "<member>\n<name>" n "</name>\n<value>" v "</value>\n</member>\n"

static char seen[4096];

static int on_member(void *arg, const struct xmlrpc_member *m)
{
	size_t n = strlen(seen);

	snprintf(seen + n, sizeof(seen) - n, "%zu.%s=%.40s%s;", m->item, m->name, m->text,
		 m->cut ? "..." : "");
	return arg ? *(int *)arg : 0;
}

static int read_it(const char *text, struct error *err)
{
	seen[0] = '\0';
	return xmlrpc_read(text, strlen(text), on_member, NULL, err);
}

static void structs_come_member_by_member(void **state unused_arg)
{
	struct error err = {""};

	assert_int_equal(
		read_it(ONE "<array><data>\n<value><struct>\n" MEMBER("name", "<string>a&lt;&amp;b"
									      "</string>")
				MEMBER("codes", "<array><data>\n<value><int>0</int></value>\n"
						"<value><int>2</int></value>\n</data></array>")
					MEMBER("empty",
					       "<string></string>") "</struct></"
								    "value>\n<value><"
								    "struct>\n" MEMBER(
									    "pid", "<int>12</"
										   "int>") "</"
											   "struc"
											   "t></"
											   "value"
											   ">\n</"
											   "data>"
											   "</"
											   "array"
											   ">" END,
			&err),
		0);
	assert_string_equal(seen, "0.name=a<&b;0.codes=0;0.codes=2;0.empty=;1.pid=12;");
	assert_int_equal(read_it(ONE "<int>-3</int>" END, &err), 0);
	assert_string_equal(seen, "0.=-3;");
	assert_int_equal(read_it(ONE "<array><data>\n</data></array>" END, &err), 0);
	assert_string_equal(seen, "");
}

static void a_fault_is_told_in_its_words(void **state unused_arg)
{
	struct error err = {""};

	assert_int_equal(read_it(FAULT, &err), -EREMOTEIO);
	assert_string_equal(err.msg, "BAD_NAME: x\\x0a");
}

static void the_receiver_ends_it(void **state unused_arg)
{
	static const char text[] = ONE "<array><data><value><int>1</int></value>"
				       "<value><int>2</int></value></data></array>" END;
	int answer = -EEXIST;

	seen[0] = '\0';
	assert_int_equal(xmlrpc_read(text, strlen(text), on_member, &answer, NULL), -EEXIST);
	assert_string_equal(seen, "0.=1;");
}

static void what_is_no_answer_is_refused(void **state unused_arg)
{
	static const char *const bad[] = {
		"",
		"<methodResponse>",
		HEAD,
		ONE "<int>1</int>",
		ONE "<int>1</int>" END "x",
		ONE "<int>1<b/></int>" END,
		ONE "<int x='1'>1</int>" END,
		ONE "<nil/>" END,
		ONE "<string>&bomb;</string>" END,
		ONE "<string>&#0;</string>" END,
		ONE "<string><![CDATA[x]]></string>" END,
		ONE "<!-- x --><int>1</int>" END,
		"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]>" ONE "<int>1</int>" END,
		ONE "<struct>" MEMBER("", "<int>1</int>") "</struct>" END,
		ONE "<struct>" MEMBER(
			"a", "<struct>" MEMBER("b", "<int>1</int>") "</struct>") "</struct>" END,
		ONE
		"<array><data><value><array><data><value><array><data><value><array><data><value>"
		"<int>1</int></value>"
		"</data></array></value></data></array></value></data></array></value></data>"
		"</array>" END,
		HEAD "<fault><value><int>1</int></value></methodResponse>",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {""};

		if (read_it(bad[i], &err) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
		assert_says(err, "not XML-RPC");
	}
}

static void every_cut_of_an_answer_is_refused(void **state unused_arg)
{
	static const char text[] = ONE "<array><data>\n<value><struct>\n" MEMBER(
		"name", "<string>a&amp;b</string>") "</struct></value>\n</data></array>" END;

	for (size_t n = 0; n + 1 < strlen(text); n++) {
		char *exact = malloc(n + !n);

		memcpy(exact, text, n);
		assert_int_equal(xmlrpc_read(exact, n, on_member, NULL, NULL), -EBADMSG);
		free(exact);
	}
}

static void long_values_are_cut_and_long_names_refused(void **state unused_arg)
{
	char text[4096];
	char pad[2000];

	memset(pad, 'y', sizeof(pad));
	pad[sizeof(pad) - 1] = '\0';
	snprintf(text, sizeof(text), ONE "<string>%s</string>" END, pad);
	assert_int_equal(read_it(text, NULL), 0);
	assert_true(strstr(seen, "...") != NULL);
	pad[XMLRPC_NAME_SIZE] = '\0';
	snprintf(text, sizeof(text),
		 ONE "<struct><member><name>%s</name><value><int>1</int></value>"
		     "</member></struct>" END,
		 pad);
	assert_int_equal(read_it(text, NULL), -EBADMSG);
}

static void a_call_is_written_escaped(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(4096);

	xmlrpc_call(&b, "supervisor.stopProcess", "a&b:<c>", 0);
	assert_int_equal(buf_status(&b), 0);
	assert_string_equal((char *)b.data,
			    "<?xml version='1.0'?><methodCall><methodName>supervisor.stopProcess"
			    "</methodName><params><param><value><string>a&amp;b:&lt;c&gt;</string>"
			    "</value></param><param><value><boolean>0</boolean></value></param>"
			    "</params></methodCall>");
	buf_reset(&b);
	xmlrpc_call(&b, "supervisor.getPID", NULL, -1);
	assert_string_equal((char *)b.data, "<?xml version='1.0'?><methodCall><methodName>"
					    "supervisor.getPID</methodName><params></params>"
					    "</methodCall>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(structs_come_member_by_member),
		cmocka_unit_test(a_fault_is_told_in_its_words),
		cmocka_unit_test(the_receiver_ends_it),
		cmocka_unit_test(what_is_no_answer_is_refused),
		cmocka_unit_test(every_cut_of_an_answer_is_refused),
		cmocka_unit_test(long_values_are_cut_and_long_names_refused),
		cmocka_unit_test(a_call_is_written_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
