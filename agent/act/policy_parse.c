/* SPDX-License-Identifier: Apache-2.0 */
/* The language of the policy. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/act/action.h"
#include "agent/act/halt.h"
#include "agent/act/policy_line.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"

#define POLICY_MAX_BYTES 65536
#define POLICY_MAX_LINES 512

static const char *const key_words[] = {
#define X(NAME, word, help) #word,
	POLICY_KEY_LIST(X)
#undef X
};

struct parse {
	const char *where;
	unsigned line;
	struct error *err;
};

#define refuse(ps, fmt, ...) \
	error_set((ps)->err, -EINVAL, "%s:%u: " fmt, (ps)->where, (ps)->line, __VA_ARGS__)

static int parse_max(const struct parse *ps, const char *value, struct line *l)
{
	static const struct {
		const char *word;
		int64_t us;
	} windows[] = {{"min", 60 * USEC_PER_SEC},
		       {"h", 3600 * USEC_PER_SEC},
		       {"d", 86400 * USEC_PER_SEC}};
	char unit[8];
	unsigned n;
	int used = 0;

	if (sscanf(value, "%4u/%7[a-z]%n", &n, unit, &used) != 2 || value[used] ||
	    value[0] == '-' || n == 0)
		return refuse(ps, "max = '%s': expected a count such as 6/h", value);
	for (size_t i = 0; i < ARRAY_SIZE(windows); i++) {
		if (strcmp(unit, windows[i].word) != 0)
			continue;
		l->max = n;
		l->max_window_us = windows[i].us;
		return 0;
	}
	return refuse(ps, "max = '%s': expected 'min', 'h' or 'd' after the '/'", value);
}

static int parse_quiet(const struct parse *ps, const char *value, struct line *l)
{
	unsigned from_h, from_m, to_h, to_m;
	int used = 0;

	if (strlen(value) != 11 ||
	    sscanf(value, "%2u:%2u-%2u:%2u%n", &from_h, &from_m, &to_h, &to_m, &used) != 4 ||
	    used != 11 || from_h > 23 || to_h > 23 || from_m > 59 || to_m > 59)
		return refuse(ps, "quiet = '%s': expected hours such as 22:00-06:00", value);
	l->quiet_from = (int)(from_h * 60 + from_m);
	l->quiet_to = (int)(to_h * 60 + to_m);
	if (l->quiet_from == l->quiet_to)
		return refuse(ps, "quiet = '%s': ends when it begins", value);
	return 0;
}

static int parse_number(const struct parse *ps, struct term *t, const char *value)
{
	if (str_parse_int(value, &t->number) < 0 || t->number < 0 || t->number > UINT32_MAX)
		return refuse(ps, "uid '%s': expected a number", value);
	return 0;
}

static int parse_yes_no(const struct parse *ps, struct term *t, const char *value)
{
	bool yes;

	if (str_parse_bool(value, &yes) < 0)
		return refuse(ps, "%s '%s': expected yes or no", key_words[t->key], value);
	t->number = yes;
	return 0;
}

static bool is_of_host(const char *action)
{
	const struct action *a = action_find_name(action);

	return a && command_action_of_host(a->number);
}

static int parse_value(const struct parse *ps, struct line *l, struct term *t, const char *value)
{
	int rc;

	if (!*value)
		return refuse(ps, "%s has no value", key_words[t->key]);
	if (t->op != OP_EQ && t->key != KEY_UID)
		return refuse(ps, "%s takes '=' only", key_words[t->key]);
	if (!l->allow && (t->key == KEY_MAX || t->key == KEY_COOLDOWN || t->key == KEY_QUIET ||
			  t->key == KEY_LOWER || t->key == KEY_SIGNED))
		return refuse(ps, "%s has no meaning on a %s line", key_words[t->key],
			      *l->action ? "deny" : "shed");
	if (is_of_host(l->action) && t->key != KEY_MAX && t->key != KEY_COOLDOWN &&
	    t->key != KEY_QUIET)
		return refuse(ps, "%s has no meaning for %s, which is done to the whole host",
			      key_words[t->key], l->action);
	switch (t->key) {
	case KEY_LOWER:
		if (strcmp(l->action, "oom-score") != 0)
			return refuse(ps, "%s has a meaning for oom-score alone", "lower");
		rc = parse_yes_no(ps, t, value);
		l->lower = rc == 0 && t->number;
		return rc;
	case KEY_UID:
		l->names_uid = true;
		return parse_number(ps, t, value);
	case KEY_EXE:
	case KEY_COMM:
	case KEY_CGROUP:
	case KEY_UNIT:
		t->glob = value;
		return 0;
	case KEY_CONTAINER:
		l->names_container = true;
		return parse_yes_no(ps, t, value);
	case KEY_BARE:
		l->names_bare = true;
		return parse_yes_no(ps, t, value);
	case KEY_SECCOMP:
		return parse_yes_no(ps, t, value);
	case KEY_SIGNED:
		rc = parse_yes_no(ps, t, value);
		l->signed_only = t->number;
		return rc;
	case KEY_MAX:
		return parse_max(ps, value, l);
	case KEY_COOLDOWN:
		if (str_parse_duration(value, &l->cooldown_us) < 0)
			return refuse(ps, "cooldown '%s': expected a duration such as 5min", value);
		return 0;
	case KEY_QUIET:
		return parse_quiet(ps, value, l);
	case KEY_COUNT:
		break;
	}
	return refuse(ps, "%s", "no such word");
}

/* 'key=value', 'key>=value', 'key<=value'. */
static int parse_term(const struct parse *ps, struct line *l, char *word)
{
	size_t n = strcspn(word, "=<>");
	struct term t = {.key = KEY_COUNT};
	char *value = word + n;

	for (unsigned k = 0; k < KEY_COUNT; k++)
		if (strlen(key_words[k]) == n && strncmp(key_words[k], word, n) == 0)
			t.key = (enum policy_key)k;
	if (t.key == KEY_COUNT)
		return refuse(ps, "unknown word '%s'", word);
	if (l->n == POLICY_MAX_TERMS)
		return refuse(ps, "more than %d terms", POLICY_MAX_TERMS);
	if (str_starts(value, ">=")) {
		t.op = OP_GE;
		value += 2;
	} else if (str_starts(value, "<=")) {
		t.op = OP_LE;
		value += 2;
	} else if (*value == '=') {
		value++;
	} else {
		return refuse(ps, "'%s': expected =, >= or <= after '%s'", word, key_words[t.key]);
	}
	l->terms[l->n++] = t;
	return parse_value(ps, l, &l->terms[l->n - 1], value);
}

