/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include "agent/act/census.h"
#include "agent/act/census_print.h"
#include "agent/act/gate.h"
#include "agent/act/journal_verify.h"
#include "agent/act/policy.h"
#include "agent/act/poster.h"
#include "agent/act/server.h"
#include "agent/act/snapshot_print.h"
#include "agent/act/watch.h"
#include "common/clock.h"
#include "common/confine.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "proto/command_param.h"

#define TOP_TYPES       20
#define PARAM_NAMES_MAX 32
#define OPT_PARAM       256 /* and the name's place */

enum exit_code { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NOT_ALLOWED, EXIT_NOT_FOUND };

struct arguments {
	const char *config; /* NULL: the usual place, which may be absent */
	const char *sets[16];
	size_t n_sets;
	bool dry_run;
	bool json;
	bool no_policy;
	bool verify;
	const char *params[PARAM_NAMES_MAX]; /* by command_param_name()'s place; NULL = not said */
	int64_t top;
	int poster; /* poster_start()'s, -1 = none */
	const char *command;
	const char *target;
};

/* An action and its parameters. */
static void usage_of(FILE *out, const struct action *a)
{
	const struct command_param *p;
	char preset[COMMAND_PARAM_TEXT_SIZE];

	fprintf(out, "  %-12s %s %s\n", a->name, command_action_of_host(a->number) ? "   " : "PID",
		a->help);
	for (size_t i = 0; (p = command_param_at(a->number, i)); i++) {
		fprintf(out, "                   --%s %s  %s", p->name, p->words ? p->words : "N",
			p->help);
		if (p->required)
			fputs("\n", out);
		else
			fprintf(out, " (%s)\n", command_param_text(preset, p, p->preset));
	}
}

static void usage(FILE *out)
{
	fputs("usage: memherd-actd [-c FILE] [-o KEY=VALUE]... COMMAND\n\n"
	      "  run              serve signed commands from memherd-agent (default)\n",
	      out);
	for (size_t i = 0; action_at(i); i++)
		usage_of(out, action_at(i));
	fputs("  journal      [--verify] [--json]: what was done here, or whether its chain holds\n"
	      "  snapshot     PID [--kind census|tracemalloc|referrers|sizes]: the action of that "
	      "name\n"
	      "                   [--dry-run] [--json] [--no-policy]; census: [--top N]\n"
	      "  check-config     read configuration and policy, tell what is wrong\n"
	      "  dump-config      print every option\n"
	      "  --version\n",
	      out);
}

static int complain(int code, const struct error *err)
{
	fprintf(stderr, "memherd-actd: %s\n", err->msg);
	return code;
}

/* Room for each name of a parameter, and the end. */
static void add_params(struct option *to)
{
	const char *name;

	for (size_t i = 0; i < PARAM_NAMES_MAX && (name = command_param_name(i)); i++)
		*to++ = (struct option){name, required_argument, NULL, OPT_PARAM + (int)i};
	*to = (struct option){0};
}

