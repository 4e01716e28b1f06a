/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/supervisord_conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/span.h"
#include "common/str.h"

#define BLANKS " \t\r\f\v"

/* ---- values ---- */

static void miss(struct supervisord_conf *c, const char *what)
{
	if (!*c->missing)
		snprintf(c->missing, sizeof(c->missing), "%s", what);
}

/* '%%' is '%'; '%(here)s' the file's folder; whatever else stands for something is not known. */
static bool expand(const char *value, const char *here, char *out, size_t size)
{
	static const char word[] = "%(here)s";
	size_t n = 0;

	while (*value) {
		const char *piece = value;
		size_t len = 1;

		if (str_starts(value, word)) {
			piece = here;
			len = strlen(here);
			value += strlen(word);
		} else if (value[0] == '%') {
			if (value[1] != '%')
				return false;
			value += 2;
		} else {
			value++;
		}
		if (n + len >= size)
			return false;
		memcpy(out + n, piece, len);
		n += len;
	}
	out[n] = '\0';
	return true;
}

static enum supervisord_back back_of(const char *value)
{
	static const struct {
		const char *word;
		enum supervisord_back back;
	} words[] = {
		{"true", SUPERVISORD_ALWAYS},
		{"yes", SUPERVISORD_ALWAYS},
		{"on", SUPERVISORD_ALWAYS},
		{"1", SUPERVISORD_ALWAYS},
		{"false", SUPERVISORD_NEVER},
		{"no", SUPERVISORD_NEVER},
		{"off", SUPERVISORD_NEVER},
		{"0", SUPERVISORD_NEVER},
		{"unexpected", SUPERVISORD_UNEXPECTED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(value, words[i].word) == 0)
			return words[i].back;
	return SUPERVISORD_UNKNOWN;
}

/* ---- sections ---- */

/* What the lines at hand belong to; all NULL: a section that tells us nothing. */
struct section {
	struct supervisord_program_conf *program;
	struct supervisord_server_conf *server;
	bool include;
};

static struct supervisord_program_conf *program_of(struct supervisord_conf *c, const char *name)
{
	struct supervisord_program_conf *p;

	for (size_t i = 0; i < c->n_programs; i++)
		if (strcmp(c->programs[i].name, name) == 0)
			return &c->programs[i];
	if (c->n_programs == SUPERVISORD_PROGRAMS_MAX) {
		miss(c, "it has too many programs");
		return NULL;
	}
	p = &c->programs[c->n_programs++];
	*p = (struct supervisord_program_conf){.exitcodes = "0", .stopsignal = "TERM"};
	(void)str_copy(p->name, sizeof(p->name), name);
	return p;
}

static struct supervisord_server_conf *server_of(struct supervisord_conf *c, const char *section)
{
	struct supervisord_server_conf *s;