/* 'shed unit=shop.service signal=USR1': which, and how; it allows nothing. */
static int parse_hook(const struct parse *ps, char **save, struct line *l)
{
	bool named = false;
	char *word;
	int rc = 0;

	l->action = "";
	while (rc == 0 && (word = strtok_r(NULL, " \t", save))) {
		size_t n = strcspn(word, "=<>");
		enum hook_kind kind = hook_find(word, n);
		struct error why;

		if (kind && word[n] == '=' && l->hook.kind)
			return refuse(ps, "'%s': a shed line has one hook", word);
		if (kind && word[n] == '=') {
			if (hook_parse(kind, word + n + 1, &l->hook, &why) < 0)
				return refuse(ps, "%s", why.msg);
			continue;
		}
		rc = parse_term(ps, l, word);
		named = named || (rc == 0 && (l->terms[l->n - 1].key == KEY_UNIT ||
					      l->terms[l->n - 1].key == KEY_CGROUP ||
					      l->terms[l->n - 1].key == KEY_EXE));
	}
	if (rc < 0)
		return rc;
	if (!named)
		return refuse(ps, "'%s' needs unit=, cgroup= or exe=: whose hook it is", "shed");
	if (!l->hook.kind)
		return refuse(ps, "'%s' needs signal=, http= or unix=", "shed");
	return 0;
}