/* -1 to go on, else the exit code. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option fixed[] = {
		{"config", required_argument, NULL, 'c'}, {"dry-run", no_argument, NULL, 'n'},
		{"json", no_argument, NULL, 'j'},         {"no-policy", no_argument, NULL, 'P'},
		{"top", required_argument, NULL, 't'},    {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},         {"verify", no_argument, NULL, 'v'},
	};
	struct option longs[ARRAY_SIZE(fixed) + PARAM_NAMES_MAX + 1];
	int c;

	memcpy(longs, fixed, sizeof(fixed));
	add_params(longs + ARRAY_SIZE(fixed));

	while ((c = getopt_long(argc, argv, "c:o:h", longs, NULL)) != -1) {
		if (c == 'c') {
			a->config = optarg;
		} else if (c == 'o' && a->n_sets < ARRAY_SIZE(a->sets)) {
			a->sets[a->n_sets++] = optarg;
		} else if (c == 'n') {
			a->dry_run = true;
		} else if (c == 'j') {
			a->json = true;
		} else if (c == 'P') {
			a->no_policy = true;
		} else if (c == 'v') {
			a->verify = true;
		} else if (c >= OPT_PARAM) {
			a->params[c - OPT_PARAM] = optarg;
		} else if (c == 't' && str_parse_int(optarg, &a->top) == 0 && a->top > 0) {
			continue;
		} else if (c == 'V') {
			puts("memherd-actd " MEMHERD_VERSION);
			return EXIT_OK;
		} else {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? EXIT_OK : EXIT_USAGE;
		}
	}
	a->command = optind < argc ? argv[optind++] : "run";
	a->target = optind < argc ? argv[optind++] : NULL;
	if (optind == argc)
		return -1;
	usage(stderr);
	return EXIT_USAGE;
}

static int set_from_line(struct act_options *o, const char *set, struct error *err)
{
	auto_free char *copy = strdup(set);
	char *value = copy ? strchr(copy, '=') : NULL;

	if (!value)
		return error_set(err, -EINVAL, "-o '%s': expected KEY=VALUE", set);
	*value++ = '\0';
	return conf_set(&act_options_table, o, copy, value, "-o", err);
}

static int load_options(const struct arguments *a, struct act_options *o, struct error *err)
{
	const char *path = a->config ? a->config : ACTD_CONF;
	int rc = conf_defaults(&act_options_table, o, err);

	/* By hand it must work without any set-up. */
	if (rc == 0 && (a->config || access(path, F_OK) == 0))
		rc = conf_load(&act_options_table, o, path, err);
	for (size_t i = 0; rc == 0 && i < a->n_sets; i++)
		rc = set_from_line(o, a->sets[i], err);
	if (rc == 0)
		rc = act_options_log(o, err);
	return rc;
}

static int check_config(const struct act_options *o)
{
	struct policy *policy = NULL;
	struct error err;

	if (policy_load(o->policy, &policy, &err) < 0)
		return complain(EXIT_USAGE, &err);
	policy_free(&policy);
	puts("configuration and policy are well formed");
	return EXIT_OK;
}

static int serve(const struct act_options *o, struct gate *gate, const struct passwd *user)
{
	struct server *server = NULL;
	auto_close int stop = -1;
	int watcher = -1;
	struct error err;
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	stop = signalfd(-1, &set, SFD_CLOEXEC);
	if (stop < 0)
		rc = error_sys(&err, -errno, "cannot wait for signals");
	else
		rc = server_new(o->socket, user->pw_uid, user->pw_gid, gate, &server, &err);
	if (rc == 0)
		rc = watcher = watch_start(o->journal, &err);
	if (rc >= 0) {
		log_info("listening socket=%s client_user=%s version=%s", o->socket, o->client_user,
			 MEMHERD_VERSION);
		rc = server_run(server, stop, watcher, &err);
	}
	server_free(&server);
	watch_stop(&watcher);
	if (rc == 0)
		log_info("stopped");
	return rc < 0 ? complain(EXIT_FAILED, &err) : EXIT_OK;
}

/* Its folder is made too: by hand it must work on a host where nothing was set up. */
static int open_journal(const struct act_options *o, struct journal **ret, struct error *err)
{
	auto_free char *copy = strdup(o->journal);
	int rc = copy ? fs_mkdir(dirname(copy), 0700, err) : error_set(err, -ENOMEM, "no memory");

	return rc < 0 ? rc : journal_open(o->journal, ret, err);
}

static int run(const struct act_options *o, int poster)
{
	auto_buf struct buf body = BUF_INIT(CENSUS_BODY_MAX);
	struct gate gate = {.options = o, .body = &body, .poster = poster};
	struct policy *policy = NULL;
	struct passwd *user = getpwnam(o->client_user);
	struct error err;
	int rc;

	if (!user) {
		error_set(&err, -ENOENT, "client_user '%s' is not a user of this host",
			  o->client_user);
		return complain(EXIT_USAGE, &err);
	}
	/* A mistake in the policy is told now rather than at the first command. */
	if (policy_load(o->policy, &policy, &err) < 0)
		return complain(EXIT_USAGE, &err);
	policy_free(&policy);
	if (open_journal(o, &gate.journal, &err) < 0)
		return complain(EXIT_FAILED, &err);
	rc = serve(o, &gate, user);
	journal_free(&gate.journal);
	return rc;
}

