/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/mask.h"

#include "common/str.h"
#include "tests/support/test.h"

/* Arguments are written with '|' between them. */
static const char *masked(const char *args)
{
	static char out[1024];
	char raw[1024];
	size_t n = strlen(args) + 1;

	memcpy(raw, args, n);
	for (size_t i = 0; i < n; i++)
		if (raw[i] == '|')
			raw[i] = '\0';
	mask_cmdline(out, sizeof(out), raw, n);
	return out;
}

struct row {
	const char *args;
	const char *shown;
};

static void walk(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_string_equal(masked(rows[i].args), rows[i].shown);
}

static void secrets_are_masked(void **state unused_arg)
{
	static const struct row rows[] = {
		{"app|--password=hunter2|-v", "app --password=*** -v"},
		{"app|--password|hunter2|-v", "app --password *** -v"},
		{"app|--password|two words|-v", "app --password *** -v"},
		{"app|-password|-leading-dash", "app -password ***"},
		{"app|--PassWord=hunter2", "app --PassWord=***"},
		{"app|--api-key=abc|--api_key|abc", "app --api-key=*** --api_key ***"},
		{"app|--apikey=abc|ACCESS_KEY=abc|access-key=x",
		 "app --apikey=*** ACCESS_KEY=*** access-key=***"},
		{"env|AWS_SECRET_ACCESS_KEY=abc/def+g|run", "env AWS_SECRET_ACCESS_KEY=*** run"},
		{"env|DB_PASS=a b;c&d|run", "env DB_PASS=*** run"},
		{"env|GITHUB_TOKEN=ghp_x|run", "env GITHUB_TOKEN=*** run"},
		{"sh|-c|PGPASSWORD=s3cret psql -h db", "sh -c PGPASSWORD=***"},
		{"sh|-c|cd /x; PGPASSWORD=s3cret psql -h db",
		 "sh -c cd /x; PGPASSWORD=*** psql -h db"},
		{"sh|-c|run --token abc --x", "sh -c run --token *** --x"},
		{"sh|-c|run --token='a b' --x", "sh -c run --token='***' --x"},
		{"app|postgresql://bob:s3cret@db:5432/x", "app postgresql://bob:***@db:5432/x"},
		{"app|redis://:s3cret@db/0", "app redis://:***@db/0"},
		{"app|amqp://u:p@ss@h/v", "app amqp://u:***@h/v"},
		{"git|clone|https://ghp_abcdefghijklmnopqrst@github.com/a",
		 "git clone https://***@github.com/a"},
		{"app|http://h/x?token=abc&y=1", "app http://h/x?token=***&y=1"},
		{"app|{\"password\": \"abc\", \"x\": 1}", "app {\"password\": \"***\", \"x\": 1}"},
		{"curl|-H|Authorization: Bearer abc.def", "curl -H Authorization: ***"},
		{"curl|-u|bob:s3cret|http://h", "curl -u bob:*** http://h"},
		{"/usr/bin/curl|-ubob:s3cret", "/usr/bin/curl -ubob:***"},
		{"mysql|-uroot|-ps3cret|shop", "mysql -uroot -p*** shop"},
		{"app|--password=", "app --password=***"},
		{"app|--secret", "app --secret"},
		{"sh|-c|curl -H 'Authorization: Bearer abc.def' http://h",
		 "sh -c curl -H 'Authorization: Bearer ***' http://h"},
		{"http|--header=Authorization: Bearer abc|x",
		 "http --header=Authorization: Bearer *** x"},
		{"wscat|-H|X-Auth: Bearer abc|x", "wscat -H X-Auth: Bearer *** x"},
		{"curl|--oauth2-bearer|abc|x", "curl --oauth2-bearer *** x"},
		{"sh|-c|echo password: two words", "sh -c echo password: *** words"},
		{"curl|--user=bob:s3cret|http://h", "curl --user=bob:*** http://h"},
		{"sh|-c|curl -u bob:s3cret http://h", "sh -c curl -u bob:*** http://h"},
		{"sh|-c|mysqldump -uroot -ps3cret shop; sync",
		 "sh -c mysqldump -uroot -p*** shop; sync"},
		{"sudo|-u|bob|mysql|-ps3cret", "sudo -u bob mysql -p***"},
		{"sshpass|-p|two words|ssh|h", "sshpass -p *** ssh h"},
		{"sshpass|-ps3cret|ssh|h", "sshpass -p*** ssh h"},
		{"redis-cli|-a|s3cret|ping", "redis-cli -a *** ping"},
		{"/usr/bin/ldapsearch|-x|-w|s3cret", "/usr/bin/ldapsearch -x -w ***"},
		{"mongosh|-u|bob|-p|s3cret", "mongosh -u bob -p ***"},
		{"docker|run|-e|DB_PASSWORD=s3cret|-eAPI_TOKEN=abc|img",
		 "docker run -e DB_PASSWORD=*** -eAPI_TOKEN=*** img"},
		{"app|--connection-string=Server=x;Pwd=y", "app --connection-string=***"},
	};

	walk(rows, ARRAY_SIZE(rows));
}

