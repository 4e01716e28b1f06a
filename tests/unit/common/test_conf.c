/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "common/conf.h"

#include <errno.h>
#include <sys/stat.h>

#include "common/fs.h"
#include "tests/support/test.h"

#include "tests/support/alloc.h"

struct settings {
	char *name;
	char *secret;
	char *many;
	int64_t count;
	int64_t size;
	int64_t wait;
	bool on;
};

#define AT(field) offsetof(struct settings, field)

static const struct conf_option rows[] = {
	{.key = "name", .type = CONF_STRING, .offset = AT(name), .preset = "x", .help = "a name"},
	{.key = "secret",
	 .type = CONF_STRING,
	 .offset = AT(secret),
	 .preset = "",
	 .flags = CONF_SECRET,
	 .help = "a secret"},
	{.key = "many",
	 .type = CONF_STRING,
	 .offset = AT(many),
	 .preset = "",
	 .flags = CONF_REPEAT,
	 .help = "several"},
	{.key = "count",
	 .type = CONF_INT,
	 .offset = AT(count),
	 .preset = "5",
	 .min = 1,
	 .max = 9,
	 .help = "a number"},
	{.key = "size",
	 .type = CONF_BYTES,
	 .offset = AT(size),
	 .preset = "4KiB",
	 .min = 1024,
	 .max = 1 << 20,
	 .help = "a size"},
	{.key = "wait",
	 .type = CONF_DURATION,
	 .offset = AT(wait),
	 .preset = "10s",
	 .min = 250000,
	 .max = 3600000000,
	 .help = "a time"},
	{.key = "on", .type = CONF_BOOL, .offset = AT(on), .preset = "no", .help = "a switch"},
	{.key = NULL},
};

static const char *refuse(const char *key, const char *value)
{
	return strcmp(key, "name") == 0 && strchr(value, '!') ? "a name without '!'" : NULL;
}

static const struct conf_table table = {.section = "test", .options = rows, .refuse = refuse};

struct world {
	char folder[64];
	struct settings s;
	struct error err;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char path[128];

	strcpy(w->folder, "/tmp/test_conf.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(path, sizeof(path), "%s/conf.d", w->folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(conf_defaults(&table, &w->s, &w->err), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char command[128];

	conf_fini(&table, &w->s);
	snprintf(command, sizeof(command), "rm -rf %s", w->folder);
	assert_int_equal(system(command), 0);
	free(w);
	return 0;
}

static void put(struct world *w, const char *name, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", w->folder, name);
	assert_int_equal(fs_write(path, 0600, text, strlen(text), NULL), 0);
}

static int load(struct world *w)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/main.conf", w->folder);
	return conf_load(&table, &w->s, path, &w->err);
}

static void presets_come_first(void **state)
{
	struct world *w = *state;

	assert_string_equal(w->s.name, "x");
	assert_int_equal(w->s.count, 5);
	assert_int_equal(w->s.size, 4096);
	assert_int_equal(w->s.wait, 10000000);
	assert_false(w->s.on);
}

static void parts_are_read_after_the_file_in_order(void **state)
{
	struct world *w = *state;

	put(w, "main.conf", "[test]\ncount = 2\nname = main\nmany = a\n");
	put(w, "conf.d/20-b.conf", "[test]\ncount = 4\nmany = c\n");
	put(w, "conf.d/10-a.conf", "[test]\ncount = 3\nmany = b\n");
	put(w, "conf.d/30-c.conf.bak", "[test]\ncount = 9\n");
	put(w, "conf.d/.40.conf", "[test]\ncount = 9\n");
	assert_int_equal(load(w), 0);
	assert_int_equal(w->s.count, 4);
	assert_string_equal(w->s.name, "main");
	assert_string_equal(w->s.many, "a\nb\nc");
}