static void print_json_text(const char *text)
{
	char safe[COMMAND_DETAIL_SIZE];

	str_safe(safe, sizeof(safe), text, strlen(text));
	putchar('"');
	for (const char *p = safe; *p; p++) {
		if (*p == '"' || *p == '\\')
			putchar('\\');
		putchar(*p);
	}
	putchar('"');
}

static void print_json_number(const char *name, int64_t v)
{
	if (v < 0)
		printf(", \"%s\": null", name);
	else
		printf(", \"%s\": %lld", name, (long long)v);
}

/* What an action made beside its sentence: a census or a snapshot. */
static void print_body(const struct action *a, const struct buf *body, const struct arguments *args)
{
	struct error err = {""};
	int rc;

	if (!body->len)
		return;
	if (snapshot_layout_of(a->number)) {
		rc = snapshot_print(stdout, body, args->json, &err);
	} else if (args->json) {
		fputs(", \"census\": ", stdout);
		rc = census_print_json(stdout, body, (size_t)args->top, &err);
	} else {
		rc = census_print_table(stdout, body, (size_t)args->top, &err);
	}
	if (rc < 0)
		complain(EXIT_FAILED, &err);
}

static void print_result(const struct action *a, pid_t pid, const struct command_result *r,
			 const struct buf *body, const struct arguments *args)
{
	if (!args->json) {
		char of[16] = "";

		if (pid)
			snprintf(of, sizeof(of), " %d", (int)pid);
		fprintf(r->status == COMMAND_DONE || r->status == COMMAND_DRY_RUN ? stdout : stderr,
			"%s%s: %s: %s\n", a->name, of, command_status_word(r->status), r->detail);
		print_body(a, body, args);
		return;
	}
	printf("{\"action\": \"%s\"", a->name);
	print_json_number("pid", pid ? pid : -1);
	printf(", \"status\": \"%s\", \"detail\": ", command_status_word(r->status));
	print_json_text(r->detail);
	print_json_number("rss_before_bytes", r->rss_before);
	print_json_number("rss_after_bytes", r->rss_after);
	print_json_number("swap_before_bytes", r->swap_before);
	print_json_number("swap_after_bytes", r->swap_after);
	print_json_number("held_us", r->held_us);
	print_json_number("total_us", r->total_us);
	print_body(a, body, args);
	puts("}");
}

static int take_params(const struct arguments *args, enum command_action action,
		       int64_t params[COMMAND_PARAMS], const char **ret_text, struct error *err)
{
	const struct command_param *text = command_param_of_text(action);
	int rc = 0;

	command_params_preset(action, params);
	for (size_t i = 0; rc == 0 && i < PARAM_NAMES_MAX; i++) {
		if (!args->params[i])
			continue;
		if (text && strcmp(text->name, command_param_name(i)) == 0)
			*ret_text = args->params[i];
		rc = command_params_set(action, command_param_name(i), args->params[i], params,
					err);
	}
	return rc < 0 ? rc : command_params_check(action, params, err);
}

/* 0 for the whole host. */
static int take_target(const struct arguments *args, const struct action *a, int64_t *ret_pid,
		       struct error *err)
{
	bool of_host = command_action_of_host(a->number);

	*ret_pid = 0;
	if (of_host && args->target)
		return error_set(err, -EINVAL, "%s '%s': it is done to the whole host", a->name,
				 args->target);
	if (of_host)
		return 0;
	if (!args->target || str_parse_int(args->target, ret_pid) < 0 || *ret_pid < 1 ||
	    *ret_pid > INT32_MAX)
		return error_set(err, -EINVAL, "%s '%s': expected a process id", a->name,
				 args->target ? args->target : "");
	return 0;
}