static void the_rest_is_left_alone(void **state unused_arg)
{
	static const struct row rows[] = {
		{"python3|-m|http.server|8000", "python3 -m http.server 8000"},
		{"llm|--max-tokens=4096|--tokenizer|bert",
		 "llm --max-tokens=4096 --tokenizer bert"},
		{"ssh|git@github.com", "ssh git@github.com"},
		{"git|clone|ssh://git@github.com/a", "git clone ssh://git@github.com/a"},
		{"app|http://h:80/a:b@c", "app http://h:80/a:b@c"},
		{"tar|-pxf|a.tar", "tar -pxf a.tar"},
		{"mysqld|-p", "mysqld -p"},
		{"python3|-u|app.py", "python3 -u app.py"},
		{"mysql|-p|shop", "mysql -p shop"},
		{"curl|-u|bob|http://h", "curl -u bob http://h"},
		{"basic|instructions", "basic instructions"},
		{"", ""},
		{"||", ""},
		{"a||b", "a  b"},
	};

	walk(rows, ARRAY_SIZE(rows));
}

static void output_is_printable_and_bounded(void **state unused_arg)
{
	char raw[2 * MASK_INPUT_MAX];
	char out[513];
	size_t n;

	assert_string_equal(masked("a\n\x1b[31m<script>\xff"), "a\\x0a\\x1b[31m<script>\\xff");
	memset(raw, '\n', sizeof(raw));
	raw[0] = 'x';
	raw[sizeof(raw) - 1] = 'y';
	n = mask_cmdline(out, sizeof(out), raw, sizeof(raw));
	assert_int_equal(n, strlen(out));
	assert_true(str_is_safe(out, n));
	/* masks that lengthen fill the buffer and no more */
	for (size_t i = 0; i + 4 <= sizeof(raw); i += 4)
		memcpy(raw + i, "pwd=", 4);
	n = mask_cmdline(out, sizeof(out), raw, sizeof(raw));
	assert_true(n < sizeof(out));
}

static void a_secret_never_shows_whatever_the_cut(void **state unused_arg)
{
	static const char raw[] = "x\0--password\0hunter2\0TOKEN=hunter2\0u://a:hunter2@h\0";

	for (size_t n = 0; n < sizeof(raw); n++) {
		static char out[4 * MASK_INPUT_MAX];
		/* on the heap, exactly as many bytes as are read of a longer command line */
		char *cut = malloc(MASK_INPUT_MAX);

		memset(cut, 'x', MASK_INPUT_MAX);
		memcpy(cut + MASK_INPUT_MAX - n, raw, n);
		mask_cmdline(out, sizeof(out), cut, MASK_INPUT_MAX);
		assert_null(strstr(out, "hunter"));
		free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_masked),
		cmocka_unit_test(the_rest_is_left_alone),
		cmocka_unit_test(output_is_printable_and_bounded),
		cmocka_unit_test(a_secret_never_shows_whatever_the_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