static void a_mistake_in_a_part_names_the_part(void **state)
{
	struct world *w = *state;

	put(w, "main.conf", "[test]\ncount = 2\n");
	put(w, "conf.d/x.conf", "[test]\n\n\ncount = 22\n");
	assert_int_equal(load(w), -ERANGE);
	assert_says(w->err, "conf.d/x.conf:4: count = '22': expected 1 to 9");
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *text;
		const char *says;
	} cases[] = {
		{"[test]\ncount = many\n", ":2: count = 'many': expected a whole number"},
		{"[test]\ncount = 0\n", ":2: count = '0': expected 1 to 9"},
		{"[test]\nsize = 2MiB\n", ":2: size = '2MiB': expected 1KiB to 1MiB"},
		{"[test]\nwait = 1ms\n", ":2: wait = '1ms': expected 250ms to 1h"},
		{"[test]\non = perhaps\n", ":2: on = 'perhaps': expected yes or no"},
		{"[test]\nname = a!\n", ":2: name = 'a!': expected a name without '!'"},
		{"[test]\nnothing = 1\n", ":2: unknown option 'nothing'"},
		{"[tset]\ncount = 1\n", ":2: unknown section [tset], expected [test]"},
		{"[test]\njust words\n", ":2: expected 'key = value'"},
		{"[test\ncount = 1\n", ":1: expected 'key = value'"},
		{"[test]\ncount = 99999999999999999999\n", ":2: count"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put(w, "main.conf", cases[i].text);
		assert_true(load(w) < 0);
		assert_says(w->err, cases[i].says);
	}
}

static void a_missing_file_is_named(void **state)
{
	struct world *w = *state;

	assert_int_equal(load(w), -ENOENT);
	assert_says(w->err, "main.conf': No such file");
}

static void secrets_are_not_dumped(void **state)
{
	struct world *w = *state;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(conf_set(&table, &w->s, "secret", "hunter2", "-o", &w->err), 0);
	conf_dump(&table, &w->s, f);
	fclose(f);
	assert_null(strstr(text, "hunter2"));
	assert_non_null(strstr(text, "#secret = (set)"));
	assert_non_null(strstr(text, "wait = 10s"));
	free(text);
}

/* Bytes of every value, as a file that someone broke: an error or not, never a crash. */
static void any_bytes_are_survived(void **state)
{
	struct world *w = *state;
	char path[128];
	char text[400];

	srand(7);
	snprintf(path, sizeof(path), "%s/main.conf", w->folder);
	for (int i = 0; i < 300; i++) {
		size_t n = (size_t)rand() % sizeof(text);

		memcpy(text, "[test]\n", 7);
		for (size_t k = 7; k < n; k++)
			text[k] = rand() % 4 ? "\n=count[]; "[rand() % 11] : (char)rand();
		assert_int_equal(fs_write(path, 0600, text, n, NULL), 0);
		(void)!load(w);
	}
}

static void no_memory_is_an_error(void **state)
{
	struct world *w = *state;
	bool failed = true;

	put(w, "main.conf", "[test]\nname = a\nmany = b\nmany = c\n");
	put(w, "conf.d/a.conf", "[test]\nname = d\n");
	for (unsigned n = 1; failed; n++) {
		struct settings s = {0};
		char path[128];
		int rc;

		snprintf(path, sizeof(path), "%s/main.conf", w->folder);
		alloc_fail_at(n);
		rc = conf_defaults(&table, &s, &w->err);
		if (rc == 0)
			rc = conf_load(&table, &s, path, &w->err);
		failed = alloc_failed();
		alloc_fail_off();
		if (!failed)
			assert_int_equal(rc, 0);
		conf_fini(&table, &s);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(presets_come_first),
		T(parts_are_read_after_the_file_in_order),
		T(a_mistake_in_a_part_names_the_part),
		T(mistakes_are_named),
		T(a_missing_file_is_named),
		T(secrets_are_not_dumped),
		T(any_bytes_are_survived),
		T(no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