static int parse_line(const struct parse *ps, char *text, struct line *l)
{
	char *save = NULL;
	char *word;

	str_safe(l->shown, sizeof(l->shown), text, strlen(text));
	word = strtok_r(text, " \t", &save);
	l->number = ps->line;
	if (strcmp(word, "shed") == 0)
		return parse_hook(ps, &save, l);
	if (strcmp(word, "allow") != 0 && strcmp(word, "deny") != 0)
		return refuse(ps, "'%s': expected 'allow', 'deny', 'shed' or 'maintenance'", word);
	l->allow = strcmp(word, "allow") == 0;
	l->action = strtok_r(NULL, " \t", &save);
	if (!l->action)
		return refuse(ps, "'%s' needs an action or '*'", word);
	if (strcmp(l->action, "*") != 0 && !action_find_name(l->action))
		return refuse(ps, "unknown action '%s'", l->action);
	while ((word = strtok_r(NULL, " \t", &save))) {
		int rc = parse_term(ps, l, word);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* 'maintenance [from=TIME] [until=TIME]'. */
static int parse_maintenance(const struct parse *ps, char *text, struct policy *p)
{
	struct period *m = &p->periods[p->n_periods];
	char *save = NULL;
	char *word;

	if (p->n_periods == PERIODS_MAX)
		return refuse(ps, "more than %d lines 'maintenance'", PERIODS_MAX);
	*m = (struct period){.number = ps->line, .from_us = INT64_MIN, .until_us = INT64_MAX};
	(void)strtok_r(text, " \t", &save); /* 'maintenance' */
	while ((word = strtok_r(NULL, " \t", &save))) {
		bool until = str_starts(word, "until=");
		const char *value = strchr(word, '=');

		if (!until && !str_starts(word, "from="))
			return refuse(ps, "'%s': expected from=TIME or until=TIME", word);
		if (halt_parse_time(++value, until ? &m->until_us : &m->from_us) < 0 ||
		    (until && !str_copy(m->until, sizeof(m->until), value)))
			return refuse(ps, "'%s': expected a time such as 2026-12-01T06:00Z", word);
	}
	if (m->from_us >= m->until_us)
		return refuse(ps, "%s", "maintenance ends before it begins");
	p->n_periods++;
	return 0;
}

static bool is_maintenance(const char *text)
{
	return str_starts(text, "maintenance") && strchr(" \t", text[strlen("maintenance")]);
}

static int parse_text(struct parse *ps, struct policy *p)
{
	char *rest = p->text;

	while (rest) {
		char *text = strsep(&rest, "\n");
		char *comment = strchr(text, '#');
		int rc;

		ps->line++;
		if (comment)
			*comment = '\0';
		text = str_trim(text);
		if (!*text)
			continue;
		if (!str_is_safe(text, strlen(text)) && !strchr(text, '\t'))
			return refuse(ps, "%s", "unprintable bytes");
		if (is_maintenance(text)) {
			rc = parse_maintenance(ps, text, p);
			if (rc < 0)
				return rc;
			continue;
		}
		if (p->n == POLICY_MAX_LINES)
			return refuse(ps, "more than %d lines", POLICY_MAX_LINES);
		rc = parse_line(ps, text, &p->lines[p->n]);
		if (rc < 0)
			return rc;
		p->n++;
	}
	return 0;
}

int policy_parse(const char *where, const char *text, struct policy **ret, struct error *err)
{
	struct parse ps = {.where = where, .err = err};
	struct policy *p = calloc(1, sizeof(*p));
	int rc;

	if (p) {
		p->text = strdup(text);
		p->lines = calloc(POLICY_MAX_LINES, sizeof(*p->lines));
	}
	if (!p || !p->text || !p->lines)
		rc = error_set(err, -ENOMEM, "no memory for '%s'", where);
	else
		rc = parse_text(&ps, p);
	if (rc < 0) {
		policy_free(&p);
		return rc;
	}
	*ret = p;
	return 0;
}

int policy_load(const char *path, struct policy **ret, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(POLICY_MAX_BYTES);
	int rc = fs_check_root_owned(path, err);

	if (rc == 0)
		rc = fs_read(path, &text, err);
	if (rc < 0)
		return rc;
	if (text.len && memchr(text.data, '\0', text.len))
		return error_set(err, -EINVAL, "'%s' holds a NUL byte", path);
	return policy_parse(path, text.data ? (const char *)text.data : "", ret, err);
}

void policy_free(struct policy **p)
{
	if (!*p)
		return;
	free((*p)->text);
	free((*p)->lines);
	free(*p);
	*p = NULL;
}
