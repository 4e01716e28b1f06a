/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libgen.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include "agent/act/arguments.h"
#include "agent/act/census.h"
#include "agent/act/gate.h"
#include "agent/act/journal_verify.h"
#include "agent/act/policy.h"
#include "agent/act/poster.h"
#include "agent/act/result_print.h"
#include "agent/act/server.h"
#include "agent/act/watch.h"
#include "common/clock.h"
#include "common/confine.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "proto/command_param.h"

#define TOP_TYPES 20

static int complain(int code, const struct error *err)
{
	fprintf(stderr, "memherd-actd: %s\n", err->msg);
	return code;
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

	if (arguments_params(args, a->number, wish.params, &wish.text, &err) < 0)
		return complain(EXIT_USAGE, &err);
	if (arguments_target(args, a, &pid, &err) < 0)
		return complain(EXIT_USAGE, &err);
	if (open_journal(o, &gate.journal, &err) < 0)
		return complain(EXIT_FAILED, &err);
	wish.pid = (pid_t)pid;
	rc = gate_by_hand(&gate, &wish, clock_wall_us(), &r);
	journal_free(&gate.journal);
	if (result_print(a, (pid_t)pid, &r, &body, args, &err) < 0)
		complain(EXIT_FAILED, &err);
	if (rc == -EPERM)
		return EXIT_NOT_ALLOWED;
	if (rc == -ESRCH)
		return EXIT_NOT_FOUND;
	return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

static int dispatch(const struct act_options *o, struct arguments *a)
{
	const struct action *action = arguments_action(a);
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
		arguments_usage(stderr);
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
	int rc = arguments_parse(argc, argv, &args);

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
