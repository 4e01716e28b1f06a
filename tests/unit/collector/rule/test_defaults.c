/* SPDX-License-Identifier: Apache-2.0 */
/* Every rule that users are shown must parse: the shipped file and each block of docs/RULES.md. */
#include "collector/rule/parse.h"
#include "tests/support/test.h"

static char text[1 << 18];

static void slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		fail_msg("%s is not there; run from the root", path);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
}

static unsigned rules_in(const char *origin, const char *p, size_t len)
{
	struct error err = {""};
	struct rule_set *set;
	unsigned n;

	assert_int_equal(rule_set_new(&set), 0);
	if (rule_set_parse(set, origin, p, len, &err) < 0)
		fail_msg("%s", err.msg);
	n = set->n_rules;
	rule_set_free(&set);
	return n;
}

static void default_rules_parse(void **state unused_arg)
{
	slurp("deploy/examples/rules.d/default.rules");
	assert_in_range(rules_in("default.rules", text, strlen(text)), 3, 8);
}

static void documented_rules_parse(void **state unused_arg)
{
	unsigned blocks = 0;
	char *p = text;

	slurp("docs/RULES.md");
	while ((p = strstr(p, "```rule\n"))) {
		char *end = strstr(p + 8, "```");

		assert_non_null(end);
		assert_true(rules_in("RULES.md", p + 8, (size_t)(end - p - 8)) > 0);
		blocks++;
		p = end + 3;
	}
	assert_true(blocks >= 5);
}

static void documented_mistakes_are_what_is_said(void **state unused_arg)
{
	/* the error shown in the document, for the rule shown beside it */
	static const char bad[] = "rule big on process {\n\tlevel mail when rss > 5m;\n}\n";
	struct error err = {""};
	struct rule_set *set;

	slurp("docs/RULES.md");
	assert_non_null(strstr(text, bad));
	assert_int_equal(rule_set_new(&set), 0);
	assert_true(rule_set_parse(set, "my.rules", bad, strlen(bad), &err) < 0);
	assert_non_null(strstr(text, err.msg));
	rule_set_free(&set);
}

static void every_word_is_documented(void **state unused_arg)
{
	char word[64];

	slurp("docs/RULES.md");
	for (int i = 0; i < RULE_FN_COUNT; i++) {
		snprintf(word, sizeof(word), "`%s(", rule_fn_name((enum rule_fn)i));
		if (!strstr(text, word))
			fail_msg("docs/RULES.md does not tell of %s)`", word);
	}
	for (int i = 0; i < METRIC_COUNT + HOST_METRIC_COUNT; i++) {
		const struct metric_info *m =
			i < METRIC_COUNT ? &metric_infos[i] : &host_metric_infos[i - METRIC_COUNT];

		snprintf(word, sizeof(word), "`%s`", m->name);
		if (!strstr(text, word))
			fail_msg("docs/RULES.md does not tell of %s", word);
	}
#define X(NAME, name, type, subjects) assert_non_null(strstr(text, "`" #name "`"));
	RULE_LABEL_LIST(X)
#undef X
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_rules_parse),
		cmocka_unit_test(documented_rules_parse),
		cmocka_unit_test(documented_mistakes_are_what_is_said),
		cmocka_unit_test(every_word_is_documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