	for (size_t i = 0; i < c->n_servers; i++)
		if (strcmp(c->servers[i].section, section) == 0)
			return &c->servers[i];
	if (c->n_servers == SUPERVISORD_SERVERS_MAX) {
		miss(c, "it has too many servers");
		return NULL;
	}
	s = &c->servers[c->n_servers++];
	*s = (struct supervisord_server_conf){.file = ""};
	(void)str_copy(s->section, sizeof(s->section), section);
	return s;
}

static void enter(struct supervisord_conf *c, struct section *s, const char *name)
{
	static const char *const kinds[] = {"program:", "fcgi-program:", "eventlistener:"};

	*s = (struct section){.include = strcmp(name, "include") == 0};
	if (strcmp(name, "DEFAULT") == 0)
		miss(c, "it has a section [DEFAULT], which is not read");
	if (strlen(name) >= SUPERVISORD_WORD_SIZE) {
		miss(c, "a section's name is too long");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_starts(name, kinds[i]))
			s->program = program_of(c, name + strlen(kinds[i]));
	if (strcmp(name, "unix_http_server") == 0 || str_starts(name, "unix_http_server:"))
		s->server = server_of(c, name);
}

static void set_text(struct supervisord_conf *c, const char *here, const char *value, char *out,
		     size_t size)
{
	if (expand(value, here, out, size))
		return;
	out[0] = '\0';
	miss(c, "a value of it is too long, or stands for something that only supervisord knows");
}

static void set_program(struct supervisord_conf *c, struct supervisord_program_conf *p,
			const char *key, const char *value)
{
	if (strcmp(key, "autorestart") == 0)
		p->back = back_of(value);
	/* Its words are compared; one that is cut or expanded does not fit. */
	else if (strcmp(key, "command") == 0)
		(void)str_copy(p->command, sizeof(p->command), value);
	else if (strcmp(key, "exitcodes") == 0)
		set_text(c, "", value, p->exitcodes, sizeof(p->exitcodes));
	else if (strcmp(key, "stopsignal") == 0)
		set_text(c, "", value, p->stopsignal, sizeof(p->stopsignal));
}

static void set_server(struct supervisord_conf *c, struct supervisord_server_conf *s,
		       const char *here, const char *key, const char *value)
{
	if (strcmp(key, "file") == 0)
		set_text(c, here, value, s->file, sizeof(s->file));
	else if (strcmp(key, "username") == 0)
		set_text(c, here, value, s->user, sizeof(s->user));
	else if (strcmp(key, "password") == 0)
		set_text(c, here, value, s->password, sizeof(s->password));
}

static void set(struct supervisord_conf *c, const struct section *s, const char *here,
		const char *key, const char *value)
{
	if (s->program)
		set_program(c, s->program, key, value);
	if (s->server)
		set_server(c, s->server, here, key, value);
	if (s->include && strcmp(key, "files") == 0)
		set_text(c, here, value, c->include, sizeof(c->include));
}

/* ---- lines ---- */

/* From a ';' or '#' on that stands first or behind a blank. */
static void cut_comment(char *line)
{
	for (char *s = line; *s; s++)
		if ((*s == ';' || *s == '#') && (s == line || isspace((unsigned char)s[-1]))) {
			*s = '\0';
			return;
		}
}

/* One option and the lines that go on with it, gathered until the next one begins. */
struct option {
	char key[SUPERVISORD_WORD_SIZE];
	char value[SUPERVISORD_COMMAND_SIZE];
	size_t indent;
	bool open;
};

static void append(struct supervisord_conf *c, struct option *o, const char *more)
{
	size_t n = strlen(o->value);

	/* as if in one line: none of what we want has line ends of its own */
	if (n && n + 1 < sizeof(o->value))
		o->value[n++] = ' ';
	if (!str_copy(o->value + n, sizeof(o->value) - n, more) && strcmp(o->key, "files") == 0)
		miss(c, "its [include] is too long");
}

static void begin(struct supervisord_conf *c, struct option *o, char *line, size_t indent)
{
	size_t at = strcspn(line, "=:");

	*o = (struct option){.indent = indent, .open = line[at] != '\0'};
	if (!o->open) {
		miss(c, "a line of it is no option");
		return;
	}
	line[at] = '\0';
	(void)str_copy(o->key, sizeof(o->key), str_trim(line));
	for (char *s = o->key; *s; s++)
		*s = (char)tolower((unsigned char)*s);
	append(c, o, str_trim(line + at + 1));
}

static void finish(struct supervisord_conf *c, const struct section *s, struct option *o,
		   const char *here)
{
	if (o->open)
		set(c, s, here, o->key, str_trim(o->value));
	o->open = false;
}

void supervisord_conf_add(struct supervisord_conf *c, const char *here, char *text)
{
	struct section s = {.program = NULL};
	struct option o = {.open = false};

	for (char *line; (line = strsep(&text, "\n"));) {
		size_t indent = strspn(line, BLANKS);
		char *end;

		/* configparser knows comments that fill a line, however far in */
		if (line[indent] == '#' || line[indent] == ';')
			continue;
		cut_comment(line);
		line = str_trim(line);
		if (!*line)
			continue;
		if (o.open && indent > o.indent) {
			append(c, &o, line);
			continue;
		}
		finish(c, &s, &o, here);
		end = *line == '[' ? strchr(line, ']') : NULL;
		if (end) {
			*end = '\0';
			enter(c, &s, line + 1);
		} else {
			begin(c, &o, line, indent);
		}
	}
	finish(c, &s, &o, here);
}

/* ---- what it says ---- */

/* Options of supervisord that take a value (options.py). */
#define WITH_VALUE "cdejlmuiqyza"

const char *supervisord_conf_named(const char *cmdline, size_t len)
{
	static const char name[] = "--configuration";
	const char *end = cmdline + len;
	bool wanted = false;
	bool skip = false;

	for (const char *a = cmdline; a < end; a += strnlen(a, (size_t)(end - a)) + 1) {
		if (wanted)
			return a;
		if (skip || *a != '-' || str_starts(a, "--")) {
			skip = false;
			if (str_starts(a, name) && a[strlen(name)] == '=')
				return a + strlen(name) + 1;
			wanted = strcmp(a, name) == 0;
			continue;
		}
		/* '-nc FILE', '-cFILE' */
		for (const char *o = a + 1; *o; o++) {
			if (!strchr(WITH_VALUE, *o))
				continue;
			if (*o == 'c' && o[1])
				return o + 1;
			wanted = *o == 'c';
			skip = !wanted && !o[1];
			break;
		}
	}
	return NULL;
}

const struct supervisord_server_conf *supervisord_conf_server(const struct supervisord_conf *c,
							      const char *path)
{
	for (size_t i = 0; i < c->n_servers; i++)
		if (strcmp(c->servers[i].file, path) == 0)
			return &c->servers[i];
	/* '/var/run' for '/run', a relative name */
	return c->n_servers == 1 ? &c->servers[0] : NULL;
}

static bool has_argument(const char *cmdline, size_t len, struct span word, bool base_only)
{
	const char *end = cmdline + len;

	for (const char *a = cmdline; a < end;) {
		struct span arg = {a, strnlen(a, (size_t)(end - a))};

		a += arg.len + 1;
		if (base_only)
			arg = span_base(arg);
		if (arg.len == word.len && memcmp(arg.s, word.s, word.len) == 0)
			return true;
	}
	return false;
}

/* Each word that stands for itself is an argument; of the first its file name. */
static bool could_be(const struct supervisord_program_conf *p, const char *cmdline, size_t len)
{
	const char *s = p->command;
	bool first = true;

	for (;;) {
		struct span word;

		s += strspn(s, " \t");
		word = (struct span){s, strcspn(s, " \t")};
		if (!word.len)
			return !first;
		s += word.len;
		if (!memchr(word.s, '%', word.len) && !memchr(word.s, '\\', word.len) &&
		    !memchr(word.s, '\'', word.len) && !memchr(word.s, '"', word.len) &&
		    !has_argument(cmdline, len, first ? span_base(word) : word, first))
			return false;
		first = false;
	}
}

static int judge(const struct supervisord_program_conf *p, bool catches, struct error *err)
{
	if (strcasecmp(p->stopsignal, "TERM") != 0 && strcasecmp(p->stopsignal, "SIGTERM") != 0 &&
	    strcmp(p->stopsignal, "15") != 0)
		return error_set(err, -EPERM,
				 "its configuration (program '%.60s') wants another signal than "
				 "SIGTERM to stop it (stopsignal)",
				 p->name);
	if (p->back == SUPERVISORD_ALWAYS)
		return 0;
	if (p->back == SUPERVISORD_UNKNOWN)
		return error_set(err, -EPERM,
				 "its configuration (program '%.60s') has an autorestart that "
				 "memherd does not know",
				 p->name);
	if (p->back == SUPERVISORD_NEVER)
		return error_set(err, -EPERM,
				 "its configuration (program '%.60s') says autorestart=false: "
				 "nobody would start it again",
				 p->name);
	/* Who dies of the signal has no exit code that could be expected. */
	if (!catches || !*p->exitcodes)
		return 0;
	return error_set(
		err, -EPERM,
		"its configuration (program '%.60s') says autorestart=unexpected, and it "
		"handles SIGTERM: it may end with a code that is expected (exitcodes=%.40s) "
		"and stay away",
		p->name, p->exitcodes);
}

int supervisord_conf_comes_back(const struct supervisord_conf *c, const char *cmdline, size_t len,
				bool catches, char ret_name[SUPERVISORD_WORD_SIZE],
				struct error *err)
{
	size_t fit = 0;

	ret_name[0] = '\0';
	if (*c->missing)
		return error_set(err, -EPERM,
				 "its configuration, '%.100s', cannot be read whole: %s", c->path,
				 c->missing);
	for (size_t i = 0; i < c->n_programs; i++)
		fit += could_be(&c->programs[i], cmdline, len);
	for (size_t i = 0; i < c->n_programs; i++) {
		const struct supervisord_program_conf *p = &c->programs[i];
		int rc = !fit || could_be(p, cmdline, len) ? judge(p, catches, err) : 0;

		if (rc < 0)
			return rc;
		if (fit == 1 && could_be(p, cmdline, len))
			(void)str_copy(ret_name, SUPERVISORD_WORD_SIZE, p->name);
	}
	return c->n_programs ? 0
			     : error_set(err, -EPERM,
					 "its configuration, '%.100s', has no programs", c->path);
}

void supervisord_conf_free(struct supervisord_conf **c)
{
	if (*c)
		explicit_bzero(*c, sizeof(**c)); /* passwords */
	free(*c);
	*c = NULL;
}
