/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/program.h"

#include <ctype.h>

#include "common/span.h"

#define CMDLINE_MAX 4096

/* Walks the arguments. */
struct args {
	const char *p;
	const char *end;
};

static struct args args_of(const struct program *p)
{
	return (struct args){p->cmdline, p->cmdline + MIN_OF(p->cmdline_len, (size_t)CMDLINE_MAX)};
}

static bool next_arg(struct args *a, struct span *ret)
{
	if (a->p >= a->end)
		return false;
	ret->s = a->p;
	ret->len = strnlen(a->p, (size_t)(a->end - a->p));
	a->p += ret->len + 1;
	return true;
}

static bool is_python(struct span base)
{
	return span_starts(base, "python") || span_starts(base, "pypy");
}

static bool is_app_server(struct span base)
{
	static const char *const servers[] = {
		"gunicorn", "uvicorn",   "hypercorn", "daphne", "waitress-serve", "celery", "uwsgi",
		"flask",    "streamlit", "dramatiq",  "rq",     "huey_consumer",
	};

	for (size_t i = 0; i < ARRAY_SIZE(servers); i++)
		if (span_is(base, servers[i]))
			return true;
	return false;
}

static bool is_option(struct span a)
{
	return a.len && a.s[0] == '-';
}

/* Options whose value names the application. */
static bool names_app(struct span server, struct span option)
{
	if (span_is(option, "-A") || span_is(option, "--app"))
		return true;
	return span_is(server, "uwsgi") &&
	       (span_is(option, "--ini") || span_is(option, "-w") || span_is(option, "--module") ||
		span_is(option, "--wsgi-file") || span_is(option, "--yaml"));
}

/* 'shop.wsgi' of 'shop.wsgi:app', which is no address and no port. */
static struct span module_of(struct span arg)
{
	const char *colon = arg.len ? memchr(arg.s, ':', arg.len) : NULL;

	if (!colon || colon == arg.s || is_option(arg) || isdigit((unsigned char)colon[1]) ||
	    colon[1] == '/' || memchr(arg.s, '/', (size_t)(colon - arg.s)))
		return (struct span){"", 0};
	return (struct span){arg.s, (size_t)(colon - arg.s)};
}

static bool is_module(struct span a)
{
	for (size_t i = 0; i < a.len; i++)
		if (!isalnum((unsigned char)a.s[i]) && a.s[i] != '_' && a.s[i] != '.')
			return false;
	return a.len && (isalpha((unsigned char)a.s[0]) || a.s[0] == '_');
}

/* The servers whose application is an argument of its own, with or without ':app'. */
static bool takes_module(struct span server)
{
	return span_is(server, "gunicorn") || span_is(server, "uvicorn") ||
	       span_is(server, "hypercorn") || span_is(server, "daphne") ||
	       span_is(server, "dramatiq");
}

/* An option that names it; 'module:app'; else the first argument that can be a module and is no
 * option's value, as far as one can tell. */
static struct span find_app(struct span server, struct args a)
{
	struct span before = {"", 0};
	struct span guess = {"", 0};
	struct span arg;

	for (; next_arg(&a, &arg); before = arg) {
		const char *eq = is_option(arg) ? memchr(arg.s, '=', arg.len) : NULL;
		struct span module = module_of(arg);

		if (names_app(server, before))
			return span_base(arg);
		if (eq && names_app(server, (struct span){arg.s, (size_t)(eq - arg.s)}))
			return span_base(span_from(arg, (size_t)(eq + 1 - arg.s)));
		if (module.len)
			return module;
		if (!guess.len && takes_module(server) && !is_option(before) && is_module(arg))
			guess = arg;
	}
	/* '--preload shop.wsgi': the last argument, whatever stands before it */
	if (!guess.len && takes_module(server) && is_module(before))
		guess = before;
	return guess;
}

/* celery's scheduler and monitor are not its workers. */
static const char *side_of(struct span server, struct args a)
{
	struct span arg;

	while (span_is(server, "celery") && next_arg(&a, &arg)) {
		if (span_is(arg, "beat"))
			return "/beat";
		if (span_is(arg, "flower"))
			return "/flower";
	}
	return "";
}

/* 'gunicorn:shop.wsgi' from 'gunicorn -w 4 shop.wsgi:app', 'celery:proj' from 'celery -A proj
 * worker': one host may run several applications on the same server. */
static void name_app(char *out, size_t size, struct span server, struct args a)
{
	struct span app = find_app(server, a);
	char prefix[64];
	size_t n;

	if (!app.len) {
		span_write(out, size, "", server);
		return;
	}
	snprintf(prefix, sizeof(prefix), "%.*s:", (int)MIN_OF(server.len, (size_t)60), server.s);
	span_write(out, size, prefix, app);
	n = strlen(out);
	str_copy(out + n, size - n, side_of(server, a));
}

