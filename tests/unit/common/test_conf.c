/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "common/conf.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>

#include "tests/support/alloc.h"
#include "tests/support/test.h"

struct settings {
	char *name;
	char *secret;
	char *list;
	int64_t count;
	int64_t size;
	int64_t wait;
	bool on;
};

static const char *refuse(const char *value)
{
	return strchr(value, ' ') ? "one word" : NULL;
}

#define AT(f) offsetof(struct settings, f)
static const struct conf_option options[] = {
	{"name", CONF_STRING, AT(name), "anna", 0, 0, 0, "a name", refuse},
	{"secret", CONF_STRING, AT(secret), "", 0, 0, CONF_SECRET, "a secret", NULL},
	{"list", CONF_STRING, AT(list), "", 0, 0, CONF_REPEAT, "several", NULL},
	{"count", CONF_INT, AT(count), "3", -1, 10, 0, "how many", NULL},
	{"size", CONF_BYTES, AT(size), "1MiB", 0, 1 << 30, 0, "how large", NULL},
	{"wait", CONF_DURATION, AT(wait), "1500us", 0, 3600000000, 0, "how long", NULL},
	{"on", CONF_BOOL, AT(on), "no", 0, 0, 0, "whether", NULL},
	{NULL, CONF_STRING, 0, NULL, 0, 0, 0, NULL, NULL},
};

static const struct conf_table table = {"test", options};

struct place {
	char dir[40];
	char path[64];
	struct settings s;
	struct error err;
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/memherd-test-conf-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/x.conf", p->dir);
	assert_int_equal(conf_defaults(&table, &p->s, &p->err), 0);
	*state = p;
	return 0;
}

static int on_remove(const char *path, const struct stat *st unused_arg, int flag unused_arg,
		     struct FTW *ftw unused_arg)
{
	return remove(path);
}

