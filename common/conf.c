/* SPDX-License-Identifier: Apache-2.0 */
#include "common/conf.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <libgen.h>
#include <string.h>

#include "common/str.h"

static const char *const type_words[] = {
	[CONF_STRING] = "text",
	[CONF_INT] = "a whole number",
	[CONF_BOOL] = "yes or no",
	[CONF_BYTES] = "a size such as 64MiB",
	[CONF_DURATION] = "a duration such as 10s or 5min",
};

static const struct conf_option *find(const struct conf_table *t, const char *key)
{
	for (const struct conf_option *o = t->options; o->key; o++)
		if (strcmp(o->key, key) == 0)
			return o;
	return NULL;
}

static void *field(const struct conf_option *o, void *settings)
{
	return (char *)settings + o->offset;
}

static const void *cfield(const struct conf_option *o, const void *settings)
{
	return (const char *)settings + o->offset;
}

/* A number of the option's type as a person writes it; out has STR_UNIT_SIZE bytes. */
static const char *show_number(const struct conf_option *o, int64_t v, char *out)
{
	if (o->type == CONF_BYTES) {
		static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
		size_t i = 0;

		while (v && v % 1024 == 0 && i + 1 < ARRAY_SIZE(units)) {
			v /= 1024;
			i++;
		}
		snprintf(out, STR_UNIT_SIZE, "%" PRId64 "%s", v, units[i]);
	} else if (o->type == CONF_DURATION) {
		if (v % 86400000000 == 0 && v)
			snprintf(out, STR_UNIT_SIZE, "%" PRId64 "d", v / 86400000000);
		else if (v % 3600000000 == 0 && v)
			snprintf(out, STR_UNIT_SIZE, "%" PRId64 "h", v / 3600000000);
		else if (v % 60000000 == 0 && v)
			snprintf(out, STR_UNIT_SIZE, "%" PRId64 "min", v / 60000000);
		else if (v % 1000000 == 0)
			snprintf(out, STR_UNIT_SIZE, "%" PRId64 "s", v / 1000000);
		else if (v % 1000 == 0)
			snprintf(out, STR_UNIT_SIZE, "%" PRId64 "ms", v / 1000);
		else
			snprintf(out, STR_UNIT_SIZE, "%" PRId64 "us", v);
	} else {
		snprintf(out, STR_UNIT_SIZE, "%" PRId64, v);
	}
	return out;
}

static int set_string(const struct conf_option *o, char **slot, const char *value, bool replace)
{
	char *joined;

	if ((o->flags & CONF_REPEAT) && !replace && *slot && **slot) {
		if (asprintf(&joined, "%s\n%s", *slot, value) < 0)
			return -ENOMEM;
	} else {
		joined = strdup(value);
		if (!joined)
			return -ENOMEM;
	}
	free(*slot);
	*slot = joined;
	return 0;
}

static int set_number(const struct conf_option *o, int64_t *slot, const char *value,
		      const char *where, struct error *err)
{
	char lo[STR_UNIT_SIZE];
	char hi[STR_UNIT_SIZE];
	int64_t v;
	int rc;

	if (o->type == CONF_BYTES)
		rc = str_parse_bytes(value, &v);
	else if (o->type == CONF_DURATION)
		rc = str_parse_duration(value, &v);
	else
		rc = str_parse_int(value, &v);
	if (rc < 0)
		return error_set(err, -EINVAL, "%s: %s = '%s': expected %s", where, o->key, value,
				 type_words[o->type]);
	if (v < o->min || v > o->max)
		return error_set(err, -ERANGE, "%s: %s = '%s': expected %s to %s", where, o->key,
				 value, show_number(o, o->min, lo), show_number(o, o->max, hi));
	*slot = v;
	return 0;
}