/* What the interpreter runs: options first, then -m module, -c code or a file. */
static bool name_python(char *out, size_t size, struct args a)
{
	struct span arg;

	while (next_arg(&a, &arg)) {
		if (span_is(arg, "-m") && next_arg(&a, &arg)) {
			if (is_app_server(arg))
				name_app(out, size, arg, a);
			else
				span_write(out, size, "python:-m ", arg);
			return true;
		}
		if (span_is(arg, "-c") || span_is(arg, "-")) {
			span_write(out, size, "python:", arg);
			return true;
		}
		if (span_is(arg, "-W") || span_is(arg, "-X") ||
		    span_is(arg, "--check-hash-based-pycs")) {
			if (!next_arg(&a, &arg))
				return false;
			continue;
		}
		if (arg.len == 0 || is_option(arg))
			continue;
		arg = span_base(arg);
		if (is_app_server(arg))
			name_app(out, size, arg, a);
		else
			span_write(out, size, "python:", arg);
		return true;
	}
	return false;
}

/* ---- titles ---- */

/* What a program wrote over its arguments: 'postgres: checkpointer' is head 'postgres' and rest
 * 'checkpointer'. */
struct title {
	struct span head;
	struct span rest;
};

static bool title_of(const struct program *p, struct title *ret)
{
	struct args a = args_of(p);
	struct span text;
	const char *colon;
	size_t head;

	if (!next_arg(&a, &text))
		return false;
	/* '[celeryd: celery@host:MainProcess] -active- (worker -A proj)' */
	if (span_starts(text, "[celeryd: ")) {
		ret->head = (struct span){"celery", strlen("celery")};
		ret->rest = span_from(text, strlen("[celeryd: "));
		return true;
	}
	colon = text.len ? memchr(text.s, ':', text.len) : NULL;
	head = colon ? (size_t)(colon - text.s) : 0;
	if (!head || head > 32 || head + 1 >= text.len || colon[1] != ' ' ||
	    memchr(text.s, ' ', head) || memchr(text.s, '/', head))
		return false;
	ret->head = (struct span){text.s, head};
	ret->rest = span_from(text, head + 2);
	return true;
}

/* '[shop.wsgi:app]' gives 'shop.wsgi', 'shop@host:MainProcess' gives 'shop'. */
static struct span app_of_title(const struct title *t)
{
	const char *open = t->rest.len ? memchr(t->rest.s, '[', t->rest.len) : NULL;
	struct span app = {"", 0};
	size_t n = 0;

	if (span_is(t->head, "celery"))
		app = t->rest;
	else if (open)
		app = span_from(t->rest, (size_t)(open + 1 - t->rest.s));
	while (n < app.len && !strchr("]:@", app.s[n]))
		n++;
	/* a bracket that was never closed is no name */
	return n < app.len ? (struct span){app.s, n} : (struct span){"", 0};
}

/* 'gunicorn: worker [shop]' gives 'gunicorn:shop', 'postgres: checkpointer' gives 'postgres'. */
static void name_title(char *out, size_t size, const struct title *t)
{
	struct span app = is_app_server(t->head) ? app_of_title(t) : (struct span){"", 0};
	char prefix[64];

	if (!app.len) {
		span_write(out, size, "", t->head);
		return;
	}
	snprintf(prefix, sizeof(prefix), "%.*s:", (int)t->head.len, t->head.s);
	span_write(out, size, prefix, app);
}

static bool starts_word(struct span a, const char *word)
{
	size_t n = strlen(word);

	return span_starts(a, word) && (a.len == n || !isalnum((unsigned char)a.s[n]));
}

enum wire_role program_role(const struct program *p)
{
	static const struct {
		const char *word;
		enum wire_role role;
	} words[] = {
		{"master", WIRE_ROLE_MASTER},         {"worker", WIRE_ROLE_WORKER},
		{"pool", WIRE_ROLE_WORKER},           /* php-fpm */
		{"cluster worker", WIRE_ROLE_WORKER}, /* puma */
		{"arbiter", WIRE_ROLE_MASTER},
	};
	struct args a = args_of(p);
	struct span text = {"", 0};
	struct title t;