static int tear_down(void **state)
{
	struct place *p = *state;

	conf_fini(&table, &p->s);
	assert_null(p->s.name);
	nftw(p->dir, on_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int load(struct place *p, const char *text)
{
	write_file(p->path, text);
	return conf_load(&table, &p->s, p->path, &p->err);
}

static void presets_fill_every_field(void **state)
{
	struct place *p = *state;

	assert_string_equal(p->s.name, "anna");
	assert_string_equal(p->s.secret, "");
	assert_int_equal(p->s.count, 3);
	assert_int_equal(p->s.size, 1 << 20);
	assert_int_equal(p->s.wait, 1500);
	assert_false(p->s.on);
}

static void a_preset_that_its_row_refuses_is_found(void **state)
{
	static const struct conf_option bad[] = {
		{"count", CONF_INT, AT(count), "30", 0, 10, 0, "how many", NULL},
		{NULL, CONF_STRING, 0, NULL, 0, 0, 0, NULL, NULL},
	};
	static const struct conf_table t = {.section = "test", .options = bad};
	struct settings s = {0};
	struct place *p = *state;

	assert_int_equal(conf_defaults(&t, &s, &p->err), -ERANGE);
	assert_says(p->err, "default: count = '30': expected 0 to 10");
}

static void a_file_sets_what_it_names(void **state)
{
	struct place *p = *state;

	assert_int_equal(load(p, "# comment\n[test]\nname = bert ; comment\n\tcount=-1\n"
				 "size = 2K\nwait = 5min\non = YES\nsecret =\n"),
			 0);
	assert_string_equal(p->s.name, "bert");
	assert_int_equal(p->s.count, -1);
	assert_int_equal(p->s.size, 2048);
	assert_int_equal(p->s.wait, 300000000);
	assert_true(p->s.on);
}

static void mistakes_name_file_line_and_option(void **state)
{
	static const struct {
		const char *text;
		const char *says;
	} cases[] = {
		{"[test]\n\ncount = many\n", "x.conf:3: count = 'many': expected a whole number"},
		{"count = 11\n", "x.conf:1: count = '11': expected -1 to 10"},
		{"wait = 2h\n", "x.conf:1: wait = '2h': expected 0s to 1h"},
		{"size = 2GiB\n", "x.conf:1: size = '2GiB': expected 0 to 1GiB"},
		{"size = 0x10\n", "expected a size such as 64MiB"},
		{"on = maybe\n", "x.conf:1: on = 'maybe': expected yes or no"},
		{"name = a b\n", "x.conf:1: name = 'a b': expected one word"},
		{"nmae = x\n", "x.conf:1: unknown option 'nmae'"},
		{"[tset]\ncount = 1\n", "x.conf:2: unknown section [tset], expected [test]"},
		{"[test]\nname = x\nwhat\n", "x.conf:3: expected 'key = value'"},
		{"[test\n", "x.conf:1: expected 'key = value'"},
		{"what\ncount = many\n", "x.conf:1: expected 'key = value'"},
		{"count = many\nwhat\n", "x.conf:1: count"},
		{"name = a\n   count = many\n", "x.conf:2: count = 'many'"},
	};
	struct place *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(load(p, cases[i].text) < 0);
		assert_says(p->err, cases[i].says);
	}
}

static void an_indented_option_is_not_swallowed(void **state)
{
	struct place *p = *state;

	assert_int_equal(load(p, "name = bert\n    secret = s\n\ton = yes\n"), 0);
	assert_string_equal(p->s.name, "bert");
	assert_string_equal(p->s.secret, "s");
	assert_true(p->s.on);
}

static void a_line_that_is_too_long_is_refused(void **state)
{
	struct place *p = *state;
	char text[1000];

	/* If it were cut, the rest would be an option of its own. */
	memset(text, 'x', sizeof(text));
	memcpy(text, "on = no\nname = ", 15);
	strcpy(text + 500, "\non = yes\n");
	assert_int_equal(load(p, text), -EINVAL);
	assert_says(p->err, "x.conf:2: the line is longer than");
	assert_false(p->s.on);
	memset(text + 15, ' ', 400);
	strcpy(text + 400, "on = yes\n");
	assert_int_equal(load(p, text), -EINVAL);
	assert_false(p->s.on);
}

static void any_bytes_are_refused_or_taken_but_do_no_harm(void **state)
{
	static const char alphabet[] = "=[]\n #;name\xff";
	struct place *p = *state;
	unsigned seed = 1;

	for (int i = 0; i < 200; i++) {
		FILE *f = fopen(p->path, "w");

		for (int n = 0; n < 300; n++) {
			seed = seed * 1103515245 + 12345;
			fputc(alphabet[(seed >> 16) % sizeof(alphabet)], f);
		}
		fclose(f);
		if (conf_load(&table, &p->s, p->path, &p->err) < 0)
			assert_says(p->err, "x.conf:");
	}
}

static void conf_d_is_read_after_in_order_of_names(void **state)
{
	struct place *p = *state;
	char path[96];

	snprintf(path, sizeof(path), "%s/conf.d", p->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/conf.d/20.conf", p->dir);
	write_file(path, "name = second\nlist = c\n");
	snprintf(path, sizeof(path), "%s/conf.d/10.conf", p->dir);
	write_file(path, "[test]\nname = first\ncount = 5\nlist = b\n");
	snprintf(path, sizeof(path), "%s/conf.d/.30.conf", p->dir);
	write_file(path, "nonsense\n");
	snprintf(path, sizeof(path), "%s/conf.d/30.conf~", p->dir);
	write_file(path, "nonsense\n");
	assert_int_equal(load(p, "name = main\nlist = a\ncount = 4\non = yes\n"), 0);
	assert_string_equal(p->s.name, "second");
	assert_int_equal(p->s.count, 5);
	assert_string_equal(p->s.list, "a\nb\nc");
	snprintf(path, sizeof(path), "%s/conf.d/30.conf", p->dir);
	write_file(path, "\ncount = x\n");
	assert_true(load(p, "") < 0);
	assert_says(p->err, "conf.d/30.conf:2: count");
}

static void a_file_that_is_missing_is_named(void **state)
{
	struct place *p = *state;

	assert_int_equal(conf_load(&table, &p->s, "/nonexistent/x", &p->err), -ENOENT);
	assert_says(p->err, "cannot open '/nonexistent/x'");
}

/* What dump-config prints, read back, is the same; but for the secret, which it hides. */
static void the_dump_reads_back(void **state)
{
	struct place *p = *state;
	struct settings again = {0};
	char text[4096] = "";
	FILE *f;

	assert_int_equal(load(p, "name = bert\nlist = a\nlist = b\nwait = 90s\nsize = 3K\n"
				 "secret = hush\n"),
			 0);
	f = fmemopen(text, sizeof(text), "w");
	conf_dump(&table, &p->s, f);
	fclose(f);
	assert_null(strstr(text, "hush"));
	assert_non_null(strstr(text, "#secret = (set)\n"));
	assert_non_null(strstr(text, "# a whole number, -1 to 10; default: 3\ncount = 3\n"));
	assert_non_null(strstr(text, "list = a\nlist = b\n"));
	assert_non_null(strstr(text, "wait = 90s\n"));
	assert_int_equal(conf_defaults(&table, &again, &p->err), 0);
	write_file(p->path, text);
	assert_int_equal(conf_load(&table, &again, p->path, &p->err), 0);
	assert_string_equal(again.name, "bert");
	assert_string_equal(again.list, "a\nb");
	assert_int_equal(again.wait, 90000000);
	assert_int_equal(again.size, 3072);
	assert_string_equal(again.secret, "");
	conf_fini(&table, &again);
}

static void one_option_can_be_set(void **state)
{
	struct place *p = *state;

	assert_int_equal(conf_set(&table, &p->s, "count", "7", "-o", &p->err), 0);
	assert_int_equal(p->s.count, 7);
	assert_int_equal(conf_set(&table, &p->s, "count", "", "-o", &p->err), -EINVAL);
	assert_says(p->err, "-o: count = ''");
	assert_int_equal(p->s.count, 7);
	assert_int_equal(conf_set(&table, &p->s, "x", "", "-o", NULL), -EINVAL);
}

static void no_memory_is_an_error(void **state)
{
	struct place *p = *state;
	int rc;

	write_file(p->path, "name = bert\nlist = a\nlist = b\n");
	for (unsigned n = 1;; n++) {
		struct settings s = {0};

		alloc_fail_at(n);
		rc = conf_defaults(&table, &s, &p->err);
		if (!rc)
			rc = conf_load(&table, &s, p->path, &p->err);
		alloc_fail_off();
		conf_fini(&table, &s);
		if (!alloc_failed())
			break;
		assert_true(rc < 0);
	}
	assert_int_equal(rc, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(presets_fill_every_field),
		TEST(a_preset_that_its_row_refuses_is_found),
		TEST(a_file_sets_what_it_names),
		TEST(mistakes_name_file_line_and_option),
		TEST(an_indented_option_is_not_swallowed),
		TEST(a_line_that_is_too_long_is_refused),
		TEST(any_bytes_are_refused_or_taken_but_do_no_harm),
		TEST(conf_d_is_read_after_in_order_of_names),
		TEST(a_file_that_is_missing_is_named),
		TEST(the_dump_reads_back),
		TEST(one_option_can_be_set),
		TEST(no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