static int by_hand(const struct act_options *o, const struct action *a,
		   const struct arguments *args)
{
	auto_buf struct buf body = BUF_INIT(CENSUS_BODY_MAX);
	struct gate gate = {.options = o, .body = &body, .poster = args->poster};
	struct gate_wish wish = {
		.action = a,
		.dry_run = args->dry_run,
		.no_policy = args->no_policy,
	};
	struct command_result r;
	struct error err;
	int64_t pid;
	int rc;

	if (take_params(args, a->number, wish.params, &wish.text, &err) < 0)
		return complain(EXIT_USAGE, &err);
	if (take_target(args, a, &pid, &err) < 0)
		return complain(EXIT_USAGE, &err);
	if (open_journal(o, &gate.journal, &err) < 0)
		return complain(EXIT_FAILED, &err);
	wish.pid = (pid_t)pid;
	rc = gate_by_hand(&gate, &wish, clock_wall_us(), &r);
	journal_free(&gate.journal);
	print_result(a, (pid_t)pid, &r, &body, args);
	if (rc == -EPERM)
		return EXIT_NOT_ALLOWED;
	if (rc == -ESRCH)
		return EXIT_NOT_FOUND;
	return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

/* What was said for a parameter's name; it counts as taken. */
static const char *take_param(struct arguments *a, const char *name)
{
	const char *known;
	const char *said = NULL;

	for (size_t i = 0; i < PARAM_NAMES_MAX && (known = command_param_name(i)); i++) {
		if (strcmp(known, name) != 0)
			continue;
		said = a->params[i];
		a->params[i] = NULL;
	}
	return said;
}

/* 'snapshot --kind census' is 'census'; of other commands --kind is a parameter. */
static const struct action *action_of(struct arguments *a)
{
	static const char *const kinds[] = {"census", "tracemalloc", "referrers", "sizes"};
	const char *kind;

	if (strcmp(a->command, "snapshot") != 0)
		return action_find_name(a->command);
	kind = take_param(a, "kind");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i], kind ? kind : kinds[0]) == 0)
			return action_find_name(kinds[i]);
	return NULL;
}

static int dispatch(const struct act_options *o, struct arguments *a)
{
	const struct action *action = action_of(a);
	struct error err;

	if (strcmp(a->command, "dump-config") == 0) {
		conf_dump(&act_options_table, o, stdout);
		return EXIT_OK;
	}
	if (strcmp(a->command, "check-config") == 0)
		return check_config(o);
	if (strcmp(a->command, "journal") == 0) {
		if (journal_print(stdout, o->journal, a->verify, a->json, &err) == 0)
			return EXIT_OK;
		return complain(EXIT_FAILED, &err);
	}
	if (!action && strcmp(a->command, "run") != 0) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (geteuid() != 0) {
		error_set(&err, -EPERM, "must run as root");
		return complain(EXIT_NOT_ALLOWED, &err);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return complain(EXIT_FAILED, (error_sys(&err, -errno, "no_new_privs"), &err));
	if (!action || action->number == COMMAND_SHED)
		a->poster = poster_start(&err);
	if ((!action || action->number == COMMAND_SHED) && a->poster < 0)
		return complain(EXIT_FAILED, &err);
	if (confine(CONFINE_ACT, &err) < 0) /* a fence behind the unit's: go on without it */
		log_warn("confine=no error=\"%s\"", err.msg);
	return action ? by_hand(o, action, a) : run(o, a->poster);
}

int main(int argc, char **argv)
{
	struct arguments args = {.top = TOP_TYPES, .poster = -1};
	struct act_options options = {0};
	struct error err;
	int rc = parse_arguments(argc, argv, &args);

	if (rc >= 0)
		return rc;
	if (load_options(&args, &options, &err) < 0)
		rc = complain(EXIT_USAGE, &err);
	else
		rc = dispatch(&options, &args);
	conf_fini(&act_options_table, &options);
	if (args.poster >= 0)
		close(args.poster);
	return rc;
}