	if (title_of(p, &t)) {
		if (span_is(t.head, "celery") && span_find(t.rest, ":MainProcess]"))
			return WIRE_ROLE_MASTER;
		if (span_is(t.head, "celery") && span_find(t.rest, "PoolWorker-"))
			return WIRE_ROLE_WORKER;
		text = t.rest;
	} else if (next_arg(&a, &text)) {
		/* 'uWSGI worker 3', 'unicorn master -c x' */
		const char *gap = memchr(text.s, ' ', text.len);

		text = gap ? span_from(text, (size_t)(gap + 1 - text.s)) : (struct span){"", 0};
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (starts_word(text, words[i].word))
			return words[i].role;
	return WIRE_ROLE_NONE;
}

/* ---- all of it ---- */

static struct span exe_base(const struct program *p)
{
	struct span exe = span_base((struct span){p->exe, strlen(p->exe)});

	/* an updated program's file: '/usr/bin/x (deleted)' */
	return span_without(exe, " (deleted)");
}

/* Debian has uWSGI as 'uwsgi-core', which 'uwsgi' is a link to. */
static struct span plain_server(struct span exe)
{
	return span_is(exe, "uwsgi-core") ? span_without(exe, "-core") : exe;
}

bool program_name(char *out, size_t size, const struct program *p)
{
	struct args a = args_of(p);
	struct span exe = exe_base(p);
	struct span first = {"", 0};
	struct title title;

	if (title_of(p, &title)) {
		name_title(out, size, &title);
		return true;
	}
	(void)next_arg(&a, &first);
	first = span_base(first);
	if (!exe.len)
		exe = first;
	if (is_python(exe)) {
		if (name_python(out, size, a))
			return true;
	} else if (is_app_server(plain_server(exe))) {
		name_app(out, size, plain_server(exe), a);
		return true;
	}
	if (!exe.len)
		return false;
	span_write(out, size, "", exe);
	return true;
}

enum program_kin program_kin(const struct program *p)
{
	struct args a = args_of(p);
	struct span arg;

	if (!is_python(exe_base(p)) && *p->exe)
		return PROGRAM_OWN;
	while (next_arg(&a, &arg)) {
		if (!span_is(arg, "-c"))
			continue;
		if (!next_arg(&a, &arg) || !span_starts(arg, "from multiprocessing."))
			return PROGRAM_OWN;
		return span_find(arg, "resource_tracker") ? PROGRAM_HELPER : PROGRAM_SPAWNED;
	}
	return PROGRAM_OWN;
}

/* ---- servers ---- */

static bool has_arg(struct args a, const char *word)
{
	struct span arg;

	while (next_arg(&a, &arg))
		if (span_is(arg, word))
			return true;
	return false;
}

/* The file or module that the interpreter runs; *a stands behind it. */
static struct span find_script(struct args *a)
{
	struct span arg;

	(void)next_arg(a, &arg); /* the interpreter */
	while (next_arg(a, &arg)) {
		if (span_is(arg, "-m"))
			return next_arg(a, &arg) ? arg : (struct span){"", 0};
		if (span_is(arg, "-c") || span_is(arg, "-"))
			break;
		if (span_is(arg, "-W") || span_is(arg, "-X")) {
			if (!next_arg(a, &arg))
				break;
			continue;
		}
		if (arg.len && !is_option(arg))
			return span_base(arg);
	}
	return (struct span){"", 0};
}

static enum program_server server_named(struct span name, struct args behind)
{
	/* as 'python -m' takes them, too */
	if (span_is(name, "gunicorn") || span_is(name, "gunicorn.app.wsgiapp"))
		return PROGRAM_GUNICORN;
	if (span_is(name, "celery") && has_arg(behind, "worker"))
		return PROGRAM_CELERY;
	if (span_is(name, "supervisord") || span_is(name, "supervisor.supervisord"))
		return PROGRAM_SUPERVISORD;
	return PROGRAM_NO_SERVER;
}

enum program_server program_server(const struct program *p)
{
	struct args a = args_of(p);
	struct args first = a;
	struct span exe = exe_base(p);
	struct span arg = {"", 0};
	struct title title;

	(void)next_arg(&first, &arg);
	/* 'uwsgi-core' is Debian's; 'uWSGI worker 1' a title of its own */
	if (span_starts(exe, "uwsgi"))
		return PROGRAM_UWSGI;
	if (*p->exe && !is_python(exe))
		return PROGRAM_NO_SERVER;
	if (span_starts(arg, "uWSGI "))
		return PROGRAM_UWSGI;
	if (title_of(p, &title)) {
		if (span_is(title.head, "gunicorn"))
			return PROGRAM_GUNICORN;
		return span_is(title.head, "celery") ? PROGRAM_CELERY : PROGRAM_NO_SERVER;
	}
	if (!*p->exe && !is_python(span_base(arg)))
		return PROGRAM_NO_SERVER;
	arg = find_script(&a);
	return server_named(arg, a);
}