static int set_option(const struct conf_option *o, void *settings, const char *value,
		      const char *where, bool replace, struct error *err)
{
	void *slot = field(o, settings);
	const char *expected;

	switch (o->type) {
	case CONF_STRING:
		expected = o->refuse ? o->refuse(value) : NULL;
		if (expected)
			return error_set(err, -EINVAL, "%s: %s = '%s': expected %s", where, o->key,
					 value, expected);
		if (set_string(o, slot, value, replace) < 0)
			return error_set(err, -ENOMEM, "%s: no memory", where);
		return 0;
	case CONF_BOOL:
		if (str_parse_bool(value, slot) < 0)
			return error_set(err, -EINVAL, "%s: %s = '%s': expected yes or no", where,
					 o->key, value);
		return 0;
	case CONF_INT:
	case CONF_BYTES:
	case CONF_DURATION:
		return set_number(o, slot, value, where, err);
	}
	return error_set(err, -EINVAL, "%s: %s has no type", where, o->key);
}

int conf_defaults(const struct conf_table *t, void *settings, struct error *err)
{
	for (const struct conf_option *o = t->options; o->key; o++) {
		int rc = set_option(o, settings, o->preset, "default", true, err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

int conf_set(const struct conf_table *t, void *settings, const char *key, const char *value,
	     const char *where, struct error *err)
{
	const struct conf_option *o = find(t, key);

	if (!o)
		return error_set(err, -EINVAL,
				 "%s: unknown option '%s' (dump-config lists them all)", where,
				 key);
	return set_option(o, settings, value, where, false, err);
}

struct load {
	const struct conf_table *table;
	void *settings;
	const char *path;
	FILE *f;
	int line; /* the one being parsed */
	struct error *err;
	int rc; /* of the first option that was refused, at bad_line */
	int bad_line;
	int long_line; /* the first one that inih has no room for, or 0 */
};

/* The rest of a line that was too long, so that it is not taken for a line of its own. */
static void skip_line(FILE *f)
{
	int c;

	do
		c = fgetc(f);
	while (c != EOF && c != '\n');
}

/*
 * inih as Debian builds it does not tell the handler the line: count while it reads. It takes an
 * indented line for the continuation of the value before, which would swallow an option without a
 * word: the indent is cut.
 */
static char *read_line(char *out, int size, void *stream)
{
	struct load *l = stream;
	size_t n;

	if (!fgets(out, size, l->f))
		return NULL;
	l->line++;
	n = strlen(out);
	if (n + 1 == (size_t)size && out[n - 1] != '\n') {
		skip_line(l->f);
		if (!l->long_line)
			l->long_line = l->line;
	}
	memmove(out, out + strspn(out, " \t"), n + 1 - strspn(out, " \t"));
	return out;
}

static int on_line(void *user, const char *section, const char *name, const char *value)
{
	struct load *l = user;
	auto_free char *where = NULL;

	if (l->rc < 0 || l->long_line)
		return 0;
	if (asprintf(&where, "%s:%d", l->path, l->line) < 0) {
		where = NULL;
		l->rc = -ENOMEM;
		return 0;
	}
	if (*section && strcmp(section, l->table->section) != 0)
		l->rc = error_set(l->err, -EINVAL, "%s: unknown section [%s], expected [%s]", where,
				  section, l->table->section);
	else
		l->rc = conf_set(l->table, l->settings, name, value, where, l->err);
	if (l->rc < 0)
		l->bad_line = l->line;
	return l->rc == 0;
}

static int load_file(const struct conf_table *t, void *settings, const char *path,
		     struct error *err)
{
	struct load l = {.table = t, .settings = settings, .path = path, .err = err};
	int first_bad;
	int unread;

	l.f = fopen(path, "re");
	if (!l.f)
		return error_sys(err, -errno, "cannot open '%s'", path);
	errno = 0;
	first_bad = ini_parse_stream(read_line, &l, on_line, &l);
	unread = ferror(l.f) ? errno : 0; /* a folder opens and does not read */
	fclose(l.f);
	if (unread)
		return error_sys(err, -unread, "cannot read '%s'", path);
	if (first_bad < 0)
		return error_set(err, -ENOMEM, "cannot read '%s'", path);
	if (l.long_line && (l.rc == 0 || l.long_line < l.bad_line))
		return error_set(err, -EINVAL, "%s:%d: the line is longer than %d bytes", path,
				 l.long_line, INI_MAX_LINE - 2);
	if (first_bad > 0 && (l.rc == 0 || first_bad < l.bad_line))
		return error_set(err, -EINVAL, "%s:%d: expected 'key = value'", path, first_bad);
	return l.rc;
}

static int is_conf(const struct dirent *d)
{
	return d->d_name[0] != '.' && str_ends(d->d_name, ".conf");
}

int conf_load(const struct conf_table *t, void *settings, const char *path, struct error *err)
{
	auto_free char *copy = strdup(path);
	auto_free char *folder = NULL;
	struct dirent **names = NULL;
	int rc;
	int n;

	if (!copy || asprintf(&folder, "%s/conf.d", dirname(copy)) < 0) {
		folder = NULL;
		return error_set(err, -ENOMEM, "no memory to read '%s'", path);
	}
	rc = load_file(t, settings, path, err);
	if (rc < 0)
		return rc;
	n = scandir(folder, &names, is_conf, alphasort);
	for (int i = 0; i < n; i++) {
		auto_free char *part = NULL;

		if (rc == 0) {
			if (asprintf(&part, "%s/%s", folder, names[i]->d_name) < 0) {
				part = NULL;
				rc = error_set(err, -ENOMEM, "no memory to read '%s'", folder);
			} else {
				rc = load_file(t, settings, part, err);
			}
		}
		free(names[i]);
	}
	free(names);
	return rc;
}

static void dump_value(const struct conf_option *o, const void *slot, FILE *out)
{
	char text[STR_UNIT_SIZE];

	switch (o->type) {
	case CONF_STRING: {
		const char *s = *(const char *const *)slot;

		if ((o->flags & CONF_SECRET) && *s) {
			fprintf(out, "#%s = (set)\n", o->key);
			return;
		}
		/* A repeated option is shown as it would be written: one line a value. */
		do {
			size_t n = strcspn(s, "\n");

			fprintf(out, "%s = %.*s\n", o->key, (int)n, s);
			s += n + (s[n] == '\n');
		} while (*s);
		return;
	}
	case CONF_BOOL:
		fprintf(out, "%s = %s\n", o->key, *(const bool *)slot ? "yes" : "no");
		return;
	case CONF_INT:
	case CONF_BYTES:
	case CONF_DURATION:
		fprintf(out, "%s = %s\n", o->key, show_number(o, *(const int64_t *)slot, text));
		return;
	}
}

void conf_dump(const struct conf_table *t, const void *settings, FILE *out)
{
	char lo[STR_UNIT_SIZE];
	char hi[STR_UNIT_SIZE];

	fprintf(out, "[%s]\n", t->section);
	for (const struct conf_option *o = t->options; o->key; o++) {
		fprintf(out, "\n# %s\n", o->help);
		if (o->type == CONF_STRING || o->type == CONF_BOOL)
			fprintf(out, "# %s; default: %s\n", type_words[o->type],
				*o->preset ? o->preset : "(empty)");
		else
			fprintf(out, "# %s, %s to %s; default: %s\n", type_words[o->type],
				show_number(o, o->min, lo), show_number(o, o->max, hi), o->preset);
		dump_value(o, cfield(o, settings), out);
	}
}

void conf_fini(const struct conf_table *t, void *settings)
{
	for (const struct conf_option *o = t->options; o->key; o++) {
		if (o->type != CONF_STRING)
			continue;
		free(*(char **)field(o, settings));
		*(char **)field(o, settings) = NULL;
	}
}
